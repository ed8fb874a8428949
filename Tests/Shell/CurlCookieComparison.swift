import Foundation
import Testing

/// Cookies as the program's curl and the host's real one take them from a server, keep them in a file, and send them.
@Suite(.serialized, .enabled(if: HostTools.path(of: "curl") != nil && HostTools.sdlab != nil))
struct CurlCookieComparison {
    /// What a server may put behind `Set-Cookie:`.
    private static let lines = [
        "a=1", " a = 1 ", "a=\"q\"", "a", "=v", "a=", "a=b=c", "a=1; Path=/x", "a=1; Path=/x/", "a=1; Path=\"/x\"",
        "a=1; Path=x", "a=1; Path=", "a=1; Path", "a=1; path = /y ", "a=1 ; Path=/y", "a=1;;Path=/y",
        "a=1; =x; Path=/y",
        "a=1; Path=/x; Path=/y", "a=1; Domain=.example.com", "a=1; Domain=example.com", "a=1; Domain=com",
        "a=1; Domain=other.com", "a=1; Domain=", "a=1; Domain", "a=1; Domain=a.example.com",
        "a=1; Domain=b.a.example.com",
        "a=1; Domain=ample.com", "a=1; DOMAIN=EXAMPLE.COM", "a=1; Expires=Wed, 09 Jun 2060 10:18:14 GMT",
        "a=1; Expires=Wednesday, 09-Jun-60 10:18:14 GMT", "a=1; Expires=Wed Jun  9 10:18:14 2060",
        "a=1; Expires=09 Jun 2060", "a=1; Expires=2060-06-09", "a=1; Expires=20600609 10:18", "a=1; Expires=Jun 9 2060",
        "a=1; Expires=9 Jun 71", "a=1; Expires=9 Jun 60", "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "a=1; Expires=Thu, 01 Jan 1960 00:00:00 GMT", "a=1; Expires=nonsense", "a=1; Expires=",
        "a=1; Expires=Wed, 31 Feb 2060 10:00:00 +0200", "a=1; Expires=Wed, 9 Jun 2060 10:00:00 -0130",
        "a=1; Expires=Wed, 9 Jun 2060 10:00:00 EST", "a=1; Expires=Wed, 9 Jun 2060 10:00:00 A",
        "a=1; Expires=Wed, 9 Jun 2060 10:00:00 X", "a=1; Expires=Wed, 9 Jun 2060 25:00:00",
        "a=1; Expires=Wed, 9 Jun 2060 1:2:3", "a=1; Expires=2060 9 Jun", "a=1; Expires=Wed, 9 Jun 1500",
        "a=1; Expires=Fri, 31 Dec 9999 23:59:59 GMT", "a=1; Expires=Wed, 09 June 2060",
        "a=1; Expires=9 Jun 2060 10:18 PM",
        "a=1; Max-Age=1000", "a=1; Max-Age=0", "a=1; Max-Age=-1", "a=1; Max-Age=abc", "a=1; Max-Age=1000x",
        "a=1; Max-Age=\"1000\"", "a=1; Max-Age=9223372036854775807", "a=1; Max-Age=99999999999999999999",
        "a=1; Max-Age=-99999999999999999999", "a=1; Max-Age=+1000", "a=1; Max-Age=", "a=1; Max-Age",
        "a=1; Max-Age=1000; Expires=Wed, 09 Jun 2060 10:18:14 GMT",
        "a=1; Expires=Wed, 09 Jun 2060 10:18:14 GMT; Max-Age=1000", "a=1; Secure", "a=1; secure=", "a=1; secure=x",
        "a=1; HttpOnly", "a=1; httponly=", "a=1; HttpOnly; Secure; Path=/", "__Host-a=1; Secure; Path=/",
        "__Host-a=1; Path=/", "__Host-a=1; Secure; Path=/x", "__Host-a=1; Secure", "__HOST-a=1; Path=/",
        "__Host-a=1; Secure; Path=/; Domain=example.com", "__Secure-a=1; Secure", "__Secure-a=1", "a=1\tb", "a\tb=1",
        "a=1; Path=/x\ty", "a=\u{1}", "a=é", "a=1, b=2", "a=1; SameSite=Lax; Version=1; Comment=x",
    ]

