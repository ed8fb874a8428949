import KernelStructures

/// What a world's clients and members did, and what was wrong with it.
package struct WorldRecord {
    package private(set) var failures: [String] = []
    package var tally = WorldTally()
    /// What happened, where that was asked for.
    package private(set) var moments: [CheckedWorld.Moment] = []
    package var locks = LockModel()
    fileprivate let keepsMoments: Bool
    private var resources: [GuardedResource]
    /// By term.
    private var leaders: [Int: Int] = [:]

    package init(_ settings: CheckedWorld.Settings, locks count: Int) {
        keepsMoments = settings.keepsMoments
        resources = [GuardedResource](repeating: GuardedResource(), count: count)
    }

    fileprivate mutating func add(_ moment: CheckedWorld.Moment) { moments.append(moment) }
    fileprivate mutating func add(_ failure: String) { failures.append(failure) }

    fileprivate mutating func write(_ value: String, to lock: Int, token: Int64) -> (isTaken: Bool, wrong: String?) {
        resources[lock].write(value, token: token)
    }

    /// - Returns: who was known as the leader of that term before.
    fileprivate mutating func lead(_ id: Int, term: Int) -> Int? {
        defer { leaders[term] = leaders[term] ?? id }
        return leaders[term]
    }
}

/// A world whose clients use registers and locks, and which is judged by what they saw: registers by
/// `LinearizabilityChecker`, locks by `LockModel`, what locks guard by its tokens, and no term has two leaders.
package protocol JudgedWorld: StudiedWorld {
    /// Microseconds since it began.
    var now: Int { get }
    var random: SeededRandom { get set }
    var record: WorldRecord { get set }
    /// - Parameter microseconds: at least 1.
    func after(_ microseconds: Int, _ action: @escaping () -> Void)
    /// Lets time pass, until something is wrong.
    func pass(_ microseconds: Int)
}

extension JudgedWorld {
    package func note(_ subject: CheckedWorld.Subject, _ text: () -> String) {
        guard record.keepsMoments else { return }
        // What it says may come from the record, which is not being changed while it does.
        let moment = CheckedWorld.Moment(microseconds: now, subject: subject, text: text())
        record.add(moment)
    }

    package func fail(_ reason: String) {
        record.add("at \(CheckedWorld.clock(now)): \(reason)")
        note(.world) { "WRONG: \(reason)" }
    }

    /// A client writes to what a lock guards, somewhere else.
    package func write(_ value: String, to lock: Int, token: Int64, by client: Int) {
        let (isTaken, wrong) = record.write(value, to: lock, token: token)
        note(.client(client)) { "writes to what lock \(lock) guards: \(isTaken ? "taken" : "refused"), token \(token)" }
        if !isTaken { record.tally[.staleWritesRefused] += 1 }
        if let wrong { fail(wrong) }
    }

    /// - Returns: whether that is news.
    @discardableResult
    package func noteLeader(_ id: Int, term: Int) -> Bool {
        if let known = record.lead(id, term: term) {
            if known != id { fail("two leaders in term \(term): \(known) and \(id)") }
            return false
        }
        record.tally[.elections] += 1
        note(.member(id)) { "leads term \(term)" }
        return true
    }

    /// Once everything is well, clients get what they want, before long.
    ///
    /// - Parameters:
    ///   - limit: microseconds.
    ///   - last: when a client had its last answer, and when one had its last lock.
    /// - Returns: whether they got it.
    package func awaitAnswers(
        every step: Int, limit: Int, _ last: () -> (answer: Int, grant: Int)
    ) -> Bool {
        let healed = now
        while record.failures.isEmpty {
            if now > healed + limit { return false }
            pass(step)
            let (answer, grant) = last()
            if min(answer, grant) > healed + 500_000 { return true }
        }
        return true
    }

    /// Looks at each register with the eyes of all clients.
    package func judgeRegisters(_ count: Int, _ histories: [ClientHistory]) {
        for history in histories { record.tally[.unanswered] += history.unansweredCount }
        for register in 0..<count {
            let all = histories.flatMap { $0.operations(of: register) }
            if LinearizabilityChecker.judge(all, RegisterModel()) { continue }
            fail("what the clients saw of register \(register) is what no register does")
            for one in all.sorted(by: { ($0.call, $0.client) < ($1.call, $1.client) }) {
                note(.client(one.client)) {
                    let end = one.end == .max ? "never answered" : "answered at \(CheckedWorld.clock(one.end))"
                    return "register \(register): \(one.action), asked at \(CheckedWorld.clock(one.call)), \(end)"
                }
            }
        }
    }
}

/// What one client asked registers, and what it was told.
package struct ClientHistory {
    package typealias Operation = ClientOperation<RegisterModel.Action>

    private var operations: [(register: Int, operation: Operation)] = []
    /// Microseconds; 0 before the first.
    package private(set) var lastAnswer = 0

    package init() {}

    package var unansweredCount: Int { operations.count { $0.operation.end == .max } }
    package func operations(of register: Int) -> [Operation] {
        operations.filter { $0.register == register }.map(\.operation)
    }

    /// - Parameter call: when it was asked, in microseconds.
    package mutating func add(
        _ register: Int, _ action: RegisterModel.Action, by client: Int, call: Int, isAnswered: Bool,
        in world: some JudgedWorld
    ) {
        let end = isAnswered ? world.now : .max
        operations.append((register, Operation(client: client, action, call: call, end: end)))
        if isAnswered {
            lastAnswer = end
            world.record.tally[.answers] += 1
        }
        world.note(.client(client)) {
            "register \(register): \(action), asked at \(CheckedWorld.clock(call))\(isAnswered ? "" : ": no answer")"
        }
    }
}
