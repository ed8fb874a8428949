import KernelStructures

/// One server behind the balancer: what was said about it, what is known of it, and what it has done.
///
/// Whether it may get new requests follows from four things that do not know of each other:
///
/// | who says so     | yes             | no                                                     |
/// |-----------------|-----------------|--------------------------------------------------------|
/// | the operator    | `ready`         | `drain` (finish what is there), `maint` (not even checks) |
/// | active checks   | up              | down after failures in a row                           |
/// | real requests   | in              | ejected for a while after errors in a row              |
/// | the file        | present         | leaving: taken out by a reload                         |
public struct Server: Sendable {
    /// What the operator wants; HAProxy's words.
    public enum Administrative: String, Sendable, CaseIterable {
        case ready, drain
        case maintenance = "maint"
    }

    public enum Presence: Equatable, Sendable {
        case present
        /// Not in the configuration any more; finishes what it has.
        case leaving
        /// Nothing is left of it: its slot is free for another.
        case vacant
    }

    /// As configured; the weight can be changed while it runs.
    public internal(set) var settings: LoadBalancerConfiguration.Backend
    /// Unlike its slot, never used again for another server.
    public let serial: Int
    public internal(set) var presence = Presence.present
    /// The weight that the file gave it, or the operator who added it: what a weight in percent is a part of.
    public internal(set) var initialWeight: Int
    /// The operator's word that it is not to be checked.
    public internal(set) var isCheckPaused = false
    public internal(set) var administrative: Administrative
    public internal(set) var health: HealthCheck
    public internal(set) var outlier = OutlierState()
    /// When the first request after it returned may come; set while it starts slowly.
    public internal(set) var rampBegan: LabTime?
    /// The part of its weight that counts, in percent.
    public internal(set) var rampPercent = 100

    /// When the next check is due, and the last one under way, if one is.
    var nextProbe: LabTime
    public internal(set) var probeNumber: Int?
    var probeBegan: LabTime
    public internal(set) var lastProbe: LoadBalancer.ProbeResult?
    public internal(set) var lastProbeTook: LabDuration?
    public internal(set) var lastChange: LabTime
    /// How long it was down or in maintenance, up to the last change.
    public internal(set) var downtime = LabDuration.zero
    /// When it was last given a request.
    public internal(set) var lastChosen: LabTime?
    public internal(set) var rate = RateMeter()

    /// Requests or connections it is working on.
    public internal(set) var active = 0
    public internal(set) var activeMax = 0
    /// Requests that wait for this one and no other.
    public internal(set) var waiting = 0
    public internal(set) var waitingMax = 0
    public internal(set) var counters = Counters()

    public struct Counters: Equatable, Sendable {
        public var requests = 0
        public var errors = 0
        public var retries = 0
        public var redispatches = 0
        /// How often a client that carried its mark went elsewhere.
        public var switchedAway = 0
        /// How often the algorithm chose it.
        public var balanced = 0
        public var traffic = Traffic()
        /// Those that failed while it was up.
        public var checksFailed = 0
        public var timesDown = 0
        public var ejections = 0
        /// Answers by the first digit of their status, 1…5; at 0, those without any.
        public var answers = SIMD8<Int>(repeating: 0)
        public var latencyTotal = LabDuration.zero
        public var latencyMax = LabDuration.zero
        /// In milliseconds.
        public var latencyAverage = SlidingAverage()
    }

    init(
        _ settings: LoadBalancerConfiguration.Backend, serial: Int, health: HealthCheck, nextProbe: LabTime,
        now: LabTime
    ) {
        self.settings = settings
        self.serial = serial
        self.health = health
        self.nextProbe = nextProbe
        initialWeight = settings.weight
        probeBegan = now
        administrative = settings.state
        lastChange = now
    }

    public var name: String { settings.name }
    public var destination: HostPort { settings.destination }
    public var weight: Int { settings.weight }

    /// Whether it may get requests that do not stick to it.
    public var isInPool: Bool {
        health.isUp && administrative == .ready && presence == .present && !outlier.isEjected && settings.weight > 0
    }

    /// Whether connections to it are worth keeping open for later.
    package var keepsConnections: Bool {
        presence == .present && health.isUp && administrative != .maintenance && settings.sendProxy == nil
    }

    var isFull: Bool { settings.maxConnections.map { active >= $0 } ?? false }
    var isChecked: Bool { presence == .present && administrative != .maintenance && !isCheckPaused }

    /// Requests that begin to wait for it.
    mutating func addWaiter() {
        waiting += 1
        if waiting > waitingMax { waitingMax = waiting }
    }

    /// In one word, the strongest reason first: `maint`, `leaving`, `down`, `ejected`, `drain`, `up`.
    public var state: String {
        if presence == .leaving { return "leaving" }
        if administrative == .maintenance { return "maint" }
        if !health.isUp { return "down" }
        if outlier.isEjected { return "ejected" }
        if administrative == .drain { return "drain" }
        return rampPercent < 100 ? "warming" : "up"
    }
}
