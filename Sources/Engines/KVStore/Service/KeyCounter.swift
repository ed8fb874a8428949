import KVStoreEngine
import KernelStructures

/// Keys that are stored, those included whose time is over and that nobody has deleted yet.
struct KeyCount: Equatable {
    var keys = 0
    /// Those of them that expire.
    var expiring = 0

    mutating func add(_ stored: UnsafeRawBufferPointer, _ times: Int = 1) {
        keys += times
        if StoredValue.read(stored).expiry != 0 { expiring += times }
    }

    static func - (a: KeyCount, b: KeyCount) -> KeyCount {
        KeyCount(keys: a.keys - b.keys, expiring: a.expiring - b.expiring)
    }
}

/// How many keys there are, exactly, though no write keeps count.
///
/// ## The problem
///
/// A tree that only appends does not know whether a key that is written was there before. To know it, each write would
/// have to read first, and writes are what such a store is for. The number of its entries says little: after a hundred
/// thousand writes of one key there may be as many entries, and deleting everything adds to them.
///
/// ## An everyday picture
///
/// A librarian is asked how many titles she has. She goes along the shelves once, counts, and notes the number and the
/// hour. Asked again, she looks through the trolley of what came in since: a second copy of a title adds nothing. Only
/// when the trolley has been emptied into the shelves in between does she walk again.
///
/// ## How
///
/// A count is kept with the moment for which it holds. `KVStore.visitChanges` tells what was written since, out of the
/// memtable; so an answer costs a walk over a memtable at most, and nothing where nothing was written. Once a memtable
/// with later writes has become a table, everything is walked again, in pieces between which others are served.
///
/// ## Where it is wrong
///
/// Whoever asks a large store that is written to all the time pays for a walk each time. Redis answers at once, because
/// a hash table knows how many entries it has.
final class KeyCounter {
    private let store: KVStore
    private var known: (count: KeyCount, moment: StoreMoment)?
    private var walk: Walk?

    private struct Walk {
        let iterator: KVStoreIterator
        let moment: StoreMoment
        var count = KeyCount()
    }

    init(_ store: KVStore) { self.store = store }

    /// The number of keys now; nil where they have to be walked over (`step`).
    func count() throws(KVStoreError) -> KeyCount? {
        guard var (count, moment) = known else { return nil }
        let isTold = try store.visitChanges(since: moment) { key, before, now in
            if StoredValue.isReserved(key) { return }
            if let before { count.add(before, -1) }
            if let now { count.add(now) }
        }
        moment = store.moment
        known = isTold ? (count, moment) : nil
        return isTold ? count : nil
    }

    /// Everything was deleted just now.
    func emptied() {
        walk = nil
        known = (KeyCount(), store.moment)
    }

    var isWalking: Bool { walk != nil }

    /// Walks on, over so many keys at most, or begins to.
    ///
    /// - Returns: the number of keys at the moment at which the walk began, once it has ended; nil before.
    func step(_ limit: Int) throws(KVStoreError) -> KeyCount? {
        do throws(KVStoreError) {
            var now = if let walk { walk } else { try begin() }
            walk = nil
            for _ in 0..<limit {
                guard now.iterator.isValid else {
                    known = (now.count, now.moment)
                    return now.count
                }
                if StoredValue.isReserved(now.iterator.key) {
                    try now.iterator.seek(StoredValue.firstUnreserved)
                } else {
                    now.count.add(now.iterator.value)
                    try now.iterator.next()
                }
            }
            walk = now
            return nil
        } catch {
            walk = nil
            throw error
        }
    }

    private func begin() throws(KVStoreError) -> Walk {
        let walk = Walk(iterator: try store.makeIterator(), moment: store.moment)
        try walk.iterator.seekToFirst()
        return walk
    }
}
