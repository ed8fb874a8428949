import ConnectionPoolService
import KernelHosting
import KernelService
import KernelStructures
import KernelTLS
import KernelTelemetry
import KernelWire
import KernelWorld
import PoolerEngine

/// Runs a pooler on a node: listens, lets clients in, and keeps a pool of servers for each database and user.
public final class PoolerHost: Service {
    public let runtime: ServiceRuntime
    public private(set) var configuration: PoolerConfiguration
    public private(set) var server: StreamServer!
    /// All prepared statements of the clients.
    let catalogue = StatementCatalogue()
    private(set) var room: PoolerRoom!
    private(set) var security: PoolerSecurity!
    /// In the order in which they were first needed.
    private(set) var pools: [PoolerPool] = []
    private(set) var states: [PoolerDatabaseState] = []
    /// By number, which grows.
    private(set) var clients: [Int: PoolerClient] = [:]
    private var byKey: [PostgresCancelKey: Int] = [:]
    private var lastNumber = 0
    /// What is asked of the pooler itself.
    var consoleMeter = PoolerMeter()
    /// Servers that wait for a request to cancel before they go back.
    var cancelling: [Int: NodePool<PoolerServer>.Loan] = [:]
    /// Administrators that wait until something is drained.
    private var drainWaiters: [(pools: () -> Bool, done: () -> Void)] = []
    /// SHUTDOWN was said.
    public var onShutdown: (() -> Void)?
    private(set) var renamesStatements = true
    private(set) var isPaused = false

    public static let defaultPort: UInt16 = 6432

    public init(
        node: Node, source: ConfigurationSource<PoolerConfiguration>, options: ServiceOptions = ServiceOptions()
    ) {
        configuration = source.initial
        runtime = ServiceRuntime(node: node, tag: "PGBOUNCER", options: options)
        room = PoolerRoom(self)
        renamesStatements = configuration.integer("max_prepared_statements") > 0
        server = StreamServer(node: node, clientProtocol: "PostgreSQL's protocol") { [unowned self] stream, _, _ in
            accept(stream)
        }
        runtime.reloading = Reloading(source) { [unowned self] new in
            try take(new)
            return "Reloaded"
        }
        node.whenEnded { [weak self] in self?.letGo() }
    }

    private func letGo() {
        clients = [:]
        pools = []
        cancelling = [:]
        drainWaiters = []
        onShutdown = nil
    }

    public func prepare() throws {
        security = try PoolerSecurity(.init(configuration), node: node)
        let port = UInt16(clamping: configuration.integer("listen_port"))
        runtime.add(server, on: port, announcement: "Listening on :\(port: port)")
    }

    public func opened() {
        let names = configuration.databases.map(\.name).joined(separator: ", ")
        runtime.log("\(configuration.poolMode.rawValue) pooling for \(names.isEmpty ? "no database" : names)")
        if !configuration.withoutMeaning.isEmpty {
            runtime.log("Settings without meaning here: \(configuration.withoutMeaning.joined(separator: ", "))")
        }
        measure()
        watchTimeouts()
    }

    private func accept(_ stream: Stream) -> any StreamHandler {
        lastNumber += 1
        let client = PoolerClient(self, stream, number: lastNumber)
        clients[lastNumber] = client
        byKey[client.key] = lastNumber
        return client
    }

    func ended(_ client: PoolerClient) {
        clients[client.number] = nil
        byKey[client.key] = nil
        server.ended(client.stream)
        lookAtDrains()
    }

    /// In the order in which they came.
    var allClients: [PoolerClient] { clients.sorted { $0.key < $1.key }.map(\.value) }

    /// - Parameter setting: the setting that says whether this is logged.
    func log(_ setting: String, _ message: @autoclosure () -> LogMessage, level: LogLevel = .info) {
        if configuration.boolean(setting) { runtime.log(message(), level: level) }
    }

    // MARK: Pools

    func state(_ database: String) -> PoolerDatabaseState {
        if let known = states.first(where: { $0.name == database }) { return known }
        let state = PoolerDatabaseState(database)
        states.append(state)
        return state
    }

    func findPool(user: String, database name: String) -> PoolerPool? {
        if let known = pools.first(where: { $0.user == user && $0.database.name == name && !$0.isReplaced }) {
            return known
        }
        guard let database = configuration.database(name) else { return nil }
        let state = state(name)
        let pool = PoolerPool(self, database, user: user, state: state)
        if state.isPaused || isPaused { pool.pause() }
        pools.append(pool)
        return pool
    }

