import KernelStructures

/// What the engine wants to know of a request or connection before it chooses.
public struct Arrival: Sendable {
    /// Counts the client's requests; `requestArrived` gives it out.
    public var request: Int
    /// 1 for the first attempt at it.
    public var attempt = 1
    public var source: IPAddress
    /// For algorithms that send equal keys to the same server.
    public var key: UInt64 = 0
    /// The slot of the server whose mark the client carries.
    public var sticky: Int?
    /// It has waited, and was told that it need not any longer.
    public var isAdmitted = false

    public init(request: Int, source: IPAddress) {
        self.request = request
        self.source = source
    }
}

public enum Choice: Equatable, Sendable {
    /// The server's slot. Follow up with `requestBegan`.
    case server(Int)
    /// Wait for `.admit` or `.timedOut` with this ticket, or leave by `stopWaiting`.
    case wait(ticket: Int)
    /// Nobody can take it.
    case none(DecisionLog.Reason)
}

extension LoadBalancer {
    /// A client asks for something; any number of servers may be tried for it.
    ///
    /// - Returns: the request's number.
    @discardableResult
    public mutating func requestArrived() -> Int {
        counters.requests += 1
        lastRequest += 1
        retryBudget?.requestArrived()
        return lastRequest
    }

    /// Decides who takes a request.
    ///
    /// - Parameter excluding: slots that were tried for this request already.
    public mutating func choose(_ arrival: Arrival, excluding: [Int] = [], now: LabTime) -> Choice {
        if isAnyWarming { updateRamps(now: now) }
        if arrival.attempt == 1, !arrival.isAdmitted { rate.count(now) }
        if arrival.attempt == 1, !arrival.isAdmitted {
            recording?.arrived(arrival.request, key: arrival.key, source: arrival.source, now: now)
        }
        let marked = configuration.sticky == nil ? nil : stickySlot(arrival, now: now)
        let sticky = marked.flatMap { isBackupAtRest($0) ? nil : $0 }
        // Without redispatch, a further attempt goes to the same server.
        if let sticky, !excluding.contains(sticky) || configuration.sticky?.redispatch == false {
            if acceptsMarked(sticky) {
                if servers[sticky].isFull || isOvertaking(arrival, sticky) {
                    return wait(arrival, for: sticky, now: now)
                }
                return take(sticky, arrival, .sticky, now: now)
            }
            if configuration.sticky?.redispatch == false { return refuse(arrival, .mayNotMove, now: now) }
        }
        if !line.isEmpty, !arrival.isAdmitted, pool.contains(where: { !excluding.contains($0) }) {
            return wait(arrival, for: nil, now: now)
        }
        let servers = servers
        let choice = algorithm.choose(key: arrival.key, load: { servers[$0].active }) {
            !servers[$0].isFull && (excluding.isEmpty || !excluding.contains($0))
        }
        if let choice {
            if let sticky { self.servers[sticky].counters.switchedAway += 1 }
            return take(choice, arrival, sticky == nil ? .algorithm : .redispatched, now: now)
        }
        let isOnlyFull = pool.contains { !excluding.contains($0) }
        return isOnlyFull ? wait(arrival, for: nil, now: now) : refuse(arrival, .noServer, now: now)
    }

    /// Marks are for servers that can still be used, and, if the file says so, for those that only finish.
    private func acceptsMarked(_ slot: Int) -> Bool {
        if isBackupAtRest(slot) { return false }
        let server = servers[slot]
        guard server.health.isUp, server.presence == .present, !server.outlier.isEjected else {
            return poolMode == .panic && pool.contains(slot)
        }
        switch server.administrative {
        case .ready: return true
        case .drain: return configuration.sticky?.onDrain == .stay
        case .maintenance: return false
        }
    }

    /// Whether this is a backup that is not needed. A client that came to it while the others were away goes back to
    /// them, as if it had no mark: a backup is for emergencies, and may be a machine that says "sorry" to everybody.
    private func isBackupAtRest(_ slot: Int) -> Bool {
        servers[slot].settings.isBackup && poolMode != .backups && !pool.isEmpty
    }

