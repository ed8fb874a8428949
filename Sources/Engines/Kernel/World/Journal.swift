import KernelStructures

/// One thing that happened, when, where, and because of what.
public struct JournalEvent: Sendable {
    /// 1, 2, 3 … in the order of happening.
    public let number: UInt64
    public let time: LabTime
    /// The event that led to this one; 0 when it was the user.
    public let cause: UInt64
    /// The node's name; nil for the lab itself.
    public let node: String?
    public let body: Body

    public enum Body: Sendable {
        case log(LogLine)
        /// A node's life: started, stopped, killed …
        case node(NodeChange)
        case connection(number: UInt64, from: String, to: String, ConnectionChange)
        /// Bytes handed to a connection. `from` and `to` are node names.
        case message(connection: UInt64, from: String, to: String, byteCount: Int)
        /// A datagram; `from` and `to` are node names, or an address that nobody has.
        case datagram(from: String, to: String, byteCount: Int, DatagramChange)
        /// A component's part changed state: a server of a pool, a circuit.
        case state(subject: String, from: String, to: String, reason: String)
        case fault(number: Int, FaultChange, String)
        case command(terminal: Int, String)
        case exit(command: String, status: Int)
        case clock(String)
        /// A piece of a trace that several others begin together with: what is done for it names this as its cause.
        case span(String)
    }

    /// Whether a connection's number is that of the end that asked for it: those are odd. Its other end, where a node
    /// of the lab accepted it, has an even number of its own.
    public static func isInitiator(_ connection: UInt64) -> Bool { connection % 2 == 1 }

    public enum NodeChange: String, Sendable {
        case started, stopped, exited, killed, frozen, thawed, lostPower = "lost power"
    }
    public enum ConnectionChange: String, Sendable {
        case opened, refused, finished, reset, timedOut = "timed out", closed
    }
    public enum DatagramChange: String, Sendable {
        case sent, refused
        /// On the way.
        case lost
        /// The receiver's queue was full, or it was gone.
        case dropped
    }
    public enum FaultChange: String, Sendable { case injected, reverted, expired, exhausted }
}

/// The typed record of all that happened, bounded to the most recent events.
///
/// Nothing is recorded of a kind that nobody asked for: a process of its own keeps no message events, so its hot path
/// pays one comparison.
public final class Journal {
    public let capacity: Int
    /// Whether messages and connections are recorded beside everything else.
    public var recordsTraffic: Bool
    public private(set) var events = RingQueue<JournalEvent>()
    /// The number of the newest event; also how many there were.
    public private(set) var count: UInt64 = 0
    /// What the piece of work that runs right now was caused by; what is recorded meanwhile names it as its cause.
    ///
    /// It is set where a piece of work begins, from the value that came with it, and by nothing that the work does: a
    /// write is not the cause of what the writer does next. Timers, connections and queues carry it along as a value;
    /// a host that lets work wait in a queue of its own keeps it there and brings it back with `withCause`.
    public private(set) var currentCause: UInt64 = 0
    /// Called with each event after it was recorded.
    public var observer: ((JournalEvent) -> Void)?
    unowned let clock: World

    init(clock: World, capacity: Int, recordsTraffic: Bool) {
        self.clock = clock
        self.capacity = capacity
        self.recordsTraffic = recordsTraffic
    }

    /// The event of that number; nil if it is not kept any more, or there was none.
    public func event(_ number: UInt64) -> JournalEvent? {
        guard number <= count, count - number < UInt64(events.count) else { return nil }
        return events[events.count - 1 - Int(count - number)]
    }

    /// Adds an event and returns its number. The oldest event makes room when the journal is full.
    @discardableResult
    public func record(_ body: JournalEvent.Body, node: String? = nil) -> UInt64 {
        count += 1
        let event = JournalEvent(number: count, time: clock.now, cause: currentCause, node: node, body: body)
        if events.count == capacity { _ = events.popFirst() }
        if capacity > 0 { events.append(event) }
        observer?(event)
        return count
    }
}

extension Journal {
    /// All events that are kept, one a line.
    public var text: String { (0..<events.count).map { "\(events[$0])\n" }.joined() }
}

extension JournalEvent: CustomStringConvertible {
    /// One line: number, lab time, node, what happened, and the event that caused it. Equal runs print equal lines.
    public var description: String {
        let place = node.map { " \($0)" } ?? ""
        let reason = cause == 0 ? "" : " <- #\(cause)"
        return "#\(number) \(time)\(place) \(body)\(reason)"
    }
}

extension JournalEvent.Body: CustomStringConvertible {
    public var description: String {
        switch self {
        case .log(let line): line.text
        case .node(let change): change.rawValue
        case .connection(let number, let from, let to, let change):
            "connection \(number) \(from)->\(to) \(change.rawValue)"
        case .message(let connection, let from, let to, let byteCount):
            "message \(from)->\(to) \(byteCount) B on \(connection)"
        case .datagram(let from, let to, let byteCount, let change):
            "datagram \(from)->\(to) \(byteCount) B \(change.rawValue)"
        case .state(let subject, let from, let to, let reason):
            "\(subject): \(from) -> \(to) (\(reason.split { $0.isNewline }.joined(separator: " ")))"
        case .fault(let number, let change, let text): "fault \(number) \(change.rawValue): \(text)"
        case .command(let terminal, let text): "terminal \(terminal) $ \(text)"
        case .exit(let command, let status): "\(command) exited \(status)"
        case .clock(let text): "clock \(text)"
        case .span(let text): "span \(text)"
        }
    }
}

extension Journal {
    /// Runs `body` as a piece of work with its own cause, and comes back to the present one.
    @inline(__always)
    public func withCause(_ cause: UInt64, _ body: () -> Void) {
        let previous = currentCause
        currentCause = cause
        body()
        currentCause = previous
    }
}
