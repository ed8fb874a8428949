import ConnectionPoolEngine
import KernelStructures
import Testing

/// A host made of lists: it keeps what the engine asked for until a test decides how it goes, and judges the engine by
/// nothing but what went in and what came out.
final class PoolModel {
    typealias Pool = ConnectionPool
    var pool: Pool
    private(set) var now = LabTime.documentedEpoch

    /// Asked to be opened, not decided yet.
    private(set) var connecting: [Pool.ConnectionID] = []
    /// Open, as the other end sees it.
    private(set) var open: Set<Pool.ConnectionID> = []
    private(set) var checking: [Pool.ConnectionID] = []
    private(set) var resetting: Set<Pool.ConnectionID> = []
    /// Who has which connection.
    private(set) var owners: [Pool.ConnectionID: Pool.Lease] = [:]
    private(set) var leases: [Pool.Lease] = []
    /// Leases that were given back.
    private(set) var spent: [Pool.Lease] = []
    /// In line, with the time at which they must have been told, or nil while the pool's suspension holds them.
    private(set) var waiting: [(ticket: Pool.Ticket, deadline: LabTime?, timeout: LabDuration)] = []
    private(set) var woken: [Pool.Ticket] = []
    /// Connections that the engine let go of while they were being opened or checked: their answers come late.
    private(set) var late: [Pool.ConnectionID] = []
    private(set) var closed: [(Pool.ConnectionID, Pool.CloseReason)] = []
    private(set) var failures: [Pool.Failure] = []
    private(set) var lent: [Pool.Ticket] = []
    private(set) var log: [String] = []
    private(set) var leaks: [Pool.Leak] = []
    private(set) var isClosed = false
    private(set) var mostOpen = 0
    private(set) var startFailure: String?
    var isSuspended: Bool { pool.isSuspended }
    /// What went wrong, each with what led to it.
    private(set) var complaints: [String] = []
    private var history: [String] = []

    init(seed: UInt64 = 1, _ change: (inout Pool.Configuration) -> Void = { _ in }) {
        var configuration = Pool.Configuration()
        configuration.minimumIdle = 0
        configuration.initializationFailTimeout = nil
        change(&configuration)
        do { try configuration.validate() } catch { fatalError("\(error)") }
        pool = Pool(configuration, now: .documentedEpoch, random: SeededRandom(seed: seed))
        pool.start(now: now)
        settle("start")
    }

    private func complain(_ text: String) {
        complaints.append("\(text)\n" + history.suffix(12).joined(separator: "\n"))
    }

    // MARK: What a test does

    @discardableResult
    func borrow(
        _ name: String = "test", timeout: LabDuration? = nil, mayWait: Bool = true, fileID: StaticString = #fileID,
        line: UInt = #line
    ) -> Pool.Answer {
        let wasSuspended = isSuspended
        let answer = pool.borrow(
            by: .init(name, fileID: fileID, line: line), timeout: timeout, mayWait: mayWait, now: now)
        switch answer {
        case .lent(let lease):
            if wasSuspended { complain("\(lease) is lent while the pool is suspended") }
            own(lease)
        case .waiting(let ticket):
            let patience = timeout ?? pool.configuration.connectionTimeout
            let limit: LabDuration = timeout == nil && patience == .zero ? .infinite : patience
            waiting.append((ticket, wasSuspended || limit == .infinite ? nil : now + limit, limit))
        case .refused(let failure): failures.append(failure)
        }
        settle("borrow -> \(answer)")
        return answer
    }

    /// Borrows, lets connects and checks succeed, and returns the lease.
    func lease(_ name: String = "test", fileID: StaticString = #fileID, line: UInt = #line) -> Pool.Lease? {
        let before = Set(leases)
        borrow(name, fileID: fileID, line: line)
        finishAll()
        return leases.first { !before.contains($0) }
    }

    @discardableResult
    func putBack(_ lease: Pool.Lease, _ condition: Pool.ReturnCondition = .clean) -> Bool {
        let isOwner = owners[lease.connection] == lease
        if isOwner {
            owners[lease.connection] = nil
            leases.removeAll { $0 == lease }
            spent.append(lease)
        }
        let accepted = pool.putBack(lease, condition, now: now)
        if accepted != isOwner {
            complain("return of \(lease): \(accepted), and the borrower \(isOwner ? "had" : "had not") it")
        }
        settle("putBack \(lease.connection) \(condition)")
        return accepted
    }

    @discardableResult
    func cancel(_ ticket: Pool.Ticket) -> Bool {
        let isWaiting = waiting.contains { $0.ticket == ticket }
        waiting.removeAll { $0.ticket == ticket }
        let cancelled = pool.cancel(ticket, now: now)
        if cancelled != isWaiting { complain("cancel: \(cancelled), but waiting: \(isWaiting)") }
        settle("cancel")
        return cancelled
    }

    func connect(_ index: Int = 0, isOpen: Bool = true, error: String = "connection refused") {
        let id = connecting.remove(at: index)
        if isOpen {
            open.insert(id)
            mostOpen = max(mostOpen, open.count)
            if !pool.connected(id, now: now) { complain("a connection that was asked for is not wanted") }
        } else {
            pool.connectFailed(id, error, now: now)
        }
        settle("connect \(id) \(isOpen)")
    }

