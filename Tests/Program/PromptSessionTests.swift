import Glibc
import Testing

/// Whole sessions at the prompt: what is remembered, how it ends, what programs and clients get.
@Suite(.serialized) struct PromptSessionTests {
    private let controlC = "\u{3}"
    private let controlD = "\u{4}"
    private let up = "\u{1B}[A"

    // MARK: History

    @Test func whatWasTypedIsKeptAndRecalledByItsBeginning() throws {
        let home = try Pty.freshDirectory()
        defer { Pty.remove(home) }
        let first = try Pty(home: home)
        try first.waitForPrompt()
        first.enter("echo apple")
        first.enter("echo apple")
        first.enter("seq 2")
        first.enter(" echo secret")
        try first.wait(forLine: "secret")
        try first.waitForPrompt()
        first.type(controlD)
        _ = try first.end()
        #expect(hostFileText(home + "/.sdlab_history") == "echo apple\nseq 2\n")

        let second = try Pty(home: home)
        try second.waitForPrompt()
        second.type(up)
        try second.waitForPrompt("seq 2")
        second.type("\u{15}ec" + up)
        try second.waitForPrompt("echo apple")
        second.type(controlC)
        try second.waitForPrompt()
        second.type("\u{12}app\r")
        try second.wait(forLine: "apple")
    }

    @Test func aHistoryThatCannotBeWrittenIsSaidOnceAndNotFatal() throws {
        let pty = try Pty(environment: ["SDLAB_HISTORY": "/nowhere/at/all"])
        try pty.waitForPrompt()
        pty.enter("echo one")
        pty.enter("echo two")
        try pty.wait(forLine: "two")
        #expect(pty.text.components(of: "will not be remembered").count == 1)
    }

    // MARK: Commands

    @Test func aWatchedViewIsRepaintedInItsPlaceAndNotOverOtherLines() throws {
        let pty = try Pty(["--clock", "virtual"])
        try pty.waitForPrompt()
        let view = "nothing runs that counts"
        pty.enter("watch 3 1s stats")
        try pty.wait(for: "the third view") { $0.text.components(of: view).count == 3 }
        try pty.waitForPrompt()
        #expect(pty.screen.lines.filter { $0 == view }.count == 1)
        // What goes through a pipe cannot be taken back.
        pty.enter("watch 3 1s stats | cat")
        try pty.wait(for: "three more") { $0.text.components(of: view).count == 6 }
        try pty.waitForPrompt()
        #expect(pty.screen.lines.filter { $0 == view }.count == 4)
    }

