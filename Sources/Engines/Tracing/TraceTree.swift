import KernelTelemetry

/// A trace as a tree: who is a part of whom.
///
/// Whatever came in makes a tree: a span whose parent is not there is a root of its own, and so is one of a circle,
/// which no honest program makes. Nothing here calls itself, because a trace may be as deep as somebody likes.
public struct TraceTree: Sendable {
    public struct Node: Sendable {
        /// Its place in the trace's `spans`.
        public let index: Int
        public let depth: Int
        /// Places in `nodes`.
        public fileprivate(set) var parent: Int?
        public fileprivate(set) var children: [Int] = []
        /// It says that it has a parent, and that is not there.
        public let isOrphan: Bool
    }

    public let trace: Trace
    /// Each before its children, and those in the order in which they began.
    public private(set) var nodes: [Node] = []
    /// Places in `nodes`.
    public private(set) var roots: [Int] = []

    public init(_ trace: Trace) {
        self.trace = trace
        let spans = trace.spans
        var byID: [SpanID: Int] = [:]
        // Of two with one id, the first is the parent of those that name it.
        for (index, span) in spans.enumerated() where byID[span.span.spanID] == nil { byID[span.span.spanID] = index }
        var children = [[Int]](repeating: [], count: spans.count)
        var starts: [Int] = []
        var orphans = [Bool](repeating: false, count: spans.count)
        for (index, span) in spans.enumerated() {
            guard let parentID = span.span.parentID else {
                starts.append(index)
                continue
            }
            if let parent = byID[parentID], parent != index {
                children[parent].append(index)
            } else {
                orphans[index] = true
                starts.append(index)
            }
        }
        var isPlaced = [Bool](repeating: false, count: spans.count)
        for start in starts { place(start, children, orphans, &isPlaced) }
        // What is left goes round in circles: it is cut where it begins.
        for index in spans.indices where !isPlaced[index] {
            orphans[index] = true
            place(index, children, orphans, &isPlaced)
        }
    }

    private mutating func place(_ root: Int, _ children: [[Int]], _ orphans: [Bool], _ isPlaced: inout [Bool]) {
        var stack: [(index: Int, parent: Int?, depth: Int)] = [(root, nil, 0)]
        while let next = stack.popLast() {
            if isPlaced[next.index] { continue }
            isPlaced[next.index] = true
            let own = nodes.count
            nodes.append(
                Node(index: next.index, depth: next.depth, parent: next.parent, isOrphan: orphans[next.index]))
            if let parent = next.parent { nodes[parent].children.append(own) } else { roots.append(own) }
            for child in children[next.index].reversed() { stack.append((child, own, next.depth + 1)) }
        }
    }

    public func span(_ node: Int) -> TracedSpan { trace.spans[nodes[node].index] }

    /// The root that everything else is a part of: the first one that is no orphan, or the first.
    public var main: Int? { roots.first { !nodes[$0].isOrphan } ?? roots.first }

    /// Whether all spans are parts of one.
    public var isConnected: Bool { roots.count == 1 && !nodes[roots[0]].isOrphan }
}
