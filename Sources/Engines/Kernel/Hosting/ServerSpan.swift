import KernelStructures
import KernelTelemetry
import KernelWorld

/// A traced request while it is being answered: it becomes a `Span` of the journal when the answer is over.
///
/// Only where the journal records traffic, and only for requests that carry a trace context that can be read. A proxy
/// sends the request on as from its own span (W3C Trace Context §3.4). A process of its own keeps no spans, so it pays
/// nothing and passes the fields on as they came: a parent that nobody has recorded would tear the trace apart.
final class ServerSpan {
    private let name: String
    private let context: TraceContext
    private let parent: SpanID
    private let began: LabTime

    private init(name: String, context: TraceContext, parent: SpanID, began: LabTime) {
        self.name = name
        self.context = context
        self.parent = parent
        self.began = began
    }

    /// Nil if the connection's present request is not part of a trace.
    static func begin(_ connection: HTTPServerConnection) -> ServerSpan? {
        let head = connection.head
        let fields = head.values(of: "traceparent")
        guard !fields.isEmpty, let context = try? TraceContext(traceparent: fields, tracestate: []) else { return nil }
        let node = connection.stream.node
        let child = node.draw { context.child(random: &$0) }
        return ServerSpan(
            name: "\(head.methodText) \(head.path)", context: child, parent: context.spanID, began: node.world.now)
    }

    /// Who asks, for requests that are sent on.
    var traceparent: String { context.traceparent }

    func end(at node: Node) {
        let span = Span(name, context, parent: parent, duration: node.world.now - began)
        node.world.journal.record(.span(span), node: node.name)
    }
}
