import KernelJSON
import KernelStructures

/// What an agent and a collector say to each other on the port for lines.
///
/// ```
/// agent      {"sdlab_agent":1,"agent":"5f3a…","host":"web-1"}        the first line of all: I want acknowledgements
/// collector  {"sdlab_collector":1}
/// agent      {"batch":7,"inode":1042,"generation":3,"path":"/var/log/app.log","from":1200,
///             "spans":[98,120],"lengths":[97,119],"times":[0,1703084400000000000]}
///            …as many bytes as the lengths say…
/// collector  {"synced":7}                                             7 and all before are on the disk
///            {"synced":8,"rejected":2,"reason":"…"}
///            {"later":9,"reason":"…"}                                of 9 not all is taken now; others go on
///            {"delayed":"its disk is full"}                          nothing is lost, and nothing stored for now
/// ```
///
/// Whoever does not begin like this (`nc`, `logger`) never hears a word, and has what TCP promises. An agent that has
/// lost its connection sends again what was not acknowledged; where its lines came from tells the collector which of
/// them it has.
///
/// A batch of which a line can only be taken later (its stream has had too much) is put off, if the agent has said
/// `"later":true` in its first line; without that, all of the connection waits. So are the batches of the same file
/// that are on their way behind it, or what lies between them would be taken for something that is there. The agent
/// sends them again after a while, the first of them with `"again":true`.
///
/// `times` says when the agent read the lines, as pairs: from which line on, and when; each further line is a
/// nanosecond later, so that lines of one file have an order among streams. A line that says no time of its own has
/// that one, however long it was on its way. An agent that has said `"delays":true` is told every few seconds
/// why nothing is acknowledged, if the collector knows: it keeps the connection, and what is on it.
public enum AgentProtocol {
    public static let version = 1
    /// Bytes of a line of the protocol itself.
    public static let headLimitBytes = 1 << 20
    /// Bytes of one batch's lines; an agent's own limit is far below.
    public static let batchLimitBytes = 8 << 20
    /// Batches that may be on their way without an acknowledgement.
    public static let windowBatches = 4

    /// No place in a file and no number of a file is above that: whoever counts on from there overflows nothing, and
    /// what is written down can be read again (`RawRecordReader`).
    public static let numberLimit = 1 << 47

    /// The first line.
    public struct Hello: Equatable, Sendable {
        public let agent: String
        public let host: String
        /// Whether batches may be put off.
        public let takesLater: Bool
        /// Whether it wants to be told why nothing is acknowledged.
        public let takesDelays: Bool

        public init(agent: String, host: String, takesLater: Bool = false, takesDelays: Bool = false) {
            self.agent = agent
            self.host = host
            self.takesLater = takesLater
            self.takesDelays = takesDelays
        }

        public var text: String {
            var members: [(key: String, value: JSONValue)] = [
                ("sdlab_agent", .integer(AgentProtocol.version)), ("agent", .string(agent)), ("host", .string(host)),
            ]
            if takesLater { members.append(("later", .bool(true))) }
            if takesDelays { members.append(("delays", .bool(true))) }
            return JSONValue.object(members).text + "\n"
        }

        /// Nil for a line that is none.
        public init?(_ line: UnsafeRawBufferPointer) {
            guard line.count <= 4096, let value = try? JSONValue(parsing: line) else { return nil }
            let cursor = JSONCursor(value)
            guard (try? cursor["sdlab_agent"].integer()) == AgentProtocol.version,
                let agent = try? cursor["agent"].string(), !agent.isEmpty, agent.utf8.count <= 64,
                let host = try? cursor["host"].string(), host.utf8.count <= 255
            else { return nil }
            self.init(
                agent: agent, host: host, takesLater: value["later"] == .bool(true),
                takesDelays: value["delays"] == .bool(true))
        }
    }

    /// What stands before the lines of a batch.
    public struct BatchHead: Equatable, Sendable {
        /// Rises by one from batch to batch of a connection.
        public var number = 0
        public var inode: UInt64 = 0
        public var generation = 0
        public var path = ""
        /// Where the first line begins in the file.
        public var from = 0
        /// Bytes that each line takes in the file, its end included.
        public var spans: [Int] = []
        /// Bytes of each line as it is sent.
        public var lengths: [Int] = []
        /// When they were read, the first line first; empty where that is not said.
        public var times: [ReadTime] = []
        /// It was put off, and no batch of its file is on its way before it.
        public var isAgain = false

        public init() {}

        public var byteCount: Int { lengths.reduce(0, +) }

        public var text: String {
            var members: [(key: String, value: JSONValue)] = [
                ("batch", .integer(number)), ("inode", .string(String(inode))), ("generation", .integer(generation)),
                ("path", .string(path)), ("from", .integer(from)),
                ("spans", .array(spans.map { .integer($0) })), ("lengths", .array(lengths.map { .integer($0) })),
            ]
            if !times.isEmpty {
                let pairs = times.flatMap { [JSONValue.integer($0.line), .integer(Int($0.nanoseconds))] }
                members.append(("times", .array(pairs)))
            }
            if isAgain { members.append(("again", .bool(true))) }
            return JSONValue.object(members).text + "\n"
        }

