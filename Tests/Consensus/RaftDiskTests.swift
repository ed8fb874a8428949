import ConsensusEngine
import KernelStorage
import KernelStructures
import TestSupport
import Testing

@Suite("A member's disk")
struct RaftDiskTests {
    private static let owner = DiskOwner(1)
    private static let first = RaftSnapshot(
        position: .init(index: 1, term: 1), configuration: .init(voters: [1, 2, 3]), data: [1])

    /// Appends with random ends of the log, as engines hand them out, and what must be there afterwards.
    private final class Life {
        let base = SimulatedDisk()
        let crash: CrashDisk
        var random: SeededRandom
        var entries: [RaftEntry] = []
        var snapshot = RaftDiskTests.first
        var hard = HardState(term: 1, commit: 1)
        /// After each step that was acknowledged.
        var promised: (snapshot: RaftSnapshot, entries: [RaftEntry], hard: HardState)
        /// What the step that was under way would have made.
        var attempted: (snapshot: RaftSnapshot, entries: [RaftEntry], hard: HardState)

        init(_ seed: UInt64, crashAt: Int) {
            random = SeededRandom(seed: seed)
            crash = CrashDisk(base)
            crash.crashAt = crashAt
            promised = (snapshot, [], HardState())
            attempted = promised
        }

        private var last: Int { snapshot.index + entries.count }

        func run(steps: Int) throws {
            let disk = try RaftDisk.open(
                NodeDisk(base: crash, owner: RaftDiskTests.owner), directory: "/a/raft", first: RaftDiskTests.first
            ).disk
            for _ in 0..<steps {
                if random.chance(0.15), entries.count > 3 { try compact(disk) } else { try append(disk) }
                promised = attempted
            }
        }

        private func append(_ disk: RaftDisk) throws {
            var group: [Ready.Append] = []
            for _ in 0...random.below(3) {
                var append = Ready.Append()
                if random.chance(0.1) {
                    snapshot = RaftSnapshot(
                        position: .init(index: last + 5, term: hard.term), configuration: snapshot.configuration,
                        data: [UInt8](repeating: 7, count: random.below(2000)))
                    entries = []
                    append.snapshot = snapshot
                }
                if random.chance(0.4) { hard.term += 1 }
                hard.commit = max(hard.commit, snapshot.index)
                let count = random.below(5)
                if count > 0 {
                    let from = max(snapshot.index + 1, last + 1 - random.below(4))
                    entries.removeLast(last - from + 1)
                    append.entries = (0..<count).map {
                        RaftEntry(
                            index: from + $0, term: hard.term,
                            data: [UInt8](repeating: UInt8($0), count: random.below(900)))
                    }
                    entries += append.entries
                }
                append.hardState = hard
                append.mustSync = true
                group.append(append)
            }
            attempted = (snapshot, entries, hard)
            try disk.write(group)
        }

        private func compact(_ disk: RaftDisk) throws {
            let index = snapshot.index + 1 + random.below(entries.count)
            let position = entries[index - snapshot.index - 1].position
            entries.removeFirst(index - snapshot.index)
            snapshot = RaftSnapshot(position: position, configuration: snapshot.configuration, data: [9])
            hard.commit = max(hard.commit, index)
            attempted = (snapshot, entries, hard)
            try disk.compact(snapshot, keepFrom: position)
        }

        func recover() throws -> RaftDisk.Recovered {
            let node = NodeDisk(base: base, owner: RaftDiskTests.owner)
            let (disk, recovered) = try RaftDisk.open(node, directory: "/a/raft", first: RaftDiskTests.first)
            disk.close()
            return recovered
        }
    }

    private static func entries(_ recovered: RaftDisk.Recovered) -> [RaftEntry] {
        recovered.entries.filter { $0.index > recovered.snapshot!.index }
    }

