import KernelWire

/// One question that waits for its answer.
final class PostgresQuestion {
    enum Kind {
        case simple
        case extended(PreparedStatement, isNew: Bool)
    }

    let kind: Kind
    let completion: PostgresConnection.Completion
    private(set) var results: [PostgresResult] = []
    private(set) var error: PostgresError?
    /// Bytes of all rows.
    private(set) var byteCount = 0
    private var copyData: [UInt8]?
    private var current: PostgresResult?

    /// - Parameter columns: those of the result, where they are known.
    init(
        kind: Kind, columns: [ColumnDescription]? = nil, copyData: [UInt8]? = nil,
        completion: @escaping PostgresConnection.Completion
    ) {
        self.kind = kind
        self.copyData = copyData
        self.completion = completion
        if let columns {
            var result = PostgresResult()
            result.columns = columns
            if case .extended(let statement, _) = kind { result.returnsRows = statement.returnsRows }
            current = result
        }
    }

    /// Takes one message of the answer; those that are everybody's are not given here.
    ///
    /// - Returns: whether `byteCount` has grown.
    func take(_ message: BackendMessage, _ send: (FrontendMessage) -> Void) throws(PostgresError) -> Bool {
        switch message {
        case .rowDescription(let columns):
            var result = PostgresResult()
            result.columns = columns
            result.returnsRows = true
            current = result
        case .dataRow(let row):
            guard current != nil else { throw .violation("a row before its description") }
            current!.rows.append(row)
            byteCount += row.bytes.count
            return true
        case .commandComplete(let tag):
            var result = current ?? PostgresResult()
            result.tag = tag
            results.append(result)
            current = nil
        case .emptyQueryResponse:
            results.append(PostgresResult())
            current = nil
        case .errorResponse(let error):
            self.error = error
            current = nil
        case .copyIn: answerCopy(send)
        case .copyOut: current = PostgresResult()
        case .copyData(let data):
            current?.copied.append(contentsOf: data)
            byteCount += data.count
            return true
        case .parseComplete, .bindComplete, .closeComplete, .noData, .portalSuspended, .copyDone,
            .parameterDescription:
            break
        default: throw .violation("a message out of turn")
        }
        return false
    }

    private func answerCopy(_ send: (FrontendMessage) -> Void) {
        guard let data = copyData else { return send(.copyFail("no data was given")) }
        copyData = nil
        send(.copyData(data))
        send(.copyDone)
    }
}

/// A statement that the server has prepared.
final class PreparedStatement {
    let name: String
    fileprivate let key: PreparedStatements.Key
    /// Of its result; nil until it was first executed.
    var columns: [ColumnDescription]?
    var returnsRows = false
    /// When it was last used, by count.
    fileprivate var usedAt = 0

    fileprivate init(name: String, key: PreparedStatements.Key) {
        self.name = name
        self.key = key
    }
}

/// The statements that one connection has prepared, by their text and the types of their parameters.
struct PreparedStatements {
    struct Key: Hashable {
        let sql: String
        let types: [PostgresOID]
    }

    /// More are forgotten, those first that were not used for longest.
    static let limit = 256

    private var byKey: [Key: PreparedStatement] = [:]
    private var uses = 0
    private var made = 0

    /// - Returns: the statement, whether it has to be prepared, and the name of one that has to go for it.
    mutating func use(_ sql: String, _ types: [PostgresOID]) -> (PreparedStatement, isNew: Bool, evicted: String?) {
        let key = Key(sql: sql, types: types)
        uses += 1
        if let known = byKey[key] {
            known.usedAt = uses
            return (known, false, nil)
        }
        var evicted: String?
        if byKey.count >= Self.limit, let oldest = byKey.values.min(by: { $0.usedAt < $1.usedAt }) {
            byKey[oldest.key] = nil
            evicted = oldest.name
        }
        made += 1
        let statement = PreparedStatement(name: "sdlab_\(made)", key: key)
        statement.usedAt = uses
        byKey[key] = statement
        return (statement, true, evicted)
    }

    mutating func forget(_ statement: PreparedStatement) {
        if byKey[statement.key] === statement { byKey[statement.key] = nil }
    }
}