    /// Whether somebody waits for this server already.
    private func isOvertaking(_ arrival: Arrival, _ slot: Int) -> Bool {
        !arrival.isAdmitted && servers[slot].waiting > 0
    }

    private mutating func stickySlot(_ arrival: Arrival, now: LabTime) -> Int? {
        guard stickTable != nil else { return arrival.sticky }
        guard let serial = stickTable?.find(arrival.source, now: now) else { return nil }
        return servers.firstIndex { $0.serial == serial && $0.presence == .present }
    }

    private mutating func take(_ slot: Int, _ arrival: Arrival, _ reason: DecisionLog.Reason, now: LabTime) -> Choice {
        if reason == .redispatched {
            counters.redispatches += 1
            servers[slot].counters.redispatches += 1
        }
        if reason != .sticky {
            counters.balanced += 1
            servers[slot].counters.balanced += 1
        }
        lastChosen = now
        servers[slot].lastChosen = now
        servers[slot].rate.count(now)
        if arrival.attempt > 1 { counters.retries += 1 }
        stickTable?.set(arrival.source, servers[slot].serial, now: now)
        record(arrival, servers[slot].serial, reason, now: now)
        recording?.given(arrival.request, to: servers[slot].serial, now: now)
        return .server(slot)
    }

    private mutating func refuse(_ arrival: Arrival, _ reason: DecisionLog.Reason, now: LabTime) -> Choice {
        record(arrival, nil, reason, now: now)
        return .none(reason)
    }

    private mutating func record(_ arrival: Arrival, _ serial: Int?, _ reason: DecisionLog.Reason, now: LabTime) {
        var loads = SIMD8<UInt16>(repeating: 0)
        for (index, slot) in pool.prefix(8).enumerated() { loads[index] = UInt16(clamping: servers[slot].active) }
        log.record(
            .init(
                request: arrival.request, time: now, server: serial, reason: reason,
                attempt: UInt8(clamping: arrival.attempt), poolSize: UInt16(clamping: pool.count), mode: poolMode,
                algorithm: configuration.algorithm, pool: log.pool, loads: loads))
    }

    // MARK: The course of a request

    public mutating func requestBegan(server slot: Int) {
        servers[slot].counters.requests += 1
        servers[slot].active += 1
        active += 1
        if active > counters.activeMax { counters.activeMax = active }
        if servers[slot].active > servers[slot].activeMax { servers[slot].activeMax = servers[slot].active }
    }

    /// How a server did with a request.
    public enum Outcome: Equatable, Sendable {
        /// It answered, with this status. In TCP mode: it spoke, 200.
        case answered(Int)
        /// It could not be reached, answered nothing, or too late, or nonsense.
        case failed
        /// The client went away; that says nothing about the server.
        case abandoned
        /// A kept connection had been closed meanwhile; that says nothing either.
        case stale
    }

    /// - Parameter request: the request's number, for the log; 0 if nobody knows.
    public mutating func requestEnded(
        server slot: Int, _ outcome: Outcome, latency: LabDuration, request: Int = 0, now: LabTime
    ) -> [Effect] {
        servers[slot].active -= 1
        active -= 1
        note(outcome, slot, request, now: now)
        switch outcome {
        case .answered(let status):
            servers[slot].counters.answers[min(5, max(1, status / 100))] += 1
            servers[slot].counters.latencyTotal += latency
            servers[slot].counters.latencyAverage.add(latency.milliseconds)
            counters.latencyAverage.add(latency.milliseconds)
            if latency > servers[slot].counters.latencyMax { servers[slot].counters.latencyMax = latency }
            if latency > counters.latencyMax { counters.latencyMax = latency }
        case .failed:
            servers[slot].counters.answers[0] += 1
            servers[slot].counters.errors += 1
            counters.errors += 1
        case .abandoned, .stale: break
        }
        var effects: [Effect] = []
        if let settings = configuration.outlierEjection { effects += judge(slot, outcome, settings, now: now) }
        if servers[slot].presence == .leaving { vacateIfDone(slot) }
        if !line.isEmpty { effects += admitWaiting() }
        return effects
    }

