import KernelCoroutines
import KernelHosting
import KernelStructures
import KernelWorld
import PromQLEngine

/// Queries and rules that take long, carried out in slices between everything else: scrapes, other queries, `/-/ready`.
///
/// ## The problem
///
/// Most questions are answered in a fraction of a millisecond, and some that look the same take a minute. On one loop
/// the one keeps everybody waiting: targets are scraped late, and a collector that is asked whether it lives is silent.
///
/// ## How
///
/// Each query is tried at once for as long as a slice (`ShortTrial`); nearly all are through by then. What is not is
/// begun anew as a coroutine that gives way after each slice. It ends early when its client leaves, when its time is
/// over, and with the node; what it held is freed then. Up to 20 run at a time, as in Prometheus, the others wait. A
/// group of rules goes the same way, from the rule for which the slice was too short.
///
/// Between two slices samples may come, and series; a query sees some of them. What takes samples away (a cut) waits
/// until nobody is in the midst (`whenQuiet`), and while it waits nobody begins.
///
/// ## Where it is wrong
///
/// Finding and sorting the series of one selector is one piece, however many they are.
final class LongQueries {
    /// All of a query: the answer's bytes. Its second argument is asked between rows whether to go on; where it says
    /// no, nobody will see what there is.
    typealias Work = (QueryLimits, _ giveWay: () -> Bool) throws(PromQLError) -> [UInt8]

    /// As Prometheus has it (`--query.timeout`).
    static let longestTime = LabDuration.seconds(120)
    /// At a time (`--query.max-concurrency`).
    static let runningLimit = 20
    static let waitingLimit = 200
    /// Lab time of a slice where the clock is not the host's.
    static let sliceCost = LabDuration.milliseconds(1)

    private let node: Node
    private var running: [ObjectIdentifier: LongQuery] = [:]
    private var waiting: [LongQuery] = []
    private var quiet: [() -> Void] = []

    init(_ node: Node) { self.node = node }

    /// Of those that run and those that wait.
    var count: Int { running.count + waiting.count }

    /// Carries out a query and answers.
    ///
    /// - Parameter type: of the answer.
    /// - Throws: `APIError.unavailable` if too many wait.
    func add(
        _ exchange: HTTPExchange, timeout: LabDuration, limits: QueryLimits, type: String, _ work: @escaping Work
    ) throws(APIError) {
        guard waiting.count < Self.waitingLimit else {
            throw .unavailable("\(Self.waitingLimit) queries that take long wait already; try again in a while")
        }
        let query = LongQuery(deadline: node.world.now + timeout, limits: limits, work) { answer in
            switch answer {
            case .success(let page): exchange.answer(bytes: page, type: type)
            case .failure(let error): CollectorHost.answer(exchange, error)
            }
        }
        waiting.append(query)
        // Also where the server is to stop: the answer is then that there is none.
        exchange.park(for: timeout) { [weak self] exchange in
            self?.end(query)
            let isLate = self.map { $0.node.world.now >= query.deadline } ?? false
            CollectorHost.answer(
                exchange,
                isLate
                    ? .timeout("query timed out in expression evaluation")
                    : .canceled("query was canceled in expression evaluation"))
        }
        exchange.onAbandon = { [weak self] in self?.end(query) }
        begin()
    }

    /// Carries out what nobody waits for at a connection. Its limits let it go on until its time (`longestTime`) is
    /// over.
    ///
    /// - Parameter completion: hears of the end, unless `end` or `stop` ends it.
    /// - Returns: what `end` takes.
    func add(
        limits: QueryLimits, _ work: @escaping (QueryLimits) -> Void, completion: @escaping () -> Void
    ) -> LongQuery {
        let query = LongQuery(deadline: node.world.now + Self.longestTime, limits: limits) { limits, _ in
            work(limits)
            return []
        } completion: { _ in
            completion()
        }
        query.timer = node.after(Self.longestTime) { [weak query] in query?.way?.isLate = true }
        waiting.append(query)
        begin()
        return query
    }

