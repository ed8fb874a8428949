import KernelConfiguration
import KernelStructures
import TestSupport
import Testing

@Suite("Configuration files")
struct YAMLTests {
    private func parse(_ text: String) throws -> ConfigurationValue { try YAML.parse(Array(text.utf8), file: "f.yaml") }

    /// The complaint about a text, or what it was read as.
    private func complaint(_ text: String) -> String {
        do throws(ConfigurationError) {
            return "accepted: \(describe(try YAML.parse(Array(text.utf8), file: "f.yaml")))"
        } catch {
            return error.description
        }
    }

    private func describe(_ value: ConfigurationValue) -> String {
        switch value.content {
        case .scalar(let text): value.isNull ? "null" : value.isPlain ? text : "'\(text)'"
        case .sequence(let items): "[" + items.map(describe).joined(separator: ",") + "]"
        case .mapping(let pairs):
            "{" + pairs.map { describe($0.key) + ":" + describe($0.value) }.joined(separator: ",") + "}"
        }
    }

    @Test("values of every kind, in block and flow style, with quotes, comments and anchors")
    func values() throws {
        let text = """
            # comment
            a: 1          # one
            b: [x, 'y', "z\\n"]
            c: {d: ~, e: null, f: "null"}
            g: &anchor
              - h
            i: *anchor
            j: |
              two
              lines
            """
        #expect(
            describe(try parse(text)) == "{a:1,b:[x,'y','z\n'],c:{d:null,e:null,f:'null'},g:[h],i:[h],j:'two\nlines'}")
        #expect(try ["", "# nothing\n"].map { describe(try parse($0)) } == ["null", "null"])
    }

    @Test("places count lines and columns from 1")
    func places() throws {
        guard case .mapping(let pairs) = try parse("a: 1\n\nbb:\n  - x\n  - yy\n").content,
            case .sequence(let items) = pairs[1].value.content
        else {
            Issue.record("not a mapping")
            return
        }
        #expect(pairs[1].key.place.description == "f.yaml:3:1" && items[1].place.description == "f.yaml:5:5")
    }

    @Test(
        "malformed text is refused with its place",
        arguments: [
            ("a: [1, 2", "f.yaml:2:1: "), ("a: 1\n\tb: 2", "f.yaml:2:1: "), ("a: 'x", "f.yaml:"),
            ("a: 1\na: 2", "f.yaml:2:1: 'a' stands here twice"),
            ("a: 1\nb: {c: 1, c: 2}", "f.yaml:2:11: 'c' stands here twice"),
            ("a: *nowhere", "f.yaml:1:4: *nowhere refers to an anchor"),
            ("a: &x [*x]", "f.yaml:1:8: *x refers to an anchor that does not stand before it"),
            ("a: 1\n---\nb: 2", "f.yaml:2:1: a second document"),
            ("[1, 2]: x", "f.yaml:1:1: a key must be a word"), ("a: 1\n b: 2", "f.yaml:2:3: "), ("}", "f.yaml:1:1: "),
            ("ok: 1\nx: \u{1}", "f.yaml:2:4: "),
        ])
    func malformed(_ text: String, _ expected: String) {
        #expect(complaint(text).hasPrefix(expected), "\(complaint(text))")
    }

    @Test("bytes that are no UTF-8 are refused on their line")
    func notUTF8() {
        #expect(throws: ConfigurationError.self) {
            try YAML.parse(Array("a: 1\nb: ".utf8) + [0xFF, 0xFE], file: "f.yaml")
        }
        do throws(ConfigurationError) {
            _ = try YAML.parse(Array("a: 1\nb: ".utf8) + [0xFF, 0xFE], file: "f.yaml")
        } catch {
            #expect(error.place.line == 2 && error.place.column == 4)
        }
    }

    @Test("nesting and aliases cannot make a small file a large one", .timeLimit(.minutes(5)))
    func bombs() {
        #expect(
            complaint(String(repeating: "[", count: 70) + String(repeating: "]", count: 70)).contains(
                "nested more than 64 deep"))
        #expect(complaint(String(repeating: "[", count: 60) + String(repeating: "]", count: 60)).hasPrefix("accepted"))
        #expect(complaint("a: [" + String(repeating: "1,", count: 100_001) + "1]").contains("more than 100000 values"))
        #expect(complaint(String(repeating: "[", count: 1_000_000)).contains("nested more than 64"))
        var bomb = "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
        for (previous, name) in zip("abcdefghi", "bcdefghij") {
            bomb += "\(name): &\(name) [" + Array(repeating: "*\(previous)", count: 10).joined(separator: ",") + "]\n"
        }
        // Shared, not copied: ten thousand million values in a hundred.
        #expect(throws: Never.self) { try parse(bomb) }
    }

    /// A document that means the same, all of it in quotes.
    private func rewritten(_ value: ConfigurationValue) -> String {
        switch value.content {
        case .scalar(let text):
            "\"" + text.unicodeScalars.map { "\\U" + hexadecimal(UInt64($0.value), 8) }.joined() + "\""
        case .sequence(let items): "[" + items.map(rewritten).joined(separator: ", ") + "]"
        case .mapping(let pairs):
            "{" + pairs.map { "? \(rewritten($0.key)) : \(rewritten($0.value))" }.joined(separator: ", ") + "}"
        }
    }

    private func places(_ value: ConfigurationValue) -> [ConfigurationPlace] {
        switch value.content {
        case .scalar: [value.place]
        case .sequence(let items): [value.place] + items.flatMap(places)
        case .mapping(let pairs): [value.place] + pairs.flatMap { places($0.key) + places($0.value) }
        }
    }

    @Test("of random bytes, what is accepted can be written and read again; what is refused has its place in them")
    func noise() throws {
        var random = SeededRandom(seed: 8)
        let alphabet = Array("ab:-[]{},&*!|>'\"%@`#?~ \n\n\t  \u{e9}0:".utf8)
        var accepted = 0
        for _ in 0..<20_000 {
            let bytes = (0..<random.below(40)).map { _ in
                random.chance(0.97) ? alphabet[random.below(alphabet.count)] : UInt8(truncatingIfNeeded: random.next())
            }
            let isWithin = { (place: ConfigurationPlace) in
                place.file == "f.yaml" && (1...bytes.count + 1).contains(place.line)
                    && (1...bytes.count + 1).contains(place.column)
            }
            do throws(ConfigurationError) {
                let value = try YAML.parse(bytes, file: "f.yaml")
                accepted += 1
                #expect(places(value).allSatisfy(isWithin), "\(bytes)")
                let text = rewritten(value)
                let again = try YAML.parse(Array(text.utf8), file: "again.yaml")
                #expect(rewritten(again) == text, "\(bytes)")
            } catch {
                #expect(isWithin(error.place) && !error.text.isEmpty, "\(bytes): \(error)")
            }
        }
        #expect(accepted > 1000 && accepted < 19_000, "both ways are taken")
    }

    @Test("mappings check keys, kinds and ranges, and say where")
    func mappings() throws {
        func mapping(_ text: String) throws(ConfigurationError) -> ConfigurationMapping {
            try ConfigurationMapping(
                try YAML.parse(Array(text.utf8), file: "f.yaml"), what: "a thing",
                keys: ["interval", "timeout", "count", "mode"])
        }
        func failure(_ body: () throws -> Void) -> String {
            do { try body() } catch { return "\(error)" }
            return "none"
        }
        #expect(
            failure { _ = try mapping("count: 1\nintervall: 5s") }
                == "f.yaml:2:1: unknown key 'intervall' in a thing; did you mean interval?")
        #expect(failure { _ = try mapping("zzz: 1") } == "f.yaml:1:1: unknown key 'zzz' in a thing")
        #expect(
            failure { _ = try mapping("[1]") } == "f.yaml:1:1: a thing must be a mapping of keys to values, not a list")
        #expect(
            failure { _ = try mapping("count: x").integer("count", in: 1...5) }
                == "f.yaml:1:8: count must be a whole number of 1 to 5, not 'x'")
        #expect(failure { _ = try mapping("count: 6").integer("count", in: 1...5) }.contains("not '6'"))
        #expect(failure { _ = try mapping("count: 1.5").integer("count", in: 1...5) }.contains("not '1.5'"))
        #expect(
            failure { _ = try mapping("count: [1]").integer("count", in: 1...5) }
                == "f.yaml:1:8: count must be a single value, not a list")
        for text in ["5", "0s", "-5s", "soon", "{a: b}"] {
            #expect(
                failure { _ = try mapping("interval: \(text)").duration("interval") }.hasPrefix(
                    text == "0s"
                        ? "f.yaml:1:11: interval must be longer than 0s" : "f.yaml:1:11: interval must be a"), "\(text)"
            )
        }
        #expect(
            failure { _ = try mapping("mode: htpt").choice("mode", [("http", 1), ("tcp", 2)]) }
                == "f.yaml:1:7: mode 'htpt' is unknown; did you mean http?")
        #expect(
            failure { _ = try mapping("mode: udpx").choice("mode", [("http", 1), ("tcp", 2)]) }.hasSuffix(
                "; it can be http, tcp"))
        #expect(
            try mapping("count: ~").integer("count", in: 1...5) == nil && mapping("").integer("count", in: 1...5) == nil
        )
        #expect(try mapping("interval: 1m30s").duration("interval") == .seconds(90))
    }
}
