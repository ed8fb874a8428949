/// Reads what a client says. One that has begun a session (`startup`) gives its messages letters from then on.
///
/// Call `next` with the same buffer until it answers `.needMore`, then with the next buffer and position 0.
public final class FrontendMessageReader {
    public enum Event: Equatable, Sendable {
        /// The input is used up.
        case needMore
        case message(FrontendMessage)
        /// A message that cannot be understood, for which the client gets this error; the next one can be read.
        case invalid(letter: UInt8, PostgresError)
        /// Where the next message begins can no longer be known: the session ends with this error.
        case failed(PostgresError)
    }

    private let frames: PostgresFrameReader

    public init(limits: PostgresLimits = PostgresLimits(), expectsStartup: Bool = true) {
        frames = PostgresFrameReader(expectsStartup: expectsStartup, limits: limits)
    }

    public var limits: PostgresLimits {
        get { frames.limits }
        set { frames.limits = newValue }
    }
    public var heldByteCount: Int { frames.heldByteCount }
    /// Whether the session has not begun.
    public var expectsStartup: Bool { frames.expectsStartup }

    public func next(_ input: UnsafeRawBufferPointer, _ position: inout Int) -> Event {
        switch frames.next(input, &position) {
        case .needMore: return .needMore
        case .failed(let error): return .failed(error)
        case .frame(let frame):
            do throws(PostgresError) {
                let message = try FrontendMessage(frame)
                if case .startup = message { frames.expectsStartup = false }
                return .message(message)
            } catch {
                return error.severity == .fatal ? .failed(error) : .invalid(letter: frame.letter, error)
            }
        }
    }
}

extension FrontendMessage {
    /// Reads one message.
    ///
    /// - Throws: 08P01 for what is too short, too long or unknown; 22021 for texts that are no UTF-8.
    public init(_ frame: PostgresFrame) throws(PostgresError) {
        var cursor = PostgresCursor(frame.body)
        if frame.letter == 0 {
            self = try Self.opening(&cursor)
            return
        }
        switch frame.letter {
        case UInt8(ascii: "Q"): self = .query(try cursor.string())
        case UInt8(ascii: "P"): self = try Self.parse(&cursor)
        case UInt8(ascii: "B"): self = .bind(try Self.bind(&cursor))
        case UInt8(ascii: "D"): self = .describe(try Self.target(&cursor, "DESCRIBE"))
        case UInt8(ascii: "C"): self = .close(try Self.target(&cursor, "CLOSE"))
        case UInt8(ascii: "E"):
            self = .execute(portal: try cursor.string(), rowLimit: max(0, try cursor.integer(Int32.self)))
        case UInt8(ascii: "H"): self = .flush
        case UInt8(ascii: "S"): self = .sync
        case UInt8(ascii: "X"): self = .terminate
        case UInt8(ascii: "p"): self = .password(Array(try cursor.take(cursor.remaining)))
        case UInt8(ascii: "d"): self = .copyData(Array(try cursor.take(cursor.remaining)))
        case UInt8(ascii: "c"): self = .copyDone
        case UInt8(ascii: "f"): self = .copyFail(try cursor.string())
        case UInt8(ascii: "F"):
            _ = try cursor.take(cursor.remaining)
            self = .functionCall
        default: throw .violation("invalid frontend message type \(frame.letter)")
        }
        try cursor.finish()
    }

    private static let cancelCode: UInt32 = 1234 << 16 | 5678
    private static let sslCode: UInt32 = 1234 << 16 | 5679
    private static let gssCode: UInt32 = 1234 << 16 | 5680

    private static func opening(_ cursor: inout PostgresCursor) throws(PostgresError) -> FrontendMessage {
        let code = try cursor.integer(UInt32.self)
        switch code {
        case cancelCode:
            guard cursor.remaining == 8 else { throw .violation("invalid length of startup packet") }
            return .cancelRequest(PostgresCancelKey(process: try cursor.integer(), secret: try cursor.integer()))
        case sslCode, gssCode:
            guard cursor.remaining == 0 else { throw .violation("invalid length of startup packet") }
            return code == sslCode ? .sslRequest : .gssEncryptionRequest
        default: return .startup(try startup(code, &cursor))
        }
    }

    private static func startup(_ version: UInt32, _ cursor: inout PostgresCursor) throws(PostgresError)
        -> PostgresStartup
    {
        guard version >> 16 == 3 else {
            throw PostgresError(
                .featureNotSupported,
                "unsupported frontend protocol \(version >> 16).\(version & 0xffff): server supports 3.0 to 3.0",
                severity: .fatal)
        }
        var parameters: [PostgresStartup.Parameter] = []
        do throws(PostgresError) {
            while true {
                let name = try cursor.string()
                if name.isEmpty { break }
                parameters.append(.init(name, try cursor.string()))
            }
            try cursor.finish()
        } catch {
            throw .violation("invalid startup packet layout: expected terminator as last byte")
        }
        return PostgresStartup(version: version, parameters: parameters)
    }

    private static func parse(_ cursor: inout PostgresCursor) throws(PostgresError) -> FrontendMessage {
        let statement = try cursor.string()
        let query = try cursor.string()
        var types: [PostgresOID] = []
        let count = try cursor.count()
        for _ in 0..<count { types.append(try cursor.oid()) }
        return .parse(statement: statement, query: query, parameterTypes: types)
    }

    private static func bind(_ cursor: inout PostgresCursor) throws(PostgresError) -> PostgresBind {
        var bind = PostgresBind(portal: try cursor.string(), statement: try cursor.string())
        bind.parameterFormats = try formats(&cursor)
        let count = try cursor.count()
        if bind.parameterFormats.count > 1, bind.parameterFormats.count != count {
            throw PostgresError(
                .protocolViolation,
                "bind message has \(bind.parameterFormats.count) parameter formats but \(count) parameters")
        }
        for _ in 0..<count { bind.parameters.append(try cursor.value()) }
        bind.resultFormats = try formats(&cursor)
        return bind
    }

    private static func formats(_ cursor: inout PostgresCursor) throws(PostgresError) -> [PostgresFormat] {
        var formats: [PostgresFormat] = []
        let count = try cursor.count()
        for _ in 0..<count {
            let code = try cursor.integer(Int16.self)
            guard let format = PostgresFormat(rawValue: code) else {
                throw PostgresError(.invalidParameterValue, "unsupported format code: \(code)")
            }
            formats.append(format)
        }
        return formats
    }

    private static func target(_ cursor: inout PostgresCursor, _ verb: String) throws(PostgresError)
        -> PostgresTarget
    {
        let kind = try cursor.byte()
        let name = try cursor.string()
        switch kind {
        case UInt8(ascii: "S"): return .statement(name)
        case UInt8(ascii: "P"): return .portal(name)
        default: throw PostgresError(.protocolViolation, "invalid \(verb) message subtype \(kind)")
        }
    }
}
