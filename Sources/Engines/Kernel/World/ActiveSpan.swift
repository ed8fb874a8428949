import KernelStructures
import KernelTelemetry

/// A span that is under way: `SpanRecorder` makes them, and keeps what is left when they end.
///
/// Whoever works on it may add attributes, events and a status until then; what comes later is dropped. One of a trace
/// that is not kept has a context, for those that are asked within it, and nothing else.
public final class ActiveSpan {
    /// The span's own: what is sent along with requests that are made within it.
    public let context: TraceContext
    public let baggage: Baggage
    public let parentID: SpanID?
    /// The span of the same node that it is a part of.
    public internal(set) var parent: ActiveSpan?
    public let node: Node
    public let kind: Span.Kind
    /// May become clearer while it lasts: a path becomes the route's template.
    public var name: String
    public let start: LabTime
    /// The journal's event that it began with.
    public let cause: UInt64
    /// The journal's events that work within it names as its causes: the first, and the latest beside it.
    var causes: [UInt64] = []
    /// 1, 2, 3 … in the order of beginning.
    let number: UInt64
    private let life: NodeLife?
    private unowned let recorder: SpanRecorder
    private var attributes: [Span.Attribute] = []
    private var events: [Span.Event] = []
    private var links: [Span.Link] = []
    private var status = Span.Status.unset
    public private(set) var isOver = false
    /// Whether what is said of it is kept.
    private var takes: Bool { !isOver && context.isSampled }

    /// Of each: OpenTelemetry's limits (128), smaller.
    public static let attributeLimit = 64
    public static let eventLimit = 64
    public static let linkLimit = 16
    /// Characters of a name, of an attribute's text.
    static let textLimit = 1024

    init(
        _ name: String, _ kind: Span.Kind, _ context: TraceContext, parentID: SpanID?, baggage: Baggage, node: Node,
        recorder: SpanRecorder, number: UInt64
    ) {
        self.name = name
        self.kind = kind
        self.context = context
        self.parentID = parentID
        self.baggage = baggage
        self.node = node
        self.recorder = recorder
        self.number = number
        life = node.life
        start = node.world.now
        cause = node.world.journal.currentCause
    }

    /// Whether its node's life is still the one in which it began.
    var isAlive: Bool { life?.node != nil }

    /// Sets an attribute, or changes it.
    public func set(_ key: String, _ value: Span.Value) {
        guard takes else { return }
        var value = value
        if case .text(let text) = value, text.utf8.count > Self.textLimit {
            value = .text(String(text.prefix(Self.textLimit)))
        }
        if let index = attributes.firstIndex(where: { $0.key == key }) {
            attributes[index] = Span.Attribute(key, value)
        } else if attributes.count < Self.attributeLimit {
            attributes.append(Span.Attribute(key, value))
        }
    }

    public func set(_ key: String, _ text: String) { set(key, .text(text)) }
    public func set(_ key: String, _ number: Int) { set(key, .integer(Int64(number))) }

    /// Notes that something has happened within it.
    public func note(_ event: String, _ attributes: [Span.Attribute] = []) {
        guard takes, events.count < Self.eventLimit else { return }
        events.append(Span.Event(event, at: node.world.now, attributes))
    }

    /// Names a span that it has to do with, and is no part of.
    public func link(to context: TraceContext) {
        guard takes, links.count < Self.linkLimit else { return }
        links.append(Span.Link(context))
    }

    /// It has failed. The first reason stays.
    public func fail(_ reason: String) { if !isOver, !status.isError { status = .error(reason) } }

    /// It has gone well, whatever a library thinks of it.
    public func succeed() { if !isOver { status = .ok } }

    /// What comes of the present event is done within this span, too: a request's body has arrived, and its handler
    /// runs now.
    public func resume() { recorder.bind(self, to: node.world.journal.currentCause) }

    /// Runs `body` as a part of this span. What it sets in motion (calls, timers, replies) stays a part of it.
    public func run(_ body: () -> Void) {
        let journal = node.world.journal!
        if let own = causes.first { journal.withCause(own, body) } else { body() }
    }

    public func end() {
        guard !isOver else { return }
        isOver = true
        recorder.ended(self)
    }

    /// A call is over: ends the span, and goes on with what has waited for it as a part of the span that has called,
    /// even where the reply came without a cause.
    public func end(_ goOn: () -> Void) {
        end()
        if let parent, !parent.isOver, recorder.current(on: node) !== parent { parent.run(goOn) } else { goOn() }
    }

    var finished: Span {
        let name = name.utf8.count > Self.textLimit ? String(name.prefix(Self.textLimit)) : name
        return Span(
            name, kind, context, parent: parentID, service: node.serviceName, node: node.name, from: start,
            to: max(start, node.world.now), skew: node.clockSkew, attributes: attributes, events: events, links: links,
            status: status, cause: cause, endCause: node.world.journal.currentCause)
    }
}
