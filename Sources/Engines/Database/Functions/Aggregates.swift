import KernelSQLite
import KernelWire

extension DatabaseFunctions {
    static func registerAggregates(on connection: SQLiteConnection, catalogue: Catalogue) throws(SQLiteError) {
        func add(_ name: String, _ make: @escaping () -> any SQLiteAggregate) throws(SQLiteError) {
            try connection.addAggregate(name, argumentCount: -1, make)
            try connection.addAggregate(name + "_distinct", argumentCount: -1) { DistinctRows(make()) }
        }
        try add("pg_numeric_sum") { NumericSum(isAverage: false) }
        try add("pg_numeric_avg") { NumericSum(isAverage: true) }
        try add("pg_float_sum") { FloatSum(isAverage: false) }
        try add("pg_float_avg") { FloatSum(isAverage: true) }
        try add("pg_float_variance") { FloatVariance() }
        try add("pg_numeric_variance") { NumericVariance() }
        try add("pg_interval_sum") { IntervalSum() }
        try add("pg_bit_and") { BitwiseResult(isAnd: true) }
        try add("pg_bit_or") { BitwiseResult(isAnd: false) }
        for kind in OrderedSetAggregate.Kind.allCases {
            try connection.addAggregate("pg_" + kind.rawValue, argumentCount: 4) { OrderedSetAggregate(kind) }
        }
        try registerLists(on: connection, catalogue: catalogue)
        try connection.addAggregate("pg_single", argumentCount: 1) { SingleRow() }
    }
}

/// The only row of a subquery that is a value.
private final class SingleRow: SQLiteAggregate {
    private var value: SQLiteValue?

    func step(_ arguments: SQLiteArguments) throws {
        guard value == nil else {
            throw PostgresError(.cardinalityViolation, "more than one row returned by a subquery used as an expression")
        }
        value = arguments[0]
    }

    func finish() throws -> SQLiteValue { value ?? .null }
}

/// Exact sum, or average, of decimals and integers.
private final class NumericSum: SQLiteAggregate {
    private let isAverage: Bool
    private var sum: DecimalNumber?
    private var count = 0
    /// Integers are added up apart, until that overflows.
    private var whole = 0

    init(isAverage: Bool) { self.isAverage = isAverage }

    func step(_ arguments: SQLiteArguments) throws {
        guard let text = arguments.text(0) else { return }
        count += 1
        if case .integer(let number) = arguments[0] {
            let (total, isOver) = whole.addingReportingOverflow(Int(number))
            if !isOver {
                whole = total
                return
            }
        }
        let value = DecimalNumber(stored: text)
        sum = try sum.map { known in try known + value } ?? value
    }

    func finish() throws -> SQLiteValue {
        guard count > 0 else { return .null }
        var total = DecimalNumber(whole)
        if let sum { total = try total + sum }
        return .text(isAverage ? try total.divided(by: DecimalNumber(count)).text : total.text)
    }
}

private final class FloatSum: SQLiteAggregate {
    private let isAverage: Bool
    private var sum = 0.0
    private var count = 0.0
    private var bytes: Int64 = 8

    init(isAverage: Bool) { self.isAverage = isAverage }

    func step(_ arguments: SQLiteArguments) throws {
        guard !arguments.isNull(0) else { return }
        if arguments.count > 1 { bytes = arguments.integer(1) }
        sum += Double(arguments.text(0) == "NaN" ? .nan : arguments.real(0))
        if bytes == 4 { sum = Double(Float(sum)) }
        count += 1
    }

    func finish() throws -> SQLiteValue {
        count == 0 ? .null : DatumCoding.real(isAverage ? sum / count : sum)
    }
}

/// Welford's method. The last argument's lowest bit is for a sample, the next for the square root.
private final class FloatVariance: SQLiteAggregate {
    private var count = 0.0
    private var mean = 0.0
    private var squares = 0.0
    private var mode: Int64 = 1

    func step(_ arguments: SQLiteArguments) throws {
        guard !arguments.isNull(0) else { return }
        mode = arguments.integer(1)
        count += 1
        let value = arguments.text(0) == "NaN" ? .nan : arguments.real(0)
        let delta = value - mean
        mean += delta / count
        squares += delta * (value - mean)
    }

    func finish() throws -> SQLiteValue {
        let divisor = mode & 1 == 1 ? count - 1 : count
        guard divisor > 0 else { return .null }
        let variance = squares / divisor
        return DatumCoding.real(mode & 2 == 2 ? variance.squareRoot() : variance)
    }
}

/// Exact but for the last division, as `numeric_stddev_internal` does it.
private final class NumericVariance: SQLiteAggregate {
    private var count = 0
    private var sum = DecimalNumber(0)
    private var squares = DecimalNumber(0)
    private var mode: Int64 = 1

    func step(_ arguments: SQLiteArguments) throws {
        guard let text = arguments.text(0) else { return }
        mode = arguments.integer(1)
        let value = DecimalNumber(stored: text)
        count += 1
        sum = try sum + value
        squares = try squares + (try value * value)
    }

    func finish() throws -> SQLiteValue {
        let divisor = mode & 1 == 1 ? count - 1 : count
        guard divisor > 0 else { return .null }
        let total = DecimalNumber(count)
        let dividend = try total * squares - (try sum * sum)
        if dividend.isNegative || dividend.isZero { return .text("0") }
        let whole = try total * DecimalNumber(divisor)
        let variance = try dividend.divided(by: whole)
        return .text(mode & 2 == 2 ? try variance.squareRoot(scale: variance.scale).text : variance.text)
    }
}

private final class IntervalSum: SQLiteAggregate {
    private var sum: IntervalValue?

    func step(_ arguments: SQLiteArguments) throws {
        guard let text = arguments.text(0), let value = IntervalValue(stored: text) else { return }
        sum = try sum.map { known in try known + value } ?? value
    }

    func finish() throws -> SQLiteValue { sum.map { .text($0.stored) } ?? .null }
}

private final class BitwiseResult: SQLiteAggregate {
    private let isAnd: Bool
    private var value: Int64?

    init(isAnd: Bool) { self.isAnd = isAnd }

    func step(_ arguments: SQLiteArguments) throws {
        guard !arguments.isNull(0) else { return }
        let next = arguments.integer(0)
        value = value.map { isAnd ? $0 & next : $0 | next } ?? next
    }

    func finish() throws -> SQLiteValue { value.map { .integer($0) } ?? .null }
}

/// Hands each combination of arguments on once only: `string_agg(DISTINCT x, ',')`.
final class DistinctRows: SQLiteAggregate {
    private let inner: any SQLiteAggregate
    private var seen: Set<String> = []

    init(_ inner: any SQLiteAggregate) { self.inner = inner }

    func step(_ arguments: SQLiteArguments) throws {
        let key = (0..<arguments.count).map { JSONItems.text(arguments[$0]) }.joined(separator: ",")
        guard seen.insert(key).inserted else { return }
        guard seen.count <= 10_000_000 else { throw PostgresError(.outOfMemory, "out of memory") }
        try inner.step(arguments)
    }

    func finish() throws -> SQLiteValue { try inner.finish() }
}
