import KernelStructures

/// One visit, as it is written down before the visitor is sent on.
public struct Click: Equatable, Sendable {
    public var code: String
    public var time: LabTime
    public var referrer: String
    public var agent: VisitorAgent
    /// Of the visitor's address and program, with a secret: to tell visitors apart, not to know them.
    public var visitor: UInt64

    public init(code: String, time: LabTime, referrer: String, agent: VisitorAgent, visitor: UInt64) {
        self.code = code
        self.time = time
        self.referrer = referrer
        self.agent = agent
        self.visitor = visitor
    }

    /// What stands in the place of a code when a visitor followed a link that there is not: `!`, and the path.
    public static func orphan(_ path: some StringProtocol) -> String { orphans + String(path.prefix(200)) }

    /// The name under which all of them are counted; no alias has a `!`.
    public static let orphans = "!"

    /// The code under which it is counted.
    public var counter: String { code.hasPrefix(Self.orphans) ? Self.orphans : code }

    /// As a record of the log.
    var encoded: [UInt8] {
        var writer = RecordWriter()
        writer.append(byte: 1)
        writer.append(code)
        writer.append(time.nanoseconds)
        writer.append(referrer)
        writer.append(agent.rawValue)
        writer.append(visitor)
        return writer.bytes
    }

    /// - Throws: `RecordReader.Malformed`.
    init(encoded: [UInt8]) throws(RecordReader.Malformed) {
        var reader = RecordReader(encoded)
        guard try reader.byte() == 1 else { throw RecordReader.Malformed(position: 0) }
        code = try reader.text()
        time = LabTime(nanoseconds: try reader.signed())
        referrer = try reader.text()
        agent = VisitorAgent(rawValue: try reader.text()) ?? .other
        visitor = try reader.unsigned()
        try reader.expectEnd()
    }
}

/// What many clicks come to: what is written into the database instead of them.
public struct ClickTotals: Sendable {
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

    public private(set) var clicks: [String: Int] = [:]
    public private(set) var bots: [String: Int] = [:]
    public private(set) var days: [Day: Int] = [:]
    public private(set) var referrers: [Name: Int] = [:]
    public private(set) var agents: [Name: Int] = [:]
    public private(set) var visitors: [String: DistinctEstimate] = [:]
    /// The newest of each code, oldest first.
    public private(set) var recent: [String: [Click]] = [:]
    public private(set) var count = 0
    /// The day that was written last: clicks of one day come one after the other.
    private var lastDay: (number: Int64, text: String) = (.min, "")

    /// Visits of a code that are kept one by one; older ones are only counted.
    public static let recentLimit = 100

    public init() {}

    /// - Parameter zoneSeconds: what is added to UTC for the date.
    public mutating func add(_ click: Click, zoneSeconds: Int) {
        count += 1
        let code = click.counter
        clicks[code, default: 0] += 1
        if click.agent.isBot { bots[code, default: 0] += 1 }
        keep(click, code)
        days[Day(code: code, day: day(of: click.time + .seconds(zoneSeconds))), default: 0] += 1
        referrers[Name(code: code, name: click.referrer), default: 0] += 1
        agents[Name(code: code, name: click.agent.rawValue), default: 0] += 1
        visitors[code, default: DistinctEstimate()].insert(click.visitor)
    }

    private mutating func day(of time: LabTime) -> String {
        let length: Int64 = 86_400_000_000_000
        let number = time.nanoseconds / length - (time.nanoseconds % length < 0 ? 1 : 0)
        if number != lastDay.number { lastDay = (number, String(time.description.prefix(10))) }
        return lastDay.text
    }

    /// In pieces of twice the limit, so that the oldest are not moved away one by one.
    private mutating func keep(_ click: Click, _ code: String) {
        recent[code, default: []].append(click)
        if recent[code]!.count >= 2 * Self.recentLimit { recent[code]!.removeFirst(Self.recentLimit) }
    }
}
