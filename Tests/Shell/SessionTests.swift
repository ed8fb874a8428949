import CommandKit
import KernelStructures
import KernelWorld
import ShellLab
import ShellLanguage
import ShellSession
import Testing

/// Terminals, pipes, redirections, variables and time.
@Suite struct SessionTests {
    // MARK: Terminals

    @Test func aBlockedForegroundBlocksOnlyItsTerminal() throws {
        let shell = LabShell()
        let blocked = try shell.type("sleep 100; echo one", on: 1)
        let other = try shell.type("echo two", on: 2)
        #expect(blocked.isRunning)
        #expect(!other.isRunning)
        #expect(shell.takeHeard().output == "two\n")
        #expect(shell.session.terminal(1).isBusy)
        #expect(!shell.session.terminal(2).isBusy)
        #expect(shell.session.advance(by: .seconds(100)) == nil)
        #expect(shell.takeHeard().output == "one\n")
    }

    @Test func termSwitchesAndLists() throws {
        let shell = LabShell()
        shell.run("term 2")
        #expect(shell.session.currentTerminal.number == 2)
        #expect(shell.output("term") == "TERMINAL  STATE\n       1  free\n       2  here\n")
        try shell.type("sleep 5", on: 1)
        #expect(shell.output("term") == "TERMINAL  STATE\n       1  busy\n       2  here\n")
    }

    @Test(arguments: ["term 0", "term 101", "term x", "term -1", "term 1 2"])
    func termRefusesWhatIsNoTerminal(_ line: String) {
        let shell = LabShell()
        #expect(shell.run(line).status == 2)
        #expect(shell.session.currentTerminal.number == 1)
    }

    @Test func theStatusBelongsToItsTerminalAndVariablesToAll() throws {
        let shell = LabShell()
        try shell.type("false; x=1", on: 1)
        try shell.type("false", on: 1)
        try shell.type("echo $? $x", on: 2)
        try shell.type("echo $? $x", on: 1)
        #expect(shell.takeHeard().output == "0 1\n1 1\n")
    }

    @Test func whatOccupiesATerminalCanBeSentToTheBackground() throws {
        let shell = LabShell()
        let blocked = try shell.type("sleep 100; echo after", on: 1)
        let job = shell.session.sendToBackground(shell.session.terminal(1))
        #expect(job?.number == 1)
        #expect(job?.text == "sleep 100")
        #expect(!shell.session.terminal(1).isBusy)
        #expect(shell.run("echo free").output == "free\n")
        #expect(blocked.isRunning)
        #expect(shell.run("wait %1; echo $?").output == "after\n0\n")
        #expect(!blocked.isRunning)
        #expect(shell.session.sendToBackground(shell.session.terminal(1)) == nil)
    }

    @Test func whatWasSentToTheBackgroundCanBeKilled() throws {
        let shell = LabShell()
        try shell.type("while true; do sleep 1 | cat; done", on: 1)
        shell.session.sendToBackground(shell.session.terminal(1))
        #expect(shell.run("sleep 5.5; kill -9 %1; wait %1; echo $?").output == "137\n")
        #expect(shell.session.jobs.running.isEmpty)
    }

    // MARK: Ctrl-C

    @Test(arguments: [
        "sleep 100", "sleep 100 | cat", "cat", "curl localhost:8081/delay/1h", "echo $(sleep 100)",
        "for i in 1 2 3; do sleep 100; done", "while true; do sleep 100; done", "if sleep 100; then echo; fi",
        "sleep 100 && echo no", "x=$(sleep 100; echo no)",
        "sleep 100 &\nwait", "sleep 100 > f; echo no", "for i in $(sleep 100); do echo; done", "seq 1 3 | sleep 100",
        "curl --retry 5 --retry-delay 100 localhost:8081/status/503",
    ])
    func anInterruptEndsEveryKindOfWait(_ text: String) throws {
        let shell = LabShell()
        shell.session.hasNoKeyboard = false
        shell.run("backend --port 8081 --name A &")
        let submission = try shell.type(text)
        _ = shell.session.wait(.stepping, limit: .seconds(1), until: { false })
        #expect(submission.isRunning)
        shell.session.interrupt(shell.session.currentTerminal)
        shell.session.settle()
        #expect(submission.status == 130)
        #expect(!shell.session.currentTerminal.isBusy)
        #expect(!shell.takeHeard().output.contains("no"))
        #expect(shell.output("echo $?") == "130\n")
    }

