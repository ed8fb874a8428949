import KernelWire

/// Types by their names, as `CREATE TABLE`, casts and `regtype` spell them.
enum TypeNames {
    private static let aliases: [String: PostgresOID] = [
        "boolean": .bool, "smallint": .int2, "integer": .int4, "int": .int4, "bigint": .int8, "real": .float4,
        "double precision": .float8, "decimal": .numeric, "character varying": .varchar, "character": .bpchar,
        "timestamp without time zone": .timestamp, "timestamp with time zone": .timestamptz,
        "time without time zone": .time, "\"char\"": .char,
    ]

    /// The name with what narrows it: `varchar(20)`, `integer[]`, `pg_catalog.int4`.
    static func type(named text: String) -> DataType? {
        var name = text.lowercased().trimmed
        if name.hasPrefix("pg_catalog.") { name.removeFirst(11) }
        let isArray = name.hasSuffix("[]")
        if isArray { name.removeLast(2) }
        var modifiers: [Int] = []
        if name.hasSuffix(")"), let start = name.firstIndex(of: "(") {
            modifiers = name[name.index(after: start)...].dropLast().split(separator: ",").compactMap {
                Int($0.trimmed)
            }
            name = name[..<start].trimmed
        }
        guard let base = aliases[name] ?? PostgresOID.named[name] else { return nil }
        guard let modifier = try? modifier(base, modifiers) else { return nil }
        if !isArray { return DataType(base, modifier: modifier) }
        return base.array.map { DataType($0, modifier: modifier) }
    }

    /// - Throws: 22023 for a length or a precision that the type cannot have.
    static func modifier(_ type: PostgresOID, _ numbers: [Int]) throws(PostgresError) -> Int32 {
        guard let first = numbers.first else { return -1 }
        switch type {
        case .varchar, .bpchar:
            let name = type == .varchar ? "varchar" : "char"
            guard first >= 1 else {
                throw PostgresError(.invalidParameterValue, "length for type \(name) must be at least 1")
            }
            guard first <= 10_485_760 else {
                throw PostgresError(.invalidParameterValue, "length for type \(name) cannot exceed 10485760")
            }
            return Int32(first + 4)
        case .numeric:
            let scale = numbers.count > 1 ? numbers[1] : 0
            guard (1...1000).contains(first) else {
                throw PostgresError(.invalidParameterValue, "NUMERIC precision \(first) must be between 1 and 1000")
            }
            guard (-1000...1000).contains(scale) else {
                throw PostgresError(.invalidParameterValue, "NUMERIC scale \(scale) must be between -1000 and 1000")
            }
            return DataType.numericModifier(precision: first, scale: scale)
        case .timestamp, .timestamptz, .time:
            return Int32(max(0, min(6, first)))
        case .interval: return -1
        default:
            throw PostgresError(.syntaxError, "type modifier is not allowed for type \"\(type.catalogueName ?? "")\"")
        }
    }

    /// The type of a `TypeName` node, and whether it is one of the serial types, which stand for an integer with a
    /// sequence.
    static func type(_ node: SyntaxNode) throws(PostgresError) -> DataType {
        let words = node.words("names")
        let name = words.last ?? ""
        guard words.count <= 2, words.count == 1 || words[0] == Catalogue.catalogueSchema,
            let base = PostgresOID.named[name]
        else { throw PostgresError(.undefinedObject, "type \"\(words.joined(separator: "."))\" does not exist") }
        var numbers: [Int] = []
        for argument in node.list("typmods") {
            guard let value = argument["ival"]?.integer("ival") else { continue }
            numbers.append(value)
        }
        // The grammar writes the fields of an interval, and its precision, as modifiers.
        let modifier = base == .interval ? -1 : try self.modifier(base, numbers)
        guard !node.list("arrayBounds").isEmpty else { return DataType(base, modifier: modifier) }
        guard let array = base.array else {
            throw PostgresError(.featureNotSupported, "arrays of type \(base.typeName) are not supported")
        }
        return DataType(array, modifier: modifier)
    }
}
