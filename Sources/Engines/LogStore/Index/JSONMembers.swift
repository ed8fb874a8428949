import KernelJSON
import LogModelEngine

/// The members of a log line that is a JSON object, in place.
///
/// Each line that comes in is asked for three of its members, and each one that is packed for all of them. A value that
/// is built for it costs ten times what is needed; so this walks over the bytes and shows names and values where they
/// stand. It knows less than `JSONValue`, and says so: where a line is not as simple (escapes in a name or value that
/// matters), or no object at all, `JSONValue` decides.
enum JSONMembers {
    enum Kind { case text, number, other }

    private struct Member {
        let name: UnsafeRawBufferPointer
        let value: UnsafeRawBufferPointer
        let kind: Kind

        init(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ kind: Kind) {
            self.name = name
            self.value = value
            self.kind = kind
        }
    }

    /// Objects with more are left to `JSONValue`.
    private static let memberLimit = 64

    /// Calls `body` with name and value of each member of the object on top whose value is a text, a number or a word
    /// (`true`, `null`), in order.
    ///
    /// - Returns: false if the line is no JSON object.
    static func forEach(
        _ line: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer, Kind) -> Void
    ) -> Bool {
        guard let start = line.firstIndex(where: { !isBlank($0) }), line[start] == UInt8(ascii: "{") else {
            return false
        }
        let line = UnsafeRawBufferPointer(rebasing: line[start...])
        // Nothing is shown before all is known to be simple.
        let isSimple = withUnsafeTemporaryAllocation(of: Member.self, capacity: memberLimit) { members in
            var count = 0
            let isWhole = walk(line) { name, value, kind in
                if count < memberLimit { members.initializeElement(at: count, to: Member(name, value, kind)) }
                count += 1
            }
            guard isWhole, count <= memberLimit else { return false }
            for index in 0..<count { body(members[index].name, members[index].value, members[index].kind) }
            return true
        }
        if isSimple { return true }
        guard let value = try? JSONValue(parsing: line, limits: limits), case .object(let members) = value else {
            return false
        }
        for (key, value) in members {
            var name = key
            name.withUTF8 { name in
                guard case (var text, let kind)? = Self.text(of: value) else { return }
                text.withUTF8 { body(UnsafeRawBufferPointer(name), UnsafeRawBufferPointer($0), kind) }
            }
        }
        return true
    }

    /// Calls `body` with each text of a JSON line that has an escape in it, at any depth, without the escapes.
    static func forEachUnescaped(_ line: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) {
        guard line.first == UInt8(ascii: "{"), line.contains(UInt8(ascii: "\\")),
            let value = try? JSONValue(parsing: line, limits: limits)
        else { return }
        forEachText(value, body)
    }

    private static func forEachText(_ value: JSONValue, _ body: (UnsafeRawBufferPointer) -> Void) {
        switch value {
        case .string(var text): text.withUTF8 { body(UnsafeRawBufferPointer($0)) }
        case .array(let elements): for element in elements { forEachText(element, body) }
        case .object(let members):
            for (key, value) in members {
                forEachText(.string(key), body)
                forEachText(value, body)
            }
        default: break
        }
    }

    private static let limits: JSONLimits = {
        var limits = JSONLimits(bytes: 1 << 20, depth: 64, values: 100_000, duplicates: .lastWins)
        limits.keepsDecimals = true
        return limits
    }()

    private static func text(of value: JSONValue) -> (String, Kind)? {
        switch value {
        case .string(let text): (text, .text)
        case .integer, .unsigned, .number, .decimal: (value.text, .number)
        case .bool, .null: (value.text, .other)
        case .array, .object: nil
        }
    }

    /// - Returns: false where it is not sure.
    private static func walk(
        _ line: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer, Kind) -> Void
    ) -> Bool {
        var place = 1
        skipBlanks(line, &place)
        if place < line.count, line[place] == UInt8(ascii: "}") { return isAtEnd(line, place + 1) }
        while true {
            skipBlanks(line, &place)
            guard let name = text(line, &place) else { return false }
            skipBlanks(line, &place)
            guard place < line.count, line[place] == UInt8(ascii: ":") else { return false }
            place += 1
            skipBlanks(line, &place)
            guard place < line.count else { return false }
            switch line[place] {
            case UInt8(ascii: "\""):
                guard let value = text(line, &place) else { return false }
                body(name, value, .text)
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                guard skipNested(line, &place) else { return false }
            default:
                let start = place
                while place < line.count, !isEndOfWord(line[place]) { place += 1 }
                if place == start { return false }
                let first = line[start]
                let isNumber = first == UInt8(ascii: "-") || first &- 0x30 < 10
                body(name, UnsafeRawBufferPointer(rebasing: line[start..<place]), isNumber ? .number : .other)
            }
            skipBlanks(line, &place)
            guard place < line.count else { return false }
            if line[place] == UInt8(ascii: "}") { return isAtEnd(line, place + 1) }
            guard line[place] == UInt8(ascii: ",") else { return false }
            place += 1
        }
    }

    private static func isAtEnd(_ line: UnsafeRawBufferPointer, _ place: Int) -> Bool {
        var place = place
        skipBlanks(line, &place)
        return place == line.count
    }

    static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A }

    static func isEndOfWord(_ byte: UInt8) -> Bool {
        isBlank(byte) || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") || byte == UInt8(ascii: "\"")
    }

    private static func skipBlanks(_ line: UnsafeRawBufferPointer, _ place: inout Int) {
        while place < line.count, isBlank(line[place]) { place += 1 }
    }

    /// What stands between quotation marks; nil where there are none, or an escape.
    private static func text(_ line: UnsafeRawBufferPointer, _ place: inout Int) -> UnsafeRawBufferPointer? {
        guard place < line.count, line[place] == UInt8(ascii: "\"") else { return nil }
        let start = place + 1
        var end = start
        while end < line.count, line[end] != UInt8(ascii: "\"") {
            if line[end] == UInt8(ascii: "\\") || line[end] < 0x20 { return nil }
            end += 1
        }
        guard end < line.count else { return nil }
        place = end + 1
        return UnsafeRawBufferPointer(rebasing: line[start..<end])
    }

    static func skipNested(_ line: UnsafeRawBufferPointer, _ place: inout Int) -> Bool {
        var depth = 0
        while place < line.count {
            switch line[place] {
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                if depth == 0 {
                    place += 1
                    return true
                }
            case UInt8(ascii: "\""):
                place += 1
                while place < line.count, line[place] != UInt8(ascii: "\"") {
                    place += line[place] == UInt8(ascii: "\\") ? 2 : 1
                }
            default: break
            }
            place += 1
        }
        return false
    }
}
