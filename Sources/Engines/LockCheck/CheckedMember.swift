import ConsensusEngine
import KernelStorage
import KernelStructures
import LockEngine

/// One machine of a group: an engine, a disk that can fail, and a store with leases. It does what a host does.
final class CheckedMember {
    let id: Int
    unowned let world: CheckedWorld
    private let base = SimulatedDisk()
    private var crashDisk: CrashDisk
    private var node: NodeDisk?
    private(set) var raft: Raft?
    private var disk: RaftDisk?
    var store = LockStore()
    private var sessions = ProposalSessions()
    private var toWrite: [Ready.Append] = []
    private var isWriting = false
    /// Which of its lives this is: what belonged to an earlier one does not happen.
    private(set) var life = 0
    private var isPaused = false
    /// What came in a pause.
    private var held: [(CheckedMember) -> Void] = []
    /// Microseconds between two ticks: they are never the same twice.
    private let tickMicroseconds: Int
    var writeMicroseconds = usualWriteMicroseconds
    var clock: MemberClock
    private var appliedSinceSnapshot = 0
    private var isSnapshotWanted = false
    var isCompacting = false
    private var readWaiters: [(index: Int, context: Int)] = []
    var renewals: [Int: (Bool) -> Void] = [:]
    var lastContext = ownContexts
    var lastProposal = 0
    /// When the ends of leases that did not come through the log are proposed again.
    var endsAgainAt = 0
    private let joins: Bool

    static let usualWriteMicroseconds = 1500
    /// From here on contexts of reads are its own; those of clients are lower.
    static let ownContexts = 1 << 40
    static let endRetryMicroseconds = 1_000_000
    private static let snapshotMicroseconds = 1_500_000

    init(_ id: Int, _ world: CheckedWorld, joins: Bool) {
        self.id = id
        self.world = world
        self.joins = joins
        crashDisk = CrashDisk(base)
        tickMicroseconds = 40_000 + world.random.below(25_000)
        clock = MemberClock(&world.random, now: 0)
    }

    var isAlive: Bool { raft != nil }
    var isLeader: Bool { raft?.role == .leader }

    // MARK: Life

    func start() {
        guard raft == nil else { return }
        life += 1
        crashDisk = CrashDisk(base)
        let first = joins ? nil : world.firstSnapshot
        do {
            let node = NodeDisk(base: crashDisk, owner: DiskOwner(1))
            let opened = try RaftDisk.open(node, directory: "/raft", first: first)
            self.node = node
            disk = opened.disk
            if let snapshot = opened.recovered.snapshot { restore(snapshot) } else { forget() }
            var settings = world.plan.settings
            settings.id = id
            settings.seed = world.random.next()
            raft = Raft(
                settings, snapshot: opened.recovered.snapshot, base: opened.recovered.base,
                entries: opened.recovered.entries, hardState: opened.recovered.hardState)
        } catch {
            return world.fail("member \(id) cannot read its disk: \(error)")
        }
        // Whoever is started counts from another beginning.
        clock = MemberClock(&world.random, now: world.now)
        world.note(.member(id)) { "starts, with a log up to \(raft?.log.lastIndex ?? 0)" }
        scheduleTick(life)
    }

    private func forget() {
        store = LockStore()
        sessions = ProposalSessions()
    }

    private func scheduleTick(_ life: Int) {
        world.after(tickMicroseconds) { [self] in
            guard life == self.life, raft != nil else { return }
            scheduleTick(life)
            if isPaused { return }
            raft?.tick()
            pump()
            endLeases()
        }
    }

    /// The process dies; with `loss`, the machine does.
    func crash(_ loss: PowerLossPolicy?) {
        guard raft != nil else { return }
        world.record.tally[loss == nil ? .crashes : .powerFailures] += 1
        world.note(.member(id)) { loss == nil ? "is killed" : "loses power" }
        // What was being written may be there, or a part of it.
        if isWriting, world.random.chance(0.5) {
            crashDisk.crashAt = crashDisk.operations + world.random.below(4)
            try? disk?.write(toWrite)
        }
        raft = nil
        disk?.close()
        disk = nil
        node = nil
        life += 1
        isWriting = false
        toWrite = []
        readWaiters = []
        renewals = [:]
        held = []
        isPaused = false
        isCompacting = false
        if let loss { _ = base.losePower(owner: DiskOwner(1), policy: loss) }
    }

