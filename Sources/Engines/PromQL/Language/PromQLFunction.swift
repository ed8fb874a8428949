/// The functions of Prometheus 2.42, with what they take and give.
struct PromQLFunction: Sendable {
    typealias Kind = PromQLExpression.Kind

    let name: String
    let argumentKinds: [Kind]
    /// How many of the last arguments may be left out; below 0 the last one may be repeated or left out.
    let optionalArguments: Int
    let kind: Kind
    let body: Body

    /// What has to be done, by the shape of what it works on.
    enum Body: Sendable {
        /// Sample by sample.
        case element(ElementFunction)
        /// The samples of a range to one.
        case range(RangeFunction)
        case special(Special)
    }

    enum Special: Sendable {
        case absent, absentOverTime, histogramQuantile, histogramFraction, labelJoin, labelReplace, pi, scalar, sort
        case sortDescending, time, timestamp, vector
    }

    /// Whether the result depends on when it is evaluated even if its arguments do not.
    var dependsOnTime: Bool {
        switch body {
        case .element(let function): function.isCalendar
        case .range(let function): function == .predictLinear
        case .special(let special): special == .time || special == .timestamp
        }
    }

    static let named: [String: PromQLFunction] = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    private static let all: [PromQLFunction] = elements + ranges + specials

    private static let elements = ElementFunction.allCases.map { function in
        let (kinds, optional): ([Kind], Int) =
            switch function {
            case .clamp: ([.vector, .scalar, .scalar], 0)
            case .clampMax, .clampMin: ([.vector, .scalar], 0)
            case .round: ([.vector, .scalar], 1)
            case _ where function.isCalendar: ([.vector], 1)
            default: ([.vector], 0)
            }
        return PromQLFunction(
            name: function.rawValue, argumentKinds: kinds, optionalArguments: optional, kind: .vector,
            body: .element(function))
    }

    private static let ranges = RangeFunction.allCases.map { function in
        let kinds: [Kind] =
            switch function {
            case .holtWinters: [.matrix, .scalar, .scalar]
            case .predictLinear: [.matrix, .scalar]
            case .quantileOverTime: [.scalar, .matrix]
            default: [.matrix]
            }
        return PromQLFunction(
            name: function.rawValue, argumentKinds: kinds, optionalArguments: 0, kind: .vector, body: .range(function))
    }

    private static let specials: [PromQLFunction] = [
        special("absent", [.vector], .absent), special("absent_over_time", [.matrix], .absentOverTime),
        special("histogram_fraction", [.scalar, .scalar, .vector], .histogramFraction),
        special("histogram_quantile", [.scalar, .vector], .histogramQuantile),
        special("label_join", [.vector, .string, .string, .string], optional: -1, .labelJoin),
        special("label_replace", [.vector, .string, .string, .string, .string], .labelReplace),
        special("pi", [], kind: .scalar, .pi), special("scalar", [.vector], kind: .scalar, .scalar),
        special("sort", [.vector], .sort), special("sort_desc", [.vector], .sortDescending),
        special("time", [], kind: .scalar, .time), special("timestamp", [.vector], .timestamp),
        special("vector", [.scalar], .vector),
    ]

    private static func special(
        _ name: String, _ kinds: [Kind], optional: Int = 0, kind: Kind = .vector, _ special: Special
    ) -> PromQLFunction {
        PromQLFunction(
            name: name, argumentKinds: kinds, optionalArguments: optional, kind: kind, body: .special(special))
    }
}

/// Functions of one sample, and of numbers beside it.
enum ElementFunction: String, Sendable, CaseIterable {
    case abs, acos, acosh, asin, asinh, atan, atanh, ceil, clamp, cos, cosh, deg, exp, floor, ln, log10, log2, rad
    case round, sgn, sin, sinh, sqrt, tan, tanh, hour, minute, month, year
    case clampMax = "clamp_max"
    case clampMin = "clamp_min"
    case dayOfMonth = "day_of_month"
    case dayOfWeek = "day_of_week"
    case dayOfYear = "day_of_year"
    case daysInMonth = "days_in_month"
    case histogramCount = "histogram_count"
    case histogramSum = "histogram_sum"

    /// Without an argument they speak of the time of the evaluation.
    var isCalendar: Bool {
        switch self {
        case .hour, .minute, .month, .year, .dayOfMonth, .dayOfWeek, .dayOfYear, .daysInMonth: true
        default: false
        }
    }
}

/// Functions of the samples of a range.
enum RangeFunction: String, Sendable, CaseIterable {
    case changes, delta, deriv, idelta, increase, irate, rate, resets
    case avgOverTime = "avg_over_time"
    case countOverTime = "count_over_time"
    case holtWinters = "holt_winters"
    case lastOverTime = "last_over_time"
    case maxOverTime = "max_over_time"
    case minOverTime = "min_over_time"
    case predictLinear = "predict_linear"
    case presentOverTime = "present_over_time"
    case quantileOverTime = "quantile_over_time"
    case stddevOverTime = "stddev_over_time"
    case stdvarOverTime = "stdvar_over_time"
    case sumOverTime = "sum_over_time"

    /// Where the range stands among the arguments.
    var rangeArgument: Int { self == .quantileOverTime ? 1 : 0 }
}
