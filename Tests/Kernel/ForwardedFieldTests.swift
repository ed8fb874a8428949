import KernelStructures
import KernelWire
import Testing

private func written(_ element: ForwardedElement) -> String {
    var out: [UInt8] = []
    element.append(to: &out)
    return String(decoding: out, as: UTF8.self)
}

@Suite("The Forwarded field, RFC 7239")
struct ForwardedFieldTests {
    private func node(_ text: String) -> ForwardedNode? { ForwardedNode(parsing: text) }

    @Test("the RFC's own examples")
    func examples() throws {
        for (value, expected) in [
            ("for=\"_gazonk\"", ["for=_gazonk"]),
            ("For=\"[2001:db8:cafe::17]:4711\"", ["for=\"[2001:db8:cafe::17]:4711\""]),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", ["for=192.0.2.60;by=203.0.113.43;proto=http"]),
            ("for=192.0.2.43, for=198.51.100.17", ["for=192.0.2.43", "for=198.51.100.17"]),
            ("for=_hidden, for=_SEVKISEK", ["for=_hidden", "for=_SEVKISEK"]),
            (
                "for=192.0.2.43,for=\"[2001:db8:cafe::17]\",for=unknown",
                ["for=192.0.2.43", "for=\"[2001:db8:cafe::17]\"", "for=unknown"]
            ),
            (
                "for=192.0.2.43,for=198.51.100.17;by=203.0.113.60;proto=http;host=example.com",
                ["for=192.0.2.43", "for=198.51.100.17;by=203.0.113.60;host=example.com;proto=http"]
            ),
        ] as [(String, [String])] {
            #expect(try ForwardedField.parse(value).map(written) == expected)
        }
    }