    /// Power goes at one of the next operations of the disk.
    func armDisk() { crashDisk.crashAt = crashDisk.operations + world.random.below(8) }
    func failSync() { node?.faults.failingSyncs = 1 }
    func changeClock() { clock.changeSpeed(&world.random, now: world.now) }

    func pause(_ microseconds: Int) {
        guard raft != nil, !isPaused else { return }
        isPaused = true
        world.record.tally[.pauses] += 1
        world.note(.member(id)) { "is paused for \(CheckedWorld.clock(microseconds))" }
        let life = life
        world.after(microseconds) { [self] in
            guard life == self.life else { return }
            isPaused = false
            world.note(.member(id)) { "goes on" }
            let missed = held
            held = []
            // Its own timers ring before anybody is heard, or after.
            if world.random.chance(0.5) { endLeases() }
            // One of them may be its end.
            for action in missed where life == self.life { action(self) }
        }
    }

    /// Now, or when it goes on.
    func whenRunning(_ action: @escaping (CheckedMember) -> Void) {
        guard raft != nil else { return }
        if isPaused { held.append(action) } else { action(self) }
    }

    /// The world is over: nothing holds anything any more.
    func letGo() {
        life += 1
        raft = nil
        disk?.close()
        disk = nil
        node = nil
        held = []
        renewals = [:]
    }

    // MARK: Events

    func receive(_ message: RaftMessage) {
        whenRunning { member in
            try? member.raft?.receive(message)
            member.pump()
        }
    }

    func propose(_ entry: RaftEntry) {
        whenRunning { member in
            try? member.raft?.propose([entry])
            member.pump()
        }
    }

    func read(_ context: Int) {
        whenRunning { member in
            try? member.raft?.readIndex(context)
            member.pump()
        }
    }

    func campaign() {
        whenRunning {
            $0.raft?.campaign(); $0.pump()
        }
    }

    func transfer(to peer: Int) {
        whenRunning {
            try? $0.raft?.transferLeadership(to: peer); $0.pump()
        }
    }

    // MARK: Doing what is to be done

    func pump() {
        while let raft, raft.hasReady {
            let ready = raft.takeReady()
            for event in ready.events { note(event) }
            if raft.role == .leader { world.leads(id, term: raft.term) }
            for message in ready.messages { post(message) }
            if let append = ready.append { toWrite.append(append) }
            for entry in ready.committed { apply(entry) }
            raft.noteApplied(ready.committed)
            for answer in ready.readAnswers { readWaiters.append((answer.index, answer.context)) }
            countLeases(raft)
        }
        finishReads()
        write()
        makeSnapshotIfDue()
        compactIfDue()
    }

    private func post(_ message: RaftMessage) {
        world.post(message, from: id)
        guard message.kind == .snapshot else { return }
        // A connection would have ended by then that did not bring it there; to say so in vain does no harm.
        let life = life
        world.after(Self.snapshotMicroseconds) { [self] in
            guard life == self.life else { return }
            whenRunning { member in
                member.raft?.reportSnapshot(message.to, isDelivered: false)
                member.pump()
            }
        }
    }

    private func note(_ event: RaftEvent) {
        switch event {
        case .snapshotWanted: isSnapshotWanted = true
        case .campaign(let term, _, let isPreVote):
            world.note(.member(id)) { isPreVote ? "asks around for term \(term)" : "is a candidate for term \(term)" }
        case .ballot(for: let candidate, let term, isPreVote: false, .granted):
            world.note(.member(id)) { "votes for \(candidate) in term \(term)" }
            if world.plan.isNervous { world.harass(voter: self) }
        case .follower(let term, let leader, let reason):
            world.note(.member(id)) {
                "follows \(leader.map(String.init) ?? "nobody") in term \(term): \(reason.rawValue)"
            }
        case .configuration(let configuration):
            world.note(.member(id)) { "knows as voters \(configuration.allVoters.sorted())" }
        default: break
        }
    }

