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
        ])
    func destinations(_ text: String, _ expected: String) {
        #expect(HostPort(parsing: text)?.description == expected)
    }

    @Test(
        "no other text is a destination",
        arguments: [
            "", ":", ":80", "host:", "host", "0", "65536", "-1", "+80", "host:+80", "host:0", "host:65536", "host:80 ",
            " 80",
            "http://host:80", "a b:80", "user@host:80", "::1:80", "host:80/path", "a\tb:80",
        ])
    func badDestinations(_ text: String) {
        #expect(HostPort(parsing: text) == nil)
    }
}
