import Glibc

/// A POSIX regular expression, as `grep` understands it, through the C library. Matching takes no exponential time.
public final class RegularExpression {
    private var compiled = regex_t()

    public enum Dialect: Sendable {
        /// `\(`, `\|`, `\+`: what `grep` takes without a flag.
        case basic
        /// `(`, `|`, `+`: what `grep -E` takes.
        case extended
    }

    public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// - Throws: `Failure` with the C library's message for a malformed pattern.
    public init(_ pattern: String, _ dialect: Dialect = .extended, ignoringCase: Bool = false) throws(Failure) {
        var flags: Int32 = 0
        if dialect == .extended { flags |= REG_EXTENDED }
        if ignoringCase { flags |= REG_ICASE }
        let code = regcomp(&compiled, pattern, flags)
        guard code == 0 else {
            var text = [CChar](repeating: 0, count: 256)
            regerror(code, &compiled, &text, text.count)
            let message = text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
            throw Failure(description: "'\(pattern)': \(message)")
        }
    }

    deinit { regfree(&compiled) }

    /// The first match at or after a byte offset, as byte offsets of the UTF-8 text.
    public func firstMatch(in text: String, from offset: Int = 0) -> Range<Int>? {
        var match = regmatch_t()
        let found = text.withCString { start in
            regexec(&compiled, start + offset, 1, &match, offset > 0 ? REG_NOTBOL : 0) == 0
        }
        return found ? offset + Int(match.rm_so)..<offset + Int(match.rm_eo) : nil
    }

    public func matches(_ text: String) -> Bool { firstMatch(in: text) != nil }

    /// Whether the expression describes the whole of `text`.
    public func matchesWhole(_ text: String) -> Bool {
        // POSIX matches are the longest that begin first, so a whole match is found if there is one at all.
        firstMatch(in: text) == 0..<text.utf8.count
    }
}
