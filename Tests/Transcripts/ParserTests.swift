import KernelStructures
import KernelWorld
import ShellTranscripts
import Testing

@Suite("Reading transcripts") struct ParserTests {
    /// What a case consists of, one word an item.
    static func shape(_ text: String, isPasted: Bool = false) throws -> [String] {
        try Bench.parse(text, isPasted: isPasted).cases.flatMap(\.items).map { item in
            switch item.kind {
            case .command(_, let text): "$ \(text)"
            case .comment: "comment"
            case .blank: "blank"
            case .quote(let lines): "quote(\(lines.joined(separator: "|")))"
            case .terminal(let number): "terminal \(number)"
            case .logs(let isExact): isExact ? "exact" : "subset"
            case .order(let isStrict): isStrict ? "strict" : "floating"
            case .timeout(let duration): "timeout \(duration)"
            case .blanks(let collapse): collapse ? "collapse" : "keep"
            case .fixture(let name, let words): "fixture \(([name] + words).joined(separator: " "))"
            case .expectation(let expectation):
                switch expectation {
                case .anyLines: "any"
                case .later(let duration): "later \(duration)"
                case .within(let duration): "within \(duration)"
                case .exit(let status): "exit \(status)"
                case .typed(let text): "typed '\(text)'"
                case .interrupted: "^C"
                case .log(let tag, let pattern): "log \(tag) '\(pattern.text)'"
                case .output(let pattern): "output '\(pattern.text)'"
                }
            }
        }
    }

    @Test(
        "Each kind of line below a command is what it looks like",
        arguments: [
            ("...", "any"), ("....", "output '....'"), (" ...", "output ' ...'"), ("[30 seconds later]", "later 30s"),
            ("[30s later]", "later 30s"), ("[5 minutes later]", "later 5m"), ("[1 hour later]", "later 1h"),
            ("[200 ms later]", "later 200ms"), ("[2 days later]", "later 2d"), ("[later]", "output '[later]'"),
            ("[soon later]", "output '[soon later]'"), ("[30 seconds later] x", "output '[30 seconds later] x'"),
            ("[within 1s]", "within 1s"), ("[within 500 ms]", "within 500ms"), ("[within]", "output '[within]'"),
            ("[exit 7]", "exit 7"), ("[exit x]", "output '[exit x]'"), ("[exit]", "output '[exit]'"),
            ("> typed text", "typed 'typed text'"),
            (">", "typed ''"), (">x", "output '>x'"), ("[LB] Listening on :80", "log LB 'Listening on :80'"),
            ("[LB]", "log LB ''"),
            ("[LB]x", "output '[LB]x'"), ("[lb] x", "output '[lb] x'"), ("[ERROR] x", "output '[ERROR] x'"),
            ("[1, 2]", "output '[1, 2]'"), ("[...]", "output '[...]'"), ("# a comment", "comment"), ("#", "comment"),
            ("#hash", "output '#hash'"), ("# HELP up x", "output '# HELP up x'"),
            ("# TYPE up gauge", "output '# TYPE up gauge'"),
            ("# EOF", "output '# EOF'"), ("# HELPER", "comment"), ("\\# Server", "output '# Server'"),
            ("\\@case", "output '@case'"),
            ("\\$ x", "output '$ x'"), ("\\[LB] x", "output '[LB] x'"), ("\\...", "output '...'"),
            ("$x", "output '$x'"), ("^C", "^C"), ("\\^C", "output '^C'"), ("^Cx", "output '^Cx'"),
        ])
    func expectations(line: String, item: String) throws {
        #expect(try Self.shape("$ true\n\(line)\n") == ["$ true", item])
    }

