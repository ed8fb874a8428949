import CacheClusterEngine
import CacheEngine
import CacheService
import KernelHosting
import KernelLog
import KernelService
import KernelStorage
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld

/// Makes a cache node one of a cluster: it feeds the engine `CacheCluster` and does what that wants done.
public final class CacheClusterHost: CacheCompanion {
    public struct Settings: Sendable {
        /// What it is called; nil: by its port.
        public var name: String?
        public var clusterPort: UInt16
        /// The bus of a node to join.
        public var join: HostPort?
        /// Where others reach it, if that is not its address.
        public var announcedHost: String?
        /// Where it keeps what it must not forget; nil: `nodes-PORT.conf`.
        public var stateFile: String?
        public var engine = CacheCluster.Settings()

        public init(clusterPort: UInt16) { self.clusterPort = clusterPort }
    }

    public let settings: Settings
    public private(set) var cluster: CacheCluster!
    private(set) unowned var node: CacheNode!
    private(set) var bus: ClusterBus!
    private var stateFile = ""
    private var isStopped = false
    private var isPerforming = false
    private var isFlushScheduled = false
    private var timer: TimerID?
    /// Effects of a transaction that is not over.
    private var gathered: [[[UInt8]]]?
    private var pausedByHandoff = false
    /// The epoch, and how many takeovers and deaths there were, when it last looked: see `listLostWrites`.
    private var looked = (0, 0, 0)
    let waits = ReplicaWaits()
    var migrations = MigrationDesk()
    /// Which keys they are that make slots hot.
    public internal(set) var hotKeys = HotSlotKeys()
    /// Whose command is being carried out.
    var writer: ClusterClientState?

    public init(_ settings: Settings) { self.settings = settings }

    // MARK: Life

    public func prepare(_ node: CacheNode) throws {
        self.node = node
        let world = node.runtime.node
        bus = ClusterBus(node: world)
        node.runtime.add(bus.server, on: settings.clusterPort, for: .operators)
        let path = settings.stateFile ?? "nodes-\(node.port).conf"
        stateFile = path
        var engine = settings.engine
        engine.seed = world.draw { $0.next() }
        let identity = world.draw { ClusterNodeID(random: &$0) }
        let own = NodeDescription(
            id: identity, name: settings.name ?? "\(node.port)",
            host: settings.announcedHost ?? world.address.description, port: Int(node.port),
            busPort: Int(settings.clusterPort), life: 0)
        let saved = try? world.disk.contents(of: path, limit: 64 << 20)
        do {
            cluster = try CacheCluster(own, settings: engine, store: CacheStore(node.cache), saved: saved)
        } catch {
            throw CommandlessFailure(
                "\(path) is damaged (\(error)); move it away to start this node as a new one")
        }
        world.whenEnded { [weak self] in
            guard let self, let remains = cluster?.remains else { return }
            FallenNodes.of(world.world).add(remains)
        }
        bus.onMessage = { [unowned self] message in
            node.keepTime()
            cluster.receive(message, now: world.world.now)
            perform()
        }
    }

    public func opened() {
        cluster.start(now: node.node.world.now, join: settings.join.map { ($0.host, Int($0.port)) })
        perform()
        scheduleTick()
    }

    private func scheduleTick() {
        timer = node.node.after(.milliseconds(settings.engine.tickMilliseconds)) { [self] in
            guard !isStopped else { return }
            node.keepTime()
            cluster.tick(now: node.node.world.now)
            perform()
            bus.tidy(now: node.node.world.now)
            scheduleTick()
        }
    }

    public func willDrain() {
        waits.finishAll(cluster)
        migrations.stop()
    }

    public func stop(_ done: @escaping () -> Void) {
        isStopped = true
        node.node.cancel(timer)
        bus.stop()
        bus.willDrain()
        done()
    }

    // MARK: Effects of the engine

    /// Does what the engine wants done.
    func perform() {
        guard !isPerforming, !isStopped else { return }
        isPerforming = true
        while cluster.hasEffects { for effect in cluster.takeEffects() { perform(effect) } }
        isPerforming = false
        listLostWrites()
        waits.review(cluster)
        node.noteChanges()
    }

    /// What the lab knows of dead nodes goes into the ledger of who has their slots now.
    private func listLostWrites() {
        let fallen = FallenNodes.of(node.node.world)
        let present = (cluster.epoch, cluster.statistics.takenOverSlots, fallen.deaths)
        guard present != looked else { return }
        looked = present
        let count = fallen.settle(with: cluster)
        guard count > 0 else { return }
        node.node.log(
            "CLUSTER", "\(counted(count, "acknowledged write")) died with a node before being copied (the lab saw it)",
            level: .debug)
    }

