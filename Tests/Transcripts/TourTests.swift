import Commands
import GeneralCommands
import KernelLoopback
import KernelStructures
import ShellLab
import ShellTranscripts
import Testing

/// Tours: what every one of them must have, and how a question is taken apart. That their answers are true, the
/// transcripts themselves show.
@Suite("Tours") struct TourTests {
    private static let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()

    private static func cases(_ tour: TourText) throws -> [TranscriptCase] {
        try TranscriptParser.parse(
            tour.text, name: tour.name, tags: Catalog.table.tags, loader: TranscriptParser.refuseIncludes
        ).cases
    }

    private static func comments(_ one: TranscriptCase) -> [String] {
        one.items.compactMap { item in
            if case .comment = item.kind { item.source.first.map { String($0.dropFirst(2)) } } else { nil }
        }
    }

    @Test("the tours of scripts/tours are those in the program, letter for letter")
    func embedded() throws {
        let files = HostFile.list(Self.root + "/scripts/tours").filter { $0.hasSuffix(".sdl") }
        #expect(Set(files) == Set(TourText.all.map { $0.name + ".sdl" }))
        for tour in TourText.all {
            let bytes = try HostFile.read(Self.root + "/scripts/tours/\(tour.name).sdl")
            #expect(String(decoding: bytes, as: UTF8.self) == tour.text)
            #expect(tour.title.count <= 53 && !tour.title.isEmpty, "\(tour.name)")
        }
    }

    @Test(
        "each question is asked, has a turn for the learner and an answer, and takes few commands",
        arguments: TourText.all.map(\.name))
    func questions(_ name: String) throws {
        for one in try Self.cases(try TourText.named(name)) {
            let marks = Self.comments(one).compactMap { comment in
                [TourQuestion.question, TourQuestion.yourTurn, TourQuestion.answer].first(where: comment.hasPrefix)
            }
            #expect(marks == [TourQuestion.question, TourQuestion.yourTurn, TourQuestion.answer], "\(one.name)")
            let question = TourQuestion(one)
            #expect(question.command != nil, "\(one.name)")
            let before = one.items[..<question.turn].count { if case .command = $0.kind { true } else { false } }
            let all = one.items.count { if case .command = $0.kind { true } else { false } }
            #expect(before <= 5 && all <= 8, "\(one.name): \(before) commands before the turn, \(all) in all")
            #expect(one.settings.covers.count { $0.contains("-C") } == 1, "\(one.name) shows one challenge")
        }
    }

