import KernelStructures
import KernelWire
import Testing

/// What a parser makes of bytes that come in the given pieces, the rest as the last one.
func proxyVerdict(_ bytes: [UInt8], pieces: [Int] = [], byteLimit: Int = ProxyHeaderParser.defaultByteLimit)
    -> (event: ProxyHeaderEvent, taken: Int)
{
    var parser = ProxyHeaderParser(byteLimit: byteLimit)
    var start = 0
    var taken = 0
    var event = ProxyHeaderEvent.needMore
    for count in pieces + [bytes.count] {
        let end = min(bytes.count, start + count)
        let piece = Array(bytes[start..<end])
        var position = 0
        event = piece.withUnsafeBytes { parser.next($0, &position) }
        taken += position
        if position > piece.count || (event == .needMore && position != piece.count) { return (event, -1) }
        if event != .needMore { break }
        start = end
    }
    return (event, parser.byteCount == taken ? taken : -1)
}

func proxyVerdict(_ text: String) -> ProxyHeaderEvent { proxyVerdict(Array(text.utf8)).event }

extension ProxyHeaderEvent {
    var header: ProxyHeader? { if case .header(let header) = self { header } else { nil } }
    var error: ProxyHeaderError? { if case .failed(let error) = self { error } else { nil } }
}

/// `0d 0a 21…` as bytes; blanks and line ends are skipped.
func bytes(hexadecimal text: String) -> [UInt8] {
    let digits = text.compactMap { $0.hexDigitValue }
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

@Suite("The PROXY protocol's line, version 1")
struct ProxyLineTests {
    @Test("the specification's example: the addresses, and where the connection's own bytes begin")
    func example() {
        let line = "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"
        let (event, taken) = proxyVerdict(Array((line + "GET / HTTP/1.1\r\nHost: 192.168.0.11\r\n\r\n").utf8))
        #expect(taken == line.utf8.count)
        #expect(
            event
                == .header(
                    ProxyHeader(
                        .v1, .proxy,
                        .internet(
                            source: Endpoint(IPv4Address(192, 168, 0, 1), 56324),
                            destination: Endpoint(IPv4Address(192, 168, 0, 11), 443)))))
        #expect(event.header?.bytes == Array(line.utf8))
    }

    @Test(
        "the longest of each kind, and whatever an UNKNOWN says",
        arguments: [
            ("TCP4 255.255.255.255 255.255.255.255 65535 65535", "255.255.255.255:65535"), ("UNKNOWN", nil),
            (
                "TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535",
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"
            ),
            (
                "UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535",
                nil
            ),
            ("UNKNOWN ", nil), ("UNKNOWN TCP4 1.2.3.4", nil), ("UNKNOWN \u{0}\u{FF}\t", nil),
            ("TCP4 0.0.0.0 0.0.0.0 0 0", "0.0.0.0:0"), ("TCP6 ::1 2001:DB8::2 1 2", "[::1]:1"),
            ("TCP6 ::ffff:192.0.2.1 :: 1 2", "192.0.2.1:1"),
        ] as [(String, String?)])
    func good(_ line: String, _ source: String?) throws {
        let header = try #require(proxyVerdict("PROXY \(line)\r\n").header)
        #expect(header.version == .v1 && header.command == .proxy && header.source?.description == source)
    }

    @Test(
        "every other spelling is refused",
        arguments: [
            "", " ", "TCP4", "TCP5 1.2.3.4 1.2.3.4 1 1", "tcp4 1.2.3.4 1.2.3.4 1 1", " TCP4 1.2.3.4 1.2.3.4 1 1",
            "TCP4  1.2.3.4 1.2.3.4 1 1", "TCP4 1.2.3.4 1.2.3.4 1 1 ", "TCP4 1.2.3.4 1.2.3.4 1  1",
            "TCP4\t1.2.3.4 1.2.3.4 1 1", "TCP4 1.2.3.4 1.2.3.4 1", "TCP4 1.2.3.4 1.2.3.4 1 1 1",
            "TCP4 1.2.3.4 1.2.3.4 01 1", "TCP4 1.2.3.4 1.2.3.4 1 00", "TCP4 1.2.3.4 1.2.3.4 1 65536",
            "TCP4 1.2.3.4 1.2.3.4 1 100000", "TCP4 1.2.3.4 1.2.3.4 +1 1", "TCP4 1.2.3.4 1.2.3.4 -1 1",
            "TCP4 1.2.3.4 1.2.3.4 x 1", "TCP4 1.2.3.4 1.2.3.4  1", "TCP4 01.2.3.4 1.2.3.4 1 1",
            "TCP4 1.2.3.4 1.2.3.256 1 1", "TCP4 1.2.3 1.2.3.4 1 1", "TCP4 ::1 ::1 1 1", "TCP6 1.2.3.4 1.2.3.4 1 1",
            "TCP6 ::1 1.2.3.4 1 1", "TCP6 [::1] [::1] 1 1", "TCP6 ::1 ::1%lo 1 1", "TCP4 1.2.3.4 1.2.3.4 1 1\u{0}",
            "UNKNOWNS", "UNKNOWN\t", "unknown",
        ])
    func bad(_ line: String) {
        guard case .malformed? = proxyVerdict("PROXY \(line)\r\n").error else {
            _ = Issue.record("\(proxyVerdict("PROXY \(line)\r\n"))")
            return
        }
    }

    @Test("a line ends in CR and LF, with neither alone in it, whatever its kind")
    func lineEnds() {
        let crlf = ProxyHeaderError.malformed("the line does not end in CRLF")
        for kind in ["TCP4 1.2.3.4 1.2.3.4 1 1", "UNKNOWN", "UNKNOWN x"] {
            #expect(proxyVerdict("PROXY \(kind)\n").error == crlf)
            #expect(proxyVerdict("PROXY \(kind)\r\r\n").error == crlf)
            #expect(proxyVerdict("PROXY \(kind)\rG").error == crlf)
            #expect(proxyVerdict("PROXY \(kind)\r") == .needMore)
        }
        #expect(proxyVerdict("PROXY \n").error == crlf)
    }

    @Test("it has 107 bytes at most, CRLF included")
    func length() {
        let text = "PROXY UNKNOWN " + String(repeating: "x", count: 91)
        #expect(text.utf8.count + 2 == 107 && proxyVerdict(text + "\r\n").header != nil)
        #expect(proxyVerdict(text + "\r") == .needMore && proxyVerdict(text + "x") == .needMore)
        let (event, taken) = proxyVerdict(Array((text + "x\r\n").utf8))
        #expect(event == .failed(.tooLong(limitBytes: 107)) && taken == 107)
        #expect(proxyVerdict([UInt8]("PROXY UNKNOWN ".utf8) + [UInt8](repeating: 120, count: 1 << 20)).taken == 107)
    }

    @Test("what begins like neither version is refused with the first byte that shows it")
    func others() {
        for (text, count) in [
            ("GET / HTTP/1.1\r\n", 1), ("PUT / HTTP/1.1\r\n", 2), ("PROXX", 5), ("PROXY\r\n", 6), ("proxy TCP4", 1),
            ("\r\n\r\nGET", 5), ("\u{16}\u{3}\u{1}", 1), ("\r\n\r\n\u{0}\r\nQUIT\r", 12), ("", 0),
            ("PRI * HTTP/2.0", 3),
        ] {
            let (event, taken) = proxyVerdict(Array(text.utf8))
            #expect(event == (text.isEmpty ? .needMore : .failed(.notAHeader)) && taken == count)
        }
    }
}
