import KernelClock
import KernelStructures
import KernelWorld

/// What everything else is built of: how much of a figure is the clock, or the measurement itself.
let kernelBenchmarks: [Benchmark] = [
    Benchmark("kernel", "nothing (the measurement itself)") {
        return { count, _ in for index in 0..<count { keep(index) } }
    },
    Benchmark("kernel", "reading the monotonic clock", barNanoseconds: 60) {
        return { count, _ in for _ in 0..<count { keep(HostClock.monotonic) } }
    },
    Benchmark("kernel", "an object (what one allocation costs)", barAllocations: 1) {
        return { count, _ in for _ in 0..<count { keep(Something()) } }
    },
    Benchmark("kernel", "a number from the seeded generator", barNanoseconds: 10, threads: [1]) {
        return { count, _ in
            var random = SeededRandom(seed: 1)
            for _ in 0..<count { keep(random.next()) }
        }
    },
]

private final class Something {}
