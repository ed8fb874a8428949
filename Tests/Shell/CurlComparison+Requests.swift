import Foundation
import Testing

/// What a request looks like on the wire: the server of these comparisons answers with the bytes that it was sent.
extension CurlComparison {
    private static let requestAnswers: [String: String] = {
        var answers: [String: String] = [:]
        for path in [
            "/", "/p", "/f", "/dir/f", "/%c3%a9", "/%c3%a9%20x", "/a1", "/a2", "/a4", "/a7", "/a08", "/a09", "/a10",
            "/ax", "/ay", "/ax1", "/ax2", "/ay1", "/ay2", "/a[1-3]", "/a[::1]", "/a[]",
        ] {
            answers[path] = "echo"
        }
        for (path, location) in [
            ("/300", "/p"), ("/301", "/p"), ("/302", "/p"), ("/303", "/p"), ("/304", "/p"), ("/307", "/p"),
            ("/308", "/p"), ("/302empty", ""), ("/302blank", "/p?a b"), ("/302text", "/é x"), ("/302tab", "/a\tb"),
        ] {
            answers[path] =
                "HTTP/1.1 \(path.dropFirst().prefix(3)) X\r\nLocation: \(location)\r\nContent-Length: 0\r\n"
                + "Connection: close\r\n\r\n"
        }
        return answers
    }()

    private func withEcho(_ body: (_ base: String) throws -> Void) throws {
        let server = try #require(CannedServer(Self.requestAnswers))
        defer { server.stop() }
        try body("http://127.0.0.1:\(server.port)")
    }

    /// RFC 9112 §6.3: a request with both framings is read in two ways, which is what smugglers live on.
    @Test(.timeLimit(.minutes(5)))
    func aBodyHasTheFramingThatItsFieldsSay() throws {
        try withEcho { base in
            let url = base + "/p"
            try compare([
                ["-s", "-H", "Transfer-Encoding: chunked", "-d", "abc", url],
                ["-s", "-H", "transfer-encoding: Chunked", "-d", "", url],
                ["-s", "-H", "Transfer-Encoding: gzip, chunked", "-d", "abc", url],
                ["-s", "-0", "-H", "Transfer-Encoding: chunked", "-d", "abc", url],
                ["-s", "-H", "Transfer-Encoding: chunked", "-T", "f", url],
                ["-s", "-H", "Transfer-Encoding: chunked", url],
                ["-s", "-H", "Transfer-Encoding:", "-d", "abc", url],
                ["-s", "-H", "Content-Length: 3", "-d", "abc", url],
            ])
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func redirectsKeepOrDropTheBody() throws {
        try withEcho { base in
            for status in [300, 301, 302, 303, 304, 307, 308] {
                let url = "\(base)/\(status)"
                try compare([
                    ["-sL", "-d", "a=b", url], ["-sL", "-X", "PUT", "-d", "a=b", url],
                    ["-sL", "-X", "POST", "-d", "a=b", url], ["-sL", "-X", "POST", url], ["-sL", "-T", "f", url],
                    ["-s", "-w", "%{redirect_url}\\n", url],
                ])
            }
            try compare([["-sIL", "-X", "PUT", base + "/302"]])
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func locationsAreReadAsTheyAreMeant() throws {
        try withEcho { base in
            for path in ["/302empty", "/302blank", "/302text", "/302tab"] {
                try compare([["-sSL", base + path], ["-s", "-w", "%{redirect_url}\\n", base + path]])
            }
            try compare([
                ["-sL", "--max-redirs", "-1", base + "/302"], ["-sSL", "--max-redirs", "0", base + "/302empty"],
            ])
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func formsAreEncodedAlsoFromFiles() throws {
        try withEcho { base in
            let url = base + "/p"
            let data = ["name@f", "@f", "=@f", "n=@f", "a b@f", "a b=c d", "=c d", "c d", "", "é=é", "a=b@f"]
            try compare(data.map { ["-s", "--data-urlencode", $0, url] })
            try compare([
                ["-s", "-G", "--data-urlencode", "name@f", url], ["-s", "-G", "--data-urlencode", "é", url + "?x=1"],
            ])
            try compare(
                [["-s", "--data-urlencode", "x@-", url], ["-s", "--data-urlencode", "@-", url]], input: "a&b")
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func uploadsToADirectoryKeepTheFilesName() throws {
        try withEcho { base in
            try compare([
                ["-s", "-H", "Expect:", "-T", "f", base + "/dir/"],
                ["-s", "-H", "Expect:", "-T", "f", base + "/dir/?q=1"],
                ["-s", "-H", "Expect:", "-T", "f", base], ["-s", "-H", "Expect:", "-T", "./f", base + "/"],
                ["-s", "-H", "Expect:", "-T", "f", base + "/p"],
            ])
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func credentialsAreDecodedAndHaveAPassword() throws {
        try withEcho { base in
            let place = base.dropFirst("http://".count)
            let users = ["u%40:p%3a", "u:p", "u", ":p", "u:", "", "a%zz:b", "u:p:q", "u%3ap", "é:ü", "a@b:c", "a%00:b"]
            try compare(users.map { ["-s", "http://\($0)@\(place)/p"] })
            try compare(["a:", "a:b", "a:b:c", ":b", "é:x"].map { ["-s", "-u", $0, base + "/p"] })
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func patternsInURLsStandForSeveral() throws {
        try withEcho { base in
            let format = ["-s", "-w", "%{url} %{url_effective} %{urlnum}\\n"]
            for pattern in [
                "/a[1-2]", "/a[08-10]", "/a[1-7:3]", "/a[x-y]", "/a{x,y}", "/a{x,y}[1-2]", "/a\\[1-3\\]", "/a[::1]",
                "/a[]",
                "/a[3-1]", "/a[1-3", "/a{x", "/a]", "/a}", "/a{}", "/a[y-x]", "/a[a-Z]", "/a[1-3:0]", "/a[1-2:5]",
                "/a[-]",
            ] {
                try compare([format + [base + pattern]])
            }
            try compare([
                ["-s", "-g", base + "/a[1-3]"], format + [base + "/a{x,y}", base + "/p"],
                ["-s", "-o", "o_#1_#2_#3", "-w", "%{filename_effective}\\n", base + "/a{x,y}[1-2]"],
            ])
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func valuesThatCurlTakesAreTaken() throws {
        try withEcho { base in
            let url = base + "/p"
            try compare([
                ["-s", "-m", "0", url], ["-s", "--connect-timeout", "0", url], ["-s", "--retry-delay", "0", url],
                ["-s", "-H", "E", url], ["-s", "-H", "", url], ["-s", "-w", "@f", url], ["-s", base + "/é"],
                ["-s", base + "/p?é=ü"], ["-s", "-w", "%{header_json}", url],
                ["-s", "-w", "%{onerror}failed", url], ["-s", "-e", "http://x/", "-w", "%{referer}|%{num_certs}", url],
            ])
        }
    }
}
