import TimeSeriesEngine

/// The newest exemplars of all series, a fixed number of them: Prometheus's circular buffer, with its rules.
public struct ExemplarRing: Sendable {
    private var all: [Exemplar] = []
    private var next = 0
    private let limit: Int

    public init(limit: Int = 10_000) { self.limit = max(1, limit) }

    /// Adds an exemplar, in the place of the oldest if there is no room. Left out are the one that its series had last
    /// time, one that is older than that, and one whose labels are longer than OpenMetrics allows.
    ///
    /// - Returns: whether it was added.
    @discardableResult
    public mutating func add(_ exemplar: Exemplar) -> Bool {
        if let last = lastBySeries[exemplar.series] {
            if last == exemplar || last.timestamp > exemplar.timestamp { return false }
        }
        guard exemplar.labelLength <= Exemplar.labelLengthLimit else { return false }
        if lastBySeries.count >= limit { lastBySeries.removeAll() }
        lastBySeries[exemplar.series] = exemplar
        if all.count < limit {
            all.append(exemplar)
        } else {
            all[next] = exemplar
        }
        next = (next + 1) % limit
        return true
    }

    private var lastBySeries: [Labels: Exemplar] = [:]

    public var count: Int { all.count }

    /// All of them, in the order in which they came.
    var inOrder: [Exemplar] { all.count < limit ? all : Array(all[next...] + all[..<next]) }

    /// Those of the series that satisfy one of the lists of conditions, by series, then in rising order of their times.
    public func select(_ lists: [[LabelMatcher]], _ range: ClosedRange<Int64>) -> [(series: Labels, [Exemplar])] {
        var found: [Labels: [Exemplar]] = [:]
        for exemplar in all where range.contains(exemplar.timestamp) {
            guard lists.contains(where: { $0.allSatisfy { $0.matches(exemplar.series) } }) else { continue }
            found[exemplar.series, default: []].append(exemplar)
        }
        return found.sorted { $0.key < $1.key }.map { key, list in
            (
                key,
                list.enumerated().sorted { ($0.element.timestamp, $0.offset) < ($1.element.timestamp, $1.offset) }.map(
                    \.element)
            )
        }
    }
}

/// An example of what a sample counts: mostly the trace of one request.
public struct Exemplar: Sendable, Equatable {
    public let series: Labels
    public let labels: Labels
    public let value: Double
    /// Milliseconds since 1970.
    public let timestamp: Int64

    /// Characters of all names and values of labels together (OpenMetrics 1.0, exemplars).
    public static let labelLengthLimit = 128

    var labelLength: Int {
        labels.pairs.reduce(0) { $0 + $1.name.unicodeScalars.count + $1.value.unicodeScalars.count }
    }

    public init(series: Labels, labels: Labels, value: Double, timestamp: Int64) {
        self.series = series
        self.labels = labels
        self.value = value
        self.timestamp = timestamp
    }
}
