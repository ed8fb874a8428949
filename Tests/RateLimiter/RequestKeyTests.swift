import KernelStructures
import KernelWire
import RateLimiterEngine
import RateLimiterService
import TestSupport
import Testing

/// Who a request is from.
@Suite struct RequestKeyTests {
    private func client(_ peer: String, _ forwarded: String..., trusting networks: String...) -> String {
        TrustedProxies(networks.map { TrustedProxies.Network(parsing: $0)! }).client(
            peer: IPAddress(forwarded: peer)!, forwarded: forwarded.map { Array($0.utf8)[...] }
        ).description
    }

    @Test("X-Forwarded-For is read from the right, and only as far as proxies are trusted")
    func rightToLeft() {
        // Leftmost, as many do it, would be 1.1.1.1: whatever the client likes.
        #expect(client("10.0.0.1", "1.1.1.1, 8.8.8.8", trusting: "10.0.0.0/8") == "8.8.8.8")
        #expect(client("10.0.0.1", "1.1.1.1, 8.8.8.8, 10.0.0.2", trusting: "10.0.0.0/8") == "8.8.8.8")
        #expect(client("10.0.0.1", "1.1.1.1", "8.8.8.8", trusting: "10.0.0.0/8") == "8.8.8.8")
        #expect(client("9.9.9.9", "8.8.8.8", trusting: "10.0.0.0/8") == "9.9.9.9")
        #expect(client("10.0.0.1", "8.8.8.8") == "10.0.0.1")
        #expect(client("10.0.0.1", "10.0.0.3, 10.0.0.2", trusting: "10.0.0.0/8") == "10.0.0.3")
        #expect(client("10.0.0.1", "8.8.8.8, garbage", trusting: "10.0.0.0/8") == "10.0.0.1")
        #expect(client("10.0.0.1", "8.8.8.8,", trusting: "10.0.0.0/8") == "10.0.0.1")
        #expect(client("10.0.0.1", "", trusting: "10.0.0.0/8") == "10.0.0.1")
        #expect(client("10.0.0.1", " 8.8.8.8:1234 ", trusting: "10.0.0.0/8") == "8.8.8.8")
        #expect(client("10.0.0.1", "[2001:db8::1]:99", trusting: "10.0.0.1") == "2001:db8::1")
        #expect(client("2001:db8::5", "8.8.8.8", trusting: "2001:db8::/32") == "8.8.8.8")
        #expect(client("10.0.0.1", "8.8.8.8", trusting: "0.0.0.0/0") == "8.8.8.8")
    }

    @Test(
        "networks that are none are refused",
        arguments: [
            "", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "/8", "10.0.0.0/8/8", "::/129", "10.0.0.0/08", "a.b.c.d",
        ])
    func badNetworks(text: String) { #expect(TrustedProxies.Network(parsing: text) == nil) }

    @Test("fuzz: no field of any bytes crashes, and none makes an untrusted peer somebody else")
    func fuzz() {
        let trusting = TrustedProxies([TrustedProxies.Network(parsing: "10.0.0.0/8")!])
        let proxy = IPAddress(forwarded: "10.1.2.3")!
        let stranger = IPAddress(forwarded: "9.9.9.9")!
        var random = SeededRandom(seed: 5)
        let alphabet = Array("0123456789abcdef.:,[] \t/%-\"x".utf8)
        for seed in 0..<20_000 as Range<UInt64> {
            let bytes =
                seed % 2 == 0
                ? randomBytes(random.below(60), seed: seed)
                : (0..<random.below(60)).map { _ in alphabet[random.below(alphabet.count)] }
            #expect(trusting.client(peer: stranger, forwarded: [bytes[...]]) == stranger)
            let found = trusting.client(peer: proxy, forwarded: [bytes[...], bytes[...]])
            #expect(IPAddress(forwarded: found.description) == found)
        }
    }

    @Test("a thousand entries cost no more than the last few")
    func longChains() {
        let chain = (0..<5_000).map { _ in "10.0.0.9" }.joined(separator: ",")
        #expect(client("10.0.0.1", "8.8.8.8," + chain, trusting: "10.0.0.0/8") == "10.0.0.9")
    }

    @Test("IPv6 clients are told apart by their /64")
    func prefix() {
        func key(_ text: String, _ prefix: Int = 64) -> String { IPAddress(forwarded: text)!.key(ipv6Prefix: prefix) }
        #expect(key("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64")
        #expect(key("2001:db8:1:2:aaaa::1") == key("2001:db8:1:2::ffff"))
        #expect(key("2001:db8:1:3::1") != key("2001:db8:1:2::1"))
        #expect(key("2001:db8:1:2::1", 128) == "2001:db8:1:2::1")
        #expect(key("2001:db8:1:2::1", 32) == "2001:db8::/32")
        #expect(key("8.8.8.8") == "8.8.8.8")
        #expect(key("::ffff:8.8.8.8") == "8.8.8.8")
    }

    private func key(_ parts: [RequestKey.Part], _ fields: String, _ line: String = "GET /a HTTP/1.1") -> String {
        var reader = HTTPReader(.requests)
        let text = Array("\(line)\r\nHost: x\r\n\(fields)\r\n".utf8)
        text.withUnsafeBytes { bytes in
            var position = 0
            _ = reader.next(bytes, &position)
        }
        return String(decoding: RequestKey(parts).bytes(of: reader.head, address: "9.9.9.9"), as: UTF8.self)
    }

    @Test("keys by header, user and route; what is missing falls back to the address")
    func parts() {
        #expect(key([.header("X-API-Key")], "x-api-key: abc\r\n") == "abc")
        #expect(key([.header("X-API-Key")], "") == "ip:9.9.9.9")
        #expect(key([.header("X-API-Key")], "X-API-Key:\r\n") == "ip:9.9.9.9")
        #expect(key([.user], "Authorization: Basic YWxpY2U6c2VjcmV0\r\n") == "basic alice")
        #expect(key([.user], "Authorization: Bearer t0ken\r\n") == "bearer t0ken")
        #expect(key([.user], "Authorization: Basic !!!\r\n") == "ip:9.9.9.9")
        #expect(key([.route, .address], "", "POST /b/%63?d HTTP/1.1") == "POST /b/c|9.9.9.9")
        #expect(key([.global], "") == "*")
        // Two parts cannot be made to look like others.
        #expect(
            key([.header("A"), .header("B")], "A: x|y\r\nB: z\r\n")
                != key([.header("A"), .header("B")], "A: x\r\nB: y|z\r\n"))
        let long = key([.header("A")], "A: \(String(repeating: "a", count: 5_000))\r\n")
        #expect(long.utf8.count < 200)
        #expect(long != key([.header("A")], "A: \(String(repeating: "a", count: 5_001))\r\n"))
    }
}
