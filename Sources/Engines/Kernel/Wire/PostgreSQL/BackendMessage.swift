/// What servers say (protocol 3.0, section 55.7, "Message Formats").
public enum BackendMessage: Equatable, Sendable {
    case authentication(PostgresAuthentication)
    /// A setting that clients may want to know, and its present value.
    case parameterStatus(name: String, value: String)
    case backendKeyData(PostgresCancelKey)
    /// What was asked is done; the next question may come.
    case readyForQuery(PostgresTransactionStatus)
    case rowDescription([ColumnDescription])
    case dataRow(PostgresRow)
    /// `SELECT 3`, `INSERT 0 1`.
    case commandComplete(String)
    case emptyQueryResponse
    case errorResponse(PostgresError)
    case noticeResponse(PostgresError)
    case parseComplete
    case bindComplete
    case closeComplete
    /// The limit of rows was reached: the portal has more.
    case portalSuspended
    /// What was to be described returns no rows.
    case noData
    case parameterDescription([PostgresOID])
    /// The server expects data, in these formats of columns.
    case copyIn(PostgresFormat, columns: [PostgresFormat])
    case copyOut(PostgresFormat, columns: [PostgresFormat])
    case copyBoth(PostgresFormat, columns: [PostgresFormat])
    case copyData([UInt8])
    case copyDone
    case notification(process: Int32, channel: String, payload: String)
    case negotiateProtocolVersion(minor: Int32, unrecognized: [String])
    case functionCallResponse([UInt8]?)
}

/// What a server wants before it lets somebody in.
public enum PostgresAuthentication: Equatable, Sendable {
    case ok
    case cleartextPassword
    /// - salt: four bytes.
    case md5Password(salt: [UInt8])
    /// The names of mechanisms to choose from.
    case sasl([String])
    case saslContinue([UInt8])
    case saslFinal([UInt8])
    /// Kerberos, GSSAPI, SSPI: by its number.
    case unsupported(Int32)
}

/// Where a session is with its transaction.
public enum PostgresTransactionStatus: UInt8, Sendable {
    case idle = 0x49
    case inTransaction = 0x54
    /// A statement has failed: nothing but its end is accepted.
    case failed = 0x45
}

/// One column of a result.
public struct ColumnDescription: Equatable, Sendable {
    public var name: String
    public var type: PostgresOID
    /// What belongs to the type: the n of `varchar(n)` and 4, precision and scale of `numeric`; -1 for nothing.
    public var typeModifier: Int32
    /// The table from which it comes as it is; 0 for a computed one.
    public var table: PostgresOID
    /// Its number in that table, from 1; 0 for a computed one.
    public var attribute: Int16
    public var format: PostgresFormat

    public init(
        _ name: String, _ type: PostgresOID, typeModifier: Int32 = -1, table: PostgresOID = 0, attribute: Int16 = 0,
        format: PostgresFormat = .text
    ) {
        self.name = name
        self.type = type
        self.typeModifier = typeModifier
        self.table = table
        self.attribute = attribute
        self.format = format
    }
}

/// The values of one row, kept in one piece as they came.
public struct PostgresRow: Equatable, Sendable {
    /// A DataRow's body: a count, then each value with its length before it.
    public let bytes: [UInt8]
    public let count: Int

    /// - Throws: 08P01 if the lengths do not fit.
    public init(bytes: [UInt8]) throws(PostgresError) {
        var count = 0
        var failure: PostgresError?
        bytes.withUnsafeBytes { raw in
            do throws(PostgresError) { count = try Self.check(raw) } catch { failure = error }
        }
        if let failure { throw failure }
        self.bytes = bytes
        self.count = count
    }

    public init(_ values: [[UInt8]?]) {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: UInt16(clamping: values.count))
        for value in values.prefix(Int(UInt16.max)) { bytes.append(value: value) }
        self.bytes = bytes
        count = min(values.count, Int(UInt16.max))
    }

    private static func check(_ raw: UnsafeRawBufferPointer) throws(PostgresError) -> Int {
        var cursor = PostgresCursor(raw)
        let count = try cursor.count()
        for _ in 0..<count {
            let length = Int(try cursor.integer(Int32.self))
            if length != -1 { _ = try cursor.take(length) }
        }
        try cursor.finish()
        return count
    }

    /// All of them; nil is NULL.
    public var values: [[UInt8]?] {
        var values: [[UInt8]?] = []
        values.reserveCapacity(count)
        var position = 2
        for _ in 0..<count {
            let length = bytes[position..<position + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            position += 4
            if length == UInt32.max {
                values.append(nil)
            } else {
                values.append(Array(bytes[position..<position + Int(length)]))
                position += Int(length)
            }
        }
        return values
    }

    /// As texts, for rows in text format; nil is NULL.
    public var texts: [String?] { values.map { $0.map { String(decoding: $0, as: UTF8.self) } } }
}
