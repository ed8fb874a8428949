import Glibc
import Testing

/// Tours, and what makes the prompt kind to somebody new: suggestions, lists with words of explanation, questions
/// before something is lost.
@Suite(.serialized) struct PromptTourTests {
    private let controlC = "\u{3}"
    private let controlD = "\u{4}"
    private let right = "\u{1B}[C"
    private let up = "\u{1B}[A"

    @Test("a tour asks, waits for the decisive command, answers with what was seen, and is remembered")
    func tour() throws {
        let home = try Pty.freshDirectory()
        defer { Pty.remove(home) }
        let pty = try Pty(["--net", "memory"], home: home, columns: 100, rows: 60)
        try pty.waitForPrompt()
        pty.enter("tour load-balancer 3")
        try pty.wait(forLine: "load-balancer 3: nobody left")
        try pty.wait(forLine: "Your turn: kill the second one, too.")
        try pty.waitForPrompt()
        // Something else may be typed meanwhile.
        pty.enter("echo thinking")
        try pty.wait(forLine: "thinking")
        pty.enter("tour hint")
        try pty.wait(forLine: "kill -9 server-2")
        pty.enter("kill -9 'server-2'")
        try pty.wait(forLine: "[LB] Removed 8082 from pool")
        try pty.wait(forLine: "unserved  1")
        try pty.wait(for: "the answer") { $0.screen.text.contains("Answer: a 503 at once") }
        try pty.wait(for: "what was counted") { pty in
            pty.screen.text.replacing("\n", with: " ").contains("1 request was refused")
        }
        try pty.wait(for: "what is remembered") { _ in hostFileText(home + "/.sdlab_tours") == "load-balancer 3\n" }
        pty.enter("tour load-balancer list")
        try pty.wait(forLine: "3  answered  nobody left")
        pty.enter("tour next")
        try pty.wait(forLine: "load-balancer 4: another configuration under a request's feet")
        try pty.wait(forLine: "Type the command. tour hint shows it, tour next types it for you.")
        pty.enter("tour leave")
        try pty.wait(for: "a lab without jobs") { $0.screen.lastLine.contains("j]>") == false }
        pty.enter("tour hint")
        try pty.wait(forLine: "tour: no tour is under way; tour lists them")
    }

    @Test("what is bold on a terminal counts as well; one command may be said in several ways")
    func tourInColour() throws {
        let home = try Pty.freshDirectory()
        defer { Pty.remove(home) }
        let pty = try Pty(["--net", "memory", "--color", "always"], home: home, columns: 100, rows: 60)
        try pty.waitForPrompt()
        pty.enter("tour registry 1")
        try pty.wait(forLine: "Type the command. tour hint shows it, tour next types it for you.")
        // The job of pay-2.
        pty.enter("kill -9 %3")
        try pty.wait(for: "the answer") { $0.screen.text.contains("after 3 failures in a row") }
        try pty.wait(for: "what comes next") { $0.screen.text.contains("tour next: question 2 of 5") }
        pty.enter("tour next")
        try pty.wait(for: "the second question") { $0.screen.text.contains("silent for twenty seconds") }
        pty.enter("sleep 20")
        try pty.wait(for: "what comes then") { $0.screen.text.contains("tour next: question 3 of 5") }
        #expect(hostFileText(home + "/.sdlab_tours") == "registry 1\nregistry 2\n")
    }

    @Test("a tour does not end what somebody has running")
    func tourAsks() throws {
        let pty = try Pty(["--net", "memory"])
        try pty.waitForPrompt()
        pty.enter("backend --port 8081 &")
        pty.enter("tour lock")
        try pty.wait(for: "a refusal") { $0.screen.text.contains("tour: something runs here") }
    }

