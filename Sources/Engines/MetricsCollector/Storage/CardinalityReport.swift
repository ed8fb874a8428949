import TimeSeriesEngine

/// What takes the room: which metrics, labels and values have the most series (`/api/v1/status/tsdb`).
public struct CardinalityReport: Sendable, Equatable {
    public struct Row: Sendable, Equatable {
        public let name: String
        public let count: Int
    }

    public var seriesCount = 0
    public var chunkCount = 0
    public var sampleCount = 0
    public var labelPairCount = 0
    /// Of packed samples.
    public var chunkBytes = 0
    public var firstTime: Int64?
    public var lastTime: Int64?
    public var seriesByMetric: [Row] = []
    public var valuesByLabel: [Row] = []
    public var bytesByLabel: [Row] = []
    public var seriesByPair: [Row] = []
}

extension TimeSeriesStore {
    /// - Parameter limit: rows of each list, the greatest first, equal ones by name.
    public func cardinality(limit: Int) -> CardinalityReport { head.cardinality(limit: limit) }
}

extension Head {
    func cardinality(limit: Int) -> CardinalityReport {
        var report = CardinalityReport()
        report.seriesCount = series.count
        report.labelPairCount = postings.pairCount
        report.firstTime = firstTime
        report.lastTime = lastTime
        for one in series {
            report.chunkCount += one.chunkCount
            report.sampleCount += one.sampleCount
            report.chunkBytes += one.byteCount
        }
        var metrics: [CardinalityReport.Row] = []
        var values: [CardinalityReport.Row] = []
        var bytes: [CardinalityReport.Row] = []
        var pairs: [CardinalityReport.Row] = []
        for (name, all) in postings.values {
            let text = symbols.text(name)
            values.append(.init(name: text, count: all.count))
            var size = 0
            for value in all {
                let count = postings[name, value].count
                let word = symbols.text(value)
                size += word.utf8.count * count
                pairs.append(.init(name: "\(text)=\(word)", count: count))
                if text == Labels.metricNameLabel { metrics.append(.init(name: word, count: count)) }
            }
            bytes.append(.init(name: text, count: size))
        }
        func top(_ rows: [CardinalityReport.Row]) -> [CardinalityReport.Row] {
            let sorted = rows.sorted { $0.count != $1.count ? $0.count > $1.count : byteOrder($0.name, $1.name) < 0 }
            return Array(sorted.prefix(max(0, limit)))
        }
        report.seriesByMetric = top(metrics)
        report.valuesByLabel = top(values)
        report.bytesByLabel = top(bytes)
        report.seriesByPair = top(pairs)
        return report
    }
}
