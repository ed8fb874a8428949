import KernelStructures
import KernelWire

/// The settings of a session: SET, SHOW, `current_setting` and `pg_settings`.
public struct SessionSettings: Sendable {
    public enum Kind: Equatable, Sendable {
        case boolean
        /// In the unit that its values have when none is written: `ms`, `kB`, `8kB`; nil for a plain number.
        case integer(unit: String?, in: ClosedRange<Int>)
        case real
        case choice([String])
        case text
    }

    struct Entry: Sendable {
        let name: String
        let kind: Kind
        let initial: String
        /// Clients are told of each change (ParameterStatus).
        var isReported = false
        /// 55P02 for whoever sets it.
        var isFixed = false
    }

    /// What differs from the initial values; texts as they are shown.
    private var values: [String: String] = [:] { didSet { readSearchPath() } }
    /// What RESET goes back to, where that is not the initial value: the startup packet's.
    private var defaults: [String: String] = [:] { didSet { readSearchPath() } }
    /// The schemas in which names without one are looked for; `"$user"` stands for the user's own. Each statement asks
    /// for it, and few change it.
    public private(set) var searchPath: [String] = []

    public init() { readSearchPath() }

    /// Values that the startup packet, or the server's configuration, gives: RESET goes back to them.
    public mutating func setDefault(_ name: String, _ value: String) throws(PostgresError) {
        let entry = try Self.entry(name)
        defaults[entry.name] = try Self.normalized(value, entry)
    }

    /// As SHOW prints it; nil for an unknown name.
    public func value(_ name: String) -> String? {
        let key = name.lowercased()
        return values[key] ?? defaults[key] ?? Self.entries[key]?.initial
    }

    /// - Parameter value: nil for the default.
    public mutating func set(_ name: String, _ value: String?) throws(PostgresError) {
        let entry = try Self.entry(name)
        guard !entry.isFixed else {
            throw PostgresError("55P02", "parameter \"\(entry.name)\" cannot be changed")
        }
        if let value { values[entry.name] = try Self.normalized(value, entry) } else { values[entry.name] = nil }
    }

    public mutating func resetAll() { values = [:] }

    /// The names and values that clients are told at the start and after each change.
    public var reported: [(name: String, value: String)] {
        Self.ordered.filter(\.isReported).map { ($0.displayName, value($0.name) ?? "") }
    }

    /// Most statements change no setting, and then it costs nothing to ask.
    func isSame(as other: SessionSettings) -> Bool { values == other.values && defaults == other.defaults }

    /// All names with their values, in the order of names.
    public var all: [(name: String, value: String)] {
        Self.ordered.map { ($0.displayName, value($0.name) ?? "") }
            + values.keys.filter { Self.entries[$0] == nil }.sorted().map { ($0, values[$0] ?? "") }
    }

    // MARK: What the engine itself reads

    public func isOn(_ name: String) -> Bool { value(name) == "on" }

    /// In milliseconds; 0 for none.
    public var statementTimeoutMilliseconds: Int { milliseconds("statement_timeout") }
    public var lockTimeoutMilliseconds: Int { milliseconds("lock_timeout") }
    public var idleInTransactionSessionTimeoutMilliseconds: Int { milliseconds("idle_in_transaction_session_timeout") }

    private func milliseconds(_ name: String) -> Int {
        value(name).flatMap { try? SettingUnits.parse($0, unit: "ms") } ?? 0
    }

    private mutating func readSearchPath() {
        searchPath = (value("search_path") ?? "").split(separator: ",").map { part in
            let trimmed = part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()
            return String(trimmed).replacing("\"", with: "")
        }
    }

    // MARK: Checks

    private static func entry(_ name: String) throws(PostgresError) -> Entry {
        let key = name.lowercased()
        if let entry = entries[key] { return entry }
        // A name with a point is somebody's own.
        guard key.contains(".") else {
            throw PostgresError(.undefinedObject, "unrecognized configuration parameter \"\(name)\"")
        }
        return Entry(name: key, kind: .text, initial: "")
    }

    private static func normalized(_ value: String, _ entry: Entry) throws(PostgresError) -> String {
        func invalid(_ hint: String? = nil) -> PostgresError {
            PostgresError(
                .invalidParameterValue, "invalid value for parameter \"\(entry.displayName)\": \"\(value)\"", hint: hint
            )
        }
        switch entry.kind {
        case .text:
            if entry.name == "timezone" { return try TimeZoneOffset(value, for: entry.displayName).name }
            return value
        case .boolean:
            guard let isOn = BooleanText.parse(value) else {
                throw PostgresError(
                    .invalidParameterValue, "parameter \"\(entry.displayName)\" requires a Boolean value")
            }
            return isOn ? "on" : "off"
        case .real:
            guard let number = Double(value) else { throw invalid() }
            return PostgresFloat.text(number)
        case .choice(let choices):
            let wanted = value.lowercased()
            if entry.name == "datestyle" { return try dateStyle(wanted, invalid()) }
            if entry.name == "client_encoding", isUTF8(wanted) { return choices[0] }
            guard let choice = choices.first(where: { $0 == wanted }) else {
                throw invalid("Available values: \(choices.joined(separator: ", ")).")
            }
            return choice
        case .integer(let unit, let range):
            let number: Int
            do { number = try SettingUnits.parse(value, unit: unit) } catch { throw invalid(error.hint) }
            guard range.contains(number) else {
                let shown = unit.map { " \($0)" } ?? ""
                throw PostgresError(
                    .invalidParameterValue,
                    "\(number)\(shown) is outside the valid range for parameter \"\(entry.displayName)\" "
                        + "(\(range.lowerBound) .. \(range.upperBound))")
            }
            return SettingUnits.text(number, unit: unit)
        }
    }

