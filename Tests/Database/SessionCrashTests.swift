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
