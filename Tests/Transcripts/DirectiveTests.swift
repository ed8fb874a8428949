import KernelStructures
import KernelWorld
import ShellTranscripts
import Testing

@Suite("Directives") struct DirectiveTests {
    @Test("Each setting of a case is read")
    func settings() throws {
        let one = try Bench.parse(
            """
            @case all of it
            @seed 18446744073709551615
            @epoch 2024-02-29T01:02:03Z
            @clock x60
            @net loopback
            @timeout 90s
            @skip-if user=root net=memory
            @needs redis-cli
            @needs dig
            @covers LB-T1, LB-C2
            @covers LB-H4
            @logs exact
            @order strict
            @blanks collapse
            @terminal 2
            @fixture orders 10 x
            $ true
            @timeout 5
            @logs subset
            @order floating
            @blanks exact
            """
        ).cases[0]
        #expect(one.name == "all of it")
        #expect(one.settings.seed == .max)
        #expect(one.settings.epoch.description == "2024-02-29T01:02:03Z")
        #expect(one.settings.speed == ClockSpeed(60))
        #expect(one.settings.net == .loopback)
        #expect(one.settings.timeout == .seconds(90))
        #expect(one.settings.skips == ["user=root", "net=memory"])
        #expect(one.settings.needs == ["redis-cli", "dig"])
        #expect(one.settings.covers == ["LB-T1", "LB-C2", "LB-H4"])
        let shape = try ParserTests.shape(
            "@logs exact\n@order strict\n@blanks collapse\n@fixture f 1\n$ true\n@timeout 5\n@logs subset\n")
        #expect(shape == ["exact", "strict", "collapse", "fixture f 1", "$ true", "timeout 5s", "subset"])
    }

