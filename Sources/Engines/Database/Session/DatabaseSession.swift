import KernelCoroutines
import KernelStructures
import KernelWire

/// What one client says, and what it hears: protocol 3.0 of PostgreSQL as a state machine.
///
/// ## The problem
///
/// A session has to wait for many things: for its turn to write, for the rows of a COPY, for a client that reads
/// slowly, for `pg_sleep`. Servers give each session a process or a thread, which waits where it stands. Here all
/// sessions share one loop, so none may stand still.
///
/// ## An everyday picture
///
/// A waiter with many tables. He takes an order to the kitchen and goes on to the next table; what each table waits for
/// stands on its slip, so that he can carry on there whenever it is ready.
///
/// ## How
///
/// `receive` takes one message and writes answers into `output`. What cannot go on is written down in `wait`; `resume`
/// carries on. Work nests in three levels, each with its state in an object:
///
/// ```
/// simple query   several statements, one after the other         SimpleQuery
///   portal       one statement with its values                   Portal
///     rows       SQLite's statement between two rows             SQLiteStatement
/// ```
///
/// Nothing in `output` may be sent before `DatabaseCluster.commit` has succeeded: it may promise a commit.
///
/// ## Where it is wrong
///
/// What SQLite does in one instruction, such as sorting what fits into memory, stops everybody: see `inSlices`.
public final class DatabaseSession {
    public let cluster: DatabaseCluster
    public let key: PostgresCancelKey
    /// Answers that the client has not been sent yet.
    public var output = BackendMessageWriter()
    public internal(set) var phase = Phase.starting
    public internal(set) var database: Database?
    public internal(set) var context: SessionContext!
    var transaction: Transaction?
    public internal(set) var wait: Wait?
    let onWake: () -> Void
    var authenticator: PostgresAuthenticator?

    var preparedStatements: [String: PreparedStatement] = [:]
    var portals: [String: Portal] = [:]
    var portalCount = 0
    var simple: SimpleQuery?
    var running: Run?
    var copy: CopyReception?
    /// The present statement, while it runs in slices.
    var slices: Coroutine<Result<Progress, PostgresError>>?
    /// Slices that the session's statements have taken so far.
    public internal(set) var sliceCount = 0
    /// This very code runs in one.
    var isInSlice = false
    /// What the present slice waits for when it gives way.
    var sliceWait = Wait.turn
    /// After an error everything up to the next Sync is passed over.
    var isSkipping = false
    /// What else than the catalogue plans depend on.
    var planKey = ""
    var channels: Set<String> = []
    /// What others have told it, and it could not be told yet.
    var inbox: [Notification] = []
    var inboxByteCount = 0
    /// Whether the client has not taken what was sent to it, so that nothing is told unasked.
    public var isClientBehind: () -> Bool = { false }

    /// The lab's time of the present call.
    var now = LabTime(nanoseconds: 0)
    public internal(set) var activity = SessionActivity()
    /// When the present wait, or statement, or idleness is too long.
    var lockDeadline: LabTime?
    var statementDeadline: LabTime?
    var idleDeadline: LabTime?

    public enum Phase: Equatable, Sendable { case starting, authenticating, ready, ended }

    /// The statements of one Query message.
    struct SimpleQuery {
        var statements: [PlanCache.Source]
        /// The text, where it is one statement.
        var key: String?
        var next = 0
        var isLast: Bool { next >= statements.count }
    }

    /// A portal that is being carried out.
    struct Run {
        let portal: Portal
        /// 0 for all rows.
        let rowLimit: Int
        /// Rows of this run.
        var rowCount = 0
    }

    /// Portals and prepared statements of a session at a time.
    static let objectLimit = 10_000
    /// Bytes of answers from which a session waits for its client to take them.
    static let outputByteCount = 256 << 10
    /// Rows between two of which others have their turn.
    static let rowsPerTurn = 1000
    /// Statements of a Query message between two of which others have their turn.
    static let statementsPerTurn = 200

    init(cluster: DatabaseCluster, key: PostgresCancelKey, onWake: @escaping () -> Void) {
        self.cluster = cluster
        self.key = key
        self.onWake = onWake
    }

