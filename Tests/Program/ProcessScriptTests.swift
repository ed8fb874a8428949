import Glibc
import Testing

/// Recordings, scripts and tests: what passes one way passes the other, nothing is lost, and nothing reaches the
/// machine without leave.
@Suite(.serialized) struct ProcessScriptTests {
    private static let agreeing: [(String, status: Int)] = [
        ("$ echo a\na\n", 0), ("$ echo a\nb\n", 1), ("$ echo a\n", 1), ("$ echo a\na\n$ echo b\n", 1),
        ("$ false\n", 1), ("$ false\n[exit 1]\n", 0), ("$ seq 3\n1\n...\n", 0), ("$ echo x\nx\nx (never)\n", 1),
        ("$ sleep 70\n$ echo a\na\n", 1), ("$ cat missing &\n", 1), ("$ cat\n> hi\nhi\n", 0),
        ("$ sleep 100\n[2s later]\n^C\n[exit 130]\n", 0), ("$ true\n^C\n", 1), ("@seed x\n$ true\n", 2),
        ("@needs nothing-here\n$ true\n", 80), ("echo a\necho b\n", 0), ("read x; echo got\n", 1),
        ("$ loadbalancer --config lb.yaml --port 80\n[LB] Listening on :80\n", 0), ("$ put /etc/hostname h\n", 1),
    ]

    @Test("the same file passes both run and test, or fails both", arguments: agreeing)
    func agreement(_ text: String, status: Int) throws {
        let directory = try ProgramDirectory()
        try directory.place("a.sdl", text)
        let test = try ProgramProcess.run("test", "a.sdl", directory: directory.path)
        #expect(test.status == status, "\(test.output)\(test.errors)")
        let run = try ProgramProcess.run("run", "a.sdl", directory: directory.path)
        #expect(run.status == status, "\(run.output)\(run.errors)")
    }

    @Test("a script reaches the machine only with --allow-host: no command of it, and no file")
    func host() throws {
        let directory = try ProgramDirectory()
        try directory.place("script.sdl", "!echo from the machine\n")
        try directory.place("transcript.sdl", "$ !echo from the machine\n...\n")
        try directory.place("files.sdl", "echo x > a; get a stolen\n")
        for name in ["script.sdl", "transcript.sdl"] {
            let refused = try ProgramProcess.run("run", name, directory: directory.path)
            #expect(refused.status != 0 && !refused.output.contains("\nfrom the machine"))
            #expect((refused.output + refused.errors).contains("sdlab run --allow-host"))
            let allowed = try ProgramProcess.run("run", "--allow-host", name, directory: directory.path)
            #expect(allowed.status == 0 && allowed.output.contains("from the machine"), "\(allowed.errors)")
            #expect(try ProgramProcess.run("test", name, directory: directory.path).status == 1)
        }
        let files = try ProgramProcess.run("run", "files.sdl", directory: directory.path)
        #expect(files.status == 1 && access(directory.path + "/stolen", F_OK) != 0)
        #expect(try ProgramProcess.run("run", "--allow-host", "files.sdl", directory: directory.path).status == 0)
        #expect(access(directory.path + "/stolen", F_OK) == 0)
        // Who types a line means it.
        #expect(try ProgramProcess.run("-c", "!echo typed").output == "typed\n")
    }

    @Test("what is no text is refused by its name, whether it is a file or standard input", arguments: ["run", "test"])
    func noText(_ verb: String) throws {
        let directory = try ProgramDirectory()
        let long = String(repeating: "# long\n", count: 2_400_000)
        for (name, text) in [("zeros.sdl", "echo a\u{0}\necho b\n"), ("long.sdl", long)] {
            try directory.place(name, text)
            let file = try ProgramProcess.run(verb, name, directory: directory.path)
            let reason = name == "zeros.sdl" ? "not text (UTF-8)" : "larger than 16.0 MiB"
            #expect(file.status != 0 && file.output == "" && file.errors.contains("\(name): \(reason)"), "\(file)")
        }
        guard verb == "run" else { return }
        let input = try ProgramProcess.run(verb, "-", input: "echo a\u{0}\n")
        #expect(input.status != 0 && input.errors.contains("standard input: not text (UTF-8)"), "\(input)")
    }

    @Test("a test without a command is none", arguments: ["", "# nothing\n", "$ \n"])
    func nothing(_ text: String) throws {
        let directory = try ProgramDirectory()
        try directory.place("nothing.sdl", text)
        let test = try ProgramProcess.run("test", "nothing.sdl", directory: directory.path)
        #expect(test.status != 0 && test.errors.contains("there is no command in it"), "\(test)")
    }

