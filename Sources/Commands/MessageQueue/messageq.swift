import CommandKit
import CommandServices
import ConsensusService
import KernelStructures
import MessageQueueEngine
import MessageQueueService
import ShellSession

extension MessageQueueCommands {
    /// `messageq --data-dir ./queue-data --port 5672`
    static var messageq: Command {
        let kind = ServiceKind("messageq", node: "mq", port: .preset(MessageQueueHost.defaultPort))
        let description = CommandDescription(
            "messageq", "a message broker, which speaks AMQP 0-9-1 as RabbitMQ does",
            usage: "[--data-dir DIR] [--port PORT] [FLAGS]",
            flags: kind.flags(
                listens: "where clients come",
                [
                    .init("data-dir", "d", .file, "where its log is (nowhere; of a group's member ./messageq-ID)"),
                    .init(
                        "management", nil, .port,
                        "where operators come by HTTP (15672 beside 5672, a group's PORT + 10000)"),
                    .init("heartbeat", nil, .integer(0...65_535), "seconds, as offered to clients; 0: none (60)"),
                    .init("frame-max", nil, .integer(4096...16_777_216), "bytes, as offered to clients (131072)"),
                    .init("channel-max", nil, .integer(1...65_535), "channels, as offered to clients (2047)"),
                    .init("memory-limit", nil, .byteCount, "bytes of messages from which publishers wait (1GiB)"),
                    .init("max-message-size", nil, .byteCount, "bytes of a message (128MiB)"),
                    .init(
                        "consumer-timeout", nil, .duration(),
                        "unacknowledged for so long, a message goes to another consumer (never)"),
                    .init("peers", nil, .text("LIST"), "all members of a group, this one too: HOST:PORT,HOST:PORT"),
                    .init("id", nil, .integer(1...9), "this member's number (its port's place among the peers)"),
                    .init("election-timeout", nil, .duration(), "silence of the leader before an election (1s)"),
                ]),
            examples: [
                "messageq --port 5672", "messageq --port 5672 --peers localhost:5672,localhost:5673,localhost:5674",
                "mq-cli publish orders '{\"id\": 1}'", "mq-cli consume orders", "stats",
            ],
            group: .components, role: .service, tags: ["MQ"],
            details: """
                pika, aio-pika, Celery, amqp-tools and RabbitMQ's clients of any language can
                talk to it, as guest with the password guest.
                All of AMQP 0-9-1 and RabbitMQ 3.10's extensions: confirms, TTLs, length limits,
                dead letters, priorities, single active consumers, direct replies.
                x-delivery-limit and x-consumer-timeout hold for every queue.
                Persistent messages in durable queues are in the log of --data-dir, synced,
                before they are confirmed. If a sync fails, nothing is confirmed any more and
                the node ends.
                With --peers queues of x-queue-type quorum are replicated: a message is
                confirmed once a majority has it, any member takes clients, and when the leader
                dies another goes on. Exchanges (durable ones), policies, users and virtual
                hosts are the same on all members; classic queues and streams belong to the
                member that declared them. Replicated queues share one log, are in memory as
                a whole (where that fills --memory-limit, publishers wait), and take messages
                of up to 7 MiB. Members meet 20,000 ports above their clients, and trust one
                another there; operators come 10,000 above, to any of them.
                """)
        return .service(kind, description) { invocation in
            var settings = settings(invocation.arguments)
            let group = try GroupWords(invocation)
            if let directory = invocation.arguments.text("data-dir") {
                settings.directoryText = directory
                settings.directory = invocation.session.files.absolute(directory)
            }
            let given = settings
            return ServicePlan(picture: { (host: MessageQueueHost) in host.queuesView }) { node, service in
                var chosen = given
                try group.add(to: &chosen, port: service.port)
                if chosen.managementPort == nil,
                    service.port == MessageQueueHost.defaultPort || chosen.consensus != nil
                {
                    // A group whose first member dies has others, which can be asked.
                    let (port, isTooHigh) = service.port.addingReportingOverflow(MessageQueueHost.managementPortOffset)
                    chosen.managementPort = isTooHigh ? nil : port
                }
                return MessageQueueHost(node: node, port: service.port, settings: chosen, options: service.options)
            }
        }
    }

    private static func settings(_ arguments: ParsedArguments) -> MessageQueueHost.Settings {
        var settings = MessageQueueHost.Settings()
        if let seconds = arguments.integer("heartbeat") { settings.broker.heartbeatSeconds = UInt16(clamping: seconds) }
        if let bytes = arguments.integer("frame-max") { settings.broker.frameMax = UInt32(clamping: bytes) }
        if let count = arguments.integer("channel-max") { settings.broker.channelMax = UInt16(clamping: count) }
        if let bytes = arguments.byteCount("memory-limit") { settings.broker.memoryLimitBytes = bytes }
        if let bytes = arguments.byteCount("max-message-size") { settings.broker.messageSizeLimit = bytes }
        settings.managementPort = arguments.port("management")
        settings.broker.consumerTimeout = arguments.duration("consumer-timeout")
        return settings
    }
}

/// What `messageq` is told of its group.
private struct GroupWords {
    private let arguments: ParsedArguments
    private let session: Session
    private let list: PeerList
    private let electionMilliseconds: Int?

    init(_ invocation: Invocation) throws {
        arguments = invocation.arguments
        session = invocation.session
        list = try PeerList(arguments, of: "messageq")
        electionMilliseconds = arguments.duration("election-timeout").map {
            max(2, Int(clamping: $0.nanoseconds / 1_000_000))
        }
        if list.isEmpty, arguments.has("id") || electionMilliseconds != nil {
            throw UsageError("messageq: --id and --election-timeout are a group's: add --peers with all members")
        }
        if let milliseconds = electionMilliseconds, milliseconds < 50 {
            throw UsageError("messageq: --election-timeout: at least 50ms, or no leader lasts")
        }
        for peer in list.peers where Int(peer.port) + GroupPlace.portOffset > UInt16.max {
            throw UsageError(
                "messageq: --peers: \(peer): members meet \(GroupPlace.portOffset) ports above, so a port is at most "
                    + "\(Int(UInt16.max) - GroupPlace.portOffset)")
        }
    }

    func add(to settings: inout MessageQueueHost.Settings, port: UInt16) throws {
        if list.isEmpty { return }
        guard let id = arguments.integer("id") ?? list.id(atPort: port) else {
            throw UsageError("--peers: none of them has port \(port), and there is no --id: which is this one?")
        }
        if settings.directory == nil {
            settings.directoryText = "./messageq-\(id)"
            settings.directory = session.files.absolute("messageq-\(id)")
        }
        if id <= list.peers.count { settings.broker.nodeName = "rabbit@\(list.peers[id - 1])" }
        let members = list.peers.enumerated().map { ($0 + 1, GroupPlace.meeting($1)) }
        settings.consensus = GroupPlace.settings(
            id: id, members: Dictionary(uniqueKeysWithValues: members), directory: settings.directory ?? "/",
            electionMilliseconds: electionMilliseconds)
    }
}
