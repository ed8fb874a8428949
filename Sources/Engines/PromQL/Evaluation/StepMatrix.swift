import TimeSeriesEngine

/// The moments at which a query, or a subquery within it, is evaluated.
struct TimeGrid: Sendable {
    /// Milliseconds since 1970.
    let start: Int64
    let step: Int64
    let count: Int

    func time(_ index: Int) -> Int64 { start &+ step &* Int64(index) }

    var end: Int64 { count == 0 ? start : self.time(count - 1) }

    /// No sum of a time, of offsets and of ranges as deep as expressions go leaves 64 bits from here.
    static func clamped(_ time: Int64) -> Int64 { min(max(time, -(1 << 60)), 1 << 60) }
}

/// All series of a part of a query at all steps: one row a series, one column a step.
///
/// Where a series has nothing stands the marker of staleness. No calculation gives it: it is a signalling NaN, and
/// arithmetic makes those quiet; selectors and ranges leave it out.
struct StepMatrix {
    let steps: Int
    var labels: [Labels] = []
    /// Row by row.
    var values: [Double] = []
    /// As many as values, nil where there is a float or nothing; empty if there is no histogram anywhere.
    var histograms: [NativeHistogram?] = []

    static let absent = Staleness.marker

    init(steps: Int) { self.steps = steps }

    var rows: Int { labels.count }
    var hasHistograms: Bool { !histograms.isEmpty }

    @inline(__always)
    static func isPresent(_ value: Double) -> Bool { !Staleness.isMarker(value) }

    func histogram(_ place: Int) -> NativeHistogram? { histograms.isEmpty ? nil : histograms[place] }

    /// - Returns: the place of its first value.
    mutating func appendRow(_ labels: Labels) -> Int {
        self.labels.append(labels)
        let place = values.count
        values.append(contentsOf: repeatElement(Self.absent, count: steps))
        if hasHistograms { histograms.append(contentsOf: repeatElement(nil, count: steps)) }
        return place
    }

    mutating func removeLastRow() {
        labels.removeLast()
        values.removeLast(steps)
        if hasHistograms { histograms.removeLast(steps) }
    }

    mutating func set(_ histogram: NativeHistogram, at place: Int) {
        if histograms.isEmpty { histograms = Array(repeating: nil, count: values.count) }
        histograms[place] = histogram
        values[place] = 0
    }

    func isRowEmpty(_ row: Int) -> Bool {
        !values[row * steps..<(row + 1) * steps].contains(where: Self.isPresent)
    }

    /// Whether two rows have the same labels.
    var hasSameLabels: Bool {
        if rows < 2 { return false }
        var seen = Set<Labels>(minimumCapacity: rows)
        for labels in labels where !seen.insert(labels).inserted { return true }
        return false
    }

    /// A matrix of one step, repeated for each of `steps`.
    func broadcast(to steps: Int) -> StepMatrix {
        var wide = StepMatrix(steps: steps)
        wide.labels = labels
        wide.values.reserveCapacity(values.count * steps)
        for value in values { wide.values.append(contentsOf: repeatElement(value, count: steps)) }
        if hasHistograms {
            for histogram in histograms { wide.histograms.append(contentsOf: repeatElement(histogram, count: steps)) }
        }
        return wide
    }
}

/// Collects results under their labels: rows that turn out to have the same ones become one, as long as they are not
/// there at the same step.
struct MatrixCollector {
    private(set) var matrix: StepMatrix
    private var places: [Labels: Int] = [:]

    init(steps: Int) { matrix = StepMatrix(steps: steps) }

    /// The place of the row's first value.
    mutating func row(_ labels: Labels) -> Int {
        if let place = places[labels] { return place }
        let place = matrix.appendRow(labels)
        places[labels] = place
        return place
    }

    @inline(__always)
    mutating func put(_ value: Double, at place: Int) throws(PromQLError) {
        guard !StepMatrix.isPresent(matrix.values[place]) else { throw PromQLError.sameLabels }
        matrix.values[place] = value
    }

    mutating func put(_ histogram: NativeHistogram, at place: Int) throws(PromQLError) {
        guard !StepMatrix.isPresent(matrix.values[place]) else { throw PromQLError.sameLabels }
        matrix.set(histogram, at: place)
    }

    func isTaken(_ place: Int) -> Bool { StepMatrix.isPresent(matrix.values[place]) }

    /// Takes what `source` has at a place.
    mutating func copy(_ source: StepMatrix, _ from: Int, to place: Int) throws(PromQLError) {
        if let histogram = source.histogram(from) {
            try put(histogram, at: place)
        } else {
            try put(source.values[from], at: place)
        }
    }
}
