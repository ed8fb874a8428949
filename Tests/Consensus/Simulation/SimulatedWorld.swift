import ConsensusEngine
import KernelStorage
import KernelStructures
import TestSupport

/// A group, its clients and everything that can go wrong, in virtual time: the whole of it follows from a seed.
///
/// Messages are lost, doubled, late and out of order; lines break in one direction or both; machines stop, pause, run
/// fast and slow, and lose power in the middle of a write; disks are slow; members come and go. What the clients saw is
/// judged by what registers do, and nothing else: see `LinearizabilityChecker`. Beside that, what Raft promises is
/// watched as it goes on, for the sake of better messages.
final class SimulatedWorld {
    let seed: UInt64
    var random: SeededRandom
    private(set) var now = 0
    private var queue = BinaryHeap<Event>()
    private var lastEvent = 0
    private(set) var members: [Int: SimulatedMember] = [:]
    let settings: Raft.Settings
    let snapshotEntries: Int
    let firstVoters: [Int]

    // The network.
    /// By sender and receiver.
    private var isCut = SimulatedWorld.noCuts
    private static let noCuts = [[Bool]](
        repeating: [Bool](repeating: false, count: largestID + 1), count: largestID + 1)
    private var lossProbability = 0.0
    private var doubleProbability = 0.0
    private var delayMicroseconds = 500

    // What is watched.
    private var leaders: [Int: Int] = [:]
    private var appliedEntries: [Int: (term: Int, hash: Int)] = [:]
    private(set) var failures: [String] = []
    private(set) var lines: [String] = []
    private let isTracing: Bool
    private(set) var eventCount = 0
    private(set) var tally = Tally()

    /// How much happened, to see that something does.
    struct Tally {
        var answers = 0
        var unanswered = 0
        var leaders = 0
        var restoredSnapshots = 0
        var memberships = 0
        var diskFailures = 0

        static func += (a: inout Tally, b: Tally) {
            a.answers += b.answers
            a.unanswered += b.unanswered
            a.leaders += b.leaders
            a.restoredSnapshots += b.restoredSnapshots
            a.memberships += b.memberships
            a.diskFailures += b.diskFailures
        }
    }

    // Clients.
    private(set) var clients: [SimulatedClient] = []
    private var readers: [Int: SimulatedClient] = [:]
    private var lastContext = 0
    private var lastChange = 0

    private struct Event: Comparable {
        let time: Int
        let number: Int
        let action: () -> Void
        static func < (a: Event, b: Event) -> Bool { (a.time, a.number) < (b.time, b.number) }
        static func == (a: Event, b: Event) -> Bool { a.number == b.number }
    }

    init(seed: UInt64, isTracing: Bool = false) {
        self.seed = seed
        self.isTracing = isTracing
        random = SeededRandom(seed: seed)
        let plan = Plan(&random)
        firstVoters = plan.voters
        snapshotEntries = plan.snapshotEntries
        settings = plan.settings
    }

    /// What a world is made of.
    private struct Plan {
        let voters: [Int]
        let snapshotEntries: Int
        var settings = Raft.Settings(id: 0)

        init(_ random: inout SeededRandom) {
            let count = random.chance(0.5) ? 3 : random.chance(0.3) ? 4 : 5
            voters = Array(1...count)
            snapshotEntries = 5 + random.below(60)
            settings.electionTicks = 10
            settings.heartbeatTicks = 2
            settings.usesPreVote = random.chance(0.7)
            settings.checksQuorum = random.chance(0.7)
            settings.stepsDownOnRemoval = random.chance(0.5)
            settings.messageLimitBytes = random.chance(0.5) ? 400 : .max
            settings.inflightLimit = 1 + random.below(16)
            settings.applyingLimitBytes = random.chance(0.3) ? 300 : .max
        }
    }

    /// Members that there may be in the end.
    static let largestID = 6
    static let keyCount = 3

    var firstSnapshot: RaftSnapshot {
        RaftSnapshot(position: .init(index: 1, term: 1), configuration: .init(voters: firstVoters))
    }

    func fail(_ reason: String) { failures.append("\(now) µs: \(reason)") }
    func trace(_ line: () -> String) { if isTracing { lines.append("\(now) \(line())") } }

    // MARK: Time

