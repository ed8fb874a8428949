import KernelSQLite
import KernelWire

/// An expression in SQLite's words, with what PostgreSQL knows about it.
struct Expression {
    var sql: String
    var type: DataType
    /// A literal, or a parameter, that nobody has said a type of.
    var open: Open?
    /// The column that it is, as it stands.
    var column: ColumnOrigin?
    var isNullable = true
    /// In the text, in bytes.
    var location: Int?
    /// The name that a result column gets from it, if it gets none by AS.
    var name = "?column?"
    /// Whether a cast around it gives the column another name: that of its type.
    var isNameWeak = true
    /// The columns of a row value, `(a, b)` or a whole row.
    var fields: [Expression] = []
    /// What it was put together from, if it is a long sum or concatenation.
    var chain: Chain?

    /// `a + b + c …`: one call with all of them, because SQLite's parser knows few levels.
    struct Chain: Equatable {
        /// What stands before, between and behind the parts.
        let words: [String]
        var parts: [String]

        /// SQLite's functions take 127 arguments at most.
        static let partLimit = 100

        var sql: String { words[0] + parts.joined(separator: words[1]) + words[2] }
    }

    enum Open: Equatable {
        case null
        case text(String)
        case parameter(Int)
    }

    @_disfavoredOverload
    init(_ sql: String, _ type: DataType, location: Int? = nil) {
        self.sql = sql
        self.type = type
        self.location = location
    }

    init(_ sql: String, _ oid: PostgresOID, location: Int? = nil) {
        self.init(sql, DataType(oid), location: location)
    }

    var oid: PostgresOID { type.oid }
    var isUnknown: Bool { type.oid == .unknown }
    var isNullLiteral: Bool { open == .null }

    /// This and another one, as a link of a chain.
    static func chained(_ left: String, of origin: Chain?, _ right: String, _ words: [String], _ type: DataType)
        -> Expression
    {
        var chain = Chain(words: words, parts: [left])
        // A conversion has made something else of it.
        if let origin, origin.words == words, origin.parts.count < Chain.partLimit, origin.sql == left {
            chain = origin
        }
        chain.parts.append(right)
        var result = Expression(chain.sql, type)
        result.chain = chain
        return result
    }

    /// With the collation that its type is compared by.
    var ordered: String { Self.ordered(sql, type) }

    static func ordered(_ sql: String, _ type: DataType) -> String {
        type.oid.collation.map { "\(sql) COLLATE \($0)" } ?? sql
    }
}

struct ColumnOrigin: Equatable {
    var table: UInt32
    var attribute: Int16
}

/// The literals of a statement: they are bound as parameters behind its own, so that statements which differ only in
/// them are one to SQLite. In definitions that stay (indexes, triggers) they are written out.
struct ConstantPool: Sendable {
    private(set) var values: [SQLiteValue] = []
    private var places: [String: Int] = [:]
    var isInline = false

    /// Stands before a constant's index until the number of parameters is known.
    static let mark: UInt8 = 1

    mutating func sql(_ value: SQLiteValue) -> String {
        if isInline { return Self.literal(value) }
        let key: String
        switch value {
        case .null: return "NULL"
        case .integer(let number): key = "i\(number)"
        case .real(let number): key = "r\(number.bitPattern)"
        case .text(let text): key = "t" + text
        case .blob: return Self.literal(value)
        }
        if let place = places[key] { return "\u{1}\(place)\u{1}" }
        places[key] = values.count
        values.append(value)
        return "\u{1}\(values.count - 1)\u{1}"
    }

    /// Constants of a statement that are bound: SQLite, as distributions build it, has 250,000 parameters at most. What
    /// is beyond stands in the text.
    private static let boundLimit = 200_000

    /// Puts numbers in the place of marks, and says which literals are used at all, in the order of their numbers.
    func resolved(_ sql: String, parameterCount: Int) -> (sql: String, used: [SQLiteValue]) {
        guard sql.utf8.contains(Self.mark) else { return (sql, []) }
        var result: [UInt8] = []
        result.reserveCapacity(sql.utf8.count)
        var used: [SQLiteValue] = []
        var numbers: [Int: Int] = [:]
        var index: Int?
        for byte in sql.utf8 {
            if byte == Self.mark {
                if let number = index {
                    if numbers[number] == nil, parameterCount + used.count < Self.boundLimit {
                        used.append(values[number])
                        numbers[number] = parameterCount + used.count
                    }
                    let text = numbers[number].map { "?\($0)" } ?? Self.literal(values[number])
                    result.append(contentsOf: text.utf8)
                    index = nil
                } else {
                    index = 0
                }
            } else if let number = index {
                index = number * 10 + Int(byte - 48)
            } else {
                result.append(byte)
            }
        }
        return (String(decoding: result, as: UTF8.self), used)
    }

    static func literal(_ value: SQLiteValue) -> String {
        switch value {
        case .null: "NULL"
        case .integer(let number): number == .min ? "(-9223372036854775807 - 1)" : String(number)
        case .real(let number):
            number.isInfinite ? (number < 0 ? "-9e999" : "9e999") : "CAST(\(quoted("\(number)")) AS REAL)"
        case .text(let text): quoted(text)
        case .blob(let bytes): "x'" + bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "'"
        }
    }

    static func quoted(_ text: String) -> String { "'" + text.replacing("'", with: "''") + "'" }
}

/// A name in SQLite's SQL.
func identifier(_ name: String) -> String { "\"" + name.replacing("\"", with: "\"\"") + "\"" }
