import TimeSeriesEngine

/// One series in memory: its labels as numbers of words, its finished chunks, and the one that grows.
final class MemorySeries {
    /// Its number in the log; never used for another one.
    let reference: UInt64
    /// Name, value, name, value … by the symbol table, in the order of the names' bytes.
    private(set) var labels: [UInt32]
    /// In the order of their times, without overlaps.
    private(set) var sealed: [SealedChunk] = []
    private(set) var open = XORChunk()
    /// A sample from here on begins a new chunk.
    private var openEnd = Int64.min
    /// Samples that came too late for the chunks, in rising order; no time is in the chunks, too.
    private(set) var late: [(time: Int64, value: Double)] = []
    /// What has been deleted.
    private(set) var deleted: [ClosedRange<Int64>] = []
    /// Native histograms, in rising order; a series has them or floats, rarely both.
    private(set) var histograms: [(time: Int64, value: NativeHistogram)] = []
    /// It is in no table any more: whoever holds it looks it up again.
    var isDropped = false

    struct SealedChunk {
        let firstTime: Int64
        let lastTime: Int64
        let bytes: [UInt8]
    }

    /// Of one chunk, as in Prometheus: longer ones pack little better, and are slower to look into.
    static let samplesPerChunk = 120
    /// Of one series that wait out of order.
    static let lateLimit = 8192

    init(reference: UInt64, labels: [UInt32]) {
        self.reference = reference
        self.labels = labels
    }

    /// The same labels by another symbol table.
    func renumber(_ labels: [UInt32]) { self.labels = labels }

    // MARK: Times

    var firstTime: Int64? { [firstFloatTime, histograms.first?.time].compactMap { $0 }.min() }

    /// Of what becomes a block; native histograms stay in memory and in the log.
    var firstFloatTime: Int64? {
        let times = [sealed.first?.firstTime, open.count > 0 ? open.firstTime : nil, late.first?.time]
        return times.compactMap { $0 }.min()
    }

    /// Of those in order.
    var lastTime: Int64? {
        let float = open.count > 0 ? open.lastTime : sealed.last?.lastTime
        guard let histogram = histograms.last?.time else { return float }
        return max(histogram, float ?? histogram)
    }

    var sampleCount: Int { sealed.reduce(open.count + late.count + histograms.count) { $0 + $1.count } }
    var chunkCount: Int { sealed.count + (open.count > 0 ? 1 : 0) }
    var byteCount: Int { sealed.reduce(open.byteCount) { $0 + $1.bytes.count } }

    // MARK: Adding

    /// What becomes of a sample.
    enum Verdict: Equatable {
        case inOrder
        /// Within the time that late samples are taken.
        case late
        /// It is there already, the same.
        case present
        case refused(AppendError)
    }

    /// - Parameter lateLimit: the earliest time of a late sample; nil if none is taken.
    func verdict(_ time: Int64, _ value: Double, lateFrom lateLimit: Int64?) -> Verdict {
        guard let last = lastTime, time <= last else { return .inOrder }
        if time == last, histograms.last?.time != time {
            return open.count > 0 && open.lastTime == time && open.lastValue.bitPattern == value.bitPattern
                ? .present : .refused(.duplicate)
        }
        guard let lateLimit else { return .refused(.outOfOrder) }
        if time < lateLimit { return .refused(.tooOld) }
        guard late.count < Self.lateLimit else { return .refused(.tooManyLate) }
        // Chunks are looked into as well: what was taken in its time is not replaced by what comes late.
        var known = SampleColumn()
        guard (try? read(time...time, into: &known)) != nil, let present = known.values.first else { return .late }
        return present.bitPattern == value.bitPattern ? .present : .refused(.duplicate)
    }

