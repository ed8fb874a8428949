import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// A service's database, given up when it says nothing any more.
///
/// A server that loses its power says goodbye to nobody: the connection to it stands, and whoever waits for an answer
/// waits for ever, with all who wait behind. So while something is asked, an answer to anything has to come within a
/// few seconds; otherwise the connection is closed, everybody hears that, and the next question makes another.
public final class ShopDatabase {
    public typealias Completion = PostgresConnection.Completion

    public let url: PostgresURL
    private let node: Node
    private var client: PostgresClient
    private var openCount = 0
    private var lastAnswerAt: LabTime
    private var timer: TimerID?
    public private(set) var giveUpCount = 0

    /// Without any answer.
    public static let patience = LabDuration.seconds(5)

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
        client.transaction { failure in
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

    public func close() {
        node.cancel(timer)
        client.close()
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
            let silent = client
            client = PostgresClient(node, url)
            lastAnswerAt = node.world.now
            watch(Self.patience)
            silent.close()
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

    /// Carries out statements and commits: all or nothing.
    public func finish(
        _ statements: ArraySlice<ShopStatement>, _ completion: @escaping (ShopStoreFailure?) -> Void
    ) {
        guard let next = statements.first else {
            let done = begin()
            return transaction.commit { failure in
                done()
                completion(failure.map { ShopStoreFailure($0) })
            }
        }
        execute(next.sql, next.parameters) { [self] result in
            switch result {
            case .failure(let failure): rollback { completion(ShopStoreFailure(failure)) }
            case .success(let results):
                if let expected = next.expected, results.last?.affectedCount != expected {
                    return rollback { completion(.conflict) }
                }
                finish(statements.dropFirst(), completion)
            }
        }
    }
}
