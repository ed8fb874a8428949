import Glibc
import Testing

/// Jobs, terminals and names, as a shell has them.
@Suite(.serialized) struct PromptJobTests {
    private let controlZ = "\u{1A}"

    @Test("Ctrl-Z after fg gives a job its own number back, and jobs show what was typed")
    func suspendedAgain() throws {
        let pty = try Pty(["--net", "memory"])
        try pty.waitForPrompt()
        pty.enter("sleep 100 &")
        pty.enter("sleep 200 &")
        pty.enter("backend --port 8081 --name Server-A &")
        try pty.wait(for: "three jobs") { $0.screen.lastLine.contains("3j]>") }
        pty.enter("fg %2")
        try pty.wait(for: "the foreground") { $0.isCanonical && $0.screen.lastLine.hasSuffix("fg %2") }
        pty.type(controlZ)
        try pty.wait(forLine: "[2]  in the background  sleep 200")
        pty.enter("jobs")
        try pty.wait(forLine: "%1   running  -         sleep 100")
        try pty.wait(forLine: "%2   running  -         sleep 200")
        try pty.wait(forLine: "%3   running  Server-A  backend --port 8081 --name Server-A")
        try pty.wait(for: "still three jobs") { $0.screen.lastLine.contains("3j]>") }
    }

    @Test("a job that would read what is typed leaves the prompt alone, and hears it once it is brought back")
    func backgroundReader() throws {
        let pty = try Pty(["--net", "memory"])
        try pty.waitForPrompt()
        pty.enter("cat &")
        try pty.wait(for: "the notice") { $0.screen.text.contains("%1 waits for something to be typed: fg %1") }
        pty.enter("cat & echo at the prompt")
        try pty.wait(forLine: "at the prompt")
        pty.enter("read x; echo \"x is $x\"")
        try pty.wait(for: "the foreground") { $0.isCanonical && $0.screen.lastLine.hasSuffix("$x\"") }
        pty.enter("mine")
        try pty.wait(forLine: "x is mine")
        pty.enter("fg %1")
        try pty.wait(for: "the first cat") { $0.isCanonical && $0.screen.lastLine.hasSuffix("fg %1") }
        pty.enter("heard")
        try pty.wait(for: "the line again") { $0.screen.lines.filter { $0 == "heard" }.count == 2 }
        pty.type("\u{4}")
        try pty.wait(for: "the prompt, and one job") { $0.screen.lastLine.contains("1j]>") }
    }

    @Test("Ctrl-\\ ends what runs as Ctrl-C does, and never the lab")
    func quit() throws {
        let pty = try Pty(["--net", "memory"])
        try pty.waitForPrompt()
        pty.type("\u{1C}")
        pty.enter("backend --port 8081 & sleep 100")
        try pty.wait(for: "the foreground") { $0.isCanonical && $0.screen.text.contains("sleep 100") }
        pty.type("\u{1C}")
        try pty.wait(for: "the prompt again") { $0.screen.lastLine.contains("1j]>") }
        pty.enter("curl -s http://localhost:8081/")
        try pty.wait(forLine: "Response from backend")
    }

    @Test(
        "Ctrl-C ends what works for ever within one turn",
        arguments: ["awk 'BEGIN{while((getline x < \"/none\")) n++}'", "seq 1 | sed ':a;s/^/x/;ta' | wc -c"])
    func endlessTurn(line: String) throws {
        let pty = try Pty(["--net", "memory"])
        try pty.waitForPrompt()
        pty.enter(line)
        try pty.wait(for: "the foreground") { $0.isCanonical && $0.screen.text.contains(line.suffix(8)) }
        pty.type("\u{3}")
        try pty.waitForPrompt()
        pty.enter("echo still $((20 + 3))")
        try pty.wait(forLine: "still 23")
    }

    @Test("a service on a port that is taken says who has localhost there, and under which name it is found itself")
    func takenPort() throws {
        let pty = try Pty(["--net", "memory"])
        try pty.waitForPrompt()
        pty.enter("backend --port 8081 --name first &")
        pty.enter("backend --port 8081 --name second &")
        try pty.wait(forLine: "sdlab: localhost:8081 leads to first; this one is second:8081")
        pty.enter("curl -s http://localhost:8081/; curl -s http://second:8081/")
        try pty.wait(forLine: "Response from second")
        #expect(pty.screen.lines.contains("Response from first"))
    }

    @Test("a server is known by its name, its port and its address, wherever a command wants one")
    func names() throws {
        let pty = try Pty(["--net", "memory", "--clock", "virtual"], rows: 60)
        try pty.waitForPrompt()
        pty.enter("backend --port 8081 --name Server-A & backend --port 8082 --name Server-B &")
        pty.enter("loadbalancer --backends 8081,8082 --port 80 --name front; advance 10s")
        for word in ["Server-B", "8082", "localhost:8082"] {
            pty.enter("clear; explain \(word)")
            try pty.wait(for: "what explain \(word) says") { $0.screen.text.contains("8082 is in the pool, because") }
        }
        for word in ["front", "80", ":80", "front:80"] {
            pty.enter("clear; pool \(word) | head -n 1")
            try pty.wait(forLine: "pool        2/2")
        }
        pty.enter(
            "clear; stats 8082 --json | jq -r .[0].node; show front > /dev/null; journal -n 1 8082 > j; wc -l < j")
        try pty.wait(forLine: "Server-B")
        pty.enter("inject refuse on 8082")
        try pty.wait(for: "a fault") { $0.screen.text.contains("fault 1: refuse on") }
        pty.enter("clear; curl -s http://Server-B:8082/; echo $?")
        try pty.wait(forLine: "7")
        pty.enter("calm; pause 8082; resume localhost:8082; kill -9 Server-B:8082; restart 8082; clear; nodes")
        try pty.wait(for: "Server-B again") { pty in
            pty.screen.lines.contains { $0.contains("Server-B") && $0.contains("running") }
        }
        pty.enter("kill 9999")
        try pty.wait(for: "a refusal") { $0.screen.text.contains("kill: no job '9999'") }
    }

    @Test("a thousand nodes are spawned by one command on real sockets, and answer")
    func thousand() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.enter("spawn 1000 backend --port 20000")
        try pty.wait(for: "a thousand jobs") { $0.screen.lastLine.contains("1000j]>") }
        pty.enter("curl -s http://backend-1000:20999/")
        try pty.wait(forLine: "Response from backend-1000")
    }
}