    @Test func anInterruptOfFgStopsTheJob() throws {
        let shell = LabShell()
        let submission = try shell.type("sleep 100 &\nfg %1")
        shell.session.interrupt(shell.session.currentTerminal)
        shell.session.settle()
        #expect(submission.status == 130)
        #expect(shell.session.jobs.running.isEmpty)
    }

    @Test func anInterruptOfNothingDoesNothing() {
        let shell = LabShell()
        shell.session.interrupt(shell.session.currentTerminal)
        #expect(shell.output("echo $?") == "0\n")
    }

    @Test func anInterruptLeavesJobsInTheBackgroundAlone() throws {
        let shell = LabShell()
        try shell.type("sleep 50 &\nsleep 100")
        shell.session.interrupt(shell.session.currentTerminal)
        shell.session.settle()
        #expect(shell.session.jobs.running.map(\.text) == ["sleep 50"])
    }

    @Test func anEndlessLoopCanBeInterruptedWhileTheClockFollowsTheHost() throws {
        var options = LabOptions()
        options.watchesHost = true
        options.speed = .real
        let lab = try Lab(options)
        let submission = lab.session.submit(
            try Parser.parse("while true; do true; done"),
            on: lab.session.currentTerminal, text: "")
        var rounds = 0
        let failure = lab.session.wait(
            .clock,
            isInterrupted: {
                rounds += 1; return rounds > 5
            },
            until: { !submission.isRunning })
        #expect(failure == .interrupted)
        lab.session.interrupt(lab.session.currentTerminal)
        _ = lab.session.wait(.clock, limit: .seconds(5), until: { !submission.isRunning })
        #expect(submission.status == 130)
    }

    // MARK: Keyboard

    @Test func whatIsTypedGoesToTheProgramThatReads() throws {
        let shell = LabShell()
        shell.session.hasNoKeyboard = false
        let submission = try shell.type("cat -n")
        #expect(shell.session.currentTerminal.isReading)
        shell.session.currentTerminal.type("hello")
        shell.session.settle()
        #expect(shell.takeHeard().output == "     1\thello\n")
        shell.session.currentTerminal.endInput()
        shell.session.settle()
        #expect(submission.status == 0)
        #expect(!shell.session.currentTerminal.isReading)
    }

    @Test func whatIsTypedAheadWaitsForItsReader() throws {
        let shell = LabShell()
        shell.session.hasNoKeyboard = false
        shell.session.currentTerminal.type("early")
        try shell.type("head -n 1")
        #expect(shell.takeHeard().output == "early\n")
    }

    // MARK: Pipes

    @Test(.timeLimit(.minutes(5)))
    func aProducerEndsWithItsReader() {
        #expect(output("seq 1 1000000000 | head -n 1") == "1\n")
        #expect(output("seq 1 1000000000 | grep -q 5; echo $?") == "0\n")
        #expect(output("seq 1 1000000000 | cat | cat | head -n 2 | tail -n 1") == "2\n")
        #expect(output("seq 1 1000000000 | true; echo $?") == "0\n")
    }

    @Test(.timeLimit(.minutes(5)))
    func aLoopEndsWithTheReaderOfItsPipe() {
        #expect(output("while true; do echo x; done | head -n 2; echo $?") == "x\nx\n0\n")
        #expect(output("for i in {1..100000}; do echo $i; done | head -n 1") == "1\n")
        #expect(output("while true; do seq 3; done | head -n 4 | wc -l") == "4\n")
    }

