import KernelStructures
import KernelWire
import Testing

/// What a request reader made of bytes that came in those pieces: each request's words, and how it ended.
func requests(_ bytes: [UInt8], pieces: [Int] = [], limits: RESPLimits = RESPLimits()) -> [String] {
    let reader = RESPRequestReader(limits: limits)
    var result: [String] = []
    var start = 0
    for length in pieces + [Int.max] {
        let end = length > bytes.count - start ? bytes.count : start + length
        let piece = Array(bytes[start..<end])
        start = end
        let isOver = piece.withUnsafeBytes { input -> Bool in
            var position = 0
            for _ in 0...bytes.count + 10 {
                switch reader.next(input, &position) {
                case .needMore:
                    if position != piece.count { result.append("LEFT INPUT") }
                    return position != piece.count
                case .request:
                    result.append((0..<reader.arguments.count).map { "<\(reader.arguments.text($0))>" }.joined())
                case .failed(let error):
                    result.append("failed: \(error)")
                    return true
                }
            }
            result.append("LOOP")
            return true
        }
        if isOver { break }
    }
    return result
}

/// The same for replies.
func replies(_ bytes: [UInt8], pieces: [Int] = [], limits: RESPLimits = RESPLimits()) -> [String] {
    var reader = RESPReplyReader(limits: limits)
    var result: [String] = []
    var start = 0
    for length in pieces + [Int.max] {
        let end = length > bytes.count - start ? bytes.count : start + length
        let piece = Array(bytes[start..<end])
        start = end
        var position = 0
        reading: while true {
            switch piece.withUnsafeBytes({ reader.next($0, &position) }) {
            case .needMore:
                if position != piece.count { return result + ["LEFT INPUT"] }
                break reading
            case .value(let value): result.append("\(value)")
            case .failed(let error): return result + ["failed: \(error)"]
            }
        }
    }
    return result
}

/// Random and mutated input: the readers never crash, never turn in circles, never point beyond their input, and say
/// the same whatever the pieces in which they were given the bytes.
@Suite("Fuzzing RESP")
struct RESPFuzzTests {
    private static let samples = [
        "*1\r\n$4\r\nPING\r\n", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhello\r\n", "PING\r\n", "SET k \"a b\\x41\" 'c'\n",
        "*0\r\n", "*-1\r\n", "\r\n", "*2\r\n$0\r\n\r\n$2\r\n\r\n\r\n",
        "*4\r\n$4\r\nMSET\r\n$1\r\na\r\n$0\r\n\r\n$1\r\nb\r\n",
    ].map { Array($0.utf8) }
    private static let replySamples = [
        "+OK\r\n", "-ERR x\r\n", ":-12\r\n", "$3\r\nabc\r\n", "$-1\r\n", "*-1\r\n", "*2\r\n:1\r\n*1\r\n$0\r\n\r\n",
        "_\r\n",
        "#t\r\n", ",1.5e3\r\n", ",-inf\r\n", "(123456789012345678901234567890\r\n", "=7\r\ntxt:abc\r\n",
        "!5\r\nERR x\r\n",
        "%1\r\n+a\r\n:1\r\n", "~2\r\n:1\r\n:2\r\n", ">2\r\n+x\r\n+y\r\n",
        "|1\r\n+ttl\r\n:3\r\n*2\r\n:1\r\n|1\r\n+a\r\n+b\r\n:2\r\n",
    ].map { Array($0.utf8) }
    private static let spice: [[UInt8]] = [
        [13], [10], [13, 10], [42], [36], [45], [48], [49], [57], [0], [255], [34], [39], [92],
        Array("$536870913\r\n".utf8), Array("*1048577\r\n".utf8), Array("$-1\r\n".utf8), Array("*1\r\n".utf8),
        Array("99999999999999999999".utf8), Array("$01\r\n".utf8), Array("|1\r\n".utf8), Array("%1\r\n".utf8),
    ]

