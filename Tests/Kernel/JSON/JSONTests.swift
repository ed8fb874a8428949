import KernelJSON
import KernelStructures
import Testing

/// A library's value and reader: exact, bounded, and with errors that say where.
@Suite struct JSONTests {
    @Test(
        "what is read is what was written",
        arguments: [
            ("null", .null), (" true\n", .bool(true)), ("false", .bool(false)), ("\"\"", ""), ("[]", []), ("{}", [:]),
            ("[1, [2, []], {}]", [1, [2, []], [:]]), ("{\"b\": 1, \"a\": [null]}", ["b": 1, "a": [.null]]),
            ("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"", "\"\\/\u{8}\u{c}\n\r\té😀"),
            ("{\"a\\u0000b\": \"\\u0000\"}", ["a\0b": "\0"]),
        ] as [(String, JSONValue)])
    func reading(text: String, value: JSONValue) throws {
        #expect(try JSONValue(parsing: text) == value)
        for style in [JSONStyle.compact, .spaced, .pretty] {
            #expect(try JSONValue(parsing: value.bytes(style)) == value)
        }
    }

    @Test("members keep their order, and names are told apart by their bytes")
    func order() throws {
        let names = (0..<100).map { "n\($0 * 37 % 100)" } + ["é", "e\u{301}"]
        let value = JSONValue.object(names.map { ($0, .string($0)) })
        guard case .object(let members) = try JSONValue(parsing: value.bytes()) else { throw Failure() }
        #expect(members.map { Array($0.key.utf8) } == names.map { Array($0.utf8) })
        #expect(JSONValue.string("é") != "e\u{301}")
        #expect(try JSONValue(parsing: value.bytes())["é"].map { Array($0.bytes()) } == [34, 0xC3, 0xA9, 34])
    }

    private struct Failure: Error {}

    @Test("numbers are exact to 64 bits; longer ones stay as they are written")
    func numbers() throws {
        func read(_ text: String) throws -> JSONValue { try JSONValue(parsing: text) }
        guard case .integer(Int.max) = try read("9223372036854775807"),
            case .integer(Int.min) = try read("-9223372036854775808"),
            case .unsigned(9_223_372_036_854_775_808) = try read("9223372036854775808"),
            case .unsigned(UInt64.max) = try read("18446744073709551615"),
            case .decimal("18446744073709551616") = try read("18446744073709551616"),
            case .decimal("-9223372036854775809") = try read("-9223372036854775809"),
            case .number(0.1) = try read("0.1"), case .number(1e23) = try read("1e23"),
            case .number(9007199254740993.0) = try read("9007199254740993.0"), case .number(0) = try read("1e-400"),
            case .number(18446744073709551616.5) = try read("18446744073709551616.5"),
            case .number(let zero) = try read("-0"), zero.sign == .minus
        else {
            Issue.record("a number is not what it should be")
            return
        }
        for text in ["-0", "0.1", "5e-324", "1.7976931348623157e+308", "18446744073709551615", "123456789012345680000"]
        {
            #expect(try read(text).text == text || text.hasSuffix("680000"))
            #expect(try read(read(text).text) == read(text))
        }
        #expect(JSONValue.number(.nan).text == "null" && JSONValue.number(1e16).text == "1e+16")
        #expect(JSONValue.number(3) == 3 && JSONValue.unsigned(3) == 3 && JSONValue.number(1.5) != 1)
    }

