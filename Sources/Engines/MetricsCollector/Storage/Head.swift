import KernelStructures
import TimeSeriesEngine

/// The newest hours of all series, in memory: where samples arrive.
///
/// Labels are numbers of a symbol table, series are found by them in one dictionary, and conditions walk over postings.
/// What is older than `truncate` says goes away, and with it the series that have nothing left.
final class Head {
    private(set) var symbols = SymbolTable()
    private(set) var postings = Postings()
    /// By number.
    private(set) var series: [MemorySeries] = []
    private var byLabels: [[UInt32]: MemorySeries] = [:]
    private(set) var lastReference: UInt64 = 0
    let settings: StoreSettings
    /// Of all samples that were taken; nil before the first.
    private(set) var firstTime: Int64?
    private(set) var lastTime: Int64?
    /// Samples before are in blocks already, or were dropped.
    private(set) var minimumValidTime = Int64.min
    /// Series that were made and are in no log yet.
    private(set) var unlogged: [MemorySeries] = []
    /// What comes late while a block is being cut goes into memory and perhaps not into the block.
    private var cut: (end: Int64, arrivals: [(labels: Labels, time: Int64, value: Double)])?
    /// Of one cut; with more it is done again.
    private static let arrivalLimit = 1_000_000
    /// Since the start.
    private(set) var createdCount = 0
    private(set) var removedCount = 0

    init(_ settings: StoreSettings) { self.settings = settings }

    // MARK: Series

    /// The series of these labels, made if there is none.
    ///
    /// - Throws: `AppendError` for labels that a series cannot have, and when the store is full.
    func series(_ labels: Labels) throws(AppendError) -> MemorySeries {
        try check(labels)
        let numbers = try numbers(labels)
        if let present = byLabels[numbers] { return present }
        guard series.count < settings.seriesLimit else { throw .full(limit: settings.seriesLimit) }
        lastReference += 1
        let new = MemorySeries(reference: lastReference, labels: numbers)
        insert(new)
        unlogged.append(new)
        createdCount += 1
        return new
    }

    /// A series as a log has it, under the number that it had.
    func restore(_ labels: Labels, reference: UInt64) throws(AppendError) -> MemorySeries {
        lastReference = max(lastReference, reference)
        let numbers = try numbers(labels)
        if let present = byLabels[numbers] { return present }
        guard series.count < settings.seriesLimit else { throw .full(limit: settings.seriesLimit) }
        let new = MemorySeries(reference: reference, labels: numbers)
        insert(new)
        return new
    }

    /// All that a snapshot has; there is nothing yet.
    func adopt(_ content: HeadSnapshot.Content) {
        precondition(series.isEmpty, "a snapshot is read before anything else")
        symbols = content.symbols
        lastReference = content.lastReference
        minimumValidTime = max(minimumValidTime, content.minimumValidTime)
        firstTime = content.firstTime
        lastTime = content.lastTime
        byLabels.reserveCapacity(content.series.count)
        postings = content.postings
        series = content.series
        for one in series { byLabels[one.labels] = one }
    }

    private func insert(_ new: MemorySeries) {
        postings.add(UInt32(series.count), labels: new.labels)
        series.append(new)
        byLabels[new.labels] = new
    }

    private func check(_ labels: Labels) throws(AppendError) {
        if labels.isEmpty { throw .invalid("a series without labels") }
        var failure: AppendError?
        var count = 0
        labels.forEachBytes { name, value in
            count += 1
            if name.count > settings.labelNameLimitBytes || value.count > settings.labelValueLimitBytes {
                failure = .labelTooLong(
                    name: String(decoding: name, as: UTF8.self),
                    limitBytes: name.count > settings.labelNameLimitBytes
                        ? settings.labelNameLimitBytes : settings.labelValueLimitBytes)
            }
        }
        if count > settings.labelLimit { throw .tooManyLabels(limit: settings.labelLimit) }
        if let failure { throw failure }
    }

    private func numbers(_ labels: Labels) throws(AppendError) -> [UInt32] {
        var numbers: [UInt32] = []
        var isFull = false
        labels.forEachBytes { name, value in
            guard let first = symbols.add(name), let second = symbols.add(value) else {
                isFull = true
                return
            }
            numbers.append(first)
            numbers.append(second)
        }
        if isFull { throw .full(limit: settings.seriesLimit) }
        return numbers
    }