    private func lateIndex(_ time: Int64) -> Int? {
        var low = 0
        var high = late.count
        while low < high {
            let middle = (low + high) / 2
            if late[middle].time < time { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Adds a sample for which the verdict was `inOrder`.
    ///
    /// - Parameter range: chunks do not cross its multiples, so that blocks of that length take whole ones.
    func append(_ time: Int64, _ value: Double, chunkRange range: Int64) {
        if open.count == 0 {
            openEnd = SampleTime.floor(time, to: range) + range
        } else if time >= openEnd || open.count >= 2 * Self.samplesPerChunk {
            seal()
            openEnd = SampleTime.floor(time, to: range) + range
        } else if open.count == Self.samplesPerChunk / 4 {
            openEnd = evenEnd(now: time)
        }
        open.append(time, value)
    }

    /// Where the chunk should end so that the chunks of the range are about even (Prometheus, `computeChunkEndTime`).
    private func evenEnd(now time: Int64) -> Int64 {
        let start = open.firstTime
        let pieces = (openEnd - start) / ((time - start + 1) * 4)
        return pieces <= 1 ? openEnd : start + (openEnd - start) / pieces
    }

    func appendLate(_ time: Int64, _ value: Double) {
        guard let index = lateIndex(time) else { return }
        late.insert((time, value), at: index)
    }

    func append(_ time: Int64, _ histogram: NativeHistogram) {
        histograms.append((time, histogram))
        if histograms.count > Self.histogramLimit { histograms.removeFirst(histograms.count - Self.histogramLimit / 2) }
    }

    private static let histogramMilliseconds: Int64 = 2 * 86_400_000
    /// Native histograms of one series that are kept, the newest: two days of one every 15 seconds.
    static let histogramLimit = 11_520

    private func seal() {
        sealed.append(SealedChunk(firstTime: open.firstTime, lastTime: open.lastTime, bytes: open.bytes))
        open = XORChunk()
    }

    // MARK: Removing

    /// Marks what lies in `range` as deleted.
    func delete(_ range: ClosedRange<Int64>) { deleted.append(range) }

    /// Drops chunks and samples that end before `time`.
    func dropSamples(before time: Int64) {
        sealed.removeAll { $0.lastTime < time }
        if open.count > 0, open.lastTime < time {
            open = XORChunk()
            openEnd = .min
        }
        late.removeAll { $0.time < time }
        histograms.removeAll { $0.time < time - Self.histogramMilliseconds }
        deleted.removeAll { $0.upperBound < time }
    }

    var isEmpty: Bool { sealed.isEmpty && open.count == 0 && late.isEmpty && histograms.isEmpty }

    // MARK: Reading

    /// Adds the samples of `range` to `column`, in rising order.
    func read(_ range: ClosedRange<Int64>, into column: inout SampleColumn) throws(QueryableError) {
        let first = column.count
        for chunk in sealed where chunk.lastTime >= range.lowerBound && chunk.firstTime <= range.upperBound {
            try Self.decode(chunk.bytes, range, into: &column)
        }
        if open.count > 0, open.lastTime >= range.lowerBound, open.firstTime <= range.upperBound {
            try Self.decode(open.bytes, range, into: &column)
        }
        for sample in late where range.contains(sample.time) { column.append(sample.time, sample.value) }
        for sample in histograms where range.contains(sample.time) { column.append(sample.time, sample.value) }
        if !late.isEmpty || !histograms.isEmpty { column.sort(from: first) }
        for range in deleted { column.remove(range, from: first) }
    }

    private static func decode(
        _ bytes: [UInt8], _ range: ClosedRange<Int64>, into column: inout SampleColumn
    ) throws(QueryableError) {
        column.chunksRead += 1
        column.bytesRead += bytes.count
        let isWhole = bytes.withUnsafeBytes { XORChunk.decode($0, in: range, into: &column) }
        if !isWhole { throw .damaged("a chunk in memory") }
    }
}

extension MemorySeries.SealedChunk {
    var count: Int { bytes.count < 2 ? 0 : Int(bytes[0]) << 8 | Int(bytes[1]) }
}

/// Why a sample was not taken.
public enum AppendError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Another value for a time that has one.
    case duplicate
    case outOfOrder
    /// Older than what late samples may be.
    case tooOld
    /// Outside of what the store holds, or of what can be a time.
    case outOfBounds
    case tooManyLate
    /// The store has as many series, or as much text of labels, as it may.
    case full(limit: Int)
    case tooManyLabels(limit: Int)
    case labelTooLong(name: String, limitBytes: Int)
    case invalid(String)

    public var description: String {
        switch self {
        case .duplicate: "duplicate sample for timestamp"
        case .outOfOrder: "out of order sample"
        case .tooOld: "too old sample"
        case .outOfBounds: "out of bounds"
        case .tooManyLate: "too many samples out of order"
        case .full(let limit): "the store is full (\(limit) series)"
        case .tooManyLabels(let limit): "more than \(limit) labels"
        case .labelTooLong(let name, let limit): "the label \(name.prefix(64)) has more than \(limit) bytes"
        case .invalid(let text): text
        }
    }
}
