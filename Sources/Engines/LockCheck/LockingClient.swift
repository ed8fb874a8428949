import LockEngine

/// Takes a lock, writes what it guards, and gives it back; or sleeps, or dies, with the lock in its hand.
///
/// It counts on its lease for as long as the lease lives for certain: the time that it was granted for, from the call
/// of the last renewal on, by the fastest clock there is.
final class LockingClient {
    typealias Operation = ClientOperation<RegisterModel.Action>

    let id: Int
    private unowned let world: CheckedWorld
    private let desk: ClientDesk
    /// Of the registers that locks guard.
    private(set) var history: [(register: Int, operation: Operation)] = []
    /// Microseconds; 0 before the first.
    private(set) var lastGrant = 0
    private var number = 0
    private var isStopped = false

    // What it is about.
    private var cycle = 0
    private var lock = 0
    private var isShared = false
    private var lease: Int64 = 0
    private var ttlSeconds = 1
    private var certainUntil = 0
    private var isAsleep = false
    /// It gives back what it has, and counts on nothing.
    private var isLeaving = false
    private var waitsSince = 0
    private var believedLeader = 0
    private var token: Int64 = 0

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

    private func later(_ microseconds: Int) {
        world.after(1 + world.random.below(microseconds)) { [self] in beginCycle() }
    }

    private var lockName: String { "lock-\(lock)" }
    private var key: Key { LockQueue.key(lockName, lease: lease) }
    private func note(_ text: () -> String) { world.note(.client(id), text) }

    // MARK: One lock after the other

    private func beginCycle() {
        if isStopped { return }
        cycle += 1
        let own = cycle
        lock = world.random.below(CheckedWorld.lockCount)
        isShared = lock == CheckedWorld.readWriteLock && world.random.chance(0.6)
        lease = Int64(id * 1_000_000 + cycle)
        ttlSeconds = 1 + world.random.below(2)
        isAsleep = false
        isLeaving = false
        let call = world.now
        desk.propose(.grantLease(id: lease, ttlSeconds: Int64(ttlSeconds))) { [self] outcome in
            guard own == cycle else { return }
            guard case .leaseGranted? = outcome else { return endCycle() }
            world.tally[.leasesGranted] += 1
            world.tally[.answers] += 1
            certainUntil = certainEnd(call)
            note { "has lease \(lease) for \(ttlSeconds)s" }
            scheduleRenewal(own)
            claim(own)
        }
    }

    private func certainEnd(_ call: Int) -> Int {
        call + Int(Double(ttlSeconds) * 1_000_000 / CheckedWorld.fastestClock)
    }

    private func endCycle() {
        cycle += 1
        desk.close()
        later(100_000)
    }

    /// What it had is over without its doing.
    private func lost(_ how: String) {
        if certainUntil > world.now {
            world.fail("client \(id): \(how), and lease \(lease) lives until \(CheckedWorld.clock(certainUntil))")
        }
        note { "has lost lease \(lease): \(how)" }
        world.locks.released(id)
        endCycle()
    }

    /// Gives everything back.
    private func giveBack(_ own: Int) {
        world.locks.released(id)
        isLeaving = true
        note { "gives \(lockName) back" }
        let command: StoreCommand =
            world.random.chance(0.5)
            ? .delete(DeleteRequest(KeyRange(key))) : .revokeLease(id: lease, isExpired: false)
        desk.propose(command) { [self] outcome in
            if outcome != nil { world.tally[.answers] += 1 }
            if own == cycle { endCycle() }
        }
    }

    // MARK: The lease

    private func scheduleRenewal(_ own: Int) {
        world.after(ttlSeconds * 250_000) { [self] in
            guard own == cycle, !isStopped, !isLeaving else { return }
            scheduleRenewal(own)
            if !isAsleep { renew(own) }
        }
    }

    private func renew(_ own: Int) {
        let call = world.now
        let member = believedLeader == 0 ? world.anyMember : believedLeader
        // Until somebody says so again.
        believedLeader = 0
        world.members[member - 1].renew(lease) { [self] isRenewed, hint in
            guard own == cycle, !isLeaving else { return }
            believedLeader = hint ?? member
            if hint != nil { return }
            guard isRenewed else { return lost("a renewal is refused") }
            certainUntil = max(certainUntil, certainEnd(call))
            world.locks.renewed(id, certainUntil: certainUntil)
            world.tally[.renewals] += 1
        }
    }

