import KernelStorage
import KernelStructures
import Testing

private let node = DiskOwner(1)
private let other = DiskOwner(2)

extension Disk {
    fileprivate func content(_ path: String) -> String? {
        guard let file = try? open(path, [], owner: .lab), let bytes = try? file.read(at: 0, count: file.size) else {
            return nil
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    fileprivate func create(_ path: String, _ text: String, owner: DiskOwner = node) throws -> any DiskFile {
        let file = try open(path, [.write, .create], owner: owner)
        try file.write(Array(text.utf8), at: 0)
        return file
    }

    /// A file that survives anything.
    fileprivate func createDurable(_ path: String, _ text: String) throws -> any DiskFile {
        let file = try create(path, text)
        try file.sync()
        try syncDirectory(DiskPath.parent(of: path), owner: node)
        return file
    }
}

@Suite("The simulated disk")
struct SimulatedDiskTests {
    @Test("a new file survives a power failure only with its bytes and its name synced")
    func syncPoints() throws {
        for (syncsBytes, syncsName) in [(false, false), (true, false), (false, true), (true, true)] {
            let disk = SimulatedDisk()
            let file = try disk.create("/a", "hello")
            if syncsBytes { try file.sync() }
            if syncsName { try disk.syncDirectory("/", owner: node) }
            let loss = try #require(disk.losePower(owner: node, policy: .dropAll))
            #expect(disk.content("/a") == (syncsName ? (syncsBytes ? "hello" : "") : nil))
            #expect(loss.bytes == (syncsBytes ? 0 : 5) && loss.directoryEntries == (syncsName ? 0 : 1))
            #expect(disk.usedBytes == (syncsName && syncsBytes ? 5 : 0), "lost files must not take space")
        }
    }

    @Test("overwriting, appending, cutting and growing come back byte for byte")
    func undo() throws {
        let disk = SimulatedDisk()
        let file = try disk.createDurable("/a", "0123456789")
        try file.write(Array("xx".utf8), at: 2)
        try file.write(Array("tail".utf8), at: 10)
        try file.write(Array("gap".utf8), at: 20)
        #expect(file.size == 23)
        try file.truncate(to: 5)
        try file.truncate(to: 40)
        try file.write(Array("end".utf8), at: 40)
        _ = disk.losePower(owner: node, policy: .dropAll)
        #expect(disk.content("/a") == "0123456789")
        #expect(disk.usedBytes == 10)
    }

    @Test("a file that grew by truncation alone has its old size after a power failure")
    func grownByTruncation() throws {
        let disk = SimulatedDisk(capacityBytes: 100)
        let file = try disk.createDurable("/a", "abc")
        try file.truncate(to: 50)
        #expect(throws: DiskError.noSpace("/a")) { try file.truncate(to: 101) }
        _ = disk.losePower(owner: node, policy: .dropAll)
        #expect(disk.content("/a") == "abc" && disk.usedBytes == 3)
    }

    @Test("removals and renames whose directory was never synced are undone")
    func names() throws {
        let disk = SimulatedDisk()
        _ = try disk.createDurable("/a", "A")
        _ = try disk.createDurable("/b", "B")
        _ = try disk.createDurable("/c", "C")
        try disk.remove("/c", owner: node)
        try disk.rename("/a", to: "/b", owner: node)
        #expect(disk.content("/b") == "A" && disk.content("/c") == nil)
        let loss = disk.losePower(owner: node, policy: .dropAll)
        #expect(loss?.directoryEntries == 3)
        #expect([disk.content("/a"), disk.content("/b"), disk.content("/c")] == ["A", "B", "C"])
        #expect(disk.usedBytes == 3)
        try disk.rename("/a", to: "/b", owner: node)
        try disk.syncDirectory("/", owner: node)
        _ = disk.losePower(owner: node, policy: .dropAll)
        #expect(disk.content("/a") == nil && disk.content("/b") == "A")
        #expect(disk.usedBytes == 2)
    }

    @Test("the write-sync-rename-sync recipe leaves the old or the new content at every step")
    func atomicReplacement() throws {
        for step in 0...4 {
            let disk = SimulatedDisk()
            _ = try disk.createDurable("/config", "old")
            if step >= 1 {
                let file = try disk.create("/config.new", "new")
                if step >= 2 { try file.sync() }
            }
            if step >= 3 { try disk.rename("/config.new", to: "/config", owner: node) }
            if step >= 4 { try disk.syncDirectory("/", owner: node) }
            _ = disk.losePower(owner: node, policy: .dropAll)
            #expect(disk.content("/config") == (step == 4 ? "new" : "old"))
        }
    }

    @Test("a directory takes what is in it along when its own name was never synced")
    func directories() throws {
        let disk = SimulatedDisk()
        try disk.makeDirectory("/d/e", owner: node)
        let file = try disk.create("/d/e/f", "deep")
        try file.sync()
        try disk.syncDirectory("/d/e", owner: node)
        try disk.syncDirectory("/d", owner: node)
        _ = disk.losePower(owner: node, policy: .dropAll)
        #expect(throws: DiskError.notFound("/d")) { try disk.list("/d") }
        #expect(disk.usedBytes == 0)
    }

    @Test("only the node that loses power loses anything, and terminals never do")
    func owners() throws {
        let disk = SimulatedDisk()
        _ = try disk.create("/mine", "1")
        _ = try disk.create("/theirs", "2", owner: other)
        _ = try disk.create("/lab", "3", owner: .lab)
        _ = disk.losePower(owner: node, policy: .dropAll)
        #expect(try disk.list("/") == ["lab", "theirs"])
        #expect(disk.content("/theirs") == "2" && disk.content("/lab") == "3")
    }

    @Test(
        "with chance, each unsynced write survives whole, in sectors, or not at all",
        arguments: 1...60 as ClosedRange<UInt64>)
    func tornWrites(_ seed: UInt64) throws {
        let disk = SimulatedDisk()
        let file = try disk.createDurable("/log", "head")
        let first = [UInt8](repeating: 1, count: 1536)
        let second = [UInt8](repeating: 2, count: 2048)
        try file.write(first, at: 4)
        try file.write(second, at: 1540)
        _ = disk.losePower(owner: node, policy: .random(seed: seed))
        let bytes = try file.read(at: 0, count: 10_000)
        #expect(bytes.prefix(4) == Array("head".utf8)[...], "what was synced stays")
        let ones = bytes.dropFirst(4).prefix(1536)
        let kept = ones.prefix { $0 == 1 }.count
        #expect(kept % 512 == 0 && ones.dropFirst(kept).allSatisfy { $0 == 0 })
        let twos = bytes.dropFirst(1540)
        let keptTwos = twos.prefix { $0 == 2 }.count
        #expect(keptTwos % 512 == 0 && keptTwos == twos.count)
        #expect(disk.usedBytes == bytes.count)
    }

    @Test("chance reaches every outcome")
    func tornOutcomes() throws {
        var sizes: Set<Int> = []
        for seed in 1...200 as ClosedRange<UInt64> {
            let disk = SimulatedDisk()
            let file = try disk.createDurable("/log", "")
            try file.write([UInt8](repeating: 1, count: 1024), at: 0)
            _ = disk.losePower(owner: node, policy: .random(seed: seed))
            sizes.insert(file.size)
        }
        #expect(sizes == [0, 512, 1024])
    }

    @Test("a full disk refuses a write whole, and has room again when files go")
    func full() throws {
        let disk = SimulatedDisk(capacityBytes: 10)
        let file = try disk.createDurable("/a", "12345678")
        #expect(throws: DiskError.noSpace("/a")) { try file.write([1, 2, 3], at: 8) }
        #expect(disk.content("/a") == "12345678")
        try file.write([1, 2, 3], at: 0)
        try file.truncate(to: 2)
        try file.write([UInt8](repeating: 0, count: 8), at: 2)
        try disk.remove("/a", owner: node)
        #expect(disk.usedBytes == 10, "it could come back with a power failure")
        try disk.syncDirectory("/", owner: node)
        #expect(disk.usedBytes == 0)
        _ = try disk.create("/b", "1234567890")
    }

    @Test("space is given back once, however often a file was moved before it went")
    func spaceCountedOnce() throws {
        let disk = SimulatedDisk()
        try disk.makeDirectory("/d", owner: .lab)
        _ = try disk.createDurable("/a", "12345")
        _ = try disk.createDurable("/keep", "xyz")
        try disk.rename("/a", to: "/b", owner: node)
        try disk.rename("/b", to: "/d/c", owner: node)
        try disk.remove("/d/c", owner: node)
        try disk.syncDirectory("/", owner: node)
        try disk.syncDirectory("/d", owner: node)
        #expect(disk.usedBytes == 3)
    }

    @Test("what a failed sync abandoned stays lost, what is written and synced after it does not")
    func failedSync() throws {
        let base = SimulatedDisk()
        let disk = NodeDisk(base: base, owner: node)
        let file = try disk.open("/a", [.write, .create])
        try disk.syncDirectory("/")
        try file.write(Array("lost".utf8), at: 0)
        disk.faults.failingSyncs = 1
        #expect(throws: DiskError.failed("/a", operation: "sync")) { try file.sync() }
        try file.sync()
        _ = base.losePower(owner: node, policy: .dropAll)
        #expect(
            base.content("/a") == "", "a second sync that succeeds makes nothing durable that the first one dropped")

        try file.write(Array("lost".utf8), at: 0)
        disk.faults.failingSyncs = 1
        #expect(throws: DiskError.self) { try file.sync() }
        try file.write(Array("kept".utf8), at: 0)
        try file.write(Array("more".utf8), at: 6)
        try file.sync()
        _ = base.losePower(owner: node, policy: .dropAll)
        #expect(base.content("/a") == "kept\0\0more")
    }

    @Test("appending behind a lost write keeps what was appended and a hole of zeros")
    func holeAfterFailedSync() throws {
        let base = SimulatedDisk()
        let disk = NodeDisk(base: base, owner: node)
        let file = try disk.open("/a", [.write, .create])
        try disk.syncDirectory("/")
        try file.write(Array("good".utf8), at: 0)
        try file.sync()
        try file.write(Array("lost".utf8), at: 4)
        disk.faults.failingSyncs = 1
        #expect(throws: DiskError.self) { try file.sync() }
        try file.write(Array("tail".utf8), at: 8)
        try file.sync()
        #expect(base.content("/a") == "goodlosttail", "until the power fails, everybody reads what was written")
        _ = base.losePower(owner: node, policy: .dropAll)
        #expect(base.content("/a") == "good\0\0\0\0tail")
    }

    @Test("a write of nothing changes nothing, wherever it is")
    func emptyWrite() throws {
        let disk = SimulatedDisk()
        let file = try disk.create("/a", "abc")
        try file.write([], at: 100)
        #expect(file.size == 3)
    }
}

@Suite("A node's disk and its troubles")
struct NodeDiskTests {
    @Test("a full device lets nothing grow or be created, and the rest go on")
    func full() throws {
        let disk = NodeDisk(base: SimulatedDisk(), owner: node)
        try disk.store(Array("content".utf8), at: "/a")
        try disk.makeDirectory("/there/already")
        disk.faults.isFull = true
        try disk.makeDirectory("/there/already")
        #expect(throws: DiskError.noSpace("/there/new")) { try disk.makeDirectory("/there/new") }
        let file = try disk.open("/a", .write)
        #expect(throws: DiskError.noSpace("/a")) { try file.write([1], at: 7) }
        #expect(throws: DiskError.noSpace("/a")) { try file.truncate(to: 8) }
        #expect(throws: DiskError.noSpace("/b")) { try disk.open("/b", [.write, .create]) }
        #expect(throws: DiskError.noSpace("/d")) { try disk.makeDirectory("/d") }
        try file.write([1], at: 0)
        try file.truncate(to: 3)
        try file.sync()
        try disk.rename("/a", to: "/c")
        try disk.remove("/c")
    }