    @Test("A bare dollar sign is a prompt at which nothing was typed")
    func emptyPrompt() throws { #expect(try Self.shape("$ true\n$\n$ \n$ false\n") == ["$ true", "$ false"]) }

    @Test("Empty lines count between lines of output, and are air elsewhere")
    func blankLines() throws {
        #expect(
            try Self.shape("$ a\n\nx\n\ny\n\n$ b\n") == [
                "$ a", "output ''", "output 'x'", "output ''", "output 'y'", "blank", "$ b",
            ])
        #expect(try Self.shape("$ a\n\n[LB] x\n\ny\n") == ["$ a", "blank", "log LB 'x'", "blank", "output 'y'"])
        #expect(
            try Self.shape("$ a\nx\n\n# c\n\ny\n") == ["$ a", "output 'x'", "blank", "comment", "blank", "output 'y'"])
        #expect(try Self.shape("$ a\nx\n\ny (never)\n") == ["$ a", "output 'x'", "blank", "output 'y'"])
    }

    @Test(
        "Commands go on for as long as the language says so",
        arguments: [
            ("$ for i in 1 2\ndo echo $i\ndone\n1\n", "for i in 1 2\ndo echo $i\ndone"),
            ("$ echo a \\\n  b\na b\n", "echo a \\\n  b"),
            ("$ echo 'a\nb'\na\nb\n", "echo 'a\nb'"),
            ("$ cat <<E\n$ not a command\n@case\nE\nx\n", "cat <<E\n$ not a command\n@case\nE"),
            ("$ cat <<E\n> a\n> E\na\n", "cat <<E\na\nE"), ("$ true &&\n> echo b\nb\n", "true &&\necho b"),
            ("$ echo $(\necho x)\nx\n", "echo $(\necho x)"),
        ])
    func multiLine(text: String, command: String) throws { #expect(try Self.shape(text).first == "$ \(command)") }

    @Test("The lines after a command of several lines keep their numbers")
    func places() throws {
        let items = try Bench.parse("$ cat <<E\na\nE\na\n\n$ true\n").cases[0].items
        #expect(items.map(\.place.line) == [1, 4, 5, 6])
        #expect(items.map(\.lastLine) == [3, 4, 5, 6])
        #expect(items[0].source == ["$ cat <<E", "a", "E"])
    }

    @Test("Line ends of other systems, trailing blanks and a missing last newline change nothing")
    func lineEnds() throws {
        let text = "# c\n@seed 4\n\n$ echo a\na\n\nb\n$ cat <<E\nx\nE\nx\n[exit 1]\n-- f --\nq\n"
        let plain = try Bench.parse(text)
        for variant in [
            text.replacing("\n", with: "\r\n"), text.replacing("\n", with: "  \n").replacing("E  \n", with: "E\n"),
            String(text.dropLast()),
        ] {
            let other = try Bench.parse(variant)
            #expect(other.cases[0].items.map(\.place) == plain.cases[0].items.map(\.place))
            #expect(other.cases[0].settings.seed == 4)
            #expect(other.cases[0].files.map(\.path) == ["f"])
        }
        #expect(
            try Bench.parse(text.replacing("\n", with: "\r\n")).cases[0].files == [ArchivedFile(path: "f", text: "q\n")]
        )
    }

    @Test("A text is a transcript if any of its lines is a command")
    func kind() {
        #expect(Transcript.isTranscript("# x\n$ true\n"))
        #expect(Transcript.isTranscript("# x\r\n$ true\r\n"))
        #expect(!Transcript.isTranscript("echo '$ true'\n $ true\n"))
    }

    @Test("Comments that name a terminal switch to it")
    func terminals() throws {
        #expect(
            try Self.shape("# Terminal 2: x\n$ true\n# Terminal one\n@terminal 3\n$ true\n") == [
                "comment", "terminal 2", "$ true", "comment", "terminal 3", "$ true",
            ])
    }

    @Test("Files at the end are the lab's, in every case")
    func archive() throws {
        let text =
            "@case a\n$ true\n@case b\n$ true\n-- lb.yaml --\nx: 1\n\n$ not a command\n-- dir/empty --\n--  c.txt --\n-- no\n"
        for one in try Bench.parse(text).cases {
            #expect(
                one.files == [
                    ArchivedFile(path: "lb.yaml", text: "x: 1\n\n$ not a command\n"),
                    ArchivedFile(path: "dir/empty", text: ""),
                    ArchivedFile(path: "c.txt", text: "-- no\n"),
                ])
        }
    }

    @Test("Quoted lines are shown as they are and never read")
    func quotes() throws {
        #expect(
            try Self.shape("@quote\n  @case x\n$ rm\n# c\n@end\n$ true\n") == ["quote(  @case x|$ rm|# c)", "$ true"])
    }

    @Test("An included file's lines stand where it is named, with their own places")
    func includes() throws {
        let files = [
            "lib/start.sdl": "$ echo in\nin\n@include more.sdl\n", "lib/more.sdl": "$ echo more\nmore\n-- f --\nx\n",
        ]
        struct Missing: Error {}
        let transcript = try Bench.parse("$ echo a\na\n@include lib/start.sdl\n$ echo z\nz\n") { path in
            guard let text = files[path] else { throw Missing() }
            return text
        }
        let items = transcript.cases[0].items
        #expect(
            items.map { "\($0.place)" } == [
                "bench.sdl:1", "bench.sdl:2", "lib/start.sdl:1", "lib/start.sdl:2", "lib/more.sdl:1", "lib/more.sdl:2",
                "bench.sdl:4",
                "bench.sdl:5",
            ])
        #expect(transcript.cases[0].files == [ArchivedFile(path: "f", text: "x\n")])
        #expect(transcript.lines.count == 5)
    }

    @Test("Files that include one another end with a message")
    func includeCycle() {
        let error = #expect(throws: TranscriptError.self) {
            try Bench.parse("@include a\n$ true\n") { _ in "@include a\n" }
        }
        #expect(error?.text.contains("files include one another without end") == true)
        #expect(Bench.error("$ true\n@include\n")?.description == "bench.sdl:2: @include needs a path")
        #expect(Bench.error("$ true\n@include x\n")?.description.contains("nothing can be included here") == true)
        #expect(Bench.error("$ true\n@included x\n")?.text.contains("did you mean include?") == true)
    }

    @Test("Before the first command of a pasted block everything is prose, also what looks like a comment")
    func pasted() throws {
        let text =
            "Real world outcome:\n# config\n@app.route\nx: 1\n[LB] no\n# Terminal 2: here\n$ echo a\na\n@blanks\n"
        #expect(
            try Self.shape(text, isPasted: true) == [
                "quote(Real world outcome:)", "quote(# config)", "quote(@app.route)", "quote(x: 1)", "quote([LB] no)",
                "quote(# Terminal 2: here)", "terminal 2", "$ echo a", "output 'a'", "output '@blanks'",
            ])
    }
}
