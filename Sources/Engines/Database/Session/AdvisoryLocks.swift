import KernelSQLite
import KernelStructures
import KernelWire

/// A number that programs have agreed upon: one of 64 bits, or two of 32.
struct AdvisoryKey: Hashable, Comparable, Sendable {
    let classID: UInt32
    let objectID: UInt32
    /// 1 for a whole number, 2 for two halves, as `pg_locks.objsubid` tells them apart.
    let kind: Int64

    init(_ number: Int64) {
        classID = UInt32(truncatingIfNeeded: number >> 32)
        objectID = UInt32(truncatingIfNeeded: number)
        kind = 1
    }

    init(_ first: Int32, _ second: Int32) {
        classID = UInt32(bitPattern: first)
        objectID = UInt32(bitPattern: second)
        kind = 2
    }

    static func < (a: Self, b: Self) -> Bool { (a.kind, a.classID, a.objectID) < (b.kind, b.classID, b.objectID) }
}

/// What one of the functions asks for: `lock`, `try`, `unlock` or `unlock all`, with `shared` and `xact` behind it.
struct AdvisoryVerb: Sendable {
    enum Action: String, Sendable { case lock, `try`, unlock, all }
    let action: Action
    let isShared: Bool
    /// Held to the end of the transaction, not of the session.
    let isOfTransaction: Bool

    init?(_ text: String) {
        let words = text.split(separator: " ")
        guard let action = words.first.flatMap({ Action(rawValue: String($0)) }) else { return nil }
        self.action = action
        isShared = words.contains("shared")
        isOfTransaction = words.contains("xact")
    }

    /// As `pg_locks` and warnings name it.
    var mode: String { isShared ? "ShareLock" : "ExclusiveLock" }
}

/// Advisory locks of one database: PostgreSQL's manual, section 13.3.5.
///
/// The database does not know what they protect; programs that agree on a number (a migration, a nightly job) take
/// turns by it. A lock is exclusive or shared, counts how often its holder has it, and is served in the order of
/// asking.
///
/// Where it differs: going back to a savepoint does not let go of what was taken after it.
final class AdvisoryLocks {
    private struct Hold {
        unowned let session: DatabaseSession
        let isShared: Bool
        let isOfTransaction: Bool
        var count: Int
    }

    private struct Waiter {
        unowned let session: DatabaseSession
        let verb: AdvisoryVerb
    }

    private struct Lock {
        var holds: [Hold] = []
        var waiters: [Waiter] = []
    }

    private var locks: [AdvisoryKey: Lock] = [:]
    /// Which lock a session waits for.
    private var wishes: [ObjectIdentifier: AdvisoryKey] = [:]
    private(set) var holdCount = 0

    /// Locks of all sessions together; PostgreSQL has a table of about that size.
    static let limit = 10_000

    // MARK: Taking and giving back

    /// Takes the lock if nobody is in the way.
    func acquire(_ key: AdvisoryKey, _ verb: AdvisoryVerb, _ session: DatabaseSession) throws(PostgresError) -> Bool {
        let lock = locks[key] ?? Lock()
        let isHolder = lock.holds.contains { $0.session === session }
        guard Self.isFree(lock, verb, session), isHolder || lock.waiters.isEmpty else { return false }
        guard isHolder || holdCount < Self.limit else {
            throw PostgresError(
                .outOfMemory, "out of shared memory", hint: "At most \(Self.limit) advisory locks can be held.")
        }
        add(key, verb, session)
        return true
    }

    private static func isFree(_ lock: Lock, _ verb: AdvisoryVerb, _ session: DatabaseSession) -> Bool {
        lock.holds.allSatisfy { $0.session === session || $0.isShared && verb.isShared }
    }

    private func add(_ key: AdvisoryKey, _ verb: AdvisoryVerb, _ session: DatabaseSession) {
        let place = locks[key]?.holds.firstIndex {
            $0.session === session && $0.isShared == verb.isShared && $0.isOfTransaction == verb.isOfTransaction
        }
        if let place {
            locks[key]?.holds[place].count += 1
        } else {
            locks[key, default: Lock()].holds.append(
                Hold(
                    session: session, isShared: verb.isShared, isOfTransaction: verb.isOfTransaction, count: 1))
            holdCount += 1
        }
    }

    /// - Returns: false if the session has no such lock.
    func release(_ key: AdvisoryKey, isShared: Bool, _ session: DatabaseSession) -> Bool {
        let place = locks[key]?.holds.firstIndex {
            $0.session === session && $0.isShared == isShared && !$0.isOfTransaction
        }
        guard let place, var lock = locks[key] else { return false }
        lock.holds[place].count -= 1
        if lock.holds[place].count == 0 {
            lock.holds.remove(at: place)
            holdCount -= 1
        }
        locks[key] = lock
        serve(key)
        return true
    }

    /// Lets go of all that the session has, or of what its transaction has.
    func releaseAll(_ session: DatabaseSession, where isConcerned: (_ isOfTransaction: Bool) -> Bool = { _ in true }) {
        guard holdCount > 0 else { return }
        for key in locks.keys.sorted() {
            guard var lock = locks[key] else { continue }
            let before = lock.holds.count
            lock.holds.removeAll { $0.session === session && isConcerned($0.isOfTransaction) }
            guard lock.holds.count < before else { continue }
            holdCount -= before - lock.holds.count
            locks[key] = lock
            serve(key)
        }
    }

    // MARK: Waiting

    func wait(for key: AdvisoryKey, _ verb: AdvisoryVerb, _ session: DatabaseSession) {
        locks[key, default: Lock()].waiters.append(Waiter(session: session, verb: verb))
        wishes[ObjectIdentifier(session)] = key
    }

    func forgetWaiting(_ session: DatabaseSession) {
        guard let key = wishes.removeValue(forKey: ObjectIdentifier(session)) else { return }
        locks[key]?.waiters.removeAll { $0.session === session }
        serve(key)
    }

    /// Gives the lock to those at the head of the line who can have it together.
    private func serve(_ key: AdvisoryKey) {
        while let lock = locks[key], let first = lock.waiters.first, Self.isFree(lock, first.verb, first.session) {
            locks[key]?.waiters.removeFirst()
            wishes[ObjectIdentifier(first.session)] = nil
            add(key, first.verb, first.session)
            first.session.advisoryLockGranted()
        }
        if let lock = locks[key], lock.holds.isEmpty, lock.waiters.isEmpty { locks[key] = nil }
    }

    /// For whom a session waits: holders in the way, and those before it in the line.
    func blockers(of session: DatabaseSession) -> [DatabaseSession] {
        guard let key = wishes[ObjectIdentifier(session)], let lock = locks[key] else { return [] }
        let isShared = lock.waiters.first { $0.session === session }?.verb.isShared == true
        return lock.holds.filter { $0.session !== session && !($0.isShared && isShared) }.map(\.session)
            + lock.waiters.prefix { $0.session !== session }.map(\.session)
    }

    // MARK: Looking

    /// For `pg_locks`: in the order of keys, holders before those who wait.
    var rows: [(key: AdvisoryKey, session: DatabaseSession, mode: String, isGranted: Bool)] {
        locks.sorted { $0.key < $1.key }.flatMap { key, lock in
            lock.holds.map { (key, $0.session, $0.isShared ? "ShareLock" : "ExclusiveLock", true) }
                + lock.waiters.map { (key, $0.session, $0.verb.mode, false) }
        }
    }
}
