import KernelStructures
import ShellSession
import Testing

/// `inject`, `heal`, `faults` and `calm`: every fault does what its name says, and ends when it should.
@Suite struct FaultCommandTests {
    private static let start = "backend --port 8081 --name A &\nbackend --port 8082 --name B &\n"

    private func lab() -> LabShell {
        let shell = LabShell()
        shell.run(Self.start)
        return shell
    }

    /// Status and seconds of a request.
    private func ask(_ shell: LabShell, _ target: String = "A:8081/", _ flags: String = "-m 30") -> (
        output: String,
        seconds: Double
    ) {
        let before = shell.world.now
        let text = shell.output("curl -s \(flags) \(target)\necho $?")
        return (text, (shell.world.now - before).seconds)
    }

    // MARK: Kinds

    @Test func latencyDelaysEachWayThatItsLinkNames() {
        let shell = lab()
        let plain = ask(shell).seconds
        #expect(plain < 0.01)
        #expect(shell.output("inject latency 100ms client->A") == "fault 1: latency 100ms client->A\n")
        let oneWay = ask(shell).seconds
        #expect((0.1...0.35).contains(oneWay))
        shell.run("calm\ninject latency 100ms client<->A")
        let bothWays = ask(shell).seconds
        #expect(bothWays > oneWay + 0.09)
        #expect(ask(shell, "B:8082/").seconds < 0.01)
        shell.run("calm")
        #expect(ask(shell).seconds < 0.01)
    }

    @Test func jitterVariesTheDelay() {
        let shell = lab()
        shell.run("inject latency 100ms±50ms on A")
        let times = Set((0..<10).map { _ in Int(ask(shell).seconds * 1e6) })
        #expect(times.count > 3)
        #expect(times.allSatisfy { $0 > 49_000 })
    }

    @Test func aBlackholeSwallowsAndHealEndsIt() {
        let shell = lab()
        #expect(shell.output("inject blackhole on A") == "fault 1: blackhole on A\n")
        #expect(ask(shell, "A:8081/", "-m 5").output == "28\n")
        #expect(ask(shell, "B:8082/").output == "Response from B\n0\n")
        #expect(shell.output("heal") == "healed 1 fault\n")
        #expect(ask(shell).output == "Response from A\n0\n")
    }

    @Test func aPartitionSeparatesItsSidesOnly() {
        let shell = lab()
        shell.run("loadbalancer --backends A:8081,B:8082 --port 80 --name lb &\nsleep 1")
        #expect(shell.output("inject partition {A,B}|{client}") == "fault 1: partition {A,B}|{client}\n")
        #expect(ask(shell, "A:8081/", "-m 5").output == "28\n")
        #expect(ask(shell, "lb/").output == "Response from A\n0\n")
        shell.run("heal 1")
        #expect(ask(shell).output == "Response from A\n0\n")
        shell.run("inject partition A")
        #expect(ask(shell, "A:8081/", "-m 5").output == "28\n")
    }

    @Test func refuseRefusesNewConnections() {
        let shell = lab()
        shell.run("inject refuse on A")
        #expect(ask(shell).output == "7\n")
        #expect(ask(shell, "B:8082/").output == "Response from B\n0\n")
        shell.run("calm")
        #expect(ask(shell).output == "Response from A\n0\n")
    }

    @Test func resetResetsWhatIsOpen() {
        let shell = lab()
        let outcome = shell.run("curl -s A:8081/delay/10s &\nsleep 1\ninject reset on A\nwait %3\necho $?")
        #expect(outcome.lines.last == "56", "\(outcome.output)")
    }

    @Test func throttleLimitsTheRate() {
        let shell = lab()
        shell.run("inject throttle 10KB/s A->client")
        let result = ask(shell, "A:8081/bytes/100000", "-o /dev/null -m 60")
        #expect(result.output == "0\n")
        #expect((8.0...12.0).contains(result.seconds), "\(result.seconds)")
    }

    @Test func corruptChangesBytes() {
        let shell = lab()
        shell.run("inject corrupt 100% A->client")
        #expect(ask(shell).output != "Response from A\n0\n")
    }

    @Test func lossDelaysByRetransmission() {
        let shell = lab()
        shell.run("inject loss 60% on A")
        let slow = (0..<10).map { _ in ask(shell, "A:8081/", "-m 200").seconds }.max()!
        #expect(slow > 0.2)
    }

