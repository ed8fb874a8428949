import ConsensusEngine
import KernelStructures
import LockEngine

/// A lock service, its clients and everything that can go wrong, in virtual time: the whole of it follows from a seed.
///
/// ## The problem
///
/// What breaks an agreement is an order of events that nobody thought of: a vote that was not on the disk when the
/// power went, a leader that slept while another one was elected. A test that somebody writes tries the orders that
/// somebody thought of.
///
/// ## An everyday picture
///
/// A crash test. Nobody asks the car's maker whether the belt holds; many cars are driven into many walls, and it is
/// the dummies that are looked at. And each wall can be built again, to the centimetre, for whoever wants to see it in
/// slow motion.
///
/// ## How
///
/// Members are the same engines that a lock server has: `Raft`, `RaftDisk`, `LockStore`. Messages are lost, doubled,
/// late and out of order; lines break in one direction or both; machines stop, pause, run fast and slow, and lose power
/// in the middle of a write; disks are slow, and fail to sync; members come and go. Some clients read, write and
/// compare registers; others take locks, renew leases, write to something that looks at tokens, sleep and die.
///
/// What the clients saw is judged without knowing how it came about: registers by `LinearizabilityChecker`, locks by
/// `LockModel`. Beside that, what Raft promises is watched as it goes on (one leader a term, one entry a place), for
/// the sake of better messages; and when everything is well again, clients have to get answers and locks.
///
/// ## Where it is wrong
///
/// What lies between an engine and a socket is not tried here: that is what `ServedWorld` is for.
public final class CheckedWorld: JudgedWorld {
    public let seed: UInt64
    public let settings: Settings
    let plan: WorldPlan
    package var random: SeededRandom
    package private(set) var now = 0
    private var queue = BinaryHeap<Event>()
    private var lastEvent = 0
    var network = CheckedNetwork(largestID)
    /// By id, from 1.
    private(set) var members: [CheckedMember] = []
    private(set) var registerClients: [RegisterClient] = []
    private(set) var lockClients: [LockingClient] = []
    private var readers: [Int: (LockStore) -> Void] = [:]
    private var lastContext = 0
    var lastChange = 0

    // What is watched.
    private var appliedEntries: [Int: (term: Int, hash: Int)] = [:]
    package var record: WorldRecord
    public var tally: WorldTally { record.tally }
    public var moments: [Moment] { record.moments }

    public struct Settings: Sendable {
        /// Half of them use registers, the other half locks. At least two.
        public var clients = 6
        /// Whether `moments` is kept.
        public var keepsMoments = false
        /// Whether every message between members is among the moments.
        public var keepsMessages = false
        public init() {}
    }

    public enum Subject: Equatable, Sendable, CustomStringConvertible {
        case world, member(Int), client(Int)

        public var description: String {
            switch self {
            case .world: "world"
            case .member(let id): "member \(id)"
            case .client(let id): "client \(id)"
            }
        }
    }

    public struct Moment: Equatable, Sendable {
        /// Since the world began.
        public let microseconds: Int
        public let subject: Subject
        public let text: String

        public init(microseconds: Int, subject: Subject, text: String) {
            self.microseconds = microseconds
            self.subject = subject
            self.text = text
        }
    }

    private struct Event: Comparable {
        let time: Int
        let number: Int
        let action: () -> Void
        static func < (a: Event, b: Event) -> Bool { (a.time, a.number) < (b.time, b.number) }
        static func == (a: Event, b: Event) -> Bool { a.number == b.number }
    }

    /// Members that there may be in the end.
    static let largestID = 6
    /// Registers that nobody guards; behind them, one for each lock.
    static let freeRegisterCount = 3
    static let lockCount = 2
    static let registerCount = freeRegisterCount + lockCount
    /// The second lock has readers and writers.
    static let readWriteLock = 1
    /// No clock goes faster than this, nor slower by more.
    static let fastestClock = 1.1
    /// Clients a world.
    public static let clientLimit = 200

    public init(seed: UInt64, _ settings: Settings = Settings()) {
        self.seed = seed
        self.settings = settings
        random = SeededRandom(seed: seed)
        plan = WorldPlan(&random)
        record = WorldRecord(settings, locks: Self.lockCount)
    }

    var firstSnapshot: RaftSnapshot {
        var state = ReplicaState()
        state.machine = LockStore().snapshot
        return RaftSnapshot(
            position: .init(index: 1, term: 1), configuration: .init(voters: plan.voters), data: state.encoded)
    }

    /// Seconds with six digits behind the point.
    public static func clock(_ microseconds: Int) -> String {
        let rest = String(microseconds % 1_000_000)
        return "\(microseconds / 1_000_000).\(String(repeating: "0", count: 6 - rest.count))\(rest)s"
    }

    // MARK: Time

