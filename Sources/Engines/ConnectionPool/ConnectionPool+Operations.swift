import KernelStructures

/// What an operator does to a pool that runs.
extension ConnectionPool {
    /// How long those who still have a connection keep it once the pool is being closed.
    public static let closingPatience = LabDuration.seconds(10)

    /// Lends nothing to whoever asks from now on, and opens nothing: for a failover, say. Those who ask wait until
    /// `resume`, and their time does not run meanwhile; those who waited before are still served by what comes back.
    ///
    /// - Returns: false if it was suspended already, or does not run.
    public mutating func suspend(now time: LabTime) -> Bool {
        advance(to: time)
        guard phase == .running, !isSuspended else { return false }
        isSuspended = true
        log("Suspended: \(inUseCount) in use, \(idleCount) idle")
        return true
    }

    /// Ends a suspension. Those who were held are served in their order.
    public mutating func resume(now time: LabTime) -> Bool {
        advance(to: time)
        guard isSuspended else { return false }
        isSuspended = false
        log("Resumed: \(line.heldCount) were held")
        line.release(now: now)
        note(line.nextDeadline())
        serve()
        grow()
        return true
    }

    /// Closes every connection: the idle ones now, the others when they come back. Others take their places.
    ///
    /// - Returns: how many were closed now, and how many will be.
    @discardableResult
    public mutating func evictAll(now time: LabTime) -> (now: Int, later: Int) {
        advance(to: time)
        let before = counters.destroyed
        var later = 0
        for slot in entries.indices where evict(slot, .evicted) { later += 1 }
        let closed = counters.destroyed - before
        log("Evicted \(counted(closed, "idle connection")); \(later) in use will follow")
        serve()
        grow()
        return (closed, later)
    }

    /// Closes one connection, now or when it comes back. Returns false if there is none of that number.
    public mutating func evict(number: Int, now time: LabTime) -> Bool {
        advance(to: time)
        guard
            let slot = entries.indices.first(where: {
                entries[$0].number == number && entries[$0].state != .vacant && entries[$0].state != .connecting
            })
        else { return false }
        _ = evict(slot, .evicted)
        serve()
        grow()
        return true
    }

    /// Returns true if it has to wait for the connection to come back.
    private mutating func evict(_ slot: Int, _ reason: CloseReason) -> Bool {
        switch entries[slot].state {
        case .vacant, .connecting: return false
        case .idle:
            removeIdle(slot)
            discard(slot, reason)
            return false
        case .checking, .inUse:
            entries[slot].eviction = reason
            return true
        }
    }

    /// Closes the pool: whoever waits is told so, idle connections are closed, and those in use when they come back,
    /// after `closingPatience` at the latest.
    public mutating func close(now time: LabTime) {
        advance(to: time)
        guard phase == .running || phase == .starting || phase == .failed else { return }
        phase = .closing
        isSuspended = false
        phaseDeadline = now + Self.closingPatience
        note(phaseDeadline)
        failAll(.closed(pool: configuration.poolName))
        for slot in entries.indices {
            switch entries[slot].state {
            case .vacant, .inUse: break
            case .connecting:
                connectingCount -= 1
                discard(slot, .poolClosed, wasConnecting: true)
            case .checking:
                checkingCount -= 1
                discard(slot, .poolClosed)
            case .idle:
                removeIdle(slot)
                discard(slot, .poolClosed)
            }
        }
        finishClosingIfDone()
    }

    mutating func finishClosingIfDone() {
        guard phase == .closing, vacantSlots.count == configuration.maximumPoolSize else { return }
        phase = .closed
        phaseDeadline = .distantFuture
        effects.append(.closed)
    }

    mutating func abortRemaining() {
        for slot in entries.indices where entries[slot].state == .inUse {
            let borrower = entries[slot].borrower.description
            log("Aborted connection \(entries[slot].number), still out: \(borrower)", .warning)
            inUseCount -= 1
            discard(slot, .aborted)
        }
    }

    /// Keeps the newest borrows for `PoolSimulation`.
    public mutating func startRecording() { recording = DemandRecording() }
}
