import ShellTranscripts
import Testing

@Suite("Expected lines") struct LinePatternTests {
    @Test(
        "The seed's ellipses stand for what was left out",
        arguments: [
            (#"{"user": {...}, "orders": [...]}"#, #"{"user": {"id": 1}, "orders": [1, 2]}"#),
            (#"{"user": {...}}"#, #"{"user": {}}"#),
            (#"Received: {"order_id": 123, ...}"#, #"Received: {"order_id": 123, "total": 9.5}"#),
            ("[1, 2, ...]", "[1, 2, 3, 4]"),
            ("Key 'user:123' → node-B (hash: 0x7A3F...)", "Key 'user:123' → node-B (hash: 0x7A3F99AB)"),
            ("commit 12ab34...", "commit 12ab34cdef"),
            (#"{"token": "eyJ..."}"#, #"{"token": "eyJhbGci.eyJzdWI.c2ln"}"#),
        ])
    func ellipses(pattern: String, line: String) throws {
        #expect(try fits(pattern, line))
        #expect(try fits(pattern, pattern), "an ellipsis that was really printed is fine, too")
        #expect(try !fits(pattern, line + "!"))
    }

    @Test(
        "Elsewhere three dots are three dots",
        arguments: [
            ("Waiting for lock... (holder: a)", "Waiting for lock! (holder: a)"),
            ("flushing to SSTable...", "flushing to SSTable now"),
            ("redistributing 184 keys...", "redistributing 184 keys now"), ("a ... b", "a x b"),
            ("... and more", "x and more"),
            ("face...", "facade"), ("{ ... }", "{ 1 }"), ("{a ...}", "{a b}"), ("(...)", "(x)"), ("(1, ...)", "(1, 2)"),
            ("12f...", "12fab"), ("eyJ..", "eyJa.b.c"), ("0x7A3F...)", "0x7A3Fxyz)"), ("\\{...}", "{1}"),
        ])
    func noEllipses(pattern: String, line: String) throws { #expect(try !fits(pattern, line)) }

    @Test("A JSON list that was cut short still needs what is shown of it")
    func cutList() throws {
        #expect(try !fits("[1, 2, ...]", "[1, 3, 4]"))
        #expect(try !fits("[1, 2, ...]", "[1, 2]"))
    }

    @Test("A note is stripped only after the line as it stands has failed")
    func notes() throws {
        #expect(try fits("200 OK ← from the cache", "200 OK"))
        #expect(try fits("200 OK   # from the cache", "200 OK"))
        #expect(try fits("a # b", "a # b"))
        #expect(try fits("a # b ← c", "a # b"))
        #expect(try fits("hits <int> ← warm", "hits 12"))
        #expect(try !fits("200 OK ← from the cache", "200 O"))
        #expect(try !fits("200 OK #no blank behind", "200 OK"))
        #expect(try !fits("← all of it", ""))
    }

    @Test(
        "Suffixes say how a line is meant, with a note behind them or not",
        arguments: ["", "   ← sometimes", " # sometimes"])
    func suffixes(note: String) throws {
        let optional = try LinePattern(reading: "maybe (?)" + note)
        #expect(optional.isOptional && !optional.isNever && optional.text == "maybe")
        let never = try LinePattern(reading: "panic: <any> (never)" + note)
        #expect(never.isNever && !never.isOptional)
        #expect(try fits("a[0-9]+ (re)" + note, "a123"))
        #expect(try !fits("a[0-9]+ (re)" + note, "xa123"))
        #expect(try !fits("a|b (re)" + note, "ab"))
        #expect(try fits("*.log (glob)" + note, "app.log"))
        #expect(try !fits("*.log (glob)" + note, "app.txt"))
        let both = try LinePattern(reading: "a+ (re) (?)" + note)
        #expect(both.isOptional && both.form == .regularExpression)
    }

    @Test("A suffix needs its blank and its place at the end")
    func noSuffix() throws {
        for text in ["maybe(?)", "(?) maybe", "(re)", "maybe (other)"] {
            let pattern = try LinePattern(reading: text)
            #expect(pattern.form == .text && !pattern.isOptional, "\(text)")
        }
    }

    @Test("A backslash makes the rest of the line literal")
    func escapes() throws {
        #expect(try fits("\\# Server", "# Server"))
        #expect(try fits("\\> GET / HTTP/1.1", "> GET / HTTP/1.1"))
        #expect(try fits("\\<int> (?)", "<int> (?)"))
        #expect(try !fits("\\<int>", "5"))
        #expect(try !fits("\\a # b", "a"))
        #expect(try fits("\\\\x", "\\x"))
        #expect(try fits("\\", ""))
        #expect(try !(LinePattern(reading: "\\a (?)").isOptional))
    }

    @Test("Trailing blanks are nothing; indentation counts unless blanks collapse")
    func blanks() throws {
        #expect(try fits("a  ", "a"))
        #expect(try fits("a", "a \t"))
        #expect(try !fits("  a", "a"))
        #expect(try !fits("a b", "a  b"))
        #expect(try fits("  a b", "a    b", collapsing: true))
        #expect(try fits("a <int>   ms", "   a 5 ms", collapsing: true))
        #expect(try fits("\\  a", "a", collapsing: true))
        #expect(try !fits("ab", "a b", collapsing: true))
    }

    @Test("A malformed regular expression says what is wrong with it")
    func malformed() {
        #expect(throws: (any Error).self) { try LinePattern(reading: "a( (re)") }
        #expect(Bench.error("$ echo a\na( (re)\n")?.description.hasPrefix("bench.sdl:2: 'a(': ") == true)
    }

    @Test("What the lab writes for a line of output fits that line and no other")
    func writtenLines() throws {
        let lines = [
            "plain", "$ not a command", "$", "@case", "# comment", "# HELP x y", "\\", "> typed", "[30 seconds later]",
            "[exit 1]",
            "[LB] not a log line", "[OTHER] fine", "...", "a (?)", "b (re)", "c <int> d", "e # f", "g ← h", "-- x --",
            "{...}",
            "  indented", "<any>", "x (?) # y", "[within 1s]", "eyJ...", "12ab...", "",
        ]
        for line in lines {
            let written = TranscriptText.output(line, tags: Set(Bench.tags))
            let text = "$ echo x\nfirst\n\(written)\nlast\n"
            let transcript = try Bench.parse(text)
            let patterns = transcript.cases[0].items.compactMap { item -> LinePattern? in
                if case .expectation(.output(let pattern)) = item.kind { pattern } else { nil }
            }
            try #require(patterns.count == 3, "'\(line)' was written as '\(written)'")
            var captures: [String: String] = [:]
            #expect(patterns[1].matches(line, collapsingBlanks: false, &captures), "'\(written)' for '\(line)'")
            for other in lines + ["e", "g", "c 5 d", "x", "a"] where other != line {
                #expect(!patterns[1].matches(other, collapsingBlanks: false, &captures), "'\(written)' fits '\(other)'")
            }
        }
    }
}
