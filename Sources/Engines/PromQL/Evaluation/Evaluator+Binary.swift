import TimeSeriesEngine

/// Operators between numbers and vectors.
extension Evaluator {
    func evaluate(_ binary: Binary, _ grid: TimeGrid) throws(PromQLError) -> Value {
        let left = try evaluate(binary.left, grid)
        let right = try evaluate(binary.right, grid)
        switch (left, right) {
        case (.scalar(let left), .scalar(let right)):
            return .scalar(
                zip(left, right).map { left, right in
                    let (value, holds) = binary.operation.apply(left, right)
                    return binary.operation.isComparison ? (holds ? 1 : 0) : value
                })
        case (.vector(let vector), .scalar(let scalar)):
            return .vector(try combined(vector, with: scalar, isScalarLeft: false, binary))
        case (.scalar(let scalar), .vector(let vector)):
            return .vector(try combined(vector, with: scalar, isScalarLeft: true, binary))
        case (.vector(let left), .vector(let right)):
            switch binary.operation {
            case .and, .or, .unless: return .vector(try setOperation(binary, left, right))
            default: return .vector(try matched(binary, left, right))
            }
        default: throw PromQLError.execution("binary expression must contain only scalar and instant vector types")
        }
    }

    // MARK: A vector and a number

    private func combined(
        _ vector: StepMatrix, with scalar: [Double], isScalarLeft: Bool, _ binary: Binary
    ) throws(PromQLError) -> StepMatrix {
        let operation = binary.operation
        let dropsName = operation.dropsMetricName || binary.returnsBool
        if vector.hasHistograms { return try combinedMixed(vector, with: scalar, isScalarLeft: isScalarLeft, binary) }
        // Without a change of names no two rows can become one: the matrix is changed in place.
        var result = vector
        var isCollision = false
        if dropsName {
            for row in 0..<result.rows { result.labels[row] = result.labels[row].withoutMetricName }
            isCollision = result.hasSameLabels
        }
        let isFilter = operation.isComparison && !binary.returnsBool
        for row in 0..<result.rows {
            try checkTime(result.steps)
            let start = row * result.steps
            for step in 0..<result.steps {
                let sample = result.values[start + step]
                guard StepMatrix.isPresent(sample) else { continue }
                let number = scalar[step]
                let (value, holds) = isScalarLeft ? operation.apply(number, sample) : operation.apply(sample, number)
                if binary.returnsBool {
                    result.values[start + step] = holds ? 1 : 0
                } else if isFilter {
                    if !holds { result.values[start + step] = StepMatrix.absent }
                } else {
                    result.values[start + step] = value
                }
            }
        }
        return isCollision ? try joined(result) : result
    }

    private func combinedMixed(
        _ vector: StepMatrix, with scalar: [Double], isScalarLeft: Bool, _ binary: Binary
    ) throws(PromQLError) -> StepMatrix {
        let dropsName = binary.operation.dropsMetricName || binary.returnsBool
        var collector = MatrixCollector(steps: vector.steps)
        for row in 0..<vector.rows {
            try checkTime(vector.steps)
            let place = collector.row(dropsName ? vector.labels[row].withoutMetricName : vector.labels[row])
            for step in 0..<vector.steps where StepMatrix.isPresent(vector.values[row * vector.steps + step]) {
                let sample = vector.sample(row * vector.steps + step)
                let number = MixedSample.float(scalar[step])
                let result =
                    isScalarLeft
                    ? MixedSample.apply(binary.operation, number, sample)
                    : MixedSample.apply(binary.operation, sample, number)
                guard let kept = outcome(binary, sample, result) else { continue }
                try collector.put(kept, at: place + step)
            }
        }
        return collector.matrix
    }

    /// What remains of an operator's result: a comparison gives its vector's sample, or 1 and 0 where `bool` asks.
    private func outcome(_ binary: Binary, _ sample: MixedSample, _ result: MixedSample?) -> MixedSample? {
        if binary.returnsBool { return .float(result == nil ? 0 : 1) }
        if result != nil, binary.operation.isComparison { return sample }
        return result
    }

    /// Rows that have the same labels as one row; an error where two of them are there at once.
    func joined(_ matrix: StepMatrix) throws(PromQLError) -> StepMatrix {
        var collector = MatrixCollector(steps: matrix.steps)
        for row in 0..<matrix.rows {
            try checkTime(matrix.steps)
            let place = collector.row(matrix.labels[row])
            for step in 0..<matrix.steps where StepMatrix.isPresent(matrix.values[row * matrix.steps + step]) {
                try collector.copy(matrix, row * matrix.steps + step, to: place + step)
            }
        }
        return collector.matrix
    }

    // MARK: Sets

    private func setOperation(
        _ binary: Binary, _ left: StepMatrix, _ right: StepMatrix
    ) throws(PromQLError) -> StepMatrix {
        let isOr = binary.operation == .or
        let steps = left.steps
        // For each group of labels, whether the side that decides has anything there at a step.
        let decider = isOr ? left : right
        let signature = SignatureMaker(binary.matching)
        var groups: [Labels: Int] = [:]
        var presence: [Bool] = []
        for row in 0..<decider.rows {
            try checkTime(steps)
            let key = signature.key(decider.labels[row])
            let start = groups[key] ?? presence.count
            if start == presence.count {
                groups[key] = start
                try charge(rows: 1, steps: steps)
                presence.append(contentsOf: repeatElement(false, count: steps))
            }
            for step in 0..<steps where StepMatrix.isPresent(decider.values[row * steps + step]) {
                presence[start + step] = true
            }
        }
        var collector = MatrixCollector(steps: steps)
        if isOr {
            for row in 0..<left.rows {
                try checkTime(steps)
                let place = collector.row(left.labels[row])
                for step in 0..<steps where StepMatrix.isPresent(left.values[row * steps + step]) {
                    try collector.copy(left, row * steps + step, to: place + step)
                }
            }
        }
        let filtered = isOr ? right : left
        for row in 0..<filtered.rows {
            try checkTime(steps)
            let start = groups[signature.key(filtered.labels[row])]
            if start == nil, binary.operation == .and { continue }
            var place: Int?
            for step in 0..<steps where StepMatrix.isPresent(filtered.values[row * steps + step]) {
                let isThere = start.map { presence[$0 + step] } ?? false
                guard isThere == (binary.operation == .and) else { continue }
                let target = place ?? collector.row(filtered.labels[row])
                place = target
                try collector.copy(filtered, row * steps + step, to: target + step)
            }
        }
        return collector.matrix
    }
}

/// The part of a series' labels by which it finds its counterpart.
struct SignatureMaker {
    private let matching: VectorMatching
    private let names: [[UInt8]]

    init(_ matching: VectorMatching) {
        self.matching = matching
        names = matching.labels.map { Array($0.utf8) } + (matching.isOn ? [] : [Array(Labels.metricNameLabel.utf8)])
    }

    func key(_ labels: Labels) -> Labels {
        labels.filter { name in names.contains { $0.elementsEqual(name) } == matching.isOn }
    }
}