    /// Whether a message can be taken now; others have to wait.
    public var acceptsMessages: Bool { phase != .ended && (wait == nil || wait == .copyData) }
    /// Whether nothing is under way that a client would miss: no transaction, no statement.
    public var isIdle: Bool { transaction == nil && running == nil && simple == nil }
    /// Whether what it has to say can be said before the next commit of the cluster: nothing of its database waits for
    /// a sync, so that all that it may have seen is durable.
    public var needsNoCommit: Bool {
        cluster.failure == nil && cluster.signals.isEmpty && database?.needsSync != true
    }

    // MARK: Messages

    public func receive(_ message: FrontendMessage, now: LabTime) {
        self.now = now
        switch phase {
        case .starting, .authenticating: receiveOpening(message)
        case .ready:
            dispatch(message)
            advance()
        case .ended: break
        }
    }

    /// A message of a kind that could not be read, though the next one can. It is answered as if its statement had
    /// failed: up to the next Sync where one must come, or else with ReadyForQuery.
    public func receive(invalid error: PostgresError, letter: UInt8, now: LabTime) {
        self.now = now
        guard phase == .ready else { return end(with: error.asFatal) }
        idleDeadline = nil
        switch letter {
        case UInt8(ascii: "X"): return end()
        case UInt8(ascii: "S"): isSkipping = false
        default: if isSkipping { return }
        }
        if copy != nil {
            wait = nil
            return fail(error, isExtended: simple == nil)
        }
        switch letter {
        // What a COPY that has failed was still being sent.
        case UInt8(ascii: "d"), UInt8(ascii: "c"), UInt8(ascii: "f"): break
        case UInt8(ascii: "Q"), UInt8(ascii: "S"), UInt8(ascii: "F"):
            fail(error)
            ready()
        default: fail(error, isExtended: true)
        }
    }

    private func dispatch(_ message: FrontendMessage) {
        idleDeadline = nil
        if copy != nil { return receiveCopy(message) }
        switch message {
        case .sync: return sync()
        case .terminate: return end()
        default: if isSkipping { return }
        }
        if transaction == nil {
            context.statementTime = cluster.wallClock()
            context.transactionTime = context.statementTime
        }
        switch message {
        case .query(let text): beginQuery(text)
        case .parse(let name, let query, let types):
            extended { () throws(PostgresError) in try parse(name, query, types) }
        case .bind(let bind): extended { () throws(PostgresError) in try self.bind(bind) }
        case .describe(let target): extended { () throws(PostgresError) in try describe(target) }
        case .execute(let name, let limit):
            extended { () throws(PostgresError) in try execute(portal: name, rowLimit: Int(limit)) }
        case .close(let target): closeTarget(target)
        case .functionCall:
            fail(PostgresError(.featureNotSupported, "the function call protocol is not supported"))
            ready()
        // What a COPY that has failed was still being sent.
        case .copyData, .copyDone, .copyFail, .flush, .sync, .terminate: break
        case .startup, .sslRequest, .gssEncryptionRequest, .cancelRequest, .password:
            end(with: PostgresError(.protocolViolation, "unexpected message", severity: .fatal))
        }
    }

    private func extended(_ body: () throws(PostgresError) -> Void) {
        do throws(PostgresError) { try body() } catch { fail(error, isExtended: true) }
    }

    // MARK: Going on

    /// Carries on after a wait that is over: the client has taken its answers, or others have had their turn.
    public func resume(now: LabTime) {
        self.now = now
        if wait == .output || wait == .turn { wait = nil }
        advance()
        if phase == .ready, isIdle { deliverNotifications() }
    }

    /// Time has passed: a wait may be over, or too long.
    public func tick(now: LabTime) {
        self.now = now
        guard phase == .ready else { return }
        if case .time(let end)? = wait, now >= end { wait = nil }
        if let deadline = statementDeadline, now >= deadline, wait != nil {
            statementDeadline = nil
            return cancelWait(PostgresError(.queryCanceled, "canceling statement due to statement timeout"))
        }
        if let deadline = lockDeadline, now >= deadline, waitsForOthers {
            return cancelWait(PostgresError(.lockNotAvailable, "canceling statement due to lock timeout"))
        }
        if let deadline = idleDeadline, now >= deadline {
            let message = "terminating connection due to idle-in-transaction timeout"
            return end(with: PostgresError(.idleInTransactionSessionTimeout, message, severity: .fatal))
        }
        advance()
    }

