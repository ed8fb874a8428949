import KernelStructures
import KernelWorld

/// What the last minute brought to each node, by the journal's messages and connections.
///
/// There is one in a World, and it reads each event once: `watch 1s top` with a thousand nodes looks at what was new in
/// that second, and not at a minute of it.
final class NodeTraffic {
    /// What is known of a node, the oldest first, none of it older than a minute.
    private struct History {
        var requests = RingQueue<LabTime>()
        var answers = RingQueue<(time: LabTime, took: LabDuration)>()
        var connections = RingQueue<LabTime>()
        var failures = RingQueue<LabTime>()
    }

    private struct Way: Hashable {
        let from: String
        let to: String
    }

    struct Row {
        /// Requests in each twelfth of the last minute, oldest first.
        var buckets = [Int](repeating: 0, count: NodeTraffic.bucketCount)
        /// Of the last ten seconds.
        var recent = 0
        var answerTimes: [LabDuration] = []
        var connections = 0
        var failures = 0

        var requestsPerSecond: Double { Double(recent) / 10 }
        var errorPercent: Double? { connections == 0 ? nil : 100 * Double(failures) / Double(connections) }
        /// The time below which 99 of 100 answers came (nearest rank).
        var p99: LabDuration? { Self.p99(of: answerTimes) }

        static func p99(of times: [LabDuration]) -> LabDuration? {
            guard !times.isEmpty else { return nil }
            let sorted = times.sorted()
            return sorted[(sorted.count * 99 + 99) / 100 - 1]
        }
    }

    static let bucketCount = 12
    private static let span = LabDuration.seconds(60)
    private static let recentSpan = LabDuration.seconds(10)
    /// Connections on which an answer is waited for; with more, those that wait are forgotten.
    private static let waitingLimit = 100_000
    /// Events between a request and its answer that are looked at.
    private static let causeLimit = 32
    /// Requests of a node that are kept one by one.
    private static let requestLimit = 200_000

    private var histories: [History] = []
    private var numbers: [String: Int] = [:]
    /// When a request was sent on a connection on which it has not been answered.
    private var waiting: [UInt64: LabTime] = [:]
    /// Those connections, by who asks whom, in the order in which they asked.
    private var asked: [Way: [UInt64]] = [:]
    /// Of connections from outside: what the last piece that was sent there goes back to.
    private var lastOutside: [UInt64: (origin: UInt64, time: LabTime)] = [:]
    private var lastEvent: UInt64 = 0
    private var rows: [Row] = []
    /// What the highest glyph of every node means.
    private(set) var top = 0

    subscript(_ node: String) -> Row { numbers[node].map { rows[$0] } ?? Row() }

    /// Reads what is new.
    func update(from world: World) {
        let journal = world.journal!
        let minute = world.now - Self.span
        var index = Self.firstIndex(in: journal, from: minute)
        if index < journal.events.count {
            let first = journal.events[index].number
            if lastEvent >= first { index += Int(lastEvent - first) + 1 } else if first > lastEvent + 1 { forget() }
        }
        while index < journal.events.count {
            take(journal.events[index], in: journal)
            index += 1
        }
        lastEvent = journal.count
        if waiting.count + lastOutside.count > Self.waitingLimit { forgetWaiting() }
        count(world.now)
    }

    /// Not all that happened since the last time is known: it begins anew.
    private func forget() {
        histories = []
        numbers = [:]
        forgetWaiting()
    }

    private func forgetWaiting() {
        waiting = [:]
        asked = [:]
        lastOutside = [:]
    }

    private func number(of node: String) -> Int {
        if let known = numbers[node] { return known }
        numbers[node] = histories.count
        histories.append(History())
        return histories.count - 1
    }

    private func take(_ event: JournalEvent, in journal: Journal) {
        switch event.body {
        case .message(let connection, let from, let to, _):
            if JournalEvent.isInitiator(connection) {
                takeRequest(on: connection, from, to, event.time)
            } else {
                takeAnswer(event, on: connection, from, to, journal)
            }
        case .connection(let number, let from, let to, let change) where JournalEvent.isInitiator(number):
            let node = self.number(of: to)
            switch change {
            case .opened: histories[node].connections.append(event.time)
            case .refused, .timedOut:
                histories[node].connections.append(event.time)
                histories[node].failures.append(event.time)
            case .reset: histories[node].failures.append(event.time)
            case .finished, .closed: break
            }
            if change != .opened, waiting.removeValue(forKey: number) != nil {
                asked[Way(from: from, to: to)]?.removeAll { $0 == number }
            }
        case .connection(let number, _, _, .closed), .connection(let number, _, _, .reset):
            lastOutside[number] = nil
        default: break
        }
    }

