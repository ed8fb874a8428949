import KernelOTLP
import KernelStructures
import KernelTelemetry

/// Decides which traces are kept once it can be seen how they went.
///
/// ## The problem
///
/// Of a million requests a day nobody looks at more than a hundred, and they are never the ones that a coin would
/// choose. Whoever decides when a request begins cannot know that it will fail.
///
/// ## An everyday picture
///
/// A security camera that writes over its tape every minute, unless somebody has broken in.
///
/// ## How
///
/// Spans of a trace wait together from the first one on, for `decisionWait`. Then each policy is asked, and if any
/// wants the trace it is kept whole. The answer is remembered for spans that come later.
///
/// ## Where it is wrong
///
/// What takes longer than the wait is judged by what was there. And what waits is in memory only.
public struct TailSampler: Sendable {
    public enum Policy: Equatable, Sendable {
        /// Traces that took at least so long.
        case latency(LabDuration)
        /// Traces with an error in them.
        case errors
        /// A share of all traces, by their ids: everybody who asks gets the same answer.
        case share(Double)
        /// At most so many spans a second, whatever they are.
        case rate(Int)
    }

    public struct Settings: Equatable, Sendable {
        public var policies: [Policy] = []
        public var decisionWait = LabDuration.seconds(10)
        /// Spans that wait; of more, the oldest trace is decided at once.
        public var spanLimit = 100_000

        public init() {}
    }

    public struct Counters: Equatable, Sendable {
        public var keptTraces = 0
        public var droppedTraces = 0
        public var droppedSpans = 0
        /// Decided before their time, because there was no room.
        public var earlyTraces = 0
    }

    public let settings: Settings
    public private(set) var counters = Counters()
    private var waiting: [TraceID: Pending] = [:]
    /// In the order of their decisions.
    private var queue = RingQueue<TraceID>()
    public private(set) var waitingSpanCount = 0
    private var decided: [TraceID: Bool] = [:]
    private var decidedOrder = RingQueue<TraceID>()
    /// For `rate`: the second, and what was kept in it.
    private var second = Int64.min
    private var keptInSecond = 0

    private struct Pending {
        var spans: [TracedSpan]
        let due: LabTime
    }

    /// Decisions that are remembered.
    static let memoryLimit = 50_000

    public init(_ settings: Settings) { self.settings = settings }

    /// When the next trace is to be decided.
    public var nextDecision: LabTime? { queue.first.flatMap { waiting[$0]?.due } }

    /// Takes spans, and returns those that are kept at once: all of them where there is no policy.
    public mutating func add(_ spans: [TracedSpan], now: LabTime) -> [TracedSpan] {
        if settings.policies.isEmpty { return spans }
        var kept: [TracedSpan] = []
        for span in spans {
            let id = span.span.traceID
            if let isKept = decided[id] {
                if isKept { kept.append(span) } else { counters.droppedSpans += 1 }
                continue
            }
            if waiting[id] == nil {
                waiting[id] = Pending(spans: [], due: now + settings.decisionWait)
                queue.append(id)
            }
            waiting[id]?.spans.append(span)
            waitingSpanCount += 1
            while waitingSpanCount > settings.spanLimit, let oldest = queue.popFirst() {
                counters.earlyTraces += 1
                kept += decide(oldest, now)
            }
        }
        return kept
    }

    /// Decides what is due, and returns what is kept of it.
    public mutating func advance(to now: LabTime) -> [TracedSpan] {
        var kept: [TracedSpan] = []
        while let due = nextDecision, due <= now, let id = queue.popFirst() { kept += decide(id, now) }
        return kept
    }

    /// Decides all that waits: it is about to stop.
    public mutating func finish(now: LabTime) -> [TracedSpan] {
        var kept: [TracedSpan] = []
        while let id = queue.popFirst() { kept += decide(id, now) }
        return kept
    }

    private mutating func decide(_ id: TraceID, _ now: LabTime) -> [TracedSpan] {
        guard let pending = waiting.removeValue(forKey: id) else { return [] }
        waitingSpanCount -= pending.spans.count
        let trace = Trace(id, pending.spans)
        var isKept = false
        for policy in settings.policies where !isKept { isKept = wants(policy, trace, now) }
        if decidedOrder.count >= Self.memoryLimit, let oldest = decidedOrder.popFirst() { decided[oldest] = nil }
        decided[id] = isKept
        decidedOrder.append(id)
        if isKept {
            counters.keptTraces += 1
            return pending.spans
        }
        counters.droppedTraces += 1
        counters.droppedSpans += pending.spans.count
        return []
    }

    private mutating func wants(_ policy: Policy, _ trace: Trace, _ now: LabTime) -> Bool {
        switch policy {
        case .latency(let least): return trace.duration >= UInt64(max(0, least.nanoseconds))
        case .errors: return trace.hasError
        case .share(let share): return share >= 1 || Double(trace.id.low >> 1) < share * 0x1p63
        case .rate(let limit):
            if now.unixSeconds != second {
                second = now.unixSeconds
                keptInSecond = 0
            }
            guard trace.spans.count <= limit - keptInSecond else { return false }
            keptInSecond += trace.spans.count
            return true
        }
    }
}
