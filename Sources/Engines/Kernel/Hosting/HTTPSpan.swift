import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld

/// Spans of HTTP, as OpenTelemetry's conventions name and describe them.
extension ActiveSpan {
    /// A request that a server begins to answer. Nil where nobody records it.
    ///
    /// One that comes with a trace context goes on with that, kept or not. One without begins a trace if it is
    /// somebody's at the edge: from a terminal, or from outside the lab. What services ask of one another by themselves
    /// is no trace's, and neither are the questions of monitoring and of those who only look (`Node.isObserver`).
    static func serving(_ connection: HTTPServerConnection) -> ActiveSpan? {
        let head = connection.head
        let node = connection.stream.node
        let spans = node.world.spans!
        let fields = head.values(of: "traceparent")
        let name = "\(head.methodText) \(pathText(head))"
        let span: ActiveSpan?
        if !fields.isEmpty,
            let parent = try? TraceContext(traceparent: fields, tracestate: head.values(of: "tracestate"))
        {
            span = spans.continueTrace(
                parent, name, .server, on: node, baggage: Baggage(parsing: head.values(of: "baggage")))
        } else {
            let peer = connection.stream.peer
            guard peer?.isTransient ?? true, peer?.isObserver != true, !isOfMonitoring(head) else { return nil }
            span = spans.beginTrace(name, .server, on: node, baggage: Baggage(parsing: head.values(of: "baggage")))
        }
        span?.describe(head, from: connection.stream)
        return span
    }

    private static func pathText(_ head: HTTPHead) -> String { String(decoding: head.targetPath, as: UTF8.self) }

    private static func isOfMonitoring(_ head: HTTPHead) -> Bool {
        let path = pathText(head)
        return path == "/health" || path == "/metrics"
    }

    private func describe(_ head: HTTPHead, from stream: Stream) {
        set("http.request.method", head.methodText)
        set("url.path", Self.pathText(head))
        set("client.address", "\(stream.remote.address)")
        if let host = head.value(of: .host) { set("server.address", host) }
    }

    /// The server answers with that status: 500 and more is its failure, anything else the client's affair.
    func answers(_ status: Int) {
        set("http.response.status_code", status)
        if status >= 500 { fail("\(status)") }
    }

    /// A request that this side sends, as a part of another span.
    static func calling(
        _ method: String, _ path: @autoclosure () -> String, to destination: HostPort, on node: Node, attempt: Int = 1,
        within parent: ActiveSpan? = nil
    ) -> ActiveSpan? {
        guard let span = node.world.spans.begin("\(method) \(path())", .client, on: node, within: parent) else {
            return nil
        }
        span.set("http.request.method", method)
        span.set("server.address", destination.host)
        span.set("server.port", Int(destination.port))
        if attempt > 1 { span.set("http.request.resend_count", attempt - 1) }
        return span
    }

    /// A call of this side was answered: to it, 400 and more is a failure.
    func wasAnswered(_ status: Int) {
        set("http.response.status_code", status)
        if status >= 400 { fail("\(status)") }
    }

    /// A question to a store or a database, as a part of the present span.
    public static func asking(
        _ system: String, _ operation: @autoclosure () -> String, to destination: HostPort, on node: Node
    ) -> ActiveSpan? {
        guard let span = node.world.spans.begin(operation(), .client, on: node) else { return nil }
        span.set("db.system.name", system)
        span.set("server.address", destination.host)
        span.set("server.port", Int(destination.port))
        return span
    }

    /// What a request that is made within this span has to carry: `traceparent`, and what there is of the others.
    public var fields: [(name: String, value: String)] {
        var fields = [("traceparent", context.traceparent)]
        if let state = context.tracestate { fields.append(("tracestate", state)) }
        if !baggage.isEmpty { fields.append(("baggage", baggage.fieldValue)) }
        return fields
    }
}
