/// Reads what a server says, however its bytes are cut. The one byte that answers an SSLRequest is not a message, and
/// has to be taken before.
public final class BackendMessageReader {
    public enum Event: Equatable, Sendable {
        /// The input is used up.
        case needMore
        case message(BackendMessage)
        /// The server does not speak this protocol.
        case failed(PostgresError)
    }

    private let frames: PostgresFrameReader
    private var failure: PostgresError?

    public init(limits: PostgresLimits = PostgresLimits()) {
        frames = PostgresFrameReader(expectsStartup: false, limits: limits)
    }

    public func next(_ input: UnsafeRawBufferPointer, _ position: inout Int) -> Event {
        if let failure { return .failed(failure) }
        switch frames.next(input, &position) {
        case .needMore: return .needMore
        case .failed(let error): return .failed(error)
        case .frame(let frame):
            do throws(PostgresError) {
                return .message(try BackendMessage(frame))
            } catch {
                failure = error
                return .failed(error)
            }
        }
    }
}

extension BackendMessage {
    /// Reads one message.
    ///
    /// - Throws: 08P01 for what is too short, too long or unknown.
    public init(_ frame: PostgresFrame) throws(PostgresError) {
        var cursor = PostgresCursor(frame.body)
        switch frame.letter {
        case UInt8(ascii: "R"): self = .authentication(try PostgresAuthentication(&cursor))
        case UInt8(ascii: "S"):
            self = .parameterStatus(name: try cursor.lossyString(), value: try cursor.lossyString())
        case UInt8(ascii: "K"):
            self = .backendKeyData(PostgresCancelKey(process: try cursor.integer(), secret: try cursor.integer()))
        case UInt8(ascii: "Z"):
            guard let status = PostgresTransactionStatus(rawValue: try cursor.byte()) else {
                throw .violation("a transaction status that does not exist")
            }
            self = .readyForQuery(status)
        case UInt8(ascii: "T"): self = .rowDescription(try Self.columns(&cursor))
        case UInt8(ascii: "D"): self = .dataRow(try PostgresRow(bytes: Array(try cursor.take(cursor.remaining))))
        case UInt8(ascii: "C"): self = .commandComplete(try cursor.lossyString())
        case UInt8(ascii: "I"): self = .emptyQueryResponse
        case UInt8(ascii: "E"): self = .errorResponse(try PostgresError(fields: &cursor))
        case UInt8(ascii: "N"): self = .noticeResponse(try PostgresError(fields: &cursor))
        case UInt8(ascii: "1"): self = .parseComplete
        case UInt8(ascii: "2"): self = .bindComplete
        case UInt8(ascii: "3"): self = .closeComplete
        case UInt8(ascii: "s"): self = .portalSuspended
        case UInt8(ascii: "n"): self = .noData
        default: self = try Self.rare(frame.letter, &cursor)
        }
        try cursor.finish()
    }

    private static func rare(_ letter: UInt8, _ cursor: inout PostgresCursor) throws(PostgresError) -> BackendMessage {
        switch letter {
        case UInt8(ascii: "t"):
            var types: [PostgresOID] = []
            let count = try cursor.count()
            for _ in 0..<count { types.append(try cursor.oid()) }
            return .parameterDescription(types)
        case UInt8(ascii: "G"):
            let (format, columns) = try copy(&cursor)
            return .copyIn(format, columns: columns)
        case UInt8(ascii: "H"):
            let (format, columns) = try copy(&cursor)
            return .copyOut(format, columns: columns)
        case UInt8(ascii: "W"):
            let (format, columns) = try copy(&cursor)
            return .copyBoth(format, columns: columns)
        case UInt8(ascii: "d"): return .copyData(Array(try cursor.take(cursor.remaining)))
        case UInt8(ascii: "c"): return .copyDone
        case UInt8(ascii: "A"):
            let process = try cursor.integer(Int32.self)
            return .notification(
                process: process, channel: try cursor.lossyString(), payload: try cursor.lossyString())
        case UInt8(ascii: "v"):
            let minor = try cursor.integer(Int32.self)
            let count = try cursor.integer(UInt32.self)
            var names: [String] = []
            // Each takes a byte at least, so a great count fails before it takes memory.
            for _ in 0..<count { names.append(try cursor.lossyString()) }
            return .negotiateProtocolVersion(minor: minor, unrecognized: names)
        case UInt8(ascii: "V"): return .functionCallResponse(try cursor.value())
        default: throw .violation("invalid backend message type \(letter)")
        }
    }

    private static func columns(_ cursor: inout PostgresCursor) throws(PostgresError) -> [ColumnDescription] {
        var columns: [ColumnDescription] = []
        let count = try cursor.count()
        for _ in 0..<count {
            var column = ColumnDescription(try cursor.lossyString(), 0)
            column.table = try cursor.oid()
            column.attribute = try cursor.integer()
            column.type = try cursor.oid()
            _ = try cursor.integer(Int16.self)
            column.typeModifier = try cursor.integer()
            column.format = try format(try cursor.integer(Int16.self))
            columns.append(column)
        }
        return columns
    }

    private static func copy(_ cursor: inout PostgresCursor) throws(PostgresError)
        -> (PostgresFormat, [PostgresFormat])
    {
        let overall = try format(Int16(try cursor.byte()))
        var columns: [PostgresFormat] = []
        let count = try cursor.count()
        for _ in 0..<count { columns.append(try format(try cursor.integer(Int16.self))) }
        return (overall, columns)
    }

    private static func format(_ code: Int16) throws(PostgresError) -> PostgresFormat {
        guard let format = PostgresFormat(rawValue: code) else {
            throw .violation("a format that does not exist: \(code)")
        }
        return format
    }
}

extension PostgresAuthentication {
    fileprivate init(_ cursor: inout PostgresCursor) throws(PostgresError) {
        let code = try cursor.integer(Int32.self)
        switch code {
        case 0: self = .ok
        case 3: self = .cleartextPassword
        case 5: self = .md5Password(salt: Array(try cursor.take(4)))
        case 10:
            var mechanisms: [String] = []
            while true {
                let name = try cursor.lossyString()
                if name.isEmpty { break }
                mechanisms.append(name)
            }
            self = .sasl(mechanisms)
        case 11: self = .saslContinue(Array(try cursor.take(cursor.remaining)))
        case 12: self = .saslFinal(Array(try cursor.take(cursor.remaining)))
        default:
            _ = try cursor.take(cursor.remaining)
            self = .unsupported(code)
        }
    }
}
