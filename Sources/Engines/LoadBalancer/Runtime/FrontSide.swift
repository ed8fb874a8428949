import KernelStructures

/// What the engine does not know and the runtime API shows: the clients' side of the balancer, at one moment.
public struct FrontSide: Sendable {
    /// The node's name: that of the one proxy there is, frontend and backend in one.
    public var name: String
    public var port: UInt16
    public var startedAt: LabTime
    /// Stands in for the number of a process: a node has none.
    public var nodeNumber = 1
    /// What waits for a time to come, in the node's whole world.
    public var timers = 0
    public var isStopping = false
    public var state = State.open
    /// Clients' connections at a time; nil: any number.
    public var connectionLimit: Int?
    public var open = 0
    public var openMax = 0
    public var connections = 0
    public var connectionRate = 0
    public var connectionRateMax = 0
    /// Answers to clients by the first digit of their status, 1…5, the balancer's own included.
    public var answers = SIMD8<Int>(repeating: 0)
    /// Those of them to requests that could not be read, so that no server was ever asked.
    public var rejections = SIMD8<Int>(repeating: 0)
    public var bytesIn = 0
    public var bytesOut = 0
    /// Connections to each server that are open and unused, by slot.
    public var idle: [Int] = []
    public var sessions: [Session] = []
    public var badRequest: BadMessage?
    public var badResponse: BadMessage?

    /// Whether clients can come, in HAProxy's words.
    public enum State: String, Sendable {
        case open = "OPEN"
        /// It has given its places up, and can take them again.
        case paused = "PAUSED"
        /// For good.
        case stopped = "STOP"
    }

    /// A client's connection.
    public struct Session: Sendable {
        public let number: UInt64
        public let source: Endpoint
        public let began: LabTime
        /// The slot of the server that works for it.
        public let server: Int?
        public let phase: String
        public let requests: Int
        public let bytesIn: Int
        public let bytesOut: Int

        package init(
            number: UInt64, source: Endpoint, began: LabTime, server: Int?, phase: String, requests: Int, bytesIn: Int,
            bytesOut: Int
        ) {
            self.number = number
            self.source = source
            self.began = began
            self.server = server
            self.phase = phase
            self.requests = requests
            self.bytesIn = bytesIn
            self.bytesOut = bytesOut
        }
    }

    /// A request or response that could not be understood.
    public struct BadMessage: Sendable {
        /// Counts them, requests and responses together.
        public let number: Int
        public let time: LabTime
        public let source: String
        /// The name of the server that it is from.
        public let server: String?
        public let reason: String
        /// The beginning of the bytes that were looked at when the fault was found.
        public let bytes: [UInt8]
    }

    public init(name: String, port: UInt16, startedAt: LabTime) {
        self.name = name
        self.port = port
        self.startedAt = startedAt
    }
}

/// The last of each, and how many there were.
package struct BadMessages {
    package private(set) var count = 0
    package private(set) var request: FrontSide.BadMessage?
    package private(set) var response: FrontSide.BadMessage?

    package init() {}

    package mutating func noteRequest(from source: Endpoint, _ reason: String, _ bytes: [UInt8], now: LabTime) {
        count += 1
        request = .init(
            number: count - 1, time: now, source: "\(source)", server: nil, reason: reason, bytes: bytes)
    }

    package mutating func noteResponse(
        from server: String, at source: String, _ reason: String, _ bytes: [UInt8], now: LabTime
    ) {
        count += 1
        response = .init(
            number: count - 1, time: now, source: source, server: server, reason: reason, bytes: bytes)
    }
}
