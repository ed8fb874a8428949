import Glibc
import Synchronization

/// A thread that runs only while its caller waits for it.
///
/// Unchecked: at any moment only who has the baton touches what is in it, and a semaphore hands all of it over
/// (POSIX.1-2017, 4.12: `sem_post` and `sem_wait` synchronize memory).
final class CoroutineThread: @unchecked Sendable {
    private let go = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    private let back = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    private var thread = pthread_t()
    private var body: (() -> Void)?
    private var isEnding = false

    /// As large as the main thread's: what nests there without harm must not end the process here.
    private static let stackByteCount = 8 << 20

    init() throws(CoroutineError) {
        sem_init(go, 0, 0)
        sem_init(back, 0, 0)
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, Self.stackByteCount)
        defer { pthread_attr_destroy(&attributes) }
        // Signals are the loop's. A new thread has its maker's mask.
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        let code = pthread_create(
            &thread, &attributes,
            { argument in
                Unmanaged<CoroutineThread>.fromOpaque(argument!).takeUnretainedValue().serve()
                return nil
            }, Unmanaged.passUnretained(self).toOpaque())
        if code != 0 {
            destroy()
            throw .system(String(cString: strerror(code)))
        }
    }

    /// What the next `run` begins.
    func assign(_ body: @escaping () -> Void) { self.body = body }

    /// The caller hands the baton over, and waits until it is back.
    func run() {
        sem_post(go)
        Self.wait(back)
    }

    /// The thread hands it back, and waits for the next turn.
    func giveBack() {
        sem_post(back)
        Self.wait(go)
    }

    private func serve() {
        while true {
            Self.wait(go)
            if isEnding { return }
            runBody()
            sem_post(back)
        }
    }

    /// On its own, so that all that the body has held is let go of before the baton is handed back.
    @inline(never)
    private func runBody() {
        let body = self.body
        self.body = nil
        body?()
    }

    /// Ends the thread; it must have nothing under way.
    func end() {
        isEnding = true
        sem_post(go)
        pthread_join(thread, nil)
        destroy()
    }

    private func destroy() {
        for semaphore in [go, back] {
            sem_destroy(semaphore)
            semaphore.deallocate()
        }
    }

    private static func wait(_ semaphore: UnsafeMutablePointer<sem_t>) {
        while sem_wait(semaphore) != 0, errno == EINTR {}
    }
}

/// The threads of all coroutines of the process. A few wait for the next one, the rest end with theirs.
public enum CoroutineThreads {
    /// Coroutines under way at a time.
    public static let limit = 256
    /// Threads that wait for work.
    public static let idleLimit = 8

    private struct State {
        var idle: [CoroutineThread] = []
        var count = 0
    }
    private static let state = Mutex(State())

    /// Threads at present, with those that wait.
    public static var count: Int { state.withLock { $0.count } }

    static func take() throws(CoroutineError) -> CoroutineThread {
        let (known, hasRoom) = state.withLock { state -> (CoroutineThread?, Bool) in
            if let thread = state.idle.popLast() { return (thread, true) }
            guard state.count < limit else { return (nil, false) }
            state.count += 1
            return (nil, true)
        }
        if let known { return known }
        guard hasRoom else { throw .tooMany(limit) }
        do throws(CoroutineError) { return try CoroutineThread() } catch {
            state.withLock { $0.count -= 1 }
            throw error
        }
    }

    static func giveBack(_ thread: CoroutineThread) {
        thread.assign {}
        let isKept = state.withLock { state in
            guard state.idle.count < idleLimit else {
                state.count -= 1
                return false
            }
            state.idle.append(thread)
            return true
        }
        if !isKept { thread.end() }
    }
}
