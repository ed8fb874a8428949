import CommandKit
import CommandServices
import KernelJSON
import KernelStructures
import KernelWorld
import ShellSession

extension GeneralCommands {
    static var timeline: Command {
        let description = CommandDescription(
            "timeline", "what happened where, and what went from one node to another: a lane for each",
            usage: "[NODE…] [--from TIME] [-n COUNT] [FLAGS]",
            flags: [
                .init("from", nil, .duration(), "how far back it begins (as far as the journal goes)"),
                .init("count", "n", .integer(1...10_000), "the last so many lines (40)"),
                .init("traffic", "t", "every message, and not only what answers a fault or a change"),
                CommonFlags.glyphs, CommonFlags.json,
            ], arguments: .init([.node], 0...Lanes.limit),
            examples: ["timeline", "timeline lb server-2 --from 30s", "timeline --traffic -n 60"], group: .views,
            details: """
                From the journal: log lines, lives of nodes, changes of state, faults, and
                connections that failed; with --traffic messages, too. A line's number is
                its event's: why NUMBER says what led to it. Without names, the nodes with
                the most to tell have lanes.
                """)
        return Command(description) { invocation in
            let session = invocation.session
            let chosen = events(of: session, invocation.arguments)
            let names = try laneNames(session, invocation.arguments.arguments, chosen)
            let lanes = Lanes(names, columns: session.renderer.columns)
            let shown = chosen.compactMap { lane($0, names, session.world) }
                .suffix(invocation.arguments.integer("count") ?? 40)
            if shown.isEmpty { return .view(View(.text("nothing has happened there", json: .array([])))) }
            return .view(View(lanes.view(Array(shown))))
        }
    }

    private static func events(of session: Session, _ arguments: ParsedArguments) -> [JournalEvent] {
        let journal = session.world.journal!
        let start = arguments.duration("from").map { session.world.now - $0 }
        let wantsTraffic = arguments.has("traffic")
        var chosen: [JournalEvent] = []
        var index = journal.events.count - 1
        while index >= 0 {
            let event = journal.events[index]
            if let start, event.time < start { break }
            if isShown(event.body, wantsTraffic) { chosen.append(event) }
            index -= 1
        }
        return chosen.reversed()
    }

    private static func isShown(_ body: JournalEvent.Body, _ wantsTraffic: Bool) -> Bool {
        switch body {
        case .log, .node, .state, .fault, .command: true
        case .connection(_, _, _, let change): change == .refused || change == .reset || change == .timedOut
        case .message, .datagram: wantsTraffic
        case .exit, .clock, .span: false
        }
    }

    /// The lanes: those that were named, or those about which there is the most to tell, in the order of their start.
    private static func laneNames(
        _ session: Session, _ wanted: [String], _ events: [JournalEvent]
    ) throws -> [String] {
        let known = session.world.nodes.allServices.map(\.name)
        guard wanted.isEmpty else {
            return try wanted.map { word in
                let meant = session.nodeName(meantBy: word).lowercased()
                guard let name = known.first(where: { $0.lowercased() == meant }) else {
                    throw CommandFailure("there is no node '\(word)'\(didYouMean(word, among: known))")
                }
                return name
            }
        }
        var counts: [String: Int] = [:]
        for event in events {
            for name in [event.node, ends(event.body)?.to].compactMap(\.self) { counts[name, default: 0] += 1 }
        }
        let busiest = Set(
            known.enumerated().filter { counts[$1] != nil }.sorted { (counts[$1.1]!, $0.0) < (counts[$0.1]!, $1.0) }
                .prefix(Lanes.limit - 1).map(\.1))
        return [labLane] + known.filter(busiest.contains)
    }

    /// Where commands and faults stand, which happen at no node.
    private static let labLane = "lab"

    private static func ends(_ body: JournalEvent.Body) -> (from: String, to: String)? {
        switch body {
        case .connection(_, let from, let to, _), .message(_, let from, let to, _), .datagram(let from, let to, _, _):
            (from, to)
        case .log, .node, .state, .fault, .command, .exit, .clock, .span: nil
        }
    }

    /// An event as the lanes show it; nil if it is in none of them.
    private static func lane(_ event: JournalEvent, _ names: [String], _ world: World) -> Lanes.Event? {
        let time = "\((event.time - (world.now - world.elapsed)).rounded) #\(event.number)"
        func index(_ name: String?) -> Int? { name.flatMap { names.firstIndex(of: $0) } }
        if let (from, to) = ends(event.body) {
            guard let source = index(from) ?? index(labLane), let target = index(to) ?? index(labLane),
                source != target
            else { return nil }
            return Lanes.Event(time: time, lane: source, target: target, label(event.body))
        }
        guard let place = index(event.node) ?? (event.node == nil ? index(labLane) : nil) else { return nil }
        return Lanes.Event(time: time, lane: place, label(event.body))
    }

    private static func label(_ body: JournalEvent.Body) -> String {
        switch body {
        case .connection(_, _, _, let change): "✗ \(change.rawValue)"
        case .message(_, _, _, let byteCount): "\(byteCount) B"
        case .datagram(_, _, let byteCount, let change):
            change == .sent ? "\(byteCount) B" : "✗ \(change.rawValue)"
        case .node(let change): "\(change == .killed || change == .lostPower ? "✗" : "·") \(change.rawValue)"
        case .command(_, let text): "$ \(text.split(separator: "\n").first ?? "")"
        case .fault(_, let change, let text): "! \(text) \(change.rawValue)"
        case .state(let subject, let from, let to, _): "\(subject): \(from) → \(to)"
        case .log, .exit, .clock, .span: body.description
        }
    }
}
