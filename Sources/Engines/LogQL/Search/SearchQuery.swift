import LogModelEngine
import TimeSeriesEngine

/// What people type who look for something: `level:error AND (service:payment OR service:billing) NOT "retry later"`.
///
/// ```
/// query = all { "OR" all }
/// all   = one { ["AND"] one }
/// one   = "NOT" one | "(" query ")" | [ field ":" ] value
/// value = word | "a phrase" | wor* | =exactly | >=500 | [500 TO 599] | * | "(" query ")"
/// ```
///
/// Words stand for whole words of the line, in any case; a phrase for words that follow one another. `field:value`
/// finds a stream's label or an entry's metadata that is exactly that value, or a member of a JSON or logfmt line that
/// has the value's words in it; of `trace_id` eight digits are enough, and by themselves they stand for it as well.
/// `a.b` is the member `b` of `a`. `*` and `?` stand for letters of one word.
struct SearchQuery: Sendable {
    let source: String
    let root: SearchExpression

    init(parsing text: String) throws(LogQLError) {
        source = text
        var parser = try SearchParser(text)
        root = try parser.parse()
    }

    /// What an index can do for it.
    var hint: LogHint { root.hint }
}

indirect enum SearchExpression: Equatable, Sendable {
    case all([SearchExpression])
    case any([SearchExpression])
    case not(SearchExpression)
    /// Somewhere in the line.
    case text(SearchText)
    /// The entry's trace begins with these hexadecimal digits, eight at least, in small letters: in its metadata, or
    /// wherever it stands.
    case identifier(String, isInLine: Bool)
    case field(String, SearchValue)
}

/// What stands in quotation marks, or is one word.
enum SearchText: Equatable, Sendable {
    /// Words that follow one another, in small letters.
    case words([[UInt8]])
    /// A word with `*` (any letters) and `?` (one letter) in it, in small letters.
    case wildcard([UInt8])
    /// What has no letter or digit in it, such as `=>`: these very bytes.
    case bytes([UInt8])

    init(_ text: String, mayBeWildcard: Bool) {
        if mayBeWildcard, text.utf8.contains(where: { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "?") }) {
            self = .wildcard(text.utf8.map(ByteSearch.lowercased))
            return
        }
        let words = text.utf8.split { !LogWords.isOfWord($0) }.map { $0.map(ByteSearch.lowercased) }
        self = words.isEmpty ? .bytes(Array(text.utf8)) : .words(words)
    }

    var hint: LogHint {
        switch self {
        case .words(let words): .all(words.map { .word(String(decoding: $0, as: UTF8.self)) })
        case .wildcard, .bytes: .anything
        }
    }
}

enum SearchValue: Equatable, Sendable {
    /// `field:value`, with the value as it was written, which a label has exactly.
    case text(String, SearchText)
    /// `field:=value`
    case exactly(String)
    /// `field:>=500`, `field:[500 TO 599]`; nil for an open end.
    case range(lower: Bound?, upper: Bound?)
    /// `field:*`
    case anything

    struct Bound: Equatable, Sendable {
        var text: String
        var isIncluded: Bool
    }
}

extension SearchExpression {
    var hint: LogHint {
        switch self {
        case .all(let parts):
            let hints = parts.map(\.hint).filter { $0 != .anything }
            return hints.isEmpty ? .anything : hints.count == 1 ? hints[0] : .all(hints)
        case .any(let parts):
            let hints = parts.map(\.hint)
            return hints.contains(.anything) ? .anything : .any(hints)
        case .not: return .anything
        case .text(let text): return text.hint
        case .identifier(_, isInLine: true): return .anything
        case .identifier(let digits, isInLine: false):
            let shown = String(digits.prefix(ShortIdentifier.digits))
            return .any([.field(ShortIdentifier.name, digits), .field(ShortIdentifier.name, shown)])
        case .field(let name, .text(let value, let text)):
            return text.hint == .anything ? .anything : .any(Self.fields(name, value) + [text.hint])
        case .field(let name, .exactly(let value)):
            let words = SearchText(value, mayBeWildcard: false).hint
            return words == .anything ? .anything : .any(Self.fields(name, value) + [words])
        case .field: return .anything
        }
    }

    /// What OpenTelemetry's collectors, and Loki after them, call a label that is `service` here.
    static func otherName(of name: String) -> String? { name == "service" ? "service_name" : nil }

    private static func fields(_ name: String, _ value: String) -> [LogHint] {
        [.field(name, value)] + (otherName(of: name).map { [.field($0, value)] } ?? [])
    }
}
