import KernelSQLite
import KernelStructures
import KernelWire

extension DatabaseFunctions {
    /// Parts of dates and times: `extract`, `date_part`, `date_trunc`, `to_char`.
    static var timeParts: Table {
        Table(strict: [
            ("pg_extract", { try decimal(TimePart.of($0.integer(1), $0.text(0), zone: nil)) }),
            (
                "pg_extract_tz",
                { call in
                    let zone = call.context.timeZone
                    return try decimal(TimePart.of(zone.local(call.integer(1)), call.text(0), zone: zone))
                }
            ),
            ("pg_extract_date", { try decimal(TimePart.ofDate($0.integer(1), $0.text(0))) }),
            ("pg_extract_time", { try decimal(TimePart.ofTime($0.integer(1), $0.text(0))) }),
            ("pg_extract_interval", { try decimal(TimePart.ofInterval(try interval($0, 1), $0.text(0))) }),
            ("pg_date_part", { try float(TimePart.of($0.integer(1), $0.text(0), zone: nil)) }),
            (
                "pg_date_part_tz",
                { call in
                    let zone = call.context.timeZone
                    return try float(TimePart.of(zone.local(call.integer(1)), call.text(0), zone: zone))
                }
            ),
            ("pg_date_part_date", { try float(TimePart.ofDate($0.integer(1), $0.text(0))) }),
            ("pg_date_part_time", { try float(TimePart.ofTime($0.integer(1), $0.text(0))) }),
            ("pg_date_part_interval", { try float(TimePart.ofInterval(try interval($0, 1), $0.text(0))) }),
            ("pg_date_trunc", { .integer(try TimePart.truncated($0.integer(1), to: $0.text(0))) }),
            (
                "pg_date_trunc_tz",
                { call in
                    let zone = call.context.timeZone
                    return .integer(zone.moment(try TimePart.truncated(zone.local(call.integer(1)), to: call.text(0))))
                }
            ),
            ("pg_interval_trunc", { .text(try TimePart.truncated(try interval($0, 1), to: $0.text(0)).stored) }),
            (
                "pg_to_char_timestamp",
                { .text(TimeFormat.text($0.integer(0), $0.text(1), $0.flag(2) ? $0.context.timeZone : nil)) }
            ),
            ("pg_to_char_number", { .text(NumberFormat.text($0.decimal(0), $0.text(1))) }),
        ])
    }

    private static func decimal(_ part: TimePart?) -> SQLiteValue {
        guard let part else { return .null }
        if let isPositive = part.isEndlesslyPositive { return .text(isPositive ? "Infinity" : "-Infinity") }
        return .text(DecimalNumber(BigInteger(Int(part.value)), scale: part.scale).text)
    }

    private static func float(_ part: TimePart?) -> SQLiteValue {
        guard let part else { return .null }
        if let isPositive = part.isEndlesslyPositive { return .real(isPositive ? .infinity : -.infinity) }
        var value = Double(part.value)
        for _ in 0..<part.scale { value /= 10 }
        return .real(value)
    }
}

/// A part of a time as a number with so many digits behind the point.
struct TimePart {
    var value: Int64
    var scale = 0
    /// Of a part of `infinity` or `-infinity` that is as endless as the whole; nil for all others.
    var isEndlesslyPositive: Bool?

    /// The parts that grow with the time, and do not begin anew.
    private static let growing: Set<String> = [
        "epoch", "julian", "year", "years", "isoyear", "decade", "decades", "century", "centuries", "millennium",
        "millennia",
    ]

    private static func endless(_ field: String, isPositive: Bool) -> TimePart? {
        growing.contains(field.lowercased()) ? TimePart(value: 0, isEndlesslyPositive: isPositive) : nil
    }

    private static let day = PostgresTimestamp.dayMicroseconds

    static func unknown(_ field: String, _ type: PostgresOID) -> PostgresError {
        PostgresError(.invalidParameterValue, "unit \"\(field)\" not recognized for type \(type.typeName)")
    }

    static func unsupported(_ field: String, _ type: PostgresOID) -> PostgresError {
        PostgresError(.featureNotSupported, "unit \"\(field)\" not supported for type \(type.typeName)")
    }

