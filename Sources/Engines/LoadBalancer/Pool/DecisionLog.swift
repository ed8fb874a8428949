import KernelStructures

/// Why a request went where it went, and why a server is where it is: the last of each, for `explain`.
///
/// Other balancers leave people to guess ("why was this host not ejected?"). Here every decision is kept as it was
/// made, with what was known at that moment: who was in the pool, and how loaded they were. A decision takes 64 bytes
/// and no allocation; the log holds a fixed number and forgets the oldest.
public struct DecisionLog: Sendable {
    /// Where one attempt at a request went.
    public struct Decision: Sendable {
        /// Of the client's request; further attempts have the same.
        public let request: Int
        public let time: LabTime
        /// The serial number of the chosen server; nil if there was none.
        public let server: Int?
        public let reason: Reason
        /// 1 for the first attempt.
        public let attempt: UInt8
        public let poolSize: UInt16
        public let mode: PoolMode
        /// What the first eight servers of the pool had to do at that moment, in the order of their slots.
        public let loads: SIMD8<UInt16>
    }

    public enum Reason: Sendable, Equatable {
        /// The configured algorithm's choice.
        case algorithm
        /// The client carries this server's mark.
        case sticky
        /// The client carries the mark of a server that takes nobody: the algorithm chose another.
        case redispatched
        /// Every server that might have taken it was full.
        case waits
        case lineIsFull
        case gaveUpWaiting
        /// Nobody left to ask.
        case noServer
        /// The client carries the mark of a server that takes nobody, and may not go elsewhere.
        case mayNotMove
    }

    /// A change of one server.
    public struct Event: Sendable, Equatable {
        public let time: LabTime
        public let server: String
        public let from: String
        public let to: String
        public let reason: String
    }

    public static let decisionLimit = 4096
    public static let eventLimit = 1024

    private var ring: [Decision] = []
    private var next = 0
    /// The oldest first.
    public private(set) var events: [Event] = []

    mutating func record(_ decision: Decision) {
        if ring.count < Self.decisionLimit {
            ring.append(decision)
        } else {
            ring[next] = decision
            next = next + 1 == Self.decisionLimit ? 0 : next + 1
        }
    }

    mutating func record(_ event: Event) {
        events.append(event)
        if events.count > Self.eventLimit { events.removeFirst() }
    }

    /// The oldest first.
    public var decisions: [Decision] { Array(ring[next...] + ring[..<next]) }
}

/// Who makes up the pool.
public enum PoolMode: String, Sendable {
    /// The servers that are up.
    case normal
    /// Too few are up: all that the operator has not taken out, whatever checks say.
    case panic
    /// None but backups are up.
    case backups
}
