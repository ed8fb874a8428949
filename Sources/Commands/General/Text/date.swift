import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var date: Command {
        let description = CommandDescription(
            "date", "the lab's time", usage: "[-d TEXT] [-I[PART]] [+FORMAT]",
            arguments: .init([.text, .text], 0...20, isRaw: true),
            examples: ["date +%s", "date -d '2023-12-20 15:00 2 hours ago' +%FT%TZ", "date -Iseconds"], group: .files,
            details: """
                -d, --date TEXT  another time: @SECONDS, or of these in any order a date
                                 (2023-12-20, 12/20/2023, 20 Dec 2023), a time (15:00[:30],
                                 3pm) with its zone (Z, +0200, EST), a day (next monday) and
                                 moves: +1 day, 2 hours ago, tomorrow. +2 right behind a time
                                 is its zone, as elsewhere.
                -f, --file FILE  one TEXT on each line
                -I[PART], --rfc-3339=PART   as ISO 8601: date, hours, minutes, seconds, ns
                -R               as in mail; -u is what it is in any case: there is only UTC
                FORMAT: %Y %m %d %H %M %S %N %s %F %T %D %R %j %a %A %b %B %e %I %l %k %p %y %C
                %u %w %V %G %U %Z %z %n %t %%, with - _ 0 ^ before the letter. clock sets it.
                """)
        return Command(description) { invocation in
            var status = 0
            let (texts, format) = try read(invocation.arguments.arguments[...], invocation.session.files)
            let now = invocation.session.world.now
            for text in texts {
                guard let time = text.map({ DateText.parse($0, now: now) }) ?? now else {
                    invocation.process.complain("-d: '\(text ?? "")' is no time known here; see help date")
                    status = 1
                    continue
                }
                invocation.process.print(try DateFormat.text(time, format))
            }
            return .done(status)
        }
    }

    /// The times that are asked for, nil for now, and in which form.
    private static func read(_ words: ArraySlice<String>, _ files: LabFiles) throws -> ([String?], String) {
        var words = letters(words)
        var texts: [String?] = [nil]
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
            } else if word.hasPrefix("--rfc-3339=") {
                guard
                    let known = ["date": "%F", "seconds": "%F %T%:z", "ns": "%F %T.%N%:z"][String(word.dropFirst(11))]
                else { throw UsageError("date: \(word): one of date, seconds and ns") }
                format = known
            } else if let written = try value("-d", "--date") {
                texts = [written]
            } else if let file = try value("-f", "--file") {
                let bytes = try files.reading { try $0.read(file) }
                texts = bytes.split(separator: 10).map { String(decoding: $0, as: UTF8.self) }
            } else if word.hasPrefix("-s") || word.hasPrefix("--set") {
                throw UsageError("date: \(word): clock and advance move the lab's time")
            } else {
                throw UsageError("date: '\(word)' is not known here; there are -d, -f, -I, -R, -u and +FORMAT")
            }
        }
        return (texts, format ?? "%a %b %e %H:%M:%S %Z %Y")
    }

    /// Letters in one word, `-ud TEXT`, each in its own.
    private static func letters(_ words: ArraySlice<String>) -> ArraySlice<String> {
        words.flatMap { word -> [String] in
            guard word.hasPrefix("-u"), word.count > 2 else { return [word] }
            return ["-u", "-" + word.dropFirst(2)]
        }[...]
    }

    private static func isoFormat(_ part: String) throws -> String {
        switch part {
        case "", "date": return "%F"
        case "hour", "h", "hours": return "%FT%H%:z"
        case "minute", "m", "minutes": return "%FT%H:%M%:z"
        case "second", "s", "seconds": return "%FT%T%:z"
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
            // As elsewhere, what is none stays as it was written.
            guard let piece = piece(letter, civil, time) else {
                result += "%\(flags)\(width)\(letter)"
                continue
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
        case .text(let text):
            let text =
                flags.contains("^")
                ? text.uppercased()
                : flags.contains("#") ? (letter == "p" ? text.lowercased() : text.uppercased()) : text
            let fill = String(repeating: flags.contains("0") ? "0" : " ", count: max(0, (width ?? 0) - text.count))
            return fill + text
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
        func length(_ year: Int) -> Int { CivilDate.isLeap(year) ? 366 : 365 }
        let thursday = yearDay + 4 - (weekday == 0 ? 7 : weekday)
        if thursday < 0 {
            return (civil.year - 1, (thursday + length(civil.year - 1)) / 7 + 1)
        }
        let days = length(civil.year)
        return thursday >= days ? (civil.year + 1, (thursday - days) / 7 + 1) : (civil.year, thursday / 7 + 1)
    }
}
