import CSystem
import Glibc
import KernelWorld
import Synchronization

/// The threads that do the jobs of all Worlds of the process: few, made when they are first needed, and idle for ever
/// after. A job comes back to its own loop by an eventfd.
public final class HostWorkerPool: WorkerPool, DescriptorHandler {
    private unowned let poller: Poller
    private let mailbox: Mailbox
    private var completions: [UInt64: () -> Void] = [:]
    private var lastNumber: UInt64 = 0

    /// Jobs of one World that wait, or are being done.
    public static let jobLimit = 1024

    /// - Throws: `NetworkError.system` if the kernel has no descriptor to spare.
    public init(_ poller: Poller) throws(NetworkError) {
        self.poller = poller
        mailbox = try Mailbox()
        poller.add(mailbox.descriptor, .readable, handler: self)
    }

    public var pendingCount: Int { completions.count }

    public func submit(_ job: @escaping @Sendable () -> Void, completion: @escaping () -> Void) throws(OffloadError)
        -> UInt64
    {
        guard completions.count < Self.jobLimit else { throw .tooManyJobs(Self.jobLimit) }
        lastNumber += 1
        let number = lastNumber
        completions[number] = completion
        WorkerThreads.shared.add { [mailbox] in
            job()
            mailbox.post(number)
        }
        return number
    }

    public func descriptorReady(_ events: Poller.Events) {
        for number in mailbox.take() { completions.removeValue(forKey: number)?() }
    }

    public func finish(_ number: UInt64) {
        guard completions[number] != nil else { return }
        var others: [UInt64] = []
        while true {
            let done = mailbox.take()
            others += done.filter { $0 != number }
            if done.contains(number) { break }
            mailbox.wait()
        }
        // They are told in their turn.
        for other in others { mailbox.post(other) }
        completions.removeValue(forKey: number)?()
    }

    public func shutDown() {
        completions = [:]
        poller.remove(mailbox.descriptor)
    }

    /// Jobs that are done, in the order in which they were.
    private final class Mailbox: Sendable {
        let descriptor: Int32
        private let numbers = Mutex<[UInt64]>([])

        init() throws(NetworkError) {
            descriptor = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
            if descriptor < 0 { throw .system("eventfd: \(errorText(errno))") }
        }

        deinit { close(descriptor) }

        func post(_ number: UInt64) {
            numbers.withLock { $0.append(number) }
            eventfd_write(descriptor, 1)
        }

        /// Until something is posted.
        func wait() {
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            poll(&entry, 1, -1)
        }

        func take() -> [UInt64] {
            var count: eventfd_t = 0
            eventfd_read(descriptor, &count)
            return numbers.withLock { list in
                defer { list = [] }
                return list
            }
        }
    }
}

/// Threads that wait for jobs. One process has one set of them, however many Worlds it has.
private final class WorkerThreads: @unchecked Sendable {
    static let shared = WorkerThreads()

    /// More would only take turns.
    private static let limit = min(4, HostLimits.processorCount)
    private static let stackByteCount = 1 << 20

    // All of it is only touched with the lock held.
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let arrival = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var jobs: [@Sendable () -> Void] = []
    private var next = 0
    private var threadCount = 0
    private var idleCount = 0

    private init() {
        pthread_mutex_init(lock, nil)
        pthread_cond_init(arrival, nil)
    }

    func add(_ job: @escaping @Sendable () -> Void) {
        pthread_mutex_lock(lock)
        jobs.append(job)
        if idleCount < jobs.count - next, threadCount < Self.limit { startThread() }
        let hasThread = threadCount > 0
        pthread_cond_signal(arrival)
        pthread_mutex_unlock(lock)
        // The system gives no thread at all: slower, but done.
        if !hasThread, let job = takeIfThere() { job() }
    }

    private func startThread() {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, Self.stackByteCount)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        defer { pthread_attr_destroy(&attributes) }
        var thread = pthread_t()
        let code = pthread_create(
            &thread, &attributes,
            { _ in
                // Signals are the loop's.
                var all = sigset_t()
                sigfillset(&all)
                pthread_sigmask(SIG_BLOCK, &all, nil)
                while true { WorkerThreads.shared.take()() }
            }, nil)
        if code == 0 { threadCount += 1 }
    }

    private func take() -> @Sendable () -> Void {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        idleCount += 1
        while next == jobs.count { pthread_cond_wait(arrival, lock) }
        idleCount -= 1
        return pop()
    }

    private func takeIfThere() -> (@Sendable () -> Void)? {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return next < jobs.count ? pop() : nil
    }

    private func pop() -> @Sendable () -> Void {
        let job = jobs[next]
        jobs[next] = {}
        next += 1
        if next == jobs.count {
            jobs.removeAll(keepingCapacity: true)
            next = 0
        }
        return job
    }
}
