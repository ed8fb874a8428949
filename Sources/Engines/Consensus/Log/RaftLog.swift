/// A member's log: what of it is on the disk, agreed on and applied.
///
/// ```
///        base                 applied   applying   committed     stable        last
///  ───────┼──────────────────────┼─────────┼───────────┼────────────┼────────────┼
///  in the │ held in memory       │ being   │ to be     │ not agreed │ not on the │
///  snapshot                      │ applied │ applied   │ on yet     │ disk yet   │
/// ```
///
/// `applied ≤ applying ≤ committed ≤ last` holds always. `stable` may lie anywhere from `base` to `last`, before
/// `committed` too: what others have on their disks is agreed on even while this member is still writing.
public struct RaftLog: Sendable {
    /// The last entry that is not held any more.
    public private(set) var base: LogPosition
    /// `entries[i]` has the index `base.index + 1 + i`.
    private var entries: [RaftEntry] = []
    /// The first entry that is not known to be on the disk.
    public private(set) var firstUnstable: Int
    /// The first entry that nobody has been asked to write.
    private var firstUnwritten: Int
    /// Came from the leader, and is not known to be on the disk.
    public private(set) var pendingSnapshot: RaftSnapshot?
    private var isSnapshotBeingWritten = false
    public private(set) var committed: Int
    private var applying: Int
    public private(set) var applied: Int
    private var applyingBytes = 0
    private var isApplyingPaused = false
    /// What is being applied is kept below this; a single entry may be larger.
    let applyingLimitBytes: Int

    /// - Parameters:
    ///   - base: where the snapshot on the disk stands, or before it.
    ///   - entries: follow `base` without a gap.
    ///   - applied: everything up to here is in the state machine already.
    public init(base: LogPosition, entries: [RaftEntry], applied: Int, applyingLimitBytes: Int = .max) {
        self.base = base
        self.entries = entries
        self.applyingLimitBytes = applyingLimitBytes
        let applied = min(max(applied, base.index), base.index + entries.count)
        committed = applied
        applying = applied
        self.applied = applied
        firstUnstable = base.index + entries.count + 1
        firstUnwritten = firstUnstable
    }

    // MARK: Reading

    public var firstIndex: Int { base.index + 1 }
    public var lastIndex: Int { base.index + entries.count }
    public var last: LogPosition { entries.last?.position ?? base }

    /// The term of the entry at `index`, or of `base`; nil where there is none, or it is not held any more.
    public func term(at index: Int) -> Int? {
        if index == base.index { return base.term }
        guard index > base.index, index <= lastIndex else { return nil }
        return entries[index - base.index - 1].term
    }

    public func matches(_ position: LogPosition) -> Bool { term(at: position.index) == position.term }

    /// Entries from `index` on: at least one if there is any, and no more than make `limitBytes`.
    public func entries(from index: Int, limitBytes: Int = .max) -> [RaftEntry] {
        entries(from: index, through: lastIndex, limitBytes: limitBytes)
    }

    func entries(from index: Int, through end: Int, limitBytes: Int) -> [RaftEntry] {
        guard index > base.index, index <= end, end <= lastIndex else { return [] }
        let range = index - base.index - 1...end - base.index - 1
        if limitBytes == .max { return Array(entries[range]) }
        var bytes = 0
        var count = 0
        for entry in entries[range] {
            bytes += entry.sizeBytes
            if count > 0, bytes > limitBytes { break }
            count += 1
        }
        return Array(entries[range.lowerBound..<range.lowerBound + count])
    }

    /// The last entry up to `index` whose term is at most `term`: where this log and one that has `term` at `index`
    /// may agree at the latest. Its term is 0 where it is not held any more.
    func lastPosition(upTo index: Int, termAtMost term: Int) -> LogPosition {
        var index = index
        while index > 0 {
            guard let own = self.term(at: index) else { return LogPosition(index: index, term: 0) }
            if own <= term { return LogPosition(index: index, term: own) }
            index -= 1
        }
        return .start
    }

    /// Whether a log that ends at `other` is at least as complete as this one (Raft §5.4.1).
    func isUpToDate(_ other: LogPosition) -> Bool {
        other.term > last.term || other.term == last.term && other.index >= last.index
    }

    // MARK: Appending

