import KernelStructures

/// Queries by chance over the series of `OracleData`: every kind of expression, most of which mean something.
struct ExpressionGrammar {
    var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    private mutating func one<T>(of items: [T]) -> T { items[random.below(items.count)] }
    private mutating func chance(_ percent: Int) -> Bool { random.below(100) < percent }

    mutating func query() -> String {
        switch random.below(12) {
        case 0: scalar(3)
        default: vector(1 + random.below(4))
        }
    }

    private mutating func duration() -> String { one(of: ["30s", "1m", "90s", "2m", "5m", "7m30s", "15m", "1h"]) }

    private mutating func shift() -> String {
        var text = ""
        if chance(8) { text += one(of: [" @ 1700001000", " @ start()", " @ end()", " @ 1700002345.678"]) }
        if chance(12) { text += one(of: [" offset 1m", " offset -2m", " offset 10m", " offset 33s"]) }
        return text
    }

    private mutating func matchers() -> String {
        switch random.below(9) {
        case 0: #"{job="api"}"#
        case 1: #"{job=~"a.*"}"#
        case 2: #"{job!="api"}"#
        case 3: #"{instance=~"[012]"}"#
        case 4: #"{instance!~"1|2",job=~"api|db"}"#
        case 5: #"{zone=""}"#
        default: ""
        }
    }

    private mutating func name() -> String {
        one(of: [
            "requests_total", "requests_total", "errors_total", "temperature", "temperature", "memory", "flaky", "odd",
        ])
    }

