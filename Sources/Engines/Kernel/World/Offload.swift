import KernelStructures
import Synchronization

/// Work that takes real computing time, done beside the loop.
///
/// ## The problem
///
/// One loop serves everybody. Whoever merges tables, hashes a password or packs a megabyte on it keeps everybody else
/// waiting. A thread of its own would do, but a thread runs when it likes, and with it the lab's time would mean
/// nothing.
///
/// ## An everyday picture
///
/// A shop with one person at the counter and a workshop behind it. What takes long goes through the hatch with all that
/// is needed to do it, and comes back through the hatch when it is done; nobody in the workshop ever serves a customer.
/// On the days when the shop is only a stage set there is no workshop, and the repair is done at the counter while the
/// clock on the wall is moved by as long as it would have taken.
///
/// ## How
///
/// A job gets all it needs as values, and gives a value back: no part of the World may be touched in it, and of files
/// only those of the host. In real time a thread of the host does it. Where time is virtual, or hurries, the loop does:
/// a `SlicedJob` slice by slice, any other whole; each costs the lab time it says. Either way its result is a piece of
/// work of the node, with the cause that the job was started for: a node that is killed never hears of it, and one
/// that is frozen hears later.
///
/// ## Where it is wrong
///
/// A stated cost is a guess, and the same on every machine.
public protocol SlicedJob<Output>: Sendable {
    associatedtype Output: Sendable
    /// Lab time of one slice where the loop does it.
    var sliceCost: LabDuration { get }
    /// Does the next bounded piece. Never called by two threads at once, nor after it has returned an output.
    mutating func step() -> Output?
}

/// Why a job was not taken.
public enum OffloadError: Error, Equatable, Sendable, CustomStringConvertible {
    /// So many are waiting already.
    case tooManyJobs(Int)

    public var description: String {
        switch self {
        case .tooManyJobs(let limit): "\(limit) jobs are waiting for a thread already"
        }
    }
}

/// Threads of the host that do jobs. Implemented over POSIX threads; nil in a World that has none.
public protocol WorkerPool: AnyObject {
    /// Jobs that are waiting, or being done, or whose completion has not been called.
    var pendingCount: Int { get }
    /// Does `job` on another thread, and then calls `completion` on the loop.
    ///
    /// - Returns: a number for `finish`.
    /// - Throws: `OffloadError` if too many are waiting.
    func submit(_ job: @escaping @Sendable () -> Void, completion: @escaping () -> Void) throws(OffloadError) -> UInt64
    /// Waits until the job is done, and calls its completion; does nothing if that has been called.
    func finish(_ number: UInt64)
    /// Forgets all completions. Jobs that are being done go on to their end.
    func shutDown()
}

/// A job that is under way.
public final class OffloadedJob {
    fileprivate var finishNow: (() -> Void)?

    /// Does nothing else until the job is done, and calls its completion: for those who cannot go on without.
    public func wait() {
        let action = finishNow
        finishNow = nil
        action?()
    }
}

extension Node {
    /// Whether threads do jobs now. A job that syncs what was written may use files even in a lab: it does no harm to
    /// the next life of a node that was killed meanwhile.
    public var offloadsSyncs: Bool { world.activeWorkers != nil }

    /// Whether threads do jobs now, and jobs may use this node's files: in a process of its own. In a lab the next life
    /// of a killed node would find a job of the last one at its files.
    public var offloadsFiles: Bool { world.network.isWholeHost && world.activeWorkers != nil }

    /// Does a whole job beside the loop, and then calls `completion` with its result, unless this life is over by then.
    ///
    /// - Parameters:
    ///   - job: touches nothing but what it was made with.
    ///   - cost: lab time that it takes where the loop has to do it.
    /// - Throws: `OffloadError` if too many jobs are waiting; nothing is called then.
    @discardableResult
    public func offload<Output: Sendable>(
        _ job: @escaping @Sendable () -> Output, cost: LabDuration, completion: @escaping (Output) -> Void
    ) throws(OffloadError) -> OffloadedJob {
        try offload(WholeJob(sliceCost: cost, body: job), completion: completion)
    }

    /// Does a job in slices; where threads do it, it ends early once this life is over.
    ///
    /// - Throws: `OffloadError` if too many jobs are waiting; nothing is called then.
    @discardableResult
    public func offload<Job: SlicedJob>(_ job: Job, completion: @escaping (Job.Output) -> Void) throws(OffloadError)
        -> OffloadedJob
    {
        let handle = OffloadedJob()
        guard let workers = world.activeWorkers else {
            let work = LoopJob(job, node: self, handle: handle, completion: completion)
            enqueue { work.step() }
            return handle
        }
        let output = OffloadOutput<Job.Output>()
        let life: NodeLife = life
        let number = life.register(output.isCancelled)
        let cause = world.journal.currentCause
        do throws(OffloadError) {
            let submitted = try workers.submit({ output.run(job) }) { [unowned world] in
                handle.finishNow = nil
                life.unregister(number)
                guard let result = output.take() else { return }
                world.perform(life: life, cause: cause) { completion(result) }
            }
            handle.finishNow = { [unowned workers] in workers.finish(submitted) }
        } catch {
            life.unregister(number)
            throw error
        }
        return handle
    }
}

/// A job that the loop does, slice by slice.
private final class LoopJob<Job: SlicedJob> {
    private var job: Job
    private let node: Node
    private let handle: OffloadedJob
    private var completion: ((Job.Output) -> Void)?

    init(_ job: Job, node: Node, handle: OffloadedJob, completion: @escaping (Job.Output) -> Void) {
        self.job = job
        self.node = node
        self.handle = handle
        self.completion = completion
        handle.finishNow = { [self] in
            while self.completion != nil { if let output = self.job.step() { finish(output) } }
        }
    }

    func step() {
        if completion == nil { return }
        let output = job.step()
        // Done already: nobody may ask it again.
        if output != nil { handle.finishNow = nil }
        node.after(max(.zero, job.sliceCost)) { [self] in
            if let output { finish(output) } else { step() }
        }
    }

    private func finish(_ output: Job.Output) {
        let callback = completion
        completion = nil
        handle.finishNow = nil
        callback?(output)
    }
}

private struct WholeJob<Output: Sendable>: SlicedJob {
    let sliceCost: LabDuration
    let body: @Sendable () -> Output
    func step() -> Output? { body() }
}

/// Where a job's output goes from its thread to the loop.
private final class OffloadOutput<Output: Sendable>: Sendable {
    private let output = Mutex<Output?>(nil)
    let isCancelled = CancelFlag()

    func run(_ job: some SlicedJob<Output>) {
        var job = job
        while !isCancelled.isSet {
            guard let result = job.step() else { continue }
            return output.withLock { $0 = result }
        }
    }

    func take() -> Output? { output.withLock { $0.take() } }
}

/// Tells a job on another thread that nobody waits for it any more.
final class CancelFlag: Sendable {
    private let flag = Atomic<Bool>(false)
    var isSet: Bool { flag.load(ordering: .relaxed) }
    func set() { flag.store(true, ordering: .relaxed) }
}
