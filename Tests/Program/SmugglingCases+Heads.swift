// Lines, fields, targets, hosts, and what concerns one connection only: RFC 9112 §2, §3, §5 and RFC 9110 §7.

extension SmugglingCase {
    private static func line(_ line: String) -> String { request(line, ["Host: h"]) }
    private static func long(_ count: Int) -> String { String(repeating: "a", count: count) }

    static let lines: [SmugglingCase] = [
        .passes("9112 §2.2", "an empty line before the request", "\r\n" + get(), as: "GET /case @h ", secondSeen),
        .refused(400, "9112 §2.2", "a bare LF before the request", "\n" + get(), butBoth: bareLF),
        .refused(400, "9112 §3", "a blank before the request", " " + get()),
        .refused(400, "9112 §2.2", "bare LFs", "GET /case HTTP/1.1\nHost: h\n\n" + second, butBoth: bareLF),
        .refused(
            400, "9112 §2.2", "a bare LF behind the request line", "GET /case HTTP/1.1\nHost: h\r\n\r\n" + second,
            butBoth: bareLF),
        .refused(
            400, "9112 §2.2", "a bare LF behind a field", "GET /case HTTP/1.1\r\nHost: h\n\r\n" + second,
            butBoth: bareLF),
        .refused(
            400, "9112 §2.2", "a bare LF for the empty line", "GET /case HTTP/1.1\r\nHost: h\r\n\n" + second,
            butBoth: bareLF),
        .refused(400, "9112 §2.2", "bare CRs", "GET /case HTTP/1.1\rHost: h\r\r" + second),
        .refused(400, "9112 §2.2", "CR CR LF", "GET /case HTTP/1.1\r\nHost: h\r\r\n\r\n" + second),
        .refused(400, "9112 §2.2", "CR CR LF for the empty line", "GET /case HTTP/1.1\r\nHost: h\r\n\r\r\n" + second),
        .refused(0, "9112 §2.3", "HTTP/0.9", "GET /case\r\n"),
        .refused(505, "9112 §2.3", "HTTP/0.9 by name", line("GET /case HTTP/0.9")),
        .passes(
            "9110 §2.5", "HTTP/1.2, which is read as 1.1", line("GET /case HTTP/1.2"), as: "GET /case @h ", secondSeen),
        .refused(505, "9110 §2.5", "HTTP/2.0", line("GET /case HTTP/2.0")),
        .refused(400, "9112 §2.3", "HTTP/1.10", line("GET /case HTTP/1.10")),
        .refused(400, "9112 §2.3", "HTTP/1", line("GET /case HTTP/1")),
        .refused(400, "9112 §2.3", "HTTP/+1.1", line("GET /case HTTP/+1.1")),
        .refused(400, "9112 §2.3", "the version in lower case", line("GET /case http/1.1")),
        .refused(400, "9112 §2.3", "no version", line("GET /case")),
        .refused(400, "9112 §2.3", "two versions", line("GET /case HTTP/1.1 HTTP/1.1")),
        .refused(400, "9112 §3", "two blanks", line("GET  /case HTTP/1.1"), butBoth: blanks),
        .refused(400, "9112 §3", "tabs for blanks", line("GET\t/case\tHTTP/1.1")),
        .refused(400, "9112 §3", "a blank behind the version", line("GET /case HTTP/1.1 ")),
        .refused(400, "9110 §9.1", "no method", line(" /case HTTP/1.1")),
        .refused(400, "9110 §9.1", "a method with an at sign", line("G@T /case HTTP/1.1")),
        .refused(400, "9110 §9.1", "a method with a NUL", line("GE\0T /case HTTP/1.1")),
        .refused(400, "9110 §9.1", "a method with a colon", line("GET: /case HTTP/1.1")),
        .passes(
            "9110 §9.1", "a method in lower case is another method", line("get /case HTTP/1.1"), as: "get /case @h ",
            secondSeen),
        .passes(
            "9110 §9.1", "a method nobody knows", line("M-SEARCH /case HTTP/1.1"), as: "M-SEARCH /case @h ", secondSeen),
        .passes(
            "9110 §9.1", "a method of odd characters", line("!#$%&'*+.^_`|~ /case HTTP/1.1"),
            as: "!#$%&'*+.^_`|~ /case @h ", secondSeen),
        .refused(400, "9113 §3.4", "the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        .passes(
            "9112 §9.3", "HTTP/1.0 that keeps its connection",
            request("GET /case HTTP/1.0", ["Host: h", "Connection: keep-alive"]), as: "GET /case @h ", secondSeen),
        .passes("9112 §9.3", "HTTP/1.0 that does not", request("GET /case HTTP/1.0", ["Host: h"]), as: "GET /case @h "),
        .refused(414, "9112 §3", "a request line of 9,000 bytes", line("GET /\(long(9000)) HTTP/1.1")),
        .refused(414, "9112 §3", "a method of 9,000 bytes", line("\(long(9000)) / HTTP/1.1")),
        .refused(431, "6585 §5", "a field of 40,000 bytes", get("X: \(long(40_000))")),
        .refused(431, "6585 §5", "a field name of 40,000 bytes", get("\(long(40_000)): x")),
        .refused(
            431, "6585 §5", "1,000 fields", request("GET /case HTTP/1.1", ["Host: h"] + (1...1000).map { "X-\($0): x" })
        ),
        .refused(
            431, "6585 §5", "heads of 60,000 bytes",
            request("GET /case HTTP/1.1", ["Host: h"] + (1...15).map { "X-\($0): \(long(4000))" })),
    ]

