import CommandKit
import CommandServices
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
                    .init("data-dir", "d", .file, "where its log is (nowhere: nothing is kept)"),
                    .init("heartbeat", nil, .integer(0...65_535), "seconds, as offered to clients; 0: none (60)"),
                    .init("frame-max", nil, .integer(4096...16_777_216), "bytes, as offered to clients (131072)"),
                    .init("channel-max", nil, .integer(1...65_535), "channels, as offered to clients (2047)"),
                    .init("memory-limit", nil, .byteCount, "bytes of messages from which publishers wait (1GiB)"),
                    .init("max-message-size", nil, .byteCount, "bytes of a message (128MiB)"),
                    .init(
                        "consumer-timeout", nil, .duration(),
                        "unacknowledged for so long, a message goes to another consumer (never)"),
                ]),
            examples: [
                "messageq --port 5672", "mq-cli publish orders '{\"id\": 1}'", "mq-cli consume orders", "stats",
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
                """)
        return .service(kind, description) { invocation in
            var settings = settings(invocation.arguments)
            if let directory = invocation.arguments.text("data-dir") {
                settings.directoryText = directory
                settings.directory = invocation.session.files.absolute(directory)
            }
            let chosen = settings
            return ServicePlan(picture: { (host: MessageQueueHost) in host.queuesView }) { node, service in
                MessageQueueHost(node: node, port: service.port, settings: chosen, options: service.options)
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
        settings.broker.consumerTimeout = arguments.duration("consumer-timeout")
        return settings
    }
}
