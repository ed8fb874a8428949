import CommandKit
import CommandServices
import KernelJSON
import KernelStructures
import KernelWorld
import ShellSession

extension GeneralCommands {
    static var journal: Command {
        let description = CommandDescription(
            "journal", "what happened: log lines, messages, changes, faults, and why",
            usage: "[-n COUNT] [NODE] [--json]",
            flags: [
                .init("count", "n", .integer(1...100_000), "the last so many events (20)"),
                .init("all", "a", "every event that is still kept"), CommonFlags.json,
            ], arguments: .init([.node], 0...1), examples: ["journal", "journal -n 50 lb", "journal --all"],
            group: .views,
            details: """
                Each line: number, the calendar's time and the lab's since it began, as the
                prompt has them, node, event, and the number of the event that caused it.
                """)
        return Command(description) { invocation in
            let journal = invocation.session.world.journal!
            let name = invocation.arguments.arguments.first.map {
                invocation.session.nodeName(meantBy: $0).lowercased()
            }
            let limit = invocation.arguments.has("all") ? Int.max : invocation.arguments.integer("count") ?? 20
            var chosen: [JournalEvent] = []
            var index = journal.events.count - 1
            while index >= 0, chosen.count < limit {
                let event = journal.events[index]
                if name == nil || event.node?.lowercased() == name { chosen.append(event) }
                index -= 1
            }
            chosen.reverse()
            let epoch = invocation.session.world.epoch
            let text = chosen.map { line($0, epoch) }.joined()
            let json = chosen.map { event -> JSONValue in
                .object([
                    ("number", .integer(Int(event.number))), ("time", .string(event.time.description)),
                    ("elapsed_ms", .milliseconds(event.time - epoch)),
                    ("node", event.node.map { .string($0) } ?? .null), ("cause", .integer(Int(event.cause))),
                    ("event", .string(event.body.description)),
                ])
            }
            return .view(View(.text(text, json: .array(json))))
        }
    }

    private static func line(_ event: JournalEvent, _ epoch: LabTime) -> String {
        let node = event.node.map { " \($0)" } ?? ""
        let cause = event.cause == 0 ? "" : " <- #\(event.cause)"
        let elapsed = elapsedClock(event.time - epoch, hasMilliseconds: true)
        return "#\(event.number) \(event.time) \(elapsed)\(node) \(event.body)\(cause)\n"
    }
}
