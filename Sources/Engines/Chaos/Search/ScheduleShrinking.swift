import KernelStructures

/// Makes a failing schedule as small as it can be made: what is left fails, and whatever part of it is left out, it
/// does not.
///
/// ## An everyday picture
///
/// The fuse blows with ten lamps on. Switch off half of them: if it still blows, the other half has nothing to do with
/// it. Go on with halves, quarters, single lamps, until every lamp that is on is needed.
///
/// That is delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002, `ddmin`);
/// afterwards each fault that is left is made shorter for as long as it fails.
///
/// It asks one question at a time and is told the answer, so that whoever asks may take as long as it likes.
public struct ScheduleShrinking: Sendable {
    /// The smallest schedule so far that fails.
    public private(set) var best: FaultSchedule
    /// How often it has asked.
    public private(set) var questionCount = 0
    private var parts = 2
    private var next = 0
    private var shortening: Int?
    private var asked: FaultSchedule?

    /// Questions after which it is content with what it has.
    public static let questionLimit = 500
    private static let shortest = LabDuration.milliseconds(100)

    /// - Parameter failing: a schedule that fails.
    public init(_ failing: FaultSchedule) {
        best = failing
        if failing.events.count <= 1 { shortening = 0 }
    }

    /// The next schedule to be tried; nil when `best` is the answer.
    public mutating func question() -> FaultSchedule? {
        guard questionCount < Self.questionLimit else { return nil }
        while let candidate = candidate() {
            if candidate == best { continue }
            questionCount += 1
            asked = candidate
            return candidate
        }
        return nil
    }

    /// Says what came of the last question.
    public mutating func answer(fails: Bool) {
        guard let candidate = asked else { return }
        asked = nil
        guard fails else { return }
        best = candidate
        guard shortening == nil else {
            shortening = shortening.map { $0 - 1 }
            return
        }
        parts = max(2, parts - 1)
        next = 0
        if best.events.count <= 1 { shortening = 0 }
    }

    private mutating func candidate() -> FaultSchedule? {
        if let index = shortening { return shorter(index) }
        let events = best.events
        let count = min(parts, events.count)
        if next < count {
            // All but one part.
            let start = next * events.count / count
            let end = (next + 1) * events.count / count
            next += 1
            return FaultSchedule(Array(events[..<start] + events[end...]))
        }
        if parts < events.count {
            parts = min(events.count, parts * 2)
            next = 0
        } else {
            shortening = 0
        }
        return best
    }

    /// Half as long as it was, one fault after the other.
    private mutating func shorter(_ index: Int) -> FaultSchedule? {
        guard index < best.events.count else { return nil }
        shortening = index + 1
        let event = best.events[index]
        let half = LabDuration(
            nanoseconds: event.lasts.nanoseconds / 2 / Self.shortest.nanoseconds * Self.shortest.nanoseconds)
        guard half >= Self.shortest else { return best }
        var events = best.events
        events[index] = event.lasting(half)
        return FaultSchedule(events)
    }
}