        /// - Throws: `JSONError`, `JSONTypeError`.
        public init(_ line: UnsafeRawBufferPointer) throws {
            let limits = JSONLimits(bytes: AgentProtocol.headLimitBytes, depth: 4, values: 200_000)
            let cursor = JSONCursor(try JSONValue(parsing: line, limits: limits))
            number = try cursor["batch"].integer(in: 0...Int.max - 1)
            guard let inode = UInt64(try cursor["inode"].string()) else { throw cursor["inode"].error("not a number") }
            self.inode = inode
            generation = try cursor["generation"].integer(in: 0...AgentProtocol.numberLimit)
            path = try cursor["path"].string()
            from = try cursor["from"].integer(in: 0...AgentProtocol.numberLimit)
            isAgain = cursor.value?["again"] == .bool(true)
            spans = try Self.numbers(cursor["spans"])
            lengths = try Self.numbers(cursor["lengths"])
            guard spans.count == lengths.count else {
                throw cursor["lengths"].error("not as many as there are spans")
            }
            if let pairs = cursor["times"].ifPresent { times = try Self.times(pairs) }
            guard byteCount <= AgentProtocol.batchLimitBytes else {
                throw cursor["lengths"].error("more than \(AgentProtocol.batchLimitBytes) bytes in a batch")
            }
        }

        private static func times(_ cursor: JSONCursor) throws -> [ReadTime] {
            let numbers = try cursor.array().map { try $0.integer(in: 0...1 << 62) }
            guard numbers.count.isMultiple(of: 2) else { throw cursor.error("pairs of a line and a time are expected") }
            let times = stride(from: 0, to: numbers.count, by: 2).map {
                ReadTime(line: numbers[$0], nanoseconds: Int64(numbers[$0 + 1]))
            }
            guard zip(times, times.dropFirst()).allSatisfy({ $0.line < $1.line }) else {
                throw cursor.error("lines in rising order are expected")
            }
            return times
        }

        private static func numbers(_ cursor: JSONCursor) throws -> [Int] {
            try cursor.array().map { try $0.integer(in: 0...AgentProtocol.batchLimitBytes) }
        }
    }

    /// From a line of a batch on, the lines were read at that time, and one a nanosecond.
    public struct ReadTime: Equatable, Sendable {
        public let line: Int
        /// Since 1970, by the agent's clock.
        public let nanoseconds: Int64

        public init(line: Int, nanoseconds: Int64) {
            self.line = line
            self.nanoseconds = nanoseconds
        }

        /// Of a line of the batch that is not before its own.
        public func time(ofLine number: Int) -> Int64 { nanoseconds &+ Int64(number &- line) }
    }

    /// All batches up to a number are durable, or will never be taken.
    public struct Acknowledgement: Equatable, Sendable {
        public let number: Int
        /// Lines of the batches since the last acknowledgement that were refused for ever, and why the first one was.
        public let rejected: Int
        public let reason: String

        public init(number: Int, rejected: Int = 0, reason: String = "") {
            self.number = number
            self.rejected = rejected
            self.reason = reason
        }

        public var text: String {
            var members: [(key: String, value: JSONValue)] = [("synced", .integer(number))]
            if rejected > 0 { members += [("rejected", .integer(rejected)), ("reason", .string(reason))] }
            return JSONValue.object(members).text + "\n"
        }

        public init?(_ line: UnsafeRawBufferPointer) {
            guard line.count <= 65_536, let value = try? JSONValue(parsing: line) else { return nil }
            let cursor = JSONCursor(value)
            guard let number = try? cursor["synced"].integer(in: 0...Int.max - 1) else { return nil }
            self.init(
                number: number, rejected: (try? cursor["rejected"].integer(in: 0...Int.max)) ?? 0,
                reason: (try? cursor["reason"].string()) ?? "")
        }
    }

    /// A batch is not taken now, or not all of it: it is to be sent again, later.
    public struct Later: Equatable, Sendable {
        public let number: Int
        public let reason: String

        public init(number: Int, reason: String) {
            self.number = number
            self.reason = reason
        }

        public var text: String {
            JSONValue.object([("later", .integer(number)), ("reason", .string(reason))]).text + "\n"
        }

        public init?(_ line: UnsafeRawBufferPointer) {
            guard line.count <= 65_536, let value = try? JSONValue(parsing: line) else { return nil }
            let cursor = JSONCursor(value)
            guard let number = try? cursor["later"].integer(in: 0...Int.max - 1) else { return nil }
            self.init(number: number, reason: (try? cursor["reason"].string()) ?? "")
        }
    }

    /// Nothing can be acknowledged for now; what was sent is not lost.
    public struct Delay: Equatable, Sendable {
        /// In words that go on behind "the collector stores nothing for now: ".
        public let reason: String

        public init(reason: String) { self.reason = reason }

        public var text: String { JSONValue.object([("delayed", .string(reason))]).text + "\n" }

        public init?(_ line: UnsafeRawBufferPointer) {
            guard line.count <= 65_536, let value = try? JSONValue(parsing: line),
                let reason = try? JSONCursor(value)["delayed"].string()
            else { return nil }
            self.init(reason: reason)
        }
    }

    /// The collector's first line.
    public static let welcome = "{\"sdlab_collector\":1}\n"

    public static func isWelcome(_ line: UnsafeRawBufferPointer) -> Bool {
        guard line.count <= 4096, let value = try? JSONValue(parsing: line) else { return false }
        return (try? JSONCursor(value)["sdlab_collector"].integer()) == version
    }
}
