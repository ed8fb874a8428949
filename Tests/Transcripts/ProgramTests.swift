import Foundation
import ShellTranscripts
import Testing

@Suite("sdlab test and run, from outside") struct ProgramTests {
    @Test("Statuses: 0 all well, 1 a mismatch, 2 not understood, 80 all skipped")
    func statuses() throws {
        let scratch = try Scratch()
        let good = try scratch.write("$ echo a\na\n", "good.sdl")
        let bad = try scratch.write("$ echo a\nb\n", "bad.sdl")
        let broken = try scratch.write("$ echo a\na\n@cose\n", "broken.sdl")
        let skipped = try scratch.write("@skip-if net=memory\n$ false\n", "skipped.sdl")
        #expect(try BuiltProgram.run(["test", good]).status == 0)
        #expect(try BuiltProgram.run(["test", bad]).status == 1)
        #expect(try BuiltProgram.run(["test", good, bad]).status == 1)
        #expect(try BuiltProgram.run(["test", broken, good]).status == 2)
        #expect(try BuiltProgram.run(["test", scratch.path + "missing.sdl"]).status == 2)
        #expect(try BuiltProgram.run(["test"]).status == 2)
        #expect(try BuiltProgram.run(["test", "--sede", "1", good]).status == 2)
        #expect(try BuiltProgram.run(["test", skipped]).status == 80)
        #expect(try BuiltProgram.run(["test", good, skipped]).status == 0)
        #expect(try BuiltProgram.run(["test", bad, skipped]).status == 1)
        #expect(try BuiltProgram.run(["test", "--net", "loopback", skipped]).status == 1)
        let unknown = try BuiltProgram.run(["test", "--case", "gold", good])
        #expect(unknown.status == 2 && unknown.errors.contains("no case 'gold'; did you mean good?"))
    }

    @Test("A broken file is named with its line, and nothing of a run with one is executed")
    func broken() throws {
        let scratch = try Scratch()
        try scratch.write("$ echo a\nb\n", "a.sdl")
        try scratch.write("$ echo a\n@cose\n", "b.sdl")
        let outcome = try BuiltProgram.run(["test", "."], in: scratch.path)
        #expect(outcome.status == 2 && outcome.output.isEmpty)
        #expect(outcome.errors.contains("b.sdl:2: @cose: no such directive; did you mean case?"))
    }

