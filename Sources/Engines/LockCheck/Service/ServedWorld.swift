import ConsensusEngine
import ConsensusService
import KernelHosting
import KernelJSON
import KernelStorage
import KernelStructures
import KernelWire
import KernelWorld
import LockCheckEngine
import LockService

/// Lock servers as they are run, and clients that speak HTTP with them, in a World where everything fails.
///
/// `CheckedWorld` tries the engines. Between an engine and a socket there is more that can be wrong: what a server
/// answers to whom and when, which member is asked for what only the leader knows, connections that break in the middle
/// of an answer, waiters that hang up, the write-ahead log on a disk, and timers that ring late because the machine
/// slept. Here all of that is what runs in production: `LockHost` with its gateway, `ConsensusMember` with its links,
/// on the World's network and disk. Only the clock and the dice are the World's, so all of it follows from a seed.
///
/// What clients saw is judged by the same judges: registers by `LinearizabilityChecker`, locks by `LockModel`. Beside
/// that no term has two leaders; and when all is well again clients get answers and locks, and all members have the
/// same.
///
/// A world here takes some hundred times as long as a `CheckedWorld`, and tries less in the same time.
public final class ServedWorld: JudgedWorld {
    public let seed: UInt64
    public let settings: CheckedWorld.Settings
    let world: World
    package var random: SeededRandom
    let plan: ServedPlan
    /// By id, those whose node lives.
    private(set) var hosts: [Int: LockHost] = [:]
    private var registerClients: [ServedRegisterClient] = []
    private var lockClients: [ServedLockingClient] = []
    private(set) var isOver = false
    /// Nothing goes wrong any more.
    var isHealed = false

    package var record: WorldRecord
    public var tally: WorldTally { record.tally }
    public var moments: [CheckedWorld.Moment] { record.moments }

    static let port: UInt16 = 7001
    static let freeRegisterCount = 3
    static let lockCount = 2
    static let registerCount = freeRegisterCount + lockCount

    public init(seed: UInt64, _ settings: CheckedWorld.Settings) {
        self.seed = seed
        self.settings = settings
        random = SeededRandom(seed: seed).fork("served")
        plan = ServedPlan(&random)
        record = WorldRecord(settings, locks: Self.lockCount)
        var configuration = WorldConfiguration(transport: MemoryTransport())
        configuration.seed = seed
        configuration.recordsTraffic = false
        configuration.journalCapacity = 1000
        world = World(configuration)
    }

    package var now: Int { Int(clamping: world.elapsed.nanoseconds / 1000) }

    package func after(_ microseconds: Int, _ action: @escaping () -> Void) {
        world.after(.microseconds(max(1, microseconds))) { [unowned self] in if !isOver { action() } }
    }

    package func pass(_ microseconds: Int) {
        world.advance(by: .microseconds(microseconds)) { [unowned self] in !record.failures.isEmpty }
    }

    // MARK: Members

    static func name(_ id: Int) -> String { "m\(id)" }
    static func place(_ id: Int) -> HostPort { HostPort(host: name(id), port: port) }

    /// One of them, dead or alive.
    var anyMember: Int { 1 + random.below(plan.memberCount) }

    var leader: LockHost? {
        hosts.values.filter { $0.node.isAlive && $0.member.isLeader }.max { $0.member.term < $1.member.term }
    }

    func start(_ id: Int) {
        do {
            let node = try world.nodes.start(Self.name(id))
            let peers = Dictionary(uniqueKeysWithValues: (1...plan.memberCount).map { ($0, Self.place($0)) })
            var consensus = ConsensusMember.Settings(id: id, peers: peers, directory: "/lock\(id)")
            consensus.group = "lock"
            consensus.electionMilliseconds = plan.electionMilliseconds
            consensus.snapshotEntries = plan.snapshotEntries
            consensus.trailingEntries = 5
            var settings = LockHost.Settings(consensus: consensus, port: Self.port)
            settings.keptRevisions = plan.keptRevisions
            let host = LockHost(node: node, settings: settings)
            note(.member(id)) { "starts" }
            do {
                try host.start()
                hosts[id] = host
            } catch {
                node.end(.killed)
                // A disk that fails while it is read is trouble like any other, as long as there is trouble.
                if isHealed { return fail("member \(id) cannot start: \(error)") }
                after(500_000) { [self] in start(id) }
            }
        } catch { fail("member \(id) cannot start: \(error)") }
    }

    /// The process ends, or the machine does; it comes back before long.
    func end(_ id: Int, powerLoss policy: PowerLossPolicy?) {
        guard let host = hosts.removeValue(forKey: id), host.node.isAlive else { return }
        record.tally[policy == nil ? .crashes : .powerFailures] += 1
        note(.member(id)) { policy == nil ? "is killed" : "loses power" }
        if let policy { host.node.end(.poweredOff, powerLoss: policy) } else { host.node.end(.killed) }
        after(50_000 + random.below(2_000_000)) { [self] in start(id) }
    }

