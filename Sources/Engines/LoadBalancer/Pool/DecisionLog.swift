import KernelStructures

/// Why a request went where it went, and why a server is where it is: the last of each, for `explain`.
///
/// Other balancers leave people to guess ("why was this host not ejected?"). Here every decision is kept as it was
/// made, with what was known at that moment: who was in the pool, and how loaded they were; and what came of it. A
/// decision takes 64 bytes and no allocation; the log holds a fixed number and forgets the oldest.
///
/// Decisions know servers by their serial numbers, which outlive the servers; `name` says what they were called. They
/// know the pool by a number, too: it changes a thousand times less often than it is asked.
public struct DecisionLog: Sendable {
    /// Where one attempt at a request went.
    public struct Decision: Sendable {
        /// Of the client's request; further attempts have the same.
        public let request: Int
        public let time: LabTime
        /// The serial number of the chosen server, or of the one it waits for; nil if there was none.
        public let server: Int?
        public let reason: Reason
        /// 1 for the first attempt.
        public let attempt: UInt8
        public let poolSize: UInt16
        public let mode: PoolMode
        public let algorithm: LoadBalancerConfiguration.Algorithm
        /// Who made up the pool: see `members(ofPool:)`.
        public let pool: UInt32
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

    /// What came of an attempt.
    public struct Ending: Sendable {
        public let request: Int
        public let time: LabTime
        /// The serial number of the server; nil for a client that went away while it waited.
        public let server: Int?
        public let outcome: LoadBalancer.Outcome
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
    /// Pools and names that are remembered.
    static let poolLimit = 1024
    static let nameLimit = 4096

    private var decisionRing = BoundedRing<Decision>(limit: decisionLimit)
    private var endingRing = BoundedRing<Ending>(limit: decisionLimit)
    private var eventRing = BoundedRing<Event>(limit: eventLimit)
    /// The serial numbers of the first eight servers of each pool there was; 0 for none.
    private var pools = BoundedRing<SIMD8<UInt32>>(limit: poolLimit)
    /// The number of the latest pool.
    private(set) var pool: UInt32 = 0
    private var names = BoundedRing<(serial: Int, name: String)>(limit: nameLimit)

    mutating func record(_ decision: Decision) { decisionRing.append(decision) }
    mutating func record(_ ending: Ending) { endingRing.append(ending) }
    mutating func record(_ event: Event) { eventRing.append(event) }

    mutating func note(name: String, of serial: Int) { names.append((serial, name)) }

    /// Takes note of who makes up the pool from now on.
    mutating func notePool(_ serials: some Sequence<Int>) {
        var members = SIMD8<UInt32>(repeating: 0)
        for (index, serial) in serials.prefix(8).enumerated() { members[index] = UInt32(truncatingIfNeeded: serial) }
        if pools.last == members { return }
        pools.append(members)
        pool += 1
    }

    /// The oldest first.
    public var decisions: [Decision] { decisionRing.elements }
    public var endings: [Ending] { endingRing.elements }
    public var events: [Event] { eventRing.elements }

    /// The serial numbers of the first eight servers of a pool, in the order of `Decision.loads`; empty if that was too
    /// many changes ago.
    public func members(ofPool number: UInt32) -> [Int] {
        let age = Int(pool) - Int(number)
        let known = pools.elements
        guard number > 0, age >= 0, age < known.count else { return [] }
        let members = known[known.count - 1 - age]
        return members.indices.map { Int(members[$0]) }.filter { $0 > 0 }
    }

    /// What a server was called when it came.
    public func name(of serial: Int) -> String? { names.elements.last { $0.serial == serial }?.name }
}

/// The last so many of something.
struct BoundedRing<Element: Sendable>: Sendable {
    private var storage: [Element] = []
    /// Where the next goes, once it is full; the oldest is there.
    private var next = 0
    let limit: Int

    init(limit: Int) { self.limit = limit }

    @inline(__always)
    mutating func append(_ element: Element) {
        if storage.count < limit {
            storage.append(element)
        } else {
            storage[next] = element
            next = next + 1 == limit ? 0 : next + 1
        }
    }

    var last: Element? { next > 0 ? storage[next - 1] : storage.last }
    /// The oldest first.
    var elements: [Element] { Array(storage[next...] + storage[..<next]) }
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