    @Test("A directory means all its transcripts, in order")
    func directory() throws {
        let scratch = try Scratch()
        for name in ["b.sdl", "a.sdl", "note.txt"] { try scratch.write("$ echo \(name)\n\(name)\n", name) }
        let outcome = try BuiltProgram.run(["test", "-v", scratch.path])
        let lines = outcome.output.split(separator: "\n").map(String.init)
        #expect(
            lines.count == 3 && lines[0].contains("a.sdl") && lines[1].contains("b.sdl") && lines[2] == "2 cases passed"
        )
    }

    @Test("A plain report has the difference, and a command that shows it again")
    func plainReport() throws {
        let scratch = try Scratch()
        let text = """
            @case it's fine
            $ echo a
            a
            @case what's wrong
            $ backend --port 8081 --name A &
            $ loadbalancer --backends 8081,8082 --port 80
            [10 seconds later]
            [LB] Listening on :81
            @case skipped
            @skip-if net=memory
            $ true

            """
        try scratch.write(text, "two words.sdl")
        let first = try BuiltProgram.run(["test", "--seed", "7", "two words.sdl"], in: scratch.path)
        #expect(first.status == 1)
        #expect(
            first.output == """
                FAIL  two words.sdl · what's wrong [memory, seed 7]
                      two words.sdl:8: the line did not come at this moment
                        expected  [LB] Listening on :81
                        nearest   [LB] Listening on :80
                        at        10s of lab time
                        timers    lb in 2.5s
                        again     sdlab test --net memory --seed 7 --case 'what'\\''s wrong' 'two words.sdl'
                1 case passed, 1 failed, 1 skipped

                """)
        let line = try #require(first.output.split(separator: "\n").first { $0.contains("  again  ") })
        let again = try BuiltProgram.shell(
            line.split(separator: " ").dropFirst().joined(separator: " "), in: scratch.path)
        #expect(again.status == 1)
        #expect(
            again.output
                == first.output.replacing("1 case passed, 1 failed, 1 skipped", with: "0 cases passed, 1 failed"))
    }

    @Test("A report for programs is JSON with all that the plain one says")
    func jsonReport() throws {
        let scratch = try Scratch()
        let path = try scratch.write(
            "@covers LB-T1\n@case \"good\"\n$ sleep 2\n@case bad\n@seed 9\n$ echo \"a\\\"b\"\nx\ty\n@case skipped\n@needs nothing-here\n$ true\n",
            "a.sdl")
        let outcome = try BuiltProgram.run(["test", "--format", "json", path])
        #expect(outcome.status == 1)
        let report = try #require(try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
        #expect(report["passed"] as? Int == 1 && report["failed"] as? Int == 1 && report["skipped"] as? Int == 1)
        let cases = try #require(report["cases"] as? [[String: Any]])
        #expect(cases.map { $0["case"] as? String } == ["\"good\"", "bad", "skipped"])
        #expect(cases.map { $0["status"] as? String } == ["passed", "failed", "skipped"])
        #expect(cases.map { $0["seed"] as? String } == ["1", "9", "1"])
        #expect(cases.allSatisfy { $0["file"] as? String == path && $0["net"] as? String == "memory" })
        #expect(cases.allSatisfy { $0["covers"] as? [String] == ["LB-T1"] })
        #expect(cases[0]["lab_time_ms"] as? Double == 2000)
        #expect(cases[1]["line"] as? Int == 7 && cases[1]["expected"] as? String == "x\ty")
        #expect(cases[1]["message"] as? String == "the command printed something else" && cases[1]["seen"] != nil)
        #expect(cases[2]["reason"] as? String == "no nothing-here on this machine")
    }

    private static let three =
        "@case \"good\"\n$ sleep 2\n@case bad & # <b>\n@seed 9\n$ echo \"a<b\"\nx\ty\n@case skipped\n@needs nothing-here\n$ true\n"

    @Test("TAP has a line for each case, and what is known of a failure below it")
    func tapReport() throws {
        let scratch = try Scratch()
        let path = try scratch.write(Self.three, "a.sdl")
        let outcome = try BuiltProgram.run(["test", "--format", "tap", path])
        #expect(outcome.status == 1)
        let lines = outcome.output.split(separator: "\n")
        #expect(lines.prefix(3) == ["TAP version 14", "1..3", "ok 1 - \(path) · \"good\" [memory, seed 1]"])
        #expect(lines[3] == "not ok 2 - \(path) · bad & \\# <b> [memory, seed 9]")
        #expect(lines[4] == "  ---" && lines[5] == "  message: \"the command printed something else\"")
        #expect(lines.contains("  expected: \"x\\ty\"") && lines.contains("  ..."))
        #expect(
            lines.last == "ok 3 - \(path) · skipped [memory, seed 1] # SKIP no nothing-here on this machine")
    }

    @Test("JUnit's XML is read by a stranger, whatever the names hold")
    func junitReport() throws {
        let scratch = try Scratch()
        let path = try scratch.write(Self.three, "a.sdl")
        let reader = """
            import sys, xml.etree.ElementTree as tree
            suites = tree.parse(sys.stdin).getroot()
            print(suites.tag, sorted(suites.attrib.items()))
            for suite in suites:
                print(suite.get("name"), suite.get("failures"))
                for case in suite:
                    inner = [(e.tag, e.get("message")) for e in case]
                    print(case.get("classname") == suite.get("name"), case.get("name"), case.get("time"), inner)
                    for failure in case.iter("failure"):
                        print("x\\ty" in failure.text, "again" in failure.text)
            """
        _ = try scratch.write(reader, "read.py")
        _ = try scratch.write(try BuiltProgram.run(["test", "--format", "junit", path]).output, "a.xml")
        let outcome = try BuiltProgram.shell("python3 read.py < a.xml", in: scratch.path)
        #expect(
            outcome.output == """
                testsuites [('errors', '0'), ('failures', '1'), ('skipped', '1'), ('tests', '3')]
                \(path) 1
                True "good" [memory, seed 1] 2.000 []
                True bad & # <b> [memory, seed 9] 0.000 [('failure', 'the command printed something else')]
                True True
                True skipped [memory, seed 1] 0.000 [('skipped', 'no nothing-here on this machine')]

                """, "\(outcome.errors)")
    }

    // @covers LB-T1
    @Test("The documented session, run, is what the documentation shows, line by line")
    func documentedSession() throws {
        let documented = """
            # Start 3 backend servers
            $ ./backend --port 8081 --name "Server-A" &
            $ ./backend --port 8082 --name "Server-B" &
            $ ./backend --port 8083 --name "Server-C" &
            # Start your load balancer
            $ ./loadbalancer --config lb.yaml --port 80
            [LB] Loaded 3 backends: 8081, 8082, 8083
            [LB] Health checker started (interval: 5s)
            [LB] Listening on :80
            # Test distribution
            $ for i in {1..6}; do curl http://localhost/; done
            Response from Server-A
            Response from Server-B
            Response from Server-C
            Response from Server-A
            Response from Server-B
            Response from Server-C
            # Kill one backend, watch failover
            $ kill %2 # Kill Server-B
            [LB] Backend 8082 failed health check (3 consecutive failures)
            [LB] Removed 8082 from pool
            $ for i in {1..4}; do curl http://localhost/; done
            Response from Server-A
            Response from Server-C
            Response from Server-A
            Response from Server-C
            """.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
        let file = "scripts/sessions/01-load-balancer.sdl"
        for net in ["memory", "loopback"] {
            let outcome = try BuiltProgram.run(["run", "--net", net, "--case", "the documented session", file])
            #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome.errors)")
            let shown = outcome.output.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
            #expect(Array(shown.prefix(documented.count)) == documented, "\(net)")
        }
    }

    @Test("A block pasted with nothing added runs in the same way")
    func bareBlock() throws {
        let scratch = try Scratch()
        let text = try Bench.session01().split(separator: "\n", omittingEmptySubsequences: false)
        let block = text[10..<42].joined(separator: "\n") + "\n"
        let path = try scratch.write(block, "block.sdl")
        let outcome = try BuiltProgram.run(["run", path])
        #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome.errors)")
        #expect(outcome.output.trimmingCharacters(in: .newlines) == block.trimmingCharacters(in: .newlines))
        let tested = try BuiltProgram.run(["test", path])
        #expect(tested.status == 0 && tested.output == "1 case passed\n", "\(tested.output)")
    }

    @Test("A service that could not start fails run and test alike, and the failure carries its reason")
    func reason() throws {
        let scratch = try Scratch()
        let path = try scratch.write(
            "$ loadbalancer --config pool.yaml --port 80 &\n[LB] Listening on :80\n", "block.sdl")
        let reason = "loadbalancer: pool.yaml: No such file or directory"
        let outcome = try BuiltProgram.run(["run", path])
        #expect(outcome.status == 1 && outcome.errors.contains(reason + "\n"), "\(outcome.errors)")
        let tested = try BuiltProgram.run(["test", path])
        #expect(tested.status == 1 && tested.output.contains("  printed   \(reason)\n"), "\(tested.output)")
        for format in ["json", "tap"] {
            #expect(try BuiltProgram.run(["test", "--format", format, path]).output.contains(reason))
        }
    }

    @Test("Where something expected does not come, run goes on, notes it on standard error, and ends with status 1")
    func unmet() throws {
        let scratch = try Scratch()
        let path = try scratch.write(
            "$ echo a\nnot said\na\n$ echo b; false\nb\n$ echo '<int>'\n[LB] never said\n...\n[within 5s]\n# comment\n$ echo c\n<any>\n",
            "x.sdl")
        let outcome = try BuiltProgram.run(["run", path])
        #expect(outcome.status == 1)
        #expect(
            !outcome.output.contains("said") && !outcome.output.contains("[within") && !outcome.output.contains("..."))
        #expect(outcome.output.contains("$ echo a\na\n$ echo b; false\nb\n"))
        #expect(outcome.output.hasSuffix("# comment\n$ echo c\nc\n"))
        #expect(outcome.errors.contains("x.sdl:2: the command printed something else: expected 'not said'"))
        #expect(outcome.errors.contains("x.sdl:7: the line did not come"))
        #expect(outcome.errors.contains("x.sdl:4: the command ended with status 1"))
    }

    @Test("run shows explicit time, what is typed, and quotes; each case under its name")
    func shown() throws {
        let scratch = try Scratch()
        let path = try scratch.write(
            "@case one\n@quote\nx: 1\n@end\n$ cat\n> hello\nhello\n@case two\n$ true\n[30 seconds later]\n$ clock | head -2\n...\n",
            "x.sdl")
        let outcome = try BuiltProgram.run(["run", path])
        #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome.errors)")
        #expect(
            outcome.output == """
                ## one

                x: 1
                $ cat
                > hello
                hello

                ## two

                $ true
                [30 seconds later]
                $ clock | head -2
                time     2023-12-20T15:00:30Z
                elapsed  30s

                """)
    }
}
