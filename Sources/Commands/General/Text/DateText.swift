import KernelStructures

/// Times as people write them for `date -d`: what GNU's reads, as far as its manual's chapter on date input formats
/// describes it, in UTC and in English.
///
/// A text is a row of items in any order: a date, a time of day with its zone, a day of the week, and moves such as
/// `+1 day` and `2 hours ago`. They are collected first and put together then: a move counts wherever it stands.
struct DateText {
    private let now: CivilTime
    private var rest: Substring
    private var date: (year: Int, month: Int, day: Int)?
    /// A date that was given without a year, which may follow.
    private var hasYear = false
    private var time: (hour: Int, minute: Int, second: Int, nanosecond: Int)?
    /// Seconds east of UTC.
    private var zone: Int?
    /// The last item was a date: a T may stand between it and its time.
    private var isBehindDay = false
    /// The last item was a time of day: a signed number behind it is its zone.
    private var isBehindTime = false
    private var weekday: (ordinal: Int, day: Int)?
    private var hasMoves = false
    private var months = 0
    private var days = 0
    private var seconds = 0

    /// nil if it is none, or none that the lab's clock could show.
    static func parse(_ text: String, now: LabTime) -> LabTime? {
        guard text.utf8.count <= 200 else { return nil }
        let words = text.trimmingBlanks
        if words.hasPrefix("@") { return unix(words.dropFirst()) }
        var parser = DateText(now: now, text: words.lowercased())
        while !parser.rest.isEmpty { guard parser.item() else { return nil } }
        return parser.result()
    }

    private init(now: LabTime, text: String) {
        self.now = CivilTime(now)
        rest = text[...]
        skipBlanks()
    }

