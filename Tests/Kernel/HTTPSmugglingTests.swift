import KernelStructures
import KernelWire
import Testing

/// Everything that two programs could read in two ways is refused, with the status that says why.
@Suite("Request smuggling")
struct HTTPSmugglingTests {
    /// The reader's verdict on `POST /` with these field lines, then `rest`.
    private func verdict(_ fields: [String], version: String = "1.1", host: Bool = true, rest: String = "") -> String {
        let lines = (host ? ["Host: h"] : []) + fields
        let text = "POST / HTTP/\(version)\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n" + rest
        let result = transcript(text)
        return result.last { $0.hasPrefix("failed") } ?? result.last ?? "nothing"
    }

    private func status(_ fields: [String], version: String = "1.1", host: Bool = true, rest: String = "") -> Int {
        let words = verdict(fields, version: version, host: host, rest: rest).split(separator: " ")
        return words.first == "failed" ? Int(words[1]) ?? -1 : 0
    }

    @Test(
        "no doubtful length is believed",
        arguments: [
            "-1", "+5", "5, 5", "5,5", "0x5", "5 5", "5a", "", " ", "5.0", "99999999999999999999",
            "9223372036854775808", "5;", "٥", "\"5\"",
        ])
    func lengths(_ value: String) {
        #expect(status(["Content-Length: \(value)"], rest: "hello") == 400)
    }

    @Test("two lengths are one too many, equal or not, and a length beside a coding too")
    func conflicts() {
        #expect(status(["Content-Length: 5", "Content-Length: 5"], rest: "hello") == 400)
        #expect(status(["Content-Length: 5", "content-length: 6"], rest: "hello!") == 400)
        #expect(status(["Content-Length: 5", "Transfer-Encoding: chunked"], rest: "0\r\n\r\n") == 400)
        #expect(status(["Transfer-Encoding: chunked", "Content-Length: 5"], rest: "0\r\n\r\n") == 400)
        #expect(status(["Transfer-Encoding: chunked"], version: "1.0", rest: "0\r\n\r\n") == 400)
        #expect(status(["Content-Length: 9223372036854775807"]) == 0, "the largest length there is")
    }

    @Test(
        "no coding but one chunked is accepted",
        arguments: [
            ("gzip", 501), ("chunked, chunked", 400), ("chunked, gzip", 400), ("gzip, chunked", 400), ("chunked,", 400),
            (",chunked", 400),
            ("identity", 501), ("xchunked", 501), ("chunked;q=1", 501), ("\"chunked\"", 501), ("", 501),
            ("\u{0B}chunked", 400), ("chunked\u{A0}", 501),
        ])
    func codings(_ value: String, _ expected: Int) {
        #expect(status(["Transfer-Encoding: \(value)"], rest: "0\r\n\r\n") == expected)
    }

    @Test("codings spread over several fields are judged together")
    func splitCodings() {
        #expect(status(["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], rest: "0\r\n\r\n") == 400)
        #expect(status(["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"], rest: "0\r\n\r\n") == 400)
    }

    @Test(
        "no field line is bent into shape",
        arguments: [
            "Content-Length : 5", " X: folded", "\tX: folded", ": empty", "no colon", "X Y: z", "X\u{0}: z", "Xé: z",
            "X: a\u{0}b",
            "X: a\u{7F}", "X: a\u{8}", "X: a\rb", "X: a\nb", "X: a\r", "(X): z", "X@: z", "X\t: z", "X: a\r\n folded",
        ])
    func fieldLines(_ line: String) {
        #expect(status([line], rest: "hello") == 400)
    }

    @Test(
        "no line ends without CR LF",
        arguments: [
            "GET / HTTP/1.1\nHost: h\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\n",
            "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET / HTTP/1.1\rHost: h\r\n\r\n", "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\r\r\n\r\n",
        ])
    func lineEnds(_ text: String) {
        #expect(transcript(text).last?.hasPrefix("failed 400") == true)
    }

    @Test(
        "chunk sizes are hexadecimal digits and nothing else",
        arguments: [
            "0x5", "+5", "-5", " 5", "5 ", "", "g", ";x", "5\t", "8000000000000000", "FFFFFFFFFFFFFFFF",
            "10000000000000000", "00000000000000005",
            "5\u{0}", "5;a\u{0}", "5;a\u{7F}",
        ])
    func chunkSizes(_ size: String) {
        #expect(status(["Transfer-Encoding: chunked"], rest: "\(size)\r\nhello\r\n0\r\n\r\n") == 400)
    }

