import KernelStructures

/// A disk in memory that can forget.
///
/// ## The problem
///
/// A program that writes a file and a program that has *stored* a file look the same until the power fails. Between
/// the two stands the operating system's page cache: `write` puts bytes there, `fsync` moves them to the device, and
/// only what was moved is still there afterwards. Names are a second such story: a new file's bytes can be safe
/// while the directory entry that leads to them is not.
///
/// ## An everyday picture
///
/// A clerk takes dictation on a slate and copies it into the ledger when told to. Read the slate and all is there.
/// Wipe the slate (power failure), and the ledger decides what was ever said. This disk keeps the slate as the
/// current content, and beside it a list of corrections that lead back to the ledger.
///
/// ## How
///
/// Every write appends to its file an undo record: the place, the bytes it covered, the size before. `sync` discards
/// the records; a power failure plays them back in reverse. Appends, the common case, have empty undo records, so the
/// ledger costs almost nothing. Directories keep the same kind of list for names.
///
/// ## Where it is wrong
///
/// Real file systems make stronger, system-specific promises (ext4 makes a new file's name durable with its first
/// `fsync`); this one promises only what POSIX does. Writers of one file share its fate: if one of them loses power,
/// the unsynced writes of all are lost.
public final class SimulatedDisk: Disk {
    let root = Inode(isDirectory: true)
    /// Bytes that all files together may hold.
    public var capacityBytes: Int
    public internal(set) var usedBytes = 0
    var locks = LockTable()
    private var lastNumber: UInt64 = 0

    /// Without being told otherwise. Its files live in the program's own memory, and an array that grows takes up to
    /// three times what is in it: a disk that promised more would end the program before it was full.
    public static let defaultCapacityBytes = 1 << 30

    public init(capacityBytes: Int = SimulatedDisk.defaultCapacityBytes) { self.capacityBytes = capacityBytes }

    /// A file or a directory.
    final class Inode {
        let isDirectory: Bool
        var content: [UInt8] = []
        var undo: [Undo] = []
        var entries: [String: Inode] = [:]
        var entryUndo: [EntryUndo] = []
        /// See `DiskFile.identity`; 0 until somebody has asked.
        var number: UInt64 = 0
        /// Whether its bytes are part of `usedBytes`.
        var isCounted = true

        init(isDirectory: Bool) { self.isDirectory = isDirectory }
    }

    /// How to take one unsynced write back. Everything at and beyond `offset` within `newLength` was written.
    struct Undo {
        let owner: DiskOwner
        let offset: Int
        let covered: [UInt8]
        let sizeBefore: Int
        let newLength: Int
        /// The device reported a failed sync for this write; no later sync makes it durable.
        var isAbandoned = false

        /// What is left of this write outside a range, in a file whose size is not in question any more.
        func pieces(outside range: Range<Int>, size: Int) -> [Undo] {
            let end = min(offset + newLength, size)
            let before = offset..<max(offset, min(end, range.lowerBound))
            let after = min(end, max(offset, range.upperBound))..<max(end, offset)
            return [before, after].filter { !$0.isEmpty }.map { piece in
                let old = piece.map { $0 - offset < covered.count ? covered[$0 - offset] : 0 }
                return Undo(
                    owner: owner, offset: piece.lowerBound, covered: old, sizeBefore: size, newLength: piece.count,
                    isAbandoned: true)
            }
        }
    }

    struct EntryUndo {
        let owner: DiskOwner
        let name: String
        let before: Inode?
        let after: Inode?
    }

    // MARK: Names

    func lookUp(_ path: String) throws(DiskError) -> Inode {
        var inode = root
        for part in DiskPath.parts(of: path) {
            guard inode.isDirectory else { throw .notDirectory(path) }
            guard let next = inode.entries[part] else { throw .notFound(path) }
            inode = next
        }
        return inode
    }

    func directory(of path: String) throws(DiskError) -> Inode {
        let parent: Inode
        do throws(DiskError) {
            parent = try lookUp(DiskPath.parent(of: path))
        } catch {
            // The complaint names what was asked for, not the directory that was looked for on the way.
            if case .notFound = error { throw .notFound(path) }
            throw .notDirectory(path)
        }
        guard parent.isDirectory else { throw .notDirectory(path) }
        return parent
    }

    func setEntry(_ name: String, in directory: Inode, to inode: Inode?, owner: DiskOwner) {
        if owner != .lab {
            directory.entryUndo.append(
                EntryUndo(owner: owner, name: name, before: directory.entries[name], after: inode))
        }
        directory.entries[name] = inode
    }

    public func open(_ path: String, _ options: OpenOptions, owner: DiskOwner) throws(DiskError) -> any DiskFile {
        if options.contains(.truncate), !options.contains(.write) { throw .notPermitted(path) }
        if path == "/" { throw .isDirectory(path) }
        let parent = try directory(of: path)
        let name = DiskPath.name(of: path)
        if let inode = parent.entries[name] {
            if options.contains(.exclusive) { throw .exists(path) }
            if inode.isDirectory { throw .isDirectory(path) }
            let file = OpenFile(disk: self, inode: inode, path: path, options: options, owner: owner)
            if options.contains(.truncate) { try file.truncate(to: 0) }
            return file
        }
        guard options.contains(.create), !name.isEmpty else { throw .notFound(path) }
        let inode = Inode(isDirectory: false)
        setEntry(name, in: parent, to: inode, owner: owner)
        return OpenFile(disk: self, inode: inode, path: path, options: options, owner: owner)
    }

