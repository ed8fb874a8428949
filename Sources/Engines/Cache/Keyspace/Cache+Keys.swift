import Glibc
import KernelStructures

extension Cache {
    // MARK: Finding

    @inline(__always) func hash(_ key: UnsafeRawBufferPointer) -> UInt64 { hasher.hash(key).low }

    /// A key that is there and has not ended; 0 if there is none. One that has ended is deleted on the way.
    @inline(__always) func lookUp(_ key: UnsafeRawBufferPointer) -> ItemID {
        let id = index.find(key, hash: hash(key), in: slab)
        if id == 0 { return 0 }
        if hasEnded(id) {
            if mayDelete(id) {
                statistics.lazilyExpiredKeys += 1
                expire(id)
            }
            return 0
        }
        return id
    }

    /// The same for a command that reads: counts a hit or a miss, and tells the eviction policy.
    @inline(__always) func reading(_ key: UnsafeRawBufferPointer) -> ItemID {
        let id = lookUp(key)
        if id == 0 {
            statistics.misses &+= 1
        } else {
            statistics.hits &+= 1
            access(id)
        }
        return id
    }

    /// The same for a command that writes.
    @inline(__always) func writing(_ key: UnsafeRawBufferPointer) -> ItemID {
        let id = lookUp(key)
        if id != 0 { access(id) }
        return id
    }

    @inline(__always) private func hasEnded(_ id: ItemID) -> Bool {
        let expiry = slab[id].pointee.expiry
        return expiry != 0 && expiry <= now
    }

    /// Whether this cache is responsible for it.
    @inline(__always) func mayDelete(_ id: ItemID) -> Bool { !isReplica && !slab[id].pointee.isCopy }

    @inline(__always) private func access(_ id: ItemID) {
        slab[id].pointee.accessedAt = clockSeconds
        if let policy, isEvictable(id) { policy.access(id, hash: slab[id].pointee.hash) }
    }

    @inline(__always) var clockSeconds: UInt32 { UInt32(truncatingIfNeeded: now / 1000) }

    /// Whether the policy may choose it: those of `volatile-…` only know keys with an end.
    @inline(__always) func isEvictable(_ id: ItemID) -> Bool {
        !slab[id].pointee.isCopy && (!settings.policy.isVolatile || slab[id].pointee.expiry != 0)
    }

    public func exists(_ key: [UInt8]) -> Bool { key.withUnsafeBytes { lookUp($0) } != 0 }

    /// When a key ends: milliseconds since 1970, 0 for never; nil if there is no such key.
    public func expiry(of key: [UInt8]) -> Int? {
        let id = key.withUnsafeBytes { lookUp($0) }
        return id == 0 ? nil : slab[id].pointee.expiry
    }

    func key(_ id: ItemID) -> [UInt8] { Array(slab[id].pointee.key) }

    // MARK: Making

    /// A block for that many bytes, counted.
    private func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer {
        blockByteCount += MemoryCost.block(byteCount)
        return .allocate(byteCount: byteCount, alignment: 16)
    }

    private func free(_ block: UnsafeMutableRawPointer, _ byteCount: Int) {
        blockByteCount -= MemoryCost.block(byteCount)
        block.deallocate()
    }

    /// How large a block is made for so many bytes: all that the C library gives for them anyway.
    static func capacity(_ byteCount: Int) -> Int {
        byteCount >= 64 << 10 ? byteCount : max(24, (byteCount + 8 + 15) & ~15 - 8)
    }

    /// A new key, which is not there yet; the caller knows its hash.
    private func make(
        _ key: UnsafeRawBufferPointer, hash: UInt64, kind: ValueKind, capacity: Int
    ) -> ItemID {
        let id = slab.allocate()
        let block = allocate(capacity)
        if let start = key.baseAddress, key.count > 0 { memcpy(block, start, key.count) }
        slab[id].pointee = Item(
            hash: hash, block: block, expiry: 0, version: 0, word: UInt(capacity), keyCount: UInt32(key.count),
            valueCount: 0, next: 0, clientFlags: 0, accessedAt: clockSeconds, kind: kind, marks: [], isLive: true)
        index.insert(id, in: slab)
        if slots != nil { slab[id].pointee.isCopy = slots!.insert(id, key: key) }
        if isEvictable(id) { policy?.insert(id, hash: hash) }
        return id
    }

