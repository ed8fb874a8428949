/// The samples of one series in a stretch of time, in rising order: what a query reads at once.
///
/// Times and values are two arrays, not one of pairs: whoever looks for a time touches nothing else. It is meant to be
/// used again for the next series, so that reading a thousand of them allocates once.
public struct SampleColumn: Sendable {
    /// Milliseconds since 1970, strictly rising.
    public var timestamps: [Int64] = []
    /// As many. Markers of staleness (`Staleness.isMarker`) are among them; so are values of native histograms, 0 each.
    public var values: [Double] = []
    /// Empty where the series has floats only, otherwise as many as values, nil where the sample is a float.
    public var histograms: [NativeHistogram?] = []
    /// For whoever explains a query: chunks that were decoded, and their bytes.
    public var chunksRead = 0
    public var bytesRead = 0
    /// How many samples each value is the sum of, where a store has thinned them; empty where each is one.
    public var weights: [Double] = []
    /// The widths of the windows of thinned copies that were read.
    public var tierMilliseconds: [Int64] = []

    public init() {}

    public var count: Int { timestamps.count }

    /// Forgets all, and keeps the memory.
    public mutating func removeAll() {
        timestamps.removeAll(keepingCapacity: true)
        values.removeAll(keepingCapacity: true)
        histograms.removeAll(keepingCapacity: true)
        chunksRead = 0
        bytesRead = 0
        weights.removeAll(keepingCapacity: true)
        tierMilliseconds.removeAll(keepingCapacity: true)
    }

    @inlinable
    public mutating func append(_ timestamp: Int64, _ value: Double) {
        timestamps.append(timestamp)
        values.append(value)
        if !histograms.isEmpty { histograms.append(nil) }
    }

    public mutating func append(_ timestamp: Int64, _ histogram: NativeHistogram) {
        if histograms.isEmpty { histograms = Array(repeating: nil, count: timestamps.count) }
        timestamps.append(timestamp)
        values.append(0)
        histograms.append(histogram)
    }
}

/// A series is *stale* when it is known to have ended: its target is gone, or no longer shows it. The last value is
/// then followed by a marker, a NaN of its own bits, which no calculation produces. (Prometheus, `model/value`.)
public enum Staleness {
    public static let marker = Double(bitPattern: 0x7FF0_0000_0000_0002)
    /// The NaN that calculations and parsers give.
    public static let ordinaryNaN = Double(bitPattern: 0x7FF8_0000_0000_0001)

    @inlinable
    public static func isMarker(_ value: Double) -> Bool { value.bitPattern == 0x7FF0_0000_0000_0002 }
}
