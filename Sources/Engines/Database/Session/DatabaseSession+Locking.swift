import KernelSQLite
import KernelStructures
import KernelWire

/// How a session waits for others: for the pen, and for advisory locks.
extension DatabaseSession {
    /// `pg_advisory_lock` and its kin.
    ///
    /// - Throws: `WaitRequest` if the lock is to be waited for.
    func advisory(_ verb: AdvisoryVerb, _ key: AdvisoryKey) throws -> SQLiteValue {
        guard let locks = database?.advisoryLocks else { return .null }
        switch verb.action {
        case .lock:
            guard try locks.acquire(key, verb, self) else { throw WaitRequest.lock(key, verb) }
            return .text("")
        case .try: return .integer(try locks.acquire(key, verb, self) ? 1 : 0)
        case .all:
            locks.releaseAll(self) { isOfTransaction in !isOfTransaction }
            return .text("")
        case .unlock:
            if locks.release(key, isShared: verb.isShared, self) { return .integer(1) }
            context.notices.append(
                PostgresError(.warning, "you don't own a lock of type \(verb.mode)", severity: .warning))
            return .integer(0)
        }
    }

    /// - Throws: 40P01 if those in the way wait for this session.
    func wait(for key: AdvisoryKey, _ verb: AdvisoryVerb) throws(PostgresError) {
        database?.advisoryLocks.wait(for: key, verb, self)
        try beginWait(.advisoryLock)
    }

    /// NOWAIT and SKIP LOCKED while somebody else writes.
    ///
    /// - Returns: whether the statement has come to its end, without a row.
    func isDoneWithoutWaiting(_ portal: Portal, _ plan: Plan) throws(PostgresError) -> Bool {
        guard let lockWait = plan.lockWait, database?.mayWrite(self) == false else { return false }
        if case .refused(let message) = lockWait { throw PostgresError(.lockNotAvailable, message) }
        guard case .query = plan.kind else { return false }
        _ = currentTransaction()
        if portal.describesRows { output.rowDescription(portal.columns) }
        complete(portal, plan.tag.text(rows: 0))
        return true
    }

    /// The session stands in a line. Whoever would wait for himself is told so at once: nobody else could end it.
    func beginWait(_ wait: Wait) throws(PostgresError) {
        guard let database else { return }
        if database.isDeadlocked(self) {
            database.forgetWaiting(self)
            throw PostgresError(
                .deadlockDetected, "deadlock detected",
                detail: "Those for whom this process would wait are waiting for it.")
        }
        self.wait = wait
        let timeout = context.settings.lockTimeoutMilliseconds
        lockDeadline = timeout > 0 ? now + .milliseconds(timeout) : nil
    }

    /// Whether the session stands in a line.
    var waitsForOthers: Bool { wait == .writer || wait == .advisoryLock }

    /// Somebody else has finished writing, and it is this session's turn.
    func writerGranted() { granted(.writer) }

    /// It has the lock that it waited for; its statement is carried out again and knows.
    func advisoryLockGranted() {
        guard wait == .advisoryLock else { return }
        running?.portal.waitAnswers.append(.text(""))
        granted(.advisoryLock)
    }

    private func granted(_ line: Wait) {
        guard wait == line else { return }
        wait = nil
        lockDeadline = nil
        onWake()
    }
}

extension Database {
    func forgetWaiting(_ session: DatabaseSession) {
        forgetWaitingWriter(session)
        advisoryLocks.forgetWaiting(session)
    }

    /// Whether a chain of those who wait for one another leads from a session back to it.
    func isDeadlocked(_ session: DatabaseSession) -> Bool {
        var seen: Set<ObjectIdentifier> = []
        var open = blockers(of: session)
        while let next = open.popLast() {
            if next === session { return true }
            if seen.insert(ObjectIdentifier(next)).inserted { open += blockers(of: next) }
        }
        return false
    }

    private func blockers(of session: DatabaseSession) -> [DatabaseSession] {
        advisoryLocks.blockers(of: session) + writersBefore(session)
    }
}
