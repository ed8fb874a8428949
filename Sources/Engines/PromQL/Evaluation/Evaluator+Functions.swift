import TimeSeriesEngine

/// Calls of functions.
extension Evaluator {
    func evaluate(_ call: Call, _ grid: TimeGrid) throws(PromQLError) -> Value {
        switch call.function.body {
        case .element(let function): return .vector(try elements(function, call.arguments, grid))
        case .range(let function): return .vector(try ranges(function, call, grid))
        case .special(let special): return try evaluate(special, call, grid)
        }
    }

    private func evaluate(
        _ special: PromQLFunction.Special, _ call: Call, _ grid: TimeGrid
    ) throws(PromQLError) -> Value {
        let arguments = call.arguments
        switch special {
        case .pi: return .scalar(Array(repeating: .pi, count: grid.count))
        case .time: return .scalar((0..<grid.count).map { Double(grid.time($0)) / 1000 })
        case .scalar: return .scalar(onlyValues(of: try vector(arguments[0], grid)))
        case .vector: return .vector(single(try scalar(arguments[0], grid)))
        case .sort, .sortDescending:
            return .vector(sorted(try vector(arguments[0], grid), isDescending: special == .sortDescending))
        case .timestamp: return .vector(try timestamps(arguments[0], grid))
        case .absent: return .vector(try absent(arguments[0], grid))
        case .absentOverTime: return .vector(try absentOverTime(arguments[0], grid))
        case .labelJoin: return .vector(try labelJoin(arguments, grid))
        case .labelReplace: return .vector(try labelReplace(arguments, grid))
        case .histogramQuantile:
            return .vector(try histogramQuantile(try scalar(arguments[0], grid), try vector(arguments[1], grid)))
        case .histogramFraction:
            return .vector(
                try histogramFraction(
                    try scalar(arguments[0], grid), try scalar(arguments[1], grid), try vector(arguments[2], grid)))
        }
    }

    // MARK: Between numbers and vectors

    func single(_ values: [Double]) -> StepMatrix {
        var matrix = StepMatrix(steps: values.count)
        matrix.labels = [Labels()]
        matrix.values = values
        return matrix
    }

    /// The value where there is exactly one series, otherwise NaN.
    private func onlyValues(of matrix: StepMatrix) -> [Double] {
        (0..<matrix.steps).map { step in
            var only: Double?
            for row in 0..<matrix.rows where StepMatrix.isPresent(matrix.values[row * matrix.steps + step]) {
                if only != nil { return .nan }
                only = matrix.values[row * matrix.steps + step]
            }
            return only ?? .nan
        }
    }

    /// Matters at one moment only; a drawing has the order of its labels.
    private func sorted(_ matrix: StepMatrix, isDescending: Bool) -> StepMatrix {
        guard matrix.steps == 1 else { return matrix }
        let order = matrix.values.indices.sorted { left, right in
            let left = matrix.values[left]
            let right = matrix.values[right]
            if right.isNaN { return !left.isNaN }
            return isDescending ? left > right : left < right
        }
        var result = StepMatrix(steps: 1)
        result.labels = order.map { matrix.labels[$0] }
        result.values = order.map { matrix.values[$0] }
        if matrix.hasHistograms { result.histograms = order.map { matrix.histograms[$0] } }
        return result
    }

    private func timestamps(_ argument: Expression, _ grid: TimeGrid) throws(PromQLError) -> StepMatrix {
        if case .selector(let selector) = argument.unwrapped.node {
            let matrix = try samples(of: selector, grid, asTimestamps: true)
            return matrix.hasSameLabels ? try joined(matrix) : matrix
        }
        return try mapped(try vector(argument, grid)) { _, step in Double(grid.time(step)) / 1000 }
    }

    /// Every sample by itself, its metric's name dropped.
    func mapped(
        _ source: StepMatrix, includingHistograms: Bool = true, _ body: (Int, Int) -> Double?
    ) throws(PromQLError) -> StepMatrix {
        var result = StepMatrix(steps: source.steps)
        result.labels = source.labels.map(\.withoutMetricName)
        result.values = source.values
        for row in 0..<source.rows {
            try checkTime(source.steps)
            for step in 0..<source.steps {
                let place = row * source.steps + step
                guard StepMatrix.isPresent(source.values[place]) else { continue }
                let isSkipped = !includingHistograms && source.histogram(place) != nil
                result.values[place] = isSkipped ? StepMatrix.absent : body(place, step) ?? StepMatrix.absent
            }
        }
        return result.hasSameLabels ? try joined(result) : result
    }

    private func elements(
        _ function: ElementFunction, _ arguments: [Expression], _ grid: TimeGrid
    ) throws(PromQLError) -> StepMatrix {
        let source =
            arguments.isEmpty
            ? single((0..<grid.count).map { Double(grid.time($0)) / 1000 }) : try vector(arguments[0], grid)
        let first = arguments.count > 1 ? try scalar(arguments[1], grid) : Array(repeating: 1, count: grid.count)
        let second = arguments.count > 2 ? try scalar(arguments[2], grid) : first
        switch function {
        case .histogramCount: return try mapped(source) { place, _ in source.histogram(place)?.count }
        case .histogramSum: return try mapped(source) { place, _ in source.histogram(place)?.sum }
        default:
            return try mapped(source, includingHistograms: false) { place, step in
                function.apply(source.values[place], first[step], second[step])
            }
        }
    }

    // MARK: Nothing there

    private func absent(_ argument: Expression, _ grid: TimeGrid) throws(PromQLError) -> StepMatrix {
        let matrix = try vector(argument, grid)
        var isThere = Array(repeating: false, count: grid.count)
        for place in matrix.values.indices where StepMatrix.isPresent(matrix.values[place]) {
            isThere[place % matrix.steps] = true
        }
        return absence(of: argument, isThere)
    }

    private func absentOverTime(_ argument: Expression, _ grid: TimeGrid) throws(PromQLError) -> StepMatrix {
        var isThere = Array(repeating: false, count: grid.count)
        try forEachSeries(of: argument, grid, function: "absent_over_time") { _, source throws(PromQLError) in
            var windows = WindowCursor()
            for step in 0..<grid.count {
                let through = reference(source.shift, grid.time(step))
                windows.move(column.timestamps, from: through - source.rangeMilliseconds, through: through)
                if windows.last > windows.first { isThere[step] = true }
            }
        }
        return absence(of: argument, isThere)
    }

    private func absence(of argument: Expression, _ isThere: [Bool]) -> StepMatrix {
        var matrix = StepMatrix(steps: isThere.count)
        let place = matrix.appendRow(absentLabels(argument))
        for step in isThere.indices where !isThere[step] { matrix.values[place + step] = 1 }
        if matrix.isRowEmpty(0) { matrix.removeLastRow() }
        return matrix
    }

    /// The labels that a selector asks for by name and value, each once.
    private func absentLabels(_ argument: Expression) -> Labels {
        let matchers: [LabelMatcher]
        switch argument.unwrapped.node {
        case .selector(let selector), .range(let selector, _): matchers = selector.matchers
        default: return Labels()
        }
        var labels = Labels()
        var doubtful: [String] = []
        for matcher in matchers where matcher.name != Labels.metricNameLabel {
            if matcher.kind == .equal, !labels.has(matcher.name) {
                labels = labels.setting(matcher.name, to: matcher.value)
            } else {
                doubtful.append(matcher.name)
            }
        }
        for name in doubtful { labels = labels.setting(name, to: "") }
        return labels
    }
}
