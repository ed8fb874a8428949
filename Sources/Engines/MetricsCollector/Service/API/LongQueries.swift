import KernelCoroutines
import KernelHosting
import KernelStructures
import KernelWorld
import PromQLEngine

/// Queries that take long, carried out in slices between everything else: scrapes, other queries, `/-/ready`.
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
/// over, and with the node; what it held is freed then. Up to 20 run at a time, as in Prometheus, the others wait.
///
/// Between two slices samples may come, and series; a query sees some of them. What takes samples away (a cut) waits
/// until nobody is in the midst (`whenQuiet`), and while it waits nobody begins.
///
/// ## Where it is wrong
///
/// Finding and sorting the series of one selector is one piece, however many they are.
final class LongQueries {
    typealias Evaluation = (QueryLimits) throws(PromQLError) -> QueryResult

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
    /// - Parameter page: makes the answer; it asks its second argument between rows whether to go on.
    /// - Throws: `APIError.unavailable` if too many wait.
    func add(
        _ exchange: HTTPExchange, timeout: LabDuration, limits: QueryLimits, _ evaluate: @escaping Evaluation,
        page: @escaping (QueryResult, () -> Bool) -> [UInt8]
    ) throws(APIError) {
        guard waiting.count < Self.waitingLimit else {
            throw .unavailable("\(Self.waitingLimit) queries that take long wait already; try again in a while")
        }
        let query = LongQuery(exchange, deadline: node.world.now + timeout, limits: limits, evaluate, page)
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
        let exchange = query.exchange
        end(query)
        switch answer {
        case .success(let page): CollectorHost.answer(exchange, page)
        case .failure(let error): CollectorHost.answer(exchange, error)
        }
    }

    /// Nobody waits for it any more.
    private func end(_ query: LongQuery) {
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

    let exchange: HTTPExchange
    let deadline: LabTime
    private var limits: QueryLimits
    private let evaluate: LongQueries.Evaluation
    private let page: (QueryResult, () -> Bool) -> [UInt8]
    var coroutine: Coroutine<Answer>?

    /// Pieces of work (samples, places of a result) in one slice, together about a millisecond.
    static let slicePieces = 200_000

    init(
        _ exchange: HTTPExchange, deadline: LabTime, limits: QueryLimits, _ evaluate: @escaping LongQueries.Evaluation,
        _ page: @escaping (QueryResult, () -> Bool) -> [UInt8]
    ) {
        self.exchange = exchange
        self.deadline = deadline
        self.limits = limits
        self.evaluate = evaluate
        self.page = page
    }

    /// The whole of it, within its coroutine.
    func run(_ slice: Slice) -> Answer {
        let way = Way(slice)
        limits.isExpired = { !way.giveWay($0) }
        do throws(PromQLError) {
            let result = try evaluate(limits)
            // A row's numbers take longer to write than to calculate.
            return .success(page(result) { slice.offer() })
        } catch {
            return .failure(APIError(error))
        }
    }

    /// Unchecked: only who has the coroutine's baton touches it.
    private final class Way: @unchecked Sendable {
        private let slice: Slice
        private var done = 0

        init(_ slice: Slice) { self.slice = slice }

        func giveWay(_ work: Int) -> Bool {
            done += work
            if done < LongQuery.slicePieces { return !slice.isStopped }
            done = 0
            return slice.offer()
        }
    }
}

/// Whether a query has had its slice without giving way.
///
/// Unchecked: it is asked within one call, by one thread.
final class ShortTrial: @unchecked Sendable {
    private var done = 0

    func isOver(_ work: Int) -> Bool {
        done += work
        return done >= LongQuery.slicePieces
    }
}