    @Test func aLoopThatWritesFasterThanItsPipeIsReadWaits() {
        let shell = LabShell()
        let line = String(repeating: "x", count: 4000)
        let outcome = shell.run("while true; do echo \(line); done | sleep 5; echo $?; clock | grep elapsed")
        #expect(outcome.lines == ["0", "elapsed  5s"])
        #expect(outcome.failure == nil)
    }

    @Test func nothingOfALongStreamIsLost() {
        #expect(output("seq 1 200000 | cat | sort -n | tail -n 1") == "200000\n")
        #expect(output("seq 1 200000 | cat | cat | wc -l") == "200000\n")
        #expect(output("seq 1 100000 > f; cat f f | wc -l") == "200000\n")
    }

    @Test func jobsOfALoopKeepItsPipeOpen() {
        #expect(output("for i in 3 1 2; do sleep $i && echo $i & done | sort") == "1\n2\n3\n")
        #expect(output("for i in 1 2 3; do seq 1 50000 & done | wc -l") == "150000\n")
    }

    // @covers LB-M2
    @Test func manyRequestsInTheBackgroundCanBeCounted() {
        let outcome = LabShell().run(
            """
            spawn 3 backend --port 8081
            loadbalancer --backends 8081,8082,8083 --port 8080 &
            sleep 1
            for i in {1..30}; do curl -s localhost:8080/ & done | sort | uniq -c
            """)
        #expect(
            outcome.output == """
                     10 Response from backend-1
                     10 Response from backend-2
                     10 Response from backend-3

                """)
    }

    @Test func theStatusOfAPipeIsThatOfItsLastStage() {
        #expect(
            output(
                "false | true; echo $?; true | false; echo $?; nosuch 2> e | cat; echo $?; true | nosuc"
                    + "h 2> e; echo $?") == "0\n1\n0\n127\n")
    }

    // MARK: Redirections

    @Test func severalWritersOfOneFileLoseNothing() {
        #expect(output("for i in 1 2 3; do sleep $i && echo $i >> f & done; sleep 5; cat f") == "1\n2\n3\n")
        #expect(output("for i in 1 2 3; do seq 1 1000 >> f & done; wait; wc -l < f") == "3000\n")
    }

    @Test func aFileThatCannotBeWrittenFailsTheCommand() {
        let shell = LabShell()
        let outcome = shell.run("mkdir d\necho a > d\necho $?\necho a > nosuch/f\necho $?\necho a > /\necho $?")
        #expect(outcome.output == "1\n1\n1\n")
        #expect(
            outcome.errorOutput.contains("d: Is a directory")
                || outcome.errorOutput.contains(
                    "d: is a dir"
                        + "ectory"),
            "\(outcome.errorOutput)")
        #expect(
            outcome.errorOutput.lowercased().contains("nosuch/f: no such file or directory"),
            "\(outcome.errorOutput)")
    }

    @Test func pathsNeverLeaveTheLab() {
        let shell = LabShell()
        #expect(shell.output("echo a > ../../../../x; cat /x") == "a\n")
        #expect(shell.run("cat /etc/passwd").status == 1)
        #expect(shell.output("mkdir -p /a/b; cd /a/b; pwd; cd ../..; pwd; cd ..; pwd; cd; pwd") == "/a/b\n/\n/\n/\n")
        #expect(shell.output("cd /a/b; echo q > ../f; cat /a/f; cd nosuch; echo $?; pwd") == "q\n1\n/a/b\n")
    }

    @Test func errorsOfARedirectedCommandGoWhereItSays() {
        let outcome = LabShell().run(
            "curl nosuch:1 2> e\ncat e\ncurl nosuch:1 > o 2>&1\ncat o\ncat nosuch 2>&"
                + "1 | wc -l")
        #expect(
            outcome.output == "curl: (6) Could not resolve host: nosuch\ncurl: (6) Could not resolve host:"
                + " nosuch\n1\n")
        #expect(outcome.errorOutput == "")
    }

    // MARK: Status

    @Test func aScriptStopsAtItsFirstFailureIfAsked() {
        let shell = LabShell()
        let outcome = shell.run("echo a\nfalse || true\nif false; then echo; fi\nfalse\necho b", stopsAtFailure: true)
        #expect(outcome.output == "a\n")
        #expect(outcome.status == 1)
    }

    @Test func exitEndsTheWholeWithItsStatus() {
        #expect(LabShell().run("exit 3\necho no").status == 3)
        #expect(LabShell().run("false\nexit").status == 1)
        #expect(LabShell().run("for i in 1; do exit 4; done\necho no").output == "")
        #expect(LabShell().run("exit 256").status == 0)
        #expect(LabShell().run("exit x").status == 2)
        #expect(LabShell().run("exit -1").status == 255)
    }

    @Test func exitLeavesNothingAfterItRun() {
        let outcome = LabShell().run("exit 3\necho no")
        #expect(outcome.output == "")
        #expect(LabShell().run("exit 0 && echo no; echo no").output == "")
    }

    @Test(arguments: [
        ("break", 0), ("continue", 0), ("for i in a; do break x; done", 128),
        ("for i in a; do break 0; done", 1), ("for i in a; do break 1 2; done", 1),
    ])
    func breakWithoutALoopIsSaid(_ text: String, _ status: Int) {
        let outcome = LabShell().run(text + "\necho $?")
        #expect(outcome.output == "\(status)\n" && !outcome.errorOutput.isEmpty)
    }

    // MARK: Time

    @Test(.timeLimit(.minutes(5)))
    func aLoopThatNeverLetsTimePassIsReportedAsStuck() {
        for text in ["while true; do true; done", "until false; do x=1; done"] {
            let outcome = LabShell().run(text)
            #expect(outcome.failure == .endless, "\(text)")
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func aStuckJobDoesNotKeepTheOthersFromRunning() {
        let shell = LabShell()
        let outcome = shell.run("while true; do true; done &\necho a\nadvance 1s\necho $?")
        #expect(outcome.output == "a\n1\n")
        #expect(outcome.errorOutput.contains("work goes on for ever at this moment"))
        #expect(shell.run("kill -9 %1\necho b").output == "b\n")
    }

    @Test func backgroundJobsRunWhileTimeAdvances() {
        let shell = LabShell()
        #expect(
            shell.output("sleep 5 && echo slept &\nadvance 4s\necho four\nadvance 1s\necho five")
                == "four\nslept\nfive\n")
        #expect(
            shell.output("for i in 1 2 3; do sleep 1; seq $i | tail -n 1; done &\nadvance 10s\necho end")
                == "1\n2\n3\nend\n")
    }

    @Test func everyStepOfABackgroundLoopHappensAtItsTime() {
        let shell = LabShell()
        shell.run("for i in 1 2 3; do sleep 1; seq 2 > f; clock --json >> times; done &\nadvance 10s")
        #expect(
            shell.output("grep -o 'elapsed_ms\": [0-9]*' times") == "elapsed_ms\": 1000\nelapsed_ms\": 200"
                + "0\nelapsed_ms\": 3000\n")
    }

    @Test func advanceMovesTheClockExactly() {
        #expect(
            output("advance 90s\nclock | grep elapsed\nadvance 0.5\nclock | grep elapsed") == "elapsed  1m"
                + "30s\nelapsed  1m30.5s\n")
        #expect(output("sleep 200ms\nsleep 0.3\nclock --json").contains("\"elapsed_ms\": 500"))
    }

    @Test(arguments: [
        "advance", "advance x", "advance -5s", "advance 10y", "advance 367d", "advance 1s 2s", "sleep",
        "sleep x", "sleep -1", "clock fast", "clock x0", "clock x2000000",
    ])
    func timesThatMakeNoSenseAreRefused(_ line: String) {
        #expect(LabShell().run(line).status == 2)
    }

    @Test func aLabInMemoryHasNoHostClockToFollow() {
        let outcome = LabShell().run("clock real")
        #expect(outcome.status == 1)
        #expect(outcome.errorOutput == "clock: this lab has virtual time only: there is no host clock to follow\n")
        #expect(LabShell().run("clock virtual").status == 0)
    }

    @Test func somethingThatNeverHappensIsReported() throws {
        let shell = LabShell()
        shell.session.hasNoKeyboard = false
        #expect(shell.run("cat").failure == .nothingLeft)
    }

    @Test func aWaitGivesUpAfterItsLimit() {
        #expect(LabShell().run("sleep 100", limit: .seconds(10)).failure == .timedOut)
    }

    // MARK: Host

    private final class FakeHost: HostFiles {
        var files: [String: [UInt8]] = [:]
        func read(_ path: String) throws(CommandFailure) -> [UInt8] {
            guard let bytes = files[path] else { throw CommandFailure("\(path): No such file or directory") }
            return bytes
        }
        func write(_ bytes: [UInt8], to path: String) throws(CommandFailure) {
            if path.hasPrefix("/root") { throw CommandFailure("\(path): Permission denied") }
            files[path] = bytes
        }
    }

    @Test func putAndGetCopyBetweenHostAndLab() {
        let shell = LabShell()
        let host = FakeHost()
        host.files["/home/me/lb.yaml"] = [1, 2, 0, 255, 10]
        shell.session.hostFiles = host
        #expect(shell.run("mkdir d\nput /home/me/lb.yaml\nput /home/me/lb.yaml x\nput /home/me/lb.yaml d").status == 0)
        #expect(shell.output("ls . d") == ".:\nd/\nlb.yaml\nx\n\nd:\nlb.yaml\n")
        #expect(shell.run("get lb.yaml\nget d/lb.yaml /tmp/out").status == 0)
        #expect(host.files["lb.yaml"] == [1, 2, 0, 255, 10])
        #expect(host.files["/tmp/out"] == [1, 2, 0, 255, 10])
        #expect(shell.run("put nosuch").errorOutput == "put: nosuch: No such file or directory\n")
        #expect(shell.run("get nosuch").status == 1)
        #expect(shell.run("get lb.yaml /root/x").errorOutput == "get: /root/x: Permission denied\n")
    }

    @Test(arguments: ["put a", "get f", "record x.sdl", "record off", "record", "reset"])
    func whatNeedsAHostIsRefusedWithoutOne(_ line: String) {
        let shell = LabShell()
        shell.place("x", at: "/f")
        let outcome = shell.run(line)
        #expect(outcome.status == 1)
        #expect(outcome.errorOutput.hasPrefix(line.prefix { $0 != " " } + ": "))
    }

    @Test func aHostCommandIsRefusedWithoutAHost() {
        let outcome = LabShell().run("!date\necho $?")
        #expect(outcome.output == "126\n")
        #expect(
            outcome.errorOutput
                == "!date: commands of the machine are refused in scripts; sdlab run --allow-host lets them run\n")
    }

    @Test func aHostCommandsStatusIsTheLines() {
        let shell = LabShell()
        var lines: [String] = []
        shell.session.hostRunner = { line, done in
            lines.append(line)
            shell.world.enqueue { done(3, nil) }
        }
        #expect(shell.output("!make all | tee log\necho $?") == "3\n")
        #expect(lines == ["make all | tee log"])
    }

    @Test func recordAndResetCallWhoeverDrivesTheSession() {
        let shell = LabShell()
        var paths: [String?] = []
        var resets = 0
        shell.session.recorder = {
            paths.append($0); return "recording"
        }
        shell.session.resetter = { resets += 1 }
        #expect(shell.run("record a.sdl\nrecord off\nreset").notices == ["recording", "recording"])
        #expect(paths == ["a.sdl", "off"])
        #expect(resets == 1)
    }

    // MARK: Logs

    @Test func logLinesAreFilteredByTagAndLevelAndTheJournalKeepsThemAll() {
        let start = "backend --port 8081 --name A &\nloadbalancer --backends 8081 --port 80 &\nsleep 1\n"
        #expect(!LabShell().run(start).logs.isEmpty)
        #expect(LabShell().run("log mute LB\n" + start).logs.isEmpty)
        #expect(LabShell().run("log mute lb\n" + start + "journal --all | grep -c '\\[LB\\]'").lines.last != "0")
        #expect(!LabShell().run("log mute LB\nlog all\n" + start).logs.isEmpty)
        #expect(!LabShell().run("log only LB\n" + start).logs.isEmpty)
        #expect(LabShell().run("log level error\n" + start).logs.isEmpty)
        #expect(LabShell().run("log level error LB\n" + start).logs.isEmpty)
        #expect(LabShell().run("log level debug\n" + start).logs.count >= LabShell().run(start).logs.count)
        let table = LabShell().output("log mute LB\nlog")
        let rows = table.split(separator: "\n")
        let words = rows.map { $0.split(separator: " ") }
        #expect(words.first == ["TAG", "STATE", "LEVEL"] && words.contains(["LB", "muted", "info"]), "\(table)")
        let others = rows.dropFirst().filter { !$0.hasPrefix("LB ") }
        #expect(others.count > 4 && others.allSatisfy { $0.contains(" shown  info") }, "\(table)")
    }

    @Test(arguments: [
        ("log level", "log: which level? log level debug"),
        (
            "log level loud",
            "log: 'loud' is not a level; debug, info, warning, error"
        ),
        (
            "log level wrning",
            "log: 'wrning' is not a level; debug, info, warning, error; did you mean warning?"
        ),
        ("log mute", "log: mute which tag? log mute LB"),
        (
            "log only",
            "log: only which tag? log only LB; log all shows everything again"
        ),
        (
            "log mute XY",
            "log: no component logs as 'XY'"
        ), ("log only LBB", "log: no component logs as 'LBB'; did you mean LB?"),
        ("log mut LB", "log: 'mut' is none of level, mute, only, all; did you mean mute?"),
        (
            "log all LB",
            "log: 'all' is none of level, mute, only, all"
        ),
    ])
    func aBadLogCommandIsExplained(_ line: String, _ message: String) {
        let outcome = LabShell().run(line)
        #expect(outcome.errorOutput.hasPrefix(message), "\(outcome.errorOutput)")
        #expect(outcome.status == 2)
    }

    // MARK: Determinism

    static let scenario = """
        spawn 3 backend --port 8081
        loadbalancer --backends 8081,8082,8083 --port 8080 &
        sleep 1
        inject latency 20ms±15ms on backend-1
        inject loss 20% on backend-2 for 10s
        for i in {1..12}; do curl -s -m 5 localhost:8080/ & done
        wait
        kill -9 backend-3
        advance 20s
        curl -s localhost:8080/bytes/200000 | wc -c
        calm
        stats lb
        """

    @Test(.timeLimit(.minutes(5)))
    func theSameSeedGivesTheSameJournal() {
        var journals: Set<String> = []
        for seed in 1...50 as ClosedRange<UInt64> {
            let first = LabShell(seed: seed)
            let second = LabShell(seed: seed)
            let a = first.run(Self.scenario)
            let b = second.run(Self.scenario)
            #expect(a.failure == nil)
            #expect(a.mixed == b.mixed, "seed \(seed)")
            #expect(first.journalText == second.journalText, "seed \(seed)")
            journals.insert(first.journalText)
        }
        // Chance has its part in the scenario, so seeds must differ.
        #expect(journals.count > 40)
    }
}