    static let fields: [SmugglingCase] = [
        .refused(400, "9112 §5.1", "a blank before a colon", get("X : y")),
        .refused(400, "9112 §5.2", "a folded line", get("X: y", " z")),
        .refused(400, "9112 §5.2", "a folded line with a tab", get("X: y", "\tz")),
        .refused(400, "9112 §2.2", "a blank line that hides a field", get("X: y", " ", "Content-Length: 5")),
        .refused(
            400, "9112 §2.2", "a blank before the first field", request("GET /case HTTP/1.1", [" X: y", "Host: h"])),
        .refused(400, "9112 §5", "a line without a colon", get("X")),
        .refused(400, "9110 §5.1", "no name", get(": y")),
        .refused(400, "9110 §5.1", "a name with a blank", get("X Y: z")),
        .refused(400, "9110 §5.1", "a name with a NUL", get("X\0Y: z")),
        .refused(400, "9110 §5.1", "a name with an octet above 127", get("X\u{E9}: z")),
        .refused(400, "9110 §5.1", "a name in brackets", get("(X): z")),
        .refused(400, "9110 §5.1", "a name with a slash", get("X/Y: z")),
        .refused(400, "9110 §5.5", "a value with a NUL", get("X: y\0z")),
        .refused(400, "9110 §5.5", "a value with a bare CR", get("X: y\rz")),
        .refused(400, "9110 §5.5", "a value with a bare LF", get("X: y\nz: 1"), butBoth: bareLF),
        .refused(400, "9110 §5.5", "a value with a control character", get("X: y\u{1}z"), butBoth: noText),
        .refused(400, "9110 §5.5", "a value with DEL", get("X: y\u{7F}z"), butBoth: noText),
        .passes(
            "9110 §5.5", "a value with octets above 127", get("X: \u{E9}\u{80}\u{FF}"), as: "GET /case @h ", secondSeen),
        .passes("9110 §5.5", "an empty value", get("X:"), as: "GET /case @h ", secondSeen),
        .refused(417, "9110 §10.1.1", "an unknown expectation", get("Expect: tea"), butBoth: expectation),
        .refused(
            417, "9110 §10.1.1", "an expectation with a parameter",
            post("Expect: 100-continue;a=b", "Content-Length: 5"), butBoth: expectation),
        .passes(
            "9110 §10.1.1", "a body that does not wait for 100", post("Expect: 100-continue", "Content-Length: 5"),
            as: helloSeen, secondSeen),
        .passes(
            "9110 §10.1.1", "chunks that do not wait for 100",
            post("Expect: 100-continue", "Transfer-Encoding: chunked", rest: hello), as: helloSeen, secondSeen),
        .passes(
            "9110 §10.1.1", "100-continue without a body", get("Expect: 100-continue"), as: "GET /case @h ", secondSeen),
    ]

