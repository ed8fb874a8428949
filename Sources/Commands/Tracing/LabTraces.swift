import CommandKit
import KernelOTLP
import KernelStructures
import KernelTelemetry
import KernelWorld
import ShellSession
import TracingEngine

/// The traces that the lab remembers, by the clock that is right everywhere.
struct LabTraces {
    private let spans: [Span]
    /// In the order in which they were first heard of.
    let ids: [TraceID]
    private let places: [TraceID: [Int]]
    /// Spans that are under way: they have lasted until now, and not come to an end.
    let open: Set<SpanID>
    /// The nodes of those who watch the lab for others: a question that is put to them is about a request, and none.
    private let watchers: Set<String>

    /// - Parameters:
    ///   - watchers: names of nodes whose own traces `last` and `slowest` pass over, where there are others.
    ///   - includesOpen: shows spans that are under way, too, as far as they have come.
    init(_ world: World, watchers: Set<String> = [], includesOpen: Bool = true) {
        self.watchers = watchers
        let finished = world.spans.all
        // Of a trace of which something is over: what it is a part of may still be under way.
        let begun = Set(finished.map(\.traceID))
        let open = (includesOpen ? world.spans.open : []).filter { begun.contains($0.traceID) }
        self.open = Set(open.map(\.spanID))
        spans = finished + open
        var ids: [TraceID] = []
        var places: [TraceID: [Int]] = [:]
        for (place, span) in spans.enumerated() {
            if places[span.traceID] == nil { ids.append(span.traceID) }
            places[span.traceID, default: []].append(place)
        }
        self.ids = ids
        self.places = places
    }

    func spans(of id: TraceID) -> [Span] { (places[id] ?? []).map { spans[$0] } }

    /// - Parameter isTrue: by the lab's clock; otherwise by each node's own, as a collector would get it.
    func trace(_ id: TraceID, isTrue: Bool = true) -> Trace {
        Trace(
            id,
            spans(of: id).map { span in
                TracedSpan(
                    OTLPSpan(span, isTrue: isTrue), resource: OTLPResource(service: span.service, node: span.node))
            })
    }

    var all: [Trace] { ids.map { trace($0) } }

    /// By `last`, `slowest`, the beginning of an id, or the number of an order (`o1`) that it is about.
    ///
    /// - Throws: `CommandFailure` if there is none, or more than one.
    func choose(_ word: String) throws -> TraceID {
        guard !ids.isEmpty else {
            throw CommandFailure("nothing was traced yet; ask something, such as: curl http://localhost/")
        }
        switch word {
        // Of those that began at the same moment, the one that was heard of last.
        case "last": return requests.max { start($0) < start($1) }!
        case "slowest": return requests.max { duration($0) < duration($1) }!
        default:
            let found = ids.filter { "\($0)".hasPrefix(word.lowercased()) }
            if found.count == 1 { return found[0] }
            if found.isEmpty, let own = about(order: word) { return own }
            throw CommandFailure(
                found.isEmpty
                    ? "no trace '\(word)' is remembered; trace shows those that are"
                    : "'\(word)' is the beginning of \(found.count) traces; add more digits")
        }
    }

    /// What somebody asked of the lab, at the prompt or from outside. Checks, scrapes and gossip begin no traces; what
    /// is asked of a store of metrics, lines or traces does, and is left out here, unless there is nothing else.
    private var requests: [TraceID] {
        let asked = ids.filter { id in !spans(of: id).allSatisfy { watchers.contains($0.node) } }
        return asked.isEmpty ? ids : asked
    }

    /// The first trace in which somebody has worked on that order.
    private func about(order: String) -> TraceID? {
        spans.first { span in
            span.attributes.contains { $0.key == "order.id" && $0.value == .text(order) }
        }?.traceID
    }

    private func start(_ id: TraceID) -> LabTime { spans(of: id).map(\.start).min() ?? LabTime(nanoseconds: 0) }
    private func duration(_ id: TraceID) -> LabDuration {
        (spans(of: id).map(\.end).max() ?? start(id)) - start(id)
    }
}

/// A fault that was in force while a trace went on.
struct TracedFault {
    let number: Int
    let text: String
    let start: LabTime
    /// Nil while it still is in force.
    let end: LabTime?

    /// Whether it lies on the way of a trace: a link's both ends, or the node that it is on, took part. By its text: of
    /// a fault that is over nothing else is left.
    func concerns(_ services: [String]) -> Bool {
        let present = Set(services.map { $0.lowercased() }).union(["client", NodeTable.outsideName, "*"])
        let words = text.split(separator: " ")
        let link =
            words.first { $0.contains("->") } ?? words.firstIndex(of: "on").flatMap { words.dropFirst($0 + 1).first }
        guard let link else { return true }
        return link.replacing("<->", with: "->").split(separator: "->").allSatisfy { end in
            let names = end.drop { $0 == "{" }.split { ",}".contains($0) }
            return names.contains { present.contains($0.lowercased()) }
        }
    }

    /// Those of a stretch of time, as the journal tells, in the order of their numbers.
    static func all(in world: World, from start: LabTime, to end: LabTime) -> [TracedFault] {
        let journal = world.journal!
        var found: [TracedFault] = []
        var isKnown: Set<Int> = []
        var ends: [Int: LabTime] = [:]
        var index = journal.events.count - 1
        while index >= 0 {
            let event = journal.events[index]
            index -= 1
            guard case .fault(let number, let change, let text) = event.body else { continue }
            guard change == .injected else {
                ends[number] = event.time
                continue
            }
            isKnown.insert(number)
            let until = ends[number]
            if event.time <= end, until ?? .distantFuture > start {
                found.append(TracedFault(number: number, text: text, start: event.time, end: until))
            }
        }
        // One whose beginning the journal has forgotten.
        for rule in world.faults.rules where !isKnown.contains(rule.number) && rule.since <= end {
            found.append(TracedFault(number: rule.number, text: rule.text, start: rule.since, end: nil))
        }
        return found.sorted { $0.number < $1.number }
    }
}
