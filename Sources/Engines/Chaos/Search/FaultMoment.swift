import KernelStructures

/// A moment between two things that happen: a message has left its sender and has not arrived.
///
/// ## The problem
///
/// A service that does two things in the wrong order is wrong for the thousandth part of a second that lies between
/// them. A crash at a random time within two seconds finds that once in some thousand worlds. But what a service has
/// done, it tells somebody: it stores by a message to its database and hears of it by another, it asks and is answered.
/// So every pair of things that it does has a message between them, and there are not many messages: who strikes at
/// them, each as likely as any other, passes between any two effects within some hundred worlds.
///
/// That is how Alvaro, Rosen and Hellerstein ("Lineage-driven Fault Injection", 2015) and the crash points of
/// "ALICE" (Pillai and others, 2014) choose where to break something: behind what was done, and not at times.
public struct FaultMoment: Hashable, Sendable, CustomStringConvertible {
    /// A direction between two nodes.
    public struct Link: Hashable, Comparable, Sendable {
        public let from: String
        public let to: String

        public init(from: String, to: String) {
            self.from = from
            self.to = to
        }

        public static func < (a: Link, b: Link) -> Bool { (a.from, a.to) < (b.from, b.to) }
    }

    public let link: Link
    /// The how manieth message on it since the work began; from 1.
    public let number: Int

    public init(_ link: Link, number: Int) {
        self.link = link
        self.number = number
    }

    public var description: String { "message \(number) \(link.from)->\(link.to)" }
}

/// Counts messages, and says whose moment has come.
public struct MomentWatch: Sendable {
    /// How many there were, on each link.
    public private(set) var counts: [FaultMoment.Link: Int] = [:]
    private var waiting: [FaultMoment: [Int]] = [:]

    /// Links that are counted; messages on further ones are not.
    public static let linkLimit = 10_000

    public init(_ schedule: FaultSchedule) {
        for (index, event) in schedule.events.enumerated() {
            if let moment = event.moment { waiting[moment, default: []].append(index) }
        }
    }

    /// A message is under way. Returns the indices of the schedule's events whose moment this is.
    public mutating func note(from: String, to: String) -> [Int] {
        let link = FaultMoment.Link(from: from, to: to)
        let known = counts[link]
        guard known != nil || counts.count < Self.linkLimit else { return [] }
        let number = (known ?? 0) + 1
        counts[link] = number
        return waiting.isEmpty ? [] : waiting.removeValue(forKey: FaultMoment(link, number: number)) ?? []
    }
}

extension FaultSchedule {
    /// The same with the times at which its moments have come, in the order of these. Events whose moment never came
    /// have done nothing, and are left out.
    public func resolved(_ times: [Int: LabDuration]) -> FaultSchedule {
        var found: [Event] = []
        for (index, event) in events.enumerated() {
            if event.moment == nil {
                found.append(event)
            } else if let time = times[index] {
                found.append(Event(at: time, event.fault, lasts: event.lasts, moment: event.moment))
            }
        }
        let order = found.indices.sorted { (found[$0].at, $0) < (found[$1].at, $1) }
        return FaultSchedule(order.map { found[$0] })
    }

    /// The same at its times alone: what an experiment and a transcript can do.
    public var atTimes: FaultSchedule {
        FaultSchedule(events.map { Event(at: $0.at, $0.fault, lasts: $0.lasts) })
    }
}