    @Test("each of the challenges of a system is shown by a question of its tour")
    func challenges() throws {
        let systems = [
            "LB", "RL", "DC", "MQ", "URL", "LSM", "CB", "SD", "MET", "GW", "LOCK", "LOG", "RING", "POOL", "CHAOS",
            "FLAG", "CL", "SHOP",
        ]
        let shown = try Set(TourText.all.flatMap { try Self.cases($0).flatMap(\.settings.covers) })
        #expect(systems.count == TourText.all.count)
        for system in systems {
            for number in 1...5 { #expect(shown.contains("\(system)-C\(number)")) }
        }
    }

    @Test("what an answer draws from the lab is captured above it", arguments: TourText.all.map(\.name))
    func captures(_ name: String) throws {
        for one in try Self.cases(try TourText.named(name)) {
            let source = one.items.filter { if case .comment = $0.kind { false } else { true } }.flatMap(\.source)
                .joined(separator: "\n")
            for match in Self.comments(one).joined(separator: " ").matches(of: #/<=([A-Za-z]+)>/#) {
                #expect(source.contains(":\(match.1)>"), "\(one.name): <=\(match.1)>")
            }
        }
    }

    /// As at the prompt: the next line is typed the moment the question is asked, and what the setting up still did
    /// would be sent to the background by it.
    @Test("when it is the learner's turn, what was set up is done", arguments: TourText.all.map(\.name))
    func isSetUp(_ name: String) throws {
        for one in try Self.cases(try TourText.named(name)) {
            var options = LabOptions()
            options.seed = one.settings.seed
            options.epoch = one.settings.epoch
            options.speed = .virtual
            let lab = try Lab(options)
            for file in one.files { try lab.session.files.place(Array(file.text.utf8), at: file.path) }
            let player = TourPlayer(one, session: lab.session, usesColor: false) { _ in }
            player.begin()
            #expect(player.isWaiting && lab.session.currentTerminal.isBusy == false, "\(one.name)")
            player.goOn(wasTyped: false)
            #expect(!player.isWaiting && !player.hasFailed, "\(one.name)")
        }
    }

    // MARK: Questions

    private func question(_ text: String) throws -> TourQuestion {
        let transcript = try TranscriptParser.parse(
            text, name: "t", tags: [], loader: TranscriptParser.refuseIncludes)
        return TourQuestion(transcript.cases[0])
    }

    @Test("the command below the learner's turn is theirs, however it is quoted")
    func commands() throws {
        let one = try question(
            "# Question: x?\n$ echo a\na\n# Your turn: say it.\n# Twice.\n$ ./echo 'b c'  # really\nb c\n$ echo d\nd\n")
        #expect(one.command == "./echo 'b c'  # really")
        for typed in ["echo 'b c'", "  ./echo   \"b c\"", "echo b c"] {
            #expect(one.isCommand(typed, values: [:]), "\(typed)")
        }
        for typed in ["echo b", "echo 'b c' d", "", "b c"] { #expect(!one.isCommand(typed, values: [:]), "\(typed)") }
        #expect(one.transcriptCase.items[one.turn].source == ["$ ./echo 'b c'  # really"])
    }

    @Test("other spellings of the same flags are the same command; other values are not, and more than one is none")
    func spellings() throws {
        let one = try question("$ true\n# Your turn: ask.\n$ curl -s --max-time 1 http://localhost/$n\n")
        func isSame(_ typed: String) -> Bool {
            one.isSame(typed, values: ["n": "7"], in: Catalog.table) { $0 }
        }
        #expect(isSame("curl -m 1 -s http://localhost/7") && isSame("curl http://localhost/7 -m1"))
        #expect(isSame("curl -m 1 localhost/7") && !isSame("curl -s -m 2 http://localhost/7"))
        #expect(!isSame("curl -s -m 1 http://localhost/7 | cat") && !isSame("curl --nonsense") && !isSame(""))
        #expect(one.isNear("curl http://localhost/") && !one.isNear("wait") && !one.isNear(""))
    }

    @Test("what stops a node, and lets time pass, has two names; a node has several")
    func names() throws {
        func isSame(_ typed: String, _ wanted: String) throws -> Bool {
            try question("$ true\n# Your turn: act.\n$ \(wanted)\n").isSame(typed, values: [:], in: Catalog.table) {
                $0 == "%2" || $0 == "8082" ? "web" : $0
            }
        }
        #expect(try isSame("pause 8082", "kill -STOP web") && isSame("resume web", "kill -CONT %2"))
        #expect(try isSame("sleep 20", "advance 20s") && isSame("kill -9 %2", "kill -9 web"))
        #expect(try !isSame("pause other", "kill -STOP web") && !isSame("resume web", "kill -STOP web"))
        #expect(try !isSame("sleep 21", "advance 20s") && !isSame("kill web", "kill -9 web"))
    }

    @Test("variables stand for what was captured, in the command and in its hint")
    func variables() throws {
        let one = try question("$ true\n# Your turn: now.\n$ kill -9 r$next %$n\n")
        let values = ["n": "2", "next": "3"]
        #expect(one.hint(values: values) == "kill -9 r3 %2")
        #expect(one.isCommand("kill -9 r3 %2", values: values))
        #expect(one.isCommand("kill -9 r$next %$n", values: values))
        #expect(!one.isCommand("kill -9 r2 %2", values: values))
    }

    @Test("a case without a turn has none")
    func noTurn() throws {
        let one = try question("$ echo a\na\n")
        #expect(one.command == nil && one.turn == one.transcriptCase.items.count)
        #expect(!one.isCommand("echo a", values: [:]))
        #expect(one.hint(values: [:]) == nil)
    }

    // MARK: Documented lines

    @Test("times, durations, ports and identifiers are new each time; counts and states are not")
    func alike() {
        for (one, other) in [
            ("took 12ms", "took 3.4s"), ("at 15:00:01", "at 15:02:11.5"),
            ("localhost:8080 answers", "localhost:8081 answers"),
            ("client-a8f3 waits", "client-77be waits"), ("id abc123.", "id 9f8e7d."), ("same", "same"),
            ("since 2023-12-20T15:00:00Z", "since 2024-01-01T00:00:00Z"),
        ] { #expect(DocumentedLine.isAlike(one, other), "\(one) | \(other)") }
        for (one, other) in [
            ("47 clicks", "46 clicks"), ("state open", "state closed"), ("$12.50", "$12.51"), ("a b", "a"),
            ("took 12ms", "took 12"), ("Server-A", "Server-B"), ("status 200", "status 503"), ("", "x"),
            ("user:123", "user:124"),
        ] { #expect(!DocumentedLine.isAlike(one, other), "\(one) | \(other)") }
    }
}
