import CacheEngine
import KernelHosting
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld

/// A node of the distributed cache: a `Cache` behind Redis's protocol.
///
/// ## An everyday picture
///
/// The desk of `Cache` has a counter now, and people in front of it. Some ask and go; some wait until a book comes back
/// (`BLPOP`); some want to be told whenever a certain book is touched (`CLIENT TRACKING`, keyspace notifications); some
/// only came to hear what others call out (`SUBSCRIBE`). The node keeps all of these lists, and the cache none of them.
///
/// ## How
///
/// One loop carries out the commands of all clients, each completely before the next; so a command is atomic, and so is
/// what stands between MULTI and EXEC. What a command makes known to others is gathered while it runs, and told when it
/// is over.
///
/// A node alone is a plain server. A `CacheCompanion` makes it a part of something larger: it is asked before each
/// command whether this node is the right one, and told of each change.
///
/// ## Where it is wrong
///
/// There is nothing on the disk: what a killed node had is gone, unless a replica has it.
public final class CacheNode: Service, RESPService {
    public let runtime: ServiceRuntime
    public let port: UInt16
    public internal(set) var settings: Settings
    public let cache: Cache
    public private(set) var server: RESPServer!
    public let companion: (any CacheCompanion)?

    let channels = ChannelTable()
    let tracking = TrackingTable()
    let waiting = WaitingTable()
    /// What is to be told to others when the present command is over.
    var announcements: [Announcement] = []
    /// Who watches a key.
    var watchers: [[UInt8]: [CacheClient]] = [:]
    /// The client whose command is being carried out.
    var current: RESPServerConnection?
    private var expiryTimer: TimerID?
    private var expiryDue = Int.max
    private var evictionTimer: TimerID?
    private(set) var isClosing = false

    public struct Settings: Sendable {
        public var cache = CacheSettings()
        public var server = RESPServerOptions()
        /// Bytes that may wait for a subscriber that does not read before it is cut off.
        public var subscriberByteLimit = 32 << 20
        /// Keys that clients have cached and are told of; the oldest are given up, and their clients told so.
        public var trackedKeyLimit = 1_000_000

        public init() {}
    }

    public init(
        node: Node, port: UInt16, settings: Settings = Settings(), companion: (any CacheCompanion)? = nil,
        options: ServiceOptions = ServiceOptions()
    ) {
        runtime = ServiceRuntime(node: node, tag: "CACHE", options: options)
        self.port = port
        self.settings = settings
        self.companion = companion
        cache = Cache(settings.cache, seed: node.draw { $0.next() })
        cache.now = Int(node.wallClock.nanoseconds / 1_000_000)
    }

    // MARK: Life

    public func prepare() throws {
        settings.server.asksAdmission = true
        settings.cache.stringByteLimit = settings.server.limits.bulkBytes
        let own = Set((companion?.commands ?? []).map(\.name))
        let commands = commands.filter { !own.contains($0.name) } + (companion?.commands ?? [])
        server = RESPServer(node: node, commands: commands, service: self, options: settings.server)
        runtime.add(server, on: port, announcement: "Listening on :\(port: port)")
        if let companion {
            cache.onEffect = { [unowned companion] in companion.effect($0) }
        }
        hookEvents()
        try companion?.prepare(self)
    }

    public func opened() { companion?.opened() }

    public func willDrain() {
        isClosing = true
        for waiter in waiting.all {
            finish(waiter) { $0.reply.error("ERR the server is shutting down") }
        }
        companion?.willDrain()
    }

    public func stop(_ done: @escaping () -> Void) {
        guard let companion else { return done() }
        companion.stop(done)
    }

    // MARK: Turns

    var nowMilliseconds: Int { Int(node.wallClock.nanoseconds / 1_000_000) }

    /// The turn is over: timers are set for what it has changed.
    public func commit(_ server: RESPServer, done: @escaping (String?) -> Void) {
        scheduleExpiry()
        scheduleEviction()
        cache.notePeak()
        done(nil)
    }

    /// Sets the timer for the next key that ends, if it has to be earlier than it is.
    func scheduleExpiry() {
        guard !isClosing, let due = cache.nextExpiryMilliseconds, due < expiryDue else { return }
        expiryDue = due
        node.cancel(expiryTimer)
        // A node's calendar may jump, so it is looked at again once an hour.
        let wait = min(max(0, due - nowMilliseconds), 3_600_000)
        expiryTimer = node.after(.milliseconds(wait)) { [self] in expireNow() }
    }

