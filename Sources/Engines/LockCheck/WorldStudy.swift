/// A world that follows from a seed, lives through trouble, and is judged.
public protocol StudiedWorld: AnyObject, SendableMetatype {
    init(seed: UInt64, _ settings: CheckedWorld.Settings)
    /// Lives through it.
    ///
    /// - Returns: what went wrong; empty if nothing did.
    func play() -> [String]
    var tally: WorldTally { get }
    /// What happened, where that was asked for.
    var moments: [CheckedWorld.Moment] { get }
}

/// Many worlds, one after the other, and what was found in them.
public struct WorldStudy: Sendable {
    public let settings: CheckedWorld.Settings
    private let kind: any StudiedWorld.Type
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

    /// - Parameter kind: of the worlds.
    public init(
        _ settings: CheckedWorld.Settings = CheckedWorld.Settings(), of kind: any StudiedWorld.Type = CheckedWorld.self
    ) {
        self.settings = settings
        self.kind = kind
    }

    /// Lives through the world of that seed.
    ///
    /// - Returns: whether all went well.
    @discardableResult
    public mutating func play(_ seed: UInt64) -> Bool {
        let world = kind.init(seed: seed, settings)
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
