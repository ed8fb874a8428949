import ConsensusEngine
import KernelHosting
import KernelStructures
import KernelWorld

/// One member of a group that keeps one state between them, for any service to embed.
///
/// ```swift
/// final class Counter: ReplicatedStateMachine {
///     private(set) var value = 0
///     func apply(_ index: Int, _ command: [UInt8]) -> [UInt8] {
///         value += command.count
///         return Array("\(value)".utf8)
///     }
///     func snapshot() -> [UInt8] { Array("\(value)".utf8) }
///     func restore(_ snapshot: [UInt8]) throws { value = Int(String(decoding: snapshot, as: UTF8.self)) ?? 0 }
/// }
///
/// // In the service:
/// let member = ConsensusMember(node: node, settings: settings, machine: counter)
/// member.mount(on: router)                      // the way of the other members, on the clients' port
/// func prepare() throws { try member.open() }   // reads the disk
/// func opened() { member.start() }              // the ports are open: timers, connections to the others
/// func stop(_ done: @escaping () -> Void) { member.stop(done) }
///
/// member.propose([1]) { result in … }           // on any member; called when this one has applied it
/// member.read { result in … }                   // afterwards the machine's state is current
/// ```
///
/// ## How
///
/// The engine says what is to be done (`Ready`); this does it. Messages leave at once. What is to be written waits for
/// the write that is under way, and then shares one sync (group commit); what may only be said once it is written is
/// said then. What is agreed on goes into the machine as soon as it is on this member's own disk.
///
/// A proposal is numbered, and sent again to whoever leads next until its result has come or its time is up; the
/// machine never sees it twice (`ProposalSessions`).
///
/// ## Where it is wrong
///
/// A snapshot is made at one go on the loop: a machine of a gigabyte stops its member for as long as that takes.
public final class ConsensusMember {
    public let node: Node
    public let settings: Settings
    public let machine: any ReplicatedStateMachine
    /// Hears what happens to the group, for the service's log.
    public var onEvent: ((ConsensusEvent) -> Void)?

    /// nil before `open`.
    var raft: Raft!
    var disk: RaftDisk?
    var sessions = ProposalSessions()
    /// How often this member's disk was opened: its proposals are told apart by it.
    public internal(set) var life = 0
    public internal(set) var addresses: [Int: HostPort] = [:]
    /// The identity of this member's disk, and those of all members' as far as they have told it to the group.
    public private(set) var diskIdentity = 0
    var disks: [Int: Int] = [:]
    /// As the log has it; 0 before anybody has told an identity.
    var agreedGroup = 0
    var isIntroducing = false
    /// The disk of each member that was refused last: it is said once.
    var refusedDisks: [Int: Int] = [:]
    /// Members that this one saw leave, with their disks.
    var departed: [(id: Int, disk: Int)] = []
    /// Whether this one belongs to the group no more, as far as it was told.
    public internal(set) var isDeparted = false
    public internal(set) var history = RaftHistory()
    var phase = Phase.closed

    var proposals = OpenProposals()
    var reads = OpenReads()
    var links: [Int: PeerLink] = [:]
    var guests: [PeerGuest] = []

    private var toWrite: [Ready.Append] = []
    private var isWriting = false
    private var isPumping = false
    private var isPumpDue = false
    var appliedSinceSnapshot = 0
    /// Bytes of the commands among them.
    var appliedBytesSinceSnapshot = 0
    var isSnapshotWanted = false
    private var knownLeader: (leader: Int, term: Int) = (0, 0)
    private var whenLed: (() -> Void)?
    var lastReadRetry = LabTime(nanoseconds: 0)
    var lastLeaderContact = LabTime(nanoseconds: 0)

    enum Phase { case closed, open, running, stopping, stopped, failed(String) }

    public init(node: Node, settings: Settings, machine: any ReplicatedStateMachine) {
        self.node = node
        self.settings = settings
        self.machine = machine
        addresses = settings.peers
    }

    // MARK: Life

    /// Reads the disk, and brings the machine to where it was.
    ///
    /// - Throws: `ConsensusFailure`.
    public func open() throws {
        do {
            let opened = try RaftDisk.open(
                node.disk, directory: settings.directory, first: firstSnapshot, identity: newIdentity)
            disk = opened.disk
            try begin(opened.recovered)
        } catch {
            disk?.close()
            throw ConsensusFailure.stopped("\(error)")
        }
        phase = .open
        node.whenEnded { [self] in letGo() }
    }

    /// For a disk that is used for the first time. The time is in it because a node that is started again draws what it
    /// drew before.
    private var newIdentity: Int {
        let label = "disk of \(settings.group) at \(node.world.now.nanoseconds)"
        var random = node.draw { $0.fork(label) }
        return 1 + Int(random.next() >> 8)
    }

    /// Where all members of the first configuration begin. It has a place of its own, so that whoever joins later
    /// cannot do without it.
    private var firstSnapshot: RaftSnapshot? {
        if settings.joins { return nil }
        var state = ReplicaState()
        state.addresses = settings.peers.mapValues(\.description)
        state.machine = machine.snapshot()
        return RaftSnapshot(
            position: .init(index: 1, term: 1), configuration: .init(voters: settings.peers.keys.sorted()),
            data: state.encoded)
    }

    private func begin(_ recovered: RaftDisk.Recovered) throws {
        life = recovered.lives
        diskIdentity = recovered.identity
        if let snapshot = recovered.snapshot { try restore(snapshot) }
        raft = Raft(
            settings.raft(seed: node.draw { $0.next() }), snapshot: recovered.snapshot, base: recovered.base,
            entries: recovered.entries, hardState: recovered.hardState)
        appliedSinceSnapshot = 0
        appliedBytesSinceSnapshot = 0
    }

