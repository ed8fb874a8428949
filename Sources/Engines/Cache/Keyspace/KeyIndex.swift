import Glibc
import KernelStructures

/// Finds keys: buckets of chains, in the order of the keys' hashes.
///
/// ## The problem
///
/// A table that grows has to move all its keys to a larger one. Done at once, a million keys are 50 ms in which nobody
/// is answered. And a client that walks over all keys with `SCAN`, a few at a time, must meet each of them, though the
/// table may have grown or shrunk between two of its calls.
///
/// ## How
///
/// A bucket is chosen by the *first* bits of the hash, so the buckets are in the order of hashes whatever their number.
/// A table that grows is moved from its low end to its high end, two buckets with each write; where it stands is a
/// line: keys below it are in the new table, keys above it in the old one, so a look-up asks only one of them.
///
/// ```
///  hash   0 ─────────────── line ─────────────────── 2^64
///  old    . . moved . . . . │█ █ █ █ █ █ █ █ █ █ █ █
///  new    ▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪│. . . . . . . . . . . . . .
/// ```
///
/// For the same reason a cursor of `SCAN` is just a hash: "all below it are done". It holds for tables of any size, and
/// no key that is there all the time is missed or given twice. (Redis, whose buckets go by the last bits, counts its
/// cursors in reversed binary and gives some keys twice: `dict.c`, Pieter Noordhuis's algorithm.)
struct KeyIndex: ~Copyable {
    private var buckets: UnsafeMutablePointer<ItemID>
    private var bits: Int
    private var old: UnsafeMutablePointer<ItemID>?
    private var oldBits = 0
    /// Old buckets that have moved.
    private var moved = 0
    private(set) var count = 0

    private static let leastBits = 4
    private static let mostBits = 30

    init() {
        bits = Self.leastBits
        buckets = Self.make(bits)
    }

    deinit {
        free(buckets)
        old.map { free($0) }
    }

    private static func make(_ bits: Int) -> UnsafeMutablePointer<ItemID> {
        guard let memory = calloc(1 << bits, MemoryLayout<ItemID>.stride) else {
            preconditionFailure("the machine has no memory for a table of \(1 << bits) buckets")
        }
        return memory.bindMemory(to: ItemID.self, capacity: 1 << bits)
    }

    var byteCount: Int {
        MemoryCost.block(4 << bits) + (old == nil ? 0 : MemoryCost.block(4 << oldBits))
    }
    var bucketCount: Int { 1 << bits }
    var isMoving: Bool { old != nil }

    /// Where the chain begins that a hash is in.
    @inline(__always) private func head(_ hash: UInt64) -> UnsafeMutablePointer<ItemID> {
        if let old {
            let place = Int(truncatingIfNeeded: hash >> UInt64(64 - oldBits))
            if place >= moved { return old + place }
        }
        return buckets + Int(truncatingIfNeeded: hash >> UInt64(64 - bits))
    }

    @inline(__always)
    func find(_ key: UnsafeRawBufferPointer, hash: UInt64, in slab: borrowing ItemSlab) -> ItemID {
        var id = head(hash).pointee
        while id != 0 {
            let item = slab[id]
            if item.pointee.hash == hash, Int(item.pointee.keyCount) == key.count,
                key.count == 0 || memcmp(item.pointee.block, key.baseAddress.unsafelyUnwrapped, key.count) == 0
            {
                return id
            }
            id = item.pointee.next
        }
        return 0
    }

    mutating func insert(_ id: ItemID, in slab: borrowing ItemSlab) {
        step(in: slab)
        let item = slab[id]
        let head = head(item.pointee.hash)
        item.pointee.next = head.pointee
        head.pointee = id
        count += 1
        if count > 1 << bits { resize(to: bits + 1) }
    }

    mutating func remove(_ id: ItemID, in slab: borrowing ItemSlab) {
        step(in: slab)
        let head = head(slab[id].pointee.hash)
        if head.pointee == id {
            head.pointee = slab[id].pointee.next
        } else {
            var before = head.pointee
            while slab[before].pointee.next != id { before = slab[before].pointee.next }
            slab[before].pointee.next = slab[id].pointee.next
        }
        count -= 1
        if count < 1 << (bits - 3) { resize(to: bits - 2) }
    }

    // MARK: Growing and shrinking

    private mutating func resize(to newBits: Int) {
        guard old == nil else { return }
        let newBits = min(max(newBits, Self.leastBits), Self.mostBits)
        guard newBits != bits else { return }
        old = buckets
        oldBits = bits
        moved = 0
        bits = newBits
        buckets = Self.make(newBits)
    }

    /// Moves up to two buckets that have something in them.
    @inline(__always) private mutating func step(in slab: borrowing ItemSlab) { if old != nil { move(2, in: slab) } }

    /// Moves buckets to the new table; for the time in which nothing else is to be done, and with each write.
    mutating func move(_ limit: Int, in slab: borrowing ItemSlab) {
        guard let old else { return }
        var left = limit
        var empty = limit * 16
        while moved < 1 << oldBits, left > 0, empty > 0 {
            var id = old[moved]
            moved += 1
            if id == 0 { empty -= 1 } else { left -= 1 }
            while id != 0 {
                let item = slab[id]
                let next = item.pointee.next
                let head = buckets + Int(truncatingIfNeeded: item.pointee.hash >> UInt64(64 - bits))
                item.pointee.next = head.pointee
                head.pointee = id
                id = next
            }
        }
        if moved == 1 << oldBits {
            free(old)
            self.old = nil
        }
    }

    // MARK: Walking

    /// Calls `body` with the items of hash `start` and above, bucket by bucket, in the order of hashes between buckets,
    /// until it has been given `limit` of them or ten times as many buckets were looked at.
    ///
    /// - Returns: the hash from which to go on; nil if all have been given.
    func scan(from start: UInt64, limit: Int, in slab: borrowing ItemSlab, _ body: (ItemID) -> Void) -> UInt64? {
        var position = start
        var given = 0
        var looked = 0
        let (tenfold, overflowed) = limit.multipliedReportingOverflow(by: 10)
        let bucketLimit = overflowed ? Int.max : tenfold
        while true {
            let (id, last) = bucket(at: position)
            var next = id
            while next != 0 {
                let item = slab[next]
                let following = item.pointee.next
                if item.pointee.hash >= position {
                    body(next)
                    given += 1
                }
                next = following
            }
            looked += 1
            if last == .max { return nil }
            position = last + 1
            if given >= limit || looked >= bucketLimit { return position }
        }
    }

    /// The chain of a hash, and the last hash that belongs to it.
    private func bucket(at hash: UInt64) -> (first: ItemID, last: UInt64) {
        if let old {
            let place = Int(truncatingIfNeeded: hash >> UInt64(64 - oldBits))
            if place >= moved { return (old[place], Self.last(place, oldBits)) }
            let new = Int(truncatingIfNeeded: hash >> UInt64(64 - bits))
            // A bucket of a smaller table may reach over the line; beyond it the old table counts.
            return (buckets[new], min(Self.last(new, bits), Self.last(moved - 1, oldBits)))
        }
        let place = Int(truncatingIfNeeded: hash >> UInt64(64 - bits))
        return (buckets[place], Self.last(place, bits))
    }

    private static func last(_ place: Int, _ bits: Int) -> UInt64 {
        UInt64(place) << UInt64(64 - bits) | (UInt64.max >> UInt64(bits))
    }
}
