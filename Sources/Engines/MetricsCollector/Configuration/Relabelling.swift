import KernelCryptography
import KernelRegularExpressions
import TimeSeriesEngine

/// One rule of relabelling (Prometheus, `relabel_config`): changes labels, or decides whether a target or a sample
/// stays.
///
/// The values of the source labels are joined; if the expression matches the whole of that, the action is done.
public struct RelabelRule: Sendable {
    public enum Action: String, Sendable, CaseIterable {
        case replace, keep, drop, keepequal, dropequal, hashmod, labelmap, labeldrop, labelkeep, lowercase, uppercase
    }

    public var action = Action.replace
    public var sourceLabels: [String] = []
    public var separator = ";"
    public var targetLabel = ""
    public var replacement = "$1"
    public var modulus: UInt64 = 0
    public var expression: RegularExpression

    /// - Throws: `RegularExpressionError`.
    public init(_ action: Action = .replace, expression: String = "(.*)") throws(RegularExpressionError) {
        self.action = action
        self.expression = try RegularExpression(expression)
    }

    /// The labels after all rules; nil if one of them drops what they belong to.
    public static func apply(_ rules: [RelabelRule], to labels: Labels) -> Labels? {
        var current = labels
        for rule in rules {
            guard let next = rule.apply(to: current) else { return nil }
            current = next
        }
        return current
    }

    private func apply(to labels: Labels) -> Labels? {
        let value = sourceLabels.map { labels[$0] }.joined(separator: separator)
        switch action {
        case .drop: return expression.matchesWhole(value) ? nil : labels
        case .keep: return expression.matchesWhole(value) ? labels : nil
        case .dropequal: return labels[targetLabel] == value ? nil : labels
        case .keepequal: return labels[targetLabel] == value ? labels : nil
        case .replace: return replace(value, in: labels)
        case .lowercase: return labels.setting(targetLabel, to: value.lowercased())
        case .uppercase: return labels.setting(targetLabel, to: value.uppercased())
        case .hashmod: return labels.setting(targetLabel, to: String(Self.hash(value) % max(1, modulus)))
        case .labelmap: return map(labels)
        case .labeldrop: return labels.filter { !expression.matches($0, .whole) }
        case .labelkeep: return labels.filter { expression.matches($0, .whole) }
        }
    }

    private func replace(_ value: String, in labels: Labels) -> Labels {
        guard let match = Self.wholeMatch(of: expression, value) else { return labels }
        let target = expand(targetLabel, match, value)
        guard Self.isLabelName(target) else { return labels }
        return labels.setting(target, to: expand(replacement, match, value))
    }

    private func map(_ labels: Labels) -> Labels {
        var result = labels
        for (name, value) in labels.pairs {
            guard let match = Self.wholeMatch(of: expression, name) else { continue }
            let target = expand(replacement, match, name)
            if !target.isEmpty { result = result.setting(target, to: value) }
        }
        return result
    }

    private static func wholeMatch(of expression: RegularExpression, _ text: String) -> RegularExpression.Match? {
        var text = text
        return text.withUTF8 { expression.firstMatch(in: UnsafeRawBufferPointer($0), .whole) }
    }

    /// The last eight bytes of MD5, as Prometheus takes them.
    private static func hash(_ text: String) -> UInt64 {
        MessageDigest.md5.digest(of: text).suffix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// `$1`, `${1}`, `${name}` as Go's `Expand` has them: a name is as long as it can be, an unknown one is nothing.
    private func expand(_ template: String, _ match: RegularExpression.Match, _ text: String) -> String {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        var rest = Substring(template).utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "$") else {
                result.append(byte)
                continue
            }
            if rest.first == UInt8(ascii: "$") {
                result.append(byte)
                rest = rest.dropFirst()
                continue
            }
            let hasBraces = rest.first == UInt8(ascii: "{")
            let body = hasBraces ? rest.dropFirst() : rest
            let name = body.prefix(while: ExpositionReader.isLabelByte)
            let after = body.dropFirst(name.count)
            guard !name.isEmpty, !hasBraces || after.first == UInt8(ascii: "}") else {
                result.append(byte)
                continue
            }
            rest = hasBraces ? after.dropFirst() : after
            let word = String(Substring(name))
            if let number = Int(word) ?? expression.groupNumber(word), let range = match[number] {
                result += bytes[range]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// Whether a text can be a label's name: letters, digits and `_`, no digit first.
    public static func isLabelName(_ text: String) -> Bool {
        guard let first = text.utf8.first, !ExpositionReader.isDigit(first) else { return false }
        return text.utf8.allSatisfy(ExpositionReader.isLabelByte)
    }
}