    @Test(
        "chunks end where they say",
        arguments: [
            "5\r\nhello!\r\n0\r\n\r\n", "5\r\nhell\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n",
            "5\rhello\r\n", "0\r\n\n", "0\r\nX: 1\n\r\n", "0\r\n folded\r\n\r\n", "0\r\nX: \u{0}\r\n\r\n",
            "5;x\nhello\r\n0\r\n\r\n", "0\r\nX: 1\r\r\n\r\n", "0\r\nGET / HTTP/1.1\r\n\r\n", "0\r\nX\r\n\r\n",
            "0\r\n: 1\r\n\r\n", "0\r\nX : 1\r\n\r\n", "0\r\nX\t: 1\r\n\r\n", "0\r\nX\rY: 1\r\n\r\n",
        ])
    func chunkEnds(_ body: String) {
        #expect(status(["Transfer-Encoding: chunked"], rest: body) == 400)
    }

    @Test("chunk extensions and trailers have limits")
    func chunkLimits() {
        let fields = ["Transfer-Encoding: chunked"]
        #expect(status(fields, rest: "5;" + String(repeating: "x", count: 200) + "\r\nhello\r\n0\r\n\r\n") == 0)
        #expect(status(fields, rest: "5;" + String(repeating: "x", count: 300) + "\r\nhello\r\n0\r\n\r\n") == 400)
        let trailers = String(repeating: "X: " + String(repeating: "y", count: 500) + "\r\n", count: 70)
        #expect(status(fields, rest: "0\r\n" + trailers + "\r\n") == 400)
    }

