import ConsensusEngine

/// Who belonged to the group, and was removed.
///
/// A leader sends nothing more to a member that it has removed, so that this one may never hear of it: it would ask for
/// votes for ever, and its clients would wait for it in vain. So each member remembers whom it saw leave, and says so
/// to whoever comes back; the other one then refuses whatever it is asked. etcd's members do the same by a status of
/// 410. It goes by the disk as well as by the number: somebody who was added anew under an old number is heard, also
/// by a member that has not learnt of that yet. Whoever has restarted from a snapshot since does not remember, and
/// takes it for somebody who is yet to be added: then the others tell it.
extension ConsensusMember {
    /// That many members who left are remembered.
    private static let departedLimit = 64

    static func departure(of id: Int) -> String { "node \(id) was removed from the group" }

    /// Membership has changed.
    ///
    /// - Parameters:
    ///   - before: who belonged to the group.
    ///   - disks: whose disk was which.
    func noteDepartures(since before: [Int], _ disks: [Int: Int]) {
        departed.removeAll { raft.configuration.contains($0.id) }
        for id in before where !raft.configuration.contains(id) {
            if id == settings.id {
                depart(nil)
                continue
            }
            departed.append((id, disks[id] ?? 0))
            if departed.count > Self.departedLimit { departed.removeFirst() }
            for guest in guests { guest.dismiss(id, Self.departure(of: id)) }
        }
    }

    /// Whether it is one that left.
    func hasDeparted(_ id: Int, disk: Int) -> Bool { departed.contains { $0.id == id && $0.disk == disk } }

    /// It is known, or was said by another member, that this one belongs to the group no more.
    func depart(_ teller: Int?) {
        guard !isDeparted else { return }
        isDeparted = true
        let source = teller.map { ", says node \($0)" } ?? ""
        onEvent?(.stranger(teller ?? settings.id, "\(Self.departure(of: settings.id))\(source); stop it"))
        failEverything(.stopped(Self.departure(of: settings.id)))
    }
}
