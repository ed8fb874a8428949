/// What a client is about that takes locks: one cycle after the other, from the grant of a lease to its end.
package struct LockCycle {
    /// Counted up with each; what comes later for one that is over is passed over.
    package var number = 0
    package var lock = 0
    package var isShared = false
    package var lease: Int64 = 0
    package var ttlSeconds = 1
    /// Until then it counts on its lease. Microseconds.
    package var certainUntil = 0
    package var token: Int64 = 0
    package var isAsleep = false
    /// It gives back what it has, and counts on nothing.
    package var isLeaving = false
    /// Microseconds; 0 before the first.
    package var lastGrant = 0

    package init() {}

    package mutating func begin(_ lock: Int, isShared: Bool, client: Int, ttlSeconds: Int) {
        number += 1
        (self.lock, self.isShared, self.ttlSeconds) = (lock, isShared, ttlSeconds)
        lease = Int64(client * 1_000_000 + number)
        isAsleep = false
        isLeaving = false
    }
}

/// How somebody behaves who has a lock, whatever way it was got: it works with it and gives it back; or sleeps with it
/// in its hand, and writes when it wakes as if no time had passed; or dies.
package protocol LockHolder: AnyObject {
    associatedtype Judge: JudgedWorld
    var id: Int { get }
    var world: Judge { get }
    var cycle: LockCycle { get set }
    var isStopped: Bool { get }
    /// Of the lock, for whoever reads what happened.
    var lockName: String { get }
    /// After a death: until nobody counts on its lease any more, and at most so long before it begins again.
    var burialMicroseconds: (lease: Int, rest: Int) { get }

    func beginCycle()
    func endCycle()
    /// Gives everything back; `own` is the cycle's number.
    func giveBack(_ own: Int)
    /// Asks for the lease to live on.
    func renew(_ own: Int)
    /// Reads or writes what the lock guards, and goes on with `left - 1`.
    func useGuarded(_ own: Int, _ left: Int)
}

extension LockHolder {
    package func note(_ text: () -> String) { world.note(.client(id), text) }

    package func later(_ microseconds: Int) {
        world.after(1 + world.random.below(microseconds)) { [self] in beginCycle() }
    }

    /// What it had is over without its doing.
    package func lost(_ how: String) {
        if cycle.certainUntil > world.now {
            let end = CheckedWorld.clock(cycle.certainUntil)
            world.fail("client \(id): \(how), and lease \(cycle.lease) lives until \(end)")
        }
        note { "has lost lease \(cycle.lease): \(how)" }
        world.record.locks.released(id)
        endCycle()
    }

    package func scheduleRenewal(_ own: Int) {
        world.after(cycle.ttlSeconds * 250_000) { [self] in
            guard own == cycle.number, !isStopped, !cycle.isLeaving else { return }
            scheduleRenewal(own)
            if !cycle.isAsleep { renew(own) }
        }
    }

    package func renewed(until certainUntil: Int) {
        cycle.certainUntil = max(cycle.certainUntil, certainUntil)
        world.record.locks.renewed(id, certainUntil: cycle.certainUntil)
        world.record.tally[.renewals] += 1
    }

    /// - Parameter call: when it asked for what it is told now.
    package func granted(_ own: Int, _ token: Int64, _ call: Int) {
        // The answer is too old to count on it.
        guard cycle.certainUntil > world.now else { return giveBack(own) }
        let holding = LockModel.Holding(
            client: id, lock: cycle.lock, isShared: cycle.isShared, token: token, certainUntil: cycle.certainUntil)
        note { "is given \(lockName)\(cycle.isShared ? ", shared" : "") with token \(token)" }
        if let wrong = world.record.locks.granted(holding, call: call, now: world.now) { return world.fail(wrong) }
        cycle.token = token
        cycle.lastGrant = world.now
        world.record.tally[.lockGrants] += 1
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
        world.record.tally[.deadHolders] += 1
        note { "dies" }
        cycle.number += 1
        let burial = burialMicroseconds
        world.after(burial.lease) { [self] in
            world.record.locks.released(id)
            later(burial.rest)
        }
    }

    private func doze(_ own: Int) {
        cycle.isAsleep = true
        world.record.tally[.sleepingHolders] += 1
        note { "sleeps" }
        world.after(300_000 + world.random.below(4_000_000)) { [self] in
            guard own == cycle.number else { return }
            cycle.isAsleep = false
            note { "wakes" }
            if !cycle.isShared { writeAfar(withinMicroseconds: 1_000_000) }
            work(own, 1)
        }
    }

    /// What it guards is somewhere else, and looks at tokens.
    package func writeAfar(withinMicroseconds most: Int = 200_000) {
        let (lock, token) = (cycle.lock, cycle.token)
        world.after(1 + world.random.below(most)) { [self] in
            world.write("client \(id)", to: lock, token: token, by: id)
        }
    }

    package func work(_ own: Int, _ left: Int) {
        world.after(20_000 + world.random.below(200_000)) { [self] in
            guard own == cycle.number, !isStopped else { return }
            guard left > 0, cycle.certainUntil > world.now else { return giveBack(own) }
            useGuarded(own, left)
        }
    }
}
