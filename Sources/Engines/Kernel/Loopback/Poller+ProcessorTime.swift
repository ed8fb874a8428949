import Glibc
import KernelStructures
import KernelWorld

extension Poller {
    /// RUSAGE_THREAD, which Glibc's module leaves out.
    private static let callingThread: Int32 = 1

    public var processorTime: ProcessorTime {
        var time = ProcessorTime()
        (time.user, time.system) = Self.used(by: RUSAGE_SELF.rawValue)
        (time.threadUser, time.threadSystem) = Self.used(by: Self.callingThread)
        (time.childrenUser, time.childrenSystem) = Self.used(by: RUSAGE_CHILDREN.rawValue)
        return time
    }

    private static func used(by whom: Int32) -> (user: LabDuration, system: LabDuration) {
        var usage = rusage()
        getrusage(whom, &usage)
        func duration(_ time: timeval) -> LabDuration {
            LabDuration(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_usec) * 1000)
        }
        return (duration(usage.ru_utime), duration(usage.ru_stime))
    }
}
