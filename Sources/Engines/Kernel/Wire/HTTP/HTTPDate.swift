import KernelStructures

extension LabTime {
    /// Reads a date in any of the three forms that RFC 9110 §5.6.7 tells a recipient to accept; nil for anything else.
    ///
    /// | form                             | name                                           |
    /// |----------------------------------|------------------------------------------------|
    /// | `Sun, 06 Nov 1994 08:49:37 GMT`  | IMF-fixdate, the only one to be written        |
    /// | `Sunday, 06-Nov-94 08:49:37 GMT` | RFC 850                                        |
    /// | `Sun Nov  6 08:49:37 1994`       | C's asctime                                    |
    ///
    /// Years beyond 1677–2262 become the nearest end of that range. A year of two digits that would lie more than 50
    /// years ahead of `now` is the last one with these digits. The day of the week is not checked.
    public init?(parsingHTTPDate text: some StringProtocol, now: LabTime) {
        var words = String(text).split { $0 == " " || $0 == "," }.map(String.init)
        guard words.count >= 4, HTTPDateWords.isWeekday(words.removeFirst()) else { return nil }
        let fields: [String]
        if words.count == 5, words[4] == "GMT" {
            fields = Array(words[0..<4])
        } else if words.count == 3, words[2] == "GMT" {
            let day = words[0].split(separator: "-", omittingEmptySubsequences: false).map(String.init)
            guard day.count == 3, day[2].utf8.count == 2 else { return nil }
            fields = day + [words[1]]
        } else if words.count == 4 {
            // asctime: month, day, time, year.
            fields = [words[1], words[0], words[3], words[2]]
        } else {
            return nil
        }
        guard let day = HTTPDateWords.number(fields[0], digits: 1...2), let month = HTTPDateWords.month(fields[1]),
            var year = HTTPDateWords.number(fields[2], digits: 2...4), fields[2].utf8.count != 3,
            let (hour, minute, second) = HTTPDateWords.time(fields[3])
        else { return nil }
        if fields[2].utf8.count == 2 {
            let present = CivilTime(now).year
            year += present - present % 100
            if year > present + 50 { year -= 100 }
        }
        guard day >= 1, day <= CivilDate.length(ofMonth: month, year: year) else { return nil }
        self =
            CivilTime(year: year, month: month, day: day, hour: hour, minute: minute, second: second, nanosecond: 0)
            .labTime
    }
}

extension LabDuration {
    /// What a `Retry-After` asks for (RFC 9110 §10.2.3): seconds, or a date. Nil for anything else, zero for a date
    /// that has passed; a number beyond the range is the longest wait there is.
    public init?(parsingRetryAfter text: some StringProtocol, now: LabTime) {
        let digits = text.utf8
        if !digits.isEmpty, digits.allSatisfy({ $0 >= 48 && $0 <= 57 }) {
            self = Int64(text).map { .seconds(1) * Int(clamping: $0) } ?? .infinite
        } else if let date = LabTime(parsingHTTPDate: text, now: now) {
            self = max(.zero, date - now)
        } else {
            return nil
        }
    }
}

/// The words of dates in HTTP, which are English everywhere.
enum HTTPDateWords {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    private static let weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]

    /// 1 to 12.
    static func month(_ word: String) -> Int? { months.firstIndex(of: word).map { $0 + 1 } }

    static func isWeekday(_ word: String) -> Bool { weekdays.contains { $0 == word || $0.prefix(3) == word } }

    static func number(_ text: some StringProtocol, digits: ClosedRange<Int>) -> Int? {
        guard digits.contains(text.utf8.count), text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else { return nil }
        return Int(text)
    }

    /// `08:49:37`; a leap second counts.
    static func time(_ text: String) -> (hour: Int, minute: Int, second: Int)? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, let hour = number(parts[0], digits: 2...2),
            let minute = number(parts[1], digits: 2...2),
            let second = number(parts[2], digits: 2...2), hour < 24, minute < 60, second <= 60
        else { return nil }
        return (hour, minute, second)
    }
}
