import KernelSQLite
import KernelWire

extension DatabaseFunctions {
    /// Exact decimals, as texts.
    static var numerics: Table {
        func numeric(_ value: DecimalNumber) -> SQLiteValue { .text(value.text) }
        return Table(strict: [
            ("pg_numeric_add", { numeric(try $0.decimal(0) + $0.decimal(1)) }),
            (
                "pg_numeric_series_goes",
                { call in
                    let (value, stop, step) = (call.decimal(0), call.decimal(1), call.decimal(2))
                    guard [value, stop, step].allSatisfy({ $0.kind != .notANumber }) else {
                        throw PostgresError(.invalidParameterValue, "start, stop and step cannot be NaN")
                    }
                    guard !step.isZero else {
                        throw PostgresError(.invalidParameterValue, "step size cannot equal zero")
                    }
                    let order = value.compare(stop)
                    return .integer((step.isNegative ? order >= 0 : order <= 0) ? 1 : 0)
                }
            ),
            ("pg_numeric_subtract", { numeric(try $0.decimal(0) - $0.decimal(1)) }),
            ("pg_numeric_multiply", { numeric(try $0.decimal(0) * $0.decimal(1)) }),
            ("pg_numeric_divide", { numeric(try $0.decimal(0).divided(by: $0.decimal(1))) }),
            ("pg_numeric_modulo", { numeric(try $0.decimal(0).modulo($0.decimal(1))) }),
            ("pg_numeric_power", { numeric(try $0.decimal(0).power($0.decimal(1))) }),
            ("pg_numeric_negate", { numeric($0.decimal(0).negated) }),
            ("pg_numeric_abs", { numeric($0.decimal(0).isNegative ? $0.decimal(0).negated : $0.decimal(0)) }),
            ("pg_numeric_sqrt", { numeric(try $0.decimal(0).squareRoot()) }),
            ("pg_numeric_round", { numeric($0.decimal(0).rounded(to: places($0))) }),
            ("pg_numeric_trunc", { numeric($0.decimal(0).truncated(to: places($0))) }),
            (
                "pg_numeric_ceil",
                { call in
                    let value = call.decimal(0)
                    let whole = value.truncated(to: 0)
                    return numeric(whole.compare(value) < 0 ? try whole + DecimalNumber(1) : whole)
                }
            ),
            (
                "pg_numeric_floor",
                { call in
                    let value = call.decimal(0)
                    let whole = value.truncated(to: 0)
                    return numeric(whole.compare(value) > 0 ? try whole - DecimalNumber(1) : whole)
                }
            ),
            (
                "pg_numeric_div",
                { call in
                    let (a, b) = (call.decimal(0), call.decimal(1))
                    guard !b.isZero else { throw DecimalNumber.divisionByZero }
                    guard a.kind == .finite, b.kind == .finite else { return numeric(try a.divided(by: b)) }
                    let rest = try a.modulo(b)
                    return numeric(try (a - rest).divided(by: b, scale: 0))
                }
            ),
            (
                "pg_numeric_sign",
                { call in
                    let value = call.decimal(0)
                    return .text(value.kind == .notANumber ? "NaN" : value.isNegative ? "-1" : value.isZero ? "0" : "1")
                }
            ),
            ("pg_numeric_scale", { .integer(Int64($0.decimal(0).scale)) }),
            (
                "pg_numeric_trim_scale",
                { call in
                    var value = call.decimal(0)
                    while value.scale > 0, value.truncated(to: value.scale - 1).compare(value) == 0 {
                        value = value.truncated(to: value.scale - 1)
                    }
                    return numeric(value)
                }
            ),
            (
                "pg_numeric_fit",
                { numeric(try fit($0.decimal(0), precision: Int($0.integer(1)), scale: Int($0.integer(2)))) }
            ),
            ("pg_numeric_to_int", { try toInteger($0.decimal(0), $0.integer(1)) }),
            (
                "pg_numeric_to_float",
                { call in
                    let value = call.decimal(0)
                    let result = call.integer(1) == 4 ? Double(Float(value.double)) : value.double
                    guard result.isFinite || value.kind != .finite else {
                        throw PostgresError(
                            .numericValueOutOfRange,
                            "\"\(value.text)\" is out of range for type \(call.integer(1) == 4 ? "real" : "double precision")"
                        )
                    }
                    return DatumCoding.real(result)
                }
            ),
            (
                "pg_float_to_numeric",
                { call in
                    let value = call.real(0)
                    guard value.isFinite else { return .text(PostgresFloat.text(value)) }
                    // As many digits as are sure: 6 of four bytes, 15 of eight.
                    return .text(
                        try PostgresNumeric(parsing: significant(value, call.integer(1) == 4 ? 6 : 15)).description)
                }
            ),
        ])
    }

    private static func places(_ call: FunctionCall) -> Int { Int(max(-2000, min(2000, call.integer(1)))) }

    private static func fit(_ value: DecimalNumber, precision: Int, scale: Int) throws(PostgresError) -> DecimalNumber {
        guard value.kind == .finite else {
            if value.kind == .notANumber { return value }
            throw PostgresError(
                .numericValueOutOfRange, "numeric field overflow",
                detail: "A field with precision \(precision), scale \(scale) cannot hold an infinite value.")
        }
        let rounded = value.rounded(to: scale)
        let limit = DecimalNumber(BigInteger.powerOfTen(max(0, precision - scale)), scale: 0)
        let magnitude = rounded.isNegative ? rounded.negated : rounded
        let isOver =
            precision >= scale
            ? magnitude.compare(limit) >= 0
            : magnitude.compare(DecimalNumber(BigInteger(1), scale: scale - precision)) >= 0
        guard !isOver else {
            let shown = precision == scale ? "1" : "10^\(precision - scale)"
            throw PostgresError(
                .numericValueOutOfRange, "numeric field overflow",
                detail:
                    "A field with precision \(precision), scale \(scale) must round to an absolute value less than \(shown)."
            )
        }
        return rounded
    }

    private static func toInteger(_ value: DecimalNumber, _ bytes: Int64) throws(PostgresError) -> SQLiteValue {
        let type = bytes == 2 ? "smallint" : bytes == 4 ? "integer" : "bigint"
        guard value.kind == .finite else {
            let name = value.kind == .notANumber ? "NaN" : "infinity"
            throw PostgresError(.featureNotSupported, "cannot convert \(name) to \(type)")
        }
        guard let whole = value.roundedInt,
            bytes == 8 || (bytes == 4 ? Int32(exactly: whole) != nil : Int16(exactly: whole) != nil)
        else { throw outOfRange(bytes) }
        return .integer(Int64(whole))
    }

    /// `%.15g`
    private static func significant(_ value: Double, _ digits: Int) -> String {
        let exact = PostgresFloat.text(value)
        guard let number = try? PostgresNumeric(parsing: exact) else { return exact }
        let decimal = DecimalNumber(stored: number.description)
        let shown = decimal.digits.text.utf8.drop { $0 == UInt8(ascii: "-") }.drop { $0 == 48 }.count
        guard shown > digits else { return exact }
        var rounded = decimal.rounded(to: decimal.scale - (shown - digits))
        while rounded.scale > 0, rounded.truncated(to: rounded.scale - 1).compare(rounded) == 0 {
            rounded = rounded.truncated(to: rounded.scale - 1)
        }
        return rounded.text
    }
}
