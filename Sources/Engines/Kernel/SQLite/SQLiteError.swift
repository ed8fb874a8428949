import CSQLite
import KernelStorage

/// What SQLite, or the disk below it, refused.
public struct SQLiteError: Error, CustomStringConvertible {
    /// The primary result code, `SQLITE_BUSY` and so on (sqlite.org/rescode.html).
    public let code: Int32
    /// The extended result code: `SQLITE_BUSY_SNAPSHOT`, `SQLITE_CONSTRAINT_UNIQUE` …
    public let extendedCode: Int32
    public let message: String
    /// Where in the statement's text it is, in bytes; nil where it is nowhere in particular.
    public let offset: Int?
    /// What the disk said, if that was the cause.
    public let disk: DiskError?
    /// What a function in Swift threw, if that was the cause.
    public let underlying: (any Error)?

    public init(
        code: Int32, message: String, offset: Int? = nil, disk: DiskError? = nil, underlying: (any Error)? = nil
    ) {
        self.code = code & 0xFF
        extendedCode = code
        self.message = message
        self.offset = offset
        self.disk = disk
        self.underlying = underlying
    }

    public init(disk error: DiskError) {
        self.init(code: Self.code(of: error, SQLITE_IOERR), message: "\(error)", disk: error)
    }

    /// - Parameter other: the code of an error that has none of its own.
    static func code(of error: DiskError, _ other: Int32) -> Int32 {
        switch error {
        case .noSpace: SQLITE_FULL
        case .notFound, .isDirectory, .notDirectory, .notFile: SQLITE_CANTOPEN
        case .notPermitted: SQLITE_PERM
        case .busy: SQLITE_BUSY
        case .exists, .notEmpty, .failed, .closed: other
        }
    }

    public var description: String { underlying.map { "\($0)" } ?? message }

    /// Somebody else writes.
    public var isBusy: Bool { code == SQLITE_BUSY && extendedCode != SQLiteExtendedCode.busySnapshot }
    /// Somebody else has written since this transaction began to read, so that it cannot write any more.
    public var isStaleSnapshot: Bool { extendedCode == SQLiteExtendedCode.busySnapshot }
    /// The disk, or what lies on it, is not what it should be: whoever goes on may make it worse.
    public var isFailureOfStorage: Bool {
        [SQLITE_IOERR, SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_CANTOPEN, SQLITE_PERM].contains(code)
    }
    public var isFull: Bool { code == SQLITE_FULL }
    public var isInterrupted: Bool { code == SQLITE_INTERRUPT }
    public var isConstraint: Bool { code == SQLITE_CONSTRAINT }
}

/// Extended result codes, which the C header spells as expressions that Swift does not see.
public enum SQLiteExtendedCode {
    public static let busySnapshot: Int32 = 5 | 2 << 8
    public static let constraintCheck: Int32 = 19 | 1 << 8
    public static let constraintForeignKey: Int32 = 19 | 3 << 8
    public static let constraintNotNull: Int32 = 19 | 5 << 8
    public static let constraintPrimaryKey: Int32 = 19 | 6 << 8
    public static let constraintTrigger: Int32 = 19 | 7 << 8
    public static let constraintUnique: Int32 = 19 | 8 << 8
    public static let constraintRowID: Int32 = 19 | 10 << 8
    public static let constraintDataType: Int32 = 19 | 12 << 8
    static let ioErrorShortRead: Int32 = 10 | 2 << 8
    static let ioErrorRead: Int32 = 10 | 1 << 8
    static let ioErrorWrite: Int32 = 10 | 3 << 8
    static let ioErrorSync: Int32 = 10 | 4 << 8
    static let ioErrorDirectorySync: Int32 = 10 | 5 << 8
    static let ioErrorTruncate: Int32 = 10 | 6 << 8
    static let ioErrorDelete: Int32 = 10 | 10 << 8
    static let ioErrorDeleteMissing: Int32 = 10 | 23 << 8
}
