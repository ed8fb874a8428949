import KVStoreEngine
import KernelHosting
import KernelService
import KernelStorage
import KernelStructures
import KernelWire
import KernelWorld

/// A server that keeps its keys in a log-structured merge tree and speaks Redis's protocol.
///
/// ## The problem
///
/// A write is safe once it is on the disk, and telling the disk to make sure takes as long for one write as for a
/// thousand. A server that syncs for each of its clients in turn does little else but wait.
///
/// ## An everyday picture
///
/// A ferry. Whoever stands at the landing when it leaves comes along, one passenger or fifty, and the crossing takes
/// the same time. Nobody is told "you are across" before it has landed; whoever came a moment too late takes the next.
///
/// ## How
///
/// 1. In one turn of the loop the requests of all clients that have come are carried out, in the memtable and the log's
///    buffer. Their replies wait.
/// 2. At the turn's end the buffer is appended to the log in one write, and synced once if `appendfsync` is `always`.
/// 3. Then the replies leave. Replies to reads wait with them: nobody may hear of a value that a failure could still
///    take back.
/// 4. Between turns the store merges its tables, a piece at a time, so that no client waits for all of it.
///
/// | appendfsync | a write that was acknowledged survives |
/// |---|---|
/// | `always` | `kill -9` and a power failure |
/// | `everysec` | `kill -9`; of a power failure, all but the last second |
/// | `no` | `kill -9`; of a power failure, what the system had written back by itself |
///
/// If the sync fails, the writes of that turn are answered by an error instead, and no more are accepted.
///
/// ## Where it is wrong
///
/// One loop means that a slow disk stops everybody, readers of cached keys as well. And there are strings only: lists,
/// hashes and sets are another server's.
public final class KVServer: Service, RESPService {
    public let runtime: ServiceRuntime
    public let port: UInt16
    public private(set) var settings: Settings
    public private(set) var store: KVStore!
    public private(set) var server: RESPServer!
    private(set) var keys: KeySpace!
    private(set) var counter: KeyCounter!
    let cursors = CursorTable()
    /// Who watches a key.
    var watchers: [[UInt8]: [WatchList]] = [:]
    var expiredKeyCount = 0
    /// Who waits for background work, and for how much of it.
    var workWaiters: [(connection: RESPServerConnection, isDone: (KVServer) -> Bool)] = []
    /// Who waits for the keys to be counted.
    var countWaiters: [CountWaiter] = []
    /// Keys that were overdue when the count under way began.
    var countOverdue = KeyCount()
    var saving = SavingState()
    public private(set) var commitCount = 0
    private(set) var commitFailure: String?
    private var isWorking = false
    /// Flushes and compactions that threads do.
    private var jobsOut: [(job: BackgroundJob, handle: OffloadedJob)] = []
    private(set) var isClosing = false
    private var syncTimer: TimerID?
    private var lastResume = LabTime(nanoseconds: 0)
    private(set) var expiry = ExpirySchedule()

    public enum Synchronization: String, CaseIterable, Sendable { case always, everysec, no }

    public struct Settings: Sendable {
        /// As it was typed, for log lines.
        public var directoryText: String
        /// Where the store is on the node's disk.
        public var directory: String
        public var store = KVStoreOptions()
        public var synchronization = Synchronization.everysec
        public var server = RESPServerOptions()
        /// Bytes of background work between two turns.
        public var workByteCount = 256 << 10
        /// Entries up to which keys are counted at once when somebody asks; more are counted between turns.
        public var countAtOnceEntries = 100_000

        public init(directory: String, text: String? = nil) {
            self.directory = directory
            directoryText = text ?? directory
        }
    }

    public init(node: Node, port: UInt16, settings: Settings, options: ServiceOptions = ServiceOptions()) {
        runtime = ServiceRuntime(node: node, tag: "LSM", options: options)
        self.port = port
        self.settings = settings
    }

    // MARK: Life

    /// Opens the store and replays its log.
    ///
    /// - Throws: `KVStoreError`.
    public func prepare() throws {
        store = try KVStore.open(
            disk: node.disk, directory: settings.directory, options: settings.store, now: node.world.now)
        if node.offloadsFiles { store.waitForJob = { [unowned self] in waitForJob() } }
        keys = KeySpace(store)
        counter = KeyCounter(store)
        keys.onExpiry = { [unowned self] expiry in schedule(expiry) }
        settings.server.limits.bulkBytes = min(settings.server.limits.bulkBytes, KVStoreOptions.valueByteLimit)
        server = RESPServer(node: node, commands: commands, service: self, options: settings.server)
        tellEvents()
        runtime.add(server, on: port, announcement: "Listening on :\(port: port)")
    }

