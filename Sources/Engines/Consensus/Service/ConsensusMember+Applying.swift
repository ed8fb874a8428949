import ConsensusEngine
import KernelStructures
import KernelWorld

extension ConsensusMember {
    // MARK: Applying

    func apply(_ entries: [RaftEntry]) {
        for entry in entries { apply(entry) }
        raft.noteApplied(entries)
        appliedSinceSnapshot += entries.count
        appliedBytesSinceSnapshot += entries.reduce(0) { $0 + $1.data.count }
    }

    private func apply(_ entry: RaftEntry) {
        let change = entry.kind == .configuration ? ConfigurationChange(encoded: entry.data) : nil
        guard let (header, matter, content) = ProposalSessions.read(change?.context ?? entry.data) else {
            // What a new leader begins with, and what leaves a joint configuration, are nobody's proposals.
            if let change, change.steps.isEmpty {
                let before = raft.configuration.members
                _ = raft.apply(change)
                noteDepartures(since: before, disks)
            }
            return
        }
        switch sessions.begin(header) {
        case .stale: break
        case .known(let index, let result): answer(header, index, result)
        case .new:
            let result =
                switch matter {
                case .command: machine.apply(entry.index, content)
                case .membership: applyMembership(change, content)
                case .introduction: applyIntroduction(content)
                }
            sessions.end(header, index: entry.index, result)
            answer(header, entry.index, result)
        }
    }

    /// - Returns: one byte, 1 if the change was made.
    private func applyMembership(_ change: ConfigurationChange?, _ content: [UInt8]) -> [UInt8] {
        let before = (members: raft.configuration.members, disks: disks)
        guard let change, raft.apply(change) != nil else { return [0] }
        let address = HostPort(parsing: String(decoding: content, as: UTF8.self))
        for step in change.steps where step.kind != .remove { if let address { addresses[step.id] = address } }
        for id in addresses.keys.sorted() where !raft.configuration.contains(id) { addresses[id] = nil }
        for id in disks.keys.sorted() where !raft.configuration.contains(id) { disks[id] = nil }
        connectToPeers()
        noteDepartures(since: before.members, before.disks)
        return [1]
    }

    private func answer(_ header: ProposalSessions.Header, _ index: Int, _ result: [UInt8]) {
        guard header.member == settings.id, header.life == life else { return }
        guard let proposal = proposals.take(header.number) else { return }
        proposal.completion(.success(ConsensusAnswer(index: index, bytes: result)))
    }

    // MARK: Snapshots

    func makeSnapshotIfDue() {
        // A snapshot that is large is made the more seldom.
        let bytes = max(settings.snapshotBytes, raft.snapshot?.data.count ?? 0)
        let isDue = appliedSinceSnapshot >= settings.snapshotEntries || appliedBytesSinceSnapshot >= bytes
        guard isSnapshotWanted || isDue, let disk else { return }
        isSnapshotWanted = false
        let index = raft.log.applied
        guard index > (raft.snapshot?.index ?? 0), let term = raft.log.term(at: index) else { return }
        var state = ReplicaState()
        state.sessions = sessions
        state.addresses = addresses.mapValues(\.description)
        state.disks = disks
        state.group = agreedGroup
        state.machine = machine.snapshot()
        let snapshot = RaftSnapshot(
            position: .init(index: index, term: term), configuration: raft.configuration, data: state.encoded)
        raft.snapshot = snapshot
        raft.compact(through: index - settings.trailingEntries)
        do throws(RaftDiskError) {
            try disk.compact(snapshot, keepFrom: raft.log.base)
        } catch {
            return fail("\(error)")
        }
        appliedSinceSnapshot = 0
        appliedBytesSinceSnapshot = 0
    }
}

extension ConsensusMember {
    // MARK: The group

    public var isLeader: Bool { isRunning && raft?.role == .leader }
    /// Who leads, as far as this member knows; nobody for one that does not take part.
    public var leader: Int? { isRunning ? (raft?.leader).flatMap { $0 == 0 ? nil : $0 } : nil }
    /// For how long it has heard nothing of whoever leads, or of nobody who does; none where it leads itself.
    public var sinceLeaderContact: LabDuration { isLeader ? .zero : node.world.now - lastLeaderContact }
    /// Place in the log of the last entry that was applied here.
    public var appliedIndex: Int { raft?.log.applied ?? 0 }
    /// How often a new leader was looked for.
    public var term: Int { raft?.term ?? 0 }
    public var configuration: GroupConfiguration { raft?.configuration ?? GroupConfiguration() }
    /// Why it cannot take part any more; nil while it can.
    public var failure: String? { if case .failed(let reason) = phase { reason } else { nil } }
    /// What a view shows; nil before `open`.
    public func status(entryLimit: Int = 16) -> RaftStatus? { raft?.status(entryLimit: entryLimit) }
    /// Why who leads leads, as far as this member knows.
    public var leaderReason: RaftHistory.Reason? { history.reason(settings.id) }
    /// Whether it is connected to that member.
    public func isConnected(to id: Int) -> Bool { links[id]?.isConnected ?? false }
}
