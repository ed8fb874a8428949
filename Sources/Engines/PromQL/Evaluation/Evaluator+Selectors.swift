import TimeSeriesEngine

/// Series and their samples: by moment, and by range.
extension Evaluator {
    /// What moment a selector looks at when the query is at `time`, before its offset.
    func anchor(_ shift: TimeShift, _ time: Int64) -> Int64 {
        switch shift.anchor {
        case nil: time
        case .milliseconds(let milliseconds): TimeGrid.clamped(milliseconds)
        case .start: query.start
        case .end: query.end
        }
    }

    /// As `anchor`, with the offset.
    func reference(_ shift: TimeShift, _ time: Int64) -> Int64 { anchor(shift, time) - shift.offsetMilliseconds }

    private func select(
        _ selector: VectorSelector, _ grid: TimeGrid, before: Int64, range: Int64, function: String
    ) throws(PromQLError) -> [SelectedSeries] {
        var selection = Selection(
            from: reference(selector.shift, grid.start) - before, through: reference(selector.shift, grid.end))
        selection.stepMilliseconds = grid.step
        selection.function = function
        selection.rangeMilliseconds = range
        selection.lookbackMilliseconds = range == 0 ? before : 0
        selection.seriesLimit = limits.series
        do throws(QueryableError) {
            let series = try queryable.select(selector.matchers, selection)
            statistics.seriesSelected += series.count
            return series
        } catch {
            throw PromQLError(error)
        }
    }

    private func read(_ series: SelectedSeries) throws(PromQLError) {
        column.removeAll()
        do throws(QueryableError) {
            try series.read(into: &column)
        } catch {
            throw PromQLError(error)
        }
        try chargeRead()
    }

    /// The last sample of each series at each step, if it is not too old and not followed by the series' end.
    ///
    /// - Parameter asTimestamps: whether the samples' times are wanted instead, in seconds.
    func samples(
        of selector: VectorSelector, _ grid: TimeGrid, asTimestamps: Bool
    ) throws(PromQLError) -> StepMatrix {
        var matrix = StepMatrix(steps: grid.count)
        let lookback = self.lookback
        let series = try select(selector, grid, before: lookback, range: 0, function: asTimestamps ? "timestamp" : "")
        for one in series {
            try read(one)
            if column.count == 0 { continue }
            try charge(rows: 1, steps: grid.count)
            try checkTime(grid.count)
            let labels = asTimestamps ? one.labels.withoutMetricName : one.labels
            let start = matrix.appendRow(labels)
            var next = 0
            var isEmpty = true
            for step in 0..<grid.count {
                let time = reference(selector.shift, grid.time(step))
                while next < column.count, column.timestamps[next] <= time { next += 1 }
                guard next > 0 else { continue }
                let last = next - 1
                let value = column.values[last]
                if column.timestamps[last] < time - lookback || Staleness.isMarker(value) { continue }
                isEmpty = false
                if asTimestamps {
                    matrix.values[start + step] = Double(column.timestamps[last]) / 1000
                } else if !column.histograms.isEmpty, let histogram = column.histograms[last] {
                    matrix.set(histogram, at: start + step)
                } else {
                    matrix.values[start + step] = value
                }
            }
            if isEmpty { matrix.removeLastRow() }
        }
        return matrix
    }

    /// The samples of a selector or a subquery over which the windows of a range function move.
    struct RangeSource {
        let shift: TimeShift
        let rangeMilliseconds: Int64
    }

    /// Calls `body` for every series of a range vector, with its samples without markers of staleness in `column`.
    func forEachSeries(
        of argument: Expression, _ grid: TimeGrid, function: String,
        _ body: (Labels, RangeSource) throws(PromQLError) -> Void
    ) throws(PromQLError) {
        switch argument.unwrapped.node {
        case .range(let selector, let range):
            let source = RangeSource(shift: selector.shift, rangeMilliseconds: range)
            for series in try select(selector, grid, before: range, range: range, function: function) {
                try read(series)
                column.removeMarkers()
                if column.count > 0 { try body(series.labels, source) }
            }
        case .subquery(let subquery):
            let source = RangeSource(shift: subquery.shift, rangeMilliseconds: subquery.rangeMilliseconds)
            let inner = try innerGrid(subquery, grid)
            let matrix = try vectorOrScalar(subquery.inner, inner)
            for row in 0..<matrix.rows {
                column.removeAll()
                for step in 0..<inner.count {
                    let place = row * inner.count + step
                    guard StepMatrix.isPresent(matrix.values[place]) else { continue }
                    if let histogram = matrix.histogram(place) {
                        column.append(inner.time(step), histogram)
                    } else {
                        column.append(inner.time(step), matrix.values[place])
                    }
                }
                try checkTime(column.count)
                if column.count > 0 { try body(matrix.labels[row], source) }
            }
        default: throw PromQLError.execution("expected a range vector")
        }
    }

    private func vectorOrScalar(_ expression: Expression, _ grid: TimeGrid) throws(PromQLError) -> StepMatrix {
        guard grid.count > 0 else { return StepMatrix(steps: 0) }
        return try vector(expression, grid)
    }

    /// When a subquery evaluates what is in it: at whole multiples of its step, whenever the query runs.
    private func innerGrid(_ subquery: Subquery, _ grid: TimeGrid) throws(PromQLError) -> TimeGrid {
        let step = max(1, subquery.stepMilliseconds ?? limits.subqueryStepMilliseconds)
        let from = reference(subquery.shift, grid.start) - subquery.rangeMilliseconds
        let through = reference(subquery.shift, grid.end)
        var start = step * (from / step)
        if start < from { start += step }
        guard start <= through else { return TimeGrid(start: start, step: step, count: 0) }
        let steps = (through - start) / step
        guard steps < Int64(limits.samples) else { throw PromQLError.tooManySamples }
        return TimeGrid(start: start, step: step, count: Int(steps) + 1)
    }

    // MARK: Range vectors as results

    func matrixSeries(of root: Expression, at time: Int64) throws(PromQLError) -> [MatrixSeries] {
        var result: [MatrixSeries] = []
        try forEachSeries(of: root, query, function: "") { labels, source throws(PromQLError) in
            let through = reference(source.shift, time)
            var samples: [MatrixSeries.Sample] = []
            for index in 0..<column.count {
                let timestamp = column.timestamps[index]
                guard timestamp >= through - source.rangeMilliseconds, timestamp <= through else { continue }
                samples.append(
                    MatrixSeries.Sample(
                        timestamp: timestamp, value: column.values[index],
                        histogram: column.histograms.isEmpty ? nil : column.histograms[index]))
            }
            if !samples.isEmpty { result.append(MatrixSeries(labels: labels, samples: samples)) }
        }
        return result.sorted { $0.labels < $1.labels }
    }
}

extension SampleColumn {
    /// Takes the markers of staleness out: ranges do not see them.
    mutating func removeMarkers() {
        guard let first = values.firstIndex(where: Staleness.isMarker) else { return }
        var kept = first
        for index in first..<values.count {
            if Staleness.isMarker(values[index]), histograms.isEmpty || histograms[index] == nil { continue }
            timestamps[kept] = timestamps[index]
            values[kept] = values[index]
            if !histograms.isEmpty { histograms[kept] = histograms[index] }
            kept += 1
        }
        timestamps.removeLast(timestamps.count - kept)
        values.removeLast(values.count - kept)
        if !histograms.isEmpty { histograms.removeLast(histograms.count - kept) }
    }
}
