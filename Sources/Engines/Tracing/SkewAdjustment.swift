/// Guesses how far machines' clocks are apart, from what cannot be otherwise, as Jaeger does.
///
/// A call that one machine makes cannot be answered by another before it was made. Where a child on another machine
/// lies outside its parent, the child's clock is wrong against the parent's; it is shifted so that it lies in the
/// middle, as if the way there and the way back took the same time. All of its own machine's spans below it go with it.
///
/// Where it is wrong: work that nobody waited for (a message in a queue) may truly begin after its parent has ended, so
/// such spans are left alone. And the middle is only the likeliest guess: the lab knows the truth, and `trace` shows
/// both.
public enum SkewAdjustment {
    /// What is to be added to the times of each node of the tree, in nanoseconds.
    public static func shifts(_ tree: TraceTree) -> [Int64] {
        var shifts = [Int64](repeating: 0, count: tree.nodes.count)
        for (place, node) in tree.nodes.enumerated() {
            guard let parentPlace = node.parent else { continue }
            let span = tree.span(place)
            let parent = tree.span(parentPlace)
            let inherited = shifts[parentPlace]
            shifts[place] = inherited
            guard !isSameMachine(span, parent), span.span.kind != 4, span.span.kind != 5 else { continue }
            // Against the parent's own times, before it was shifted itself.
            shifts[place] = inherited &+ delta(span, parent)
        }
        return shifts
    }

    private static func isSameMachine(_ a: TracedSpan, _ b: TracedSpan) -> Bool {
        let names = [a, b].map { $0.instance ?? $0.resource["host.name"]?.text ?? $0.service }
        return names[0] == names[1]
    }

    private static func delta(_ child: TracedSpan, _ parent: TracedSpan) -> Int64 {
        let (start, end) = (signed(child.span.start), signed(child.span.end))
        let (parentStart, parentEnd) = (signed(parent.span.start), signed(parent.span.end))
        if start >= parentStart, end <= parentEnd { return 0 }
        let (duration, room) = (end &- start, parentEnd &- parentStart)
        if duration >= room { return parentStart &- start }
        return parentStart &+ (room &- duration) / 2 &- start
    }

    /// Times beyond the year 2262 are as good as that.
    private static func signed(_ time: UInt64) -> Int64 { Int64(clamping: time) }

    /// A time with its shift.
    public static func shifted(_ time: UInt64, by shift: Int64) -> UInt64 {
        shift >= 0 ? time &+ UInt64(shift) : time >= shift.magnitude ? time - shift.magnitude : 0
    }
}
