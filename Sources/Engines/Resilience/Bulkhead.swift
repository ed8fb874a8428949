import KernelStructures

/// Limits how many calls to one service run at a time.
///
/// A ship's hull is divided by bulkheads: a hole floods one compartment, and the ship floats. A program's
/// compartments are its threads, connections and memory. When one of ten services hangs, callers of that one pile up
/// until they hold everything there is, and calls to the nine healthy ones find nothing left. With a bulkhead the
/// sick one drowns in its own compartment.
///
/// It is a semaphore with an optional queue before it: who finds no place waits, in order of arrival, at most
/// `maxWaitDuration`; who finds the queue full is refused at once.
///
/// Where it is wrong: the right number follows from rate times duration (Little's law: 100 calls a second of 200 ms
/// each need 20 places), and durations change. Too small, and it refuses calls that would have been served.
///
/// resilience4j's names. Waiters are told apart by tickets; who embeds it keeps what they stand for.
public struct Bulkhead: Sendable {
    public struct Configuration: Hashable, Sendable {
        public var maxConcurrentCalls = 25
        /// Calls that may wait for a place. 0: a plain semaphore.
        public var queueCapacity = 0
        /// How long they wait.
        public var maxWaitDuration = LabDuration.seconds(1)

        public init() {}
    }

    /// Stands for one call that has a place or waits for one.
    public struct Ticket: Hashable, Sendable { let number: Int }

    public enum Entry: Equatable, Sendable {
        case admitted(Ticket)
        case queued(Ticket)
        /// No place, and no place to wait.
        case refused
    }

    public private(set) var configuration: Configuration
    private var inside: Set<Ticket> = []
    private var deadlines: [Ticket: LabTime] = [:]
    /// Those that wait, in order; some of them may have gone.
    private var line = RingQueue<Ticket>()
    private var last = 0

    public init(_ configuration: Configuration = .init()) { self.configuration = configuration }

    public var runningCount: Int { inside.count }
    public var waitingCount: Int { deadlines.count }
    public var freeCount: Int { max(0, configuration.maxConcurrentCalls - inside.count) }

    /// A call wants a place.
    public mutating func enter(now: LabTime) -> Entry {
        last += 1
        let ticket = Ticket(number: last)
        if deadlines.isEmpty, inside.count < configuration.maxConcurrentCalls {
            inside.insert(ticket)
            return .admitted(ticket)
        }
        guard deadlines.count < configuration.queueCapacity else { return .refused }
        deadlines[ticket] = now + configuration.maxWaitDuration
        line.append(ticket)
        return .queued(ticket)
    }

    /// A call is over, or nobody waits for its place any more.
    ///
    /// - Returns: who has a place now instead. A ticket that is not known changes nothing.
    public mutating func leave(_ ticket: Ticket) -> Ticket? {
        if inside.remove(ticket) == nil {
            deadlines[ticket] = nil
            tidy()
            return nil
        }
        return admitNext()
    }

    /// Hands the place to whoever has waited longest, if there is one.
    private mutating func admitNext() -> Ticket? {
        guard inside.count < configuration.maxConcurrentCalls else { return nil }
        while let next = line.popFirst() {
            guard deadlines.removeValue(forKey: next) != nil else { continue }
            inside.insert(next)
            return next
        }
        return nil
    }

    /// Until when a ticket waits; nil if it does not.
    public func deadline(of ticket: Ticket) -> LabTime? { deadlines[ticket] }

    /// When somebody has waited too long; distant if nobody waits.
    public var nextDeadline: LabTime {
        for offset in 0..<line.count {
            if let deadline = deadlines[line[offset]] { return deadline }
        }
        return .distantFuture
    }

    /// The next one who has waited too long, and waits no more. Call it until it returns nil.
    public mutating func expire(now: LabTime) -> Ticket? {
        while let first = line.first {
            guard let deadline = deadlines[first] else {
                _ = line.popFirst()
                continue
            }
            guard deadline <= now else { return nil }
            _ = line.popFirst()
            deadlines[first] = nil
            return first
        }
        return nil
    }

    /// Other limits from now on. With more places, call `admitWaiting` until it returns nil.
    public mutating func reconfigure(_ configuration: Configuration) { self.configuration = configuration }
    public mutating func admitWaiting() -> Ticket? { admitNext() }

    /// Waiters that give up at once must not make the line grow: it is packed when most of it has gone.
    private mutating func tidy() {
        guard line.count > 2 * deadlines.count + 16 else { return }
        var packed = RingQueue<Ticket>()
        while let ticket = line.popFirst() { if deadlines[ticket] != nil { packed.append(ticket) } }
        line = packed
    }
}
