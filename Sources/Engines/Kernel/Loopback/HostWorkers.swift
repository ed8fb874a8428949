import Glibc
import Synchronization

/// Independent pieces of work on several threads. Each piece has a World of its own, so they share nothing.
public enum HostWorkers {
    /// Stacks as large as the main thread's: scripts nest, and so does their execution.
    private static let stackByteCount = 8 << 20

    private final class Shared: Sendable {
        let next = Atomic<Int>(0)
        let jobs: Int
        let body: @Sendable (Int) -> Void

        init(jobs: Int, body: @escaping @Sendable (Int) -> Void) {
            self.jobs = jobs
            self.body = body
        }

        func work() {
            while true {
                let index = next.add(1, ordering: .relaxed).oldValue
                if index >= jobs { return }
                body(index)
            }
        }
    }

    /// Calls `body` with each of 0..<jobs once, on up to `count` threads, and returns when all calls have.
    public static func run(count: Int, jobs: Int, body: @escaping @Sendable (Int) -> Void) {
        let shared = Shared(jobs: jobs, body: body)
        if count <= 1 { return shared.work() }
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, stackByteCount)
        defer { pthread_attr_destroy(&attributes) }
        var threads: [pthread_t] = []
        for _ in 1..<count {
            var thread = pthread_t()
            let started = pthread_create(
                &thread, &attributes,
                { argument in
                    Unmanaged<Shared>.fromOpaque(argument!).takeRetainedValue().work()
                    return nil
                }, Unmanaged.passRetained(shared).toOpaque())
            if started == 0 { threads.append(thread) }
        }
        shared.work()
        for thread in threads { pthread_join(thread, nil) }
    }
}
