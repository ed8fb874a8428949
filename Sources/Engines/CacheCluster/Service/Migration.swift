import CacheClusterEngine
import CacheEngine
import CacheService
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// MIGRATE: keys go to another node, and only when it has them they go from here.
///
/// Redis stands still meanwhile. Here only writes wait, and only as long as it takes.
struct MigrationDesk {
    private var running: [Migration] = []
    static let limit = 100

    mutating func begin(_ migration: Migration) -> Bool {
        running.removeAll(where: \.isOver)
        guard running.count < Self.limit else { return false }
        running.append(migration)
        return true
    }

    func stop() { for migration in running { migration.fail("IOERR error or timeout: this node is stopping") } }
}

final class Migration {
    struct Order {
        var host = ""
        var port: UInt16 = 0
        var timeoutMilliseconds = 1000
        var keepsKeys = false
        var replaces = false
        var password: [UInt8]?
        var user: [UInt8]?
        var keys: [[UInt8]] = []
    }

    private let order: Order
    private let node: CacheNode
    private let connection: RESPServerConnection
    private let target = RESPClientConnection()
    private var waitingCount = 0
    private var failure: String?
    private var arrived: [[UInt8]] = []
    private var timer: TimerID?
    private var hasPaused = false
    private(set) var isOver = false

    init(_ order: Order, _ node: CacheNode, _ connection: RESPServerConnection) {
        self.order = order
        self.node = node
        self.connection = connection
    }

    func start() {
        connection.suspend()
        if !node.server.isPaused {
            hasPaused = true
            node.server.pause(.milliseconds(order.timeoutMilliseconds + 1000), true)
        }
        timer = node.node.after(.milliseconds(order.timeoutMilliseconds)) { [weak self] in
            self?.fail("IOERR error or timeout reading from target instance")
        }
        target.onEnd = { [weak self] _ in self?.fail("IOERR error or timeout writing to target instance") }
        do throws(NetworkError) {
            try target.connect(from: node.node, to: HostPort(host: order.host, port: order.port))
        } catch {
            return fail("IOERR error or timeout connecting to the client")
        }
        if let password = order.password {
            send([Array("AUTH".utf8)] + (order.user.map { [$0] } ?? []) + [password], key: nil)
        }
        for key in order.keys {
            guard let payload = node.cache.dump(key) else { continue }
            let expiry = node.cache.expiry(of: key) ?? 0
            let now = Int(node.node.wallClock.nanoseconds / 1_000_000)
            let left = expiry == 0 ? 0 : max(1, expiry - now)
            var words = [Array("RESTORE-ASKING".utf8), key, Array("\(left)".utf8), payload]
            if order.replaces { words.append(Array("REPLACE".utf8)) }
            send(words, key: key)
        }
        if waitingCount == 0 { finish() }
    }

    private func send(_ words: [[UInt8]], key: [UInt8]?) {
        waitingCount += 1
        target.send(words) { [weak self] result in
            guard let self, !isOver else { return }
            waitingCount -= 1
            switch result {
            case .success(.error(let text)): if failure == nil { failure = text }
            case .success: if let key { arrived.append(key) }
            case .failure: return fail("IOERR error or timeout reading from target instance")
            }
            if waitingCount == 0 { finish() }
        }
    }

    func fail(_ text: String) {
        if failure == nil { failure = text }
        finish()
    }

    private func finish() {
        guard !isOver else { return }
        isOver = true
        node.node.cancel(timer)
        target.onEnd = nil
        target.close()
        // What has arrived there is not here any more, even if something else has failed.
        if !order.keepsKeys, !arrived.isEmpty { _ = node.carryOut([Array("DEL".utf8)] + arrived) }
        if let failure {
            connection.reply.error(
                failure.hasPrefix("IOERR") ? failure : "ERR Target instance replied with error: \(failure)")
        } else {
            connection.reply.ok()
        }
        connection.resume()
        if hasPaused { node.node.enqueue { [node] in node.server.unpause() } }
    }
}
