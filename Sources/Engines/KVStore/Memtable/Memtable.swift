import KernelStructures

/// The writes that are in no table yet, sorted. Two exist at a time: one that takes writes, and its twin, which takes
/// none any more and is being written to a table.
final class Memtable {
    private let list: SkipList
    /// The log that holds the same writes.
    let logNumber: UInt64
    /// The largest sequence number in it.
    private(set) var lastSequence: UInt64 = 0

    init(logNumber: UInt64, random: SeededRandom) {
        self.logNumber = logNumber
        list = SkipList(random: random)
    }

    var count: Int { list.count }
    var isEmpty: Bool { list.count == 0 }
    /// Bytes that its entries take.
    @inline(__always) var byteCount: Int { list.arena.byteCount }

    @inline(__always) func add(_ sequence: UInt64, _ kind: ValueKind, _ key: Bytes, _ value: Bytes) {
        list.insert(key, InternalKey.tag(sequence, kind), value)
        lastSequence = sequence
    }

    /// The newest version of a key at or before a sequence number; nil if there is none here.
    @inline(__always) func find(_ key: Bytes, _ sequence: UInt64) -> (kind: ValueKind, value: Bytes)? {
        guard let node = list.first(atOrAfter: key, InternalKey.seekTag(sequence)) else { return nil }
        let found = SkipList.key(node)
        guard found.userKey.equals(key), let kind = found.kind else { return nil }
        return (kind, SkipList.value(node))
    }

    /// Whether it has exactly this version of a key.
    func holds(_ key: Bytes, _ sequence: UInt64) -> Bool {
        guard let node = list.first(atOrAfter: key, InternalKey.seekTag(sequence)) else { return false }
        return SkipList.key(node).userKey.equals(key) && SkipList.key(node).sequence == sequence
    }

    /// A memtable with what this one holds up to a sequence number.
    func copy(upTo sequence: UInt64, random: SeededRandom) -> Memtable {
        let copy = Memtable(logNumber: logNumber, random: random)
        var node = list.first
        while let current = node {
            let key = SkipList.key(current)
            if key.sequence <= sequence {
                copy.list.insert(key.userKey, key.tag, SkipList.value(current))
                copy.lastSequence = max(copy.lastSequence, key.sequence)
            }
            node = SkipList.after(current)
        }
        return copy
    }

    func makeIterator() -> InternalIterator { Iterator(self) }

    private final class Iterator: InternalIterator {
        private let memtable: Memtable
        private var node: SkipList.Node?

        init(_ memtable: Memtable) { self.memtable = memtable }

        @inline(__always) private func go(to target: SkipList.Node?) {
            node = target
            guard let target else {
                isValid = false
                return
            }
            isValid = true
            key = SkipList.key(target)
            value = SkipList.value(target)
        }

        override func seekToFirst() { go(to: memtable.list.first) }
        override func seekToLast() { go(to: memtable.list.last) }
        override func seek(_ userKey: Bytes, _ tag: UInt64) { go(to: memtable.list.first(atOrAfter: userKey, tag)) }
        override func next() { go(to: node.flatMap(SkipList.after)) }
        override func previous() { go(to: memtable.list.last(before: key.userKey, key.tag)) }
    }
}
