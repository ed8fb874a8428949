/// Reads dates and times in ISO 8601's order, as SQL and most programs write them. PostgreSQL reads many more
/// spellings (`Jan 2, 2026`, `2/1/26`), whose meaning hangs on settings; here they are refused.
enum DateTimeText {
    case infinity
    case negativeInfinity
    /// - day: from 2000-01-01; time: microseconds of that day; offset: seconds east of UTC, nil if none is written.
    case moment(day: Int, time: Int64, offset: Int?)

    init(parsing text: String, type: PostgresOID) throws(PostgresError) {
        let word = PostgresText.trimmed(text).lowercased()
        switch word {
        case "infinity": self = .infinity
        case "-infinity": self = .negativeInfinity
        case "epoch": self = .moment(day: -10_957, time: 0, offset: 0)
        default:
            var scanner = Scanner(bytes: Array(word.utf8))
            guard let fields = scanner.fields() else {
                throw PostgresError(
                    .invalidDatetimeFormat, "invalid input syntax for type \(type.typeName): \"\(text)\"")
            }
            let outside = PostgresError(
                .datetimeFieldOverflow, "date/time field value out of range: \"\(text)\"")
            guard fields.isTimeInRange, fields.year > 0,
                let day = PostgresDate.dayNumber(
                    year: fields.isBeforeChrist ? 1 - fields.year : fields.year, month: fields.month, day: fields.day)
            else { throw outside }
            self = .moment(day: day, time: fields.time, offset: fields.offset)
        }
    }

    struct Fields {
        var year = 0
        var month = 0
        var day = 0
        var hour = 0
        var minute = 0
        var second = 0
        var microsecond = 0
        /// Seconds east of UTC.
        var offset: Int?
        var isBeforeChrist = false

        var time: Int64 { Int64(hour * 3600 + minute * 60 + second) * 1_000_000 + Int64(microsecond) }
        /// 24:00:00 is the end of the day, and 60 the second before the next minute.
        var isTimeInRange: Bool {
            hour <= 24 && minute <= 59 && second <= 60 && (hour < 24 || minute == 0 && second == 0 && microsecond == 0)
                && (offset ?? 0).magnitude < 16 * 3600
        }
    }

    private struct Scanner {
        let bytes: [UInt8]
        var position = 0

        var isAtEnd: Bool { position == bytes.count }

        mutating func skip(_ byte: Unicode.Scalar) -> Bool {
            guard position < bytes.count, bytes[position] == UInt8(ascii: byte) else { return false }
            position += 1
            return true
        }

        mutating func skipBlanks() { while skip(" ") {} }

        mutating func number(_ counts: ClosedRange<Int>) -> Int? {
            let start = position
            var value = 0
            while position < bytes.count, (48...57).contains(bytes[position]), position - start < counts.upperBound {
                value = value * 10 + Int(bytes[position] - 48)
                position += 1
            }
            return counts.contains(position - start) ? value : nil
        }

        mutating func fields() -> Fields? {
            var fields = Fields()
            guard let year = number(4...7), skip("-"), let month = number(1...2), skip("-"), let day = number(1...2)
            else { return nil }
            (fields.year, fields.month, fields.day) = (year, month, day)
            let hasTime = skip("t")
            skipBlanks()
            if hasTime || position < bytes.count && (48...57).contains(bytes[position]) {
                guard timeOfDay(&fields) else { return nil }
                skipBlanks()
            }
            guard zone(&fields) else { return nil }
            skipBlanks()
            if skip("b") {
                guard skip("c") else { return nil }
                fields.isBeforeChrist = true
            }
            return isAtEnd ? fields : nil
        }

        private mutating func timeOfDay(_ fields: inout Fields) -> Bool {
            guard let hour = number(1...2), skip(":"), let minute = number(1...2) else { return false }
            (fields.hour, fields.minute) = (hour, minute)
            guard skip(":") else { return true }
            guard let second = number(1...2) else { return false }
            fields.second = second
            guard skip(".") else { return true }
            var unit = 100_000
            var rounding = false
            while position < bytes.count, (48...57).contains(bytes[position]) {
                let digit = Int(bytes[position] - 48)
                if unit > 0 { fields.microsecond += digit * unit } else if !rounding { return roundUp(&fields, digit) }
                if unit == 0 { rounding = true }
                unit /= 10
                position += 1
            }
            return true
        }

        /// The seventh digit decides; the others are passed over.
        private mutating func roundUp(_ fields: inout Fields, _ digit: Int) -> Bool {
            while position < bytes.count, (48...57).contains(bytes[position]) { position += 1 }
            // A carry into the seconds is left to the sum of all fields.
            if digit >= 5 { fields.microsecond += 1 }
            return true
        }

        private mutating func zone(_ fields: inout Fields) -> Bool {
            if skip("z") {
                fields.offset = 0
                return true
            }
            if bytes[position...].elementsEqual("utc".utf8) || bytes[position...].elementsEqual("gmt".utf8) {
                position = bytes.count
                fields.offset = 0
                return true
            }
            let isWest = skip("-")
            guard isWest || skip("+") else { return true }
            guard let hours = number(1...2) else { return false }
            var seconds = hours * 3600
            if skip(":") || position < bytes.count && (48...57).contains(bytes[position]) {
                guard let minutes = number(2...2), minutes < 60 else { return false }
                seconds += minutes * 60
                if skip(":") {
                    guard let more = number(2...2), more < 60 else { return false }
                    seconds += more
                }
            }
            fields.offset = isWest ? -seconds : seconds
            return true
        }
    }
}
