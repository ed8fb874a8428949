import KernelHosting
import KernelJSON
import LockCheckEngine

/// Takes a lock as etcd's clients do (`/v3/lease/grant`, `/v3/lock/lock`, `/v3/lease/keepalive`), writes what it
/// guards, and gives it back.
///
/// It counts on its lease for the time that it was granted for, from the call of the last renewal on.
final class ServedLockingClient: LockHolder {
    private let desk: ServedDesk
    unowned let world: ServedWorld
    /// Of the registers that locks guard.
    private(set) var history = ClientHistory()
    var cycle = LockCycle()
    var isStopped = false
    private var number = 0
    private var key = JSONValue.null
    private var waiting: HTTPCall?

    /// Microseconds; longer than that it does not wait for a lock.
    private static let waitLimit = 6_000_000

    init(_ desk: ServedDesk) {
        self.desk = desk
        world = desk.world
    }

    func begin() { later(200_000) }

    var id: Int { desk.id }
    var lockName: String { "lock-\(cycle.lock)" }
    var burialMicroseconds: (lease: Int, rest: Int) { (cycle.ttlSeconds * 1_000_000, 200_000) }
    private var leaseName: JSONValue { .string(String(cycle.lease)) }

    // MARK: One lock after the other

    func beginCycle() {
        if isStopped { return }
        let lock = world.random.below(ServedWorld.lockCount)
        cycle.begin(lock, isShared: false, client: id, ttlSeconds: 1 + world.random.below(3))
        let own = cycle.number
        let call = world.now
        desk.ask("/v3/lease/grant", ["ID": leaseName, "TTL": .string(String(cycle.ttlSeconds))]) { [self] reply in
            guard own == cycle.number else { return }
            guard reply.isGood else { return endCycle() }
            world.record.tally[.leasesGranted] += 1
            cycle.certainUntil = call + cycle.ttlSeconds * 1_000_000
            note { "has lease \(cycle.lease) for \(cycle.ttlSeconds)s" }
            scheduleRenewal(own)
            claim(own)
        }
    }

    func endCycle() {
        cycle.number += 1
        waiting?.cancel()
        waiting = nil
        later(200_000)
    }

    func giveBack(_ own: Int) {
        world.record.locks.released(id)
        cycle.isLeaving = true
        waiting?.cancel()
        waiting = nil
        note { "gives \(lockName) back" }
        let isHeld = key != .null && world.random.chance(0.5)
        let (path, message): (String, JSONValue) =
            isHeld ? ("/v3/lock/unlock", ["key": key]) : ("/v3/lease/revoke", ["ID": leaseName])
        desk.ask(path, message) { [self] _ in if own == cycle.number { endCycle() } }
    }

    // MARK: The lease

    func renew(_ own: Int) {
        let call = world.now
        desk.ask("/v3/lease/keepalive", ["ID": leaseName], patience: cycle.ttlSeconds * 300_000) { [self] reply in
            guard own == cycle.number, !cycle.isLeaving, reply.isGood else { return }
            guard ServedDesk.number(reply.json["result"]?["TTL"]) > 0 else { return lost("a renewal is refused") }
            renewed(until: call + cycle.ttlSeconds * 1_000_000)
        }
    }

    // MARK: The lock

    private func claim(_ own: Int) {
        let call = world.now
        key = .null
        let message: JSONValue = ["name": ServedDesk.base64(lockName), "lease": leaseName]
        // A claim that was given up may be withdrawn late: each is made with a lease of its own, once.
        waiting = desk.ask("/v3/lock/lock", message, patience: Self.waitLimit) { [self] reply in
            guard own == cycle.number, !cycle.isLeaving else { return }
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

    /// The store itself sees to it that the claim is still there.
    func useGuarded(_ own: Int, _ left: Int) {
        number += 1
        let (call, register) = (world.now, ServedWorld.freeRegisterCount + cycle.lock)
        let value = id * 100_000 + number
        if world.random.chance(0.5) { writeAfar() }
        let comparison: JSONValue = [
            "key": key, "target": "CREATE", "result": "EQUAL", "create_revision": .string(String(cycle.token)),
        ]
        desk.write(register, value, if: comparison) { [self] didWrite in
            // A write that was not carried out is one that was not made.
            if didWrite != false { add(register, .write(value), call, isAnswered: didWrite == true) }
            guard own == cycle.number else { return }
            switch didWrite {
            case true?: work(own, left - 1)
            case false?: lost("the claim is gone when it writes")
            case nil: giveBack(own)
            }
        }
    }

    private func add(_ register: Int, _ action: RegisterModel.Action, _ call: Int, isAnswered: Bool) {
        history.add(register, action, by: id, call: call, isAnswered: isAnswered, in: world)
    }
}
