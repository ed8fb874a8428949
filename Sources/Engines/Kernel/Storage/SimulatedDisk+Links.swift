extension SimulatedDisk {
    public func link(_ source: String, to target: String, owner: DiskOwner) throws(DiskError) {
        let inode = try lookUp(source)
        if inode.isDirectory { throw .isDirectory(source) }
        let parent = try directory(of: target)
        let name = DiskPath.name(of: target)
        if parent.entries[name] != nil { throw .exists(target) }
        if name.isEmpty { throw .exists(target) }
        setEntry(name, in: parent, to: inode, owner: owner)
    }
}
