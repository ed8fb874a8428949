import KernelStructures

/// Dates as curl 7.88 reads them (`curl_getdate`), in cookies and `Retry-After`: nearly anything that has a day, a
/// month and a year in it, in nearly any order.
///
/// Words are weekdays, months or zones; `12:34:56` and `12:34` are a time; four digits behind a sign are a zone; eight
/// digits are year, month and day; the first other number that can be one is the day, the next the year. Everything but
/// letters and digits stands between two parts, of which at most six are looked at.
enum CurlDate {
    /// Seconds since 1970; nil for what is no date to curl. What 64 bits cannot hold is the nearest end of their range.
    static func seconds(parsing text: some StringProtocol) -> Int? {
        var parser = Parser(bytes: Array(text.utf8))
        return parser.parse()
    }

    private static let weekdays = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    private static let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
    /// Minutes west of Greenwich. Military letters count the other way round, as in the table that curl has.
    private static let zones: [String: Int] = {
        var zones = [
            "gmt": 0, "ut": 0, "utc": 0, "wet": 0, "bst": -60, "wat": 60, "ast": 240, "adt": 180, "est": 300,
            "edt": 240, "cst": 360, "cdt": 300, "mst": 420, "mdt": 360, "pst": 480, "pdt": 420, "yst": 540, "ydt": 480,
            "hst": 600, "hdt": 540, "cat": 600, "ahst": 600, "nt": 660, "idlw": 720, "cet": -60, "met": -60,
            "mewt": -60,
            "mest": -120, "cest": -120, "mesz": -120, "fwt": -60, "fst": -120, "eet": -120, "wast": -420, "wadt": -480,
            "cct": -480, "jst": -540, "east": -600, "eadt": -660, "gst": -600, "nzt": -720, "nzst": -720, "nzdt": -780,
            "idle": -720, "z": 0,
        ]
        for (index, letter) in "abcdefghi".enumerated() { zones[String(letter)] = 60 * (index + 1) }
        for (index, letter) in "klm".enumerated() { zones[String(letter)] = 60 * (index + 10) }
        for (index, letter) in "nopqrstuvwxy".enumerated() { zones[String(letter)] = -60 * (index + 1) }
        return zones
    }()

    private struct Parser {
        let bytes: [UInt8]
        var position = 0
        var weekday: Int?
        var month: Int?
        var day: Int?
        var year: Int?
        var time: (hour: Int, minute: Int, second: Int)?
        /// Seconds to be added.
        var zone: Int?
        var expectsDay = true

        init(bytes: [UInt8]) { self.bytes = bytes }

        private func isLetter(_ byte: UInt8) -> Bool { byte | 32 >= 97 && byte | 32 <= 122 }
        private func isDigit(_ byte: UInt8) -> Bool { byte >= 48 && byte <= 57 }

        mutating func parse() -> Int? {
            var parts = 0
            while position < bytes.count, parts < 6 {
                while position < bytes.count, !isLetter(bytes[position]), !isDigit(bytes[position]) { position += 1 }
                guard position < bytes.count else { break }
                guard isLetter(bytes[position]) ? takeWord() : takeNumber() else { return nil }
                parts += 1
            }
            guard let day, let month, let year, year >= 1583, day <= 31 else { return nil }
            let (hour, minute, second) = time ?? (0, 0, 0)
            guard hour <= 23, minute <= 59, second <= 60 else { return nil }
            // Beyond any range that matters here, and before the calendar's arithmetic would be.
            guard year < 1 << 33 else { return .max }
            let days = CivilDate.dayNumber(year: year, month: month, day: day)
            return days * 86_400 + hour * 3600 + minute * 60 + second + (zone ?? 0)
        }

        private mutating func takeWord() -> Bool {
            let start = position
            while position < bytes.count, isLetter(bytes[position]) { position += 1 }
            guard position - start < 12 else { return false }
            let word = String(decoding: bytes[start..<position], as: UTF8.self).lowercased()
            if weekday == nil, let index = weekdays.firstIndex(where: { $0 == word || $0.prefix(3) == word }) {
                weekday = index
            } else if month == nil, let index = months.firstIndex(of: word) {
                month = index + 1
            } else if zone == nil, let minutes = zones[word] {
                zone = minutes * 60
            } else {
                return false
            }
            return true
        }

        private mutating func takeNumber() -> Bool {
            if time == nil, takeTime() { return true }
            let start = position
            var value = 0
            while position < bytes.count, isDigit(bytes[position]) {
                guard value < 1 << 40 else { return false }
                value = value * 10 + Int(bytes[position] - 48)
                position += 1
            }
            let count = position - start
            let sign = start > 0 ? bytes[start - 1] : 0
            if zone == nil, count == 4, value <= 1400, sign == 43 || sign == 45 {
                zone = (value / 100 * 60 + value % 100) * (sign == 43 ? -60 : 60)
                return true
            }
            if count == 8, year == nil, month == nil, day == nil {
                (year, month, day) = (value / 10_000, value % 10_000 / 100, value % 100)
                return month! >= 1 && month! <= 12
            }
            if expectsDay, day == nil {
                expectsDay = false
                if value > 0, value < 32 {
                    day = value
                    return true
                }
            }
            guard !expectsDay, year == nil else { return false }
            year = value < 100 ? value + (value > 70 ? 1900 : 2000) : value
            if day == nil { expectsDay = true }
            return true
        }

        /// `H:MM` or `H:MM:SS`, of one or two digits each.
        private mutating func takeTime() -> Bool {
            var numbers: [Int] = []
            var end = position
            while numbers.count < 3 {
                guard end < bytes.count, isDigit(bytes[end]) else { break }
                var value = Int(bytes[end] - 48)
                end += 1
                if end < bytes.count, isDigit(bytes[end]) {
                    value = value * 10 + Int(bytes[end] - 48)
                    end += 1
                }
                numbers.append(value)
                guard numbers.count < 3, end < bytes.count, bytes[end] == 58 else { break }
                end += 1
            }
            guard numbers.count >= 2, numbers[0] < 24, numbers[1] < 60, numbers.count < 3 || numbers[2] <= 60,
                bytes[end - 1] != 58
            else { return false }
            time = (numbers[0], numbers[1], numbers.count > 2 ? numbers[2] : 0)
            position = end
            return true
        }
    }
}
