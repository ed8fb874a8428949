// Where a body ends: RFC 9112 §6 and §7.

extension SmugglingCase {
    static let framing: [SmugglingCase] = [
        .refused(
            400, "9112 §6.1", "a length that covers a short chunked body",
            post("Content-Length: \(5 + second.utf8.count)", "Transfer-Encoding: chunked", rest: "0\r\n\r\n")),
        .refused(
            400, "9112 §6.1", "a chunked body, and a length behind it",
            post("Transfer-Encoding: chunked", "Content-Length: \(5 + second.utf8.count)", rest: "0\r\n\r\n")),
        .refused(
            400, "9112 §6.1", "a length that is shorter than the chunks",
            request(
                "POST /case HTTP/1.1", ["Host: h", "Content-Length: 4", "Transfer-Encoding: chunked"],
                "2c\r\nGET /smuggled HTTP/1.1\r\nContent-Length: 50\r\n\r\n\r\n0\r\n\r\n")),
        .refused(
            400, "9112 §6.1", "a length of zero beside chunks",
            post("Content-Length: 0", "Transfer-Encoding: chunked", rest: hello)),
        .refused(400, "9112 §6.3", "two equal lengths", post("Content-Length: 5", "Content-Length: 5")),
        .refused(400, "9112 §6.3", "two lengths, the shorter first", post("Content-Length: 5", "Content-Length: 42")),
        .refused(400, "9112 §6.3", "two lengths, the longer first", post("Content-Length: 42", "Content-Length: 5")),
        .refused(400, "9112 §6.3", "two lengths in different case", post("Content-Length: 5", "cONTENT-lENGTH: 42")),
        .refused(400, "9110 §8.6", "a list of equal lengths", post("Content-Length: 5, 5")),
        .refused(400, "9110 §8.6", "a list of unequal lengths", post("Content-Length: 5,42")),
        .refused(400, "9110 §8.6", "a length with a plus", post("Content-Length: +5")),
        .refused(400, "9110 §8.6", "a length with a minus", post("Content-Length: -5")),
        .refused(400, "9110 §8.6", "a length of minus zero", post("Content-Length: -0", rest: "")),
        .refused(400, "9110 §8.6", "a hexadecimal length", post("Content-Length: 0x5")),
        .refused(400, "9110 §8.6", "a length with a fraction", post("Content-Length: 5.0")),
        .refused(400, "9110 §8.6", "a length with an exponent", post("Content-Length: 5e0")),
        .refused(400, "9110 §8.6", "a length in two parts", post("Content-Length: 5 5")),
        .refused(400, "9110 §8.6", "a length with a semicolon", post("Content-Length: 5;")),
        .refused(400, "9110 §8.6", "a length in quotes", post("Content-Length: \"5\"")),
        .refused(400, "9110 §8.6", "a length with letters", post("Content-Length: 5a")),
        .refused(400, "9110 §8.6", "a length with an underscore", post("Content-Length: 1_0", rest: "hellohello")),
        .refused(400, "9110 §8.6", "an empty length", post("Content-Length: ", rest: "")),
        .refused(400, "9110 §8.6", "a length with a vertical tab", post("Content-Length: \u{B}5")),
        .refused(400, "9110 §8.6", "a length with a no-break space", post("Content-Length: 5\u{A0}")),
        .refused(400, "9110 §8.6", "a length of 2⁶³", post("Content-Length: 9223372036854775808")),
        .refused(400, "9110 §8.6", "a length of 2⁶⁴ + 5", post("Content-Length: 18446744073709551621")),
        .refused(
            400, "9110 §8.6", "a length of 2³² digits’ worth",
            post("Content-Length: 5\(String(repeating: "0", count: 400))")),
        .passes(
            "9110 §8.6", "a length with leading zeros is decimal", post("Content-Length: 0005"), as: helloSeen,
            secondSeen),
        .passes("9112 §5", "a length between blanks", post("Content-Length: \t 5 \t"), as: helloSeen, secondSeen),
        .passes("9112 §5", "a length without blanks", post("Content-Length:5"), as: helloSeen, secondSeen),
        .passes("9110 §5.1", "a length in capitals", post("CONTENT-LENGTH: 5"), as: helloSeen, secondSeen),
        .passes(
            "9110 §5.1", "what looks like a length is none", post("Content_Length: 42", rest: ""), as: "POST /case @h ",
            secondSeen),
        .passes("9112 §6.3", "no length is no body", post(rest: ""), as: "POST /case @h ", secondSeen),
        .half(400, "9112 §6.3", "no length, and yet a body", post(rest: "\u{1}hello"), as: "POST /case @h "),
        .passes(
            "9112 §6.3", "a length that is too short leaves a request with an odd method", post("Content-Length: 3"),
            as: "POST /case @h hel", "loGET /smuggled @h "),
        .passes(
            "9112 §6.3", "a length that covers the second request", post("Content-Length: \(5 + second.utf8.count)"),
            as: "POST /case @h hello\(second)"),
        .refused(0, "9112 §8", "a length that is never reached", post("Content-Length: 500")),
        .passes(
            "9110 §9.3.1", "GET with a body", request("GET /case HTTP/1.1", ["Host: h", "Content-Length: 5"], "hello"),
            as: "GET /case @h hello", secondSeen),
        .passes(
            "9110 §9.3.1", "GET with chunks",
            request("GET /case HTTP/1.1", ["Host: h", "Transfer-Encoding: chunked"], hello), as: "GET /case @h hello",
            secondSeen),
        .passes(
            "9110 §9.3.2", "HEAD with a body",
            request("HEAD /case HTTP/1.1", ["Host: h", "Content-Length: 5"], "hello"), as: "HEAD /case @h hello",
            secondSeen),
        .passes(
            "9110 §9.3.5", "DELETE with a body",
            request("DELETE /case HTTP/1.1", ["Host: h", "Content-Length: 5"], "hello"), as: "DELETE /case @h hello",
            secondSeen),
    ]

