import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var date: Command {
        let description = CommandDescription(
            "date", "the lab's time", usage: "[-d TEXT] [-I[PART]] [+FORMAT]",
            arguments: .init([.text, .text], 0...20, isRaw: true),
            examples: ["date +%s", "date -d '2023-12-20 15:00 +90 minutes' +%FT%TZ", "date -Iseconds"], group: .files,
            details: """
                -d, --date TEXT  another time: now, today, yesterday, tomorrow, @SECONDS,
                                 2023-12-20, 15:00[:30], 2023-12-20T15:00:00Z, each with
                                 such as +1 day, 2 hours ago behind it
                -I[PART]         as ISO 8601: date, hours, minutes, seconds or ns
                -R               as in mail; -u is what it is in any case: there is only UTC
                FORMAT: %Y %m %d %H %M %S %N %s %F %T %D %R %j %a %A %b %B %e %I %l %k %p %y %C
                %u %w %V %G %U %Z %z %n %t %%, with - _ 0 ^ before the letter. clock sets it.
                """)
        return Command(description) { invocation in
            invocation.process.print(try text(invocation.arguments.arguments[...], invocation.session.world.now))
            return .success
        }
    }

    private static func text(_ words: ArraySlice<String>, _ now: LabTime) throws -> String {
        var words = words
        var time = now
        var format: String?
        while let word = words.popFirst() {
            func value(_ letter: String, _ name: String) throws -> String? {
                if word == letter || word == name {
                    guard let next = words.popFirst() else { throw UsageError("date: \(word) needs a value") }
                    return next
                }
                if word.hasPrefix(name + "=") { return String(word.dropFirst(name.count + 1)) }
                return word.hasPrefix(letter) && !word.hasPrefix("--") ? String(word.dropFirst(2)) : nil
            }
            if word.hasPrefix("+") {
                guard format == nil else { throw UsageError("date: '\(word)': one format is enough") }
                format = String(word.dropFirst())
            } else if word == "-u" || word == "--utc" || word == "--universal" {
                continue
            } else if word == "-R" || word == "--rfc-email" {
                format = "%a, %d %b %Y %H:%M:%S %z"
            } else if word.hasPrefix("-I") || word.hasPrefix("--iso-8601") {
                let part =
                    word.hasPrefix("-I") ? word.dropFirst(2) : word.dropFirst("--iso-8601".count).drop { $0 == "=" }
                format = try isoFormat(String(part))
            } else if let written = try value("-d", "--date") {
                guard let parsed = DateText(now: now).parse(written) else {
                    throw CommandFailure("-d: '\(written)' is no time known here; see help date")
                }
                time = parsed
            } else if word.hasPrefix("-s") || word.hasPrefix("--set") {
                throw UsageError("date: \(word): clock and advance move the lab's time")
            } else {
                throw UsageError("date: '\(word)' is not known here; there are -d, -I, -R, -u and +FORMAT")
            }
        }
        return try DateFormat.text(time, format ?? "%a %b %e %H:%M:%S %Z %Y")
    }

    private static func isoFormat(_ part: String) throws -> String {
        switch part {
        case "", "date": return "%F"
        case "hours": return "%FT%H%:z"
        case "minutes": return "%FT%H:%M%:z"
        case "seconds": return "%FT%T%:z"
        case "ns": return "%FT%T,%N%:z"
        default: throw UsageError("date: -I: '\(part)' is none of date, hours, minutes, seconds and ns")
        }
    }
}

