import KVStoreEngine
import KernelStructures

extension KeySpace {
    /// Calls `body` with each key in order, after `start` if that is given, until it says false. The server's own keys
    /// and those that have ended are left out. A transaction sees its own writes here, too.
    ///
    /// - Returns: how many entries were looked at, and the last of them if `limit` was reached.
    @discardableResult
    func walk(
        after start: [UInt8]? = nil, limit: Int = .max, _ body: (UnsafeRawBufferPointer) throws(KVStoreError) -> Bool
    ) throws(KVStoreError) -> (seen: Int, last: [UInt8]?) {
        let iterator = try store.makeIterator()
        if let start { try iterator.seek(start + [0]) } else { try iterator.seekToFirst() }
        var own = OwnWrites(overlay?.values ?? [:], after: start)
        var seen = 0
        while true {
            if iterator.isValid, StoredValue.isReserved(iterator.key) {
                try iterator.seek(StoredValue.firstUnreserved)
                continue
            }
            guard iterator.isValid || own.first != nil else { return (seen, nil) }
            seen += 1
            let key: [UInt8]
            if let (ownKey, value) = own.first, !iterator.isValid || !isBefore(iterator.key, ownKey) {
                if iterator.isValid, iterator.key.elementsEqual(ownKey) { try iterator.next() }
                own.removeFirst()
                key = ownKey
                if let value, try !visit(ownKey, stored: value, body) { return (seen, nil) }
            } else {
                let expiry = StoredValue.read(iterator.value).expiry
                if expiry == 0 || expiry > now, try !body(iterator.key) { return (seen, nil) }
                key = seen >= limit ? Array(iterator.key) : []
                try iterator.next()
            }
            if seen >= limit { return (seen, iterator.isValid || own.first != nil ? key : nil) }
        }
    }

    private func isBefore(_ a: UnsafeRawBufferPointer, _ b: [UInt8]) -> Bool { a.lexicographicallyPrecedes(b) }

    private func visit(
        _ key: [UInt8], stored: [UInt8], _ body: (UnsafeRawBufferPointer) throws(KVStoreError) -> Bool
    ) throws(KVStoreError) -> Bool {
        let expiry = stored.withUnsafeBytes { StoredValue.read($0).expiry }
        guard expiry == 0 || expiry > now else { return true }
        return try key.withUnsafeBytesThrowing(body)
    }

    /// What a transaction has written so far, in the order of keys.
    private struct OwnWrites {
        private var rest: ArraySlice<(key: [UInt8], value: [UInt8]?)>
        var first: (key: [UInt8], value: [UInt8]?)? { rest.first }

        init(_ values: [[UInt8]: [UInt8]?], after start: [UInt8]?) {
            guard !values.isEmpty else {
                rest = []
                return
            }
            let all = values.map { (key: $0.key, value: $0.value) }
            rest = all.sorted { $0.key.lexicographicallyPrecedes($1.key) }[...]
            if let start { rest = rest.drop { !start.lexicographicallyPrecedes($0.key) } }
        }

        mutating func removeFirst() { rest.removeFirst() }
    }

    /// Deletes everything, the server's own keys included.
    func removeAll() throws(KVStoreError) {
        let iterator = try store.makeIterator()
        try iterator.seekToFirst()
        if overlay != nil {
            // Keys that have ended are among them; who watches which is for the caller to say.
            let touch = onTouch
            onTouch = nil
            defer { onTouch = touch }
            let own = (overlay?.values ?? [:]).keys.sorted { $0.lexicographicallyPrecedes($1) }
            for key in own { try key.withUnsafeBytesThrowing { bytes throws(KVStoreError) in try delete(bytes) } }
            while iterator.isValid {
                try delete(iterator.key)
                try iterator.next()
            }
            return
        }
        var dead = WriteBatch()
        while iterator.isValid {
            dead.delete(iterator.key)
            if dead.count >= 1000 {
                try store.write(dead)
                dead.clear()
            }
            try iterator.next()
        }
        if dead.count > 0 { try store.write(dead) }
    }
}

extension Array where Element == UInt8 {
    /// As `withUnsafeBytes`, for bodies that throw errors of the store.
    func withUnsafeBytesThrowing<R>(_ body: (UnsafeRawBufferPointer) throws(KVStoreError) -> R) throws(KVStoreError)
        -> R
    {
        let result = withUnsafeBytes { bytes -> Result<R, KVStoreError> in
            do throws(KVStoreError) { return .success(try body(bytes)) } catch { return .failure(error) }
        }
        return try result.get()
    }
}
