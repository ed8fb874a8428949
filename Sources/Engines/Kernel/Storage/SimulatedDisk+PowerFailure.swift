import KernelStructures

extension SimulatedDisk {
    // MARK: Power failure

    public func losePower(owner: DiskOwner, policy: PowerLossPolicy) -> PowerLoss? {
        var loss = PowerLoss()
        var random: SeededRandom?
        if case .random(let seed) = policy { random = SeededRandom(seed: seed) }
        var seen: Set<ObjectIdentifier> = []
        var dropped: [Inode] = []
        revert(root, owner: owner, random: &random, loss: &loss, seen: &seen, dropped: &dropped)
        releaseSpace(of: dropped)
        return loss
    }

    /// Files first, then names: a file that is about to become unreachable loses nothing that could be seen, and one
    /// that comes back by an undone removal has been reverted as well, because the records hold it.
    func revert(
        _ directory: Inode, owner: DiskOwner, random: inout SeededRandom?, loss: inout PowerLoss,
        seen: inout Set<ObjectIdentifier>, dropped: inout [Inode]
    ) {
        guard seen.insert(ObjectIdentifier(directory)).inserted else { return }
        var inodes = directory.entries.sorted { $0.key < $1.key }.map(\.value)
        for record in directory.entryUndo { inodes += [record.before, record.after].compactMap { $0 } }
        for inode in inodes {
            if inode.isDirectory {
                revert(inode, owner: owner, random: &random, loss: &loss, seen: &seen, dropped: &dropped)
            } else if seen.insert(ObjectIdentifier(inode)).inserted, inode.undo.contains(where: { $0.owner == owner }) {
                revertFile(inode, random: &random, loss: &loss)
            }
        }
        for record in directory.entryUndo.reversed() where record.owner == owner {
            if let after = record.after { dropped.append(after) }
            if directory.entries[record.name] !== record.after { continue }
            directory.entries[record.name] = record.before
            loss.directoryEntries += 1
        }
        directory.entryUndo.removeAll { $0.owner == owner }
    }

    func revertFile(_ inode: Inode, random: inout SeededRandom?, loss: inout PowerLoss) {
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

    func undo(_ record: Undo, in inode: Inode) {
        if record.sizeBefore != inode.content.count { resize(inode, to: record.sizeBefore) }
        // A write beyond the end covered nothing, and its place may lie beyond what is left.
        if record.covered.isEmpty { return }
        inode.content.replaceSubrange(
            record.offset..<record.offset + record.covered.count, with: record.covered)
    }
}