    /// Stores a string; whatever the key was before is gone, its end included unless it is to be kept.
    @discardableResult
    func put(
        _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, expiry: Int = 0, keepsExpiry: Bool = false
    ) -> ItemID {
        let hash = self.hash(key)
        var id = index.find(key, hash: hash, in: slab)
        if id != 0, hasEnded(id) {
            if mayDelete(id) { expire(id) } else { remove(id) }
            id = 0
        }
        if id == 0 {
            id = make(key, hash: hash, kind: .string, capacity: Self.capacity(key.count + value.count))
            notify(.new, "new", key)
        } else {
            access(id)
        }
        setValue(id, value)
        slab[id].pointee.marks = []
        slab[id].pointee.clientFlags = 0
        if !keepsExpiry { setExpiry(id, expiry) }
        touch(id, key)
        return id
    }

    func put(_ key: UnsafeRawBufferPointer, _ value: [UInt8], expiry: Int = 0, keepsExpiry: Bool = false) {
        _ = value.withUnsafeBytes { put(key, $0, expiry: expiry, keepsExpiry: keepsExpiry) }
    }

    /// Gives a key a string of its own; it may have been of another kind.
    func setValue(_ id: ItemID, _ value: UnsafeRawBufferPointer) {
        makeRoom(id, value.count)
        let item = slab[id]
        if let start = value.baseAddress, value.count > 0 {
            memmove(item.pointee.block + Int(item.pointee.keyCount), start, value.count)
        }
        item.pointee.valueCount = UInt32(value.count)
    }

    /// Makes a string's block fit for a value of so many bytes. What was in it is kept as far as it fits.
    private func makeRoom(_ id: ItemID, _ valueCount: Int) {
        let item = slab[id]
        if item.pointee.kind != .string { becomeString(id) }
        let needed = Int(item.pointee.keyCount) + valueCount
        let capacity = Int(item.pointee.word)
        if needed <= capacity, capacity <= 64 || needed >= capacity / 2 { return }
        resizeBlock(id, Self.capacity(needed))
    }

    private func resizeBlock(_ id: ItemID, _ capacity: Int) {
        let item = slab[id]
        let block = allocate(capacity)
        memcpy(block, item.pointee.block, min(Int(item.pointee.keyCount) + Int(item.pointee.valueCount), capacity))
        free(item.pointee.block, Int(item.pointee.word))
        item.pointee.block = block
        item.pointee.word = UInt(capacity)
    }

    private func becomeString(_ id: ItemID) {
        releaseObject(id)
        let item = slab[id]
        item.pointee.kind = .string
        item.pointee.word = UInt(item.pointee.keyCount)
        item.pointee.valueCount = 0
    }

    /// Makes a string longer or shorter in place; new bytes are zero. It grows by halves, so that appending a byte at a
    /// time costs what the bytes cost.
    func resizeValue(_ id: ItemID, to valueCount: Int) {
        let item = slab[id]
        let keyCount = Int(item.pointee.keyCount)
        let old = Int(item.pointee.valueCount)
        let needed = keyCount + valueCount
        if needed > Int(item.pointee.word) {
            resizeBlock(id, Self.capacity(old == 0 ? needed : needed + min(needed / 2, 1 << 20)))
        }
        if valueCount > old { memset(item.pointee.block + keyCount + old, 0, valueCount - old) }
        item.pointee.valueCount = UInt32(valueCount)
        item.pointee.marks.insert(.raw)
    }

    /// A new key with an object. The key must not be there.
    @discardableResult
    func add(_ key: UnsafeRawBufferPointer, _ object: CacheValue) -> ItemID {
        let id = make(key, hash: hash(key), kind: object.kind, capacity: max(1, key.count))
        hold(id, object)
        notify(.new, "new", key)
        return id
    }

    private func hold(_ id: ItemID, _ object: CacheValue) {
        let item = slab[id]
        item.pointee.kind = object.kind
        item.pointee.word = UInt(bitPattern: Unmanaged.passRetained(object).toOpaque())
        object.countedByteCount = object.byteCount
        objectByteCount += object.countedByteCount
    }

    private func releaseObject(_ id: ItemID) {
        let object = slab[id].pointee.object
        objectByteCount -= object.countedByteCount
        Unmanaged.passUnretained(object).release()
    }

    /// Puts an object in the place of whatever the key has; without one the key is deleted.
    ///
    /// - Returns: whether there is a key now, or was one before.
    @discardableResult
    func replace(_ key: UnsafeRawBufferPointer, with object: CacheValue?) -> Bool {
        let old = lookUp(key)
        if old != 0 { remove(old) }
        if let object, object.count > 0 {
            let id = add(key, object)
            touch(id, key)
            return true
        }
        if old != 0 { touchAbsent(key) }
        return old != 0
    }

