import KernelStructures
import KernelWorld
import ShellSession
import Testing

/// A node that says what it was told to, whatever it is asked: the servers that no decent server is.
final class RawService {
    enum Behaviour {
        /// These bytes after the first ones have arrived, then the end.
        case answer(String)
        /// These bytes, and then a reset.
        case answerAndReset(String)
        /// These bytes, and then nothing for ever.
        case answerAndHang(String)
        /// Bytes without end.
        case endless(String)
        case closeAtOnce, resetAtOnce, silence
    }

    private final class Connection: StreamHandler {
        let behaviour: Behaviour
        init(_ behaviour: Behaviour) { self.behaviour = behaviour }

        func streamOpened(_ stream: Stream) {
            switch behaviour {
            case .closeAtOnce: stream.close()
            case .resetAtOnce: stream.abort()
            default: break
            }
        }

        func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
            switch behaviour {
            case .answer(let text):
                stream.write(text)
                stream.close()
            case .answerAndReset(let text):
                stream.write(text)
                stream.node.after(.milliseconds(10)) { stream.abort() }
            case .answerAndHang(let text): stream.write(text)
            case .endless(let text):
                stream.write("HTTP/1.1 200 OK\r\n\r\n")
                go(stream, text)
            case .closeAtOnce, .resetAtOnce, .silence: break
            }
        }

        private func go(_ stream: Stream, _ text: String) {
            if stream.isClosed { return }
            if !stream.isCongested { stream.write(text) }
            stream.node.after(.milliseconds(1)) { [self] in go(stream, text) }
        }

        func streamEnded(_ stream: Stream) { stream.close() }
    }

    @discardableResult
    init(_ shell: LabShell, _ name: String, port: UInt16, _ behaviour: Behaviour) throws {
        let node = try shell.world.nodes.start(name)
        _ = try node.listen(on: port) { _ in Connection(behaviour) }
    }
}

/// The lab's curl: flags, messages and exit codes are those of curl 7.88.
@Suite struct CurlTests {
    private func lab() -> LabShell {
        let shell = LabShell()
        shell.run("backend --port 8081 --name A &")
        return shell
    }

    // MARK: Requests

