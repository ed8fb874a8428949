import TimeSeriesEngine

/// Many series to few: `sum by (job)`.
extension Evaluator {
    func evaluate(_ aggregation: Aggregation, _ grid: TimeGrid) throws(PromQLError) -> StepMatrix {
        var grouping = aggregation.grouping
        let source: StepMatrix
        switch aggregation.operation {
        case .countValues:
            guard let parameter = aggregation.parameter else { throw PromQLError.execution("a label is missing") }
            let label = try string(parameter)
            guard Self.isLabelName(label) else {
                throw PromQLError.execution("invalid label name \(quotedByGo(label))")
            }
            if !aggregation.isWithout { grouping.append(label) }
            source = try withValuesAsLabels(try vector(aggregation.operand, grid), label)
        default: source = try vector(aggregation.operand, grid)
        }
        let groups = SeriesGroups(source.labels, grouping, isWithout: aggregation.isWithout)
        let parameters =
            if aggregation.operation.parameterKind == .scalar, let parameter = aggregation.parameter {
                try scalar(parameter, grid)
            } else {
                [Double]()
            }
        switch aggregation.operation {
        case .topk, .bottomk: return try largest(source, groups, parameters, isTop: aggregation.operation == .topk)
        case .quantile: return try quantiles(source, groups, parameters)
        default:
            try charge(rows: groups.labels.count, steps: source.steps)
            return try folded(source, groups, aggregation.operation)
        }
    }

    static func isLabelName(_ name: String) -> Bool {
        guard let first = name.utf8.first, Lexer.isAlpha(first) else { return false }
        return name.utf8.allSatisfy(Lexer.isAlphanumeric)
    }

    private func folded(
        _ source: StepMatrix, _ groups: SeriesGroups, _ operation: AggregationOperator
    ) throws(PromQLError) -> StepMatrix {
        var fold = AggregationFold(operation, groups.labels, steps: source.steps)
        for row in 0..<source.rows {
            fold.add(source, row: row, to: groups.groupOfRow[row])
            try checkTime(source.steps)
        }
        return fold.finished()
    }

    /// Rows of the same value at a step, named by it: `count_values` is then a count.
    private func withValuesAsLabels(_ source: StepMatrix, _ label: String) throws(PromQLError) -> StepMatrix {
        var matrix = StepMatrix(steps: source.steps)
        for row in 0..<source.rows {
            try checkTime(source.steps)
            var places: [UInt64: Int] = [:]
            for step in 0..<source.steps {
                let value = source.values[row * source.steps + step]
                guard StepMatrix.isPresent(value) else { continue }
                let key = value.isNaN ? Double.nan.bitPattern : value.bitPattern
                let place: Int
                if let known = places[key] {
                    place = known
                } else {
                    try charge(rows: 1, steps: source.steps)
                    let text = source.histogram(row * source.steps + step)?.text ?? GoFormat.plain(value)
                    place = matrix.appendRow(source.labels[row].setting(label, to: text))
                    places[key] = place
                }
                matrix.values[place + step] = value
            }
        }
        return matrix
    }

    private func quantiles(
        _ source: StepMatrix, _ groups: SeriesGroups, _ parameters: [Double]
    ) throws(PromQLError) -> StepMatrix {
        var result = StepMatrix(steps: source.steps)
        try charge(rows: groups.labels.count, steps: source.steps)
        var values: [Double] = []
        for (group, rows) in groups.rows.enumerated() {
            let place = result.appendRow(groups.labels[group])
            for step in 0..<source.steps {
                try checkTime(rows.count)
                values.removeAll(keepingCapacity: true)
                for row in rows {
                    let place = row * source.steps + step
                    if StepMatrix.isPresent(source.values[place]), source.histogram(place) == nil {
                        values.append(source.values[place])
                    }
                }
                if !values.isEmpty { result.values[place + step] = Quantile.of(&values, parameters[step]) }
            }
        }
        return result
    }

    // MARK: topk

    private func largest(
        _ source: StepMatrix, _ groups: SeriesGroups, _ parameters: [Double], isTop: Bool
    ) throws(PromQLError) -> StepMatrix {
        for wanted in parameters where !(wanted.magnitude < 0x1p63) {
            throw PromQLError.execution("Scalar value \(numberText(wanted)) overflows int64")
        }
        var result = StepMatrix(steps: source.steps)
        // At one step the result is sorted, as in Prometheus; a matrix has rows as they come.
        var placeOfRow: [Int?] = Array(repeating: nil, count: source.rows)
        for rows in groups.rows {
            for step in 0..<source.steps {
                let wanted = parameters[step]
                guard wanted >= 1 else { continue }
                try checkTime(rows.count)
                var heap = BoundedHeap(limit: Int(min(wanted, Double(rows.count))), keepsLargest: isTop)
                for row in rows {
                    let place = row * source.steps + step
                    if StepMatrix.isPresent(source.values[place]), source.histogram(place) == nil {
                        heap.offer(source.values[place], row)
                    }
                }
                for (value, row) in heap.sorted() {
                    let place: Int
                    if let known = placeOfRow[row] {
                        place = known
                    } else {
                        try charge(rows: 1, steps: source.steps)
                        place = result.appendRow(source.labels[row])
                        placeOfRow[row] = place
                    }
                    result.values[place + step] = value
                }
            }
        }
        return result
    }
}

/// Which group every series belongs to, in the order in which groups turn up.
struct SeriesGroups {
    private(set) var labels: [Labels] = []
    private(set) var groupOfRow: [Int] = []
    private(set) var rows: [[Int]] = []

    init(_ series: [Labels], _ grouping: [String], isWithout: Bool) {
        let names = grouping.map { Array($0.utf8) } + (isWithout ? [Array(Labels.metricNameLabel.utf8)] : [])
        var groups: [Labels: Int] = [:]
        groupOfRow.reserveCapacity(series.count)
        for (row, own) in series.enumerated() {
            let key =
                names.isEmpty
                ? Labels() : own.filter { name in names.contains { $0.elementsEqual(name) } != isWithout }
            let group = groups[key] ?? labels.count
            if group == labels.count {
                groups[key] = group
                labels.append(key)
                rows.append([])
            }
            groupOfRow.append(group)
            rows[group].append(row)
        }
    }
}
