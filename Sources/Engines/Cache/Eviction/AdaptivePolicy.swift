/// A stand-in until the shadows are there.
final class AdaptivePolicy: EvictionPolicy {
    private let inner = WTinyLFUPolicy()
    var byteCount: Int { inner.byteCount }
    func insert(_ id: ItemID, hash: UInt64) { inner.insert(id, hash: hash) }
    func access(_ id: ItemID, hash: UInt64) { inner.access(id, hash: hash) }
    func remove(_ id: ItemID, hash: UInt64, isEviction: Bool) { inner.remove(id, hash: hash, isEviction: isEviction) }
    func victim() -> ItemID? { inner.victim() }
}