    // MARK: The lock

    private func claim(_ own: Int) {
        let value = LockWords(kind: isShared ? .shared : .exclusive).bytes
        let request = TransactionRequest(
            [KeyComparison(KeyRange(key), .equal, .createRevision(0))],
            then: [.put(PutRequest(key, value, lease: lease))])
        desk.propose(.transaction(request)) { [self] outcome in
            guard own == cycle else { return }
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
            guard own == cycle, !isStopped else { return }
            poll(own)
        }
    }

    private func poll(_ own: Int) {
        let call = world.now
        desk.read { [self] store in
            guard own == cycle else { return }
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

    private func granted(_ own: Int, _ token: Int64, _ call: Int) {
        // The answer is too old to count on it.
        guard certainUntil > world.now else { return giveBack(own) }
        let holding = LockModel.Holding(
            client: id, lock: lock, isShared: isShared, token: token, certainUntil: certainUntil)
        note { "is given \(lockName)\(isShared ? ", shared" : "") with token \(token)" }
        if let wrong = world.locks.granted(holding, call: call, now: world.now) { return world.fail(wrong) }
        self.token = token
        lastGrant = world.now
        world.tally[.lockGrants] += 1
        let luck = world.random.unit()
        if luck < 0.12 {
            die()
        } else if luck < 0.3 {
            doze(own)
        } else {
            work(own, 1 + world.random.below(3))
        }
    }

    /// Nobody hears of it any more; its lease has to run out.
    private func die() {
        world.tally[.deadHolders] += 1
        note { "dies" }
        cycle += 1
        world.after(3_000_000) { [self] in
            world.locks.released(id)
            later(100_000)
        }
    }

    /// Writes when it wakes as if no time had passed.
    private func doze(_ own: Int) {
        isAsleep = true
        world.tally[.sleepingHolders] += 1
        note { "sleeps" }
        world.after(300_000 + world.random.below(4_000_000)) { [self] in
            guard own == cycle else { return }
            isAsleep = false
            note { "wakes" }
            if !isShared { writeAfar(isLate: true) }
            work(own, 1)
        }
    }

    /// What it guards is somewhere else, and looks at tokens.
    private func writeAfar(isLate: Bool = false) {
        let (lock, token) = (lock, token)
        world.after(1 + world.random.below(isLate ? 1_000_000 : 200_000)) { [self] in
            world.write("client \(id)", to: lock, token: token, by: id)
        }
    }

    private func work(_ own: Int, _ left: Int) {
        world.after(20_000 + world.random.below(200_000)) { [self] in
            guard own == cycle, !isStopped else { return }
            guard left > 0, certainUntil > world.now else { return giveBack(own) }
            if isShared { readGuarded(own, left) } else { writeGuarded(own, left) }
        }
    }

    private var register: Int { CheckedWorld.freeRegisterCount + lock }

    private func readGuarded(_ own: Int, _ left: Int) {
        let call = world.now
        let register = register
        desk.read { [self] store in
            if let store { add(register, .read(Register.value(register, in: store)), call, isAnswered: true) }
            if own == cycle { work(own, left - 1) }
        }
    }

    /// The store itself sees to it that the claim is still there.
    private func writeGuarded(_ own: Int, _ left: Int) {
        number += 1
        let (call, register, value) = (world.now, register, id * 100_000 + number)
        let request = TransactionRequest(
            [KeyComparison(KeyRange(key), .equal, .createRevision(token))], then: [.put(Register.put(register, value))])
        if world.random.chance(0.5) { writeAfar() }
        desk.propose(.transaction(request)) { [self] outcome in
            if case .transaction(let succeeded, _)? = outcome {
                if succeeded { add(register, .write(value), call, isAnswered: true) }
                guard own == cycle else { return }
                if succeeded { work(own, left - 1) } else { lost("the claim is gone when it writes") }
            } else {
                add(register, .write(value), call, isAnswered: false)
                if own == cycle { giveBack(own) }
            }
        }
    }

    private func add(_ register: Int, _ action: RegisterModel.Action, _ call: Int, isAnswered: Bool) {
        history.append((register, Operation(client: id, action, call: call, end: isAnswered ? world.now : .max)))
        if isAnswered { world.tally[.answers] += 1 }
        note {
            "register \(register): \(action), asked at \(CheckedWorld.clock(call))\(isAnswered ? "" : ": no answer")"
        }
    }
}
