import PromQLEngine

/// Why a query has no answer.
public struct LogQLError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Kind: Equatable, Sendable {
        /// The text of the query, or a parameter of it, is wrong.
        case badRequest
        /// It would have more in it than a limit allows.
        case limit
        /// It could not be carried out over these lines.
        case execution
        /// What is stored cannot be read.
        case storage
    }

    public let kind: Kind
    /// In Loki's words where it has some.
    public let description: String
    /// Where in the text, in bytes; nil if no single place is to blame.
    public let offset: Int?

    init(_ kind: Kind, _ description: String, offset: Int? = nil) {
        self.kind = kind
        self.description = description
        self.offset = offset
    }

    /// `parse error at line 1, col 8: syntax error: unexpected $end`
    init(in text: [UInt8], at offset: Int, _ message: String) {
        let offset = max(0, min(offset, text.count))
        let before = text[..<offset]
        let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        let line = 1 + before.count { $0 == UInt8(ascii: "\n") }
        // Continuation bytes of UTF-8 begin no character.
        let column = 1 + before[lineStart...].count { $0 & 0xC0 != 0x80 }
        self.init(.badRequest, "parse error at line \(line), col \(column): \(message)", offset: offset)
    }

    /// What is wrong with the whole of a query, as Loki begins it.
    static func invalid(_ message: String) -> LogQLError { LogQLError(.badRequest, "parse error : \(message)") }

    init(_ error: PromQLError) {
        self.init(error.kind == .badData ? .badRequest : .execution, error.description)
    }
}
