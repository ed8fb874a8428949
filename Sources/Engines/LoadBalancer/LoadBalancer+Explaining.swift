import KernelStructures

/// The log of decisions in plain sentences, for `explain`.
extension LoadBalancer {
    /// Something that happened to a request: a decision about it, or the end of an attempt.
    public enum Step: Sendable {
        case decision(DecisionLog.Decision, waited: LabDuration?)
        /// With the time since the decision that led there.
        case ending(DecisionLog.Ending, took: LabDuration)
        /// A server has it, or it waits, since then.
        case open(server: Int?, since: LabTime)

        public var time: LabTime? {
            switch self {
            case .decision(let decision, _): decision.time
            case .ending(let ending, _): ending.time
            case .open: nil
            }
        }
    }

    /// The numbers of the oldest and the newest request of which decisions are logged.
    public var loggedRequests: ClosedRange<Int>? {
        let numbers = log.decisions.map(\.request)
        guard let first = numbers.min(), let last = numbers.max() else { return nil }
        return first...last
    }

    /// The newest requests of which decisions are logged, at most so many, the newest last.
    public func lastRequests(_ count: Int) -> [Int] {
        var found: [Int] = []
        var seen: Set<Int> = []
        for decision in log.decisions.reversed() where seen.insert(decision.request).inserted {
            found.append(decision.request)
            if found.count == count { break }
        }
        return found.sorted()
    }

    /// All that is logged of some requests, each one's in the order in which it happened; empty for those that are not
    /// in the log.
    public func steps(of requests: [Int]) -> [Int: [Step]] {
        let wanted = Set(requests)
        let decisions = Dictionary(grouping: log.decisions.filter { wanted.contains($0.request) }, by: \.request)
        let endings = Dictionary(grouping: log.endings.filter { wanted.contains($0.request) }, by: \.request)
        return decisions.mapValues { own in Self.merged(own, endings[own[0].request] ?? []) }
    }

    /// An attempt ends before the next decision is made, even if both happen at the same moment.
    private static func merged(_ decisions: [DecisionLog.Decision], _ endings: [DecisionLog.Ending]) -> [Step] {
        var steps: [Step] = []
        var rest = endings[...]
        var inLineSince: LabTime?
        for (index, decision) in decisions.enumerated() {
            if decision.reason == .waits {
                inLineSince = inLineSince ?? decision.time
                steps.append(.decision(decision, waited: nil))
            } else {
                steps.append(.decision(decision, waited: inLineSince.map { decision.time - $0 }))
                inLineSince = nil
            }
            let next = index + 1 < decisions.count ? decisions[index + 1].time : .distantFuture
            var isOpen = decision.isOpen
            while let ending = rest.first, isOpen || ending.time < decision.time, ending.time <= next {
                // Of an attempt whose decision is forgotten already.
                if ending.time < decision.time {
                    rest.removeFirst()
                    continue
                }
                guard ending.server == decision.givenTo else { break }
                rest.removeFirst()
                steps.append(.ending(ending, took: ending.time - decision.time))
                isOpen = ending.outcome == .stale
            }
            if isOpen, next == .distantFuture {
                steps.append(.open(server: decision.givenTo, since: inLineSince ?? decision.time))
            }
        }
        return steps
    }

    // MARK: Names

    /// What a server is called, or was.
    public func serverName(_ serial: Int) -> String {
        servers.first { $0.serial == serial }?.name ?? log.name(of: serial) ?? "server #\(serial)"
    }

    /// All servers of which something can be said, those that are gone included.
    public var knownServers: [String] {
        log.events.reduce(into: present.map(\.server.name)) { if !$0.contains($1.server) { $0.append($1.server) } }
    }

    // MARK: Sentences

    /// A step as a sentence without a capital letter and a full stop.
    public func sentence(_ step: Step, now: LabTime) -> String {
        switch step {
        case .decision(let decision, let waited):
            return (decision.attempt > 1 ? "attempt \(decision.attempt), " : "") + sentence(decision, waited)
        case .ending(let ending, let took): return sentence(ending, " after \(took.rounded)")
        case .open(let server?, let since): return "\(serverName(server)) has it, for \((now - since).rounded) now"
        case .open(nil, let since): return "it waits, for \((now - since).rounded) now"
        }
    }

    private func sentence(_ decision: DecisionLog.Decision, _ waited: LabDuration?) -> String {
        let server = decision.server.map(serverName) ?? "-"
        let after = waited.map { ", after \($0.rounded) in line" } ?? ""
        switch decision.reason {
        case .algorithm: return "to \(server)\(after): \(Self.clause(decision.algorithm)), among \(pool(decision))"
        case .sticky: return "to \(server)\(after): the client carries its mark"
        case .redispatched:
            return "to \(server)\(after): the server whose mark the client carries takes nobody, and "
                + "\(Self.clause(decision.algorithm)), among \(pool(decision))"
        case .waits where decision.server != nil:
            return "waits for \(server), whose mark the client carries: it is full, or others wait for it"
        case .waits: return "waits in line: no room yet among \(pool(decision))"
        case .lineIsFull: return "refused: no room among \(pool(decision)), and the line is full"
        case .gaveUpWaiting: return "refused after \((waited ?? .zero).rounded) in line: there was still no room"
        case .noServer where decision.poolSize == 0: return "refused: the pool was empty"
        case .noServer: return "refused: no server was left to try"
        case .mayNotMove:
            return "refused: the server whose mark the client carries takes nobody, and redispatch is off"
        }
    }

