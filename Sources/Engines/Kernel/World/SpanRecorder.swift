import KernelStructures
import KernelTelemetry

/// Spans of all nodes of a World: which are under way, and the most recent ones that are over.
///
/// ## The problem
///
/// A request passes through six services. Each of them must know, in every callback, timer and reply, for whose request
/// it is working right now, or the trace falls to pieces. Handing the span on from function to function reaches every
/// signature there is, and the one place that forgets it tears the trace.
///
/// ## An everyday picture
///
/// A workshop where every slip of paper says which slip it was written because of. Nobody has to carry the order
/// around: whoever wants to know whose order this is follows the slips back until one is an order that lies open on
/// this workshop's desk.
///
/// ## How
///
/// The journal's causes are those slips: they travel with timers, connections and queues as it is. A span is bound to
/// the event that it began with; `current(on:)` follows the causes from the present event back to one that a span of
/// this node, still open, is bound to. Between nodes the trace goes on as anywhere else, by the field `traceparent`,
/// and only by that: a service that loses it tears the trace here as it would in life.
///
/// Whoever is at the edge begins a trace: a request from a terminal or from outside that says nothing of one. What
/// services ask of one another by themselves (checks, scrapes, gossip) is nobody's request.
///
/// Whether a trace is kept is decided where it begins, once (OpenTelemetry's parent-based sampling). A trace that is
/// not has spans nevertheless, while they last: they keep nothing, and what is asked within them says `-00`, so that
/// nobody further down takes the request for the first of a trace of his own.
///
/// ## Where it is wrong
///
/// Causes are recorded in a lab, and in a process of its own only when spans are asked for. A cause from another
/// process is unknown: what waits for a reply from there has to remember its own (`HTTPCall` does). And several
/// messages in one piece of bytes have one cause: hosts that take them apart begin each span with an event of its own
/// (`isSeparate`).
public final class SpanRecorder {
    private unowned let world: World
    /// Without it nothing is begun, and it costs one comparison a request.
    public private(set) var isRecording: Bool
    /// The share of the traces that begin here which are kept (by trace id, as OpenTelemetry's TraceIdRatioBased has
    /// it); a node may keep fewer (`Node.traceShare`). A trace that came from elsewhere is kept or not as whoever began
    /// it has decided.
    public var ratio = 1.0
    /// The most recent spans that are over, in the order of their ends.
    public private(set) var finished = RingQueue<Span>()
    public private(set) var finishedCount: UInt64 = 0
    /// How many were not begun because too many are under way. What those ask says nothing of a trace.
    public private(set) var refusedCount: UInt64 = 0
    /// Hears of each span that is over, but for those that were lost with their node: nobody there could say it.
    public var onFinish: ((Span, Node) -> Void)?

    private var random: SeededRandom
    private var begunCount: UInt64 = 0
    /// Those under way by the events that they are bound to, which are none, one or two of each.
    private var bound: [UInt64: ActiveSpan] = [:]
    /// What nodes have logged while they worked for a trace, by rising numbers of the journal's events.
    private var lines = RingQueue<TracedLine>()

    private struct TracedLine {
        let event: UInt64
        let trace: TraceID
    }

    /// Those under way by their numbers.
    private var underWay: [UInt64: ActiveSpan] = [:]

    /// Spans that are kept; the oldest make room.
    public static let capacity = 20_000
    /// Spans under way at a time; more are not recorded.
    public static let openLimit = 10_000
    /// Events that are followed back.
    private static let searchLimit = 256

    init(world: World, isRecording: Bool) {
        self.world = world
        self.isRecording = isRecording
        random = world.random.fork("spans")
    }

    /// Records spans, and for that the journal's traffic: in a process of its own, where somebody wants them.
    public func startRecording() {
        isRecording = true
        world.journal.recordsTraffic = true
    }

    // MARK: Beginning

    /// A span that nothing led to: the first of a trace. Whether that is kept, its context says (`isSampled`). Nil
    /// where nobody records, and where too many are under way.
    public func beginTrace(
        _ name: @autoclosure () -> String, _ kind: Span.Kind, on node: Node, baggage: Baggage = Baggage(),
        isSeparate: Bool = false
    ) -> ActiveSpan? {
        guard hasRoom else { return nil }
        let id = TraceID(random: &random)
        let share = min(ratio, node.traceShare)
        let context = TraceContext(
            traceID: id, spanID: SpanID(random: &random),
            isSampled: share >= 1 || Double(id.low >> 1) < share * 0x1p63)
        return begin(name(), kind, context, parentID: nil, baggage, on: node, isSeparate: isSeparate)
    }

    /// The span of somebody who was told by another in which trace it stands; kept if whoever began that wants it kept.
    /// Nil as with `beginTrace`.
    public func continueTrace(
        _ parent: TraceContext, _ name: @autoclosure () -> String, _ kind: Span.Kind, on node: Node,
        baggage: Baggage = Baggage(), isSeparate: Bool = false
    ) -> ActiveSpan? {
        guard hasRoom else { return nil }
        let context = parent.child(random: &random)
        return begin(name(), kind, context, parentID: parent.spanID, baggage, on: node, isSeparate: isSeparate)
    }

