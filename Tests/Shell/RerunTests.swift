import KernelStructures
import KernelWorld
import ShellLab
import ShellSession
import Testing

/// Going back in time: what was typed is run again, in a lab of its own, up to a moment of the past.
@Suite("Going back in time") struct RerunTests {
    /// A session that is kept, as at the prompt.
    private func shell(seed: UInt64 = 1) -> LabShell {
        let shell = LabShell(seed: seed)
        shell.session.inputs.isKept = true
        return shell
    }

    private func again(
        _ shell: LabShell, _ moment: PastMoment, before cut: Int? = nil,
        isInterrupted: @escaping (LabDuration, LabDuration) -> Bool = { _, _ in false }
    ) throws -> Lab {
        try Rerun(
            shell.lab, to: moment, before: cut ?? shell.session.inputs.entries.count, poller: nil,
            isInterrupted: isInterrupted
        ).run()
    }

    /// Everything that happened up to a moment, with traffic, times and causes.
    private func journal(_ world: World, until time: LabTime) -> [String] {
        world.journal.events.map { $0 }.filter { $0.time < time }.map { "\($0)" }
    }

    /// A balancer that loses a server, from 0 s to 31 s; a job, a variable and a function, and a second terminal.
    private func failover(_ shell: LabShell) throws {
        shell.run("spawn 2 backend --port 8081 --name server")
        shell.run("loadbalancer --backends 8081,8082 --port 80 --name lb")
        shell.run("total=5; twice() { echo $(($1 * 2)); }")
        shell.run("while true; do curl -s localhost/ > /last; sleep 0.3; done &")
        shell.run("advance 10s")
        shell.run("total=$RANDOM; kill -9 server-2; inject latency 20ms lb->server-1")
        shell.run("term 2")
        try shell.type("sleep 60", on: 2)
        shell.session.switchTerminal(to: 1)
        shell.run("sleep 20")
    }

    @Test(arguments: [1, 7] as [UInt64]) func thePastIsTheSameToTheNanosecond(seed: UInt64) throws {
        let shell = shell(seed: seed)
        try failover(shell)
        for seconds in [1, 5, 12, 20, 27] {
            let lab = try again(shell, .ago(.seconds(seconds)))
            let end = shell.world.now - .seconds(seconds)
            #expect(lab.world.now == end)
            let then = journal(shell.world, until: end)
            #expect(then.count > 50 || seconds > 20)
            #expect(journal(lab.world, until: end) == then, "\(seconds) s ago")
        }
    }

    @Test func variablesFunctionsJobsFaultsFilesAndTerminalsAreThereAgain() throws {
        let shell = shell()
        try failover(shell)
        let before = try again(shell, .ago(.seconds(21)))
        #expect(before.session.variables["total"] == "5")
        #expect(before.world.faults.rules.isEmpty)
        #expect(before.world.nodes["server-2"]?.isAlive == true)
        #expect(before.session.jobs.running.count == 4)
        #expect(try before.session.files.read("/last").isEmpty == false)

        let after = try again(shell, .ago(.seconds(15)))
        #expect(after.session.variables["total"] == shell.session.variables["total"])
        #expect(after.world.faults.rules.count == 1)
        #expect(after.world.nodes["server-2"]?.isAlive == false)
        #expect(after.session.terminal(2).isBusy)
        #expect(after.session.currentTerminal.number == 1)
    }

    @Test func whatIsDoneThenIsAsIfItHadBeenDoneAtOnce() throws {
        let shell = shell()
        shell.run("spawn 2 backend --port 8081 --name server")
        shell.run("loadbalancer --backends 8081,8082 --port 80 --name lb")
        shell.run("advance 10s")
        shell.run("kill -9 server-2")
        shell.run("advance 30s")
        let lab = try again(shell, .ago(.seconds(35)))
        let other = LabShell()
        for line in [
            "spawn 2 backend --port 8081 --name server", "loadbalancer --backends 8081,8082 --port 80 --name lb",
        ] { other.run(line) }
        _ = other.session.advance(by: lab.world.now - other.world.now)
        for session in [lab.session, other.session] {
            try kill("server-1", in: session)
            _ = session.advance(by: .seconds(20))
        }
        func lines(_ world: World) -> [String] {
            world.journal.events.map { $0 }.compactMap { event in
                if case .log(let line) = event.body { "\(event.time) \(line.text)" } else { nil }
            }
        }
        #expect(lines(lab.world) == lines(other.world))
        #expect(lines(lab.world).contains { $0.hasSuffix("[LB] Removed 8081 from pool") })
    }

    private func kill(_ name: String, in session: Session) throws {
        _ = try session.job(name).send(.kill)
        session.settle()
    }

    @Test func aCommandThatMovesTimeItselfIsCutWhereThePastEnds() throws {
        let shell = shell()
        shell.run("backend --port 8081")
        shell.run("advance 60s; echo late > /late")
        let lab = try again(shell, .ago(.seconds(20)))
        #expect(lab.world.elapsed == .seconds(40))
        #expect(!lab.session.files.exists("/late"))
        #expect(!lab.session.currentTerminal.isBusy)
        // At the moment at which it was typed, it is not begun at all.
        let start = try again(shell, .ago(.seconds(60)))
        #expect(start.world.elapsed == .zero)
        #expect(start.world.nodes.allServices.count == 1)
        #expect(!journal(start.world, until: .distantFuture).contains { $0.contains("advance") })
    }

