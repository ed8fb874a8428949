import KernelStorage
import KernelStructures
import TestSupport
import Testing

@testable import KVStoreEngine

/// The power fails at every operation of a history that changes the disk, in several ways: what was acknowledged with a
/// sync must be there afterwards, and what else is there must be a beginning of what was written.
@Suite struct CrashTests {
    @Test("power lost at every operation, what is not synced gone", arguments: 0..<(isLong ? 12 : 3))
    func dropAll(seed: Int) throws { try everyPoint(seed: UInt64(seed)) { _ in .dropAll } }

    @Test("power lost at every operation, any part of what is not synced kept", arguments: 10..<(isLong ? 40 : 14))
    func random(seed: Int) throws {
        try everyPoint(seed: UInt64(seed)) { .random(seed: UInt64(seed) << 32 + UInt64($0)) }
    }

    @Test("kill -9 at every operation: everything committed is there", arguments: 50..<(isLong ? 60 : 52))
    func kill(seed: Int) throws { try everyPoint(seed: UInt64(seed)) { _ in nil } }

    /// - Parameter policy: for the point of that number; nil: the process dies and the machine does not.
    private func everyPoint(seed: UInt64, _ policy: (Int) -> PowerLossPolicy?) throws {
        let whole = Life(seed: seed, crashAt: .max)
        try whole.run()
        #expect(whole.operations > 100, "a history in which something happens")
        for point in 0..<whole.operations {
            let life = Life(seed: seed, crashAt: point)
            _ = try? life.run()
            #expect(life.hasCrashed)
            let loss = policy(point)
            if let loss { _ = life.disk.losePower(owner: Life.owner, policy: loss) }
            try life.check(point, loss, isCommittedEnough: loss == nil)
        }
    }
}

/// A history of writes and commits, which knows what it was promised.
private final class Life {
    static let owner = DiskOwner(1)
    let disk = SimulatedDisk()
    private let crash: CrashDisk
    private var random: SeededRandom
    /// One batch a step.
    private var batches: [[(key: String, value: String?)]] = []
    private var synced = 0
    private var committed = 0
    private let seed: UInt64

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
        var store = try KVStore.open(
            disk: node, directory: Bench.directory, options: Bench.smallOptions, now: Bench.time)
        for step in 0..<120 {
            var batch = WriteBatch()
            var writes: [(key: String, value: String?)] = []
            for _ in 0...random.below(6) {
                let key = "key\(random.below(60))"
                let value = random.chance(0.25) ? nil : "\(step)-" + String(repeating: "y", count: random.below(120))
                writes.append((key, value))
                if let value { batch.put(key.utf8, value.utf8) } else { batch.delete(key.utf8) }
            }
            batches.append(writes)
            try store.write(batch)
            if random.chance(0.6) {
                let isSynced = random.chance(0.4)
                try store.commit(sync: isSynced)
                committed = batches.count
                if isSynced { synced = batches.count }
            }
            if random.chance(0.5) { store.work(budgetByteCount: random.below(3000), now: Bench.time) }
            if store.readOnlyReason != nil { return }
            if random.chance(0.02) {
                if random.chance(0.5) {
                    try store.close()
                    committed = batches.count
                    synced = batches.count
                } else {
                    batches.removeLast(batches.count - committed)
                }
                store = try KVStore.open(
                    disk: node, directory: Bench.directory, options: Bench.smallOptions, now: Bench.time)
            }
        }
        try store.close()
    }

    /// Opens what is left, perhaps dying again on the way, and compares.
    func check(_ point: Int, _ loss: PowerLossPolicy?, isCommittedEnough: Bool) throws {
        var again = SeededRandom(seed: seed ^ UInt64(point) << 20)
        if again.chance(0.3) {
            let crash = CrashDisk(disk)
            crash.crashAt = again.below(25)
            _ = try? KVStore.open(
                disk: NodeDisk(base: crash, owner: Self.owner), directory: Bench.directory,
                options: Bench.smallOptions, now: Bench.time)
            if let loss { _ = disk.losePower(owner: Self.owner, policy: loss) }
        }
        let bench = Bench(disk: disk)
        try bench.open()
        try bench.store.checkInvariants()
        let contents = try bench.contents()
        var state: [String: String] = [:]
        var matches: Int?
        for (index, batch) in batches.enumerated() {
            if index >= promised(isCommittedEnough), state == contents { matches = index }
            for (key, value) in batch { state[key] = value }
        }
        if state == contents { matches = batches.count }
        #expect(
            matches != nil,
            "seed \(seed), power lost at operation \(point): \(contents.count) keys are not what \(synced) or more of \(batches.count) batches leave"
        )
        // And it goes on from there.
        try bench.store.put("afterwards", "yes")
        try bench.store.commit(sync: true)
        bench.workAll()
        #expect(try bench.store.value("afterwards") == "yes")
        for (key, value) in contents { #expect(try bench.store.value(key) == value) }
    }

    /// Batches that must be there.
    private func promised(_ isCommittedEnough: Bool) -> Int { isCommittedEnough ? committed : synced }
}
