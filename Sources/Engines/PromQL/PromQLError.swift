import TimeSeriesEngine

/// Why a query has no answer.
public struct PromQLError: Error, Equatable, Sendable, CustomStringConvertible {
    /// As the HTTP API of Prometheus calls it in `errorType`.
    public enum Kind: String, Sendable {
        /// The text of the query, or a parameter of it, is wrong.
        case badData = "bad_data"
        /// It could not be carried out over these series.
        case execution
        /// It took longer than it may.
        case timeout
        case canceled
    }

    public let kind: Kind
    /// In Prometheus's words where it has some: `unclosed left parenthesis`.
    public let message: String
    /// Where in the text, in bytes; nil if no single place is to blame.
    public let range: Range<Int>?
    /// Line and column of that place, from 1.
    public let position: Position?

    public struct Position: Equatable, Sendable {
        public let line: Int
        public let column: Int
    }

    /// `1:8: parse error: unclosed left parenthesis`
    public var description: String {
        position.map { "\($0.line):\($0.column): parse error: \(message)" } ?? message
    }

    init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
        range = nil
        position = nil
    }

    /// An error of the text `text` at `range` of its bytes.
    init(parsing text: [UInt8], at range: Range<Int>, _ message: String) {
        kind = .badData
        self.message = message
        self.range = range
        let before = text.prefix(max(0, range.lowerBound))
        let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        position = Position(
            line: before.count { $0 == UInt8(ascii: "\n") } + 1, column: before.count - lineStart + 1)
    }

    /// What is selected cannot be read.
    public init(_ error: QueryableError) { self.init(.execution, error.description) }

    static func execution(_ message: String) -> PromQLError { PromQLError(.execution, message) }

    static let sameLabels = execution("vector cannot contain metrics with the same labelset")
    static let tooManySamples = execution(
        "query processing would load too many samples into memory in query execution")
    /// What `QueryLimits.isExpired` ends a query with.
    public static let timedOut = PromQLError(.timeout, "query timed out in expression evaluation")
}
