import Foundation
import Glibc
import Testing

/// The program's curl and the host's real one ask the same server the same things, over real sockets, and must print
/// the same and end with the same status.
///
/// Not compared: `-v`, whose remarks differ with every build of curl; times; the local port; the comment of a cookie
/// jar.
@Suite(.serialized, .enabled(if: HostTools.path(of: "curl") != nil && HostTools.sdlab != nil))
struct CurlComparison {
    /// Serves canned bytes by path, one connection after another, on a thread of its own.
    final class CannedServer: @unchecked Sendable {
        let port: UInt16
        private let listener: Int32
        private let answers: [String: String]

        init?(_ answers: [String: String]) {
            self.answers = answers
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            listener = descriptor
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let isBound = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, length) == 0 && Glibc.listen(descriptor, 16) == 0
                        && getsockname(
                            descriptor,
                            $0, &length) == 0
                }
            }
            port = UInt16(bigEndian: address.sin_port)
            guard isBound else { return nil }
            let thread = Thread { [self] in serve() }
            thread.start()
        }

        private func serve() {
            while true {
                let connection = accept(listener, nil, nil)
                if connection < 0 { return }
                answer(connection)
                close(connection)
            }
        }

        private func answer(_ connection: Int32) {
            var request: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 4096)
            func readMore() -> Bool {
                let count = read(connection, &buffer, buffer.count)
                if count > 0 { request += buffer[..<count] }
                return count > 0
            }
            while !String(decoding: request, as: UTF8.self).contains("\r\n\r\n") { if !readMore() { return } }
            let path =
                String(
                    decoding: request,
                    as: UTF8.self
                ).split(separator: " ").dropFirst().first.map(String.init) ?? "/"
            let text =
                answers[String(path.prefix { $0 != "?" })] ?? "HTTP/1.1 404 Not Found\r\nContent-Length"
                + ": 5\r\nConnection: close\r\n\r\nnone\n"
            if text == "reset" {
                var linger = linger(l_onoff: 1, l_linger: 0)
                setsockopt(connection, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
                return
            }
            let waits = String(decoding: request, as: UTF8.self).contains("Expect: 100")
            if waits, text == "echo" { send(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8), to: connection) }
            // What is left unread when it closes would be a reset.
            if !waits || text == "echo" {
                while !Self.isWhole(String(decoding: request, as: UTF8.self)) { if !readMore() { return } }
            }
            if text == "echo" {
                send(Array("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".utf8) + request, to: connection)
            } else {
                send(Array(text.utf8), to: connection)
            }
        }

        private func send(_ bytes: [UInt8], to connection: Int32) {
            _ = Glibc.send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        }

        /// Whether all of a request is there, by what its own head says. Chunks go before a length.
        private static func isWhole(_ request: String) -> Bool {
            guard let end = request.firstRange(of: "\r\n\r\n")?.upperBound else { return false }
            let head = request[..<end].lowercased()
            if head.contains("chunked"), !head.hasPrefix("get") { return request.hasSuffix("0\r\n\r\n") }
            let length = head.firstMatch(of: /content-length: *([0-9]+)/).flatMap { Int($0.output.1) } ?? 0
            return request[end...].utf8.count >= length
        }

        func stop() {
            shutdown(listener, Int32(SHUT_RDWR))
            close(listener)
        }
    }

    static func run(_ program: String, _ words: [String], in directory: URL, input: String = "") throws
        -> HostTools.Result
    {
        let process = Foundation.Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = words
        process.currentDirectoryURL = directory
        process.environment = ["PATH": "/usr/bin:/bin", "HOME": directory.path]
        let output = Pipe()
        let error = Pipe()
        process.standardOutput = output
        process.standardError = error
        let source = Pipe()
        process.standardInput = source
        try process.run()
        // Small enough for any pipe.
        source.fileHandleForWriting.write(Data(input.utf8))
        try source.fileHandleForWriting.close()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        let errorText = error.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return .init(
            output: String(decoding: text, as: UTF8.self),
            errorOutput: String(
                decoding: errorText,
                as: UTF8.self), status: Int(process.terminationStatus))
    }

    /// Milliseconds and their like differ from run to run.
    private static func withoutTimes(_ text: String) -> String {
        text.replacing(/after \d+ ms/, with: "after N ms").replacing(
            /after \d+ milliseconds/,
            with: "after N milliseconds"
        ).replacing(/Date: [^\r\n]*/, with: "Date: D")
    }

    func compare(_ commands: [[String]], input: String = "") throws {
        let directory = try HostTools.temporaryDirectory()
        defer { try? FileManager.default.removeItem(at: directory) }
        try Data("line1\nline2\n".utf8).write(to: directory.appendingPathComponent("f"))
        let real = try #require(HostTools.path(of: "curl"))
        let ours = try #require(HostTools.sdlab).path
        for words in commands {
            let expected = try Self.run(real, words, in: directory, input: input)
            let found = try Self.run(ours, ["curl"] + words, in: directory, input: input)
            let line = words.joined(separator: " ")
            #expect(found.status == expected.status, "\(line)\nreal: \(expected)\nhere: \(found)")
            #expect(Self.withoutTimes(found.output) == Self.withoutTimes(expected.output), "\(line)")
            #expect(Self.withoutTimes(found.errorOutput) == Self.withoutTimes(expected.errorOutput), "\(line)")
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func cannedAnswersComeOutTheSame() throws {
        let close = "Connection: close\r\n"
        let server = try #require(
            CannedServer([
                "/": "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Type: text/plain\r\n\(close)\r\nhello\n",
                "/nolength": "HTTP/1.1 200 OK\r\n\(close)\r\nuntil the end",
                "/chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\(close)\r\n5\r\nhello\r\n3;x=y"
                    + "\r\n, w\r\n0\r\nTrailer: t\r\n\r\n",
                "/302": "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 4\r\n\(close)\r\ngo!\n",
                "/303": "HTTP/1.1 303 See Other\r\nLocation: ./nolength?x=1\r\nContent-Length: 0\r\n\(close)\r\n",
                "/307": "HTTP/1.1 307 Temporary Redirect\r\nLocation: /echo307\r\nContent-Length: 0\r\n\(close)\r\n",
                "/loop": "HTTP/1.1 301 Moved Permanently\r\nLocation: /loop\r\nContent-Length: 0\r\n\(close)\r\n",
                "/500": "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\(close)\r\noops\n",
                "/404": "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\(close)\r\nnone\n",
                "/204": "HTTP/1.1 204 No Content\r\n\(close)\r\n",
                "/short": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\(close)\r\n0123456789",
                "/cutchunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\(close)\r\n5\r\nhello\r\n",
                "/empty": "", "/reset": "reset", "/garbage": "what do you want\r\n\r\n",
                "/cookie": "HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\nContent-Length: 0"
                    + "\r\n\(close)\r\n",
                "/http10": "HTTP/1.0 200 OK\r\n\r\nold\n",
                "/continue": "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\(close)\r\nok",
                "/early": "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n"
                    + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\(close)\r\nok",
                "/busy": "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\(close)\r\n",
                "/noreason": "HTTP/1.1 200 \r\nContent-Length: 2\r\n\(close)\r\nok",
            ]))
        defer { server.stop() }
        let base = "http://127.0.0.1:\(server.port)"
        try compare([
            ["-s", base + "/"], ["-sS", base + "/"], ["-si", base + "/"], ["-s", base + "/nolength"],
            ["-si", base + "/chunked"],
            [
                "-s",
                base + "/chunked",
            ], ["-s", base + "/302"], ["-sL", base + "/302"], ["-siL", base + "/302"],
            [
                "-sL",
                base + "/303",
            ], ["-sL", "-d", "a=1", base + "/302"], ["-sS", "-L", "--max-redirs", "2", base + "/loop"],
            ["-sSf", base + "/500"], ["-sSf", base + "/404"], ["-sS", "--fail-with-body", base + "/404"],
            [
                "-s",
                base + "/500",
            ], ["-s", base + "/204"], ["-sS", base + "/short"], ["-sS", base + "/cutchunk"],
            [
                "-sS",
                base + "/empty",
            ], ["-sS", base + "/reset"], ["-sS", base + "/garbage"], ["-s", base + "/http10"],
            [
                "-s",
                base + "/continue",
            ], ["-si", base + "/continue"], ["-s", base + "/noreason"],
            ["-si", base + "/early"], ["-sS", base + "/early"], ["-sI", base + "/early"],
            ["--no-progress-meter", "--retry", "1", "--retry-delay", "2", base + "/busy"],
            [
                "-s", "-o", "/dev/null", "-w",
                "%{http_code} %{size_download} %{size_header} %{num_connects} %{num_redirects} %{content_type} %{m"
                    + "ethod} %{scheme} %{http_version} %{remote_ip} %{remote_port} %{exitcode} %{errormsg} %{url_effe"
                    + "ctive} %{redirect_url}\\n", base + "/",
            ],
            ["-s", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url} %{num_headers}\\n", base + "/302"],
            [
                "-sL",
                "-o", "/dev/null", "-w", "%{http_code} %{url_effective} %{num_redirects} %{size_header}\\n",
                base + "/302",
            ], ["-s", "-w", "%{http_code} %{exitcode}|%{errormsg}\\n", base + "/empty"],
            [
                "-s", "-w",
                "\\t%%\\q%{nosuch}|\\n", base + "/",
            ],
            [
                "-s", "-w", "%{size_upload} %{size_request}\\n", "-d", "abc",
                base + "/",
            ],
            ["-s", "-w", "%header{content-type} %header{nosuch}|\\n", base + "/"],
            [
                "-sS", base + "/",
                base + "/short",
            ], ["-sS", base + "/short", base + "/"], ["-s", "-I", base + "/204"],
        ])
    }

    @Test(.timeLimit(.minutes(5)))
    func requestsToTheBackendAreTheSame() throws {
        let program = try #require(HostTools.sdlab)
        // Nobody listens on a port that was free a moment ago: the next process takes it.
        let probe = try #require(CannedServer([:]))
        let port = probe.port
        probe.stop()
        let backend = Foundation.Process()
        backend.executableURL = program
        backend.arguments = ["backend", "--port", "\(port)", "--name", "Server-A"]
        backend.standardOutput = FileHandle.nullDevice
        backend.standardError = FileHandle.nullDevice
        try backend.run()
        defer {
            backend.terminate()
            backend.waitUntilExit()
        }
        let base = "http://127.0.0.1:\(port)"
        let directory = FileManager.default.temporaryDirectory
        let deadline = Date().addingTimeInterval(10)
        while try Self.run(HostTools.path(of: "curl")!, ["-s", base + "/health"], in: directory).status != 0,
            Date() < deadline
        {}
        let echo = base + "/echo"
        try compare([
            ["-s", base + "/"], ["-si", base + "/"], ["-sI", base + "/"], ["-s", echo],
            [
                "-s",
                echo + "?a=1&b=2#frag",
            ], ["-s", base + "/a/../echo"], ["-s", "-X", "DELETE", echo],
            [
                "-s", "-d", "a=1",
                "-d", "b=2", echo,
            ], ["-s", "-d", "@f", echo], ["-s", "--data-binary", "@f", echo],
            [
                "-s", "--data-raw",
                "@f", echo,
            ], ["-s", "--data-urlencode", "q=a b&c/é", echo],
            ["-s", "-G", "-d", "q=1", echo], ["-s", "-G", "-d", "q=1", echo + "?x=2"],
            [
                "-s", "-H", "X-A: 1", "-H",
                "X-B: 2", echo,
            ], ["-s", "-H", "Host: other", echo], ["-s", "-H", "Accept:", echo],
            [
                "-s", "-H", "Empty;",
                echo,
            ], ["-s", "-A", "me", echo], ["-s", "-e", "http://x/", echo], ["-s", "-u", "bob:secret", echo],
            ["-s", "http://bob:secret@127.0.0.1:\(port)/echo"],
            ["-s", "-b", "a=1; b=2", echo], ["-s", "--json", "{\"a\":1}", echo],
            [
                "-s", "-X", "PUT", "-d", "x",
                echo,
            ], ["-s", "-T", "f", echo], ["-s", "-0", echo], ["-s", base + "/status/418"],
            [
                "-s",
                base + "/bytes/100000",
            ], ["-sS", "-m", "0.2", base + "/delay/5s"], ["-sS", "-f", base + "/status/503"],
            ["-s", "-H", "Content-Type: text/plain", "-d", "x", echo],
            ["-s", "-d", "", echo], ["-s", "-X", "POST", echo], ["-s", "-H", "User-Agent: q", echo],
            [
                "-s", "-A", "",
                echo,
            ], ["-s", base, base + "/health"], ["-s", "127.0.0.1:\(port)/echo"],
            [
                "-s", "-w",
                "%{num_connects}\\n", base + "/", base + "/",
            ],
        ])
    }

    @Test(.timeLimit(.minutes(5)))
    func bodiesComeFromStandardInput() throws {
        let server = try #require(
            CannedServer([
                "/put":
                    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
            ]))
        defer { server.stop() }
        let url = "http://127.0.0.1:\(server.port)/put"
        let shown = ["-s", "-w", "%{size_upload}|%{size_request}|%{http_code}\\n", url]
        try compare(
            [
                ["-d", "@-"] + shown, ["--data-binary", "@-"] + shown, ["--json", "@-"] + shown,
                ["-d", "a=1", "-d", "@-"] + shown, ["-d", "@-", "-d", "@-"] + shown, ["-G", "-d", "@-"] + shown,
            ], input: "two\r\nlines\n")
        try compare([["-d", "@-"] + shown, ["--data-binary", "@-"] + shown], input: "")
    }

    @Test(.timeLimit(.minutes(5)))
    func failuresBeforeTheFirstByteAreTheSame() throws {
        let probe = try #require(CannedServer([:]))
        let port = probe.port
        probe.stop()
        try compare([
            ["-sS", "http://127.0.0.1:\(port)/"], ["-sS", "http://nosuch.invalid/"], ["-sS", "ftpx://a/"],
            [
                "-sS",
                "http://127.0.0.1:\(port)/", "-f",
            ],
            [
                "-sS", "--retry", "1", "--retry-delay", "1",
                "http://127.0.0.1:\(port)/",
            ],
            [
                "-s", "-w", "%{http_code} %{exitcode} %{num_connects}\\n",
                "http://127.0.0.1:\(port)/",
            ],
        ])
    }
}