    @Test("HTTP/1.1 needs exactly one Host; HTTP/1.0 none, and never two")
    func hosts() {
        #expect(status([], host: false) == 400 && status([], version: "1.0", host: false) == 0)
        #expect(
            status(["Host: h"]) == 400 && status(["hOST: other"]) == 400 && status(["Host: h"], version: "1.0") == 400)
    }

    @Test(
        "Host is a name or an address, perhaps with a port, or nothing",
        arguments: [
            ("", true), ("h", true), ("H.example-1_2~", true), ("h:80", true), ("h:", true), (":80", true),
            ("127.0.0.1:80", true), ("[::1]", true), ("[fe80::1]:80", true), ("h%20i", true), ("a!$&'()*+,;=b", true),
            ("u@h", false), ("h/a", false), ("h?a", false), ("h#a", false), ("h\\a", false), ("h i", false),
            ("h\ti", false), ("h:a", false), ("h:80:81", false), ("h:-1", false), ("\"h\"", false), ("<h>", false),
            ("hé", false), ("[::1", false), ("[]", false), ("[::1]a", false), ("[g]", false), ("a[::1]", false),
            ("::1", false), ("h|i", false), ("h^", false), ("`h", false), ("{h}", false),
        ])
    func hostValues(_ value: String, _ isGood: Bool) {
        #expect(status(["Host: \(value)"], host: false) == (isGood ? 0 : 400))
        #expect(status(["Host: \(value)"], version: "1.0", host: false) == (isGood ? 0 : 400))
    }

    @Test("nothing is read behind a CONNECT, and HTTP/2 is no protocol to switch to")
    func tunnels() {
        func head(_ text: String) -> HTTPHead {
            var reader = HTTPReader(.requests)
            var position = 0
            return Array(text.utf8).withUnsafeBytes { bytes in
                _ = reader.next(bytes, &position)
                return reader.head
            }
        }
        #expect(!head("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n").keepsAlive)
        func upgrade(_ field: String) -> Bool {
            head("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n\(field)\r\n\r\n").asksForUpgrade
        }
        #expect(upgrade("Upgrade: websocket"))
        #expect(!upgrade("Upgrade: h2c") && !upgrade("Upgrade: websocket, H2C") && !upgrade("X: websocket"))
    }

    @Test(
        "request lines have one form",
        arguments: [
            ("GET / HTTP/2.0", 505), ("GET / HTTP/0.9", 505), ("GET /", 400),
            ("GET  / HTTP/1.1", 400),
            ("GET / HTTP/1.1 ", 400), ("GET / http/1.1", 400), ("GET / HTTP/11", 400), ("GET / HTTP/1.1x", 400),
            (" GET / HTTP/1.1", 400),
            ("G(T / HTTP/1.1", 400), ("GET /a b HTTP/1.1", 400), ("GET /\u{0} HTTP/1.1", 400),
            ("GET /\t HTTP/1.1", 400), ("GET / HTTP/1.01", 400),
            ("GET /a#b HTTP/1.1", 400), ("GET /# HTTP/1.1", 400), ("GET http://h/#b HTTP/1.1", 400),
            ("GET http:///a HTTP/1.1", 400), ("GET http://:80/a HTTP/1.1", 400), ("GET http:// HTTP/1.1", 400),
            ("GET http://u@h/a HTTP/1.1", 400), ("GET http://h\\x/a HTTP/1.1", 400), ("GET http://h:x/a HTTP/1.1", 400),
            ("GET http://[::1/a HTTP/1.1", 400), ("GET http:/ HTTP/1.1", 400), ("GET foo HTTP/1.1", 400),
            ("GET ftp://h/ HTTP/1.1", 400), ("GET * HTTP/1.1", 400),
            ("OPTIONS ** HTTP/1.1", 400), ("", 0), ("GET", 400),
        ])
    func requestLines(_ line: String, _ expected: Int) {
        let last = transcript("\(line)\r\nHost: h\r\n\r\n").last ?? ""
        if expected == 0 {
            #expect(last.hasPrefix("failed 400"), "an empty line is skipped, and Host is no request line")
        } else {
            #expect(last.hasPrefix("failed \(expected)"), "\(last)")
        }
    }

    @Test("every form of target is read where it belongs")
    func targets() {
        for line in [
            "OPTIONS * HTTP/1.1", "GET http://h/a HTTP/1.1", "GET HTTPS://h HTTP/1.1", "CONNECT h:443 HTTP/1.1",
            "GET //x HTTP/1.1", "brew /pot HTTP/1.1", "GET http://[::1]:80/a HTTP/1.1",
            "GET http://h?q=http://i@j HTTP/1.1",
        ] {
            #expect(
                transcript("\(line)\r\nHost: h\r\n\r\n").first
                    == line.split(separator: " ").dropLast().joined(separator: " "))
        }
    }

    @Test("limits: 414 for the line, 431 for the head and its fields, 413 for the body")
    func limits() {
        var limits = HTTPLimits()
        limits.startLineBytes = 100
        limits.headBytes = 400
        limits.fieldCount = 5
        limits.bodyBytes = 10
        func status(_ text: String) -> String { String((transcript(text, limits: limits).last ?? "").prefix(10)) }
        func long(_ count: Int) -> String { String(repeating: "x", count: count) }
        #expect(status("GET /\(long(84)) HTTP/1.1\r\nHost: h\r\n\r\n") == "body=")
        #expect(status("GET /\(long(85)) HTTP/1.1\r\nHost: h\r\n\r\n") == "failed 414")
        #expect(status("GET /\(long(200))") == "failed 414", "without waiting for its end")
        #expect(status("GET / HTTP/1.1\r\nHost: h\r\nX: \(long(380))\r\n\r\n") == "failed 431")
        #expect(status("GET / HTTP/1.1\r\nHost: h\r\n" + String(repeating: "A: b\r\n", count: 4) + "\r\n") == "body=")
        #expect(
            status("GET / HTTP/1.1\r\nHost: h\r\n" + String(repeating: "A: b\r\n", count: 5) + "\r\n") == "failed 431")
        #expect(status("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n") == "failed 413")
        #expect(
            status(
                "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n5\r\nabcde\r\n0\r\n\r\n")
                == "failed 413")
        #expect(
            status(
                "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n5\r\nabcde\r\n0\r\n\r\n")
                == "body=abcde")
    }

    @Test(
        "a server's answer that can be read in two ways, or in none, is 502",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 5,\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: , 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: +5, 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\n X: y\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 x\r\nhello\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n z\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n",
            "HTTP/1.1 200OK\r\n\r\n", "HTTP/1.1 099 X\r\n\r\n", "HTTP/1.1 200 O\u{0}K\r\n\r\n",
            "hello world, no HTTP here\r\n\r\n", "\n\n", "\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 O\u{0}K\n\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX : y\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "\r\n\r\n", "HTTP/1.1 200 OK\r\r\n\r\n",
        ])
    func responses(_ text: String) {
        #expect(transcript(text, kind: .responses).last?.hasPrefix("failed 502") == true)
    }

    @Test(
        "what RFC 9112 forgives a server, and cannot be read in two ways, is read as others read it",
        arguments: [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "length(5) keep=true"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", "length(5) keep=true"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5 ,005\r\nContent-Length: 5\r\n\r\nhello", "length(5) keep=true"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 \t\r\nhello\r\n0  \r\n\r\n", "chunked keep=true"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 ;a=b\r\nhello\r\n0\r\n\r\n", "chunked keep=true"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\tchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "chunked keep=true"),
            ("HTTP/1.1 200 OK\r\nContent-Length:\r\n 5\r\nConnection: close\r\n\r\nhello", "length(5) keep=false"),
            ("HTTP/1.1 200 OK\nContent-Length: 5\nX: y\n\nhello", "length(5) keep=true"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\nX: y\r\n\nhello", "length(5) keep=true"),
            ("HTTP/1.1 200 OK\nContent-Length:\n 5\n\r\nhello", "length(5) keep=true"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                "chunked keep=false"
            ),
        ])
    func lenience(_ text: String, _ framing: String) {
        let result = transcript(text, kind: .responses)
        #expect(result.contains(framing) && result.last == "body=hello", "\(result)")
        let request = text.replacing("HTTP/1.1 200 OK", with: "POST / HTTP/1.1\r\nHost: h")
        #expect(transcript(request).last?.hasPrefix("failed 400") == true, "of a client nothing is forgiven")
    }

    @Test("a folded line of an answer becomes one line, however often it is folded")
    func folding() {
        let text = "HTTP/1.1 200 OK\r\nA: b\r\n  c\r\n\td\r\nE: f\r\nG:\r\n h\r\n \r\nContent-Length: 0\r\n\r\n"
        #expect(
            transcript(text, kind: .responses).prefix(2) == [
                "200 OK", "fields=A=b    c  \td|E=f|G=h|Content-Length=0",
            ])
        let many = "HTTP/1.1 200 OK\r\nA: b" + String(repeating: "\r\n c", count: 7000) + "\r\n\r\n"
        #expect(transcript(many, kind: .responses).first == "200 OK", "in time that does not grow with the square")
    }

    @Test("a head with bare line ends is as if they had been whole, wherever it is cut")
    func bareLines() {
        let text = "HTTP/1.1 200 OK\nA: b\r\nC: d\n\nrest"
        let whole = transcript(text.replacing("\r\n", with: "\n").replacing("\n", with: "\r\n"), kind: .responses)
        for place in 0...text.utf8.count {
            #expect(transcript(.responses, Array(text.utf8), pieces: [place]) == whole, "\(place)")
        }
        var reader = HTTPReader(.responses)
        var position = 0
        #expect(Array(text.utf8).withUnsafeBytes { reader.next($0, &position) } == .head)
        #expect(reader.head.bytes == Array("HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n".utf8))
    }

    @Test(
        "who only looks may read answers as curl does, and nobody else",
        arguments: [
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Length: 5\r\n\r\nhello", "length(5) keep=true"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello", "length(5) keep=true"),
            ("HTTP/1.1 200 OK\r\nX Y: z\r\nA: \u{1}\r\nContent-Length: 5\r\n\r\nhello", "length(5) keep=true"),
            ("HTTP/2 200 OK\r\nContent-Length: 5\r\n\r\nhello", "length(5) keep=true"),
            ("HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "length(5) keep=true"),
        ])
    func asCurl(_ text: String, _ framing: String) {
        var limits = HTTPLimits()
        limits.readsAsCurl = true
        let result = transcript(text, kind: .responses, limits: limits)
        #expect(result.contains(framing) && result.last == "body=hello", "\(result)")
        #expect(transcript(text, kind: .responses).last?.hasPrefix("failed 502") == true)
        let request = text.replacing("HTTP/1.1 200 OK", with: "POST / HTTP/1.1\r\nHost: h")
        #expect(transcript(request, limits: limits).last?.hasPrefix("failed 4") == true)
    }

    @Test("trailers are kept as they came, and no longer than their message")
    func trailers() {
        let chunked = "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1 \r\ny:2\r\n\r\n"
        let text = "POST /a HTTP/1.1\r\nHost: h\r\n\(chunked)GET /b HTTP/1.1\r\nHost: h\r\n\r\n"
        #expect(transcript(text).filter { $0.hasPrefix("trailers") } == ["trailers=X-Sum: 1 \r\ny:2\r\n"])
        var small = HTTPLimits()
        small.headBytes = 70
        let long =
            "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
            + String(repeating: "X: y\r\n", count: 20) + "\r\n"
        #expect(transcript(long, limits: small).last?.hasPrefix("failed 400") == true)
    }

    @Test("of trailers only those are passed on that decide nothing")
    func forwardedTrailers() {
        var reader = HTTPReader(.requests)
        let text = "POST / HTTP/1.1\r\nHost: h\r\nConnection: X-Mine\r\nContent-Length: 0\r\n\r\n"
        var position = 0
        _ = Array(text.utf8).withUnsafeBytes { reader.next($0, &position) }
        let lines = [
            "X-Sum: 1", "content-length: 5", "TRANSFER-ENCODING: chunked", "Host: evil", "X-Mine: 1", "grpc-status:0",
            "X-Forwarded-For: 1.2.3.4", "If-Match: a", "Authorization: b", "Set-Cookie: c=d", "ETag: \"x\"",
        ]
        var out: [UInt8] = []
        HTTPTrailers.append(forwarding: Array(lines.map { $0 + "\r\n" }.joined().utf8), of: reader.head, to: &out)
        #expect(String(decoding: out, as: UTF8.self) == "X-Sum: 1\r\ngrpc-status:0\r\nETag: \"x\"\r\n")
    }

    @Test("HTTP/1.0 with a coding does not keep its connection")
    func oldCoding() {
        let text = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        #expect(transcript(text, kind: .responses).contains("chunked keep=false"))
    }
}
