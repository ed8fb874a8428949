import KernelSQLite
import KernelStructures
import KernelWire

extension DatabaseFunctions {
    private static let day = PostgresTimestamp.dayMicroseconds

    /// Dates, times and spans: calculating with them.
    static var times: Table {
        Table(
            strict: [
                ("pg_date_add", { try date($0.integer(0), plus: $0.integer(1)) }),
                (
                    "pg_date_subtract",
                    { call in
                        guard call.integer(1) != .min else { throw dateOutOfRange }
                        return try date(call.integer(0), plus: -call.integer(1))
                    }
                ),
                (
                    "pg_date_difference",
                    { call in
                        guard isFinite(call.integer(0)), isFinite(call.integer(1)) else {
                            throw PostgresError(.datetimeFieldOverflow, "cannot subtract infinite dates")
                        }
                        return .integer(call.integer(0) - call.integer(1))
                    }
                ),
                ("pg_date_to_timestamp", { .integer(try timestamp(ofDate: $0.integer(0))) }),
                (
                    "pg_timestamp_to_date",
                    { .integer(isInfinite($0.integer(0)) ? infiniteDate($0.integer(0)) : split($0.integer(0)).day) }
                ),
                ("pg_timestamp_to_time", { isInfinite($0.integer(0)) ? .null : .integer(split($0.integer(0)).time) }),
                ("pg_local_to_moment", { .integer($0.context.timeZone.moment($0.integer(0))) }),
                ("pg_moment_to_local", { .integer($0.context.timeZone.local($0.integer(0))) }),
                ("pg_zone_to_moment", { .integer(try TimeZoneOffset(posix: $0.text(0)).moment($0.integer(1))) }),
                ("pg_zone_to_local", { .integer(try TimeZoneOffset(posix: $0.text(0)).local($0.integer(1))) }),
                ("pg_timestamp_add", { .integer(try add($0.integer(0), interval($0, 1))) }),
                ("pg_timestamp_subtract", { .integer(try add($0.integer(0), interval($0, 1).negated())) }),
                ("pg_timestamptz_add", { try addLocally($0, try interval($0, 1)) }),
                ("pg_timestamptz_subtract", { try addLocally($0, try interval($0, 1).negated()) }),
                (
                    "pg_timestamp_difference",
                    { call in
                        guard !isInfinite(call.integer(0)), !isInfinite(call.integer(1)) else {
                            throw PostgresError(.datetimeFieldOverflow, "cannot subtract infinite timestamps")
                        }
                        let (rest, isOver) = call.integer(0).subtractingReportingOverflow(call.integer(1))
                        guard !isOver else { throw IntervalValue.outOfRange }
                        return .text(IntervalValue(days: Int32(rest / day), microseconds: rest % day).stored)
                    }
                ),
                ("pg_time_add", { .integer(wrapped($0.integer(0) &+ (try interval($0, 1)).microseconds % day)) }),
                ("pg_time_subtract", { .integer(wrapped($0.integer(0) &- (try interval($0, 1)).microseconds % day)) }),
                ("pg_time_difference", { .text(IntervalValue(microseconds: $0.integer(0) &- $0.integer(1)).stored) }),
                ("pg_interval_to_time", { .integer(wrapped((try interval($0, 0)).microseconds % day)) }),
                ("pg_interval_add", { .text(try (interval($0, 0) + interval($0, 1)).stored) }),
                ("pg_interval_subtract", { .text(try (interval($0, 0) + interval($0, 1).negated()).stored) }),
                ("pg_interval_negate", { .text(try interval($0, 0).negated().stored) }),
                ("pg_interval_multiply", { .text(try interval($0, 0).multiplied(by: $0.real(1)).stored) }),
                (
                    "pg_interval_divide",
                    { call in
                        guard call.real(1) != 0 else { throw DecimalNumber.divisionByZero }
                        return .text(try interval(call, 0).multiplied(by: 1 / call.real(1)).stored)
                    }
                ),
                ("pg_interval_seconds", { .real(Double(try interval($0, 0).comparisonKey) / 1e6) }),
                ("pg_interval_justify", { .text(justified(try interval($0, 0), $0.integer(1)).stored) }),
                ("pg_age", { .text(try age($0.integer(0), $0.integer(1)).stored) }),
                ("pg_is_finite", { .integer(isInfinite($0.integer(0)) || !isFinite($0.integer(0)) ? 0 : 1) }),
                ("pg_round_time", { roundedTime($0) }),
                ("pg_make_date", { .integer(try made($0.integer(0), $0.integer(1), $0.integer(2))) }),
                ("pg_make_time", { .integer(try clock($0, from: 0)) }),
                (
                    "pg_make_timestamp",
                    { call in
                        .integer(
                            try timestamp(ofDate: made(call.integer(0), call.integer(1), call.integer(2)))
                                + (try clock(call, from: 3)))
                    }
                ),
                (
                    "pg_make_interval",
                    { call in
                        // Each of them is a number of 32 bits.
                        let months = call.integer(0) * 12 + call.integer(1)
                        let days = call.integer(2) * 7 + call.integer(3)
                        let rest =
                            Double(call.integer(4)) * 3600e6 + Double(call.integer(5)) * 60e6 + call.real(6) * 1e6
                        guard let month = Int32(exactly: months), let day = Int32(exactly: days),
                            let time = Int64(exactly: rest.rounded())
                        else { throw IntervalValue.outOfRange }
                        return .text(IntervalValue(months: month, days: day, microseconds: time).stored)
                    }
                ),
                (
                    "pg_to_timestamp",
                    { call in
                        let value = (call.real(0) * 1e6).rounded(.toNearestOrEven)
                        guard let unix = Int64(exactly: value) else { throw timestampOutOfRange }
                        return .integer(PostgresTimestamp(unixMicroseconds: unix).microseconds)
                    }
                ),
                (
                    "pg_to_date",
                    { call in
                        let value = try DatumCoding.parse(call.text(0), type: .date, call.context, call.catalogue)
                        guard call.text(1).uppercased() == "YYYY-MM-DD" else {
                            throw PostgresError(
                                .featureNotSupported, "to_date is supported with the format YYYY-MM-DD only")
                        }
                        return value
                    }
                ),
                ("pg_time_series", { try timeSeries($0) }),
                (
                    "pg_date_bin",
                    { call in
                        let step = try interval(call, 0)
                        guard step.months == 0, step.comparisonKey > 0, let width = Int64(exactly: step.comparisonKey)
                        else {
                            throw PostgresError(
                                .featureNotSupported,
                                "timestamps cannot be binned into intervals containing months or years")
                        }
                        guard !isInfinite(call.integer(1)), !isInfinite(call.integer(2)) else { return call[1] }
                        // No distance between two moments of the calendar fits into 64 bits in every case.
                        let distance = Int128(call.integer(1)) - Int128(call.integer(2))
                        let bins = distance / Int128(width) - (distance % Int128(width) < 0 ? 1 : 0)
                        guard let start = Int64(exactly: Int128(call.integer(2)) + bins * Int128(width)) else {
                            throw timestampOutOfRange
                        }
                        return .integer(start)
                    }
                ),
            ],
            changing: [
                (
                    "pg_current_date",
                    { .integer(split($0.context.timeZone.local($0.context.transactionTime.postgresMicroseconds)).day) }
                ),
                (
                    "pg_localtime",
                    { .integer(split($0.context.timeZone.local($0.context.transactionTime.postgresMicroseconds)).time) }
                ),
                (
                    "pg_local_midnight",
                    { call in
                        let local = call.context.timeZone.local(call.context.transactionTime.postgresMicroseconds)
                        return .integer(split(local).day * day)
                    }
                ),
                (
                    "pg_timeofday",
                    { call in
                        let zone = call.context.timeZone
                        return .text(
                            PostgresTimestamp(microseconds: zone.local(call.context.clock().postgresMicroseconds)).text(
                                zone: " UTC"))
                    }
                ),
            ])
    }

