import Glibc
import Testing

/// Typing: texts of several lines, the history, aliases, colours, and what Tab shows of the living lab.
@Suite(.serialized) struct PromptTypingTests {
    private let controlC = "\u{3}"
    private let controlR = "\u{12}"
    private let up = "\u{1B}[A"
    private let down = "\u{1B}[B"

    @Test("a loop is one text of several lines: earlier ones can still be mended, and Up has all of it back")
    func severalLines() throws {
        let pty = try Pty(["--net", "memory"])
        try pty.waitForPrompt()
        pty.type("for i in a b\rdo echo gut $i")
        try pty.wait(for: "the second line") { $0.screen.lastLine == "do echo gut $i" }
        // Up to the first line, a word more at its end, and down again.
        let row = pty.screen.cursor.row
        pty.type(up)
        try pty.wait(for: "the cursor above") { $0.screen.cursor.row == row - 1 }
        pty.type("\u{1B}[Dc ")
        pty.type(down)
        try pty.wait(for: "the cursor below") { $0.screen.cursor.row == row }
        pty.type("\u{1B}[F\rdone\r")
        try pty.wait(forLine: "gut b")
        #expect(pty.screen.lines.contains("gut c"))
        try pty.waitForPrompt()
        pty.type(up)
        try pty.wait(for: "the whole loop") { $0.screen.lastLine == "done" }
        pty.type("\r")
        try pty.wait(for: "the second run") { $0.screen.lines.filter { $0 == "gut b" }.count == 2 }
        // Alt-Enter begins a line wherever it is.
        pty.type("echo one\u{1B}\recho two\r")
        try pty.wait(forLine: "two")
        #expect(pty.screen.lines.contains("one"))
        pty.type("echo 'open\rquote'\r")
        try pty.wait(forLine: "quote")
        #expect(pty.screen.unknown.isEmpty)
    }

    @Test("all lines of a text that was given up with Ctrl-C can be had back")
    func abandoned() throws {
        let home = try Pty.freshDirectory()
        defer { Pty.remove(home) }
        let pty = try Pty(["--net", "memory"], home: home)
        try pty.waitForPrompt()
        pty.type("while true\rdo echo never")
        try pty.wait(for: "the second line") { $0.screen.lastLine == "do echo never" }
        pty.type(controlC)
        try pty.waitForPrompt()
        pty.type(up)
        try pty.wait(for: "both lines") { $0.screen.lastLine == "do echo never" }
        pty.type(controlC)
        try pty.waitForPrompt()
        #expect(hostFileText(home + "/.sdlab_history") == "while true\\ndo echo never\n")
    }

    @Test("Ctrl-R searches what was typed, and Enter runs what it found")
    func search() throws {
        let pty = try Pty(["--net", "memory"])
        try pty.waitForPrompt()
        for word in ["needle", "hay", "straw"] {
            pty.enter("echo \(word)")
            try pty.wait(forLine: word)
        }
        try pty.waitForPrompt()
        pty.type(controlR + "nee")
        try pty.wait(for: "the search") { $0.screen.text.contains("nee") && $0.screen.text.contains("bck") }
        pty.type("\r")
        try pty.wait(for: "the old line again") { $0.screen.lines.filter { $0 == "needle" }.count == 2 }
    }

    @Test("an alias of ~/.sdlabrc stands for its words, is completed, and is none under test, run and -c")
    func aliases() throws {
        let home = try Pty.freshDirectory()
        defer { Pty.remove(home) }
        writeHostFile("alias shout='echo LOUD'\nalias web='backend --port'\n", to: home + "/.sdlabrc")
        let pty = try Pty(["--net", "memory"], home: home)
        try pty.waitForPrompt()
        pty.enter("shout and clear")
        try pty.wait(forLine: "LOUD and clear")
        pty.enter("alias quiet='echo low | tr l L'; quiet")
        try pty.wait(forLine: "Low")
        pty.enter("alias echo='echo said'; echo it; \\echo not; unalias echo; echo plain")
        try pty.wait(forLine: "plain")
        #expect(pty.screen.lines.contains("said it") && pty.screen.lines.contains("not"))
        pty.type("shou\t")
        try pty.waitForPrompt("shout")
        pty.type("\u{15}web 8081 --na\t")
        try pty.waitForPrompt("web 8081 --name")
        // What is an alias is no unknown command: it is not red.
        pty.type("\u{15}shout x")
        try pty.wait(for: "a known word") { $0.text.contains("\u{1B}[1mshout") }
        pty.type("\u{15}alias missing\r")
        try pty.wait(forLine: "alias: there is no alias 'missing'")
        let line = try ProgramProcess.run("-c", "shout x", environment: ["HOME=\(home)"])
        #expect(line.status == 127 && line.output.isEmpty)
        writeHostFile("$ shout x\n[exit 127]\nunknown command 'shout'; did you mean cut?\n", to: home + "/t.sdl")
        let test = try ProgramProcess.run("test", home + "/t.sdl", environment: ["HOME=\(home)"])
        #expect(test.errors.isEmpty && !test.output.contains("LOUD"))
    }

