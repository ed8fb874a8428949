import KernelStructures

extension ConnectionPool {
    // MARK: Growing

    /// Opens another connection if too few are ready, or more wait than will be served by what is free or on its way.
    ///
    /// Asked again whenever an attempt ends, and not decided in advance for each borrower: that is what makes growth
    /// stop when demand does. Fifty borrowers that need two milliseconds each are gone before a second connection is
    /// open.
    mutating func grow() {
        guard phase == .running, !isSuspended else { return }
        while connectingCount < configuration.connectingLimit, !vacantSlots.isEmpty, wantsAnother {
            if now < backoff.notBefore { return note(backoff.notBefore) }
            openConnection()
        }
    }

    var wantsAnother: Bool {
        let supply = idle.count + checkingCount + connectingCount
        return supply < configuration.effectiveMinimumIdle || line.servableCount > supply
    }

    mutating func openConnection() {
        guard let slot = vacantSlots.popLast() else { return }
        lastNumber += 1
        entries[slot] = Entry()
        entries[slot].state = .connecting
        entries[slot].number = lastNumber
        entries[slot].createdAt = now
        entries[slot].stepDeadline = now + configuration.connectTimeout
        note(entries[slot].stepDeadline)
        connectingCount += 1
        counters.connectAttempts += 1
        effects.append(.connect(id(slot)))
    }

    /// A connection is open.
    ///
    /// - Returns: false if the pool does not want it any more; the host closes it.
    @discardableResult
    public mutating func connected(_ id: ConnectionID, now time: LabTime) -> Bool {
        advance(to: time)
        guard let slot = slot(id), entries[slot].state == .connecting else { return false }
        connectingCount -= 1
        counters.created += 1
        metrics.creation.record(Int((now - entries[slot].createdAt).nanoseconds / 1_000_000))
        if backoff.failures > 0, let since = backoff.since {
            let attempts = counted(backoff.failures, "failed attempt")
            log("Connected again after \(attempts) in \((now - since).wholeMilliseconds)")
        }
        backoff.succeeded(now: now)
        entries[slot].openedAt = now
        entries[slot].lastUsed = now
        entries[slot].aliveAt = now
        setAges(slot)
        if phase == .starting {
            if configuration.effectiveMinimumIdle == 0 {
                discard(slot, .initializationChecked, wasConnecting: false)
            } else {
                becomeIdle(slot)
            }
            becomeRunning()
            return true
        }
        becomeIdle(slot)
        serve()
        grow()
        return true
    }

    /// The time this connection has, shorter by chance, so that connections opened together end one by one.
    private mutating func setAges(_ slot: Int) {
        let lifetime = configuration.maxLifetime
        if lifetime > .zero {
            let variance = lifetime > .seconds(10) ? random.below(Int(lifetime.nanoseconds / 40)) : 0
            entries[slot].retireAt = now + LabDuration(nanoseconds: lifetime.nanoseconds - Int64(variance))
            note(entries[slot].retireAt)
        }
        scheduleKeepalive(slot)
    }

    mutating func scheduleKeepalive(_ slot: Int) {
        let period = configuration.keepaliveTime
        guard period > .zero else { return }
        let variance = random.below(Int(period.nanoseconds / 5))
        entries[slot].keepaliveAt = now + LabDuration(nanoseconds: period.nanoseconds - Int64(variance))
        note(entries[slot].keepaliveAt)
    }

    /// An attempt to connect has failed.
    public mutating func connectFailed(_ id: ConnectionID, _ error: String, now time: LabTime) {
        advance(to: time)
        guard let slot = slot(id), entries[slot].state == .connecting else { return }
        connectFailed(slot, error)
    }

    mutating func connectFailed(_ slot: Int, _ error: String) {
        connectingCount -= 1
        counters.connectFailures += 1
        vacate(slot)
        backoff.failed(error, now: now, random: &random)
        // Once an outage, not once an attempt: the next line is the one that says it is over.
        if !backoff.isReported {
            backoff.isReported = true
            log("Cannot connect: \(error)", .warning)
        }
        if phase == .starting { return startingFailed(error) }
        grow()
    }

    private mutating func startingFailed(_ error: String) {
        if configuration.initializationFailTimeout == .zero { return becomeRunning() }
        if now < phaseDeadline, backoff.notBefore < phaseDeadline { return note(backoff.notBefore) }
        giveUpStarting(error)
    }

