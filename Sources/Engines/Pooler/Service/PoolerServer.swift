import ConnectionPoolEngine
import ConnectionPoolService
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import PoolerEngine

/// One session at the database, lent to one client after the other.
final class PoolerServer: NodeConnection {
    let id: ConnectionPool.ConnectionID
    unowned let pool: PoolerPool
    private(set) var session: PostgresSession!
    private(set) var conversation = Conversation()
    var statements: ServerStatements
    private(set) var settings = TrackedSettings()
    private(set) var status = PostgresTransactionStatus.idle
    /// Who has it now.
    unowned(unsafe) var client: PoolerClient?
    var onLost: ((String) -> Void)?
    /// Requests to cancel what it does, that have not reached the database yet: it is not lent before they have.
    var cancellations = 0
    /// Its last client has left in the middle of a message.
    var isCutOff = false
    /// Its client's settings are on their way to it, or being answered.
    private var isSettling = false
    private(set) var openedAt = LabTime(nanoseconds: 0)
    private(set) var requestedAt = LabTime(nanoseconds: 0)
    private let frames = RelayFrames(gathering: "ZSCE")
    /// What the pooler itself waits for, and whether an error came meanwhile.
    private var question: ((_ isGood: Bool) -> Void)?
    private var hasQuestionFailed = false
    private var isPassing = true
    private var fault: String?
    private var wasUsed = false
    private var opening: ((String?) -> Void)?

    init(_ pool: PoolerPool, _ id: ConnectionPool.ConnectionID) {
        self.pool = pool
        self.id = id
        statements = ServerStatements(limit: pool.host.configuration.integer("max_prepared_statements"))
    }

    private var node: Node { pool.host.node }
    /// Whether it has been there, and still is.
    var isLoggedIn: Bool { opening == nil && session?.isOpen == true }
    var isReady: Bool { session?.isOpen == true && conversation.isIdle && status == .idle }

    // MARK: NodeConnection

    func open(_ done: @escaping (String?) -> Void) {
        opening = done
        pool.host.room.ask(self)
    }

    /// There is room for one more: connects.
    func connect() {
        guard opening != nil else { return }
        let session = PostgresSession(
            node, pool.url, security: pool.security.forServers, startup: pool.startup, keys: pool.keys)
        self.session = session
        session.onOpen = { [unowned self] in opened() }
        session.onEnd = { [unowned self] in ended($0) }
        session.onBytes = { [unowned self] in received($0) }
        do throws(NetworkError) {
            try session.connect()
        } catch {
            node.enqueue { [weak self] in self?.ended(.network(error)) }
        }
    }

    private func finishOpening(_ failure: String?) {
        let callback = opening
        opening = nil
        callback?(failure)
    }

    private func opened() {
        openedAt = node.world.now
        for parameter in session.parameters { settings.set(parameter.name, parameter.value) }
        pool.loggedIn(self)
        guard let query = pool.database.connectQuery, !query.isEmpty else { return finishOpening(nil) }
        ask(query) { [unowned self] isGood in finishOpening(isGood ? nil : "connect_query failed") }
    }

    private func ended(_ failure: PostgresFailure) {
        let text = Self.text(failure)
        fault = text
        question = nil
        if opening != nil {
            pool.loginFailed(failure)
            return finishOpening(text)
        }
        let client = client
        let callback = onLost
        onLost = nil
        client?.serverLost(text)
        callback?(text)
    }

    private static func text(_ failure: PostgresFailure) -> String {
        if case .server(let error) = failure { return error.message }
        return failure.description
    }

    func validate(_ done: @escaping (Bool) -> Void) { ask(pool.host.configuration.text("server_check_query"), done) }

    func reset(_ done: @escaping (Bool) -> Void) {
        ask(pool.host.configuration.text("server_reset_query")) { [unowned self] isGood in
            wasUsed = false
            done(isGood && status == .idle)
        }
    }

    /// Asks for the pooler itself; nobody hears the answer.
    private func ask(_ query: String, _ done: @escaping (Bool) -> Void) {
        hasQuestionFailed = false
        question = done
        inject(query)
    }

    private func inject(_ query: String) {
        conversation.injected(UInt8(ascii: "Q"))
        session.send(.query(query))
    }

    func wasGivenBack() -> ConnectionPool.ReturnCondition {
        client = nil
        if let fault { return .broken(fault) }
        guard isReady, !isCutOff else { return .broken("client left while server was not ready") }
        let configuration = pool.host.configuration
        if wasUsed, pool.usesServersOnce {
            pool.nodePool.operate { engine, now in _ = engine.evict(number: id.number, now: now) }
        }
        let needsReset = pool.mode == .session || configuration.boolean("server_reset_query_always")
        return wasUsed && needsReset && !configuration.text("server_reset_query").isEmpty ? .dirty : .clean
    }

    func close() {
        opening = nil
        question = nil
        session?.close()
        pool.host.room.closed(self)
        // Its pool was closed, and has waited long enough.
        client?.serverTaken()
    }

    func letGo() {
        opening = nil
        question = nil
        onLost = nil
        client = nil
    }

    // MARK: What its client says

    /// A client has it now: it gets the client's settings.
    func lent(to client: PoolerClient) {
        self.client = client
        requestedAt = node.world.now
        guard let difference = client.settings.difference(from: settings) else { return }
        isSettling = true
        // What a client says of itself when it comes may be refused: until it is known, nothing is done for it.
        if !client.hasTriedSettings { client.isHeldBack = true }
        inject(difference)
    }

