extension SimulatedDisk {
    public func lock(_ path: String, owner: DiskOwner) throws(DiskError) -> DiskLock {
        if let lock = try locks.renew(path, owner: owner) { return lock }
        let lock = DiskLock(path: path, owner: owner) { [weak self] in self?.locks.forget(path) }
        locks.note(lock)
        return lock
    }
}
