import KernelSQLite
import KernelStorage
import KernelStructures
import TestSupport
import Testing

/// The power fails at every operation of a history that changes the disk, in several ways: what was acknowledged after
/// a sync must be there afterwards, what was rolled back or never committed must not, and SQLite's own check says ok.
@Suite struct SQLiteCrashTests {
    @Test("power lost at every operation, what is not synced gone", arguments: 0..<(isLong ? 10 : 2))
    func dropAll(seed: Int) throws { try everyPoint(seed: UInt64(seed)) { _ in .dropAll } }

    @Test("power lost at every operation, any part of what is not synced kept", arguments: 10..<(isLong ? 30 : 13))
    func random(seed: Int) throws {
        try everyPoint(seed: UInt64(seed)) { .random(seed: UInt64(seed) << 32 + UInt64($0)) }
    }

    @Test("kill -9 at every operation: everything committed is there", arguments: 50..<(isLong ? 60 : 51))
    func kill(seed: Int) throws { try everyPoint(seed: UInt64(seed)) { _ in nil } }

    /// - Parameter policy: for the point of that number; nil: the process dies and the machine does not.
    private func everyPoint(seed: UInt64, _ policy: (Int) -> PowerLossPolicy?) throws {
        let whole = SQLiteHistory(seed: seed, crashAt: .max)
        try whole.run()
        #expect(whole.operations > 100, "a history in which something happens")
        for point in 0..<whole.operations {
            let history = SQLiteHistory(seed: seed, crashAt: point)
            _ = try? history.run()
            #expect(history.hasCrashed)
            let loss = policy(point)
            if let loss { _ = history.disk.losePower(owner: SQLiteHistory.owner, policy: loss) }
            try history.check(point, isCommittedEnough: loss == nil)
        }
    }
}

/// A history of transactions by several connections, which knows what it was promised.
private final class SQLiteHistory {
    static let owner = DiskOwner(1)
    let disk = SimulatedDisk()
    private let crash: CrashDisk
    private var random: SeededRandom
    private let seed: UInt64
    /// The table after each commit; the first is before all of them.
    private var states: [[Int: String]] = [[:]]
    /// How many commits are acknowledged: synced, or at least written.
    private var synced = 0
    private var committed = 0
    /// The transaction whose commit was tried last.
    private var tried: [Int: String]?

    init(seed: UInt64, crashAt: Int) {
        self.seed = seed
        crash = CrashDisk(disk)
        crash.crashAt = crashAt
        random = SeededRandom(seed: seed)
    }

    var operations: Int { crash.operations }
    var hasCrashed: Bool { crash.isDead }

    func run() throws {
        let node = NodeDisk(base: crash, owner: Self.owner)
        var database = try SQLiteDatabase(disk: node, path: "/db")
        var connections = [try database.open(), try database.open()]
        try connections[0].execute("CREATE TABLE IF NOT EXISTS t(k INTEGER PRIMARY KEY, v TEXT NOT NULL)")
        try database.syncLog()
        for _ in 0..<24 {
            let connection = connections[random.below(2)]
            try transaction(connection)
            if random.chance(0.5) {
                try database.syncLog()
                synced = committed
            }
            if random.chance(0.2) { try database.checkpoint(connections[0]) }
            guard random.chance(0.08) else { continue }
            let isOrderly = random.chance(0.5)
            connections = []
            if isOrderly { try database.close() } else { database.abandon() }
            if isOrderly { synced = committed }
            database = try SQLiteDatabase(disk: node, path: "/db")
            connections = [try database.open(), try database.open()]
        }
        try database.close()
    }

    private func transaction(_ connection: SQLiteConnection) throws {
        var state = states.last!
        try connection.execute("BEGIN IMMEDIATE")
        for _ in 0...random.below(4) {
            let key = random.below(40)
            if random.chance(0.3) {
                _ = try connection.rows("DELETE FROM t WHERE k = ?1", [.integer(Int64(key))])
                state[key] = nil
            } else {
                let value = "\(states.count)-" + String(repeating: "y", count: random.below(3000))
                _ = try connection.rows(
                    "INSERT OR REPLACE INTO t VALUES (?1, ?2)", [.integer(Int64(key)), .text(value)])
                state[key] = value
            }
        }
        guard random.chance(0.8) else { return try connection.execute("ROLLBACK") }
        tried = state
        try connection.execute("COMMIT")
        tried = nil
        states.append(state)
        committed = states.count - 1
    }

    /// Opens what is left, perhaps dying again on the way, and compares.
    func check(_ point: Int, isCommittedEnough: Bool) throws {
        let database = try SQLiteDatabase(disk: NodeDisk(base: disk, owner: Self.owner), path: "/db")
        let connection = try database.open()
        #expect(try connection.rows("PRAGMA integrity_check") == [[.text("ok")]], "seed \(seed), point \(point)")
        try connection.execute("CREATE TABLE IF NOT EXISTS t(k INTEGER PRIMARY KEY, v TEXT NOT NULL)")
        var found: [Int: String] = [:]
        for row in try connection.rows("SELECT k, v FROM t") {
            guard case .integer(let key) = row[0], case .text(let value) = row[1] else { continue }
            found[Int(key)] = value
        }
        let promised = isCommittedEnough ? committed : synced
        let allowed = states[promised...] + (tried.map { [$0] } ?? [])
        #expect(
            allowed.contains(found),
            "seed \(seed), power lost at operation \(point): \(found.count) rows are not what \(promised) or more of \(states.count - 1) commits leave"
        )
        // And it goes on from there.
        try connection.execute("INSERT OR REPLACE INTO t VALUES (1000, 'afterwards')")
        try database.syncLog()
        _ = try database.checkpoint(connection)
        #expect(try connection.rows("SELECT v FROM t WHERE k = 1000") == [[.text("afterwards")]])
    }
}