    func after(_ microseconds: Int, _ action: @escaping () -> Void) {
        lastEvent += 1
        queue.insert(Event(time: now + max(1, microseconds), number: lastEvent, action: action))
    }

    func run(until end: Int) {
        while failures.isEmpty, let first = queue.first, first.time <= end {
            _ = queue.removeFirst()
            now = first.time
            eventCount += 1
            first.action()
        }
        now = max(now, end)
    }

    // MARK: The network

    /// - Parameter sender: what is passed on has another one's name on it.
    func post(_ message: RaftMessage, from sender: Int) {
        if isCut[sender][message.to] || random.chance(lossProbability) { return }
        let copies = random.chance(doubleProbability) ? 2 : 1
        for _ in 0..<copies {
            // Few are very late: order is lost.
            let delay = delayMicroseconds + random.below(2 * delayMicroseconds)
            let late = random.chance(0.02) ? random.below(100_000) : 0
            after(delay + late) { [self] in
                trace {
                    "\(message.from)->\(message.to) \(message.kind) term \(message.term) \(message.logTerm)/\(message.index)"
                }
                members[message.to]?.receive(message)
            }
        }
    }

    // MARK: What is watched

    func noteRole(of member: SimulatedMember, _ raft: Raft) {
        guard raft.role == .leader else { return }
        if let other = leaders[raft.term], other != member.id {
            fail("two leaders in term \(raft.term): \(other) and \(member.id)")
        }
        if leaders[raft.term] == nil { tally.leaders += 1 }
        if leaders[raft.term] == nil { trace { "\(member.id) leads term \(raft.term)" } }
        leaders[raft.term] = member.id
    }

    func noteRestored() { tally.restoredSnapshots += 1 }
    func noteMembership() { tally.memberships += 1 }

    func noteApplied(_ entry: RaftEntry, by id: Int) {
        var hash = 17
        for byte in entry.data { hash = hash &* 31 &+ Int(byte) }
        trace { "\(id) applies \(entry.position)" }
        if let known = appliedEntries[entry.index] {
            if known != (entry.term, hash) { fail("\(id) applies another entry at \(entry.index) than others did") }
        } else {
            appliedEntries[entry.index] = (entry.term, hash)
        }
    }

    func diskFailed(_ member: SimulatedMember) {
        tally.diskFailures += 1
        member.crash(random.chance(0.5) ? .random(seed: random.next()) : random.chance(0.5) ? .dropAll : nil)
        restartLater(member)
    }

    private func restartLater(_ member: SimulatedMember) { after(random.below(400_000)) { member.start() } }

    // MARK: Clients

    func answered(client: Int, number: Int, at id: Int, didSet: Bool) {
        guard clients.indices.contains(client - 1) else { return }
        clients[client - 1].answered(number, at: id, didSet: didSet)
    }

    func answeredRead(_ context: Int, _ registers: [Int: Int]) {
        readers.removeValue(forKey: context)?.answeredRead(context, registers)
    }

    func beginRead(_ client: SimulatedClient) -> Int {
        lastContext += 1
        readers[lastContext] = client
        return lastContext
    }

    // MARK: A world's life

    /// - Returns: what went wrong; empty if nothing did.
    func play(faultsUntil: Int = 2_500_000) -> [String] {
        for id in 1...Self.largestID { members[id] = SimulatedMember(id, self, joins: !firstVoters.contains(id)) }
        for id in firstVoters { members[id]!.start() }
        for id in 1...4 { clients.append(SimulatedClient(id, self)) }
        for client in clients { client.begin() }
        scheduleTrouble(until: faultsUntil)
        run(until: faultsUntil)
        heal()
        run(until: now + 3_000_000)
        for client in clients { client.stop() }
        run(until: now + 1_500_000)
        tally.answers = clients.reduce(0) { $0 + $1.answersSince(0) }
        tally.unanswered = clients.reduce(0) { $0 + $1.history.count } - tally.answers
        if failures.isEmpty { judge() }
        return failures
    }

    private func judge() {
        if !clients.contains(where: { $0.answersSince(now - 4_000_000) > 0 }) {
            fail("nobody got an answer after everything was well again")
        }
        for key in 0..<Self.keyCount {
            let history = clients.flatMap { $0.history.filter { $0.key == key }.map(\.operation) }
            if !LinearizabilityChecker.judge(history, RegisterModel()) {
                fail("what the clients saw of register \(key) is what no register does")
                for one in history.sorted(by: { $0.call < $1.call }) {
                    trace { "\(one.client): \(one.action) \(one.call)…\(one.end)" }
                }
            }
        }
    }

