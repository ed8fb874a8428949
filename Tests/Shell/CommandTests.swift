import CommandKit
import Commands
import Foundation
import KernelStructures
import ShellLanguage
import ShellSession
import Testing

/// What every command owes: a page of help, views of 80 columns that programs can read, and errors that say what to do.
@Suite struct CommandTests {
    static let names = Catalog.table.names

    static func isJSON(_ text: String) -> Bool {
        (try? JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)) != nil
    }

    // MARK: Errors

    @Test(arguments: ["cat", "help", "kill", ""])
    func whatAnErrorQuotesCannotSteerATerminal(_ command: String) {
        let outcome = LabShell().run(command + #" $'\e]0;title\a\u202E'"#)
        #expect(outcome.status != 0)
        #expect(outcome.errorOutput.contains(#"\x1B]0;title\x07\u{202E}"#), "\(outcome.errorOutput)")
        #expect(!outcome.errorOutput.unicodeScalars.contains { $0 == "\u{1B}" || $0 == "\u{202E}" })
    }

    @Test(arguments: ["sleep", "advance"])
    func whatWouldLastBeyondTheCalendarIsRefused(_ command: String) {
        for time in ["367d", "9223372036s", "-1", "soon", "1e9"] {
            let expected = "\(command): '\(time)' is not a time such as 5s, 200ms or 5m, at most a year\n"
            #expect(LabShell().run("\(command) -- \(time)").errorOutput == expected)
        }
    }

    @Test func handsThatKnowAnotherShellAreToldWhatItIsCalledHere() {
        #expect(LabShell().run("ps").errorOutput.hasPrefix("'ps' is not known here: jobs lists"))
        #expect(LabShell().run("!!").errorOutput.contains("Up and Ctrl-R bring older lines back"))
        let outcome = LabShell().run("messageq & kill -9 messageq")
        #expect(outcome.errorOutput == "kill: no job 'messageq': the node that runs it is called mq\n")
    }

    @Test func leadingIsElectedWithTheFlagsThatItHas() {
        let shell = LabShell()
        shell.run("lockserver; sleep 2; lock-cli elect leader & sleep 1")
        #expect(shell.run("lock-cli list").output.contains("leader"))
    }

    @Test func aPatternThatWouldTakeForEverIsGivenUp() {
        let outcome = LabShell().run("x=$(printf 'a%.0s' {1..50000}); echo ${x//a*b/c}")
        #expect(outcome.status != 0 && outcome.errorOutput.contains("the pattern takes too long on 50000 characters"))
    }

    // MARK: Help

    @Test(arguments: names)
    func everyCommandHasAPageWithin80Columns(_ name: String) throws {
        let outcome = LabShell().run("help '\(name)'")
        #expect(outcome.status == 0)
        for line in outcome.output.split(separator: "\n", omittingEmptySubsequences: false) {
            #expect(displayWidth(String(line)) <= 80, "\(line)")
            #expect(!line.hasSuffix(" "), "\(line)")
        }
        #expect(outcome.output.hasPrefix("\(name): "))
        #expect(outcome.output.contains("\nusage: \(name)"))
        #expect(outcome.output.contains("\nexamples\n"))
        let description = try #require(Catalog.table[name]?.description)
        #expect(!description.summary.hasSuffix("."))
        // A long text is broken between words.
        let text = outcome.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        for flag in description.flags { #expect(text.contains(flag.help), "\(flag.display)") }
    }

    @Test(arguments: ["language", "transcripts"])
    func topicsHavePagesWithin80Columns(_ topic: String) {
        let page = LabShell().run("help \(topic)")
        #expect(page.status == 0 && page.output.count > 500)
        for line in page.output.split(separator: "\n") { #expect(displayWidth(String(line)) <= 80, "\(line)") }
    }

    @Test func theOverviewNamesEveryCommandWithin80Columns() {
        let text = output("help all")
        for line in text.split(separator: "\n") { #expect(displayWidth(String(line)) <= 80, "\(line)") }
        for name in Self.names { #expect(text.contains("\n  \(name) "), "\(name)") }
    }

    @Test(arguments: names)
    func everyExampleOfTheHelpCanBeRead(_ name: String) throws {
        for example in try #require(Catalog.table[name]).description.examples {
            let script = try Parser.parse(example)
            #expect(!script.statements.isEmpty)
            guard case .simple(let command)? = script.statements.first?.first.commands.first,
                let word = command.words.first?.literal
            else { continue }
            let first = try #require(Catalog.table[word], "\(example)")
            // Its words are understood by the command that it shows.
            let words = command.words.dropFirst().map { $0.literal ?? "1" }
            _ = try ParsedArguments(words, for: first.description)
        }
    }

    @Test func helpOfSomethingUnknownSuggests() {
        #expect(LabShell().run("help crul").errorOutput == "help: unknown command 'crul'; did you mean curl?\n")
        #expect(LabShell().run("help a b c").status == 2)
    }

    // MARK: Flags and arguments

    @Test(arguments: names.filter { Catalog.table[$0]?.description.arguments.isRaw == false })
    func anUnknownFlagIsRefusedByName(_ name: String) {
        for flag in ["--nosuchflag", "-?"] {
            let outcome = LabShell().run("\(name) '\(flag)'")
            #expect(outcome.status == Catalog.table[name]?.description.usageStatus)
            #expect(
                outcome.errorOutput == "\(name): unknown flag \(flag); see help \(name)\n",
                "\(outcome.errorOutput)")
            #expect(outcome.output == "")
        }
    }

    @Test(arguments: names.filter { Catalog.table[$0]!.description.arguments.count.upperBound < 5 })
    func oneWordTooManyIsRefused(_ name: String) {
        let outcome = LabShell().run("\(name) 1 2 3 4 5 6")
        #expect(outcome.status == Catalog.table[name]?.description.usageStatus)
        #expect(
            outcome.errorOutput.contains("one word too many") || outcome.errorOutput.contains("is not"),
            "\(outcome.errorOutput)")
    }

    @Test(arguments: names.filter { Catalog.table[$0]!.description.arguments.count.lowerBound > 0 })
    func aMissingWordIsAskedFor(_ name: String) {
        let outcome = LabShell().run(name)
        #expect(outcome.status == Catalog.table[name]?.description.usageStatus)
        #expect(
            outcome.errorOutput.hasPrefix("\(name): something is missing; usage: \(name) "),
            "\(outcome.errorOutput)")
    }

    @Test(arguments: [
        ("backend --prt 8081", "backend: unknown flag --prt; did you mean --port?"),
        (
            "backend --port",
            "backend: --port needs a value: --port PORT"
        ),
        (
            "backend --port x",
            "backend: --port: 'x' is not a port (1 to 65535)"
        ),
        (
            "backend --port 65536",
            "backend: --port: '65536' is not a port (1 to 65535)"
        ),
        ("backend --port -1", "backend: --port: '-1' is not a port (1 to 65535)"),
        (
            "backend --port 1 --port 2",
            "backend: --port stands there twice"
        ),
        (
            "backend --port 1 --latency x",
            "backend: --latency: 'x' is not a time such as 5s, 200ms or 1m30s"
        ),
        ("backend --port 1 --status 99", "backend: --status: '99' is not a whole number of 200 to 599"),
        ("backend --port 1 --body-limit x", "backend: --body-limit: 'x' is not a size such as 4096, 64k or 1MiB"),
        ("backend", "backend: on which port? add --port 8081"),
        ("backend -port 8081", "backend: --port: 'ort' is not a port (1 to 65535)"),
        (
            "loadbalancer --port 80",
            "loadbalancer: "
        ), ("loadbalancer --config a --backends 1 --port 80", "loadbalancer: "),
        ("loadbalancer --backends x:y --port 80", "loadbalancer: "),
        ("loadbalancer --backends 8081 --port 80 --mode udp", "loadbalancer: --mode: 'udp' is none of http, tcp"),
        (
            "loadbalancer --backends 8081 --port 80 --mode htp",
            "loadbalancer: --mode: 'htp' is unknown; did you mean http?"
        ),
        (
            "nodes --json=1",
            "nodes: --json takes no value"
        ),
        ("journal -n 0", "journal: --count: '0' is not a whole number of 1 to 100000"),
        (
            "journal -n",
            "journal: --count needs a value: --count N"
        ),
        (
            "head -n x",
            "head: --lines: 'x' is not a whole number"
        ), ("grep", "grep: "), ("grep '[' f", "grep: "),
        ("grep -E '(' f", "grep: "),
        ("curl", "curl: (2) no URL specified; try: curl http://localhost:8081/"),
        (
            "curl -X",
            "curl: --request needs a value: --request METHOD"
        ),
        (
            "curl --max-tme 1 x",
            "curl: unknown flag --max-tme; did you mean --max-time?"
        ),
        ("cp p q nowhere", "cp: nowhere: not a directory, and there are several files to copy"),
        ("mv p q nowhere", "mv: nowhere: not a directory, and there are several files to move"),
        ("seq x", "seq: 'x' is not a number"), ("seq 1 0 5", "seq: a step of 0 leads nowhere"),
        ("printf '%y' a", "printf: unknown conversion %y"),
        ("printf '%99999d' 1", "printf: '%99999d' is too wide"), ("printf %", "printf: '%' ends within a %"),
        ("printf -x a", "printf: unknown flag -x; a format that begins with - stands behind --"),
        ("printf -v a-b c", "printf: 'a-b' is not the name of a variable"),
        ("[ a", "[: the closing ] is missing"),
        (
            "rm d",
            "rm: cannot remove 'd': Is a directory"
        ),
        (
            "ls nosuch",
            "ls: nosuch: No such file or directory"
        ), ("cd nosuch", "cd: nosuch: No such file or directory"),
        ("rm nosuch", "rm: cannot remove 'nosuch': No such file or directory"),
        ("cat nosuch", "cat: nosuch: No such file or directory"), ("cat d", "cat: d: Is a directory"),
        ("stats nosuch", "stats: nothing called 'nosuch' runs"),
    ])
    func badInputIsExplained(_ line: String, _ message: String) {
        let shell = LabShell()
        shell.run("mkdir d")
        let outcome = shell.run(line)
        #expect(outcome.status != 0)
        #expect(outcome.errorOutput.hasPrefix(message), "\(outcome.errorOutput)")
        #expect(
            outcome.errorOutput.hasSuffix("\n") && !outcome.errorOutput.dropLast().contains("\n"),
            "one line: \(outcome.errorOutput)")
        #expect(outcome.output == "")
        #expect(shell.session.jobs.running.isEmpty)
    }

    @Test func flagsMayStandAnywhereAndBeWrittenInEveryWay() {
        let shell = LabShell()
        shell.place("b\na\nA\n", at: "/f")
        for line in [
            "head -n 1 f", "head f -n 1", "head -n1 f", "head --lines 1 f", "head --lines=1 f", "head -1 f",
            "head -n 1 -- f",
        ] {
            #expect(shell.output(line) == "b\n", "\(line)")
        }
        #expect(shell.output("grep -in a f") == shell.output("grep -n -i a f"))
        #expect(shell.output("echo -- -n --json") == "-- -n --json\n")
        shell.run("echo x > -f")
        #expect(shell.output("cat -- -f") == "x\n")
    }

    // MARK: Views

    static let viewLines = [
        "jobs", "nodes", "stats", "stats lb", "faults", "clock", "journal --all", "journal -n 5",
        "journal backend-with-a-name-of-many-letters-1", "help", "help all", "help systems", "help curl", "log", "term",
        "top", "timeline", "why lb", "tour",
        "tour lock list",
    ]

    private func busyLab() -> LabShell {
        let shell = LabShell()
        let outcome = shell.run(
            """
            spawn 3 backend --port 8081 --name backend-with-a-name-of-many-letters
            loadbalancer --backends backend-with-a-name-of-many-letters-1:8081,8082,8083,nosuch:1 --port 80 --name lb &
            sleep 1
            for i in {1..9}; do curl -s lb/; done
            inject latency 200ms±50ms client->backend-with-a-name-of-many-letters-1 for 30s
            inject partition {lb,client}|{backend-with-a-name-of-many-letters-2}
            kill -9 backend-with-a-name-of-many-letters-3
            sleep 20 &
            kill -STOP %2
            sleep 40
            """)
        #expect(outcome.failure == nil)
        return shell
    }

    @Test func everyViewKeepsWithin80Columns() {
        let shell = busyLab()
        for line in Self.viewLines where !line.hasPrefix("journal") {
            for text in shell.output(line).split(separator: "\n") {
                #expect(displayWidth(String(text)) <= 80, "\(line): \(text)")
                #expect(!text.hasSuffix(" "))
            }
        }
    }

    @Test func everyViewIsJSONForPrograms() throws {
        for shell in [LabShell(), busyLab()] {
            for line in Self.viewLines {
                let name = line.split(separator: " ")[0]
                guard Catalog.table[String(name)]?.description.flag(named: "json") != nil else { continue }
                let outcome = shell.run("\(line) --json")
                if outcome.status != 0 { continue }
                #expect(Self.isJSON(outcome.output), "\(line): \(outcome.output)")
            }
        }
    }

    @Test func jsonSurvivesNamesAndTextOfEveryKind() {
        let shell = LabShell()
        shell.run(
            "echo 'a \"quoted\" \\ back\tslash\u{1} ü🙂'\nsleep 5 '' 2> e\nfor i in 'x\"y\\z'; do sleep 1"
                + "00; done &")
        #expect(Self.isJSON(shell.output("journal --all --json")))
        #expect(Self.isJSON(shell.output("jobs --json")))
    }

    @Test func aViewWithNothingToShowSaysSo() {
        #expect(
            output("jobs; nodes; faults; stats") == "no jobs\nno nodes; start one: backend --port 8081 &"
                + "\nno faults\nnothing runs that counts\n")
        #expect(output("jobs --json; nodes --json; faults --json; stats --json") == "[]\n[]\n[]\n[]\n")
    }

    @Test func statsChoosesByNameAndByKind() {
        let shell = LabShell()
        shell.run("spawn 2 backend --port 8081\ncurl -s localhost:8081/ localhost:8081/")
        #expect(
            shell.output("stats backend-1") == "node  backend-1\nkind  backend\n\nbackend   backend-1"
                + "\nrequests  2\n")
        #expect(shell.output("stats backend | grep -c requests") == "2\n")
        #expect(
            shell.run("stats backend-3").errorOutput == "stats: nothing called 'backend-3' runs; did you m"
                + "ean backend-1?\n")
    }

    @Test func theJournalShowsTheLastEventsOfEverybodyOrOfOne() {
        let shell = LabShell()
        shell.run("backend --port 8081 --name A &\nbackend --port 8082 --name B &\ncurl -s A:8081/\nkill -9 B")
        #expect(shell.output("journal -n 3").split(separator: "\n").count == 3)
        let lines = shell.output("journal --all b").split(separator: "\n")
        #expect(!lines.isEmpty && lines.allSatisfy { $0.contains(" B ") })
        #expect(lines.last?.contains("killed") == true)
        #expect(shell.run("journal nosuch").output == "" || shell.run("journal nosuch").status != 0)
    }

    // MARK: Files

    @Test func filesCanBeListedMadeAndRemoved() {
        let shell = LabShell()
        #expect(
            shell.output("ls; mkdir -p a/b; echo x > a/f; echo .. > .h; ls; ls -a; ls a; ls -l a; ls a/f")
                == "a/\n.h\na/\nb/\nf\n         -  b/\n         2  f\na/f\n")
        #expect(shell.run("rm -r a; ls; rm -f a; echo $?").output == "0\n")
        #expect(
            shell.run("mkdir d; mkdir d; echo $?; echo x > f; mkdir f").errorOutput == "mkdir: f: Not a di"
                + "rectory\n")
    }

    @Test func portsAreCheckedAgainstTheirOwners() {
        let shell = LabShell()
        #expect(
            shell.run(
                "loadbalancer --backends 8081 --port 8081 --name x &\nsleep 1\ncurl -s localhost:808"
                    + "1/; echo $?"
            ).failure == nil)
    }

    /// As coreutils has it: what would take everything stays.
    @Test func whatHoldsEverythingStays() {
        let shell = LabShell()
        shell.place("a", at: "/d/e/f")
        for path in ["/", "///", "~", "/d/../"] {
            let outcome = shell.run("rm -rf \(path); echo $?; cat d/e/f")
            #expect(outcome.output == "1\na" && !outcome.errorOutput.isEmpty, "\(path): \(outcome.output)")
        }
        #expect(shell.run("rm -r /").errorOutput.contains("it is dangerous to operate recursively on '/'"))
        for path in [".", "..", "e/.", "e/..", "../d/."] {
            let outcome = shell.run("(cd d; rm -r \(path); echo $?; cat e/f)")
            #expect(outcome.output == "1\na" && outcome.errorOutput.contains("skipping '\(path)'"), "\(path)")
        }
        #expect(shell.run("rm -r --no-preserve-root /; echo $?; ls").output == "0\n")
    }
}
