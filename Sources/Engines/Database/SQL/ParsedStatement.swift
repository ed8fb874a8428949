import CPgQuery
import Glibc
import KernelJSON
import KernelWire

/// One statement as PostgreSQL's own parser understands it, before anybody has looked at tables.
public struct ParsedStatement: Sendable {
    /// The text of everything that was sent together.
    let source: SourceText
    /// The statement's own part of it, without blanks around it and the semicolon behind.
    public let text: String
    let node: SyntaxNode

    /// Reads the statements of one message.
    ///
    /// - Returns: none for an empty text, or one with comments only.
    /// - Throws: `PostgresError` as PostgreSQL throws it, with the place of the first mistake; 54001 for what is
    ///   nested too deeply.
    public static func parse(_ sql: String) throws(PostgresError) -> [ParsedStatement] {
        try StatementNesting.check(sql)
        let result = pg_query_parse(sql)
        defer { pg_query_free_parse_result(result) }
        if let error = result.error { throw syntaxError(error.pointee, in: sql) }
        let bytes = UnsafeRawBufferPointer(start: result.parse_tree, count: strlen(result.parse_tree))
        let tree: JSONValue
        do throws(JSONError) {
            tree = try JSONValue(parsing: bytes, limits: limits)
        } catch {
            throw StatementNesting.tooDeep
        }
        let source = SourceText(sql)
        let whole = NegativeNumbers.mayOccur(in: sql) ? NegativeNumbers(sql).restored(tree) : tree
        return SyntaxNode(whole).list("stmts").compactMap { raw in
            guard let statement = raw["stmt"] else { return nil }
            return ParsedStatement(
                source: source,
                text: source.statement(at: raw.integer("stmt_location"), byteCount: raw.integer("stmt_len")),
                node: statement)
        }
    }

    private static let limits = JSONLimits(bytes: 1 << 30, depth: JSONLimits.deepest, values: 50_000_000)

    private static func syntaxError(_ error: PgQueryError, in sql: String) -> PostgresError {
        let message = error.message.map { String(cString: $0) } ?? "syntax error"
        if message.hasPrefix("memory exhausted") { return StatementNesting.tooDeep }
        let state: SQLState =
            message.hasPrefix("invalid byte sequence")
            ? .characterNotInRepertoire
            : message.contains("not supported") || message.contains("not implemented")
                || message.contains("not yet implemented")
                ? .featureNotSupported : .syntaxError
        return PostgresError(state, message, position: error.cursorpos > 0 ? Int(error.cursorpos) : nil)
    }
}

/// A text with places in it, which the parser counts in bytes and the protocol in characters.
struct SourceText: Sendable {
    let text: String

    init(_ text: String) { self.text = text }

    /// The place as a client is told it: in characters, from 1.
    func position(_ offset: Int?) -> Int? {
        guard let offset, offset >= 0 else { return nil }
        return text.utf8.prefix(offset).count { $0 & 0xC0 != 0x80 } + 1
    }

    /// A part without the blanks around it.
    ///
    /// - Parameter byteCount: 0 for all that is left.
    func statement(at offset: Int, byteCount: Int) -> String {
        let from = text.utf8.dropFirst(max(0, offset))
        let part = byteCount > 0 ? from.prefix(byteCount) : from
        func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 59 || (9...13).contains(byte) }
        let trimmed = part.drop(while: isBlank)
        return String(
            decoding: trimmed.prefix(trimmed.count - trimmed.reversed().prefix(while: isBlank).count), as: UTF8.self)
    }
}