    // MARK: Trouble

    private func scheduleTrouble(until end: Int) {
        after(20_000 + random.below(180_000)) { [self] in
            guard now < end else { return }
            makeTrouble()
            scheduleTrouble(until: end)
        }
    }

    private var anybody: SimulatedMember { members[1 + random.below(Self.largestID)]! }
    private var alive: [SimulatedMember] { members.sorted { $0.key < $1.key }.map(\.value).filter(\.isAlive) }
    private var leader: SimulatedMember? { alive.filter(\.isLeader).max { $0.raft!.term < $1.raft!.term } }
    /// The leader rather often: that is where it hurts.
    private var victim: SimulatedMember { random.chance(0.5) ? leader ?? anybody : anybody }

    private func makeTrouble() {
        switch random.below(16) {
        case 0, 1: crash(nil)
        case 2: crash(.dropAll)
        case 3: crash(.random(seed: random.next()))
        case 4: victim.armDisk()
        case 5, 6: victim.pause(20_000 + random.below(400_000))
        case 7: cutOff(victim)
        case 8: split()
        case 9: isCut[anybody.id][anybody.id] = true
        case 10: isCut = Self.noCuts
        case 11:
            lossProbability = random.chance(0.5) ? 0 : random.unit() * 0.3
            doubleProbability = random.chance(0.5) ? 0 : random.unit() * 0.3
            delayMicroseconds = random.chance(0.7) ? 500 : 500 + random.below(15_000)
        case 12: victim.writeMicroseconds = random.chance(0.5) ? 300 : 1000 + random.below(60_000)
        case 13: changeMembership()
        case 14: changeMembership()
        default:
            trace { "leadership is to be handed over" }
            leader?.transfer(to: anybody.id)
        }
    }

    private func crash(_ loss: PowerLossPolicy?) {
        let member = victim
        member.crash(loss)
        if member.isAlive || member.life > 0 { restartLater(member) }
    }

    private func cutOff(_ member: SimulatedMember) {
        let isDeaf = random.chance(0.7)
        let isDumb = !isDeaf || random.chance(0.7)
        trace { "\(member.id) is cut off" }
        for id in 1...Self.largestID {
            if isDeaf { isCut[id][member.id] = true }
            if isDumb { isCut[member.id][id] = true }
        }
    }

    private func split() {
        trace { "the network is split" }
        let side = (0...Self.largestID).map { _ in random.chance(0.5) }
        for a in 1...Self.largestID { for b in 1...Self.largestID where side[a] != side[b] { isCut[a][b] = true } }
    }

    private func changeMembership() {
        guard let leader, let raft = leader.raft else { return }
        let voters = raft.configuration.allVoters
        var steps: [ConfigurationChange.Step] = []
        for _ in 0..<(random.chance(0.7) ? 1 : 2) {
            let id = 1 + random.below(Self.largestID)
            let kind: ConfigurationChange.Step.Kind =
                voters.contains(id)
                ? (voters.count > 2 && random.chance(0.7) ? .remove : .addLearner)
                : random.chance(0.6) ? .addVoter : .addLearner
            if kind != .addVoter, voters.count <= 2 { continue }
            steps.append(.init(kind, id))
            // Whoever comes has to run.
            members[id]!.start()
        }
        if raft.configuration.isJoint, random.chance(0.7) { steps = [] } else if steps.isEmpty { return }
        lastChange += 1
        let transition: ConfigurationChange.Transition =
            steps.isEmpty ? .automatic : random.chance(0.3) ? .implicit : .automatic
        trace { "membership is to change: \(steps.map { "\($0.kind) \($0.id)" })" }
        leader.propose(
            RaftEntry(kind: .configuration, data: ConfigurationChange(steps, transition: transition).encoded))
    }

    /// Everything is well again.
    private func heal() {
        trace { "everything is well again" }
        isCut = Self.noCuts
        lossProbability = 0
        doubleProbability = 0
        delayMicroseconds = 500
        for (_, member) in members.sorted(by: { $0.key < $1.key }) {
            member.writeMicroseconds = 300
            if member.life > 0 { restartLater(member) }
        }
    }
}
