import KernelStructures
import ShellTranscripts
import Testing

@Suite("Acting out transcripts") struct RunnerTests {
    static func passes(_ text: String) throws -> Bool { try Bench.failure(text) == nil }

    @Test("Output is complete: one line more or less fails")
    func complete() throws {
        #expect(try Self.passes("$ printf 'a\\nb\\n'\na\nb\n"))
        #expect(try !Self.passes("$ printf 'a\\nb\\n'\na\n"))
        #expect(try !Self.passes("$ printf 'a\\nb\\n'\nb\n"))
        #expect(try !Self.passes("$ printf 'a\\nb\\n'\na\nb\nc\n"))
        #expect(try !Self.passes("$ echo a\n"))
        #expect(try Self.passes("$ printf 'a\\n\\n\\n'\na\n"))
        #expect(try !Self.passes("$ printf 'a\\n\\nb\\n'\na\nb\n"))
    }

    @Test("`...` leaves out any number of lines, none included, but what follows must be the end")
    func elided() throws {
        #expect(try Self.passes("$ seq 5\n1\n...\n5\n"))
        #expect(try Self.passes("$ seq 2\n1\n...\n2\n"))
        #expect(try Self.passes("$ seq 5\n...\n"))
        #expect(try !Self.passes("$ seq 5\n1\n...\n4\n"))
        #expect(try !Self.passes("$ seq 5\n...\n3\n...\n2\n5\n"))
        #expect(try Self.passes("$ seq 5\n...\n3\n...\n"))
    }

    @Test("Standard error is output where it appears")
    func standardError() throws {
        #expect(try Self.passes("$ echo a; frobnicate; echo b\na\nunknown command 'frobnicate'\nb\n"))
    }

    @Test("A status that is not 0 must be stated, and is the one that is stated")
    func statuses() throws {
        #expect(try !Self.passes("$ false\n"))
        #expect(try Self.passes("$ false\n[exit 1]\n"))
        #expect(try !Self.passes("$ false\n[exit 2]\n"))
        #expect(try !Self.passes("$ true\n[exit 1]\n"))
        #expect(try Self.passes("$ true\n[exit 0]\n"))
        #expect(try Self.passes("$ echo a; false\na\n[exit 1]\n"))
        #expect(try Self.passes("$ sleep 5 && false &\n[exit 1]\n$ sleep 6\n"))
        #expect(try !Self.passes("$ sleep 5 && false &\n$ sleep 6\n"))
        let failure = try #require(try Bench.failure("$ true\n$ echo x; false\nx\n"))
        #expect(failure.place.line == 2 && failure.message.contains("write [exit 1] below it"))
    }

    @Test("The status of a job is not forgotten when others start after it")
    func forgottenJob() throws {
        let text = "$ sleep 1 && false &\n# Terminal 2\n$ sleep 2\n$ sleep 9 &\n$ sleep 8 &\n# Terminal 1\n$ true\n"
        #expect(try Bench.failure(text)?.place.line == 1)
    }

    @Test("Each tag is a stream of its own: order between streams and output is free, within a stream it counts")
    func channels() throws {
        let start = "$ backend --port 8081 --name A &\n$ loadbalancer --backends 8081 --port 80; echo up\n"
        let loaded = "[LB] Loaded 1 backend: 8081\n"
        let listening = "[LB] Listening on :80\n"
        #expect(try Self.passes(start + loaded + listening + "up\n"))
        #expect(try Self.passes(start + "up\n" + loaded + listening))
        #expect(try Self.passes(start + loaded + "up\n" + listening))
        #expect(try !Self.passes(start + listening + loaded + "up\n"))
        #expect(try Self.passes(start + listening + "up\n"), "log lines may be left out")
        #expect(try !Self.passes(start + listening), "output may not")
        #expect(try !Self.passes("@order strict\n" + start + loaded + "up\n" + listening))
        #expect(try Self.passes("@order strict\n" + start + loaded + listening + "up\n"))
        #expect(try !Self.passes(start + listening + listening + "up\n"), "a line is matched once")
    }

