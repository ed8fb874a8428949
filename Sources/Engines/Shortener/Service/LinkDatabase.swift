import KernelStructures

/// A value of a column, whichever database it comes from.
enum ColumnValue: Equatable, Sendable {
    case null
    case integer(Int64)
    case text(String)

    init(_ text: String?) { self = text.map { .text($0) } ?? .null }
    init(_ number: Int?) { self = number.map { .integer(Int64($0)) } ?? .null }
    /// In milliseconds since 1970.
    init(_ time: LabTime?) { self = time.map { .integer($0.nanoseconds / 1_000_000) } ?? .null }

    var text: String? {
        switch self {
        case .null: nil
        case .integer(let number): String(number)
        case .text(let text): text
        }
    }

    var integer: Int? {
        switch self {
        case .null: nil
        case .integer(let number): Int(number)
        case .text(let text): Int(text)
        }
    }

    /// From milliseconds; times beyond what the lab can say are its last.
    var time: LabTime? {
        integer.map { milliseconds in
            let (nanoseconds, isOver) = Int64(milliseconds).multipliedReportingOverflow(by: 1_000_000)
            return isOver ? .distantFuture : LabTime(nanoseconds: nanoseconds)
        }
    }
}

/// A statement in the SQL that SQLite and PostgreSQL have in common, with `$1`, `$2` … for its values.
struct LinkStatement {
    let sql: String
    let values: [ColumnValue]

    init(_ sql: String, _ values: [ColumnValue] = []) {
        self.sql = sql
        self.values = values
    }
}

/// Why the database did not do it.
struct LinkDatabaseFailure: Error, CustomStringConvertible {
    let description: String
    /// Whether to ask again may help: the connection is gone, the disk is full.
    let isPassing: Bool
}

typealias LinkRows = [[ColumnValue]]

/// Where links are kept.
protocol LinkDatabase: AnyObject {
    /// Carries statements out together: all of them or none. What they wrote is durable when `done` is called.
    ///
    /// - Parameter done: with the rows of each statement; called once, now or later.
    func run(_ statements: [LinkStatement], _ done: @escaping (Result<[LinkRows], LinkDatabaseFailure>) -> Void)
    func close()
    /// Whether nobody else changes what is in it, so that what is not there certainly is not.
    var isExclusive: Bool { get }
}

extension LinkDatabase {
    func run(
        _ sql: String, _ values: [ColumnValue] = [], _ done: @escaping (Result<LinkRows, LinkDatabaseFailure>) -> Void
    ) {
        run([LinkStatement(sql, values)]) { result in done(result.map { $0.first ?? [] }) }
    }
}
