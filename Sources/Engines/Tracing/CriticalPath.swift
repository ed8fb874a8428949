/// What would have to become faster for the whole to become faster.
///
/// An everyday picture: dinner for six. The salad takes twenty minutes and the roast ninety, side by side; nobody eats
/// sooner because the salad is ready in ten.
///
/// How (as Uber's CRISP has it, Zhang and others 2022): from the end backwards. At any moment of a span the path runs
/// through the child that was the last to end before; where no child was at work, the span itself was.
///
/// Where it is wrong: children that outlive their parents (work that nobody waited for) are cut off at the parent's
/// end, and a child on another machine may seem to end later than it did.
public struct CriticalPath: Sendable {
    public struct Segment: Equatable, Sendable {
        /// The place in the tree's `nodes`.
        public let node: Int
        public let start: UInt64
        public let end: UInt64
    }

    /// From the first moment to the last, without gaps.
    public private(set) var segments: [Segment] = []
    /// Nanoseconds of the path in each node of the tree.
    public private(set) var durations: [UInt64]

    public init(_ tree: TraceTree) {
        durations = [UInt64](repeating: 0, count: tree.nodes.count)
        guard let root = tree.main else { return }
        let byEnd = tree.nodes.map { node in node.children.sorted { tree.span($0).span.end < tree.span($1).span.end } }
        // What is still to be done, the next last: a span's own work until `until`, with its children that are left. No
        // part of it counts from before `floor`, its parent's beginning.
        var stack: [(node: Int, until: UInt64, left: Int, floor: UInt64)] = []
        stack.append((root, tree.span(root).span.end, byEnd[root].count, 0))
        while let work = stack.popLast() {
            let start = max(tree.span(work.node).span.start, work.floor)
            var left = work.left
            var child: Int?
            while left > 0, child == nil {
                left -= 1
                let other = tree.span(byEnd[work.node][left]).span
                // Whoever ends after what comes behind it on the path was not waited for by that.
                if other.end <= work.until, other.end > start, other.end > other.start {
                    child = byEnd[work.node][left]
                }
            }
            guard let child else {
                add(work.node, start, work.until)
                continue
            }
            let other = tree.span(child).span
            add(work.node, other.end, work.until)
            // Before the child began, this span was at work again.
            stack.append((work.node, max(start, min(other.start, work.until)), left, work.floor))
            stack.append((child, other.end, byEnd[child].count, start))
        }
        segments.reverse()
    }

    private mutating func add(_ node: Int, _ start: UInt64, _ end: UInt64) {
        guard end > start else { return }
        segments.append(Segment(node: node, start: start, end: end))
        durations[node] += end - start
    }
}
