import KernelStructures
import Testing

@testable import PromQLEngine

@Suite("The language of queries")
struct LanguageTests {
    @Test("errors are those of Prometheus, with line and column")
    func errors() {
        let cases = PrometheusTexts.pairs(PrometheusTexts.errors)
        #expect(cases.count > 120)
        for (query, expected) in cases {
            do throws(PromQLError) {
                let expression = try PromQLExpression(parsing: query)
                Issue.record("\(query)\n  is read as \(expression)")
            } catch {
                #expect(error.description == expected, "\(query)")
                #expect(error.kind == .badData)
            }
        }
    }

    @Test("an expression has one form, whatever its spelling, and long ones several lines")
    func formats() throws {
        let cases = PrometheusTexts.pairs(PrometheusTexts.formats)
        #expect(cases.count > 70)
        for (query, expected) in cases {
            let expression = try PromQLExpression(parsing: query)
            #expect(expression.formatted == expected, "\(query)")
            #expect(try PromQLExpression(parsing: expression.formatted).formatted == expected)
        }
    }

    @Test("an error behind other lines names its own")
    func lines() {
        #expect(throws: PromQLError.self) { try PromQLExpression(parsing: "sum(\n  foo,\n  bar baz)") }
        do throws(PromQLError) {
            _ = try PromQLExpression(parsing: "# comment\nsum(\n  foo +\n  bar baz)")
        } catch {
            #expect(error.position == PromQLError.Position(line: 4, column: 7))
        }
    }

    @Test("how deep and how long an expression may be is bounded")
    func bounds() throws {
        for (open, close) in [("(", ")"), ("-", ""), ("sum(", ")"), ("abs(", ")")] {
            let deep = String(repeating: open, count: 5000) + "foo" + String(repeating: close, count: 5000)
            #expect(throws: PromQLError.self) { try PromQLExpression(parsing: deep) }
        }
        let chain = Array(repeating: "foo", count: 5000).joined(separator: " + ")
        #expect(throws: PromQLError.self) { try PromQLExpression(parsing: chain) }
        let powers = Array(repeating: "2", count: 5000).joined(separator: "^")
        #expect(throws: PromQLError.self) { try PromQLExpression(parsing: powers) }
        #expect(throws: PromQLError.self) { try PromQLExpression(parsing: String(repeating: " ", count: 200_000)) }
        let fair = Array(repeating: "foo", count: 150).joined(separator: " + ")
        #expect(try PromQLExpression(parsing: fair).selectors.count == 150)
    }

    @Test("a selector by itself gives its conditions, and nothing else is one")
    func selectors() throws {
        let matchers = try PromQLSelector.parse(#"up{job=~"a.*",x!=""}"#)
        #expect(matchers.map(\.description) == [#"job=~"a.*""#, #"x!="""#, #"__name__="up""#])
        for text in ["up[5m]", "rate(up[5m])", "1", "up offset", "{}", "up)", ""] {
            #expect(throws: PromQLError.self, "\(text)") { try PromQLSelector.parse(text) }
        }
    }

    /// Whatever is read is printed so that it reads back as the same; whatever is not read says where.
    @Test("expressions by chance are read or refused with a place, and print as they were meant")
    func fuzz() throws {
        let words = [
            "foo", "sum", "rate", "(", ")", "[", "]", "{", "}", "5m", "1", "\"x\"", "a", "=", "=~", "!=", "!~", ",",
            ":",
            "by", "on", "offset", "@", "-", "+", "*", "^", "and", "bool", "group_left", "start()", "\\", "'", "é", "#",
            "\n",
            "1e", "0x", "foo[5m]", "rate(foo[5m])", "sum by (a) (foo)", "foo{a=\"b\"}", "[1h:5m]", "==", "topk(2, foo)",
        ]
        var random = SeededRandom(seed: 42)
        var readable = 0
        for _ in 0..<4000 {
            let count = 1 + random.below(9)
            let text = (0..<count).map { _ in words[random.below(words.count)] }.joined(
                separator: random.below(2) == 0 ? " " : "")
            do throws(PromQLError) {
                let expression = try PromQLExpression(parsing: text)
                readable += 1
                let again = try PromQLExpression(parsing: expression.description)
                #expect(again.description == expression.description, "\(text)")
                #expect(try PromQLExpression(parsing: expression.formatted).description == expression.description)
            } catch {
                #expect(error.range.map { $0.upperBound <= text.utf8.count + 1 } ?? false, "\(text): \(error)")
            }
        }
        #expect(readable > 200)
    }
}
