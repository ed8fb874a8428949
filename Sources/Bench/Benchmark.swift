/// One operation whose cost is measured: a row of the table that `scripts/bench libs` prints.
///
/// ```swift
/// Benchmark("limiter", "token bucket, one key", barNanoseconds: 100) {
///     let buckets = …                                    // prepared once a round, not measured
///     return { count, thread in
///         for index in 0..<count { keep(buckets.take(index)) }
///     }
/// }
/// ```
struct Benchmark: Sendable {
    /// The room: `scripts/bench libs ROOM` measures only its rows.
    let room: String
    let name: String
    /// What an operation may cost in processor time; nil where nothing is promised.
    let barNanoseconds: Double?
    /// What an operation may allocate.
    let barAllocations: Double?
    /// How many threads do it at the same time, on the same state; one row each.
    let threads: [Int]
    /// Prepares the state, and returns what performs the operation `count` times on thread 0, 1 … Calls on different
    /// threads run at the same time: state that is not made for that must be one for each thread.
    let prepare: @Sendable () -> (_ count: Int, _ thread: Int) -> Void

    init(
        _ room: String, _ name: String, barNanoseconds: Double? = nil, barAllocations: Double? = 0,
        threads: [Int] = [1, 2], prepare: @escaping @Sendable () -> (_ count: Int, _ thread: Int) -> Void
    ) {
        self.room = room
        self.name = name
        self.barNanoseconds = barNanoseconds
        self.barAllocations = barAllocations
        self.threads = threads
        self.prepare = prepare
    }
}

/// Uses a value in a way that the optimizer cannot see through, so that it does not remove what made it.
@inline(never) @_optimize(none) func keep<T>(_ value: T) {}

/// All there is to measure. A room adds a file `ROOMBenchmarks.swift` beside this one, and a line here.
let allBenchmarks: [Benchmark] = [
    kernelBenchmarks,
    circuitBreakerBenchmarks,
    hashRingBenchmarks,
    connectionPoolBenchmarks,
    rateLimiterBenchmarks,
    cacheLayerBenchmarks,
    featureFlagsBenchmarks,
    tracingBenchmarks,
    metricsBenchmarks,
].flatMap { $0 }