    func find(_ labels: Labels) -> MemorySeries? {
        var numbers: [UInt32] = []
        var isUnknown = false
        labels.forEachBytes { name, value in
            guard let first = symbols.find(name), let second = symbols.find(value) else {
                isUnknown = true
                return
            }
            numbers.append(first)
            numbers.append(second)
        }
        return isUnknown ? nil : byLabels[numbers]
    }

    func labels(of series: MemorySeries) -> Labels {
        var labels = Labels()
        for index in stride(from: 0, to: series.labels.count - 1, by: 2) {
            symbols.withText(series.labels[index]) { name in
                symbols.withText(series.labels[index + 1]) { labels.append(name, $0) }
            }
        }
        return labels
    }

    /// The new series, for a log; they count as logged from now on.
    func takeUnlogged() -> [MemorySeries] {
        defer { unlogged = [] }
        return unlogged
    }

    // MARK: Samples

    /// Samples of this time or earlier are refused where late ones are not taken; nil while there are none.
    private var earliestTime: Int64 {
        guard let lastTime else { return minimumValidTime }
        return max(minimumValidTime, lastTime - settings.blockMilliseconds / 2)
    }

    /// What would become of a sample now.
    func verdict(_ series: MemorySeries, _ time: Int64, _ value: Double) -> MemorySeries.Verdict {
        guard SampleTime.range.contains(time) else { return .refused(.outOfBounds) }
        let window = settings.outOfOrderMilliseconds
        let verdict = series.verdict(time, value, lateFrom: window > 0 ? (lastTime ?? time) - window : nil)
        guard time < earliestTime else { return verdict }
        switch verdict {
        case .inOrder: return window > 0 && time >= (lastTime ?? time) - window ? .inOrder : .refused(.outOfBounds)
        case .refused(.outOfOrder): return .refused(.outOfBounds)
        default: return verdict
        }
    }

    /// Adds a sample; what the verdict refuses is left out.
    @discardableResult
    func append(_ series: MemorySeries, _ time: Int64, _ value: Double) -> MemorySeries.Verdict {
        let verdict = verdict(series, time, value)
        switch verdict {
        case .inOrder: series.append(time, value, chunkRange: settings.blockMilliseconds)
        case .late: series.appendLate(time, value)
        case .present, .refused: return verdict
        }
        note(time)
        if let end = cut?.end, time < end, !isCutOverfull {
            cut?.arrivals.append((labels(of: series), time, value))
        }
        return verdict
    }

    func verdict(_ series: MemorySeries, _ time: Int64, _ histogram: NativeHistogram) -> MemorySeries.Verdict {
        guard SampleTime.range.contains(time), time >= earliestTime else { return .refused(.outOfBounds) }
        guard histogram.isValid else {
            return .refused(.invalid("a native histogram whose spans do not fit its buckets"))
        }
        guard let last = series.lastTime, time <= last else { return .inOrder }
        let isSame = time == last && series.histograms?.lastTime == time && series.histograms?.last == histogram
        return isSame ? .present : .refused(time == last ? .duplicate : .outOfOrder)
    }

    func append(_ series: MemorySeries, _ time: Int64, _ histogram: NativeHistogram) -> MemorySeries.Verdict {
        let verdict = verdict(series, time, histogram)
        guard verdict == .inOrder else { return verdict }
        if Staleness.isMarker(histogram.sum) { return append(series, time, Staleness.marker) }
        series.append(time, histogram, chunkRange: settings.blockMilliseconds)
        note(time)
        return verdict
    }

    /// A native histogram as a log has it.
    func replay(_ series: MemorySeries, _ time: Int64, _ histogram: NativeHistogram) {
        if Staleness.isMarker(histogram.sum) { return replay(series, time, Staleness.marker) }
        guard SampleTime.range.contains(time), time >= minimumValidTime, histogram.isValid,
            series.lastTime ?? .min < time
        else { return }
        series.append(time, histogram, chunkRange: settings.blockMilliseconds)
        note(time)
    }

