import KernelStructures
import KernelWire
import KernelWorld

/// A database as a component needs it: asks one, keeps one connection to it for as long as it lasts, and makes another
/// when something is asked after that. Questions go out as they come; a transaction has the connection to itself, and
/// whoever asks meanwhile waits for its end.
///
/// ```
/// let database = PostgresClient(node, url)
/// database.execute("select long from urls where short = $1", [.text(short)]) { result in … }
/// database.transaction { transaction in
///     transaction.execute("update …", […]) { _ in transaction.commit { result in … } }
/// }
/// ```
///
/// What was under way when the connection ended fails with `closed`: whether it was carried out, nobody knows. It is
/// not asked again by itself, because an `insert` might then happen twice.
public final class PostgresClient {
    public typealias Completion = PostgresConnection.Completion

    public let url: PostgresURL
    public var onNotification: ((_ channel: String, _ payload: String) -> Void)?
    /// Called when a connection is open: for whoever wants to listen, or to say it.
    public var onConnect: (() -> Void)?
    public private(set) var connectCount = 0

    private unowned let node: Node
    private let security: (any StreamSecurity)?
    private var connection: PostgresConnection?
    private var transaction: PostgresTransaction?
    private var waiting = RingQueue<(Result<Void, PostgresFailure>) -> Void>()
    private var isClosed = false

    /// Questions and transactions that may wait for the present transaction's end.
    public static let waitingLimit = 10_000
    /// Whether a transaction has the connection to itself.
    public var isInTransaction: Bool { transaction != nil }
    /// Questions and transactions that wait for its end.
    public var waitingCount: Int { waiting.count }

    public init(_ node: Node, _ url: PostgresURL, security: (any StreamSecurity)? = nil) {
        self.node = node
        self.url = url
        self.security = security
        node.whenEnded { [weak self] in self?.letGo() }
    }

    public func query(_ sql: String, _ completion: @escaping Completion) {
        whenFree { [weak self] state in
            if let failure = state.failure { return completion(.failure(failure)) }
            self?.withConnection(completion) { $0.query(sql, completion) }
        }
    }

    public func execute(_ sql: String, _ parameters: [PostgresValue?] = [], _ completion: @escaping Completion) {
        whenFree { [weak self] state in
            if let failure = state.failure { return completion(.failure(failure)) }
            self?.withConnection(completion) { $0.execute(sql, parameters, completion) }
        }
    }

    /// Begins a transaction and hands it over. It has to be committed or rolled back; everybody else waits for that.
    ///
    /// Its first question goes out behind the `BEGIN`, and does not wait for its answer: a server that is there only
    /// refuses to begin when it ends the connection.
    ///
    /// - Parameter failed: there is no connection to begin it on. What fails later, its questions are told.
    public func transaction(
        begin: String = "BEGIN", failed: @escaping (PostgresFailure) -> Void,
        _ body: @escaping (PostgresTransaction) -> Void
    ) {
        whenFree { [weak self] state in
            if let failure = state.failure { return failed(failure) }
            guard let self else { return }
            withConnection({ if case .failure(let failure) = $0 { failed(failure) } }) { connection in
                let transaction = PostgresTransaction(connection) { [weak self] in self?.transactionEnded() }
                self.transaction = transaction
                connection.query(begin) { result in
                    if case .failure = result { transaction.fail() }
                }
                body(transaction)
            }
        }
    }

    /// Closes the connection in good order. Whoever still waits hears that it is closed.
    public func close() {
        isClosed = true
        connection?.close()
        connection = nil
        while let next = waiting.popFirst() { next(.failure(.closedHere)) }
    }

    /// Asks the server to end what is under way.
    public func cancel() { connection?.cancel() }

    private func whenFree(_ action: @escaping (Result<Void, PostgresFailure>) -> Void) {
        guard transaction != nil else { return action(.success(())) }
        guard waiting.count < Self.waitingLimit else {
            let count = waiting.count
            return node.enqueue { action(.failure(.tooManyWaiting(count))) }
        }
        waiting.append(action)
    }

    private func withConnection(_ completion: @escaping Completion, _ body: (PostgresConnection) -> Void) {
        guard !isClosed else { return node.enqueue { completion(.failure(.closedHere)) } }
        if let connection, !connection.isClosed { return body(connection) }
        let connection = PostgresConnection(node, url, security: security)
        connection.onNotification = { [weak self] channel, payload, _ in self?.onNotification?(channel, payload) }
        connection.onOpen = { [weak self] in
            self?.connectCount += 1
            self?.onConnect?()
        }
        connection.onEnd = { [weak self, weak connection] _ in
            if self?.connection === connection { self?.connection = nil }
            self?.transaction?.end()
        }
        do throws(NetworkError) {
            try connection.connect()
        } catch {
            return node.enqueue { completion(.failure(.network(error))) }
        }
        self.connection = connection
        body(connection)
    }

    private func transactionEnded() {
        transaction = nil
        while transaction == nil, let next = waiting.popFirst() { next(.success(())) }
    }

    private func letGo() {
        waiting.removeAll()
        connection = nil
        transaction = nil
        onNotification = nil
        onConnect = nil
    }
}

/// A transaction that has a connection to itself.
public final class PostgresTransaction {
    private let connection: PostgresConnection
    private var onEnd: (() -> Void)?

    init(_ connection: PostgresConnection, _ onEnd: @escaping () -> Void) {
        self.connection = connection
        self.onEnd = onEnd
    }

    public func query(_ sql: String, _ completion: @escaping PostgresConnection.Completion) {
        connection.query(sql, completion)
    }

    public func execute(
        _ sql: String, _ parameters: [PostgresValue?] = [], _ completion: @escaping PostgresConnection.Completion
    ) {
        connection.execute(sql, parameters, completion)
    }

    /// Makes it last. A transaction in which something has failed is rolled back by this: the answer's tag then is
    /// `ROLLBACK`, and it fails here with 25P02.
    public func commit(_ completion: @escaping (PostgresFailure?) -> Void) {
        finish("COMMIT") { result in
            switch result {
            case .failure(let failure): completion(failure)
            case .success(let results) where results.last?.tag == "ROLLBACK":
                completion(
                    .server(PostgresError(.inFailedTransaction, "the transaction had failed, and was rolled back")))
            case .success: completion(nil)
            }
        }
    }

    public func rollback(_ completion: @escaping () -> Void = {}) { finish("ROLLBACK") { _ in completion() } }

    private func finish(_ sql: String, _ completion: @escaping PostgresConnection.Completion) {
        connection.query(sql) { [self] result in
            end()
            completion(result)
        }
    }

    /// It never began: what was asked in it was asked outside of any transaction, and nothing more may be.
    func fail() {
        if !connection.isClosed { connection.close() }
        end()
    }

    /// Lets the next one have the connection.
    func end() {
        let callback = onEnd
        onEnd = nil
        callback?()
    }
}

extension Result {
    fileprivate var failure: Failure? { if case .failure(let failure) = self { failure } else { nil } }
}