    @Test("A log line may be copied from a terminal, where the node's name stands before it")
    func nodesOfLogLines() throws {
        let start = "$ backend --port 8081 --name A &\n$ loadbalancer --backends 8081 --port 80 --name front &\n"
        #expect(try Self.passes(start + "[LB] front: Listening on :80\n"))
        #expect(try !Self.passes(start + "[LB] back: Listening on :80\n"))
        #expect(try !Self.passes(start + "[LB] front: Listening on :80 (never)\n$ true\n"))
    }

    @Test("A failure says what was probably meant")
    func hints() throws {
        let blanks = try #require(try Bench.failure("$ echo 'a  b 3'\na b <int>\n"))
        #expect(try #require(blanks.hint).contains("they differ in blanks only; @blanks collapse"))
        let hole = try #require(try Bench.failure("$ echo 'a 3'\na <i>\n"))
        #expect(try #require(hole.hint).contains("<i> is no hole, and means itself; holes are <any> <int>"))
        let tag = try #require(try Bench.failure("$ echo '<p>x'\n<p>y\n"))
        #expect(tag.hint == nil)
    }

    @Test("A log line may be expected under a later command than the one that caused it")
    func laterStep() throws {
        #expect(
            try Self.passes(
                "$ backend --port 8081 --name A &\n$ loadbalancer --backends 8081 --port 80\n$ true\n[LB] Listening on :80\n"
            ))
    }

    @Test("Under @logs exact every line from there on is stated, until subset")
    func exactLogs() throws {
        let start = "$ backend --port 8081 --name A &\n$ loadbalancer --backends 8081 --port 80\n"
        let three = "[LB] Loaded 1 backend: 8081\n[LB] Health checker started (interval: 5s)\n[LB] Listening on :80\n"
        #expect(try Self.passes("@logs exact\n" + start + three))
        #expect(try !Self.passes("@logs exact\n" + start + "[LB] Listening on :80\n"))
        #expect(try !Self.passes("@logs exact\n" + start))
        #expect(try !Self.passes("@logs exact\n" + start + "@logs subset\n$ true\n"))
        #expect(try Self.passes(start + "@logs exact\n$ true\n"))
        #expect(try !Self.passes(start + "@logs exact\n$ kill lb\n"))
        #expect(try Self.passes("@logs exact\n" + start + three + "@logs subset\n$ kill lb\n"))
    }

    @Test("A line that must never come fails the case if it comes by the end of its step")
    func nevers() throws {
        let start = "$ backend --port 8081 --name A &\n$ loadbalancer --backends 8081,8082 --port 80\n"
        #expect(try Self.passes(start + "[10 seconds later]\n[LB] Removed <any> (never)\n$ true\n"))
        #expect(try !Self.passes(start + "[20 seconds later]\n[LB] Removed <any> (never)\n$ true\n"))
        #expect(try !Self.passes(start + "[LB] Removed <any> (never)\n[20 seconds later]\n"))
        #expect(try !Self.passes("$ echo panic: x\n...\npanic: <any> (never)\n"))
        #expect(try Self.passes("$ echo fine\n...\npanic: <any> (never)\n"))
    }

    @Test("An optional line may come or not, and is not waited for")
    func optional() throws {
        #expect(try Self.passes("$ echo a\na\nb (?)\n"))
        #expect(try Self.passes("$ printf 'a\\nb\\n'\na\nb (?)\n"))
        #expect(try !Self.passes("$ printf 'a\\nc\\n'\na\nb (?)\n"))
        #expect(
            try Bench.elapsed(
                "$ backend --port 8081 --name A &\n$ loadbalancer --backends 8081 --port 80\n[LB] x (?)\n") == .zero)
    }

    @Test("A comment ends no step: output belongs to the newest command that still runs, else to the newest")
    func commentsWithinStep() throws {
        #expect(try Self.passes("$ seq 3\n1\n# so far\n2\n\n# and\n3\n"))
        #expect(try Self.passes("$ for i in 1 2; do sleep 5; echo t$i; done &\n$ echo x\nx\nt1\n# later\nt2\n"))
        #expect(try Self.passes("$ sleep 5 && printf 'a\\nb\\n' &\n$ echo x\nx\na\nb\n"), "it ends with its last lines")
        #expect(try !Self.passes("$ sleep 5 && printf 'a\\nb\\n' &\n$ echo x\nx\na\n$ true\n"))
    }

    @Test("A line that a job prints in pieces is one line")
    func pieces() throws {
        #expect(try Self.passes("$ for i in 1 2 3; do printf $i; sleep 1; done; echo . &\n123.\n"))
    }

    @Test("What is typed goes to the program that reads, and nowhere else")
    func typing() throws {
        #expect(try Self.passes("$ cat\n> a\na\n> b\nb\n"))
        #expect(try !Self.passes("$ cat\n> a\nb\n"))
        let failure = try #require(try Bench.failure("$ echo a\na\n> typed\n"))
        #expect(failure.place.line == 3 && failure.message.contains("no program reads what is typed"))
    }

    @Test("Terminals have their own foregrounds, and a busy one gives its reader to the background")
    func terminals() throws {
        #expect(try Self.passes("$ cat\n@terminal 2\n$ echo two\ntwo\n@terminal 1\n> one\none\n"))
        #expect(try Self.passes("$ cat\n$ jobs\nJOB  STATE    NODE  COMMAND\n%1   running  -     cat\n"))
        #expect(
            try Self.passes(
                "$ sleep 30; echo slow\n# Terminal 2: meanwhile\n$ sleep 1; echo quick\nquick\n# Terminal 1: again\nslow\n"
            ))
    }

    @Test("What was captured is a variable of later commands")
    func variables() throws {
        #expect(try Self.passes("$ echo port 8081\nport <int:port>\n$ echo $port\n8081\n$ echo 8081\n<=port>\n"))
        #expect(try !Self.passes("$ echo port 8081\nport <int:port>\n$ echo 8082\n<=port>\n"))
        let start =
            "$ backend --port 8081 --name A &\n$ loadbalancer --backends 8081 --port 80\n[LB] Listening on :<int:port>\n"
        #expect(try Self.passes(start + "$ curl -s http://localhost:$port/\nResponse from A\n"))
    }

    @Test("Each case has a world of its own")
    func worlds() throws {
        let text =
            "@case a\n$ backend --port 80 --name A &\n$ echo x > file; sleep 5\n@case b\n$ jobs\nno jobs\n$ [ -e file ] || echo gone\ngone\n$ clock | head -1\ntime     2023-12-20T15:00:00Z\n-- f --\n"
        #expect(try Bench.run(text).map(\.hasPassed) == [true, true])
    }

    @Test("`exit` ends the lab: its status counts, and nothing can follow")
    func exit() throws {
        #expect(try Self.passes("$ echo a; exit 0\na\n"))
        #expect(try Self.passes("$ exit 3\n[exit 3]\n"))
        #expect(try !Self.passes("$ exit 3\n"))
        #expect(try !Self.passes("$ exit 0\nnot printed\n"))
        #expect(try Bench.failure("$ exit 0\n$ echo a\na\n")?.message == "the lab has ended: exit was run above")
    }

    @Test("A plain script stops at its first command that fails, and succeeds only as a whole")
    func scripts() throws {
        #expect(try Self.passes("echo a\nsleep 5\n"))
        #expect(try !Self.passes("false\necho a\n"))
        #expect(try !Self.passes("echo a\nfrobnicate\necho b\n"))
    }

    @Test("Blanks collapse where that is asked for")
    func collapsing() throws {
        #expect(try Self.passes("@blanks collapse\n$ echo '  a    b'\na b\n"))
        #expect(try !Self.passes("$ echo '  a    b'\na b\n"))
    }

    @Test("The host is out of reach of a test")
    func host() throws {
        let refusal = "!true: commands of the machine are refused in scripts; sdlab run --allow-host lets them run"
        #expect(try Self.passes("$ !true\n\(refusal)\n[exit 126]\n"))
    }
}