    private func sentence(_ ending: DecisionLog.Ending, _ after: String) -> String {
        guard let serial = ending.server else { return "the client went away\(after) in line" }
        let name = serverName(serial)
        switch ending.outcome {
        case .answered where configuration.mode == .tcp: return "the connection to \(name) ended\(after)"
        case .answered(let status): return "\(name) answered \(status)\(after)"
        case .failed: return "\(name) failed it\(after)"
        case .abandoned: return "the client went away\(after), while \(name) had it"
        case .stale: return "\(name) had closed the connection that was kept open, and is asked anew"
        }
    }

    /// Why an algorithm chose whom it chose.
    private static func clause(_ algorithm: LoadBalancerConfiguration.Algorithm) -> String {
        switch algorithm {
        case .roundRobin: "it was its turn (round-robin)"
        case .leastConnections: "it was the least busy for its weight (least-connections)"
        case .random: "it was the less busy of two that were drawn (random)"
        case .hash: "the request's key belongs to it on the ring (hash)"
        case .maglev: "the request's key belongs to it in the table (maglev)"
        }
    }

    /// Among whom: `3 servers (8081 had 1, 8082 0, 8083 2)`
    private func pool(_ decision: DecisionLog.Decision) -> String {
        let size = Int(decision.poolSize)
        let known = loads(of: decision)
        var parts = known.enumerated().map { "\($1.server) \($0 == 0 ? "had " : "")\($1.load)" }
        if !parts.isEmpty, size > parts.count { parts.append("and \(size - parts.count) more") }
        let rest = decision.attempt > 1 ? "the untried of " : ""
        let detail = parts.isEmpty ? "" : " (\(parts.joined(separator: ", ")))"
        switch decision.mode {
        case .normal: return rest + counted(size, "server") + detail
        case .panic: return "\(rest)all \(counted(size, "server")), as too few are up (panic)" + detail
        case .backups: return rest + counted(size, "backup") + ", as no other server is up" + detail
        }
    }

    /// What the first eight servers of the pool had to do when a decision was made; empty if it is not known any more
    /// who they were.
    public func loads(of decision: DecisionLog.Decision) -> [(server: String, load: Int)] {
        log.members(ofPool: decision.pool).enumerated().map { (serverName($1), Int(decision.loads[$0])) }
    }
}

extension DecisionLog.Decision {
    /// The server that has the request because of it.
    fileprivate var givenTo: Int? { reason == .waits ? nil : server }

    /// Whether more must follow.
    fileprivate var isOpen: Bool {
        switch reason {
        case .algorithm, .sticky, .redispatched, .waits: true
        case .lineIsFull, .gaveUpWaiting, .noServer, .mayNotMove: false
        }
    }
}

// MARK: Servers

extension LoadBalancer {
    /// Whether requests that stick to no server may go to this one right now.
    public func isInPool(_ slot: Int) -> Bool { pool.contains(slot) }

    /// Why a server is in the pool or out of it, as the rest of a sentence that begins with "because".
    public func whyInOrOut(_ slot: Int, now: LabTime) -> String {
        let server = servers[slot]
        return isInPool(slot) ? whyIn(server) : whyOut(server, now: now)
    }

    private func whyIn(_ server: Server) -> String {
        switch poolMode {
        case .panic where !server.isInPool:
            return
                "fewer than \(configuration.panicThresholdPercent)% of the servers are up, so that health is ignored "
                + "(panic)"
        case .backups: return "it is a backup, and no other server is up"
        case .normal, .panic: break
        }
        if server.rampPercent < 100 {
            return "it is back up; it starts slowly and has \(server.rampPercent)% of its weight"
        }
        if server.health.streak > 0 {
            return "it is still up: \(counted(server.health.streak, "check")) in a row failed, and it takes "
                + "\(server.health.unhealthyAfter)"
        }
        return "it is up and nobody took it out"
    }

    private func whyOut(_ server: Server, now: LabTime) -> String {
        let work = server.active == 0 ? "it has nothing to finish" : "it finishes \(counted(server.active, "request"))"
        let reason = log.events.last { $0.server == server.name && $0.to == server.state }?.reason
        if server.presence == .leaving { return "it is being removed; \(work)" }
        switch server.administrative {
        case .maintenance: return "the operator has it in maintenance; \(work)"
        case .drain where server.health.isUp && !server.outlier.isEjected: return "the operator drains it; \(work)"
        case .drain, .ready: break
        }
        if !server.health.isUp {
            return
                "it is down (\(reason ?? "checks failed")), until \(counted(server.health.healthyAfter, "check")) in a "
                + "row pass; so far \(server.health.streak)"
        }
        if let until = server.outlier.ejectedUntil {
            return "it is ejected (\(reason ?? "it failed requests")); it returns in \((until - now).rounded)"
        }
        if server.weight == 0 { return "its weight is 0: only clients that carry its mark get there" }
        return "it is a backup, and others are up"
    }
}