    func check(_ index: Int = 0, isAlive: Bool = true) {
        let id = checking.remove(at: index)
        resetting.remove(id)
        pool.checked(id, isAlive: isAlive, now: now)
        settle("check \(id) \(isAlive)")
    }

    /// The answer to something that the engine has long given up.
    func answerLate(_ index: Int) {
        let id = late.remove(at: index)
        if pool.connected(id, now: now) { complain("a connection that was given up is taken") }
        pool.checked(id, isAlive: true, now: now)
        settle("late \(id)")
    }

    func lose(_ id: Pool.ConnectionID) {
        pool.connectionLost(id, "reset by peer", now: now)
        settle("lose \(id)")
    }

    func wake(_ index: Int = 0) {
        pool.retry(woken.remove(at: index), now: now)
        settle("retry")
    }

    func operate(_ name: String, _ change: (inout Pool, LabTime) -> Void) {
        let wasSuspended = isSuspended
        change(&pool, now)
        if wasSuspended, !isSuspended {
            for index in waiting.indices where waiting[index].deadline == nil && waiting[index].timeout != .infinite {
                waiting[index].deadline = now + waiting[index].timeout
            }
        }
        settle(name)
    }

    /// Lets time pass, with a tick at each deadline and at the end.
    func pass(_ duration: LabDuration) {
        let end = now + duration
        while pool.nextDeadline <= end {
            now = max(now, pool.nextDeadline)
            pool.tick(now: now)
            settle("tick")
        }
        now = end
        pool.tick(now: now)
        settle("pass \(duration)")
    }

    /// Lets everything that is under way succeed.
    func finishAll() {
        while !connecting.isEmpty || !checking.isEmpty || !woken.isEmpty {
            if !checking.isEmpty { check() } else if !woken.isEmpty { wake() } else { connect() }
        }
    }

    // MARK: What the engine asks for

    private func own(_ lease: Pool.Lease) {
        if let owner = owners[lease.connection] { complain("two owners: \(lease) and \(owner)") }
        if !open.contains(lease.connection) { complain("\(lease.connection) is lent and is not open") }
        if checking.contains(lease.connection) { complain("\(lease.connection) is lent while it is checked") }
        owners[lease.connection] = lease
        leases.append(lease)
    }

    private func settle(_ what: String) {
        history.append("  \(now - .documentedEpoch) \(what)")
        for effect in pool.takeEffects() {
            history.append("    \(effect)")
            perform(effect)
        }
        for text in pool.brokenInvariants { complain(text) }
        let limit = pool.configuration.maximumPoolSize
        if open.count + connecting.count > limit { complain("\(open.count) open, \(connecting.count) being opened") }
        if pool.totalCount != open.count { complain("total \(pool.totalCount), but \(open.count) are open") }
        if pool.inUseCount != owners.count { complain("in use \(pool.inUseCount), but \(owners.count) are lent") }
        if pool.waitingCount != waiting.count { complain("waiting \(pool.waitingCount), but \(waiting.count) wait") }
    }

    private func perform(_ effect: Pool.Effect) {
        switch effect {
        case .connect(let id): connecting.append(id)
        case .validate(let id): checking.append(id)
        case .reset(let id):
            checking.append(id)
            resetting.insert(id)
        case .close(let id, let reason): close(id, reason)
        case .lend(let ticket, let lease):
            own(lease)
            lent.append(ticket)
            leave(ticket)
        case .fail(let ticket, let failure):
            failures.append(failure)
            if case .timedOut = failure {
                let deadline = waiting.first { $0.ticket == ticket }?.deadline
                if deadline.map({ $0 > now }) ?? true { complain("timed out too early, or while held") }
            }
            leave(ticket)
        case .wake(let ticket): woken.append(ticket)
        case .leaked(let leak): leaks.append(leak)
        case .log(let message, _): log.append(message.description)
        case .started: break
        case .startFailed(let reason): startFailure = reason
        case .closed: isClosed = true
        }
    }

    private func leave(_ ticket: Pool.Ticket) {
        guard let index = waiting.firstIndex(where: { $0.ticket == ticket }) else {
            return complain("somebody is told twice, or was not in line")
        }
        if case .closing = pool.phase {
        } else if pool.configuration.isFair, lent.last == ticket, index != 0 {
            complain("somebody was overtaken")
        }
        waiting.remove(at: index)
    }

    private func close(_ id: Pool.ConnectionID, _ reason: Pool.CloseReason) {
        closed.append((id, reason))
        if reason != .aborted, owners[id] != nil { complain("\(id) is closed while it is lent") }
        if let lease = owners.removeValue(forKey: id) { leases.removeAll { $0 == lease } }
        if let index = connecting.firstIndex(of: id) {
            connecting.remove(at: index)
            late.append(id)
        } else if !open.contains(id) {
            complain("\(id) is closed and is not open")
        }
        if let index = checking.firstIndex(of: id) {
            checking.remove(at: index)
            late.append(id)
        }
        open.remove(id)
    }

    /// Those who should have been told that their time is over, and were not.
    var forgotten: Int { waiting.count { $0.deadline.map { $0 <= now } ?? false } }
}
