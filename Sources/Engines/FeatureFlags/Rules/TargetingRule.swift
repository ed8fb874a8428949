/// Who is meant, in words: `user.country == "US" and not (user.beta or user.age < 18)`.
///
/// ```
/// rule       = all *( ("or" / "||") all )
/// all        = one *( ("and" / "&&") one )
/// one        = ("not" / "!") one / "(" rule ")" / comparison
/// comparison = field                                             ; it is "true"
///            / field ("==" / "!=") value
///            / field ("<" / "<=" / ">" / ">=") (number / version / time)
///            / field ["not"] "in" "[" value *( "," value ) "]"
///            / field ("contains" / "startsWith" / "endsWith" / "matches") text
///            / field ("before" / "after") time
///            / field "within" text                               ; a network: "10.0.0.0/8"
/// field      = name *( "." name )                                ; user.id, user.ip, user.country, environment …
/// value      = text / number / "true" / "false"
/// text       = '"' *char '"' / "'" *char "'"                     ; \" \' \\ \n \t
/// ```
///
/// A version is a text such as `"1.2.3"`, a time one such as `"2023-12-20T15:00:00Z"`: which of them is meant shows
/// from the text itself. A field that somebody does not have meets no comparison, so `not user.beta` is true for those
/// of whom nothing is known.
///
/// Unleash knows no *or* and no parentheses: a strategy's constraints must all be met, and several strategies are the
/// only *or*. So a rule is turned inside out into a sum of products (`strategies`), as De Morgan and every student of
/// logic does it, and every client of Unleash can evaluate it.
public indirect enum TargetingRule: Equatable, Sendable {
    case constraint(FlagConstraint)
    case not(TargetingRule)
    case all([TargetingRule])
    case any([TargetingRule])

    /// - Throws: `TargetingRuleError` with the place of the mistake.
    public init(parsing text: String) throws(TargetingRuleError) {
        var parser = try TargetingRuleParser(text)
        self = try parser.rule()
    }

    /// What it means for one person, without any detour: the reference for `strategies`.
    func holds(_ isMet: (FlagConstraint) -> Bool) -> Bool {
        switch self {
        case .constraint(let constraint): isMet(constraint)
        case .not(let rule): !rule.holds(isMet)
        case .all(let rules): rules.allSatisfy { $0.holds(isMet) }
        case .any(let rules): rules.contains { $0.holds(isMet) }
        }
    }
}

extension TargetingRule: CustomStringConvertible {
    /// In one spelling, whatever was typed: `country == "US" and not (beta == "true" or age < 18)`.
    public var description: String { text(within: nil) }

    private enum Frame { case not, all }

    private func text(within frame: Frame?) -> String {
        switch self {
        case .constraint(let constraint):
            let text = constraint.text
            return frame == .not ? "(\(text))" : text
        case .not(let rule): return "not " + rule.text(within: .not)
        case .all(let rules):
            let text = rules.map { $0.text(within: .all) }.joined(separator: " and ")
            return frame == .not ? "(\(text))" : text
        case .any(let rules):
            let text = rules.map { $0.text(within: nil) }.joined(separator: " or ")
            return frame == nil ? text : "(\(text))"
        }
    }
}

/// Why a text is no rule, and where.
public struct TargetingRuleError: Error, Equatable, Sendable, CustomStringConvertible {
    public let rule: String
    /// What is wrong, and what would have been right.
    public let problem: String
    /// From 1, in characters; nil for what is wrong with the whole of it.
    public let character: Int?

    public var description: String {
        character.map { "rule, character \($0): \(problem)" } ?? "rule: \(problem)"
    }

    /// For a terminal: the rule, and a mark below the place. Empty where there is no place, or no line.
    public var picture: String {
        guard let character, !rule.contains(where: \.isNewline) else { return "" }
        return "  \(rule)\n  \(String(repeating: " ", count: character - 1))^"
    }
}