    @Test func anUnknownCommandGetsASuggestion() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.enter("kil %2")
        try pty.wait(forLine: "unknown command 'kil'; did you mean kill?")
    }

    @Test func exitEndsWithItsStatusAndTheTerminalAsItWas() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        #expect(!pty.isCanonical)
        pty.enter("backend --port \(try ProgramPort.free()) &")
        pty.enter("exit 3")
        #expect(try pty.end() == 3)
        #expect(pty.isCanonical)
        #expect(pty.text.range(of: "\u{1B}[?2004h") != nil)
        #expect(pty.text.components(of: "\u{1B}[?2004h").count == pty.text.components(of: "\u{1B}[?2004l").count)
    }

    @Test func backgroundLoopsDoNotHoldUpTheExit() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.enter("backend --port \(try ProgramPort.free()) &")
        for line in ["while true; do sleep 1; done &", "while true; do true; done &", "sleep 100 | cat &"] {
            pty.enter(line)
        }
        try pty.wait(for: "four jobs") { $0.screen.lastLine.contains("4j]>") }
        pty.enter("exit 4")
        #expect(try pty.end() == 4)
        #expect(pty.isCanonical)
    }

    @Test(arguments: ["", "sleep 100\r"]) func aTerminationSignalEndsInOrder(whileRunning: String) throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.type(whileRunning)
        if !whileRunning.isEmpty { try pty.wait(for: "the command") { $0.isCanonical } }
        kill(pty.process, SIGTERM)
        #expect(try pty.end() == 143)
        #expect(pty.isCanonical)
    }

    @Test func aProgramThatReadsGetsTheTypedLines() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.enter("cat | wc -l")
        try pty.wait(for: "the command") { $0.isCanonical }
        pty.type("one\ntwo\n" + controlD)
        try pty.wait(forLine: "2")
        try pty.waitForPrompt()
    }

    @Test func whatNeverHappensInVirtualTimeIsReported() throws {
        let pty = try Pty(["--clock", "virtual"])
        try pty.waitForPrompt()
        pty.enter("backend --port \(try ProgramPort.free())")
        pty.enter("wait %1")
        try pty.wait(forLine: "sdlab: stopped: the command waits for something that will never happen")
        try pty.waitForPrompt()
    }

    @Test func resetGivesAFreshLab() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.enter("backend --port \(try ProgramPort.free()) &")
        pty.enter("echo x > file")
        try pty.wait(for: "a job") { $0.screen.lastLine.contains("1j]>") }
        pty.enter("reset")
        try pty.wait(for: "no job") {
            $0.screen.lastLine.contains(" +00:0") && !$0.screen.lastLine.contains("j]")
        }
        pty.enter("cat file || nodes")
        try pty.wait(forLine: "no nodes; start one: backend --port 8081 &")
    }

    @Test func aMistakeInTheStartUpFileIsSaidWithItsPlace() throws {
        let home = try Pty.freshDirectory()
        defer { Pty.remove(home) }
        writeHostFile("echo from rc\nnosuch thing\n", to: home + "/.sdlabrc")
        let pty = try Pty(home: home)
        try pty.waitForPrompt()
        #expect(pty.screen.lines.contains("from rc"))
        #expect(pty.screen.text.contains(".sdlabrc:2:1: unknown command 'nosuch'"))
        let without = try Pty(["--no-rc"], home: home)
        try without.waitForPrompt()
        #expect(!without.screen.text.contains("from rc"))
    }

    @Test func whatTheStartUpFileResetsIsFreshBeforeTheFirstLine() throws {
        let home = try Pty.freshDirectory()
        defer { Pty.remove(home) }
        writeHostFile("backend --port 8081 &\nreset\n", to: home + "/.sdlabrc")
        let pty = try Pty(["--net", "memory"], home: home)
        try pty.waitForPrompt()
        pty.enter("nodes")
        try pty.wait(forLine: "no nodes; start one: backend --port 8081 &")
    }

    @Test func aPipeInPlaceOfAFileIsNoReasonToWait() throws {
        let home = try Pty.freshDirectory()
        defer { Pty.remove(home) }
        for name in [".sdlabrc", ".sdlab_history"] { mkfifo(home + "/" + name, 0o600) }
        let pty = try Pty(["--net", "memory"], home: home)
        try pty.waitForPrompt()
        #expect(pty.screen.text.contains(".sdlabrc is no file"))
        pty.enter("echo and on")
        try pty.wait(forLine: "and on")
    }

    @Test func aProgramOfTheMachineStaysInFront() throws {
        let pty = try Pty(["--net", "memory"])
        try pty.waitForPrompt()
        pty.enter("!cat")
        try pty.wait(for: "the foreground") { $0.isCanonical && $0.screen.text.contains("!cat") }
        pty.type("\u{1A}")
        try pty.wait(forLine: "sdlab: a program of the machine stays in front; Ctrl-C ends it")
        pty.type("heard\n")
        try pty.wait(for: "cat's echo") { pty in pty.screen.lines.filter { $0 == "heard" }.count == 2 }
        pty.type(controlC)
        try pty.waitForPrompt()
    }

    /// The loop is busy, so nobody hears the key; whoever makes it busy has to ask.
    @Test func ctrlCEndsAStatementThatWouldNeverEnd() throws {
        let pty = try Pty(["--net", "memory"])
        try pty.waitForPrompt()
        pty.enter("postgres &")
        try pty.wait(forLine: "[DB] Listening on :5432")
        pty.enter("sql 'with recursive r(n) as (select 1 union all select n+1 from r) select count(*) from r'")
        try pty.wait(for: "the foreground") { $0.isCanonical && $0.screen.text.contains("from r'") }
        pty.type(controlC)
        try pty.waitForPrompt()
        pty.enter("sql 'select 6 * 7 as answer'")
        try pty.wait(for: "the answer") { pty in pty.screen.lines.contains { $0.hasSuffix("42") } }
    }

    @Test func aPlainTerminalGetsNoEscapeSequences() throws {
        let pty = try Pty(environment: ["TERM": "dumb"])
        try pty.waitForPrompt()
        pty.type("sleep 50ms &\n")
        try pty.wait(forLine: "[1]  done  sleep 50ms")
        pty.type("for i in 1 2\ndo echo n$i; done\n")
        try pty.wait(forLine: "n2")
        try pty.waitForPrompt()
        pty.type("never")
        try pty.waitForPrompt("never")
        pty.type(controlC)
        try pty.wait(for: "^C") { $0.screen.text.contains("^C") }
        try pty.waitForPrompt()
        pty.type("echo alive\n")
        try pty.wait(forLine: "alive")
        pty.type(controlD)
        #expect(try pty.end() == 0)
        #expect(!pty.received.contains(0x1B))
    }

    @Test func coloursFollowTheEnvironment() throws {
        let plain = try Pty(environment: ["NO_COLOR": "1"])
        try plain.waitForPrompt()
        #expect(!plain.text.contains("\u{1B}[1;36m"))
        let coloured = try Pty()
        try coloured.waitForPrompt()
        #expect(coloured.text.contains("\u{1B}[1;36m"))
    }

    @Test func aClientOutsideIsServedWhileSomebodyTypes() throws {
        let port = try ProgramPort.free()
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.enter("backend --port \(port) --name Web &")
        try pty.wait(for: "a job") { $0.screen.lastLine.contains("1j]>") }
        pty.type("echo half")
        try pty.waitForPrompt("echo half")
        #expect(try fetchRoot(port).hasSuffix("Response from Web\n"))
        pty.enter("-typed")
        try pty.wait(forLine: "half-typed")
    }
}
