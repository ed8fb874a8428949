import KernelSQLite
import KernelStorage
import Testing

/// SQLite on the lab's disk: connections, transactions, functions, errors.
@Suite struct SQLiteTests {
    let disk = SimulatedDisk()

    private func database(_ disk: SimulatedDisk? = nil) throws -> SQLiteDatabase {
        try SQLiteDatabase(disk: NodeDisk(base: disk ?? self.disk, owner: DiskOwner(1)), path: "/db")
    }

    @Test func rowsComeBackAsTheyWereBound() throws {
        let connection = try database().open()
        try connection.execute("CREATE TABLE t(a, b)")
        let values: [SQLiteValue] = [
            .null, .integer(.min), .real(-0.5), .text("é\u{0}x"), .text(""), .blob([0, 255]), .blob([]),
        ]
        for (index, value) in values.enumerated() {
            _ = try connection.rows("INSERT INTO t VALUES (?1, ?2)", [.integer(Int64(index)), value])
        }
        let rows = try connection.rows("SELECT b FROM t ORDER BY a")
        #expect(rows.map { $0[0] } == values)
        #expect(connection.changes == 1)
    }

    @Test("after a sync that failed nothing is done any more, whoever asked for it, and the owner hears of it once")
    func failedSyncs() throws {
        for isOfCheckpoint in [false, true] {
            let node = NodeDisk(base: SimulatedDisk(), owner: DiskOwner(1))
            let database = try SQLiteDatabase(disk: node, path: "/db")
            var told: [String] = []
            database.onFailedSync = { told.append($0) }
            let connection = try database.open()
            try connection.execute("CREATE TABLE t(a); INSERT INTO t VALUES (1)")
            if isOfCheckpoint { try database.syncLog() }
            node.faults.failingSyncs = 1
            if isOfCheckpoint {
                // The database file is what a checkpoint syncs.
                #expect(throws: SQLiteError.self) { try database.checkpoint(connection) }
            } else {
                #expect(throws: SQLiteError.self) { try database.syncLog() }
            }
            #expect(told.count == 1 && told.first?.contains("start again") == true, "\(told)")
            #expect(database.hasFailedSync)
            #expect(throws: SQLiteError.self) { try connection.execute("INSERT INTO t VALUES (2)") }
            #expect(throws: SQLiteError.self) { try database.syncLog() }
            #expect(told.count == 1)
        }
    }

