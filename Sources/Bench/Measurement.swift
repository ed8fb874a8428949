import CAllocationCount
import KernelClock
import KernelLoopback
import KernelStructures
import KernelWorld
import Synchronization

/// What one row came to.
struct Measurement {
    let benchmark: Benchmark
    let threads: Int
    /// Processor time an operation, of all threads together: the median of the rounds.
    let nanoseconds: Double
    /// The least and the most of the rounds.
    let range: ClosedRange<Double>
    /// Operations a second of wall time, all threads together: the best round. It suffers from what else runs.
    let perSecond: Double
    let allocations: Double

    var isWithinBars: Bool {
        // What is made once a round is no operation's.
        nanoseconds <= benchmark.barNanoseconds ?? .infinity
            && allocations <= (benchmark.barAllocations ?? .infinity) + 0.001
    }
}

/// Measures by processor time: what else the machine does moves the result little.
struct Stopwatch {
    /// Processor time that a round should take on each thread.
    let roundDuration: LabDuration
    let rounds: Int

    private struct Round: Sendable {
        var processor = LabDuration.zero
        var allocations = 0
        var wall = LabDuration.zero
    }

    func measure(_ benchmark: Benchmark, threads: Int) -> Measurement {
        // The first round warms up and tells how many operations fill one.
        var count = 64
        while true {
            let round = run(benchmark, threads: threads, count: count)
            let share = round.processor.nanoseconds / Int64(threads)
            if share >= roundDuration.nanoseconds / 2 { break }
            let factor = Double(roundDuration.nanoseconds) / Double(max(share, 1000))
            count = Int(Double(count) * min(max(factor, 1.5), 10))
        }
        let total = Double(count * threads)
        let results = (0..<rounds).map { _ in run(benchmark, threads: threads, count: count) }
        let times = results.map { Double($0.processor.nanoseconds) / total }.sorted()
        // A lazily made table or a growing buffer may fall into one round; a real allocation is in each of them.
        let allocations = results.map { Double($0.allocations) / total }.sorted()
        return Measurement(
            benchmark: benchmark, threads: threads, nanoseconds: times[rounds / 2], range: times[0]...times[rounds - 1],
            perSecond: results.map { total / max($0.wall.seconds, 1e-9) }.max()!,
            allocations: allocations[rounds / 2])
    }

    /// One round on fresh state. All threads are there before any begins.
    private func run(_ benchmark: Benchmark, threads: Int, count: Int) -> Round {
        let work = Work(benchmark.prepare(), threads: threads)
        HostWorkers.run(count: threads, jobs: threads) { thread in
            work.ready.add(1, ordering: .acquiringAndReleasing)
            while work.ready.load(ordering: .acquiring) < threads {}
            let began = HostClock.monotonic
            let allocated = sdlab_allocation_count()
            let used = HostClock.threadProcessorTime
            work.body(count, thread)
            let processor = HostClock.threadProcessorTime - used
            let allocations = Int(sdlab_allocation_count() - allocated)
            let wall = HostClock.monotonic - began
            work.result.withLock {
                $0.processor += processor
                $0.allocations += allocations
                $0.wall = max($0.wall, wall)
            }
        }
        return work.result.withLock { $0 }
    }

    /// Unchecked: a benchmark promises that its body may be called on several threads.
    private final class Work: @unchecked Sendable {
        let body: (Int, Int) -> Void
        let ready = Atomic<Int>(0)
        let result = Mutex(Round())

        init(_ body: @escaping (Int, Int) -> Void, threads: Int) { self.body = body }
    }
}