    @Test("the rest of an older line stands behind the cursor, and Right takes it; a command's use is only shown")
    func ghosts() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.enter("echo a long line")
        try pty.wait(forLine: "a long line")
        try pty.waitForPrompt()
        pty.type("echo a")
        try pty.wait(for: "the ghost") { $0.screen.ghost == " long line" }
        try pty.waitForPrompt("echo a")
        pty.type(right)
        try pty.waitForPrompt("echo a long line")
        pty.type("\u{15}advance ")
        try pty.wait(for: "the usage") { $0.screen.ghost == "TIME" }
        pty.type("\rseq 2\r")
        // The ghost was no part of what was typed.
        try pty.wait(for: "a complaint") { $0.screen.text.contains("advance: something is missing") }
        #expect(pty.screen.unknown.isEmpty)
    }

    @Test("the first Tab shows what there is, each with what it means")
    func firstTab() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.type("connpool \t")
        try pty.wait(for: "a verb with its meaning") { pty in
            pty.screen.lines.contains { $0.hasPrefix("evict  ") && $0.contains("closes all connections") }
        }
        try pty.waitForPrompt("connpool")
    }

    @Test("Ctrl-D closes a terminal; in the first one it asks once if something runs")
    func endOfInput() throws {
        let pty = try Pty(["--net", "memory"])
        try pty.waitForPrompt()
        pty.enter("backend --port 8081 &")
        pty.enter("term 2")
        try pty.wait(for: "the second terminal") { $0.screen.lastLine.hasPrefix("sdlab[2 ") }
        pty.type(controlD)
        try pty.wait(for: "the first terminal") { $0.screen.lastLine.hasPrefix("sdlab[1") }
        pty.type(controlD)
        try pty.wait(forLine: "sdlab: 1 job will end with the lab; Ctrl-D again leaves")
        try pty.waitForPrompt()
        pty.enter("echo still here")
        try pty.wait(forLine: "still here")
        pty.type(controlD)
        try pty.wait(for: "the question again") {
            $0.text.components(of: "Ctrl-D again leaves").count == 2
        }
        pty.type(controlD)
        #expect(try pty.end() == 0)
    }

    @Test("what was given up with Ctrl-C can be had back, and history lists it")
    func abandoned() throws {
        let pty = try Pty()
        try pty.waitForPrompt()
        pty.type("echo unfinished")
        try pty.waitForPrompt("echo unfinished")
        pty.type(controlC)
        try pty.waitForPrompt()
        pty.type(up)
        try pty.waitForPrompt("echo unfinished")
        pty.type("\u{15}history\r")
        try pty.wait(forLine: "1  echo unfinished")
        pty.enter("clear")
        try pty.wait(for: "an empty screen") { !$0.screen.text.contains("unfinished") }
    }

    @Test("nodes, jobs, faults and top are watched in their place", arguments: ["nodes", "jobs", "faults", "top"])
    func watched(_ view: String) throws {
        let pty = try Pty(["--clock", "virtual", "--net", "memory"])
        try pty.waitForPrompt()
        pty.enter("watch 3 1s \(view)")
        try pty.waitForPrompt()
        try pty.wait(for: "three views") { $0.text.components(of: "\u{1B}[1A\u{1B}[0J").count == 2 }
    }

    @Test("q ends what is only looked at, unseen; typed before it, it is a letter of the next line")
    func quits() throws {
        let pty = try Pty(["--net", "memory"])
        try pty.waitForPrompt()
        pty.enter("watch 100ms nodes")
        try pty.wait(for: "a second view") { $0.text.components(of: "\u{1B}[1A\u{1B}[0J").count >= 1 }
        pty.type("q")
        try pty.waitForPrompt()
        #expect(!pty.screen.text.contains("q\n"))
        let shown = pty.text.components(of: "\u{1B}[1A\u{1B}[0J").count
        pty.enter("watch 100ms nodes")
        try pty.wait(for: "another view") { $0.text.components(of: "\u{1B}[1A\u{1B}[0J").count > shown }
        pty.type("echo q")
        pty.type("\u{3}")
        try pty.waitForPrompt()
        // Sent away and brought back it shows itself again, and ends in the same way.
        pty.enter("watch 100ms nodes &")
        try pty.waitForPrompt()
        let before = pty.text.components(of: "no nodes").count
        pty.enter("fg %1")
        try pty.wait(for: "the view again") { $0.text.components(of: "no nodes").count > before }
        pty.type("q")
        try pty.waitForPrompt()
        pty.enter("echo $((40 + 2))")
        try pty.wait(forLine: "42")
    }

    @Test("log lines name their node once two write lines of the same kind")
    func namedLines() throws {
        let pty = try Pty(["--net", "memory"])
        try pty.waitForPrompt()
        pty.enter("backend --port 8081 &")
        pty.enter("loadbalancer --backends 8081 --port 80 --name front")
        try pty.wait(forLine: "[LB] Listening on :80")
        pty.enter("loadbalancer --backends 8081 --port 81 --name back")
        try pty.wait(forLine: "[LB] back: Listening on :81")
    }

    @Test("what a pasted session says differently stands once, at its end; new times are no difference")
    func pastedDifferences() throws {
        let pty = try Pty(["--net", "memory"])
        try pty.waitForPrompt()
        pty.type("\u{1B}[200~$ echo 47 clicks\n46 clicks\n$ echo took 12ms\ntook 3ms\n$ echo fine\nfine\n\u{1B}[201~")
        pty.type("\r")
        try pty.wait(forLine: "What differs from what was pasted:")
        try pty.wait(for: "the line") { pty in
            pty.screen.lines.contains { $0.contains("2  46 clicks") && $0.hasSuffix("47 clicks") }
        }
        try pty.waitForPrompt()
        #expect(!pty.screen.text.contains("  took 3ms"))
    }

    @Test("with nothing but help and tour somebody new finds out why the lock has moved")
    func newcomer() throws {
        let pty = try Pty(["--net", "memory"], columns: 80, rows: 40)
        try pty.wait(for: "the way in") { $0.screen.text.contains("New here? Type tour, or help.") }
        pty.enter("help")
        try pty.wait(for: "the tours") { $0.screen.text.contains("tour ") && $0.screen.text.contains("views") }
        pty.enter("tour list")
        try pty.wait(for: "how one begins") { $0.screen.text.contains("tour NAME begins one, or goes on with it") }
        pty.enter("tour lock list")
        try pty.wait(for: "the question") { $0.screen.text.contains("2  open   the holder crashes") }
        pty.enter("tour lock 2")
        try pty.wait(for: "the question itself") { pty in
            pty.screen.text.replacing("\n", with: " ").contains("Bob waits. When does he get it?")
        }
        pty.enter("tour hint")
        try pty.wait(forLine: "kill -9 %2")
        pty.enter("kill -9 %2")
        try pty.wait(for: "the cause") { pty in
            let text = pty.screen.text.replacing("\n", with: " ")
            return text.contains("lock job: alice -> bob (the lease of alice has run out)")
        }
        try pty.wait(for: "what was done before") { $0.screen.text.contains("kill -9 %2") }
        try pty.wait(for: "the answer") { $0.screen.text.contains("Answer: when her lease is over") }
    }

    @Test("at forty columns help, errors and tours are broken between words")
    func narrow() throws {
        let pty = try Pty(["--net", "memory"], columns: 40, rows: 200)
        try pty.waitForPrompt()
        let page = try ProgramProcess.run("help", "log-query").output
        pty.enter("log-query --help")
        try pty.waitForPrompt()
        pty.enter("log-query 'level:error' --from the-day-before-yesterday")
        pty.enter("tour lock 1")
        try pty.wait(for: "the turn") { $0.screen.text.contains("tour next types it for you") }
        func words(_ text: String) -> Set<Substring> { Set(text.split(whereSeparator: \.isWhitespace)) }
        let seen = words(pty.screen.physicalLines.joined(separator: "\n"))
        #expect(words(page).subtracting(seen) == [])
        let error = "'the-day-before-yesterday'? write 1h for an hour ago, or 2023-12-20T15:00:00Z"
        #expect(words(error).subtracting(seen) == [])
        let question = "three servers decide together. Two of them die. Does the third one still hand out locks?"
        #expect(words(question).subtracting(seen) == [])
    }
}
