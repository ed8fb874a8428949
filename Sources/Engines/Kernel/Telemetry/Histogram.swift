import KernelStructures
import Synchronization

/// The upper bounds of a histogram's buckets, in rising order; one more bucket, `+Inf`, takes the rest.
public struct HistogramBuckets: Hashable, Sendable {
    public let bounds: [Double]

    /// Buckets of one histogram.
    public static let countLimit = 200

    /// - Parameter bounds: rising, finite, 1 to 200 of them. These are the program's own; anything else is a mistake in
    ///   it.
    public init(_ bounds: [Double]) {
        precondition(Self.isValid(bounds), "the bounds of buckets must be finite and rise, and be 1 to 200")
        self.bounds = bounds
    }

    static func isValid(_ bounds: [Double]) -> Bool {
        (1...countLimit).contains(bounds.count) && bounds.allSatisfy(\.isFinite)
            && zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }
    }

    /// `count` bounds, each `factor` times the one before.
    public static func exponential(from first: Double, factor: Double, count: Int) -> HistogramBuckets {
        var bounds = [first]
        while bounds.count < count { bounds.append(bounds[bounds.count - 1] * factor) }
        return HistogramBuckets(bounds)
    }

    /// For durations in seconds, 5 ms to 10 s: the customary ones of Prometheus's client libraries.
    public static let seconds = HistogramBuckets([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10])
}

/// Counts observations by size, from any thread without a lock.
///
/// The count of all is the sum of the buckets, so that it always agrees with them; the sum of the values may be a few
/// observations ahead or behind while others observe.
public final class Histogram: @unchecked Sendable {
    public let buckets: HistogramBuckets
    /// One a bucket, the last for what exceeds every bound. They are atomic, and nothing else changes after `init`.
    private let counts: UnsafeMutablePointer<Atomic<UInt64>>
    private let total = AtomicDouble()
    /// The newest of each bucket, in the buckets' order; empty until somebody gives one.
    private let examples = Mutex<[HistogramExemplar?]>([])

    public init(_ buckets: HistogramBuckets = .seconds) {
        self.buckets = buckets
        counts = .allocate(capacity: buckets.bounds.count + 1)
        for index in 0...buckets.bounds.count { (counts + index).initialize(to: Atomic(0)) }
    }

    deinit {
        counts.deinitialize(count: buckets.bounds.count + 1)
        counts.deallocate()
    }

    /// Adds an observation; it belongs to the first bound that it does not exceed. What is no number is left out.
    public func observe(_ value: Double) {
        if value.isNaN { return }
        counts[bucket(of: value)].wrappingAdd(1, ordering: .relaxed)
        total.add(value)
    }

    /// Adds an observation that a trace tells more about: from then on it stands beside its bucket as an example, until
    /// the bucket's next one. Unlike the others this takes a lock, which is little beside the trace.
    ///
    /// - Parameter time: when it was observed, by the calendar of whoever observes.
    public func observe(_ value: Double, in trace: TraceID, at time: LabTime) {
        if value.isNaN { return }
        observe(value)
        let exemplar = HistogramExemplar(trace, value, at: time)
        let bucket = bucket(of: value)
        examples.withLock { examples in
            if examples.isEmpty { examples = Array(repeating: nil, count: buckets.bounds.count + 1) }
            examples[bucket] = exemplar
        }
    }

    /// In seconds.
    public func observe(_ duration: LabDuration) { observe(duration.seconds) }

    private func bucket(of value: Double) -> Int {
        buckets.bounds.withUnsafeBufferPointer { bounds in
            var low = 0
            var high = bounds.count
            while low < high {
                let middle = (low + high) / 2
                if value <= bounds[middle] { high = middle } else { low = middle + 1 }
            }
            return low
        }
    }

    /// By bucket, not cumulated; the last is for what exceeds every bound.
    public var bucketCounts: [UInt64] {
        (0...buckets.bounds.count).map { counts[$0].load(ordering: .relaxed) }
    }
    public var sum: Double { total.value }
    /// By bucket, as `bucketCounts`; empty if no observation was part of a trace.
    public var exemplars: [HistogramExemplar?] { examples.withLock { $0 } }
}

/// An observation with the trace that it was made in: what leads from "some took two seconds" to one that did
/// (exemplars, OpenMetrics 1.0).
public struct HistogramExemplar: Equatable, Sendable {
    public let traceID: TraceID
    public let value: Double
    /// By the calendar of whoever observed it.
    public let time: LabTime

    public init(_ traceID: TraceID, _ value: Double, at time: LabTime) {
        self.traceID = traceID
        self.value = value
        self.time = time
    }
}
