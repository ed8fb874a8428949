import KernelJSON
import KernelStructures
import KernelWorld
import ShellSession

/// What happened in a session, as data for a page that lets its reader go back and forth in it.
///
/// ```
///   events   columns of numbers, one row an event:  n number, as the difference to the row before
///                                                   t microseconds since the row before
///                                                   k kind   a where   b to whom (-1: nobody)   x text
///                                                   c how many numbers before it its cause is (0: nothing led to it)
///   names    what `a` and `b` count: the lab, clients, nodes
///   texts    what `x` counts, each text once
///   traffic  messages from one to another in each stretch of time, all of them
/// ```
///
/// ## Bounds
///
/// A page that does not open in a browser helps nobody: it stays below `limitBytes`. What people do and what happens to
/// nodes comes first, then log lines, then messages; the first of these kinds for which there is no room left is
/// thinned evenly, over the whole time, and the page says so. A cause that was left out is replaced by its own cause.
struct RunExport {
    /// Bytes of a page.
    static let limitBytes = 2_000_000
    /// Bytes of its events and texts; traffic, style and script have the rest.
    private static let eventBudget = 1_500_000
    /// Rows of the traffic table.
    private static let trafficLimit = 15_000
    /// Bytes that an event takes beside its text, about: seven numbers and their commas.
    private static let rowBytes = 24
    /// Characters of a text; what is longer is cut.
    private static let textLimit = 300

    let json: String
    /// Events that are shown.
    let count: Int
    /// What was left out, as a sentence; empty where nothing was.
    let leftOut: String

    /// Kinds of events, in the order of their numbers on the page.
    private enum Kind: Int, CaseIterable {
        case log, node, state, fault, command, failure, message, exit

        /// Which of them make room for which: the lowest stays.
        var rank: Int {
            switch self {
            case .node, .state, .fault, .command, .exit, .failure: 0
            case .log: 1
            case .message: 2
            }
        }
    }

    private struct Row {
        let event: JournalEvent
        let kind: Kind
        let text: String
    }

    init(_ session: Session) {
        let journal = session.world.journal!
        var rows: [Row] = []
        var deciders = Deciders()
        var traffic = TrafficTable(from: session.world.epoch)
        for event in Self.events(session) {
            traffic.add(event)
            deciders.add(event)
            if let row = Self.row(event) { rows.append(row) }
        }
        let (kept, leftOut) = Self.thinned(rows)
        var names = NameTable()
        let columns = Self.columns(kept, &names, start: session.world.epoch) { event in
            deciders.found[event.number].flatMap { journal.event($0) } ?? journal.event(event.cause)
        }
        count = kept.count
        self.leftOut = leftOut
        let exchanged = traffic.json(limit: Self.trafficLimit, &names)
        let world = session.world
        json =
            JSONValue.object([
                ("seed", .string(String(world.seed))), ("epoch_ms", .integer(Int(world.epoch.nanoseconds / 1_000_000))),
                ("elapsed_us", .integer(Int(world.elapsed.nanoseconds / 1000))), ("left_out", .string(leftOut)),
                ("names", .array(names.all.map { .string($0) })),
                ("kinds", .array(Kind.allCases.map { .string("\($0)") })), ("events", columns.events),
                ("texts", columns.texts), ("traffic", exchanged),
            ]).text
    }

    /// What the journal still has, and before that what the session remembers of its story.
    private static func events(_ session: Session) -> [JournalEvent] {
        let journal = session.world.journal!
        let first = journal.events.count > 0 ? journal.events[0].number : .max
        let story = session.inputs.story
        var events: [JournalEvent] = []
        events.reserveCapacity(journal.events.count)
        for index in 0..<story.count where story[index].number < first { events.append(story[index]) }
        for index in 0..<journal.events.count { events.append(journal.events[index]) }
        return events
    }