    public func abandonStart() { try? store.close() }

    public func opened() {
        saving.lastSeconds = nowMilliseconds / 1000
        saving.lastSequence = store.lastSequence
        work()
        startExpiry()
    }

    /// Whoever waits for background work waits in vain: there will be no more of it.
    public func willDrain() {
        isClosing = true
        let waiting = workWaiters.map(\.connection) + countWaiters.map(\.connection) + saving.waiters
        workWaiters = []
        saving.waiters = []
        countWaiters = []
        for connection in waiting {
            connection.reply.error("ERR the server is shutting down")
            connection.resume()
        }
    }

    /// Makes everything durable, and closes the store.
    public func stop(_ done: @escaping () -> Void) {
        do throws(KVStoreError) {
            if store.readOnlyReason == nil { try store.commit(sync: true) }
            try store.close()
        } catch {
            runtime.log("Closing failed: \(error.description)", level: .error)
        }
        tellEvents()
        node.afterDisk(done)
    }

    public var complaints: [String] {
        store.readOnlyReason.map { ["writes are not accepted: \($0.description)"] } ?? []
    }

    var nowMilliseconds: Int { Int(node.wallClock.nanoseconds / 1_000_000) }

    func setSynchronization(_ synchronization: Synchronization) {
        settings.synchronization = synchronization
        syncLater()
    }

    // MARK: Turns

    public func commit(_ server: RESPServer, done: @escaping (String?) -> Void) {
        var failure: String?
        if store.uncommittedByteCount > 0 {
            commitCount += 1
            do throws(KVStoreError) {
                try store.commit(sync: settings.synchronization == .always)
                syncLater()
            } catch {
                failure = Self.text(error)
                commitFailure = failure
            }
        }
        if store.hasEvents { tellEvents() }
        work()
        // Costs of this turn, those of its reads included, pass before anybody hears of it.
        let cost = node.disk.collectCost()
        if cost <= .zero { done(failure) } else { node.after(cost) { done(failure) } }
    }

    /// `everysec`: a second after the first write that is not synced, all of them are.
    private func syncLater() {
        guard settings.synchronization == .everysec, syncTimer == nil, store.unsyncedByteCount > 0 else { return }
        syncTimer = node.after(.seconds(1)) { [self] in
            syncTimer = nil
            guard !isClosing, store.readOnlyReason == nil else { return }
            do throws(KVStoreError) {
                if let job = try store.takeSync(now: node.world.now) {
                    offload(job)
                } else if store.isSyncUnderWay {
                    syncLater()
                } else {
                    try store.commit(sync: true)
                }
            } catch {
                commitFailure = Self.text(error)
            }
            if store.hasEvents { tellEvents() }
            _ = node.disk.collectCost()
        }
    }

    /// Merges tables: on other threads in a process of its own, elsewhere a piece at a time, and what that costs on the
    /// disk passes between two pieces.
    func work() {
        guard !isClosing, store.needsWorkHere else { return }
        while let job = store.takeJob(now: node.world.now) { offload(job) }
        guard !isWorking, store.needsWorkHere else { return }
        isWorking = true
        node.enqueue { [self] in workOnce() }
    }

    private func workOnce() {
        guard !isClosing else { return }
        let goesOn = store.work(budgetByteCount: settings.workByteCount, now: node.world.now)
        if store.hasEvents { tellEvents() }
        answerWorkWaiters()
        isWorking = goesOn
        if goesOn { node.afterDisk { [self] in workOnce() } } else { _ = node.disk.collectCost() }
    }

    private func offload(_ job: BackgroundJob) {
        do throws(OffloadError) {
            let handle = try node.offload({ job.run() }, cost: .zero) { [self] _ in finished(job) }
            jobsOut.append((job, handle))
        } catch {
            job.run()
            finished(job)
        }
    }

    private func finished(_ job: BackgroundJob) {
        jobsOut.removeAll { $0.job === job }
        store.finish(job, now: node.world.now)
        if case .diskFailed(let error) = store.readOnlyReason, commitFailure == nil {
            commitFailure = Self.text(.disk(error))
        }
        if store.hasEvents { tellEvents() }
        answerWorkWaiters()
        work()
        syncLater()
    }

    /// A writer can do nothing but wait: for what is short, if there is any.
    private func waitForJob() { (jobsOut.first { !$0.job.isCompaction } ?? jobsOut.first)?.handle.wait() }

