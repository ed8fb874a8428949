import TimeSeriesEngine

/// A part of a query, and where it stands in the text.
struct Expression: Sendable {
    indirect enum Node: Sendable {
        case number(Double)
        case string(String)
        case selector(VectorSelector)
        /// A range vector, `foo[5m]`.
        case range(VectorSelector, milliseconds: Int64)
        case subquery(Subquery)
        case parentheses(Expression)
        /// A minus before something that is no number; a plus leaves nothing behind but its spelling.
        case unary(isNegative: Bool, Expression)
        case binary(Binary)
        case aggregation(Aggregation)
        case call(Call)
    }

    var node: Node
    /// In bytes of the text.
    var range: Range<Int>
    /// Levels of expressions below it, itself included: what walking over it costs of the stack.
    var depth = 1

    /// What is left when the parentheses around it are taken away.
    var unwrapped: Expression {
        var expression = self
        while case .parentheses(let inner) = expression.node { expression = inner }
        return expression
    }
}

/// When a selector or a subquery looks: `offset 5m`, `@ 1609746000`, `@ start()`.
struct TimeShift: Equatable, Sendable {
    enum Anchor: Equatable, Sendable {
        case milliseconds(Int64)
        /// The query's first and last evaluation.
        case start, end
    }

    var offsetMilliseconds: Int64 = 0
    var hasOffset = false
    var anchor: Anchor?
}

struct VectorSelector: Sendable {
    /// The name in front of the braces, empty if there is none. It is among the matchers, too.
    var name = ""
    var matchers: [LabelMatcher] = []
    var shift = TimeShift()
}

/// `expression[range:step]`
struct Subquery: Sendable {
    var inner: Expression
    var rangeMilliseconds: Int64
    /// Nil for the default.
    var stepMilliseconds: Int64?
    var shift = TimeShift()
}

enum BinaryOperator: String, Sendable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case modulo = "%"
    case power = "^"
    case atan2
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case atMost = "<="
    case greater = ">"
    case atLeast = ">="
    case and, or, unless

    var isComparison: Bool {
        switch self {
        case .equal, .notEqual, .less, .atMost, .greater, .atLeast: true
        default: false
        }
    }

    var isSetOperator: Bool { self == .and || self == .or || self == .unless }

    /// How strongly it binds; powers bind to the right, all others to the left.
    var precedence: Int {
        switch self {
        case .or: 1
        case .and, .unless: 2
        case .equal, .notEqual, .less, .atMost, .greater, .atLeast: 3
        case .add, .subtract: 4
        case .multiply, .divide, .modulo, .atan2: 5
        case .power: 6
        }
    }

    /// Whether the result is another quantity than the operands (which `atan2` forgets, as in Prometheus).
    var dropsMetricName: Bool {
        switch self {
        case .add, .subtract, .multiply, .divide, .modulo, .power: true
        default: false
        }
    }
}

/// How the series of two vectors find one another.
struct VectorMatching: Sendable {
    enum Cardinality: Sendable { case oneToOne, manyToOne, oneToMany, manyToMany }

    var cardinality = Cardinality.oneToOne
    /// `on(…)`: these labels; otherwise all but these.
    var isOn = false
    var labels: [String] = []
    /// What `group_left(…)` takes over from the side of which there is one.
    var included: [String] = []
}

struct Binary: Sendable {
    var operation: BinaryOperator
    /// Where the operator stands.
    var place: Range<Int>
    var left: Expression
    var right: Expression
    var returnsBool = false
    var matching = VectorMatching()
    /// Whether any of `on`, `ignoring`, `group_…` was written.
    var hasMatching = false
}

enum AggregationOperator: String, Sendable, CaseIterable {
    case sum, avg, count, min, max, group, stddev, stdvar, topk, bottomk, quantile
    case countValues = "count_values"

    var parameterKind: PromQLExpression.Kind? {
        switch self {
        case .topk, .bottomk, .quantile: .scalar
        case .countValues: .string
        default: nil
        }
    }
}

struct Aggregation: Sendable {
    var operation: AggregationOperator
    var parameter: Expression?
    var operand: Expression
    /// The labels of `by (…)` or `without (…)`.
    var grouping: [String] = []
    var isWithout = false
}

struct Call: Sendable {
    var function: PromQLFunction
    var arguments: [Expression]
}