    @Test func whatWasInterruptedIsInterruptedAtTheSameMoment() throws {
        let shell = shell()
        try shell.type("sleep 30; echo never > /never")
        _ = shell.session.advance(by: .seconds(5))
        shell.session.interrupt(shell.session.currentTerminal)
        shell.session.settle()
        shell.run("echo after > /after; advance 10s")
        let lab = try again(shell, .ago(.seconds(3)))
        #expect(lab.session.files.exists("/after") && !lab.session.files.exists("/never"))
        let early = try again(shell, .ago(.seconds(12)))
        #expect(early.session.currentTerminal.isBusy && !early.session.files.exists("/after"))
    }

    @Test func linesForAProgramThatReadsComeAgain() throws {
        let shell = shell()
        shell.session.hasNoKeyboard = false
        try shell.type("cat > /typed")
        shell.session.currentTerminal.type("one")
        _ = shell.session.advance(by: .seconds(5))
        shell.session.currentTerminal.type("two")
        shell.session.currentTerminal.endInput()
        shell.session.settle()
        shell.run("advance 5s")
        #expect(try text(again(shell, .ago(.seconds(1))), "/typed") == "one\ntwo\n")
        let early = try again(shell, .ago(.seconds(7)))
        #expect(early.session.currentTerminal.isReading)
    }

    private func text(_ lab: Lab, _ path: String) throws -> String {
        String(decoding: try lab.session.files.read(path), as: UTF8.self)
    }

    @Test func theLastCommandIsUndoneAndViewsDoNotCount() throws {
        let shell = shell()
        shell.run("x=1; backend --port 8081 --name one")
        shell.run("backend --port 8082 --name two")
        shell.run("nodes")
        shell.run("jobs")
        let lab = try again(shell, .beforeLastCommand)
        #expect(lab.world.nodes.allServices.map(\.name) == ["one"])
        #expect(lab.session.variables["x"] == "1")
        #expect(throws: Rerun.Failure.refused("nothing was done yet")) {
            try again(self.shell(), .beforeLastCommand)
        }
    }

    /// A host whose file changes.
    private final class Host: HostFiles {
        var text = "first"
        func read(_ path: String) throws(CommandFailure) -> [UInt8] { Array(text.utf8) }
        func write(_ bytes: [UInt8], to path: String) throws(CommandFailure) { text = "overwritten" }
    }

    @Test func theHostIsAskedForNothingAgain() throws {
        let shell = shell()
        let host = Host()
        shell.session.hostFiles = NotedHostFiles(host, shell.session)
        var runs = 0
        shell.session.hostRunner = { _, done in
            runs += 1
            done(3, nil)
        }
        for line in ["put a.txt /a", "!true", "echo $? > /status"] { shell.run(line) }
        host.text = "second"
        shell.run("advance 5s")
        let lab = try again(shell, .ago(.seconds(1)))
        #expect(try text(lab, "/a") == "first")
        #expect(try text(lab, "/status") == "3\n")
        #expect(runs == 1 && host.text == "second")
    }

    @Test func whatNobodyTypedIsFoundAndNobodyGoesBack() throws {
        let shell = shell()
        shell.run("backend --port 8081 --name one")
        shell.run("advance 5s")
        shell.world.nodes["one"]!.log("WEB", "a lightning has struck")
        shell.run("advance 5s")
        let failure = #expect(throws: Rerun.Failure.self) { try again(shell, .ago(.seconds(1))) }
        guard case .refused(let text)? = failure else { return }
        #expect(
            text == "it does not go the same way again: at 5s, one, there was '[WEB] a lightning has struck' (5s), and "
                + "nothing when it was run again")
        // Before that, all is well.
        #expect(try again(shell, .ago(.seconds(6))).world.elapsed == .seconds(4))
    }

    @Test func whoeverInterruptsStays() throws {
        let shell = shell()
        shell.run("backend --port 8081 --name one; while true; do curl -s localhost:8081 > /x; sleep 0.1; done &")
        shell.run("advance 60s")
        var asked = 0
        #expect(throws: Rerun.Failure.interrupted) {
            try again(shell, .ago(.seconds(1))) { done, total in
                asked += 1
                #expect(done <= total && total == .seconds(59))
                return asked > 50
            }
        }
        #expect(asked > 50)
    }

    @Test func momentsThatCannotBeAreRefused() throws {
        let shell = shell()
        shell.run("advance 12s")
        #expect(throws: Rerun.Failure.refused("the lab is only 12s old")) { try again(shell, .ago(.seconds(13))) }
        #expect(try again(shell, .ago(.seconds(12))).world.elapsed == .zero)
        #expect(try again(shell, .now).world.elapsed == .seconds(12))
    }

    @Test func moreThanIsKeptIsSaid() throws {
        let shell = shell()
        shell.session.hasNoKeyboard = false
        try shell.type("cat > /dev/null")
        let line = String(repeating: "x", count: 8 << 20)
        for _ in 0..<9 { shell.session.currentTerminal.type(line) }
        #expect(throws: Rerun.Failure.refused("more came in than the 64.0 MiB that are kept")) {
            try again(shell, .now)
        }
    }

    @Test func nothingIsKeptWhereNobodyGoesBack() {
        let shell = LabShell()
        shell.run("backend --port 8081; advance 5s")
        #expect(shell.session.inputs.entries.isEmpty && shell.session.inputs.story.isEmpty)
    }
}
