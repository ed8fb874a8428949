import KernelStructures

/// The latest writes of a node, numbered: what a follower that was away for a moment is given instead of everything.
///
/// Redis calls it the replication backlog, and counts bytes; here an entry is a write's effect, or all effects of one
/// transaction, which stay together.
struct ReplicationLog {
    struct Entry: Equatable, Sendable {
        /// nil: it concerns all slots of the node (FLUSHALL).
        let slot: Int?
        let commands: [[[UInt8]]]
        let at: LabTime

        var byteCount: Int { commands.reduce(32) { $0 + $1.reduce(24) { $0 + $1.count + 16 } } }
    }

    private var entries = RingQueue<Entry>()
    private(set) var byteCount = 0
    /// The offset behind which the first kept entry stands.
    private(set) var start = 0
    let limitBytes: Int

    init(limitBytes: Int) { self.limitBytes = limitBytes }

    /// The offset of the last entry.
    var end: Int { start + entries.count }

    mutating func append(_ entry: Entry) {
        entries.append(entry)
        byteCount += entry.byteCount
        while byteCount > limitBytes, entries.count > 1, let first = entries.popFirst() {
            byteCount -= first.byteCount
            start += 1
        }
    }

    /// Whether nothing was ever written.
    var isUntouched: Bool { end == 0 }

    /// - Precondition: `isUntouched`.
    mutating func begin(at offset: Int) {
        precondition(isUntouched, "a log begins once")
        start = offset
    }

    /// Whether everything after an offset is still here.
    func reaches(_ offset: Int) -> Bool { offset >= start && offset <= end }

    /// The entry with an offset that is within `start + 1...end`.
    subscript(offset: Int) -> Entry { entries[offset - start - 1] }
}
