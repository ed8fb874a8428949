import Testing

/// The program's words: what it understands, what it says when it does not, and the status it ends with.
@Suite struct ProcessCommandLineTests {
    @Test("-c help lists the commands and ends with 0")
    func help() throws {
        let run = try ProgramProcess.run("-c", "help all")
        #expect(run.status == 0)
        #expect(run.errors == "")
        for name in ["backend", "loadbalancer", "curl", "inject", "kill"] {
            #expect(run.output.contains("\n  \(name) "))
        }
        #expect(try ProgramProcess.run("help", "all").output == run.output)
        #expect(try ProgramProcess.run("help", "backend").output.contains("--latency"))
    }

    @Test("--version is one line with a number")
    func version() throws {
        let run = try ProgramProcess.run("--version")
        #expect(run.status == 0)
        #expect(run.output.wholeMatch(of: #/sdlab \d+\.\d+\.\d+\n/#) != nil)
    }

    @Test("a file in the place of a command is run, as by a shell")
    func fileAsCommand() throws {
        let directory = try ProgramDirectory()
        try directory.place("session.sdl", "echo hello\n")
        let run = try ProgramProcess.run("session.sdl", directory: directory.path)
        #expect(run.status == 0 && run.output == "hello\n", "\(run)")
        #expect(try ProgramProcess.run("run", "session.sdl", directory: directory.path).output == "hello\n")
    }

    @Test("a balancer without servers, in a directory without a file, says what it wants")
    func freshDirectory() throws {
        let directory = try ProgramDirectory()
        let run = try ProgramProcess.run("loadbalancer", directory: directory.path)
        #expect(run.status == 2 && run.errors.contains("add --config lb.yaml or --backends"), "\(run)")
    }

    @Test("no colour reaches a pipe, unless it is asked for")
    func color() throws {
        let plain = try ProgramProcess.run("-c", "help backend")
        #expect(!plain.output.contains("\u{1B}"))
        let asked = try ProgramProcess.run(
            "--color", "always", "--net", "memory", "-c", "loadbalancer --backends 1 --port 80")
        #expect(asked.output.contains("\u{1B}["))
    }

    @Test(
        "what is not understood ends with 2, on standard error, with the word that may have been meant",
        arguments: [
            (["bakend", "--port", "1"], "did you mean backend?"),
            (["rnu", "x.sdl"], "did you mean run?"),
            (["--verion"], "did you mean --version?"),
            (["--net", "memry", "-c", "help"], "did you mean memory?"),
            (["-c", "curl --silnt http://x/"], "did you mean --silent?"),
            (["run", "--keepgoing", "x.sdl"], "did you mean --keep-going?"),
            (["run"], "usage: run"),
            (["run", "/nonexistent.sdl"], "/nonexistent.sdl: No such file or directory"),
            (["--seed", "x", "-c", "help"], "--seed: 'x'"),
            (["-c"], "needs a value"),
            (["--clock", "fast", "-c", "help"], "--clock: 'fast'"),
            (["backend"], "add --port"),
            (["backend", "--port", "x"], "--port: 'x' is not a port (1 to 65535)"),
            (["backend", "--port", "0"], "--port: '0' is not a port (1 to 65535)"),
            (["backend", "--port", "65536"], "--port: '65536' is not a port (1 to 65535)"),
            (["backend", "--port", "8081", "--name", "a b"], "'a b' cannot be a name"),
            (["backend", "--port", "8081", "--bind", "here"], "--bind: 'here'"),
            (["loadbalancer", "--port", "8080"], "add --config"),
            (["loadbalancer", "--backends", "x:y", "--port", "8080"], "'x:y' is neither a port nor host:port"),
        ])
    func misuse(words: [String], expected: String) throws {
        let process = try ProgramProcess(words)
        #expect(try process.waitForExit() == 2)
        #expect(process.output == "")
        #expect(process.errors.contains(expected), "\(process.errors)")
        #expect(!process.errors.contains("sdlab: sdlab:"), "\(process.errors)")
        #expect(process.errors.split(separator: "\n").count == 1, "one line: \(process.errors)")
    }

    @Test("a command that does not exist ends with 127 and names the nearest one")
    func unknownCommand() throws {
        let run = try ProgramProcess.run("-c", "hlep")
        #expect(run.status == 127)
        #expect(run.errors == "unknown command 'hlep'; did you mean help?\n")
    }

    @Test("a command that fails ends with its status, a script with the status it gives to exit")
    func statuses() throws {
        #expect(try ProgramProcess.run("-c", "echo fine").status == 0)
        let failed = try ProgramProcess.run("-c", "cat /nonexistent")
        #expect(failed.status == 1)
        #expect(failed.errors == "cat: /nonexistent: No such file or directory\n")
        #expect(try ProgramProcess.run("-c", "exit 3").status == 3)
    }

