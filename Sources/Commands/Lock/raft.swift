import CommandKit
import CommandServices
import ConsensusEngine
import ConsensusService
import KernelStructures
import KernelWorld
import LockService
import ShellSession

extension LockCommands {
    /// `raft`
    static var raft: Command {
        let description = CommandDescription(
            "raft", "who leads the members, by whose votes; their terms and logs",
            usage: "[--why|--history] [FLAGS]",
            flags: [
                .init("why", nil, "why the leader leads, as each member knows it"),
                .init("history", nil, "elections, step by step, a lane for each member"), CommonFlags.glyphs,
                CommonFlags.json,
            ],
            examples: ["raft", "raft --why", "raft --history"], group: .views,
            details: """
                Of the lock servers that run, each as it sees itself: where they disagree, that
                is what is to be seen. LOG: the first and the last entry that it holds. AGREED:
                what a majority has. MATCH: what the leader knows each of the others to have.
                """)
        return Command(description) { invocation in
            let session = invocation.session
            let members = session.running(LockHost.self)
                .map { (name: $0.name, member: $0.host.member) }
                .sorted { $0.member.settings.id < $1.member.settings.id }
            guard !members.isEmpty else {
                throw CommandFailure("no lock server runs; start one: lockserver --port \(LockHost.defaultPort)")
            }
            let view = RaftView(members: members, start: session.world.now - session.world.elapsed)
            if invocation.arguments.has("why") { return .view(view.reasons) }
            if invocation.arguments.has("history") { return .view(view.history) }
            return .view(view.table)
        }
    }
}

/// Members of a group, side by side.
struct RaftView {
    let members: [(name: String, member: ConsensusMember)]
    /// When the lab began.
    let start: LabTime

    // MARK: As it is

    var table: View {
        let leading = members.filter { $0.member.failure == nil }.compactMap { $0.member.status() }.filter {
            $0.role == .leader
        }.max { $0.term < $1.term }
        let rows = members.compactMap { name, member -> [View.Cell]? in
            guard let status = member.status() else { return nil }
            let match = leading?.peers.first { $0.id == status.id }?.match
            return [
                .integer(status.id), .text(name),
                member.failure != nil
                    ? .text("stopped", style: .bad)
                    : member.isDeparted
                        ? .text("removed", style: .bad)
                        : .text(Self.role(status), style: status.role == .leader ? .good : .plain),
                .integer(status.term),
                status.vote == 0 ? .none : .integer(status.vote),
                .text(status.lastIndex < status.firstIndex ? "-" : "\(status.firstIndex)-\(status.lastIndex)"),
                .integer(status.committedIndex), .integer(status.appliedIndex), match.map { .integer($0) } ?? .none,
            ]
        }
        return View(
            .table(
                .init(
                    [
                        .init("MEMBER", key: "id", right: true), .init("NODE", key: "node", flexible: true),
                        .init("ROLE", key: "role"), .init("TERM", key: "term", right: true),
                        .init("VOTE", key: "vote", right: true), .init("LOG", key: "log", right: true),
                        .init("AGREED", key: "committed", right: true),
                        .init("APPLIED", key: "applied", right: true), .init("MATCH", key: "match", right: true),
                    ], rows: rows, whenEmpty: "no member takes part")))
    }

    private static func role(_ status: RaftStatus) -> String {
        let isLearner = !status.configuration.voters.contains(status.id) && !status.configuration.learners.isEmpty
        return isLearner ? "learner" : status.role == .preCandidate ? "asks around" : status.role.rawValue
    }

    // MARK: Why

    var reasons: View {
        func duration(_ member: ConsensusMember, _ time: LabTime) -> String { (member.node.world.now - time).rounded }
        let lines = members.map { name, member -> String in
            if member.isDeparted { return "\(name): was removed from the group" }
            guard let reason = member.history.reason(member.settings.id) else {
                return "\(name): knows of no leader"
            }
            let since = "for \(duration(member, reason.since))"
            let isItself = reason.leader == member.settings.id
            var text =
                "\(name): \(isItself ? "leads" : "follows node \(reason.leader)") in term \(reason.term) \(since)"
            if let campaign = reason.campaign { text += ", because \(campaign.rawValue)" }
            if !reason.voters.isEmpty {
                text += "; votes of \(reason.voters.map(String.init).joined(separator: ", "))"
            }
            switch reason.ballot {
            case .granted?: text += "; voted for it"
            case let refusal?: text += "; did not vote for it: \(refusal.rawValue)"
            case nil: break
            }
            if let stopped = reason.predecessorStopped {
                text += "; it had led before, and stopped: \(stopped.rawValue)"
            }
            return text
        }
        return View(.text(lines.joined(separator: "\n"), json: .array(lines.map { .string($0) })))
    }

    // MARK: Step by step

    var history: View {
        let moments = members.indices.flatMap { lane in
            members[lane].member.history.moments.map { (lane: lane, moment: $0) }
        }
        let ordered = moments.enumerated().sorted {
            ($0.element.moment.time, $0.offset) < ($1.element.moment.time, $1.offset)
        }
        let events = ordered.compactMap { event(lane: $0.element.lane, $0.element.moment) }
        return View(Lanes(members.map(\.name)).view(events))
    }

    private func clock(_ time: LabTime) -> String { (time - start).rounded }

    private func event(lane: Int, _ moment: RaftHistory.Moment) -> Lanes.Event? {
        func place(of id: Int) -> Int? { members.firstIndex { $0.member.settings.id == id } }
        func inLane(_ text: String) -> Lanes.Event { .init(time: clock(moment.time), lane: lane, text) }
        func arrow(from id: Int, _ text: String) -> Lanes.Event? {
            place(of: id).map { .init(time: clock(moment.time), lane: $0, target: lane, text) }
        }
        switch moment.event {
        case .campaign(let term, _, let isPreVote):
            return inLane(isPreVote ? "asks around (term \(term))" : "candidate, term \(term)")
        case .voteHeard(let from, let term, let isPreVote, let isGranted):
            return arrow(from: from, "\(isGranted ? "yes" : "no") \(isPreVote ? "to " : "")\(term)")
        case .elected(let term, let voters):
            return inLane("LEADER of \(term), by \(voters.map(String.init).joined(separator: ","))")
        case .follower(let term, let leader, _):
            return inLane(leader.map { "follows \($0), term \(term)" } ?? "no leader, term \(term)")
        case .snapshotSent(let to, let index):
            return place(of: to).map {
                .init(time: clock(moment.time), lane: lane, target: $0, "snapshot \(index)")
            }
        case .snapshotRestored(let index): return inLane("takes over snapshot \(index)")
        case .transferring(let to): return inLane("hands over to \(to)")
        case .transferGivenUp(let to): return inLane("keeps it: \(to) is not ready")
        case .configuration(let configuration):
            return inLane("members: \(configuration.voters.sorted().map(String.init).joined(separator: ","))")
        case .ballot, .changeRefused, .snapshotWanted: return nil
        }
    }
}
