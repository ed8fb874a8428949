import KernelStructures

extension LoadBalancer {
    private var check: LoadBalancerConfiguration.HealthCheckSettings { configuration.healthCheck }

    /// When `tick` has something to do next; nil if never.
    public var nextDeadline: LabTime? {
        var earliest = line.deadline
        func note(_ time: LabTime?) { if let time, earliest == nil || time < earliest! { earliest = time } }
        for server in servers where server.presence == .present {
            if server.isChecked, check.kind != .off { note(server.nextProbe) }
            note(server.outlier.deadline)
        }
        return earliest
    }

    /// Starts the probes that are due, and does all else that is due at some time.
    public mutating func tick(now: LabTime) -> [Effect] {
        var effects = expireWaiting(now: now)
        if let settings = configuration.outlierEjection { effects += readmit(settings, now: now) }
        guard check.kind != .off else { return effects }
        for slot in servers.indices where servers[slot].isChecked && servers[slot].nextProbe <= now {
            servers[slot].nextProbe = next(after: servers[slot].nextProbe, probeInterval(slot), now: now)
            // One that is still under way fails by its timeout.
            guard servers[slot].probeNumber == nil else { continue }
            lastProbeNumber += 1
            servers[slot].probeNumber = lastProbeNumber
            servers[slot].probeBegan = now
            effects.append(.probe(server: slot, number: lastProbeNumber))
        }
        return effects
    }

    /// From when it was due, not from now: checks keep their rhythm, and those of several servers their distance, even
    /// if the balancer was held up for many intervals. What was missed is not made up for.
    private func next(after due: LabTime, _ interval: LabDuration, now: LabTime) -> LabTime {
        let missed = max(0, (now - due).nanoseconds / interval.nanoseconds)
        return due + LabDuration(nanoseconds: interval.nanoseconds * (missed + 1))
    }

    /// How long until the next check: shorter in the middle of a row of results, longer while down, and never quite the
    /// same if there is jitter, so that a hundred balancers do not ask in step.
    private mutating func probeInterval(_ slot: Int) -> LabDuration {
        let health = servers[slot].health
        let interval =
            if health.streak > 0 {
                check.fastInterval ?? check.interval
            } else if !health.isUp {
                check.downInterval ?? check.interval
            } else {
                check.interval
            }
        guard check.jitterPercent > 0 else { return interval }
        let spread = Double(check.jitterPercent) / 100 * (random.unit() * 2 - 1)
        return LabDuration(nanoseconds: interval.nanoseconds + Int64(Double(interval.nanoseconds) * spread))
    }

    /// Feeds the outcome of a probe to the server's health check.
    public mutating func probeFinished(server slot: Int, number: Int, _ result: ProbeResult, now: LabTime) -> [Effect] {
        guard servers[slot].probeNumber == number else { return [] }
        servers[slot].probeNumber = nil
        servers[slot].lastProbe = result
        servers[slot].lastProbeTook = now - servers[slot].probeBegan
        let before = servers[slot].state
        let streak = servers[slot].health.streak
        if result != .passed, servers[slot].health.isUp { servers[slot].counters.checksFailed += 1 }
        let transition = servers[slot].health.record(passed: result == .passed)
        var effects: [Effect] = []
        // The beginning or end of a row changes the rhythm.
        if (streak > 0) != (servers[slot].health.streak > 0) || transition != .none {
            let earlier = now + probeInterval(slot)
            if earlier < servers[slot].nextProbe {
                servers[slot].nextProbe = earlier
                effects.append(.deadlineMoved)
            }
        }
        let name = servers[slot].name
        switch (transition, result) {
        case (.wentDown(let failures), .failed(let reason)):
            servers[slot].counters.timesDown += 1
            effects += [
                .log("Backend \(name) failed health check (\(failures) consecutive failures)", level: .warning),
                .log("Removed \(name) from pool", level: .warning),
                changed(slot, from: before, reason: reason, now: now),
                .dropIdleConnections(server: slot),
            ]
            return effects + updatePool()
        case (.wentUp(let successes), _):
            beginRamp(slot, now: now)
            effects += [
                .log("Backend \(name) passed health check (\(successes) consecutive successes)", level: .info),
                .log("Added \(name) to pool", level: .info),
                changed(slot, from: before, reason: "health check passed", now: now),
            ]
            return effects + updatePool()
        case (_, .failed(let reason)):
            effects.append(
                .log("Backend \(name) health check: \(reason) (\(servers[slot].health.progress))", level: .debug))
            return effects
        case (_, .passed):
            return effects
        }
    }

    /// Notes a server's change in the log of decisions, and asks for an entry in the journal.
    mutating func changed(_ slot: Int, from: String, reason: String, now: LabTime) -> Effect {
        let server = servers[slot]
        if from == "down" || from == "maint" { servers[slot].downtime += now - server.lastChange }
        servers[slot].lastChange = now
        log.record(.init(time: now, server: server.name, from: from, to: server.state, reason: reason))
        return .changed(server: server.name, from: from, to: server.state, reason: reason)
    }

    // MARK: Passive checks

    /// What a real request says about a server.
    mutating func judge(
        _ slot: Int, _ outcome: Outcome, _ settings: LoadBalancerConfiguration.OutlierSettings, now: LabTime
    ) -> [Effect] {
        let sample: OutlierState.Sample
        switch outcome {
        case .answered(502), .answered(503), .answered(504), .failed: sample = .gatewayError
        case .answered(let status): sample = status >= 500 ? .serverError : .good
        case .abandoned, .stale: return []
        }
        guard !servers[slot].outlier.isEjected, let reason = servers[slot].outlier.record(sample, settings) else {
            return []
        }
        let name = servers[slot].name
        let present = servers.count { $0.presence == .present }
        let ejected = servers.count { $0.presence == .present && $0.outlier.isEjected }
        // One always may be out, as in Envoy: ten percent of three servers would be none.
        guard ejected == 0 || (ejected + 1) * 100 <= settings.maxPercent * present else {
            servers[slot].outlier.consecutive5xx = 0
            servers[slot].outlier.consecutiveGatewayErrors = 0
            log.record(
                .init(
                    time: now, server: name, from: servers[slot].state, to: servers[slot].state,
                    reason: "\(reason), but \(ejected) of \(present) are ejected already"))
            return [
                .log("Backend \(name): \(reason); not ejected, \(ejected) of \(present) are already", level: .warning)
            ]
        }
        let before = servers[slot].state
        let time = servers[slot].outlier.eject(settings, now: now)
        servers[slot].counters.ejections += 1
        return [
            .log("Ejected \(name) for \(time) (\(reason))", level: .warning),
            changed(slot, from: before, reason: reason, now: now), .dropIdleConnections(server: slot), .deadlineMoved,
        ] + updatePool()
    }

    private mutating func readmit(_ settings: LoadBalancerConfiguration.OutlierSettings, now: LabTime) -> [Effect] {
        var effects: [Effect] = []
        for slot in servers.indices where servers[slot].presence == .present {
            let before = servers[slot].state
            guard servers[slot].outlier.tick(settings, now: now) else { continue }
            beginRamp(slot, now: now)
            effects.append(.log("Returned \(servers[slot].name) to pool after its ejection", level: .info))
            effects.append(changed(slot, from: before, reason: "its time out is over", now: now))
        }
        return effects.isEmpty ? [] : effects + updatePool()
    }
}
