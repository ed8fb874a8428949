import Foundation
import Testing

/// Answers that no decent server gives: what the program's curl and the real one make of them.
extension CurlComparison {
    private static let badAnswers: [(name: String, bytes: String)] = {
        let ok = "HTTP/1.1 200 OK\r\n"
        let close = "Connection: close\r\n\r\n"
        let chunked = ok + "Transfer-Encoding: chunked\r\n" + close
        func length(_ field: String) -> String { ok + field + "\r\n" + close + "ok!" }
        func line(_ line: String) -> String { line + "\r\nContent-Length: 2\r\n" + close + "ok" }
        return [
            ("a size that is none", chunked + "zz\r\nhello\r\n"),
            ("a chunk longer than its size", chunked + "5\r\nhelloXX5\r\n"),
            ("a later size that is none", chunked + "5\r\nhello\r\nzz\r\n"),
            ("a size of nineteen digits", chunked + "fffffffffffffffffff\r\nhello\r\n"),
            ("three bytes", "abc"), ("the beginning of a line", "HTT"), ("more of it", "HTTP/1."),
            ("most of it", "HTTP/1.1 200 O"), ("another beginning", "abcdefghij"),
            ("099", line("HTTP/1.1 099 X")), ("1000", line("HTTP/1.1 1000 X")), ("20", line("HTTP/1.1 20 X")),
            ("2x0", line("HTTP/1.1 2x0 X")), ("HTTP/2", line("HTTP/2 200 OK")), ("HTTP/2.0", line("HTTP/2.0 200 OK")),
            ("bare lines", "HTTP/1.1 200 OK\nContent-Length: 2\nX: y\nConnection: close\n\nok"),
            ("some bare lines", "HTTP/1.1 200 OK\r\nContent-Length: 2\nX: y\r\nConnection: close\n\r\nok"),
            ("a bare end", "HTTP/1.1 200 OK\nContent-Length: 2\r\nConnection: close\r\n\nok"),
            ("two lengths", length("Content-Length: 2\r\nContent-Length: 3")),
            ("two lengths, the shorter last", length("Content-Length: 3\r\nContent-Length: 2")),
            ("3x", length("Content-Length: 3x")), ("x3", length("Content-Length: x3")),
            ("-3", length("Content-Length: -3")), ("no length", length("Content-Length:")),
            ("too long", length("Content-Length: 99999999999999999999")), ("3, 3", length("Content-Length: 3, 3")),
            ("a blank before the colon", length("Content-Length : 2")),
            (
                "both framings",
                ok + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n" + close + "5\r\nhello\r\n0\r\n\r\n"
            ),
            ("no colon", length("Nocolon")), ("a name of two words", length("X Y: z")), ("NUL", length("X: a\0b")),
            ("a control character", length("X: a\u{1}b")),
        ]
    }()

    @Test(.timeLimit(.minutes(5)))
    func badAnswersEndTheSame() throws {
        var byPath: [String: String] = [:]
        for (index, answer) in Self.badAnswers.enumerated() { byPath["/\(index)"] = answer.bytes }
        let server = try #require(CannedServer(byPath))
        defer { server.stop() }
        // The number is the place in the list above.
        try compare(Self.badAnswers.indices.map { ["-sS", "http://127.0.0.1:\(server.port)/\($0)"] })
    }
}