    /// A sample as a log has it: it was taken once, whatever has come since.
    func replay(_ series: MemorySeries, _ time: Int64, _ value: Double) {
        // What came late enough to be older than the newest block is in no block.
        guard SampleTime.range.contains(time),
            time >= max(minimumValidTime, .min + settings.outOfOrderMilliseconds)
                - settings.outOfOrderMilliseconds
        else { return }
        switch series.verdict(time, value, lateFrom: .min) {
        case .inOrder: series.append(time, value, chunkRange: settings.blockMilliseconds)
        case .late: series.appendLate(time, value)
        case .present, .refused: return
        }
        note(time)
    }

    /// Samples before `time` are in blocks.
    func beginsAt(_ time: Int64) { minimumValidTime = max(minimumValidTime, time) }

    private func note(_ time: Int64) {
        firstTime = min(firstTime ?? time, time)
        lastTime = max(lastTime ?? time, time)
    }

    // MARK: Removing

    var isCutOverfull: Bool { cut.map { $0.arrivals.count > Self.arrivalLimit } ?? false }

    /// From now on, what is older than `end` is being written to a block.
    func beginCut(end: Int64) { cut = (end, []) }

    /// It was not: all of it stays.
    func abandonCut() { cut = nil }

    /// All that was older is in a block, but for what came meanwhile: that may not be, and stays. (Twice the same
    /// sample is one.)
    func endCut() {
        guard let cut else { return }
        self.cut = nil
        truncate(before: cut.end)
        for (labels, time, value) in cut.arrivals {
            // Its series may have gone with the rest. One that has no room any more is as one that came too late.
            guard let own = try? series(labels) else { continue }
            replay(own, time, value)
        }
    }

    /// Drops everything before `time`, and the series that have nothing left. Numbers change.
    func truncate(before time: Int64) {
        minimumValidTime = max(minimumValidTime, time)
        for one in series { one.dropSamples(before: time) }
        firstTime = series.compactMap(\.firstTime).min()
        let kept = series.filter { !$0.isEmpty }
        guard kept.count < series.count else { return }
        for one in series where one.isEmpty { one.isDropped = true }
        removedCount += series.count - kept.count
        rebuild(kept)
    }

    /// With a new symbol table: words that no series has any more go with them.
    private func rebuild(_ kept: [MemorySeries]) {
        let old = symbols
        symbols = SymbolTable()
        postings = Postings()
        series = []
        byLabels = [:]
        unlogged.removeAll { $0.isDropped }
        for one in kept {
            let numbers = one.labels.map { number in old.withText(number) { symbols.add($0) ?? 0 } }
            one.renumber(numbers)
            insert(one)
        }
    }
}

extension Head: PostingsSource {
    func allNumbers() -> [UInt32] { Array(0..<UInt32(series.count)) }

    func numbers(name: String, value: String) -> [UInt32] {
        guard let name = symbols.find(name), let value = symbols.find(value) else { return [] }
        return postings[name, value]
    }

    func numbers(name: String, where isWanted: (UnsafeRawBufferPointer) -> Bool) -> [UInt32] {
        guard let name = symbols.find(name), let values = postings.values[name] else { return [] }
        let wanted = values.filter { symbols.withText($0, isWanted) }
        return Postings.union(wanted.map { postings[name, $0] })
    }
}

extension Head: Queryable {
    func select(_ matchers: [LabelMatcher], _ selection: Selection) throws(QueryableError) -> [SelectedSeries] {
        let range = selection.from...max(selection.from, selection.through)
        var found: [SelectedSeries] = []
        for number in try select(matchers) {
            let one = series[Int(number)]
            guard let first = one.firstTime, first <= range.upperBound else { continue }
            if found.count >= selection.seriesLimit { throw .tooManySeries(limit: selection.seriesLimit) }
            found.append(SelectedSeries(labels: labels(of: one), source: Source(series: one, range: range)))
        }
        return found.sorted { $0.labels < $1.labels }
    }

    private struct Source: SampleSource {
        let series: MemorySeries
        let range: ClosedRange<Int64>

        func read(into column: inout SampleColumn) throws(QueryableError) { try series.read(range, into: &column) }
    }
}
