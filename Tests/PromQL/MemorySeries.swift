import TimeSeriesEngine

/// A store of a few series that a test writes down.
final class MemorySeries: Queryable {
    private var columns: [Labels: SampleColumn] = [:]
    /// How many series were read: what a query has touched.
    private(set) var reads = 0

    private struct Source: SampleSource {
        let column: SampleColumn
        let from: Int64
        let through: Int64
        let onRead: () -> Void

        func read(into target: inout SampleColumn) throws(QueryableError) {
            onRead()
            for index in 0..<column.count where column.timestamps[index] >= from && column.timestamps[index] <= through
            {
                if !column.histograms.isEmpty, let histogram = column.histograms[index] {
                    target.append(column.timestamps[index], histogram)
                } else {
                    target.append(column.timestamps[index], column.values[index])
                }
            }
        }
    }

    func append(_ labels: Labels, _ timestamp: Int64, _ value: Double) {
        columns[labels, default: SampleColumn()].append(timestamp, value)
    }

    func append(_ labels: Labels, _ timestamp: Int64, _ histogram: NativeHistogram) {
        columns[labels, default: SampleColumn()].append(timestamp, histogram)
    }

    func select(_ matchers: [LabelMatcher], _ selection: Selection) throws(QueryableError) -> [SelectedSeries] {
        let found = columns.keys.filter { labels in matchers.allSatisfy { $0.matches(labels) } }.sorted()
        if found.count > selection.seriesLimit { throw .tooManySeries(limit: selection.seriesLimit) }
        return found.map { labels in
            SelectedSeries(
                labels: labels,
                source: Source(
                    column: columns[labels] ?? SampleColumn(), from: selection.from, through: selection.through
                ) { [self] in reads += 1 })
        }
    }

    /// Loads `name{labels} values…` as Prometheus's test files write it, one value every `step` milliseconds from 0.
    func load(_ line: String, step: Int64) throws {
        let series = try SeriesLine(line)
        for (index, value) in series.values.enumerated() {
            if let value { append(series.labels, Int64(index) * step, value) }
        }
    }

    /// Several lines, empty ones left out.
    static func loading(_ text: String, step: Int64) throws -> MemorySeries {
        let store = MemorySeries()
        for line in text.split(separator: "\n") where !line.allSatisfy(\.isWhitespace) {
            try store.load(String(line), step: step)
        }
        return store
    }
}
