import KernelRegularExpressions

/// One condition on a label: `job="node"`, `code!~"5.."`.
///
/// A label that a series does not have has the empty value, so `job=""` finds the series without it. Expressions are
/// anchored at both ends, and take linear time whatever they say (RE2).
public struct LabelMatcher: Sendable, CustomStringConvertible {
    public enum Kind: String, Sendable {
        case equal = "="
        case notEqual = "!="
        case matches = "=~"
        case doesNotMatch = "!~"
    }

    public let name: String
    public let kind: Kind
    public let value: String
    private let expression: RegularExpression?
    /// What the expression stands for where it is no more than words with `|` between them: `a|b|c`. A store looks them
    /// up one by one instead of trying all values that there are.
    public let alternatives: [String]?

    /// - Throws: `RegularExpressionError` if the value of `=~` or `!~` is no expression.
    public init(_ name: String, _ kind: Kind, _ value: String) throws(RegularExpressionError) {
        self.name = name
        self.kind = kind
        self.value = value
        switch kind {
        case .equal, .notEqual:
            expression = nil
            alternatives = nil
        case .matches, .doesNotMatch:
            expression = try RegularExpression(value)
            alternatives = Self.words(value)
        }
    }

    public static func equal(_ name: String, _ value: String) -> LabelMatcher {
        LabelMatcher(name: name, value: value)
    }

    private init(name: String, value: String) {
        self.name = name
        kind = .equal
        self.value = value
        expression = nil
        alternatives = nil
    }

    private static func words(_ pattern: String) -> [String]? {
        let isPlain = pattern.utf8.allSatisfy { byte in
            byte >= 0x80 || (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z")
                || byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
                || "_-:/ ,=@|".utf8.contains(byte)
        }
        return isPlain ? pattern.split(separator: "|", omittingEmptySubsequences: false).map(String.init) : nil
    }

    /// Whether a label's value satisfies the condition.
    public func matches(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { matches(UnsafeRawBufferPointer($0)) }
    }

    public func matches(_ bytes: UnsafeRawBufferPointer) -> Bool {
        switch kind {
        case .equal: isValue(bytes)
        case .notEqual: !isValue(bytes)
        case .matches: matchesExpression(bytes)
        case .doesNotMatch: !matchesExpression(bytes)
        }
    }

    private func isValue(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var value = value
        return value.withUTF8 { $0.count == bytes.count && $0.elementsEqual(bytes) }
    }

    private func matchesExpression(_ bytes: UnsafeRawBufferPointer) -> Bool {
        expression?.matches(bytes, .whole) ?? false
    }

    public func matches(_ labels: Labels) -> Bool { labels.withValue(of: name) { matches($0) } }

    /// Whether series without the label satisfy it.
    public var matchesEmpty: Bool { matches(UnsafeRawBufferPointer(start: nil, count: 0)) }

    public var description: String { "\(name)\(kind.rawValue)\(Labels.quoted(value))" }
}

extension LabelMatcher: Equatable {
    public static func == (left: LabelMatcher, right: LabelMatcher) -> Bool {
        left.kind == right.kind && byteOrder(left.name, right.name) == 0 && byteOrder(left.value, right.value) == 0
    }
}