    private static func row(_ event: JournalEvent) -> Row? {
        let (kind, text): (Kind, String)
        switch event.body {
        case .log(let line): (kind, text) = (.log, line.text)
        case .node(let change): (kind, text) = (.node, change.rawValue)
        case .state: (kind, text) = (.state, event.body.description)
        case .fault: (kind, text) = (.fault, event.body.description)
        case .command(let terminal, let typed):
            (kind, text) = (.command, (terminal == 1 ? "$ " : "terminal \(terminal) $ ") + typed)
        case .connection(_, _, _, let change):
            guard CauseChain.isFailure(change) else { return nil }
            (kind, text) = (.failure, change.rawValue)
        case .message(_, _, _, let byteCount): (kind, text) = (.message, "\(byteCount) B")
        case .datagram(_, _, let byteCount, let change):
            let isSent = change == .sent
            (kind, text) = (
                isSent ? .message : .failure, "\(byteCount) B datagram" + (isSent ? "" : " \(change.rawValue)")
            )
        case .exit(let command, let status):
            guard status != 0 else { return nil }
            (kind, text) = (.exit, "\(command) exited \(status)")
        case .clock, .span: return nil
        }
        return Row(event: event, kind: kind, text: text.utf8.count > textLimit ? text.prefix(textLimit) + "…" : text)
    }

    // MARK: Thinning

    /// The rows for which there is room, in their order.
    private static func thinned(_ rows: [Row]) -> (kept: [Row], leftOut: String) {
        var room = eventBudget
        var steps = [1, 1, 1]
        var counts = [0, 0, 0]
        for rank in 0...2 {
            var cost = 0
            var known: Set<String> = []
            for row in rows where row.kind.rank == rank {
                counts[rank] += 1
                cost += rowBytes
                if known.insert(row.text).inserted { cost += writtenByteCount(row.text) + 8 }
            }
            // At least one of a hundred is to be seen, whatever came before.
            let available = max(room, eventBudget / 100)
            steps[rank] = max(1, (cost + available - 1) / available)
            room -= cost / steps[rank]
        }
        guard steps != [1, 1, 1] else { return (rows, "") }
        var seen = [0, 0, 0]
        var shown = [0, 0, 0]
        let kept = rows.filter { row in
            defer { seen[row.kind.rank] += 1 }
            let isKept = seen[row.kind.rank] % steps[row.kind.rank] == 0
            if isKept { shown[row.kind.rank] += 1 }
            return isKept
        }
        let names = ["changes and commands", "log lines", "messages"]
        let parts = (0...2).filter { steps[$0] > 1 }.map { "\(shown[$0]) of \(counts[$0]) \(names[$0])" }
        return (kept, "for want of room it has " + parts.joined(separator: ", ") + ", evenly over the time")
    }

    /// Bytes of a text in JSON in a page, at most: what could end a text or an element is escaped.
    private static func writtenByteCount(_ text: String) -> Int {
        text.utf8.reduce(0) { $0 + ($1 < 32 || $1 == 34 || $1 == 92 || $1 == 60 ? 6 : 1) }
    }

    // MARK: Columns

    private static func columns(
        _ rows: [Row], _ names: inout NameTable, start: LabTime, cause: (JournalEvent) -> JournalEvent?
    ) -> (events: JSONValue, texts: JSONValue) {
        var columns = [[JSONValue]](repeating: [], count: 7)
        for index in columns.indices { columns[index].reserveCapacity(rows.count) }
        var texts: [JSONValue] = []
        var known: [String: Int] = [:]
        let numbers = Set(rows.map(\.event.number))
        var last = (number: 0, time: 0)
        for row in rows {
            let event = row.event
            let time = Int((event.time - start).nanoseconds / 1000)
            let number = Int(event.number)
            let (place, target) = ends(event)
            if known[row.text] == nil {
                known[row.text] = texts.count
                texts.append(.string(row.text))
            }
            let cause = keptCause(of: event, numbers, cause)
            let values = [
                number - last.number, time - last.time, row.kind.rawValue, names[place],
                target.map { names[$0] } ?? -1, known[row.text] ?? 0, cause == 0 ? 0 : number - Int(cause),
            ]
            for (index, value) in values.enumerated() { columns[index].append(.integer(value)) }
            last = (number, time)
        }
        let keys = ["n", "t", "k", "a", "b", "x", "c"]
        return (.object(zip(keys, columns).map { ($0, .array($1)) }), .array(texts))
    }

