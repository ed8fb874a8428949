extension SampleColumn {
    /// Brings the samples from index `first` on into rising order; of several with one time the first one stays.
    public mutating func sort(from first: Int) {
        guard first + 1 < count else { return }
        let isSorted = (first + 1..<count).allSatisfy { timestamps[$0 - 1] < timestamps[$0] }
        if isSorted { return }
        // By time, then by place, so that the outcome does not depend on how sorting is done.
        let order = (first..<count).sorted { (timestamps[$0], $0) < (timestamps[$1], $1) }
        keep(order, from: first)
        removeDuplicates(from: first)
    }

    private mutating func keep(_ indices: [Int], from first: Int) {
        timestamps.replaceSubrange(first..., with: indices.map { timestamps[$0] })
        values.replaceSubrange(first..., with: indices.map { values[$0] })
        if !histograms.isEmpty { histograms.replaceSubrange(first..., with: indices.map { histograms[$0] }) }
    }

    private mutating func removeDuplicates(from first: Int) {
        keep(
            (first..<count).filter { $0 == first || timestamps[$0] != timestamps[$0 - 1] }, from: first)
    }

    /// Removes the samples of a time, from index `first` on.
    public mutating func remove(_ range: ClosedRange<Int64>, from first: Int) {
        guard first < count, (first..<count).contains(where: { range.contains(timestamps[$0]) }) else { return }
        keep((first..<count).filter { !range.contains(timestamps[$0]) }, from: first)
    }
}