    static let codings: [SmugglingCase] = [
        .passes("9112 §7", "chunked", chunked(hello), as: helloSeen, secondSeen),
        .passes(
            "9112 §7", "chunked in capitals", chunked(hello, coding: "TRANSFER-ENCODING: CHUNKED"), as: helloSeen,
            secondSeen),
        .passes(
            "9112 §5", "chunked between tabs", chunked(hello, coding: "Transfer-Encoding:\t\tchunked\t"), as: helloSeen,
            secondSeen),
        .refused(501, "9112 §6.1", "xchunked", chunked(hello, coding: "Transfer-Encoding: xchunked")),
        .refused(501, "9112 §6.1", "identity", chunked(hello, coding: "Transfer-Encoding: identity")),
        .refused(501, "9112 §6.1", "no coding at all", chunked(hello, coding: "Transfer-Encoding: ")),
        .refused(501, "9112 §7", "chunked with a parameter", chunked(hello, coding: "Transfer-Encoding: chunked;q=1")),
        .refused(501, "9112 §7", "chunked in quotes", chunked(hello, coding: "Transfer-Encoding: \"chunked\"")),
        .refused(501, "9112 §7", "chunked in an array", chunked(hello, coding: "Transfer-Encoding: [chunked]")),
        .refused(
            501, "9112 §7", "chunked and a no-break space", chunked(hello, coding: "Transfer-Encoding: chunked\u{A0}")),
        .refused(501, "9112 §7", "chunked and a word", chunked(hello, coding: "Transfer-Encoding: chunked foo")),
        .refused(
            400, "9112 §6.1", "chunked, then identity", chunked(hello, coding: "Transfer-Encoding: chunked, identity")),
        .refused(
            400, "9112 §6.1", "identity, then chunked", chunked(hello, coding: "Transfer-Encoding: identity, chunked")),
        .refused(400, "9112 §6.1", "gzip, then chunked", chunked(hello, coding: "Transfer-Encoding: gzip, chunked")),
        .refused(
            400, "9112 §6.1", "chunked twice in a list", chunked(hello, coding: "Transfer-Encoding: chunked, chunked")),
        .refused(
            400, "9112 §6.1", "chunked in two fields",
            chunked(hello, coding: "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")),
        .refused(
            400, "9112 §6.1", "chunked and identity in two fields",
            chunked(hello, coding: "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity")),
        .refused(
            400, "9112 §6.1", "an unknown coding and chunked in two fields",
            chunked(hello, coding: "Transfer-Encoding: x\r\nTransfer-Encoding: chunked")),
        .refused(
            400, "9110 §5.6.1", "chunked and an empty element", chunked(hello, coding: "Transfer-Encoding: chunked,")),
        .refused(
            400, "9110 §5.6.1", "an empty element and chunked", chunked(hello, coding: "Transfer-Encoding: ,chunked")),
        .refused(
            400, "9110 §5.5", "chunked behind a vertical tab", chunked(hello, coding: "Transfer-Encoding: \u{B}chunked")
        ),
        .refused(400, "9110 §5.5", "chunked before a NUL", chunked(hello, coding: "Transfer-Encoding: chunked\0")),
        .refused(
            400, "9112 §5.2", "chunked on a folded line", chunked(hello, coding: "Transfer-Encoding:\r\n chunked")),
        .refused(400, "9112 §5.1", "a blank before the colon", chunked(hello, coding: "Transfer-Encoding : chunked")),
        .refused(400, "9112 §5.1", "a tab before the colon", chunked(hello, coding: "Transfer-Encoding\t: chunked")),
        .refused(400, "9110 §5.1", "a NUL in the name", chunked(hello, coding: "Transfer-Encoding\0: chunked")),
        .refused(
            400, "9112 §2.2", "chunked behind a bare LF", chunked(hello, coding: "X: a\nTransfer-Encoding: chunked"),
            butBoth: bareLF),
        .refused(
            400, "9112 §2.2", "chunked behind a bare CR", chunked(hello, coding: "X: a\rTransfer-Encoding: chunked")),
        .refused(
            400, "9112 §6.1", "identity beside a length", post("Transfer-Encoding: identity", "Content-Length: 5")),
        .refused(
            400, "9112 §6.1", "an unknown coding beside a length", post("Content-Length: 5", "Transfer-Encoding: x")),
        .passes(
            "9110 §5.1", "what looks like a coding is none", chunked("", coding: "Transfer_Encoding: chunked"),
            as: "POST /case @h ", secondSeen),
        .passes(
            "9110 §10.1.4", "TE is no Transfer-Encoding", get("TE: chunked", "Connection: TE"), as: "GET /case @h ",
            secondSeen),
        .refused(
            400, "9112 §6.1", "chunked in HTTP/1.0",
            request("POST /case HTTP/1.0", ["Host: h", "Connection: keep-alive", "Transfer-Encoding: chunked"], hello)),
        .refused(
            400, "9112 §6.1", "chunked and a length in HTTP/1.0",
            request("POST /case HTTP/1.0", ["Host: h", "Content-Length: 15", "Transfer-Encoding: chunked"], hello)),
    ]

