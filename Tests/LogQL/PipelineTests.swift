import KernelStructures
import LogModelEngine
import PromQLEngine
import TestSupport
import Testing
import TimeSeriesEngine

@testable import LogQLEngine

@Suite("LogQL's stages")
struct PipelineTests {
    /// What a pipeline makes of one line: its text and its labels; nil where it is dropped.
    private func run(_ stages: String, _ line: String, _ metadata: Labels = [:]) throws -> String? {
        let logs = MemoryLogs()
        logs.add(["app": "web", "level": "info"], [(5, line)], metadata: metadata)
        let expression = try LogQLExpression(parsing: "{app=\"web\"} " + stages)
        let result = try LogQLRun(expression, over: logs, LogQLRequest(from: 0, through: 10)).finish()
        guard case .lines(let entries) = result.value else { return nil }
        return entries.first.map { "\($0.text) \($0.labels)" }
    }

    @Test(
        "lines are filtered by what stands in them",
        arguments: [
            (#"|= "error""#, "an error", true), (#"|= "Error""#, "an error", false),
            (#"!= "error""#, "an error", false), (#"|= "x" or "y""#, "only y", true),
            (#"!= "x" or "y""#, "only y", false), (#"|~ "er+or""#, "an errrror", true),
            (#"|~ "(?i)ERROR""#, "an error", true), (#"!~ "^an""#, "an error", false),
            (#"|> "an <_>""#, "an error", true), (#"|> "an <_> b""#, "an error b b", true),
            (#"|> "<_>rr""#, "an error", false), (#"!> "<_>rr<_>""#, "an error", false),
            (#"|= ip("10.0.0.0/8")"#, "from 10.1.2.3:80 to", true), (#"|= ip("10.0.0.0/8")"#, "from 11.1.2.3", false),
            (#"|= ip("10.0.0.1-10.0.0.9")"#, "x=10.0.0.9.", true), (#"!= ip("::1")"#, "to [::1]", false),
            (#"|= """#, "anything", true),
        ])
    func lineFilters(_ stage: String, _ line: String, _ isPassed: Bool) throws {
        #expect(try (run(stage, line) != nil) == isPassed)
    }

    @Test(
        "parsers make labels of what stands in a line",
        arguments: [
            (
                "| json", #"{"a":1.50,"b":{"c":"x","1d":true},"e f":"g","n":null,"l":[1],"level":"warn"}"#,
                #"a="1.50", app="web", b_1d="true", b_c="x", e_f="g", level="info", level_extracted="warn""#
            ),
            (
                #"| json x="b.c[1]", y="q", z="b""#, #"{"b":{"c":["u","v"]}}"#,
                #"app="web", level="info", x="v", z="{\"c\":[\"u\",\"v\"]}""#
            ),
            (
                "| json", "no json",
                #"__error__="JSONParserErr", __error_details__="the line is no JSON object", app="web", level="info""#
            ),
            ("| logfmt", #"a=1 b="x \"y\"" c= d e.f=g"#, #"a="1", app="web", b="x \"y\"", e_f="g", level="info""#),
            ("| logfmt q=\"b\"", "a=1 b=2", #"app="web", level="info", q="2""#),
            (
                "| pattern `<ip> <_> [<t>] <rest>`", "1.2.3.4 - [now] GET /",
                #"app="web", ip="1.2.3.4", level="info", rest="GET /", t="now""#
            ),
            (#"| regexp "(?P<m>\\w+) (?P<p>/\\S*)""#, "GET /x 200", #"app="web", level="info", m="GET", p="/x""#),
            (
                "| fields a, b, level", #"{"a":"1","b":{"c":2},"level":"x"}"#,
                #"a="1", app="web", b="{\"c\":2}", level="info""#
            ),
        ])
    func parsers(_ stage: String, _ line: String, _ labels: String) throws {
        #expect(try run(stage, line) == "\(line) {\(labels)}")
    }

    @Test("a strict reader stops at what is no logfmt, others go on")
    func strictLogfmt() throws {
        #expect(try run("| logfmt", "a=1 =x b=2")?.contains(#"b="2""#) == true)
        let strict = try run("| logfmt --strict", "a=1 =x b=2")
        #expect(strict?.contains(#"__error__="LogfmtParserErr""#) == true && strict?.contains("b=\"2\"") == false)
        #expect(try run("| logfmt --keep-empty | drop app", "a= b=2") == #"a= b=2 {b="2", level="info"}"#)
    }

    @Test(
        "labels are compared as texts, numbers, durations, sizes and addresses",
        arguments: [
            ("a > 5", "a=6", true), ("a > 5", "a=5", false), ("a >= 5", "a=5.0", true), ("a != 5", "a=5", false),
            ("a = 5", "a=5", true), ("a > 1m", "a=61s", true), ("a > 1m", "a=59s", false), ("a < -1", "a=-2", true),
            ("a >= 1KB", "a=1000B", true), ("a >= 1KiB", "a=1000B", false), (#"a="x""#, "b=x", false),
            (#"a!="x""#, "b=x", true), (#"a=~"x|y""#, "a=y", true), (#"a=ip("10.0.0.0/8")"#, "a=10.3.4.5", true),
            (#"a!=ip("10.0.0.0/8")"#, "a=10.3.4.5", false), (#"a="x" or b="y""#, "b=y", true),
            (#"a="x" or b="y" and c="z""#, "a=x", true), (#"(a="x" or b="y") and c="z""#, "a=x", false),
            (#"a="x", b="y""#, "a=x b=y", true), ("a > 5", "b=6", false),
        ])
    func labelFilters(_ filter: String, _ line: String, _ isPassed: Bool) throws {
        #expect(try (run("| logfmt | " + filter, line) != nil) == isPassed)
    }

    @Test("what is no number marks the line and lets it through, until somebody asks for errors")
    func labelErrors() throws {
        #expect(try run("| logfmt | a > 5", "a=x")?.contains(#"__error__="LabelFilterErr""#) == true)
        #expect(try run(#"| logfmt | a > 5 | __error__="""#, "a=x") == nil)
    }

    @Test(
        "templates write lines and labels",
        arguments: [
            ("{{.a}}-{{.b | ToUpper}}", "1-X"), (#"{{ printf "%s/%s" .a .nothing }}"#, "1/"),
            (#"{{ if eq .b "x" }}yes{{ else }}no{{ end }}"#, "yes"),
            ("{{ .b | trunc 1 }}{{ __line__ }}", "xa=1 b=x c=4.5s"),
            (#"{{ Replace .b "x" "yy" -1 | upper }}"#, "YY"), (#"{{ regexReplaceAll "(.)" .b "<$1>" }}"#, "<x>"),
            ("{{ add .a 2 | mul 3 }}", "9"), ("{{ duration .c }}", "4.5"),
            (#"{{ .nothing | default "none" }}"#, "none"),
            (#"{{ alignRight 4 .a }}|{{ alignLeft 3 .b }}|"#, "   1|x  |"), (#"{{ substr 0 2 "abc" }}"#, "ab"),
            (#"{{ contains "b" "abc" }}"#, "true"), (#"{{ "a b&c" | urlencode }}"#, "a+b%26c"),
        ])
    func templates(_ template: String, _ text: String) throws {
        let quoted = quotedByGo(template)
        #expect(try run("| logfmt | line_format \(quoted) | keep app", "a=1 b=x c=4.5s") == text + #" {app="web"}"#)
        #expect(
            try run("| logfmt | label_format z=\(quoted) | keep z", "a=1 b=x c=4.5s")?.hasSuffix(
                "{z=\(Labels.quoted(text))}")
                == true)
    }

    @Test("a template that fails marks the line and leaves it as it was")
    func templateErrors() throws {
        let result = try run(#"| line_format "{{ div 1 0 }}""#, "x")
        #expect(result?.hasPrefix("x {") == true && result?.contains("TemplateFormatErr") == true)
    }

    @Test("labels are renamed, dropped and kept")
    func labels() throws {
        #expect(try run("| label_format lvl=level", "x") == #"x {app="web", lvl="info"}"#)
        #expect(try run(#"| drop level, app="db""#, "x") == #"x {app="web"}"#)
        #expect(try run(#"| keep level"#, "x") == #"x {level="info"}"#)
        #expect(try run("| drop id", "x", ["id": "7"]) == #"x {app="web", level="info"}"#)
        #expect(try run(#"| id="7""#, "x", ["id": "7"]) == #"x {app="web", id="7", level="info"}"#)
        #expect(
            try run("| unpack", #"{"_entry":"the line","pod":"p"}"#) == #"the line {app="web", level="info", pod="p"}"#)
        #expect(try run("| decolorize", "\u{1B}[31mred\u{1B}[0m") == #"red {app="web", level="info"}"#)
    }
}

@Suite("Searching in the seed's syntax")
struct SearchTests {
    static let cases: [(String, String, Bool)] = [
        ("level:error", #"{"level":"error"}"#, true), ("level:error", #"{"level":"errors"}"#, false),
        ("level:error", "level=Error x", true), ("app:web", "x", true), ("app:we", "x", false),
        ("level:error AND service:payment", #"{"level":"error","service":"payment"}"#, true),
        ("level:error AND service:payment", #"{"level":"error","service":"user"}"#, false),
        ("msg:timeout", #"{"msg":"Timeout exceeded"}"#, true), ("timeout", #"{"msg":"Timeout exceeded"}"#, true),
        ("\"timeout exceeded\"", #"{"msg":"Timeout, exceeded"}"#, true),
        ("\"exceeded timeout\"", "timeout exceeded", false),
        ("time", "timeout", false), ("time*", "timeout", true), ("t?me*", "x timeout", true),
        ("a OR b", "only b", true),
        ("a b", "only b", false), ("a AND NOT b", "a c", true), ("a -b", "a b", false), ("(a OR b) c", "b c", true),
        ("code:503", #"{"code":503}"#, true), ("code:>=500", #"{"code":503}"#, true),
        ("code:>503", #"{"code":503}"#, false),
        ("code:[500 TO 599]", #"{"code":500}"#, true), ("code:{500 TO 599]", #"{"code":500}"#, false),
        ("took:<2s", "took=1500ms", true), ("took:<1s", "took=1500ms", false), ("code:*", #"{"code":1}"#, true),
        ("code:*", #"{"cod":1}"#, false), ("req.path:x", #"{"req":{"path":"/x/y"}}"#, true),
        ("msg:=Timeout", #"{"msg":"Timeout"}"#, true), ("msg:=timeout", #"{"msg":"Timeout"}"#, false),
        ("msg:(a OR b)", #"{"msg":"b"}"#, true), ("tags:b", #"{"tags":["a","b"]}"#, true), ("\"=>\"", "a => b", true),
        ("break", #"{"msg":"line\nbreak"}"#, true), ("NOT (a b)", "a c", true), ("x OR a b", "only b", false),
        ("b OR a c", "only b", true), ("level:ERR*", "level=error", true),
    ]

    // @covers LOG-H5
    @Test("words, fields, phrases, wildcards, ranges and what joins them", arguments: cases)
    func search(_ query: String, _ line: String, _ isFound: Bool) throws {
        let logs = MemoryLogs(takesHints: true)
        logs.add(["app": "web"], [(5, line)])
        let run = try LogQLRun(LogQLExpression(searching: query), over: logs, LogQLRequest(from: 0, through: 10))
        guard case .lines(let entries) = try run.finish().value else { return }
        #expect(entries.isEmpty != isFound)
    }

    @Test(
        "errors point at the place",
        arguments: [
            ("", "col 1: nothing to search for"), ("a AND", "col 6: a condition is missing at the end"),
            ("AND a", "col 1: AND stands between two conditions"), ("a OR OR b", "col 6: OR stands between"),
            ("(a", "col 1: this ( is never closed"), ("a)", "col 2: unexpected )"),
            ("level:", "col 7: the value of level is missing"), ("x \"a", "col 3: this quotation mark is never closed"),
            ("code:[5 TO", "col 6: a range is written [500 TO 599]"), ("a \u{0} OR", "col 7: a condition is missing"),
        ])
    func errors(_ query: String, _ message: String) {
        let error = #expect(throws: LogQLError.self) { try LogQLExpression(searching: query) }
        #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
    }

    @Test("a trace is found as views show it: by its first digits or all of them, by name or bare, with any index")
    func traces() throws {
        let whole = "cdc5cba5f00d4711aabbccddeeff0011"
        for takesHints in [false, true] {
            let logs = MemoryLogs(chunkEntries: 1, takesHints: takesHints)
            logs.add(["app": "a"], [(1, "beside")], metadata: ["trace_id": whole])
            logs.add(["app": "b"], [(2, "another")], metadata: ["trace_id": "0123456789abcdef0123456789abcdef"])
            logs.add(["app": "c"], [(3, #"{"trace_id":"\#(whole)"}"#)])
            func found(_ query: String) throws -> Set<String> {
                let expression = try LogQLExpression(searching: query)
                let run = try LogQLRun(expression, over: logs, LogQLRequest(from: 0, through: 10))
                guard case .lines(let entries) = try run.finish().value else { return [] }
                return Set(entries.map { $0.labels["app"] })
            }
            #expect(try found("trace_id:cdc5cba5") == ["a", "c"])
            #expect(try found("trace_id:cdc5cba5f0") == ["a", "c"])
            #expect(try found("trace_id:CDC5CBA5") == ["a", "c"])
            #expect(try found("trace_id:\(whole)") == ["a", "c"])
            #expect(try found(whole) == ["a", "c"])
            #expect(try found("cdc5cba5") == ["a"])
            #expect(try found("cdc5cba5f") == ["a"])
            #expect(try found("trace_id:cdc5cb").isEmpty)
            #expect(try found("NOT cdc5cba5") == ["b", "c"])
        }
    }

    @Test("_exists_ asks for a field, as Lucene has it")
    func exists() throws {
        let logs = MemoryLogs()
        logs.add(["app": "a"], [(1, #"{"status":500}"#), (2, "status"), (3, "status=200 x=1")])
        let query = try LogQLExpression(searching: "_exists_:status")
        let run = try LogQLRun(query, over: logs, LogQLRequest(from: 0, through: 10))
        guard case .lines(let entries) = try run.finish().value else { return }
        #expect(entries.map(\.timestamp).sorted() == [1, 3])
    }

    @Test("whatever is searched for is refused with a place or carried out")
    func fuzz() throws {
        var random = SeededRandom(seed: 5)
        let pieces = [
            "a", "level:", "\"", "(", ")", "AND", "OR", "NOT", "-", "*", "[1 TO 2]", ":", "é", "\\", ">=", " ",
        ]
        let logs = MemoryLogs()
        logs.add(["app": "web"], Self.cases.enumerated().map { (Int64($0.offset), $0.element.1) })
        for _ in 0..<(isLong ? 100_000 : 3_000) {
            let text = (0...random.below(9)).map { _ in pieces[random.below(pieces.count)] }.joined(
                separator: random.below(2) == 0 ? " " : "")
            guard let query = try? LogQLExpression(searching: text) else { continue }
            let negated = try LogQLExpression(searching: "NOT (\(text))")
            var counts: [Int] = []
            for expression in [query, negated] {
                let result = try LogQLRun(expression, over: logs, LogQLRequest(from: 0, through: 1_000)).finish()
                counts.append(result.statistics.linesPassed)
            }
            #expect(counts[0] + counts[1] == Self.cases.count, "\(text)")
        }
    }
}
