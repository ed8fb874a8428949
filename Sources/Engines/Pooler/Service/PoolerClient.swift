import ConnectionPoolEngine
import ConnectionPoolService
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import PoolerEngine

/// A client's connection, from its first byte to its last. While it is served, what it says goes to its server as it
/// comes; see `PoolerClient+Relay` for that, `+Login` for how it gets so far.
final class PoolerClient: StreamHandler {
    unowned let host: PoolerHost
    let stream: Stream
    let number: Int
    let key: PostgresCancelKey
    let connectedAt: LabTime
    private(set) var user = ""
    private(set) var databaseName = ""
    var settings = TrackedSettings()
    /// A server has taken them, so that they are no mistake.
    var hasTriedSettings = false
    private(set) var statements = ClientStatements()
    private(set) var pool: PoolerPool?
    /// Its present server.
    private(set) var loan: NodePool<PoolerServer>.Loan?
    var phase = Phase.startup
    var authenticator: PostgresAuthenticator?
    var admin: AdminConsole?
    let reader: FrontendMessageReader
    let frames = RelayFrames(gathering: "PBDCX")
    var ticket: ConnectionPool.Ticket?
    /// Its server does not take more for now: see `PoolerServer.letClientGoOn`.
    var isHeldBack = false
    /// What it has said and nobody has taken yet.
    var pending: [UInt8] = []
    /// The beginning of what it asked last.
    var statement: [UInt8] = []
    var requestedAt = LabTime(nanoseconds: 0)
    /// Since when it has nothing more to wait for: since it was let in, or had its last answer.
    private(set) var answeredAt = LabTime(nanoseconds: 0)
    private var transactionBeganAt: LabTime?
    var isQueryUnderWay = false
    private var loginTimer: TimerID?
    private var isEnded = false

    enum Phase { case startup, authenticating, awaitingWelcome, ready, admin, ended }

    init(_ host: PoolerHost, _ stream: Stream, number: Int) {
        self.host = host
        self.stream = stream
        self.number = number
        connectedAt = host.node.world.now
        // Passwords and the console's commands are short, and whoever sends them may be anybody.
        var limits = PostgresLimits()
        limits.messageBytes = 64 << 10
        reader = FrontendMessageReader(limits: limits)
        key = host.node.draw { random in
            PostgresCancelKey(
                process: Int32(truncatingIfNeeded: random.next() >> 33),
                secret: Int32(truncatingIfNeeded: random.next() >> 16))
        }
        let patience = host.configuration.duration("client_login_timeout")
        guard patience > .zero else { return }
        loginTimer = host.node.after(patience) { [weak self] in
            guard let self, phase != .ready, phase != .admin else { return }
            fail(.protocolViolation, "client_login_timeout")
        }
    }

    var server: PoolerServer? { loan?.connection }
    var isWaiting: Bool { ticket != nil }
    var place: String { "\(user)@\(stream.remote.address):\(stream.remote.port)" }

    func named(user: String, database: String) {
        self.user = user
        databaseName = database
    }

    /// It is let in, to this pool or to none.
    func joined(_ pool: PoolerPool?) {
        self.pool = pool
        pool?.clientCount += 1
    }

    func loggedIn() {
        host.node.cancel(loginTimer)
        loginTimer = nil
        answeredAt = host.node.world.now
    }

    // MARK: The server

    func lent(_ loan: NodePool<PoolerServer>.Loan) {
        self.loan = loan
        if phase == .ready {
            let now = host.node.world.now
            pool?.state.meter.totals.waitMicroseconds += Int((now - requestedAt).nanoseconds / 1000)
            transactionBeganAt = now
        }
        loan.connection.lent(to: self)
    }

    /// Gives the server back, in whatever state it is.
    func release() {
        guard let loan else { return }
        self.loan = nil
        loan.connection.client = nil
        loan.connection.isCutOff = frames.isPassing
        if loan.connection.session.stream?.isClosed == false { loan.connection.session.stream.resumeReading() }
        if loan.connection.cancellations > 0 {
            // What is on its way to cancel must not meet the next client.
            host.cancelling[loan.connection.id.number] = loan
            return
        }
        loan.close()
        host.room.returned()
    }

