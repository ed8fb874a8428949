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
    /// What has been deleted from the chunks. Late samples are taken out at once: what comes later into such a time is
    /// there, and has to be after a checkpoint, which has neither the deleted samples nor the ranges.
    private(set) var deleted: [ClosedRange<Int64>] = []
    /// A series has them or floats, rarely both; nil for none.
    private(set) var histograms: HistogramSeries?
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

    /// As a snapshot has it; nil where that is none.
    init?(_ reader: inout SnapshotReader, symbolCount: Int) {
        reference = reader.number()
        let count = reader.count(UInt32.self)
        var numbers: [UInt32] = []
        numbers.reserveCapacity(count)
        for _ in 0..<count { numbers.append(reader.number()) }
        labels = numbers
        guard count % 2 == 0, numbers.allSatisfy({ $0 < symbolCount }) else { return nil }
        for chunk in Self.chunks(&reader) {
            sealed.append(SealedChunk(firstTime: chunk.firstTime, lastTime: chunk.lastTime, bytes: chunk.bytes))
        }
        for _ in 0..<reader.count(UInt32.self) {
            late.append((reader.number(), Double(bitPattern: reader.number())))
        }
        for _ in 0..<reader.count(UInt32.self) {
            let (from, through) = (reader.number(Int64.self), reader.number(Int64.self))
            guard from <= through else { return nil }
            deleted.append(from...through)
        }
        let chunks = Self.chunks(&reader)
        if !chunks.isEmpty { histograms = HistogramSeries(chunks) }
        if reader.isBroken { return nil }
    }

    private static func chunks(_ reader: inout SnapshotReader) -> [HistogramSeries.Chunk] {
        let count = reader.count(UInt32.self)
        var chunks: [HistogramSeries.Chunk] = []
        chunks.reserveCapacity(count)
        for _ in 0..<count {
            chunks.append(
                .init(
                    firstTime: reader.number(), lastTime: reader.number(), encoding: reader.number(),
                    bytes: reader.bytes()))
        }
        return chunks
    }

    /// For a snapshot.
    func write(to out: inout SnapshotWriter) {
        out.append(reference)
        out.append(UInt32(labels.count))
        for number in labels { out.append(number) }
        out.append(UInt32(sealed.count + (open.count > 0 ? 1 : 0)))
        for chunk in sealed { Self.write(chunk.firstTime, chunk.lastTime, XORChunk.encoding, chunk.bytes, to: &out) }
        if open.count > 0 { Self.write(open.firstTime, open.lastTime, XORChunk.encoding, open.bytes, to: &out) }
        out.append(UInt32(late.count))
        for sample in late {
            out.append(sample.time)
            out.append(sample.value.bitPattern)
        }
        out.append(UInt32(deleted.count))
        for range in deleted {
            out.append(range.lowerBound)
            out.append(range.upperBound)
        }
        let chunks = histograms?.chunks ?? []
        out.append(UInt32(chunks.count))
        for chunk in chunks { Self.write(chunk.firstTime, chunk.lastTime, chunk.encoding, chunk.bytes, to: &out) }
    }

    private static func write(
        _ first: Int64, _ last: Int64, _ encoding: UInt8, _ bytes: [UInt8], to out: inout SnapshotWriter
    ) {
        out.append(first)
        out.append(last)
        out.append(encoding)
        out.append(bytes)
    }

    /// The same labels by another symbol table.
    func renumber(_ labels: [UInt32]) { self.labels = labels }

    // MARK: Times

    var firstTime: Int64? {
        let times = [
            sealed.first?.firstTime, open.count > 0 ? open.firstTime : nil, late.first?.time, histograms?.firstTime,
        ]
        return times.compactMap { $0 }.min()
    }

    /// Of those in order.
    var lastTime: Int64? {
        guard let histogram = histograms?.lastTime else { return lastFloatTime }
        return max(histogram, lastFloatTime ?? histogram)
    }

    /// Whether the last sample is a histogram, or the end of some.
    var endsInHistogram: Bool {
        guard let last = histograms?.lastTime else { return false }
        return last > lastFloatTime ?? .min
    }

    private var lastFloatTime: Int64? { open.count > 0 ? open.lastTime : sealed.last?.lastTime }

    var sampleCount: Int {
        sealed.reduce(open.count + late.count + (histograms?.sampleCount ?? 0)) { $0 + $1.count }
    }
    var chunkCount: Int { sealed.count + (open.count > 0 ? 1 : 0) + (histograms?.chunkCount ?? 0) }
    var byteCount: Int { sealed.reduce(open.byteCount + (histograms?.byteCount ?? 0)) { $0 + $1.bytes.count } }

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
        if time == last, histograms?.lastTime != time {
            return lastValue?.bitPattern == value.bitPattern ? .present : .refused(.duplicate)
        }
        guard let lateLimit else { return .refused(.outOfOrder) }
        if time < lateLimit { return .refused(.tooOld) }
        guard late.count < Self.lateLimit else { return .refused(.tooManyLate) }
        // Chunks are looked into as well: what was taken in its time is not replaced by what comes late.
        var known = SampleColumn()
        guard (try? read(time...time, into: &known)) != nil, let present = known.values.first else { return .late }
        return present.bitPattern == value.bitPattern ? .present : .refused(.duplicate)
    }

    /// Of the last sample in order, which is a number.
    private var lastValue: Double? {
        if open.count > 0 { return open.lastValue }
        guard let chunk = sealed.last else { return nil }
        var column = SampleColumn()
        let range = chunk.lastTime...chunk.lastTime
        _ = chunk.bytes.withUnsafeBytes { XORChunk.decode($0, in: range, into: &column) }
        return column.values.last
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
        if Staleness.isMarker(value), endsInHistogram, histograms?.appendEnd(time) == true { return }
        if open.count == 0 {
            openEnd = SampleTime.floor(time, to: range) + range
        } else if time >= openEnd || open.count >= 2 * Self.samplesPerChunk {
            seal()
            openEnd = SampleTime.floor(time, to: range) + range
        } else if open.count == Self.samplesPerChunk / 4 {
            openEnd = Self.evenEnd(from: open.firstTime, through: openEnd, now: time)
        }
        open.append(time, value)
    }

    /// Where the chunk should end so that the chunks of the range are about even (Prometheus, `computeChunkEndTime`).
    static func evenEnd(from start: Int64, through end: Int64, now time: Int64) -> Int64 {
        let pieces = (end - start) / ((time - start + 1) * 4)
        return pieces <= 1 ? end : start + (end - start) / pieces
    }

    func appendLate(_ time: Int64, _ value: Double) {
        guard let index = lateIndex(time) else { return }
        late.insert((time, value), at: index)
    }

    /// Whether a histogram that comes now is kept with whole counts; if not, all that follow are not.
    func takesWholeCounts(_ histogram: NativeHistogram) -> Bool {
        if !histogram.hasWholeCounts { holdFractions() }
        return histograms?.holdsFractions != true
    }

    /// From now on counts may be fractions.
    func holdFractions() {
        let histograms = histograms ?? HistogramSeries()
        histograms.holdsFractions = true
        self.histograms = histograms
    }

    /// Adds a valid histogram that is later than all samples.
    func append(_ time: Int64, _ histogram: NativeHistogram, chunkRange range: Int64) {
        let histograms = histograms ?? HistogramSeries()
        histograms.append(time, histogram, chunkRange: range)
        self.histograms = histograms
    }

    private func seal() {
        sealed.append(SealedChunk(firstTime: open.firstTime, lastTime: open.lastTime, bytes: open.bytes))
        open = XORChunk()
    }

    // MARK: Removing

    /// Deletes what lies in `range`, and nothing that is still to come.
    func delete(_ range: ClosedRange<Int64>) {
        deleted.append(range)
        late.removeAll { range.contains($0.time) }
    }

    /// Drops chunks and samples that end before `time`.
    func dropSamples(before time: Int64) {
        sealed.removeAll { $0.lastTime < time }
        if open.count > 0, open.lastTime < time {
            open = XORChunk()
            openEnd = .min
        }
        late.removeAll { $0.time < time }
        histograms?.drop(before: time)
        if histograms?.isEmpty == true { histograms = nil }
        deleted.removeAll { $0.upperBound < time }
    }

    var isEmpty: Bool { sealed.isEmpty && open.count == 0 && late.isEmpty && histograms?.isEmpty != false }

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
        try histograms?.read(range, into: &column)
        for range in deleted { column.remove(range, from: first) }
        for sample in late where range.contains(sample.time) { column.append(sample.time, sample.value) }
        if !late.isEmpty || histograms != nil { column.sort(from: first) }
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
