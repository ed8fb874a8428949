/// Several sorted sources as one: the merge of merge sort.
///
/// The sources stand in a row, ordered by their current keys. The first one's entry is the merge's; when it has moved
/// on it is carried back along the row to where it now belongs, usually no step or one. With the dozen sources that a
/// store has, this is quicker than a heap.
final class MergingIterator: InternalIterator {
    private struct Source {
        let iterator: Unmanaged<InternalIterator>
        /// Of its current entry.
        var key: Bytes
    }

    /// Keeps them alive.
    private let iterators: [InternalIterator]
    /// Those that are at an entry, in order, in the first `validCount` places; then the others.
    private let sources: UnsafeMutablePointer<Source>
    private var validCount = 0
    private var isForward = true

    init(_ iterators: [InternalIterator]) {
        self.iterators = iterators
        sources = .allocate(capacity: max(1, iterators.count))
        for (index, iterator) in iterators.enumerated() {
            (sources + index).initialize(to: Source(iterator: .passUnretained(iterator), key: .empty))
        }
    }

    deinit { sources.deallocate() }

    @inline(__always) private func show() {
        if validCount == 0 {
            isValid = false
            return
        }
        isValid = true
        key = sources[0].key
        value = sources[0].iterator._withUnsafeGuaranteedRef { $0.value }
    }

    /// Whether a source's entry comes after another's in the direction of travel.
    @inline(__always) private func isAfter(_ a: Bytes, _ b: Bytes) -> Bool {
        let order = InternalKey.compare(a, b)
        return isForward ? order > 0 : order < 0
    }

    /// Orders all sources anew.
    private func sort() {
        validCount = 0
        for index in 0..<iterators.count {
            let source = sources[index]
            let iterator = source.iterator._withUnsafeGuaranteedRef { ($0.isValid, $0.key) }
            if !iterator.0 { continue }
            // What stands at the place where the valid ones end is no valid one: the two change places.
            sources[index] = sources[validCount]
            sources[validCount] = Source(iterator: source.iterator, key: iterator.1)
            var place = validCount
            while place > 0, isAfter(sources[place - 1].key, sources[place].key) {
                swapSources(place - 1, place)
                place -= 1
            }
            validCount += 1
        }
        show()
    }

    @inline(__always) private func swapSources(_ a: Int, _ b: Int) {
        let kept = sources[a]
        sources[a] = sources[b]
        sources[b] = kept
    }

    /// Puts the first source where it belongs after it moved.
    @inline(__always) private func settleFirst() {
        let first = sources[0]
        let (hasEntry, newKey) = first.iterator._withUnsafeGuaranteedRef { ($0.isValid, $0.key) }
        if !hasEntry {
            validCount &-= 1
            for index in 0..<validCount { sources[index] = sources[index + 1] }
            sources[validCount] = first
            return show()
        }
        var place = 0
        while place &+ 1 < validCount, isAfter(newKey, sources[place + 1].key) {
            sources[place] = sources[place + 1]
            place &+= 1
        }
        sources[place] = Source(iterator: first.iterator, key: newKey)
        show()
    }

    override func seekToFirst() throws(KVStoreError) {
        isForward = true
        isValid = false
        for iterator in iterators { try iterator.seekToFirst() }
        sort()
    }

    override func seekToLast() throws(KVStoreError) {
        isForward = false
        isValid = false
        for iterator in iterators { try iterator.seekToLast() }
        sort()
    }

    override func seek(_ userKey: Bytes, _ tag: UInt64) throws(KVStoreError) {
        isForward = true
        isValid = false
        for iterator in iterators { try iterator.seek(userKey, tag) }
        sort()
    }

    override func next() throws(KVStoreError) {
        if !isForward { try turn(forward: true) }
        do throws(KVStoreError) {
            try advanceFirst()
        } catch {
            isValid = false
            throw error
        }
        settleFirst()
    }

    @inline(__always) private func advanceFirst() throws(KVStoreError) {
        let reference = sources[0].iterator
        try reference.takeUnretainedValue().next()
    }

    override func previous() throws(KVStoreError) {
        if isForward { try turn(forward: false) }
        do throws(KVStoreError) {
            try sources[0].iterator.takeUnretainedValue().previous()
        } catch {
            isValid = false
            throw error
        }
        settleFirst()
    }

    /// Brings every other source to the other side of the current entry.
    private func turn(forward: Bool) throws(KVStoreError) {
        let current = sources[0].iterator.takeUnretainedValue()
        let here = key.array
        isForward = forward
        for iterator in iterators where iterator !== current {
            var failure: KVStoreError?
            here.withUnsafeBytes { bytes in
                let place = Bytes(bytes)
                do throws(KVStoreError) {
                    try iterator.seek(place.userKey, place.tag)
                    if !forward {
                        if iterator.isValid { try iterator.previous() } else { try iterator.seekToLast() }
                    }
                } catch {
                    failure = error
                }
            }
            if let failure {
                isValid = false
                throw failure
            }
        }
        sort()
        // The current source's entry is first: every other one is beyond it now.
    }
}
