import Glibc
import KernelStructures
import TestSupport
import Testing

/// The host's own reading and writing of IPv6 addresses, to compare with.
private enum Host {
    static func parse(_ text: String) -> IPv6Address? {
        var address = in6_addr()
        guard inet_pton(AF_INET6, text, &address) == 1 else { return nil }
        return withUnsafeBytes(of: &address) { bytes in
            func half(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
            return IPv6Address(high: half(0..<8), low: half(8..<16))
        }
    }

    static func text(_ address: IPv6Address) -> String {
        var bytes = [address.high.bigEndian, address.low.bigEndian]
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        inet_ntop(AF_INET6, &bytes, &buffer, socklen_t(buffer.count))
        return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
    }
}

@Suite("IPv6 addresses")
struct IPv6Tests {
    @Test(
        "are written as RFC 5952 says, however they were written before",
        arguments: [
            ("2001:DB8::1", "2001:db8::1"), ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"), ("::", "::"),
            ("::1", "::1"), ("1::", "1::"), ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("::192.0.2.33", "::c000:221"),
            ("::ffff:192.0.2.33", "::ffff:c000:221"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ])
    func canonical(_ text: String, _ expected: String) {
        #expect(IPv6Address(parsing: text)?.description == expected)
    }

    @Test(
        "refuse every other text",
        arguments: [
            "", ":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "::1::", ":1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:", "::12345", "::g", "[::1]", "::1%eth0", "::1/64", " ::1", "::1 ", "::-1", "::+1",
            "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "::1.2.3.4:1", "::1.2.3.04", "1.2.3.4", "::١", "1:2:3:4::5:6:7:8",
        ])
    func bad(_ text: String) { #expect(IPv6Address(parsing: text) == nil) }

    @Test("know the IPv4 addresses among them")
    func mapped() {
        #expect(IPAddress(IPv4Address(192, 0, 2, 33)).ipv6.description == "::ffff:c000:221")
        #expect(Endpoint(IPv6Address(high: 0, low: 1), 80).description == "[::1]:80")
    }

    @Test("are read and written as the host's library does it", arguments: 1...4 as ClosedRange<UInt64>)
    func oracle(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let spice = [":", "::", "0", "f", "00", "ffff", "1.2.3.4", ".", "g", "12345", " ", "", "A"]
        for _ in 0..<5000 {
            func half() -> UInt64 {
                (0..<4).reduce(0) { sum, _ in
                    sum << 16 | (random.chance(0.5) ? 0 : random.next() & (random.chance(0.5) ? 0xF : 0xFFFF))
                }
            }
            let address = IPv6Address(high: half(), low: half())
            let text = address.description
            let hosts = Host.text(address)
            // The mixed form, which the library writes for mapped and compatible addresses, is not written here.
            if !hosts.contains(".") {
                guard text == hosts else {
                    _ = Issue.record("\(text), not \(hosts)")
                    return
                }
            }
            guard IPv6Address(parsing: text) == address, IPv6Address(parsing: hosts) == address else {
                _ = Issue.record("\(text) and \(hosts) are not read as they were written")
                return
            }
            var mutated = Array(random.chance(0.5) ? text : hosts)
            for _ in 0...random.below(3) {
                let place = random.below(mutated.count + 1)
                if random.chance(0.5), place < mutated.count { mutated.remove(at: place) }
                mutated.insert(contentsOf: spice[random.below(spice.count)], at: min(place, mutated.count))
            }
            let candidate = String(mutated)
            guard IPv6Address(parsing: candidate) == Host.parse(candidate) else {
                _ = Issue.record("\(candidate) is read otherwise by the host")
                return
            }
        }
    }
}

@Suite("The checksum CRC-32C")
struct CRC32CTests {
    @Test(
        "gives the published values: RFC 3720 B.4 and the customary check",
        arguments: [
            ([UInt8](repeating: 0, count: 32), 0x8A91_36AA), ([UInt8](repeating: 255, count: 32), 0x62A8_AB43),
            (Array(0..<32), 0x46DD_794E), (Array((0..<32).reversed()), 0x113F_DB5C),
            (Array("123456789".utf8), 0xE306_9283), ([], 0),
        ] as [([UInt8], UInt32)])
    func vectors(_ bytes: [UInt8], _ expected: UInt32) { #expect(CRC32C.of(bytes) == expected) }

    @Test("does not depend on how the bytes are cut")
    func pieces() {
        let bytes = randomBytes(100, seed: 1)
        for place in 0...bytes.count {
            var sum = CRC32C()
            sum.update(bytes[..<place])
            sum.update(bytes[place...])
            #expect(sum.value == CRC32C.of(bytes))
        }
    }
}
