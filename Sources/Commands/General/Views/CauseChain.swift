import KernelStructures
import KernelWorld

/// What led to an event, in two ways: what decided it, and what merely had it looked at.
///
/// A health check finds a server dead. By the journal's causes, its finding came of the timer that had it look, and
/// that of the command which started the balancer: true, and not what anybody asks for. The other way goes from the
/// finding to the connection that was refused in the same piece of work, from there to the end of whoever should have
/// answered, and so to the `kill`. Where there is such a way it is `decided`; the plain one is `begun`.
struct CauseChain {
    private let journal: Journal

    init(_ journal: Journal) { self.journal = journal }

    /// How long after a node's end somebody may find that it does not answer.
    private static let silence = LabDuration.seconds(30)
    /// Events of one chain; a journal that goes in circles ends there.
    private static let lengthLimit = 1000
    /// Events before a line among which the failure that it is about is looked for.
    private static let workLimit = 64
    /// Events before a failed connection among which the end of its peer is looked for.
    private static let searchLimit = 100_000

    /// The event and what decided it, oldest first; as far back as the journal goes.
    func decided(_ event: JournalEvent) -> [JournalEvent] {
        chain(event) { decider(of: $0) ?? journal.event($0.cause) }
    }

    /// The event and what had it happen, cause by cause, oldest first.
    func begun(_ event: JournalEvent) -> [JournalEvent] { chain(event) { journal.event($0.cause) } }

    private func chain(_ event: JournalEvent, _ before: (JournalEvent) -> JournalEvent?) -> [JournalEvent] {
        var chain = [event]
        while chain.count < Self.lengthLimit, let earlier = before(chain.last!), earlier.number < chain.last!.number {
            chain.append(earlier)
        }
        return chain.reversed()
    }

    private func decider(of event: JournalEvent) -> JournalEvent? {
        switch event.body {
        case .connection(_, _, let to, let change) where Self.isFailure(change): end(of: to, before: event)
        case .log, .state: failure(before: event) ?? whoIsUnreachable(by: event)
        default: nil
        }
    }

    static func isFailure(_ change: JournalEvent.ConnectionChange) -> Bool {
        change == .refused || change == .reset || change == .timedOut
    }

    /// The connection of the same node that failed just before, in the same piece of work.
    private func failure(before event: JournalEvent) -> JournalEvent? {
        for earlier in earlier(than: event, limit: Self.workLimit) {
            guard earlier.time == event.time, earlier.number > event.cause else { return nil }
            if earlier.cause == event.cause, earlier.node == event.node,
                case .connection(_, let from, let to, let change) = earlier.body, from == event.node, to != from,
                Self.isFailure(change)
            {
                return earlier
            }
        }
        return nil
    }

    /// What a line says that calls somebody unreachable, some silence after the fact: the end of the one node that has
    /// ended, or was frozen, in the time before; the last connection to it that failed, where one did. Where several
    /// have ended, nobody can tell from here which is meant.
    private func whoIsUnreachable(by event: JournalEvent) -> JournalEvent? {
        guard event.body.description.contains("unreachable") else { return nil }
        var failures: [String: JournalEvent] = [:]
        var seen: Set<String> = []
        var ends: [JournalEvent] = []
        for earlier in earlier(than: event, limit: Self.searchLimit) {
            if event.time - earlier.time > Self.silence { break }
            if case .connection(_, let from, let to, let change) = earlier.body, from == event.node,
                Self.isFailure(change), failures[to] == nil
            {
                failures[to] = earlier
            }
            guard case .node(let change) = earlier.body, let node = earlier.node, node != event.node,
                seen.insert(node).inserted, change != .started, change != .thawed
            else { continue }
            ends.append(earlier)
        }
        let refused = ends.filter { $0.node.map { failures[$0] != nil } == true }
        let meant = refused.isEmpty ? ends : refused
        guard meant.count == 1, let node = meant[0].node else { return nil }
        return failures[node] ?? meant[0]
    }

    /// What stopped a node from answering, if the last that is known of it is that: its end, or that it was frozen.
    private func end(of name: String, before event: JournalEvent) -> JournalEvent? {
        for earlier in earlier(than: event, limit: Self.searchLimit) where earlier.node == name {
            guard case .node(let change) = earlier.body else { continue }
            return change == .started || change == .thawed ? nil : earlier
        }
        return nil
    }

    private func earlier(than event: JournalEvent, limit: Int) -> some Sequence<JournalEvent> {
        sequence(first: event) { journal.event($0.number &- 1) }.lazy.dropFirst().prefix(limit)
    }
}
