import KernelStructures
import KernelWire
import Testing

/// Bytes of version 2, as §2.2 of the specification puts them together.
private func block(_ command: UInt8 = 0x21, _ family: UInt8 = 0x11, _ rest: [UInt8] = ipv4, length: Int? = nil)
    -> [UInt8]
{
    let count = length ?? rest.count
    return bytes(hexadecimal: "0d0a0d0a 000d0a51 5549540a") + [command, family, UInt8(count >> 8), UInt8(count & 255)]
        + rest
}

/// 192.0.2.1:56324 to 198.51.100.9:443.
private let ipv4 = bytes(hexadecimal: "c0000201 c6336409 dc04 01bb")
/// [2001:db8::1]:56324 to [2001:db8::9]:443.
private let ipv6 = bytes(
    hexadecimal: "20010db8000000000000000000000001 20010db8000000000000000000000009 dc04 01bb")
private let source = Endpoint(IPv4Address(192, 0, 2, 1), 56324)
private let destination = Endpoint(IPv4Address(198, 51, 100, 9), 443)

private func padded(_ path: [UInt8]) -> [UInt8] { path + [UInt8](repeating: 0, count: 108 - path.count) }
private func addition(_ type: UInt8, _ value: [UInt8]) -> [UInt8] {
    [type, UInt8(value.count >> 8), UInt8(value.count & 255)] + value
}

@Suite("The PROXY protocol's block, version 2")
struct ProxyBlockTests {
    @Test("TCP over IPv4: the addresses, and where the connection's own bytes begin")
    func tcp4() {
        let (event, taken) = proxyVerdict(block() + Array("GET".utf8))
        #expect(taken == 28)
        #expect(event == .header(ProxyHeader(.v2, .proxy, .internet(source: source, destination: destination))))
        #expect(event.header?.bytes == block())
    }

    @Test("TCP over IPv6")
    func tcp6() throws {
        let header = try #require(proxyVerdict(block(0x21, 0x21, ipv6)).event.header)
        #expect(header.source?.description == "[2001:db8::1]:56324")
        #expect(header.destination?.description == "[2001:db8::9]:443")
        #expect(header.bytes == block(0x21, 0x21, ipv6))
    }

    @Test("UDP, and Unix sockets with a path, an abstract name, all 108 bytes and none")
    func otherFamilies() throws {
        let datagram = try #require(proxyVerdict(block(0x21, 0x12)).event.header)
        #expect(datagram.transport == .datagram && datagram.source == .internet(source))
        #expect(datagram.bytes == block(0x21, 0x12))
        #expect(proxyVerdict(block(0x21, 0x22, ipv6)).event.header?.transport == .datagram)
        let full = [UInt8](repeating: 97, count: 108)
        for (path, text) in [
            (Array("/run/a b\u{7}\u{7F}é".utf8), "unix:/run/a?b????"), (Array("\u{0}name".utf8), "unix:@name"),
            ([], "unix:"),
            (full, "unix:" + String(decoding: full, as: UTF8.self)), (Array("\u{0}a\u{0}b".utf8), "unix:@a?b"),
        ] {
            for family: UInt8 in [0x31, 0x32] {
                let whole = block(0x21, family, padded(path) + padded(Array("/b".utf8)))
                let header = try #require(proxyVerdict(whole).event.header)
                #expect(header.addresses == .unix(source: path, destination: Array("/b".utf8)))
                #expect(header.source?.description == text && header.source?.host == text && header.source?.port == nil)
                #expect(header.bytes == whole)
            }
        }
        let noisy = block(0x21, 0x31, padded(Array("/a\u{0}junk".utf8)) + padded([]))
        #expect(proxyVerdict(noisy).event.header?.source == .unix(Array("/a".utf8)))
    }

