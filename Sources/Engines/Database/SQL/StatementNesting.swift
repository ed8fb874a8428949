import CPgQuery
import KernelWire

/// Refuses what would be nested so deeply that walking over its tree needs more stack than there is.
///
/// `1+1+1…` is a tree as deep as it is long, and the parser's library writes trees by calling itself. A chain within
/// parentheses ends at a comma, so its tokens are an upper bound of the depth. Short texts cannot hold enough of them;
/// long ones are counted with the library's scanner, which knows what is a string and what a comment.
enum StatementNesting {
    /// A text of this many bytes has at most half as many levels.
    private static let harmlessBytes = 40_000
    private static let tokenLimit = 20_000

    static let tooDeep = PostgresError(
        .statementTooComplex, "stack depth limit exceeded",
        hint: "Write the statement with fewer nested expressions, or in several statements.")

    static func check(_ sql: String) throws(PostgresError) {
        guard sql.utf8.count > harmlessBytes else { return }
        let result = pg_query_scan(sql)
        defer { pg_query_free_scan_result(result) }
        // What cannot be scanned is refused by the parser, with the words for it.
        guard result.error == nil, let start = result.pbuf.data else { return }
        let tokens = ScannedTokens(UnsafeRawBufferPointer(start: start, count: result.pbuf.len))
        var counts = [0]
        for token in tokens {
            switch token {
            case UInt64(UInt8(ascii: "(")), UInt64(UInt8(ascii: "[")): counts.append(counts[counts.count - 1])
            case UInt64(UInt8(ascii: ")")), UInt64(UInt8(ascii: "]")): if counts.count > 1 { counts.removeLast() }
            case UInt64(UInt8(ascii: ",")): counts[counts.count - 1] = counts.count > 1 ? counts[counts.count - 2] : 0
            case UInt64(UInt8(ascii: ";")): counts = [0]
            default: break
            }
            counts[counts.count - 1] += 1
            guard counts[counts.count - 1] <= tokenLimit else { throw tooDeep }
        }
    }
}

/// The kinds of tokens in what the scanner returns: a message of Protocol Buffers with a list of messages in field 2,
/// each of which has its kind in field 4. A token of one character has that character's number.
private struct ScannedTokens: Sequence, IteratorProtocol {
    private let bytes: UnsafeRawBufferPointer
    private var place = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    private mutating func number() -> UInt64? {
        var result: UInt64 = 0
        var shift: UInt64 = 0
        while place < bytes.count, shift < 64 {
            let byte = bytes[place]
            place += 1
            result |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return result }
            shift += 7
        }
        return nil
    }

    mutating func next() -> UInt64? {
        while let key = number(), let value = number() {
            // Field 1 is the version; of field 2, `value` is the length.
            guard key == 2 << 3 | 2 else { continue }
            let end = Swift.min(bytes.count, place + Int(clamping: value))
            var kind: UInt64 = 0
            while place < end, let field = number(), let content = number() {
                if field == 4 << 3 { kind = content }
            }
            return kind
        }
        return nil
    }
}
