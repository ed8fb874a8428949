import KernelJSON
import KernelWire

/// The order of values that lie in SQLite as texts whose own order is another one: they are its collations.
enum CollatedOrders {
    typealias Order = (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Int

    /// Collations by their names.
    static var all: [(name: String, order: Order)] {
        var result: [(name: String, order: Order)] = []
        for element in PostgresOID.known.compactMap(\.element) {
            let order: Order = { a, b in compare(a, b) { compareArrays($0, $1, element) } }
            result.append((name: arrayName(element), order: order))
        }
        let documents: Order = { a, b in
            compare(a, b) { first, second in
                guard let x = try? JSONText.parse(first), let y = try? JSONText.parse(second) else { return nil }
                return compareDocuments(x, y)
            }
        }
        result.append((name: "pg_jsonb", order: documents))
        return result
    }

    static func arrayName(_ element: PostgresOID) -> String { "pg_array_\(element.rawValue)" }

    /// - Parameter body: nil for what is none of the type's values; then their bytes decide.
    private static func compare(
        _ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer, _ body: (String, String) -> Int?
    ) -> Int {
        if a.elementsEqual(b) { return 0 }
        if let order = body(String(decoding: a, as: UTF8.self), String(decoding: b, as: UTF8.self)) { return order }
        return a.lexicographicallyPrecedes(b) ? -1 : 1
    }

    /// Element by element, NULL last; of two that begin alike the shorter one comes first.
    private static func compareArrays(_ a: String, _ b: String, _ element: PostgresOID) -> Int? {
        guard let first = try? ArrayItems.stored(a, element), let second = try? ArrayItems.stored(b, element) else {
            return nil
        }
        for (x, y) in zip(first, second) {
            let order = DatumOrder.compare(x, y, element)
            if order != 0 { return order }
        }
        return first.count - second.count
    }

    // MARK: jsonb (PostgreSQL 15, section 8.14.4)

    /// What comes first, whatever it holds.
    private static func rank(_ value: JSONValue) -> Int {
        switch value {
        case .null: 0
        case .string: 1
        case .integer, .unsigned, .number, .decimal: 2
        case .bool: 3
        case .array: 4
        case .object: 5
        }
    }

    /// - Parameter isWhole: for historical reasons an empty array that is the whole document comes first of all.
    static func compareDocuments(_ a: JSONValue, _ b: JSONValue, isWhole: Bool = true) -> Int {
        switch (a, b) {
        case (.array(let x), .array(let y)):
            if x.count != y.count { return x.count - y.count }
            for (first, second) in zip(x, y) {
                let order = compareDocuments(first, second, isWhole: false)
                if order != 0 { return order }
            }
            return 0
        case (.object(let x), .object(let y)): return compareMembers(JSONText.sorted(x), JSONText.sorted(y))
        case (.string(let x), .string(let y)): return compareTexts(x, y)
        case (.bool(let x), .bool(let y)): return x == y ? 0 : x ? 1 : -1
        case (.array(let items), _) where isWhole && items.isEmpty: return -1
        case (_, .array(let items)) where isWhole && items.isEmpty: return 1
        default: break
        }
        if rank(a) == 2, rank(b) == 2 {
            return DecimalNumber(stored: a.text).compare(DecimalNumber(stored: b.text))
        }
        return rank(a) - rank(b)
    }

    private static func compareMembers(
        _ a: [(key: String, value: JSONValue)], _ b: [(key: String, value: JSONValue)]
    ) -> Int {
        if a.count != b.count { return a.count - b.count }
        for (first, second) in zip(a, b) {
            let names = compareTexts(first.key, second.key)
            if names != 0 { return names }
            let order = compareDocuments(first.value, second.value, isWhole: false)
            if order != 0 { return order }
        }
        return 0
    }

    private static func compareTexts(_ a: String, _ b: String) -> Int {
        a.utf8.elementsEqual(b.utf8) ? 0 : a.utf8.lexicographicallyPrecedes(b.utf8) ? -1 : 1
    }
}