    @Test(
        "power lost at every operation: what was acknowledged is there, or what was being written", arguments: 0..<6)
    func everyOperation(seed: Int) throws {
        let steps = isLong ? 40 : 12
        let whole = Life(UInt64(seed), crashAt: .max)
        try whole.run(steps: steps)
        #expect(Self.entries(try whole.recover()) == whole.promised.entries)
        #expect(try whole.recover().lives == 3)
        for point in 0..<whole.crash.operations {
            let life = Life(UInt64(seed), crashAt: point)
            _ = try? life.run(steps: steps)
            let policy: PowerLossPolicy = seed % 2 == 0 ? .dropAll : .random(seed: UInt64(point))
            _ = life.base.losePower(owner: Self.owner, policy: policy)
            let recovered = try life.recover()
            let found = (recovered.snapshot!, Self.entries(recovered))
            let isOld = found == (life.promised.snapshot, life.promised.entries)
            let isNew = found == (life.attempted.snapshot, life.attempted.entries)
            // A snapshot may have come before the log that goes with it.
            let isBetween = found.0 == life.attempted.snapshot
            #expect(isOld || isNew || isBetween, "seed \(seed), operation \(point)")
            #expect(recovered.hardState.term >= life.promised.hard.term)
        }
    }

    private func written() throws -> (SimulatedDisk, [UInt8]) {
        let base = SimulatedDisk()
        let node = NodeDisk(base: base, owner: Self.owner)
        let disk = try RaftDisk.open(node, directory: "/raft", first: Self.first).disk
        for index in 2...6 {
            var append = Ready.Append()
            append.entries = [RaftEntry(index: index, term: 2, data: [UInt8](repeating: UInt8(index), count: 30))]
            append.hardState = HardState(term: 2, vote: 1, commit: 1)
            append.mustSync = true
            try disk.write([append])
        }
        disk.close()
        return (base, try node.contents(of: "/raft/log"))
    }

    @Test("whatever byte of the log changes: it is noticed, or only what nobody can witness is gone")
    func bitFlips() throws {
        let (base, bytes) = try written()
        let node = NodeDisk(base: base, owner: Self.owner)
        var refused = 0
        for place in bytes.indices {
            var damaged = bytes
            damaged[place] ^= 1 << UInt8(place % 8)
            try node.store(damaged, at: "/raft/log")
            do {
                let (disk, recovered) = try RaftDisk.open(node, directory: "/raft", first: Self.first)
                disk.close()
                #expect(recovered.entries.map(\.index) == [2, 3, 4, 5], "byte \(place)")
                #expect(recovered.tornBytes > 0)
            } catch {
                refused += 1
            }
        }
        #expect(refused > bytes.count * 2 / 3 && refused < bytes.count)
    }

    @Test("a torn tail is cut off wherever it tears")
    func tornTail() throws {
        let (base, bytes) = try written()
        let node = NodeDisk(base: base, owner: Self.owner)
        let batch = (bytes.count - 8 - 32) / 6
        for cut in 1..<batch {
            try node.store(Array(bytes.dropLast(cut)), at: "/raft/log")
            let (disk, recovered) = try RaftDisk.open(node, directory: "/raft", first: Self.first)
            disk.close()
            #expect(recovered.entries.last?.index == 5)
        }
    }

    @Test("what a failed sync left in the system's memory is written again before it counts")
    func failedSync() throws {
        let base = SimulatedDisk()
        let node = NodeDisk(base: base, owner: Self.owner)
        let disk = try RaftDisk.open(node, directory: "/raft", first: Self.first).disk
        var append = Ready.Append()
        append.entries = [RaftEntry(index: 2, term: 1, data: [5])]
        append.mustSync = true
        node.faults.failingSyncs = 1
        #expect(throws: RaftDiskError.self) { try disk.write([append]) }
        disk.close()
        let (again, recovered) = try RaftDisk.open(node, directory: "/raft", first: Self.first)
        again.close()
        _ = base.losePower(owner: Self.owner, policy: .dropAll)
        let after = try RaftDisk.open(node, directory: "/raft", first: Self.first).recovered
        #expect(after.entries == recovered.entries)
    }

    @Test("two at one directory are one too many")
    func lock() throws {
        let base = SimulatedDisk()
        let first = try RaftDisk.open(NodeDisk(base: base, owner: DiskOwner(1)), directory: "/raft", first: Self.first)
        defer { first.disk.close() }
        #expect(throws: RaftDiskError.self) {
            try RaftDisk.open(NodeDisk(base: base, owner: DiskOwner(2)), directory: "/raft", first: Self.first)
        }
    }
}
