/// A disk whose machine loses power at a chosen operation: that one and all later ones fail, and the power failure
/// takes what was not synced.
public final class CrashDisk: Disk {
    public let base: SimulatedDisk
    /// Operations that change something, so far.
    public private(set) var operations = 0
    /// The number of the operation at which power goes, before it has any effect.
    public var crashAt = Int.max

    public init(_ base: SimulatedDisk) { self.base = base }

    /// Whether files can have a second name.
    public var hasLinks = true

    public var isDead: Bool { operations > crashAt }

    fileprivate func count(_ path: String) throws(DiskError) {
        operations += 1
        if isDead { throw .failed(path, operation: "power") }
    }

    public func open(_ path: String, _ options: OpenOptions, owner: DiskOwner) throws(DiskError) -> any DiskFile {
        if options.contains(.create) { try count(path) }
        if isDead { throw .failed(path, operation: "power") }
        return CrashFile(base: try base.open(path, options, owner: owner), disk: self, path: path)
    }
    public func attributes(_ path: String) throws(DiskError) -> FileAttributes { try base.attributes(path) }
    public func list(_ path: String) throws(DiskError) -> [String] { try base.list(path) }
    public func makeDirectory(_ path: String, owner: DiskOwner) throws(DiskError) {
        try count(path)
        try base.makeDirectory(path, owner: owner)
    }
    public func remove(_ path: String, owner: DiskOwner) throws(DiskError) {
        try count(path)
        try base.remove(path, owner: owner)
    }
    public func rename(_ source: String, to target: String, owner: DiskOwner) throws(DiskError) {
        try count(source)
        try base.rename(source, to: target, owner: owner)
    }
    public func link(_ source: String, to target: String, owner: DiskOwner) throws(DiskError) {
        if !hasLinks { throw .notPermitted(target) }
        try count(target)
        try base.link(source, to: target, owner: owner)
    }
    public func syncDirectory(_ path: String, owner: DiskOwner) throws(DiskError) {
        try count(path)
        try base.syncDirectory(path, owner: owner)
    }
    public func lock(_ path: String, owner: DiskOwner) throws(DiskError) -> DiskLock {
        try base.lock(path, owner: owner)
    }
    public func losePower(owner: DiskOwner, policy: PowerLossPolicy) -> PowerLoss? {
        base.losePower(owner: owner, policy: policy)
    }

    private final class CrashFile: DiskFile {
        let base: any DiskFile
        let disk: CrashDisk
        let path: String

        init(base: any DiskFile, disk: CrashDisk, path: String) {
            self.base = base
            self.disk = disk
            self.path = path
        }

        var size: Int { base.size }
        var identity: UInt64 { base.identity }
        func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int {
            if disk.isDead { throw .failed(path, operation: "power") }
            return try base.read(at: offset, into: buffer)
        }
        func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
            try disk.count(path)
            try base.write(bytes, at: offset)
        }
        func truncate(to size: Int) throws(DiskError) {
            try disk.count(path)
            try base.truncate(to: size)
        }
        func sync() throws(DiskError) {
            try disk.count(path)
            try base.sync()
        }
        func close() { base.close() }
    }
}
