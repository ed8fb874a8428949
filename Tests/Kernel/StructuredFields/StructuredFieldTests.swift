import KernelStructuredFields
import KernelStructures
import Testing

@Suite("Structured fields")
struct StructuredFieldTests {
    @Test("a field is read, and written again in its one spelling")
    func spelling() throws {
        let field = try StructuredField("a=1;x;y=?0,  b=(tok/en \"q\\\"\" 2.50);z=:AQI=:, c", as: .dictionary)
        #expect(field.text == "a=1;x;y=?0, b=(tok/en \"q\\\"\" 2.5);z=:AQI=:, c")
        guard case .dictionary(let members) = field else {
            Issue.record("a dictionary was asked for")
            return
        }
        #expect(members["c"] == .item(StructuredItem(.boolean(true))))
        #expect(members["d"] == nil)
    }

    @Test("a name that repeats keeps its place and has the last value")
    func repetition() throws {
        #expect(try StructuredField("a=1, b=2, a=3", as: .dictionary).text == "a=3, b=2")
        #expect(try StructuredField("1;p=1;q;p=2", as: .item).text == "1;p=2;q")
    }

    @Test(
        "a fault is told with its place",
        arguments: [
            ("1, ", "nothing stands behind the last comma, at byte 4"), ("1 2", "a comma is missing, at byte 3"),
            ("\"a", "the closing quotation mark is missing, at byte 3"),
            ("(1", "a blank or the closing bracket is missing, at byte 3"),
            ("1.", "a digit is missing behind the point, at byte 3"),
            ("\u{e9}", "no value begins like this, at byte 1"),
        ])
    func fault(_ text: String, _ message: String) {
        let error = #expect(throws: StructuredFieldError.self) { try StructuredField(text, as: .list) }
        #expect(error?.description == message)
    }

    @Test("a field has at most 1,024 members and 256 parameters each")
    func bounds() throws {
        func members(_ count: Int) -> String { (0..<count).map { "k\($0)" }.joined(separator: ",") }
        func parameters(_ count: Int) -> String { "1" + (0..<count).map { ";k\($0)" }.joined() }
        for kind in [StructuredField.Kind.list, .dictionary] {
            #expect(throws: Never.self) { try StructuredField(members(1024), as: kind) }
            #expect(throws: StructuredFieldError.self) { try StructuredField(members(1025), as: kind) }
        }
        #expect(throws: Never.self) { try StructuredField(parameters(256), as: .item) }
        #expect(throws: StructuredFieldError.self) { try StructuredField(parameters(257), as: .item) }
        #expect(throws: StructuredFieldError.self) {
            try StructuredField("(" + String(repeating: "1 ", count: 1025) + ")", as: .list)
        }
    }

    @Test("what may not be written has no text")
    func unwritable() {
        #expect(StructuredValue.integer(1_000_000_000_000_000).text == nil)
        #expect(StructuredValue.integer(.min).text == nil)
        #expect(StructuredValue.date(.max).text == nil)
        #expect(StructuredValue.string("\u{e9}").text == nil)
        #expect(StructuredValue.token("1a").text == nil)
        #expect(StructuredItem(.integer(1), ["Upper": .integer(1)]).text == nil)
        #expect(StructuredField.list([]).text == nil)
        #expect(StructuredDecimal(.infinity) == nil && StructuredDecimal(.nan) == nil && StructuredDecimal(1e12) == nil)
        #expect(StructuredDecimal(thousandths: .min) == nil)
    }

    @Test("whatever is read is read again from what it is written as, and no bytes stop the reader")
    func fuzz() throws {
        var random = SeededRandom(seed: 9651)
        let alphabet = Array("abz*A01-.\"\\:;,=?@%()  \t\u{e9}~/+=ef".utf8)
        var readable = 0
        for _ in 0..<40_000 {
            let bytes = (0..<random.below(14)).map { _ in
                alphabet[random.below(alphabet.count)]
            }
            for kind in [StructuredField.Kind.item, .list, .dictionary] {
                guard let field = try? StructuredField(bytes, as: kind), let text = field.text else { continue }
                readable += 1
                let again = try StructuredField(text, as: kind)
                #expect(again == field)
                #expect(again.text == text)
            }
        }
        #expect(readable > 2_000)
    }
}
