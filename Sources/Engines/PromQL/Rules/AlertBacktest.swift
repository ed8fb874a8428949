import TimeSeriesEngine

/// When an alert would have come, and when it would have gone: its rule, run over what is stored.
///
/// Nobody knows whether "for: 5m" is right until it has woken somebody, or has not. The past is in the store already,
/// so the rule can be tried on it, with its waiting times, in the time of one query. (Asked of Prometheus since 2015,
/// #1154.)
public struct AlertBacktest: Sendable {
    /// One alert from its beginning to its end.
    public struct Episode: Equatable, Sendable {
        public let labels: Labels
        /// When the expression first gave it, in milliseconds since 1970.
        public let pendingAt: Int64
        /// Nil if it went before it had been there for long enough.
        public let firingAt: Int64?
        /// Nil if it was there to the end.
        public let endedAt: Int64?
        /// The largest value that the expression had for it.
        public let peak: Double
    }

    /// In the order of their beginning, then of their labels.
    public private(set) var episodes: [Episode] = []
    /// Moments at which the rule was evaluated.
    public private(set) var evaluations = 0
    public private(set) var statistics = QueryStatistics()

    private static let evaluationLimit: Int64 = 1_000_000
    private static let episodeLimit = 100_000

    /// - Parameters:
    ///   - rule: an alert; of a recording rule nothing comes.
    ///   - intervalMilliseconds: between evaluations.
    /// - Throws: `PromQLError`, as a range query.
    public init(
        _ rule: RuleDefinition, over queryable: any Queryable, from: Int64, through: Int64, intervalMilliseconds: Int64,
        limits: QueryLimits = QueryLimits()
    ) throws(PromQLError) {
        guard case .alerting(let hold, let keep) = rule.kind else { return }
        var book = AlertBook(forMilliseconds: hold, keepFiringForMilliseconds: keep)
        var open: [Labels: OpenEpisode] = [:]
        let step = min(max(1, intervalMilliseconds), 1 << 40)
        // In pieces of as many steps as a query may have; `@ start()` means the piece's.
        var start = TimeGrid.clamped(from)
        let end = TimeGrid.clamped(through)
        guard end < start || (end - start) / step < Self.evaluationLimit else {
            throw PromQLError(.badData, "more than \(Self.evaluationLimit) evaluations; ask about less time")
        }
        while start <= end {
            let last = min(end, start + step * Int64(max(1, min(limits.steps, 5000)) - 1))
            let result = try rule.expression.evaluateRange(
                over: queryable, from: start, through: last, stepMilliseconds: step, limits: limits)
            add(result.statistics)
            guard case .matrix(let series) = result.value else { return }
            var next = Array(repeating: 0, count: series.count)
            var time = start
            while time <= last {
                var findings: [AlertBook.Finding] = []
                for (index, one) in series.enumerated()
                where next[index] < one.samples.count && one.samples[next[index]].timestamp == time {
                    findings.append(
                        AlertBook.Finding(
                            labels: one.labels.withoutMetricName, value: one.samples[next[index]].value))
                    next[index] += 1
                }
                evaluations += 1
                _ = book.update(findings, at: time)
                try follow(book, &open, time)
                time += step
            }
            start = time
        }
        for episode in open.values { episodes.append(episode.closed(at: nil)) }
        episodes.sort { $0.pendingAt != $1.pendingAt ? $0.pendingAt < $1.pendingAt : $0.labels < $1.labels }
    }

    private struct OpenEpisode {
        var alert: Alert
        var peak: Double

        func closed(at time: Int64?) -> Episode {
            Episode(
                labels: alert.labels, pendingAt: alert.activeAt, firingAt: alert.firedAt, endedAt: time, peak: peak)
        }
    }

    private mutating func add(_ other: QueryStatistics) {
        statistics.seriesSelected += other.seriesSelected
        statistics.samplesRead += other.samplesRead
        statistics.chunksRead += other.chunksRead
        statistics.bytesRead += other.bytesRead
        statistics.cells += other.cells
    }

    private mutating func follow(
        _ book: AlertBook, _ open: inout [Labels: OpenEpisode], _ time: Int64
    ) throws(PromQLError) {
        var active: Set<Labels> = []
        for alert in book.alerts where alert.state != .inactive {
            active.insert(alert.labels)
            let peak = open[alert.labels]?.peak ?? alert.value
            open[alert.labels] = OpenEpisode(alert: alert, peak: alert.value > peak ? alert.value : peak)
        }
        for labels in open.keys.sorted() where !active.contains(labels) {
            guard let episode = open.removeValue(forKey: labels) else { continue }
            guard episodes.count < Self.episodeLimit else {
                throw PromQLError.execution("more than \(Self.episodeLimit) alerts; ask about less time")
            }
            episodes.append(episode.closed(at: time))
        }
    }
}
