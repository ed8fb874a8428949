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
    private let root = Inode(isDirectory: true)
    /// Bytes that all files together may hold.
    public var capacityBytes: Int
    public private(set) var usedBytes = 0

    public init(capacityBytes: Int = 4 << 30) { self.capacityBytes = capacityBytes }

    /// A file or a directory.
    final class Inode {
        let isDirectory: Bool
        var content: [UInt8] = []
        var undo: [Undo] = []
        var entries: [String: Inode] = [:]
        var entryUndo: [EntryUndo] = []

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
    }

    struct EntryUndo {
        let owner: DiskOwner
        let name: String
        let before: Inode?
        let after: Inode?
    }

    // MARK: Names

    private func lookUp(_ path: String) throws(DiskError) -> Inode {
        var inode = root
        for part in path.split(separator: "/") {
            guard inode.isDirectory else { throw .notDirectory(path) }
            guard let next = inode.entries[String(part)] else { throw .notFound(path) }
            inode = next
        }
        return inode
    }

    private func directory(of path: String) throws(DiskError) -> Inode {
        let parent = try lookUp(DiskPath.parent(of: path))
        guard parent.isDirectory else { throw .notDirectory(path) }
        return parent
    }

    private func setEntry(_ name: String, in directory: Inode, to inode: Inode?, owner: DiskOwner) {
        if owner != .lab {
            directory.entryUndo.append(
                EntryUndo(owner: owner, name: name, before: directory.entries[name], after: inode))
        }
        directory.entries[name] = inode
    }

    public func open(_ path: String, _ options: OpenOptions, owner: DiskOwner) throws(DiskError) -> any DiskFile {
        let parent = try directory(of: path)
        let name = DiskPath.name(of: path)
        if let inode = parent.entries[name] {
            if inode.isDirectory { throw .isDirectory(path) }
            if options.contains(.exclusive) { throw .exists(path) }
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
        for part in path.split(separator: "/") {
            if let next = inode.entries[String(part)] {
                guard next.isDirectory else { throw .notDirectory(path) }
                inode = next
            } else {
                let made = Inode(isDirectory: true)
                setEntry(String(part), in: inode, to: made, owner: owner)
                inode = made
            }
        }
    }

    public func remove(_ path: String, owner: DiskOwner) throws(DiskError) {
        let parent = try directory(of: path)
        let name = DiskPath.name(of: path)
        guard let inode = parent.entries[name] else { throw .notFound(path) }
        guard inode.entries.isEmpty else { throw .notEmpty(path) }
        setEntry(name, in: parent, to: nil, owner: owner)
        forgetIfUnreachable(inode, by: owner)
    }

    public func rename(_ source: String, to target: String, owner: DiskOwner) throws(DiskError) {
        let sourceDirectory = try directory(of: source)
        let targetDirectory = try directory(of: target)
        guard let inode = sourceDirectory.entries[DiskPath.name(of: source)] else { throw .notFound(source) }
        if source == target { return }
        if (target + "/").hasPrefix(source + "/") { throw .notPermitted(target) }
        if let replaced = targetDirectory.entries[DiskPath.name(of: target)] {
            if replaced.isDirectory, !replaced.entries.isEmpty { throw .notEmpty(target) }
            if replaced.isDirectory != inode.isDirectory {
                throw replaced.isDirectory ? .isDirectory(target) : .notDirectory(target)
            }
            setEntry(DiskPath.name(of: target), in: targetDirectory, to: inode, owner: owner)
            forgetIfUnreachable(replaced, by: owner)
        } else {
            setEntry(DiskPath.name(of: target), in: targetDirectory, to: inode, owner: owner)
        }
        setEntry(DiskPath.name(of: source), in: sourceDirectory, to: nil, owner: owner)
    }

    /// A file the lab's terminals removed cannot come back, so its space is free at once. One that a node removed may
    /// come back with a power failure, and is counted until the directory is synced.
    private func forgetIfUnreachable(_ inode: Inode, by owner: DiskOwner) {
        if owner == .lab { usedBytes -= inode.content.count }
    }

    public func syncDirectory(_ path: String, owner: DiskOwner) throws(DiskError) {
        let inode = try lookUp(path)
        guard inode.isDirectory else { throw .notDirectory(path) }
        for record in inode.entryUndo {
            if let before = record.before, !before.isDirectory, record.after !== before,
                inode.entries[record.name] !== before, !isLinked(before, from: root)
            {
                usedBytes -= before.content.count
            }
        }
        inode.entryUndo.removeAll()
    }

    private func isLinked(_ inode: Inode, from directory: Inode) -> Bool {
        directory.entries.values.contains { $0 === inode || ($0.isDirectory && isLinked(inode, from: $0)) }
    }

    // MARK: Bytes

    func write(_ bytes: UnsafeRawBufferPointer, to inode: Inode, at offset: Int, path: String, owner: DiskOwner)
        throws(DiskError)
    {
        let end = offset + bytes.count
        let growth = max(0, end - inode.content.count)
        if usedBytes + growth > capacityBytes { throw .noSpace(path) }
        if owner != .lab {
            let covered = Array(inode.content[min(offset, inode.content.count)..<min(end, inode.content.count)])
            inode.undo.append(
                Undo(
                    owner: owner, offset: offset, covered: covered, sizeBefore: inode.content.count,
                    newLength: bytes.count))
        }
        place(bytes, in: inode, at: offset)
    }

    private func place(_ bytes: UnsafeRawBufferPointer, in inode: Inode, at offset: Int) {
        let end = offset + bytes.count
        usedBytes += max(0, end - inode.content.count)
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

    func truncate(_ inode: Inode, to size: Int, owner: DiskOwner) {
        if size == inode.content.count { return }
        if size > inode.content.count {
            let zeros = [UInt8](repeating: 0, count: size - inode.content.count)
            zeros.withUnsafeBytes { place($0, in: inode, at: inode.content.count) }
            return
        }
        if owner != .lab {
            inode.undo.append(
                Undo(
                    owner: owner, offset: size, covered: Array(inode.content[size...]),
                    sizeBefore: inode.content.count, newLength: 0))
        }
        usedBytes -= inode.content.count - size
        inode.content.removeLast(inode.content.count - size)
    }

    func sync(_ inode: Inode) { inode.undo.removeAll { !$0.isAbandoned } }

    /// What Linux does with pages whose write-back failed: they look clean, and are not on the device.
    func abandonUnsynced(_ inode: Inode) {
        for index in inode.undo.indices { inode.undo[index].isAbandoned = true }
    }

    // MARK: Power failure

    public func losePower(owner: DiskOwner, policy: PowerLossPolicy) -> PowerLoss? {
        var loss = PowerLoss()
        var random: SeededRandom?
        if case .random(let seed) = policy { random = SeededRandom(seed: seed) }
        var seen: Set<ObjectIdentifier> = []
        revert(root, owner: owner, random: &random, loss: &loss, seen: &seen)
        return loss
    }

    /// Files first, then names: a file that is about to become unreachable loses nothing that could be seen, and one
    /// that comes back by an undone removal has been reverted as well, because the records hold it.
    private func revert(
        _ directory: Inode, owner: DiskOwner, random: inout SeededRandom?, loss: inout PowerLoss,
        seen: inout Set<ObjectIdentifier>
    ) {
        guard seen.insert(ObjectIdentifier(directory)).inserted else { return }
        var inodes = directory.entries.sorted { $0.key < $1.key }.map(\.value)
        for record in directory.entryUndo { inodes += [record.before, record.after].compactMap { $0 } }
        for inode in inodes {
            if inode.isDirectory {
                revert(inode, owner: owner, random: &random, loss: &loss, seen: &seen)
            } else if seen.insert(ObjectIdentifier(inode)).inserted, inode.undo.contains(where: { $0.owner == owner }) {
                revertFile(inode, random: &random, loss: &loss)
            }
        }
        for record in directory.entryUndo.reversed() where record.owner == owner {
            if directory.entries[record.name] !== record.after { continue }
            directory.entries[record.name] = record.before
            loss.directoryEntries += 1
        }
        directory.entryUndo.removeAll { $0.owner == owner }
    }

    private func revertFile(_ inode: Inode, random: inout SeededRandom?, loss: inout PowerLoss) {
        loss.files += 1
        var survivors: [(offset: Int, bytes: [UInt8])] = []
        for record in inode.undo.reversed() {
            let end = min(record.offset + record.newLength, inode.content.count)
            let written = record.offset < end ? Array(inode.content[record.offset..<end]) : []
            loss.bytes += record.newLength
            if let kept = random?.survivingPrefix(of: written) { survivors.append((record.offset, kept)) }
            undo(record, in: inode)
        }
        inode.undo.removeAll()
        for (offset, bytes) in survivors.reversed() {
            loss.bytes -= bytes.count
            bytes.withUnsafeBytes { place($0, in: inode, at: offset) }
        }
    }

    private func undo(_ record: Undo, in inode: Inode) {
        let before = inode.content.count
        if record.sizeBefore < inode.content.count {
            inode.content.removeLast(inode.content.count - record.sizeBefore)
        } else if record.sizeBefore > inode.content.count {
            inode.content.append(contentsOf: repeatElement(0, count: record.sizeBefore - inode.content.count))
        }
        inode.content.replaceSubrange(
            record.offset..<record.offset + record.covered.count, with: record.covered)
        usedBytes += inode.content.count - before
    }

    // MARK: Open files

    final class OpenFile: DiskFile {
        private let disk: SimulatedDisk
        private let path: String
        private let options: OpenOptions
        private let owner: DiskOwner
        private var inode: Inode?

        init(disk: SimulatedDisk, inode: Inode, path: String, options: OpenOptions, owner: DiskOwner) {
            self.disk = disk
            self.inode = inode
            self.path = path
            self.options = options
            self.owner = owner
        }

        private func openInode(toWrite: Bool = false) throws(DiskError) -> Inode {
            guard let inode else { throw .closed(path) }
            if toWrite, !options.contains(.write) { throw .notPermitted(path) }
            return inode
        }

        var size: Int { inode?.content.count ?? 0 }

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
            disk.truncate(try openInode(toWrite: true), to: size, owner: owner)
        }

        func sync() throws(DiskError) { disk.sync(try openInode()) }

        /// See `SimulatedDisk.abandonUnsynced`.
        func failSync() { if let inode { disk.abandonUnsynced(inode) } }

        func close() { inode = nil }
    }
}

extension SeededRandom {
    /// All, a sector-aligned prefix, or nothing of one unsynced write.
    fileprivate mutating func survivingPrefix(of bytes: [UInt8]) -> [UInt8]? {
        switch below(3) {
        case 0: return nil
        case 1: return bytes
        default:
            let sectors = below(bytes.count / 512 + 1)
            return sectors == 0 ? nil : Array(bytes.prefix(sectors * 512))
        }
    }
}
