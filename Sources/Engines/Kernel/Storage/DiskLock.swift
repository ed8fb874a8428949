/// A path that is kept to one owner: for programs that must not share their files. It is free again when it is
/// released, or nobody holds this object any more.
public final class DiskLock {
    public let path: String
    public let owner: DiskOwner
    private var onRelease: (() -> Void)?

    init(path: String, owner: DiskOwner, onRelease: @escaping () -> Void = {}) {
        self.path = path
        self.owner = owner
        self.onRelease = onRelease
    }

    public func release() {
        onRelease?()
        onRelease = nil
    }

    /// The lock for another life of its owner: letting go of this one frees nothing any more.
    func handedOver() -> DiskLock {
        let next = DiskLock(path: path, owner: owner, onRelease: onRelease ?? {})
        onRelease = nil
        return next
    }

    deinit { release() }
}

/// The locks of one disk.
struct LockTable {
    private struct Entry {
        weak var lock: DiskLock?
    }
    private var entries: [String: Entry] = [:]

    /// The lock again, where its owner has it already; nil where nobody has.
    mutating func renew(_ path: String, owner: DiskOwner) throws(DiskError) -> DiskLock? {
        guard let holder = entries[path]?.lock else { return nil }
        guard holder.owner == owner else { throw .busy(path) }
        let lock = holder.handedOver()
        note(lock)
        return lock
    }

    mutating func note(_ lock: DiskLock) { entries[lock.path] = Entry(lock: lock) }
    mutating func forget(_ path: String) { entries[path] = nil }
}
