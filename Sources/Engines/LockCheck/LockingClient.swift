import LockEngine

/// Takes a lock by the commands that a lock service's log has.
///
/// It counts on its lease for as long as the lease lives for certain: the time that it was granted for, from the call
/// of the last renewal on, by the fastest clock there is.
final class LockingClient: LockHolder {
    let id: Int
    unowned let world: CheckedWorld
    private let desk: ClientDesk
    /// Of the registers that locks guard.
    private(set) var history = ClientHistory()
    var cycle = LockCycle()
    private(set) var isStopped = false
    private var number = 0
    private var waitsSince = 0
    private var believedLeader = 0

    /// Longer than that it does not wait for a lock.
    private static let patienceMicroseconds = 10_000_000

    init(_ id: Int, _ world: CheckedWorld) {
        self.id = id
        self.world = world
        desk = ClientDesk(id, world)
    }

    func begin() { later(200_000) }
    func stop() { isStopped = true }
    func letGo() { desk.letGo() }
    func answered(_ asked: Int, at member: Int, _ result: [UInt8]) { desk.answered(asked, at: member, result) }

    var lockName: String { "lock-\(cycle.lock)" }
    var burialMicroseconds: (lease: Int, rest: Int) { (3_000_000, 100_000) }
    private var key: Key { LockQueue.key(lockName, lease: cycle.lease) }

    // MARK: One lock after the other

    func beginCycle() {
        if isStopped { return }
        let lock = world.random.below(CheckedWorld.lockCount)
        let isShared = lock == CheckedWorld.readWriteLock && world.random.chance(0.6)
        cycle.begin(lock, isShared: isShared, client: id, ttlSeconds: 1 + world.random.below(2))
        let own = cycle.number
        let call = world.now
        desk.propose(.grantLease(id: cycle.lease, ttlSeconds: Int64(cycle.ttlSeconds))) { [self] outcome in
            guard own == cycle.number else { return }
            guard case .leaseGranted? = outcome else { return endCycle() }
            world.record.tally[.leasesGranted] += 1
            world.record.tally[.answers] += 1
            cycle.certainUntil = certainEnd(call)
            note { "has lease \(cycle.lease) for \(cycle.ttlSeconds)s" }
            scheduleRenewal(own)
            claim(own)
        }
    }

    private func certainEnd(_ call: Int) -> Int {
        call + Int(Double(cycle.ttlSeconds) * 1_000_000 / CheckedWorld.fastestClock)
    }

    func endCycle() {
        cycle.number += 1
        desk.close()
        later(100_000)
    }

    /// Gives everything back.
    func giveBack(_ own: Int) {
        world.record.locks.released(id)
        cycle.isLeaving = true
        note { "gives \(lockName) back" }
        let command: StoreCommand =
            world.random.chance(0.5)
            ? .delete(DeleteRequest(KeyRange(key))) : .revokeLease(id: cycle.lease, isExpired: false)
        desk.propose(command) { [self] outcome in
            if outcome != nil { world.record.tally[.answers] += 1 }
            if own == cycle.number { endCycle() }
        }
    }

    // MARK: The lease

    func renew(_ own: Int) {
        let call = world.now
        let member = believedLeader == 0 ? world.anyMember : believedLeader
        // Until somebody says so again.
        believedLeader = 0
        world.members[member - 1].renew(cycle.lease) { [self] isRenewed, hint in
            guard own == cycle.number, !cycle.isLeaving else { return }
            believedLeader = hint ?? member
            if hint != nil { return }
            guard isRenewed else { return lost("a renewal is refused") }
            renewed(until: certainEnd(call))
        }
    }

    // MARK: The lock

    private func claim(_ own: Int) {
        let value = LockWords(kind: cycle.isShared ? .shared : .exclusive).bytes
        let request = TransactionRequest(
            [KeyComparison(KeyRange(key), .equal, .createRevision(0))],
            then: [.put(PutRequest(key, value, lease: cycle.lease))])
        desk.propose(.transaction(request)) { [self] outcome in
            guard own == cycle.number else { return }
            switch outcome {
            case .transaction?:
                waitsSince = world.now
                schedulePoll(own)
            case .refused(.leaseNotFound)?: lost("a claim finds no lease")
            default: giveBack(own)
            }
        }
    }

    private func schedulePoll(_ own: Int) {
        world.after(20_000 + world.random.below(100_000)) { [self] in
            guard own == cycle.number, !isStopped else { return }
            poll(own)
        }
    }

    private func poll(_ own: Int) {
        let call = world.now
        desk.read { [self] store in
            guard own == cycle.number else { return }
            guard let store else { return schedulePoll(own) }
            let queue = LockQueue(
                name: lockName, store.store.values(in: KeyRange(prefix: LockQueue.prefix(lockName))))
            guard let place = queue.claims.firstIndex(where: { $0.key == key }) else {
                return lost("the claim is gone")
            }
            if queue.isGranted(place) { return granted(own, queue.claims[place].token, call) }
            let isTired = world.now - waitsSince > Self.patienceMicroseconds || world.random.chance(0.02)
            if isTired { giveBack(own) } else { schedulePoll(own) }
        }
    }

    private var register: Int { CheckedWorld.freeRegisterCount + cycle.lock }

    func useGuarded(_ own: Int, _ left: Int) {
        if cycle.isShared { readGuarded(own, left) } else { writeGuarded(own, left) }
    }

    private func readGuarded(_ own: Int, _ left: Int) {
        let call = world.now
        let register = register
        desk.read { [self] store in
            if let store { add(register, .read(Register.value(register, in: store)), call, isAnswered: true) }
            if own == cycle.number { work(own, left - 1) }
        }
    }

    /// The store itself sees to it that the claim is still there.
    private func writeGuarded(_ own: Int, _ left: Int) {
        number += 1
        let (call, register, value) = (world.now, register, id * 100_000 + number)
        let request = TransactionRequest(
            [KeyComparison(KeyRange(key), .equal, .createRevision(cycle.token))],
            then: [.put(Register.put(register, value))])
        if world.random.chance(0.5) { writeAfar() }
        desk.propose(.transaction(request)) { [self] outcome in
            if case .transaction(let succeeded, _)? = outcome {
                if succeeded { add(register, .write(value), call, isAnswered: true) }
                guard own == cycle.number else { return }
                if succeeded { work(own, left - 1) } else { lost("the claim is gone when it writes") }
            } else {
                add(register, .write(value), call, isAnswered: false)
                if own == cycle.number { giveBack(own) }
            }
        }
    }

    private func add(_ register: Int, _ action: RegisterModel.Action, _ call: Int, isAnswered: Bool) {
        history.add(register, action, by: id, call: call, isAnswered: isAnswered, in: world)
    }
}
