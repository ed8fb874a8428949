import KernelStructures
import KernelWire
import Testing

/// Headers of every kind, as they are written and mutated: the parser never crashes, takes exactly the header and
/// nothing behind it, says the same however the bytes are cut, and reads what the writer wrote.
@Suite("Fuzzing the PROXY header's parser")
struct ProxyHeaderFuzzTests {
    private static func bytes(_ random: inout SeededRandom, _ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    private static func addresses(_ random: inout SeededRandom) -> ProxyAddresses? {
        func port() -> UInt16 { UInt16(truncatingIfNeeded: random.next()) }
        func ipv4() -> Endpoint { Endpoint(IPv4Address(bits: UInt32(truncatingIfNeeded: random.next())), port()) }
        func ipv6() -> Endpoint {
            Endpoint(IPv6Address(high: random.next(), low: random.chance(0.5) ? 1 : random.next()), port())
        }
        func path() -> [UInt8] {
            let name = Self.bytes(&random, random.below(108)).map { max(1, $0) }
            return name.isEmpty || random.chance(0.7) ? name : [0] + name
        }
        switch random.below(4) {
        case 0: return .internet(source: ipv4(), destination: ipv4())
        case 1: return .internet(source: ipv6(), destination: ipv6())
        case 2: return .unix(source: path(), destination: path())
        default: return nil
        }
    }

    /// A header that comes back equal from its version's writing.
    private static func header(_ random: inout SeededRandom) -> ProxyHeader {
        var header = ProxyHeader(.v2, .proxy, addresses(&random))
        if random.chance(0.4) {
            header.version = .v1
            if case .unix? = header.addresses { header.addresses = nil }
            return header
        }
        if random.chance(0.2) {
            header.command = .local
            header.addresses = nil
        }
        if header.addresses != nil, random.chance(0.3) { header.transport = .datagram }
        for _ in 0..<random.below(4) {
            let type = [1, 2, 5, 0x20, 0x30, 0xE0][random.below(6)] as UInt8
            header.additions.append(ProxyAddition(type, bytes(&random, random.below(type == 5 ? 129 : 200))))
        }
        header.hasChecksum = random.chance(0.4)
        return header
    }

    /// Where the header at the start of `bytes` must end: nil if none can be complete.
    private static func end(of bytes: [UInt8]) -> Int? {
        if bytes.first == UInt8(ascii: "P") { return bytes.firstIndex(of: 10).map { $0 + 1 } }
        return bytes.count < 16 ? nil : 16 + Int(bytes[14]) << 8 + Int(bytes[15])
    }

    /// Checks one input whole, at random cuts and byte by byte.
    private static func check(_ bytes: [UInt8], _ random: inout SeededRandom) -> Bool {
        func fail(_ text: String) -> Bool {
            Issue.record("\(text): \(bytes.map { hexadecimal(UInt64($0), 2) }.joined(separator: " "))")
            return false
        }
        let limit = random.chance(0.8) ? ProxyHeaderParser.defaultByteLimit : 16 + random.below(300)
        let whole = proxyVerdict(bytes, byteLimit: limit)
        let cuts = random.chance(0.3) ? bytes.map { _ in 1 } : (0..<random.below(6)).map { _ in random.below(30) }
        let cut = proxyVerdict(bytes, pieces: cuts, byteLimit: limit)
        guard whole == cut else { return fail("whole \(whole), cut \(cut)") }
        guard whole.taken >= 0, whole.taken <= max(limit, ProxyHeader.lineByteLimit) else { return fail("\(whole)") }
        switch whole.event {
        case .needMore: return whole.taken == bytes.count || fail("left input")
        case .failed: return whole.taken > 0 || fail("refused nothing")
        case .header(let header):
            guard whole.taken == end(of: bytes) else { return fail("took \(whole.taken)") }
            let written = header.bytes
            guard proxyVerdict(written) == (.header(header), written.count) else { return fail("not read as written") }
            if bytes.starts(with: Array("PROXY TCP4 ".utf8)) {
                guard written == Array(bytes[..<whole.taken]) else { return fail("a second spelling") }
            }
            return true
        }
    }

    @Test("what is written is read back, whatever follows it", arguments: 1...4 as ClosedRange<UInt64>)
    func roundTrips(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<3000 {
            let header = Self.header(&random)
            let written = header.bytes
            let verdict = proxyVerdict(written + Self.bytes(&random, random.below(40)))
            guard verdict == (.header(header), written.count) else {
                _ = Issue.record("\(header) became \(verdict)")
                return
            }
            if header.version == .v1 {
                guard written.count <= ProxyHeader.lineByteLimit else { Issue.record("long"); return }
            }
        }
    }

    @Test("of every header, every beginning is incomplete, and every single cut says the same")
    func everyPlace() {
        var random = SeededRandom(seed: 5)
        for _ in 0..<200 {
            let header = Self.header(&random)
            let written = header.bytes
            for place in 0..<written.count {
                guard proxyVerdict(Array(written[..<place])) == (.needMore, place),
                    proxyVerdict(written + [1, 2, 3], pieces: [place]) == (.header(header), written.count)
                else {
                    _ = Issue.record("\(header) at \(place)")
                    return
                }
            }
            guard proxyVerdict(written, pieces: written.map { _ in 1 }) == (.header(header), written.count) else {
                _ = Issue.record("\(header) byte by byte")
                return
            }
        }
    }

    private static let spice: [[UInt8]] = [
        [13], [10], [13, 10], [32], [0], [255], [48], [58], Array("UNKNOWN".utf8), Array("TCP6".utf8),
        Array("::".utf8), Array("65536".utf8), [3, 0, 4], [4, 0, 0], [0x20], [0x21], [0x31], Array("PROXY ".utf8),
    ]

    @Test("mutated headers have one verdict", arguments: 1...8 as ClosedRange<UInt64>)
    func mutations(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var accepted = 0
        for _ in 0..<6000 {
            var bytes = Self.header(&random).bytes + Self.bytes(&random, random.below(20))
            for _ in 0...random.below(3) {
                let place = random.below(min(bytes.count, random.chance(0.5) ? 20 : bytes.count))
                switch random.below(5) {
                case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(contentsOf: Self.spice[random.below(Self.spice.count)], at: place)
                case 3: bytes[place] ^= 1 << UInt8(random.below(8))
                default: bytes.removeLast(min(bytes.count - 1, random.below(6)))
                }
                if bytes.isEmpty { bytes = [80] }
            }
            if proxyVerdict(bytes).event.header != nil { accepted += 1 }
            guard Self.check(bytes, &random) else { return }
        }
        #expect(accepted > 500, "most mutations refuse everything, and test only that")
    }

    @Test("noise behind a right beginning has one verdict", arguments: 1...4 as ClosedRange<UInt64>)
    func noise(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let alphabet = Array("0123456789abcdefABCDEF.:  \r\n\r\nTCPUNKOW46".utf8)
        for _ in 0..<6000 {
            var bytes = Array("PROXY ".utf8)
            if random.chance(0.5) {
                bytes += (0..<random.below(130)).map { _ in alphabet[random.below(alphabet.count)] }
            } else {
                bytes = Array(ProxyHeader(.v2, .local).bytes.prefix(12)) + [UInt8(0x20 + random.below(2))]
                bytes += [UInt8(random.below(4) << 4 + random.below(3)), 0, UInt8(random.below(60))]
                bytes += (0..<random.below(80)).map { _ in
                    UInt8(random.chance(0.7) ? random.below(6) : random.below(256))
                }
            }
            guard Self.check(bytes, &random) else { return }
        }
    }

    @Test("after its verdict a parser takes nothing more, and says the same")
    func verdictStays() {
        for text in ["GET /", "PROXY UNKNOWN\r\n"] {
            var parser = ProxyHeaderParser()
            var position = 0
            let first = Array(text.utf8).withUnsafeBytes { parser.next($0, &position) }
            var again = 0
            let other = Array("PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n".utf8)
            #expect(other.withUnsafeBytes { parser.next($0, &again) } == first && again == 0)
            #expect(parser.byteCount == position && position == (text.utf8.first == 71 ? 1 : 15))
        }
    }
}
