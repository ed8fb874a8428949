import KernelStorage
import KernelStructures

/// The directory of a store: `wal/`, blocks by their names, and a lock.
final class StoreFiles {
    let disk: NodeDisk
    let directory: String
    var random: SeededRandom
    /// Nil until recovery is through.
    var wal: WAL?
    private let hasLog: Bool
    private let lock: DiskLock

    var walDirectory: String { "\(directory)/wal" }

    /// - Parameter hasLog: whether there is one; an archive has none.
    /// - Throws: `DiskError.busy` where another process has it.
    init(_ disk: NodeDisk, _ directory: String, hasLog: Bool = true, random: SeededRandom) throws(DiskError) {
        self.disk = disk
        self.directory = directory
        self.hasLog = hasLog
        self.random = random
        try Self.make(disk, hasLog ? "\(directory)/wal" : directory)
        lock = try disk.lock("\(directory)/lock")
    }

    /// Makes a directory, so that its name survives: those above it are synced.
    private static func make(_ disk: NodeDisk, _ path: String) throws(DiskError) {
        try disk.makeDirectory(path)
        var place = path
        while place != "/" {
            place = DiskPath.parent(of: place)
            try disk.syncDirectory(place)
        }
    }

    /// What an interrupted write has left behind.
    func removeLeftovers() throws(DiskError) {
        for name in try disk.list(directory) where name.contains(".tmp-for-") {
            BlockWriter.remove(disk, "\(directory)/\(name)")
        }
        for name in hasLog ? try disk.list(walDirectory) : [] where name.hasSuffix(".tmp") {
            BlockWriter.remove(disk, "\(walDirectory)/\(name)")
        }
    }

    /// Names of blocks, sorted.
    func blockNames() throws(DiskError) -> [String] { try disk.list(directory).filter(ULID.isValid) }

    /// The newest checkpoint: its number and its directory.
    func checkpoint() throws(DiskError) -> (number: Int, path: String)? {
        let numbers = try disk.list(walDirectory).compactMap { name in
            name.hasPrefix("checkpoint.") ? Int(name.dropFirst("checkpoint.".count)) : nil
        }
        return numbers.max().map { ($0, "\(walDirectory)/checkpoint.\(WAL.name($0))") }
    }

    /// Moves a block aside and removes it: half a block must never stand in its place.
    func removeBlock(_ name: String) throws(DiskError) {
        let aside = "\(directory)/\(name).tmp-for-deletion"
        try disk.rename("\(directory)/\(name)", to: aside)
        try disk.syncDirectory(directory)
        BlockWriter.remove(disk, aside)
    }

    func makeName(milliseconds: Int64) -> String { ULID.make(milliseconds: milliseconds, random: &random) }
}
