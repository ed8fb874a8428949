import KernelHosting
import KernelJSON
import LockCheckEngine

/// Takes a lock as etcd's clients do (`/v3/lease/grant`, `/v3/lock/lock`, `/v3/lease/keepalive`), writes what it
/// guards, and gives it back; or sleeps, or dies, with the lock in its hand.
///
/// It counts on its lease for the time that it was granted for, from the call of the last renewal on.
final class ServedLockingClient {
    typealias Operation = ClientOperation<RegisterModel.Action>

    private let desk: ServedDesk
    private unowned let world: ServedWorld
    /// Of the registers that locks guard.
    private(set) var history: [(register: Int, operation: Operation)] = []
    /// Microseconds; 0 before the first.
    private(set) var lastGrant = 0
    var isStopped = false
    private var number = 0

    // What it is about.
    private var cycle = 0
    private var lock = 0
    private var lease: Int64 = 0
    private var ttlSeconds = 1
    private var certainUntil = 0
    private var isAsleep = false
    private var isLeaving = false
    private var key = JSONValue.null
    private var token: Int64 = 0
    private var waiting: HTTPCall?

    /// Microseconds; longer than that it does not wait for a lock.
    private static let waitLimit = 6_000_000

    init(_ desk: ServedDesk) {
        self.desk = desk
        world = desk.world
    }

    func begin() { later(200_000) }

    private func later(_ microseconds: Int) {
        world.after(1 + world.random.below(microseconds)) { [self] in beginCycle() }
    }

    private var id: Int { desk.id }
    private var leaseName: JSONValue { .string(String(lease)) }
    private func note(_ text: () -> String) { world.note(.client(id), text) }

    // MARK: One lock after the other

    private func beginCycle() {
        if isStopped { return }
        cycle += 1
        let own = cycle
        lock = world.random.below(ServedWorld.lockCount)
        lease = Int64(id * 1_000_000 + cycle)
        ttlSeconds = 1 + world.random.below(3)
        isAsleep = false
        isLeaving = false
        let call = world.now
        desk.ask("/v3/lease/grant", ["ID": leaseName, "TTL": .string(String(ttlSeconds))]) { [self] reply in
            guard own == cycle else { return }
            guard reply.isGood else { return endCycle() }
            world.tally[.leasesGranted] += 1
            certainUntil = call + ttlSeconds * 1_000_000
            note { "has lease \(lease) for \(ttlSeconds)s" }
            scheduleRenewal(own)
            claim(own)
        }
    }

    private func endCycle() {
        cycle += 1
        waiting?.cancel()
        waiting = nil
        later(200_000)
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

    private func giveBack(_ own: Int) {
        world.locks.released(id)
        isLeaving = true
        waiting?.cancel()
        waiting = nil
        note { "gives lock \(lock) back" }
        let isHeld = key != .null && world.random.chance(0.5)
        let (path, message): (String, JSONValue) =
            isHeld ? ("/v3/lock/unlock", ["key": key]) : ("/v3/lease/revoke", ["ID": leaseName])
        desk.ask(path, message) { [self] _ in if own == cycle { endCycle() } }
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
        desk.ask("/v3/lease/keepalive", ["ID": leaseName], patience: ttlSeconds * 300_000) { [self] reply in
            guard own == cycle, !isLeaving, reply.isGood else { return }
            guard ServedDesk.number(reply.json["result"]?["TTL"]) > 0 else { return lost("a renewal is refused") }
            certainUntil = max(certainUntil, call + ttlSeconds * 1_000_000)
            world.locks.renewed(id, certainUntil: certainUntil)
            world.tally[.renewals] += 1
        }
    }

    // MARK: The lock

    private func claim(_ own: Int) {
        let call = world.now
        key = .null
        let message: JSONValue = ["name": ServedDesk.base64("lock-\(lock)"), "lease": leaseName]
        // A claim that was given up may be withdrawn late: each is made with a lease of its own, once.
        waiting = desk.ask("/v3/lock/lock", message, patience: Self.waitLimit) { [self] reply in
            guard own == cycle, !isLeaving else { return }
            waiting = nil
            switch reply.status {
            case 200:
                key = reply.json["key"] ?? .null
                granted(own, ServedDesk.number(reply.json["token"]), call)
            case 404: lost("a waiter is told that its session is over")
            default: giveBack(own)
            }
        }
    }

    private func granted(_ own: Int, _ token: Int64, _ call: Int) {
        // The answer is too old to count on it.
        guard certainUntil > world.now else { return giveBack(own) }
        let holding = LockModel.Holding(
            client: id, lock: lock, isShared: false, token: token, certainUntil: certainUntil)
        note { "is given lock \(lock) with token \(token)" }
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
        world.after(ttlSeconds * 1_000_000) { [self] in
            world.locks.released(id)
            later(200_000)
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
            writeAfar(withinMicroseconds: 1_000_000)
            work(own, 1)
        }
    }

    /// What it guards is somewhere else, and looks at tokens.
    private func writeAfar(withinMicroseconds most: Int) {
        let (lock, token) = (lock, token)
        world.after(1 + world.random.below(most)) { [self] in
            world.write("client \(id)", to: lock, token: token, by: id)
        }
    }

    private func work(_ own: Int, _ left: Int) {
        world.after(20_000 + world.random.below(200_000)) { [self] in
            guard own == cycle, !isStopped else { return }
            guard left > 0, certainUntil > world.now else { return giveBack(own) }
            writeGuarded(own, left)
        }
    }

    /// The store itself sees to it that the claim is still there.
    private func writeGuarded(_ own: Int, _ left: Int) {
        number += 1
        let (call, register) = (world.now, ServedWorld.freeRegisterCount + lock)
        let value = id * 100_000 + number
        if world.random.chance(0.5) { writeAfar(withinMicroseconds: 200_000) }
        let comparison: JSONValue = [
            "key": key, "target": "CREATE", "result": "EQUAL", "create_revision": .string(String(token)),
        ]
        desk.write(register, value, if: comparison) { [self] didWrite in
            // A write that was not carried out is one that was not made.
            if didWrite != false { add(register, .write(value), call, isAnswered: didWrite == true) }
            guard own == cycle else { return }
            switch didWrite {
            case true?: work(own, left - 1)
            case false?: lost("the claim is gone when it writes")
            case nil: giveBack(own)
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
