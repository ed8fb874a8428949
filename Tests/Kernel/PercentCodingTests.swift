import KernelStructures
import KernelWire
import TestSupport
import Testing

/// RFC 3986 §2, and queries as forms write them.
@Suite("Percent-encoding and queries")
struct PercentCodingTests {
    @Test("what is encoded is read as it was, whatever is in it", arguments: 1...50 as ClosedRange<UInt64>)
    func roundTrip(_ seed: UInt64) throws {
        for index in 0..<40 {
            let bytes = randomBytes(index, seed: seed &* 64 + UInt64(index))
            let text = String(decoding: bytes, as: UTF8.self)
            for encoded in [PercentCoding.encode(text), PercentCoding.encodeForm(text)] {
                #expect(encoded.utf8.allSatisfy { $0 > 32 && $0 < 127 })
            }
            #expect(try PercentCoding.decodeText(PercentCoding.encode(text).utf8) == text)
            #expect(try PercentCoding.decodeText(PercentCoding.encodeForm(text).utf8, plusIsBlank: true) == text)
            // Leniently decoded it is the same where it can be decoded strictly.
            if let strict = try? PercentCoding.decode(bytes) {
                #expect(PercentCoding.decodeLeniently(bytes[...]) == strict)
            }
        }
    }

    @Test("examples")
    func examples() throws {
        #expect(PercentCoding.encode("a b/é~+%") == "a%20b%2F%C3%A9~%2B%25")
        #expect(PercentCoding.encodeForm("a b+") == "a+b%2B")
        #expect(try PercentCoding.decodeText("%2f+%2F".utf8) == "/+/")
        #expect(try PercentCoding.decodeText("a+b".utf8, plusIsBlank: true) == "a b")
        for (text, offset) in [("%", 0), ("ab%4", 2), ("%4g", 0), ("%41%zz", 3), ("x%%41", 1)] {
            #expect(throws: PercentCoding.Malformed.self) { try PercentCoding.decode(text.utf8) }
            do { _ = try PercentCoding.decode(text.utf8) } catch { #expect(error.offset == offset, "\(text)") }
            #expect(
                PercentCoding.decodeLeniently(Array(text.utf8)[...]).first
                    == Array(text.replacing("%41", with: "A").utf8).first)
        }
        #expect(throws: PercentCoding.Malformed.self) { try PercentCoding.decodeText("%ff".utf8) }
        let kept = PercentCoding.decodeLeniently(Array("a%2Fb%61".utf8)[...], keeping: { $0 == 47 })
        #expect(kept == Array("a%2Fba".utf8))
    }

    @Test("queries are read, taken, and what is left over is named")
    func queries() throws {
        var query = try HTTPQuery(parsing: "key=a&rf=3&&key=b+c&flag&wait=5s&x=%3D=%26")
        #expect(query.items.count == 6)
        #expect(query.takeAll("key") == ["a", "b c"])
        #expect(try query.takeInteger("rf", 1...64) == 3)
        #expect(try query.takeFlag("flag") && !query.takeFlag("other"))
        #expect(try query.takeDuration("wait", upTo: .seconds(60)) == .seconds(5))
        #expect(throws: HTTPError(400, "'x' means nothing here")) { try query.expectNothingElse() }
        #expect(try query.take("x") == "==&")
        try query.expectNothingElse()
        var wrong = try HTTPQuery(parsing: "n=7&n=8&m=9&d=5&kez=1")
        #expect(throws: HTTPError(400, "n stands there twice")) { try wrong.take("n") }
        #expect(throws: HTTPError(400, "m: '9' is not a whole number of 1 to 5")) { try wrong.takeInteger("m", 1...5) }
        #expect(throws: HTTPError.self) { try wrong.takeDuration("d", upTo: .seconds(1)) }
        _ = wrong.takeAll("key")
        #expect(throws: HTTPError(400, "'kez' means nothing here; did you mean key?")) { try wrong.expectNothingElse() }
        #expect(throws: HTTPError.self) { try HTTPQuery(parsing: "a=%") }
        #expect(throws: HTTPError(414, "too many values")) {
            try HTTPQuery(parsing: String(repeating: "a&", count: HTTPQuery.itemLimit + 1))
        }
    }

    @Test("a query that was written is read as it was", arguments: 1...100 as ClosedRange<UInt64>)
    func queryRoundTrip(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let odd = Array("a&=%+ #?é漢\u{0}\n;")
        func word() -> String { String((0..<random.below(5)).map { _ in odd[random.below(odd.count)] }) }
        let items: [(name: String, value: String?)] = (0..<random.below(5)).map { _ in (word(), word()) }
        let text = HTTPQuery.text(items + [("left out", nil)])
        let read = try HTTPQuery(parsing: text.dropFirst())
        #expect(read.items.map(\.name) == items.map(\.name) && read.items.map(\.value) == items.map(\.value))
    }
}
