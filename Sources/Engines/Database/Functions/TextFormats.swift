import KernelStructures
import KernelWire

/// `to_char` of a time: `YYYY-MM-DD HH24:MI:SS` and the other usual patterns.
enum TimeFormat {
    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ]
    private static let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
    /// Longer ones first.
    private static let patterns = [
        "YYYY", "HH24", "HH12", "Month", "MONTH", "month", "SSSS", "IYYY", "Mon", "MON", "mon", "Day", "DAY", "day",
        "DDD",
        "MM", "DD", "HH", "MI", "SS", "MS", "US", "YY", "TZ", "tz", "OF", "AM", "PM", "am", "pm", "Dy", "DY", "dy",
        "ID", "IW",
        "WW", "W", "D", "Q", "Y",
    ]

    static func text(_ time: Int64, _ format: String, _ zone: TimeZoneOffset?) -> String {
        if DatabaseFunctions.isInfinite(time) { return "" }
        var result = ""
        var rest = format[...]
        var isFilled = true
        while let first = rest.first {
            if first == "\"" {
                let quoted = rest.dropFirst().prefix { $0 != "\"" }
                result += quoted
                rest = rest.dropFirst(quoted.count + 2)
            } else if rest.hasPrefix("FM") {
                isFilled = false
                rest = rest.dropFirst(2)
            } else if let pattern = patterns.first(where: rest.hasPrefix) {
                let shown = field(pattern, time, zone)
                result += isFilled ? shown : trimmed(shown)
                isFilled = true
                rest = rest.dropFirst(pattern.count)
                if rest.hasPrefix("TH") || rest.hasPrefix("th"), let number = Int(shown.trimmed) {
                    result += ordinal(number, isUpper: rest.hasPrefix("TH"))
                    rest = rest.dropFirst(2)
                }
            } else {
                result.append(first)
                rest = rest.dropFirst()
            }
        }
        return result
    }

    /// FM: without zeros before and blanks behind.
    private static func trimmed(_ text: String) -> String {
        let bare = text.trimmed
        guard bare.count > 1, bare.allSatisfy(\.isNumber) else { return bare }
        let digits = bare.drop { $0 == "0" }
        return digits.isEmpty ? "0" : String(digits)
    }

    private static func ordinal(_ number: Int, isUpper: Bool) -> String {
        let suffix =
            (11...13).contains(number % 100)
            ? "th" : number % 10 == 1 ? "st" : number % 10 == 2 ? "nd" : number % 10 == 3 ? "rd" : "th"
        return isUpper ? suffix.uppercased() : suffix
    }

    private static func field(_ pattern: String, _ time: Int64, _ zone: TimeZoneOffset?) -> String {
        let (date, clock) = DatabaseFunctions.split(time)
        let civil = PostgresDate.civil(Int(date))
        let weekday = Int(((date + 6) % 7 + 7) % 7)
        let seconds = Int(clock / 1_000_000)
        let hour = seconds / 3600
        let year = civil.year > 0 ? civil.year : 1 - civil.year
        func cased(_ name: String, _ width: Int) -> String {
            let shown =
                pattern == pattern.uppercased()
                ? name.uppercased() : pattern == pattern.lowercased() ? name.lowercased() : name
            return shown + String(repeating: " ", count: max(0, width - name.count))
        }
        switch pattern {
        case "YYYY": return padded(year, 4)
        case "YY": return padded(year % 100, 2)
        case "Y": return padded(year % 10, 1)
        case "IYYY": return padded(Int(TimePart.isoWeek(date).year), 4)
        case "MM": return padded(civil.month, 2)
        case "Month", "MONTH", "month": return cased(months[civil.month - 1], 9)
        case "Mon", "MON", "mon": return cased(String(months[civil.month - 1].prefix(3)), 0)
        case "DD": return padded(civil.day, 2)
        case "DDD": return padded(Int(date) - (PostgresDate.dayNumber(year: civil.year, month: 1, day: 1) ?? 0) + 1, 3)
        case "Day", "DAY", "day": return cased(days[weekday], 9)
        case "Dy", "DY", "dy": return cased(String(days[weekday].prefix(3)), 0)
        case "D": return String(weekday + 1)
        case "ID": return String(weekday == 0 ? 7 : weekday)
        case "IW": return padded(Int(TimePart.isoWeek(date).week), 2)
        case "WW":
            return padded((Int(date) - (PostgresDate.dayNumber(year: civil.year, month: 1, day: 1) ?? 0)) / 7 + 1, 2)
        case "W": return String((civil.day - 1) / 7 + 1)
        case "Q": return String((civil.month - 1) / 3 + 1)
        case "HH24": return padded(hour, 2)
        case "HH", "HH12": return padded(hour % 12 == 0 ? 12 : hour % 12, 2)
        case "MI": return padded(seconds / 60 % 60, 2)
        case "SS": return padded(seconds % 60, 2)
        case "SSSS": return String(seconds)
        case "MS": return padded(Int(clock % 1_000_000 / 1000), 3)
        case "US": return padded(Int(clock % 1_000_000), 6)
        case "AM", "PM": return hour < 12 ? "AM" : "PM"
        case "am", "pm": return hour < 12 ? "am" : "pm"
        case "TZ": return zone.map { $0.seconds == 0 ? "UTC" : TimeZoneOffset.text($0.seconds) } ?? ""
        case "tz": return zone.map { $0.seconds == 0 ? "utc" : TimeZoneOffset.text($0.seconds) } ?? ""
        default: return zone.map { TimeZoneOffset.text($0.seconds) } ?? "+00"
        }
    }
}

