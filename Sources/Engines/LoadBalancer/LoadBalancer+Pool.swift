import KernelStructures

extension LoadBalancer {
    /// Decides anew who makes up the pool, after anything that it depends on has changed.
    ///
    /// Servers that are up; if there are none, backups that are up. If fewer than `panic_threshold` percent are up, the
    /// rest could not bear the load and would fall too, one after the other: then health is ignored, and every server
    /// gets its share. Some requests fail, which is better than all of them (Envoy's panic mode).
    mutating func updatePool() -> [Effect] {
        let regular = servers.indices.filter {
            let server = servers[$0]
            return server.presence == .present && server.administrative == .ready && !server.settings.isBackup
                && server.weight > 0
        }
        let up = regular.filter { servers[$0].isInPool }
        let backups = servers.indices.filter { servers[$0].settings.isBackup && servers[$0].isInPool }
        let before = poolMode
        let wasServing = !pool.isEmpty
        if up.count * 100 < configuration.panicThresholdPercent * regular.count {
            (pool, poolMode) = (regular, .panic)
        } else if up.isEmpty && !backups.isEmpty {
            (pool, poolMode) = (backups, .backups)
        } else {
            (pool, poolMode) = (up, .normal)
        }
        if wasServing, pool.isEmpty { counters.timesDown += 1 }
        log.notePool(pool.lazy.map { [servers] in servers[$0].serial })
        algorithm.update(
            pool.map {
                let server = servers[$0]
                return PoolMember(
                    slot: $0, name: server.name, weight: server.weight,
                    effectiveWeight: max(1, server.weight * server.rampPercent))
            })
        var effects: [Effect] = []
        if poolMode != before { effects.append(.log(modeMessage(up.count, regular.count), level: .warning)) }
        return line.isEmpty ? effects : effects + admitWaiting()
    }

    private func modeMessage(_ up: Int, _ count: Int) -> LogMessage {
        switch poolMode {
        case .normal: "Pool is back to the servers that are up (\(up)/\(count))"
        case .panic: "Panic: only \(up) of \(count) servers are up, using all of them"
        case .backups: "No server is up, using backups"
        }
    }

    // MARK: Slow start

    /// A server that has been away has cold caches: its share grows with time, from a tenth to the whole.
    mutating func beginRamp(_ slot: Int, now: LabTime) {
        guard configuration.slowStart > .zero else { return }
        servers[slot].rampBegan = now
        servers[slot].rampPercent = Self.rampMinPercent
        isAnyWarming = true
    }

    private static let rampMinPercent = 10
    /// Weights change in steps, as each change makes the algorithms look at everything.
    private static let rampStepPercent = 5

    mutating func updateRamps(now: LabTime) {
        var isChanged = false
        isAnyWarming = false
        for slot in servers.indices {
            guard let began = servers[slot].rampBegan else { continue }
            let elapsed = (now - began).seconds / configuration.slowStart.seconds
            let percent = elapsed >= 1 ? 100 : Int(elapsed * 100) / Self.rampStepPercent * Self.rampStepPercent
            let next = max(Self.rampMinPercent, percent)
            if next >= 100 { servers[slot].rampBegan = nil } else { isAnyWarming = true }
            if next != servers[slot].rampPercent {
                servers[slot].rampPercent = min(next, 100)
                isChanged = true
            }
        }
        if isChanged { _ = updatePool() }
    }
}