    private func perform(_ effect: ClusterEffect) {
        switch effect {
        case .save(let bytes): save(bytes)
        case .send(let message, let id):
            if let other = cluster.describe(id), let port = UInt16(exactly: other.busPort) {
                bus.send(message, to: HostPort(host: other.host, port: port))
            }
        case .introduce(let message, let host, let busPort):
            if let port = UInt16(exactly: busPort) { bus.send(message, to: HostPort(host: host, port: port)) }
        case .log(let message, let level): node.node.log("CLUSTER", message, level: level)
        case .pauseWrites:
            pausedByHandoff = !node.server.isPaused
            if pausedByHandoff { node.server.pause(.seconds(2), true) }
        case .resumeWrites:
            // Not within the engine's turn: whoever waited is answered by it.
            guard pausedByHandoff else { return }
            pausedByHandoff = false
            node.node.enqueue { [self] in node.server.unpause() }
        case .lostSlots(let slots):
            node.unblock(
                where: { $0.contains { slots.contains(SlotNumber.of($0)) } },
                with: "UNBLOCKED The slot of the key is somebody else's now; ask again")
        case .heated(let hot):
            hotKeys.keep(hot.slot)
            let readers = cluster.readers(of: hot.slot).compactMap { cluster.describe($0)?.name }
            let whom =
                readers.isEmpty ? "and nobody else is there" : "also read from \(readers.joined(separator: ", "))"
            node.node.log("CLUSTER", "\(hotName(hot.slot)) is hot (\(hot.readsPerSecond) reads/s), \(whom)")
        case .cooled(let hot):
            node.node.log("CLUSTER", "\(hotName(hot.slot)) has cooled (\(hot.readsPerSecond) reads/s), read here only")
            hotKeys.forget(hot.slot)
        case .deliver(let channel, let message, let isSharded):
            node.hear(channel, message, toShard: isSharded)
        }
    }

    /// A vote that is not on the disk is not cast: without it the node cannot go on.
    private func save(_ bytes: [UInt8]) {
        do {
            let file = try node.node.disk.replace(stateFile, bytes)
            file.close()
        } catch {
            node.runtime.fail("\(stateFile): \("\(error)"); a node that forgets its votes would vote twice")
        }
    }

    /// Changes the engine by hand, and does what follows.
    func change<R>(_ body: (CacheCluster) throws(ClusterRefusal) -> R) throws(ClusterRefusal) -> R {
        node.keepTime()
        let result = try body(cluster)
        node.node.enqueue { [self] in perform() }
        return result
    }

    // MARK: Effects of the cache

    public func effect(_ words: [[UInt8]]) {
        guard let name = words.first else { return }
        if gathered != nil {
            if name == Array("EXEC".utf8) {
                let commands = gathered ?? []
                gathered = nil
                return wrote(commands)
            }
            gathered?.append(words)
            return
        }
        if name == Array("MULTI".utf8) {
            gathered = []
            return
        }
        wrote([words])
    }

    private func wrote(_ commands: [[[UInt8]]]) {
        guard let first = commands.first else { return }
        cluster.wrote(slot: slot(of: first), commands)
        writer?.offset = cluster.streamOffset
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        // Everything of one turn goes in one piece.
        node.node.enqueue { [self] in
            isFlushScheduled = false
            guard !isStopped else { return }
            cluster.flush()
            perform()
        }
    }

    /// nil for what concerns all slots.
    private func slot(of words: [[UInt8]]) -> Int? {
        guard words.count > 1, let command = CacheCommand.named(String(decoding: words[0], as: UTF8.self)) else {
            return nil
        }
        if case .places(let first, _, _) = command.keys, first > 0, first < words.count {
            return SlotNumber.of(words[first])
        }
        let place = RESPRequest(words).withArguments { command.keyPlaces($0).first }
        return place.map { SlotNumber.of(words[$0]) }
    }

    public func removeAll(_ cache: Cache) { cache.removeAllOwn() }

    public func published(_ channel: [UInt8], _ message: [UInt8], toShard: Bool) {
        cluster.publish(channel, message, isSharded: toShard)
        node.node.enqueue { [self] in perform() }
    }

    // MARK: Routing

    public func route(_ request: CacheRequest) -> String? {
        let state = ClusterClientState.of(request.connection)
        var client = state.client
        state.client.isAsking = false
        if request.keys.isEmpty { return request.isWrite ? cluster.writeObstacle : nil }
        if request.command.name == "restore-asking" { client.isAsking = true }
        let obstacle = cluster.obstacle(
            slot: request.slot, isWrite: request.isWrite, client: client, keyCount: request.keys.count,
            present: { [node] in
                node!.keepTime()
                return request.keys.reduce(0) { node!.cache.exists($1) ? $0 + 1 : $0 }
            })
        if obstacle == nil, let slot = request.slot {
            if request.isWrite {
                state.slots.insert(slot)
                writer = state
            } else if cluster.settings.hotReadsPerSecond > 0 {
                cluster.countRead(slot)
                hotKeys.note(request.keys[0], slot, now: node.node.world.now)
            }
        }
        if cluster.hasEffects { node.node.enqueue { [self] in perform() } }
        return obstacle
    }
}

/// What the cluster knows of a client.
final class ClusterClientState {
    var client = ClusterClient()
    /// Slots that it has written to, and where its last write stands in the stream: for WAIT.
    var slots = SlotSet()
    var offset = 0

    static func of(_ connection: RESPServerConnection) -> ClusterClientState {
        let client = CacheClient.of(connection)
        if let state = client.companion as? ClusterClientState { return state }
        let state = ClusterClientState()
        client.companion = state
        return state
    }
}

/// Why a node could not be started.
struct CommandlessFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
