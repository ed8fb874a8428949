import KernelStructures
import ShellTranscripts
import Testing

@Suite("Updates") struct UpdateTests {
    static func updated(_ text: String) throws -> String {
        let result = try Bench.update(text)
        #expect(result.failure == nil, "\(result.failure.map { "\($0)" } ?? "")")
        #expect(try Bench.failure(result.text) == nil)
        return result.text
    }

    @Test("A line that is put right keeps the holes of the words that it has still")
    func keepsHoles() throws {
        #expect(
            try Self.updated("$ echo 'pay  A  holds   12s'\npay A  holds <dur>\n")
                == "$ echo 'pay  A  holds   12s'\npay  A  holds   <dur>\n")
        #expect(
            try Self.updated("$ echo 'took 7 of 9, in 4s'\ntook <int> from <int>, in <dur>\n")
                == "$ echo 'took 7 of 9, in 4s'\ntook <int> of <int>, in <dur>\n")
        // What a hole does not take is put right, too.
        #expect(
            try Self.updated("$ echo 'took x of 9'\ntook <int> from <int>\n")
                == "$ echo 'took x of 9'\ntook x of <int>\n")
    }

    @Test("A NUL is written so that the transcript can be read again")
    func zeros() throws {
        let updated = try Self.updated("$ printf 'a\\x00b\\n'\n$ printf '\\0\\n' | cat\n")
        #expect(updated == "$ printf 'a\\x00b\\n'\na\u{2400}b\n$ printf '\\0\\n' | cat\n\u{2400}\n")
    }

    @Test("A bare list of commands gets its output, its statuses and its escapes")
    func bareList() throws {
        let text = """
            # A comment stays.
            $ echo hello
            $ printf 'a\\n\\nb\\n'

            $ printf '\\nx\\n'
            $ false
            $ curl http://localhost:9/
            $ echo '$ x'; echo '# y'; echo '[exit 3]'; echo '<int>'; echo 'a (?)'; echo '...'
            $ for i in 1 2; do sleep 5; echo tick $i; done &
            $ echo front
            $ sleep 20; echo over
            $ printf 'no newline'
            """
        #expect(
            try Self.updated(text) == """
                # A comment stays.
                $ echo hello
                hello
                $ printf 'a\\n\\nb\\n'
                a

                b

                $ printf '\\nx\\n'

                x
                $ false
                [exit 1]
                $ curl http://localhost:9/
                curl: (7) Failed to connect to localhost port 9 after 0 ms: Couldn't connect to server
                [exit 7]
                $ echo '$ x'; echo '# y'; echo '[exit 3]'; echo '<int>'; echo 'a (?)'; echo '...'
                \\$ x
                \\# y
                \\[exit 3]
                \\<int>
                \\a (?)
                \\...
                $ for i in 1 2; do sleep 5; echo tick $i; done &
                $ echo front
                front
                $ sleep 20; echo over
                over
                tick 1
                tick 2
                $ printf 'no newline'
                no newline

                """)
    }

    @Test("Where all log lines are to be stated, they go below the command in whose time they came, with typed holes")
    func logs() throws {
        let text = """
            @logs exact
            $ backend --port 8081 --name Server-A &
            $ loadbalancer --backends 8081,8082 --port 80
            $ sleep 16
            $ echo between
            $ kill lb
            """
        #expect(
            try Self.updated(text) == """
                @logs exact
                $ backend --port 8081 --name Server-A &
                $ loadbalancer --backends 8081,8082 --port 80
                [LB] Loaded 2 backends: 8081, 8082
                [LB] Health checker started (interval: 5s)
                [LB] Listening on :80
                $ sleep 16
                [LB] Backend 8082 failed health check (3 consecutive failures)
                [LB] Removed 8082 from pool
                $ echo between
                between
                $ kill lb
                [LB] Draining: 0 connections open
                [LB] Stopped

                """)
    }

    @Test("A log line is written with a hole where its argument differs from run to run")
    func typedHoles() {
        let message: LogMessage =
            "took \(LabDuration.seconds(3)) on \(port: 80) at \(address: .loopback) for \(id: "x1"), \(7) times, \(share: 0.5)"
        #expect(
            TranscriptText.log(LogLine(tag: "LB", message: message))
                == "[LB] took <dur> on 80 at <ip> for <id>, 7 times, <pct>")
    }

    @Test("What passes is left as it is, byte for byte, whatever its line ends")
    func untouched() throws {
        for text in [
            try Bench.session01(), "$ echo a  \r\na\t\r\n\r\n", "$ echo a\na", "$ echo a\nb (?)\n<any>   \n\n\n",
        ] {
            let result = try Bench.update(text)
            #expect(result.repairCount == 0 && result.failure == nil)
            #expect(Array(result.text.utf8) == Array(text.utf8))
        }
    }

    @Test("Holes, notes, suffixes and line ends outlive the repair of their neighbours")
    func neighbours() throws {
        let above = "$ printf '1\\n2\\n3\\n4\\n'\r\n<int>   ← the first\r\n[0-9] (re)  \r\n"
        let below = "4 # the last\r\n$ echo x\r\n"
        #expect(try Self.updated(above + "wrong\r\n" + below) == above + "3\r\n" + below + "x\r\n")
    }

    @Test("Lines above an inclusion may change, the included file never does")
    func includes() throws {
        let scratch = try Scratch()
        try scratch.write("$ echo included\nwrong\n", "part.sdl")
        let path = try scratch.write("$ echo a\nb\n@include part.sdl\n", "whole.sdl")
        let outcome = try BuiltProgram.run(["test", "-u", path])
        #expect(outcome.status == 1)
        #expect(try scratch.read("part.sdl") == "$ echo included\nwrong\n")
        #expect(try scratch.read("whole.sdl") == "$ echo a\na\n@include part.sdl\n")
        #expect(outcome.errors.contains("part.sdl:2: the command printed something else; no repair helps"))
    }

    @Test("What cannot be repaired says so, and the other cases are repaired all the same")
    func hopeless() throws {
        let text =
            "@case stuck\n$ while true; do sleep 1; done\n$ echo never\n@case fine\n$ echo a\n@case fine too\n$ echo b\nx\n"
        let result = try Bench.update(text)
        #expect(result.failure?.place.line == 2)
        #expect(result.text == text.replacing("echo a\n", with: "echo a\na\n").replacing("x\n", with: "b\n"))
        #expect(result.repairCount == 2)
    }

    @Test("A script expects nothing: a failing one is reported and not rewritten")
    func scripts() throws {
        let result = try Bench.update("echo a\nfalse\necho b\n")
        #expect(result.repairCount == 0 && result.failure?.message.contains("status 1") == true)
        #expect(result.text == "echo a\nfalse\necho b\n")
    }

    @Test("A line that must never come and does is taken out")
    func nevers() throws { #expect(try Self.updated("$ echo a\na\n<any> (never)\n") == "$ echo a\na\n") }

    @Test("The program rewrites files in place, says how much, and leaves the rest alone")
    func program() throws {
        let scratch = try Scratch()
        let changed = try scratch.write("$ echo a\nb\n$ false\n", "changed.sdl")
        try scratch.write("$ echo a\na", "fine.sdl")
        let outcome = try BuiltProgram.run(["test", "-u", scratch.path])
        #expect(outcome.status == 0 && outcome.errors.isEmpty)
        #expect(outcome.output == "\(changed): 2 repairs\n")
        #expect(try scratch.read("changed.sdl") == "$ echo a\na\n$ false\n[exit 1]\n")
        #expect(try scratch.read("fine.sdl") == "$ echo a\na")
        #expect(try BuiltProgram.run(["test", scratch.path]).status == 0)
    }
}
