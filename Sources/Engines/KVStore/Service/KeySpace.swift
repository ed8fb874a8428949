import KVStoreEngine
import KernelStructures

/// The store as clients of Redis see it: keys that may have an end, transactions that see their own writes, and keys
/// that are being watched.
///
/// While a transaction is carried out its writes go into one batch, and into an overlay from which it reads. The store
/// gets the batch at the end, as one record of its log: after a crash all of it is there, or none.
final class KeySpace {
    let store: KVStore
    /// Milliseconds since 1970, at the node's own calendar. Set before each command.
    var now = 0
    var overlay: Overlay?
    /// Called for each key that is written or deleted, while anybody watches one.
    var onTouch: ((UnsafeRawBufferPointer) -> Void)?
    /// Called with each new end.
    var onExpiry: ((Int) -> Void)?
    private var batch = WriteBatch()
    private(set) var hits = 0
    private(set) var misses = 0

    struct Overlay {
        var batch = WriteBatch()
        /// Stored form; nil: deleted.
        var values: [[UInt8]: [UInt8]?] = [:]
    }

    init(_ store: KVStore) { self.store = store }

    /// What was found under a key.
    struct Value {
        var payload: [UInt8]
        /// Milliseconds since 1970; 0: none.
        var expiry: Int
    }

    // MARK: Reading

    /// Calls `body` with the bytes of a key that is there and has not ended.
    ///
    /// - Parameter counts: whether it is a hit or a miss for `INFO`.
    @inline(__always)
    func read<R>(
        _ key: UnsafeRawBufferPointer, counts: Bool = true,
        _ body: (_ payload: UnsafeRawBufferPointer, _ expiry: Int) -> R
    ) throws(KVStoreError) -> R? {
        let now = self.now
        func inspect(_ stored: UnsafeRawBufferPointer) -> R? {
            let (payload, expiry) = StoredValue.read(stored)
            return expiry != 0 && expiry <= now ? nil : body(payload, expiry)
        }
        var result: R?
        if overlay != nil, let value = overlay?.values[Array(key)] {
            if let value { result = value.withUnsafeBytes { inspect($0) } }
        } else if !StoredValue.isReserved(key) {
            result = try store.read(key) { stored, _ in inspect(stored) } ?? nil
        }
        if counts { if result == nil { misses &+= 1 } else { hits &+= 1 } }
        return result
    }

    func value(_ key: UnsafeRawBufferPointer, counts: Bool = true) throws(KVStoreError) -> Value? {
        try read(key, counts: counts) { Value(payload: Array($0), expiry: $1) }
    }

    func exists(_ key: UnsafeRawBufferPointer) throws(KVStoreError) -> Bool {
        try read(key) { _, _ in true } ?? false
    }

    // MARK: Writing

    /// Stores a value. An end that has passed already deletes the key.
    func put(_ key: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer, expiry: Int = 0) throws(KVStoreError) {
        if StoredValue.isReserved(key) {
            throw .invalid("keys that begin with a zero byte and 'sdlab' are the server's own")
        }
        if expiry != 0, expiry <= now { return try delete(key) }
        if expiry == 0, overlay == nil, !StoredValue.hasMark(payload) {
            try store.put(key, payload)
        } else {
            let stored = StoredValue.encode(payload, expiry: expiry)
            let index = expiry == 0 ? nil : StoredValue.indexKey(key, expiry: expiry)
            if overlay != nil {
                overlay!.values[Array(key)] = .some(stored)
                overlay!.batch.put(key, stored)
                if let index { overlay!.batch.put(index, []) }
            } else {
                batch.clear()
                batch.put(key, stored)
                if let index { batch.put(index, []) }
                try store.write(batch)
            }
            if expiry != 0 { onExpiry?(expiry) }
        }
        onTouch?(key)
    }

    func put(_ key: UnsafeRawBufferPointer, _ payload: [UInt8], expiry: Int = 0) throws(KVStoreError) {
        try payload.withUnsafeBytesThrowing { bytes throws(KVStoreError) in try put(key, bytes, expiry: expiry) }
    }

    /// Deletes a key, whether it is there or not.
    func delete(_ key: UnsafeRawBufferPointer) throws(KVStoreError) {
        if overlay != nil {
            overlay!.values[Array(key)] = .some(nil)
            overlay!.batch.delete(key)
        } else {
            try store.delete(key)
        }
        onTouch?(key)
    }

    // MARK: Transactions

    /// From here to `endTransaction`, writes are gathered and seen by nobody else.
    func beginTransaction() { overlay = Overlay() }

    /// Gives the store everything at once.
    func endTransaction() throws(KVStoreError) {
        guard let done = overlay else { return }
        overlay = nil
        if done.batch.count > 0 { try store.write(done.batch) }
    }

    /// Carries out writes that take effect together; within a transaction they are part of that.
    func atOnce(_ body: () throws(KVStoreError) -> Void) throws(KVStoreError) {
        if overlay != nil { return try body() }
        beginTransaction()
        do throws(KVStoreError) {
            try body()
        } catch {
            overlay = nil
            throw error
        }
        try endTransaction()
    }

    // MARK: Ends

    /// When the first end is due that the index knows, from a place in it on; nil if there is none.
    func firstExpiry(from: Int) throws(KVStoreError) -> Int? {
        let iterator = try store.makeIterator()
        try iterator.seek(StoredValue.indexKey(UnsafeRawBufferPointer(start: nil, count: 0), expiry: from))
        guard iterator.isValid else { return nil }
        return StoredValue.readIndexKey(iterator.key)?.expiry
    }

    /// Deletes keys whose end has passed, at most `limit` entries of the index.
    ///
    /// - Returns: how many keys were deleted, how many entries were looked at, and the last end among them.
    func expire(from: Int, limit: Int) throws(KVStoreError) -> (deleted: Int, seen: Int, last: Int) {
        let iterator = try store.makeIterator()
        try iterator.seek(StoredValue.indexKey(UnsafeRawBufferPointer(start: nil, count: 0), expiry: from))
        var dead = WriteBatch()
        var result = (deleted: 0, seen: 0, last: from)
        while result.seen < limit, iterator.isValid, let entry = StoredValue.readIndexKey(iterator.key),
            entry.expiry <= now
        {
            dead.delete(iterator.key)
            // The key may have been written since: then its value knows another end, or none.
            let expiry = try storedExpiry(entry.key)
            if expiry == entry.expiry {
                dead.delete(entry.key)
                result.deleted += 1
            }
            result.seen += 1
            result.last = entry.expiry
            try iterator.next()
        }
        // Whoever watches one of them is told nothing: for clients these keys were gone before, and EXEC itself looks
        // whether a key that was there at WATCH still is.
        if dead.count > 0 { try store.write(dead) }
        return result
    }

    func storedExpiry(_ key: [UInt8]) throws(KVStoreError) -> Int? {
        try store.get(key).map { found in found.value.withUnsafeBytes { StoredValue.read($0).expiry } }
    }
}