    /// What was asked for the pooler was refused.
    private func refused(_ message: UnsafeRawBufferPointer) {
        hasQuestionFailed = true
        guard isSettling, let client else { return }
        var detail: String?
        if let frame = try? BackendMessage(PostgresFrame(letter: UInt8(ascii: "E"), bytes: message)),
            case .errorResponse(let error) = frame
        {
            detail = error.message
        }
        // This server is closed with it: what it has of the settings is not known.
        client.fail(PostgresError(.protocolViolation, "invalid server parameter", severity: .fatal, detail: detail))
    }

    func send(_ letter: UInt8, _ message: UnsafeRawBufferPointer, statement: Int = -1) {
        wasUsed = true
        conversation.sent(letter, statement: statement)
        session.stream.write(message)
    }

    /// More of a message that has begun.
    func sendMore(_ part: UnsafeRawBufferPointer) { session.stream.write(part) }

    /// Asks for the answers that the server may keep until a Sync.
    func flush() { session.send(.flush) }

    /// Makes sure that the server has a statement of the catalogue.
    func prepare(_ number: Int) {
        // It would be passed over.
        if conversation.isSkipping { return }
        guard isNew(number), let statement = pool.host.catalogue[number] else { return }
        conversation.injected(UInt8(ascii: "P"), statement: number)
        session.stream.write(StatementNames.makeParse(statement))
    }

    /// Notes a use of a statement, and makes room for it.
    private func isNew(_ number: Int) -> Bool {
        let (isNew, closes) = statements.use(number)
        for close in closes {
            conversation.injected(UInt8(ascii: "C"), statement: close)
            session.stream.write(StatementNames.makeClose(close))
        }
        return isNew
    }

    /// The client prepares a statement that has this number.
    func parse(_ number: Int) {
        if conversation.isSkipping { return }
        guard isNew(number), let statement = pool.host.catalogue[number] else { return withhold(UInt8(ascii: "P")) }
        StatementNames.makeParse(statement).withUnsafeBytes { send(UInt8(ascii: "P"), $0, statement: number) }
    }

    /// Answers in the server's place, in turn.
    func withhold(_ letter: UInt8) {
        conversation.withheld(letter)
        giveFakes()
    }

    private func giveFakes() {
        if conversation.fakes.isEmpty { return }
        client?.stream.write(conversation.takeFakes())
    }

    // MARK: What the database says

    private func received(_ bytes: UnsafeRawBufferPointer) {
        guard let target = client?.stream else { return read(bytes) }
        target.cork()
        read(bytes)
        target.uncork()
        // A client that does not read holds its server back, and nobody else.
        if target.isCongested, client?.stream === target { session.stream.pauseReading() }
        letClientGoOn()
    }

    /// Ends what holds the client back, if the server has answered enough.
    private func letClientGoOn() {
        guard let client, client.isHeldBack, !isSettling, conversation.owedCount <= Conversation.roomyCount else {
            return
        }
        client.heldBackEnded()
    }

    private func read(_ bytes: UnsafeRawBufferPointer) {
        var position = 0
        while session.isOpen {
            switch frames.next(bytes, &position) {
            case .needMore: return
            case .part(let part): if isPassing { pass(part) }
            case .failed:
                session.abort()
                return ended(.malformed(PostgresError.violation("a length that cannot be")))
            case .message(let letter, let message, _): take(letter, message)
            }
        }
    }

    private func pass(_ bytes: UnsafeRawBufferPointer) {
        guard let client else { return }
        pool.state.meter.totals.bytesSent += bytes.count
        client.stream.write(bytes)
    }

    private func take(_ letter: UInt8, _ message: UnsafeRawBufferPointer) {
        isPassing = conversation.received(letter) == .pass
        if isPassing { pass(message) } else if letter == UInt8(ascii: "E") { refused(message) }
        giveFakes()
        statements.settle(&conversation)
        switch letter {
        case UInt8(ascii: "Z"): ready(message)
        case UInt8(ascii: "S"): noteSetting(message)
        case UInt8(ascii: "C"): noteTag(message)
        default: break
        }
    }

    private func noteSetting(_ message: UnsafeRawBufferPointer) {
        guard let frame = try? BackendMessage(PostgresFrame(letter: UInt8(ascii: "S"), bytes: message)),
            case .parameterStatus(let name, let value) = frame, settings.set(name, value)
        else { return }
        client?.settings.set(name, value)
    }

    private static let forgettingTags = ["DISCARD ALL", "DEALLOCATE ALL"].map { Array($0.utf8) + [0] }

    /// Some statements take all prepared ones away.
    private func noteTag(_ message: UnsafeRawBufferPointer) {
        guard message.count == 17 || message.count == 20,
            Self.forgettingTags.contains(where: { message[5...].elementsEqual($0) })
        else { return }
        statements.removeAll()
        if isPassing { client?.forgetStatements() }
    }

    private func ready(_ message: UnsafeRawBufferPointer) {
        if message.count == 6, let status = PostgresTransactionStatus(rawValue: message[5]) { self.status = status }
        if let question, conversation.isIdle {
            self.question = nil
            return question(!hasQuestionFailed)
        }
        if !isPassing, isSettling {
            isSettling = false
            client?.hasTriedSettings = true
        }
        if isPassing { client?.serverReady(self) }
    }
}
