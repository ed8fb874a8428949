import KernelWire

/// A function as `pg_proc` would list it, and what SQLite is to call for it.
struct FunctionSignature: Sendable {
    enum Kind: Sendable { case scalar, aggregate, window, rows }

    let name: String
    let arguments: [PostgresOID]
    /// Whether the last argument may come any number of times.
    let isVariadic: Bool
    let result: PostgresOID
    /// A name, or SQL with `$1`, `$2` … for the arguments.
    let sql: String
    let kind: Kind
    /// Whether each call may give something else, or changes something.
    let isVolatile: Bool

    /// Stands for any type; for one and the same; for an array of that.
    static let any: PostgresOID = 2276
    static let anyElement: PostgresOID = 2283
    static let anyArray: PostgresOID = 2277

    /// Reads `name(type, …) result [= sql]`. `!` before the name is for what changes something, `...` behind the last
    /// type for a variadic function.
    init(_ line: Substring, _ kind: Kind) {
        let parts = line.split(separator: "=", maxSplits: 1)
        let signature = parts[0]
        let open = signature.firstIndex(of: "(")!
        let close = signature.firstIndex(of: ")")!
        let word = signature[..<open].trimmed
        isVolatile = word.hasPrefix("!")
        name = isVolatile ? String(word.dropFirst()) : word
        var types = signature[signature.index(after: open)..<close].split(separator: ",").map(\.trimmed)
        isVariadic = types.last?.hasSuffix("...") == true
        if isVariadic { types[types.count - 1] = String(types[types.count - 1].dropLast(3)) }
        arguments = types.map(Self.type)
        result = Self.type(signature[signature.index(after: close)...].trimmed)
        sql = parts.count > 1 ? parts[1].trimmed : "pg_" + name
        self.kind = kind
    }

    private static func type(_ name: String) -> PostgresOID {
        switch name {
        case "any": any
        case "anyelement": anyElement
        case "anyarray": anyArray
        default: PostgresOID.named[name] ?? .text
        }
    }

    /// What SQLite is to be given.
    func call(_ arguments: [String]) -> String {
        // A literal, such as NULL, is the same whatever the arguments are.
        if !sql.contains("$"), !sql.contains("("), sql.utf8.first.map({ (97...122).contains($0) }) == true {
            return "\(sql)(\(arguments.joined(separator: ", ")))"
        }
        var text = sql
        for (index, argument) in arguments.enumerated().reversed() {
            text = text.replacing("$\(index + 1)", with: argument)
        }
        return text
    }
}

/// All functions, by name.
enum FunctionTable {
    static let all: [String: [FunctionSignature]] = {
        var result: [String: [FunctionSignature]] = [:]
        let parts: [(String, FunctionSignature.Kind)] = [
            (numbers, .scalar), (texts, .scalar), (times, .scalar), (documents, .scalar), (arrays, .scalar),
            (system, .scalar), (catalogue, .scalar), (aggregates, .aggregate), (windows, .window), (rows, .rows),
        ]
        for (text, kind) in parts {
            for line in text.split(separator: "\n") {
                let signature = FunctionSignature(line, kind)
                result[signature.name, default: []].append(signature)
            }
        }
        return result
    }()
}
