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
    /// The nodes of those who watch the lab for others: a question that is put to them is about a request, and none.
    private let watchers: Set<String>

    /// - Parameter watchers: names of nodes whose own traces `last` and `slowest` pass over, where there are others.
    init(_ world: World, watchers: Set<String> = []) {
        self.watchers = watchers
        spans = world.spans.all
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

    /// By `last`, `slowest`, or the beginning of an id.
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