    /// In names of encodings only letters and digits count (PostgreSQL 15, section 24.3.4): `'utf-8'` with its quotes,
    /// as asyncpg sends it, is one.
    private static func isUTF8(_ name: String) -> Bool {
        ["utf8", "unicode"].contains(name.filter { $0.isASCII && ($0.isLetter || $0.isNumber) })
    }

    private static func dateStyle(_ value: String, _ invalid: PostgresError) throws(PostgresError) -> String {
        let words = value.split { $0 == "," || $0 == " " }
        guard words.allSatisfy({ ["iso", "mdy", "us", "noneuro", "default"].contains($0) }), !words.isEmpty else {
            throw PostgresError(
                .featureNotSupported, "DateStyle \"\(value)\" is not supported", hint: "Dates are always ISO, MDY here."
            )
        }
        return "ISO, MDY"
    }
}

extension SessionSettings.Entry {
    /// Some names are shown with capitals.
    var displayName: String {
        switch name {
        case "datestyle": "DateStyle"
        case "timezone": "TimeZone"
        case "intervalstyle": "IntervalStyle"
        default: name
        }
    }
}

/// `30s`, `64MB`: numbers with units.
enum SettingUnits {
    private static let times: [(String, Int)] = [
        ("ms", 1), ("s", 1000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]
    private static let sizes: [(String, Int)] = [("kB", 1), ("MB", 1 << 10), ("GB", 1 << 20), ("TB", 1 << 30)]

    /// In the given unit.
    static func parse(_ text: String, unit: String?) throws(PostgresError) -> Int {
        let bare = text.filter { $0 != " " }
        let digits = bare.prefix { $0.isASCII && ($0.isNumber || $0 == "-" || $0 == "+" || $0 == ".") }
        let suffix = String(bare.dropFirst(digits.count))
        guard let number = Double(digits), number.isFinite else { throw PostgresError(.invalidParameterValue, "") }
        var factor = 1.0
        if !suffix.isEmpty {
            let table = unit == "ms" || unit == "s" || unit == "min" ? times : sizes
            let base = table.first { $0.0 == (unit == "8kB" ? "kB" : unit) }?.1
            guard let base, let wanted = table.first(where: { $0.0 == suffix })?.1 else {
                throw PostgresError(
                    .invalidParameterValue, "",
                    hint: unit == nil
                        ? nil
                        : "Valid units for this parameter are \(table.map { "\"\($0.0)\"" }.joined(separator: ", ")).")
            }
            factor = Double(wanted) / Double(base) / (unit == "8kB" ? 8 : 1)
        }
        let result = (number * factor).rounded(.toNearestOrEven)
        guard let whole = Int(exactly: result) else { throw PostgresError(.invalidParameterValue, "") }
        return whole
    }

    /// In the largest unit that leaves a whole number.
    static func text(_ number: Int, unit: String?) -> String {
        guard let unit, number > 0 else { return String(number) }
        let table = unit == "ms" || unit == "s" || unit == "min" ? times : sizes
        guard let base = table.first(where: { $0.0 == (unit == "8kB" ? "kB" : unit) })?.1 else { return String(number) }
        let (total, overflow) = number.multipliedReportingOverflow(by: base * (unit == "8kB" ? 8 : 1))
        guard !overflow, let best = table.last(where: { total % $0.1 == 0 }) else { return String(number) }
        return "\(total / best.1)\(best.0)"
    }
}

/// The spellings of true and false.
enum BooleanText {
    static func parse(_ text: some StringProtocol) -> Bool? {
        let word = text.lowercased().trimmed
        guard !word.isEmpty else { return nil }
        if word == "1" || word == "on" || "true".hasPrefix(word) || "yes".hasPrefix(word) { return true }
        if word == "0" || word == "off" || word == "of" || "false".hasPrefix(word) || "no".hasPrefix(word) {
            return false
        }
        return nil
    }
}

extension StringProtocol {
    /// Without the blanks at both ends, as PostgreSQL's input functions take them off.
    var trimmed: String {
        func isBlank(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
        let start = utf8.drop(while: isBlank)
        return String(
            decoding: start.prefix(start.count - start.reversed().prefix(while: isBlank).count), as: UTF8.self)
    }
}
