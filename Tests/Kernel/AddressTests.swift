import KernelStructures
import Testing

@Suite("Addresses")
struct AddressTests {
    @Test(
        "are four decimal numbers, and come back as they were",
        arguments: ["0.0.0.0", "127.0.0.1", "255.255.255.255", "127.250.3.17"])
    func good(_ text: String) throws {
        #expect(try #require(IPv4Address(parsing: text)).description == text)
    }

    @Test(
        "refuse every other spelling",
        arguments: [
            "", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.04", "1.2.3.-4", "1.2.3.+4", "1..2.3",
            "1.2.3.4 ",
            " 1.2.3.4", "0x7f.0.0.1", "1.2.3.4e0", "١.2.3.4", "127.1", "1.2.3.4.", "1,2.3.4",
        ])
    func bad(_ text: String) {
        #expect(IPv4Address(parsing: text) == nil)
    }

    @Test("are ordered as numbers, then by port")
    func order() {
        #expect(IPv4Address(9, 0, 0, 0) < IPv4Address(10, 0, 0, 0))
        #expect(IPv4Address(127, 0, 0, 255) < IPv4Address(127, 0, 1, 0))
        #expect(Endpoint(.loopback, 80) < Endpoint(.loopback, 443))
        #expect(Endpoint(.loopback, 443) < Endpoint(IPv4Address(127, 0, 0, 2), 80))
        #expect(Endpoint(.loopback, 80).description == "127.0.0.1:80")
    }

    @Test(
        "a destination is host:port, or a port of localhost",
        arguments: [
            ("8081", "localhost:8081"), ("users:80", "users:80"), ("10.0.0.1:65535", "10.0.0.1:65535"),
            ("host.internal:1", "host.internal:1"), ("Server-A:8081", "Server-A:8081"),
            ("[::1]:8081", "[::1]:8081"), ("[0:0::0:1]:80", "[::1]:80"), ("[2001:DB8::a]:65535", "[2001:db8::a]:65535"),
        ])
    func destinations(_ text: String, _ expected: String) {
        #expect(HostPort(parsing: text)?.description == expected)
    }

    @Test(
        "no other text is a destination",
        arguments: [
            "", ":", ":80", "host:", "host", "0", "65536", "-1", "+80", "host:+80", "host:0", "host:65536", "host:80 ",
            " 80",
            "http://host:80", "a b:80", "user@host:80", "::1:80", "host:80/path", "a\tb:80", "[::1]", "[::1]:",
            "[::1]80",
            "[::1", "[]:80", "[127.0.0.1]:80", "[fe80::1%eth0]:80", "fe80::1%eth0:80", "[::1]x:80", "[[::1]]:80", "::1",
            "host:000080", "host:٨٠",
        ])
    func badDestinations(_ text: String) {
        #expect(HostPort(parsing: text) == nil)
        #expect(throws: HostPort.Malformed.self) { try HostPort(reading: text) }
    }

    @Test(
        "what is wrong with a destination is said with a remedy",
        arguments: [
            ("::1:8081", "'::1:8081': an IPv6 address stands in brackets before a port; write [::1]:8081"),
            ("[::1]", "'[::1]' has no port; write [::1]:8081"),
            ("users", "'users' has no port; write users:8081"), ("a b:1", "'a b:1' is not HOST:PORT"),
            ("[fe80::1%eth0]:80", "'[fe80::1%eth0]': zones (%…) are not supported; write [fe80::1]"),
            ("[1.2.3.4]:80", "'[1.2.3.4]' is no IPv6 address such as [::1]"),
            ("a:b:80", "'a:b:80' has more than one colon; write HOST:PORT"),
            ("a:70000", "'a:70000': a port is a number from 1 to 65535"),
            ("0", "'0': a port is a number from 1 to 65535"),
        ])
    func remedies(_ text: String, _ start: String) throws {
        let error = try #require(throws: HostPort.Malformed.self) { try HostPort(reading: text) }
        #expect(error.description.hasPrefix(start), "\(error)")
        #expect(!error.description.utf8.contains { $0 < 32 })
    }

    @Test("an address is one value in either spelling")
    func families() throws {
        let mapped = try #require(IPAddress(parsing: "::ffff:10.0.0.1"))
        #expect(mapped == IPAddress(IPv4Address(10, 0, 0, 1)) && mapped.isIPv4 && mapped.description == "10.0.0.1")
        #expect(Endpoint(mapped, 80).description == "10.0.0.1:80" && mapped.ipv6.description == "::ffff:a00:1")
        #expect(Endpoint(.loopback6, 80).description == "[::1]:80" && IPAddress.loopback6.description == "::1")
        #expect(IPAddress.loopback6.isLoopback && IPAddress(IPv4Address(127, 9, 9, 9)).isLoopback)
        #expect(!IPAddress.any.isLoopback && !IPAddress.any6.isLoopback && IPAddress.any6.description == "::")
        #expect(
            IPAddress(parsing: "[::1]") == nil && IPAddress(parsing: "::1%lo") == nil && IPAddress(parsing: "") == nil)
    }

    @Test("a prefix keeps that many bits, whatever is asked for", arguments: 1...3 as ClosedRange<UInt64>)
    func prefixes(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let extremes = [Int.min, -1, 0, 64, 128, 129, Int.max]
        let zeros = [UInt64](repeating: 0, count: 128)
        for _ in 0..<2000 {
            let address = IPAddress(IPv6Address(high: random.next(), low: random.next()))
            let length =
                random.chance(0.1) ? extremes[random.below(7)] : random.below(129)
            let kept = min(max(length, 0), 128)
            #expect(Self.bits(address.prefix(length)) == Array((Self.bits(address).prefix(kept) + zeros).prefix(128)))
        }
    }

    private static func bits(_ address: IPAddress) -> [UInt64] {
        [address.high, address.low].flatMap { half -> [UInt64] in
            (0..<64).map { (index: Int) -> UInt64 in half >> UInt64(63 - index) & 1 }
        }
    }

    @Test(
        "what is read as a destination is written as it, and nothing else is", arguments: 1...4 as ClosedRange<UInt64>)
    func fuzz(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let parts = [
            "[", "]", ":", "::", "1", "80", "65535", "65536", "ff", "%", "eth0", ".", "127.0.0.1", "host", "é", "\u{0}",
            " ", "9223372036854775808", "-", "/",
        ]
        for _ in 0..<20_000 {
            let text = (0..<random.below(7)).map { _ in parts[random.below(parts.count)] }.joined()
            guard let read = HostPort(parsing: text) else { continue }
            #expect(read.port > 0 && !read.host.isEmpty && HostPort(parsing: read.description) == read, "\(text)")
            #expect(!read.host.contains(where: { "[]%/ ".contains($0) }), "\(text)")
            #expect(!read.host.contains(":") || IPv6Address(parsing: read.host)?.description == read.host, "\(text)")
        }
    }
}
