import KernelOTLP
import KernelStructures
import KernelTelemetry

/// Who talks to whom, as the traces have it.
///
/// A call is a span of one service whose parent is a span of another. What is asked of something that makes no spans (a
/// store, a database) is a call to the address that the client's span names, if nobody has answered it with a span.
public struct ServiceGraph: Sendable {
    public struct Edge: Equatable, Sendable {
        public let from: String
        public let to: String
        /// The other makes no spans: all that is known is that it was asked.
        public fileprivate(set) var isLeaf: Bool
        /// It goes through a queue: nobody waits for it.
        public fileprivate(set) var isAsynchronous: Bool
        public fileprivate(set) var calls = 0
        public fileprivate(set) var errors = 0
        /// Nanoseconds, as the one who calls has measured them where it has; sorted.
        public fileprivate(set) var durations: [UInt64] = []

        /// At least that share of the calls was no slower; 0 where there were none.
        public func quantile(_ share: Double) -> UInt64 {
            guard !durations.isEmpty else { return 0 }
            let rank = Int((share * Double(durations.count)).rounded(.up))
            return durations[min(durations.count - 1, max(0, rank - 1))]
        }
    }

    /// By `from`, then by `to`.
    public private(set) var edges: [Edge] = []
    /// Calls among those that make spans: what `TraceStore.calls` says without reading.
    public var calls: [ServiceCall] {
        edges.filter { !$0.isLeaf }.map { ServiceCall(from: $0.from, to: $0.to, count: $0.calls) }
    }

    /// All that make spans, sorted.
    public private(set) var services: [String] = []

    /// - Parameter naming: who is meant by the address and port of a call that nobody has answered, where that is
    ///   known: `localhost` with the port of a server that is dead. Without it, and where it gives nil, the address
    ///   stands for it.
    public init(_ traces: [Trace], naming: (_ address: String, _ port: Int) -> String? = { _, _ in nil }) {
        var found: [Key: Edge] = [:]
        var services: Set<String> = []
        for trace in traces { Self.add(trace, naming, &found, &services) }
        edges = found.sorted { ($0.key.from, $0.key.to) < ($1.key.from, $1.key.to) }.map { entry in
            var edge = entry.value
            edge.durations.sort()
            return edge
        }
        self.services = services.sorted()
    }

    struct Key: Hashable {
        let from: String
        let to: String
    }

    private static func add(
        _ trace: Trace, _ naming: (String, Int) -> String?, _ found: inout [Key: Edge], _ services: inout Set<String>
    ) {
        let tree = TraceTree(trace)
        for place in tree.nodes.indices {
            let span = tree.span(place)
            services.insert(span.service)
            if let parent = tree.nodes[place].parent, tree.span(parent).service != span.service {
                let caller = tree.span(parent)
                let isCall = caller.span.kind == 3
                add(
                    caller.service, span.service, isLeaf: false, isAsynchronous: caller.span.kind == 4,
                    isError: span.isError, isCall ? caller.span.duration : span.span.duration, &found)
            }
            // A client's span that nobody has answered.
            if span.span.kind == 3, let peer = span.span["server.address"]?.text, peer != span.service,
                !tree.nodes[place].children.contains(where: { tree.span($0).service != span.service })
            {
                let known = span.span["server.port"].flatMap { Int($0.text) }.flatMap { naming(peer, $0) }
                add(
                    span.service, known ?? peer, isLeaf: true, isAsynchronous: false, isError: span.isError,
                    span.span.duration,
                    &found)
            }
        }
    }

    private static func add(
        _ from: String, _ to: String, isLeaf: Bool, isAsynchronous: Bool, isError: Bool, _ duration: UInt64,
        _ found: inout [Key: Edge]
    ) {
        let key = Key(from: from, to: to)
        var edge =
            found.removeValue(forKey: key) ?? Edge(from: from, to: to, isLeaf: isLeaf, isAsynchronous: isAsynchronous)
        edge.isLeaf = edge.isLeaf && isLeaf
        edge.isAsynchronous = edge.isAsynchronous && isAsynchronous
        edge.calls += 1
        if isError { edge.errors += 1 }
        edge.durations.append(duration)
        found[key] = edge
    }
}