    private func restore(_ snapshot: RaftSnapshot) throws {
        guard let state = ReplicaState(encoded: snapshot.data) else {
            throw ConsensusFailure.stopped("a snapshot that cannot be read")
        }
        try machine.restore(state.machine)
        sessions = state.sessions
        disks = state.disks
        agreedGroup = state.group
        addresses = settings.peers
        for (id, text) in state.addresses { addresses[id] = HostPort(parsing: text) }
    }

    /// Begins to take part. The ports are open.
    public func start() {
        guard case .open = phase else { return }
        phase = .running
        lastLeaderContact = node.world.now
        connectToPeers()
        // Nobody else is there to be waited for.
        if raft.configuration.voters == [settings.id] { raft.campaign() }
        pump()
        node.after(settings.tick) { [self] in tick() }
    }

    private func tick() {
        guard isRunning else { return }
        raft.tick()
        expireProposals()
        expireReads()
        pump()
        node.after(settings.tick) { [self] in tick() }
    }

    var isRunning: Bool {
        switch phase {
        case .running, .stopping: true
        default: false
        }
    }

    /// Hands leadership on where it can, makes everything durable, and closes.
    public func stop(_ done: @escaping () -> Void) {
        guard case .running = phase else {
            letGo()
            return done()
        }
        phase = .stopping
        var isDone = false
        let finish = { [self] in
            if isDone { return }
            isDone = true
            whenLed = nil
            letGo()
            done()
        }
        guard raft.role == .leader, let heir else { return finish() }
        try? raft.transferLeadership(to: heir)
        whenLed = finish
        node.after(.milliseconds(settings.electionMilliseconds)) { finish() }
        pump()
    }

    /// The member that is the least behind, of those that a message reaches. Whether it was heard of lately says too
    /// little: that is forgotten each time the leader has made sure of its majority.
    private var heir: Int? {
        let voters = raft.membership.progress.filter { links[$0.id]?.isConnected == true && !$0.isLearner }
        return voters.max { ($0.match, $0.isActive ? 1 : 0) < ($1.match, $1.isActive ? 1 : 0) }?.id
    }

    /// It is over: whoever waits hears of it, and nothing is written any more.
    private func letGo() {
        switch phase {
        case .stopped, .failed: return
        default: phase = .stopped
        }
        end("it was stopped")
    }

    private func end(_ reason: String) {
        for id in links.keys.sorted() { links[id]?.stop() }
        links = [:]
        for guest in guests { guest.letGo() }
        guests = []
        disk?.close()
        disk = nil
        failEverything(.stopped(reason))
        onEvent = nil
    }

    /// Its disk, or its machine, cannot go on: it falls silent, as if it had died.
    func fail(_ reason: String) {
        guard isRunning else { return }
        phase = .failed(reason)
        onEvent?(.failed(reason))
        end(reason)
    }

    // MARK: Doing what is to be done

    /// After what is going on now: so that all that comes in one turn is done together.
    func schedulePump() {
        guard !isPumpDue, isRunning else { return }
        isPumpDue = true
        node.enqueue { [self] in
            isPumpDue = false
            pump()
        }
    }

    func pump() {
        guard isRunning, !isPumping else { return }
        isPumping = true
        introduceIfDue()
        submitProposals()
        askReads()
        while isRunning, raft.hasReady { perform(raft.takeReady()) }
        isPumping = false
        guard isRunning else { return }
        write()
        makeSnapshotIfDue()
    }

    private func perform(_ ready: Ready) {
        for event in ready.events { note(event) }
        for message in ready.messages { send(message) }
        if let append = ready.append { toWrite.append(append) }
        apply(ready.committed)
        for answer in ready.readAnswers { reads.answered(answer) }
        finishReads()
        if ready.role != nil { leaderMayHaveChanged() }
    }

    private func note(_ event: RaftEvent) {
        history.add(event, at: node.world.now)
        switch event {
        case .snapshotWanted: isSnapshotWanted = true
        case .configuration(let configuration): onEvent?(.configuration(configuration))
        default: break
        }
    }

    private func leaderMayHaveChanged() {
        let known = (leader: raft.leader, term: raft.term)
        if known == knownLeader { return }
        knownLeader = known
        onEvent?(.leader(leader, term: known.term))
        guard known.leader != 0 else { return }
        // Whatever was sent to the last one may be lost.
        proposals.sendAgain()
        reads.askAgain()
        schedulePump()
        if known.leader != settings.id { whenLed?() }
    }

    // MARK: The disk

    private func write() {
        guard !isWriting, !toWrite.isEmpty, let disk else { return }
        isWriting = true
        let group = toWrite
        toWrite = []
        do throws(RaftDiskError) {
            try disk.write(group)
        } catch {
            return fail("\(error)")
        }
        node.afterDisk { [self] in
            isWriting = false
            guard isRunning else { return }
            for append in group { written(append) }
            pump()
        }
    }

    private func written(_ append: Ready.Append) {
        if let snapshot = append.snapshot {
            do { try restore(snapshot) } catch { return fail("\(error)") }
            appliedSinceSnapshot = 0
            connectToPeers()
        }
        for reply in append.replies {
            if reply.to == settings.id { try? raft.receive(reply) } else { send(reply) }
        }
        if let mark = append.mark { raft.noteStored(mark) }
    }
}