    @Test("a torn write leaves its first half and fails, as often as it was told to")
    func torn() throws {
        let disk = NodeDisk(base: SimulatedDisk(), owner: node)
        let file = try disk.open("/a", [.write, .create])
        disk.faults.tornWrites = 2
        #expect(throws: DiskError.failed("/a", operation: "write")) { try file.write(Array("123456".utf8), at: 0) }
        #expect(disk.base.content("/a") == "123")
        #expect(throws: DiskError.self) { try file.write([9], at: 0) }
        try file.write(Array("123456".utf8), at: 0)
        #expect(disk.base.content("/a") == "123456")
    }

    @Test("operations cost what is stated, and slowness is added to each")
    func costs() throws {
        let disk = NodeDisk(base: SimulatedDisk(), owner: node, costs: .solidState)
        let file = try disk.open("/a", [.write, .create])
        try file.write([UInt8](repeating: 0, count: 1 << 20), at: 0)
        #expect(disk.collectCost() == .microseconds(520))
        try file.sync()
        #expect(disk.collectCost() == .microseconds(120))
        disk.faults.delay = .milliseconds(5)
        _ = try file.read(at: 0, count: 0)
        #expect(disk.collectCost() == .microseconds(5080))
        #expect(disk.collectCost() == .zero)
    }
}