    package func after(_ microseconds: Int, _ action: @escaping () -> Void) {
        lastEvent += 1
        queue.insert(Event(time: now + max(1, microseconds), number: lastEvent, action: action))
    }

    package func pass(_ microseconds: Int) { run(until: now + microseconds) }

    private func run(until end: Int) {
        while record.failures.isEmpty, let first = queue.first, first.time <= end {
            _ = queue.removeFirst()
            now = first.time
            first.action()
        }
        now = max(now, end)
    }

    // MARK: The network

    /// - Parameter sender: what is passed on has another one's name on it.
    func post(_ message: RaftMessage, from sender: Int) {
        guard let journeys = network.journeys(sender, message.to, &random) else { return }
        deliver(message, after: journeys.first)
        if journeys.second > 0 { deliver(message, after: journeys.second) }
    }

    private func deliver(_ message: RaftMessage, after microseconds: Int) {
        after(microseconds) { [self] in
            if settings.keepsMessages {
                note(.member(message.to)) {
                    """
                    hears \(message.kind) of \(message.from), term \(message.term), at \(message.index) of term \
                    \(message.logTerm), \(message.entries.count) entries
                    """
                }
            }
            members[message.to - 1].receive(message)
        }
    }

    // MARK: What is watched

    func leads(_ id: Int, term: Int) {
        let isNews = noteLeader(id, term: term)
        if isNews, plan.isNervous, now < plan.troubleMicroseconds { harass(leader: members[id - 1]) }
    }

    func noteApplied(_ entry: RaftEntry, by id: Int) {
        var hash = 17
        for byte in entry.data { hash = hash &* 31 &+ Int(byte) }
        if let known = appliedEntries[entry.index] {
            if known != (entry.term, hash) { fail("\(id) applies another entry at \(entry.index) than others did") }
        } else {
            appliedEntries[entry.index] = (entry.term, hash)
        }
    }

    // MARK: Clients

    /// Whom a client asks: mostly one that it has heard of.
    var anyMember: Int {
        let id = 1 + random.below(Self.largestID)
        return members[id - 1].life > 0 || random.chance(0.1) ? id : 1 + random.below(plan.voters.count)
    }

    /// A member has applied what a client proposed.
    func answered(client: Int, number: Int, at member: Int, _ result: [UInt8]) {
        // Members number their own proposals behind the clients'.
        guard client <= settings.clients else { return }
        if client <= registerClients.count {
            registerClients[client - 1].answered(number, at: member, result)
        } else {
            lockClients[client - 1 - registerClients.count].answered(number, at: member, result)
        }
    }

    /// Has a member say when it knows everything that was agreed on, and then looks at its store; perhaps never.
    func read(at member: Int, _ look: @escaping (LockStore) -> Void) {
        lastContext += 1
        readers[lastContext] = look
        members[member - 1].read(lastContext)
    }

    func answeredRead(_ context: Int, _ store: LockStore) { readers.removeValue(forKey: context)?(store) }

    // MARK: A world's life

    /// Lives through it.
    ///
    /// - Returns: what went wrong; empty if nothing did.
    public func play() -> [String] {
        members = (1...Self.largestID).map { CheckedMember($0, self, joins: !plan.voters.contains($0)) }
        for id in plan.voters { members[id - 1].start() }
        let half = settings.clients / 2
        registerClients = (1...settings.clients - half).map { RegisterClient($0, self) }
        lockClients = (1...half).map { LockingClient(settings.clients - half + $0, self) }
        for client in registerClients { client.begin() }
        for client in lockClients { client.begin() }
        if plan.isNervous { network.delayMicroseconds += random.below(40_000) }
        scheduleTrouble(until: plan.troubleMicroseconds)
        run(until: plan.troubleMicroseconds)
        heal()
        awaitAnswers()
        for client in registerClients { client.stop() }
        for client in lockClients { client.stop() }
        run(until: now + ClientDesk.timeoutMicroseconds)
        if record.failures.isEmpty {
            judgeRegisters(Self.registerCount, registerClients.map(\.history) + lockClients.map(\.history))
        }
        // Members, clients and what is still to come hold one another.
        queue = BinaryHeap()
        readers = [:]
        for member in members { member.letGo() }
        for client in registerClients { client.letGo() }
        for client in lockClients { client.letGo() }
        return record.failures
    }

    /// Once everything is well, clients get what they want, before long.
    private func awaitAnswers() {
        let limit = plan.promisesProgress ? 30_000_000 : 10_000_000
        let areAnswered = awaitAnswers(every: 500_000, limit: limit) {
            (registerClients.map(\.history.lastAnswer).max() ?? 0, lockClients.map(\.cycle.lastGrant).max() ?? 0)
        }
        if areAnswered || !plan.promisesProgress { return }
        fail("nobody got an answer, or a lock, for so long after everything was well again")
    }
}
