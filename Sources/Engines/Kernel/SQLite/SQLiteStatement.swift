import CSQLite

/// A prepared statement, for one user at a time. Whoever lets go of it gives it back to its connection, which keeps it
/// prepared for the next.
public final class SQLiteStatement {
    public let connection: SQLiteConnection
    public let sql: String
    let handle: OpaquePointer
    public let columnCount: Int
    private let isKept: Bool

    init(connection: SQLiteConnection, sql: String, handle: OpaquePointer, isKept: Bool) {
        self.connection = connection
        self.sql = sql
        self.handle = handle
        self.isKept = isKept
        columnCount = Int(sqlite3_column_count(handle))
    }

    deinit {
        sqlite3_reset(handle)
        guard isKept, !connection.isClosed else {
            sqlite3_finalize(handle)
            return
        }
        sqlite3_clear_bindings(handle)
        connection.keep(handle, for: sql)
    }

    /// Whether it leaves the database as it is.
    public var isReadOnly: Bool { sqlite3_stmt_readonly(handle) != 0 }
    /// The highest number of a parameter: 3 for `?1, ?3`.
    public var parameterCount: Int { Int(sqlite3_bind_parameter_count(handle)) }

    /// Goes on to the next row.
    ///
    /// - Returns: false when there is none. The statement is reset then.
    /// - Throws: `SQLiteError`; the statement is reset.
    public func step() throws(SQLiteError) -> Bool {
        guard !connection.isClosed else { throw SQLiteConnection.closedError }
        let code = sqlite3_step(handle)
        if code == SQLITE_ROW { return true }
        let failure = code == SQLITE_DONE ? nil : connection.error(code)
        reset()
        if let failure { throw failure }
        return false
    }

    /// Steps to the end, and forgets the rows.
    public func run() throws(SQLiteError) { while try step() {} }

    /// Forgets where it was; what is bound stays.
    public func reset() { sqlite3_reset(handle) }

    // MARK: Parameters

    /// - Parameter index: from 1.
    public func bind(_ value: SQLiteValue, at index: Int) throws(SQLiteError) {
        let place = CInt(clamping: index)
        switch value {
        case .null: try check(sqlite3_bind_null(handle, place))
        case .integer(let number): try check(sqlite3_bind_int64(handle, place, number))
        case .real(let number): try check(sqlite3_bind_double(handle, place, number))
        case .text(var text): try check(text.withUTF8 { bindText(UnsafeRawBufferPointer($0), place) })
        case .blob(let bytes): try check(bytes.withUnsafeBytes { bindBlob($0, place) })
        }
    }

    /// Binds bytes that are UTF-8 as a text.
    public func bindText(_ bytes: UnsafeRawBufferPointer, at index: Int) throws(SQLiteError) {
        try check(bindText(bytes, CInt(clamping: index)))
    }

    public func bindBlob(_ bytes: UnsafeRawBufferPointer, at index: Int) throws(SQLiteError) {
        try check(bindBlob(bytes, CInt(clamping: index)))
    }

    /// All parameters are `null` again.
    public func clearParameters() { sqlite3_clear_bindings(handle) }

    private func bindText(_ bytes: UnsafeRawBufferPointer, _ place: CInt) -> CInt {
        let start = bytes.baseAddress?.assumingMemoryBound(to: CChar.self) ?? emptyText
        return sqlite3_bind_text64(handle, place, start, UInt64(bytes.count), copied, UInt8(SQLITE_UTF8))
    }

    private func bindBlob(_ bytes: UnsafeRawBufferPointer, _ place: CInt) -> CInt {
        guard let start = bytes.baseAddress, !bytes.isEmpty else { return sqlite3_bind_zeroblob(handle, place, 0) }
        return sqlite3_bind_blob64(handle, place, start, UInt64(bytes.count), copied)
    }

    private func check(_ code: CInt) throws(SQLiteError) {
        if code != SQLITE_OK { throw connection.error(code) }
    }

    // MARK: Columns of the current row; from 0

    /// A value's storage class.
    public enum StorageClass: Sendable { case null, integer, real, text, blob }

    public func storageClass(_ index: Int) -> StorageClass {
        switch sqlite3_column_type(handle, CInt(clamping: index)) {
        case SQLITE_INTEGER: .integer
        case SQLITE_FLOAT: .real
        case SQLITE_TEXT: .text
        case SQLITE_BLOB: .blob
        default: .null
        }
    }

    public func value(_ index: Int) -> SQLiteValue {
        switch storageClass(index) {
        case .null: .null
        case .integer: .integer(integer(index))
        case .real: .real(real(index))
        case .text: .text(text(index))
        case .blob: .blob(withBytes(index) { Array($0) })
        }
    }

    public func isNull(_ index: Int) -> Bool { sqlite3_column_type(handle, CInt(clamping: index)) == SQLITE_NULL }
    public func integer(_ index: Int) -> Int64 { sqlite3_column_int64(handle, CInt(clamping: index)) }
    public func real(_ index: Int) -> Double { sqlite3_column_double(handle, CInt(clamping: index)) }
    /// As text whatever it is; `null` is empty.
    public func text(_ index: Int) -> String { withBytes(index) { String(decoding: $0, as: UTF8.self) } }

    /// The bytes of a text or blob, without a copy; a number's are those of its text.
    public func withBytes<Result>(_ index: Int, _ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        let place = CInt(clamping: index)
        let start =
            sqlite3_column_type(handle, place) == SQLITE_BLOB
            ? sqlite3_column_blob(handle, place) : sqlite3_column_text(handle, place).map { UnsafeRawPointer($0) }
        let count = start == nil ? 0 : Int(sqlite3_column_bytes(handle, place))
        return try body(UnsafeRawBufferPointer(start: start, count: count))
    }

    public func columnName(_ index: Int) -> String {
        sqlite3_column_name(handle, CInt(clamping: index)).map { String(cString: $0) } ?? ""
    }
}
