import KernelHosting
import KernelWire

/// What a statement has given, read by column. Whatever a row lacks reads as nothing: the tables are the service's own,
/// and a hand that has changed them must not bring it down.
public struct ShopRow: Sendable {
    private let texts: [String?]

    public init(_ texts: [String?]) { self.texts = texts }

    public func text(_ column: Int) -> String { optional(column) ?? "" }
    public func optional(_ column: Int) -> String? { texts.indices.contains(column) ? texts[column] : nil }
    /// Within ±2^53, so that a few of them can be added up.
    public func number(_ column: Int) -> Int { min(max(Int(text(column)) ?? 0, -1 << 53), 1 << 53) }
}

extension Array where Element == PostgresResult {
    public var shopRows: [ShopRow] { last?.texts.map { ShopRow($0) } ?? [] }
}

extension PostgresValue {
    public static func number(_ number: Int) -> PostgresValue { .int8(Int64(number)) }
}

/// One statement of a transaction.
public struct ShopStatement: Sendable {
    public let sql: String
    public let parameters: [PostgresValue?]
    /// Rows that it must have changed; otherwise somebody else was faster, and the transaction fails with `conflict`.
    public var expected: Int?

    public init(_ sql: String, _ parameters: [PostgresValue?] = [], expected: Int? = nil) {
        self.sql = sql
        self.parameters = parameters
        self.expected = expected
    }

    /// What is wrong with its answer; nil if nothing is.
    func failure(_ result: Result<[PostgresResult], PostgresFailure>) -> ShopStoreFailure? {
        switch result {
        case .failure(let failure): return ShopStoreFailure(failure)
        case .success(let results):
            guard let expected, results.last?.affectedCount != expected else { return nil }
            return .conflict
        }
    }
}

/// Why something was not stored.
public enum ShopStoreFailure: Error, Sendable, CustomStringConvertible {
    /// Somebody else has written meanwhile: read again, decide again.
    case conflict
    case database(PostgresFailure)

    public var description: String {
        switch self {
        case .conflict: "somebody else was faster"
        case .database(let failure): "\(failure)"
        }
    }

    public init(_ failure: PostgresFailure) {
        self = failure.sqlState == .uniqueViolation ? .conflict : .database(failure)
    }
}
