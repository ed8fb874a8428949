import KernelHosting
import KernelJSON
import KernelStructures
import KernelWorld
import LogModelEngine
import LogQLEngine
import TimeSeriesEngine

/// Somebody who is told of lines as they come in, over a WebSocket.
///
/// Between the store and the client lies a queue with an end. What does not fit is dropped and told (`dropped_entries`)
/// as soon as the client takes something again; a client that takes nothing for half a minute is sent away. So is one
/// that does not answer pings, though nothing is to be sent to it, and one that has ended its half of the connection:
/// nobody who is gone stays in the list for longer than two pings. Whoever writes logs notices nothing of all that.
final class LogTail {
    /// Nil while what was there before is still being looked for.
    private var socket: WebSocketConnection?
    private let tail: LogQLTail
    private let node: Node
    /// Gone when the node was killed while somebody followed.
    private weak var api: LogQueryAPI?
    private var following: (any LogFollowing)?
    private var queue: [LogQLEntry] = []
    private(set) var queueBytes = 0
    private var dropped: [(labels: Labels, timestamp: Int64)] = []
    private var droppedBytes = 0
    private(set) var droppedCount = 0
    private var stuckTimer: TimerID?

    static let queueLimit = 5_000
    /// Of lines and their labels.
    static let queueLimitBytes = 2 << 20
    /// Of dropped lines that are named; of their labels.
    static let droppedLimit = 1_000
    static let droppedLimitBytes = 64 << 10
    static let stuckLimit = LabDuration.seconds(30)
    static let pingInterval = LabDuration.seconds(15)
    /// Of one message, before JSON makes it longer, at most six times: many clients take no more than a mebibyte.
    static let messageLimitBytes = 128 << 10

    /// Follows from now on: what comes is kept until there is somebody to send it to.
    init(_ source: any LogSource, _ tail: LogQLTail, _ api: LogQueryAPI) {
        self.tail = tail
        self.api = api
        node = api.node
        following = source.follow(tail.matchers) { [weak self] block in
            guard let self else { return }
            take(tail.entries(of: block))
        }
    }

    /// The client may have gone while what was there before was looked for.
    deinit { following?.cancel() }

    /// Begins to send.
    ///
    /// - Parameter history: what was there before, the oldest first. A line that came in meanwhile may stand there as
    ///   well as in what was kept: it is sent once.
    func start(_ socket: WebSocketConnection, history: [LogQLEntry]) {
        self.socket = socket
        socket.onDrained = { [weak self] in self?.flush() }
        socket.onClosed = { [weak self] _, _ in self?.ended() }
        var kept: [LogQLEntry: Int] = [:]
        for entry in queue { kept[entry, default: 0] += 1 }
        let news = queue
        queue = []
        queueBytes = 0
        take(
            history.filter { entry in
                guard let count = kept[entry], count > 0 else { return true }
                kept[entry] = count - 1
                return false
            } + news)
    }

    private func take(_ entries: [LogQLEntry]) {
        for entry in entries {
            if queue.count >= Self.queueLimit || queueBytes + entry.byteCount > Self.queueLimitBytes {
                droppedCount += 1
                note(dropped: entry)
            } else {
                queue.append(entry)
                queueBytes += entry.byteCount
            }
        }
        flush()
    }

    private func note(dropped entry: LogQLEntry) {
        let bytes = entry.labels.bytes.count
        guard dropped.count < Self.droppedLimit, droppedBytes + bytes <= Self.droppedLimitBytes else { return }
        dropped.append((entry.labels, entry.timestamp))
        droppedBytes += bytes
    }

    /// Sends message after message while the client takes them.
    private func flush() {
        while let socket, socket.isOpen {
            if socket.isCongested { return watch() }
            node.cancel(stuckTimer)
            stuckTimer = nil
            guard !queue.isEmpty || !dropped.isEmpty else { return }
            let lost = dropped
            dropped = []
            droppedBytes = 0
            socket.send(Self.text(nextMessage(), lost))
        }
    }