    /// The jar's lines without comments, in order; ends near the present are told to ten seconds.
    private static func jar(_ directory: URL, _ name: String) -> [String] {
        let text = (try? String(contentsOf: directory.appendingPathComponent(name), encoding: .utf8)) ?? ""
        let now = Int(Date().timeIntervalSince1970)
        return text.split(separator: "\n").filter { !$0.hasPrefix("# ") }.map { line in
            var columns = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            if columns.count == 7, let end = Int(columns[4]), abs(end - now) < 100_000 {
                columns[4] = "now+\((end - now + 5) / 10 * 10)"
            }
            return columns.joined(separator: "\t")
        }.sorted()
    }

    private func compare(
        _ answers: [String: String], _ commands: [(name: String, words: (_ base: String) -> [String])],
        files: [String: String] = [:]
    ) throws {
        let server = try #require(CurlComparison.CannedServer(answers))
        defer { server.stop() }
        let directory = try HostTools.temporaryDirectory()
        defer { try? FileManager.default.removeItem(at: directory) }
        for (name, text) in files { try Data(text.utf8).write(to: directory.appendingPathComponent(name)) }
        let real = try #require(HostTools.path(of: "curl"))
        let ours = try #require(HostTools.sdlab).path
        for (name, words) in commands {
            let words = words("http://127.0.0.1:\(server.port)") + ["-s", "-v"]
            let expected = try CurlComparison.run(real, words + ["-c", "real.jar"], in: directory)
            let found = try CurlComparison.run(ours, ["curl"] + words + ["-c", "our.jar"], in: directory)
            #expect(Self.jar(directory, "our.jar") == Self.jar(directory, "real.jar"), "\(name)")
            let sent = { (text: String) in text.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("> Cookie") } }
            #expect(sent(found.errorOutput) == sent(expected.errorOutput), "\(name)")
        }
    }

    @Test("what is taken from a response, and how it is kept", .timeLimit(.minutes(2)))
    func taken() throws {
        var answers: [String: String] = [:]
        var commands: [(name: String, words: (_ base: String) -> [String])] = []
        for (index, line) in Self.lines.enumerated() {
            let path = "/dir/\(index)"
            answers[path] =
                "HTTP/1.1 200 OK\r\nSet-Cookie: \(line)\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            commands.append((line, { [$0 + path] }))
            commands.append((line + " for a.example.com", { ["-H", "Host: a.example.com:81", $0 + path] }))
        }
        try compare(answers, commands)
    }

    @Test("what is replaced, and what is sent in which order", .timeLimit(.minutes(2)))
    func sent() throws {
        func answer(_ lines: [String]) -> String {
            "HTTP/1.1 200 OK\r\n" + lines.map { "Set-Cookie: \($0)\r\n" }.joined()
                + "Content-Length: 0\r\nConnection: close\r\n\r\n"
        }
        let answers = [
            "/set": answer([
                "a=1", "b=1; Path=/", "c=1; Path=/set", "long=1; Path=/", "B=2; Path=/", "b=3; Path=/",
                "d=1; Path=/other",
                "e=1; Secure", "f=1; Domain=127.0.0.1", "g=1; Path=/se", "h=1; Max-Age=0", "a=2",
            ]),
            "/set/deeper": answer(["z=1"]), "/delete": answer(["b=; Max-Age=0; Path=/"]), "/sett": answer([]),
        ]
        let file = """
            # Netscape HTTP Cookie File
            #HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t0\tfirst\t1
            127.0.0.1\tFALSE\t/set\tFALSE\t4000000000\tsecond\t2
            127.0.0.1\tFALSE\t/\tFALSE\t1000\tpast\t3
            .127.0.0.1\tTRUE\t/\tTRUE\t0\tb\t4
            a.example.com\tFALSE\t/\tTRUE\t0\tsafe\t5
            .example.com\tTRUE\t/\tFALSE\t0\twide\t6
            .example.com\tTRUE\t/\tFALSE\t0\tempty\t
            127.0.0.1\tFALSE\t/\tFALSE\tx\tbad\t7
            127.0.0.1\tFALSE\t/\tFALSE\t0\t__Host-no\t8
            not a line
            """
        try compare(
            answers,
            [
                ("twice", { [$0 + "/set", $0 + "/set/deeper", $0 + "/sett", $0 + "/", $0 + "/delete", $0 + "/set"] }),
                ("file", { ["-b", "file", $0 + "/set", $0 + "/"] }),
                ("file and data", { ["-b", "file", "-b", "x=1; y=2", $0 + "/set"] }),
                ("another host", { ["-b", "file", "-H", "Host: a.example.com", $0 + "/set", $0 + "/x"] }),
                ("below", { ["-b", "file", "-H", "Host: b.a.example.com", $0 + "/x"] }),
            ], files: ["file": file])
    }
}
