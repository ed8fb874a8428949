import KernelStructures

/// What borrowers wanted: when each asked, and for how long it kept what it got. The newest 10,000.
///
/// This is the demand itself, and not what the pool made of it: the waiting that a pool of this size caused is left
/// out, so that a pool of another size can be given the same demand.
public struct DemandRecording: Sendable {
    public struct Demand: Sendable, Equatable {
        public let askedAt: LabTime
        /// Nil for those who gave up before they had a connection.
        public let heldFor: LabDuration?
    }

    public static let capacity = 10_000
    private var ring: [Demand] = []
    private var oldest = 0

    public init() {}

    mutating func add(askedAt: LabTime, heldFor: LabDuration) { add(Demand(askedAt: askedAt, heldFor: heldFor)) }
    mutating func addUnserved(askedAt: LabTime) { add(Demand(askedAt: askedAt, heldFor: nil)) }

    private mutating func add(_ demand: Demand) {
        if ring.count < Self.capacity { return ring.append(demand) }
        ring[oldest] = demand
        oldest = (oldest + 1) % Self.capacity
    }

    /// In the order of asking.
    public var demands: [Demand] { ring.sorted { $0.askedAt < $1.askedAt } }
    public var count: Int { ring.count }
}
