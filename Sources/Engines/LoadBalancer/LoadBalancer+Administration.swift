import KernelStructures

/// What an operator does while it runs.
extension LoadBalancer {
    /// Takes over a new configuration. Servers are told apart by name and address: those that stay keep all that is
    /// known of them; those that are gone finish what they have.
    public mutating func reload(_ new: LoadBalancerConfiguration, now: LabTime) -> [Effect] {
        counters.reloads += 1
        return takeOver(new, because: "Reloaded", leaving: "not in the configuration any more", now: now)
    }

    /// Takes over the servers that a registry has for a service, and nothing else.
    public mutating func follow(_ backends: [LoadBalancerConfiguration.Backend], of service: String, now: LabTime)
        -> [Effect]
    {
        var new = configuration
        new.backends = backends
        return takeOver(new, because: service, leaving: "not among the registry's healthy instances any more", now: now)
    }

    private mutating func takeOver(
        _ new: LoadBalancerConfiguration, because word: String, leaving reason: String, now: LabTime
    ) -> [Effect] {
        var effects: [Effect] = []
        let old = configuration
        configuration = new
        if Self.needsNewAlgorithm(old, new) || old.retryBudget != new.retryBudget || old.sticky != new.sticky {
            applySettings(now: now)
        }
        var kept: Set<Int> = []
        var added: [String] = []
        var changedNames: [String] = []
        let comers = Comers(new.backends.count { !isKept($0) }, interval: new.healthCheck.interval)
        for backend in new.backends {
            if let slot = slot(named: backend.name), servers[slot].destination == backend.destination {
                kept.insert(slot)
                let settings = servers[slot].settings
                if settings != backend { changedNames.append(backend.name) }
                // What was agreed upon under other certificates is not good enough any more.
                if settings.tls != backend.tls { effects.append(.dropIdleConnections(server: slot)) }
                servers[slot].settings = backend
                servers[slot].initialWeight = backend.weight
                // What the operator did by hand stays, unless the file now says something else than it did.
                if settings.state != backend.state { servers[slot].administrative = backend.state }
            } else {
                kept.insert(place(backend, nextProbe: now + comers.offset(added.count), now: now))
                added.append(backend.name)
            }
        }
        let removed = servers.indices.filter { servers[$0].presence == .present && !kept.contains($0) }
        let removedNames = removed.map { servers[$0].name }
        for slot in removed { effects += leave(slot, reason: reason, now: now) }
        // A shorter interval must not bring all checks to the same moment.
        let turns = Comers(kept.count, interval: new.healthCheck.interval)
        for (turn, slot) in kept.sorted().enumerated() {
            servers[slot].health.adopt(new.healthCheck)
            if old.healthCheck.interval != new.healthCheck.interval {
                servers[slot].nextProbe = min(servers[slot].nextProbe, now + turns.offset(turn))
            }
            if new.outlierEjection == nil { servers[slot].outlier = OutlierState() }
        }
        effects.append(.log(Self.summary(word, added, removedNames, changedNames, from: old, to: new), level: .info))
        return effects + updatePool() + [.deadlineMoved]
    }

    private static func needsNewAlgorithm(_ old: LoadBalancerConfiguration, _ new: LoadBalancerConfiguration) -> Bool {
        old.algorithm != new.algorithm || old.hashBalanceFactorPercent != new.hashBalanceFactorPercent
    }

    private static func summary(
        _ word: String, _ added: [String], _ removed: [String], _ changed: [String],
        from old: LoadBalancerConfiguration,
        to new: LoadBalancerConfiguration
    ) -> LogMessage {
        var parts = [("added", added), ("removed", removed), ("changed", changed)].filter { !$0.1.isEmpty }.map {
            "\($0.0) \($0.1.joined(separator: ", "))"
        }
        if old.algorithm != new.algorithm { parts.append("algorithm \(new.algorithm.rawValue)") }
        var rest = new
        rest.backends = old.backends
        rest.algorithm = old.algorithm
        if rest != old { parts.append("other settings") }
        if added.isEmpty, removed.isEmpty, changed.isEmpty { parts.insert("same servers", at: 0) }
        return "\(word): \(parts.joined(separator: "; "))"
    }

    private func isKept(_ backend: LoadBalancerConfiguration.Backend) -> Bool {
        slot(named: backend.name).map { servers[$0].destination == backend.destination } ?? false
    }

    /// A new server in a free slot. It begins in the pool.
    private mutating func place(
        _ backend: LoadBalancerConfiguration.Backend, nextProbe: LabTime, now: LabTime
    ) -> Int {
        let server = makeServer(backend, nextProbe: nextProbe, now: now)
        if let free = servers.firstIndex(where: { $0.presence == .vacant }) {
            servers[free] = server
            traffic?.forget(slot: free)
            return free
        }
        servers.append(server)
        return servers.count - 1
    }

