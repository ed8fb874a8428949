import KernelWorld
import ShellSession
import Testing

/// What the lab's curl makes of its flags where the real one cannot be asked the same.
@Suite struct CurlFlagTests {
    private func lab() -> LabShell {
        let shell = LabShell()
        shell.run("backend --port 8081 --name A &")
        return shell
    }

    @Test func aPatternWritesIntoOneFileForEach() {
        let shell = lab()
        #expect(
            shell.output("curl -s -o 'f#1' 'A:8081/bytes/[1-3]'; cat f1; echo; cat f2; echo; cat f3") == "x\nxx\nxxx")
        #expect(shell.run("curl -s 'A:8081/status/{200,404}' -f").status == 22)
        #expect(shell.output("curl -s -w '%{urlnum}' -o /dev/null -o /dev/null 'A:8081/[1-3]' A:8081/") == "0001")
        let outcome = shell.run("curl 'http://A:8081/a{b'")
        #expect(outcome.status == 3)
        #expect(outcome.errorOutput.hasPrefix("curl: (3) unmatched brace in URL position 16:\nhttp://A:8081/a{b\n"))
    }

    @Test func whatWasTransferredCanBeHadAsJSON() {
        let text = lab().output("curl -s -o /dev/null -w '%{json}' A:8081/")
        #expect(text.hasPrefix("{\"certs\":\"\",\"content_type\":"))
        for part in [
            "\"http_code\":200,", "\"errormsg\":null,", "\"size_download\":16,", "\"http_version\":\"1.1\",",
            "\"url_effective\":\"http://A:8081/\",",
        ] {
            #expect(text.contains(part), "\(part): \(text)")
        }
        #expect(text.hasSuffix("\"urlnum\":0,\"curl_version\":\"libcurl/7.88.1\"}"))
    }

    @Test func whatGoesIntoAURLMayStandInOne() {
        let shell = lab()
        #expect(shell.run("curl -sS -G -d 'a=b c' A:8081/echo").status == 3)
        #expect(shell.run("curl -sS -G --data-urlencode 'a=b c' A:8081/echo").status == 0)
        #expect(shell.output("curl -s A:8081/é/echo; curl -s 'A:8081/echo?é'").contains("GET /echo?é HTTP/1.1"))
        #expect(shell.output("curl -s -u a A:8081/echo").contains("Authorization: Basic YTo=\r\n"))
        #expect(shell.run("curl -s --data-urlencode x@nosuch A:8081/").status == 26)
        #expect(shell.run("curl -s -w @nosuch A:8081/").status == 26)
    }

    @Test func verboseLinesOfHeadsEndAsTheyAreSent() {
        let text = lab().run("curl -s -v A:8081/").errorOutput
        for part in ["> GET / HTTP/1.1\r\n", "> \r\n", "< HTTP/1.1 200 OK\r\n", "< \r\n"] {
            #expect(text.contains(part), "\(part.debugDescription): \(text.debugDescription)")
        }
        #expect(text.contains("* Connection #0 to host A left intact\n"))
    }

    @Test func theJarBeginsWithTheYoungestCookieAndHoldsNoImpossibleEnd() throws {
        let shell = lab()
        try RawService(
            shell, "c", port: 80,
            .answer(
                "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nSet-Cookie: a=3\r\nContent-Length: 0\r\n\r\n")
        )
        shell.run("curl -s -c jar http://c/")
        #expect(shell.output("cat jar | grep FALSE | cut -f 6,7") == "b\t2\na\t3\n")
        let line = "c\tFALSE\t/\tFALSE\t"
        shell.place("\(line)99999999999999999999\tbig\t1\n\(line)9223372036854775807\tlast\t1\n", at: "/jar")
        #expect(shell.output("curl -s -b jar http://c/ -v 2>&1 | grep '> Cookie'") == "> Cookie: last=1\r\n")
    }
}