    public func attributes(_ path: String) throws(DiskError) -> FileAttributes {
        let inode = try lookUp(path)
        return FileAttributes(isDirectory: inode.isDirectory, size: inode.content.count)
    }

    public func list(_ path: String) throws(DiskError) -> [String] {
        let inode = try lookUp(path)
        guard inode.isDirectory else { throw .notDirectory(path) }
        return inode.entries.keys.sorted()
    }

    public func makeDirectory(_ path: String, owner: DiskOwner) throws(DiskError) {
        var inode = root
        for part in DiskPath.parts(of: path) {
            if let next = inode.entries[part] {
                guard next.isDirectory else { throw .notDirectory(path) }
                inode = next
            } else {
                let made = Inode(isDirectory: true)
                setEntry(part, in: inode, to: made, owner: owner)
                inode = made
            }
        }
    }

    public func remove(_ path: String, owner: DiskOwner) throws(DiskError) {
        if path == "/" { throw .notPermitted(path) }
        let parent = try directory(of: path)
        let name = DiskPath.name(of: path)
        guard let inode = parent.entries[name] else { throw .notFound(path) }
        guard inode.entries.isEmpty else { throw .notEmpty(path) }
        setEntry(name, in: parent, to: nil, owner: owner)
        releaseSpace(of: [inode])
    }

    public func rename(_ source: String, to target: String, owner: DiskOwner) throws(DiskError) {
        if source == "/" || target == "/" { throw .notPermitted(source == "/" ? source : target) }
        let sourceDirectory = try directory(of: source)
        let targetDirectory = try directory(of: target)
        guard let inode = sourceDirectory.entries[DiskPath.name(of: source)] else { throw .notFound(source) }
        if source == target { return }
        if (target + "/").utf8.starts(with: (source + "/").utf8) { throw .notPermitted(target) }
        if (source + "/").utf8.starts(with: (target + "/").utf8) { throw .notEmpty(target) }
        let replaced = targetDirectory.entries[DiskPath.name(of: target)]
        if let replaced {
            if replaced.isDirectory != inode.isDirectory {
                throw replaced.isDirectory ? .isDirectory(target) : .notDirectory(target)
            }
            if !replaced.entries.isEmpty { throw .notEmpty(target) }
        }
        setEntry(DiskPath.name(of: target), in: targetDirectory, to: inode, owner: owner)
        setEntry(DiskPath.name(of: source), in: sourceDirectory, to: nil, owner: owner)
        if let replaced { releaseSpace(of: [replaced]) }
    }

    public func syncDirectory(_ path: String, owner: DiskOwner) throws(DiskError) {
        let inode = try lookUp(path)
        guard inode.isDirectory else { throw .notDirectory(path) }
        let undone = inode.entryUndo.compactMap(\.before)
        inode.entryUndo.removeAll()
        releaseSpace(of: undone)
    }

    /// Numbers are given when they are asked for, so that they depend on nothing else.
    func number(of inode: Inode) -> UInt64 {
        if inode.number == 0 {
            lastNumber += 1
            inode.number = lastNumber
        }
        return inode.number
    }

    // MARK: Space

    /// Gives back the space of those files among `candidates` that no name leads to any more. What a node removed may
    /// come back with a power failure, and is counted until its directory is synced.
    func releaseSpace(of candidates: [Inode]) {
        guard candidates.contains(where: { $0.isCounted }) else { return }
        var reachable: Set<ObjectIdentifier> = []
        collect(root, into: &reachable)
        for inode in candidates { release(inode, unless: reachable) }
    }

    func collect(_ inode: Inode, into reachable: inout Set<ObjectIdentifier>) {
        guard reachable.insert(ObjectIdentifier(inode)).inserted else { return }
        for next in inode.entries.values { collect(next, into: &reachable) }
        for record in inode.entryUndo { if let before = record.before { collect(before, into: &reachable) } }
    }

    func release(_ inode: Inode, unless reachable: Set<ObjectIdentifier>) {
        guard inode.isCounted, !reachable.contains(ObjectIdentifier(inode)) else { return }
        inode.isCounted = false
        usedBytes -= inode.content.count
        for next in inode.entries.values { release(next, unless: reachable) }
        for record in inode.entryUndo { if let before = record.before { release(before, unless: reachable) } }
    }

    /// Counts a change of a file's size, unless its space was given back already.
    func countGrowth(_ bytes: Int, of inode: Inode) {
        if inode.isCounted { usedBytes += bytes }
    }

    // MARK: Bytes

