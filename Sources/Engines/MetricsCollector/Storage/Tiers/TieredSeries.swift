import TimeSeriesEngine

/// A series of which older samples come from thinned copies and newer ones are themselves.
struct TieredSeries: SampleSource {
    /// One after the other in time.
    struct Part {
        let plan: TierPlan.Part
        var series: SelectedSeries?
        /// How many samples are in each of `series`; where that is asked for.
        var counts: SelectedSeries?
        /// The last value of a counter before the samples themselves go on.
        var last: SelectedSeries?
    }

    let parts: [Part]
    let use: TierPlan.Use
    /// When values are wanted: `first`, and every so many milliseconds up to `through`.
    let first: Int64
    let step: Int64
    let through: Int64

    func read(into column: inout SampleColumn) throws(QueryableError) {
        switch use {
        case .moments: try readMoments(into: &column)
        case .ends(.counter): try readCounter(into: &column)
        case .ends: try readEnds(into: &column)
        case .middles(_, let isWeighted): try readMiddles(isWeighted, into: &column)
        }
        column.tierMilliseconds = parts.compactMap { $0.plan.tier?.widthMilliseconds }
    }

    /// Windows by their ends, with what they cost.
    private func windows(
        _ series: SelectedSeries?, _ column: inout SampleColumn
    ) throws(QueryableError) -> [(end: Int64, value: Double)] {
        guard let series else { return [] }
        var own = SampleColumn()
        try series.read(into: &own)
        column.chunksRead += own.chunksRead
        column.bytesRead += own.bytesRead
        return zip(own.timestamps, own.values).map { ($0 + 1, $1) }
    }

    /// Samples themselves; those at or before the last that is there are left out.
    private func samples(
        _ part: Part, _ column: inout SampleColumn, keepsMarkers: Bool = true,
        _ change: (Double) -> Double = { $0 }
    ) throws(QueryableError) {
        guard let series = part.series else { return }
        var own = SampleColumn()
        try series.read(into: &own)
        column.chunksRead += own.chunksRead
        column.bytesRead += own.bytesRead
        for (index, time) in own.timestamps.enumerated() where time > column.timestamps.last ?? .min {
            if !own.histograms.isEmpty, let histogram = own.histograms[index] {
                column.append(time, histogram)
            } else if !Staleness.isMarker(own.values[index]) {
                column.append(time, change(own.values[index]))
            } else if keepsMarkers {
                column.append(time, Staleness.marker)
            }
        }
    }

    /// At each moment of evaluation the value of the last window that was over.
    private func readMoments(into column: inout SampleColumn) throws(QueryableError) {
        var moment = first
        for part in parts {
            guard let tier = part.plan.tier else {
                try samples(part, &column)
                continue
            }
            let windows = try windows(part.series, &column)
            var next = 0
            while moment <= min(part.plan.through, through) {
                while next < windows.count, windows[next].end <= moment { next += 1 }
                if next > 0, windows[next - 1].end > moment - tier.widthMilliseconds {
                    column.append(moment, windows[next - 1].value)
                }
                if step <= 0 {
                    moment = .max
                    break
                }
                moment += step
            }
        }
    }

    private func readEnds(into column: inout SampleColumn) throws(QueryableError) {
        for part in parts {
            if part.plan.tier == nil {
                try samples(part, &column)
            } else {
                for window in try windows(part.series, &column) where window.end > column.timestamps.last ?? .min {
                    column.append(window.end, window.value)
                }
            }
        }
    }

    /// One counter that never falls, over all parts.
    private func readCounter(into column: inout SampleColumn) throws(QueryableError) {
        var total: Double?
        var last: Double?
        for part in parts {
            if part.plan.tier == nil {
                // In the samples themselves it may.
                last = try windows(part.last, &column).last?.value
                var sum = total ?? 0
                try samples(part, &column) { value in
                    if let last { sum += value < last ? value : value - last } else { sum = value }
                    last = value
                    return sum
                }
            } else {
                // Another copy has another beginning.
                var offset: Double?
                for window in try windows(part.series, &column) where window.end > column.timestamps.last ?? .min {
                    let own = offset ?? (total.map { $0 - window.value } ?? 0)
                    offset = own
                    total = own + window.value
                    column.append(window.end, own + window.value)
                }
            }
        }
    }

    private func readMiddles(_ isWeighted: Bool, into column: inout SampleColumn) throws(QueryableError) {
        var weights: [Double] = []
        for part in parts {
            guard let tier = part.plan.tier else {
                try samples(part, &column, keepsMarkers: false)
                continue
            }
            let counts = isWeighted ? try windows(part.counts, &column) : []
            var place = 0
            for window in try windows(part.series, &column) {
                let middle = window.end - tier.widthMilliseconds / 2
                guard middle > column.timestamps.last ?? .min else { continue }
                column.append(middle, window.value)
                guard isWeighted else { continue }
                while place < counts.count, counts[place].end < window.end { place += 1 }
                let isThere = place < counts.count && counts[place].end == window.end
                weights.append(isThere ? counts[place].value : 1)
            }
        }
        guard isWeighted, column.histograms.isEmpty else { return }
        column.weights = weights + Array(repeating: 1, count: max(0, column.count - weights.count))
    }
}
