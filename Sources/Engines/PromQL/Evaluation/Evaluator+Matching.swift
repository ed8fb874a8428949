import TimeSeriesEngine

/// Arithmetic and comparisons between two vectors: which series meets which.
///
/// Both sides are sorted into groups by the labels that have to agree. Within a group the "one" side may have one
/// series at a step; it meets every series of the "many" side there, of which there may be several only with
/// `group_left` or `group_right`.
extension Evaluator {
    func matched(
        _ binary: Binary, _ left: StepMatrix, _ right: StepMatrix
    ) throws(PromQLError) -> StepMatrix {
        let isSwapped = binary.matching.cardinality == .oneToMany
        let many = isSwapped ? right : left
        let one = isSwapped ? left : right
        var match = Match(binary: binary, isSwapped: isSwapped, many: many, one: one)
        try match.group(isSomething: presence(of: many), presence(of: one))
        for row in 0..<many.rows {
            let before = match.collector.matrix.values.count
            try match.combine(row)
            try charge(rows: 1, steps: match.collector.matrix.values.count - before)
            try checkTime(many.steps)
        }
        return match.collector.matrix
    }

    /// Whether there is any series at a step.
    private func presence(of matrix: StepMatrix) -> [Bool] {
        var isThere = Array(repeating: false, count: matrix.steps)
        for row in 0..<matrix.rows {
            for step in 0..<matrix.steps where StepMatrix.isPresent(matrix.values[row * matrix.steps + step]) {
                isThere[step] = true
            }
        }
        return isThere
    }
}

/// One operator at work.
private struct Match {
    let binary: Binary
    let isSwapped: Bool
    let many: StepMatrix
    let one: StepMatrix
    var collector: MatrixCollector

    /// The rows of the "one" side that have the same signature, and what has been matched with them.
    struct Group {
        var rows: [Int]
        /// Steps at which a series of the other side has been matched already; empty until the first.
        var taken: [Bool] = []
    }

    private var groups: [Labels: Int] = [:]
    private var members: [Group] = []
    private let signature: SignatureMaker
    /// Of results that were made of other rows than the last one.
    private var names: [Pair: Labels] = [:]

    struct Pair: Hashable {
        let many: Int
        let one: Int
    }

    init(binary: Binary, isSwapped: Bool, many: StepMatrix, one: StepMatrix) {
        self.binary = binary
        self.isSwapped = isSwapped
        self.many = many
        self.one = one
        collector = MatrixCollector(steps: many.steps)
        signature = SignatureMaker(binary.matching)
    }

    /// Sorts the "one" side; of a group there may be one series at a step.
    ///
    /// - Parameter isSomething: where the many side has any series; elsewhere nothing is matched, and nothing wrong.
    mutating func group(isSomething: [Bool], _ isOneThere: [Bool]) throws(PromQLError) {
        for row in 0..<one.rows {
            let key = signature.key(one.labels[row])
            if let group = groups[key] {
                try checkUnique(row, among: members[group].rows, isSomething)
                members[group].rows.append(row)
            } else {
                groups[key] = members.count
                members.append(Group(rows: [row]))
            }
        }
    }

    private func checkUnique(_ row: Int, among rows: [Int], _ isSomething: [Bool]) throws(PromQLError) {
        for other in rows {
            for step in 0..<one.steps
            where isSomething[step] && StepMatrix.isPresent(one.values[row * one.steps + step])
                && StepMatrix.isPresent(one.values[other * one.steps + step])
            {
                let side = isSwapped ? "left" : "right"
                throw PromQLError.execution(
                    "found duplicate series for the match group \(group(of: row)) on the \(side) hand-side of the "
                        + "operation: [\(one.labels[row].braced), \(one.labels[other].braced)];many-to-many matching "
                        + "not allowed: matching labels must be unique on one side")
            }
        }
    }

    private func group(of row: Int) -> String { signature.key(one.labels[row]).braced }

    /// One row of the many side with whatever it meets.
    mutating func combine(_ row: Int) throws(PromQLError) {
        guard let group = groups[signature.key(many.labels[row])] else { return }
        let steps = many.steps
        let hasHistograms = many.hasHistograms || one.hasHistograms
        let isOneToOne = binary.matching.cardinality == .oneToOne
        var partner = members[group].rows[0]
        var target: (partner: Int, place: Int)?
        if members[group].taken.isEmpty { members[group].taken = Array(repeating: false, count: steps) }
        let hasSeveral = members[group].rows.count > 1
        for step in 0..<steps {
            let own = many.values[row * steps + step]
            guard StepMatrix.isPresent(own) else { continue }
            if hasSeveral, !StepMatrix.isPresent(one.values[partner * steps + step]) {
                partner =
                    members[group].rows.first { StepMatrix.isPresent(one.values[$0 * steps + step]) } ?? partner
            }
            let other = one.values[partner * steps + step]
            guard StepMatrix.isPresent(other) else { continue }
            var result: MixedSample?
            if hasHistograms {
                result = mixed(row, partner, step)
            } else {
                let (value, holds) =
                    isSwapped ? binary.operation.apply(other, own) : binary.operation.apply(own, other)
                result = binary.returnsBool ? .float(holds ? 1 : 0) : holds ? .float(value) : nil
            }
            guard let result else { continue }
            if isOneToOne {
                guard !members[group].taken[step] else {
                    throw PromQLError.execution(
                        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)")
                }
                members[group].taken[step] = true
            }
            let place = target.flatMap { $0.partner == partner ? $0.place : nil } ?? self.place(row, partner)
            target = (partner, place)
            if collector.isTaken(place + step) {
                throw isOneToOne
                    ? PromQLError.sameLabels
                    : PromQLError.execution(
                        "multiple matches for labels: grouping labels must ensure unique matches")
            }
            try collector.put(result, at: place + step)
        }
    }

    private func mixed(_ row: Int, _ partner: Int, _ step: Int) -> MixedSample? {
        let own = many.sample(row * many.steps + step)
        let other = one.sample(partner * one.steps + step)
        let result = MixedSample.apply(binary.operation, isSwapped ? other : own, isSwapped ? own : other)
        return binary.returnsBool ? .float(result == nil ? 0 : 1) : result
    }

    private mutating func place(_ row: Int, _ partner: Int) -> Int {
        let pair = Pair(many: row, one: partner)
        if let labels = names[pair] { return collector.row(labels) }
        let labels = resultLabels(many.labels[row], one.labels[partner])
        names[pair] = labels
        return collector.row(labels)
    }

    private func resultLabels(_ many: Labels, _ one: Labels) -> Labels {
        var labels = many
        if binary.operation.dropsMetricName || binary.returnsBool { labels = labels.withoutMetricName }
        let matching = binary.matching
        if matching.cardinality == .oneToOne {
            let names = matching.labels.map { Array($0.utf8) }
            labels = labels.filter { name in names.contains { $0.elementsEqual(name) } == matching.isOn }
        }
        for name in matching.included { labels = labels.setting(name, to: one[name]) }
        return labels
    }
}

extension Labels {
    /// As Prometheus's errors write a series: `{__name__="up", job="node"}`.
    var braced: String {
        "{" + pairs.map { "\($0.name)=\(quotedByGo($0.value))" }.joined(separator: ", ") + "}"
    }
}
