import TimeSeriesEngine

/// A series whose samples come from several places: older ones first, and where two have the same time the first one
/// counts.
struct MergedSeries: SampleSource {
    private let parts: [SelectedSeries]

    func read(into column: inout SampleColumn) throws(QueryableError) {
        let first = column.count
        for part in parts { try part.read(into: &column) }
        column.sort(from: first)
    }

    /// - Parameter lists: each in the order of labels, without doubles.
    static func merge(_ lists: [[SelectedSeries]]) -> [SelectedSeries] {
        var byLabels: [Labels: [SelectedSeries]] = [:]
        for list in lists { for series in list { byLabels[series.labels, default: []].append(series) } }
        return byLabels.sorted { $0.key < $1.key }.map { labels, parts in
            parts.count == 1 ? parts[0] : SelectedSeries(labels: labels, source: MergedSeries(parts: parts))
        }
    }
}
