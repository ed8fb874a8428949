import KernelRegularExpressions
import KernelStructures

/// The types of holes: `<int>`, `<dur>` … Each knows which text it accepts.
package enum HoleType: String, Sendable, CaseIterable {
    /// Anything, also nothing.
    case any
    /// A whole number, thousands grouped or not.
    case int
    case num
    /// `5s`, `1m30s`, `12 ms`, `30 seconds`
    case dur
    /// `33.4%`
    case pct
    case id
    case hex
    /// A date with time, a time of day, or seconds to nanoseconds since 1970.
    case ts
    case ip
    case jwt
    /// The digits that `0x7A3F...` leaves out; not written as a hole.
    case hexadecimalTail = "hexadecimal-tail"

    /// Where text of this type that begins at `start` may end, longest first.
    func ends(in line: [Character], from start: Int) -> [Int] {
        switch self {
        case .any: return (start...line.count).reversed()
        case .id: return prefixes(line, start) { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-") }
        case .hexadecimalTail:
            return prefixes(line, start) { $0.isASCII && $0.isHexDigit } + [start]
        case .ip:
            return prefixes(line, start) { $0.isASCII && $0.isHexDigit || $0 == "." || $0 == ":" }
                .filter { IPAddress(parsing: String(line[start..<$0])) != nil }
        default: return matches(line, start)
        }
    }

    private func prefixes(_ line: [Character], _ start: Int, _ accepts: (Character) -> Bool) -> [Int] {
        var end = start
        while end < line.count, accepts(line[end]) { end += 1 }
        return end == start ? [] : ((start + 1)...end).reversed()
    }

    /// The longest match of the type's grammar, then every shorter beginning that is one, too.
    private func matches(_ line: [Character], _ start: Int) -> [Int] {
        guard let pattern = Self.expressions[self] else { return [] }
        let rest = String(line[start...])
        guard let range = pattern.firstRange(in: rest) else { return [] }
        let longest = String(decoding: Array(rest.utf8)[..<range.upperBound], as: UTF8.self).count
        return (1...max(1, longest)).reversed().filter { length in
            length == longest || pattern.matchesWhole(String(line[start..<(start + length)]))
        }.map { start + $0 }
    }

    /// Compiled once for all.
    private static let expressions: [HoleType: RegularExpression] = {
        var expressions: [HoleType: RegularExpression] = [:]
        for type in allCases {
            expressions[type] = type.grammar.flatMap { try? RegularExpression("^(\($0))", .extended) }
        }
        return expressions
    }()

    /// As a POSIX extended regular expression.
    private var grammar: String? {
        switch self {
        case .int: "-?([0-9]{1,3}(,[0-9]{3})+|[0-9]+)"
        case .num: "-?([0-9]{1,3}(,[0-9]{3})+|[0-9]+)([.][0-9]+)?([eE][-+]?[0-9]+)?"
        case .dur:
            "([0-9]+([.][0-9]+)? ?(ns|us|µs|μs|ms|milliseconds?|msec|seconds?|secs?|minutes?|mins?|hours?|days?|s|m|h|d))+"
        case .pct: "-?[0-9]+([.][0-9]+)? ?%"
        case .hex: "(0x)?[0-9a-fA-F]+"
        case .ts:
            "[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.,][0-9]+)?(Z|[-+][0-9]{2}:?[0-9]{2})?"
                + "|[0-9]{2}:[0-9]{2}:[0-9]{2}([.,][0-9]+)?|[0-9]{10}([.][0-9]+)?|[0-9]{13}|[0-9]{16}|[0-9]{19}"
                + "|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
        case .jwt: "eyJ[-_A-Za-z0-9]+[.][-_A-Za-z0-9]+[.][-_A-Za-z0-9]*"
        case .any, .id, .ip, .hexadecimalTail: nil
        }
    }
}
