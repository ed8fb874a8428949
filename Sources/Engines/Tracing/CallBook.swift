import KernelOTLP
import KernelStructures
import KernelTelemetry

/// Who calls whom how often: what Jaeger calls dependencies.
public struct ServiceCall: Equatable, Sendable {
    public let from: String
    public let to: String
    public let count: Int
}

/// What of a span says who calls whom, in 24 bytes.
struct CallSpan: Sendable {
    let id: UInt64
    /// 0: it has none.
    let parent: UInt64
    /// By the book's numbers of names.
    let service: UInt32
    /// Whom a client's span has asked, where it says so; 0: it does not.
    let peer: UInt32
}

/// Sums of calls, so that nobody has to read traces to know who talks to whom.
///
/// ## How
///
/// The calls of one trace are its *shape*: pairs of services, each with a count. Traces of one kind of request have one
/// shape, which is kept once. Whoever keeps traces notes each one's shape, and adds it to the sums of the file that the
/// trace began in; when more of a trace comes, its old shape is taken out of the sums again.
///
/// To find the calls of a trace all of its spans are needed, and they come from many senders. So what matters of them
/// stays in memory for a while (*young* traces, oldest out first). One that gets more spans later is *late*: it is read
/// once, when somebody asks. So are traces that are not plain: with two spans of one id, or that go in circles. What
/// the book says is what `ServiceGraph` says of the same traces.
///
/// ## Where it is wrong
///
/// Names and pairs come from outside, and are bounded. A trace that finds no room for one is *unsummed*: it is read
/// whenever somebody asks.
struct CallBook {
    /// A shape that is not known, for now, and one that finds no room.
    static let unknown: UInt32 = 0
    static let unsummed = UInt32.max

    private static let nameLimit = 10_000
    private static let pairLimit = 50_000
    /// Different pairs in one trace.
    private static let shapeLimit = 64

    struct Pair: Hashable, Sendable {
        let from: UInt32
        let to: UInt32
        /// The other makes no spans: see `ServiceGraph`.
        let isLeaf: Bool
    }

    // MARK: Names

    private var numbers: [String: UInt32] = [:]
    private var names: [String] = [""]
    private var pairNumbers: [Pair: UInt32] = [:]
    private(set) var pairs: [Pair] = []

    /// Nil where there is no room for another.
    mutating func number(of name: String) -> UInt32? {
        if let known = numbers[name] { return known }
        guard names.count <= Self.nameLimit else { return nil }
        let number = UInt32(names.count)
        numbers[name] = number
        names.append(name)
        return number
    }

    func name(_ number: UInt32) -> String { names[Int(number)] }

    private mutating func number(of pair: Pair) -> UInt32? {
        if let known = pairNumbers[pair] { return known }
        guard pairs.count < Self.pairLimit else { return nil }
        let number = UInt32(pairs.count)
        pairNumbers[pair] = number
        pairs.append(pair)
        return number
    }

    // MARK: Shapes

    /// A list has a pair's number and its count in turn, by rising pairs.
    private var shapes: [(list: [UInt32], uses: Int)] = [([], 0)]
    private var shapeNumbers: [[UInt32]: UInt32] = [:]
    private var freeShapes: [UInt32] = []

    /// Pairs and counts of a shape.
    func forEach(_ shape: UInt32, _ body: (_ pair: UInt32, _ count: Int) -> Void) {
        guard shape != Self.unsummed else { return }
        let list = shapes[Int(shape)].list
        for place in stride(from: 0, to: list.count, by: 2) { body(list[place], Int(list[place + 1])) }
    }

    /// Somebody has it no more.
    mutating func release(_ shape: UInt32) {
        guard shape != Self.unknown, shape != Self.unsummed else { return }
        shapes[Int(shape)].uses -= 1
        guard shapes[Int(shape)].uses == 0 else { return }
        shapeNumbers[shapes[Int(shape)].list] = nil
        shapes[Int(shape)].list = []
        freeShapes.append(shape)
    }

    private mutating func use(_ list: [UInt32]) -> UInt32 {
        guard list.count <= 2 * Self.shapeLimit else { return Self.unsummed }
        if let known = shapeNumbers[list] {
            shapes[Int(known)].uses += 1
            return known
        }
        let shape = freeShapes.popLast() ?? UInt32(shapes.count)
        if Int(shape) == shapes.count { shapes.append((list, 1)) } else { shapes[Int(shape)] = (list, 1) }
        shapeNumbers[list] = shape
        return shape
    }

    /// The shape of a trace, whose spans may be anything.
    mutating func shape(of trace: Trace) -> UInt32 {
        var counts: [(pair: UInt32, count: Int)] = []
        for edge in ServiceGraph([trace]).edges {
            guard let from = number(of: edge.from), let to = number(of: edge.to),
                let pair = number(of: Pair(from: from, to: to, isLeaf: edge.isLeaf))
            else { return Self.unsummed }
            counts.append((pair, edge.calls))
        }
        return use(counts.sorted { $0.pair < $1.pair }.flatMap { [$0.pair, UInt32(clamping: $0.count)] })
    }

