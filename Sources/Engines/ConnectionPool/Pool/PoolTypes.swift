import KernelStructures

extension ConnectionPool {
    /// One connection, for as long as it exists and in every report after that: numbers are not used twice.
    public struct ConnectionID: Hashable, Comparable, Sendable, CustomStringConvertible {
        /// 1, 2, 3 … in the order of opening.
        public let number: Int
        /// Below `maximumPoolSize`, and no other connection's at the same time: a place in a host's array.
        public let slot: Int

        public static func < (a: Self, b: Self) -> Bool { a.number < b.number }
        public var description: String { "\(number)" }
    }

    /// The right to use one connection once. Given back, it is worth nothing, whoever may hold a copy of it.
    public struct Lease: Hashable, Sendable {
        public let connection: ConnectionID
        /// 1, 2, 3 … over all connections.
        public let borrow: UInt64
    }

    /// A place in the line.
    public struct Ticket: Hashable, Sendable {
        let slot: Int
        let serial: UInt64
    }

    /// Who borrows, and from which line of code: what a leak report and `holders` show.
    public struct Borrower: Sendable, CustomStringConvertible {
        public let name: String
        public let fileID: StaticString
        public let line: UInt

        public init(_ name: String, fileID: StaticString = #fileID, line: UInt = #line) {
            self.name = name
            self.fileID = fileID
            self.line = line
        }

        /// `PoolTest.swift:47`, without the module that `#fileID` begins with.
        public var place: String {
            let path = "\(fileID)"
            return "\(path.split(separator: "/").last.map(String.init) ?? path):\(line)"
        }
        public var description: String { name.isEmpty ? place : "\(place) (\(name))" }
    }

    /// What comes of asking for a connection.
    public enum Answer: Sendable {
        case lent(Lease)
        /// An effect with this ticket will say how it went.
        case waiting(Ticket)
        case refused(Failure)
    }

    /// Why a borrower gets no connection.
    public enum Failure: Error, Sendable, Equatable, CustomStringConvertible {
        /// Nothing came free in time. The counts are those of that moment; `cause` is why the last attempt to connect
        /// failed, if it did.
        case timedOut(
            pool: String, after: LabDuration, total: Int, active: Int, idle: Int, waiting: Int, cause: String?)
        /// Everything is in use, and this borrower would not wait.
        case exhausted(pool: String, total: Int)
        /// The line is as long as it may be.
        case lineIsFull(pool: String, limit: Int)
        case closed(pool: String)
        /// The pool never came to be.
        case notStarted(pool: String, reason: String)

        public var description: String {
            switch self {
            case .timedOut(let pool, let after, let total, let active, let idle, let waiting, let cause):
                "\(pool) - Connection is not available, request timed out after \(Self.milliseconds(after))ms "
                    + "(total=\(total), active=\(active), idle=\(idle), waiting=\(waiting))"
                    + (cause.map { ": \($0)" } ?? "")
            case .exhausted(let pool, let total): "\(pool) - all \(counted(total, "connection")) in use"
            case .lineIsFull(let pool, let limit):
                "\(pool) - \(counted(limit, "borrower")) waiting already, and no more may (waiterLimit)"
            case .closed(let pool): "\(pool) has been closed"
            case .notStarted(let pool, let reason): "\(pool) could not be started: \(reason)"
            }
        }

        private static func milliseconds(_ duration: LabDuration) -> Int64 { duration.nanoseconds / 1_000_000 }
    }

    /// In which state a borrower gives a connection back.
    public enum ReturnCondition: Sendable, Equatable {
        case clean
        /// It needs a reset: a transaction is open, a setting was changed.
        case dirty
        /// A fatal error: nobody is to get it again.
        case broken(String)
    }

    /// Why a connection is closed.
    public enum CloseReason: Sendable, Equatable, CustomStringConvertible {
        case idleTooLong, pastLifetime, failedValidation, failedReset, validationTimedOut, connectTimedOut
        case evicted, poolClosed, aborted, initializationChecked
        case broken(String)
        /// The other end closed it.
        case lost(String)

        public var description: String {
            switch self {
            case .idleTooLong: "connection has been idle too long"
            case .pastLifetime: "connection has passed maxLifetime"
            case .failedValidation: "connection is dead"
            case .failedReset: "its state could not be reset"
            case .validationTimedOut: "no answer within validationTimeout"
            case .connectTimedOut: "not open within connectionTimeout"
            case .evicted: "connection evicted"
            case .poolClosed: "pool closed"
            case .aborted: "not returned to a closing pool"
            case .initializationChecked: "initialization check complete and minimumIdle is zero"
            case .broken(let reason): "connection is broken: \(reason)"
            case .lost(let reason): "connection lost: \(reason)"
            }
        }
    }

    /// A connection that has been out for longer than `leakDetectionThreshold`.
    public struct Leak: Sendable {
        public let lease: Lease
        public let borrower: Borrower
        public let heldFor: LabDuration
    }

    /// Totals since the start.
    public struct Counters: Equatable, Sendable {
        public var borrowed = 0
        public var returned = 0
        public var timedOut = 0
        public var cancelled = 0
        /// Turned away at once: everything in use, the line full, the pool closed.
        public var refused = 0
        /// Returns of what was returned already.
        public var rejectedReturns = 0
        public var connectAttempts = 0
        public var connectFailures = 0
        public var created = 0
        public var destroyed = 0
        public var reaped = 0
        public var retired = 0
        /// Found dead by a check, or by what the network said while nobody used them.
        public var foundDead = 0
        public var broken = 0
        public var resets = 0
        public var validations = 0
        public var leaks = 0
        public var mostInUse = 0
        public var mostWaiting = 0
        public init() {}
    }
}

/// When the next attempt to connect may begin after one has failed: HikariCP's steps, from 250 ms by half as much again
/// up to 10 s, each shortened by up to a quarter so that pools which failed together do not return together.
struct ConnectBackoff: Sendable {
    static let first = LabDuration.milliseconds(250)
    static let longest = LabDuration.seconds(10)

    /// How long a connection has to live for its opening to count as a success: a server that accepts and hangs up is
    /// as good as none.
    static let settling = LabDuration.seconds(1)

    /// Failures since the last success.
    var failures = 0
    var since: LabTime?
    /// Whether a log line told of this outage. One that began with the loss of young connections has no line yet.
    var isReported = false
    var notBefore = LabTime(nanoseconds: .min)
    var lastError: String?
    private var step = first
    private var lastSuccess: LabTime?

    init() {}

    mutating func failed(_ error: String, now: LabTime, random: inout SeededRandom) {
        if let lastSuccess, now - lastSuccess >= Self.settling { step = Self.first }
        lastSuccess = nil
        failures += 1
        if since == nil { since = now }
        lastError = error
        let shortening = random.below(Int(step.nanoseconds / 4))
        notBefore = now + LabDuration(nanoseconds: step.nanoseconds - Int64(shortening))
        step = min(Self.longest, LabDuration(nanoseconds: step.nanoseconds / 2 * 3))
    }

    /// `notBefore` stays: if this one is lost at once, others that were opened beside it must not clear the way.
    mutating func succeeded(now: LabTime) {
        failures = 0
        isReported = false
        since = nil
        lastError = nil
        lastSuccess = now
    }
}

extension LabDuration {
    /// Log lines need no nanoseconds.
    var wholeMilliseconds: LabDuration { LabDuration(nanoseconds: nanoseconds / 1_000_000 * 1_000_000) }
}
