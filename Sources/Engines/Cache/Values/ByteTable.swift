import Glibc
import KernelStructures

/// Byte strings by hash, each with a value: the large form of hashes, sets and sorted sets.
///
/// The entries lie in one array without gaps, so that walking over them is reading it from front to back, and picking
/// one by chance is picking an index. Buckets are chosen by the first bits of the hash, as in `KeyIndex`, so that a
/// cursor is a hash here as well.
///
/// The order of the entries is that of their insertion until one is removed: then the last takes its place. It depends
/// on nothing else, so the same commands give the same order in every process.
struct ByteTable<Value> {
    struct Entry {
        let hash: UInt64
        let key: [UInt8]
        var value: Value
        fileprivate var next: UInt32
    }

    private(set) var entries: ContiguousArray<Entry> = []
    /// 1 + the index of the first entry of a chain; 0: none.
    private var buckets: ContiguousArray<UInt32>
    private var bits: Int
    private let hasher: SipHash
    /// Of all keys.
    private(set) var keyByteCount = 0

    private static var leastBits: Int { 3 }
    /// Entries that one table may have.
    static var limit: Int { 1 << 30 }

    init(hasher: SipHash) {
        self.hasher = hasher
        bits = Self.leastBits
        buckets = .init(repeating: 0, count: 1 << bits)
    }

    var count: Int { entries.count }

    /// Bytes of the entries and buckets, and of the keys.
    var byteCount: Int {
        MemoryCost.array(entries.capacity, stride: MemoryLayout<Entry>.stride)
            + MemoryCost.array(buckets.capacity, stride: 4) + keyByteCount
    }

    @inline(__always) private func bucket(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash >> UInt64(64 - bits)) }

    func hash(_ key: UnsafeRawBufferPointer) -> UInt64 { hasher.hash(key).low }

    /// Where a key is; nil if it is not there.
    func index(_ key: UnsafeRawBufferPointer) -> Int? {
        let hash = self.hash(key)
        var next = buckets[bucket(hash)]
        while next != 0 {
            let place = Int(next) - 1
            if entries[place].hash == hash, isEqual(key, entries[place].key) { return place }
            next = entries[place].next
        }
        return nil
    }

    func index(_ key: [UInt8]) -> Int? {
        key.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) -> Int? in self.index(bytes) }
    }

    subscript(value index: Int) -> Value {
        get { entries[index].value }
        set { entries[index].value = newValue }
    }

    /// Adds a key that is not there.
    mutating func append(_ key: [UInt8], _ value: Value) {
        let hash = key.withUnsafeBytes { self.hash($0) }
        if entries.count >= 1 << bits { rehash(bits + 1) }
        let place = bucket(hash)
        entries.append(Entry(hash: hash, key: key, value: value, next: buckets[place]))
        buckets[place] = UInt32(entries.count)
        keyByteCount += MemoryCost.bytes(key)
    }

    /// Removes an entry; the last one takes its index.
    @discardableResult
    mutating func remove(at index: Int) -> Entry {
        unlink(index)
        let last = entries.count - 1
        if index != last { relink(last, as: index) }
        let entry = entries[index]
        entries.swapAt(index, last)
        entries.removeLast()
        keyByteCount -= MemoryCost.bytes(entry.key)
        if bits > Self.leastBits, entries.count < 1 << (bits - 3) { rehash(bits - 2) }
        return entry
    }

    private mutating func unlink(_ index: Int) {
        let place = bucket(entries[index].hash)
        if buckets[place] == UInt32(index + 1) {
            buckets[place] = entries[index].next
            return
        }
        var before = Int(buckets[place]) - 1
        while entries[before].next != UInt32(index + 1) { before = Int(entries[before].next) - 1 }
        entries[before].next = entries[index].next
    }

    /// Whoever points to an entry points to another index from now on.
    private mutating func relink(_ old: Int, as new: Int) {
        let place = bucket(entries[old].hash)
        if buckets[place] == UInt32(old + 1) {
            buckets[place] = UInt32(new + 1)
            return
        }
        var before = Int(buckets[place]) - 1
        while entries[before].next != UInt32(old + 1) { before = Int(entries[before].next) - 1 }
        entries[before].next = UInt32(new + 1)
    }

    private mutating func rehash(_ newBits: Int) {
        bits = min(max(newBits, Self.leastBits), 30)
        buckets = .init(repeating: 0, count: 1 << bits)
        for index in entries.indices {
            let place = bucket(entries[index].hash)
            entries[index].next = buckets[place]
            buckets[place] = UInt32(index + 1)
        }
        if entries.capacity > 16, entries.count < entries.capacity / 4 {
            var smaller = ContiguousArray<Entry>()
            smaller.reserveCapacity(entries.count * 2)
            smaller.append(contentsOf: entries)
            entries = smaller
        }
    }

    /// Calls `body` with the entries of hash `start` and above in whole buckets, until it has had `limit` of them.
    ///
    /// - Returns: the hash from which to go on; nil if all have been given.
    func scan(from start: UInt64, limit: Int, _ body: (Entry) -> Void) -> UInt64? {
        var position = start
        var given = 0
        var looked = 0
        let (tenfold, overflowed) = limit.multipliedReportingOverflow(by: 10)
        while true {
            let place = bucket(position)
            var next = buckets[place]
            while next != 0 {
                let entry = entries[Int(next) - 1]
                if entry.hash >= position {
                    body(entry)
                    given += 1
                }
                next = entry.next
            }
            let last = UInt64(place) << UInt64(64 - bits) | (UInt64.max >> UInt64(bits))
            if last == .max { return nil }
            position = last + 1
            looked += 1
            if given >= limit || !overflowed && looked >= tenfold { return position }
        }
    }
}

/// Whether two byte strings are the same.
@inline(__always) func isEqual(_ a: UnsafeRawBufferPointer, _ b: [UInt8]) -> Bool {
    a.count == b.count && (a.isEmpty || b.withUnsafeBytes { memcmp(a.baseAddress!, $0.baseAddress!, a.count) } == 0)
}

/// The order of byte strings, as C's `memcmp` and their lengths have it.
func isBefore(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    let count = min(a.count, b.count)
    let order = count == 0 ? 0 : memcmp(a, b, count)
    return order == 0 ? a.count < b.count : order < 0
}
