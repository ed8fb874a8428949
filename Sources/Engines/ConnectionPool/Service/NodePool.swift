import ConnectionPoolEngine
import KernelStructures
import KernelWorld

/// A pool of connections that one node has to others: carries out on the World's streams what the engine decides.
///
/// ```
/// let pool = NodePool(node: node, configuration: configuration) { _ in RESPConnection(node, to: database) }
/// pool.start()
/// pool.borrow(by: .init("checkout")) { result in
///     guard case .success(let loan) = result else { return }
///     loan.connection.send(["GET", "user:1"]) { reply in
///         loan.close()        // gives it back
///     }
/// }
/// ```
public final class NodePool<Connection: NodeConnection> {
    public typealias Completion = (Result<Loan, ConnectionPool.Failure>) -> Void

    public let node: Node
    public private(set) var engine: ConnectionPool
    /// Under which tag its log lines stand.
    public let tag: String
    private let make: (ConnectionPool.ConnectionID) -> Connection
    private var connections: [Connection?]
    private var waiting: [ConnectionPool.Ticket: Completion] = [:]
    private var timer: TimerID?
    private var timerTime = LabTime.distantFuture
    private var work: [ConnectionPool.Effect] = []
    private var isPerforming = false
    private var onClosed: (() -> Void)?

    /// Called after everything that may have changed the pool.
    public var onChange: (() -> Void)?
    /// The first connection could be made, or not: with the reason.
    public var onStarted: ((_ failure: String?) -> Void)?

    /// A connection that somebody has. `close` does not close it: it gives it back.
    public final class Loan {
        public let connection: Connection
        public let lease: ConnectionPool.Lease
        private unowned let pool: NodePool

        init(_ connection: Connection, _ lease: ConnectionPool.Lease, _ pool: NodePool) {
            self.connection = connection
            self.lease = lease
            self.pool = pool
        }

        /// Gives it back in the state in which it is. A second call is ignored, and logged.
        public func close() { pool.putBack(self) }
        /// Gives it back as of no use to anybody.
        public func discard(_ reason: String) { pool.putBack(self, .broken(reason)) }
    }

    /// - Parameters:
    ///   - configuration: checked already.
    ///   - make: an unopened connection.
    public init(
        node: Node, configuration: ConnectionPool.Configuration, tag: String = "POOL",
        make: @escaping (ConnectionPool.ConnectionID) -> Connection
    ) {
        self.node = node
        self.tag = tag
        self.make = make
        engine = ConnectionPool(
            configuration, now: node.world.now, random: node.draw { $0.fork("pool \(configuration.poolName)") })
        connections = Array(repeating: nil, count: configuration.maximumPoolSize)
        // In a process of its own nobody looks, so nothing is kept.
        if node.world.journal.capacity > 0 { engine.startRecording() }
        node.whenEnded { [weak self] in self?.letGo() }
    }

    /// What holds the pool in its turn.
    private func letGo() {
        for connection in connections { connection?.letGo() }
        connections = connections.map { _ in nil }
        waiting = [:]
        work = []
        onClosed = nil
        onChange = nil
        onStarted = nil
    }

    public func start() { operate { $0.start(now: $1) } }

    /// Asks for a connection; calls back once, at once if one is free.
    ///
    /// - Returns: a place in the line, for `cancel`; nil if the answer was given.
    @discardableResult
    public func borrow(
        by name: String = "", timeout: LabDuration? = nil, mayWait: Bool = true, fileID: StaticString = #fileID,
        line: UInt = #line, _ completion: @escaping Completion
    ) -> ConnectionPool.Ticket? {
        let borrower = ConnectionPool.Borrower(name, fileID: fileID, line: line)
        let answer = engine.borrow(by: borrower, timeout: timeout, mayWait: mayWait, now: node.world.now)
        switch answer {
        case .lent(let lease):
            carryOut()
            completion(.success(loan(lease)))
        case .refused(let failure):
            carryOut()
            completion(.failure(failure))
        case .waiting(let ticket):
            waiting[ticket] = completion
            carryOut()
            return ticket
        }
        return nil
    }

