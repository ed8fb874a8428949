import ChaosEngine
import KernelJSON
import KernelStructures
import TestSupport
import Testing

@Suite("Expressions, paths and tolerances")
struct JudgingTests {
    private let answer = Observation(
        .http(
            status: 200, reason: "OK", headers: [("Content-Type", "application/json"), ("X-Shard", "3")],
            body: Array(#"{"payment_status": "pending", "items": [{"id": 7, "price": 2.5}, {"id": 8}]}"#.utf8)),
        latency: .milliseconds(2340))

    // @covers CHAOS-C5
    @Test(
        "expressions hold or not",
        arguments: [
            ("status == 200 AND latency < 500ms", false), ("status == 200 and latency < 3s", true),
            ("latency < 2340ms", false), ("latency <= 2340ms", true), ("latency >= 2340", true),
            ("status != 200 OR latency > 2s", true), ("NOT status == 500", true), ("not (status == 200)", false),
            (#"body contains "pending""#, true), (#"body contains '"payment_status": "pending"'"#, true),
            (#"json.payment_status == "pending""#, true), ("json.items[0].price > 2", true),
            ("json.items[-1].id == 8", true), ("json.nothing == 1", false), ("json.nothing != 1", true),
            ("header.x-shard == 3", true), ("header.X-Shard < 4", true), (#"body matches "pend(ing|ed)""#, true),
            ("status == 200 AND status == 201 OR status == 200", true),
            ("status == 500 AND (status == 500 OR status == 200)", false), ("status = 200 && latency < 1m", true),
        ])
    func expressions(_ text: String, _ isMet: Bool) throws {
        #expect(try ProbeExpression(parsing: text).judge(answer).isMet == isMet)
    }

    @Test("an expression that does not hold says which part, and what was there")
    func reasons() throws {
        let judgement = try ProbeExpression(parsing: "status == 200 AND latency < 500ms").judge(answer)
        #expect(judgement.reasons == ["latency is 2.34s, not < 500ms"])
    }

    @Test(
        "what is no expression is refused with its place",
        arguments: [
            ("", "what is compared?"), ("status", "how is it compared?"), ("status ==", "with what"),
            ("status == abc", "is not a status"), ("latency < fast", "is not a time"),
            ("statsu == 200", "did you mean status?"), ("status == 200 latency < 1s", "AND or OR is missing"),
            ("(status == 200", "not closed"), ("body contains \"x", "not closed"),
            ("status === 200", "compares nothing"),
            (#"body matches "(""#, "'('"), (String(repeating: "(", count: 500), "nested"),
        ])
    func malformed(_ text: String, _ expected: String) {
        let error = #expect(throws: ProbeExpression.Malformed.self) { try ProbeExpression(parsing: text) }
        #expect(error?.description.contains(expected) ?? false, "\(error?.description ?? "")")
    }

    @Test(
        "paths find what stands there",
        arguments: [
            ("$.items[0].id", "[7]"), ("items[*].id", "[7, 8]"), ("$..id", "[7, 8]"),
            ("$['payment_status']", #"["pending"]"#),
            ("$.items[-1].id", "[8]"), ("$.items[0:1]", #"[{"id": 7, "price": 2.5}]"#), ("$.items[5].id", "[]"),
            ("$.items[?(@.price > 2)].id", "[7]"), ("$.items[?(@.price)].id", "[7]"),
            ("$.items[?(@.id == 8)].id", "[8]"),
            ("$.items.*.id", "[7, 8]"), ("$", nil as String?),
        ])
    func paths(_ text: String, _ expected: String?) throws {
        let found = try JSONPath(parsing: text).values(in: try #require(answer.bodyValue))
        if let expected { #expect(JSONValue.array(found).text == expected) } else { #expect(found.count == 1) }
    }

    @Test(
        "what is no path is refused",
        arguments: ["$.", "$[", "$['a", "$[x]", "$[99999999999999999999]", "$[?(a)]", "$.a b["])
    func malformedPaths(_ text: String) { #expect(throws: JSONPath.Malformed.self) { try JSONPath(parsing: text) } }

    @Test(
        "tolerances in the Toolkit's forms",
        arguments: [
            ("200", true), ("404", false), ("[200, 404]", true), ("[500]", false),
            (#"{"type": "range", "range": [200, 299], "target": "status"}"#, true),
            (#"{"type": "range", "range": [300, 399], "target": "status"}"#, false),
            (#"{"type": "regex", "pattern": "pend", "target": "body"}"#, true),
            (#"{"type": "regex", "pattern": "^x", "target": "body"}"#, false),
            (#"{"type": "jsonpath", "path": "$.items[*].id", "count": 2, "target": "body"}"#, true),
            (#"{"type": "jsonpath", "path": "$.items[*].id", "count": 3, "target": "body"}"#, false),
            (#"{"type": "jsonpath", "path": "$.items[*].id", "expect": [7, 8], "target": "body"}"#, true),
            (#"{"type": "jsonpath", "path": "$.payment_status", "expect": "pending", "target": "body"}"#, true),
            (#"{"type": "jsonpath", "path": "$.missing", "target": "body"}"#, false),
            (#"{"type": "expression", "expect": "status == 200"}"#, true),
        ])
    func tolerances(_ text: String, _ isMet: Bool) throws {
        let document = """
            {"title": "t", "method": [{"type": "probe", "name": "p", "tolerance": \(text),
             "provider": {"type": "http", "url": "http://a/"}}]}
            """
        let tolerance = try #require(try experiment(document).method[0].tolerance)
        #expect(tolerance.judge(answer).isMet == isMet)
    }

    @Test("a process is judged by its status, and a value by itself")
    func processes() throws {
        let document = """
            {"title": "t", "method": [
              {"type": "probe", "name": "p", "tolerance": 0, "provider": {"type": "process", "path": "true"}},
              {"type": "probe", "name": "q", "tolerance": true, "provider": {"type": "process", "path": "true"}}]}
            """
        let method = try experiment(document).method
        let ended = { (status: Int) in Observation(.process(status: status, output: "", errors: "")) }
        #expect(method[0].tolerance?.judge(ended(0)).isMet == true)
        #expect(method[0].tolerance?.judge(ended(1)).isMet == false)
        #expect(method[1].tolerance?.judge(.done).isMet == true)
    }

    @Test("random expressions are judged or refused, and say the same when read again")
    func fuzz() {
        var random = SeededRandom(seed: 3)
        let words = [
            "status", "latency", "body", "json.items[0].id", "header.x", "==", "<", "contains", "200", "1s", "\"a\"",
            "AND", "OR", "NOT", "(", ")", "matches", "!=", "null", "'", "[", "$",
        ]
        var read = 0
        for _ in 0..<5000 {
            let text = (0...random.below(9)).map { _ in words[random.below(words.count)] }.joined(separator: " ")
            guard let one = try? ProbeExpression(parsing: text) else { continue }
            read += 1
            let again = try? ProbeExpression(parsing: one.text)
            #expect(again?.judge(answer) == one.judge(answer))
        }
        #expect(read > 10)
    }
}
