import Glibc
import Testing

/// Time told plainly: who changes the clock says so, and prompt and journal tell the same times.
@Suite(.serialized) struct PromptTimeTests {
    private let controlC = "\u{3}"

    @Test("a client from outside makes the clock real, says so in one line, and it returns by itself")
    func outside() throws {
        let port = try ProgramPort.free()
        let pty = try Pty(["--clock", "virtual"])
        try pty.waitForPrompt()
        pty.enter("backend --port \(port) --name Web &")
        try pty.wait(for: "a job") { $0.screen.lastLine.contains("1j]>") }
        #expect(try fetchRoot(port).hasSuffix("Response from Web\n"))
        try pty.wait(forLine: "sdlab: the clock is real while a client from outside is connected, then virtual")
        try pty.wait(forLine: "sdlab: the clock is virtual again: no client from outside is connected")
        #expect(pty.text.components(of: "the clock is real").count == 1)
    }

    @Test("a datagram from outside does the same")
    func datagram() throws {
        let port = try ProgramPort.free()
        let pty = try Pty(["--clock", "virtual"])
        try pty.waitForPrompt()
        pty.enter("udp-echo --port \(port) &")
        try pty.wait(for: "a job") { $0.screen.lastLine.contains("1j]>") }
        let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(descriptor) }
        var address = loopbackAddress(port)
        let sent = withSocketAddress(&address) {
            sendto(descriptor, "x", 1, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
        #expect(sent == 1)
        try pty.wait(forLine: "sdlab: the clock is real while a client from outside is connected, then virtual")
        try pty.wait(forLine: "sdlab: the clock is virtual again: no client from outside is connected")
        pty.enter("clock")
        try pty.wait(forLine: "speed    virtual")
    }

    @Test("a speed that real sockets cannot follow is announced and capped; in memory there is no limit")
    func capped() throws {
        let pty = try Pty(columns: 140)
        try pty.waitForPrompt()
        pty.enter("clock x10000; clock")
        try pty.wait(forLine: "speed    x1000")
        #expect(pty.screen.text.contains("sdlab: real sockets cannot follow x10000: the clock runs at x1000"))
        let memory = try Pty(["--net", "memory"])
        try memory.waitForPrompt()
        memory.enter("clock x10000; clock")
        try memory.wait(forLine: "speed    x10000")
        #expect(!memory.screen.text.contains("cannot follow"))
        let refused = try ProgramProcess.run("--net", "loopback", "--clock", "x5000", "-c", "true")
        #expect(refused.status == 2)
        #expect(refused.errors == "sdlab: --clock: real sockets cannot follow x5000; x1000 at most, or --net memory\n")
    }

    @Test("at the fastest speed of real sockets, healthy servers stay in their pool")
    func fastAndHealthy() throws {
        let (first, second, front) = (try ProgramPort.free(), try ProgramPort.free(), try ProgramPort.free())
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.enter("backend --port \(first) & backend --port \(second) &")
        pty.enter("loadbalancer --backends \(first),\(second) --port \(front)")
        try pty.wait(forLine: "[LB] Listening on :\(front)")
        pty.enter("clock x1000; sleep 30m; clock real; pool")
        try pty.wait(forLine: "pool        2/2")
        #expect(!pty.screen.text.contains("failed health check"))
    }

    @Test("prompt and journal tell the same two times, the calendar's and the lab's")
    func sameTimes() throws {
        let pty = try Pty(["--net", "memory", "--clock", "virtual"])
        try pty.waitForPrompt()
        pty.enter("advance 75s; journal -n 1")
        try pty.wait(for: "the prompt") { $0.screen.lastLine == "sdlab[15:01:15 +01:15]>" }
        try pty.wait(for: "the journal's line") { pty in
            pty.screen.lines.contains { $0.contains("2023-12-20T15:01:15Z +01:15.000 advance exited 0") }
        }
    }

    @Test("a long advance says how far it is, in one line that goes again, and Ctrl-C stops it where it is")
    func longAdvance() throws {
        let pty = try Pty(["--net", "memory", "--clock", "virtual"])
        try pty.waitForPrompt()
        pty.enter("while true; do sleep 100ms; done &")
        pty.enter("advance 365d")
        try pty.wait(for: "how far it is") { pty in
            pty.screen.lastLine.hasPrefix("advance: ") && pty.screen.lastLine.hasSuffix(" of 365d, 0 %; Ctrl-C stops")
        }
        pty.type(controlC)
        try pty.wait(for: "where it stopped") { pty in
            pty.screen.lines.contains { $0.hasPrefix("advance: stopped after ") && $0.hasSuffix(" of 365d") }
        }
        try pty.waitForPrompt()
        #expect(!pty.screen.text.contains("Ctrl-C stops"))
    }

    @Test("what is measured in virtual time says so, and in real time does not")
    func measured() throws {
        let label = "kv-bench: measured in virtual time, which says what the simulated disks and links cost"
        let pty = try Pty(["--net", "memory", "--clock", "virtual"], columns: 160)
        try pty.waitForPrompt()
        pty.enter("lsm-kv --data-dir d --port 6379; kv-bench --writes 100")
        try pty.wait(for: "the label") { $0.screen.text.contains(label) }
        pty.enter("kv-bench --writes 100 --json | jq -r .time")
        try pty.wait(forLine: "virtual")
        let real = try Pty(["--net", "memory", "--clock", "real"], columns: 160)
        try real.waitForPrompt()
        real.enter("lsm-kv --data-dir d --port 6379; kv-bench --writes 100 --json | jq -r .time")
        try real.wait(forLine: "real")
        #expect(!real.screen.text.contains("measured in"))
    }
}
