import KernelStructures

/// Why a queue is as long as it is: what comes, what goes, and who holds what since when.
public struct QueueExplanation: Sendable {
    public let queue: String
    public let readyCount: Int
    public let unackedCount: Int
    /// Since when messages have waited without a break; nil: none waits.
    public let backlogSince: LabTime?
    /// Messages in the last second.
    public let arrivalsPerSecond: Int
    public let departuresPerSecond: Int
    public let consumers: [Holder]
    /// What follows from it, in words; the first is the most important.
    public let findings: [String]

    /// A consumer, and what keeps it from taking more.
    public struct Holder: Sendable {
        public let tag: String
        public let channel: String
        public let unackedCount: Int
        /// 0: any number.
        public let prefetchCount: Int
        /// Since when it has had the oldest of those.
        public let oldestSince: LabTime?
        public let obstacle: Obstacle?
    }

    /// What keeps a consumer from taking a message.
    public enum Obstacle: String, Sendable, CaseIterable {
        case prefetch = "has as many as it may have"
        case channel = "its channel has as many as it may have"
        case connection = "its connection does not take what is sent"
        case standby = "stands by: another one is active"
    }
}

extension BrokerConsumer {
    /// What keeps it from taking a message now; nil: nothing.
    var obstacle: QueueExplanation.Obstacle? {
        if let active = queue.singleActiveConsumer, active !== self { return .standby }
        if !channel.canDeliver { return .connection }
        if isAutomatic { return nil }
        if !hasCredit { return .prefetch }
        return channel.hasSharedCredit ? nil : .channel
    }
}

extension Broker {
    public func explain(_ queue: BrokerQueue, now: LabTime) -> QueueExplanation {
        let unacked = unacked(of: queue)
        let holders = queue.consumers.map { consumer in
            QueueExplanation.Holder(
                tag: consumer.tag, channel: consumer.channelName, unackedCount: consumer.unackedCount,
                prefetchCount: consumer.prefetchCount,
                oldestSince: unacked.filter { $0.consumer === consumer }.map(\.deliveredAt).min(),
                obstacle: consumer.obstacle)
        }
        let (arrivals, departures) = (queue.arrivals.rate(now), queue.departures.rate(now))
        return QueueExplanation(
            queue: queue.name, readyCount: queue.readyCount, unackedCount: queue.unackedCount,
            backlogSince: queue.backlogSince, arrivalsPerSecond: arrivals, departuresPerSecond: departures,
            consumers: holders,
            findings: Self.findings(queue, holders, arrivals, departures, now)
                + (queue.isReplicated ? group.map { Self.findings($0.view) } ?? [] : []))
    }

    /// Of the group whose log a replicated queue is in.
    private static func findings(_ view: BrokerGroup.View) -> [String] {
        let leader = view.leader.map { "\(short($0)) leads" } ?? "Nobody leads"
        let missing = view.members.filter { !view.online.contains($0) }.map(short)
        var findings = [
            "\(leader); \(view.online.count) of \(view.members.count) members are there"
                + (missing.isEmpty ? "." : ", and not \(missing.joined(separator: ", ")).")
        ]
        if 2 * view.online.count <= view.members.count {
            findings.append("That is no majority: nothing is confirmed until there is one.")
        }
        for (name, count) in view.behind.sorted(by: { $0.key < $1.key }) {
            findings.append("\(short(name)) lacks the last \(counted(count, "entry", "entries")) of the log.")
        }
        return findings
    }

    /// `localhost:5673` of `rabbit@localhost:5673`
    private static func short(_ name: String) -> String { String(name.trimmingPrefix("rabbit@")) }

    private static func findings(
        _ queue: BrokerQueue, _ holders: [QueueExplanation.Holder], _ arrivals: Int, _ departures: Int, _ now: LabTime
    ) -> [String] {
        var findings: [String] = []
        if queue.readyCount == 0 {
            findings.append(
                queue.unackedCount == 0
                    ? "It is empty."
                    : "Nothing waits; \(counted(queue.unackedCount, "is", "are")) with consumers, unacknowledged.")
        } else if holders.isEmpty {
            findings.append("Nobody consumes it: what comes stays.")
        } else if holders.allSatisfy({ $0.obstacle != nil }) {
            let oldest = holders.compactMap(\.oldestSince).min().map { ", the oldest for \(now - $0)" } ?? ""
            findings.append(
                "No consumer can take any: \(queue.unackedCount) are unacknowledged\(oldest).")
        } else {
            findings.append("Its consumers take what comes, one after the other.")
        }
        if arrivals > departures, queue.readyCount > 0 {
            findings.append("It grows: \(arrivals)/s come, \(departures)/s go.")
        } else if departures > arrivals, queue.readyCount > 0 {
            let seconds = queue.readyCount / max(1, departures - arrivals)
            findings.append(
                "It shrinks: \(arrivals)/s come, \(departures)/s go; empty in about \(LabDuration.seconds(seconds)).")
        }
        if queue.counters.returned > 0 {
            findings.append("\(queue.counters.returned) deliveries were given back.")
        }
        if queue.counters.deadLettered > 0 {
            findings.append("\(queue.counters.deadLettered) went to the dead letters.")
        }
        if queue.isUnreadable {
            findings.append("\(queue.pagedCount) cannot be read from the disk at present; it is tried again.")
        } else if queue.pagedCount > 0 {
            findings.append("\(queue.pagedCount) of those that wait are on the disk only.")
        }
        return findings
    }
}