    /// Leaves the line; nothing is called any more. Returns false if the answer was given already.
    @discardableResult
    public func cancel(_ ticket: ConnectionPool.Ticket) -> Bool {
        let isCancelled = engine.cancel(ticket, now: node.world.now)
        if isCancelled { waiting[ticket] = nil }
        carryOut()
        return isCancelled
    }

    private func putBack(_ loan: Loan, _ condition: ConnectionPool.ReturnCondition? = nil) {
        // Only whoever has it may touch it: after a second return it is somebody else's.
        guard engine.isHeld(loan.lease) else { return operate { _ = $0.putBack(loan.lease, now: $1) } }
        let found = loan.connection.wasGivenBack()
        operate { _ = $0.putBack(loan.lease, condition ?? found, now: $1) }
    }

    private func loan(_ lease: ConnectionPool.Lease) -> Loan {
        Loan(connections[lease.connection.slot]!, lease, self)
    }

    /// What an operator does to the engine; its effects are carried out at once.
    @discardableResult
    public func operate<R>(_ change: (inout ConnectionPool, LabTime) -> R) -> R {
        let result = change(&engine, node.world.now)
        carryOut()
        return result
    }

    /// Closes it in order, then calls back.
    public func close(whenClosed: @escaping () -> Void) {
        guard engine.phase != .closed else { return whenClosed() }
        onClosed = whenClosed
        operate { $0.close(now: $1) }
    }

    // MARK: Effects

    /// Whoever is called from here may borrow and return at once: what comes of that is carried out afterwards, so
    /// that all effects happen in the engine's order.
    private func carryOut() {
        work += engine.takeEffects()
        if isPerforming { return }
        isPerforming = true
        var next = 0
        while next < work.count {
            let effect = work[next]
            next += 1
            perform(effect)
        }
        work.removeAll(keepingCapacity: true)
        isPerforming = false
        scheduleTick()
        onChange?()
    }

    private func perform(_ effect: ConnectionPool.Effect) {
        switch effect {
        case .connect(let id): connect(id)
        case .validate(let id):
            connections[id.slot]?.validate { [weak self] isAlive in
                self?.operate { $0.checked(id, isAlive: isAlive, now: $1) }
            }
        case .reset(let id):
            connections[id.slot]?.reset { [weak self] isClean in
                self?.operate { $0.checked(id, isAlive: isClean, now: $1) }
            }
        case .close(let id, _):
            connections[id.slot]?.onLost = nil
            connections[id.slot]?.close()
            connections[id.slot] = nil
        case .lend(let ticket, let lease): waiting.removeValue(forKey: ticket)?(.success(loan(lease)))
        case .fail(let ticket, let failure): waiting.removeValue(forKey: ticket)?(.failure(failure))
        case .wake(let ticket):
            // After whatever is under way: whoever returned this connection may ask again before that.
            node.enqueue { [weak self] in self?.operate { $0.retry(ticket, now: $1) } }
        case .leaked: break
        case .log(let message, let level): node.log(tag, message, level: level)
        case .started: onStarted?(nil)
        case .startFailed(let reason): onStarted?(reason)
        case .closed:
            node.cancel(timer)
            timer = nil
            onClosed?()
            onClosed = nil
        }
    }

    private func connect(_ id: ConnectionPool.ConnectionID) {
        let connection = make(id)
        connections[id.slot] = connection
        connection.open { [weak self, weak connection] failure in
            guard let self else { return }
            if let failure {
                // The slot is another connection's as soon as the engine knows.
                if connections[id.slot] === connection { connections[id.slot] = nil }
                connection?.close()
                operate { $0.connectFailed(id, failure, now: $1) }
                return
            }
            connection?.onLost = { [weak self] reason in self?.lost(id, reason) }
            operate { _ = $0.connected(id, now: $1) }
        }
    }

    private func lost(_ id: ConnectionPool.ConnectionID, _ reason: String) {
        operate { $0.connectionLost(id, reason, now: $1) }
    }

    // MARK: Time

    private func scheduleTick() {
        let deadline = engine.nextDeadline
        guard deadline < timerTime || timer == nil, deadline < .distantFuture else { return }
        node.cancel(timer)
        timerTime = deadline
        timer = node.after(deadline - node.world.now) { [weak self] in
            self?.timer = nil
            self?.timerTime = .distantFuture
            self?.operate { $0.tick(now: $1) }
        }
    }
}