    static let chunks: [SmugglingCase] = [
        .passes("9112 §7.1", "two chunks", chunked("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), as: helloSeen, secondSeen),
        .passes(
            "9112 §7.1", "a size with leading zeros", chunked("0005\r\nhello\r\n000\r\n\r\n"), as: helloSeen, secondSeen
        ),
        .passes(
            "9112 §7.1", "sizes in both cases", chunked("A\r\nhellohello\r\nb\r\nhello-hello\r\n0\r\n\r\n"),
            as: "POST /case @h hellohellohello-hello", secondSeen),
        .passes("9112 §7.1.1", "an extension", chunked("5;a=b\r\nhello\r\n0;c\r\n\r\n"), as: helloSeen, secondSeen),
        .passes(
            "9112 §7.1.1", "a quoted extension", chunked("5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n"), as: helloSeen, secondSeen
        ),
        .passes(
            "9112 §7.1.1", "an extension that never closes its quotes", chunked("5;a=\"\r\nhello\r\n0\r\n\r\n"),
            as: helloSeen, secondSeen),
        .refused(400, "9112 §7.1", "a size with 0x", chunked("0x5\r\nhello\r\n0\r\n\r\n")),
        .refused(400, "9112 §7.1", "a size with a plus", chunked("+5\r\nhello\r\n0\r\n\r\n")),
        .refused(400, "9112 §7.1", "a size with a minus", chunked("-5\r\nhello\r\n0\r\n\r\n")),
        .refused(400, "9112 §7.1", "a last chunk of minus zero", chunked("5\r\nhello\r\n-0\r\n\r\n")),
        .refused(400, "9112 §7.1", "a blank before a size", chunked(" 5\r\nhello\r\n0\r\n\r\n")),
        .refused(400, "9112 §7.1", "a blank after a size", chunked("5 \r\nhello\r\n0\r\n\r\n"), butBoth: blankInSize),
        .refused(400, "9112 §7.1", "a tab after a size", chunked("5\t\r\nhello\r\n0\r\n\r\n"), butBoth: blankInSize),
        .refused(400, "9112 §7.1", "a blank inside a size", chunked("0 5\r\nhello\r\n0\r\n\r\n")),
        .refused(
            400, "9112 §7.1.1", "a blank before an extension", chunked("5 ;a=b\r\nhello\r\n0\r\n\r\n"),
            butBoth: blankInSize),
        .refused(400, "9112 §7.1", "a size that is no number", chunked("g\r\nhello\r\n0\r\n\r\n")),
        .refused(400, "9112 §7.1", "a size with an underscore", chunked("0_5\r\nhello\r\n0\r\n\r\n")),
        .refused(400, "9112 §7.1", "no size", chunked("\r\nhello\r\n0\r\n\r\n")),
        .refused(400, "9112 §7.1", "only an extension", chunked(";a\r\nhello\r\n0\r\n\r\n")),
        .refused(400, "9112 §7.1", "a size with a NUL", chunked("5\0\r\nhello\r\n0\r\n\r\n")),
        .refused(400, "9112 §7.1", "a size with a vertical tab", chunked("5\u{B}\r\nhello\r\n0\r\n\r\n")),
        .refused(
            400, "9112 §7.1", "a size of forty digits",
            chunked(String(repeating: "0", count: 39) + "5\r\nhello\r\n0\r\n\r\n"), butBoth: limit),
        .refused(400, "9112 §7.1", "a size of 2⁶⁴ + 5", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n")),
        .refused(
            400, "9112 §7.1", "a size of 2³² + 5, and not so many bytes",
            chunked("FFFFFFFFFFFFFFFB\r\nhello\r\n0\r\n\r\n")),
        .refused(
            400, "9112 §7.1.1", "an extension that ends in a bare LF", chunked("5;a\nhello\r\n0\r\n\r\n"),
            butBoth: bareLF),
        .refused(400, "9112 §7.1.1", "an extension with a bare CR", chunked("5;a\rb\r\nhello\r\n0\r\n\r\n")),
        .refused(
            400, "9112 §7.1.1", "an extension with a NUL", chunked("5;a\0b\r\nhello\r\n0\r\n\r\n"), butBoth: noText),
        .refused(
            400, "9112 §7.1.1", "an extension of 10,000 bytes",
            chunked("5;\(String(repeating: "a", count: 10_000))\r\nhello\r\n0\r\n\r\n"), butBoth: limit),
        .refused(400, "9112 §2.2", "a size that ends in a bare LF", chunked("5\nhello\r\n0\r\n\r\n"), butBoth: bareLF),
        .refused(400, "9112 §2.2", "a size that ends in a bare CR", chunked("5\rXhello\r\n0\r\n\r\n")),
        .refused(400, "9112 §7.1", "a chunk that is longer than its size", chunked("5\r\nhello!!0\r\n\r\n")),
        .refused(
            400, "9112 §7.1", "a chunk that is shorter than its size", chunked("6\r\nhello\r\n0\r\n\r\n"),
            butBoth: bareLF),
        .refused(400, "9112 §7.1", "a chunk that ends in a bare LF", chunked("5\r\nhello\n0\r\n\r\n"), butBoth: bareLF),
        .refused(400, "9112 §7.1", "a chunk that ends in a bare CR", chunked("5\r\nhello\r0\r\n\r\n")),
        .refused(400, "9112 §7.1", "a body that ends in a bare LF", chunked("5\r\nhello\r\n0\r\n\n"), butBoth: bareLF),
        .refused(400, "9112 §7.1", "the second request in place of the last chunk", chunked("5\r\nhello\r\n")),
        .refused(
            0, "9112 §8", "no last chunk, nor anything else",
            String(chunked("5\r\nhello\r\n").dropLast(second.count))),
        .refused(
            400, "9112 §7.1.2", "the second request in place of the trailers", chunked("5\r\nhello\r\n0\r\n"),
            butBoth: trailerName),
        .passes(
            "9110 §6.6.2", "a trailer that was announced",
            request(
                "POST /case HTTP/1.1", ["Host: h", "Trailer: X", "Transfer-Encoding: chunked"],
                "5\r\nhello\r\n0\r\nX: y\r\n\r\n"), as: helloSeen, secondSeen),
        .passes(
            "9110 §6.5.1", "a Host among the trailers means nothing",
            chunked("5\r\nhello\r\n0\r\nHost: evil\r\n\r\n"), as: helloSeen, secondSeen),
        .passes("9110 §6.5", "a trailer", chunked("5\r\nhello\r\n0\r\nX: y\r\n\r\n"), as: helloSeen, secondSeen),
        .passes(
            "9110 §6.5.1", "a length among the trailers means nothing",
            chunked("5\r\nhello\r\n0\r\nContent-Length: 42\r\n\r\n"), as: helloSeen, secondSeen),
        .passes(
            "9110 §6.5.1", "a coding among the trailers means nothing",
            chunked("5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"), as: helloSeen, secondSeen),
        .refused(
            400, "9112 §5.2", "a folded trailer", chunked("5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n"), butBoth: folding),
        .refused(
            400, "9112 §2.2", "a trailer that ends in a bare LF", chunked("5\r\nhello\r\n0\r\nX: y\n\r\n"),
            butBoth: bareLF),
        .refused(
            400, "9112 §7.1.2", "a trailer without a colon", chunked("5\r\nhello\r\n0\r\nX\r\n\r\n"),
            butBoth: trailerName),
        .refused(
            400, "9112 §5.1", "a trailer with a blank before its colon", chunked("5\r\nhello\r\n0\r\nX : y\r\n\r\n"),
            butBoth: trailerName),
        .refused(
            400, "9110 §5.5", "a trailer with a NUL", chunked("5\r\nhello\r\n0\r\nX: \0\r\n\r\n"), butBoth: noText),
    ]
}