    static let targets: [SmugglingCase] = [
        .passes(
            "9112 §3.2.1", "dots are left alone", line("GET /a/../case HTTP/1.1"), as: "GET /a/../case @h ", secondSeen),
        .passes(
            "9112 §3.2.1", "a path that looks like an authority", line("GET //evil/case HTTP/1.1"),
            as: "GET //evil/case @h ", secondSeen),
        .passes(
            "9112 §3.2.1", "encoded line ends are left alone", line("GET /case%0d%0aX:%20y%00 HTTP/1.1"),
            as: "GET /case%0d%0aX:%20y%00 @h ", secondSeen),
        .passes(
            "9112 §3.2.1", "octets above 127 are left alone", line("GET /\u{E9}\u{80} HTTP/1.1"),
            as: "GET /\u{E9}\u{80} @h ", secondSeen),
        .passes(
            "9112 §3.2.1", "a URL in the query", line("GET /case?http://evil/ HTTP/1.1"),
            as: "GET /case?http://evil/ @h ", secondSeen),
        .refused(400, "9112 §3.2.1", "a fragment", line("GET /case#f HTTP/1.1")),
        .refused(400, "9112 §3.2", "a blank", line("GET /ca se HTTP/1.1")),
        .refused(400, "9112 §3.2", "a tab", line("GET /ca\tse HTTP/1.1")),
        .refused(400, "9112 §3.2", "a NUL", line("GET /ca\0se HTTP/1.1")),
        .refused(400, "9112 §3.2", "a control character", line("GET /ca\u{1}se HTTP/1.1")),
        .refused(400, "9112 §3.2", "DEL", line("GET /ca\u{7F}se HTTP/1.1")),
        .refused(400, "9112 §3.2", "a bare CR", line("GET /ca\rse HTTP/1.1")),
        .refused(400, "9112 §3.2", "no slash", line("GET case HTTP/1.1")),
        .refused(400, "9112 §3.2", "a host and no scheme", line("GET @evil/case HTTP/1.1")),
        .refused(400, "9112 §3.2.4", "GET *", line("GET * HTTP/1.1")),
        .passes("9112 §3.2.4", "OPTIONS *", line("OPTIONS * HTTP/1.1"), as: "OPTIONS * @h ", secondSeen),
        .refused(400, "9112 §3.2.4", "OPTIONS **", line("OPTIONS ** HTTP/1.1")),
        .refused(501, "9110 §9.3.6", "CONNECT", line("CONNECT h:443 HTTP/1.1")),
        .refused(501, "9110 §9.3.6", "CONNECT with a path", line("CONNECT /case HTTP/1.1")),
        .passes("9112 §3.2.2", "a URL", line("GET http://h/case HTTP/1.1"), as: "GET /case @h ", secondSeen),
        .passes(
            "9112 §3.2.2", "a URL that contradicts Host, and wins", line("GET http://other/case HTTP/1.1"),
            as: "GET /case @other ", secondSeen),
        .passes("9112 §3.2.2", "a URL without a path", line("GET http://h HTTP/1.1"), as: "GET / @h ", secondSeen),
        .passes(
            "9112 §3.2.2", "a URL with a query and no path", line("GET http://h?q HTTP/1.1"), as: "GET /?q @h ",
            secondSeen),
        .passes(
            "9112 §3.2.2", "a URL with octets above 127", line("GET http://h/\u{E9}\u{80} HTTP/1.1"),
            as: "GET /\u{E9}\u{80} @h ", secondSeen),
        .passes(
            "9112 §3.2.4", "OPTIONS of a whole server by URL", line("OPTIONS http://h HTTP/1.1"), as: "OPTIONS * @h ",
            secondSeen),
        .refused(400, "9110 §4.2.1", "a URL without a host", line("GET http:///case HTTP/1.1")),
        .refused(400, "9110 §4.2.4", "a URL with a user", line("GET http://user@evil/case HTTP/1.1")),
        .refused(400, "9110 §4.2.1", "a URL with a backslash in its host", line("GET http://h\\evil/case HTTP/1.1")),
        .refused(400, "9112 §3.2.2", "a URL with a fragment", line("GET http://h/case#f HTTP/1.1")),
        .refused(400, "9112 §3.2.2", "a URL with one slash", line("GET http:/case HTTP/1.1")),
        .refused(400, "9112 §3.2.2", "a URL of another scheme", line("GET ftp://h/case HTTP/1.1"), butBoth: scheme),
    ]

    private static func host(_ hosts: String...) -> String {
        request("GET /case HTTP/1.1", hosts.map { "Host: \($0)" })
    }

