import KernelStructures

extension ConnectionPool {
    /// Asks for a connection.
    ///
    /// - Parameters:
    ///   - borrower: for reports.
    ///   - timeout: how long to wait at most; nil for `connectionTimeout`, `.infinite` for as long as it takes.
    ///   - mayWait: without it, a borrower for whom nothing is free or on its way is turned away at once.
    public mutating func borrow(
        by borrower: Borrower, timeout: LabDuration? = nil, mayWait: Bool = true, now time: LabTime
    ) -> Answer {
        advance(to: time)
        switch phase {
        case .closing, .closed: return refuse(.closed(pool: configuration.poolName))
        case .failed:
            return refuse(.notStarted(pool: configuration.poolName, reason: backoff.lastError ?? "no connection"))
        case .starting, .running: break
        }
        let slot = idle.newest
        // In a fair pool nobody takes what the line waits for. What lies idle beside a line waits for a check only.
        if slot >= 0, !isSuspended, line.servableCount == 0 || !configuration.isFair, isFresh(slot) {
            removeIdle(slot)
            let lease = lend(slot, to: borrower, askedAt: now)
            // One fewer is ready: for those who were overtaken, and for `minimumIdle`.
            if idle.count < configuration.effectiveMinimumIdle || line.count > 0 { grow() }
            return .lent(lease)
        }
        if !mayWait, !isSomethingComing {
            return refuse(.exhausted(pool: configuration.poolName, total: totalCount))
        }
        if line.count >= configuration.waiterLimit {
            return refuse(.lineIsFull(pool: configuration.poolName, limit: configuration.waiterLimit))
        }
        let ticket = join(
            borrower,
            timeout
                ?? (configuration.connectionTimeout == .zero
                    ? .infinite : configuration.connectionTimeout))
        serve()
        grow()
        return .waiting(ticket)
    }

    private mutating func refuse(_ failure: Failure) -> Answer {
        counters.refused += 1
        return .refused(failure)
    }

    /// Whether there is, or will be, a connection for one more than those in line.
    private var isSomethingComing: Bool {
        if isSuspended { return false }
        return line.count < idle.count + checkingCount + connectingCount + vacantSlots.count
    }

    private mutating func join(_ borrower: Borrower, _ timeout: LabDuration) -> Ticket {
        var waiter = BorrowerQueue.Waiter()
        waiter.since = now
        waiter.timeout = timeout
        waiter.isHeld = isSuspended
        waiter.deadline = isSuspended || timeout == .infinite ? .distantFuture : now + timeout
        waiter.borrower = borrower
        note(waiter.deadline)
        let ticket = line.append(waiter)
        counters.mostWaiting = max(counters.mostWaiting, line.count)
        return ticket
    }

    /// A connection used or checked a moment ago is lent as it is.
    func isFresh(_ slot: Int) -> Bool {
        !configuration.testsOnBorrow || now - entries[slot].aliveAt <= configuration.aliveBypassWindow
    }

    /// The connection must belong to no list.
    mutating func lend(_ slot: Int, to borrower: Borrower, askedAt: LabTime) -> Lease {
        lastBorrow += 1
        inUseCount += 1
        counters.borrowed += 1
        if inUseCount > counters.mostInUse { counters.mostInUse = inUseCount }
        metrics.recordWait(now - askedAt)
        entries[slot].state = .inUse
        entries[slot].borrow = lastBorrow
        entries[slot].askedAt = askedAt
        entries[slot].borrowedAt = now
        entries[slot].borrower = borrower
        entries[slot].uses += 1
        if configuration.leakDetectionThreshold > .zero {
            let leakAt = now + configuration.leakDetectionThreshold
            entries[slot].leakAt = leakAt
            note(leakAt)
        }
        return Lease(connection: id(slot), borrow: lastBorrow)
    }

