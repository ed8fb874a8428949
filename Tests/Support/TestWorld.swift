import KernelStorage
import KernelStructures
import KernelWorld

/// A world in memory with virtual time.
public func memoryWorld(seed: UInt64 = 1, _ change: (inout WorldConfiguration) -> Void = { _ in }) -> World {
    var configuration = WorldConfiguration(transport: MemoryTransport())
    configuration.seed = seed
    change(&configuration)
    return World(configuration)
}

extension World {
    /// A service node, which must be possible.
    public func node(_ name: String) -> Node {
        do { return try nodes.start(name) } catch { fatalError("\(error)") }
    }

    /// Lets lab time pass.
    public func pass(_ duration: LabDuration) { advance(by: duration) }
    /// Seconds since the epoch, for expectations.
    public var seconds: Double { elapsed.seconds }

    @discardableResult
    public func inject(
        _ kind: FaultKind, from: String? = nil, to: String? = nil, both: Bool = false, for duration: LabDuration? = nil
    ) -> Int {
        let link = LinkSelector(
            from: from.map { .names([$0]) } ?? .any, to: to.map { .names([$0]) } ?? .any, isBothWays: both, text: "test"
        )
        return faults.inject(kind, on: link, for: duration, text: kind.name)!
    }
}

/// Random bytes of a seed.
public func randomBytes(_ count: Int, seed: UInt64) -> [UInt8] {
    var random = SeededRandom(seed: seed)
    return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
}
