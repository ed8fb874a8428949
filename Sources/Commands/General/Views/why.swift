import CommandKit
import CommandServices
import KernelJSON
import KernelStructures
import KernelTelemetry
import KernelWorld
import ShellSession

extension GeneralCommands {
    static var why: Command {
        let description = CommandDescription(
            "why", "what led to a line: the chain of causes, from the command that began it",
            usage: "LINE|NUMBER [FLAGS]", flags: [CommonFlags.glyphs, CommonFlags.json],
            arguments: .init([.text], 1...100),
            examples: ["why 'Removed 8082 from pool'", "why lock job", "why did the lock move", "why 4711"],
            group: .views,
            details: """
                LINE is any part of a line that a service has logged, or of what journal and
                timeline show; the newest one that has it is meant. Where none has it whole,
                it is the newest of those that have most of its words, and that is said.
                NUMBER is an event's; one from 400 to 599 is a status, if an answer that the
                lab remembers had it (#429 is the event). Each event knows the one that
                caused it; work that waits carries it along. What a check has found comes of
                what it met: of the server that was killed, and not of the timer that had it
                look. That stands below, as what set it going.
                """)
        return Command(description) { invocation in
            let session = invocation.session
            let journal = session.world.journal!
            let text = invocation.arguments.arguments.joined(separator: " ")
            let status = answer(ofStatus: text, session.world)
            if let span = status?.span {
                session.notice(
                    "\(text) is taken for a status: \(span.node) answered \(span.name) with it (trace "
                        + "\(span.traceID)); of the event with that number tells why '#\(text)'")
            } else if let number = UInt64(text), statuses.contains(Int64(clamping: number)),
                journal.event(number) != nil
            {
                session.notice("\(text) is taken for an event's number: no answer that is remembered had that status")
            }
            let exact = status?.event ?? find(text, journal)
            guard let event = exact ?? nearest(text, journal) else {
                throw CommandFailure(
                    "nothing in the journal has '\(text)', or any word of it; journal shows what there is, with numbers"
                )
            }
            if exact == nil { session.notice("nothing has '\(text)' whole; the nearest line is #\(event.number)") }
            let causes = CauseChain(journal)
            let chain = causes.decided(event)
            let known = Set(chain.map(\.number))
            let begun = causes.begun(event).filter { !known.contains($0.number) }
            let before = circumstances(of: event, journal, besides: known.union(begun.map(\.number)))
            var view = View(.text(drawn(chain, session), json: .array(chain.map(json))))
            if !begun.isEmpty {
                view.parts.append(
                    .text("Set going by:\n" + rows(begun, session, isChain: true).joined(), json: .null))
            }
            if !before.isEmpty {
                view.parts.append(
                    .text("Before that:\n" + rows(before, session).joined(), json: .array(before.map(json))))
            }
            view.json = .object([
                ("chain", .array(chain.map(json))), ("begun_by", .array(begun.map(json))),
                ("before", .array(before.map(json))),
            ])
            return .view(view)
        }
    }

    /// Statuses of answers that somebody may ask about: those of failures.
    private static let statuses: ClosedRange<Int64> = 400...599

    /// The newest request that was answered with that status, and the event before which its answer was ready; nil for
    /// what is no such status, and where no request that the lab remembers had it.
    private static func answer(ofStatus text: String, _ world: World) -> (span: Span, event: JournalEvent)? {
        guard let status = Int64(text), statuses.contains(status) else { return nil }
        let spans = world.spans.finished
        for index in (0..<spans.count).reversed() where spans[index].kind == .server {
            let span = spans[index]
            let hasIt = span.attributes.contains {
                $0.key == "http.response.status_code" && $0.value == .integer(status)
            }
            guard hasIt, let event = world.journal.event(span.endCause) ?? world.journal.event(span.cause) else {
                continue
            }
            return (span, event)
        }
        return nil
    }

    /// The newest event that has the text, or the one of that number. What the user typed to ask is none of them.
    private static func find(_ text: String, _ journal: Journal) -> JournalEvent? {
        if let number = UInt64(text.drop { $0 == "#" }), let found = journal.event(number) { return found }
        // As it was typed, where anything has it so: OPEN is a circuit's state, and no connection that was opened.
        if let exact = newest(in: journal, { $0.contains(text) }) { return exact }
        let wanted = text.lowercased()
        return newest(in: journal) { $0.lowercased().contains(wanted) }
    }

