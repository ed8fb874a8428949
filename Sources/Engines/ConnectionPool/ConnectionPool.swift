import KernelStructures

/// The connection pool's decisions: who gets which connection, when another one is opened, and when one has to go.
///
/// ## The problem
///
/// A connection to a database is dear: a handshake over the network, a password, a process at the other end, memory on
/// both sides. Opening one for each query takes longer than the query. And a database that serves ten connections well
/// serves a thousand badly, so somebody must also say *no more than ten*. What is kept and shared has to be looked
/// after: it dies unnoticed, grows old, is forgotten by whoever borrowed it, or comes back in a mess.
///
/// ## An everyday picture
///
/// The boat hire at a lake has ten boats. Whoever comes gets one that lies at the jetty; if none does, people stand in
/// line, and the boat that comes back next goes to the first of them, whoever is still building another boat. A boat
/// that has lain there for a while gets a look before it goes out. The keeper orders a new boat only while people
/// stand in line, one at a time, for a queue of forty is often gone before the second boat is built. Boats have a
/// season and then are sold, not all on the same day. And if one is out for an hour, the keeper looks into the book:
/// who took it, and from which jetty?
///
/// ## How
///
/// `borrow` lends an idle connection at once, or puts the borrower in line. Every event that may free one (`putBack`,
/// `connected`, `checked`) ends in `serve`, which hands connections to the line, and in `grow`, which opens another one
/// if the line is longer than what is free or on its way. A borrower waits for *the pool*, never for one connection:
/// opening and checking happen beside the line, and whatever is free first serves its head. That also makes giving up
/// simple: a borrower that leaves the line takes nothing with it.
///
/// The engine does none of the work: it takes `now` and collects effects (connect, validate, close, lend …) that a host
/// carries out. `NodePool` does that on the World's streams, `AsyncConnectionPool` in any Swift program.
///
/// Names, defaults and semantics are HikariCP's (its wiki, and `HikariPool.java`), with these differences: the line is
/// strictly first come, first served unless `isFair` is off; a connection that died while it lay idle is noticed as
/// soon as the host hears of it; wrong settings are refused instead of corrected; and the line has a limit.
///
/// ## Where it is wrong
///
/// A pool protects the database from *this* process. Ten processes with ten connections each are a hundred. A check
/// before lending cannot promise that the connection lives a millisecond later: whoever borrows it must still expect an
/// error. And a long line only moves the waiting from the database to here: if work arrives faster than ten connections
/// can do it, nothing but turning some of it away will help.
public struct ConnectionPool: Sendable {
    public let configuration: Configuration
    public internal(set) var phase = Phase.starting
    public internal(set) var isSuspended = false
    public internal(set) var counters = Counters()
    public internal(set) var metrics = PoolMetrics()
    /// Nil unless somebody may want to ask what another size would have meant: `startRecording`.
    public internal(set) var recording: DemandRecording?
    /// What the host is to do, in order. `takeEffects` hands them over.
    public internal(set) var effects: [Effect] = []
    /// A time no later than the next one at which `tick` has something to do; `.distantFuture` if there is none.
    public internal(set) var nextDeadline = LabTime.distantFuture

    /// By slot, `maximumPoolSize` of them; a connection keeps its slot for as long as it exists.
    var entries: [Entry]
    var vacantSlots: [Int]
    var idle = IdleList()
    var line = BorrowerQueue()
    var connectingCount = 0
    var checkingCount = 0
    public internal(set) var inUseCount = 0

    var random: SeededRandom
    /// The latest time that was passed in: the engine's own time never goes back.
    var now: LabTime
    var lastNumber = 0
    var lastBorrow: UInt64 = 0
    var backoff = ConnectBackoff()
    /// When starting is given up, or when those who hold on to a closing pool's connections lose them.
    var phaseDeadline = LabTime.distantFuture

    /// The life of a pool.
    public enum Phase: String, Sendable {
        /// Whether a first connection can be made is not known yet; borrowers wait.
        case starting
        case running
        /// No first connection could be made in time.
        case failed
        /// Nothing is lent any more; what is out may still come back.
        case closing
        case closed
    }

    /// What the host is asked to do. It never has to answer at once.
    public enum Effect: Sendable {
        /// Open a connection, then call `connected` or `connectFailed`.
        case connect(ConnectionID)
        /// Ask the connection whether it lives, then call `checked`.
        case validate(ConnectionID)
        /// Undo what its last borrower left behind, then call `checked`.
        case reset(ConnectionID)
        /// Close it, or stop opening it. It is no longer the pool's: nothing has to be reported.
        case close(ConnectionID, CloseReason)
        /// The borrower with this ticket has a connection.
        case lend(Ticket, Lease)
        /// The borrower with this ticket will not get one.
        case fail(Ticket, Failure)
        /// In an unfair pool: the borrower with this ticket may try its luck; call `retry`.
        case wake(Ticket)
        case leaked(Leak)
        case log(LogMessage, level: LogLevel)
        /// The pool is open for business: the first connection was made, or none was asked for.
        case started
        case startFailed(String)
        /// The last connection of a closing pool is gone.
        case closed
    }

    /// - Parameters:
    ///   - configuration: checked already; see `Configuration.validate`.
    ///   - random: spreads lifetimes and retries.
    public init(_ configuration: Configuration, now: LabTime, random: SeededRandom) {
        self.configuration = configuration
        self.now = now
        self.random = random
        entries = Array(repeating: Entry(), count: configuration.maximumPoolSize)
        vacantSlots = Array((0..<configuration.maximumPoolSize).reversed())
    }

    /// Begins: makes the first connection if `initializationFailTimeout` asks for it, and fills up to `minimumIdle`.
    public mutating func start(now time: LabTime) {
        precondition(phase == .starting, "a pool starts once")
        advance(to: time)
        guard let patience = configuration.initializationFailTimeout else { return becomeRunning() }
        // Like HikariCP's: the time counts from the first failure on, so one attempt is always made in full.
        phaseDeadline = now + patience
        openConnection()
    }

    mutating func becomeRunning() {
        phase = .running
        phaseDeadline = .distantFuture
        effects.append(.started)
        serve()
        grow()
    }

    /// Hands over what the host is to do. Call it after each call of anything else.
    public mutating func takeEffects() -> [Effect] {
        if effects.isEmpty { return [] }
        var taken: [Effect] = []
        swap(&taken, &effects)
        return taken
    }

    /// Connections that exist, those being opened not included.
    public var totalCount: Int { configuration.maximumPoolSize - vacantSlots.count - connectingCount }
    /// Connections that nobody uses, those under a check included.
    public var idleCount: Int { idle.count + checkingCount }
    public var waitingCount: Int { line.count }
    /// Connections being opened.
    public var openingCount: Int { connectingCount }

    mutating func advance(to time: LabTime) { if time > now { now = time } }
    mutating func note(_ deadline: LabTime) { if deadline < nextDeadline { nextDeadline = deadline } }
    mutating func log(_ message: LogMessage, _ level: LogLevel = .info) { effects.append(.log(message, level: level)) }
}
