extension SimulatedDisk {
    public func lock(_ path: String, owner: DiskOwner) throws(DiskError) -> DiskLock {
        if let holder = locks.holder(path) {
            guard holder.owner == owner else { throw .busy(path) }
            holder.supersede()
        }
        let lock = DiskLock(path: path, owner: owner) { [weak self] in self?.locks.forget(path) }
        locks.note(lock)
        return lock
    }
}
