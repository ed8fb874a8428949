import KernelStructures

/// Who was evicted lately: hashes without items, the newest so many of them.
///
/// Buckets of four; each entry has 32 bits of the hash and the number of its eviction, eight bytes in all. An entry
/// that was overwritten by three others of its bucket is forgotten early, which is rare and harmless.
struct GhostTable {
    private var entries: ContiguousArray<(tag: UInt32, number: UInt32)>
    private var mask: Int
    private var number: UInt32 = 1

    init() {
        entries = .init(repeating: (0, 0), count: 256)
        mask = entries.count / 4 - 1
    }

    var byteCount: Int { MemoryCost.array(entries.capacity, stride: 8) }

    /// Room for so many. Those who are in it are forgotten when it grows.
    mutating func reserve(_ count: Int) {
        guard entries.count < count * 2 else { return }
        var size = entries.count
        while size < count * 2 { size *= 2 }
        let old = entries
        entries = .init(repeating: (0, 0), count: size)
        mask = size / 4 - 1
        // Bits of the hash that chose the bucket are not in the tag; the entries of a bucket go to the first of its
        // heirs and to all others, because which one it was cannot be known.
        for (index, entry) in old.enumerated() where entry.number != 0 {
            var heir = index
            while heir < size {
                entries[heir] = entry
                heir += old.count
            }
        }
    }

    private func bucket(_ hash: UInt64) -> Int { (Int(truncatingIfNeeded: hash) & mask) * 4 }
    private func tag(_ hash: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: hash >> 32) | 1 }

    mutating func insert(_ hash: UInt64) {
        number &+= 1
        let bucket = bucket(hash)
        var oldest = bucket
        for place in bucket..<bucket + 4 {
            if entries[place].number == 0 {
                oldest = place
                break
            }
            if number &- entries[place].number > number &- entries[oldest].number { oldest = place }
        }
        entries[oldest] = (tag(hash), number)
    }

    /// Takes an entry out that is among the newest `limit`. False if there is none.
    mutating func remove(_ hash: UInt64, newest limit: Int) -> Bool {
        let bucket = bucket(hash)
        for place in bucket..<bucket + 4 where entries[place].number != 0 && entries[place].tag == tag(hash) {
            let isRecent = Int(number &- entries[place].number) < limit
            entries[place] = (0, 0)
            if isRecent { return true }
        }
        return false
    }
}
