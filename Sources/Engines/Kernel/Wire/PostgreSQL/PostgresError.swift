/// What a server says when something does not go as asked: an ErrorResponse or a NoticeResponse (protocol 3, section
/// 55.8, "Error and Notice Message Fields").
public struct PostgresError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Severity: String, Sendable {
        /// The statement has failed; the session goes on.
        case error = "ERROR"
        /// The session ends.
        case fatal = "FATAL"
        /// All sessions end.
        case panic = "PANIC"
        case warning = "WARNING"
        case notice = "NOTICE"
        case debug = "DEBUG"
        case info = "INFO"
        case log = "LOG"
    }

    public var severity: Severity
    public var sqlState: SQLState
    /// What happened, in one line without a full stop.
    public var message: String
    /// More about it, in sentences.
    public var detail: String?
    /// What to do about it.
    public var hint: String?
    /// Where in the query, in characters from 1.
    public var position: Int?
    /// Where in a query that the server made itself, in characters from 1.
    public var internalPosition: Int?
    public var internalQuery: String?
    /// What was being done, one line a level (`CONTEXT`).
    public var context: String?
    public var schema: String?
    public var table: String?
    public var column: String?
    public var dataType: String?
    public var constraint: String?

    public init(
        _ sqlState: SQLState, _ message: String, severity: Severity = .error, detail: String? = nil,
        hint: String? = nil, position: Int? = nil
    ) {
        self.sqlState = sqlState
        self.message = message
        self.severity = severity
        self.detail = detail
        self.hint = hint
        self.position = position
    }

    /// As `psql` shows it with `\set VERBOSITY sqlstate`: `ERROR:  42P01: relation "t" does not exist`.
    public var description: String { "\(severity.rawValue):  \(sqlState.rawValue): \(message)" }

    /// Nobody can go on reading after this: a length, or a message, that the protocol does not have.
    public static func violation(_ message: String) -> PostgresError {
        PostgresError(.protocolViolation, message, severity: .fatal)
    }
}

extension PostgresError {
    /// The fields as they travel: a letter, the text, a zero; and a zero behind the last.
    func encodeFields(into bytes: inout [UInt8]) {
        func field(_ letter: UInt8, _ text: String?) {
            guard let text else { return }
            bytes.append(letter)
            bytes.append(cString: text)
        }
        field(UInt8(ascii: "S"), severity.rawValue)
        field(UInt8(ascii: "V"), severity.rawValue)
        field(UInt8(ascii: "C"), sqlState.rawValue)
        field(UInt8(ascii: "M"), message)
        field(UInt8(ascii: "D"), detail)
        field(UInt8(ascii: "H"), hint)
        field(UInt8(ascii: "P"), position.map(String.init))
        field(UInt8(ascii: "p"), internalPosition.map(String.init))
        field(UInt8(ascii: "q"), internalQuery)
        field(UInt8(ascii: "W"), context)
        field(UInt8(ascii: "s"), schema)
        field(UInt8(ascii: "t"), table)
        field(UInt8(ascii: "c"), column)
        field(UInt8(ascii: "d"), dataType)
        field(UInt8(ascii: "n"), constraint)
        bytes.append(0)
    }

    /// Reads the fields of a message's body. Letters that it does not know are passed over, as the protocol asks.
    init(fields cursor: inout PostgresCursor) throws(PostgresError) {
        self.init(.internalError, "")
        var localized: Severity?
        while true {
            let letter = try cursor.byte()
            if letter == 0 { break }
            let text = try cursor.lossyString()
            switch letter {
            case UInt8(ascii: "S"): localized = Severity(rawValue: text)
            case UInt8(ascii: "V"): severity = Severity(rawValue: text) ?? .error
            case UInt8(ascii: "C"): sqlState = SQLState(rawValue: text)
            case UInt8(ascii: "M"): message = text
            case UInt8(ascii: "D"): detail = text
            case UInt8(ascii: "H"): hint = text
            case UInt8(ascii: "P"): position = Int(text)
            case UInt8(ascii: "p"): internalPosition = Int(text)
            case UInt8(ascii: "q"): internalQuery = text
            case UInt8(ascii: "W"): context = text
            case UInt8(ascii: "s"): schema = text
            case UInt8(ascii: "t"): table = text
            case UInt8(ascii: "c"): column = text
            case UInt8(ascii: "d"): dataType = text
            case UInt8(ascii: "n"): constraint = text
            default: break
            }
            // Servers before 9.6 say it in their language only.
            if letter == UInt8(ascii: "S"), let localized { severity = localized }
        }
    }
}