/// What `strftime` and GNU's `date` make of a time, in UTC and in English (POSIX, the description of `strftime`).
enum DateFormat {
    private static let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ]

    /// - Throws: `UsageError` for a letter that is none.
    static func text(_ time: LabTime, _ format: String) throws -> String {
        let civil = CivilTime(time)
        var result = ""
        var rest = format[...]
        while let character = rest.popFirst() {
            guard character == "%" else {
                result.append(character)
                continue
            }
            let flags = rest.prefix { "-_0^#".contains($0) }
            rest = rest.dropFirst(flags.count)
            let width = rest.prefix(3).prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(width.count)
            let colons = rest.prefix { $0 == ":" }
            rest = rest.dropFirst(colons.count)
            rest = rest.drop { "EO".contains($0) }
            guard let letter = rest.popFirst() else { return result + "%" + flags + width + colons }
            if letter == "z" {
                result += colons.isEmpty ? "+0000" : colons.count == 1 ? "+00:00" : "+00:00:00"
                continue
            }
            guard let piece = piece(letter, civil, time) else {
                throw UsageError("date: '%\(letter)' is not known here; see help date")
            }
            result += styled(piece, flags, Int(width), letter)
        }
        return result
    }

    private enum Piece {
        case number(Int, digits: Int, fill: Character)
        case text(String)
    }

    private static func styled(_ piece: Piece, _ flags: Substring, _ width: Int?, _ letter: Character) -> String {
        switch piece {
        case .text(let text): return flags.contains("^") ? text.uppercased() : text
        case .number(let number, let digits, let fill):
            // `%3N`: the first three digits.
            if letter == "N", let width { return String(padded(number, 9).prefix(width)) }
            if flags.contains("-") { return String(number) }
            let character = flags.contains("_") ? " " : flags.contains("0") ? "0" : fill
            let text = String(number)
            return String(repeating: character, count: max(0, (width ?? digits) - text.count)) + text
        }
    }

    private static func piece(_ letter: Character, _ civil: CivilTime, _ time: LabTime) -> Piece? {
        func number(_ value: Int, _ digits: Int, _ fill: Character = "0") -> Piece {
            .number(value, digits: digits, fill: fill)
        }
        let weekday = Int(((time.unixSeconds / 86_400 - (time.unixSeconds % 86_400 < 0 ? 1 : 0)) % 7 + 11) % 7)
        let start = CivilTime(year: civil.year, month: 1, day: 1, hour: 0, minute: 0, second: 0, nanosecond: 0).labTime
        let yearDay = Int(time.unixSeconds - start.unixSeconds) / 86_400
        let hour12 = civil.hour % 12 == 0 ? 12 : civil.hour % 12
        func two(_ value: Int) -> String { padded(value, 2) }
        let clock = "\(two(civil.hour)):\(two(civil.minute)):\(two(civil.second))"
        let day = "\(padded(civil.year, 4))-\(two(civil.month))-\(two(civil.day))"
        switch letter {
        case "Y": return number(civil.year, 1)
        case "C": return number(civil.year / 100, 2)
        case "y": return number(civil.year % 100, 2)
        case "m": return number(civil.month, 2)
        case "d": return number(civil.day, 2)
        case "e": return number(civil.day, 2, " ")
        case "H": return number(civil.hour, 2)
        case "k": return number(civil.hour, 2, " ")
        case "I": return number(hour12, 2)
        case "l": return number(hour12, 2, " ")
        case "M": return number(civil.minute, 2)
        case "S": return number(civil.second, 2)
        case "N": return number(civil.nanosecond, 9)
        case "s": return number(Int(time.unixSeconds), 1)
        case "j": return number(yearDay + 1, 3)
        case "u": return number(weekday == 0 ? 7 : weekday, 1)
        case "w": return number(weekday, 1)
        case "U": return number((yearDay + 7 - weekday) / 7, 2)
        case "W": return number((yearDay + 7 - (weekday + 6) % 7) / 7, 2)
        case "V": return number(isoWeek(civil, weekday, yearDay).week, 2)
        case "G": return number(isoWeek(civil, weekday, yearDay).year, 1)
        case "g": return number(isoWeek(civil, weekday, yearDay).year % 100, 2)
        case "q": return number((civil.month + 2) / 3, 1)
        case "p": return .text(civil.hour < 12 ? "AM" : "PM")
        case "P": return .text(civil.hour < 12 ? "am" : "pm")
        case "a": return .text(String(days[weekday].prefix(3)))
        case "A": return .text(days[weekday])
        case "b", "h": return .text(String(months[civil.month - 1].prefix(3)))
        case "B": return .text(months[civil.month - 1])
        case "F": return .text(day)
        case "T", "X": return .text(clock)
        case "R": return .text("\(two(civil.hour)):\(two(civil.minute))")
        case "D", "x": return .text("\(two(civil.month))/\(two(civil.day))/\(two(civil.year % 100))")
        case "r":
            return .text("\(two(hour12)):\(two(civil.minute)):\(two(civil.second)) \(civil.hour < 12 ? "AM" : "PM")")
        case "c":
            let date = "\(days[weekday].prefix(3)) \(months[civil.month - 1].prefix(3))"
            return .text("\(date) \(civil.day < 10 ? " " : "")\(civil.day) \(clock) \(civil.year)")
        case "Z": return .text("UTC")
        case "n": return .text("\n")
        case "t": return .text("\t")
        case "%": return .text("%")
        default: return nil
        }
    }

    /// ISO 8601: the week belongs to the year that has its Thursday.
    private static func isoWeek(_ civil: CivilTime, _ weekday: Int, _ yearDay: Int) -> (year: Int, week: Int) {
        func isLeap(_ year: Int) -> Bool { year % 4 == 0 && year % 100 != 0 || year % 400 == 0 }
        let thursday = yearDay + 4 - (weekday == 0 ? 7 : weekday)
        if thursday < 0 {
            return (civil.year - 1, (thursday + (isLeap(civil.year - 1) ? 366 : 365)) / 7 + 1)
        }
        let length = isLeap(civil.year) ? 366 : 365
        return thursday >= length ? (civil.year + 1, (thursday - length) / 7 + 1) : (civil.year, thursday / 7 + 1)
    }
}

/// Times as people write them for `date -d`, as far as they are known here.
private struct DateText {
    let now: LabTime