    /// What follows on a connection before its answer belongs to the same request.
    private func takeRequest(on connection: UInt64, _ from: String, _ to: String, _ time: LabTime) {
        guard waiting[connection] == nil else { return }
        waiting[connection] = time
        asked[Way(from: from, to: to), default: []].append(connection)
        noteRequest(to, time)
    }

    private func noteRequest(_ node: String, _ time: LabTime) {
        let node = number(of: node)
        histories[node].requests.append(time)
        if histories[node].requests.count > Self.requestLimit { _ = histories[node].requests.popFirst() }
    }

    /// The two ends of a connection have numbers of their own. So an answer belongs to the request that led to it;
    /// where that cannot be seen, to the oldest one on its way that waits.
    private func takeAnswer(
        _ event: JournalEvent, on own: UInt64, _ from: String, _ to: String, _ journal: Journal
    ) {
        let way = Way(from: to, to: from)
        guard let connection = request(behind: event, on: way, journal) ?? asked[way]?.first else {
            // Programs outside write nothing into the journal: their requests are known by the answers.
            if to == NodeTable.outsideName, isAnother(event, on: own, journal) { noteRequest(from, event.time) }
            return
        }
        // Something more of an answer that has begun.
        guard let since = waiting.removeValue(forKey: connection) else { return }
        asked[way]?.removeAll { $0 == connection }
        if asked[way]?.isEmpty == true { asked[way] = nil }
        histories[number(of: from)].answers.append((event.time, event.time - since))
    }

    /// Whether what is sent outside answers something new: an answer leaves in pieces, its head and its body, all for
    /// one reason.
    private func isAnother(_ event: JournalEvent, on connection: UInt64, _ journal: Journal) -> Bool {
        var origin = event.cause
        for _ in 0..<Self.causeLimit {
            guard let earlier = journal.event(origin), earlier.cause != 0 else { break }
            origin = earlier.cause
        }
        let last = lastOutside.updateValue((origin, event.time), forKey: connection)
        guard let last, last.origin == origin else { return true }
        // Without a reason that is known, what comes at once belongs together.
        return origin == 0 && event.time - last.time > .milliseconds(1)
    }

    /// The connection of the request that led to an event, whether or not it still waits.
    private func request(behind event: JournalEvent, on way: Way, _ journal: Journal) -> UInt64? {
        var cause = event.cause
        for _ in 0..<Self.causeLimit {
            guard let earlier = journal.event(cause) else { return nil }
            if case .message(let connection, let from, let to, _) = earlier.body, from == way.from, to == way.to,
                JournalEvent.isInitiator(connection)
            {
                return connection
            }
            cause = earlier.cause
        }
        return nil
    }

    // MARK: Counting

    private func count(_ now: LabTime) {
        rows = histories.indices.map { row(&histories[$0], now) }
        top = rows.lazy.compactMap { $0.buckets.max() }.max() ?? 0
    }

    private func row(_ history: inout History, _ now: LabTime) -> Row {
        while let first = history.requests.first, now - first > Self.span { _ = history.requests.popFirst() }
        while let first = history.connections.first, now - first > Self.span { _ = history.connections.popFirst() }
        while let first = history.failures.first, now - first > Self.span { _ = history.failures.popFirst() }
        while let first = history.answers.first, now - first.time > Self.recentSpan { _ = history.answers.popFirst() }
        var row = Row()
        for index in 0..<history.requests.count {
            let age = now - history.requests[index]
            let bucket = Int(age.nanoseconds / (Self.span.nanoseconds / Int64(Self.bucketCount)))
            row.buckets[Self.bucketCount - 1 - min(Self.bucketCount - 1, max(0, bucket))] += 1
            if age <= Self.recentSpan { row.recent += 1 }
        }
        row.answerTimes = (0..<history.answers.count).map { history.answers[$0].took }
        row.connections = history.connections.count
        row.failures = history.failures.count
        return row
    }

    /// The first event at or after a time, by halving: events are in the order of their times.
    private static func firstIndex(in journal: Journal, from time: LabTime) -> Int {
        var low = 0
        var high = journal.events.count
        while low < high {
            let middle = (low + high) / 2
            if journal.events[middle].time < time { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
