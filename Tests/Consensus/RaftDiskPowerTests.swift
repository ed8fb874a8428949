import ConsensusEngine
import KernelStorage
import TestSupport
import Testing

/// What a member did with its disk, and what it may have told others by then.
private struct Life {
    static let owner = DiskOwner(1)
    static let directory = "/raft"
    /// The state at an index is the index: so a snapshot with a hole, or an entry in the wrong place, would be seen.
    static func snapshot(_ index: Int, term: Int) -> RaftSnapshot {
        RaftSnapshot(
            position: .init(index: index, term: term), configuration: .init(voters: [1, 2, 3]),
            data: [UInt8](repeating: UInt8(index), count: 700))
    }
    static let first = snapshot(1, term: 1)

    /// What is on the disk for certain, once a call has returned.
    var lastIndex = 1
    var hardState = HardState()

    private static func append(_ indices: ClosedRange<Int>, term: Int, vote: Int) -> Ready.Append {
        var append = Ready.Append()
        append.entries = indices.map { RaftEntry(index: $0, term: term, data: [UInt8($0)]) }
        append.hardState = HardState(term: term, vote: vote, commit: indices.lowerBound - 1)
        append.mustSync = true
        return append
    }

    private mutating func write(_ disk: RaftDisk, _ appends: [Ready.Append]) throws {
        try disk.write(appends)
        for append in appends {
            lastIndex = append.entries.last?.index ?? append.snapshot?.index ?? lastIndex
            hardState = append.hardState ?? hardState
        }
    }

    /// Opens an empty disk, and does with it all that a member does.
    mutating func run(_ node: NodeDisk) throws {
        let disk = try RaftDisk.open(node, directory: Self.directory, first: Self.first).disk
        defer { disk.close() }
        for index in 2...9 { try write(disk, [Self.append(index...index, term: 2, vote: 1)]) }
        try disk.compact(Self.snapshot(8, term: 2), keepFrom: .init(index: 6, term: 2))
        try write(disk, [Self.append(10...11, term: 2, vote: 1), Self.append(12...12, term: 3, vote: 2)])
        // It was left behind, and is told; the rest of the log comes with it.
        var told = Ready.Append()
        told.snapshot = Self.snapshot(20, term: 4)
        told.hardState = HardState(term: 4, vote: 0, commit: 20)
        told.mustSync = true
        try write(disk, [told, Self.append(21...21, term: 4, vote: 0)])
        for index in 22...24 { try write(disk, [Self.append(index...index, term: 5, vote: 3)]) }
        try disk.compact(Self.snapshot(23, term: 5), keepFrom: .init(index: 23, term: 5))
        try write(disk, [Self.append(25...25, term: 5, vote: 3)])
    }

    /// What is there makes one state, and nothing is missing of what was promised.
    func check(_ recovered: RaftDisk.Recovered, _ place: String) throws {
        let snapshot = try #require(recovered.snapshot)
        #expect(snapshot.data == Self.snapshot(snapshot.index, term: 1).data, "\(place)")
        #expect(recovered.base.index <= snapshot.index, "\(place)")
        let last = recovered.base.index + recovered.entries.count
        #expect(
            recovered.entries.map(\.index) == Array(recovered.base.index..<last).map { $0 + 1 }, "\(place)")
        #expect(recovered.entries.allSatisfy { $0.data == [UInt8($0.index)] }, "\(place)")
        #expect(last >= max(lastIndex, snapshot.index), "\(place): \(last) of \(lastIndex)")
        #expect(recovered.hardState.commit <= last, "\(place)")
        #expect(recovered.hardState.term >= hardState.term, "\(place)")
        if recovered.hardState.term == hardState.term {
            #expect(recovered.hardState.vote == hardState.vote, "\(place)")
        }
    }
}

@Suite("A member's disk, when power goes")
struct RaftDiskPowerTests {
    private func lose(_ base: SimulatedDisk, _ round: Int) {
        _ = base.losePower(
            owner: Life.owner, policy: round == 0 ? .dropAll : .random(seed: UInt64(round)))
    }

    private func open(_ disk: any Disk) throws -> RaftDisk.Recovered {
        let opened = try RaftDisk.open(
            NodeDisk(base: disk, owner: Life.owner), directory: Life.directory, first: Life.first)
        opened.disk.close()
        return opened.recovered
    }