    private static func mutated(_ random: inout SeededRandom, _ samples: [[UInt8]]) -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0...random.below(4) { bytes += samples[random.below(samples.count)] }
        for _ in 0..<random.below(4) {
            let place = random.below(bytes.count + 1)
            switch random.below(4) {
            case 0 where place < bytes.count: bytes[place] = UInt8(truncatingIfNeeded: random.next())
            case 1 where place < bytes.count: bytes.remove(at: place)
            case 2: bytes.insert(contentsOf: spice[random.below(spice.count)], at: place)
            default: bytes.removeLast(min(bytes.count, random.below(6)))
            }
        }
        return bytes
    }

    private static func pieces(_ random: inout SeededRandom, _ count: Int) -> [Int] {
        if random.chance(0.2) { return .init(repeating: 1, count: count) }
        return (0..<random.below(8) + 1).map { _ in random.below(max(1, count / 2)) }
    }

    @Test("mutated requests, in one piece and in many, have one verdict", arguments: 1...4 as ClosedRange<UInt64>)
    func mutatedRequests(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var small = RESPLimits()
        small.bulkBytes = 4
        small.argumentCount = 2
        small.inlineBytes = 12
        for _ in 0..<6_000 {
            let bytes = Self.mutated(&random, Self.samples)
            let limits = random.chance(0.3) ? small : RESPLimits()
            let whole = requests(bytes, limits: limits)
            let cut = requests(bytes, pieces: Self.pieces(&random, bytes.count), limits: limits)
            let isSound = !whole.contains { ["LOOP", "LEFT INPUT"].contains($0) }
            #expect(isSound && whole == cut, "\(String(decoding: bytes, as: UTF8.self).debugDescription)")
            if !isSound || whole != cut { return }
        }
    }

    @Test("mutated replies, in one piece and in many, have one verdict", arguments: 1...4 as ClosedRange<UInt64>)
    func mutatedReplies(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var small = RESPLimits()
        small.bulkBytes = 4
        small.elementCount = 2
        small.depth = 1
        small.inlineBytes = 8
        for _ in 0..<5_000 {
            let bytes = Self.mutated(&random, Self.replySamples)
            let limits = random.chance(0.3) ? small : RESPLimits()
            let whole = replies(bytes, limits: limits)
            let cut = replies(bytes, pieces: Self.pieces(&random, bytes.count), limits: limits)
            #expect(whole == cut, "\(String(decoding: bytes, as: UTF8.self).debugDescription)")
            if whole != cut { return }
        }
    }

    @Test("noise is refused or waited for")
    func noise() {
        var random = SeededRandom(seed: 7)
        let alphabet = Array("*$+-:_#,(=!%~>|0123456789\r\n\r\n\r\nabc \"'".utf8)
        for _ in 0..<5_000 {
            let bytes = (0..<random.below(60)).map { _ in alphabet[random.below(alphabet.count)] }
            let ones = [Int](repeating: 1, count: bytes.count)
            #expect(requests(bytes) == requests(bytes, pieces: ones))
            #expect(replies(bytes) == replies(bytes, pieces: ones))
        }
    }

    @Test("every sample reads the same when it is cut at any single place, and byte by byte")
    func everySplit() {
        for bytes in Self.samples + [Self.samples.flatMap { $0 }] {
            let whole = requests(bytes)
            #expect(!whole.contains { $0.hasPrefix("failed") })
            for place in 0...bytes.count { #expect(requests(bytes, pieces: [place]) == whole) }
            #expect(requests(bytes, pieces: bytes.map { _ in 1 }) == whole)
        }
        for bytes in Self.replySamples + [Self.replySamples.flatMap { $0 }] {
            let whole = replies(bytes)
            #expect(!whole.contains { $0.hasPrefix("failed") } && !whole.isEmpty)
            for place in 0...bytes.count { #expect(replies(bytes, pieces: [place]) == whole) }
            #expect(replies(bytes, pieces: bytes.map { _ in 1 }) == whole)
        }
    }
}
