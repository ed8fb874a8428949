import CacheClusterEngine
import CacheEngine
import CacheService
import KernelStructures

/// A node's cache as the cluster sees it: slots.
final class CacheStore: ClusterStore {
    private let cache: Cache

    init(_ cache: Cache) {
        self.cache = cache
        for slot in 0..<SlotNumber.count { cache.setCopy(slot: slot, true) }
    }

    func keyCount(inSlot slot: Int) -> Int { cache.keyCount(inSlot: slot) }

    func contents(ofSlot slot: Int) -> [[[UInt8]]] {
        guard cache.keyCount(inSlot: slot) > 0 else { return [] }
        return cache.keys(inSlot: slot).compactMap { key in
            guard let payload = cache.dump(key) else { return nil }
            return Self.restore(key, payload, expiry: cache.expiry(of: key) ?? 0)
        }
    }

    /// - Parameter expiry: milliseconds since 1970; 0: never.
    static func restore(_ key: [UInt8], _ payload: [UInt8], expiry: Int) -> [[UInt8]] {
        let words = [Array("RESTORE".utf8), key, Array("\(max(0, expiry))".utf8), payload, Array("REPLACE".utf8)]
        return expiry > 0 ? words + [Array("ABSTTL".utf8)] : words
    }

    func clear(slot: Int) { cache.removeKeys(inSlot: slot) }
    func setCopy(slot: Int, _ isCopy: Bool) { cache.setCopy(slot: slot, isCopy) }
    func apply(_ command: [[UInt8]]) { cache.apply(command) }
}