    // MARK: Ends

    func setExpiry(_ id: ItemID, _ expiry: Int) {
        let item = slab[id]
        let old = item.pointee.expiry
        if old == expiry { return }
        item.pointee.expiry = expiry
        if old != 0 { wheel.remove(id) } else { endingCount += 1 }
        if expiry != 0 { wheel.insert(id, expiry: expiry, now: now) } else { endingCount -= 1 }
        guard settings.policy.isVolatile, let policy, !item.pointee.isCopy else { return }
        if old == 0 { policy.insert(id, hash: item.pointee.hash) }
        if expiry == 0 { policy.remove(id, hash: item.pointee.hash, isEviction: false) }
    }

    // MARK: Removing

    /// Takes a key away, and tells nobody.
    func remove(_ id: ItemID, isEviction: Bool = false) {
        let item = slab[id]
        index.remove(id, in: slab)
        slots?.remove(id, key: item.pointee.key)
        if let policy, isEvictable(id) { policy.remove(id, hash: item.pointee.hash, isEviction: isEviction) }
        if item.pointee.expiry != 0 {
            wheel.remove(id)
            endingCount -= 1
        }
        // The capacity of a string's block is in the same word as an object.
        let capacity = item.pointee.kind == .string ? Int(item.pointee.word) : max(1, Int(item.pointee.keyCount))
        if item.pointee.kind != .string { releaseObject(id) }
        free(item.pointee.block, capacity)
        slab.free(id)
    }

    /// Deletes a key for a client. False if it was not there.
    func delete(_ key: UnsafeRawBufferPointer) -> Bool {
        let id = lookUp(key)
        if id == 0 { return false }
        remove(id)
        touchAbsent(key)
        notify(.generic, "del", key)
        return true
    }

    /// Deletes a key because its end has passed, or there is no room.
    func drop(_ id: ItemID, isEviction: Bool) {
        let key = key(id)
        remove(id, isEviction: isEviction)
        key.withUnsafeBytes { key in
            onTouch?(key)
            if isEviction { notify(.evicted, "evicted", key) } else { notify(.expired, "expired", key) }
        }
        emit([Array("DEL".utf8), key])
    }

    func expire(_ id: ItemID) {
        statistics.expiredKeys += 1
        drop(id, isEviction: false)
    }

    // MARK: Changes

    /// A key was changed.
    @inline(__always) func touch(_ id: ItemID, _ key: UnsafeRawBufferPointer) {
        version &+= 1
        slab[id].pointee.version = version
        changes &+= 1
        if let onTouch { onTouch(key) }
    }

    /// A key was deleted.
    func touchAbsent(_ key: UnsafeRawBufferPointer) {
        version &+= 1
        changes &+= 1
        onTouch?(key)
    }

    /// An object was changed: counts its memory, deletes the key if nothing is left of it, and tells who has to know.
    ///
    /// - Returns: whether the key is still there.
    @discardableResult
    func settle(_ id: ItemID, _ object: CacheValue, _ key: UnsafeRawBufferPointer) -> Bool {
        if object.count == 0 {
            remove(id)
            touchAbsent(key)
            return false
        }
        let byteCount = object.byteCount
        objectByteCount += byteCount - object.countedByteCount
        object.countedByteCount = byteCount
        touch(id, key)
        return true
    }

    // MARK: Everything

    /// Deletes all keys.
    public func removeAll() {
        let had = index.count
        releaseAll()
        slab = ItemSlab()
        index = KeyIndex()
        wheel = ExpiryWheel()
        if slots != nil { slots = SlotTable() }
        policy = settings.policy.makePolicy(seed: random.next())
        blockByteCount = 0
        objectByteCount = 0
        endingCount = 0
        changes += max(1, had)
        version += 1
    }

    func releaseAll() {
        var position: UInt64? = 0
        while let start = position {
            position = index.scan(from: start, limit: 1000, in: slab) { id in
                let item = slab[id]
                if item.pointee.kind != .string { Unmanaged.passUnretained(item.pointee.object).release() }
                item.pointee.block.deallocate()
            }
        }
    }

    /// Calls `body` with keys that have not ended, from a place in the order of hashes on.
    ///
    /// - Returns: where to go on; nil at the end.
    func walk(from start: UInt64 = 0, limit: Int = .max, _ body: (ItemID) -> Void) -> UInt64? {
        index.scan(from: start, limit: limit, in: slab) { id in
            let expiry = slab[id].pointee.expiry
            if expiry == 0 || expiry > now { body(id) }
        }
    }
}