    func answerWorkWaiters() {
        guard !workWaiters.isEmpty else { return }
        let reason = store.readOnlyReason
        workWaiters.removeAll { connection, isDone in
            guard reason != nil || isDone(self) else { return false }
            if let reason { connection.reply.error("MISCONF " + reason.description) } else { connection.reply.ok() }
            connection.resume()
            return true
        }
    }

    func tellEvents() {
        for event in store.takeEvents() {
            switch event {
            case .walOpened: runtime.log("WAL opened: \(settings.directoryText + "/wal.log")")
            default: runtime.log(event.message, level: event.level)
            }
        }
    }

    /// A full disk may have room again: looked at when somebody wants to write, once a second at most.
    func resumeIfPossible() {
        guard case .diskFull = store.readOnlyReason, node.world.now - lastResume >= .seconds(1) else { return }
        lastResume = node.world.now
        if store.resume() { commitFailure = nil }
        if store.hasEvents { tellEvents() }
    }

    // MARK: Ends

    private func startExpiry() {
        if let first = try? keys.firstExpiry(from: 0) { schedule(first) }
    }

    /// A key ends at that time (milliseconds since 1970): somebody must be there to delete it.
    func schedule(_ end: Int) {
        guard expiry.add(end) else { return }
        node.cancel(expiry.timer)
        let wait = max(0, end - nowMilliseconds) + ExpirySchedule.delayMilliseconds
        expiry.timer = node.after(.milliseconds(min(wait, ExpirySchedule.longestWaitMilliseconds))) { [self] in
            expireNow()
        }
    }

    private func expireNow() {
        guard !isClosing else { return }
        keys.now = nowMilliseconds
        expiry.restart()
        var next: Int?
        if store.readOnlyReason == nil,
            let result = try? keys.expire(from: expiry.position, limit: ExpirySchedule.batchCount)
        {
            expiredKeyCount += result.deleted
            expiry.position = result.last
            if result.seen > 0 { server.noteWork() }
            if result.seen == ExpirySchedule.batchCount {
                // More of the same moment.
                expiry.timer = node.after(.milliseconds(1)) { [self] in expireNow() }
                return
            }
            next = try? keys.firstExpiry(from: expiry.position)
        } else {
            next = nowMilliseconds + 1000
        }
        if let next { schedule(next) }
    }

    // MARK: Errors

    /// An error as a reply says it, with a code that clients know.
    static func text(_ error: KVStoreError) -> String {
        switch error {
        case .readOnly(let reason): "MISCONF writes are not accepted: \(reason)"
        // What reached the file is found when the log is read again.
        case .disk(let error) where error.isSync:
            "MISCONF the disk refused: \(error); what was written may be there after a restart all the same"
        case .disk(let error): "MISCONF the disk refused: \(error)"
        default: "ERR \(error)"
        }
    }

    public func connectionClosed(_ connection: RESPServerConnection) {
        unwatch(connection)
        workWaiters.removeAll { $0.connection === connection }
        countWaiters.removeAll { $0.connection === connection }
        saving.waiters.removeAll { $0 === connection }
    }

    public func connectionReset(_ connection: RESPServerConnection) { unwatch(connection) }
    public func connectionSpokeHTTP(_ connection: RESPServerConnection) {
        runtime.log(
            "Closed a connection from \(address: connection.stream.remote.address): it sent HTTP, whose lines are no commands",
            level: .warning)
    }
}

/// When keys are to be deleted whose end has passed.
///
/// Nobody sees such a key, from the millisecond of its end on: reads compare. That it is also deleted, read or not, is
/// this timer's work: at most 100 ms after its end, and a millisecond later for each thousand others that ended at the
/// same time.
struct ExpirySchedule {
    var timer: TimerID?
    private var due = Int.max
    /// Everything before it in the index has been done: looking there again would mean to walk over its tombstones.
    var position = 0

    static let delayMilliseconds = 100
    static let batchCount = 1000
    /// A node's calendar may jump; so it is looked at again.
    static let longestWaitMilliseconds = 3_600_000

    /// Whether the timer has to be set anew.
    mutating func add(_ end: Int) -> Bool {
        position = min(position, end)
        guard end < due else { return false }
        due = end
        return true
    }

    mutating func restart() { due = .max }
}

extension DiskError {
    /// Whether a write took place that did not become durable.
    fileprivate var isSync: Bool { if case .failed(_, operation: "sync") = self { true } else { false } }
}
