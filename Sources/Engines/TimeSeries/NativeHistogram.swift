/// A native histogram as one sample: buckets whose bounds follow from a number, the schema, instead of being listed.
///
/// Bounds of schema s are the powers of 2^(2^-s); bucket i holds what is above base^(i-1) and not above base^i. Only
/// buckets near others that hold something are kept: *spans* say which ones. (Prometheus 2.42, `model/histogram`.)
public struct NativeHistogram: Equatable, Sendable {
    /// Whether the counts have begun anew since the sample before.
    public enum CounterReset: UInt8, Sendable { case unknown, reset, notReset, gauge }

    /// Buckets that follow one another.
    public struct Span: Equatable, Sendable {
        /// How many buckets are left out before it; of the first span the index of its first bucket.
        public var offset: Int32
        public var length: UInt32

        public init(offset: Int32, length: UInt32) {
            self.offset = offset
            self.length = length
        }
    }

    public var counterReset = CounterReset.unknown
    /// -4 to 8.
    public var schema: Int32 = 0
    /// Observations of at most this distance from zero are in the zero bucket.
    public var zeroThreshold: Double = 0
    public var zeroCount: Double = 0
    /// Of all buckets, and of NaN observations.
    public var count: Double = 0
    public var sum: Double = 0
    public var positiveSpans: [Span] = []
    /// The counts themselves (no differences), as many as the spans are long together.
    public var positiveBuckets: [Double] = []
    public var negativeSpans: [Span] = []
    public var negativeBuckets: [Double] = []

    public init() {}

    /// Buckets of one side that a histogram may have; more are refused wherever one comes from outside.
    public static let bucketLimit = 10_000

    /// Whether spans and buckets agree and are within their bounds, so that code that walks over them needs no check.
    public var isValid: Bool {
        (-4...8).contains(schema) && Self.areValid(positiveSpans, positiveBuckets.count)
            && Self.areValid(negativeSpans, negativeBuckets.count)
    }

    private static func areValid(_ spans: [Span], _ bucketCount: Int) -> Bool {
        var total = 0
        var index = 0
        guard spans.count <= bucketLimit else { return false }
        for (position, span) in spans.enumerated() {
            guard position == 0 || span.offset >= 0 else { return false }
            total += Int(span.length)
            index += Int(span.offset) + Int(span.length)
            guard total <= bucketLimit, abs(index) < 1 << 30 else { return false }
        }
        return total == bucketCount
    }
}