    @Test("-u leaves a file alone that it does not understand, byte for byte")
    func updateUnderstands() throws {
        let directory = try ProgramDirectory()
        let text = "@case one\n@timeuot 5s\n$ echo a\nwrong\n@timeout 5s\n@logs exact\nworse\n"
        try directory.place("a.sdl", text)
        let update = try ProgramProcess.run("test", "-u", "a.sdl", directory: directory.path)
        #expect(update.status == 2 && update.errors.contains("a.sdl:2: @timeuot: no such directive"))
        #expect(hostFileText(directory.path + "/a.sdl") == text)
        // What it does understand stays as well, wherever it stands.
        try directory.place("b.sdl", text.replacing("@timeuot 5s\n", with: ""))
        #expect(try ProgramProcess.run("test", "-u", "b.sdl", directory: directory.path).status == 0)
        #expect(hostFileText(directory.path + "/b.sdl") == "@case one\n$ echo a\na\n@timeout 5s\n@logs exact\n")
    }

    @Test("what cannot be written to standard output is a failure", arguments: ["-c", "run", "test"])
    func fullOutput(_ verb: String) throws {
        let directory = try ProgramDirectory()
        try directory.place("a.sdl", "$ seq 1 1000\n...\n")
        let words = verb == "-c" ? "-c 'seq 1 1000'" : "\(verb) a.sdl"
        let run = try ProgramProcess(
            ["-c", "exec \(ProgramPlace.program) \(words) > /dev/full"], directory: directory.path, program: "/bin/sh")
        #expect(try run.waitForExit() == 1 && run.errors.contains("No space left on device"), "\(run.errors)")
    }

    @Test("what another transport or another seed says differently has a hole in a recording, which passes everywhere")
    func looseRecording() throws {
        let home = try Pty.freshDirectory()
        defer { Pty.remove(home) }
        let pty = try Pty([], home: home)
        try pty.waitForPrompt()
        pty.enter("record \(home)/r.sdl")
        try pty.wait(for: "the recording") { $0.screen.text.contains("record off saves it") }
        pty.enter("backend --port 8081 &")
        pty.enter("echo drawn $RANDOM of 32768")
        pty.enter("curl -s -w '%{local_port} used\\n' -o page localhost:8081/")
        try pty.wait(for: "a port") { $0.screen.text.contains(" used") }
        pty.enter("record stop")
        try pty.wait(for: "the verdict") {
            $0.screen.text.replacing("\n  ", with: " ").contains("on sockets and with other seeds, too")
        }
        let text = try #require(hostFileText(home + "/r.sdl"))
        #expect(text.contains("drawn <int> of 32768\n") && text.contains("<int> used\n"), "\(text)")
        #expect(!text.contains("lb.yaml") && !text.contains("@skip-if"), "\(text)")
        for (flag, value) in [("--seeds", "3"), ("--net", "loopback")] {
            let again = try ProgramProcess.run("test", flag, value, home + "/r.sdl")
            #expect(again.status == 0, "\(again.output)\(again.errors)")
        }
    }

    @Test("--epoch says when the lab begins, and now is today")
    func epoch() throws {
        let then = try ProgramProcess.run("--epoch", "2001-09-09T01:46:40Z", "-c", "date +%s")
        #expect(then.output == "1000000000\n")
        let now = try ProgramProcess.run("--epoch", "now", "-c", "date +%s")
        let seconds = Int(now.output.dropLast()) ?? 0
        #expect(abs(seconds - time(nil)) < 100, "\(now.output)")
        let wrong = try ProgramProcess.run("--epoch", "yesterday", "-c", "date")
        #expect(wrong.status == 2 && wrong.errors.contains("--epoch: 'yesterday' is neither now nor a time"))
    }

    @Test("record refuses a file that is there, and a recording with an interrupted command passes both ways")
    func recording() throws {
        let home = try Pty.freshDirectory()
        defer { Pty.remove(home) }
        let file = home + "/r.sdl"
        writeHostFile("precious\n", to: file)
        let pty = try Pty(["--net", "memory"], home: home)
        try pty.waitForPrompt()
        pty.enter("record \(file)")
        try pty.wait(for: "the refusal") { pty in
            pty.screen.text.replacing("\n  ", with: " ").contains(
                "record: \(file) is there already; choose another name, or remove it first")
        }
        #expect(hostFileText(file) == "precious\n")
        unlink(file)
        pty.enter("record \(file)")
        try pty.wait(for: "the recording") { $0.screen.text.contains("record off saves it") }
        pty.enter("for i in 1 2 3; do echo n$i; sleep 1; done; echo never")
        try pty.wait(forLine: "n2")
        usleep(300_000)
        pty.type("\u{3}")
        try pty.waitForPrompt()
        pty.enter("echo and on")
        try pty.wait(forLine: "and on")
        pty.enter("record off")
        try pty.wait(for: "the verdict") {
            $0.screen.text.replacing("\n  ", with: " ").contains("it passes when run again")
        }
        let text = try #require(hostFileText(file))
        #expect(text.contains("n2\n") && text.contains("^C\n[exit 130]\n"), "\(text)")
        for verb in ["test", "run"] {
            let again = try ProgramProcess.run(verb, file)
            #expect(again.status == 0, "\(again.output)\(again.errors)")
        }
    }
}