    mutating func giveUpStarting(_ error: String) {
        phase = .failed
        phaseDeadline = .distantFuture
        failAll(.notStarted(pool: configuration.poolName, reason: error))
        effects.append(.startFailed(error))
    }

    // MARK: Checking

    /// The connection must belong to no list.
    mutating func check(_ slot: Int, _ purpose: Entry.Check) {
        entries[slot].state = .checking(purpose)
        entries[slot].stepDeadline = now + configuration.effectiveValidationTimeout
        note(entries[slot].stepDeadline)
        checkingCount += 1
        if purpose == .reset {
            effects.append(.reset(id(slot)))
        } else {
            counters.validations += 1
            effects.append(.validate(id(slot)))
        }
    }

    /// A check, or a reset, has ended.
    public mutating func checked(_ id: ConnectionID, isAlive: Bool, now time: LabTime) {
        advance(to: time)
        guard let slot = slot(id), case .checking(let purpose) = entries[slot].state else { return }
        guard isAlive else {
            return checkFailed(slot, purpose == .reset ? .failedReset : .failedValidation)
        }
        checkingCount -= 1
        entries[slot].aliveAt = now
        if let eviction = entries[slot].eviction ?? (now >= entries[slot].retireAt ? .pastLifetime : nil) {
            discard(slot, eviction)
            serve()
            return grow()
        }
        if purpose == .keepalive {
            scheduleKeepalive(slot)
            entries[slot].state = .idle
            pushOldestIdle(slot)
            noteIdle(slot)
        } else {
            becomeIdle(slot)
        }
        serve()
        grow()
    }

    mutating func checkFailed(_ slot: Int, _ reason: CloseReason) {
        checkingCount -= 1
        if reason != .failedReset { counters.foundDead += 1 }
        log("Closed connection \(entries[slot].number) (\(reason.description))", .warning)
        discard(slot, reason)
        serve()
        grow()
    }

    /// The other end of a connection has closed it, or the network has.
    public mutating func connectionLost(_ id: ConnectionID, _ reason: String, now time: LabTime) {
        advance(to: time)
        guard let slot = slot(id) else { return }
        switch entries[slot].state {
        case .vacant: return
        case .connecting: return connectFailed(slot, reason)
        case .inUse:
            // Its borrower will notice; nobody after it gets the connection.
            if entries[slot].eviction == nil { entries[slot].eviction = .lost(reason) }
            return
        case .idle: removeIdle(slot)
        case .checking: checkingCount -= 1
        }
        counters.foundDead += 1
        log("Closed connection \(entries[slot].number) (\(CloseReason.lost(reason).description))", .warning)
        // A server that accepts and hangs up is as good as none: the next attempt has to wait as well.
        if now - entries[slot].openedAt < ConnectBackoff.settling, now >= backoff.notBefore {
            backoff.failed(reason, now: now, random: &random)
        }
        discard(slot, .lost(reason))
        serve()
        grow()
    }

    // MARK: Idle and gone

    mutating func becomeIdle(_ slot: Int) {
        entries[slot].state = .idle
        pushIdle(slot)
        noteIdle(slot)
    }

    private mutating func noteIdle(_ slot: Int) {
        if configuration.idleTimeout > .zero { note(entries[slot].lastUsed + configuration.idleTimeout) }
    }

    /// Closes a connection that belongs to no list any more.
    mutating func discard(_ slot: Int, _ reason: CloseReason, wasConnecting: Bool = false) {
        if !wasConnecting { counters.destroyed += 1 }
        switch reason {
        case .broken(let text):
            counters.broken += 1
            log("Closed connection \(entries[slot].number) (connection is broken: \(text))", .warning)
        case .pastLifetime:
            counters.retired += 1
            log("Closed connection \(entries[slot].number) (\(reason.description))", .debug)
        default: break
        }
        effects.append(.close(id(slot), reason))
        vacate(slot)
        if phase == .closing { finishClosingIfDone() }
    }

    mutating func vacate(_ slot: Int) {
        entries[slot].state = .vacant
        entries[slot].borrower = .init("", fileID: "", line: 0)
        vacantSlots.append(slot)
    }

    mutating func failAll(_ failure: Failure) {
        while line.first >= 0 {
            effects.append(.fail(line.ticket(line.first), failure))
            _ = line.remove(line.first)
        }
    }
}