    /// Keeps what came of an attempt, for those who look at it later.
    private mutating func note(_ outcome: Outcome, _ slot: Int, _ request: Int, now: LabTime) {
        log.record(DecisionLog.Ending(request: request, time: now, server: servers[slot].serial, outcome: outcome))
        switch outcome {
        case .answered(let status):
            recording?.ended(request, .answered, now: now)
            traffic?.count(slot: slot, isError: status >= 500, now: now)
        case .failed:
            recording?.ended(request, .failed, now: now)
            traffic?.count(slot: slot, isError: true, now: now)
        case .abandoned:
            recording?.ended(request, .abandoned, now: now)
            traffic?.count(slot: slot, isError: false, now: now)
        case .stale: break
        }
    }

    /// Whether the pool has anybody who was not tried yet.
    public func hasCandidate(excluding: [Int]) -> Bool { pool.contains { !excluding.contains($0) } }

    /// Whether a request that failed may be sent to another server; takes it out of the budget.
    public mutating func mayRetry(now: LabTime) -> Bool {
        guard retryBudget?.withdraw(now: now) != false else {
            counters.retriesRefused += 1
            return false
        }
        return true
    }

    /// A request is to go to another server because this one failed it.
    public mutating func retried(after slot: Int) { servers[slot].counters.retries += 1 }

    /// A request found no server.
    public mutating func unserved() { counters.unserved += 1 }

    // MARK: Waiting

    private mutating func wait(_ arrival: Arrival, for slot: Int?, now: LabTime) -> Choice {
        guard line.count < configuration.queue.limit else { return refuse(arrival, .lineIsFull, now: now) }
        counters.queued += 1
        if let slot { servers[slot].addWaiter() }
        if line.count >= counters.queuedMax { counters.queuedMax = line.count + 1 }
        record(arrival, slot.map { servers[$0].serial }, .waits, now: now)
        return .wait(
            ticket: line.append(
                for: slot.map { servers[$0].serial }, until: now + configuration.queue.timeout, arrival))
    }

    /// A client that waited has gone.
    public mutating func stopWaiting(ticket: Int, now: LabTime) {
        guard let waiter = line.remove(ticket: ticket) else { return }
        leftLine(waiter)
        log.record(.init(request: waiter.arrival.request, time: now, server: nil, outcome: .abandoned))
    }

    private mutating func leftLine(_ waiter: RequestQueue.Waiter) {
        guard let serial = waiter.server, let slot = servers.firstIndex(where: { $0.serial == serial }) else { return }
        servers[slot].waiting -= 1
    }

    /// Lets in as many as there is room for: first come, first served.
    mutating func admitWaiting() -> [Effect] {
        var effects: [Effect] = []
        var room: [Int: Int] = [:]
        for slot in servers.indices where servers[slot].presence != .vacant {
            let server = servers[slot]
            room[server.serial] = server.settings.maxConnections.map { $0 - server.active } ?? .max
        }
        let poolSerials = pool.map { servers[$0].serial }
        let marked = Set(servers.indices.filter { acceptsMarked($0) }.map { servers[$0].serial })
        while let waiter = line.popFirst(where: { waiter in
            if let serial = waiter.server { return !marked.contains(serial) || room[serial, default: 0] > 0 }
            return poolSerials.isEmpty || poolSerials.contains { room[$0, default: 0] > 0 }
        }) {
            let serial = waiter.server ?? poolSerials.first { room[$0, default: 0] > 0 }
            if let serial, let left = room[serial], left != .max { room[serial] = left - 1 }
            leftLine(waiter)
            effects.append(.admit(ticket: waiter.ticket))
        }
        return effects
    }

    mutating func expireWaiting(now: LabTime) -> [Effect] {
        var effects: [Effect] = []
        while let waiter = line.popFirst(where: { $0.deadline <= now }) {
            counters.queueTimeouts += 1
            leftLine(waiter)
            record(waiter.arrival, waiter.server, .gaveUpWaiting, now: now)
            effects.append(.timedOut(ticket: waiter.ticket))
        }
        return effects
    }
}

extension IPAddress {
    /// What a hashing algorithm knows a client by.
    package var key: UInt64 {
        if let ipv4 { return withUnsafeBytes(of: ipv4.bits.bigEndian) { keyHash($0) } }
        return withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { keyHash($0) }
    }
}