    /// Leaders and members whose disk has failed them.
    private func watchMembers() {
        for id in hosts.keys.sorted() {
            guard let host = hosts[id], host.node.isAlive else { continue }
            if host.member.failure != nil {
                note(.member(id)) { "has stopped for its disk, and is started again" }
                hosts[id] = nil
                host.node.end(.killed)
                after(50_000 + random.below(500_000)) { [self] in start(id) }
            } else if host.member.isLeader {
                noteLeader(id, term: host.member.term)
            }
        }
        after(20_000) { [self] in watchMembers() }
    }

    // MARK: A world's life

    public func play() -> [String] {
        for id in 1...plan.memberCount { start(id) }
        watchMembers()
        let half = settings.clients / 2
        do {
            for id in 1...settings.clients {
                let desk = ServedDesk(id, self, try world.nodes.start("client-\(id)"))
                if id <= settings.clients - half {
                    registerClients.append(ServedRegisterClient(desk))
                } else {
                    lockClients.append(ServedLockingClient(desk))
                }
            }
        } catch { fail("\(error)") }
        for client in registerClients { client.begin() }
        for client in lockClients { client.begin() }
        after(500_000) { [self] in trouble() }
        pass(plan.troubleMicroseconds)
        heal()
        awaitAnswers()
        for client in registerClients { client.isStopped = true }
        for client in lockClients { client.isStopped = true }
        // The last questions are answered, or given up.
        pass(3_000_000)
        if record.failures.isEmpty { judge() }
        isOver = true
        world.shutDown()
        hosts = [:]
        return record.failures
    }

    /// Once everything is well, clients get what they want, before long.
    private func awaitAnswers() {
        let areAnswered = awaitAnswers(every: 250_000, limit: 30_000_000) {
            (registerClients.map(\.history.lastAnswer).max() ?? 0, lockClients.map(\.cycle.lastGrant).max() ?? 0)
        }
        if !areAnswered { fail("nobody got an answer, or a lock, for so long after everything was well again") }
    }

    private func judge() {
        judgeRegisters(Self.registerCount, registerClients.map(\.history) + lockClients.map(\.history))
        compareMembers()
    }

    /// Who has applied the same has the same state.
    private func compareMembers() {
        guard let desk = registerClients.first?.desk else { return }
        var states: [Int: (index: Int64, hash: Int64)] = [:]
        // The last leases are still to end.
        for _ in 0..<5 where states.count < plan.memberCount || Set(states.values.map(\.index)).count > 1 {
            states = [:]
            for id in 1...plan.memberCount {
                desk.ask("/v3/maintenance/status", [:], at: id) { status in
                    guard status.isGood else { return }
                    desk.ask("/v3/maintenance/hash", [:], at: id) { hash in
                        guard hash.isGood else { return }
                        let index = ServedDesk.number(status.json["raftAppliedIndex"])
                        states[id] = (index, ServedDesk.number(hash.json["hash"]))
                    }
                }
            }
            pass(2_000_000)
        }
        let newest = states.values.map(\.index).max() ?? 0
        for id in 1...plan.memberCount where states[id] == nil { fail("member \(id) does not answer") }
        for (id, state) in states.sorted(by: { $0.key < $1.key }) {
            guard state.index == newest else {
                fail("member \(id) has not caught up: \(state.index) of \(newest)\(wayWords(to: id))")
                continue
            }
            let others = states.values.filter { $0.index == newest }
            if others.contains(where: { $0.hash != state.hash }) {
                return fail("members that have applied \(newest) entries have different states")
            }
        }
    }
}

extension ServedWorld {
    /// What lies between a leader and a member, for whoever looks for what is wrong there.
    private func wayWords(to id: Int) -> String {
        guard let leader, let peer = leader.member.status(entryLimit: 0)?.peers.first(where: { $0.id == id }) else {
            return "; nobody leads"
        }
        let own = leader.member.settings.id
        let back = hosts[id]?.member.isConnected(to: own) == true
        return "; to member \(own) it is in mode \(peer.mode.rawValue), has \(peer.match)"
            + "\(peer.isPaused ? ", and is sent nothing" : ""); connected there: "
            + "\(leader.member.isConnected(to: id)), and back: \(back)"
    }
}

/// What a world is made of: drawn from its seed before anything happens.
struct ServedPlan {
    let memberCount: Int
    let electionMilliseconds: Int
    let snapshotEntries: Int
    let keptRevisions: Int64
    /// Until then things go wrong. Microseconds.
    let troubleMicroseconds: Int

    init(_ random: inout SeededRandom) {
        let lot = random.unit()
        memberCount = lot < 0.08 ? 1 : lot < 0.65 ? 3 : lot < 0.93 ? 5 : 7
        electionMilliseconds = random.chance(0.5) ? 1000 : 400
        snapshotEntries = 10 + random.below(100)
        keptRevisions = Int64(10 + random.below(100))
        troubleMicroseconds = 4_000_000 + random.below(6_000_000)
    }
}