    /// The disk has it when the write is over, and not when it begins.
    private func write() {
        guard !isWriting, !toWrite.isEmpty, raft != nil else { return }
        isWriting = true
        let group = toWrite.count
        let life = life
        world.after(writeMicroseconds + world.random.below(writeMicroseconds)) { [self] in
            guard life == self.life else { return }
            whenRunning { $0.finishWriting(group) }
        }
    }

    private func finishWriting(_ count: Int) {
        let group = Array(toWrite.prefix(count))
        toWrite.removeFirst(count)
        isWriting = false
        do { try disk?.write(group) } catch { return diskFailed() }
        for append in group {
            if let snapshot = append.snapshot {
                restore(snapshot)
                world.record.tally[.snapshotsSent] += 1
                world.note(.member(id)) { "takes over a snapshot up to \(snapshot.index)" }
            }
            for reply in append.replies {
                if reply.to == id { try? raft?.receive(reply) } else { world.post(reply, from: id) }
            }
            if let mark = append.mark { raft?.noteStored(mark) }
        }
        pump()
    }

    private func diskFailed() {
        if crashDisk.isDead {
            world.record.tally[.powerFailuresInWrites] += 1
        } else {
            world.record.tally[.failedSyncs] += 1
        }
        world.note(.member(id)) { "has trouble with its disk" }
        world.diskFailed(self)
    }

    private func makeSnapshotIfDue() {
        guard let raft, let disk, isSnapshotWanted || appliedSinceSnapshot >= world.plan.snapshotEntries else { return }
        isSnapshotWanted = false
        let index = raft.log.applied
        guard index > (raft.snapshot?.index ?? 0), let term = raft.log.term(at: index) else { return }
        appliedSinceSnapshot = 0
        world.record.tally[.snapshotsTaken] += 1
        var state = ReplicaState()
        state.sessions = sessions
        state.machine = store.snapshot
        let snapshot = RaftSnapshot(
            position: .init(index: index, term: term), configuration: raft.configuration, data: state.encoded)
        raft.snapshot = snapshot
        raft.compact(through: index - world.random.below(10))
        do { try disk.compact(snapshot, keepFrom: raft.log.base) } catch { diskFailed() }
    }

    // MARK: The machine

    private func restore(_ snapshot: RaftSnapshot) {
        let isCounting = store.leases.isCounting
        guard let state = ReplicaState(encoded: snapshot.data), let new = try? LockStore(snapshot: state.machine) else {
            return world.fail("member \(id) cannot read a snapshot")
        }
        sessions = state.sessions
        store = new
        if isCounting { store.startCounting(now: labTime) }
    }

    private func apply(_ entry: RaftEntry) {
        appliedSinceSnapshot += 1
        world.noteApplied(entry, by: id)
        if entry.kind == .configuration {
            if let change = ConfigurationChange(encoded: entry.data), raft?.apply(change) != nil {
                world.record.tally[.membershipChanges] += isLeader ? 1 : 0
            }
            return
        }
        guard let (header, _, content) = ProposalSessions.read(entry.data) else { return }
        let result: [UInt8]
        switch sessions.begin(header) {
        case .stale: return
        case .known(_, let known): result = known
        case .new:
            result = carryOut(content).bytes
            sessions.end(header, index: entry.index, result)
        }
        world.answered(client: header.member, number: header.number, at: id, result)
    }

    private func carryOut(_ content: [UInt8]) -> LockStore.Outcome {
        guard let command = try? StoreCommand(content) else { return .refused(.malformedCommand) }
        if case .compact = command { isCompacting = false }
        let outcome = store.apply(command, now: labTime).0
        if isLeader, case .leaseRevoked = outcome, case .revokeLease(let lease, true) = command {
            world.record.tally[.leasesEnded] += 1
            world.note(.member(id)) { "lease \(lease) is over" }
        }
        return outcome
    }

    private func finishReads() {
        guard let raft, !readWaiters.isEmpty else { return }
        let ready = readWaiters.filter { $0.index <= raft.log.applied }
        readWaiters.removeAll { $0.index <= raft.log.applied }
        for waiter in ready {
            if waiter.context < Self.ownContexts {
                world.answeredRead(waiter.context, store)
            } else {
                renewals.removeValue(forKey: waiter.context)?(isLeader)
            }
        }
    }
}