    // MARK: Parts

    static func interval(_ call: FunctionCall, _ index: Int) throws(PostgresError) -> IntervalValue {
        guard let value = IntervalValue(stored: call.text(index)) else { throw IntervalValue.outOfRange }
        return value
    }

    static func isInfinite(_ time: Int64) -> Bool { time == .max || time == .min }
    private static func isFinite(_ date: Int64) -> Bool { date != Int64(Int32.max) && date != Int64(Int32.min) }
    private static func infiniteDate(_ time: Int64) -> Int64 { time == .max ? Int64(Int32.max) : Int64(Int32.min) }

    /// The day, and the microseconds of it.
    static func split(_ time: Int64) -> (day: Int64, time: Int64) {
        let (quotient, remainder) = time.quotientAndRemainder(dividingBy: day)
        return remainder < 0 ? (quotient - 1, remainder + day) : (quotient, remainder)
    }

    private static let dateOutOfRange = PostgresError(.datetimeFieldOverflow, "date out of range")
    private static let timestampOutOfRange = PostgresError(.datetimeFieldOverflow, "timestamp out of range")

    private static func date(_ date: Int64, plus days: Int64) throws(PostgresError) -> SQLiteValue {
        guard isFinite(date) else { return .integer(date) }
        let (sum, isOver) = date.addingReportingOverflow(days)
        guard !isOver, let whole = Int(exactly: sum), PostgresDate.range.contains(whole) else { throw dateOutOfRange }
        return .integer(sum)
    }

