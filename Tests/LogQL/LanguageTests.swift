import KernelStructures
import TestSupport
import Testing

@testable import LogQLEngine

@Suite("LogQL's text")
struct LanguageTests {
    /// Queries and their one form.
    static let forms: [(String, String)] = [
        (#"{app="web"}"#, #"{app="web"}"#),
        (#"{ app = "web" , env!~"dev|test" }"#, #"{app="web", env!~"dev|test"}"#),
        (#"{app="web"}|="a"!="b"|~"c+"!~`\d`"#, #"{app="web"} |= "a" != "b" |~ "c+" !~ "\\d""#),
        (#"{app="web"} |= "a" or "b" or "c" |> "<_>x<_>""#, #"{app="web"} |= "a" or "b" or "c" |> "<_>x<_>""#),
        (#"{app="web"} |= ip("10.0.0.0/8")"#, #"{app="web"} |= ip("10.0.0.0/8")"#),
        (#"{app="web"} | json | level="error""#, #"{app="web"} | json | level="error""#),
        (
            #"{app="web"} | json a="b.c[0]", d | logfmt --strict --keep-empty e, f="g""#,
            #"{app="web"} | json a="b.c[0]", d="d" | logfmt --strict --keep-empty e="e", f="g""#
        ),
        (
            #"{app="web"} | pattern `<ip> <_>` | regexp "(?P<x>\\w+)" | unpack | decolorize"#,
            #"{app="web"} | pattern "<ip> <_>" | regexp "(?P<x>\\w+)" | unpack | decolorize"#
        ),
        (
            #"{app="web"} | logfmt | a>=5 and (b==1.5h or c<10KB), d!=ip("::1") e="x""#,
            #"{app="web"} | logfmt | a >= 5 and (b == 1h30m or c < 10KB) and d!=ip("::1") and e="x""#
        ),
        (
            #"{app="web"} | line_format "{{.a}}" | label_format b=c, d="{{.e}}" | drop x, y="1" | keep z, q=~"r.*""#,
            #"{app="web"} | line_format "{{.a}}" | label_format b=c, d="{{.e}}" | drop x, y="1" | keep z, q=~"r.*""#
        ),
        (#"# why"# + "\n" + #"{app="web"} # because"#, #"{app="web"}"#),
        (#"rate({app="web"}[5m])"#, #"rate({app="web"} [5m])"#),
        (#"rate(({app="web"} |= "x")[5m])"#, #"rate({app="web"} |= "x" [5m])"#),
        (#"rate({app="web"}[5m] |= "x" | json)"#, #"rate({app="web"} |= "x" | json [5m])"#),
        (
            #"quantile_over_time(0.99,{app="web"}|json|unwrap duration(t)|__error__=""[1m] offset 90s) by (a,b)"#,
            #"quantile_over_time(0.99, {app="web"} | json | unwrap duration(t) | __error__="" [1m] offset 1m30s)"#
                + " by (a, b)"
        ),
        (
            #"sum(rate({app="web"}[1m])) by (a) / on(a) group_left(b) topk(3, count_over_time({app="db"}[1d]))"#,
            #"sum by (a) (rate({app="web"} [1m])) / on (a) group_left (b) topk(3, count_over_time({app="db"} [1d]))"#
        ),
        (#"-1 + 2 * (3 - 4) ^ 2 > bool 1"#, #"-1 + 2 * (3 - 4) ^ 2 > bool 1"#),
        (
            #"label_replace(vector(1), "a", "$1", "b", "(.*)") or sort_desc(vector(2))"#,
            #"label_replace(vector(1), "a", "$1", "b", "(.*)") or sort_desc(vector(2))"#
        ),
        (#"{} | search "level:error AND x""#, #"{} | search "level:error AND x""#),
    ]

    @Test("every spelling of a query has one form, which reads back as itself", arguments: forms)
    func form(_ query: String, _ form: String) throws {
        let expression = try LogQLExpression(parsing: query)
        // A range has no blank before it where there is no stage.
        let wanted = form.split(separator: #""} ["#, omittingEmptySubsequences: false).joined(separator: #""}["#)
        #expect(expression.description == wanted)
        #expect(try LogQLExpression(parsing: expression.description).description == expression.description)
        let pretty = try LogQLExpression(parsing: expression.formatted)
        #expect(pretty.description == expression.description)
    }

    @Test(
        "errors point at the place",
        arguments: [
            (#"{app="web""#, "parse error at line 1, col 11: syntax error: unexpected $end, expecting } or ,"),
            (#"{app=web}"#, "parse error at line 1, col 6: syntax error: unexpected IDENTIFIER, expecting STRING"),
            (#"{}"#, "parse error at line 1, col 1: queries require at least one regexp or equality matcher"),
            (#"{app="web"} |= "x" |"#, "parse error at line 1, col 21: syntax error: unexpected $end"),
            (#"{app="web"} |~ "(""#, "parse error at line 1, col 16: error parsing regexp"),
            (#"{app="web"} | level=error"#, "col 21: syntax error: unexpected IDENTIFIER, expecting STRING or NUMBER"),
            (#"{app="web"} | regexp "x""#, "col 22: at least one named capture must be supplied"),
            (#"{app="web"} | pattern "x""#, "col 23: invalid pattern: at least one capture is required"),
            (#"{app="web"} | pattern "<a><b>""#, "found consecutive capture '<b>'"),
            (#"{app="web"} | label_format a=b, a=c"#, "col 33: multiple label name 'a' not allowed"),
            (#"{app="web"} | line_format "{{.a""#, "col 27: invalid template: unclosed action"),
            (#"rate({app="web"})"#, "col 17: syntax error: unexpected ), expecting ["),
            ("count_over_time({a=\"b\"} |= \"x\"\n[5q])", "line 2, col 2: syntax error"),
            (#"sum_over_time({app="web"}[5m])"#, "invalid aggregation sum_over_time without unwrap"),
            (#"count_over_time({app="web"} | unwrap x [5m])"#, "invalid aggregation count_over_time with unwrap"),
            (#"rate({app="web"}[5m]) by (a)"#, "grouping not allowed for rate aggregation"),
            (#"topk(0, rate({app="web"}[5m]))"#, "invalid parameter (must be greater than 0) topk(0)"),
            (
                #"1 and rate({app="web"}[5m])"#,
                "unexpected literal for left leg of logical/set binary operation (and): 1"
            ),
            (#"{app="web"} "x"#, "col 13: literal not terminated"),
        ])
    func error(_ query: String, _ message: String) {
        let error = #expect(throws: LogQLError.self) { try LogQLExpression(parsing: query) }
        #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
    }

    @Test("depth and length are bounded")
    func bounded() {
        let deep = String(repeating: "(", count: 100_000) + "1"
        #expect(throws: LogQLError.self) { try LogQLExpression(parsing: deep) }
        #expect(throws: LogQLError.self) {
            try LogQLExpression(parsing: String(repeating: "(", count: 30_000) + "1")
        }
        let filters = #"{a="b"} | "# + String(repeating: "(", count: 5_000) + "x=1"
        #expect(throws: LogQLError.self) { try LogQLExpression(parsing: filters) }
        let sum = "1" + String(repeating: " + 1", count: 5_000)
        #expect(throws: LogQLError.self) { try LogQLExpression(parsing: sum) }
        let stages = #"{a="b"}"# + String(repeating: #" |= "x""#, count: 5_000)
        #expect(throws: LogQLError.self) { try LogQLExpression(parsing: stages) }
    }

    @Test("whatever stands there is refused with a place, or has a form that reads back as itself")
    func fuzz() {
        var random = SeededRandom(seed: 12)
        let pieces =
            Self.forms.flatMap { $0.0.split(separator: " ").map(String.init) } + [
                "{", "}", "(", ")", "[", "]", "|", "\"", "`", "5m", "1e3", "=", "!=", "~", "by", "\\", "é", "\u{0}",
                "--x",
            ]
        let rounds = isLong ? 200_000 : 8_000
        for _ in 0..<rounds {
            var text = Self.forms[random.below(Self.forms.count)].0
            for _ in 0...random.below(3) {
                let bytes = Array(text.utf8)
                let start = random.below(bytes.count + 1)
                let end = min(bytes.count, start + random.below(6))
                let piece = pieces[random.below(pieces.count)]
                text = String(decoding: bytes[..<start] + Array(piece.utf8) + bytes[end...], as: UTF8.self)
            }
            do throws(LogQLError) {
                let expression = try LogQLExpression(parsing: text)
                let again = try LogQLExpression(parsing: expression.description)
                #expect(again.description == expression.description)
                let pretty = try LogQLExpression(parsing: expression.formatted)
                #expect(pretty.description == expression.description)
            } catch {
                #expect(error.offset.map { $0 <= text.utf8.count } ?? true)
            }
        }
    }

    @Test("a search is told from LogQL by how it begins")
    func kinds() {
        for text in ["{a=\"b\"}", " ( {a=\"b\"} )", "rate({a=\"b\"}[1m])", "sum by (a) (x)", "vector(1)+vector(1)"] {
            #expect(LogQLExpression.isLogQL(text), "\(text)")
        }
        for text in ["level:error", "rate limit", "(a OR b)", "503", "\"{\"", "sum"] {
            #expect(!LogQLExpression.isLogQL(text), "\(text)")
        }
    }
}
