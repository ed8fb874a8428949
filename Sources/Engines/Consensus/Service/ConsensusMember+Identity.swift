import ConsensusEngine
import KernelWorld

/// Which disk is whose.
///
/// A number says which member somebody is; it does not say that he remembers. A member that is started on an empty
/// directory has forgotten whom it voted for and what it had acknowledged, and a majority of such members makes a new
/// group that contradicts the old one without noticing. So each disk has an identity, drawn when it is used first.
/// Every member tells the group its own through the log, once; whoever introduces itself on a connection says its own
/// and the one that it expects, and is refused where either is another one. Before a member has told its identity it
/// is taken at its word.
///
/// The first identity that the log has is the group's: two groups that were formed apart have different ones, and so
/// do their clients see (`cluster_id`).
extension ConsensusMember {
    /// The group's identity; 0 while nobody knows one.
    public var groupIdentity: Int {
        if agreedGroup != 0 { return agreedGroup }
        // Alone nothing need be agreed on; when others come, it is the first to tell its own.
        return configuration.members == [settings.id] ? diskIdentity : 0
    }

    /// What this member says first on a connection to another one.
    func hello(to peer: Int) -> RaftFrame {
        .hello(
            group: settings.group, from: settings.id, to: peer, fromDisk: diskIdentity, toDisk: disks[peer] ?? 0)
    }

    // MARK: Telling

    /// Proposes this member's identity if the group does not have it.
    func introduceIfDue() {
        guard case .running = phase, !isIntroducing, diskIdentity != 0, disks[settings.id] == nil, raft.leader != 0,
            configuration.contains(settings.id), configuration.members.count > 1
        else { return }
        isIntroducing = true
        add(.introduction, Array("\(settings.id) \(diskIdentity)".utf8), []) { [weak self] _ in
            self?.isIntroducing = false
        }
    }

    /// - Returns: one byte, 1 if it was news.
    func applyIntroduction(_ content: [UInt8]) -> [UInt8] {
        let numbers = String(decoding: content, as: UTF8.self).split(separator: " ").compactMap { Int($0) }
        guard numbers.count == 2, (1...1 << 56).contains(numbers[1]), configuration.contains(numbers[0]),
            disks[numbers[0]] == nil
        else {
            return [0]
        }
        disks[numbers[0]] = numbers[1]
        if agreedGroup == 0 { agreedGroup = numbers[1] }
        return [1]
    }

    // MARK: Meeting

    /// Why a member that introduces itself is not to be heard; nil where nothing speaks against it.
    ///
    /// - Parameters:
    ///   - disk: its disk's identity, as it says; 0 where it says none.
    ///   - known: what it takes this member's disk to be; 0 where it does not know.
    func reasonToRefuse(_ peer: Int, disk: Int, knowing known: Int) -> String? {
        if hasDeparted(peer, disk: disk) { return Self.departure(of: peer) }
        let own = settings.id
        if known != 0, known != diskIdentity {
            note(
                peer, disk,
                """
                node \(peer) belongs to a group that knows node \(own) with another disk than this one; \
                \(Self.remedy(own))
                """)
            return "node \(own) has another disk than your group knows"
        }
        if disk != 0, let before = disks[peer], before != disk {
            note(
                peer, disk,
                """
                node \(peer) has another disk than this group knows, or is of another group, and is not heard; \
                \(Self.remedy(peer))
                """)
            return "this group knows node \(peer) with another disk"
        }
        refusedDisks[peer] = nil
        return nil
    }

    private static func remedy(_ id: Int) -> String {
        """
        put its old directory back, or remove node \(id) from the group, and add a new one under a number of its own
        """
    }

    private func note(_ peer: Int, _ disk: Int, _ text: String) {
        guard refusedDisks[peer] != disk else { return }
        refusedDisks[peer] = disk
        onEvent?(.stranger(peer, text))
    }

    /// A member does not want to hear this one.
    func refused(by peer: Int, _ reason: String) {
        if reason == Self.departure(of: settings.id) { return depart(peer) }
        // Its side of the story is in its own log; here it is said once for each connection that began well.
        guard refusedDisks[peer] == nil else { return }
        refusedDisks[peer] = 0
        onEvent?(.stranger(peer, "node \(peer) does not hear this one: \(reason)"))
    }
}