    /// Keys that are deleted between two turns at most.
    private static let expiryBatch = 1000

    private func expireNow() {
        guard !isClosing else { return }
        expiryDue = .max
        cache.now = nowMilliseconds
        let count = cache.expireSome(limit: Self.expiryBatch)
        if count > 0 { announce() }
        if count == Self.expiryBatch {
            expiryDue = 0
            expiryTimer = node.after(.milliseconds(1)) { [self] in expireNow() }
        } else {
            scheduleExpiry()
        }
    }

    private func scheduleEviction() {
        guard cache.isEvicting, evictionTimer == nil, !isClosing else { return }
        evictionTimer = node.after(.milliseconds(1)) { [self] in
            evictionTimer = nil
            cache.now = nowMilliseconds
            cache.evictSome()
            announce()
            scheduleEviction()
        }
    }

    // MARK: Connections

    public func connectionClosed(_ connection: RESPServerConnection) {
        forget(connection)
        connection.context = nil
    }

    public func connectionReset(_ connection: RESPServerConnection) { forget(connection) }

    private func forget(_ connection: RESPServerConnection) {
        guard let client = connection.context as? CacheClient else { return }
        unwatch(client)
        channels.forget(connection)
        tracking.stop(client)
        if let waiter = client.waiter { waiting.remove(waiter, node) }
        client.waiter = nil
        connection.subscriptions = RESPSubscriptions()
        connection.redirection = -1
        connection.marks = ""
    }

    public func connectionSpokeHTTP(_ connection: RESPServerConnection) {
        runtime.log(
            "Closed a connection from \(address: connection.stream.remote.address): it sent HTTP, whose lines are no commands",
            level: .warning)
    }
}

/// What makes a node a part of something larger: a cluster.
public protocol CacheCompanion: AnyObject {
    /// Its own commands; one that has the name of one of the node's takes its place.
    var commands: [RESPCommand] { get }
    /// Adds ports to the node's runtime.
    func prepare(_ node: CacheNode) throws
    func opened()
    func willDrain()
    func stop(_ done: @escaping () -> Void)
    /// Asked before each command that names keys or deletes all of them, and for EXEC with all its keys: nil if this
    /// node carries it out, otherwise the error: `MOVED 3999 127.0.0.1:7002`.
    func route(_ request: CacheRequest) -> String?
    /// A change, as one command.
    func effect(_ words: [[UInt8]])
    /// Something was published here, and is to be heard elsewhere, too.
    func published(_ channel: [UInt8], _ message: [UInt8], toShard: Bool)
    /// What FLUSHALL is to do, if it is not to delete everything.
    func removeAll(_ cache: Cache)
    /// Sections of `INFO`: lines that replace those of the same name.
    var information: [(section: String, lines: [(String, String)])] { get }
    var statistics: [Statistic] { get }
    func collect(into page: inout MetricWriter)
}

extension CacheCompanion {
    public func published(_ channel: [UInt8], _ message: [UInt8], toShard: Bool) {}
    public func removeAll(_ cache: Cache) { cache.removeAll() }
    public func opened() {}
    public func willDrain() {}
    public func stop(_ done: @escaping () -> Void) { done() }
}

/// A command, as a companion is asked about it.
public struct CacheRequest {
    public let connection: RESPServerConnection
    public let command: RESPCommand
    public let isWrite: Bool
    /// The slot that all keys are in; nil if they are in several, or there are none.
    public let slot: Int?
    public let keys: [[UInt8]]
}

/// What a node knows of a client beyond its connection.
public final class CacheClient {
    unowned let connection: RESPServerConnection
    /// With whether the key was there: one that ends by itself in between counts as changed.
    var watched: [(key: [UInt8], wasThere: Bool)] = []
    var isBroken = false
    var waiter: Waiter?
    /// Whether it wants to be told of keys that it has read.
    var tracking: Tracking?
    /// Free for the companion's use.
    public var companion: AnyObject?

    /// Keys that one connection may watch.
    static let watchLimit = 10_000

    init(_ connection: RESPServerConnection) { self.connection = connection }

    /// The one of a connection, made when it is first needed.
    public static func of(_ connection: RESPServerConnection) -> CacheClient {
        if let client = connection.context as? CacheClient { return client }
        let client = CacheClient(connection)
        connection.context = client
        return client
    }
}