    /// A part of a span of the same node: by default of the one that runs. Nil if none does.
    public func begin(
        _ name: @autoclosure () -> String, _ kind: Span.Kind, on node: Node, within parent: ActiveSpan? = nil
    ) -> ActiveSpan? {
        guard isRecording, let parent = parent ?? current(on: node), hasRoom else { return nil }
        let context = parent.context.child(random: &random)
        // While a call is out, work here goes on as the caller's: only what is done here is found by its cause.
        let span = begin(
            name(), kind, context, parentID: parent.context.spanID, parent.baggage, on: node,
            isSeparate: kind == .internal, isBound: kind == .internal)
        span.parent = parent
        return span
    }

    private func begin(
        _ name: String, _ kind: Span.Kind, _ context: TraceContext, parentID: SpanID?, _ baggage: Baggage,
        on node: Node, isSeparate: Bool, isBound: Bool = true
    ) -> ActiveSpan {
        begunCount += 1
        let span = ActiveSpan(
            name, kind, context, parentID: parentID, baggage: baggage, node: node, recorder: self, number: begunCount)
        let cause = world.journal.currentCause
        if isBound {
            let isOwn = isSeparate || cause == 0
            bind(span, to: isOwn ? world.journal.record(.span("\(name) began"), node: node.name) : cause)
        }
        underWay[span.number] = span
        return span
    }

    private var hasRoom: Bool {
        guard isRecording else { return false }
        if underWay.count < Self.openLimit { return true }
        refusedCount += 1
        return false
    }

    /// Work that this event leads to belongs to the span.
    func bind(_ span: ActiveSpan, to cause: UInt64) {
        guard cause != 0, !span.isOver, span.causes.last != cause, span.causes.first != cause else { return }
        if span.causes.count > 1 { unbind(span, from: span.causes.removeLast()) }
        span.causes.append(cause)
        bound[cause] = span
    }

    private func unbind(_ span: ActiveSpan, from cause: UInt64) { if bound[cause] === span { bound[cause] = nil } }

    // MARK: While it lasts

    /// The span that the present piece of work is a part of, on that node, of a trace that is kept or of one that is
    /// not; nil if it is part of none.
    public func current(on node: Node) -> ActiveSpan? {
        guard isRecording, !bound.isEmpty else { return nil }
        let journal = world.journal!
        var cause = journal.currentCause
        for _ in 0..<Self.searchLimit {
            if cause == 0 { return nil }
            if let span = bound[cause], span.node === node { return span }
            guard let event = journal.event(cause) else { return nil }
            cause = event.cause
        }
        return nil
    }

    /// Those that are kept, in the order of their ends.
    public var all: [Span] { (0..<finished.count).map { finished[$0] } }

    /// Those that are under way and will be kept, as they are at this moment, in the order of their beginning.
    public var open: [Span] {
        underWay.values.filter(\.context.isSampled).sorted { $0.number < $1.number }.map(\.finished)
    }

    /// How many are under way.
    public var openCount: Int { underWay.count }

    // MARK: The end

    func ended(_ span: ActiveSpan) {
        for cause in span.causes { unbind(span, from: cause) }
        underWay[span.number] = nil
        guard span.context.isSampled else { return }
        keep(span)
        guard span.isAlive else { return }
        onFinish?(finished[finished.count - 1], span.node)
    }

    private func keep(_ span: ActiveSpan) {
        finishedCount += 1
        if finished.count == Self.capacity { _ = finished.popFirst() }
        finished.append(span.finished)
    }

    /// A node's life is over, and with it what it was working on. It can tell nobody; the lab knows.
    func nodeEnded(_ node: Node, _ state: Node.State) {
        if underWay.isEmpty { return }
        for span in underWay.values.filter({ $0.node === node }).sorted(by: { $0.number < $1.number }) {
            span.fail("\(node.name) \(state.rawValue)")
            span.end()
        }
    }

    // MARK: Lines

    /// A node has logged something: the line belongs to the trace that it is working for, if that is kept.
    func noteLine(_ event: UInt64, of node: Node) {
        guard let span = current(on: node), span.context.isSampled else { return }
        if lines.count == Self.capacity { _ = lines.popFirst() }
        lines.append(TracedLine(event: event, trace: span.context.traceID))
    }

    /// The trace that a line of the journal belongs to, by its event's number. Nil where it belongs to none, and where
    /// `capacity` others came after it.
    public func trace(ofLine event: UInt64) -> TraceID? {
        var low = 0
        var high = lines.count
        while low < high {
            let middle = (low + high) / 2
            if lines[middle].event < event { low = middle + 1 } else { high = middle }
        }
        return low < lines.count && lines[low].event == event ? lines[low].trace : nil
    }

    func shutDown() {
        lines.removeAll()
        onFinish = nil
        bound = [:]
        underWay = [:]
        finished.removeAll()
    }
}
