/// Synchronous code that is left in its midst, so that others have their turn, and gone on with later.
///
/// ## The problem
///
/// One loop serves everybody, and whatever runs on it keeps all others waiting. Code of one's own can be cut into
/// steps (`SlicedJob`), and a pure calculation can be given away (`Node.offload`). Neither helps with SQLite in the
/// midst of a query: it is somebody else's code, it stands deep in its own stack, and it reads the World's disk.
///
/// ## An everyday picture
///
/// Two people and one pen. Only who has the pen writes; the other one does nothing but hold out his hand. However many
/// pages they fill, each line has one author, and no two are ever written at once.
///
/// ## How
///
/// The code has a thread of its own, for the sake of its stack only. A baton goes to and fro between the thread and its
/// caller: `resume` hands it over and waits until it comes back, by `Slice.offer` or at the end. So never do two run
/// at once, nothing that they share needs a lock, and what happens is the same on every run as long as `offer` is
/// called after amounts of *work*, and not of time.
///
/// ```
///  caller   ──resume──▷│                 │──resume──▷│            │
///  thread              │▷──work──offer──▷│           │▷──work──end│
/// ```
///
/// Handing over and back takes some ten microseconds: worth it for a slice of a millisecond. (A stack of its own
/// without a thread, Knuth's coroutine, TAOCP 1.4.2, would be cheaper. But what a thread knows about itself, such as
/// which variables it is changing, would go astray between the two.)
///
/// ## Where it is wrong
///
/// A coroutine that nobody goes on with keeps its thread, up to `CoroutineThreads.limit` in the process. Code that does
/// not end soon after `offer` has returned false keeps everybody waiting after all.
public final class Coroutine<Output> {
    private let thread: CoroutineThread
    private let slice: Slice
    private let place = Place()
    private var hasBegun = false
    /// Whether it is over: there is no output to come any more.
    public private(set) var isOver = false

    private final class Place { var output: Output? }

    /// Nothing of `body` runs before the first `resume`.
    ///
    /// - Throws: `CoroutineError` if there is no thread to be had.
    public init(_ body: @escaping (Slice) -> Output) throws(CoroutineError) {
        thread = try CoroutineThreads.take()
        slice = Slice(thread)
        thread.assign { [slice, place] in place.output = body(slice) }
    }

    deinit { stop() }

    /// Goes on until the code gives way or is through.
    ///
    /// - Returns: what it has come to, once; nil if it gave way, or was through before.
    public func resume() -> Output? {
        guard !isOver else { return nil }
        hasBegun = true
        thread.run()
        guard let output = place.output else { return nil }
        place.output = nil
        finish()
        return output
    }

    /// Goes on to the end at once: every `offer` returns false from now on.
    @discardableResult
    public func stop() -> Output? {
        guard !isOver else { return nil }
        slice.isStopped = true
        if hasBegun { return resume() }
        finish()
        return nil
    }

    private func finish() {
        isOver = true
        CoroutineThreads.giveBack(thread)
    }
}

/// What code in a coroutine gives way by.
public final class Slice {
    private let thread: CoroutineThread
    /// Nobody waits for the result any more.
    public fileprivate(set) var isStopped = false

    fileprivate init(_ thread: CoroutineThread) { self.thread = thread }

    /// Gives others their turn.
    ///
    /// - Returns: whether to go on. With false the code has to come to an end without touching anything that outlives
    ///   it, such as a disk: the node that it works for may be gone.
    public func offer() -> Bool {
        if !isStopped { thread.giveBack() }
        return !isStopped
    }
}

/// Why a coroutine could not be made.
public enum CoroutineError: Error, Equatable, Sendable, CustomStringConvertible {
    /// So many are under way in this process.
    case tooMany(Int)
    case system(String)

    public var description: String {
        switch self {
        case .tooMany(let limit): "\(limit) pieces of work that take long are under way already"
        case .system(let why): "the system gives no thread: \(why)"
        }
    }
}
