import Glibc
import KernelStructures

/// The machine's clocks: for the host of a World, for libraries that other programs import, and for benchmarks.
///
/// Engines never read them; whoever embeds an engine hands it `now`.
public enum HostClock {
    /// Time since some moment in the past, often the machine's start. It never goes back and does not jump when
    /// somebody sets the date, so differences are durations. About 25 ns a reading.
    public static var monotonicNanoseconds: Int64 { nanoseconds(CLOCK_MONOTONIC) }
    /// The same as a time; only its differences mean anything.
    public static var monotonic: LabTime { LabTime(nanoseconds: monotonicNanoseconds) }
    /// The same clock as of the kernel's last tick: up to 4 ms behind, and several times cheaper to read.
    public static var coarseMonotonic: LabTime { LabTime(nanoseconds: nanoseconds(CLOCK_MONOTONIC_COARSE)) }

    public static var wallTime: LabTime { LabTime(nanoseconds: nanoseconds(CLOCK_REALTIME)) }

    /// Processor time of this process so far, in user and kernel mode.
    public static var processorTime: LabDuration { LabDuration(nanoseconds: nanoseconds(CLOCK_PROCESS_CPUTIME_ID)) }

    /// Processor time that the calling thread has used. What else runs on the machine does not count.
    public static var threadProcessorTime: LabDuration {
        LabDuration(nanoseconds: nanoseconds(CLOCK_THREAD_CPUTIME_ID))
    }

    private static func nanoseconds(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