    static let hosts: [SmugglingCase] = [
        .refused(400, "9112 §3.2", "none", host()),
        .refused(400, "9112 §3.2", "none beside a URL", request("GET http://h/case HTTP/1.1", [])),
        .refused(400, "9112 §3.2", "two equal ones", host("h", "h")),
        .refused(400, "9112 §3.2", "two different ones", host("h", "evil")),
        .refused(
            400, "9112 §3.2", "two beside a URL", request("GET http://h/case HTTP/1.1", ["Host: h", "Host: evil"])),
        .refused(400, "9112 §3.2", "two in HTTP/1.0", request("GET /case HTTP/1.0", ["Host: h", "Host: evil"])),
        .passes("9112 §3.2", "an empty one", host(""), as: "GET /case @ ", secondSeen),
        .passes("9110 §7.2", "one with a port", host("h:8080"), as: "GET /case @h:8080 ", secondSeen),
        .passes("9110 §7.2", "an address", host("[::1]:80"), as: "GET /case @[::1]:80 ", secondSeen),
        .passes("9110 §7.2", "one with an underscore", host("my_host"), as: "GET /case @my_host ", secondSeen),
        .refused(400, "9110 §7.2", "one with a user", host("user@evil"), butBoth: host),
        .refused(400, "9110 §7.2", "one with a path", host("h/evil")),
        .refused(400, "9110 §7.2", "one with a query", host("h?evil"), butBoth: host),
        .refused(400, "9110 §7.2", "one with a fragment", host("h#evil"), butBoth: host),
        .refused(400, "9110 §7.2", "one with a backslash", host("h\\evil"), butBoth: host),
        .refused(400, "9110 §7.2", "two in one", host("h evil")),
        .refused(400, "9110 §7.2", "one with a tab", host("h\tevil")),
        .refused(400, "9110 §7.2", "one with a port that is none", host("h:evil"), butBoth: host),
        .refused(400, "9110 §7.2", "one with two ports", host("h:80:81"), butBoth: host),
        .refused(400, "9110 §7.2", "one with an octet above 127", host("h\u{E9}"), butBoth: host),
        .refused(400, "9110 §5.5", "one with a NUL", host("h\0evil")),
        .refused(400, "9112 §5.1", "a blank before the colon beside a good one", get("Host : evil")),
        .passes("9112 §3.2", "none in HTTP/1.0", request("GET /case HTTP/1.0", []), as: "GET /case @ "),
    ]

    static let connections: [SmugglingCase] = [
        .passes(
            "9110 §7.6.1", "Connection names Content-Length", post("Connection: Content-Length", "Content-Length: 5"),
            as: helloSeen, secondSeen),
        .passes(
            "9110 §7.6.1", "Connection names Transfer-Encoding",
            chunked(hello, coding: "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked"), as: helloSeen,
            secondSeen),
        .passes("9110 §7.6.1", "Connection names Host", get("Connection: Host"), as: "GET /case @h ", secondSeen),
        .passes(
            "9110 §7.6.1", "Connection names itself", get("Connection: Connection"), as: "GET /case @h ", secondSeen),
        .passes("9110 §7.6.1", "Connection of rubbish", get("Connection: ,, \"x\",;"), as: "GET /case @h ", secondSeen),
        .passes("9112 §9.6", "nothing counts behind Connection: close", get("Connection: close"), as: "GET /case @h "),
        .passes(
            "9112 §9.6", "close in a second field, among others", get("Connection: keep-alive", "Connection: x, CLOSE"),
            as: "GET /case @h "),
        .passes(
            "9110 §7.6.1", "Keep-Alive and Proxy-Connection",
            get("Keep-Alive: timeout=5", "Proxy-Connection: keep-alive"), as: "GET /case @h ", secondSeen),
        .passes(
            "9110 §7.8", "an upgrade that the origin declines", get("Connection: upgrade", "Upgrade: websocket"),
            as: "GET /case @h ", secondSeen),
        .passes(
            "9110 §7.8", "an upgrade with a body",
            post("Connection: upgrade", "Upgrade: websocket", "Content-Length: 5"), as: helloSeen, secondSeen),
        .passes(
            "9113 §3.1", "an upgrade to h2c",
            get("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
            as: "GET /case @h ", secondSeen),
        .passes("9112 §9.3.2", "three requests at once", get() + second, as: "GET /case @h ", secondSeen, secondSeen),
    ]
}
