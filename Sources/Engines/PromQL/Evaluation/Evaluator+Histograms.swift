import TimeSeriesEngine

/// `histogram_quantile` and `histogram_fraction`.
extension Evaluator {
    /// The buckets of one classic histogram, the lowest first, with their rows.
    private struct Family {
        let labels: Labels
        var buckets: [(bound: Double, row: Int)] = []
    }

    func histogramQuantile(_ quantiles: [Double], _ source: StepMatrix) throws(PromQLError) -> StepMatrix {
        let families = families(source)
        var collector = MatrixCollector(steps: source.steps)
        // A step at which a name has buckets and a native histogram says nothing.
        var native: [Labels: Int] = [:]
        if source.hasHistograms {
            for row in 0..<source.rows { native[source.labels[row].withoutMetricName] = row }
            for row in 0..<source.rows {
                for step in 0..<source.steps {
                    guard let histogram = source.histogram(row * source.steps + step) else { continue }
                    let labels = source.labels[row].withoutMetricName
                    if let family = families[labels], isAny(family, source, step) { continue }
                    try collector.put(histogram.quantile(quantiles[step]), at: collector.row(labels) + step)
                }
            }
        }
        var buckets: [ClassicHistogram.Bucket] = []
        for family in families.inOrder {
            var place: Int?
            for step in 0..<source.steps {
                buckets.removeAll(keepingCapacity: true)
                for (bound, row) in family.buckets {
                    let value = source.values[row * source.steps + step]
                    guard StepMatrix.isPresent(value), source.histogram(row * source.steps + step) == nil else {
                        continue
                    }
                    buckets.append(ClassicHistogram.Bucket(upperBound: bound, count: value))
                }
                if buckets.isEmpty { continue }
                if let row = native[family.labels], source.histogram(row * source.steps + step) != nil { continue }
                let target = place ?? collector.row(family.labels)
                place = target
                try collector.put(ClassicHistogram.quantile(quantiles[step], buckets), at: target + step)
            }
            try checkTime(source.steps * family.buckets.count)
        }
        return collector.matrix
    }

    private func isAny(_ family: Family, _ source: StepMatrix, _ step: Int) -> Bool {
        family.buckets.contains { StepMatrix.isPresent(source.values[$0.row * source.steps + step]) }
    }

    /// Families by their labels, in the order in which they turn up.
    private struct Families {
        var inOrder: [Family] = []
        var places: [Labels: Int] = [:]

        subscript(labels: Labels) -> Family? { places[labels].map { inOrder[$0] } }
    }

    private func families(_ source: StepMatrix) -> Families {
        var families = Families()
        let le = Array("le".utf8)
        let name = Array(Labels.metricNameLabel.utf8)
        for row in 0..<source.rows {
            let labels = source.labels[row]
            guard labels.has("le"), let bound = ClassicHistogram.bound(labels["le"]) else { continue }
            let key = labels.filter { !$0.elementsEqual(le) && !$0.elementsEqual(name) }
            if families.places[key] == nil {
                families.places[key] = families.inOrder.count
                families.inOrder.append(Family(labels: key))
            }
            if let place = families.places[key] { families.inOrder[place].buckets.append((bound, row)) }
        }
        for place in families.inOrder.indices {
            families.inOrder[place].buckets.sort { $0.bound.isNaN ? !$1.bound.isNaN : $0.bound < $1.bound }
        }
        return families
    }

    func histogramFraction(
        _ lower: [Double], _ upper: [Double], _ source: StepMatrix
    ) throws(PromQLError) -> StepMatrix {
        try mapped(source) { place, step in
            source.histogram(place)?.fraction(from: lower[step], to: upper[step])
        }
    }
}
