import KernelStructures

/// What many clicks come to: what is written into the database instead of them.
///
/// A click is one look-up here, by its code, and none if it has the code of the one before: a link that everybody
/// follows at the moment is what there is much of.
public struct ClickTotals {
    /// What the clicks of one code come to.
    private final class Tally {
        var clicks = 0
        var bots = 0
        /// Days since 1970: few, and the last one nearly always.
        var days: [(number: Int64, count: Int)] = []
        var referrers: [String: Int] = [:]
        var agents: [VisitorAgent: Int] = [:]
        var visitors = DistinctEstimate()
        var recent: [Click] = []
    }

    public struct Day: Hashable, Comparable, Sendable {
        public let code: String
        /// `2024-01-15`, in the zone that the service counts days in.
        public let day: String

        public static func < (a: Day, b: Day) -> Bool { (a.code, a.day) < (b.code, b.day) }
    }

    public struct Name: Hashable, Comparable, Sendable {
        public let code: String
        public let name: String

        public static func < (a: Name, b: Name) -> Bool { (a.code, a.name) < (b.code, b.name) }
    }

    private var tallies: [String: Tally] = [:]
    private var last: (code: String, tally: Tally)?
    public private(set) var count = 0

    /// Visits of a code that are kept one by one; older ones are only counted.
    public static let recentLimit = 100
    private static let dayNanoseconds: Int64 = 86_400_000_000_000

    public init() {}

    /// - Parameter zoneSeconds: what is added to UTC for the date.
    public mutating func add(_ click: Click, zoneSeconds: Int) {
        count += 1
        let tally = tally(of: click.counter)
        tally.clicks += 1
        if click.agent.isBot { tally.bots += 1 }
        let time = (click.time + .seconds(zoneSeconds)).nanoseconds
        let day = time / Self.dayNanoseconds - (time % Self.dayNanoseconds < 0 ? 1 : 0)
        if let place = tally.days.lastIndex(where: { $0.number == day }) {
            tally.days[place].count += 1
        } else {
            tally.days.append((day, 1))
        }
        tally.referrers[click.referrer, default: 0] += 1
        tally.agents[click.agent, default: 0] += 1
        tally.visitors.insert(click.visitor)
        // In pieces of twice the limit, so that the oldest are not moved away one by one.
        tally.recent.append(click)
        if tally.recent.count >= 2 * Self.recentLimit { tally.recent.removeFirst(Self.recentLimit) }
    }

    private mutating func tally(of code: String) -> Tally {
        if let last, last.code == code { return last.tally }
        let tally: Tally
        if let known = tallies[code] {
            tally = known
        } else {
            tally = Tally()
            tallies[code] = tally
        }
        last = (code, tally)
        return tally
    }

    // MARK: What they come to

    public var clicks: [String: Int] { tallies.mapValues(\.clicks) }
    public var bots: [String: Int] { tallies.mapValues(\.bots).filter { $0.value > 0 } }
    public var visitors: [String: DistinctEstimate] { tallies.mapValues(\.visitors) }
    /// The newest of each code, oldest first.
    public var recent: [String: [Click]] { tallies.mapValues(\.recent) }

    public var days: [Day: Int] {
        flattened { code, tally in
            tally.days.map { (Day(code: code, day: Self.date($0.number)), $0.count) }
        }
    }

    public var referrers: [Name: Int] {
        flattened { code, tally in tally.referrers.map { (Name(code: code, name: $0.key), $0.value) } }
    }

    public var agents: [Name: Int] {
        flattened { code, tally in tally.agents.map { (Name(code: code, name: $0.key.rawValue), $0.value) } }
    }

    private func flattened<Key: Hashable>(_ parts: (String, Tally) -> [(Key, Int)]) -> [Key: Int] {
        Dictionary(uniqueKeysWithValues: tallies.flatMap { parts($0.key, $0.value) })
    }

    private static func date(_ day: Int64) -> String {
        String(LabTime(nanoseconds: day * dayNanoseconds).description.prefix(10))
    }
}
