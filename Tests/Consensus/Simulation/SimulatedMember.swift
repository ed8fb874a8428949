import ConsensusEngine
import KernelStorage
import KernelStructures
import TestSupport

/// One machine of a simulated group: an engine, a disk that can fail, and a few registers. It does what a host does.
final class SimulatedMember {
    let id: Int
    private unowned let world: SimulatedWorld
    private let base = SimulatedDisk()
    private var crashDisk: CrashDisk
    private(set) var raft: Raft?
    private var disk: RaftDisk?
    private(set) var registers: [Int: Int] = [:]
    private var sessions = ProposalSessions()
    private var toWrite: [Ready.Append] = []
    private var isWriting = false
    /// Which of its lives this is: what belonged to an earlier one does not happen.
    private(set) var life = 0
    var isPaused = false
    /// What came in a pause.
    private var held: [(SimulatedMember) -> Void] = []
    /// Microseconds between two ticks: every clock has its own speed.
    var tickMicroseconds: Int
    var writeMicroseconds = 300
    private var appliedSinceSnapshot = 0
    private var isSnapshotWanted = false
    private var readWaiters: [(index: Int, context: Int)] = []
    private let joins: Bool

    init(_ id: Int, _ world: SimulatedWorld, joins: Bool) {
        self.id = id
        self.world = world
        self.joins = joins
        crashDisk = CrashDisk(base)
        tickMicroseconds = 8000 + world.random.below(5000)
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
            disk = opened.disk
            if let snapshot = opened.recovered.snapshot { restore(snapshot) } else { forget() }
            var settings = world.settings
            settings.id = id
            settings.seed = world.random.next()
            raft = Raft(
                settings, snapshot: opened.recovered.snapshot, base: opened.recovered.base,
                entries: opened.recovered.entries, hardState: opened.recovered.hardState)
        } catch {
            world.fail("member \(id) cannot read its disk: \(error)")
        }
        world.trace { "\(self.id) starts" }
        scheduleTick(life)
    }

    private func forget() {
        registers = [:]
        sessions = ProposalSessions()
    }

    private func scheduleTick(_ life: Int) {
        world.after(tickMicroseconds) { [self] in
            guard life == self.life, raft != nil else { return }
            scheduleTick(life)
            if isPaused { return }
            raft?.tick()
            pump()
        }
    }

    /// The process dies; with `loss`, the machine does.
    func crash(_ loss: PowerLossPolicy?) {
        guard raft != nil else { return }
        world.trace { "\(self.id) dies, power \(loss.map { "\($0)" } ?? "stays")" }
        // What was being written may be there, or a part of it.
        if isWriting, world.random.chance(0.5) {
            crashDisk.crashAt = crashDisk.operations + world.random.below(4)
            try? disk?.write(toWrite)
        }
        raft = nil
        disk?.close()
        disk = nil
        life += 1
        isWriting = false
        toWrite = []
        readWaiters = []
        held = []
        isPaused = false
        if let loss { _ = base.losePower(owner: DiskOwner(1), policy: loss) }
    }

    /// Power goes at one of the next operations of the disk.
    func armDisk() { crashDisk.crashAt = crashDisk.operations + world.random.below(8) }

    func pause(_ microseconds: Int) {
        guard raft != nil, !isPaused else { return }
        isPaused = true
        let life = life
        world.after(microseconds) { [self] in
            guard life == self.life else { return }
            isPaused = false
            let missed = held
            held = []
            for action in missed { action(self) }
        }
    }

    /// Now, or when it goes on.
    func whenRunning(_ action: @escaping (SimulatedMember) -> Void) {
        guard raft != nil else { return }
        if isPaused { held.append(action) } else { action(self) }
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

    private func pump() {
        while let raft, raft.hasReady {
            let ready = raft.takeReady()
            for case .snapshotWanted in ready.events { isSnapshotWanted = true }
            world.noteRole(of: self, raft)
            for message in ready.messages { world.post(message, from: id) }
            if let append = ready.append { toWrite.append(append) }
            for entry in ready.committed { apply(entry) }
            raft.noteApplied(ready.committed)
            for answer in ready.readAnswers { readWaiters.append((answer.index, answer.context)) }
        }
        finishReads()
        write()
        makeSnapshotIfDue()
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
        do { try disk?.write(group) } catch { return world.diskFailed(self) }
        for append in group {
            if let snapshot = append.snapshot {
                restore(snapshot)
                world.noteRestored()
            }
            for reply in append.replies {
                if reply.to == id { try? raft?.receive(reply) } else { world.post(reply, from: id) }
            }
            if let mark = append.mark { raft?.noteStored(mark) }
        }
        pump()
    }

    private func makeSnapshotIfDue() {
        guard let raft, let disk, isSnapshotWanted || appliedSinceSnapshot >= world.snapshotEntries else { return }
        isSnapshotWanted = false
        let index = raft.log.applied
        guard index > (raft.snapshot?.index ?? 0), let term = raft.log.term(at: index) else { return }
        appliedSinceSnapshot = 0
        let snapshot = RaftSnapshot(
            position: .init(index: index, term: term), configuration: raft.configuration, data: encodedState)
        raft.snapshot = snapshot
        raft.compact(through: index - world.random.below(10))
        do { try disk.compact(snapshot, keepFrom: raft.log.base) } catch { world.diskFailed(self) }
    }

    // MARK: The machine

    private var encodedState: [UInt8] {
        var state = ReplicaState()
        state.sessions = sessions
        state.machine = registers.sorted { $0.key < $1.key }.flatMap { Command.bytes([$0.key, $0.value]) }
        return state.encoded
    }

    private func restore(_ snapshot: RaftSnapshot) {
        forget()
        guard !snapshot.data.isEmpty else { return }
        let state = ReplicaState(encoded: snapshot.data)!
        sessions = state.sessions
        let numbers = Command.numbers(state.machine)
        for place in stride(from: 0, to: numbers.count, by: 2) { registers[numbers[place]] = numbers[place + 1] }
    }

    private func apply(_ entry: RaftEntry) {
        appliedSinceSnapshot += 1
        world.noteApplied(entry, by: id)
        if entry.kind == .configuration {
            if let change = ConfigurationChange(encoded: entry.data), raft?.apply(change) != nil {
                world.noteMembership()
            }
            return
        }
        guard let (header, _, content) = ProposalSessions.read(entry.data) else { return }
        let result: [UInt8]
        switch sessions.begin(header) {
        case .stale: return
        case .known(_, let known): result = known
        case .new:
            result = carryOut(Command(content))
            sessions.end(header, index: entry.index, result)
        }
        world.answered(client: header.member, number: header.number, at: id, didSet: result == [1])
    }

    private func carryOut(_ command: Command) -> [UInt8] {
        switch command {
        case .write(let key, let value): registers[key] = value
        case .compareAndSet(let key, let old, let new):
            guard registers[key] == old else { return [0] }
            registers[key] = new
        }
        return [1]
    }

    private func finishReads() {
        guard let raft else { return }
        let ready = readWaiters.filter { $0.index <= raft.log.applied }
        readWaiters.removeAll { $0.index <= raft.log.applied }
        for waiter in ready { world.answeredRead(waiter.context, registers) }
    }
}

/// What a client asks of the registers, as bytes.
enum Command {
    case write(key: Int, value: Int)
    case compareAndSet(key: Int, old: Int, new: Int)

    static func bytes(_ numbers: [Int]) -> [UInt8] {
        numbers.flatMap { number in (0..<8).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) } }
    }

    static func numbers(_ bytes: [UInt8]) -> [Int] {
        stride(from: 0, to: bytes.count, by: 8).map { start in
            (0..<8).reduce(0) { $0 | Int(bytes[start + $1]) << ($1 * 8) }
        }
    }

    var encoded: [UInt8] {
        switch self {
        case .write(let key, let value): Self.bytes([key, value])
        case .compareAndSet(let key, let old, let new): Self.bytes([key, old, new])
        }
    }

    init(_ bytes: [UInt8]) {
        let numbers = Self.numbers(bytes)
        self =
            numbers.count == 2
            ? .write(key: numbers[0], value: numbers[1])
            : .compareAndSet(key: numbers[0], old: numbers[1], new: numbers[2])
    }
}
