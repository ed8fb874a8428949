/// A point in a store's history, for asking later what has changed since.
public struct StoreMoment: Equatable, Sendable {
    /// The last write before it.
    let sequence: UInt64
    /// Writes that were taken back begin another branch: their numbers are given again.
    let branch: Int
}

/// What is derived from all keys (how many there are, for instance) need not be derived anew after each write: the
/// memtable knows what was written lately, and what stood there before lies below it.
extension KVStore {
    /// The present moment.
    public var moment: StoreMoment { StoreMoment(sequence: versions.lastSequence, branch: branch) }

    /// Calls `body` with each key that was written since a moment, what it had then and what it has now; nil is
    /// nothing. Costs a walk over the memtable, and a look-up for each key that was written since.
    ///
    /// - Returns: false, and calls nothing, where the store cannot tell any more: some of what was written since is in
    ///   tables by now, or was taken back.
    public func visitChanges(
        since moment: StoreMoment,
        _ body: (_ key: UnsafeRawBufferPointer, _ before: UnsafeRawBufferPointer?, _ now: UnsafeRawBufferPointer?) ->
            Void
    ) throws(KVStoreError) -> Bool {
        guard moment.branch == branch, moment.sequence >= flushedSequence else { return false }
        if moment.sequence == versions.lastSequence { return true }
        let merge = MergingIterator([memtable.makeIterator()] + (immutable.map { [$0.makeIterator()] } ?? []))
        try merge.seekToFirst()
        // Memory of a memtable: it stays where it is.
        var last: Bytes?
        while merge.isValid {
            let key = merge.key
            // The newest version of each key comes first.
            if let last, last.equals(key.userKey) {
                try merge.next()
                continue
            }
            last = key.userKey
            if key.sequence > moment.sequence {
                let now = key.kind == .value ? merge.value.raw : nil
                let userKey = key.userKey
                let isThere: Void? = try find(userKey, moment.sequence) { before, _ in
                    body(userKey.raw, before.raw, now)
                }
                if isThere == nil { body(userKey.raw, nil, now) }
            }
            try merge.next()
        }
        return true
    }
}
