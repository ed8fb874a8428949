import KernelStructures

/// When readers came, the last so many of them.
public struct ReaderArrivals: Sendable {
    private var ring: [LabTime] = []
    private var next = 0
    static let limit = 10_000

    public init() {}

    mutating func note(_ time: LabTime) {
        if ring.count < Self.limit { ring.append(time) } else { ring[next] = time }
        next = (next + 1) % Self.limit
    }

    /// In their order.
    public var times: [LabTime] { ring.count < Self.limit ? ring : Array(ring[next...] + ring[..<next]) }
}
