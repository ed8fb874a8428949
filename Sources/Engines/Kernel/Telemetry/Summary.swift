import KernelStructures
import Synchronization

/// Which quantiles a summary shows, and of how long.
public struct SummarySettings: Sendable {
    /// From 0 to 1: 0.99 is the value that 99 of 100 observations do not exceed.
    public var quantiles = [0.5, 0.9, 0.99]
    /// How long an observation counts for the quantiles. Count and sum are of all time.
    public var window = LabDuration.seconds(600)
    /// The window moves by one slice of so many at a time.
    public var sliceCount = 5
    /// How far a quantile may be from the observed value, as a part of it, until there are too many buckets.
    public var accuracy = 0.01
    /// Of each slice; beyond, they become twice as wide.
    public var bucketLimit = 1024
    /// The clock by which the window moves.
    public var now: @Sendable () -> LabTime

    public init(now: @escaping @Sendable () -> LabTime) { self.now = now }

    var isValid: Bool {
        quantiles.count <= 100 && quantiles.allSatisfy { (0...1).contains($0) } && window > .zero
            && (1...100).contains(sliceCount) && accuracy > 0 && accuracy < 1 && (16...100_000).contains(bucketLimit)
    }
}

/// Observations with the quantiles of the newest of them: how long the slowest hundredth took in the last ten minutes.
///
/// The window is a ring of slices, each a sketch (`ExponentialBuckets`): an observation goes into the newest, the
/// oldest is emptied when its time is over, and whoever asks has all of them added up. So memory is bounded by slices
/// and buckets, whatever is observed.
///
/// Quantiles of several programs cannot be made into one of all (the mean of two 99th percentiles is no percentile):
/// where there is more than one instance take a histogram. And unlike the other metrics a summary takes a lock, as a
/// slice is not one word.
public final class Summary: Sendable {
    public let settings: SummarySettings

    private struct State {
        var slices: [ExponentialBuckets]
        /// Of the newest slice.
        var current = 0
        var end: LabTime
        var count: UInt64 = 0
        var sum = 0.0
    }
    private let state: Mutex<State>
    private let empty: ExponentialBuckets

    /// The settings are the program's own; what cannot be is a mistake in it.
    public init(_ settings: SummarySettings) {
        precondition(settings.isValid, "a summary's quantiles, window, slices, accuracy or buckets are none")
        self.settings = settings
        let growth = (1 + settings.accuracy) / (1 - settings.accuracy)
        empty = ExponentialBuckets(schema: ExponentialScale.schema(growth: growth), zeroThreshold: 0)
        state = Mutex(
            State(
                slices: Array(repeating: empty, count: settings.sliceCount),
                end: settings.now() + Self.slice(settings)))
    }

    private static func slice(_ settings: SummarySettings) -> LabDuration {
        LabDuration(nanoseconds: max(1, settings.window.nanoseconds / Int64(settings.sliceCount)))
    }

    /// Adds an observation. What is no number is left out.
    public func observe(_ value: Double) {
        if value.isNaN { return }
        let now = settings.now()
        state.withLock { state in
            move(&state, now)
            state.slices[state.current].add(value, bucketLimit: settings.bucketLimit)
            state.count &+= 1
            state.sum += value
        }
    }

    /// In seconds.
    public func observe(_ duration: LabDuration) { observe(duration.seconds) }

    /// Empties the slices whose time is over. A clock that goes back moves nothing.
    private func move(_ state: inout State, _ now: LabTime) {
        guard now >= state.end else { return }
        let slice = Self.slice(settings)
        let passed = (now - state.end).nanoseconds / slice.nanoseconds + 1
        for _ in 0..<min(passed, Int64(settings.sliceCount)) {
            state.current = (state.current + 1) % settings.sliceCount
            state.slices[state.current] = empty
        }
        state.end = state.end + LabDuration(nanoseconds: passed * slice.nanoseconds)
    }

    /// Of all time.
    public var count: UInt64 { state.withLock { $0.count } }
    public var sum: Double { state.withLock { $0.sum } }

    /// By the settings' quantiles; NaN where nothing was observed within the window.
    public var quantiles: [(quantile: Double, value: Double)] { content.quantiles }

    private var content: (quantiles: [(quantile: Double, value: Double)], count: UInt64, sum: Double) {
        let now = settings.now()
        let (slices, count, sum) = state.withLock { state in
            move(&state, now)
            return (state.slices, state.count, state.sum)
        }
        var all = empty
        for slice in slices { all.add(slice, bucketLimit: settings.bucketLimit) }
        return (settings.quantiles.map { ($0, all.quantile($0) ?? .nan) }, count, sum)
    }
}

extension Summary: Collectable {
    public static var kind: MetricKind { .summary }
    public func write(to samples: inout SampleWriter, _ labels: [(String, String)]) {
        let (quantiles, count, sum) = content
        samples.summary(quantiles: quantiles, count: count, sum: sum, labels)
    }
}