    /// nil if it is none.
    func parse(_ text: String) -> LabTime? {
        var words = text.replacing(",", with: " ").split(whereSeparator: \.isWhitespace).map { $0.lowercased() }[...]
        if words.last == "utc" || words.last == "z" || words.last == "gmt" { words.removeLast() }
        guard words.count <= 20 else { return nil }
        var time = now
        if let word = words.first, word.hasPrefix("@") {
            guard let seconds = Double(word.dropFirst()), abs(seconds) < 9e9 else { return nil }
            // Whole seconds exactly, what follows the point to the nanosecond.
            time = LabTime(nanoseconds: Int64(seconds.rounded(.down)) * 1_000_000_000)
            let fraction = seconds - seconds.rounded(.down)
            time = LabTime(nanoseconds: time.nanoseconds + Int64((fraction * 1e9).rounded()))
            words.removeFirst()
        } else if let whole = LabTime(parsing: text.trimmingBlanks) {
            return whole
        }
        while let word = words.popFirst() {
            switch word {
            case "now": continue
            case "today": continue
            case "yesterday": time = time - .seconds(86_400)
            case "tomorrow": time = time + .seconds(86_400)
            case "midnight": time = startOfDay(time)
            default:
                if let date = date(word) {
                    time = date
                } else if let seconds = clock(word) {
                    time = startOfDay(time) + seconds
                } else if let moved = relative(word, &words, time) {
                    time = moved
                } else {
                    return nil
                }
            }
        }
        return time
    }

    private func startOfDay(_ time: LabTime) -> LabTime {
        let civil = CivilTime(time)
        return CivilTime(
            year: civil.year, month: civil.month, day: civil.day, hour: 0, minute: 0, second: 0, nanosecond: 0
        ).labTime
    }

    /// `2023-12-20`, `2023-12-20T15:00:00Z`, `12/20/2023`
    private func date(_ word: String) -> LabTime? {
        if let time = LabTime(parsing: word.uppercased()) { return time }
        if let place = word.firstIndex(of: "t"), let day = date(String(word[..<place])) {
            var rest = word[word.index(after: place)...]
            if rest.hasSuffix("z") { rest.removeLast() }
            return clock(String(rest)).map { day + $0 }
        }
        let parts = word.split(separator: "-", omittingEmptySubsequences: false)
        let slashes = word.split(separator: "/", omittingEmptySubsequences: false)
        let texts = parts.count == 3 ? parts : slashes.count == 3 ? [slashes[2], slashes[0], slashes[1]] : []
        guard texts.count == 3, texts[0].count == 4, let year = Int(texts[0]), let month = Int(texts[1]),
            let day = Int(texts[2])
        else { return nil }
        return LabTime(parsing: "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T00:00:00Z")
    }

    /// `15:00`, `15:00:30.5`
    private func clock(_ word: String) -> LabDuration? {
        let parts = word.split(separator: ":", omittingEmptySubsequences: false)
        guard (2...3).contains(parts.count), let hour = Int(parts[0]), let minute = Int(parts[1]),
            let second = parts.count == 3 ? Double(parts[2]) : 0, (0..<24).contains(hour), (0..<60).contains(minute),
            (0..<61).contains(second)
        else { return nil }
        return .seconds(hour * 3600 + minute * 60) + LabDuration(nanoseconds: Int64((second * 1e9).rounded()))
    }

    /// `+1 day`, `2 hours ago`, `next week`, `1day`
    private func relative(_ word: String, _ rest: inout ArraySlice<String>, _ time: LabTime) -> LabTime? {
        let sign = word.first == "-" ? -1 : 1
        let unsigned = word.drop { $0 == "+" || $0 == "-" }
        let digits = unsigned.prefix { $0.isASCII && $0.isNumber }
        var count: Int
        var unit = String(unsigned.dropFirst(digits.count))
        if word == "next" {
            count = 1; unit = ""
        } else if word == "last" {
            count = -1; unit = ""
        } else {
            guard let number = Int(digits), number <= 1_000_000_000 else { return nil }
            count = number * sign
        }
        if unit.isEmpty { unit = rest.popFirst() ?? "" }
        if rest.first == "ago" {
            rest.removeFirst()
            count = -count
        }
        if unit.count > 1, unit.hasSuffix("s"), unit != "s" { unit.removeLast() }
        let seconds = [
            "second": 1, "sec": 1, "minute": 60, "min": 60, "hour": 3600, "day": 86_400, "week": 604_800,
            "fortnight": 1_209_600,
        ]
        if let length = seconds[unit] {
            guard abs(count) < 300 * 366 * 86_400 / length else { return nil }
            return time + .seconds(count * length)
        }
        guard unit == "month" || unit == "year", abs(count) < 3600 else { return nil }
        let civil = CivilTime(time)
        let months = civil.year * 12 + civil.month - 1 + (unit == "month" ? count : 12 * count)
        return CivilTime(
            year: months / 12, month: months % 12 + 1, day: civil.day, hour: civil.hour, minute: civil.minute,
            second: civil.second, nanosecond: civil.nanosecond
        ).labTime
    }
}
