import Glibc
import Testing

/// Going back in time at the prompt: `back`, `fork`, and what cannot be gone back to.
@Suite(.serialized) struct PromptTravelTests {
    private let controlC = "\u{3}"

    @Test func aServerThatWasKilledLivesAgain() throws {
        let pty = try Pty(["--net", "memory", "--clock", "virtual"])
        try pty.waitForPrompt()
        pty.enter("spawn 2 backend --port 8081 --name server")
        pty.enter("x=before")
        pty.enter("advance 10s")
        pty.enter("kill -9 server-2; x=after")
        pty.enter("advance 20s")
        try pty.wait(for: "30 seconds, one job") { $0.screen.lastLine == "sdlab[15:00:30 +00:30 1j]>" }
        pty.enter("back 21s")
        try pty.wait(forLine: "sdlab: the lab, 9s after its beginning (15:00:09)")
        try pty.wait(for: "9 seconds, both jobs") { $0.screen.lastLine == "sdlab[15:00:09 +00:09 2j]>" }
        pty.enter("echo x is $x")
        try pty.wait(forLine: "x is before")
        // And on from there, as if nothing had been.
        pty.enter("kill -9 server-1")
        pty.enter("back")
        try pty.wait(for: "both jobs again") { $0.screen.lastLine == "sdlab[15:00:09 +00:09 2j]>" }
        pty.enter("back 1h")
        try pty.wait(forLine: "back: the lab is only 9s old")
    }

    @Test func aForkLeavesTheLabAsItIs() throws {
        let pty = try Pty(["--net", "memory", "--clock", "virtual"])
        try pty.waitForPrompt()
        pty.enter("spawn 2 backend --port 8081 --name server")
        pty.enter("advance 10s")
        pty.enter("fork 5s")
        try pty.wait(for: "5 seconds") { $0.screen.lastLine == "sdlab[15:00:05 +00:05 2j]>" }
        pty.enter("kill -9 server-1")
        pty.enter("fork")
        pty.enter("fork list")
        try pty.wait(forLine: "  2           5s")
        pty.enter("fork leave")
        pty.enter("fork leave")
        try pty.wait(forLine: "sdlab: this is the lab again that waited, 10s after its beginning (15:00:10)")
        try pty.wait(for: "both jobs") { $0.screen.lastLine == "sdlab[15:00:10 +00:10 2j]>" }
        pty.enter("fork leave")
        try pty.wait(forLine: "fork: this is no fork; fork makes one")
        pty.enter("fork")
        pty.enter("kill -9 server-1")
        pty.enter("fork keep")
        pty.enter("fork list")
        try pty.wait(forLine: "this is no fork")
        try pty.wait(for: "the job that is left") { $0.screen.lastLine == "sdlab[15:00:10 +00:10 1j]>" }
    }

    /// On sockets and by the host's clock: it is run again in memory, and has to go the same way.
    @Test func anOrdinaryLabGoesBackIfNothingFromOutsideTookPart() throws {
        let (first, front) = (try ProgramPort.free(), try ProgramPort.free())
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.enter("backend --port \(first) --name one &")
        pty.enter("loadbalancer --backends \(first) --port \(front) --name lb")
        try pty.wait(forLine: "[LB] Listening on :\(front)")
        pty.enter("curl -s localhost:\(front)/")
        try pty.wait(forLine: "Response from one")
        pty.enter("advance 30s")
        pty.enter("kill -9 one")
        pty.enter("back 20s")
        try pty.wait(for: "word of the new lab") { $0.screen.text.contains("connections are in memory") }
        pty.enter("nodes | grep one")
        try pty.wait(for: "it lives") { $0.screen.text.contains("running") }
        pty.enter("curl -s localhost:\(front)/again")
        try pty.wait(for: "an answer in memory") { $0.screen.text.components(of: "Response from one").count > 1 }
    }

    @Test func whereAProgramFromOutsideTookPartNobodyGoesBack() throws {
        let port = try ProgramPort.free()
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.enter("backend --port \(port) --name one")
        try pty.waitForPrompt()
        pty.enter("!bash -c 'exec 3<>/dev/tcp/127.0.0.1/\(port); printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3; cat <&3'")
        try pty.wait(for: "the answer") { $0.screen.text.contains("Response from one") }
        for line in ["back", "fork"] {
            pty.enter(line)
            try pty.wait(for: "the cause, to \(line)") {
                $0.screen.text.contains("\(line): programs outside the lab took part, and cannot be run again")
            }
        }
        pty.enter("nodes | grep one")
        try pty.wait(for: "everything as it was") { $0.screen.text.contains("running") }
        pty.enter("reset")
        pty.enter("sleep 1")
        pty.enter("back")
        try pty.wait(for: "a fresh lab") { $0.screen.lastLine == "sdlab[15:00:00 +00:00]>" }
    }

    @Test func aLongPastShowsHowFarItIsAndCanBeInterrupted() throws {
        let pty = try Pty(["--net", "memory", "--clock", "virtual"])
        try pty.waitForPrompt()
        pty.enter("backend --port 8081 --name one")
        pty.enter("while true; do curl -s localhost:8081 > /last; sleep 0.05; done &")
        pty.enter("advance 30m")
        try pty.wait(for: "half an hour") { $0.screen.lastLine == "sdlab[15:30:00 +30:00 2j]>" }
        pty.enter("back 1s")
        try pty.wait(for: "progress") { $0.screen.lastLine.contains("of 29m59s (") }
        pty.type(controlC)
        try pty.wait(forLine: "sdlab: back: interrupted; everything is as it was")
        try pty.wait(for: "half an hour") { $0.screen.lastLine == "sdlab[15:30:00 +30:00 2j]>" }
    }

    @Test func whatIsNoLineOfItsOwnAndWhatIsNoPromptIsRefused() throws {
        let pty = try Pty(["--net", "memory", "--clock", "virtual"])
        try pty.waitForPrompt()
        pty.enter("echo one; back")
        try pty.wait(for: "a line of its own") { $0.screen.text.contains("back: on a line of its own, please") }
        pty.enter("back yesterday")
        try pty.wait(forLine: "back: 'yesterday' is not a time such as 30s or 5m")
        let script = try ProgramProcess.run("-c", "back 1s")
        #expect(script.status == 1 && script.errors == "back: only at the prompt\n")
        let rooted = try Pty(["--root", pty.home])
        try rooted.waitForPrompt()
        rooted.enter("back")
        try rooted.wait(for: "why not") { $0.screen.text.contains("back: the lab's files are the host's own (--root)") }
    }
}
