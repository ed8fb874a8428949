import KernelSQLite
import KernelStorage
import TestSupport
import Testing

/// When the log is copied into the file, and syncs of it that threads do.
@Suite struct SQLiteCheckpointTests {
    private struct Bench {
        let database: SQLiteDatabase
        let writer: SQLiteConnection
        let reader: SQLiteConnection
        var checkpoints = 0

        init(_ disk: NodeDisk) throws {
            var options = SQLiteDatabase.Options()
            options.checkpointByteCount = 1 << 16
            database = try SQLiteDatabase(disk: disk, path: "/db", options: options)
            writer = try database.open()
            try writer.execute("CREATE TABLE t(a)")
            reader = try database.open()
        }

        /// Commits of a page or two each; after each of them whoever owns the database looks whether it is time.
        mutating func commit(_ count: Int) throws {
            for _ in 0..<count {
                try writer.execute("INSERT INTO t VALUES (randomblob(2000))")
                try database.syncLog()
                if database.needsCheckpoint { checkpoints += 1 }
                try database.checkpointIfLong(writer)
            }
        }
    }

    private func simulated() -> NodeDisk { NodeDisk(base: SimulatedDisk(), owner: DiskOwner(1)) }

    @Test("a log that has once been long is no reason for a checkpoint at each commit")
    func onceLong() throws {
        var bench = try Bench(simulated())
        try bench.commit(400)
        // Two or three pages each, of 4 KiB and their heads.
        #expect(bench.checkpoints > 5 && bench.checkpoints < 400 * 3 * 4200 / (1 << 16), "\(bench.checkpoints)")
        // With nobody reading, each of them lets the next writer begin anew.
        #expect(bench.database.logByteCount < 1 << 18)
    }

    @Test("with somebody who reads on and on the log grows, and a checkpoint comes no more often for it")
    func reader() throws {
        var bench = try Bench(simulated())
        try bench.reader.execute("BEGIN")
        #expect(try bench.reader.rows("SELECT count(*) FROM t") == [[.integer(0)]])
        try bench.commit(400)
        #expect(bench.database.logByteCount > 800_000)
        #expect(bench.checkpoints <= 1 + bench.database.logByteCount / (1 << 16), "\(bench.checkpoints)")
        try bench.reader.execute("ROLLBACK")
        let before = bench.database.logByteCount
        try bench.commit(60)
        #expect(bench.database.logByteCount < before / 2, "once nobody reads, a writer begins the log anew")
        #expect(try bench.reader.rows("SELECT count(*) FROM t") == [[.integer(460)]])
    }

    @Test("a long log that is found at the start is copied in time")
    func found() throws {
        let disk = SimulatedDisk()
        let writer = try SQLiteDatabase(disk: NodeDisk(base: disk, owner: DiskOwner(1)), path: "/db")
        let connection = try writer.open()
        try connection.execute("CREATE TABLE t(a)")
        for _ in 0..<60 { try connection.execute("INSERT INTO t VALUES (randomblob(2000))") }
        try writer.syncLog()
        writer.abandon()
        var options = SQLiteDatabase.Options()
        options.checkpointByteCount = 1 << 16
        let database = try SQLiteDatabase(
            disk: NodeDisk(base: disk, owner: DiskOwner(1)), path: "/db", options: options)
        let reader = try database.open()
        #expect(try reader.rows("SELECT count(*) FROM t") == [[.integer(60)]])
        #expect(database.needsCheckpoint)
    }

    @Test("a thread's sync covers what was committed before it was taken, and what comes later needs another")
    func besides() throws {
        let directory = TemporaryDirectory()
        let disk = NodeDisk(base: try FileDisk(root: directory.path), owner: DiskOwner(1))
        let database = try SQLiteDatabase(disk: disk, path: "/db")
        let connection = try database.open()
        try connection.execute("CREATE TABLE t(a)")
        try database.syncLog()
        #expect(database.takeLogSync() == nil, "nothing is to be synced")
        try connection.execute("INSERT INTO t VALUES (1)")
        let sync = try #require(database.takeLogSync())
        #expect(!database.isLogUnsynced)
        try connection.execute("INSERT INTO t VALUES (2)")
        #expect(database.isLogUnsynced)
        #expect(sync.run() == nil)
        try database.finishLogSync(nil)
        #expect(database.isLogUnsynced, "the second was not covered")
        disk.faults.failingSyncs = 1
        #expect(database.takeLogSync() == nil, "a fault is to act")
        disk.faults.failingSyncs = 0
        _ = try #require(database.takeLogSync())
        var told: [String] = []
        database.onFailedSync = { told.append($0) }
        #expect(throws: SQLiteError.self) { try database.finishLogSync(.failed("/db-wal", operation: "sync")) }
        #expect(told.count == 1 && database.hasFailedSync)
        #expect(throws: SQLiteError.self) { try connection.execute("INSERT INTO t VALUES (3)") }
    }

    @Test("on a disk that is not the host's, the loop syncs")
    func simulatedDisks() throws {
        let database = try SQLiteDatabase(disk: simulated(), path: "/db")
        let connection = try database.open()
        try connection.execute("CREATE TABLE t(a)")
        try database.syncLog()
        try connection.execute("INSERT INTO t VALUES (1)")
        #expect(database.takeLogSync() == nil && database.isLogUnsynced)
    }
}
