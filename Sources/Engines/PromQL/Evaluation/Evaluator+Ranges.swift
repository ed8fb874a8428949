import TimeSeriesEngine

/// Functions of ranges: one series after another, windows that move along its samples.
extension Evaluator {
    func ranges(_ function: RangeFunction, _ call: Call, _ grid: TimeGrid) throws(PromQLError) -> StepMatrix {
        // Numbers beside the range come first; what they are at a step counts for all series.
        var numbers: [[Double]] = []
        for (index, argument) in call.arguments.enumerated() where index != function.rangeArgument {
            numbers.append(try scalar(argument, grid))
        }
        var result = StepMatrix(steps: grid.count)
        try forEachSeries(of: call.arguments[function.rangeArgument], grid, function: call.function.name) {
            labels, source throws(PromQLError) in
            try charge(rows: 1, steps: grid.count)
            try checkTime(grid.count)
            if function == .holtWinters { try checkFactors(numbers, source, grid) }
            let place = result.appendRow(function == .lastOverTime ? labels : labels.withoutMetricName)
            if !column.histograms.isEmpty {
                try mixedRange(function, source, grid, into: &result, at: place)
            } else {
                try floatRange(function, numbers, source, grid, into: &result, at: place)
            }
            if result.isRowEmpty(result.rows - 1) { result.removeLastRow() }
        }
        if function != .lastOverTime, result.hasSameLabels { throw PromQLError.sameLabels }
        return result
    }

    /// The factors of `holt_winters` lie between 0 and 1, wherever there is anything to smooth.
    private func checkFactors(
        _ numbers: [[Double]], _ source: RangeSource, _ grid: TimeGrid
    ) throws(PromQLError) {
        var cursor = WindowCursor()
        for step in 0..<grid.count {
            let through = reference(source.shift, grid.time(step))
            cursor.move(column.timestamps, from: through - source.rangeMilliseconds, through: through)
            guard cursor.first < cursor.last else { continue }
            for (index, name) in ["smoothing", "trend"].enumerated() {
                let value = numbers[index][step]
                if value > 0 && value < 1 { continue }
                throw PromQLError.execution(
                    "invalid \(name) factor. Expected: 0 < \(index == 0 ? "sf" : "tf") < 1, got: "
                        + (value.isFinite ? GoFormat.fixed(value, digits: 6) : GoFormat.plain(value)))
            }
        }
    }

    /// Samples of windows between two looks at the time.
    private static let windowWork = 4096

    private func floatRange(
        _ function: RangeFunction, _ numbers: [[Double]], _ source: RangeSource, _ grid: TimeGrid,
        into result: inout StepMatrix, at place: Int
    ) throws(PromQLError) {
        var cursor = WindowCursor()
        var resets = ResetList()
        // Many steps times long windows are more than the samples that were read.
        var work = 0
        let needsResets = function == .rate || function == .increase || function == .resets
        try column.timestamps.withUnsafeBufferPointer { timestamps throws(PromQLError) in
            try column.values.withUnsafeBufferPointer { values throws(PromQLError) in
                if needsResets { resets.find(in: values) }
                for step in 0..<grid.count {
                    let time = grid.time(step)
                    let through = reference(source.shift, time)
                    cursor.move(timestamps, from: through - source.rangeMilliseconds, through: through)
                    guard cursor.first < cursor.last else { continue }
                    work += needsResets ? 1 : cursor.last - cursor.first
                    if work > Self.windowWork {
                        try checkTime(work)
                        work = 0
                    }
                    let window = RangeWindow(
                        timestamps: UnsafeBufferPointer(rebasing: timestamps[cursor.first..<cursor.last]),
                        values: UnsafeBufferPointer(rebasing: values[cursor.first..<cursor.last]),
                        first: cursor.first, from: through - source.rangeMilliseconds, through: through, time: time,
                        rangeMilliseconds: source.rangeMilliseconds,
                        weight: column.weights.isEmpty
                            ? nil : column.weights[cursor.first..<cursor.last].reduce(0, +))
                    let first = numbers.isEmpty ? 0 : numbers[0][step]
                    let second = numbers.count < 2 ? 0 : numbers[1][step]
                    if let value = window.evaluate(function, first, second, &resets) {
                        result.values[place + step] = value
                    }
                }
            }
        }
    }

    /// Where histograms are among the samples.
    private func mixedRange(
        _ function: RangeFunction, _ source: RangeSource, _ grid: TimeGrid, into result: inout StepMatrix, at place: Int
    ) throws(PromQLError) {
        var cursor = WindowCursor()
        for step in 0..<grid.count {
            let through = reference(source.shift, grid.time(step))
            cursor.move(column.timestamps, from: through - source.rangeMilliseconds, through: through)
            guard cursor.first < cursor.last else { continue }
            try checkTime(cursor.last - cursor.first)
            let window = MixedWindow(
                column: column, range: cursor.first..<cursor.last, from: through - source.rangeMilliseconds,
                through: through, rangeMilliseconds: source.rangeMilliseconds)
            switch window.evaluate(function) {
            case nil: break
            case .float(let value): result.values[place + step] = value
            case .histogram(let histogram): result.set(histogram, at: place + step)
            }
        }
    }
}

/// The samples of a window among those of a series; it only ever moves forward.
struct WindowCursor {
    private(set) var first = 0
    /// One behind the last.
    private(set) var last = 0

    /// To all samples in `from...through`.
    @inline(__always)
    mutating func move(_ timestamps: some RandomAccessCollection<Int64>, from: Int64, through: Int64) {
        var index = timestamps.index(timestamps.startIndex, offsetBy: last)
        while index < timestamps.endIndex, timestamps[index] <= through {
            timestamps.formIndex(after: &index)
            last += 1
        }
        index = timestamps.index(timestamps.startIndex, offsetBy: first)
        while first < last, timestamps[index] < from {
            timestamps.formIndex(after: &index)
            first += 1
        }
    }
}

/// Where a series of a counter has begun anew: samples that are smaller than the one before.
///
/// They are rare, so a window's correction is a walk over a few of them instead of over all samples.
struct ResetList {
    /// Places of the smaller sample, in rising order.
    private var places: [Int] = []
    private var next = 0

    mutating func find(in values: UnsafeBufferPointer<Double>) {
        for index in 1..<max(1, values.count) where values[index] < values[index - 1] { places.append(index) }
    }

    /// Those behind the first sample of a window that begins at `first` (which never goes back) and ends before `end`.
    @inline(__always)
    mutating func inside(_ first: Int, _ end: Int) -> ArraySlice<Int> {
        while next < places.count, places[next] <= first { next += 1 }
        var last = next
        while last < places.count, places[last] < end { last += 1 }
        return places[next..<last]
    }
}