    @Test("Without directives a case has the documented time, seed 1 and a minute a step")
    func defaults() throws {
        let settings = try Bench.parse("$ true\n").cases[0].settings
        #expect(
            settings.seed == 1 && settings.timeout == .seconds(60) && settings.speed == .virtual && settings.net == nil)
        #expect(settings.epoch.description == "2023-12-20T15:00:00Z")
    }

    @Test("What stands before the first case is for all of them, and each may differ")
    func defaultsOfAll() throws {
        let transcript = try Bench.parse(
            "# head\n@seed 7\n@covers LB-T1\n@logs exact\n@case a\n$ true\n@case b\n@seed 8\n@covers LB-C2\n$ true\n")
        #expect(transcript.cases.map(\.name) == ["a", "b"])
        #expect(transcript.cases.map(\.settings.seed) == [7, 8])
        #expect(transcript.cases.map(\.settings.covers) == [["LB-T1"], ["LB-T1", "LB-C2"]])
        for one in transcript.cases {
            let isExact = one.items.contains { if case .logs(isExact: true) = $0.kind { true } else { false } }
            #expect(isExact, "\(one.name)")
        }
    }

    @Test("A file without @case is one case of the file's name")
    func unnamed() throws {
        let transcript = try TranscriptParser.parse("$ true\n", name: "some/dir/07-breaker.sdl", tags: [])
        #expect(transcript.cases.map(\.name) == ["07-breaker"])
        #expect(try Bench.parse("$ true\n@case b\n$ true\n").cases.map(\.name) == ["bench", "b"])
    }

    @Test(
        "What is wrong is said with its place and the remedy",
        arguments: [
            (
                "$ true\n@cose x\n",
                "bench.sdl:2: @cose: no such directive; did you mean case?; a line of output begins with \\@"
            ),
            ("@case\n$ true\n", "bench.sdl:1: @case: a case needs a name"),
            ("@case a\n@case b\n$ true\n", "bench.sdl:1: the case 'a' runs nothing"),
            ("@case a\n$ true\n@case b\n", "bench.sdl:3: the case 'b' runs nothing"),
            ("@case a\n$ true\n@case a\n$ true\n", "bench.sdl:3: a second case is called 'a'"),
            ("@seed x\n$ true\n", "bench.sdl:1: @seed: 'x' is not a whole number"),
            ("@seed -1\n$ true\n", "bench.sdl:1: @seed: '-1' is not a whole number"),
            (
                "@epoch yesterday\n$ true\n",
                "bench.sdl:1: @epoch: 'yesterday' is not a time such as 2023-12-20T15:00:00Z"
            ),
            ("@clock fast\n$ true\n", "bench.sdl:1: @clock: 'fast' is none of virtual, real, x60"),
            ("@net wifi\n$ true\n", "bench.sdl:1: @net: 'wifi' is neither memory nor loopback"),
            ("@timeout soon\n$ true\n", "bench.sdl:1: @timeout: 'soon' is not a time such as 60s"),
            ("@timeout 0s\n$ true\n", "bench.sdl:1: @timeout: '0s' is too short: it must be longer than 0s"),
            ("@logs all\n$ true\n", "bench.sdl:1: @logs: subset or exact"),
            ("@order any\n$ true\n", "bench.sdl:1: @order: floating or strict"),
            ("@blanks none\n$ true\n", "bench.sdl:1: @blanks: collapse or exact"),
            ("@terminal 0\n$ true\n", "bench.sdl:1: @terminal: which terminal? 1 to 100"),
            ("@terminal\n$ true\n", "bench.sdl:1: @terminal: which terminal? 1 to 100"),
            ("@fixture\n$ true\n", "bench.sdl:1: @fixture: which fixture?"),
            ("$ true\n@end\n", "bench.sdl:2: @end: there is no @quote before it"),
            ("$ true\n@quote\nx\n", "bench.sdl:2: @quote without @end"),
            ("$ true\n@seed 2\n", "bench.sdl:2: @seed: belongs before the first command of its case"),
            ("$ true\n-- a --\n-- a --\n", "bench.sdl:3: the file 'a' is there twice"),
            ("$ if true\n", "bench.sdl:1:3: "), ("$ echo 'a\nb\n", "bench.sdl:1:8: an open ' quote"),
            ("$ true; done\n", "bench.sdl:1:9: "),
            ("$ cat <<E\nx\n", "bench.sdl:1:"), ("$ for i in 1; do\n> true; fi\n", "bench.sdl:2:9: "),
            ("$ for i in 1; do\ntrue; fi\n", "bench.sdl:2:7: "),
        ])
    func errors(text: String, message: String) {
        let error = Bench.error(text)
        #expect(error?.description.hasPrefix(message) == true, "'\(error?.description ?? "none")'")
    }

    @Test("A condition that nobody knows is refused with those that exist")
    func unknownCondition() {
        #expect(
            Bench.error("@skip-if net=wifi\n$ true\n")?.text.contains("'net=wifi' is no condition; one of net=memory")
                == true)
    }

    @Test("Output before any command is an error that says how to write prose")
    func earlyOutput() {
        #expect(
            Bench.error("hello\n$ true\n")?.description.contains(
                "put '# ' before a comment, or @quote and @end around text") == true)
    }

    @Test("A case is skipped where it cannot run, and says why")
    func skipping() throws {
        #expect(try Bench.run("@skip-if net=memory\n$ false\n")[0].skipReason == "net=memory")
        #expect(try Bench.run("@skip-if clock=virtual\n$ false\n")[0].skipReason == "clock=virtual")
        #expect(try Bench.run("@skip-if net=loopback\n$ true\n")[0].hasPassed)
        #expect(
            try Bench.run("@needs no-such-program-anywhere\n$ false\n")[0].skipReason
                == "no no-such-program-anywhere on this machine")
        #expect(try Bench.run("@needs sh\n$ true\n")[0].hasPassed)
    }

    @Test("A fixture that does not exist fails at its line")
    func unknownFixture() throws {
        let failure = try #require(try Bench.failure("@fixture nothing\n$ true\n"))
        #expect(failure.place.line == 1 && failure.message.contains("no fixture is called 'nothing'"))
    }

    @Test("The epoch is the time that commands see")
    func epoch() throws {
        #expect(try Bench.failure("@epoch 2024-02-29T01:02:03Z\n$ clock\ntime     2024-02-29T01:02:03Z\n...\n") == nil)
    }
}
