import KernelStructures
import KernelWorld
import PoolerEngine

/// Who may open another server: limits that hold across pools (`max_db_connections`, `max_user_connections`), and the
/// reserve, which only opens when a client has waited for long. The engine of each pool knows of none of them: to it, a
/// server that waits here takes longer to open.
final class PoolerRoom {
    private unowned let host: PoolerHost
    private var waiting: [PoolerServer] = []
    private var open: [ObjectIdentifier: PoolerServer] = [:]
    private var timer: TimerID?

    init(_ host: PoolerHost) { self.host = host }

    var openCount: Int { open.count }

    func count(database: String) -> Int { open.values.count { $0.pool.database.name == database } }
    func count(user: String) -> Int { open.values.count { $0.pool.user == user } }
    private func count(pool: PoolerPool) -> Int { open.values.count { $0.pool === pool } }

    func ask(_ server: PoolerServer) {
        if admits(server) { return admit(server) }
        waiting.append(server)
        makeRoom(for: server)
        lookAgainLater()
    }

    func closed(_ server: PoolerServer) {
        waiting.removeAll { $0 === server }
        open[ObjectIdentifier(server)] = nil
        server.pool.closed(server)
        if !waiting.isEmpty { host.node.enqueue { [weak self] in self?.look() } }
    }

    /// A server has come back: perhaps another pool needs its place more.
    func returned() { if !waiting.isEmpty { host.node.enqueue { [weak self] in self?.look() } } }

    private func look() {
        for server in waiting {
            if admits(server) {
                waiting.removeAll { $0 === server }
                admit(server)
            } else {
                makeRoom(for: server)
            }
        }
    }

    /// The reserve opens when time has passed, and nothing else may happen meanwhile.
    private func lookAgainLater() {
        guard timer == nil, !waiting.isEmpty else { return }
        timer = host.node.after(.seconds(1)) { [weak self] in
            self?.timer = nil
            self?.look()
            self?.lookAgainLater()
        }
    }

    private func admit(_ server: PoolerServer) {
        open[ObjectIdentifier(server)] = server
        server.connect()
    }

    private func admits(_ server: PoolerServer) -> Bool {
        let pool = server.pool
        if let limit = databaseLimit(pool), count(database: pool.database.name) >= limit { return false }
        if let limit = userLimit(pool), count(user: pool.user) >= limit { return false }
        if count(pool: pool) < pool.size { return true }
        let patience = host.configuration.duration("reserve_pool_timeout")
        return patience > .zero && pool.longestWait(now: host.node.world.now) >= patience
    }

    private func databaseLimit(_ pool: PoolerPool) -> Int? {
        let limit = pool.database.maxConnections ?? host.configuration.integer("max_db_connections")
        return limit == 0 ? nil : limit
    }

    private func userLimit(_ pool: PoolerPool) -> Int? {
        let limit =
            host.configuration.user(pool.user)?.maxConnections
            ?? host.configuration.integer("max_user_connections")
        return limit == 0 ? nil : limit
    }

    /// Closes an idle server of another pool that stands in the way.
    private func makeRoom(for server: PoolerServer) {
        let pool = server.pool
        let isDatabaseFull = databaseLimit(pool).map { count(database: pool.database.name) >= $0 } ?? false
        let isUserFull = userLimit(pool).map { count(user: pool.user) >= $0 } ?? false
        guard isDatabaseFull || isUserFull else { return }
        for other in host.pools where other !== pool && other.engine.waitingCount == 0 {
            let isInTheWay =
                isDatabaseFull && other.database.name == pool.database.name || isUserFull && other.user == pool.user
            guard isInTheWay, let idle = other.engine.listings.first(where: { $0.state == "idle" }) else { continue }
            other.nodePool.operate { engine, now in _ = engine.evict(number: idle.connection.number, now: now) }
            return
        }
    }
}
