import KernelStructures
import KernelWire
import Testing

/// Random and mutated input: the reader never crashes, never turns in circles, never points beyond its input, and says
/// the same whatever the pieces in which it was given the bytes.
@Suite("Fuzzing the HTTP reader")
struct HTTPFuzzTests {
    private static let requests = [
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
        "PUT /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n3\r\nabc\r\n0\r\nT: 1\r\n\r\n",
        "HEAD http://h/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "\r\n\r\nGET /c HTTP/1.1\r\nHost: h\r\nX: \ty \r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\nExpect: 100-continue\r\n\r\n",
    ].map { Array($0.utf8) }
    private static let responses = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 \r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nok\r\n0\r\nT: 1\r\n\r\n",
        "HTTP/1.0 404\r\nA: b\r\n\r\nuntil close",
    ].map { Array($0.utf8) }
    private static let spice: [[UInt8]] = [
        [13], [10], [13, 10], [13, 10, 13, 10], [32], [9], [0], [58], [44], [59], [48], [255], [127],
        Array("Content-Length: 3\r\n".utf8),
        Array("Transfer-Encoding: chunked\r\n".utf8), Array("ffffffffffffffff".utf8), Array("HTTP/1.1".utf8),
        Array("Host: h\r\n".utf8),
    ]

    private static func mutated(_ random: inout SeededRandom, _ samples: [[UInt8]]) -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0...random.below(3) { bytes += samples[random.below(samples.count)] }
        for _ in 0..<random.below(4) {
            let place = random.below(bytes.count + 1)
            switch random.below(5) {
            case 0 where place < bytes.count: bytes[place] = UInt8(truncatingIfNeeded: random.next())
            case 1 where place < bytes.count: bytes.remove(at: place)
            case 2: bytes.insert(contentsOf: spice[random.below(spice.count)], at: place)
            case 3 where place < bytes.count: bytes[place] ^= 32
            default: bytes.removeLast(min(bytes.count, random.below(6)))
            }
            if bytes.isEmpty { bytes = [13] }
        }
        return bytes
    }

    private static func check(
        _ kind: HTTPReader.Kind, _ bytes: [UInt8], _ random: inout SeededRandom, _ limits: HTTPLimits
    ) -> Bool {
        let whole = transcript(kind, bytes, pieces: [], limits: limits, ends: true)
        if whole.contains(where: { ["LOOP", "POSITION", "LEFT INPUT", "RANGE"].contains($0) }) {
            Issue.record("\(whole.last!) with \(String(decoding: bytes, as: UTF8.self).debugDescription)")
            return false
        }
        let pieces = (0..<random.below(8) + 1).map { _ in random.below(max(1, bytes.count / 2)) }
        let cut = transcript(
            kind, bytes, pieces: random.chance(0.2) ? bytes.map { _ in 1 } : pieces, limits: limits, ends: true)
        if whole != cut {
            Issue.record("\(String(decoding: bytes, as: UTF8.self).debugDescription): whole \(whole), cut \(cut)")
            return false
        }
        return true
    }

    @Test("mutated messages, in one piece and in many, have one verdict", arguments: 1...8 as ClosedRange<UInt64>)
    func mutations(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var small = HTTPLimits()
        small.startLineBytes = 24
        small.headBytes = 60
        small.fieldCount = 3
        small.bodyBytes = 6
        small.chunkLineBytes = 6
        for _ in 0..<14_000 {
            let kind: HTTPReader.Kind = random.chance(0.7) ? .requests : .responses
            let bytes = Self.mutated(&random, kind == .requests ? Self.requests : Self.responses)
            guard Self.check(kind, bytes, &random, random.chance(0.3) ? small : HTTPLimits()) else { return }
        }
    }

    @Test("noise of any kind is refused or waited for")
    func noise() {
        var random = SeededRandom(seed: 99)
        let alphabet = Array("GETPOS /HTTP1.0:\r\n\r\n\r\n; ,chunked0123456789abcdef".utf8)
        for _ in 0..<20_000 {
            let bytes = (0..<random.below(60)).map { _ in
                random.chance(0.9) ? alphabet[random.below(alphabet.count)] : UInt8(truncatingIfNeeded: random.next())
            }
            guard Self.check(random.chance(0.5) ? .requests : .responses, bytes, &random, HTTPLimits()) else { return }
        }
    }

    @Test("every sample reads the same when it is cut at any single place, and byte by byte")
    func everySplit() {
        for (kind, samples) in [(HTTPReader.Kind.requests, Self.requests), (.responses, Self.responses)] {
            for bytes in samples + [samples.prefix(3).flatMap { $0 }] {
                let whole = transcript(kind, bytes, pieces: [], ends: true)
                #expect(!whole.contains { $0.hasPrefix("failed") })
                for place in 0...bytes.count { #expect(transcript(kind, bytes, pieces: [place], ends: true) == whole) }
                #expect(transcript(kind, bytes, pieces: bytes.map { _ in 1 }, ends: true) == whole)
            }
        }
    }

    @Test("once failed, a reader says the same for ever")
    func staysFailed() {
        var reader = HTTPReader(.requests)
        let bad = Array("GET\r\n\r\n".utf8)
        var position = 0
        let first = bad.withUnsafeBytes { reader.next($0, &position) }
        var again = 0
        let good = Array("GET / HTTP/1.1\r\nHost: h\r\n\r\n".utf8)
        #expect(good.withUnsafeBytes { reader.next($0, &again) } == first && reader.inputEnded() == first)
    }
}
