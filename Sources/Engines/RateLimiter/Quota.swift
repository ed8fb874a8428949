import KernelStructures

/// How much is allowed: `count` requests a `period`, and at most `burst` of them at once.
///
/// All arithmetic is in whole numbers. A rate of 3 a second would be one token each 333,333,333.33 ns; rounded, that
/// is wrong by a token after three years, and as a `Double` by as much as its last digit, again and again. So a token
/// is cut into `unitsPerToken` units of which exactly `unitsPerNanosecond` come back each nanosecond (here 10^9 and 3),
/// and nothing is ever rounded but the answer to "when?", always towards later.
public struct Quota: Equatable, Sendable, CustomStringConvertible {
    /// Requests that come back each period, 1…10^9.
    public let count: Int
    public let period: LabDuration
    /// The most that can be had at once after a long rest, 1…10^9. Algorithms with windows go by `count` alone.
    public let burst: Int

    let unitsPerToken: Int64
    let unitsPerNanosecond: Int64
    /// `burst` in units, and the time in which they come back.
    package let burstUnits: Int64
    let burstTime: LabDuration

    /// Units must not overflow, not even twice as many of them.
    static let unitLimit: Int64 = 1 << 61
    package static let countLimit = 1_000_000_000

    /// - Parameter burst: nil for `count`.
    /// - Throws: `QuotaError` where a number is out of range, or all of them together are beyond 64 bits.
    public init(_ count: Int, per period: LabDuration, burst: Int? = nil) throws(QuotaError) {
        let burst = burst ?? count
        guard (1...Self.countLimit).contains(count) else { throw .init("the rate must be 1 to 1,000,000,000") }
        guard (1...Self.countLimit).contains(burst) else { throw .init("the burst must be 1 to 1,000,000,000") }
        guard period > .zero else { throw .init("the period must be longer than nothing") }
        let divisor = Self.commonDivisor(Int64(count), period.nanoseconds)
        unitsPerToken = period.nanoseconds / divisor
        unitsPerNanosecond = Int64(count) / divisor
        let (units, overflow) = unitsPerToken.multipliedReportingOverflow(by: Int64(max(burst, count)))
        guard !overflow, units <= Self.unitLimit else {
            throw .init("\(count) per \(period) with a burst of \(burst) is too much to count; take a shorter period")
        }
        burstUnits = unitsPerToken * Int64(burst)
        burstTime = Self.time(for: burstUnits, unitsPerNanosecond)
        self.count = count
        self.period = period
        self.burst = burst
    }

    private static func commonDivisor(_ a: Int64, _ b: Int64) -> Int64 {
        var (a, b) = (a, b)
        while b != 0 { (a, b) = (b, a % b) }
        return a
    }

    /// The time in which so many units come back, rounded up: never early.
    @inline(__always) package func time(for units: Int64) -> LabDuration { Self.time(for: units, unitsPerNanosecond) }

    @inline(__always) private static func time(for units: Int64, _ unitsPerNanosecond: Int64) -> LabDuration {
        // Most rates have a whole number of nanoseconds between two requests, and no division.
        if unitsPerNanosecond == 1 { return LabDuration(nanoseconds: units) }
        return LabDuration(nanoseconds: (units + unitsPerNanosecond - 1) / unitsPerNanosecond)
    }

    /// `10 tokens/sec`, `100/1m`.
    public var description: String { "\(count)/\(period)" }
}

/// Why numbers make no quota.
public struct QuotaError: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}
