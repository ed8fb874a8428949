/// The different words of a chunk, by hashes that are mixed already: a table that is used again for the next chunk.
///
/// (`Set` would hash the hashes: that was a third of the time of packing.) Of each hash the upper half is kept: among
/// the two million words of a large segment one in two thousand that are looked for in vain is found all the same.
struct WordSet {
    /// 0 is free; the hash 0 is kept apart.
    private var table = [UInt32](repeating: 0, count: 1 << 12)
    private var hasZero = false
    private(set) var count = 0

    @inline(__always)
    static func key(_ hash: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: hash >> 32) }

    @inline(__always)
    mutating func insert(_ hash: UInt64) {
        let key = Self.key(hash)
        if key == 0 {
            if !hasZero { count += 1 }
            hasZero = true
            return
        }
        let mask = table.count - 1
        var place = Int(truncatingIfNeeded: key) & mask
        while table[place] != 0 {
            if table[place] == key { return }
            place = (place + 1) & mask
        }
        table[place] = key
        count += 1
        if count * 2 > table.count { grow() }
    }

    private mutating func grow() {
        let old = table
        table = [UInt32](repeating: 0, count: old.count * 2)
        let mask = table.count - 1
        for key in old where key != 0 {
            var place = Int(truncatingIfNeeded: key) & mask
            while table[place] != 0 { place = (place + 1) & mask }
            table[place] = key
        }
    }

    mutating func removeAll() {
        table.withUnsafeMutableBufferPointer { $0.update(repeating: 0) }
        hasZero = false
        count = 0
    }

    /// In rising order.
    var sorted: [UInt32] {
        var keys: [UInt32] = hasZero ? [0] : []
        keys.reserveCapacity(count)
        for key in table where key != 0 { keys.append(key) }
        keys.sort()
        return keys
    }
}