    private static func ends(_ event: JournalEvent) -> (place: String, target: String?) {
        switch event.body {
        case .connection(_, let from, let to, _), .message(_, let from, let to, _), .datagram(let from, let to, _, _):
            (from, to)
        default: (event.node ?? NameTable.lab, nil)
        }
    }

    /// The nearest of an event's causes that is on the page.
    private static func keptCause(
        of event: JournalEvent, _ kept: Set<UInt64>, _ cause: (JournalEvent) -> JournalEvent?
    ) -> UInt64 {
        var last = event
        for _ in 0..<64 {
            guard let earlier = cause(last), earlier.number < last.number else { return 0 }
            if kept.contains(earlier.number) { return earlier.number }
            last = earlier
        }
        return 0
    }
}

/// What decided an event, as `CauseChain` has it, of all events in one go.
private struct Deciders {
    private(set) var found: [UInt64: UInt64] = [:]
    /// The newest change of each node's life, and whether it keeps it from answering.
    private var lives: [String: (number: UInt64, isOver: Bool)] = [:]
    /// The newest connection of each node that failed.
    private var failures: [String: JournalEvent] = [:]

    mutating func add(_ event: JournalEvent) {
        switch event.body {
        case .node(let change):
            if let node = event.node { lives[node] = (event.number, change != .started && change != .thawed) }
        case .connection(_, let from, let to, let change) where CauseChain.isFailure(change) && from != to:
            if let life = lives[to], life.isOver { found[event.number] = life.number }
            failures[from] = event
        case .log, .state:
            guard let node = event.node, let failure = failures[node], failure.time == event.time,
                failure.cause == event.cause
            else { return }
            found[event.number] = failure.number
        default: return
        }
    }
}

/// Names by number, the lab first. Those for which there is no room left have one in common.
struct NameTable {
    static let lab = "lab"
    private static let others = "others"
    private static let limit = 3000
    private(set) var all = [lab]
    private var numbers = [lab: 0]

    subscript(name: String) -> Int {
        mutating get {
            if let known = numbers[name] { return known }
            let name = all.count < Self.limit ? name : Self.others
            if let known = numbers[name] { return known }
            numbers[name] = all.count
            all.append(name)
            return all.count - 1
        }
    }
}

/// How many messages went from one to another, stretch by stretch.
struct TrafficTable {
    private struct Pair: Hashable {
        let from: String
        let to: String
    }

    /// Ways that are told apart; those that come later are not counted.
    private static let pairLimit = 2000

    private let start: LabTime
    private var pairs: [Pair] = []
    private var numbers: [Pair: Int] = [:]
    /// Of each second: messages by pair.
    private var seconds: [Int: [Int: Int]] = [:]

    init(from start: LabTime) { self.start = start }

    mutating func add(_ event: JournalEvent) {
        guard case .message(_, let from, let to, _) = event.body else { return }
        let pair = Pair(from: from, to: to)
        let number = numbers[pair] ?? pairs.count
        if number == pairs.count {
            guard number < Self.pairLimit else { return }
            numbers[pair] = number
            pairs.append(pair)
        }
        seconds[Int((event.time - start).seconds), default: [:]][number, default: 0] += 1
    }

    /// - Parameter limit: rows; with more, stretches become longer until there are no more than that.
    func json(limit: Int, _ names: inout NameTable) -> JSONValue {
        var step = 1
        var rows = table(step)
        while rows.count > limit, step < 1 << 20 {
            step *= 2
            rows = table(step)
        }
        return .object([
            ("step_s", .integer(step)),
            ("pairs", .array(pairs.map { .array([.integer(names[$0.from]), .integer(names[$0.to])]) })),
            ("slots", .array(rows.map { .integer($0.slot) })), ("pair", .array(rows.map { .integer($0.pair) })),
            ("count", .array(rows.map { .integer($0.count) })),
        ])
    }

    private func table(_ step: Int) -> [(slot: Int, pair: Int, count: Int)] {
        var slots: [Int: [Int: Int]] = [:]
        for (second, counts) in seconds { slots[second / step, default: [:]].merge(counts, uniquingKeysWith: +) }
        return slots.sorted { $0.key < $1.key }.flatMap { slot, counts in
            counts.sorted { $0.key < $1.key }.map { (slot, $0.key, $0.value) }
        }
    }
}
