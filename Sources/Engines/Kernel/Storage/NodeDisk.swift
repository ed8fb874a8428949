import KernelStructures

/// A disk as one node sees it: its own writes, its own troubles.
///
/// Faults sit here, above either disk, so that they act on engines that never heard of them: a full device, a sync
/// that fails, a write that stops half way, a device that became slow.
public final class NodeDisk {
    public let base: any Disk
    public let owner: DiskOwner
    public var faults = DiskFaults()
    /// What operations cost in lab time; zero on the host's own disk, where they cost real time.
    public var costs: DiskCosts
    /// Lab time that operations have cost since the owner last collected it.
    public private(set) var accruedCost = LabDuration.zero

    public init(base: any Disk, owner: DiskOwner, costs: DiskCosts = .free) {
        self.base = base
        self.owner = owner
        self.costs = costs
    }

    /// The same files for a job on another thread; nil where they are not the host's own, or where faults are to act.
    public func forWorker() -> NodeDisk? {
        guard base is FileDisk, faults.isQuiet else { return nil }
        return NodeDisk(base: base, owner: owner)
    }

    public func collectCost() -> LabDuration {
        defer { accruedCost = .zero }
        return accruedCost
    }

    public func open(_ path: String, _ options: OpenOptions) throws(DiskError) -> any DiskFile {
        if faults.isFull, options.contains(.create), (try? base.attributes(path)) == nil { throw .noSpace(path) }
        return NodeFile(base: try base.open(path, options, owner: owner), disk: self, path: path)
    }

    public func attributes(_ path: String) throws(DiskError) -> FileAttributes { try base.attributes(path) }
    public func list(_ path: String) throws(DiskError) -> [String] { try base.list(path) }
    public func makeDirectory(_ path: String) throws(DiskError) {
        // One that is there already needs no room.
        if faults.isFull, (try? base.attributes(path))?.isDirectory != true { throw .noSpace(path) }
        try base.makeDirectory(path, owner: owner)
    }
    public func remove(_ path: String) throws(DiskError) { try base.remove(path, owner: owner) }
    public func rename(_ source: String, to target: String) throws(DiskError) {
        try base.rename(source, to: target, owner: owner)
    }
    public func link(_ source: String, to target: String) throws(DiskError) {
        if faults.isFull { throw .noSpace(target) }
        try base.link(source, to: target, owner: owner)
    }
    public func syncDirectory(_ path: String) throws(DiskError) {
        charge(costs.sync)
        try failIfSyncMust(path)
        try base.syncDirectory(path, owner: owner)
    }

    public func lock(_ path: String) throws(DiskError) -> DiskLock { try base.lock(path, owner: owner) }

    /// A whole file, at most `limit` bytes.
    public func contents(of path: String, limit: Int = 64 << 20) throws(DiskError) -> [UInt8] {
        let file = try open(path, [])
        defer { file.close() }
        guard file.size <= limit else { throw .failed(path, operation: "read: larger than \(byteCountText(limit))") }
        return try file.read(at: 0, count: file.size)
    }

    /// Replaces a file's content.
    public func store(_ bytes: [UInt8], at path: String) throws(DiskError) {
        let file = try open(path, [.write, .create, .truncate])
        defer { file.close() }
        try file.write(bytes, at: 0)
    }

    func charge(_ cost: LabDuration) { accruedCost += cost + faults.delay }

    func failIfSyncMust(_ path: String) throws(DiskError) {
        guard faults.failingSyncs.use() else { return }
        throw .failed(path, operation: "sync")
    }
}

/// Troubles of one node's disk.
public struct DiskFaults: Equatable, Sendable {
    /// Nothing can be created and no file can grow.
    public var isFull = false
    /// The next this many syncs fail, and what they covered never reaches the device.
    public var failingSyncs = FaultCount()
    /// The next this many writes stop half way and fail.
    public var tornWrites = FaultCount()
    /// Added to every operation's cost.
    public var delay = LabDuration.zero
    public init() {}

    /// Whether nothing goes wrong now.
    public var isQuiet: Bool { !isFull && delay == .zero && failingSyncs.total == 0 && tornWrites.total == 0 }
}

/// How often something still goes wrong: the sum of what several rules ask for, used up rule by rule.
///
/// A rule that is used up stays in the list with nothing left, so that it is not taken for a new one.
public struct FaultCount: Equatable, Sendable, ExpressibleByIntegerLiteral {
    private var rules: [Rule] = []

    private struct Rule: Equatable, Sendable {
        let number: Int
        var left: Int
    }

    public init() {}

    /// So often, on behalf of no rule.
    public init(integerLiteral value: Int) { rules = [Rule(number: 0, left: value)] }

    public var total: Int { rules.reduce(0) { $0 + $1.left } }

    /// What a rule has left; nil for one that is not in the list.
    public func left(of number: Int) -> Int? { rules.first { $0.number == number }?.left }
    public mutating func add(_ count: Int, of number: Int) { rules.append(Rule(number: number, left: count)) }

    /// Uses one up, of the oldest rule that has any. Returns false if none is left.
    mutating func use() -> Bool {
        guard let index = rules.firstIndex(where: { $0.left > 0 }) else { return false }
        rules[index].left -= 1
        return true
    }
}

/// Lab time per operation.
public struct DiskCosts: Sendable {
    public var read: LabDuration
    public var write: LabDuration
    public var sync: LabDuration
    public var perMebibyte: LabDuration

    public static let free = DiskCosts(read: .zero, write: .zero, sync: .zero, perMebibyte: .zero)
    /// A data-centre SSD, near enough: 80 µs to read, 20 µs into the page cache, 120 µs to sync, 2 GiB/s.
    public static let solidState = DiskCosts(
        read: .microseconds(80), write: .microseconds(20), sync: .microseconds(120), perMebibyte: .microseconds(500))
}

private final class NodeFile: DiskFile {
    private let base: any DiskFile
    private let disk: NodeDisk
    private let path: String

    init(base: any DiskFile, disk: NodeDisk, path: String) {
        self.base = base
        self.disk = disk
        self.path = path
    }

    private func cost(_ start: LabDuration, _ byteCount: Int) -> LabDuration {
        start
            + LabDuration(
                nanoseconds: Int64(Double(disk.costs.perMebibyte.nanoseconds) * Double(byteCount) / 1_048_576))
    }

    var size: Int { base.size }
    var identity: UInt64 { base.identity }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int {
        disk.charge(cost(disk.costs.read, buffer.count))
        return try base.read(at: offset, into: buffer)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
        disk.charge(cost(disk.costs.write, bytes.count))
        if disk.faults.isFull, offset + bytes.count > base.size { throw .noSpace(path) }
        if disk.faults.tornWrites.use() {
            try base.write(UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count / 2)]), at: offset)
            throw .failed(path, operation: "write")
        }
        try base.write(bytes, at: offset)
    }

    func truncate(to size: Int) throws(DiskError) {
        if disk.faults.isFull, size > base.size { throw .noSpace(path) }
        try base.truncate(to: size)
    }

    func sync() throws(DiskError) {
        disk.charge(disk.costs.sync)
        do throws(DiskError) {
            try disk.failIfSyncMust(path)
        } catch {
            (base as? SimulatedDisk.OpenFile)?.failSync()
            throw error
        }
        try base.sync()
    }

    func syncForWorker() -> FileSync? { disk.faults.isQuiet ? base.syncForWorker() : nil }

    func reserve(_ byteCount: Int) { base.reserve(byteCount) }

    func close() { base.close() }
}
