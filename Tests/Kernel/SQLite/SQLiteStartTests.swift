import KernelSQLite
import KernelStorage
import Testing

/// What a database does with the files that it finds.
@Suite struct SQLiteStartTests {
    private let disk = SimulatedDisk()
    private static let owner = DiskOwner(1)

    private var node: NodeDisk { NodeDisk(base: disk, owner: Self.owner) }
    private func database() throws -> SQLiteDatabase { try SQLiteDatabase(disk: node, path: "/db") }

    private func write() throws {
        let database = try database()
        let connection = try database.open()
        try connection.execute("CREATE TABLE t(a)")
        try database.syncLog()
        try connection.execute("INSERT INTO t VALUES (1)")
        // A process that is killed.
        database.abandon()
    }

    private func count() throws -> [[SQLiteValue]] {
        let database = try database()
        defer { database.abandon() }
        return try database.open().rows("SELECT count(*) FROM t")
    }

    @Test("what an earlier process did not sync is durable before anybody reads it")
    func foundLogs() throws {
        try write()
        #expect(try count() == [[.integer(1)]])
        _ = disk.losePower(owner: Self.owner, policy: .dropAll)
        #expect(try count() == [[.integer(1)]], "what was read once is there for good")
    }

    @Test("what a failed sync has dropped is written again before anybody reads it")
    func foundLogsOfFailedSyncs() throws {
        let node = self.node
        let database = try SQLiteDatabase(disk: node, path: "/db")
        let connection = try database.open()
        try connection.execute("CREATE TABLE t(a)")
        try database.syncLog()
        try connection.execute("INSERT INTO t VALUES (1)")
        node.faults.failingSyncs = 1
        #expect(throws: SQLiteError.self) { try database.syncLog() }
        database.abandon()
        let before = try count()
        _ = disk.losePower(owner: Self.owner, policy: .dropAll)
        #expect(before == [[.integer(1)]])
        #expect(try count() == before)
    }

    @Test("what an earlier process did not sync is not read when it cannot be synced now")
    func failingSyncs() throws {
        try write()
        let node = self.node
        node.faults.failingSyncs = 1
        let database = try SQLiteDatabase(disk: node, path: "/db")
        #expect(throws: SQLiteError.self) { try database.open() }
        #expect(database.hasFailedSync)
    }

    @Test("a log without its file is no new database", arguments: [false, true])
    func lostFiles(isThere: Bool) throws {
        try write()
        if isThere {
            try node.open("/db", .write).truncate(to: 0)
        } else {
            try node.remove("/db")
        }
        #expect { try self.count() } throws: { "\($0)".contains("/db-wal has ") }
        // Nothing was written over.
        #expect { try self.count() } throws: { "\($0)".contains("/db-wal has ") }
        try node.remove("/db-wal")
        let database = try database()
        #expect(try database.open().rows("SELECT count(*) FROM sqlite_schema") == [[.integer(0)]])
    }
}