    /// The server has said that it is ready.
    func serverReady(_ server: PoolerServer) {
        let now = host.node.world.now
        answeredAt = now
        if isQueryUnderWay, server.conversation.isIdle {
            isQueryUnderWay = false
            pool?.state.meter.totals.queries += 1
            pool?.state.meter.totals.queryMicroseconds += Int((now - requestedAt).nanoseconds / 1000)
        }
        guard server.isReady else {
            if server.status != .idle, server.conversation.isIdle, server.pool.mode == .statement {
                fail(.protocolViolation, "transaction blocks not allowed in statement pooling mode")
            }
            return
        }
        if let began = transactionBeganAt {
            pool?.state.meter.totals.transactions += 1
            pool?.state.meter.totals.transactionMicroseconds += Int((now - began).nanoseconds / 1000)
            transactionBeganAt = server.pool.mode == .session ? now : nil
        }
        releaseIfReady()
    }

    /// Lets others have the server, if its mode says so and nothing of this client's is under way. The rest of a
    /// message that has begun would be the beginning of the next client's.
    func releaseIfReady() {
        guard let server, server.isReady, server.pool.mode != .session, !frames.isPassing, !isHeldBack else { return }
        release()
    }

    func serverLost(_ reason: String) {
        loan?.connection.client = nil
        let loan = loan
        self.loan = nil
        loan?.close()
        host.log("log_pooler_errors", "\(place) lost its server: \(reason)", level: .warning)
        fail(.connectionFailure, "server conn crashed?")
    }

    /// The pool has closed its server under it.
    func serverTaken() {
        loan?.connection.client = nil
        loan = nil
        fail(.adminShutdown, "the pool of its server was closed")
    }

    // MARK: Statements

    func use(_ name: [UInt8], _ content: UnsafeRawBufferPointer) -> Int? {
        let number = host.catalogue.use(content)
        if statements.add(name, number) { return number }
        host.catalogue.release(number)
        return nil
    }

    func forget(_ name: [UInt8]) { if let number = statements.remove(name) { host.catalogue.release(number) } }
    func forgetStatements() { for number in statements.removeAll() { host.catalogue.release(number) } }

    // MARK: The end

    /// Tells it why, and ends it.
    func fail(_ state: SQLState, _ message: String) { fail(PostgresError(state, message, severity: .fatal)) }

    func fail(_ error: PostgresError) {
        guard !isEnded else { return }
        stream.write(BackendMessage.errorResponse(error).encoded)
        host.log("log_pooler_errors", "\(place) closed: \(error.message)", level: .warning)
        end()
    }

    /// Lets go of everything, and closes.
    func end() {
        guard !isEnded else { return }
        isEnded = true
        phase = .ended
        host.node.cancel(loginTimer)
        if let ticket { pool?.nodePool.cancel(ticket) }
        ticket = nil
        forgetStatements()
        release()
        pool?.clientCount -= 1
        admin?.ended()
        stream.close()
        host.ended(self)
    }

    func streamEnded(_ stream: Stream) {
        if !user.isEmpty { host.log("log_disconnections", "\(place) left") }
        end()
    }

    func stream(_ stream: Stream, closed reason: CloseReason) { end() }

    func streamLost(_ stream: Stream) {
        isEnded = true
        loan = nil
        admin = nil
    }

    func streamDrained(_ stream: Stream) { server?.session.stream.resumeReading() }

    // MARK: What it says

    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        switch phase {
        case .ready where !isWaiting && !isHeldBack: relay(bytes)
        case .ready, .awaitingWelcome: hold(bytes)
        case .startup, .authenticating, .admin: listen(bytes)
        case .ended: break
        }
    }

    static let pendingLimit = 1 << 20
    /// Bytes that are read ahead of somebody who waits: who is not read from cannot be seen to leave, and keeps his
    /// place in the line.
    static let readAheadBytes = 4096

    /// Keeps what cannot be taken yet; a stream that has said much is paused, so little more can come.
    func hold(_ bytes: UnsafeRawBufferPointer) {
        guard phase != .ended else { return }
        pending.append(contentsOf: bytes)
        if pending.count > Self.readAheadBytes || !isWaiting { stream.pauseReading() }
        if pending.count > Self.pendingLimit {
            fail(.programLimitExceeded, "too much was sent before it could be taken")
        }
    }

    /// Its server takes more again.
    func heldBackEnded() {
        isHeldBack = false
        goOn()
        releaseIfReady()
    }

    /// Goes on with what was kept.
    func goOn() {
        let bytes = pending
        pending = []
        if !bytes.isEmpty { bytes.withUnsafeBytes { relay($0) } }
        // Not before: a stream may hand over at once what comes behind this.
        guard phase == .ready, !isWaiting, !isHeldBack, pending.isEmpty else { return }
        if let server, server.session.stream.isCongested { holdBackIfCongested() } else { stream.resumeReading() }
    }
}