    /// `@1700000000.5`
    private static func unix(_ text: Substring) -> LabTime? {
        let isNegative = text.hasPrefix("-")
        let parts = text.drop { $0 == "-" || $0 == "+" }.split(
            separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, first.allSatisfy(\.isASCII), let whole = Int(first), whole < 9_000_000_000,
            parts.count == 1 || parts[1].allSatisfy({ $0.isASCII && $0.isNumber })
        else { return nil }
        let digits = parts.count == 2 ? parts[1].prefix(9) : ""
        let fraction = Int(digits + String(repeating: "0", count: 9 - digits.count)) ?? 0
        let nanoseconds = whole * 1_000_000_000 + fraction
        return LabTime(nanoseconds: Int64(isNegative ? -nanoseconds : nanoseconds))
    }

    // MARK: Words

    private mutating func skipBlanks() {
        while let first = rest.first {
            if first == "(" {
                guard let end = rest.firstIndex(of: ")") else { return }
                rest = rest[rest.index(after: end)...]
            } else if first.isWhitespace || first == "," {
                rest.removeFirst()
            } else {
                return
            }
        }
    }

    private mutating func take(_ sign: Character) -> Bool {
        guard rest.first == sign else { return false }
        rest.removeFirst()
        return true
    }

    private static func isDigit(_ character: Character) -> Bool { character.isASCII && character.isNumber }

    private mutating func digits() -> Substring? {
        let digits = rest.prefix(while: Self.isDigit)
        guard (1...10).contains(digits.count) else { return nil }
        rest = rest.dropFirst(digits.count)
        return digits
    }

    private mutating func number() -> Int? { digits().flatMap { Int($0) } }

    /// The word that comes next, without points: `a.m.`
    private mutating func word() -> String {
        let word = rest.prefix { $0.isASCII && $0.isLetter || $0 == "." }
        rest = rest.dropFirst(word.count)
        skipBlanks()
        return word.filter { $0 != "." }
    }

    private static let monthNames = [
        "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
        "december",
    ]
    private static let dayNames = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
    private static let ordinals = [
        "last": -1, "this": 0, "next": 1, "first": 1, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7,
        "eighth": 8, "ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12,
    ]
    /// Hours east of UTC, in halves.
    private static let zones = [
        "utc": 0, "gmt": 0, "ut": 0, "z": 0, "wet": 0, "west": 2, "bst": 2, "cet": 2, "met": 2, "cest": 4, "mest": 4,
        "eet": 4, "eest": 6, "msk": 6, "ist": 11, "sgt": 16, "jst": 18, "nzst": 24, "nzdt": 26, "ast": -8, "adt": -6,
        "est": -10, "edt": -8, "cst": -12, "cdt": -10, "mst": -14, "mdt": -12, "pst": -16, "pdt": -14,
    ]
    private static let units = [
        "second": 1, "sec": 1, "minute": 60, "min": 60, "hour": 3600, "day": 86_400, "week": 604_800,
        "fortnight": 1_209_600, "month": 0, "year": 0,
    ]

    private static func month(_ word: String) -> Int? {
        guard word.count >= 3 else { return nil }
        let word = word == "sept" ? "sep" : word
        return monthNames.firstIndex { $0 == word || word.count == 3 && $0.hasPrefix(word) }.map { $0 + 1 }
    }

    private static func day(_ word: String) -> Int? {
        let word = ["tues": "tue", "wednes": "wed", "thur": "thu", "thurs": "thu"][word] ?? word
        return word.count < 3 ? nil : dayNames.firstIndex { $0 == word || word.count == 3 && $0.hasPrefix(word) }
    }

    private static func unit(_ word: String) -> String? {
        if units[word] != nil { return word }
        return word.hasSuffix("s") && units[String(word.dropLast())] != nil ? String(word.dropLast()) : nil
    }

    // MARK: Items

    /// Takes one; false if it is none.
    private mutating func item() -> Bool {
        defer { skipBlanks() }
        guard let first = rest.first else { return true }
        let (wasBehindTime, wasBehindDay) = (isBehindTime, isBehindDay)
        (isBehindTime, isBehindDay) = (false, false)
        if first == "+" || first == "-" { return signed(wasBehindTime) }
        if Self.isDigit(first) { return unsigned() }
        guard first.isASCII, first.isLetter else { return false }
        let word = word()
        switch word {
        case "now", "today":
            hasMoves = true
            return true
        case "yesterday", "tomorrow": return move(word == "tomorrow" ? 1 : -1, "day")
        // Between a date and its time; alone it would be a zone.
        case "t" where wasBehindDay: return true
        default: break
        }
        if let month = Self.month(word) { return monthFirst(month) }
        if let day = Self.day(word) {
            return setWeekday(0, day)
        }
        if let halves = Self.zones[word] ?? Self.militaryZone(word), zone == nil {
            zone = halves * 1800
            return true
        }
        if let ordinal = Self.ordinals[word] {
            let next = self.word()
            if let day = Self.day(next) {
                return setWeekday(ordinal, day)
            }
            return Self.unit(next).map { move(ordinal, $0) } ?? false
        }
        return Self.unit(word).map { move(1, $0) } ?? false
    }

    private mutating func setWeekday(_ ordinal: Int, _ day: Int) -> Bool {
        guard weekday == nil else { return false }
        weekday = (ordinal, day)
        return true
    }

    /// One letter: A to M eastwards without J, N to Y westwards.
    private static func militaryZone(_ word: String) -> Int? {
        guard word.utf8.count == 1, let letter = word.utf8.first, letter != 106, (97...121).contains(letter) else {
            return nil
        }
        let hours = Int(letter) - 96
        return 2 * (letter < 106 ? hours : letter < 110 ? hours - 1 : 13 - hours)
    }

    /// `Jan 15`, `January 15, 2024`; a year without a comma is a number that stands alone.
    private mutating func monthFirst(_ month: Int) -> Bool {
        _ = take("-")
        guard let day = number(), day <= 31 else { return false }
        let hasComma = rest.first == ","
        skipBlanks()
        if take("-") || hasComma {
            let before = rest
            if let digits = digits(), rest.first != ":" { return setDate(Self.year(digits), month, day) }
            rest = before
        }
        return setDate(nil, month, day)
    }

    /// Two digits are of the years 1969 to 2068.
    private static func year(_ digits: Substring) -> Int {
        let year = Int(digits) ?? 0
        return digits.count == 2 ? year + (year < 69 ? 2000 : 1900) : year
    }

    private mutating func setDate(_ year: Int?, _ month: Int, _ day: Int) -> Bool {
        guard date == nil, (1...12).contains(month), day >= 1 else { return false }
        date = (year ?? now.year, month, day)
        isBehindDay = true
        hasYear = year != nil
        return true
    }

    private mutating func setTime(_ hour: Int, _ minute: Int, _ second: Int, _ nanosecond: Int = 0) -> Bool {
        guard time == nil, (0..<24).contains(hour), (0..<60).contains(minute), (0..<60).contains(second) else {
            return false
        }
        time = (hour, minute, second, nanosecond)
        isBehindTime = zone == nil
        return true
    }

    /// `-1 day`, or the zone of a time: `+0200`, `-05:30`, `+2`.
    private mutating func signed(_ isZone: Bool) -> Bool {
        let sign = rest.removeFirst() == "-" ? -1 : 1
        skipBlanks()
        guard let digits = digits(), let value = Int(digits) else { return false }
        if isZone, zone == nil {
            var minutes = digits.count <= 2 ? value * 60 : value / 100 * 60 + value % 100
            if digits.count <= 2, rest.first == ":" {
                rest.removeFirst()
                guard let more = number(), more < 60 else { return false }
                minutes += more
            }
            if digits.count <= 4, minutes <= 24 * 60 {
                zone = sign * minutes * 60
                return true
            }
        }
        skipBlanks()
        return Self.unit(word()).map { move(sign * value, $0) } ?? false
    }

    private mutating func unsigned() -> Bool {
        guard let digits = digits(), let value = Int(digits) else { return false }
        switch rest.first {
        case ":":
            rest.removeFirst()
            return clock(value)
        case "/":
            rest.removeFirst()
            guard let second = number() else { return false }
            guard take("/") else { return setDate(nil, value, second) }
            guard let third = self.digits() else { return false }
            return digits.count == 4
                ? setDate(value, second, Int(third) ?? 0) : setDate(Self.year(third), value, second)
        case "-":
            rest.removeFirst()
            if let next = rest.first, next.isLetter {
                guard let month = Self.month(word()), take("-"), let year = self.digits() else { return false }
                return setDate(Self.year(year), month, value)
            }
            guard let month = number(), take("-"), let day = number() else { return false }
            let isDone = setDate(Self.year(digits), month, day)
            if rest.first == "t" { rest.removeFirst() }
            return isDone
        default: return lone(digits, value)
        }
    }

    /// `15:00`, `3:30 pm`, `10:20:30.5`, whose first number is known.
    private mutating func clock(_ hour: Int) -> Bool {
        guard let minute = number() else { return false }
        var second = 0
        var nanosecond = 0
        if take(":") {
            guard let value = number() else { return false }
            second = value
            if rest.first == "." || rest.first == ",", rest.dropFirst().first.map(Self.isDigit) ?? false {
                rest.removeFirst()
                let digits = rest.prefix(while: Self.isDigit)
                rest = rest.dropFirst(digits.count)
                nanosecond = Int(digits.prefix(9) + String(repeating: "0", count: max(0, 9 - digits.count))) ?? 0
            }
        }
        skipBlanks()
        let (hour24, isHalf) = halfOfDay(hour)
        guard let hour24, setTime(hour24, minute, second, nanosecond) else { return false }
        if isHalf { isBehindTime = false }
        return true
    }

    /// The hour of 24 where am or pm follows, behind which no zone may stand; nil where it is none of 12.
    private mutating func halfOfDay(_ hour: Int) -> (Int?, Bool) {
        let before = rest
        let word = word()
        guard word == "am" || word == "pm" else {
            rest = before
            return (hour, false)
        }
        return ((1...12).contains(hour) ? hour % 12 + (word == "pm" ? 12 : 0) : nil, true)
    }

    /// A number that stands alone: a day before its month, hours before am, a count before its unit, or digits.
    private mutating func lone(_ digits: Substring, _ value: Int) -> Bool {
        skipBlanks()
        let before = rest
        let word = word()
        if let month = Self.month(word) {
            _ = take("-")
            let start = rest
            if let year = self.digits(), year.count == 4 || year.count == 2, rest.first != ":" {
                return setDate(Self.year(year), month, value)
            }
            rest = start
            return setDate(nil, month, value)
        }
        if word == "am" || word == "pm" {
            rest = before
            guard let hour = halfOfDay(value).0, setTime(hour, 0, 0) else { return false }
            isBehindTime = false
            return true
        }
        if let unit = Self.unit(word) { return move(value, unit) }
        rest = before
        if digits.count == 8, date == nil { return setDate(value / 10_000, value / 100 % 100, value % 100) }
        if let (_, month, day) = date, !hasYear, !hasMoves, time != nil || digits.count > 2, digits.count <= 4 {
            date = nil
            return setDate(Self.year(digits), month, day)
        }
        guard digits.count <= 4 else { return false }
        return digits.count <= 2 ? setTime(value, 0, 0) : setTime(value / 100, value % 100, 0)
    }

    private mutating func move(_ count: Int, _ unit: String) -> Bool {
        var count = count
        skipBlanks()
        let before = rest
        if word() == "ago" { count = -count } else { rest = before }
        hasMoves = true
        guard abs(count) <= 10_000_000_000, abs(months) + abs(days) + abs(seconds) < 1 << 40 else { return false }
        switch unit {
        case "year": months += 12 * count
        case "month": months += count
        case "day": days += count
        case "week": days += 7 * count
        case "fortnight": days += 14 * count
        default: seconds += count * (Self.units[unit] ?? 1)
        }
        return true
    }

    // MARK: The time

    private func result() -> LabTime? {
        let given = date ?? (now.year, now.month, now.day)
        guard given.day <= CivilDate.length(ofMonth: given.month, year: given.year) else { return nil }
        let month = given.year * 12 + given.month - 1 + months
        let year = month >= 0 ? month / 12 : (month - 11) / 12
        // What a clock of nanoseconds can show.
        guard (1680...2260).contains(year) else { return nil }
        var day = CivilDate.dayNumber(year: year, month: month - year * 12 + 1, day: given.day)
        if let weekday, date == nil {
            let ahead = (weekday.day - CivilDate.weekday(day) + 7) % 7
            day += ahead + 7 * (weekday.ordinal - (weekday.ordinal > 0 && ahead != 0 ? 1 : 0))
        }
        // Moves alone leave the time of day as it is; anything else begins a day.
        let keepsTime = hasMoves && date == nil && weekday == nil
        let clock = time ?? (keepsTime ? (now.hour, now.minute, now.second, now.nanosecond) : (0, 0, 0, 0))
        let total =
            (day + days) * 86_400 + clock.hour * 3600 + clock.minute * 60 + clock.second + seconds - (zone ?? 0)
        guard abs(total) < 9_200_000_000 else { return nil }
        return LabTime(nanoseconds: Int64(total) * 1_000_000_000 + Int64(clock.nanosecond))
    }
}
