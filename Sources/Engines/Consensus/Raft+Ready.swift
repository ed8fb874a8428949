/// What is to be done. The order matters: see each member.
public struct Ready: Equatable, Sendable {
    /// Who leads and what this member is, where that has changed.
    public var role: RoleChange?
    /// To be sent at once, even while `append` is being written.
    public var messages: [RaftMessage] = []
    /// To be written, after everything that was handed out before.
    public var append: Append?
    /// To be applied in this order; then `Raft.noteApplied` is to be called.
    public var committed: [RaftEntry] = []
    public var readAnswers: [ReadAnswer] = []
    public var events: [RaftEvent] = []

    public struct RoleChange: Equatable, Sendable {
        public let leader: Int
        public let role: Raft.Role
    }

    /// What is to be written before `replies` are sent.
    public struct Append: Equatable, Sendable {
        /// First, where there is one: it takes the place of the whole log.
        public var snapshot: RaftSnapshot?
        /// Follow the snapshot, or the log up to them; what the log has from the first one's index on is gone.
        public var entries: [RaftEntry] = []
        public var hardState: HardState?
        /// Whether it has to be on the disk, and not only on its way, before anything depends on it.
        public var mustSync = false
        /// Once it is written: to be sent, or handed to `Raft.receive` where they are to this member.
        public var replies: [RaftMessage] = []
        /// Once it is written and the replies are out: to be handed to `Raft.noteStored`.
        public var mark: StorageMark?

        public init() {}
    }
}

/// Up to where the disk is, in a term.
public struct StorageMark: Equatable, Sendable {
    public let term: Int
    /// nil where no entries are being written.
    public let last: LogPosition?
    /// 0 for none.
    public let snapshotIndex: Int
}

extension Raft {
    // MARK: Handing over what is to be done

    public var hasReady: Bool {
        lastRole.leader != leader || lastRole.role != role || hardState != lastHardState
            || log.unwrittenSnapshot != nil || !messages.isEmpty || !replies.isEmpty || log.hasUnwritten
            || log.hasApplicable(settings.appliesUnstable) || !readAnswers.isEmpty
    }

    /// What is to be done now; it counts as being done from here on.
    public func takeReady() -> Ready {
        var ready = Ready()
        if lastRole.leader != leader || lastRole.role != role {
            ready.role = .init(leader: leader, role: role)
            lastRole = (leader, role)
        }
        ready.append = takeAppend()
        ready.committed = log.takeApplicable(settings.appliesUnstable)
        swap(&ready.messages, &messages)
        swap(&ready.readAnswers, &readAnswers)
        swap(&ready.events, &events)
        return ready
    }

    private func takeAppend() -> Ready.Append? {
        var append = Ready.Append()
        append.snapshot = log.unwrittenSnapshot
        append.entries = log.unwritten
        if hardState != lastHardState {
            append.hardState = hardState
            append.mustSync = term != lastHardState.term || vote != lastHardState.vote
            lastHardState = hardState
        }
        append.mustSync = append.mustSync || !append.entries.isEmpty
        swap(&append.replies, &replies)
        guard append.snapshot != nil || !append.entries.isEmpty || append.hardState != nil || !append.replies.isEmpty
        else { return nil }
        // What is being written may be in the way of a later term: the last mark of this one says how far it got.
        if log.hasUnstable || append.snapshot != nil {
            append.mark = StorageMark(
                term: term, last: log.hasUnstable ? log.last : nil, snapshotIndex: append.snapshot?.index ?? 0)
        }
        log.noteWriting()
        return append
    }

    /// What stood in a `Ready.Append` is on the disk.
    public func noteStored(_ mark: StorageMark) {
        // In an older term, the same place may have held another entry: an answer that came late says nothing of it.
        if mark.term == term, let last = mark.last { log.noteStable(through: last) }
        guard mark.snapshotIndex > 0 else { return }
        log.noteSnapshotStable(mark.snapshotIndex)
        noteApplied(through: max(mark.snapshotIndex, log.applied), bytes: 0)
    }

    /// These entries are in the state machine.
    public func noteApplied(_ entries: [RaftEntry]) {
        guard let last = entries.last else { return }
        noteApplied(through: last.index, bytes: entries.reduce(0) { $0 + $1.sizeBytes })
        uncommittedBytes = max(0, uncommittedBytes - entries.reduce(0) { $0 + $1.data.count })
    }

    private func noteApplied(through index: Int, bytes: Int) {
        log.noteApplied(through: index, bytes: bytes)
        leaveJointIfDue()
    }
}

extension Raft {
    /// Forgets entries up to `index`, as far as they are applied; who still needs them gets `snapshot`.
    public func compact(through index: Int) { log.compact(through: index) }
}