    @Test(
        "nodes: addresses with and without ports, nobody known, hidden names",
        arguments: [
            "192.0.2.43", "192.0.2.43:80", "[2001:db8::17]", "[2001:db8::17]:4711", "unknown", "unknown:1", "_a",
            "_a:_b", "192.0.2.43:_x.y-z_", "_.", "[::]:0", "0.0.0.0:65535",
        ])
    func nodes(_ text: String) { #expect(node(text)?.description == text) }

    @Test(
        "every other node is refused",
        arguments: [
            "", ":", ":80", "192.0.2.43:", "192.0.2:80", "192.0.2.43:65536", "192.0.2.43:123456", "192.0.2.43:+1",
            "192.0.2.43:1:2", "2001:db8::17", "[2001:db8::17", "[2001:db8::17]80", "[192.0.2.43]", "[]", "_", "__ ",
            "_a b", "_a:_", "example.com", "unknown ", "un\u{212A}nown", " 192.0.2.43", "_é", "_a:_é", "[::1]:",
            "[::1]::1",
        ])
    func badNodes(_ text: String) { #expect(node(text) == nil) }

    @Test("unknown is read in any case; a port may have leading zeros, as the grammar has it")
    func loose() {
        #expect(node("UnKnown")?.name == .unknown && node("1.2.3.4:00080")?.port == .number(80))
    }

    @Test("ends of connections, with their ports where those are wanted")
    func endpoints() {
        let ipv4 = ProxyEndpoint.internet(Endpoint(IPv4Address(192, 0, 2, 43), 4711))
        let ipv6 = ProxyEndpoint.internet(Endpoint(IPv6Address(high: 0, low: 1), 4711))
        #expect(ForwardedNode(ipv4).description == "192.0.2.43")
        #expect(ForwardedNode(ipv4, withPort: true).description == "192.0.2.43:4711")
        #expect(ForwardedNode(ipv6).description == "[::1]")
        #expect(ForwardedNode(ipv6, withPort: true).description == "[::1]:4711")
        #expect(ForwardedNode(.unix(Array("/a".utf8)), withPort: true).description == "unknown")
    }

    @Test("a value that is no token is quoted, with quotes and backslashes escaped")
    func quoting() throws {
        let client = ForwardedNode(.address(IPAddress(IPv4Address(192, 0, 2, 43))), port: .number(80))
        let element = ForwardedElement(
            client: client, receiver: ForwardedNode(.hidden("lb-1")), host: "example.com:8080", scheme: "https",
            extensions: [.init("secret", "a\"b\\c"), .init("empty", ""), .init("plain", "x!y")])
        #expect(
            written(element)
                == #"for="192.0.2.43:80";by=_lb-1;host="example.com:8080";proto=https;"#
                + #"secret="a\"b\\c";empty="";plain=x!y"#
        )
        #expect(try ForwardedField.parse(written(element)) == [element])
        var line = Array("Forwarded: for=_a, ".utf8)
        ForwardedElement(client: ForwardedNode(.unknown)).append(to: &line)
        #expect(String(decoding: line, as: UTF8.self) == "Forwarded: for=_a, for=unknown")
    }

    @Test("what could end the line, or says something else than meant, is left out")
    func unsafe() {
        let client = ForwardedNode(.unknown)
        for host in ["", "a\r\nX: y", "a b", "a\"b", "a/b", "\u{7F}", "ü"] {
            #expect(written(ForwardedElement(client: client, host: host)) == "for=unknown")
        }
        for scheme in ["", "1http", "ht tp", "http\r\n", "http;x=y", "+a"] {
            #expect(written(ForwardedElement(client: client, scheme: scheme)) == "for=unknown")
        }
        #expect(written(ForwardedElement(client: ForwardedNode(.hidden("a\r\nb")))) == "")
        #expect(written(ForwardedElement(receiver: ForwardedNode(.unknown, port: .hidden("")))) == "")
        let extensions = [("A", "x"), ("for", "x"), ("a b", "x"), ("", "x"), ("a", "x\ny"), ("b", "1"), ("b", "2")]
        let element = ForwardedElement(client: client, extensions: extensions.map { .init($0.0, $0.1) })
        #expect(written(element) == "for=unknown;b=1")
    }

    @Test("blanks around commas and empty elements mean nothing; without any element there is none")
    func lists() throws {
        #expect(try ForwardedField.parse("").isEmpty && ForwardedField.parse(" ,\t, ;; ,").isEmpty)
        let value = ",, for=_a \t,\t;for=_b;; , proto=http;,"
        #expect(try ForwardedField.parse(value).map(written) == ["for=_a", "for=_b", "proto=http"])
        let strange = try ForwardedField.parse("X=\"\t\\,;=\", HOST=\"[::1]:80\"")
        #expect(strange.map(written) == ["x=\"\t,;=\"", "host=\"[::1]:80\""])
    }

    @Test(
        "every other value is refused whole",
        arguments: [
            "for", "for=", "for=_a for=_b", "for =_a", "for= _a", "for=_a; proto=http", "for=_a ;proto=http", "=_a",
            "for=[::1]", "for=1.2.3.4:80", "for=\"_a", "for=\"_a\\", "for=\"_a\"x", "for=_a;FOR=_b", "x=1;x=2",
            "host=\"a b\"", "proto=1", "x=\"a\u{1}\"", "x=\"a\\\u{1}\"", "x=é", "for=_a\r\n", "for=\"\"", "host=\"\"",
            "for=example.com", "by=example.com", "for=_a|", "@",
        ])
    func refused(_ value: String) {
        #expect(throws: HTTPError.self) { try ForwardedField.parse("for=_ok, \(value)") }
        #expect(throws: HTTPError.self) { try ForwardedField.parse(value) }
    }

    // MARK: Properties

    private static func node(_ random: inout SeededRandom) -> ForwardedNode {
        let alphabet = Array("aZ09._-")
        func hidden() -> String { String((0...random.below(5)).map { _ in alphabet[random.below(alphabet.count)] }) }
        let name: ForwardedNode.Name =
            switch random.below(4) {
            case 0: .address(IPAddress(IPv4Address(bits: UInt32(truncatingIfNeeded: random.next()))))
            case 1: .address(IPAddress(IPv6Address(high: random.next(), low: random.next())))
            case 2: .unknown
            default: .hidden(hidden())
            }
        let port: ForwardedNode.Port? =
            switch random.below(3) {
            case 0: .number(UInt16(truncatingIfNeeded: random.next()))
            case 1: .hidden(hidden())
            default: nil
            }
        return ForwardedNode(name, port: port)
    }

    private static func element(_ random: inout SeededRandom) -> ForwardedElement {
        func text(_ alphabet: String, _ count: Int) -> String {
            String((0..<count).map { _ in alphabet.randomPick(&random) })
        }
        var element = ForwardedElement(client: node(&random))
        if random.chance(0.5) { element.receiver = node(&random) }
        if random.chance(0.5) { element.host = text("aZ9-._~%!$&'()*+,;=:[]", 1 + random.below(9)) }
        if random.chance(0.5) { element.scheme = "h" + text("aZ9+-.", random.below(4)) }
        for number in 0..<random.below(3) {
            element.extensions.append(.init("x\(number)", text(" \t\"\\;,=aé\u{1F512}", random.below(6))))
        }
        return element
    }

    @Test("what is written is read back, alone and in a list", arguments: 1...4 as ClosedRange<UInt64>)
    func roundTrips(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for _ in 0..<2000 {
            let elements = (0...random.below(3)).map { _ in Self.element(&random) }
            let value = elements.map(written).joined(separator: random.chance(0.5) ? "," : " ,\t")
            guard try ForwardedField.parse(value) == elements else {
                _ = Issue.record("\(value)")
                return
            }
        }
    }

    @Test("a mutated value is refused, or means what its own writing means", arguments: 1...4 as ClosedRange<UInt64>)
    func mutations(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let spice = Array("\"\\;,= \t_[]:1a\r\n\u{0}é")
        var accepted = 0
        for _ in 0..<4000 {
            var value = Array((0...random.below(2)).map { _ in written(Self.element(&random)) }.joined(separator: ", "))
            for _ in 0...random.below(3) {
                let place = random.below(value.count)
                if random.chance(0.5) {
                    value[place] = spice[random.below(spice.count)]
                } else {
                    value.remove(at: place)
                }
                if value.isEmpty { value = [","] }
            }
            guard let elements = try? ForwardedField.parse(String(value)) else { continue }
            accepted += 1
            let again = elements.map(written)
            guard !again.contains(""), again.allSatisfy({ $0.utf8.allSatisfy { $0 >= 32 || $0 == 9 } }),
                (try? ForwardedField.parse(again.joined(separator: ","))) == elements
            else {
                _ = Issue.record("\(String(value).debugDescription)")
                return
            }
        }
        #expect(accepted > 500)
    }
}

extension String {
    fileprivate func randomPick(_ random: inout SeededRandom) -> Character {
        self[index(startIndex, offsetBy: random.below(count))]
    }
}