    @Test func readersKeepTheirSnapshotWhileOneWrites() throws {
        let database = try database()
        let writer = try database.open()
        try writer.execute("CREATE TABLE t(a); INSERT INTO t VALUES (1)")
        let reader = try database.open()
        try reader.execute("BEGIN")
        #expect(try reader.rows("SELECT count(*) FROM t") == [[.integer(1)]])
        try writer.execute("BEGIN IMMEDIATE; INSERT INTO t VALUES (2)")
        let other = try database.open()
        #expect { try other.execute("BEGIN IMMEDIATE") } throws: { ($0 as? SQLiteError)?.isBusy == true }
        try writer.execute("COMMIT")
        #expect(try reader.rows("SELECT count(*) FROM t") == [[.integer(1)]])
        #expect { try reader.execute("INSERT INTO t VALUES (3)") } throws: {
            ($0 as? SQLiteError)?.isStaleSnapshot == true
        }
        try reader.execute("ROLLBACK")
        #expect(try reader.rows("SELECT count(*) FROM t") == [[.integer(2)]])
    }

    @Test func functionsInSwiftThrowTheirOwnErrors() throws {
        struct Refusal: Error, Equatable { let text: String }
        let connection = try database().open()
        try connection.addFunction("twice", argumentCount: 1) { .integer($0.integer(0) * 2) }
        try connection.addFunction("refuse", argumentCount: -1) { throw Refusal(text: $0.text(0) ?? "none") }
        #expect(try connection.rows("SELECT twice(21)") == [[.integer(42)]])
        #expect { _ = try connection.rows("SELECT refuse('no')") } throws: {
            ($0 as? SQLiteError)?.underlying as? Refusal == Refusal(text: "no")
        }
        #expect { _ = try connection.rows("SELECT missing(1)") } throws: {
            let error = $0 as? SQLiteError
            return error?.underlying == nil && error?.offset == 7
        }
    }

    @Test func aggregatesAndCollations() throws {
        final class Longest: SQLiteAggregate {
            var text = "-"
            func step(_ arguments: SQLiteArguments) {
                if let next = arguments.text(0), next.count > text.count { text = next }
            }
            func finish() -> SQLiteValue { .text(text) }
        }
        let connection = try database().open()
        try connection.addAggregate("longest", argumentCount: 1) { Longest() }
        try connection.addCollation("BYLENGTH") { $0.count - $1.count }
        try connection.execute("CREATE TABLE t(g, a); INSERT INTO t VALUES (1,'bbb'), (1,'a'), (2,'cc')")
        #expect(
            try connection.rows("SELECT g, longest(a) FROM t GROUP BY g ORDER BY g")
                == [[.integer(1), .text("bbb")], [.integer(2), .text("cc")]])
        #expect(try connection.rows("SELECT longest(a) FROM t WHERE 0") == [[.text("-")]])
        #expect(
            try connection.rows("SELECT a FROM t ORDER BY a COLLATE BYLENGTH").map { $0[0] }
                == [.text("a"), .text("cc"), .text("bbb")])
    }

    @Test func statementsAreKeptPreparedAndGivenBack() throws {
        let connection = try database().open()
        try connection.execute("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)")
        let first = try connection.prepare("SELECT a FROM t")
        #expect(try first.step())
        // The text again while the first is being read: another statement, and neither disturbs the other.
        let second = try connection.prepare("SELECT a FROM t")
        #expect(try second.step())
        #expect(try second.step())
        #expect(first.integer(0) == 1)
        #expect(second.integer(0) == 2)
        #expect(throws: SQLiteError.self) { _ = try connection.prepare("SELECT 1; SELECT 2") }
        #expect(throws: SQLiteError.self) { _ = try connection.prepare("") }
        #expect(throws: SQLiteError.self) { _ = try connection.prepare("SELECT \"nothing\"") }
    }

    @Test func aStatementCanBeWatchedAndStopped() throws {
        let connection = try database().open()
        var asked = 0
        connection.watch(every: 1000) {
            asked += 1
            return asked < 10
        }
        #expect {
            _ = try connection.rows(
                "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT sum(x) FROM c")
        } throws: { ($0 as? SQLiteError)?.isInterrupted == true }
        #expect(asked == 10)
        connection.stopWatching()
        #expect(try connection.rows("SELECT 1") == [[.integer(1)]])
    }

    @Test func theDatabaseIsOneOwnersAtATime() throws {
        let database = try database()
        _ = try database.open()
        #expect { _ = try SQLiteDatabase(disk: NodeDisk(base: disk, owner: DiskOwner(2)), path: "/db") } throws: {
            ($0 as? SQLiteError)?.disk == .busy("/db-lock")
        }
        try database.close()
        #expect(throws: SQLiteError.self) { _ = try database.open() }
        _ = try SQLiteDatabase(disk: NodeDisk(base: disk, owner: DiskOwner(2)), path: "/db")
    }

    @Test func aFullDiskIsATypedErrorAndNotTheEnd() throws {
        let small = SimulatedDisk(capacityBytes: 200_000)
        let connection = try database(small).open()
        try connection.execute("CREATE TABLE t(a)")
        #expect {
            for _ in 0..<100 { _ = try connection.rows("INSERT INTO t VALUES (zeroblob(5000))") }
        } throws: {
            let error = $0 as? SQLiteError
            guard case .noSpace? = error?.disk else { return false }
            return error?.isFull == true
        }
        #expect(!connection.isInTransaction)
        small.capacityBytes = 2_000_000
        _ = try connection.rows("INSERT INTO t VALUES (1)")
        #expect(try connection.rows("PRAGMA integrity_check") == [[.text("ok")]])
    }

    @Test func aDamagedFileIsATypedError() throws {
        let node = NodeDisk(base: disk, owner: DiskOwner(1))
        try node.store(Array(repeating: 7, count: 8192), at: "/db")
        #expect { _ = try self.database().open() } throws: { ($0 as? SQLiteError)?.isFailureOfStorage == true }
    }

    @Test func sortingIsBounded() throws {
        var options = SQLiteDatabase.Options()
        options.temporaryByteCount = 1 << 20
        options.cacheByteCount = 1 << 18
        let database = try SQLiteDatabase(
            disk: NodeDisk(base: disk, owner: DiskOwner(1)), path: "/db", options: options)
        let connection = try database.open()
        #expect {
            _ = try connection.rows(
                """
                WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 20000)
                SELECT printf('%0500d', x) AS t FROM c ORDER BY t LIMIT 1 OFFSET 19999
                """)
        } throws: { ($0 as? SQLiteError)?.isFull == true }
        #expect(try connection.rows("SELECT 1") == [[.integer(1)]])
    }

    @Test func whatIsDroppedWritesNothingMore() throws {
        var database: SQLiteDatabase? = try database()
        var connection: SQLiteConnection? = try database!.open()
        try connection!.execute("CREATE TABLE t(a); BEGIN; INSERT INTO t VALUES (1)")
        var statement: SQLiteStatement? = try connection!.prepare("SELECT a FROM t")
        #expect(try statement!.step())
        let before = try NodeDisk(base: disk, owner: .lab).contents(of: "/db-wal")
        weak let gone = database
        statement = nil
        connection = nil
        database = nil
        #expect(gone == nil)
        #expect(try NodeDisk(base: disk, owner: .lab).contents(of: "/db-wal") == before)
        let again = try self.database().open()
        #expect(try again.rows("SELECT * FROM t").isEmpty)
    }
}
