import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// A service's database, given up when it says nothing any more.
///
/// A server that loses its power says goodbye to nobody: the connection to it stands, and whoever waits for an answer
/// waits for ever, with all who wait behind. So while something is asked, an answer to anything has to come within a
/// few seconds; otherwise the connection is closed, everybody hears that, and the next question makes another.
///
/// Single questions go out in their order on one connection. Transactions have others to themselves, each whichever is
/// free: while one waits for its commit to be durable the next is under way, and the server makes several of them
/// durable in one sync.
public final class ShopDatabase {
    public typealias Completion = PostgresConnection.Completion

    public let url: PostgresURL
    private let node: Node
    private var client: PostgresClient
    /// Each makes its connection when it gets its first transaction.
    private var clientsOfTransactions: [PostgresClient] = []
    private var openCount = 0
    private var lastAnswerAt: LabTime
    private var timer: TimerID?
    public private(set) var giveUpCount = 0

    /// Without any answer.
    public static let patience = LabDuration.seconds(5)
    /// Transactions under way at the same time; more wait.
    public static let transactionLimit = 8

    public init(_ node: Node, _ url: PostgresURL) {
        self.node = node
        self.url = url
        client = PostgresClient(node, url)
        lastAnswerAt = node.world.now
    }

    // MARK: Asking

    public func execute(_ sql: String, _ parameters: [PostgresValue?] = [], _ completion: @escaping Completion) {
        let done = begin()
        client.execute(sql, parameters) { result in
            done()
            completion(result)
        }
    }

    public func query(_ sql: String, _ completion: @escaping Completion) {
        let done = begin()
        client.query(sql) { result in
            done()
            completion(result)
        }
    }

    public func rows(
        _ sql: String, _ parameters: [PostgresValue?] = [],
        _ completion: @escaping (Result<[ShopRow], ShopStoreFailure>) -> Void
    ) {
        execute(sql, parameters) { result in
            completion(result.map(\.shopRows).mapError { ShopStoreFailure($0) })
        }
    }

    /// Begins a transaction and hands it over; it has to be finished or rolled back.
    public func transaction(
        failed: @escaping (PostgresFailure) -> Void, _ body: @escaping (ShopTransaction) -> Void
    ) {
        let done = begin()
        clientForTransaction.transaction { failure in
            done()
            failed(failure)
        } _: { [self] transaction in
            done()
            body(ShopTransaction(transaction, begin: { [self] in begin() }))
        }
    }

    /// Statements that belong together: all or nothing.
    public func atomically(_ statements: [ShopStatement], _ completion: @escaping (ShopStoreFailure?) -> Void) {
        transaction(failed: { completion(ShopStoreFailure($0)) }) { transaction in
            transaction.finish(statements[...], completion)
        }
    }

    /// One that is free, a new one, or the one with the fewest that wait.
    private var clientForTransaction: PostgresClient {
        if let free = clientsOfTransactions.first(where: { !$0.isInTransaction }) { return free }
        if clientsOfTransactions.count < Self.transactionLimit {
            clientsOfTransactions.append(PostgresClient(node, url))
            return clientsOfTransactions[clientsOfTransactions.count - 1]
        }
        return clientsOfTransactions.min { $0.waitingCount < $1.waitingCount } ?? client
    }

    public func close() {
        node.cancel(timer)
        for client in [client] + clientsOfTransactions { client.close() }
    }

    // MARK: Patience

    /// - Returns: to be called once, when the answer is there.
    private func begin() -> () -> Void {
        if openCount == 0 { lastAnswerAt = node.world.now }
        openCount += 1
        if timer == nil { watch(Self.patience) }
        return { [weak self] in
            guard let self else { return }
            openCount -= 1
            lastAnswerAt = node.world.now
        }
    }

    private func watch(_ time: LabDuration) {
        timer = node.after(time) { [weak self] in
            guard let self else { return }
            timer = nil
            guard openCount > 0 else { return }
            let rest = Self.patience - (node.world.now - lastAnswerAt)
            if rest > .zero { return watch(rest) }
            giveUpCount += 1
            let silent = [client] + clientsOfTransactions
            client = PostgresClient(node, url)
            clientsOfTransactions = []
            lastAnswerAt = node.world.now
            watch(Self.patience)
            for client in silent { client.close() }
        }
    }
}

/// A transaction of a `ShopDatabase`.
public final class ShopTransaction {
    private let transaction: PostgresTransaction
    private let begin: () -> () -> Void

    init(_ transaction: PostgresTransaction, begin: @escaping () -> () -> Void) {
        self.transaction = transaction
        self.begin = begin
    }

    public func execute(
        _ sql: String, _ parameters: [PostgresValue?] = [], _ completion: @escaping ShopDatabase.Completion
    ) {
        let done = begin()
        transaction.execute(sql, parameters) { result in
            done()
            completion(result)
        }
    }

    public func rollback(_ completion: @escaping () -> Void) {
        let done = begin()
        transaction.rollback {
            done()
            completion()
        }
    }

    /// Carries out statements and commits: all or nothing. They go out together; whether each has found what it should
    /// is seen before the commit.
    public func finish(
        _ statements: ArraySlice<ShopStatement>, _ completion: @escaping (ShopStoreFailure?) -> Void
    ) {
        if statements.isEmpty { return commit(completion) }
        var left = statements.count
        var firstFailure: ShopStoreFailure?
        for statement in statements {
            execute(statement.sql, statement.parameters) { [self] result in
                left -= 1
                if firstFailure == nil { firstFailure = statement.failure(result) }
                guard left == 0 else { return }
                if let firstFailure { rollback { completion(firstFailure) } } else { commit(completion) }
            }
        }
    }

    private func commit(_ completion: @escaping (ShopStoreFailure?) -> Void) {
        let done = begin()
        transaction.commit { failure in
            done()
            completion(failure.map { ShopStoreFailure($0) })
        }
    }
}