    private mutating func leave(_ slot: Int, reason: String, now: LabTime) -> [Effect] {
        let before = servers[slot].state
        servers[slot].presence = .leaving
        servers[slot].probeNumber = nil
        let effects = [changed(slot, from: before, reason: reason, now: now), .dropIdleConnections(server: slot)]
        vacateIfDone(slot)
        return effects
    }

    mutating func vacateIfDone(_ slot: Int) {
        if servers[slot].presence == .leaving, servers[slot].active == 0, servers[slot].waiting == 0 {
            servers[slot].presence = .vacant
        }
    }

    /// Adds a server. It starts in maintenance if `state` says so, as HAProxy's do.
    ///
    /// - Returns: nil if there is one of this name.
    public mutating func addServer(_ backend: LoadBalancerConfiguration.Backend, now: LabTime) -> [Effect]? {
        guard slot(named: backend.name) == nil else { return nil }
        let slot = place(backend, nextProbe: now + Comers(1, interval: .zero).offset(0), now: now)
        log.record(.init(time: now, server: backend.name, from: "-", to: servers[slot].state, reason: "added"))
        return [.log("Added server \(backend.name)", level: .info), .deadlineMoved] + updatePool()
    }

    public mutating func removeServer(_ slot: Int, now: LabTime) -> [Effect] {
        let effects = leave(slot, reason: "deleted", now: now)
        return effects + [.log("Deleted server \(servers[slot].name)", level: .info)] + updatePool()
    }

    public mutating func setState(_ slot: Int, _ state: Server.Administrative, now: LabTime) -> [Effect] {
        let before = servers[slot].state
        guard servers[slot].administrative != state else { return [] }
        let wasInMaintenance = servers[slot].administrative == .maintenance
        servers[slot].administrative = state
        var effects: [Effect] = [
            .log("Server \(servers[slot].name) is now \(state.rawValue)", level: .info),
            changed(slot, from: before, reason: "set by the operator", now: now),
        ]
        if state == .maintenance {
            servers[slot].probeNumber = nil
            effects.append(.dropIdleConnections(server: slot))
        }
        if wasInMaintenance {
            servers[slot].nextProbe = now
            beginRamp(slot, now: now)
        }
        return effects + updatePool() + [.deadlineMoved]
    }

    public mutating func setWeight(_ slot: Int, _ weight: Int, now: LabTime) -> [Effect] {
        let before = servers[slot].weight
        servers[slot].settings.weight = weight
        if before != weight {
            log.record(
                .init(
                    time: now, server: servers[slot].name, from: "weight \(before)", to: "weight \(weight)",
                    reason: "set by the operator"))
        }
        return updatePool()
    }

    /// Stops or resumes the checks of one server: HAProxy's `disable health` and `enable health`.
    public mutating func setChecked(_ slot: Int, _ isChecked: Bool, now: LabTime) -> [Effect] {
        guard servers[slot].isCheckPaused == isChecked else { return [] }
        servers[slot].isCheckPaused = !isChecked
        servers[slot].probeNumber = nil
        servers[slot].nextProbe = now
        return [.deadlineMoved]
    }

    /// Begins to count anew; without `all`, only to look for the highest values.
    public mutating func clearCounters(all: Bool) {
        if all { counters = Counters() }
        counters.activeMax = active
        counters.queuedMax = line.count
        rate.forgetMaximum()
        for slot in servers.indices {
            if all { servers[slot].counters = Server.Counters() }
            servers[slot].activeMax = servers[slot].active
            servers[slot].waitingMax = servers[slot].waiting
            servers[slot].counters.latencyMax = .zero
            servers[slot].rate.forgetMaximum()
        }
        counters.latencyMax = .zero
    }

    public mutating func setMaxConnections(_ slot: Int, _ limit: Int?, now: LabTime) -> [Effect] {
        servers[slot].settings.maxConnections = limit
        return updatePool()
    }

    /// Says what checks would have to find out: HAProxy's `set server … health`.
    public mutating func setHealth(_ slot: Int, isUp: Bool, now: LabTime) -> [Effect] {
        guard servers[slot].health.isUp != isUp else { return [] }
        let before = servers[slot].state
        servers[slot].health.force(isUp: isUp)
        if isUp { beginRamp(slot, now: now) }
        return [changed(slot, from: before, reason: "set by the operator", now: now)] + updatePool()
    }
}

/// When servers that come together are looked at for the first time: soon, and spread over an interval, since checks
/// that begin in a volley stay one.
private struct Comers {
    let count: Int
    let interval: LabDuration
    private static let first = LabDuration.milliseconds(100)

    init(_ count: Int, interval: LabDuration) {
        self.count = max(1, count)
        self.interval = interval
    }

    func offset(_ index: Int) -> LabDuration {
        min(Self.first, interval == .zero ? Self.first : interval)
            + LabDuration(nanoseconds: interval.nanoseconds / Int64(count) * Int64(index))
    }
}
