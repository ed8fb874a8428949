import TimeSeriesEngine

/// PromQL: questions about numbers that change with time.
///
/// ## The problem
///
/// A thousand counters tell every fifteen seconds how far they have come since their programs were started. Nobody
/// wants to know that. People ask how many requests a second there were, by which service, and how many of them were
/// slow; and the counters begin at zero again whenever a program does, come at odd moments, and end without a word.
///
/// ## An everyday picture
///
/// A room full of electricity meters, photographed every quarter of an hour. A *selector* picks photographs ("all
/// meters of the third floor, as of the last photograph before noon"); a *range* takes a stack of them ("the last
/// hour's"); `rate` lays the stack out, notices where a meter was exchanged for a new one, and estimates what passed in
/// that hour, although no photograph was taken at its first or its last second; `sum by (floor)` adds what belongs
/// together. A drawing of a day is the same question asked every minute.
///
/// ## How
///
/// `Parser` makes an `Expression` of the text and checks that its parts fit. `Evaluator` walks over it once, whatever
/// the number of moments that are asked for: each part gives a `StepMatrix`, all series at all steps, so a series is
/// looked up, read and named once for a drawing, and windows move along its samples instead of being looked for. Series
/// and samples come through `Queryable`; there is no clock here, no file, no thread.
///
/// The language is that of Prometheus 2.42: its documentation, its test files, and the program itself where they are
/// silent, decide what is right. Arithmetic with native histograms beyond their sum (difference, product and quotient
/// with a number, mean) is that of later releases, since in 2.42 it gives zeros.
///
/// ## Where it is wrong
///
/// A matrix has a place for every series at every step, also where there is nothing. A query for many series that each
/// live for a moment (one a build, say) pays for their absence; the limit on samples counts it.
public struct PromQLExpression: Sendable, CustomStringConvertible {
    /// What an expression gives.
    public enum Kind: String, Sendable {
        case scalar, vector, matrix, string

        /// As Prometheus's errors call it.
        public var documented: String {
            switch self {
            case .scalar: "scalar"
            case .vector: "instant vector"
            case .matrix: "range vector"
            case .string: "string"
            }
        }
    }

    public let kind: Kind
    let root: Expression

    /// - Throws: `PromQLError` (`badData`) with the place of what is wrong.
    public init(parsing text: String) throws(PromQLError) {
        root = try Parser.parse(text)
        kind = root.kind
    }

    /// The expression in the one form for all its spellings, on one line.
    public var description: String { root.text }

    /// As `description`, over several lines where it is long: what `format_query` answers.
    public var formatted: String { root.pretty() }

    /// The conditions of every selector in it, from left to right.
    public var selectors: [[LabelMatcher]] {
        var found: [[LabelMatcher]] = []
        root.forEachSelector { found.append($0.matchers) }
        return found
    }
}

/// A selector by itself, as `match[]` has it: `up{job=~"node.*"}`.
public enum PromQLSelector {
    /// - Throws: `PromQLError` for what is no instant selector, or has more than one.
    public static func parse(_ text: String) throws(PromQLError) -> [LabelMatcher] {
        var parser = try Parser(text)
        let expression = try parser.primary(1)
        guard parser.current.kind == .end else { throw parser.unexpected() }
        guard case .selector(let selector) = expression.node else {
            throw parser.error("unexpected expression, expected a series selector", at: expression.range)
        }
        return selector.matchers
    }
}

extension Expression {
    /// What a checked expression gives.
    var kind: PromQLExpression.Kind {
        switch node {
        case .number: .scalar
        case .string: .string
        case .selector, .aggregation: .vector
        case .range, .subquery: .matrix
        case .parentheses(let inner), .unary(_, let inner): inner.kind
        case .binary(let binary):
            binary.left.kind == .scalar && binary.right.kind == .scalar ? .scalar : .vector
        case .call(let call): call.function.kind
        }
    }

    var children: [Expression] {
        switch node {
        case .number, .string, .selector, .range: []
        case .parentheses(let inner), .unary(_, let inner): [inner]
        case .subquery(let subquery): [subquery.inner]
        case .binary(let binary): [binary.left, binary.right]
        case .aggregation(let aggregation): [aggregation.parameter, aggregation.operand].compactMap(\.self)
        case .call(let call): call.arguments
        }
    }

    func forEachSelector(_ body: (VectorSelector) -> Void) {
        switch node {
        case .selector(let selector), .range(let selector, _): body(selector)
        default: for child in children { child.forEachSelector(body) }
        }
    }
}
