import ConsensusService
import KernelHosting
import KernelStructures
import KernelWorld
import MessageQueueEngine

/// A broker's place in a group of brokers: carries its batches into the group's log, and what the group has agreed on
/// to its broker.
///
/// Members meet on a port of their own, 20,000 above the clients', as RabbitMQ's nodes do.
final class GroupMember: ReplicatedStateMachine {
    private unowned let host: MessageQueueHost
    let group: BrokerGroup
    private(set) var member: ConsensusMember!
    let router = HTTPRouter()
    /// A batch is in the log's hands.
    private var isProposed = false
    /// Since when each of the others has not been heard of.
    private var silentSince: [Int: LabTime] = [:]
    private var isWatching = false
    private var hasSaidLeader = false

    private var node: Node { host.node }
    private var now: LabTime { host.node.world.now }

    init(_ host: MessageQueueHost, _ settings: ConsensusMember.Settings) {
        self.host = host
        group = host.broker.join(member: settings.id)
        member = ConsensusMember(node: host.node, settings: settings, machine: self)
        member.onEvent = { [unowned self] in hear($0) }
        member.mount(on: router)
    }

    // MARK: Life

    /// - Throws: `ConsensusFailure`.
    func open() throws { try member.open() }

    /// Begins to take part. What this member had agreed on before it stopped is carried out at once.
    func start() {
        member.start()
        group.begin(epoch: UInt64(clamping: member.life))
        updateView()
        watch()
        catchUp()
        node.after(.milliseconds(1)) { [self] in settle() }
    }

    /// Asks a majority what was agreed on, until it knows: clients wait for that.
    private func catchUp() {
        member.read { [weak self] result in
            guard let self else { return }
            if case .failure = result { return retryCatchingUp() }
            group.becomeCurrent(now: now)
            host.settle()
        }
    }

    private func retryCatchingUp() { node.after(.milliseconds(200)) { [weak self] in self?.catchUp() } }

    func stop(_ done: @escaping () -> Void) { member.stop(done) }

    private func hear(_ event: ConsensusEvent) {
        switch event {
        case .leader(let leader, let term):
            let isOwn = member.isLeader
            if isOwn, !group.isLeader { host.runtime.log("Leader elected: node \(member.settings.id) (term \(term))") }
            if !isOwn, group.isLeader, leader == nil {
                host.runtime.log("Node \(member.settings.id) leads no more: it does not reach a majority")
            }
            group.lead(isOwn, now: now)
            silentSince = [:]
        case .stranger(_, let text): host.runtime.log("Refused: \(text)", level: .error)
        case .failed(let reason):
            node.enqueue { [host] in
                host.runtime.fail(
                    """
                    Stopped taking part in the group: \(reason); start it again when that is mended: the others go on \
                    without it
                    """)
            }
        case .configuration, .peer: break
        }
        updateView()
        node.enqueue { [host] in host.settle() }
    }

    private func name(_ id: Int) -> String {
        guard let place = member.addresses[id] else { return "rabbit@node\(id)" }
        return "rabbit@\(place.host):\(Int(place.port) - GroupPlace.portOffset)"
    }

    private func updateView() {
        var view = BrokerGroup.View()
        view.leader = member.leader.map(name)
        let all = member.configuration.members.sorted()
        view.members = all.map(name)
        view.online = all.filter { $0 == member.settings.id || member.isConnected(to: $0) }.map(name)
        if member.isLeader, let status = member.status(entryLimit: 0) {
            for peer in status.peers where peer.match < status.lastIndex {
                view.behind[name(peer.id)] = status.lastIndex - peer.match
            }
        }
        group.view = view
    }

    var complaints: [String] {
        if let failure = member.failure { return ["it has stopped taking part in the group: \(failure)"] }
        return member.leader == nil ? ["no leader is known: replicated queues wait for a majority of members"] : []
    }

    // MARK: The log

    /// Hands on what the broker wants the group to do. One batch at a time, until it has been carried out.
    func settle() {
        if group.hasWords, let word = group.takeWords(now: now) { member.proposeAsLeader(word) { _ in } }
        guard !isProposed, let command = group.desk.underWay ?? group.desk.next(now: now) else { return }
        isProposed = true
        member.propose(command) { [weak self] result in
            guard let self else { return }
            isProposed = false
            switch result {
            case .success: host.settle()
            // It may have been carried out, or may still be: it has a number, so that it may be sent again.
            case .failure: node.after(.milliseconds(100)) { [weak self] in self?.settle() }
            }
        }
    }

    // MARK: ReplicatedStateMachine

    func apply(_ index: Int, _ command: [UInt8]) -> [UInt8] {
        group.apply(command, now: now)
        host.settleSoon()
        return []
    }

    func snapshot() -> [UInt8] { group.snapshot }

    func restore(_ snapshot: [UInt8]) throws {
        // Where a group begins there is nothing.
        if snapshot.isEmpty { return }
        try group.restore(snapshot, now: now)
        // Nobody tells of a batch whose result came so.
        if group.desk.underWay == nil { isProposed = false }
        host.settleSoon()
    }

    // MARK: Who is there

    /// The leader counts how long the others have been silent; what the consumers of a silent one hold goes to others.
    private func watch() {
        guard !isWatching else { return }
        isWatching = true
        node.after(.milliseconds(250)) { [self] in
            isWatching = false
            look()
            watch()
        }
    }

    private func look() {
        updateView()
        guard member.isLeader else { return }
        let patience = LabDuration.milliseconds(2 * member.settings.electionMilliseconds)
        for id in member.configuration.members.sorted() where id != member.settings.id {
            if member.isConnected(to: id) {
                silentSince[id] = nil
            } else if let since = silentSince[id] {
                if now - since >= patience {
                    group.suspect(member: id)
                    silentSince[id] = now
                }
            } else {
                silentSince[id] = now
            }
        }
        settle()
    }
}

/// Where members of a group of brokers meet, and how they agree.
public enum GroupPlace {
    /// Ports above the clients'.
    public static let portOffset = 20_000

    /// Where the member that listens to clients there meets the others.
    public static func meeting(_ place: HostPort) -> HostPort {
        HostPort(host: place.host, port: UInt16(clamping: Int(place.port) + portOffset))
    }

    /// - Parameters:
    ///   - members: where each meets the others.
    ///   - directory: the broker's own, in which the group's log has one.
    public static func settings(
        id: Int, members: [Int: HostPort], directory: String, electionMilliseconds: Int? = nil
    ) -> ConsensusMember.Settings {
        var settings = ConsensusMember.Settings(id: id, peers: members, directory: directory + "-group")
        settings.group = "messageq"
        // Commands are batches, which may be large.
        settings.trailingEntries = 200
        if let electionMilliseconds {
            settings.electionMilliseconds = electionMilliseconds
            settings.heartbeatMilliseconds = min(settings.heartbeatMilliseconds, max(1, electionMilliseconds / 5))
        }
        return settings
    }
}