    /// Adds entries of one's own at the end.
    mutating func append(_ new: [RaftEntry]) { entries.append(contentsOf: new) }

    /// Takes over a leader's entries, which follow `previous` without a gap; those from the first one that contradicts
    /// this log on replace what is there.
    ///
    /// - Returns: the index of the last of them; nil if `previous` is not in this log.
    /// - Throws: `RaftError.contradiction` if it would change what is agreed on, which no correct leader does.
    mutating func append(_ new: [RaftEntry], after previous: LogPosition) throws(RaftError) -> Int? {
        guard matches(previous) else { return nil }
        for (offset, entry) in new.enumerated() where !matches(entry.position) {
            guard entry.index > committed else { throw .contradiction(at: entry.index) }
            if entry.index <= lastIndex {
                entries.removeLast(lastIndex - entry.index + 1)
                firstUnstable = min(firstUnstable, entry.index)
                firstUnwritten = min(firstUnwritten, entry.index)
            }
            entries.append(contentsOf: new[offset...])
            break
        }
        return previous.index + new.count
    }

    mutating func commit(through index: Int) { committed = max(committed, min(index, lastIndex)) }

    // MARK: The disk

    var hasUnstable: Bool { firstUnstable <= lastIndex }
    var hasUnwritten: Bool { firstUnwritten <= lastIndex }
    var unwritten: [RaftEntry] { entries(from: firstUnwritten) }
    var unwrittenSnapshot: RaftSnapshot? { isSnapshotBeingWritten ? nil : pendingSnapshot }

    /// Somebody was asked to write all there is.
    mutating func noteWriting() {
        firstUnwritten = lastIndex + 1
        isSnapshotBeingWritten = pendingSnapshot != nil
    }

    /// Everything up to `position` is on the disk, unless it has been replaced since.
    mutating func noteStable(through position: LogPosition) {
        guard position.index >= firstUnstable, matches(position) else { return }
        firstUnstable = position.index + 1
        firstUnwritten = max(firstUnwritten, firstUnstable)
    }

    mutating func noteSnapshotStable(_ index: Int) {
        guard let pending = pendingSnapshot, pending.index == index else { return }
        pendingSnapshot = nil
        isSnapshotBeingWritten = false
    }

    /// Forgets everything in favour of a snapshot.
    mutating func restore(_ snapshot: RaftSnapshot) {
        base = snapshot.position
        entries = []
        firstUnstable = lastIndex + 1
        firstUnwritten = firstUnstable
        pendingSnapshot = snapshot
        isSnapshotBeingWritten = false
        committed = snapshot.index
    }

    /// Forgets the entries up to `index`, which must be applied and on the disk.
    public mutating func compact(through index: Int) {
        let index = min(index, applied, firstUnstable - 1)
        guard index > base.index, let term = term(at: index) else { return }
        entries.removeFirst(index - base.index)
        base = LogPosition(index: index, term: term)
    }

    // MARK: Applying

    /// - Parameter allowsUnstable: whether what is agreed on may be applied before this member has it on its disk.
    private func lastApplicable(_ allowsUnstable: Bool) -> Int {
        allowsUnstable ? committed : min(committed, firstUnstable - 1)
    }

    func hasApplicable(_ allowsUnstable: Bool) -> Bool {
        !isApplyingPaused && pendingSnapshot == nil && applying < lastApplicable(allowsUnstable)
    }

    /// What is to be applied next; it counts as being applied from here on.
    mutating func takeApplicable(_ allowsUnstable: Bool) -> [RaftEntry] {
        guard hasApplicable(allowsUnstable) else { return [] }
        let end = lastApplicable(allowsUnstable)
        let room = applyingLimitBytes == .max ? .max : applyingLimitBytes - applyingBytes
        let next = entries(from: applying + 1, through: end, limitBytes: room)
        guard let newest = next.last else { return [] }
        applying = newest.index
        applyingBytes += next.reduce(0) { $0 + $1.sizeBytes }
        isApplyingPaused = applyingBytes >= applyingLimitBytes || newest.index < end
        return next
    }

    mutating func noteApplied(through index: Int, bytes: Int) {
        guard index >= applied, index <= committed else { return }
        applied = index
        applying = max(applying, index)
        applyingBytes = max(0, applyingBytes - bytes)
        isApplyingPaused = applyingBytes >= applyingLimitBytes
    }
}