    /// - Parameter zone: where the local time is one; nil for a timestamp without.
    static func of(_ time: Int64, _ field: String, zone: TimeZoneOffset?) throws(PostgresError) -> TimePart? {
        let name = field.lowercased()
        if DatabaseFunctions.isInfinite(time) {
            // Which parts there are does not depend on the time.
            _ = try of(0, field, zone: zone)
            return endless(field, isPositive: time > 0)
        }
        let (date, clock) = DatabaseFunctions.split(time)
        if let part = ofClock(clock, name) { return part }
        if let part = ofDay(date, name) { return part }
        switch name {
        case "epoch":
            let moment = time - (zone?.microseconds ?? 0)
            let (unix, isOver) = moment.addingReportingOverflow(PostgresTimestamp.unixEpochMicroseconds)
            // The last thirty years of the calendar are beyond 64 bits, counted from 1970.
            if isOver {
                return TimePart(value: moment / 1_000_000 + PostgresTimestamp.unixEpochMicroseconds / 1_000_000)
            }
            return TimePart(value: unix, scale: 6)
        case "julian": return TimePart(value: date + 2_451_545)
        case "timezone" where zone != nil: return TimePart(value: Int64(zone?.seconds ?? 0))
        case "timezone_hour" where zone != nil: return TimePart(value: Int64((zone?.seconds ?? 0) / 3600))
        case "timezone_minute" where zone != nil: return TimePart(value: Int64((zone?.seconds ?? 0) / 60 % 60))
        default: throw unknown(field, zone == nil ? .timestamp : .timestamptz)
        }
    }

    static func ofDate(_ date: Int64, _ field: String) throws(PostgresError) -> TimePart? {
        let name = field.lowercased()
        if date == Int64(Int32.max) || date == Int64(Int32.min) {
            _ = try ofDate(0, field)
            return endless(field, isPositive: date > 0)
        }
        if let part = ofDay(date, name) { return part }
        switch name {
        case "epoch": return TimePart(value: (date + 10_957) * 86_400)
        case "julian": return TimePart(value: date + 2_451_545)
        default:
            throw ofClock(0, name) == nil ? unknown(field, .date) : unsupported(field, .date)
        }
    }

    static func ofTime(_ time: Int64, _ field: String) throws(PostgresError) -> TimePart? {
        if let part = ofClock(time, field.lowercased()) { return part }
        if field.lowercased() == "epoch" { return TimePart(value: time, scale: 6) }
        throw ofDay(0, field.lowercased()) == nil ? unknown(field, .time) : unsupported(field, .time)
    }

    static func ofInterval(_ span: IntervalValue, _ field: String) throws(PostgresError) -> TimePart? {
        let months = Int64(span.months)
        let rest = span.microseconds
        switch field.lowercased() {
        case "year", "years": return TimePart(value: months / 12)
        case "month", "months": return TimePart(value: months % 12)
        case "quarter": return TimePart(value: months % 12 / 3 + 1)
        case "decade": return TimePart(value: months / 120)
        case "century": return TimePart(value: months / 1200)
        case "millennium": return TimePart(value: months / 12_000)
        case "day", "days": return TimePart(value: Int64(span.days))
        case "hour", "hours": return TimePart(value: rest / 3_600_000_000)
        case "minute", "minutes": return TimePart(value: rest / 60_000_000 % 60)
        case "second", "seconds": return TimePart(value: rest % 60_000_000, scale: 6)
        case "millisecond", "milliseconds": return TimePart(value: rest % 60_000_000, scale: 3)
        case "microsecond", "microseconds": return TimePart(value: rest % 60_000_000)
        case "epoch":
            // A year counts 365.25 days there.
            let days = months / 12 * 36_525 + (months % 12) * 3000 + Int64(span.days) * 100
            let (whole, isOver) = days.multipliedReportingOverflow(by: day / 100)
            let (sum, isFar) = whole.addingReportingOverflow(rest)
            if isOver || isFar { return TimePart(value: days * (86_400 / 100) + rest / 1_000_000) }
            return TimePart(value: sum, scale: 6)
        default: throw unknown(field, .interval)
        }
    }

    private static func ofClock(_ clock: Int64, _ name: String) -> TimePart? {
        switch name {
        case "hour", "hours": TimePart(value: clock / 3_600_000_000)
        case "minute", "minutes": TimePart(value: clock / 60_000_000 % 60)
        case "second", "seconds": TimePart(value: clock % 60_000_000, scale: 6)
        case "millisecond", "milliseconds": TimePart(value: clock % 60_000_000, scale: 3)
        case "microsecond", "microseconds": TimePart(value: clock % 60_000_000)
        default: nil
        }
    }