    private static func timestamp(ofDate date: Int64) throws(PostgresError) -> Int64 {
        if date == Int64(Int32.max) { return .max }
        if date == Int64(Int32.min) { return .min }
        let (time, isOver) = date.multipliedReportingOverflow(by: day)
        guard !isOver, PostgresTimestamp.range.contains(time) else {
            throw PostgresError(.datetimeFieldOverflow, "date out of range for timestamp")
        }
        return time
    }

    private static func wrapped(_ time: Int64) -> Int64 {
        let rest = time % day
        return rest < 0 ? rest + day : rest
    }

    /// Months first, within the last day of a month; then days; then the rest.
    static func add(_ time: Int64, _ span: IntervalValue) throws(PostgresError) -> Int64 {
        if isInfinite(time) { return time }
        var (date, clock) = split(time)
        if span.months != 0 {
            let civil = PostgresDate.civil(Int(date))
            let months = civil.year * 12 + civil.month - 1 + Int(span.months)
            let year = (months >= 0 ? months : months - 11) / 12
            let month = months - year * 12 + 1
            guard (-5000...300_000).contains(year) else { throw timestampOutOfRange }
            let length = CivilDate.length(ofMonth: month, year: year)
            guard let moved = PostgresDate.dayNumber(year: year, month: month, day: min(civil.day, length)) else {
                throw timestampOutOfRange
            }
            date = Int64(moved)
        }
        // A date of 32 bits and days of 32 bits.
        date += Int64(span.days)
        let (sum, isOver) = clock.addingReportingOverflow(span.microseconds)
        clock = sum
        let (start, isFar) = date.multipliedReportingOverflow(by: day)
        let (result, isFarther) = start.addingReportingOverflow(clock)
        guard !isOver, !isFar, !isFarther, PostgresTimestamp.range.contains(result) else { throw timestampOutOfRange }
        return result
    }

    private static func addLocally(_ call: FunctionCall, _ span: IntervalValue) throws(PostgresError) -> SQLiteValue {
        let zone = call.context.timeZone
        return .integer(zone.moment(try add(zone.local(call.integer(0)), span)))
    }