    /// When `tick` has to be called next; nil for never.
    public var deadline: LabTime? {
        var times = [statementDeadline, idleDeadline].compactMap { $0 }
        if waitsForOthers, let lockDeadline { times.append(lockDeadline) }
        if case .time(let end)? = wait { times.append(end) }
        return times.min()
    }

    func advance() {
        var statementCount = 0
        while wait == nil, phase == .ready {
            if running != nil {
                step()
            } else if simple != nil {
                // Between two of many statements others have their turn, too.
                guard statementCount < Self.statementsPerTurn else {
                    wait = .turn
                    return
                }
                statementCount += 1
                nextStatement()
            } else {
                break
            }
        }
    }

    private func step() {
        guard let run = running else { return }
        do throws(PostgresError) {
            switch try slices == nil ? carryOut(run.portal) : goOnInSlices() {
            case .done: running = nil
            case .suspended:
                output.portalSuspended()
                running = nil
            case .waiting: break
            }
        } catch {
            fail(error, isExtended: simple == nil)
        }
    }

    /// A CancelRequest, or `pg_cancel_backend`.
    func cancel() {
        guard phase == .ready, wait != nil, running != nil || copy != nil || simple != nil else { return }
        cancelWait(PostgresError(.queryCanceled, "canceling statement due to user request"))
        onWake()
    }

    /// `pg_terminate_backend`, or the server's end.
    public func terminate() {
        guard phase != .ended else { return }
        end(
            with: PostgresError(
                .adminShutdown, "terminating connection due to administrator command", severity: .fatal))
        onWake()
    }

    private func cancelWait(_ error: PostgresError) {
        stopSlices()
        if waitsForOthers { database?.forgetWaiting(self) }
        wait = nil
        lockDeadline = nil
        fail(error, isExtended: simple == nil)
        advance()
    }

    // MARK: Ends

    /// An error: the statement has failed, and with it the transaction.
    func fail(_ error: PostgresError, isExtended: Bool = false) {
        if error.severity == .panic { return panic(error) }
        stopSlices()
        running?.portal.isFailed = true
        running?.portal.close(self)
        running = nil
        copy = nil
        statementDeadline = nil
        lockDeadline = nil
        context?.lateReferences = []
        sendNotices()
        output.error(error)
        abortTransaction()
        if isExtended {
            isSkipping = true
        } else if simple != nil {
            simple = nil
            ready()
        }
    }

    /// The next question may come.
    func ready() {
        statementDeadline = nil
        deliverNotifications()
        sendNotices()
        activity.becameIdle(cluster.wallClock(), transactionStatus)
        output.readyForQuery(transactionStatus)
        let timeout = transaction == nil ? 0 : idleTimeoutMilliseconds
        idleDeadline = timeout > 0 ? now + .milliseconds(timeout) : nil
    }

    var transactionStatus: PostgresTransactionStatus {
        guard let transaction, transaction.isBlock else { return .idle }
        return transaction.isFailed ? .failed : .inTransaction
    }

    func sendNotices() {
        guard let context, !context.notices.isEmpty else { return }
        for notice in context.notices { output.notice(notice) }
        context.notices = []
    }

    private func panic(_ error: PostgresError) {
        cluster.failure = error
        end(with: error)
    }

    func end(with error: PostgresError) {
        output.error(error)
        end()
    }

    /// The client has gone, or is to go. What it had begun is rolled back.
    public func end() {
        guard phase != .ended else { return }
        phase = .ended
        stopSlices()
        if waitsForOthers { database?.forgetWaiting(self) }
        wait = nil
        copy = nil
        simple = nil
        running?.portal.close(self)
        running = nil
        rollBack()
        closePortals { _ in true }
        preparedStatements = [:]
        database?.advisoryLocks.releaseAll(self)
        for channel in channels.sorted() { database?.unlisten(self, channel) }
        discardTemporaryTables()
        if database != nil { database?.sessionCount -= 1 }
        context?.outerRows = { _ in [] }
        context?.signal = { _, _ in false }
        context?.notify = { _, _ in }
        context?.advisory = { _, _ in .null }
        cluster.forget(self)
    }

    /// The process is over: lets go of everything without a word.
    func abandon() {
        phase = .ended
        stopSlices()
        wait = nil
        copy = nil
        simple = nil
        running = nil
        portals = [:]
        transaction = nil
        database = nil
    }
}

extension PostgresError {
    var asFatal: PostgresError {
        var error = self
        error.severity = .fatal
        return error
    }
}