    @Test("LOCAL is accepted whatever else it says, and means the connection's own ends")
    func local() {
        for (family, rest) in [
            (0, []), (0x11, ipv4), (0x11, [1, 2]), (0xFF, [1, 2, 3]), (0, [1, 0, 9]), (0x31, ipv4), (0x44, ipv4),
        ] as [(UInt8, [UInt8])] {
            let (event, taken) = proxyVerdict(block(0x20, family, rest) + [71])
            #expect(event == .header(ProxyHeader(.v2, .local)) && taken == 16 + rest.count)
        }
        #expect(
            ProxyHeader(.v2, .local, .internet(source: source, destination: destination)).bytes == block(0x20, 0, []))
    }

    @Test("an unknown family or transport means the connection's own ends too")
    func unspecified() {
        for (family, rest) in [(0x00, []), (0x10, ipv4), (0x01, ipv4), (0x20, [1]), (0x30, []), (0x02, [9])]
            as [(UInt8, [UInt8])]
        {
            #expect(proxyVerdict(block(0x21, family, rest)).event == .header(ProxyHeader(.v2, .proxy)))
        }
    }

    @Test("other versions, commands, families and transports are refused where they stand")
    func refused() {
        for (command, family, text, count) in [
            (0x11, 0x11, "version 1", 13), (0x31, 0x11, "version 3", 13), (0x01, 0x11, "version 0", 13),
            (0x22, 0x11, "command 2", 13), (0x2F, 0x11, "command 15", 13), (0x21, 0x41, "address family 4", 14),
            (0x21, 0xF1, "address family 15", 14), (0x21, 0x13, "transport 3", 14), (0x21, 0x0F, "transport 15", 14),
        ] as [(UInt8, UInt8, String, Int)] {
            let (event, taken) = proxyVerdict(block(command, family))
            #expect(event == .failed(.malformed(text)) && taken == count)
        }
        for (family, rest) in [(0x11, ipv4), (0x12, ipv4), (0x21, ipv6), (0x31, padded([]) + padded([]))]
            as [(UInt8, [UInt8])]
        {
            #expect(
                proxyVerdict(block(0x21, family, rest.dropLast())).event
                    == .failed(.malformed("shorter than its addresses")))
        }
    }

    @Test("what announces more than the receiver accepts is refused before it comes")
    func tooLong() {
        let (event, taken) = proxyVerdict(block(0x21, 0x11, ipv4, length: 4081))
        #expect(event == .failed(.tooLong(limitBytes: 4096)) && taken == 16)
        #expect(proxyVerdict(block(0x21, 0x11, ipv4, length: 4080)).event == .needMore)
        #expect(proxyVerdict(block(0x20, 0, [], length: 65535)).event == .failed(.tooLong(limitBytes: 4096)))
        let largest = block(0x20, 0, [UInt8](repeating: 0xEE, count: 65535))
        #expect(proxyVerdict(largest, byteLimit: 65_551).taken == 65_551)
        #expect(proxyVerdict(block(0x20, 0, []), byteLimit: 16).event == .header(ProxyHeader(.v2, .local)))
        #expect(proxyVerdict(block(), byteLimit: 27).event == .failed(.tooLong(limitBytes: 27)))
    }

    @Test("additions are kept in order, padding is not")
    func additions() throws {
        let name = Array("www.example.com".utf8)
        let rest = addition(2, name) + addition(4, [1, 2, 3]) + addition(0xEA, []) + addition(5, [7, 8])
        let header = try #require(proxyVerdict(block(0x21, 0x11, ipv4 + rest)).event.header)
        #expect(
            header.additions == [
                ProxyAddition(ProxyAddition.authority, name), ProxyAddition(0xEA, []),
                ProxyAddition(ProxyAddition.uniqueID, [7, 8]),
            ])
        #expect(header.source == .internet(source) && !header.hasChecksum)
    }

    @Test("additions that do not fit, and identifiers beyond 128 bytes, are refused")
    func badAdditions() {
        for (rest, text) in [
            ([1], "an addition is cut short"), ([1, 0], "an addition is cut short"),
            ([1, 0, 1], "an addition is longer than the header"),
            ([1, 255, 255, 0], "an addition is longer than the header"),
            (addition(2, [1]) + [1, 0, 2, 0], "an addition is longer than the header"),
            (addition(5, [UInt8](repeating: 1, count: 129)), "an identifier longer than 128 bytes"),
            (addition(3, [1, 2, 3]), "not one checksum of four bytes"),
            (addition(3, [0, 0, 0, 0]) + addition(3, [0, 0, 0, 0]), "not one checksum of four bytes"),
        ] as [([UInt8], String)] {
            #expect(proxyVerdict(block(0x21, 0x11, ipv4 + rest)).event == .failed(.malformed(text)))
        }
        let longest = addition(5, [UInt8](repeating: 1, count: 128))
        #expect(proxyVerdict(block(0x21, 0x11, ipv4 + longest)).event.header?.additions.count == 1)
    }

    @Test("a block of HAProxy 2.6 with its checksum, as it came over the wire before a request")
    func haproxy() throws {
        let captured = bytes(
            hexadecimal: "0d0a0d0a000d0a515549540a 2111 0013 7f000001 7f000001 d31a 48ac 030004ae9cb831 47455420")
        let (event, taken) = proxyVerdict(captured)
        let header = try #require(event.header)
        #expect(taken == 35 && header.hasChecksum && header.additions == [])
        #expect(header.source?.description == "127.0.0.1:54042" && header.destination?.port == 18604)
        #expect(header.bytes == Array(captured[..<35]))
    }

    @Test("what a balancer says for its clients, and for itself")
    func balancer() {
        let (client, own) = (ProxyEndpoint.internet(source), ProxyEndpoint.internet(destination))
        let ipv6 = ProxyEndpoint.internet(Endpoint(IPv6Address(high: 0, low: 1), 7))
        let path = ProxyEndpoint.unix(Array("/a".utf8))
        func line(_ header: ProxyHeader) -> String { String(decoding: header.bytes, as: UTF8.self) }
        #expect(ProxyHeader.forwarding(.v2, client: client, balancer: own).bytes == block())
        #expect(
            line(.forwarding(.v1, client: client, balancer: own))
                == "PROXY TCP4 192.0.2.1 198.51.100.9 56324 443\r\n")
        #expect(
            line(.forwarding(.v1, client: ipv6, balancer: own)) == "PROXY TCP6 ::1 ::ffff:c633:6409 7 443\r\n")
        #expect(
            line(.forwarding(.v1, client: client, balancer: ipv6)) == "PROXY TCP6 ::ffff:c000:201 ::1 56324 7\r\n")
        for (client, balancer) in [
            (path, own), (client, path), (path, .unix([UInt8](repeating: 97, count: 109))),
        ] {
            #expect(line(.forwarding(.v1, client: client, balancer: balancer)) == "PROXY UNKNOWN\r\n")
            #expect(ProxyHeader.forwarding(.v2, client: client, balancer: balancer).bytes == block(0x20, 0, []))
        }
        #expect(line(.forwarding(.v1, client: path, balancer: path)) == "PROXY UNKNOWN\r\n")
        #expect(line(.own(.v1)) == "PROXY UNKNOWN\r\n" && ProxyHeader.own(.v2).bytes == block(0x20, 0, []))
    }

    @Test("a checksum is made of the block with zeros in its place, wherever that is")
    func checksum() throws {
        let before = block(0x21, 0x11, ipv4 + addition(3, [0, 0, 0, 0]) + addition(2, [97]))
        var after = before
        let sum = CRC32C.of(before)
        after.replaceSubrange(31..<35, with: (0..<4).map { UInt8(truncatingIfNeeded: sum >> (24 - 8 * $0)) })
        let header = try #require(proxyVerdict(after).event.header)
        #expect(
            header.hasChecksum && header.additions == [ProxyAddition(2, [97])] && header.source == .internet(source))
        #expect(proxyVerdict(before).event == .failed(.wrongChecksum))
        // Its own writing has it at the end.
        #expect(header.bytes.suffix(7).prefix(3) == [3, 0, 4] && proxyVerdict(header.bytes).event == .header(header))
    }

    @Test("every flipped bit is found by the checksum, but those that hide the checksum itself")
    func flips() {
        var header = ProxyHeader(.v2, .proxy, .internet(source: source, destination: destination))
        header.additions = [ProxyAddition(ProxyAddition.authority, Array("a.example".utf8))]
        header.hasChecksum = true
        let good = header.bytes
        #expect(proxyVerdict(good).event == .header(header))
        var unnoticed: [Int] = []
        for bit in 0..<good.count * 8 {
            var bad = good
            bad[bit / 8] ^= 1 << UInt8(bit % 8)
            if proxyVerdict(bad).event.header != nil { unnoticed.append(bit) }
        }
        // Family 0, under which no addition can be found; and the type of the checksum's addition.
        let type = good.count - 7
        #expect(unnoticed == [13 * 8 + 4] + (type * 8..<type * 8 + 8))
    }

    @Test("a LOCAL's checksum, where one can be found, counts as well")
    func localChecksum() throws {
        var header = ProxyHeader(.v2, .local)
        header.hasChecksum = true
        var bytes = header.bytes
        #expect(proxyVerdict(bytes).event == .header(header))
        bytes[bytes.count - 1] ^= 1
        #expect(proxyVerdict(bytes).event == .failed(.wrongChecksum))
    }
}
