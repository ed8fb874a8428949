import KernelSQLite
import KernelWire

/// Names of things by their numbers and back: what `regclass` and its relatives show and read.
enum ObjectNames {
    static func number(
        _ text: String, type: PostgresOID, _ context: SessionContext, _ catalogue: Catalogue
    ) throws(PostgresError) -> UInt32 {
        let word = String(PostgresText.trimmed(text))
        if word == "-" { return 0 }
        if let number = UInt32(word) { return number }
        switch type {
        case .regclass:
            let parts = try identifiers(word)
            guard let name = parts.last,
                let relation = try catalogue.relation(
                    name, schema: parts.count > 1 ? context.schemaName(parts[parts.count - 2]) : nil,
                    searchPath: context.searchPath)
            else { throw PostgresError(.undefinedTable, "relation \"\(word)\" does not exist") }
            return relation.oid
        case .regtype:
            guard let type = TypeNames.type(named: word) else {
                throw PostgresError(.undefinedObject, "type \"\(word)\" does not exist")
            }
            return type.oid.rawValue
        case .regnamespace:
            guard let name = try identifiers(word).last, let schema = try catalogue.schema(name) else {
                throw PostgresError(.undefinedSchema, "schema \"\(word)\" does not exist")
            }
            return schema
        default: throw PostgresError(.undefinedFunction, "function \"\(word)\" does not exist")
        }
    }

    static func name(
        _ oid: UInt32, type: PostgresOID, _ context: SessionContext, _ catalogue: Catalogue
    ) -> String {
        if oid == 0 { return "-" }
        switch type {
        case .regclass:
            guard let relation = (try? catalogue.relation(oid)) ?? nil else { return "\(oid)" }
            return qualified(relation, context, catalogue)
        case .regtype:
            return PostgresOID(rawValue: oid).catalogueName == nil ? "\(oid)" : PostgresOID(rawValue: oid).typeName
        case .regnamespace: return (try? catalogue.schemaName(oid)).flatMap { $0 }.map(quoted) ?? "\(oid)"
        default: return "\(oid)"
        }
    }

    /// With its schema where the name alone would lead elsewhere.
    static func qualified(_ relation: Relation, _ context: SessionContext, _ catalogue: Catalogue) -> String {
        let found = (try? catalogue.relation(relation.name, schema: nil, searchPath: context.searchPath)) ?? nil
        if found?.oid == relation.oid { return quoted(relation.name) }
        return quoted(relation.schema) + "." + quoted(relation.name)
    }

    /// `a."B c".d` as its parts; what is not in quotes is in lower case.
    static func identifiers(_ text: String) throws(PostgresError) -> [String] {
        var parts: [String] = []
        var rest = text[...]
        let invalid = PostgresError("42602", "invalid name syntax")
        while true {
            var part = ""
            if rest.first == "\"" {
                rest.removeFirst()
                while let character = rest.popFirst() {
                    guard character == "\"" else {
                        part.append(character)
                        continue
                    }
                    guard rest.first == "\"" else { break }
                    part.append(rest.removeFirst())
                }
            } else {
                let word = rest.prefix { $0 != "." }
                part = word.trimmed.lowercased()
                rest = rest.dropFirst(word.count)
            }
            guard !part.isEmpty else { throw invalid }
            parts.append(part)
            guard let next = rest.popFirst() else { return parts }
            guard next == ".", !rest.isEmpty else { throw invalid }
        }
    }

    /// In quotes where it would not be read as it is.
    static func quoted(_ name: String) -> String {
        let bytes = name.utf8
        let isPlain =
            bytes.first.map { $0 == UInt8(ascii: "_") || (97...122).contains($0) } == true
            && bytes.allSatisfy { $0 == UInt8(ascii: "_") || (97...122).contains($0) || (48...57).contains($0) }
        if isPlain, !reserved.contains(name) { return name }
        return "\"" + name.replacing("\"", with: "\"\"") + "\""
    }

    /// Words that cannot be names as they stand.
    private static let reserved: Set<String> = [
        "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization", "between",
        "bigint",
        "binary", "bit", "boolean", "both", "case", "cast", "char", "character", "check", "coalesce", "collate",
        "collation",
        "column", "concurrently", "constraint", "create", "cross", "current_catalog", "current_date", "current_role",
        "current_schema", "current_time", "current_timestamp", "current_user", "dec", "decimal", "default",
        "deferrable",
        "desc", "distinct", "do", "else", "end", "except", "exists", "extract", "false", "fetch", "float", "for",
        "foreign",
        "freeze", "from", "full", "grant", "greatest", "group", "grouping", "having", "ilike", "in", "initially",
        "inner",
        "inout", "int", "integer", "intersect", "interval", "into", "is", "isnull", "join", "lateral", "leading",
        "least",
        "left", "like", "limit", "localtime", "localtimestamp", "national", "natural", "nchar", "none", "normalize",
        "not",
        "notnull", "null", "nullif", "numeric", "offset", "on", "only", "or", "order", "out", "outer", "overlaps",
        "overlay",
        "placing", "position", "precision", "primary", "real", "references", "returning", "right", "row", "select",
        "session_user", "setof", "similar", "smallint", "some", "substring", "symmetric", "table", "tablesample",
        "then",
        "time", "timestamp", "to", "trailing", "treat", "trim", "true", "union", "unique", "user", "using", "values",
        "varchar", "variadic", "verbose", "when", "where", "window", "with",
    ]
}

extension SessionContext {
    /// With the user's own schema by its name, and the session's temporary tables before all.
    var searchPath: [String] {
        let named = settings.searchPath.map { $0 == "$user" ? user : $0 }
        return temporarySchema.map { [$0] + named } ?? named
    }
}

extension SQLState {
    static let undefinedSchema: SQLState = "3F000"
}