    /// Takes what fits into a message, and one line in any case.
    private func nextMessage() -> [LogQLEntry] {
        var bytes = 0
        let count = queue.firstIndex { entry in
            bytes += entry.byteCount
            return bytes > Self.messageLimitBytes
        }
        let entries = Array(queue.prefix(count.map { max(1, $0) } ?? queue.count))
        queue.removeFirst(entries.count)
        queueBytes -= entries.reduce(0) { $0 + $1.byteCount }
        return entries
    }

    /// From when on nothing is taken.
    private func watch() {
        guard stuckTimer == nil else { return }
        stuckTimer = node.after(Self.stuckLimit) { [weak self] in
            guard let self else { return }
            stuckTimer = nil
            close("lines come faster than they are taken")
        }
    }

    private static func text(_ entries: [LogQLEntry], _ lost: [(labels: Labels, timestamp: Int64)]) -> String {
        var out = Array("{".utf8)
        if entries.first?.parts != nil { out += LokiAnswer.encodingFlags.utf8 }
        out += "\"streams\":[".utf8
        for (index, stream) in LokiAnswer.streams(entries).enumerated() {
            if index > 0 { out += ",".utf8 }
            LokiAnswer.write(stream, to: &out)
        }
        out += "]".utf8
        if !lost.isEmpty {
            out += ",\"dropped_entries\":".utf8
            JSONValue.array(
                lost.map { ["labels": $0.labels.json, "timestamp": .string(String($0.timestamp))] }
            ).write(to: &out)
        }
        out += "}".utf8
        return String(decoding: out, as: UTF8.self)
    }

    func close(_ reason: String) {
        following?.cancel()
        following = nil
        socket?.close(.goingAway, reason)
    }

    private func ended() {
        following?.cancel()
        following = nil
        node.cancel(stuckTimer)
        stuckTimer = nil
        api?.remove(self)
    }
}

extension LogQLEntry {
    /// What it takes to keep it, its labels included.
    fileprivate var byteCount: Int {
        line.count + labels.bytes.count + (parts.map { $0.metadata.bytes.count + $0.parsed.bytes.count } ?? 0)
    }
}

extension LogQueryAPI {
    /// `query`, and `limit` lines since `start` to begin with.
    func tail(_ request: LokiRequest, _ exchange: HTTPExchange) throws {
        let expression = try request.expression()
        let tail = try LogQLTail(expression, isCategorized: request.isCategorized)
        guard tails.count < tailLimit else {
            throw LokiProblem(
                429, "max concurrent tail requests limit exceeded, count > limit (\(tails.count + 1) > \(tailLimit))")
        }
        let source = try source()
        var asked = LogQLRequest(
            from: try request.moment("start") ?? request.now - 3_600_000_000_000, through: request.now + 1)
        asked.limit = min(try request.integer("limit", 0...Int.max) ?? 100, LogTail.queueLimit)
        asked.isCategorized = request.isCategorized
        // First of all, so that no line falls between what was there and what comes.
        let follower = LogTail(source, tail, self)
        guard asked.limit > 0, asked.from < asked.through else { return begin(follower, [], exchange) }
        // What was there before may be long to find.
        let run = try LogQLRun(expression, over: source, asked, limits: limits)
        try inSlices(exchange, { try run.advance(lines: Self.linesOfSlice) }) { [weak self] result in
            guard case .lines(let lines) = result.value else { return }
            self?.begin(follower, lines.reversed(), exchange)
        }
    }

    private func begin(_ follower: LogTail, _ history: [LogQLEntry], _ exchange: HTTPExchange) {
        var options = WebSocketConnection.Options()
        options.pingInterval = LogTail.pingInterval
        options.unsentLimitBytes = 16 << 20
        guard let socket = exchange.webSocket(options: options) else { return }
        add(follower)
        follower.start(socket, history: history)
    }
}
