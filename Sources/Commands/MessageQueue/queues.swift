import CommandKit
import CommandServices
import KernelJSON
import KernelStructures
import KernelWorld
import MessageQueueEngine
import MessageQueueService
import ShellSession

extension MessageQueueCommands {
    /// `queues`, `queues explain orders`
    static var queues: Command {
        let description = CommandDescription(
            "queues", "the queues of a broker in the lab, and why one is as long as it is", operates: true,
            subcommands: [
                .init("list", "all of them", flags: [CommonFlags.json], examples: ["queues", "queues --json"]),
                .init(
                    "explain", "what comes, what goes, and who holds what since when", usage: "QUEUE",
                    flags: [CommonFlags.json], arguments: .init([.text], 1...1), examples: ["queues explain orders"]),
            ], whenNone: "list", group: .views,
            details: """
                It looks into the broker from inside, without a connection. LIMIT is how often
                a message may be given back before it goes to the dead letters. Of a group's
                quorum queues it says who leads and how many members are there; explain also
                says who is behind.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let host = try invocation.session.running(
                MessageQueueHost.self, named: arguments.target, what: "message queue",
                start: "messageq --port 5672", remedy: "name one: queues NODE [VERB]")
            guard arguments.verb == "explain" else { return .view(host.queuesView) }
            let name = arguments.arguments[0]
            for virtualHost in host.broker.sortedVirtualHosts {
                guard let queue = virtualHost.queues[name] else { continue }
                return .view(QueueViews.explain(host.broker.explain(queue, now: invocation.session.world.now)))
            }
            let names = host.broker.sortedVirtualHosts.flatMap { $0.sortedQueues.map(\.name) }
            throw CommandFailure("there is no queue '\(name)'\(didYouMean(name, among: names))")
        }
    }
}

extension MessageQueueHost {
    /// What `show` draws, too.
    var queuesView: View {
        let now = node.world.now
        // Of a broker alone there is nothing to be said about members.
        let view = broker.group?.view
        let rows = broker.sortedVirtualHosts.flatMap(\.sortedQueues).map { queue -> [View.Cell] in
            [
                .text(queue.virtualHostName == "/" ? queue.name : "\(queue.virtualHostName)/\(queue.name)"),
                .integer(queue.readyCount), .integer(queue.heldCount), .integer(queue.consumerCount),
                .integer(queue.arrivals.rate(now)), .integer(queue.departures.rate(now)),
                queue.settings.deliveryLimit.map { .integer($0) } ?? .none,
                queue.settings.deadLetterExchange.map { exchange in
                    .text(exchange.isEmpty ? queue.settings.deadLetterRoutingKey ?? queue.name : exchange)
                } ?? .none,
            ]
                + (view.map {
                    queue.replica == nil
                        ? [.none, .none] : MQViews.group(leader: $0.leader, $0.online.count, of: $0.members.count)
                } ?? [])
        }
        return View(
            .table(
                .init(
                    [
                        .init("QUEUE", key: "queue", flexible: true), .init("READY", key: "ready", right: true),
                        .init("UNACKED", key: "unacked", right: true),
                        .init("CONSUMERS", key: "consumers", right: true),
                        .init("IN/s", key: "arrivals_per_second", right: true),
                        .init("OUT/s", key: "departures_per_second", right: true),
                        .init("LIMIT", key: "delivery_limit", right: true),
                        .init("DEAD LETTERS", key: "dead_letters", flexible: true),
                    ] + (view == nil ? [] : [.init("LEADER", key: "leader"), .init("UP", key: "up")]), rows: rows,
                    whenEmpty: "no queues")))
    }
}

enum QueueViews {
    /// `15:00:05.012`; the whole of it for programs.
    private static func clock(_ time: LabTime) -> View.Cell {
        View.Cell(time.timeOfDayToMilliseconds, json: .string("\(time)"))
    }

    static func explain(_ explanation: QueueExplanation) -> View {
        let consumers = explanation.consumers.map { holder -> [View.Cell] in
            [
                .text(holder.tag), .integer(holder.unackedCount),
                holder.prefetchCount == 0 ? .none : .integer(holder.prefetchCount),
                holder.oldestSince.map(clock) ?? .none,
                holder.obstacle.map { .text($0.rawValue) } ?? .none,
            ]
        }
        return View(
            .text(
                explanation.findings.joined(separator: "\n"),
                json: .array(explanation.findings.map { .string($0) })),
            .record([
                .init("ready", key: "ready", .integer(explanation.readyCount)),
                .init("unacknowledged", key: "unacknowledged", .integer(explanation.unackedCount)),
                .init("come a second", key: "arrivals_per_second", .integer(explanation.arrivalsPerSecond)),
                .init("go a second", key: "departures_per_second", .integer(explanation.departuresPerSecond)),
                .init(
                    "waiting since", key: "waiting_since",
                    explanation.backlogSince.map(clock) ?? .none),
            ]),
            .table(
                .init(
                    [
                        .init("CONSUMER", key: "consumer", flexible: true),
                        .init("HAS", key: "unacknowledged", right: true),
                        .init("MAY HAVE", key: "prefetch", right: true), .init("OLDEST SINCE", key: "oldest_since"),
                        .init("TAKES NONE BECAUSE", key: "obstacle", flexible: true),
                    ], rows: consumers, whenEmpty: "no consumers")))
    }
}