    @Test func failAnswersInTheNodesPlace() {
        let shell = lab()
        let each = "-s -o /dev/null -w '%{http_code} ' A:8081/"
        #expect(shell.output("inject fail http 503 first 2 on A") == "fault 1: fail http 503 first 2 on A\n")
        #expect(shell.output("for i in 1 2 3 4; do curl \(each); done") == "503 503 200 200 ")
        #expect(shell.output("faults") == "no faults\n")
        shell.run("inject fail http 500 after 2 for 3 on A")
        #expect(shell.output("for i in 1 2 3 4 5 6 7; do curl \(each); done") == "200 200 500 500 500 200 200 ")
        shell.run("inject fail http 429 on A")
        #expect(
            shell.output(
                "for i in 1 2 3; do curl \(each); done; curl -s -o /dev/null -w '%{http_code}' B:"
                    + "8082/") == "429 429 429 200")
        shell.run("calm\ninject fail http 418 on A for 10s")
        #expect(shell.output("curl \(each); sleep 11; curl \(each)") == "418 200 ")
    }

    @Test func aFaultEndsWithItsTime() {
        let shell = lab()
        #expect(shell.output("inject blackhole on A for 10s") == "fault 1: blackhole on A for 10s\n")
        #expect(
            shell.output("advance 4s\nfaults") == "ID  FAULT           SINCE  ENDS IN\n1   blackhole on A   "
                + "  4s       6s\n")
        #expect(shell.output("advance 6s\nfaults") == "no faults\n")
        #expect(ask(shell).output == "Response from A\n0\n")
    }

    @Test func aWaitingRequestGoesOnWhenTheFaultEnds() {
        let shell = lab()
        let outcome = shell.run("inject blackhole on A for 5s\ncurl -s -m 60 A:8081/")
        #expect(outcome.output.hasSuffix("Response from A\n"))
    }

    @Test func faultsAddUp() {
        let shell = lab()
        shell.run("inject latency 100ms client->A\ninject latency 200ms client->A")
        #expect(ask(shell).seconds > 0.29)
        #expect(shell.output("faults | wc -l") == "3\n")
        #expect(shell.output("calm") == "reverted 2 faults\n")
        #expect(shell.output("calm") == "reverted 0 faults\n")
    }

    @Test func healLeavesFaultsThatBlockNothing() {
        let shell = lab()
        shell.run("inject latency 1ms\ninject blackhole on A\ninject partition A|B")
        #expect(shell.output("heal") == "healed 2 faults\n")
        #expect(shell.output("faults --json").contains("latency 1ms"))
        #expect(shell.output("heal 1") == "healed 1 fault\n")
        #expect(shell.output("heal '#1' 2> e || cat e") == "heal: there is no fault 1; see faults\n")
    }

    // MARK: Spellings

    @Test(arguments: [
        "latency 200ms", "latency 200ms±50ms", "latency 200ms+-50ms", "latency 0.2s on A", "latency 200ms A->B",
        "latency 200ms A<->B", "latency 200ms {A,B}->client", "latency 200ms *->A", "latency 200ms on A for 30s",
        "latency 200ms for 30s on A", "latency 200ms a->b",
        "loss 10%", "loss 0.5% on B", "loss 100% A->B for 1m30s", "throttle 64KB/s", "throttle 1MiB/s A->B",
        "throttle 100/s on A", "corrupt 1% on A", "partition {A,B}|{client}", "partition A|B", "partition A",
        "partition on A", "partition {A}|{B} for 30s", "blackhole", "blackhole A->B",
        "reset", "reset on A", "refuse on A", "refuse client->A", "fail http 503", "fail http 503 first 2 on A",
        "fail http 503 after 2 on A", "fail http 503 after 2 for 5 on A", "fail http 503 on A for 30s",
        "fail http 503 first 2 on A for 30s", "disk-full on A", "disk-slow 5ms on A for 1m",
        "fail-sync on A", "fail-sync 3 on A", "torn-write on A", "torn-write 2 on A", "latency 5ms outside->A",
    ])
    func everyFormOfAFaultIsUnderstood(_ words: String) {
        let shell = lab()
        let outcome = shell.run("inject '\(words.replacing(" ", with: "' '"))'")
        #expect(outcome.status == 0, "\(outcome.errorOutput)")
        #expect(outcome.output.hasPrefix("fault 1: "))
        #expect(shell.run("faults").status == 0)
        #expect(shell.output("calm") == "reverted 1 fault\n" || words.hasPrefix("reset"))
    }

    @Test(arguments: [
        ("", "inject: something is missing"), ("latncy 1ms", "unknown fault 'latncy'; did you mean latency?"),
        ("nonsense", "unknown fault 'nonsense'; it can be latency, loss"), ("latency", "how long is the delay"),
        ("latency x", "'x' is not a delay such as 200ms"), ("latency 5", "'5' is not a delay"),
        ("latency 50ms±100ms", "the jitter is larger than the delay"), ("loss", "how much is lost"),
        (
            "loss 10",
            "'10' is not a percentage"
        ), ("loss 0%", "'0%' is not a percentage"),
        (
            "loss 101%",
            "'101%' is not a percentage"
        ), ("loss nan%", "'nan%' is not a percentage"),
        (
            "throttle 64KB",
            "is not a rate such as 64KB/s"
        ),
        ("throttle 0/s", "is not a rate"), ("throttle", "how much a second"), ("partition", "between whom"),
        ("partition A|B|client", "more than two sides"), ("partition {}|{A}", "names no nodes"),
        ("partition {A,}|{B}", "names no nodes"), ("fail", "fail what? http"),
        (
            "fail redis",
            "faults do not speak 'redis'"
        ),
        ("fail http", "with which status"), ("fail http 99", "'99' is not a status"),
        (
            "fail http 503 first",
            "'first' needs a number of requests"
        ), ("fail http 503 first x", "'first' needs a number"),
        ("fail http 503 first 0", "'0' is not a number of times"), ("fail http 503 after", "'after' needs a number"),
        ("latency 1ms on", "on which node"), ("latency 1ms A", "'A' is not a link such as A->B"),
        (
            "latency 1ms A->",
            "names no nodes"
        ), ("latency 1ms on A on B", "unexpected 'on'"),
        (
            "latency 1ms for",
            "how long does it last"
        ), ("latency 1ms for x", "'x' is not a time"),
        (
            "latency 1ms for 0s",
            "'0s' is too short: it must be longer than 0s"
        ),
        ("latency 1ms on C", "no node 'C'"), ("latency 1ms on clint", "did you mean client?"),
        (
            "latency 1ms A->Z",
            "no node 'Z'"
        ), ("disk-full", "on which node? disk-full … on NODE"),
        (
            "disk-slow on A",
            "'on' is not a time"
        ), ("fail-sync 0 on A", "'0' is not a number of times"),
    ])
    func aBadFaultIsExplainedAndNothingIsInjected(_ words: String, _ part: String) {
        let shell = lab()
        let line = words.isEmpty ? "inject" : "inject '\(words.replacing(" ", with: "' '"))'"
        let outcome = shell.run(line)
        #expect(outcome.status != 0)
        #expect(outcome.errorOutput.contains(part), "\(outcome.errorOutput)")
        #expect(shell.output("faults") == "no faults\n")
    }

    @Test(arguments: [
        ("heal x", "'x' is not the number of a fault"), ("heal 7", "there is no fault 7"),
        (
            "calm x",
            "one word too many"
        ), ("heal 1 7", "there is no fault 7"),
    ])
    func aBadHealIsExplained(_ line: String, _ part: String) {
        let shell = lab()
        shell.run("inject latency 1ms")
        #expect(shell.run(line).errorOutput.contains(part))
        #expect(shell.output("faults | wc -l") == "2\n")
    }

    /// Timers beyond the last moment that there is would never come, or all at once.
    @Test func nobodyMovesTheClockBeyondTheCalendar() {
        let shell = LabShell()
        let outcome = shell.run("for i in {1..237}; do advance 365d; done; clock | grep -c 2260; advance 365d")
        #expect(outcome.output == "1\n" && outcome.status == 2)
        let end = "2261-04-10T23:47:16.854775807Z"
        #expect(outcome.errorOutput == "advance: '365d' goes beyond \(end), where the lab's calendar ends\n")
        #expect(shell.run("sleep 366d").errorOutput.hasPrefix("sleep: '366d' goes beyond 2261"))
        #expect(shell.run("backend --port 80; curl -s localhost; advance 1d").status == 0)
    }
}
