import KernelStructures

/// The entries of this process by key, no more of them, and no heavier, than was agreed.
///
/// Who has to go is found by SIEVE (Zhang et al., "SIEVE is Simpler than LRU", NSDI 2024). Entries stand in a queue in
/// the order in which they came, and a hand walks from the oldest to the newest. An entry that was read since the hand
/// last passed is let be, and its mark is taken off; the first one without a mark goes. A read only sets a mark, where
/// LRU has to move the entry to the front of a list: that is what makes a hit cheap, and a scan of keys that nobody
/// wants a second time does not push the others out.
struct EntryTable: Sendable {
    struct Slot: Sendable {
        var key: String
        var entry: CacheEntry
        /// Read since the hand passed.
        var isMarked = false
        /// Towards the newest; -1 at the end.
        var newer: Int32
        /// Towards the oldest; for a free slot, the next free one.
        var older: Int32
        var isUsed = true
    }

    private(set) var index: [String: Int32] = [:]
    private(set) var slots: [Slot] = []
    private var newest: Int32 = -1
    private var oldest: Int32 = -1
    private var hand: Int32 = -1
    private var firstFree: Int32 = -1
    private(set) var totalWeight = 0
    let maximumEntries: Int
    let maximumWeight: Int

    init(maximumEntries: Int, maximumWeight: Int?) {
        self.maximumEntries = maximumEntries
        self.maximumWeight = maximumWeight ?? .max
    }

    var count: Int { index.count }

    /// The place of a key's entry.
    @inline(__always) func slot(of key: String) -> Int? { index[key].map(Int.init) }

    subscript(key: String) -> CacheEntry? { slot(of: key).map { slots[$0].entry } }

    /// Notes that the entry in that place was read.
    @inline(__always) mutating func touch(_ place: Int) {
        slots[place].isMarked = true
        slots[place].entry.hitCount &+= 1
    }

    /// Puts an entry under a key, in place of what was there.
    ///
    /// - Returns: the keys that had to go for it, in order. One that is heavier than all may be is among them itself.
    mutating func put(_ entry: CacheEntry, for key: String) -> [String] {
        if entry.weight > maximumWeight {
            remove(key)
            return [key]
        }
        if let place = slot(of: key) {
            totalWeight += entry.weight - slots[place].entry.weight
            slots[place].entry = entry
            // It was just written: it is not the first to go.
            slots[place].isMarked = true
        } else {
            insert(entry, for: key)
        }
        var evicted: [String] = []
        while count > maximumEntries || totalWeight > maximumWeight {
            guard let victim = evict(sparing: key) else { break }
            evicted.append(victim)
        }
        return evicted
    }

    private mutating func insert(_ entry: CacheEntry, for key: String) {
        let slot = Slot(key: key, entry: entry, newer: -1, older: newest)
        let place: Int32
        if firstFree >= 0 {
            place = firstFree
            firstFree = slots[Int(place)].older
            slots[Int(place)] = slot
        } else {
            place = Int32(slots.count)
            slots.append(slot)
        }
        if newest >= 0 { slots[Int(newest)].newer = place } else { oldest = place }
        newest = place
        index[key] = place
        totalWeight += entry.weight
    }

    /// Takes out the first entry without a mark, from where the hand stands.
    private mutating func evict(sparing key: String) -> String? {
        guard count > 1 else { return nil }
        var place = hand >= 0 ? hand : oldest
        // Once round takes all marks off; the second time somebody is found.
        for _ in 0...(2 * count) {
            if place < 0 { place = oldest }
            let slot = slots[Int(place)]
            if slot.key == key {
                place = slot.newer
                continue
            }
            if slot.isMarked {
                slots[Int(place)].isMarked = false
                place = slot.newer
                continue
            }
            hand = slot.newer
            remove(slot.key)
            return slot.key
        }
        return nil
    }

    /// - Returns: what was there.
    @discardableResult
    mutating func remove(_ key: String) -> CacheEntry? {
        guard let place = index.removeValue(forKey: key) else { return nil }
        let slot = slots[Int(place)]
        if slot.newer >= 0 { slots[Int(slot.newer)].older = slot.older } else { newest = slot.older }
        if slot.older >= 0 { slots[Int(slot.older)].newer = slot.newer } else { oldest = slot.newer }
        if hand == place { hand = slot.newer }
        totalWeight -= slot.entry.weight
        slots[Int(place)].isUsed = false
        slots[Int(place)].entry.value = nil
        slots[Int(place)].entry.tags = []
        slots[Int(place)].key = ""
        slots[Int(place)].older = firstFree
        firstFree = place
        return slot.entry
    }

    mutating func removeAll() {
        self = EntryTable(maximumEntries: maximumEntries, maximumWeight: maximumWeight)
    }

    /// From the oldest to the newest.
    var keysInOrder: [String] {
        var keys: [String] = []
        var place = oldest
        while place >= 0, keys.count <= slots.count {
            keys.append(slots[Int(place)].key)
            place = slots[Int(place)].newer
        }
        return keys
    }

    /// What is broken, in words; empty where all is well.
    var brokenInvariants: [String] {
        var broken: [String] = []
        let keys = keysInOrder
        if keys.count != index.count {
            broken.append("\(keys.count) entries in the queue, \(index.count) in the index")
        }
        for key in keys where index[key] == nil { broken.append("\(key) is in the queue only") }
        let weight = keys.reduce(0) { $0 + (self[$1]?.weight ?? 0) }
        if weight != totalWeight { broken.append("weights are \(weight), counted as \(totalWeight)") }
        if count > maximumEntries { broken.append("\(count) entries, \(maximumEntries) allowed") }
        if totalWeight > maximumWeight { broken.append("weight \(totalWeight), \(maximumWeight) allowed") }
        return broken
    }
}

extension EntryTable {
    /// Changes an entry in place.
    mutating func update(_ place: Int, _ change: (inout CacheEntry) -> Void) { change(&slots[place].entry) }
}
