import Foundation
import KernelJSON
import KernelStructuredFields
import Testing

/// The cases of the HTTP working group for RFC 9651, read where they lie; none of them is ours.
@Suite("Structured field vectors")
struct StructuredFieldVectorTests {
    private static let directory =
        "/" + #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
        + "/../shared/vectors/structured-fields"
    static let isThere = FileManager.default.fileExists(atPath: directory)

    private struct Case {
        let name: String
        let raw: String?
        let kind: StructuredField.Kind
        let mustFail: Bool
        let canFail: Bool
        let expected: JSONValue?
        /// What writing gives; nil where it is what was read.
        let canonical: [String]?

        init(_ json: JSONValue, file: String) throws {
            name = "\(file): \(json["name"]?.text ?? "?")"
            raw = json["raw"]?.texts?.joined(separator: ", ")
            kind =
                switch json["header_type"]?.text {
                case "item": .item
                case "list": .list
                default: .dictionary
                }
            mustFail = json["must_fail"]?.isTrue ?? false
            canFail = json["can_fail"]?.isTrue ?? false
            expected = json["expected"]
            canonical = json["canonical"]?.texts ?? (raw == nil ? nil : json["raw"]?.texts)
        }
    }

    private static func cases(_ folder: String) throws -> [Case] {
        try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".json") }.sorted()
            .flatMap { file in
                let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(file)")))
                guard case .array(let cases) = try JSONValue(parsing: bytes) else { throw Trouble(file) }
                return try cases.map { try Case($0, file: file) }
            }
    }

    private struct Trouble: Error {
        let text: String
        init(_ text: String) { self.text = text }
    }

    @Test("every given field is read as it must be, or refused, and written in its one spelling", .enabled(if: isThere))
    func reading() throws {
        let cases = try Self.cases(Self.directory)
        #expect(cases.count > 1_200)
        for one in cases {
            let field = try? StructuredField(one.raw ?? "", as: one.kind)
            if one.mustFail {
                #expect(field == nil, "\(one.name)")
            } else if let field {
                #expect(field == (try Self.field(one.expected ?? .null, one.kind)), "\(one.name)")
                let canonical = one.canonical?.joined(separator: ", ") ?? ""
                #expect(field.text ?? "" == canonical, "\(one.name)")
            } else {
                #expect(one.canFail, "\(one.name)")
            }
        }
    }

    @Test("every given value is written as it must be, or has no text", .enabled(if: isThere))
    func writing() throws {
        let cases = try Self.cases("\(Self.directory)/serialisation-tests")
        #expect(cases.count > 160)
        for one in cases {
            let text = (try? Self.field(one.expected ?? .null, one.kind))?.text
            #expect(text == (one.mustFail ? nil : one.canonical?.joined(separator: ", ")), "\(one.name)")
        }
    }

    // MARK: - Values as the cases spell them

    private static func field(_ json: JSONValue, _ kind: StructuredField.Kind) throws -> StructuredField {
        switch kind {
        case .item: return .item(try item(json))
        case .list: return .list(try elements(json).map(member))
        case .dictionary:
            var members = StructuredMap<StructuredMember>()
            for entry in try elements(json) { members.set(entry[0]?.text ?? "", try member(entry[1] ?? .null)) }
            return .dictionary(members)
        }
    }

    private static func member(_ json: JSONValue) throws -> StructuredMember {
        guard case .array(let items)? = json[0] else { return .item(try item(json)) }
        return .innerList(try items.map(item), try parameters(json[1] ?? .null))
    }

    private static func item(_ json: JSONValue) throws -> StructuredItem {
        StructuredItem(try value(json[0] ?? .null), try parameters(json[1] ?? .null))
    }

    private static func parameters(_ json: JSONValue) throws -> StructuredParameters {
        var parameters = StructuredParameters()
        for entry in try elements(json) { parameters.set(entry[0]?.text ?? "", try value(entry[1] ?? .null)) }
        return parameters
    }

    private static func value(_ json: JSONValue) throws -> StructuredValue {
        switch json {
        case .integer(let value): return .integer(value)
        case .bool(let value): return .boolean(value)
        case .string(let value): return .string(value)
        case .number(let value):
            guard let decimal = StructuredDecimal(value) else { throw Trouble("too large") }
            return .decimal(decimal)
        default: break
        }
        switch (json["__type"]?.text, json["value"]) {
        case ("token", .string(let value)?): return .token(value)
        case ("binary", .string(let value)?): return .bytes(base32(value))
        case ("date", .integer(let value)?): return .date(value)
        case ("displaystring", .string(let value)?): return .displayString(value)
        default: throw Trouble("unknown value \(json)")
        }
    }

    private static func elements(_ json: JSONValue) throws -> [JSONValue] {
        guard case .array(let elements) = json else { throw Trouble("no array: \(json)") }
        return elements
    }

    /// RFC 4648 §6, as the cases have bytes.
    private static func base32(_ text: String) -> [UInt8] {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
        var bits = 0
        var count = 0
        var bytes: [UInt8] = []
        for digit in text where digit != "=" {
            bits = (bits << 5 | (alphabet.firstIndex(of: digit) ?? 0)) & 0xFFF
            count += 5
            if count >= 8 {
                count -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> count))
            }
        }
        return bytes
    }
}

extension JSONValue {
    fileprivate var text: String? { if case .string(let text) = self { text } else { nil } }
    fileprivate var isTrue: Bool { if case .bool(true) = self { true } else { false } }
    fileprivate var texts: [String]? {
        if case .array(let elements) = self { elements.compactMap(\.text) } else { nil }
    }
}