    /// The pool whose servers a client gets: another one than it had, if the settings have changed.
    func pool(of client: PoolerClient) -> PoolerPool? {
        if let pool = client.pool, !pool.isReplaced { return pool }
        guard let pool = findPool(user: client.user, database: client.databaseName) else {
            client.fail(.invalidCatalogName, "database \"\(client.databaseName)\" was removed from the configuration")
            return nil
        }
        client.pool?.clientCount -= 1
        client.joined(pool)
        return pool
    }

    /// Takes over new settings. Pools that they concern begin anew: their servers go as they come back, and those that
    /// are not back after the pool's patience are taken from their clients.
    private func take(_ new: PoolerConfiguration) throws(PoolerConfiguration.Malformed) {
        try new.check()
        let settings = PoolerSecurity.Settings(new)
        if settings != security.settings {
            do throws(TLSConfigurationError) { security = try PoolerSecurity(settings, node: node) } catch {
                throw PoolerConfiguration.Malformed(error.description)
            }
        }
        configuration = new
        renamesStatements = new.integer("max_prepared_statements") > 0
        for pool in pools where !pool.isReplaced && !pool.isUpToDate { replace(pool) }
    }

    func replace(_ pool: PoolerPool) {
        pool.isReplaced = true
        pool.nodePool.close { [weak self, unowned pool] in self?.pools.removeAll { $0 === pool } }
    }

    func loginFailed(_ pool: PoolerPool, _ error: PostgresError) {
        for client in allClients where client.phase == .awaitingWelcome && client.pool === pool { client.fail(error) }
    }

    // MARK: Cancelling

    /// Passes on a request to cancel, to whatever server works for the client that has this key.
    func cancel(_ key: PostgresCancelKey, for connection: PoolerClient) {
        guard let number = byKey[key], let client = clients[number] else { return connection.end() }
        if client.isWaiting {
            // It has not come to its turn: there is nothing to cancel but its waiting.
            connection.end()
            return client.fail(.queryCanceled, "canceling statement due to user request")
        }
        guard let server = client.server, let secret = server.session.cancelKey else { return connection.end() }
        server.cancellations += 1
        PostgresCancellation.send(secret, to: server.pool.url.destination, from: node) { [weak self, weak connection] in
            connection?.end()
            server.cancellations -= 1
            guard server.cancellations == 0, let loan = self?.cancelling.removeValue(forKey: server.id.number) else {
                return
            }
            loan.close()
        }
    }

    // MARK: Operators

    func set(_ name: String, _ value: String) throws(PoolerConfiguration.Malformed) {
        var new = configuration
        guard !PoolerSetting.files.contains(name) else {
            throw PoolerConfiguration.Malformed("\(name): change it in the file, then RELOAD")
        }
        try new.set(name, value)
        try take(new)
    }

    func pauseAll() {
        isPaused = true
        for pool in pools { pool.pause() }
    }

    func resumeAll() {
        isPaused = false
        for state in states { state.isPaused = false }
        for pool in pools { pool.resume() }
    }

    /// Ends all clients of a database, and its servers.
    func kill(_ state: PoolerDatabaseState) {
        state.isPaused = true
        for client in allClients where client.databaseName == state.name {
            client.fail(.adminShutdown, "database removed")
        }
        for pool in pools where pool.state === state { pool.pause() }
    }

    /// Calls back once `isDone` holds, which is looked at whenever a server or a client has gone.
    func whenDrained(_ isDone: @escaping () -> Bool, _ done: @escaping () -> Void) {
        drainWaiters.append((isDone, done))
        lookAtDrains()
    }

    func lookAtDrains() {
        guard !drainWaiters.isEmpty else { return }
        node.enqueue { [weak self] in
            guard let self else { return }
            let due = drainWaiters.filter { $0.pools() }
            drainWaiters.removeAll { $0.pools() }
            for waiter in due { waiter.done() }
        }
    }

    public func willDrain() {
        for client in allClients where client.server == nil && !client.isWaiting {
            client.fail(.adminShutdown, "server is shutting down")
        }
    }

    public func stop(_ done: @escaping () -> Void) {
        for client in allClients { client.end() }
        for pool in pools { pool.nodePool.close {} }
        runtime.log("Stopped")
        done()
    }
}
