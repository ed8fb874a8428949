import KernelStructures
import KernelWire

/// A time zone that is a fixed distance from UTC. Zones with a history need tables that the lab does not carry.
struct TimeZoneOffset: Hashable, Sendable {
    /// As SHOW prints it.
    let name: String
    /// East of UTC.
    let seconds: Int

    static let utc = TimeZoneOffset(name: "UTC", seconds: 0)

    private init(name: String, seconds: Int) {
        self.name = name
        self.seconds = seconds
    }

    /// `UTC`, `GMT`, `Etc/UTC`, `+02`, `-03:30`, and a number of hours.
    ///
    /// - Parameter parameter: the setting's name, for messages; nil for AT TIME ZONE.
    init(_ text: String, for parameter: String? = nil) throws(PostgresError) {
        let word = PostgresText.trimmed(text).lowercased()
        if [
            "utc", "gmt", "z", "zulu", "etc/utc", "etc/gmt", "etc/universal", "etc/zulu", "default", "local",
            "universal",
        ]
        .contains(word) {
            self.init(
                name: ["default", "local"].contains(word) ? "UTC" : String(PostgresText.trimmed(text)), seconds: 0)
            return
        }
        let sign = word.first == "-" ? -1 : 1
        let digits = word.first == "-" || word.first == "+" ? word.dropFirst() : word[...]
        let parts = digits.split(separator: ":")
        guard let first = parts.first, parts.count <= 2, let hours = Double(first), hours.isFinite, hours <= 24,
            let minutes = parts.count == 2 ? Int(parts[1]) : 0, (0..<60).contains(minutes)
        else {
            throw PostgresError(
                .invalidParameterValue,
                parameter.map { "invalid value for parameter \"\($0)\": \"\(text)\"" }
                    ?? "time zone \"\(text)\" not recognized",
                hint: "Zones here are UTC and fixed offsets such as +02 or -03:30.")
        }
        let seconds = sign * (Int((hours * 3600).rounded()) + minutes * 60)
        // A bare number in SET TIME ZONE counts east; PostgreSQL shows it as a POSIX zone.
        self.init(name: parameter == nil ? text : "<\(Self.text(seconds))>\(Self.posix(seconds))", seconds: seconds)
    }

    /// What AT TIME ZONE is given: numbers count west of Greenwich there, as POSIX has them, with a name before them
    /// or without.
    init(posix text: String) throws(PostgresError) {
        let number = PostgresText.trimmed(text).drop { $0.isASCII && $0.isLetter }
        guard number.first.map({ "+-".contains($0) || $0.isNumber }) == true else {
            try self.init(text)
            return
        }
        do throws(PostgresError) {
            self.init(name: text, seconds: -(try TimeZoneOffset(String(number))).seconds)
        } catch {
            throw PostgresError(
                .invalidParameterValue, "time zone \"\(text)\" not recognized", hint: error.hint)
        }
    }

    /// From what SHOW prints.
    init(setting: String) {
        guard setting.first == "<", let end = setting.firstIndex(of: ">"),
            let zone = try? TimeZoneOffset(String(setting[setting.index(after: setting.startIndex)..<end]))
        else {
            self = .utc
            return
        }
        self.init(name: setting, seconds: zone.seconds)
    }

    private static func posix(_ seconds: Int) -> String { text(-seconds).filter { $0 != "+" } }

    /// `+02`, `-03:30`
    static func text(_ seconds: Int) -> String {
        let magnitude = seconds.magnitude
        let minutes = Int(magnitude / 60 % 60)
        return (seconds < 0 ? "-" : "+") + padded(Int(magnitude / 3600), 2)
            + (minutes == 0 ? "" : ":" + padded(minutes, 2))
    }

    var microseconds: Int64 { Int64(seconds) * 1_000_000 }

    /// The local time of a moment, and the other way round; infinity stays.
    func local(_ moment: Int64) -> Int64 { shift(moment, by: microseconds) }
    func moment(_ local: Int64) -> Int64 { shift(local, by: -microseconds) }

    private func shift(_ time: Int64, by offset: Int64) -> Int64 {
        if time == .max || time == .min { return time }
        let (result, isOver) = time.addingReportingOverflow(offset)
        return isOver ? time : result
    }
}

extension SessionContext {
    var timeZone: TimeZoneOffset { TimeZoneOffset(setting: settings.value("timezone") ?? "UTC") }
}