    func write(_ bytes: UnsafeRawBufferPointer, to inode: Inode, at offset: Int, path: String, owner: DiskOwner)
        throws(DiskError)
    {
        if bytes.isEmpty { return }
        let end = offset + bytes.count
        try checkSpace(for: max(0, end - inode.content.count), path)
        if owner != .lab {
            let covered = Array(inode.content[min(offset, inode.content.count)..<min(end, inode.content.count)])
            inode.undo.append(
                Undo(
                    owner: owner, offset: offset, covered: covered, sizeBefore: inode.content.count,
                    newLength: bytes.count))
        }
        place(bytes, in: inode, at: offset)
    }

    func place(_ bytes: UnsafeRawBufferPointer, in inode: Inode, at offset: Int) {
        let end = offset + bytes.count
        countGrowth(max(0, end - inode.content.count), of: inode)
        if offset > inode.content.count {
            inode.content.append(contentsOf: repeatElement(0, count: offset - inode.content.count))
        }
        let overlap = min(bytes.count, inode.content.count - offset)
        if overlap > 0 {
            inode.content.withUnsafeMutableBytes { content in
                UnsafeMutableRawBufferPointer(rebasing: content[offset..<offset + overlap])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<overlap]))
            }
        }
        if overlap < bytes.count { inode.content.append(contentsOf: bytes[overlap...]) }
    }

    func checkSpace(for growth: Int, _ path: String) throws(DiskError) {
        if growth > 0, usedBytes + growth > capacityBytes { throw .noSpace(path) }
    }

    func truncate(_ inode: Inode, to size: Int, path: String, owner: DiskOwner) throws(DiskError) {
        let before = inode.content.count
        if size == before { return }
        try checkSpace(for: size - before, path)
        if owner != .lab {
            let covered = size < before ? Array(inode.content[size...]) : []
            inode.undo.append(
                Undo(
                    owner: owner, offset: min(size, before), covered: covered, sizeBefore: before,
                    newLength: max(0, size - before)))
        }
        resize(inode, to: size)
    }

    /// Cuts the content off, or fills it up with zeros.
    func resize(_ inode: Inode, to size: Int) {
        let before = inode.content.count
        if size < before {
            inode.content.removeLast(before - size)
        } else {
            inode.content.append(contentsOf: repeatElement(0, count: size - before))
        }
        countGrowth(size - before, of: inode)
    }

    /// Makes everything durable but the writes that a failed sync abandoned; what was written over those since is
    /// durable like everything else, and so is the size.
    func sync(_ inode: Inode) {
        var lost: [Undo] = []
        for record in inode.undo {
            if record.isAbandoned {
                lost.append(record)
            } else {
                let isCut = record.newLength == 0
                let written = record.offset..<(isCut ? .max : record.offset + record.newLength)
                lost = lost.flatMap { $0.pieces(outside: written, size: inode.content.count) }
            }
        }
        inode.undo = lost
    }

    /// What Linux does with pages whose write-back failed: they look clean, and are not on the device.
    func abandonUnsynced(_ inode: Inode) {
        for index in inode.undo.indices { inode.undo[index].isAbandoned = true }
    }

    // MARK: Open files

    final class OpenFile: DiskFile {
        let disk: SimulatedDisk
        let path: String
        let options: OpenOptions
        let owner: DiskOwner
        var inode: Inode?

        init(disk: SimulatedDisk, inode: Inode, path: String, options: OpenOptions, owner: DiskOwner) {
            self.disk = disk
            self.inode = inode
            self.path = path
            self.options = options
            self.owner = owner
        }

        func openInode(toWrite: Bool = false) throws(DiskError) -> Inode {
            guard let inode else { throw .closed(path) }
            if toWrite, !options.contains(.write) { throw .notPermitted(path) }
            return inode
        }

        var size: Int { inode?.content.count ?? 0 }
        var identity: UInt64 { inode.map { disk.number(of: $0) } ?? 0 }

        func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int {
            let inode = try openInode()
            let count = max(0, min(buffer.count, inode.content.count - offset))
            if count == 0 { return 0 }
            inode.content.withUnsafeBytes {
                buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count]))
            }
            return count
        }

        func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
            try disk.write(bytes, to: openInode(toWrite: true), at: offset, path: path, owner: owner)
        }

        func truncate(to size: Int) throws(DiskError) {
            try disk.truncate(openInode(toWrite: true), to: size, path: path, owner: owner)
        }

        func sync() throws(DiskError) { disk.sync(try openInode()) }

        /// See `SimulatedDisk.abandonUnsynced`.
        func failSync() { if let inode { disk.abandonUnsynced(inode) } }

        func close() { inode = nil }
    }
}

extension SeededRandom {
    /// All, a sector-aligned prefix, or nothing of one unsynced write.
    mutating func survivingPrefix(of bytes: [UInt8]) -> [UInt8]? {
        switch below(3) {
        case 0: return nil
        case 1: return bytes
        default:
            let sectors = below(bytes.count / 512 + 1)
            return sectors == 0 ? nil : Array(bytes.prefix(sectors * 512))
        }
    }
}
