import KernelStructures

/// The load balancer's decisions: which server gets the next request, and which servers may get any.
///
/// ## The problem
///
/// One server is never enough: it is too slow for all the traffic, and it will fail. Put three behind one address and
/// two questions appear that were not there before. *Who takes this request?* And *who is still alive?* Clients must
/// not have to know the answer to either.
///
/// ## An everyday picture
///
/// The head waiter at the door. Guests see one door and one face. Inside he keeps a list of tables and gives each
/// party the next one in turn. Every few minutes he glances at each table: one whose lamp stayed dark three glances
/// in a row is taken off the list (once might have been a draught), and one that burned again two glances in a row
/// is put back. If no table is left he says so at the door, at once and politely, instead of letting people stand.
///
/// ## How
///
/// `choose` takes a server by smooth weighted round robin (`RoundRobin.swift`). `tick` says which probes are due, and
/// `probeFinished` feeds what came of them to each server's `HealthCheck`, which turns three failures in a row into
/// *out* and two successes in a row into *in*. The engine does none of the work itself: it takes `now`, changes its
/// state and returns effects (probe this, log that), which `LoadBalancerHost` carries out. That is why the same engine
/// runs on sockets at real speed and in a test in no time.
///
/// ## Where it is wrong
///
/// Round robin believes that all requests cost the same and all servers are equally fast. Active checks are always
/// late: between a crash and the third failed probe the pool still lists a dead server, and only the retry in
/// `HTTPProxy.swift` hides it from clients. And the balancer itself is now the single point of failure.
public struct LoadBalancer {
    public let configuration: LoadBalancerConfiguration
    public private(set) var servers: [Server]
    public private(set) var counters = Counters()
    private var algorithm: any BalancingAlgorithm = RoundRobin()
    private var nextProbeNumber = 0

    /// What the host is asked to do.
    public enum Effect: Equatable {
        /// Probe this server and report by `probeFinished` with this number.
        case probe(server: Int, number: Int)
        case log(LogMessage, level: LogLevel)
        case changed(server: Int, from: String, to: String, reason: String)
        /// Connections kept open to this server are of no use any more.
        case dropIdleConnections(server: Int)
    }

    /// Totals since the start.
    public struct Counters: Equatable, Sendable {
        /// Requests of clients, or their connections in TCP mode.
        public var requests = 0
        /// How often one was sent to another server after one failed.
        public var retries = 0
        /// Answered 503: no server was in the pool, or none of those that were tried could be reached.
        public var unserved = 0
        /// How often a server failed a request. A retry may have made up for it.
        public var errors = 0
    }

    /// One server of the pool.
    public struct Server: Sendable {
        public let name: String
        public let destination: HostPort
        public let weight: Int
        public internal(set) var health: HealthCheck
        public internal(set) var nextProbe: LabTime
        /// The probe under way, if one is.
        public internal(set) var probeNumber: Int?
        /// Requests or connections it is working on.
        public internal(set) var active = 0
        public internal(set) var requests = 0
        public internal(set) var errors = 0
        public internal(set) var lastProbe: ProbeResult?

        public var isInPool: Bool { health.isUp }
    }

    /// What came of a probe.
    public enum ProbeResult: Equatable, Sendable {
        case passed
        /// The reason, for people: `connection refused`, `status 500`.
        case failed(String)
    }

    /// All servers begin in the pool: a balancer that starts while its servers are up must not refuse anybody.
    public init(_ configuration: LoadBalancerConfiguration, now: LabTime) {
        self.configuration = configuration
        let check = configuration.healthCheck
        let count = configuration.backends.count
        servers = configuration.backends.enumerated().map { index, backend in
            // Spread over one interval, so that checks of many servers do not come in a volley.
            let offset = LabDuration(nanoseconds: check.interval.nanoseconds / Int64(count) * Int64(index + 1))
            return Server(
                name: backend.name, destination: backend.destination, weight: backend.weight,
                health: HealthCheck(unhealthyAfter: check.unhealthyAfter, healthyAfter: check.healthyAfter),
                nextProbe: now + offset)
        }
        updatePool()
    }

    // MARK: Requests

    /// The server for the next request, or nil if none is in the pool.
    ///
    /// - Parameter excluding: servers that were tried for this request already.
    public mutating func choose(excluding: [Int] = []) -> Int? {
        let servers = servers
        return algorithm.choose(key: 0, load: { servers[$0].active }) { excluding.isEmpty || !excluding.contains($0) }
    }

    private mutating func updatePool() {
        algorithm.update(
            servers.indices.filter { servers[$0].isInPool }
                .map { PoolMember(slot: $0, name: servers[$0].name, weight: servers[$0].weight) })
    }

    /// A client asks for something; any number of servers may be tried for it.
    public mutating func requestArrived() { counters.requests += 1 }

    public mutating func requestBegan(server: Int) {
        servers[server].requests += 1
        servers[server].active += 1
    }

    public mutating func requestEnded(server: Int, failed: Bool) {
        servers[server].active -= 1
        if failed {
            servers[server].errors += 1
            counters.errors += 1
        }
    }

    /// A request goes to another server because one failed it.
    public mutating func retried() { counters.retries += 1 }

    /// A request found no server.
    public mutating func unserved() { counters.unserved += 1 }

    // MARK: Health checks

    /// When `tick` has something to do next.
    public var nextDeadline: LabTime? { servers.map(\.nextProbe).min() }

    /// Starts the probes that are due. A server whose last probe is still under way is left out; the host reports a
    /// probe that takes longer than its timeout as failed.
    public mutating func tick(now: LabTime) -> [Effect] {
        var effects: [Effect] = []
        for index in servers.indices where servers[index].nextProbe <= now {
            servers[index].nextProbe = max(servers[index].nextProbe + configuration.healthCheck.interval, now)
            guard servers[index].probeNumber == nil else { continue }
            nextProbeNumber += 1
            servers[index].probeNumber = nextProbeNumber
            effects.append(.probe(server: index, number: nextProbeNumber))
        }
        return effects
    }

    /// Feeds the outcome of a probe to the server's health check.
    public mutating func probeFinished(server: Int, number: Int, _ result: ProbeResult) -> [Effect] {
        guard servers[server].probeNumber == number else { return [] }
        servers[server].probeNumber = nil
        servers[server].lastProbe = result
        let name = servers[server].name
        switch (servers[server].health.record(passed: result == .passed), result) {
        case (.wentDown(let failures), .failed(let reason)):
            updatePool()
            return [
                .log("Backend \(name) failed health check (\(failures) consecutive failures)", level: .warning),
                .log("Removed \(name) from pool", level: .warning),
                .changed(server: server, from: "up", to: "down", reason: reason),
                .dropIdleConnections(server: server),
            ]
        case (.wentUp(let successes), _):
            updatePool()
            return [
                .log("Backend \(name) passed health check (\(successes) consecutive successes)", level: .info),
                .log("Added \(name) to pool", level: .info),
                .changed(server: server, from: "down", to: "up", reason: "health check passed"),
            ]
        case (_, .failed(let reason)):
            let progress = servers[server].health.progress
            return [.log("Backend \(name) health check: \(reason) (\(progress))", level: .debug)]
        case (_, .passed):
            return []
        }
    }

    /// How many servers may get requests.
    public var poolSize: Int { servers.count { $0.isInPool } }
}