    private static func ofDay(_ date: Int64, _ name: String) -> TimePart? {
        let civil = PostgresDate.civil(Int(date))
        let year = Int64(civil.year)
        let weekday = ((date + 6) % 7 + 7) % 7
        switch name {
        case "year", "years": return TimePart(value: year > 0 ? year : year - 1)
        case "month", "months": return TimePart(value: Int64(civil.month))
        case "day", "days": return TimePart(value: Int64(civil.day))
        case "quarter": return TimePart(value: Int64((civil.month - 1) / 3 + 1))
        case "dow": return TimePart(value: weekday)
        case "isodow": return TimePart(value: weekday == 0 ? 7 : weekday)
        case "doy": return TimePart(value: date - firstDay(year) + 1)
        case "week": return TimePart(value: isoWeek(date).week)
        case "isoyear": return TimePart(value: isoWeek(date).year)
        case "decade", "decades": return TimePart(value: year >= 0 ? year / 10 : -((8 - (year - 1)) / 10))
        case "century", "centuries": return TimePart(value: year > 0 ? (year + 99) / 100 : -((99 - (year - 1)) / 100))
        case "millennium", "millennia":
            return TimePart(value: year > 0 ? (year + 999) / 1000 : -((999 - (year - 1)) / 1000))
        default: return nil
        }
    }

    private static func firstDay(_ year: Int64) -> Int64 {
        Int64(PostgresDate.dayNumber(year: Int(year), month: 1, day: 1) ?? 0)
    }

    /// Week 1 has the year's first Thursday.
    static func isoWeek(_ date: Int64) -> (year: Int64, week: Int64) {
        let weekday = ((date + 6) % 7 + 7) % 7
        let thursday = date - (weekday == 0 ? 6 : weekday - 1) + 3
        let year = Int64(PostgresDate.civil(Int(thursday)).year)
        return (year, (thursday - firstDay(year)) / 7 + 1)
    }

    // MARK: date_trunc

    static func truncated(_ time: Int64, to field: String) throws(PostgresError) -> Int64 {
        if DatabaseFunctions.isInfinite(time) { return time }
        let (date, clock) = DatabaseFunctions.split(time)
        let civil = PostgresDate.civil(Int(date))
        func start(_ year: Int, _ month: Int, _ day: Int = 1) -> Int64 {
            Int64(PostgresDate.dayNumber(year: year, month: month, day: day) ?? 0) * Self.day
        }
        switch field.lowercased() {
        case "microsecond", "microseconds": return time
        case "millisecond", "milliseconds": return time - clock % 1000
        case "second", "seconds": return time - clock % 1_000_000
        case "minute", "minutes": return time - clock % 60_000_000
        case "hour", "hours": return time - clock % 3_600_000_000
        case "day", "days": return date * Self.day
        case "week", "weeks":
            let weekday = ((date + 6) % 7 + 7) % 7
            return (date - (weekday == 0 ? 6 : weekday - 1)) * Self.day
        case "month", "months": return start(civil.year, civil.month)
        case "quarter": return start(civil.year, (civil.month - 1) / 3 * 3 + 1)
        case "year", "years": return start(civil.year, 1)
        case "decade": return start(civil.year / 10 * 10, 1)
        case "century": return start((civil.year - 1) / 100 * 100 + 1, 1)
        case "millennium": return start((civil.year - 1) / 1000 * 1000 + 1, 1)
        default: throw unknown(field, .timestamp)
        }
    }

    static func truncated(_ span: IntervalValue, to field: String) throws(PostgresError) -> IntervalValue {
        var span = span
        let units: [String: Int64] = [
            "microseconds": 1, "milliseconds": 1000, "second": 1_000_000, "minute": 60_000_000, "hour": 3_600_000_000,
        ]
        if let unit = units[field.lowercased()] ?? units[String(field.lowercased().dropLast())] {
            span.microseconds -= span.microseconds % unit
            return span
        }
        span.microseconds = 0
        switch field.lowercased() {
        case "day", "days": return span
        case "month", "months": return IntervalValue(months: span.months)
        case "quarter": return IntervalValue(months: span.months / 3 * 3)
        case "year", "years": return IntervalValue(months: span.months / 12 * 12)
        case "decade": return IntervalValue(months: span.months / 120 * 120)
        case "century": return IntervalValue(months: span.months / 1200 * 1200)
        default: throw unknown(field, .interval)
        }
    }
}
