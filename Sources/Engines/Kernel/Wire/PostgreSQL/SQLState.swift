/// The five characters by which programs tell errors apart (PostgreSQL's Appendix A, after SQL:2016). The first two
/// name the class: `23` is a broken constraint, whichever.
public struct SQLState: RawRepresentable, Hashable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
    public let rawValue: String

    public init(rawValue: String) { self.rawValue = rawValue }
    public init(stringLiteral value: String) { rawValue = value }

    public var description: String { rawValue }
    /// The first two characters.
    public var category: String { String(rawValue.prefix(2)) }

    // 00 to 08: no errors, and connections
    public static let successfulCompletion: SQLState = "00000"
    public static let warning: SQLState = "01000"
    public static let connectionException: SQLState = "08000"
    public static let cannotConnect: SQLState = "08001"
    public static let connectionFailure: SQLState = "08006"
    public static let protocolViolation: SQLState = "08P01"
    // 0A, 0L…
    public static let featureNotSupported: SQLState = "0A000"
    // 21, 22: data
    public static let cardinalityViolation: SQLState = "21000"
    public static let stringDataRightTruncation: SQLState = "22001"
    public static let nullValueNotAllowed: SQLState = "22004"
    public static let numericValueOutOfRange: SQLState = "22003"
    public static let invalidDatetimeFormat: SQLState = "22007"
    public static let datetimeFieldOverflow: SQLState = "22008"
    public static let invalidTimeZone: SQLState = "22009"
    public static let substringError: SQLState = "22011"
    public static let divisionByZero: SQLState = "22012"
    public static let characterNotInRepertoire: SQLState = "22021"
    public static let invalidParameterValue: SQLState = "22023"
    public static let invalidRegularExpression: SQLState = "2201B"
    public static let invalidEscapeSequence: SQLState = "22025"
    public static let invalidTextRepresentation: SQLState = "22P02"
    public static let invalidBinaryRepresentation: SQLState = "22P03"
    public static let badCopyFileFormat: SQLState = "22P04"
    public static let untranslatableCharacter: SQLState = "22P05"
    // 23: constraints
    public static let integrityConstraintViolation: SQLState = "23000"
    public static let notNullViolation: SQLState = "23502"
    public static let foreignKeyViolation: SQLState = "23503"
    public static let uniqueViolation: SQLState = "23505"
    public static let checkViolation: SQLState = "23514"
    // 25: the state of the transaction
    public static let invalidTransactionState: SQLState = "25000"
    public static let activeTransaction: SQLState = "25001"
    public static let readOnlyTransaction: SQLState = "25006"
    public static let noActiveTransaction: SQLState = "25P01"
    public static let inFailedTransaction: SQLState = "25P02"
    public static let idleInTransactionSessionTimeout: SQLState = "25P03"
    public static let invalidStatementName: SQLState = "26000"
    public static let invalidAuthorization: SQLState = "28000"
    public static let invalidPassword: SQLState = "28P01"
    public static let dependentObjectsStillExist: SQLState = "2BP01"
    public static let invalidCursorName: SQLState = "34000"
    public static let invalidSavepoint: SQLState = "3B001"
    public static let invalidCatalogName: SQLState = "3D000"
    public static let invalidSchemaName: SQLState = "3F000"
    // 40: start the transaction again
    public static let serializationFailure: SQLState = "40001"
    public static let deadlockDetected: SQLState = "40P01"
    // 42: what was asked
    public static let syntaxError: SQLState = "42601"
    public static let insufficientPrivilege: SQLState = "42501"
    public static let ambiguousColumn: SQLState = "42702"
    public static let undefinedColumn: SQLState = "42703"
    public static let undefinedObject: SQLState = "42704"
    public static let duplicateColumn: SQLState = "42701"
    public static let duplicateObject: SQLState = "42710"
    public static let duplicateAlias: SQLState = "42712"
    public static let ambiguousFunction: SQLState = "42725"
    public static let groupingError: SQLState = "42803"
    public static let datatypeMismatch: SQLState = "42804"
    public static let cannotCoerce: SQLState = "42846"
    public static let undefinedFunction: SQLState = "42883"
    public static let undefinedTable: SQLState = "42P01"
    public static let undefinedParameter: SQLState = "42P02"
    public static let duplicateCursor: SQLState = "42P03"
    public static let duplicateDatabase: SQLState = "42P04"
    public static let duplicatePreparedStatement: SQLState = "42P05"
    public static let duplicateSchema: SQLState = "42P06"
    public static let duplicateTable: SQLState = "42P07"
    public static let ambiguousParameter: SQLState = "42P08"
    public static let invalidColumnReference: SQLState = "42P10"
    public static let invalidTableDefinition: SQLState = "42P16"
    public static let indeterminateDatatype: SQLState = "42P18"
    public static let wrongObjectType: SQLState = "42809"
    // 53 to 58: the machine
    public static let insufficientResources: SQLState = "53000"
    public static let diskFull: SQLState = "53100"
    public static let outOfMemory: SQLState = "53200"
    public static let tooManyConnections: SQLState = "53300"
    public static let configurationLimitExceeded: SQLState = "53400"
    public static let programLimitExceeded: SQLState = "54000"
    public static let statementTooComplex: SQLState = "54001"
    public static let tooManyColumns: SQLState = "54011"
    public static let tooManyArguments: SQLState = "54023"
    public static let objectNotInPrerequisiteState: SQLState = "55000"
    public static let objectInUse: SQLState = "55006"
    public static let lockNotAvailable: SQLState = "55P03"
    public static let queryCanceled: SQLState = "57014"
    public static let adminShutdown: SQLState = "57P01"
    public static let crashShutdown: SQLState = "57P02"
    public static let cannotConnectNow: SQLState = "57P03"
    public static let systemError: SQLState = "58000"
    public static let ioError: SQLState = "58030"
    // XX: the server itself
    public static let internalError: SQLState = "XX000"
    public static let dataCorrupted: SQLState = "XX001"
}
