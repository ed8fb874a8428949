import CommandKit
import CommandServices
import ConsensusService
import KernelStructures
import LockService
import ShellSession

extension LockCommands {
    /// `lockserver --id 1 --peers "localhost:7001,localhost:7002,localhost:7003" --port 7001`
    static var lockserver: Command {
        let kind = ServiceKind("lockserver", node: "lockserver", port: .preset(LockHost.defaultPort))
        let description = CommandDescription(
            "lockserver", "locks, leases and elections, agreed on by a majority", usage: "[FLAGS]",
            flags: kind.flags(
                listens: "where clients and the other members come",
                [
                    .init("id", nil, .integer(1...9999), "this member's number (its place among the peers, or 1)"),
                    .init("peers", nil, .text("LIST"), "all members, this one too: HOST:PORT,HOST:PORT (alone)"),
                    .init("data-dir", "d", .file, "where its log is (./lockserver-ID)"),
                    .init(
                        "lock-delay", nil, .duration(allowsZero: true),
                        "nobody gets the lock of a holder that vanished for so long (0)"),
                    .init("heartbeat", nil, .duration(), "between two signs of life of the leader (100ms)"),
                    .init("election-timeout", nil, .duration(), "silence of the leader before an election (1s)"),
                    .init("snapshot-entries", nil, .integer(10...10_000_000), "commands between two snapshots (10000)"),
                    .init(
                        "keep-revisions", nil, .integer(0...100_000_000), "how far one can look back; 0: all (100000)"),
                    .init("join", nil, "starts empty, to be added to a group that runs: lock-cli member add"),
                ]),
            examples: [
                "lockserver", "lockserver --peers localhost:7001,localhost:7002,localhost:7003 --id 1",
            ],
            group: .components, role: .service, tags: ["LOCK"],
            details: """
                It speaks etcd's JSON gateway: /v3/kv, /v3/lease, /v3/watch, /v3/lock,
                /v3/election, /v3/cluster, /v3/maintenance; /v1/locks lists the locks. Its
                clients: lock-cli, etcd3gw, curl.
                A group of three in one line: spawn 3 lockserver --port 7001 --peers
                localhost:7001,localhost:7002,localhost:7003
                Three members tolerate the loss of one, five of two. What was agreed on is in
                the data directory before anybody hears of it.
                """)
        return .service(kind, description) { invocation in
            let words = try LockServerWords(invocation)
            return ServicePlan(picture: { (host: LockHost) in host.picture }) { node, service in
                var settings = LockHost.Settings(consensus: try words.consensus(port: service.port), port: service.port)
                settings.lockDelay = words.lockDelay
                if let kept = invocation.arguments.integer("keep-revisions") {
                    settings.keptRevisions = kept == 0 ? nil : Int64(kept)
                }
                return LockHost(node: node, settings: settings, options: service.options)
            }
        }
    }
}

/// The words of `lockserver`.
private struct LockServerWords {
    private let arguments: ParsedArguments
    private let session: Session
    private let list: PeerList
    let lockDelay: LabDuration

    init(_ invocation: Invocation) throws {
        arguments = invocation.arguments
        session = invocation.session
        lockDelay = arguments.duration("lock-delay") ?? .zero
        list = try PeerList(arguments, of: "lockserver")
        if list.isEmpty, arguments.has("join") {
            throw UsageError("lockserver: --join: whom? add --peers with all members, this one too")
        }
        // They are looked at before anything begins.
        var probe = ConsensusMember.Settings(id: 1, peers: [:], directory: "/")
        try setTimes(&probe)
    }

    func consensus(port: UInt16) throws -> ConsensusMember.Settings {
        let id = arguments.integer("id") ?? list.id(atPort: port) ?? 1
        let all = list.isEmpty ? [HostPort(host: "localhost", port: port)] : list.peers
        var members: [Int: HostPort] = [:]
        for (index, peer) in all.enumerated() { members[list.isEmpty ? id : index + 1] = peer }
        let directory = session.files.absolute(arguments.text("data-dir") ?? "lockserver-\(id)")
        var settings = ConsensusMember.Settings(id: id, peers: members, directory: directory)
        try setTimes(&settings)
        settings.group = "lock"
        settings.snapshotEntries = arguments.integer("snapshot-entries") ?? settings.snapshotEntries
        settings.joins = arguments.has("join")
        return settings
    }

    private func setTimes(_ settings: inout ConsensusMember.Settings) throws {
        if let heartbeat = arguments.duration("heartbeat") {
            settings.heartbeatMilliseconds = max(1, Int(clamping: heartbeat.nanoseconds / 1_000_000))
        }
        if let silence = arguments.duration("election-timeout") {
            settings.electionMilliseconds = max(2, Int(clamping: silence.nanoseconds / 1_000_000))
        }
        // Followers that hear too seldom of their leader want to be one again and again; etcd asks for as much.
        guard settings.electionMilliseconds / 5 >= settings.heartbeatMilliseconds else {
            throw UsageError(
                """
                lockserver: an election timeout of \(LabDuration.milliseconds(settings.electionMilliseconds)) with a \
                heartbeat of \(LabDuration.milliseconds(settings.heartbeatMilliseconds)): no leader would last; make \
                --election-timeout at least five times --heartbeat
                """)
        }
    }
}
