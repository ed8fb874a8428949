import KernelSQLite
import KernelWire

/// A call of one of our functions from within a statement.
struct FunctionCall {
    let arguments: SQLiteArguments
    let context: SessionContext
    let catalogue: Catalogue

    var count: Int { arguments.count }
    subscript(index: Int) -> SQLiteValue { arguments[index] }
    func integer(_ index: Int) -> Int64 { arguments.integer(index) }
    func text(_ index: Int) -> String { arguments.text(index) ?? "" }
    func isNull(_ index: Int) -> Bool { arguments.isNull(index) }
    func flag(_ index: Int) -> Bool { arguments.integer(index) != 0 }
    func type(_ index: Int) -> PostgresOID { PostgresOID(rawValue: UInt32(truncatingIfNeeded: integer(index))) }

    /// NaN is stored as a text.
    func real(_ index: Int) -> Double {
        if case .text(let text) = arguments[index] { return Double(text) ?? .nan }
        return arguments.real(index)
    }

    /// Integers are decimal numbers too.
    func decimal(_ index: Int) -> DecimalNumber { DecimalNumber(stored: text(index)) }

    /// A value as text, whatever its type is.
    func shown(_ index: Int, _ type: PostgresOID) -> String {
        DatumCoding.text(arguments[index], type: type, context, catalogue)
    }
}

typealias FunctionBody = (FunctionCall) throws -> SQLiteValue

/// What PostgreSQL's functions, casts and operators do, where SQLite's own do something else. They are called `pg_…`.
///
/// Each file has a table: *strict* functions are not called if an argument is NULL, the result is NULL then.
public enum DatabaseFunctions {
    struct Table {
        var strict: [(String, FunctionBody)] = []
        /// Called with NULL as well.
        var lenient: [(String, FunctionBody)] = []
        /// Strict or not, they give something else each time, or do something.
        var changing: [(String, FunctionBody)] = []
    }

    private static var tables: [Table] {
        [
            integers, floats, numerics, texts, patterns, times, timeParts, documents, documentChanges, arrays, casts,
            system,
            descriptions,
        ]
    }

    /// To be called once for each connection, before anything else.
    ///
    /// `SQLiteConnection.context` must be the running session's `SessionContext` while statements run.
    public static func register(on connection: SQLiteConnection, catalogue: Catalogue) throws(SQLiteError) {
        try connection.execute("PRAGMA recursive_triggers = ON")
        for table in tables {
            for (name, body) in table.strict {
                try add(name, connection, catalogue, isDeterministic: true) { call in
                    for index in 0..<call.count where call.isNull(index) { return .null }
                    return try body(call)
                }
            }
            for (name, body) in table.lenient { try add(name, connection, catalogue, isDeterministic: true, body) }
            for (name, body) in table.changing { try add(name, connection, catalogue, isDeterministic: false, body) }
        }
        try registerAggregates(on: connection, catalogue: catalogue)
        try connection.addCollation("pg_numeric") { a, b in
            DecimalNumber(stored: String(decoding: a, as: UTF8.self))
                .compare(DecimalNumber(stored: String(decoding: b, as: UTF8.self)))
        }
        for (name, order) in CollatedOrders.all { try connection.addCollation(name, order) }
        try connection.addCollation("pg_interval") { a, b in
            let first = IntervalValue(stored: String(decoding: a, as: UTF8.self))?.comparisonKey ?? 0
            let second = IntervalValue(stored: String(decoding: b, as: UTF8.self))?.comparisonKey ?? 0
            return first < second ? -1 : first > second ? 1 : 0
        }
    }

    private static func add(
        _ name: String, _ connection: SQLiteConnection, _ catalogue: Catalogue, isDeterministic: Bool,
        _ body: @escaping FunctionBody
    ) throws(SQLiteError) {
        try connection.addFunction(name, argumentCount: -1, isDeterministic: isDeterministic) {
            [unowned connection, unowned catalogue] arguments in
            guard let context = connection.context as? SessionContext else {
                throw PostgresError(.internalError, "no session is running")
            }
            return try body(FunctionCall(arguments: arguments, context: context, catalogue: catalogue))
        }
    }
}
