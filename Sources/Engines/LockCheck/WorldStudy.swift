/// Many worlds, one after the other, and what was found in them.
public struct WorldStudy: Sendable {
    public let settings: CheckedWorld.Settings
    public private(set) var worldCount = 0
    public private(set) var tally = WorldTally()
    /// Those that went wrong, the first few of them.
    public private(set) var findings: [Finding] = []

    public struct Finding: Equatable, Sendable {
        public let seed: UInt64
        public let failures: [String]
    }

    /// Findings that are kept; whoever has so many looks at one of them first.
    public static let findingLimit = 10

    public init(_ settings: CheckedWorld.Settings = CheckedWorld.Settings()) { self.settings = settings }

    /// Lives through the world of that seed.
    ///
    /// - Returns: whether all went well.
    @discardableResult
    public mutating func play(_ seed: UInt64) -> Bool {
        let world = CheckedWorld(seed: seed, settings)
        let failures = world.play()
        worldCount += 1
        tally += world.tally
        if failures.isEmpty { return true }
        if findings.count < Self.findingLimit { findings.append(Finding(seed: seed, failures: failures)) }
        return false
    }

    public static func += (a: inout WorldStudy, b: WorldStudy) {
        a.worldCount += b.worldCount
        a.tally += b.tally
        a.findings = Array((a.findings + b.findings).sorted { $0.seed < $1.seed }.prefix(findingLimit))
    }
}