    mutating func selector() -> String {
        if chance(3) { return #"{__name__=~"requests_total|errors_total",job="api"}"# + shift() }
        return name() + matchers() + shift()
    }

    mutating func range(_ depth: Int) -> String {
        if depth > 0, chance(20) {
            let step = one(of: ["", "", "30s", "1m", "47s"])
            let inner = vector(depth - 1)
            let isPlain = inner.utf8.allSatisfy { $0 == UInt8(ascii: "_") || $0 | 0x20 >= 97 && $0 | 0x20 <= 122 }
            return (isPlain ? inner : "(\(inner))") + "[\(one(of: ["5m", "10m", "20m"])):\(step)]" + shift()
        }
        return name() + matchers() + "[\(duration())]" + shift()
    }

    mutating func number() -> String {
        one(of: ["0", "1", "2", "-1", "0.5", "100", "1e3", "-0.1", "3.7", "NaN", "Inf", "-Inf", "0.9", "5"])
    }

    mutating func scalar(_ depth: Int) -> String {
        if depth <= 0 { return chance(70) ? number() : one(of: ["time()", "pi()"]) }
        switch random.below(6) {
        case 0: return "scalar(\(vector(depth - 1)))"
        case 1: return "-(\(scalar(depth - 1)))"
        case 2:
            return "(\(scalar(depth - 1)) \(one(of: ["+", "-", "*", "/", "%", "^", "atan2"])) \(scalar(depth - 1)))"
        case 3:
            return "(\(scalar(depth - 1)) \(one(of: ["==", "!=", "<", "<=", ">", ">="])) bool \(scalar(depth - 1)))"
        default: return number()
        }
    }

    mutating func vector(_ depth: Int) -> String {
        if depth <= 0 { return selector() }
        switch random.below(20) {
        case 0, 1, 2, 3: return rangeCall(depth)
        case 4, 5, 6, 7: return aggregation(depth)
        case 8, 9, 10: return binary(depth)
        case 11, 12: return elementCall(depth)
        case 13: return labelCall(depth)
        case 14: return histogram(depth)
        case 15: return one(of: ["-", "+", ""]) + "(\(vector(depth - 1)))"
        case 16:
            return one(of: [
                "absent(\(vector(depth - 1)))", "absent_over_time(\(range(depth - 1)))", "vector(\(scalar(1)))",
            ])
        case 17: return "timestamp(\(vector(depth - 1)))"
        default: return selector()
        }
    }

    private mutating func rangeCall(_ depth: Int) -> String {
        let plain = [
            "rate", "rate", "rate", "increase", "increase", "delta", "irate", "idelta", "deriv", "changes", "resets",
            "avg_over_time", "sum_over_time", "min_over_time", "max_over_time", "count_over_time", "last_over_time",
            "stddev_over_time", "stdvar_over_time", "present_over_time",
        ]
        let range = range(depth)
        switch random.below(10) {
        case 0: return "quantile_over_time(\(one(of: ["0.5", "0.99", "-1", "2", "0", "1"])), \(range))"
        // With an `@` 2.42 lets the window move on while its samples stay behind.
        case 1 where !range.contains("@"): return "predict_linear(\(range), \(one(of: ["60", "3600", "-60"])))"
        case 2: return "holt_winters(\(range), \(one(of: ["0.5", "0.1"])), \(one(of: ["0.5", "0.9", "1.5"])))"
        default: return "\(one(of: plain))(\(range))"
        }
    }

    private mutating func grouping() -> String {
        one(of: [
            " by (job)", " by (instance)", " by (job, zone)", " without (instance)", " without (job)", "", "", " by ()",
            " without ()", " by (nosuch)",
        ])
    }

    private mutating func aggregation(_ depth: Int) -> String {
        let inner = vector(depth - 1)
        switch random.below(12) {
        // Which of equal ones stays depends on their order, which Prometheus leaves to chance behind other operators.
        case 0: return "topk\(grouping()) (\(one(of: ["1", "2", "3", "0", "100", "-1"])), \(selector()))"
        case 1: return "bottomk\(grouping()) (\(one(of: ["1", "2", "5"])), rate(\(range(0))))"
        case 2: return "quantile\(grouping()) (\(one(of: ["0.5", "0.9", "0", "1", "-1", "1.5", "NaN"])), \(inner))"
        case 3: return "count_values\(grouping()) (\"\(one(of: ["value", "job", "instance"]))\", \(selector()))"
        default:
            let operation = one(of: ["sum", "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"])
            return "\(operation)\(grouping()) (\(inner))"
        }
    }

    private mutating func matching(isSet: Bool) -> String {
        var text = one(of: [
            "", "", "", " on (job, instance)", " on (instance)", " ignoring (zone)", " on (job)", " on ()",
        ])
        if !isSet, !text.isEmpty, chance(50) {
            text += one(of: [" group_left ()", " group_right ()", " group_left (zone)"])
        }
        return text
    }

    private mutating func binary(_ depth: Int) -> String {
        let left = vector(depth - 1)
        switch random.below(8) {
        case 0, 1:
            return "(\(left) \(one(of: ["and", "or", "unless"]))\(matching(isSet: true)) \(vector(depth - 1)))"
        case 2:
            return
                "(\(left) \(one(of: ["==", "!=", ">", "<", ">=", "<="]))\(one(of: ["", " bool"])) \(scalar(depth - 1)))"
        case 3:
            return "(\(scalar(depth - 1)) \(one(of: ["+", "-", "*", "/", "%", "^", "atan2", "==", ">"])) \(left))"
        case 4: return "(\(left) \(one(of: ["+", "-", "*", "/", "%", "^", "atan2"])) \(scalar(depth - 1)))"
        case 5:
            let comparison = one(of: ["==", "!=", ">", "<", ">=", "<="])
            return "(\(left) \(comparison)\(one(of: ["", " bool"]))\(matching(isSet: false)) \(vector(depth - 1)))"
        default:
            let operation = one(of: ["+", "-", "*", "/", "%", "^", "atan2"])
            return "(\(left) \(operation)\(matching(isSet: false)) \(vector(depth - 1)))"
        }
    }

    private mutating func elementCall(_ depth: Int) -> String {
        let inner = vector(depth - 1)
        switch random.below(5) {
        case 0: return "clamp(\(inner), \(number()), \(number()))"
        case 1: return "\(one(of: ["clamp_max", "clamp_min"]))(\(inner), \(scalar(1)))"
        case 2: return "round(\(inner)\(one(of: ["", ", 5", ", 0.1", ", 1e3"])))"
        default:
            return one(of: [
                "abs", "ceil", "floor", "exp", "ln", "log2", "log10", "sqrt", "sgn", "sin", "cos", "tan", "asin",
                "acos",
                "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "deg", "rad", "day_of_week", "day_of_year",
                "day_of_month", "days_in_month", "hour", "minute", "month", "year", "sort", "sort_desc",
            ]) + "(\(inner))"
        }
    }

    private mutating func labelCall(_ depth: Int) -> String {
        let inner = vector(depth - 1)
        return one(of: [
            #"label_replace(\#(inner), "new", "$1-x", "job", "(a.).*")"#,
            #"label_replace(\#(inner), "job", "", "job", ".*")"#,
            #"label_replace(\#(inner), "zone", "${1}$2", "instance", "(.)(.)?")"#,
            #"label_join(\#(inner), "new", "/", "job", "instance")"#,
            #"label_join(\#(inner), "instance", "")"#,
            #"label_replace(\#(inner), "new", "$name", "job", "(?P<name>[a-c]).*")"#,
        ])
    }

    private mutating func histogram(_ depth: Int) -> String {
        let quantile = one(of: ["0.5", "0.9", "0.99", "0", "1", "-1", "2", "NaN"])
        let by = one(of: [" by (le)", " by (job, le)", " without (instance)", ""])
        return one(of: [
            "histogram_quantile(\(quantile), sum\(by) (rate(latency_bucket[\(duration())])))",
            "histogram_quantile(\(quantile), latency_bucket\(shift()))",
            "histogram_quantile(\(quantile), rate(latency_bucket[5m]))",
        ])
    }
}
