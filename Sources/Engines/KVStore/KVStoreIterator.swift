/// Walks over the store in the order of keys, both ways. Newly made it is at no entry: seek first.
///
/// Below it the merge yields every version of every key, newest first. This shows of each key the newest version that
/// its sequence number sees, and nothing where that is a tombstone.
public final class KVStoreIterator {
    private let merge: MergingIterator
    private let sequence: UInt64
    /// Keeps the files of its tables on the disk.
    private let version: Version
    private enum Direction { case forward, backward }
    private var direction = Direction.forward
    /// Going backward the merge stands before the current entry, which was found by passing all its versions.
    private let savedKey = ByteBuffer(capacity: 64)
    private let savedValue = ByteBuffer(capacity: 256)

    /// Whether it is at an entry.
    public private(set) var isValid = false

    init(_ merge: MergingIterator, sequence: UInt64, version: Version) {
        self.merge = merge
        self.sequence = sequence
        self.version = version
    }

    /// Valid until the iterator moves.
    public var key: UnsafeRawBufferPointer {
        direction == .forward ? merge.key.userKey.raw : savedKey.bytes.raw
    }

    /// Valid until the iterator moves.
    public var value: UnsafeRawBufferPointer { direction == .forward ? merge.value.raw : savedValue.bytes.raw }

    public func seekToFirst() throws(KVStoreError) {
        isValid = false
        direction = .forward
        try merge.seekToFirst()
        try findForward(isSkipping: false)
    }

    public func seekToLast() throws(KVStoreError) {
        isValid = false
        direction = .backward
        try merge.seekToLast()
        try findBackward()
    }

    /// To the first entry at or after `key`.
    public func seek(_ key: some Collection<UInt8>) throws(KVStoreError) {
        try withBytes(of: key) { key throws(KVStoreError) in try seek(key) }
    }

    public func seek(_ key: UnsafeRawBufferPointer) throws(KVStoreError) { try seek(Bytes(key)) }

    private func seek(_ key: Bytes) throws(KVStoreError) {
        isValid = false
        direction = .forward
        try merge.seek(key, InternalKey.seekTag(sequence))
        try findForward(isSkipping: false)
    }

    /// To the last entry before `key`.
    public func seek(before key: some Collection<UInt8>) throws(KVStoreError) {
        try seek(key)
        if isValid { try previous() } else { try seekToLast() }
    }

    /// Does nothing at no entry.
    public func next() throws(KVStoreError) {
        if !isValid { return }
        if direction == .backward {
            direction = .forward
            // The merge stands before all versions of the current key, or before everything.
            if merge.isValid {
                try step { () throws(KVStoreError) in try merge.next() }
            } else {
                try step { () throws(KVStoreError) in try merge.seekToFirst() }
            }
        } else {
            savedKey.count = 0
            savedKey.append(merge.key.userKey)
            try step { () throws(KVStoreError) in try merge.next() }
        }
        try findForward(isSkipping: true)
    }

    /// Does nothing at no entry.
    public func previous() throws(KVStoreError) {
        if !isValid { return }
        if direction == .forward {
            savedKey.count = 0
            savedKey.append(merge.key.userKey)
            repeat {
                try step { () throws(KVStoreError) in try merge.previous() }
                if !merge.isValid { break }
            } while merge.key.userKey.compared(to: savedKey.bytes) >= 0
            direction = .backward
        }
        try findBackward()
    }

    /// After a failure it is at no entry.
    @inline(__always) private func step(_ body: () throws(KVStoreError) -> Void) throws(KVStoreError) {
        do throws(KVStoreError) { try body() } catch {
            isValid = false
            throw error
        }
    }

    /// From where the merge stands to the next visible entry, past all versions of the saved key if asked.
    private func findForward(isSkipping: Bool) throws(KVStoreError) {
        var isSkipping = isSkipping
        isValid = false
        while merge.isValid {
            let key = merge.key
            if key.sequence <= sequence {
                if isSkipping, key.userKey.compared(to: savedKey.bytes) <= 0 {
                    // An older version of what was just passed.
                } else if key.kind == .deletion {
                    savedKey.count = 0
                    savedKey.append(key.userKey)
                    isSkipping = true
                } else {
                    isValid = true
                    return
                }
            }
            try merge.next()
        }
    }

    /// From where the merge stands, at the last version of some key or at none, back to the next visible entry.
    /// Versions come oldest first this way: the last one seen that counts is the newest.
    private func findBackward() throws(KVStoreError) {
        isValid = false
        var hasCandidate = false
        while merge.isValid {
            let key = merge.key
            if key.sequence <= sequence {
                if hasCandidate, !key.userKey.equals(savedKey.bytes) { break }
                if key.kind == .deletion {
                    hasCandidate = false
                } else {
                    savedKey.count = 0
                    savedKey.append(key.userKey)
                    savedValue.count = 0
                    savedValue.append(merge.value)
                    savedValue.shrink(to: max(1 << 16, savedValue.count))
                    hasCandidate = true
                }
            }
            try merge.previous()
        }
        isValid = hasCandidate
    }
}