    private var operationCount: Int {
        get throws {
            let disk = CrashDisk(SimulatedDisk())
            var life = Life()
            try life.run(NodeDisk(base: disk, owner: Life.owner))
            return disk.operations
        }
    }

    @Test("at whatever operation it goes: no hole, and all that was promised; and when it goes again while recovering")
    func everywhere() throws {
        let count = try operationCount
        #expect(count > 60)
        for place in 0...count {
            for round in 0..<4 {
                let base = SimulatedDisk()
                let dying = CrashDisk(base)
                dying.crashAt = place
                var life = Life()
                try? life.run(NodeDisk(base: dying, owner: Life.owner))
                lose(base, round)
                // Recovering writes as well; what it does last is done once in each world.
                let again = CrashDisk(base)
                again.crashAt = (place + round) % 14
                if let recovered = try? open(again) { try life.check(recovered, "\(place), at once") }
                lose(base, round)
                try life.check(try open(base), "\(place)/\(round)")
            }
        }
    }

    // MARK: What no power failure does

    private func lived() throws -> SimulatedDisk {
        let base = SimulatedDisk()
        var life = Life()
        try life.run(NodeDisk(base: base, owner: Life.owner))
        return base
    }

    private func refusal(_ disk: any Disk) throws -> String {
        do {
            let recovered = try open(disk)
            return "opened: \(recovered)"
        } catch let error as RaftDiskError {
            guard case .damaged = error else { return "another error: \(error)" }
            #expect(error.description.contains("remove this member from the group, and add a new one"))
            return error.description
        }
    }

    @Test("one file without the other is refused, and so are files that do not fit together")
    func missing() throws {
        let base = try lived()
        let node = NodeDisk(base: base, owner: Life.owner)
        let log = try node.contents(of: "/raft/log")
        let snapshot = try node.contents(of: "/raft/snapshot")

        try node.remove("/raft/snapshot")
        #expect(try refusal(base).hasPrefix("/raft/snapshot is damaged at byte 0: it is missing"))
        try node.store(snapshot, at: "/raft/snapshot")
        try node.remove("/raft/log")
        #expect(try refusal(base).hasPrefix("/raft/log is damaged at byte 0: it is missing"))

        // Of an earlier day: the log has forgotten what stands between.
        let other = SimulatedDisk()
        let early = NodeDisk(base: other, owner: Life.owner)
        try RaftDisk.open(early, directory: Life.directory, first: Life.first).disk.close()
        try node.store(log, at: "/raft/log")
        try node.store(try early.contents(of: "/raft/snapshot"), at: "/raft/snapshot")
        #expect(try refusal(base).contains("it ends at 1, and the log begins behind 23"))
        // And an early log with a late snapshot is what a power failure may leave.
        try early.store(snapshot, at: "/raft/snapshot")
        #expect(try open(other).snapshot?.index == 23)
    }

    @Test("whatever byte of a snapshot changes, and wherever it ends too early: it is refused")
    func damagedSnapshot() throws {
        let base = try lived()
        let node = NodeDisk(base: base, owner: Life.owner)
        let bytes = try node.contents(of: "/raft/snapshot")
        for place in bytes.indices {
            var damaged = bytes
            damaged[place] ^= 1 << UInt8(place % 8)
            try node.store(damaged, at: "/raft/snapshot")
            #expect(try refusal(base).contains("its checksum does not fit"), "byte \(place)")
            try node.store(Array(bytes[..<place]), at: "/raft/snapshot")
            #expect(try refusal(base).contains("its checksum does not fit"), "\(place) bytes")
        }
    }

    @Test("a log whose beginning is gone is refused, not taken for an empty one: a vote stood there")
    func damagedBeginning() throws {
        let base = try lived()
        try open(base).entries.forEach { #expect($0.index > 23) }
        let node = NodeDisk(base: base, owner: Life.owner)
        // It was written anew when it was opened, as one batch.
        let bytes = try node.contents(of: "/raft/log")
        for place in bytes.indices {
            var damaged = bytes
            damaged[place] ^= 1 << UInt8(place % 8)
            try node.store(damaged, at: "/raft/log")
            #expect(try refusal(base).hasPrefix("/raft/log is damaged"), "byte \(place)")
            try node.store(Array(bytes[..<place]), at: "/raft/log")
            #expect(try refusal(base).hasPrefix("/raft/log is damaged"), "\(place) bytes")
        }
    }
}