    /// The shape of a trace whose spans are all there. Nil if it is not plain: then it has to be read.
    mutating func shape(of spans: [CallSpan]) -> UInt32? {
        var places: [UInt64: Int] = [:]
        places.reserveCapacity(spans.count)
        for (place, span) in spans.enumerated() where places.updateValue(place, forKey: span.id) != nil { return nil }
        let parents = spans.map { span in
            span.parent == 0 || span.parent == span.id ? -1 : places[span.parent] ?? -1
        }
        if Self.hasCircle(parents) { return nil }
        var isAnswered = [Bool](repeating: false, count: spans.count)
        var calls: [UInt32] = []
        for (place, span) in spans.enumerated() where parents[place] >= 0 {
            let caller = spans[parents[place]].service
            if caller == span.service { continue }
            isAnswered[parents[place]] = true
            guard let pair = number(of: Pair(from: caller, to: span.service, isLeaf: false)) else {
                return Self.unsummed
            }
            calls.append(pair)
        }
        for (place, span) in spans.enumerated() where span.peer != 0 && span.peer != span.service && !isAnswered[place]
        {
            guard let pair = number(of: Pair(from: span.service, to: span.peer, isLeaf: true)) else {
                return Self.unsummed
            }
            calls.append(pair)
        }
        calls.sort()
        var list: [UInt32] = []
        for pair in calls {
            if list.count >= 2, list[list.count - 2] == pair { list[list.count - 1] += 1 } else { list += [pair, 1] }
        }
        return use(list)
    }

    /// Whether following parents ever leads back.
    private static func hasCircle(_ parents: [Int]) -> Bool {
        // 1: on the present way up; 2: leads to a root.
        var state = [UInt8](repeating: 0, count: parents.count)
        for start in parents.indices {
            var place = start
            while place >= 0, state[place] == 0 {
                state[place] = 1
                place = parents[place]
            }
            if place >= 0, state[place] == 1 { return true }
            place = start
            while place >= 0, state[place] == 1 {
                state[place] = 2
                place = parents[place]
            }
        }
        return false
    }

    // MARK: Young and late traces

    /// Spans of traces that may get more of them; nothing of a trace that found no room for a name.
    private(set) var young: [TraceID: [CallSpan]] = [:]
    /// In the order of their coming; some are young no more.
    private var order = RingQueue<TraceID>()
    private var youngSpanCount = 0
    /// Traces whose shape is not known, young and late ones; of some it is by now.
    private var open = RingQueue<TraceID>()
    /// Traces that are read whenever somebody asks.
    var unsummedTraces: Set<TraceID> = []

    /// 24 bytes each.
    var youngSpanLimit = 50_000
    /// Spans of one trace that are kept: a larger one is late from then on.
    var youngTraceLimit = 2_000
    var openLimit = 50_000

    /// More of a trace has come.
    ///
    /// - Parameters:
    ///   - isNew: nothing of it was there before.
    ///   - wasKnown: its shape was known until now.
    mutating func came(_ id: TraceID, _ groups: [OTLPTraces.Group], isNew: Bool, wasKnown: Bool) {
        if isNew || wasKnown { open.append(id) }
        guard isNew || young[id] != nil else { return }
        var spans = young.removeValue(forKey: id) ?? []
        youngSpanCount -= spans.count
        if isNew { order.append(id) }
        for group in groups {
            guard let service = number(of: group.resource.serviceName) else { return }
            for span in group.spans {
                var peer: UInt32 = 0
                if span.kind == 3, let address = span["server.address"] {
                    guard let number = number(of: address.text) else { return }
                    peer = number
                }
                spans.append(
                    CallSpan(
                        id: span.spanID.value, parent: span.parentID?.value ?? 0, service: service, peer: peer))
            }
        }
        guard spans.count <= youngTraceLimit else { return }
        youngSpanCount += spans.count
        young[id] = spans
    }

    /// It can only be read from now on: something of it has gone.
    mutating func shrank(_ id: TraceID) {
        forget(id)
        open.append(id)
    }

    /// Nothing of it is left, or its spans are not needed any more.
    mutating func forget(_ id: TraceID) {
        if let spans = young.removeValue(forKey: id) { youngSpanCount -= spans.count }
        unsummedTraces.remove(id)
    }

    /// The one that is to be young no more, because there is no room; nil if there is.
    mutating func oldest() -> TraceID? {
        youngSpanCount > youngSpanLimit || order.count > youngSpanLimit ? order.popFirst() : nil
    }

    /// One whose shape has to be found now, because too many are not known; nil if there is time.
    mutating func overdue() -> TraceID? { open.count > openLimit ? open.popFirst() : nil }

    /// All whose shape may not be known, to be found now.
    mutating func takeOpen() -> [TraceID] {
        defer { open.removeAll() }
        return (0..<open.count).map { open[$0] }
    }

    /// It is young no more.
    mutating func drop(young id: TraceID) {
        if let spans = young.removeValue(forKey: id) { youngSpanCount -= spans.count }
    }
}
