import KernelJSON

/// Puts back what libpg_query 15 loses: it writes a whole number into the tree only if it is greater than zero, so
/// `-7` comes as `{"ival":{}}`. Most places of a tree say where they stand in the text, and the number is read there.
struct NegativeNumbers {
    private let bytes: [UInt8]

    init(_ sql: String) { bytes = Array(sql.utf8) }

    static func mayOccur(in sql: String) -> Bool { sql.utf8.contains(UInt8(ascii: "-")) }

    func restored(_ value: JSONValue) -> JSONValue {
        switch value {
        case .array(let elements): return .array(elements.map(restored))
        case .object(let members): return .object(members.map { ($0.key, restored($0.key, $0.value)) })
        default: return value
        }
    }

    private func restored(_ key: String, _ value: JSONValue) -> JSONValue {
        guard case .object(var members) = value else { return restored(value) }
        switch key {
        case "A_Const":
            guard let place = members.firstIndex(where: { $0.key == "ival" }),
                case .object(let inner) = members[place].value,
                inner.isEmpty, let number = number(from: location(value), isNext: true)
            else { return value }
            members[place].value = .object([("ival", .integer(number))])
            return .object(members)
        case "DefElem":
            guard let place = members.firstIndex(where: { $0.key == "arg" }),
                let integer = members[place].value["Integer"],
                integer["ival"] == nil, let number = number(from: location(value), isNext: false)
            else { return restored(value) }
            members[place].value = .object([("Integer", .object([("ival", .integer(number))]))])
            return .object(members)
        case "FetchStmt":
            guard value["howMany"] == nil, let number = number(from: 0, isNext: false) else { return value }
            return .object(members + [("howMany", .integer(number))])
        default: return restored(value)
        }
    }

    private func location(_ value: JSONValue) -> Int {
        guard case .integer(let place)? = value["location"] else { return 0 }
        return place
    }

    /// The number with a minus that stands at a place, or somewhere behind it, before the statement ends.
    private func number(from start: Int, isNext: Bool) -> Int? {
        var place = max(0, start)
        if !isNext {
            while place < bytes.count, bytes[place] != UInt8(ascii: "-"), bytes[place] != UInt8(ascii: ";") {
                place += 1
            }
        }
        guard place < bytes.count, bytes[place] == UInt8(ascii: "-") else { return nil }
        place += 1
        while place < bytes.count, bytes[place] == 32 || (9...13).contains(bytes[place]) { place += 1 }
        let digits = bytes[place...].prefix { (48...57).contains($0) }
        return Int("-" + String(decoding: digits, as: UTF8.self))
    }
}
