import ConnectionPoolEngine
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// A session with PostgreSQL, or with the lab's `postgres`, for `NodePool`.
///
/// The server says with each answer whether a transaction is open, so this needs no list of words that leave something
/// behind. What else a borrower may have changed (settings, temporary tables, prepared statements) goes with
/// `DISCARD ALL` when he leaves a transaction; between borrowers who did not, it stays, as HikariCP has it.
public final class PostgresPoolConnection: DatabaseConnection {
    private let node: Node
    private let connection: PostgresConnection
    public var onLost: ((String) -> Void)?
    private var isClosed = false
    /// Something has gone wrong that only a new connection mends.
    private var fault: String?

    public init(_ node: Node, _ url: PostgresURL, security: (any StreamSecurity)? = nil) {
        self.node = node
        connection = PostgresConnection(node, url, security: security)
    }

    public func open(_ done: @escaping (String?) -> Void) {
        var done: ((String?) -> Void)? = done
        func finish(_ failure: String?) {
            let callback = done
            done = nil
            callback?(failure)
        }
        connection.onOpen = { finish(nil) }
        connection.onEnd = { [weak self] failure in
            if done != nil { return finish("\(failure)") }
            self?.end("\(failure)")
        }
        do throws(NetworkError) {
            try connection.connect()
        } catch {
            node.enqueue { finish("\(error)") }
        }
    }

    private func end(_ reason: String) {
        fault = reason
        let callback = onLost
        onLost = nil
        callback?(reason)
    }

    public func validate(_ done: @escaping (Bool) -> Void) { say("", done) }

    public func reset(_ done: @escaping (Bool) -> Void) {
        // DISCARD ALL is refused inside a transaction, and two statements in one text are one.
        say("ROLLBACK") { [weak self] _ in self?.say("DISCARD ALL", done) }
    }

    private func say(_ sql: String, _ done: @escaping (Bool) -> Void) {
        connection.query(sql) { [weak self] result in
            guard self?.isClosed == false else { return }
            if case .success = result { done(true) } else { done(false) }
        }
    }

    public func wasGivenBack() -> ConnectionPool.ReturnCondition {
        if let fault { return .broken(fault) }
        if connection.waitingCount > 0 {
            return .broken(counted(connection.waitingCount, "answer") + " still to come")
        }
        return connection.transactionStatus == .idle ? .clean : .dirty
    }

    public func close() {
        isClosed = true
        connection.onOpen = nil
        connection.onEnd = nil
        connection.close()
    }

    // MARK: Questions

    public func ask(_ question: DatabaseQuestion, _ done: @escaping (Bool) -> Void) {
        switch question {
        case .query(nil): query("SELECT 1", done)
        case .query(let milliseconds?):
            let (seconds, rest) = milliseconds.quotientAndRemainder(dividingBy: 1000)
            query("SELECT pg_sleep(\(seconds).\(String(rest + 1000).dropFirst()))", done)
        case .words(let words): query(words.joined(separator: " "), done)
        }
    }

    public func begin(_ done: @escaping (Bool) -> Void) {
        let wasOpen = connection.transactionStatus != .idle
        query("BEGIN") { _ in done(wasOpen) }
    }

    public func commit(_ done: @escaping () -> Void) { query("COMMIT") { _ in done() } }

    /// Says something for whoever has the connection.
    public func query(_ sql: String, _ done: @escaping (Bool) -> Void) {
        connection.query(sql) { result in
            if case .success = result { done(true) } else { done(false) }
        }
    }
}
