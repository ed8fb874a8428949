import KVStoreEngine
import KernelHosting
import KernelStructures

/// `DBSIZE` and INFO's keyspace: what SCAN would show.
extension KVServer {
    /// Somebody who wants to know the number of keys, and waits until they are counted.
    struct CountWaiter {
        let connection: RESPServerConnection
        let body: (KeyCount) -> Void
        /// It asked before the walk began whose end is awaited.
        var isBeforeWalk: Bool
    }

    /// Keys that are counted between two turns.
    private static let keysInSlice = 4000

    /// Calls `body` with the number of keys that are there: at once, or later, and the connection waits then.
    func withKeyCount(_ connection: RESPServerConnection, _ body: @escaping (KeyCount) -> Void) throws(KVStoreError) {
        if keys.overlay != nil {
            let before = try countNow() - (try keys.overdue(from: expiry.position))
            return body(try keys.countInTransaction(before))
        }
        let isSmall = store.approximateKeyCount <= settings.countAtOnceEntries
        if let count = isSmall ? try countNow() : try counter.count() {
            return body(count - (try keys.overdue(from: expiry.position)))
        }
        countWaiters.append(CountWaiter(connection: connection, body: body, isBeforeWalk: !counter.isWalking))
        connection.suspend()
        if !counter.isWalking { node.enqueue { [self] in countOn() } }
    }

    private func countNow() throws(KVStoreError) -> KeyCount {
        while true {
            if let count = try counter.count() { return count }
            _ = try counter.step(.max)
        }
    }

    /// The next piece of the walk.
    private func countOn() {
        guard !countWaiters.isEmpty else { return }
        keys.now = nowMilliseconds
        do throws(KVStoreError) {
            if !counter.isWalking {
                // What is overdue now is not to be counted, and may be gone when the walk ends.
                countOverdue = try keys.overdue(from: expiry.position)
                for index in countWaiters.indices { countWaiters[index].isBeforeWalk = true }
            }
            if let count = try counter.step(Self.keysInSlice) { try answerCountWaiters(count - countOverdue) }
        } catch {
            for waiter in takeCountWaiters({ _ in true }) {
                waiter.connection.reply.error(Self.text(error))
                waiter.connection.resume()
            }
        }
        if !countWaiters.isEmpty { node.afterDisk { [self] in countOn() } } else { _ = node.disk.collectCost() }
    }

    /// A walk has ended. Who came while it went on gets the number of now if that is still known, else waits for the
    /// next one.
    private func answerCountWaiters(_ count: KeyCount) throws(KVStoreError) {
        var latest: KeyCount?
        if let now = try counter.count() { latest = now - (try keys.overdue(from: expiry.position)) }
        for waiter in takeCountWaiters({ latest != nil || $0.isBeforeWalk }) {
            waiter.body(latest ?? count)
            waiter.connection.resume()
        }
    }

    private func takeCountWaiters(_ isDue: (CountWaiter) -> Bool) -> [CountWaiter] {
        let due = countWaiters.filter(isDue)
        countWaiters.removeAll(where: isDue)
        return due
    }
}

extension KeySpace {
    /// Keys whose time is over and that are still stored.
    ///
    /// - Parameter from: all that ended before has been deleted.
    func overdue(from: Int) throws(KVStoreError) -> KeyCount {
        var count = KeyCount()
        let iterator = try store.makeIterator()
        try iterator.seek(StoredValue.indexKey(UnsafeRawBufferPointer(start: nil, count: 0), expiry: from))
        while iterator.isValid, let entry = StoredValue.readIndexKey(iterator.key), entry.expiry <= now {
            if try storedExpiry(entry.key) == entry.expiry {
                count.keys += 1
                count.expiring += 1
            }
            try iterator.next()
        }
        return count
    }

    /// The number of keys as the transaction under way has left them.
    ///
    /// - Parameter before: how many there were before it.
    func countInTransaction(_ before: KeyCount) throws(KVStoreError) -> KeyCount {
        var count = before
        let now = now
        for (key, value) in overlay?.values ?? [:] {
            try key.withUnsafeBytesThrowing { key throws(KVStoreError) in
                if StoredValue.isReserved(key) { return }
                _ = try store.read(key) { stored, _ in
                    let expiry = StoredValue.read(stored).expiry
                    if expiry == 0 || expiry > now { count.add(stored, -1) }
                }
            }
            value?.withUnsafeBytes { count.add($0) }
        }
        return count
    }
}
