import Glibc
import Testing

/// The prompt as somebody at the keyboard has it: the built program on a pseudo terminal.
@Suite(.serialized) struct PromptTests {
    private let controlC = "\u{3}"
    private let controlD = "\u{4}"
    private let controlZ = "\u{1A}"
    private let up = "\u{1B}[A"

    @Test func aCommandsOutputStandsBetweenTwoPrompts() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.enter("echo hello")
        try pty.wait(forLine: "hello")
        try pty.waitForPrompt()
        #expect(pty.screen.unknown.isEmpty)
    }

    @Test func thePromptTellsTimeJobsAndTerminal() throws {
        let pty = try Pty(["--clock", "virtual"])
        try pty.waitForPrompt()
        #expect(pty.screen.lastLine == "sdlab[15:00:00 +00:00]>")
        pty.enter("backend --port \(try ProgramPort.free()) &")
        pty.enter("sleep 15")
        try pty.wait(for: "15 seconds, one job") { $0.screen.lastLine == "sdlab[15:00:15 +00:15 1j]>" }
        pty.enter("advance 1h")
        try pty.wait(for: "an hour") { $0.screen.lastLine == "sdlab[16:00:15 +1:00:15 1j]>" }
        pty.enter("term 2")
        try pty.wait(for: "the second terminal") { $0.screen.lastLine == "sdlab[2 16:00:15 +1:00:15 1j]>" }
    }

    // MARK: Above the line

    @Test func aLogLineComesAboveAHalfTypedLineWhichThenRunsWhole() throws {
        let (first, second, front) = (try ProgramPort.free(), try ProgramPort.free(), try ProgramPort.free())
        let pty = try Pty(["--clock", "x60"])
        try pty.waitForPrompt()
        pty.enter("backend --port \(first) --name A &")
        pty.enter("backend --port \(second) --name B &")
        pty.enter("loadbalancer --backends \(first),\(second) --port \(front)")
        try pty.wait(forLine: "[LB] Listening on :\(front)")
        try pty.waitForPrompt()
        pty.enter("kill %2")
        pty.type("echo half")
        try pty.wait(forLine: "[LB] Removed \(second) from pool")
        try pty.waitForPrompt("echo half")
        pty.enter("-typed")
        try pty.wait(forLine: "half-typed")
        #expect(!pty.screen.text.contains("exit 0") && !pty.screen.text.contains("[2]  done"))
    }

    @Test func aBurstOfLinesLeavesAWrappedLineWhole() throws {
        let pty = try Pty(columns: 40, rows: 12)
        try pty.waitForPrompt()
        let typed = "echo 日本語 a line that is far too long for one row of a screen of forty columns, é"
        pty.enter("sleep 2s && seq 3000 &")
        pty.type(typed)
        try pty.wait(forLine: "[1]  done  sleep 2s && seq 3000")
        try pty.waitForPrompt(typed)
        let all = pty.screen.scrolledOff + pty.screen.physicalLines
        let numbers = all.compactMap { Int($0) }
        #expect(numbers == Array(1...3000))
        // The line stands there once: nothing of it was left above.
        #expect(all.filter { $0.contains("日本語") }.count == 1)
        pty.type("\r")
        try pty.wait(forLine: String(typed.dropFirst("echo ".count)))
    }

    @Test func linesOfAJobComeOneByOneAboveALineThatFillsItsRowsExactly() throws {
        let pty = try Pty(columns: 40, rows: 20)
        try pty.waitForPrompt()
        pty.enter("for i in {1..5}; do sleep 20ms; echo tick $i; done &")
        try pty.wait(for: "a job") { $0.screen.lastLine.contains("1j]>") }
        // "sdlab[15:00:00 +00:00 1j]> " takes 27 columns; the rest of two rows.
        let typed = "echo " + String(repeating: "x", count: 80 - 27 - 5)
        pty.type(typed)
        try pty.wait(forLine: "tick 5")
        try pty.wait(for: "the end of the job") { $0.screen.lines.contains { $0.hasPrefix("[1]  done") } }
        #expect((1...5).allSatisfy { pty.screen.lines.contains("tick \($0)") })
        #expect(pty.screen.lines.filter { $0.hasPrefix("tick") }.count == 5)
        pty.type("\r")
        try pty.wait(forLine: String(typed.dropFirst(5)))
    }

    @Test func theEndOfAJobIsToldUnlessItWasToldToEnd() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.enter("sleep 10ms &")
        try pty.wait(forLine: "[1]  done  sleep 10ms")
        pty.enter("cat nothing &")
        try pty.wait(forLine: "[1]  exit 1  cat nothing")
        pty.enter("sleep 100 &")
        pty.enter("kill %1")
        pty.enter("jobs")
        try pty.wait(forLine: "no jobs")
        #expect(!pty.screen.text.contains("sleep 100\n[") && !pty.screen.text.contains("exit 143"))
    }

    // MARK: Keys

    @Test func controlCCancelsALineAndTheNextOneIsFresh() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.type("echo never")
        try pty.waitForPrompt("echo never")
        pty.type(controlC)
        try pty.wait(for: "^C") { $0.screen.lines.contains { $0.hasSuffix("echo never^C") } }
        try pty.waitForPrompt()
        pty.enter("echo alive")
        try pty.wait(forLine: "alive")
        #expect(!pty.screen.lines.contains("never"))
    }

    @Test(arguments: [
        "sleep 100", "while true; do true; done", "wait %1", "sleep 100 | cat", "while true; do true | true; done",
        "advance 365d",
    ])
    func controlCInterruptsACommandAndNeverLeaves(_ command: String) throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.enter("while true; do sleep 10s; done &")
        try pty.wait(for: "a job") { $0.screen.lastLine.contains("1j]>") }
        pty.enter(command)
        try pty.wait(for: "the command") { $0.isCanonical && $0.screen.lastLine.hasSuffix(command) }
        pty.type(controlC)
        try pty.waitForPrompt()
        pty.enter("echo status $?")
        try pty.wait(forLine: "status 130")
    }

    @Test func aJobHasItsTurnBeforeTheNextCommandReachesTheNetwork() throws {
        let port = try ProgramPort.free()
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.enter("backend --port \(port) & curl http://localhost:\(port)/")
        try pty.wait(forLine: "Response from backend")
    }

    @Test func controlDOnAnEmptyLineEndsWithStatusZero() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.type(controlD)
        #expect(try pty.end() == 0)
        #expect(pty.screen.lastLine.hasSuffix("> exit"))
    }

    @Test func controlDInALineDeletesAndDoesNotEnd() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.type("echo ab\u{1B}[D\u{1B}[D" + controlD)
        try pty.waitForPrompt("echo b")
        pty.type("\r")
        try pty.wait(forLine: "b")
    }

    @Test func controlZSendsACommandToTheBackground() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.enter("sleep 100")
        try pty.wait(for: "the command") { $0.isCanonical && $0.screen.lastLine.hasSuffix("sleep 100") }
        pty.type(controlZ)
        try pty.wait(forLine: "[1]  in the background  sleep 100")
        try pty.waitForPrompt()
        #expect(pty.screen.lastLine.contains("1j]>"))
    }

    @Test func wideAndAccentedCharactersAreEditedAsCharacters() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.type("echo äö日本x\u{1B}[D\u{7F}語")
        try pty.waitForPrompt("echo äö日語x")
        pty.type("\r")
        try pty.wait(forLine: "äö日語x")
    }

    @Test func tabCompletesCommandsAndFlags() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.type("loadb\t")
        try pty.waitForPrompt("loadbalancer")
        pty.type("--conf\t")
        try pty.waitForPrompt("loadbalancer --config")
        pty.type("l\t")
        try pty.waitForPrompt("loadbalancer --config lb.yaml")
    }

    @Test("Tab shows the candidates above the line, and pressed again goes through them; Shift-Tab goes back")
    func tabs() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.type("loadbalancer --mode \t")
        try pty.wait(forLine: "http  tcp")
        try pty.waitForPrompt("loadbalancer --mode")
        pty.type("\t")
        try pty.waitForPrompt("loadbalancer --mode http")
        pty.type("\t")
        try pty.waitForPrompt("loadbalancer --mode tcp")
        pty.type("\t")
        try pty.waitForPrompt("loadbalancer --mode http")
        pty.type("\u{1B}[Z")
        try pty.waitForPrompt("loadbalancer --mode tcp")
        // What is typed takes the choice as it is.
        pty.type(" --conf\t")
        try pty.waitForPrompt("loadbalancer --mode tcp --config")
    }

    @Test func aWindowOfAnotherSizeShowsTheLineWhole() throws {
        let pty = try Pty(columns: 60, rows: 20)
        try pty.waitForPrompt()
        pty.type("echo resized")
        try pty.waitForPrompt("echo resized")
        pty.setSize(100, 20)
        let typed = "echo resized " + String(repeating: "wide ", count: 12) + "end"
        pty.type(String(typed.dropFirst("echo resized".count)))
        try pty.wait(for: "the line in one row") { $0.screen.physicalLines.contains { $0.hasSuffix(typed) } }
        pty.type("\r")
        try pty.wait(forLine: String(typed.dropFirst(5)))
    }

    // MARK: More than one line

    @Test func anUnfinishedLoopAsksForMore() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.enter("for i in a b")
        pty.enter("do echo got $i")
        try pty.wait(for: "the second line") { $0.screen.lastLine == "do echo got $i" }
        pty.enter("done")
        try pty.wait(forLine: "got b")
        #expect(pty.screen.lines.contains("got a"))
    }

    @Test func pastedLinesWaitForEnterAndThenRunOnce() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.type("\u{1B}[200~echo one\recho two\r\u{1B}[201~")
        try pty.wait(forLine: "echo two")
        #expect(!pty.screen.lines.contains("one"))
        pty.type("\r")
        try pty.wait(forLine: "two")
        try pty.waitForPrompt()
        #expect(pty.screen.lines.filter { $0 == "one" }.count == 1)
        #expect(pty.screen.lines.filter { $0 == "two" }.count == 1)
        #expect(!pty.screen.text.contains("00~"))
    }

    @Test(arguments: [true, false]) func ofAPastedTranscriptOnlyTheCommandsRun(isBracketed: Bool) throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        let text = "# A comment\r$ echo first\rfirst\r$ for i in 1 2; do echo n$i; done\rexit 5\r"
        pty.type(isBracketed ? "\u{1B}[200~\(text)\u{1B}[201~\r" : text)
        try pty.wait(forLine: "n2")
        try pty.waitForPrompt()
        pty.enter("echo still here")
        try pty.wait(forLine: "still here")
    }

    @Test func aTypedDollarBeforeACommandIsNoPartOfIt() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.enter("$ echo dollar")
        try pty.wait(forLine: "dollar")
    }
}
