import KernelStructures

/// How long a node took for the requests that it has answered lately: from the moment in which a request was read until
/// the end of its answer was handed over, whoever asked.
///
/// Only servers that answer each request once say so (HTTP). Of those that speak unasked, as a broker does, no such
/// time means anything.
public struct RequestTimes: Sendable {
    /// What is older is forgotten.
    public static let span = LabDuration.seconds(10)
    /// The newest that are kept.
    public static let limit = 20_000

    private var answers = RingQueue<(end: LabTime, took: LabDuration)>()

    init() {}

    /// A request's answer is complete.
    public mutating func note(_ took: LabDuration, now: LabTime) {
        forget(before: now - Self.span)
        if answers.count >= Self.limit { _ = answers.popFirst() }
        answers.append((now, took))
    }

    /// Of the answers that were complete within the last ten seconds, in that order.
    public mutating func recent(now: LabTime) -> [LabDuration] {
        forget(before: now - Self.span)
        return (0..<answers.count).map { answers[$0].took }
    }

    private mutating func forget(before time: LabTime) {
        while let first = answers.first, first.end < time { _ = answers.popFirst() }
    }
}
