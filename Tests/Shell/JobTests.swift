import KernelStructures
import KernelWorld
import ShellLanguage
import ShellSession
import Testing

/// Jobs, signals and services, as somebody at a terminal meets them.
@Suite struct JobTests {
    // MARK: Numbers and the list

    @Test func jobsAreNumberedFromOneAndListed() {
        let shell = LabShell()
        #expect(shell.output("jobs") == "no jobs\n")
        shell.run("sleep 5 &\nbackend --port 8081 --name Server-A &\nsleep 1 | cat &\nsleep 0.001")
        #expect(
            shell.output("jobs") == """
                JOB  STATE    NODE      COMMAND
                %1   running  -         sleep 5
                %2   running  Server-A  backend --port 8081 --name Server-A
                %3   running  -         sleep 1 | cat

                """)
    }

    @Test func aNumberIsUsedAgainOnlyWhenItIsTheHighest() {
        let shell = LabShell()
        shell.run("sleep 10 &\nsleep 100 &\nsleep 200 &\nkill %1\nsleep 300 &")
        #expect(shell.session.jobs.running.map(\.number) == [2, 3, 4])
        shell.run("kill %4 %3\nsleep 400 &")
        #expect(shell.session.jobs.running.map(\.number) == [2, 3])
    }

    @Test func aServiceWithoutAnAmpersandDetachesWhenItIsReadyAndTakesANumber() {
        let shell = LabShell()
        let outcome = shell.run(
            "backend --port 8081 --name A\necho $?\ncurl -s localhost:8081/\nkill %1\nwait %1\njobs")
        #expect(outcome.output == "0\nResponse from A\nno jobs\n")
    }

    @Test func aDetachedServiceKeepsWritingToItsFile() {
        let shell = LabShell()
        #expect(shell.run("backend --port 8081 > log.txt\necho next").output == "next\n")
        #expect(shell.run("kill -9 %1; cat log.txt; echo $?").output == "0\n")
    }

    @Test func aServiceThatCannotStartFailsInTheForegroundAndLeavesNoJob() {
        let shell = LabShell()
        let outcome = shell.run("backend --port 0\necho $?\njobs")
        #expect(outcome.output == "2\nno jobs\n")
        #expect(outcome.errorOutput == "backend: --port: '0' is not a port (1 to 65535)\n")
    }

    // MARK: wait, fg, bg

    @Test func waitWaitsForJobsAndGivesTheirStatus() {
        let shell = LabShell()
        #expect(shell.run("sleep 2 &\nsleep 3 &\nwait\nclock | grep elapsed").lines == ["elapsed  3s"])
        #expect(shell.output("sleep 1 && false &\nwait %1; echo $?") == "1\n")
        #expect(shell.output("sleep 1 &\nkill %1\nwait; echo $?") == "0\n")
    }

    @Test func waitKnowsAJobThatHasJustEnded() {
        #expect(output("false &\nsleep 1\nwait %1; echo $?") == "1\n")
        #expect(output("true &\nwait %1; echo $?") == "0\n")
        #expect(output("sleep 10 &\nkill %1\nwait %1; echo $?") == "143\n")
        #expect(output("sleep 10 &\nkill -9 %1\nwait %1; echo $?") == "137\n")
    }

    @Test func waitWithoutArgumentsDoesNotWaitForServices() {
        #expect(output("backend --port 8081 &\nsleep 1 &\nwait; echo done") == "done\n")
        #expect(output("sleep 1 && false &\nwait; echo $?") == "0\n")
        #expect(
            output(
                "sleep 2 && false &\nsleep 1 &\nwait %1 %2; echo $?; sleep 3 &\nsleep 1 && false &"
                    + "\nwait; echo $?") == "0\n0\n")
    }

    @Test func fgBringsAJobBackAndPassesItsStatusOn() {
        #expect(output("sleep 3 && false &\nfg %1; echo $?; clock | grep elapsed") == "1\nelapsed  3s\n")
        #expect(output("sleep 3 &\nkill -STOP %1\nfg; echo $?") == "0\n")
    }

    @Test func bgThawsTheNewestFrozenJob() {
        let shell = LabShell()
        shell.run("sleep 5 &\nsleep 6 &\nkill -STOP %1\nkill -STOP %2\nbg")
        #expect(shell.session.jobs.running.map(\.isFrozen) == [true, false])
        shell.run("bg %1")
        #expect(shell.session.jobs.running.map(\.isFrozen) == [false, false])
    }

    @Test(arguments: [
        "fg", "bg", "fg %1", "bg %7", "wait %1", "kill %1", "pause %1", "resume x", "kill nosuch",
        "fg nosuch",
    ])
    func aJobThatDoesNotExistIsNamed(_ line: String) {
        let outcome = LabShell().run(line)
        // As in bash: nobody to wait for.
        #expect(outcome.status == (line.hasPrefix("wait") ? 127 : 1))
        #expect(outcome.errorOutput.contains("no job '"), "\(outcome.errorOutput)")
        #expect(outcome.errorOutput.contains("nothing runs in the background"))
    }

    @Test func aNearlyRightJobIsSuggested() {
        let shell = LabShell()
        shell.run("backend --port 8081 --name Server-A &")
        #expect(shell.run("kill Server-B").errorOutput == "kill: no job 'Server-B'; did you mean Server-A?\n")
        #expect(shell.run("kill %2").errorOutput == "kill: no job '%2'; did you mean %1?\n")
    }

    // MARK: Signals

    @Test(arguments: [
        ("kill %1", 143), ("kill -TERM %1", 143), ("kill -15 %1", 143), ("kill -SIGTERM %1", 143),
        ("kill -s TERM %1", 143), ("kill --signal TERM %1", 143), ("kill -9 %1", 137), ("kill -KILL %1", 137),
        ("kill -SIGKILL %1", 137), ("kill -kill %1", 137),
        ("kill -s KILL %1", 137), ("kill -s 9 %1", 137), ("kill -INT %1", 130), ("kill -2 %1", 130),
        (
            "kill -HUP %1",
            129
        ), ("kill -1 %1", 129), ("kill -USR1 %1", 138), ("kill -POWER %1", 137), ("kill %sleep", 143),
        (
            "kill %%",
            143
        ), ("kill %+", 143),
    ])
    func everySpellingOfASignalEndsASleep(_ line: String, _ status: Int) {
        let shell = LabShell()
        let outcome = shell.run("sleep 100 &\n\(line)\nwait %1; echo $?")
        #expect(outcome.output == "\(status)\n", "\(line): \(outcome.errorOutput)")
    }

    @Test(arguments: ["kill -9 %1", "kill -9 Server-A", "kill -9 server-a", "kill -9 %Server-A"])
    func aServiceIsKilledByNumberOrName(_ line: String) {
        let outcome = LabShell().run("backend --port 8081 --name Server-A &\nsleep 1\n\(line)\nnodes --json")
        #expect(outcome.output.contains("\"state\": \"killed\""), "\(outcome.output) \(outcome.errorOutput)")
    }

    @Test func aSignalThatEndsAJobEndsItsWholeList() {
        #expect(output("sleep 5 && echo no &\nkill %1\nwait\nsleep 10\necho end") == "end\n")
        #expect(
            output("for i in 1 2 3; do sleep 1; echo $i; done &\nsleep 1.5\nkill %1\nsleep 10\necho end")
                == "1\nend\n")
        #expect(
            output("while true; do sleep 1; done &\nsleep 3.5\nkill %1\nwait %1; echo $?; jobs")
                == "143\nno jobs\n")
    }

    @Test func theSecondSignalOfALoopIsNotNeeded() {
        #expect(output("while true; do sleep 1 | cat; done &\nsleep 3.5\nkill -9 %1\nsleep 1\njobs") == "no jobs\n")
    }

    @Test func aServiceThatIsToldToStopFinishesWhatIsUnderWayAndStaysAJobUntilThen() {
        let shell = LabShell()
        let outcome = shell.run(
            """
            backend --port 8081 --name A &
            curl -s localhost:8081/delay/2s > out.txt &
            sleep 1
            kill %1
            sleep 0.1
            jobs
            curl -s localhost:8081/; echo $?
            wait %2; echo $?
            cat out.txt
            wait %1; echo $?
            jobs
            """)
        #expect(
            outcome.output
                == """
                JOB  STATE    NODE  COMMAND
                %1   running  A     backend --port 8081 --name A
                %2   running  -     curl -s localhost:8081/delay/2s
                7
                0
                Response from A
                0
                no jobs

                """.replacing("delay/2s\n", with: "delay/2s > out.txt\n"))
    }

    @Test func aSecondSignalEndsAServiceThatStillDrains() {
        let outcome = LabShell().run(
            """
            backend --port 8081 --name A &
            curl -s localhost:8081/delay/1h &
            sleep 1
            kill A
            sleep 1
            kill A
            wait %1; echo $?
            wait %2; echo $?
            clock | grep elapsed
            """)
        #expect(outcome.lines.last?.hasPrefix("elapsed  2") == true, "\(outcome.output)")
        #expect(outcome.lines.first == "143")
    }

    @Test func aFrozenJobHearsASignalOnlyWhenItIsThawed() {
        let shell = LabShell()
        shell.run("sleep 5 &\nkill -STOP %1\nkill %1\nsleep 10")
        #expect(shell.output("jobs | tail -n 1") == "%1   frozen  -     sleep 5\n")
        #expect(shell.output("kill -CONT %1\nwait %1; echo $?") == "143\n")
    }

    @Test func aFrozenJobCanBeKilled() {
        #expect(output("sleep 5 &\nkill -STOP %1\nkill -9 %1\nwait %1; echo $?") == "137\n")
    }

    @Test func aFrozenServiceKeepsItsConnectionsAndAnswersAfterIsThaws() {
        let outcome = LabShell().run(
            """
            backend --port 8081 --name A &
            pause A
            curl -s --max-time 2 localhost:8081/; echo $?
            curl -s localhost:8081/ > late.txt &
            sleep 3
            resume A
            wait %2; echo $?
            cat late.txt
            clock | grep elapsed
            """)
        #expect(outcome.lines.prefix(3) == ["28", "0", "Response from A"])
        #expect(outcome.lines.last?.hasPrefix("elapsed  5") == true, "\(outcome.output)")
    }

    @Test func aPowerFailureIsNotFeltByItsPeers() {
        let outcome = LabShell().run(
            """
            backend --port 8081 --name A &
            curl -s --max-time 60 localhost:8081/delay/10s & 
            sleep 1
            kill -POWER A
            wait %2; echo $?
            """)
        #expect(outcome.lines == ["28"], "\(outcome.output) \(outcome.errorOutput)")
    }

    @Test(arguments: [
        ("kill", "kill: something is missing; usage: kill [-SIGNAL] %JOB|NODE|$$… | -l [SIGNAL…]"),
        (
            "kill -9",
            "kill: whom? kill %1, or kill NAME; see jobs and nodes"
        ),
        (
            "kill -KIL %1",
            "kill: unknown signal 'KIL'; did you mean KILL?"
        ),
        ("kill -s", "kill: unknown signal ''; one of HUP, INT, KILL, TERM, STOP, CONT, USR1, USR2, POWER"),
        ("kill -99 %1", "kill: unknown signal '99'; one of HUP, INT, KILL, TERM, STOP, CONT, USR1, USR2, POWER"),
    ])
    func aBadSignalIsExplained(_ line: String, _ message: String) {
        let outcome = LabShell().run(line)
        #expect(outcome.errorOutput == message + "\n")
        #expect(outcome.status == 2)
    }

    /// As in bash: it has failed only if there was nobody at all.
    @Test func thoseThatThereAreGetTheSignalWhoeverElseIsNamed() {
        let shell = LabShell()
        #expect(shell.run("sleep 5 &\nkill %1 %9").status == 0)
        #expect(shell.session.jobs.running.count == 0)
        #expect(shell.run("kill %8 %9").status == 1)
    }

    // MARK: spawn, restart

    @Test func spawnStartsSeveralServicesAndWaitsUntilAllAreReady() {
        let shell = LabShell()
        let outcome = shell.run(
            "spawn 3 backend --port 8081\nfor p in {8081..8083}; do curl -s localhost:$p/;"
                + " done\njobs")
        #expect(
            outcome.output == """
                Response from backend-1
                Response from backend-2
                Response from backend-3
                JOB  STATE    NODE       COMMAND
                %1   running  backend-1  backend --port 8081 --name backend-1
                %2   running  backend-2  backend --port 8082 --name backend-2
                %3   running  backend-3  backend --port 8083 --name backend-3

                """)
        #expect(outcome.status == 0)
    }

    @Test func spawnWithoutACountKeepsTheNames() {
        #expect(output("spawn backend --port 8081 --name web\ncurl -s web:8081/") == "Response from web\n")
        #expect(output("spawn 2 backend -p 9001 -n web\ncurl -s web-2:9002/") == "Response from web-2\n")
    }

    @Test(arguments: [
        ("spawn", "something is missing", 2), ("spawn 3", "what? spawn 3 backend --port 8081", 2),
        ("spawn 0 backend --port 1", "'0' is not a count of 1 to 1000", 2),
        (
            "spawn 1001 backend --port 1",
            "'1001' is not a count", 2
        ),
        ("spawn nosuch", "unknown command 'nosuch'", 2), ("spawn bakend --port 1", "did you mean backend?", 2),
        ("spawn echo a", "echo is no service", 2),
        (
            "spawn backend --prt 8081",
            "unknown flag --prt; did you mean --port?", 2
        ),
        ("spawn 2 backend --port 65535", "the ports would go beyond 65535", 2),
        (
            "spawn -3 backend --port 8081",
            "'-3' is not a count", 2
        ), ("spawn backend", "on which port? add --port 8081", 1),
        ("spawn loadbalancer --config nosuch.yaml --port 80", "nosuch.yaml: no such file", 1),
    ])
    func spawnExplainsWhatItCannotDo(_ line: String, _ part: String, _ status: Int) {
        let shell = LabShell()
        let outcome = shell.run(line)
        #expect(outcome.errorOutput.lowercased().contains(part.lowercased()), "\(outcome.errorOutput)")
        #expect(outcome.status == status)
        #expect(shell.session.jobs.running.isEmpty)
    }

    @Test func restartBringsAKilledNodeBackAtItsAddress() {
        let shell = LabShell()
        let before = shell.output("backend --port 8081 --name A &\nsleep 0.1\nnodes --json")
        let outcome = shell.run("kill -9 A\ncurl -s localhost:8081/; echo $?\nrestart A\ncurl -s localhost:8081/")
        #expect(outcome.output == "7\nResponse from A\n", "\(outcome.errorOutput)")
        let after = shell.output("nodes --json")
        func address(_ text: String) -> Substring? {
            text.split(separator: "\"address\": \"").last?.prefix { $0 != "\"" }
        }
        #expect(address(before) == address(after))
    }

    @Test(arguments: [
        ("restart nosuch", "no node 'nosuch'"),
        (
            "restart Server-A",
            "Server-A is running; stop it first: kill Server-A"
        ),
        (
            "restart Server-B",
            "no node 'Server-B'; did you mean Server-A?"
        ), ("restart", "something is missing"),
    ])
    func restartExplainsWhatItCannotDo(_ line: String, _ part: String) {
        let shell = LabShell()
        shell.run("backend --port 8081 --name Server-A &")
        #expect(shell.run(line).errorOutput.contains(part))
    }

    // MARK: nodes

    @Test func nodesShowWhoHasLocalhost() {
        let shell = LabShell()
        let outcome = shell.run(
            "backend --port 8081 --name A &\nbackend --port 8081 --name B &\nsleep 1"
                + "\nnodes\ncurl -s localhost:8081/ B:8081/")
        #expect(outcome.notices == ["localhost:8081 leads to A; this one is B:8081"])
        #expect(
            outcome.output == """
                JOB  NODE  ADDRESS    PORTS  STATE    CONNECTIONS  UP
                %1   A     127.1.0.1  8081*  running            0  1s
                %2   B     127.1.0.2  8081   running            0  1s
                Response from A
                Response from B

                """)
    }

    @Test func aSecondNodeOfAName() {
        let outcome = LabShell().run(
            "backend --port 8081 --name A &\nbackend --port 8082 --name A &\nsleep 1"
                + "\ncurl -s A-2:8082/")
        #expect(outcome.output == "Response from A-2\n")
    }

    @Test(arguments: [
        "client", "outside", "localhost", "host.internal", "a b", "", "-x", "%1", "ä", "{a}",
        String(repeating: "a", count: 64),
    ])
    func aNameThatFaultsOrHostsCouldNotSpeakOfIsRefused(_ name: String) {
        let outcome = LabShell().run("backend --port 8081 '--name=\(name)'")
        #expect(outcome.status == 2)
        #expect(outcome.errorOutput.hasPrefix("backend: "), "\(outcome.errorOutput)")
    }

    // MARK: Limits

    @Test(.timeLimit(.minutes(5)))
    func jobsAreLimitedAndTheLimitIsSaid() {
        let shell = LabShell()
        let outcome = shell.run("for i in {1..10001}; do sleep 1 & done\necho $?")
        #expect(outcome.notices == ["no more than 10000 jobs at a time"])
        #expect(outcome.output == "1\n")
        #expect(shell.session.jobs.running.count == 10_000)
    }
}
