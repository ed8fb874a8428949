import DatabaseEngine
import KernelStorage
import KernelStructures
import KernelWire
import TestSupport
import Testing

/// The power fails at every operation of the disk while sessions commit: each commit that was acknowledged behind its
/// turn's sync is there afterwards, and no transaction by half.
@Suite struct SessionCrashTests {
    @Test("power lost at every operation, whatever of the unsynced is kept", arguments: 0..<(isLong ? 12 : 2))
    func everyPoint(seed: Int) throws {
        let whole = try run(seed, crashAt: .max)
        #expect(whole.acknowledged > 10)
        let stride = isLong ? 1 : 3
        for point in Swift.stride(from: whole.begin, to: whole.operations, by: stride) {
            let history = try run(seed, crashAt: point)
            _ = history.disk.losePower(owner: DiskOwner(1), policy: .random(seed: UInt64(seed) << 32 + UInt64(point)))
            let client = try SessionBench(history.disk).client()
            let rows = client.ask("select n, count(*) from log group by n order by n").dropLast(2)
            // Each transaction inserts its number twice.
            #expect(rows.allSatisfy { $0.hasSuffix("|2") }, "seed \(seed), operation \(point): half a transaction")
            let isBeginning = Array(rows) == (0..<rows.count).map { "\($0 + 1)|2" }
            #expect(isBeginning, "seed \(seed), operation \(point): a gap")
            #expect(
                rows.count >= history.acknowledged,
                "seed \(seed), operation \(point): \(rows.count) of \(history.acknowledged) commits")
        }
    }

    @Test("what a start finds in the log and not in the file is counted; after a clean end there is nothing")
    func recovered() throws {
        let disk = SimulatedDisk()
        func start() throws -> SessionBench { try SessionBench(disk) }
        var bench = try start()
        #expect(bench.cluster.recovered == RecoveredLog())
        let client = bench.client()
        client.ask("create table t(n int)")
        client.ask("insert into t values (1)")
        try bench.cluster.commit()
        bench.cluster.abandon()
        bench = try start()
        // The catalogue of the new database is nobody's commit.
        #expect(bench.cluster.recovered.commitCount == 2)
        #expect(bench.cluster.recovered.byteCount > 4096)
        bench.client().ask("insert into t values (3)")
        try bench.cluster.commit()
        bench.cluster.abandon()
        bench = try start()
        #expect(bench.cluster.recovered.commitCount == 3)
        #expect(bench.client().ask("select count(*) from t") == ["2", "SELECT 1", "I"])
        try bench.cluster.close()
        bench = try start()
        #expect(bench.cluster.recovered == RecoveredLog())
        // What was copied may still be in the log, and does not count.
        bench.client().ask("insert into t values (4)")
        try bench.cluster.commit()
        bench.cluster.abandon()
        bench = try start()
        #expect(bench.cluster.recovered.commitCount == 1)
    }

    private struct History {
        let disk: SimulatedDisk
        var begin = 0
        var operations = 0
        var acknowledged = 0
    }

    /// Two sessions take turns; some turns end with a checkpoint.
    private func run(_ seed: Int, crashAt: Int) throws -> History {
        var history = History(disk: SimulatedDisk())
        var random = SeededRandom(seed: UInt64(seed))
        let disk = CrashDisk(history.disk)
        let bench = try SessionBench(disk)
        let clients = [bench.client(), bench.client()]
        clients[0].ask("create table log(n int, text text)")
        try bench.cluster.commit()
        history.begin = disk.operations
        disk.crashAt = crashAt
        for number in 1...16 {
            let text = String(repeating: "y", count: random.below(3000))
            let client = clients[random.below(2)]
            client.ask("begin; insert into log values (\(number), '\(text)')")
            let end = client.ask("insert into log values (\(number), 'again'); commit")
            do {
                try bench.cluster.commit()
            } catch {
                break
            }
            guard end.contains("COMMIT") else { break }
            history.acknowledged = number
            if random.chance(0.2) { try? bench.cluster.checkpoint(all: true) }
        }
        history.operations = disk.operations
        bench.cluster.abandon()
        return history
    }
}
