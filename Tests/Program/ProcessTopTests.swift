import TestSupport
import Testing

/// `top` before programs of this machine, which write nothing into the lab's journal.
@Suite(.enabled(if: TestPython.canRun)) struct ProcessTopTests {
    @Test("a request from outside counts once, and its time is that to the end of its answer")
    func outside() throws {
        let directory = try ProgramDirectory()
        let look = "top --json | jq -c '.[] | select(.node == \"web\") | [\"seen\", .requests_per_second, .p99_ms]'"
        let lab = try ProgramProcess(
            ["--no-rc", "--root", directory.path, "--net", "loopback", "--clock", "real"],
            input:
                "backend --port 8081 --latency 300ms --name web &\nsleep 1\nnodes --json\nsleep 6\n\(look)\nsleep 1000\n"
        )
        try lab.waitFor("\"node\": \"web\"")
        let nodes = lab.output.split(separator: "\n").last { $0.hasPrefix("[{") } ?? "[]"
        #expect(try TestPython.run("NODES = \(String(nodes).debugDescription)\n" + Self.program) == "ok\n")
        try lab.waitFor("[\"seen\",")
        let line = try #require(lab.output.split(separator: "\n").last { $0.hasPrefix("[\"seen\",") })
        let values = line.split { "[],".contains($0) }.compactMap { Double($0) }
        #expect(values.count == 2 && values[0] > 0 && values[0] <= 2.001 && values[1] >= 300, "\(line)")
        withExtendedLifetime((lab, directory)) {}
    }

    private static let program = #"""
        import json, threading, urllib.request
        place = next(one['address'] for one in json.loads(NODES) if one['node'] == 'web').split(':')[0]
        def ask():
            assert urllib.request.urlopen('http://%s:8081/' % place, timeout=20).status == 200
        threads = [threading.Thread(target=ask) for _ in range(20)]
        for one in threads: one.start()
        for one in threads: one.join()
        print('ok')
        """#
}