/// `to_char` of a number with `9`, `0`, `.`, `,`, `D`, `G`, `S`, `MI`, `FM`.
enum NumberFormat {
    /// From I to MMMCMXCIX; the longest has 15 letters, and as many marks stand for what has none.
    private static func roman(_ number: Int) -> String {
        guard (1...3999).contains(number) else { return String(repeating: "#", count: 15) }
        let letters = [
            (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"),
            (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
        ]
        var rest = number
        var text = ""
        for (value, letter) in letters {
            text += String(repeating: letter, count: rest / value)
            rest %= value
        }
        return text
    }

    static func text(_ value: DecimalNumber, _ format: String) -> String {
        var pattern = format.uppercased()
        let isFilled = !pattern.contains("FM")
        if pattern.contains("RN") {
            let numeral = roman(value.roundedInt ?? 0)
            let shown = format.contains("rn") ? numeral.lowercased() : numeral
            return isFilled ? String(repeating: " ", count: 15 - shown.count) + shown : shown
        }
        pattern = pattern.replacing("FM", with: "").replacing("D", with: ".").replacing("G", with: ",")
        let hasSign = pattern.contains("S")
        pattern = pattern.replacing("S", with: "").replacing("MI", with: "")
        let parts = pattern.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let fraction = parts.count > 1 ? parts[1].count { $0 == "9" || $0 == "0" } : 0
        let rounded = value.rounded(to: fraction)
        let shown = (rounded.isNegative ? rounded.negated : rounded).text.split(separator: ".")
        let digits = Array(shown.first == "0" ? "" : shown.first ?? "")
        let places = parts[0].count { $0 == "9" || $0 == "0" }
        guard digits.count <= places else {
            let marks = String(parts[0].map { $0 == "9" || $0 == "0" ? "#" : $0 })
            return (isFilled ? " " : "") + marks + (fraction > 0 ? "." + String(repeating: "#", count: fraction) : "")
        }
        var whole = ""
        var left = places
        var hasStarted = false
        for mark in parts[0] {
            if mark == "9" || mark == "0" {
                if left <= digits.count {
                    whole.append(digits[digits.count - left])
                    hasStarted = true
                } else if mark == "0" || hasStarted {
                    whole.append("0")
                    hasStarted = true
                } else if isFilled {
                    whole.append(" ")
                }
                left -= 1
            } else if mark == "," {
                whole += hasStarted ? "," : isFilled ? " " : ""
            } else {
                whole.append(mark)
            }
        }
        if !hasStarted, fraction == 0 { whole = String(whole.dropLast(isFilled ? 1 : 0)) + "0" }
        let sign = rounded.isNegative ? "-" : hasSign ? "+" : isFilled ? " " : ""
        let blanks = whole.prefix { $0 == " " }
        var tail = fraction > 0 && shown.count > 1 ? "." + shown[1] : ""
        if !isFilled { while tail.hasSuffix("0"), parts.count > 1, parts[1].last == "9" { tail.removeLast() } }
        return blanks + sign + whole.dropFirst(blanks.count) + tail
    }
}
