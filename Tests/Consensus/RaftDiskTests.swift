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

    @Test("a disk keeps the identity that it was given first, through snapshots and lives")
    func identity() throws {
        let node = NodeDisk(base: SimulatedDisk(), owner: Self.owner)
        func open(_ identity: Int) throws -> (disk: RaftDisk, recovered: RaftDisk.Recovered) {
            try RaftDisk.open(node, directory: "/raft", first: Self.first, identity: identity)
        }
        let (disk, recovered) = try open(7)
        #expect(recovered.identity == 7)
        var append = Ready.Append()
        append.entries = [RaftEntry(index: 2, term: 1, data: [5])]
        append.mustSync = true
        try disk.write([append])
        try disk.compact(
            RaftSnapshot(position: .init(index: 2, term: 1), configuration: .init(voters: [1])),
            keepFrom: .init(index: 2, term: 1))
        disk.close()
        let again = try open(9)
        again.disk.close()
        #expect(again.recovered.identity == 7 && again.recovered.snapshot?.index == 2)
        // One from before there were identities gets one.
        let old = NodeDisk(base: SimulatedDisk(), owner: Self.owner)
        try RaftDisk.open(old, directory: "/raft", first: Self.first).disk.close()
        let new = try RaftDisk.open(old, directory: "/raft", first: Self.first, identity: 3)
        new.disk.close()
        #expect(new.recovered.identity == 3)
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
