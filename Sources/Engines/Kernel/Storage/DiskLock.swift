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

    /// Given to another life of its owner: letting go of it frees nothing any more.
    func supersede() { onRelease = nil }

    deinit { release() }
}

/// The locks of one disk.
struct LockTable {
    private struct Entry {
        weak var lock: DiskLock?
    }
    private var entries: [String: Entry] = [:]

    /// The lock that is held on a path.
    func holder(_ path: String) -> DiskLock? { entries[path]?.lock }

    mutating func note(_ lock: DiskLock) { entries[lock.path] = Entry(lock: lock) }
    mutating func forget(_ path: String) { entries[path] = nil }
}
