import KernelStructures

/// What a store of series keeps, and how much of it.
public struct StoreSettings: Sendable {
    /// The length of the shortest block.
    public var blockMilliseconds: Int64 = 2 * 3_600_000
    /// Compaction makes no longer blocks.
    public var longestBlockMilliseconds: Int64 = 31 * 24 * 3_600_000
    /// Samples older than that are dropped; 0 keeps them.
    public var retentionMilliseconds: Int64 = 15 * 24 * 3_600_000
    /// Of blocks together; the oldest are dropped beyond. 0 for no limit.
    public var retentionBytes = 0
    /// How late a sample may come; 0 refuses those that are out of order.
    public var outOfOrderMilliseconds: Int64 = 0
    /// Series in memory; more are refused.
    public var seriesLimit = 5_000_000
    public var labelLimit = 128
    public var labelNameLimitBytes = 1024
    public var labelValueLimitBytes = 64 * 1024
    /// Bytes of one segment of the log.
    public var segmentBytes = 128 << 20
    /// Thinned copies that are kept besides; none unless somebody wants them.
    public var tiers: [TierSettings] = []
    /// What is thinned at once: a day, which the widths of all tiers divide.
    public var tierBlockMilliseconds: Int64 = 86_400_000
    /// A clean stop leaves a snapshot of the head if it has so many samples; the log of fewer is read in a moment.
    public var snapshotSamples = 200_000
    /// Exemplars that are kept, the newest.
    public var exemplarLimit = 10_000

    public init() {}
}