    /// Gives a connection back.
    ///
    /// - Returns: false, and changes nothing, for a lease that was given back already: the connection may long be
    ///   somebody else's. The borrower who has it keeps it.
    @discardableResult
    public mutating func putBack(_ lease: Lease, _ condition: ReturnCondition = .clean, now time: LabTime) -> Bool {
        advance(to: time)
        guard let slot = slot(lease.connection), entries[slot].state == .inUse, entries[slot].borrow == lease.borrow
        else {
            counters.rejectedReturns += 1
            log(
                "Connection \(lease.connection.number) was returned by somebody who does not have it; ignored", .warning
            )
            return false
        }
        endUse(slot)
        if let reason = reasonToClose(slot, condition) {
            discard(slot, reason)
            serve()
            grow()
            return true
        }
        if condition == .dirty {
            counters.resets += 1
            check(slot, .reset)
            return true
        }
        entries[slot].aliveAt = now
        becomeIdle(slot)
        if line.count > 0 { serve() }
        return true
    }

    private mutating func endUse(_ slot: Int) {
        inUseCount -= 1
        counters.returned += 1
        let held = now - entries[slot].borrowedAt
        metrics.usage.record(Int(held.nanoseconds / 1_000_000))
        recording?.add(askedAt: entries[slot].askedAt, heldFor: held)
        if entries[slot].isLeakReported {
            let borrower = entries[slot].borrower.description
            log("Connection reported as leaked by \(borrower) was returned after \(held.wholeMilliseconds)")
        }
        entries[slot].isLeakReported = false
        entries[slot].leakAt = .distantFuture
        entries[slot].lastUsed = now
    }

    private func reasonToClose(_ slot: Int, _ condition: ReturnCondition) -> CloseReason? {
        if case .broken(let reason) = condition { return .broken(reason) }
        if let eviction = entries[slot].eviction { return eviction }
        if phase != .running { return .poolClosed }
        return now >= entries[slot].retireAt ? .pastLifetime : nil
    }

    /// Leaves the line. Returns false if the borrower is not in it any more: it has a connection, and must give it
    /// back.
    @discardableResult
    public mutating func cancel(_ ticket: Ticket, now time: LabTime) -> Bool {
        advance(to: time)
        guard let slot = line.slot(ticket) else { return false }
        _ = line.remove(slot)
        counters.cancelled += 1
        // It may have been woken for a connection that now has to wake somebody else.
        serve()
        return true
    }

    /// A borrower that was woken tries to take what is idle, if nobody was faster. Otherwise it waits on, at its place.
    public mutating func retry(_ ticket: Ticket, now time: LabTime) {
        advance(to: time)
        guard let place = line.slot(ticket) else { return }
        line.setWoken(place, false)
        let slot = idle.newest
        if slot >= 0, isFresh(slot), !line.waiters[place].isHeld {
            removeIdle(slot)
            handOver(slot, to: place)
        }
        serve()
        grow()
    }

    /// Hands what is idle to those in line. Called after everything that may have changed either.
    mutating func serve() {
        guard phase == .running else { return }
        while line.servableCount > 0, idle.newest >= 0 {
            let slot = idle.newest
            if isFresh(slot) {
                if !configuration.isFair { return wakeWaiters() }
                removeIdle(slot)
                // Those that are held came later than those that are not.
                handOver(slot, to: line.first)
            } else {
                // One check for each of those who will not be served by the checks and attempts that are under way.
                if line.servableCount - line.wokenCount <= checkingCount { return }
                removeIdle(slot)
                check(slot, .borrow)
            }
        }
    }

    private mutating func handOver(_ slot: Int, to place: Int) {
        let ticket = line.ticket(place)
        let waiter = line.remove(place)
        effects.append(.lend(ticket, lend(slot, to: waiter.borrower, askedAt: waiter.since)))
    }

    /// Wakes as many of those in line as there are idle connections.
    private mutating func wakeWaiters() {
        var place = line.first
        while place >= 0, line.wokenCount < idle.count {
            if !line.waiters[place].isWoken, !line.waiters[place].isHeld {
                line.setWoken(place, true)
                effects.append(.wake(line.ticket(place)))
            }
            place = line.waiters[place].behind
        }
    }
}