    @Test("a script may come from standard input or from a file, with the same result")
    func sources() throws {
        let script = "# a comment\nfor word in a b; do echo $word; done\necho 'c  d'\n"
        let directory = try ProgramDirectory()
        try directory.place("script.sdl", script)
        for run in [
            try ProgramProcess.run(input: script),
            try ProgramProcess.run("run", "script.sdl", directory: directory.path),
            try ProgramProcess.run("run", "-", input: script),
        ] {
            #expect(run.status == 0)
            #expect(run.output == "a\nb\nc  d\n")
            #expect(run.errors == "")
        }
    }

    @Test("a script is given words, by itself and behind --")
    func words() throws {
        let directory = try ProgramDirectory()
        try directory.place("s.sdl", "#!/usr/bin/env sdlab\necho $0 $# \"$1\" ${2:-none}\nf() { echo $1; }; f in\n")
        try directory.place("t.sdl", "$ echo a\na\n")
        let alone = try ProgramProcess.run("./s.sdl", "a b", "--c", directory: directory.path)
        #expect(alone.output == "./s.sdl 2 a b --c\nin\n" && alone.status == 0, "\(alone.errors)")
        let run = try ProgramProcess.run("run", "s.sdl", "s.sdl", "--", "x", directory: directory.path)
        #expect(run.output == "s.sdl 1 x none\nin\ns.sdl 1 x none\nin\n", "\(run.errors)")
        let input = try ProgramProcess.run("run", "-", "--", "y", input: "echo $0 $1")
        #expect(input.output == "sdlab y\n", "\(input.errors)")
        #expect(try ProgramProcess.run("t.sdl", directory: directory.path).status == 0)
        let refused = try ProgramProcess.run("t.sdl", "a", directory: directory.path)
        #expect(refused.status == 2 && refused.errors.contains("t.sdl is a transcript"))
    }

    @Test("a script stops at its first failing command, unless it is told to keep going")
    func stopping() throws {
        let script = "echo one\ncat /nonexistent\necho two\n"
        let stopped = try ProgramProcess.run(input: script)
        #expect(stopped.status == 1)
        #expect(stopped.output == "one\n")
        let kept = try ProgramProcess.run("--keep-going", input: script)
        #expect(kept.output == "one\ntwo\n")
        #expect(kept.errors == stopped.errors)
    }

    @Test("an error in line 40 ends with 2, names file, line and column, and nothing has run")
    func syntaxError() throws {
        let lines = (1...39).map { "echo \($0)" }
        let directory = try ProgramDirectory()
        try directory.place("quote.sdl", (lines + ["echo \"open"]).joined(separator: "\n"))
        try directory.place("loop.sdl", (lines + ["for x in a b; done"]).joined(separator: "\n"))
        let quote = try ProgramProcess.run("run", "quote.sdl", directory: directory.path)
        #expect(quote.status == 2)
        #expect(quote.output == "")
        #expect(quote.errors.contains("quote.sdl:40:"), "\(quote.errors)")
        let loop = try ProgramProcess.run("run", "loop.sdl", directory: directory.path)
        #expect(loop.status == 2)
        #expect(loop.output == "")
        #expect(loop.errors.contains("loop.sdl:40:15: "), "\(loop.errors)")
    }

    @Test("a reader that has seen enough ends the program quietly")
    func closedOutput() throws {
        let directory = try ProgramDirectory()
        try directory.place("long.sdl", "seq 1 200000\n" + String(repeating: "seq 1 1000\n", count: 200))
        let process = try ProgramProcess(["run", "long.sdl"], directory: directory.path)
        try process.waitFor("1\n")
        process.closeOutput()
        #expect(try process.waitForExit() != 141)
        #expect(process.errors == "")
        // For ever, were it not for the reader that goes away.
        let endless = try ProgramProcess(["--clock", "real", "-c", "while true; do echo again; sleep 10ms; done"])
        try endless.waitFor("again")
        endless.closeOutput()
        _ = try endless.waitForExit()
        #expect(endless.errors == "")
    }

    @Test("two runs with the same seed say the same, byte for byte")
    func determinism() throws {
        let script = """
            backend --port 8081 --name A &
            backend --port 8082 --name B &
            loadbalancer --backends 8081,8082 --port 80 &
            inject loss 10%
            for i in {1..20}; do curl -s http://localhost:80/ || echo lost; done
            advance 30s
            """
        let first = try ProgramProcess.run("--seed", "7", "--keep-going", input: script)
        let second = try ProgramProcess.run("--seed", "7", "--keep-going", input: script)
        #expect(first.output == second.output)
        #expect(first.output.contains("Response from A"))
    }
}
