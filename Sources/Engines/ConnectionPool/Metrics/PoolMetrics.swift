import KernelStructures

/// What a pool measures: how long borrowers waited, how long they kept what they got, how long opening took.
public struct PoolMetrics: Sendable {
    /// Nanoseconds from asking to having.
    public internal(set) var acquired = PowerHistogram(firstBound: 1000)
    /// Milliseconds from having to giving back.
    public internal(set) var usage = PowerHistogram(firstBound: 1)
    /// Milliseconds from the start of connecting to an open connection.
    public internal(set) var creation = PowerHistogram(firstBound: 1)
    /// The same waits as `acquired`, finer: for percentiles.
    public internal(set) var waits = LatencyHistogram()

    public init() {}

    mutating func recordWait(_ wait: LabDuration) {
        acquired.record(Int(wait.nanoseconds))
        waits.record(wait)
    }
}

/// A histogram in Prometheus' sense: eleven buckets whose bounds double, and one for the rest. HikariCP's own choice.
public struct PowerHistogram: Sendable, Equatable {
    public static let boundCount = 11
    public let firstBound: Int
    /// By bucket, not cumulated; the last one is for what exceeds every bound.
    public private(set) var counts: [Int]
    public private(set) var count = 0
    public private(set) var sum = 0

    public init(firstBound: Int) {
        self.firstBound = firstBound
        counts = Array(repeating: 0, count: Self.boundCount + 1)
    }

    public func bound(_ bucket: Int) -> Int { firstBound << bucket }

    public mutating func record(_ value: Int) {
        // A value belongs to the first bound it does not exceed: the number of doublings up to it.
        let steps = value <= firstBound ? 0 : Int.bitWidth - ((value - 1) / firstBound).leadingZeroBitCount
        counts[min(steps, Self.boundCount)] += 1
        count += 1
        sum &+= value
    }
}

/// Durations in buckets that are fine for short ones and coarse for long ones: each power of two is cut into 32, so a
/// percentile read from it is at most 3 % too high. 15 KiB, whatever is recorded.
public struct LatencyHistogram: Sendable {
    private static let subBits = 5
    private static let subCount = 1 << subBits
    private var counts: [Int]
    public private(set) var count = 0
    public private(set) var sum = LabDuration.zero
    public private(set) var maximum = LabDuration.zero

    public init() { counts = Array(repeating: 0, count: (64 - Self.subBits) * Self.subCount) }

    public mutating func record(_ duration: LabDuration) {
        let value = UInt64(max(0, duration.nanoseconds))
        counts[Self.bucket(value)] += 1
        count += 1
        sum += duration
        if duration > maximum { maximum = duration }
    }

    private static func bucket(_ value: UInt64) -> Int {
        if value < UInt64(subCount) { return Int(value) }
        let exponent = 63 - value.leadingZeroBitCount
        return (exponent - subBits + 1) * subCount + Int(value >> UInt64(exponent - subBits)) - subCount
    }

    /// The largest value of a bucket.
    private static func upper(_ bucket: Int) -> UInt64 {
        if bucket < subCount { return UInt64(bucket) }
        let shift = UInt64(bucket / subCount - 1)
        return (UInt64(bucket % subCount + subCount + 1) << shift) - 1
    }

    public var mean: LabDuration {
        count == 0 ? .zero : LabDuration(nanoseconds: sum.nanoseconds / Int64(count))
    }

    /// The duration that a share of all, 0…1, do not exceed.
    public func percentile(_ share: Double) -> LabDuration {
        if count == 0 { return .zero }
        let rank = max(1, Int((share * Double(count)).rounded(.up)))
        var seen = 0
        for (bucket, number) in counts.enumerated() where number > 0 {
            seen += number
            if seen >= rank { return min(maximum, LabDuration(nanoseconds: Int64(clamping: Self.upper(bucket)))) }
        }
        return maximum
    }
}
