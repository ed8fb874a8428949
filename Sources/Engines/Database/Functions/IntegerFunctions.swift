import KernelSQLite
import KernelWire

extension DatabaseFunctions {
    /// Arithmetic that knows how many bytes an integer has: the last argument.
    static var integers: Table {
        Table(strict: [
            (
                "pg_int_add",
                { call in
                    let byteCount = call.integer(call.count - 1)
                    var sum = SQLiteValue.integer(call.integer(0))
                    for index in 1..<max(1, call.count - 1) {
                        guard case .integer(let before) = sum else { break }
                        sum = try fitted(before.addingReportingOverflow(call.integer(index)), byteCount)
                    }
                    return sum
                }
            ),
            (
                "pg_int_subtract",
                { try fitted($0.integer(0).subtractingReportingOverflow($0.integer(1)), $0.integer(2)) }
            ),
            (
                "pg_int_multiply",
                { try fitted($0.integer(0).multipliedReportingOverflow(by: $0.integer(1)), $0.integer(2)) }
            ),
            (
                "pg_int_divide",
                { call in
                    guard call.integer(1) != 0 else { throw DecimalNumber.divisionByZero }
                    return try fitted(call.integer(0).dividedReportingOverflow(by: call.integer(1)), call.integer(2))
                }
            ),
            (
                "pg_int_modulo",
                { call in
                    guard call.integer(1) != 0 else { throw DecimalNumber.divisionByZero }
                    if call.integer(1) == -1 { return .integer(0) }
                    return .integer(call.integer(0) % call.integer(1))
                }
            ),
            (
                "pg_int_abs",
                {
                    try fitted(
                        ($0.integer(0) < 0
                            ? (0 as Int64).subtractingReportingOverflow($0.integer(0)) : ($0.integer(0), false)),
                        $0.integer(1))
                }
            ),
            ("pg_int_fit", { try fitted(($0.integer(0), false), $0.integer(1)) }),
            ("pg_int_shift_left", { shift($0, isLeft: true) }),
            ("pg_int_shift_right", { shift($0, isLeft: false) }),
            (
                "pg_gcd",
                { call in
                    var (a, b) = (call.integer(0).magnitude, call.integer(1).magnitude)
                    while b != 0 { (a, b) = (b, a % b) }
                    guard let result = Int64(exactly: a) else { throw outOfRange(8) }
                    return try fitted((result, false), call.integer(2))
                }
            ),
            (
                "pg_oid",
                { call in
                    let number = call.integer(0)
                    if let value = UInt32(exactly: number) { return .integer(Int64(value)) }
                    guard let value = Int32(exactly: number) else {
                        throw PostgresError(.numericValueOutOfRange, "OID out of range")
                    }
                    return .integer(Int64(UInt32(bitPattern: value)))
                }
            ),
            ("pg_oid_to_int4", { .integer(Int64(Int32(bitPattern: UInt32(truncatingIfNeeded: $0.integer(0))))) }),
            (
                "pg_to_hex",
                { call in
                    let number = call.integer(0)
                    return .text(
                        call.integer(1) == 4
                            ? String(UInt32(bitPattern: Int32(truncatingIfNeeded: number)), radix: 16)
                            : String(UInt64(bitPattern: number), radix: 16))
                }
            ),
            (
                "pg_series_goes",
                { call in
                    guard call.integer(2) != 0 else {
                        throw PostgresError(.invalidParameterValue, "step size cannot equal zero")
                    }
                    let isWithin =
                        call.integer(2) > 0 ? call.integer(0) <= call.integer(1) : call.integer(0) >= call.integer(1)
                    return .integer(isWithin ? 1 : 0)
                }
            ),
            (
                "pg_series_goes_on",
                { call in
                    // What comes next may lie beyond 64 bits: SQLite would go on with an inexact number, for ever.
                    let (next, isOver) = call.integer(0).addingReportingOverflow(call.integer(2))
                    let isWithin = call.integer(2) > 0 ? next <= call.integer(1) : next >= call.integer(1)
                    return .integer(!isOver && isWithin ? 1 : 0)
                }
            ),
            ("pg_series", { try series($0) }),
        ])
    }

    static func outOfRange(_ bytes: Int64) -> PostgresError {
        let type = bytes == 2 ? "smallint" : bytes == 4 ? "integer" : "bigint"
        return PostgresError(.numericValueOutOfRange, "\(type) out of range")
    }

    private static func fitted(
        _ result: (partialValue: Int64, overflow: Bool), _ bytes: Int64
    ) throws(PostgresError) -> SQLiteValue {
        let value = result.partialValue
        let fits =
            switch bytes {
            case 2: Int16(exactly: value) != nil
            case 4: Int32(exactly: value) != nil
            default: true
            }
        guard !result.overflow, fits else { throw outOfRange(bytes) }
        return .integer(value)
    }

    /// Only the lowest bits of the distance count, as a processor has it.
    private static func shift(_ call: FunctionCall, isLeft: Bool) -> SQLiteValue {
        let bits = call.integer(2) == 8 ? 64 : 32
        let distance = Int(truncatingIfNeeded: call.integer(1)) & (bits - 1)
        if bits == 64 { return .integer(isLeft ? call.integer(0) << distance : call.integer(0) >> distance) }
        let value = Int32(truncatingIfNeeded: call.integer(0))
        let shifted = isLeft ? value << distance : value >> distance
        return .integer(call.integer(2) == 2 ? Int64(Int16(truncatingIfNeeded: shifted)) : Int64(shifted))
    }

    private static func series(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        let step = call.count > 2 ? call.integer(2) : 1
        guard step != 0 else { throw PostgresError(.invalidParameterValue, "step size cannot equal zero") }
        var text = "["
        var value = call.integer(0)
        while step > 0 ? value <= call.integer(1) : value >= call.integer(1) {
            if text.utf8.count > 1 { text += "," }
            text += String(value)
            guard text.utf8.count < 64 << 20 else { throw PostgresError(.programLimitExceeded, "series is too long") }
            let (next, isOver) = value.addingReportingOverflow(step)
            if isOver { break }
            value = next
        }
        return .text(text + "]")
    }
}