    @Test func theRequestIsTheOneThatCurlSends() {
        let shell = lab()
        #expect(
            shell.output("curl -s A:8081/echo").replacing(
                "\r\n",
                with: "\n") == "GET /echo HTTP/1.1\nHost: A:8081\nUser-Agent: curl/7.88.1\nAccept: */*\n\n")
        #expect(
            shell.output("curl -s -d a=1 -d 'b=2 3' A:8081/echo").replacing(
                "\r\n",
                with: "\n") == "POST /echo HTTP/1.1\nHost: A:8081\nUser-Agent: curl/7.88.1\nAccept: */*\nContent-Lengt"
                + "h: 9\nContent-Type: application/x-www-form-urlencoded\n\na=1&b=2 3")
    }

    @Test(arguments: [
        ("-X DELETE", "DELETE /echo HTTP/1.1"), ("-A me/1.0", "User-Agent: me/1.0"),
        (
            "-e http://x/",
            "Referer: http://x/"
        ), ("-u bob:secret", "Authorization: Basic Ym9iOnNlY3JldA=="),
        (
            "-H 'X-Tenant: 7'",
            "X-Tenant: 7"
        ), ("-H 'Host: other'", "Host: other"),
        ("-b 'a=1; b=2'", "Cookie: a=1; b=2"), ("--json '{\"a\":1}'", "Content-Type: application/json"),
        ("-G -d q=1 -d r=2", "GET /echo?q=1&r=2 HTTP/1.1"), ("--data-urlencode 'q=a b&c'", "q=a+b%26c"),
        ("-H 'Empty;'", "Empty:"), ("-0", "GET /echo HTTP/1.0"),
        ("-X PUT -d x", "PUT /echo HTTP/1.1"), ("--data-raw @f", "@f"), ("-d @f", "line1line2"),
        (
            "--data-binary @f",
            "line1\nline2\n"
        ), ("-T f", "PUT /echo HTTP/1.1"), ("-H 'User-Agent: z'", "User-Agent: z"),
    ])
    func everyFlagOfARequestIsSeenByTheServer(_ flags: String, _ part: String) {
        let shell = lab()
        shell.place("line1\nline2\n", at: "/f")
        let outcome = shell.run("curl -s \(flags) http://A:8081/echo")
        #expect(outcome.status == 0)
        #expect(outcome.output.replacing("\r\n", with: "\n").contains(part), "\(outcome.output)")
    }

    @Test func aFieldWithoutAValueLeavesItOut() {
        let shell = lab()
        #expect(!shell.output("curl -s -H 'User-Agent:' -H 'Accept:' A:8081/echo").contains("User-Agent"))
        #expect(shell.output("curl -s -d x -H 'Content-Type:' A:8081/echo").contains("Content-Type") == false)
    }

    @Test(arguments: [
        ("-i", "HTTP/1.1 200 OK"), ("-I", "HTTP/1.1 200 OK"), ("-w '%{http_code}'", "Response from A\n200"),
        (
            "-o f",
            ""
        ), ("-o /dev/null -w '%{size_download}\\n'", "16\n"), ("-f", "Response from A"), ("-k", "Response from A"),
        ("-N --compressed -g", "Response from A"), ("--http1.1", "Response from A"),
    ])
    func everyFlagOfTheAnswerIsUnderstood(_ flags: String, _ start: String) {
        let outcome = lab().run("curl -s \(flags) A:8081/")
        #expect(outcome.output.hasPrefix(start), "\(outcome.output)")
        #expect(outcome.errorOutput == "")
        #expect(outcome.status == 0)
    }

    @Test func aHeadRequestShowsNoBody() {
        #expect(!lab().output("curl -sI A:8081/").contains("Response from"))
        #expect(LabShell().run("curl -I -d x A:8081/").status == 2)
    }

    @Test func verboseShowsBothDirections() {
        let text = lab().run("curl -s -v A:8081/").errorOutput
        for part in [
            "*   Trying 127.", "* Connected to A (127.", "> GET / HTTP/1.1\n", "> Host: A:8081\n",
            ">\u{20}\n", "< HTTP/1.1 200 OK\n", "< Content-Length: 16\n", "* Connection #0 to host A left intact\n",
        ] {
            #expect(text.replacing("\r\n", with: "\n").contains(part), "\(part): \(text)")
        }
    }

    // MARK: Failures

    @Test(arguments: [
        ("nosuch:1", 6, "Could not resolve host: nosuch"), ("http://nosuch/", 6, "Could not resolve host: nosuch"),
        ("localhost:3", 7, "Failed to connect to localhost port 3 after 0 ms: Couldn't connect to server"),
        ("A:9999", 7, "Failed to connect to A port 9999 after 0 ms: Couldn't connect to server"),
        ("127.0.0.1:2", 7, "Failed to connect to 127.0.0.1 port 2 after 0 ms: Couldn't connect to server"),
        ("https://A:8081/", 35, "OpenSSL/"),
        ("ftp://A/", 1, "Protocol \"ftp\" not supported"),
        ("http://", 3, "URL using bad/illegal format or missing URL"),
        ("http://A:99999/", 3, "URL using bad/illegal format or missing URL"),
        ("http://A:x/", 3, "URL using bad/illegal format or missing URL"),
        ("'http://A B/'", 3, "URL using bad/illegal format or missing URL"),
        ("http://A:0/", 3, "URL using bad/illegal format or missing URL"),
        ("-m 1 A:8081/delay/5s", 28, "Operation timed out after 1000 milliseconds with 0 bytes received"),
        ("-f A:8081/status/404", 22, "The requested URL returned error: 404"),
        (
            "-d @nosuch A:8081/", 26,
            "Failed to open nosuch"
        ), ("-T nosuch A:8081/", 26, "Failed to open nosuch"),
        ("-o nosuch/f A:8081/", 23, "Failure writing output to destination"),
        (
            "-O A:8081/", 23,
            "Remote file name has no length!"
        ), ("garbage:1/", 1, "Received HTTP/0.9 when not allowed"),
        (
            "empty:1/", 52,
            "Empty reply from server"
        ), ("reset:1/", 56, "Recv failure: Connection reset by peer"),
        ("short:1/", 18, "transfer closed with 90 bytes remaining to read"),
        (
            "chunk:1/", 18,
            "transfer closed with outstanding read data remaining"
        ),
        (
            "-m 3 silent:1/", 28,
            "Operation timed out after 3000 milliseconds with 0 bytes received"
        ),
        (
            "-m 3 hang:1/", 28,
            "Operation timed out after 3000 milliseconds with 5 out of 100 bytes received"
        ),
        ("-m 2 endless:1/ -o /dev/null", 28, "Operation timed out after 2000 milliseconds with "),
        (
            "midreset:1/",
            56, "Recv failure: Connection reset by peer"
        ),
    ])
    func everyFailureHasCurlsCodeAndMessage(_ words: String, _ code: Int, _ message: String) throws {
        let shell = lab()
        try RawService(shell, "garbage", port: 1, .answer("what do you want\r\n\r\n"))
        try RawService(shell, "empty", port: 1, .closeAtOnce)
        try RawService(shell, "reset", port: 1, .resetAtOnce)
        try RawService(shell, "short", port: 1, .answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789"))
        try RawService(
            shell, "chunk", port: 1,
            .answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"))
        try RawService(shell, "silent", port: 1, .silence)
        try RawService(shell, "hang", port: 1, .answerAndHang("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"))
        try RawService(
            shell, "midreset", port: 1,
            .answerAndReset("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"))
        try RawService(shell, "endless", port: 1, .endless(String(repeating: "x", count: 1000)))
        let outcome = shell.run("curl \(words)")
        #expect(outcome.status == code, "\(outcome.errorOutput)")
        // A file that cannot be read is said by the command itself.
        #expect(outcome.errorOutput.hasPrefix("curl: (\(code)) \(message)"), "\(outcome.errorOutput)")
        #expect(shell.run("curl -s \(words)").errorOutput == "" || code == 26)
        #expect(shell.run("curl -sS \(words)").errorOutput.contains(message))
    }

    @Test func aServerThatAnswersWithoutEndIsReadAsLongAsSomebodyListens() throws {
        let shell = lab()
        try RawService(shell, "endless", port: 1, .endless("line\n"))
        #expect(shell.output("curl -s endless:1/ | head -n 2") == "line\nline\n")
    }

    // MARK: Timeouts and retries

    @Test func maxTimeCountsEverythingAndConnectTimeoutOnlyConnecting() {
        let shell = lab()
        shell.run("inject blackhole on A")
        for (flags, seconds) in [("-m 3", 3.0), ("--connect-timeout 2", 2.0), ("-m 0.5", 0.5), ("", 127.0)] {
            let before = shell.world.now
            let outcome = shell.run("curl -s \(flags) A:8081/")
            #expect(outcome.status == 28)
            #expect(abs((shell.world.now - before).seconds - seconds) < 0.1, "\(flags)")
        }
        shell.run("calm")
        #expect(shell.run("curl -s --connect-timeout 1 A:8081/delay/5s").status == 0)
    }

    @Test func retriesWaitLongerEachTime() {
        let shell = lab()
        let before = shell.world.now
        let outcome = shell.run("curl --retry 3 A:8081/status/503")
        #expect((shell.world.now - before).seconds >= 7 && (shell.world.now - before).seconds < 7.5)
        #expect(outcome.status == 0)
        #expect(
            outcome.errorOutput.split(separator: "\n").map(String.init) == [
                "Warning: Problem : HTTP error. Will retry in 1 seconds. 3 retries left.",
                "Warning: Problem : HTTP error. Will retry in 2 seconds. 2 retries left.",
                "Warning: Problem : HTTP error. Will retry in 4 seconds. 1 retries left.",
            ], "\(outcome.errorOutput)")
    }

    @Test func aRetryStopsWhenItSucceeds() {
        let shell = lab()
        shell.run("inject fail http 503 first 2 on A")
        #expect(shell.output("curl -s -o /dev/null -w '%{http_code}' --retry 5 A:8081/") == "200")
        #expect(shell.run("curl -s --retry 2 localhost:1").status == 7)
        let before = shell.world.now
        shell.run("curl -s --retry 2 --retry-connrefused --retry-delay 3 localhost:1")
        #expect((shell.world.now - before).seconds >= 6)
        #expect(shell.run("curl -s --retry 3 A:8081/status/404").status == 0)
    }

    // MARK: Redirects, cookies

    @Test func redirectsAreFollowedWithL() throws {
        let shell = lab()
        try RawService(
            shell, "r", port: 80,
            .answer("HTTP/1.1 302 Found\r\nLocation: http://A:8081/echo\r\nContent-Length: 3\r\n\r\nno\n"))
        try RawService(
            shell, "loop", port: 80,
            .answer("HTTP/1.1 301 Moved Permanently\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"))
        try RawService(
            shell, "keep", port: 80,
            .answer("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://A:8081/echo\r\nContent-Length: 0\r\n\r\n"))
        #expect(shell.output("curl -s http://r/") == "no\n")
        #expect(shell.output("curl -sL http://r/").hasPrefix("GET /echo HTTP/1.1"))
        #expect(shell.output("curl -sL -d x=1 http://r/").hasPrefix("GET /echo HTTP/1.1"))
        #expect(shell.output("curl -sL -d x=1 http://keep/").hasPrefix("POST /echo HTTP/1.1"))
        #expect(shell.output("curl -sL -u a:b http://r/").contains("Authorization") == false)
        let outcome = shell.run("curl -L http://loop/")
        #expect(outcome.status == 47)
        #expect(outcome.errorOutput == "curl: (47) Maximum (50) redirects followed\n")
        #expect(
            shell.run("curl -sSL --max-redirs 3 http://loop/").errorOutput == "curl: (47) Maximum (3) redi"
                + "rects followed\n")
        #expect(
            shell.output("curl -s -o /dev/null -w '%{redirect_url} %{num_redirects}' http://r/") == "http:"
                + "//A:8081/echo 0")
        #expect(
            shell.output("curl -sL -o /dev/null -w '%{url_effective} %{num_redirects}' http://r/")
                == "http://A:8081/echo 1")
    }

    @Test func cookiesAreKeptAndSentBack() throws {
        let shell = lab()
        try RawService(
            shell, "c", port: 80,
            .answer(
                "HTTP/1.1 200 OK\r\nSet-Cookie: session=abc; Path=/\r\nSet-Cookie: other=1; Path=/x"
                    + "\r\nSet-Cookie: old=1; Max-Age=60\r\nContent-Length: 0\r\n\r\n"))
        shell.run("curl -s -c jar http://c/")
        #expect(shell.output("cat jar").contains("c\tFALSE\t/\tFALSE\t0\tsession\tabc\n"))
        #expect(
            shell.output("curl -s -b jar --url http://c/ -v 2>&1 | grep '> Cookie'") == "> Cookie: session"
                + "=abc; old=1\r\n")
        shell.run("sleep 61")
        #expect(shell.output("curl -s -b jar http://c/ -v 2>&1 | grep '> Cookie'") == "> Cookie: session=abc\r\n")
        #expect(shell.output("curl -s -b jar A:8081/echo | grep -c Cookie") == "0\n")
        #expect(shell.run("curl -s -b nosuchjar A:8081/").status == 0)
    }

    @Test func retryAfterMayBeADate() throws {
        let shell = lab()
        let date = (shell.world.now + .seconds(30)).httpDate
        try RawService(
            shell, "busy", port: 80,
            .answer("HTTP/1.1 503 Busy\r\nRetry-After: \(date)\r\nContent-Length: 0\r\n\r\n"))
        let before = shell.world.now
        shell.run("curl -s --retry 1 --retry-delay 1 http://busy/")
        #expect(shell.world.now - before >= .seconds(29) && shell.world.now - before < .seconds(31))
    }

    @Test func bodiesComeFromStandardInput() {
        let shell = lab()
        #expect(shell.output("printf 'a\\nb' | curl -s -d @- A:8081/echo").hasSuffix("\r\n\r\nab"))
        #expect(shell.output("printf 'a\\nb' | curl -s --data-binary @- A:8081/echo").hasSuffix("\r\n\r\na\nb"))
        let put = shell.output("printf 'a\\nb' | curl -s -T - A:8081/echo")
        #expect(put.hasPrefix("PUT /echo") && put.contains("Transfer-Encoding: chunked\r\n"))
        #expect(put.hasSuffix("\r\n\r\na\nb"))
        let old = shell.output("printf abc | curl -s -0 -T - A:8081/echo")
        #expect(old.contains("Content-Length: 3\r\n") && old.hasSuffix("\r\n\r\nabc"))
        #expect(shell.output("curl -s -d @- A:8081/echo < /dev/null").contains("Content-Length: 0\r\n"))
    }

    // MARK: -w

    @Test func writeOutKnowsItsVariables() {
        let shell = lab()
        #expect(
            shell.output(
                "curl -s -o f -w '%{http_code} %{response_code} %{size_download} %{num_connects} "
                    + "%{method} %{scheme} %{content_type} %{http_version} %{exitcode} %{filename_effective} %{remote_"
                    + "port}\\n' A:8081/") == "200 200 16 1 GET HTTP text/plain 1.1 0 f 8081\n"
                || shell.output(
                    "curl -s -o f -w '%{http_code} %{response_code} %{size_download} %{num_connects} %"
                        + "{method} %{scheme} %{http_version} %{exitcode} %{filename_effective} %{remote_port}\\n' A:8"
                        + "081/") == "200 200 16 1 GET HTTP 1.1 0 f 8081\n"
        )
        #expect(
            shell.output("curl -s -w '%{http_code} %{errormsg} %{exitcode}' localhost:1") == "000 Failed t"
                + "o connect to localhost port 1 after 0 ms: Couldn't connect to server 7")
        #expect(
            shell.output("curl -s -o f -w '%%\\t%{time_total}|%{header{nosuch}}|\\x' A:8081/delay/250ms")
                .hasPrefix("%\t0.25"))
        #expect(shell.run("curl -s -o f -w '%{stderr}e%{stdout}o' A:8081/").errorOutput == "e")
        #expect(
            shell.run("curl -s -o f -w '%{nosuch}' A:8081/").errorOutput == "curl: unknown --write-out var"
                + "iable: 'nosuch'\n")
        #expect(shell.output("curl -s -o f -o g -w '%{num_connects} ' A:8081/ A:8081/") == "1 0 ")
    }

    @Test func timesOfWriteOutAreLabTime() {
        let shell = lab()
        shell.run("inject latency 100ms client<->A")
        let words = shell.output(
            "curl -s -o f -w '%{time_connect} %{time_starttransfer} %{time_total}' A:8081"
                + "/delay/1s"
        ).split(separator: " ").compactMap { Double($0) }
        #expect(words.count == 3)
        #expect(words[0] > 0.19 && words[0] < 0.25, "\(words)")
        #expect(words[1] > 1.39 && words[2] >= words[1] && words[2] < 1.6, "\(words)")
    }

    // MARK: Several URLs, files

    @Test func severalURLsShareAConnectionAndTheLastSaysTheStatus() {
        let shell = lab()
        #expect(shell.output("curl -s A:8081/ A:8081/status/201") == "Response from A\n201 Created\n")
        #expect(shell.run("curl -s A:8081/ localhost:1").status == 7)
        #expect(shell.run("curl -s localhost:1 A:8081/").status == 0)
        #expect(
            shell.output("curl -s -O A:8081/bytes/5; cat 5; curl -s -o a -o b A:8081/ A:8081/health; cat b")
                == "xxxxxOK\n")
    }

    @Test func aBodyLargerThanEveryBufferArrives() {
        let shell = lab()
        #expect(shell.output("curl -s A:8081/bytes/5000000 | wc -c") == "5000000\n")
        #expect(
            shell.output(
                "seq 1 400000 > big; curl -s -o /dev/null -w '%{size_upload} %{http_code}' --data"
                    + "-binary @big A:8081/; wc -c < big") == "2688895 2002688895\n")
        #expect(shell.output("curl -s A:8081/bytes/0 | wc -c") == "0\n")
    }

    // MARK: A load balancer among bad servers

    // @covers LB-C3
    @Test func aBackendThatAnswersGarbageOrNothingIsABadGatewayAndTheLabGoesOn() throws {
        let shell = LabShell()
        try RawService(shell, "garbage", port: 1, .answer("what do you want\r\n\r\n"))
        try RawService(shell, "empty", port: 1, .closeAtOnce)
        try RawService(shell, "silent", port: 1, .silence)
        try RawService(shell, "endless", port: 1, .endless("x"))
        for (name, statuses) in [
            ("garbage", ["502", "503"]), ("empty", ["502", "503"]), ("nosuch", ["502", "503"]),
            ("silent", ["504", "503"]),
        ] {
            let outcome = shell.run(
                "loadbalancer --backends "
                    + "\(name):1 --port 80 --name lb-\(name) &\ncurl -s -o /dev/null -w '%{http_code}' lb-\(name)/")
            #expect(statuses.contains(outcome.output), "\(name): \(outcome.output)")
        }
        #expect(
            shell.output(
                "loadbalancer --backends endless:1 --port 80 --name e &\ncurl -s -m 5 e/ | head -"
                    + "c 3 2> err; echo $?; jobs | wc -l"
            ).hasSuffix("6\n"))
    }
}
