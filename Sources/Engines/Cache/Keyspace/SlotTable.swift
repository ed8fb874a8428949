import KernelStructures

/// Which of a cluster's 16,384 slots a key belongs to.
///
/// The checksum of the key's bytes, or of what stands between its first `{` and the `}` behind it, if that is
/// something: so `{user:1}:name` and `{user:1}:age` are in the same slot ("Redis cluster specification").
public enum SlotNumber {
    public static let count = 16_384

    public static func of(_ key: UnsafeRawBufferPointer) -> Int {
        if let open = key.firstIndex(of: UInt8(ascii: "{")),
            let close = key[(open + 1)...].firstIndex(of: UInt8(ascii: "}")), close > open + 1
        {
            return Int(checksum(UnsafeRawBufferPointer(rebasing: key[open + 1..<close]))) % count
        }
        return Int(checksum(key)) % count
    }

    public static func of(_ key: [UInt8]) -> Int { key.withUnsafeBytes { of($0) } }

    /// CRC-16 with the polynomial 1021 that begins with 0 (XMODEM): "123456789" has 31C3.
    private static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt16 {
        var sum: UInt16 = 0
        for byte in bytes { sum = sum << 8 ^ table[Int(sum >> 8) ^ Int(byte)] }
        return sum
    }

    private static let table: [UInt16] = (0..<256).map { byte in
        (0..<8).reduce(UInt16(byte) << 8) { sum, _ in sum & 0x8000 == 0 ? sum << 1 : sum << 1 ^ 0x1021 }
    }
}

/// The keys of each slot.
struct SlotTable {
    private var links = LinkTable()
    private var lists = [ItemList](repeating: ItemList(), count: SlotNumber.count)

    var byteCount: Int { links.byteCount + MemoryCost.array(lists.count, stride: MemoryLayout<ItemList>.stride) }

    /// Slots that another cache is responsible for.
    private var copies = [Bool](repeating: false, count: SlotNumber.count)

    /// True if its slot is a copy.
    mutating func insert(_ id: ItemID, key: UnsafeRawBufferPointer) -> Bool {
        let slot = SlotNumber.of(key)
        lists[slot].append(id, &links)
        return copies[slot]
    }

    func isCopy(_ slot: Int) -> Bool { copies[slot] }
    mutating func setCopy(_ slot: Int, _ isCopy: Bool) { copies[slot] = isCopy }

    mutating func remove(_ id: ItemID, key: UnsafeRawBufferPointer) {
        lists[SlotNumber.of(key)].remove(id, &links)
    }

    func count(_ slot: Int) -> Int { lists[slot].count }

    /// The first items of a slot.
    func items(_ slot: Int, limit: Int) -> [ItemID] {
        var found: [ItemID] = []
        var next = lists[slot].first
        while next != 0, found.count < limit {
            found.append(next)
            next = links[next].behind
        }
        return found
    }
}

extension Cache {
    /// How many keys a slot has; `settings.keepsSlots` must be on, else 0.
    public func keyCount(inSlot slot: Int) -> Int {
        (0..<SlotNumber.count).contains(slot) ? slots?.count(slot) ?? 0 : 0
    }

    /// The first keys of a slot, those that have ended left out.
    public func keys(inSlot slot: Int, limit: Int = .max) -> [[UInt8]] {
        guard (0..<SlotNumber.count).contains(slot), limit > 0, let slots else { return [] }
        return slots.items(slot, limit: limit).filter { slab[$0].pointee.expiry == 0 || slab[$0].pointee.expiry > now }
            .map(key)
    }

    /// Whether another cache is responsible for a slot, and this one keeps a copy of it: then its keys are hidden when
    /// they have ended, but neither deleted nor evicted.
    public func setCopy(slot: Int, _ isCopy: Bool) {
        guard (0..<SlotNumber.count).contains(slot), let slots, slots.isCopy(slot) != isCopy else { return }
        self.slots!.setCopy(slot, isCopy)
        for id in slots.items(slot, limit: .max) {
            let hash = slab[id].pointee.hash
            if isCopy, isEvictable(id) { policy?.remove(id, hash: hash, isEviction: false) }
            slab[id].pointee.isCopy = isCopy
            if !isCopy, isEvictable(id) { policy?.insert(id, hash: hash) }
        }
    }

    public func isCopy(slot: Int) -> Bool {
        (0..<SlotNumber.count).contains(slot) ? slots?.isCopy(slot) ?? false : false
    }

    /// Deletes all keys that this cache is responsible for.
    public func removeAllOwn() {
        guard slots != nil else { return removeAll() }
        for slot in 0..<SlotNumber.count where !isCopy(slot: slot) { removeKeys(inSlot: slot) }
    }

    /// Deletes all keys of a slot that this cache is not responsible for any more; nobody who copies it is told.
    ///
    /// - Returns: how many there were.
    @discardableResult
    public func removeKeys(inSlot slot: Int) -> Int {
        guard (0..<SlotNumber.count).contains(slot), let items = slots?.items(slot, limit: .max) else { return 0 }
        for id in items {
            let key = key(id)
            remove(id)
            key.withUnsafeBytes { touchAbsent($0) }
        }
        return items.count
    }
}
