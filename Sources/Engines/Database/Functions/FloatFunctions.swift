import Glibc
import KernelSQLite
import KernelStructures
import KernelWire

extension DatabaseFunctions {
    /// Floating point as in C, but for overflow, which is an error. Where there is a last argument, it is the size.
    static var floats: Table {
        Table(
            strict: [
                ("pg_float_add", { try checked($0.real(0) + $0.real(1), $0, $0.integer(2)) }),
                ("pg_float_subtract", { try checked($0.real(0) - $0.real(1), $0, $0.integer(2)) }),
                ("pg_float_multiply", { try checked($0.real(0) * $0.real(1), $0, $0.integer(2)) }),
                (
                    "pg_float_divide",
                    { call in
                        guard call.real(1) != 0 || call.real(0).isNaN else { throw DecimalNumber.divisionByZero }
                        return try checked(call.real(0) / call.real(1), call, call.integer(2))
                    }
                ),
                (
                    "pg_float_power",
                    { call in
                        let (base, exponent) = (call.real(0), call.real(1))
                        if base == 0, exponent < 0 {
                            throw PostgresError("2201F", "zero raised to a negative power is undefined")
                        }
                        if base < 0, exponent.rounded() != exponent {
                            throw PostgresError(
                                "2201F", "a negative number raised to a non-integer power yields a complex result")
                        }
                        return try checked(pow(base, exponent), call, 8)
                    }
                ),
                ("pg_float_negate", { DatumCoding.real(-$0.real(0)) }),
                ("pg_float_abs", { DatumCoding.real(abs($0.real(0))) }),
                ("pg_float4", { try checked($0.real(0), $0, 4) }),
                ("pg_float_ceil", { DatumCoding.real($0.real(0).rounded(.up)) }),
                ("pg_float_floor", { DatumCoding.real($0.real(0).rounded(.down)) }),
                ("pg_float_round", { DatumCoding.real($0.real(0).rounded(.toNearestOrEven)) }),
                ("pg_float_trunc", { DatumCoding.real($0.real(0).rounded(.towardZero)) }),
                ("pg_float_sign", { DatumCoding.real($0.real(0) > 0 ? 1 : $0.real(0) < 0 ? -1 : 0) }),
                (
                    "pg_float_sqrt",
                    { call in
                        guard call.real(0) >= 0 || call.real(0).isNaN else {
                            throw PostgresError("2201F", "cannot take square root of a negative number")
                        }
                        return DatumCoding.real(call.real(0).squareRoot())
                    }
                ),
                ("pg_float_to_int", { try toInteger($0.real(0), $0.integer(1)) }),
                ("pg_exp", { try checked(exp($0.real(0)), $0, 8) }),
                ("pg_ln", { try checked(log(try positive($0)), $0, 8) }),
                ("pg_log10", { try checked(log10(try positive($0)), $0, 8) }),
                ("pg_cbrt", { DatumCoding.real(cbrt($0.real(0))) }),
                ("pg_sin", { DatumCoding.real(sin(try angle($0))) }),
                ("pg_cos", { DatumCoding.real(cos(try angle($0))) }),
                ("pg_tan", { DatumCoding.real(tan(try angle($0))) }),
                ("pg_asin", { DatumCoding.real(asin(try unit($0))) }),
                ("pg_acos", { DatumCoding.real(acos(try unit($0))) }),
                ("pg_atan", { DatumCoding.real(atan($0.real(0))) }),
                ("pg_atan2", { DatumCoding.real(atan2($0.real(0), $0.real(1))) }),
                ("pg_degrees", { try checked($0.real(0) / (.pi / 180), $0, 8) }),
                ("pg_radians", { DatumCoding.real($0.real(0) * .pi / 180) }),
                ("pg_width_bucket", { try bucket($0) }),
            ],
            changing: [
                ("pg_random", { .real(Double($0.context.random.next() >> 11) / 9_007_199_254_740_992) }),
                (
                    "pg_setseed",
                    { call in
                        guard abs(call.real(0)) <= 1 else {
                            throw PostgresError(
                                .invalidParameterValue,
                                "setseed parameter \(PostgresFloat.text(call.real(0))) is out of allowed range [-1,1]")
                        }
                        call.context.random = SeededRandom(seed: call.real(0).bitPattern)
                        return .text("")
                    }
                ),
            ])
    }

    /// - Throws: 22003 if the result is infinite and no operand is.
    private static func checked(_ value: Double, _ call: FunctionCall, _ bytes: Int64) throws(PostgresError)
        -> SQLiteValue
    {
        let result = bytes == 4 ? Double(Float(value)) : value
        if result.isInfinite, !call.real(0).isInfinite, call.count < 2 || !call.real(1).isInfinite {
            throw PostgresError(.numericValueOutOfRange, "value out of range: overflow")
        }
        return DatumCoding.real(result)
    }

    private static func toInteger(_ value: Double, _ bytes: Int64) throws(PostgresError) -> SQLiteValue {
        let rounded = value.rounded(.toNearestOrEven)
        let result: Int64? =
            switch bytes {
            case 2: Int16(exactly: rounded).map { Int64($0) }
            case 4: Int32(exactly: rounded).map { Int64($0) }
            default: Int64(exactly: rounded)
            }
        guard let result else { throw outOfRange(bytes) }
        return .integer(result)
    }

    private static func positive(_ call: FunctionCall) throws(PostgresError) -> Double {
        let value = call.real(0)
        if value == 0 { throw PostgresError("2201E", "cannot take logarithm of zero") }
        if value < 0 { throw PostgresError("2201E", "cannot take logarithm of a negative number") }
        return value
    }

    private static func angle(_ call: FunctionCall) throws(PostgresError) -> Double {
        guard !call.real(0).isInfinite else { throw PostgresError(.numericValueOutOfRange, "input is out of range") }
        return call.real(0)
    }

    private static func unit(_ call: FunctionCall) throws(PostgresError) -> Double {
        guard abs(call.real(0)) <= 1 || call.real(0).isNaN else {
            throw PostgresError(.numericValueOutOfRange, "input is out of range")
        }
        return call.real(0)
    }

    private static func bucket(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        let (value, low, high, count) = (call.real(0), call.real(1), call.real(2), call.integer(3))
        guard count > 0 else { throw PostgresError("2201G", "count must be greater than zero") }
        guard low != high else { throw PostgresError("2201G", "lower bound cannot equal upper bound") }
        let isUp = low < high
        if isUp ? value < low : value > low { return .integer(0) }
        if isUp ? value >= high : value <= high { return .integer(count + 1) }
        let place = (value - low) / (high - low) * Double(count)
        return .integer((Int64(exactly: place.rounded(.down)) ?? 0) + 1)
    }
}
