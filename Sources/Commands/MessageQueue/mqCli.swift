import CommandKit
import CommandServices
import KernelAMQP
import KernelStructures
import MessageQueueService
import ShellSession

extension MessageQueueCommands {
    /// `mq-cli publish orders '{"order_id": 123}'`
    static var mqCli: Command {
        let description = CommandDescription(
            "mq-cli", "publishes and consumes messages, and looks after queues", operates: false,
            subcommands: subcommands, group: .clients,
            details: """
                Its server may be a RabbitMQ as well: --server amqp://user:password@host/vhost.
                A queue that it creates is durable and has a retry limit, by the policy
                QUEUE-retry: a message comes again three times at most, as RabbitMQ counts its
                delivery-limit. Given back a fourth time it goes to the queue's dead letters,
                QUEUE.dlq. With retry-delay in the policy each of the three waits in
                QUEUE.retry for so many milliseconds before it comes again.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let words = arguments.arguments
            if let question = question(arguments, words) {
                return .running(question.asked(by: invocation.process, arguments))
            }
            let client = try MQClient(invocation)
            switch arguments.verb {
            case "publish": return .running(MQPublisher(client, try MQPublisher.Wish(arguments)))
            case "consume": return .running(MQConsumer(client, try MQConsumer.Wish(arguments)))
            case "get":
                return .running(
                    MQGetter(
                        client, queue: words[0], count: arguments.integer("count") ?? 1,
                        requeues: arguments.has("requeue"), wantsJSON: arguments.wantsJSON))
            case "purge": return .running(MQPurge(client, queue: words[0]))
            case "move":
                return .running(
                    MQMover(client, from: words[0], limit: arguments.integer("count")) { _ in ("", words[1]) })
            default:
                return .running(
                    MQMover(client, from: words[0], limit: arguments.integer("count"), origin: MQMover.origin))
            }
        }
    }

    /// What the broker's management is asked; nil for what is done over AMQP.
    private static func question(_ arguments: ParsedArguments, _ words: [String]) -> MQQuestion? {
        switch arguments.verb {
        case "queues": .queues
        case "peek": .peek(queue: words[0], count: min(10_000, arguments.integer("count") ?? 20))
        case "log": .log(count: min(10_000, arguments.integer("count") ?? 20))
        case "trace": .trace(words[0])
        case "stats": .stats
        default: nil
        }
    }

    private static let managing: [CommandDescription.Flag] = [
        .init("management", "m", .endpoint, "where its management is (localhost:15672)"),
        .init("user", "u", .text("NAME:PASSWORD"), "who asks (guest:guest)"),
        .init("vhost", nil, .text("NAME"), "in which virtual host (/)"), CommonFlags.json,
    ]

    private static var questions: [Subcommand] {
        let one = CommandDescription.Arguments([.text], 1...1)
        return [
            .init(
                "queues", "lists queues, and what waits in them", usage: "", flags: managing,
                arguments: .none, examples: ["mq-cli queues"]),
            .init(
                "peek", "shows a queue's messages without taking them", usage: "QUEUE [--count N]",
                flags: [count] + managing, arguments: one, examples: ["mq-cli peek orders"],
                details: "First those that somebody holds and has not acknowledged, then those that wait."),
            .init(
                "log", "shows the newest records of the broker's log", usage: "[--count N]", flags: [count] + managing,
                arguments: .none, examples: ["mq-cli log --count 5"]),
            .init(
                "trace", "tells the life of a message", usage: "ID", flags: managing, arguments: one,
                examples: ["mq-cli trace abc123"],
                details: """
                    Of messages that have an ID, as those of mq-cli do. The broker remembers the
                    last 10,000 events.
                    """
            ),
            .init(
                "stats", "counts what the broker has done", usage: "", flags: managing, arguments: .none,
                examples: ["mq-cli stats"]),
        ]
    }

    private typealias Flag = CommandDescription.Flag

    static let connecting: [CommandDescription.Flag] =
        [.init("server", "s", .text("URL"), "where it is: amqp://USER:PASSWORD@HOST:PORT/VHOST (localhost:5672)")]
        + TLSFlags.client

    private static let count = Flag("count", "c", .integer(1...1_000_000_000), "so many at most")

    private static var subcommands: [Subcommand] {
        let one = CommandDescription.Arguments([.text], 1...1)
        let two = CommandDescription.Arguments([.text, .text], 2...2)
        return [
            .init(
                "publish", "sends messages, and waits until the broker has them",
                usage: "QUEUE MESSAGE… [--exchange E] [--header K=V]",
                flags: [
                    .init("exchange", "e", .text("NAME"), "to this exchange; QUEUE is the routing key then"),
                    .init("id", nil, .text("ID"), "what the message is called (six letters by chance)"),
                    .init("header", "H", .text("K=V"), repeatable: true, "a header of the message"),
                    .init("priority", nil, .integer(0...255), "in queues that have priorities"),
                    .init("expiration", nil, .duration(allowsZero: true), "how long it may wait"),
                    .init("transient", nil, "need not survive a restart of the broker"),
                    .init("count", "c", .integer(1...10_000_000), "each so many times (1)"),
                    .init("quiet", "q", "says only how many"),
                    .init(
                        "type", "t", .choice(["classic", "quorum", "stream"]),
                        "what the queue is if it has to be made (classic)"),
                ] + connecting, arguments: .init([.text], 2...10_000),
                examples: [
                    "mq-cli publish orders '{\"order_id\": 123}'", "mq-cli publish orders.eu hello --exchange events",
                ]),
            .init(
                "consume", "receives messages as they come", usage: "QUEUE [--ack-mode manual|auto] [--follow]",
                flags: [
                    .init("ack-mode", nil, .choice(["manual", "auto"]), "asks for each, or acknowledges all (auto)"),
                    .init("auto-nack", nil, "gives every message back until none is left"),
                    .init("follow", "f", "goes on; otherwise it ends when there is none left"),
                    .init("prefetch", nil, .integer(1...65_535), "unacknowledged ones at a time (1)"),
                    .init("group", "g", .text("NAME"), "as one of a group, which has one place in a stream"), count,
                ] + connecting, arguments: one,
                examples: ["mq-cli consume orders --ack-mode manual", "mq-cli consume orders --follow"],
                details: """
                    With --ack-mode manual it shows one message and waits for a letter and Enter:
                    a acknowledges it, n gives it back, q quits. Who quits gives it back, too, and
                    that counts as one of the times that it may come. Then it ends; with --follow
                    it shows the next.
                    """),
            .init(
                "get", "takes messages out of a queue", usage: "QUEUE [--count N] [--requeue]",
                flags: [count, .init("requeue", nil, "puts them back afterwards"), CommonFlags.json] + connecting,
                arguments: one, examples: ["mq-cli get orders", "mq-cli get orders.dlq --count 10 --requeue"]),
            .init(
                "purge", "empties a queue", usage: "QUEUE", flags: connecting, arguments: one,
                examples: ["mq-cli purge orders"]),
            .init(
                "move", "moves messages into another queue", usage: "FROM TO [--count N]", flags: [count] + connecting,
                arguments: two, examples: ["mq-cli move orders.dlq orders"],
                details: "Each is confirmed where it goes before it is acknowledged where it was."),
            .init(
                "replay", "sends dead letters back to where they died", usage: "QUEUE [--count N]",
                flags: [count] + connecting, arguments: one, examples: ["mq-cli replay orders.dlq"],
                details: "Where a message died stands in its header x-death; it begins there anew, without it."),
        ] + questions
    }
}