    /// 1 for days into months, 2 for hours into days.
    private static func justified(_ span: IntervalValue, _ mode: Int64) -> IntervalValue {
        var (months, days, rest) = (Int64(span.months), Int64(span.days), span.microseconds)
        if mode & 2 != 0 {
            days += rest / day
            rest %= day
        }
        if mode & 1 != 0 {
            months += days / 30
            days %= 30
        }
        if mode == 3 {
            if months > 0, days < 0 || days == 0 && rest < 0 {
                days += 30
                months -= 1
            }
            if days > 0, rest < 0 {
                rest += day
                days -= 1
            }
        }
        return IntervalValue(months: Int32(clamping: months), days: Int32(clamping: days), microseconds: rest)
    }

    /// The distance in years, months and days, as people count it.
    /// - Throws: 22008 for what is infinitely far away: PostgreSQL 15 has no interval for it, and calculates with the
    ///   largest number.
    private static func age(_ later: Int64, _ earlier: Int64) throws(PostgresError) -> IntervalValue {
        guard !isInfinite(later), !isInfinite(earlier) else {
            throw PostgresError(.datetimeFieldOverflow, "interval out of range")
        }
        if later < earlier { return try age(earlier, later).negated() }
        let (a, b) = (split(later), split(earlier))
        let (from, to) = (PostgresDate.civil(Int(b.day)), PostgresDate.civil(Int(a.day)))
        var months = (to.year - from.year) * 12 + to.month - from.month
        var days = to.day - from.day
        var rest = a.time - b.time
        if rest < 0 {
            rest += day
            days -= 1
        }
        if days < 0 {
            days += CivilDate.length(ofMonth: from.month, year: from.year)
            months -= 1
        }
        return IntervalValue(months: Int32(clamping: months), days: Int32(clamping: days), microseconds: rest)
    }

    private static func roundedTime(_ call: FunctionCall) -> SQLiteValue {
        let time = call.integer(0)
        if isInfinite(time) { return .integer(time) }
        var unit: Int64 = 1
        for _ in 0..<max(0, min(6, 6 - call.integer(1))) { unit *= 10 }
        let half = time >= 0 ? unit / 2 : -unit / 2
        return .integer((time &+ half) / unit * unit)
    }

    private static func made(_ year: Int64, _ month: Int64, _ day: Int64) throws(PostgresError) -> Int64 {
        guard let year = Int(exactly: year), year != 0, abs(year) < 300_000,
            let number = PostgresDate.dayNumber(
                year: year < 0 ? year + 1 : year, month: Int(clamping: month), day: Int(clamping: day))
        else {
            throw PostgresError(
                .datetimeFieldOverflow,
                "date field value out of range: \(year)-\(padded(Int(clamping: month), 2))-\(padded(Int(clamping: day), 2))"
            )
        }
        return Int64(number)
    }

    private static func clock(_ call: FunctionCall, from index: Int) throws(PostgresError) -> Int64 {
        let (hour, minute, second) = (call.integer(index), call.integer(index + 1), call.real(index + 2))
        guard (0...24).contains(hour), (0..<60).contains(minute), second >= 0, second <= 60 else {
            throw PostgresError(
                .datetimeFieldOverflow, "time field value out of range: \(hour):\(minute):\(PostgresFloat.text(second))"
            )
        }
        return (hour * 3600 + minute * 60) * 1_000_000 + Int64((second * 1e6).rounded())
    }

    /// Type, start, end and step.
    private static func timeSeries(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        let step = try interval(call, 3)
        let direction = step.comparisonKey
        guard direction != 0 else { throw PostgresError(.invalidParameterValue, "step size cannot equal zero") }
        var items: [SQLiteValue] = []
        var time = call.integer(1)
        while direction > 0 ? time <= call.integer(2) : time >= call.integer(2) {
            items.append(.integer(time))
            guard items.count < 5_000_000 else { throw PostgresError(.programLimitExceeded, "series is too long") }
            time = try add(time, step)
        }
        return JSONItems.list(items)
    }
}