    private static func newest(in journal: Journal, _ isMeant: (String) -> Bool) -> JournalEvent? {
        for index in (0..<journal.events.count).reversed() {
            let event = journal.events[index]
            if case .command = event.body { continue }
            if isMeant(event.body.description) { return event }
        }
        return nil
    }

    /// The newest of the lines that have most of the words; nil where none has any.
    private static func nearest(_ question: String, _ journal: Journal) -> JournalEvent? {
        let words = Set(question.lowercased().split { !$0.isLetter && !$0.isNumber }.map(String.init))
            .subtracting(fillers)
        var best: (event: JournalEvent, count: Int)?
        var index = journal.events.count - 1
        while index >= 0 {
            let event = journal.events[index]
            index -= 1
            guard isLine(event) else { continue }
            let text = event.body.description.lowercased()
            let count = words.count { text.contains($0) }
            if count > best?.count ?? 0 { best = (event, count) }
        }
        return best?.event
    }

    /// What is told in words, and not a message among many.
    private static func isLine(_ event: JournalEvent) -> Bool {
        switch event.body {
        case .log, .node, .state, .fault: true
        case .command, .connection, .message, .datagram, .exit, .clock, .span: false
        }
    }

    /// Words of a question that say nothing about its answer.
    private static let fillers: Set<String> = [
        "a", "an", "and", "are", "at", "be", "did", "do", "does", "for", "from", "has", "have", "how", "in", "is", "it",
        "of", "on", "s", "that", "the", "then", "this", "to", "was", "were", "what", "when", "who", "why", "with",
    ]

    /// What was done to the lab, and what failed at the same node, in the minute before: the last eight of it. A chain
    /// of causes ends where a timer was set; what the timer then met is here.
    private static func circumstances(
        of event: JournalEvent, _ journal: Journal, besides known: Set<UInt64>
    ) -> [JournalEvent] {
        let start = event.time - .seconds(60)
        var found: [JournalEvent] = []
        var index = Int(event.number - journal.events[0].number) - 1
        while index >= 0, found.count < 8 {
            let earlier = journal.events[index]
            if earlier.time < start { break }
            if !known.contains(earlier.number), concerns(earlier, event.node) { found.append(earlier) }
            index -= 1
        }
        return found.reversed()
    }

    private static func concerns(_ event: JournalEvent, _ node: String?) -> Bool {
        switch event.body {
        case .node, .fault, .command: true
        case .state: event.node == node
        case .connection(_, let from, let to, let change):
            (from == node || to == node) && CauseChain.isFailure(change)
        case .log, .message, .datagram, .exit, .clock, .span: false
        }
    }

    private static func drawn(_ chain: [JournalEvent], _ session: Session) -> String {
        let lost =
            chain.first.flatMap { $0.cause == 0 ? nil : $0.number }
            .map { "what led to #\($0) is not in the journal any more\n" } ?? ""
        return lost + rows(chain, session, isChain: true).joined()
    }

    private static func rows(_ events: [JournalEvent], _ session: Session, isChain: Bool = false) -> [String] {
        let start = session.world.now - session.world.elapsed
        let times = events.map { ($0.time - start).rounded }
        let width = times.map(displayWidth).max() ?? 0
        return events.enumerated().map { index, event in
            let place = event.node.map { "\($0): " } ?? ""
            let arrow = isChain && index > 0 ? "└ " : ""
            let space = String(repeating: " ", count: width - displayWidth(times[index]))
            let text = event.body.description.split(separator: "\n").first ?? ""
            let start = "\(space)\(times[index])  #\(event.number)  \(arrow)"
            return wrapped(
                start + place + text, columns: session.renderer.columns, indent: displayWidth(start)) + "\n"
        }
    }

    private static func json(_ event: JournalEvent) -> JSONValue {
        .object([
            ("number", .integer(Int(event.number))), ("time", .string(event.time.description)),
            ("node", event.node.map { .string($0) } ?? .null), ("cause", .integer(Int(event.cause))),
            ("event", .string(event.body.description)),
        ])
    }
}
