import KernelStructures

/// How long a node took for the requests that it has answered lately, and how many of them it failed: from the moment
/// in which a request was read until the end of its answer was handed over, whoever asked.
///
/// Only servers that answer each request once say so (HTTP). Of those that speak unasked, as a broker does, no such
/// time means anything.
public struct RequestTimes: Sendable {
    /// What is older is forgotten.
    public static let span = LabDuration.seconds(10)
    /// The newest that are kept.
    public static let limit = 20_000

    private var answers = RingQueue<(end: LabTime, took: LabDuration)>()

    /// What `outcomes` counts.
    public static let outcomeSpan = LabDuration.seconds(60)
    private static let slotCount = 60
    /// By seconds of the last minute, each in the place of its number modulo 60; empty before the first answer.
    private var slots: [Slot] = []

    private struct Slot {
        var second = Int64.min
        var answers = 0
        var failures = 0
    }

    init() {}

    /// A request's answer is complete.
    ///
    /// - Parameter isFailure: whether it says that the server has failed: 500 and above.
    public mutating func note(_ took: LabDuration, isFailure: Bool = false, now: LabTime) {
        count(isFailure, now)
        forget(before: now - Self.span)
        if answers.count >= Self.limit { _ = answers.popFirst() }
        answers.append((now, took))
    }

    /// Of the answers that were complete within the last ten seconds, in that order.
    public mutating func recent(now: LabTime) -> [LabDuration] {
        forget(before: now - Self.span)
        return (0..<answers.count).map { answers[$0].took }
    }

    private mutating func count(_ isFailure: Bool, _ now: LabTime) {
        if slots.isEmpty { slots = Array(repeating: Slot(), count: Self.slotCount) }
        let second = now.nanoseconds / 1_000_000_000
        let place = Int(second % Int64(Self.slotCount) + Int64(Self.slotCount)) % Self.slotCount
        if slots[place].second != second { slots[place] = Slot(second: second) }
        slots[place].answers += 1
        if isFailure { slots[place].failures += 1 }
    }

    /// Answers that were complete within the last minute, in whole seconds, and those of them that were failures.
    public func outcomes(now: LabTime) -> (answers: Int, failures: Int) {
        let oldest = now.nanoseconds / 1_000_000_000 - Int64(Self.slotCount) + 1
        return slots.reduce(into: (0, 0)) { sum, slot in
            if slot.second >= oldest { sum = (sum.0 + slot.answers, sum.1 + slot.failures) }
        }
    }

    private mutating func forget(before time: LabTime) {
        while let first = answers.first, first.end < time { _ = answers.popFirst() }
    }
}