    /// Calls `action` when no query is in the midst, at once perhaps.
    func whenQuiet(_ action: @escaping () -> Void) {
        if running.isEmpty { return action() }
        quiet.append(action)
    }

    /// Ends all of them, as the store is about to be closed.
    func stop() {
        quiet = []
        for query in waiting + running.values { end(query) }
    }

    private func begin() {
        while quiet.isEmpty, running.count < Self.runningLimit, !waiting.isEmpty {
            let query = waiting.removeFirst()
            running[ObjectIdentifier(query)] = query
            do throws(CoroutineError) {
                query.coroutine = try node.runInSlices(sliceCost: Self.sliceCost, query.run) { [weak self] answer in
                    self?.ended(query, answer)
                }
            } catch {
                ended(query, .failure(.unavailable("\(error)")))
            }
        }
    }

    private func ended(_ query: LongQuery, _ answer: LongQuery.Answer) {
        end(query)
        query.completion(answer)
    }

    /// Nobody waits for it any more.
    func end(_ query: LongQuery) {
        node.cancel(query.timer)
        query.timer = nil
        waiting.removeAll { $0 === query }
        guard running.removeValue(forKey: ObjectIdentifier(query)) != nil else { return }
        query.coroutine?.stop()
        query.coroutine = nil
        guard running.isEmpty, !quiet.isEmpty else { return begin() }
        // Not within whatever has ended the last one.
        node.enqueue { [weak self] in self?.goOn() }
    }

    private func goOn() {
        guard running.isEmpty else { return }
        let actions = quiet
        quiet = []
        for action in actions { action() }
        begin()
    }
}

/// One of them.
final class LongQuery {
    typealias Answer = Result<[UInt8], APIError>

    let deadline: LabTime
    private var limits: QueryLimits
    private let work: LongQueries.Work
    let completion: (Answer) -> Void
    var coroutine: Coroutine<Answer>?
    /// Ends it from within, where no client's waiting does.
    var timer: TimerID?
    fileprivate private(set) var way: Way?

    /// Pieces of work (samples, places of a result) in one slice, together about a millisecond.
    static let slicePieces = 200_000

    init(
        deadline: LabTime, limits: QueryLimits, _ work: @escaping LongQueries.Work,
        completion: @escaping (Answer) -> Void
    ) {
        self.deadline = deadline
        self.limits = limits
        self.work = work
        self.completion = completion
    }

    /// The whole of it, within its coroutine.
    func run(_ slice: Slice) -> Answer {
        let way = Way(slice)
        self.way = way
        limits.isExpired = { !way.giveWay($0) }
        do throws(PromQLError) {
            // A row's numbers take longer to write than to calculate.
            return .success(try work(limits) { slice.offer() })
        } catch {
            return .failure(APIError(error))
        }
    }

    /// Unchecked: only who has the coroutine's baton touches it.
    fileprivate final class Way: @unchecked Sendable {
        private let slice: Slice
        private var done = 0
        var isLate = false

        init(_ slice: Slice) { self.slice = slice }

        func giveWay(_ work: Int) -> Bool {
            done += work
            if done < LongQuery.slicePieces { return !slice.isStopped && !isLate }
            done = 0
            return slice.offer() && !isLate
        }
    }
}

/// Whether a query has had its slice without giving way.
///
/// Unchecked: it is asked within one call, by one thread.
final class ShortTrial: @unchecked Sendable {
    private var done = 0
    /// Whether somebody was told so.
    private(set) var isOver = false

    /// The same limits, for as long as one slice.
    func limits(_ limits: QueryLimits) -> QueryLimits {
        var limits = limits
        limits.isExpired = { [self] work in
            done += work
            isOver = done >= LongQuery.slicePieces
            return isOver
        }
        return limits
    }
}