    @Test("an unknown command is red as it is typed, an open quote yellow")
    func colours() throws {
        let pty = try Pty(["--net", "memory"])
        try pty.waitForPrompt()
        pty.type("nosuch x")
        try pty.wait(for: "red") { $0.text.contains("\u{1B}[31mnosuch\u{1B}[0m") }
        pty.type("\u{15}echo 'open")
        try pty.wait(for: "yellow") { $0.text.contains("\u{1B}[33m'open\u{1B}[0m") }
        pty.type("'")
        try pty.wait(for: "green") { $0.text.contains("\u{1B}[32m'open'\u{1B}[0m") }
    }

    @Test("export, tee and cp do what they do in a shell")
    func tools() throws {
        let pty = try Pty(["--net", "memory"])
        try pty.waitForPrompt()
        pty.enter("export PORT=8081; echo one | tee a | tr o 0; cp a b; cat b; echo $PORT")
        try pty.wait(forLine: "8081")
        #expect(pty.screen.lines.contains("0ne") && pty.screen.lines.contains("one"))
    }

    // MARK: Tab

    @Test("the keys of a store are completed a page at a time, each with what lies there")
    func keys() throws {
        let pty = try Pty(["--net", "memory"])
        try pty.waitForPrompt()
        pty.enter("lsm-kv --data-dir d --port 6379 &")
        pty.enter("for i in {1..40}; do kv-cli SET user:$i $i; done > /dev/null; kv-cli SET other x")
        try pty.wait(forLine: "OK (wrote to memtable, 41 entries)")
        try pty.waitForPrompt()
        pty.type("kv-cli GET us\t")
        try pty.waitForPrompt("kv-cli GET user:")
        pty.type("\t")
        try pty.wait(forLine: "1 to 20 of 40; Tab shows the next")
        #expect(pty.screen.lines.contains("user:1   1 B"))
        pty.type("\t")
        try pty.wait(forLine: "21 to 40 of 40; Tab shows the first again")
        try pty.waitForPrompt("kv-cli GET user:")
        pty.type("\u{15}kv-cli GET ot\t")
        try pty.waitForPrompt("kv-cli GET other")
        // The value is nobody's to guess.
        pty.type("\u{15}kv-cli SET other us\t")
        try pty.waitForPrompt("kv-cli SET other us")
    }

    @Test("a gateway's routes are completed behind its address, with where they lead")
    func routes() throws {
        let pty = try Pty(["--net", "memory"], columns: 100)
        try pty.waitForPrompt()
        pty.enter("echo 'routes:' > g.yaml; echo '  - {path: \"/api/users/*\", service: users, auth: none}' >> g.yaml")
        pty.enter("echo '  - {path: /api/orders, service: users, auth: none}' >> g.yaml")
        pty.enter("echo 'services: {users: {servers: [\"localhost:8081\"]}}' >> g.yaml")
        pty.enter("api-gateway --config g.yaml --port 8080 &")
        try pty.wait(for: "a job") { $0.screen.lastLine.contains("1j]>") }
        pty.type("curl http://localhost:8080/a\t")
        try pty.waitForPrompt("curl http://localhost:8080/api/")
        pty.type("o\t")
        try pty.waitForPrompt("curl http://localhost:8080/api/orders")
    }

    @Test("after a fault's time only what the grammar accepts: a link, a node after on, and for how long")
    func faults() throws {
        let pty = try Pty(["--net", "memory"])
        try pty.waitForPrompt()
        pty.enter("backend --port 8081 --name Server-A &")
        try pty.wait(for: "a job") { $0.screen.lastLine.contains("1j]>") }
        pty.type("inject latency 200ms \t")
        try pty.wait(for: "the choices") { pty in
            ["on", "for", "Server-A->", "client->"].allSatisfy { word in
                pty.screen.lines.contains { $0.hasPrefix(word + " ") }
            }
        }
        #expect(!pty.screen.lines.contains { $0.hasPrefix("Server-A ") })
        pty.type("Ser\t")
        try pty.waitForPrompt("inject latency 200ms Server-A->")
        pty.type("cl\t")
        try pty.waitForPrompt("inject latency 200ms Server-A->client")
        pty.type("f\t")
        try pty.waitForPrompt("inject latency 200ms Server-A->client for")
        pty.type("30s\r")
        try pty.wait(forLine: "fault 1: latency 200ms Server-A->client for 30s")
    }

    @Test("jobs, nodes, ports and files are offered with what is known of them")
    func living() throws {
        let pty = try Pty(["--net", "memory"])
        try pty.waitForPrompt()
        pty.enter("backend --port 8081 --name Server-A &")
        pty.enter("echo hello > greeting")
        try pty.wait(for: "a job") { $0.screen.lastLine.contains("1j]>") }
        pty.type("kill \t")
        try pty.wait(forLine: "%1        backend --port 8081 --name Server-A")
        #expect(pty.screen.lines.contains("Server-A  running :8081"))
        pty.type("\u{15}kv-cli --port \t")
        try pty.waitForPrompt("kv-cli --port 8081")
        pty.type("\u{15}cat \t")
        try pty.wait(for: "a size") { pty in
            pty.screen.lines.contains { $0.hasPrefix("greeting") && $0.hasSuffix("6 B") }
        }
    }
}