    @Test("each style")
    func styles() {
        let value: JSONValue = ["a": [1, "x\u{7f}\u{1}"], "b": [:], "c": []]
        #expect(value.text(.compact) == "{\"a\":[1,\"x\\u007f\\u0001\"],\"b\":{},\"c\":[]}")
        #expect(value.text == "{\"a\": [1, \"x\\u007f\\u0001\"], \"b\": {}, \"c\": []}")
        #expect(
            value.text(.pretty)
                == "{\n  \"a\": [\n    1,\n    \"x\\u007f\\u0001\"\n  ],\n  \"b\": {},\n  \"c\": []\n}")
    }

    @Test(
        "a mistake is reported with its place",
        arguments: [
            ("", "line 1, column 1 (byte 0): nothing there; expected a value"),
            ("[1,\n  2 3]", "line 2, column 5 (byte 8): expected ',' or ']'"),
            ("{\"é\": tru}", "line 1, column 10 (byte 10): expected a value"),
            ("{\"a\" 1}", "line 1, column 6 (byte 5): expected ':' after a member's name"),
            ("{a: 1}", "line 1, column 2 (byte 1): expected a member's name in double quotes"),
            ("[1] 2", "line 1, column 5 (byte 4): expected nothing more after the value"),
            ("1\u{0}2", "line 1, column 2 (byte 1): expected nothing more after the value"),
            ("\"a\u{0}\"", "line 1, column 3 (byte 2): expected '\"' at the end of the text"),
            ("\"\\ud800\"", "line 1, column 2 (byte 1): one half of a surrogate pair without the other"),
            ("NaN", "line 1, column 1 (byte 0): expected a value"),
            ("1e999", "line 1, column 1 (byte 0): the number is beyond 1.8e308"),
            ("{\"a\": 1, \"b\": 2, \"a\": 3}", "line 1, column 24 (byte 23): the object has two members named \"a\""),
        ])
    func mistakes(text: String, message: String) {
        #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
        do throws(JSONError) { _ = try JSONValue(parsing: text) } catch { #expect(error.description == message) }
    }

    @Test(
        "what is nearly JSON is refused",
        arguments: [
            "Infinity", "-Infinity", "[1,]", "{\"a\":1,}", "01", "+1", ".5", "1.", "1e", "'a'", "/**/1", "\u{feff}1",
            "tru", "[",
            "{", "\"", "]", "\"\\x\"", "\"\n\"", "[1 2]", "{\"a\":1 \"b\":2}", "--1", "0x1", "{1:2}",
        ])
    func nearlyJSON(text: String) {
        #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
    }

    @Test("text that is no UTF-8 is refused")
    func encoding() {
        for bytes in [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82]] as [[UInt8]] {
            #expect(throws: JSONError.self) { try JSONValue(parsing: [34] + bytes + [34]) }
        }
    }

    @Test("a document is read up to its limits and no further")
    func limits() throws {
        #expect(try JSONValue(parsing: "[1, 2]", limits: JSONLimits(bytes: 6, depth: 1, values: 3)) == [1, 2])
        let excesses: [(JSONLimits, String)] = [
            (JSONLimits(bytes: 5), "more than the 5 bytes that are allowed"),
            (JSONLimits(depth: 0), "nested deeper than the 0 levels that are allowed"),
            (JSONLimits(values: 2), "more than the 2 values that are allowed"),
        ]
        for (limits, problem) in excesses {
            do throws(JSONError) {
                _ = try JSONValue(parsing: "[1, 2]", limits: limits)
                Issue.record("read in spite of \(limits)")
            } catch {
                #expect(error.problem == problem)
            }
        }
        let last = JSONLimits(duplicates: .lastWins)
        #expect(
            try JSONValue(parsing: "{\"a\": 1, \"b\": 2, \"a\": 3, \"a\": 4}", limits: last) == ["a": 4, "b": 2])
        let many = (0..<1000).map { "\"\($0 % 400)\": \($0)" }.joined(separator: ", ")
        guard case .object(let members) = try JSONValue(parsing: "{\(many)}", limits: last) else { throw Failure() }
        #expect(members.map(\.key) == (0..<400).map(String.init))
        #expect(members.map(\.value) == (0..<400).map { .integer($0 < 200 ? $0 + 800 : $0 + 400) })
    }

    @Test("a million levels are refused at the first too many, and the deepest that are allowed can be written")
    func depth() throws {
        for bracket in ["[", "{\"a\":"] {
            let text = String(repeating: bracket, count: 1_000_000)
            do throws(JSONError) {
                _ = try JSONValue(parsing: text, limits: JSONLimits(depth: .max))
                Issue.record("read")
            } catch {
                #expect(error.problem == "nested deeper than the 1000 levels that are allowed")
            }
        }
        let deepest = String(repeating: "[", count: 1000) + String(repeating: "]", count: 1000)
        let value = try JSONValue(parsing: deepest, limits: JSONLimits(depth: 1000))
        #expect(value.text == deepest && value == value)
    }
}
