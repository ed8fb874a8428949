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
/// `choose` asks the configured algorithm (`Algorithms/`) for one server of the pool, unless the client carries a mark
/// of one. `tick` says which probes are due, and `probeFinished` feeds what came of them to each server's
/// `HealthCheck`, which turns three failures in a row into *out* and two successes in a row into *in*; `requestEnded`
/// does the same with what real requests met (`OutlierDetection.swift`). The engine does none of the work itself: it
/// takes `now`, changes its state and returns effects (probe this, log that), which `LoadBalancerHost` carries out.
/// That is why the same engine runs on sockets at real speed and in a test in no time.
///
/// ## Where it is wrong
///
/// Active checks are always late: between a crash and the third failed probe the pool still lists a dead server, and
/// only a retry (`BalancedExchange.swift`) hides it from clients. Each balancer knows only its own requests: ten of
/// them that all see the same idle server will all send it the next one. And the balancer itself is now the single
/// point of failure.
public struct LoadBalancer {
    public internal(set) var configuration: LoadBalancerConfiguration
    /// By slot. A server keeps its slot for as long as it exists; vacant slots are skipped and used again.
    public internal(set) var servers: [Server] = []
    public internal(set) var counters = Counters()
    public internal(set) var log = DecisionLog()
    public internal(set) var poolMode = PoolMode.normal
    /// Requests or connections that servers are working on.
    public internal(set) var active = 0
    public internal(set) var rate = RateMeter()
    public internal(set) var lastChosen: LabTime?
    /// Nil unless somebody may want to look: `startRecording`.
    public internal(set) var recording: ArrivalRecording?
    public internal(set) var traffic: TrafficHistory?

    var algorithm: any BalancingAlgorithm = RoundRobin()
    /// The slots of those that may be chosen, ascending.
    var pool: [Int] = []
    var stickTable: StickTable?
    var retryBudget: ProxyRetryBudget?
    var line = RequestQueue()
    var random: SeededRandom
    var lastSerial = 0
    var lastRequest = 0
    var lastProbeNumber = 0
    /// Whether a server is on its way back to its full share.
    var isAnyWarming = false

    /// Connections to each server that are kept open though nobody uses them, at most.
    package static let idleLimit = 256

    /// What the host is asked to do.
    public enum Effect: Equatable {
        /// Probe this server and report by `probeFinished` with this number.
        case probe(server: Int, number: Int)
        case log(LogMessage, level: LogLevel)
        case changed(server: String, from: String, to: String, reason: String)
        /// Connections kept open to this server are of no use any more.
        case dropIdleConnections(server: Int)
        /// The request with this ticket need not wait any longer: ask again with `choose`.
        case admit(ticket: Int)
        /// The request with this ticket has waited too long.
        case timedOut(ticket: Int)
        /// `nextDeadline` is earlier than it was.
        case deadlineMoved
    }

    /// Totals since the start.
    public struct Counters: Equatable, Sendable {
        /// Requests of clients, or their connections in TCP mode.
        public var requests = 0
        /// How often one was sent to another server after one failed.
        public var retries = 0
        /// Retries that were not made because the budget was spent.
        public var retriesRefused = 0
        /// Answered by the balancer itself (502, 503, 504): no server was in the pool or had room, none of those that
        /// were tried could be reached or has answered, or one was not and the budget for another try was spent.
        public var unserved = 0
        /// How often a server failed a request. A retry may have made up for it.
        public var errors = 0
        /// Clients that carried the mark of a server and were sent to another.
        public var redispatches = 0
        /// Requests that had to wait for a server to have room, and those of them that gave up.
        public var queued = 0
        public var queueTimeouts = 0
        public var reloads = 0
        public var traffic = Traffic()
        public var balanced = 0
        public var activeMax = 0
        public var queuedMax = 0
        /// How often the last server that could take requests went.
        public var timesDown = 0
        public var latencyAverage = SlidingAverage()
        public var latencyMax = LabDuration.zero
    }

    /// What came of a probe.
    public enum ProbeResult: Equatable, Sendable {
        case passed
        /// The reason, for people: `connection refused`, `status 500`.
        case failed(String)
    }

    /// All servers begin in the pool: a balancer that starts while its servers are up must not refuse anybody.
    ///
    /// - Parameter random: for the algorithms that draw, and the jitter of checks.
    public init(
        _ configuration: LoadBalancerConfiguration, now: LabTime, random: SeededRandom = SeededRandom(seed: 1)
    ) {
        self.configuration = configuration
        self.random = random
        let interval = configuration.healthCheck.interval
        let jitter = Double(configuration.healthCheck.jitterPercent) / 100
        let count = configuration.backends.count
        for (index, backend) in configuration.backends.enumerated() {
            // Spread over one interval, so that checks of many servers do not come in a volley; and shifted by chance
            // if the file wants that, so that those of many balancers do not either.
            let turn = interval.nanoseconds / Int64(count) * Int64(index + 1)
            let shift = Int64(Double(interval.nanoseconds) * jitter * self.random.unit())
            servers.append(makeServer(backend, nextProbe: now + LabDuration(nanoseconds: turn + shift), now: now))
        }
        applySettings(now: now)
        _ = updatePool()
        counters.timesDown = 0
    }

    mutating func makeServer(_ backend: LoadBalancerConfiguration.Backend, nextProbe: LabTime, now: LabTime) -> Server {
        lastSerial += 1
        let check = configuration.healthCheck
        log.note(name: backend.name, of: lastSerial)
        return Server(
            backend, serial: lastSerial,
            health: HealthCheck(unhealthyAfter: check.unhealthyAfter, healthyAfter: check.healthyAfter),
            nextProbe: nextProbe, now: now)
    }

    /// Makes what follows from the configuration alone.
    mutating func applySettings(now: LabTime) {
        algorithm = Self.makeAlgorithm(configuration, random.fork("algorithm"))
        if case .source(let size, let expire) = configuration.sticky?.mark {
            if stickTable?.size != size || stickTable?.expire != expire {
                stickTable = StickTable(size: size, expire: expire)
            }
        } else {
            stickTable = nil
        }
        retryBudget = configuration.retryBudget.map { ProxyRetryBudget($0, now: now) }
    }

    static func makeAlgorithm(_ configuration: LoadBalancerConfiguration, _ random: SeededRandom)
        -> any BalancingAlgorithm
    {
        switch configuration.algorithm {
        case .roundRobin: RoundRobin()
        case .leastConnections: LeastConnections()
        case .random: RandomOfTwo(random: random)
        case .hash: ConsistentHashing(balanceFactorPercent: configuration.hashBalanceFactorPercent)
        case .maglev: Maglev()
        }
    }

    /// Keeps arrivals for `replay` and counts for `pool` from now on.
    public mutating func startRecording() {
        recording = ArrivalRecording()
        traffic = TrafficHistory()
    }

    /// Servers that exist, with their slots.
    public var present: [(slot: Int, server: Server)] {
        servers.indices.filter { servers[$0].presence != .vacant }.map { ($0, servers[$0]) }
    }

    /// The slot of a server by its name.
    public func slot(named name: String) -> Int? {
        servers.firstIndex { $0.presence == .present && $0.name == name }
    }

    /// How many servers may get requests.
    public var poolSize: Int { servers.count { $0.isInPool } }
    /// Whether somebody can take requests.
    public var isServing: Bool { !pool.isEmpty }
    /// Requests that wait for a server to have room.
    public var waitingCount: Int { line.count }
}
