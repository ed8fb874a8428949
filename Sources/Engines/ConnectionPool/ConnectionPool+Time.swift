import KernelStructures

extension ConnectionPool {
    /// Those that fall due within this time of one another are reaped together.
    static let reapingWindow = LabDuration.seconds(1)

    /// Does what is due: gives up on attempts, checks and borrowers, closes what is old, asks what has been silent for
    /// long, and reports what is not back.
    ///
    /// `nextDeadline` only moves forward here. Elsewhere it is lowered and never raised, which costs one comparison;
    /// the price is a call now and then that finds nothing to do.
    public mutating func tick(now time: LabTime) {
        advance(to: time)
        if now < nextDeadline { return }
        failOverdue()
        for slot in entries.indices where entries[slot].state != .vacant { visit(slot) }
        reapIdle()
        if phase == .closing, now >= phaseDeadline { abortRemaining() }
        if phase == .starting, connectingCount == 0 {
            if now >= phaseDeadline {
                giveUpStarting(backoff.lastError ?? "no connection")
            } else if now >= backoff.notBefore {
                openConnection()
            }
        }
        serve()
        nextDeadline = .distantFuture
        grow()
        noteAllDeadlines()
    }

    private mutating func failOverdue() {
        while let place = line.due(now) {
            let ticket = line.ticket(place)
            let waiter = line.remove(place)
            counters.timedOut += 1
            effects.append(
                .fail(
                    ticket,
                    .timedOut(
                        pool: configuration.poolName, after: now - waiter.since, total: totalCount, active: inUseCount,
                        idle: idleCount, waiting: line.count + 1, cause: backoff.lastError)))
            recording?.addUnserved(askedAt: waiter.since)
        }
    }

    private mutating func visit(_ slot: Int) {
        switch entries[slot].state {
        case .vacant: break
        case .connecting:
            guard now >= entries[slot].stepDeadline else { return }
            effects.append(.close(id(slot), .connectTimedOut))
            connectFailed(slot, "no connection within \(configuration.connectTimeout)")
        case .checking(let purpose):
            if now >= entries[slot].stepDeadline {
                checkFailed(slot, purpose == .reset ? .failedReset : .validationTimedOut)
            }
        case .idle:
            if now >= entries[slot].retireAt {
                removeIdle(slot)
                discard(slot, .pastLifetime)
            } else if now >= entries[slot].keepaliveAt {
                removeIdle(slot)
                entries[slot].keepaliveAt = .distantFuture
                check(slot, .keepalive)
            }
        case .inUse:
            if now >= entries[slot].leakAt { reportLeak(slot) }
        }
    }

    private mutating func reportLeak(_ slot: Int) {
        let held = now - entries[slot].borrowedAt
        let borrower = entries[slot].borrower
        entries[slot].leakAt = .distantFuture
        entries[slot].isLeakReported = true
        counters.leaks += 1
        let seconds = trimmedDecimal(held.seconds, places: 1)
        log("WARNING: Connection borrowed \(seconds)s ago, not returned", .warning)
        log("Borrowed at: \(borrower.description)", .warning)
        effects.append(
            .leaked(
                Leak(
                    lease: Lease(connection: id(slot), borrow: entries[slot].borrow), borrower: borrower,
                    heldFor: held)))
    }

    // MARK: Reaping

    /// The idle connections that may go because enough others are ready, oldest first.
    private var surplus: ArraySlice<Int> {
        guard configuration.idleTimeout > .zero, idleCount > configuration.effectiveMinimumIdle else { return [] }
        var slots: [Int] = []
        var slot = idle.oldest
        while slot >= 0 {
            slots.append(slot)
            slot = entries[slot].newer
        }
        slots.sort { (entries[$0].lastUsed, $0) < (entries[$1].lastUsed, $1) }
        return slots.prefix(idleCount - configuration.effectiveMinimumIdle)
    }

    /// When the next idle connections go: all of those that fall due within a second of the first, together.
    private func reapingTime(_ surplus: ArraySlice<Int>) -> LabTime {
        guard let first = surplus.first else { return .distantFuture }
        let end = entries[first].lastUsed + configuration.idleTimeout + Self.reapingWindow
        let last = surplus.last { entries[$0].lastUsed + configuration.idleTimeout <= end }!
        return entries[last].lastUsed + configuration.idleTimeout
    }

    private mutating func reapIdle() {
        let surplus = self.surplus
        guard now >= reapingTime(surplus) else { return }
        var count = 0
        for slot in surplus where now - entries[slot].lastUsed >= configuration.idleTimeout {
            removeIdle(slot)
            discard(slot, .idleTooLong)
            count += 1
        }
        counters.reaped += count
        log("Reaped \(counted(count, "idle connection")) (idle > \(configuration.idleTimeout.description))")
    }

    // MARK: Deadlines

    private mutating func noteAllDeadlines() {
        note(line.nextDeadline())
        note(phaseDeadline)
        if phase == .starting, connectingCount == 0 { note(backoff.notBefore) }
        for slot in entries.indices {
            switch entries[slot].state {
            case .vacant: break
            case .connecting, .checking: note(entries[slot].stepDeadline)
            case .idle:
                note(entries[slot].retireAt)
                note(entries[slot].keepaliveAt)
            case .inUse: note(entries[slot].leakAt)
            }
        }
        note(reapingTime(surplus))
    }
}
