import ConnectionPoolEngine
import ConnectionPoolService
import KernelCryptography
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import PoolerEngine

/// What is counted, and settled, for one database as clients name it.
final class PoolerDatabaseState {
    let name: String
    var meter = PoolerMeter()
    var isDisabled = false
    var isPaused = false

    init(_ name: String) { self.name = name }
}

/// The servers of one database and one user.
final class PoolerPool {
    unowned let host: PoolerHost
    let database: PoolerDatabase
    /// Who the clients are.
    let user: String
    let mode: PoolingMode
    let state: PoolerDatabaseState
    let size: Int
    /// `server_lifetime` is 0: a server is closed after its first client.
    let usesServersOnce: Bool
    let url: PostgresURL
    let startup: PostgresStartup
    let security: PoolerSecurity
    private(set) var nodePool: NodePool<PoolerServer>!
    /// What a server says of itself when it is new: what clients are told when they come.
    private(set) var welcome: [PostgresStartup.Parameter]?
    /// Of the last login, so that the next one is quick.
    private(set) var keys: SCRAMKeys?
    private(set) var lastFailure: PostgresError?
    /// By the number of their connection; those that are open, or being opened.
    private(set) var servers: [Int: PoolerServer] = [:]
    /// Clients that have come so far as to be lent a server, by number.
    var clientCount = 0
    /// Another one has taken its place, with other settings.
    var isReplaced = false

    init(_ host: PoolerHost, _ database: PoolerDatabase, user: String, state: PoolerDatabaseState) {
        self.host = host
        self.database = database
        self.user = user
        self.state = state
        let configuration = host.configuration
        mode = configuration.poolMode(of: database, user: user)
        size = database.poolSize ?? configuration.integer("default_pool_size")
        usesServersOnce = configuration.duration("server_lifetime") == .zero
        let serverUser = database.user ?? user
        let password = database.password ?? Self.plain(configuration.userList[serverUser])
        var url = PostgresURL(
            database.server, user: serverUser, password: password, database: database.nameAtServer)
        let patience = configuration.duration("server_connect_timeout")
        url.connectTimeout = patience == .zero ? .infinite : patience
        security = host.security
        url.tls = Self.demand(security.settings.server.mode)
        self.url = url
        startup = PostgresStartup(
            parameters: [.init("user", serverUser), .init("database", url.database)] + database.settings)
        nodePool = NodePool(node: host.node, configuration: settings, tag: host.runtime.tag ?? "POOLER") {
            [unowned self] id in
            let server = PoolerServer(self, id)
            servers[id.number] = server
            return server
        }
        nodePool.start()
    }

    private static func demand(_ mode: PoolerTLSMode) -> PostgresURL.TLS {
        switch mode {
        case .disable: .disable
        case .allow, .prefer: .prefer
        case .require: .require
        case .verifyAuthority: .verifyAuthority
        case .verifyFull: .verifyFull
        }
    }

    /// Whether a pool made now would be the same.
    var isUpToDate: Bool {
        let configuration = host.configuration
        guard let current = configuration.database(database.name), current == database else { return false }
        let password = current.password ?? Self.plain(configuration.userList[url.user])
        return configuration.poolMode(of: current, user: user) == mode && password == url.password
            && (current.poolSize ?? configuration.integer("default_pool_size")) == size
            && settings == engine.configuration && security.settings.server == host.security.settings.server
    }

    /// A digest is of no use for logging in: only a password is.
    private static func plain(_ secret: String?) -> String? {
        guard let secret, case .password(let password) = PostgresAuthenticator.Secret(parsing: secret) else {
            return nil
        }
        return password
    }

    private var settings: ConnectionPool.Configuration {
        let configuration = host.configuration
        var settings = ConnectionPool.Configuration()
        settings.poolName = "\(database.name)/\(user)"
        let reserve = database.reservePool ?? configuration.integer("reserve_pool_size")
        settings.maximumPoolSize = min(ConnectionPool.Configuration.sizeLimit, size + reserve)
        settings.minimumIdle = min(size, database.minPoolSize ?? configuration.integer("min_pool_size"))
        settings.connectionTimeout = configuration.duration("query_wait_timeout")
        settings.idleTimeout = configuration.duration("server_idle_timeout")
        settings.maxLifetime = configuration.duration("server_lifetime")
        settings.keepaliveTime = .zero
        settings.validationTimeout = .seconds(5)
        settings.initializationFailTimeout = nil
        settings.aliveBypassWindow = configuration.duration("server_check_delay")
        settings.testsOnBorrow = !configuration.text("server_check_query").isEmpty
        settings.waiterLimit = 1_000_000
        return settings
    }

    var engine: ConnectionPool { nodePool.engine }
    /// Those that exist or are being opened, in the order of their numbers.
    var allServers: [PoolerServer] { servers.sorted { $0.key < $1.key }.map(\.value) }

    /// How long the first client in line has waited.
    func longestWait(now: LabTime) -> LabDuration {
        engine.waiting.first { $0.borrower.name != Self.lookout }.map { now - $0.since } ?? .zero
    }

    // MARK: Servers

    func loggedIn(_ server: PoolerServer) {
        keys = server.session.keys ?? keys
        welcome = server.session.parameters
        lastFailure = nil
    }

    /// A login has failed: whoever waits to be welcomed hears why, since nobody knows whether there will be another.
    func loginFailed(_ failure: PostgresFailure) {
        let error: PostgresError
        if case .server(let said) = failure {
            error = PostgresError(
                said.sqlState, "server login failed: \(said.severity.rawValue) \(said.message)", severity: .fatal)
        } else {
            error = PostgresError(.connectionFailure, "cannot connect to server: \(failure)", severity: .fatal)
        }
        lastFailure = error
        host.loginFailed(self, error)
    }

    func closed(_ server: PoolerServer) { servers[server.id.number] = nil }

    // MARK: While logins fail

    /// Who stands in line when no client does, to notice that servers can be had again.
    private static let lookout = "the pooler"
    private var hasLookout = false

    /// Whether the last login failed and no server is left: nobody else waits then, as nobody knows for how long
    /// (pgbouncer's `check_fast_fail`). Whoever asks first cannot know, and waits.
    var isFailing: Bool {
        guard lastFailure != nil, !state.isPaused, !host.isPaused else { return false }
        return !servers.values.contains { $0.isLoggedIn }
    }

    /// A client was sent away: sees to it that somebody waits for a server, so that those who come later find one.
    func lookOut() {
        guard !hasLookout else { return }
        hasLookout = true
        nodePool.borrow(by: Self.lookout) { [weak self] result in
            self?.hasLookout = false
            if case .success(let loan) = result { loan.close() }
        }
    }

    // MARK: Operators

    /// Lends nothing any more, and closes each server as it comes back.
    func pause() {
        nodePool.operate { engine, now in
            _ = engine.suspend(now: now)
            engine.evictAll(now: now)
        }
    }

    func resume() { nodePool.operate { engine, now in _ = engine.resume(now: now) } }
    func reconnect() { nodePool.operate { engine, now in _ = engine.evictAll(now: now) } }

    /// Whether nobody has a server, and none is there.
    var isDrained: Bool { engine.inUseCount == 0 && engine.totalCount == 0 }
    /// Whether all servers that were to be closed have been.
    var hasClosedDoomed: Bool { isReplaced ? engine.totalCount == 0 : engine.doomedCount == 0 }
}
