import KernelStorage
import KernelStructures
import Testing
import TimeSeriesEngine

@testable import MetricsCollectorEngine

/// Native histograms: packed, kept through everything that a store does, and as Prometheus has them.
@Suite struct HistogramChunkTests {
    private func decoded(_ chunk: [UInt8], _ encoding: UInt8) -> SampleColumn? {
        var column = SampleColumn()
        let isWhole = chunk.withUnsafeBytes {
            HistogramChunk.decode($0, encoding: encoding, in: SampleTime.range, into: &column)
        }
        return isWhole ? column : nil
    }

    private static func counted(_ histogram: NativeHistogram) -> [Int32: Double] {
        var counts: [Int32: Double] = [:]
        for (spans, buckets, base) in [
            (histogram.positiveSpans, histogram.positiveBuckets, Int32(1 << 20)),
            (histogram.negativeSpans, histogram.negativeBuckets, -(1 << 20)),
        ] {
            for (index, count) in zip(HistogramLayout.indices(spans), buckets) where count != 0 {
                counts[base + index] = count
            }
        }
        return counts
    }

    /// All of it but for buckets without counts, and what is known of resets.
    private static func means(_ one: NativeHistogram, _ other: NativeHistogram) -> Bool {
        one.schema == other.schema && one.zeroThreshold == other.zeroThreshold && one.zeroCount == other.zeroCount
            && one.count == other.count && one.sum.bitPattern == other.sum.bitPattern && counted(one) == counted(other)
    }

    /// A program that counts: buckets come into use, now and then it is started anew, or it has fractions.
    private struct Program {
        var random: SeededRandom
        var histogram = NativeHistogram()
        let isFractional: Bool
        let isGauge: Bool

        init(_ seed: UInt64) {
            random = SeededRandom(seed: seed)
            isFractional = seed % 3 == 0
            isGauge = seed % 5 == 0
            begin()
        }

        mutating func begin() {
            histogram = NativeHistogram()
            histogram.schema = Int32(random.below(13)) - 4
            histogram.zeroThreshold = [0, 0x1p-128, 0.001, 1024, 2048, 0x1p-243, 0x1p-244][random.below(7)]
            histogram.counterReset = isGauge ? .gauge : .unknown
        }

        mutating func next() -> NativeHistogram {
            if random.chance(0.03) { begin() }
            for _ in 0..<random.below(4) {
                let index = Int32(random.below(random.chance(0.9) ? 6 : 40)) - 10
                add(index, Double(1 + random.below(random.chance(0.9) ? 9 : 1_000_000)) / (isFractional ? 3 : 1))
            }
            if random.chance(0.2) { histogram.zeroCount += 1 }
            if isGauge, random.chance(0.2), !histogram.positiveBuckets.isEmpty { histogram.positiveBuckets[0] = 0 }
            histogram.count =
                histogram.zeroCount + (histogram.positiveBuckets + histogram.negativeBuckets).reduce(0, +)
            histogram.sum += [0.1, -7, .infinity][random.below(random.chance(0.99) ? 2 : 3)]
            return histogram
        }

        private mutating func add(_ index: Int32, _ count: Double) {
            let isPositive = random.chance(0.7)
            let spans = isPositive ? histogram.positiveSpans : histogram.negativeSpans
            let buckets = isPositive ? histogram.positiveBuckets : histogram.negativeBuckets
            var counts = Dictionary(uniqueKeysWithValues: zip(HistogramLayout.indices(spans), buckets))
            counts[index, default: 0] += count
            let sorted = counts.sorted { $0.key < $1.key }
            if isPositive {
                histogram.positiveSpans = HistogramLayout.spans(sorted.map(\.key))
                histogram.positiveBuckets = sorted.map(\.value)
            } else {
                histogram.negativeSpans = HistogramLayout.spans(sorted.map(\.key))
                histogram.negativeBuckets = sorted.map(\.value)
            }
        }
    }

    /// By the description of the format, by hand.
    @Test func theBytesAreTheFormats() throws {
        var histogram = NativeHistogram()
        histogram.schema = 1
        histogram.zeroThreshold = 0x1p-128
        histogram.count = 3
        histogram.sum = 0
        histogram.positiveSpans = [.init(offset: 0, length: 2)]
        histogram.positiveBuckets = [1, 2]
        let chunk = HistogramChunk(for: histogram, after: nil)
        #expect(chunk.encoding == 2 && chunk.append(4, histogram))
        histogram.count = 5
        histogram.positiveBuckets = [2, 3]
        #expect(chunk.append(8, histogram))
        // count 2 | unknown | threshold 116 | schema 10 001 | one span 10 001, length 10 010, offset 0 | no spans 0
        // time 10 100 | count 10 011 | zeros 0 | sum 64 zeros | buckets 10 001, 10 001 (1 more than the one before)
        // time 10 100 | count 10 010 | zeros 0 | sum 0 | buckets 10 001, 0
        #expect(chunk.bytes.prefix(4) == [0, 2, 0, 116])
        let bits =
            "10001 10001 10010 0 0 10100 10011 0 " + String(repeating: "0", count: 64)
            + " 10001 10001 10100 10010 0 0 10001 0"
        let found = chunk.bytes.dropFirst(4).map {
            String(repeating: "0", count: $0.leadingZeroBitCount)
                + String($0, radix: 2)
        }.map { $0.count > 8 ? String($0.prefix(8)) : $0 }.joined()
        let wanted = bits.filter { $0 != " " }
        #expect(found.hasPrefix(wanted) && found.dropFirst(wanted.count).allSatisfy { $0 == "0" })
    }

    @Test func numbersOfEachSizeComeBack() {
        var writer = BitWriter()
        var numbers: [Int64] = [0, .min, .max]
        for power in 0..<63 {
            for near in -2...2 { numbers += [1 << Int64(power) + Int64(near), -(1 << Int64(power)) + Int64(near)] }
        }
        for number in numbers {
            writer.append(varbit: number)
            writer.append(varbit: UInt64(bitPattern: number))
        }
        writer.bytes.withUnsafeBytes { raw in
            var reader = BitReader(raw)
            for number in numbers {
                #expect(reader.varbit() == number)
                #expect(reader.unsignedVarbit() == UInt64(bitPattern: number))
            }
            #expect(!reader.isBeyondEnd)
        }
    }

    @Test(arguments: UInt64(1)...30) func whatIsPackedComesBack(seed: UInt64) throws {
        var program = Program(seed)
        let series = HistogramSeries()
        var given: [(time: Int64, value: NativeHistogram?)] = []
        var time = Int64(program.random.below(1 << 40))
        for _ in 0..<700 {
            time += program.random.chance(0.9) ? 15_000 : Int64(1 + program.random.below(100_000))
            let histogram = program.next()
            #expect(histogram.isValid)
            series.append(time, histogram, chunkRange: 7_200_000)
            given.append((time, histogram))
            if program.random.chance(0.01) {
                time += 1
                if series.appendEnd(time) { given.append((time, nil)) }
            }
        }
        var column = SampleColumn()
        try series.read(SampleTime.range, into: &column)
        #expect(column.timestamps == given.map(\.time))
        for (index, one) in given.enumerated() {
            if let value = one.value {
                let found = try #require(column.histograms[index])
                #expect(Self.means(found, value) && found.isValid)
                #expect((found.counterReset == .gauge) == program.isGauge)
            } else {
                #expect(Staleness.isMarker(column.values[index]) && column.histograms[index] == nil)
            }
        }
        // Once counts were fractions no chunk has whole ones.
        #expect(series.sealed.map(\.encoding) == series.sealed.map(\.encoding).sorted())
        // Within a chunk of counters none falls.
        for chunk in series.sealed where !program.isGauge {
            let lines = try #require(decoded(chunk.bytes, chunk.encoding)).histograms.compactMap { $0 }
            for (one, next) in zip(lines, lines.dropFirst()) {
                #expect(zip(one.positiveBuckets, next.positiveBuckets).allSatisfy { $0 <= $1 })
                #expect(one.zeroCount <= next.zeroCount && one.count <= next.count)
            }
        }
    }

    /// The count of all may have grown beyond what it was before.
    @Test func oneBucketThatFallsOrIsGoneIsABeginning() throws {
        let both = [NativeHistogram.Span(offset: 2, length: 2)]
        let second = [NativeHistogram.Span(offset: 3, length: 1)]
        for (spans, buckets) in [(both, [1.0, 20]), (second, [20])] {
            let series = HistogramSeries()
            for (time, spans, buckets) in [(1, both, [5.0, 5]), (2, spans, buckets)] {
                var histogram = NativeHistogram()
                histogram.positiveSpans = spans
                histogram.positiveBuckets = buckets
                histogram.count = buckets.reduce(0, +)
                series.append(Int64(time), histogram, chunkRange: 1000)
            }
            var column = SampleColumn()
            try series.read(SampleTime.range, into: &column)
            #expect(column.histograms.map { $0?.counterReset } == [.unknown, .reset])
        }
    }

    @Test func whereTheCountsBeginAnewIsSaid() throws {
        var histogram = NativeHistogram()
        histogram.positiveSpans = [.init(offset: 2, length: 1)]
        let series = HistogramSeries()
        for (time, count) in [(1, 5.0), (2, 7), (3, 1), (4, 2)] {
            histogram.positiveBuckets = [count]
            histogram.count = count
            series.append(Int64(time), histogram, chunkRange: 1000)
        }
        var column = SampleColumn()
        try series.read(SampleTime.range, into: &column)
        #expect(column.histograms.map { $0?.counterReset } == [.unknown, .unknown, .reset, .unknown])
        #expect(series.chunkCount == 2)
    }

    /// Whatever the bytes are: nothing traps, and what comes out is valid.
    @Test func anyBytes() {
        var random = SeededRandom(seed: 11)
        for seed in 0..<400 {
            var program = Program(UInt64(seed))
            let first = program.next()
            let chunk = HistogramChunk(for: first, after: nil)
            _ = chunk.append(1000, first)
            for step in 0..<20 { _ = chunk.append(Int64(2000 + step * 10), program.next()) }
            var bytes = chunk.bytes
            for _ in 0..<1 + random.below(8) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
            bytes.removeLast(random.below(bytes.count / 2))
            for encoding in [HistogramChunk.wholeEncoding, HistogramChunk.floatEncoding] {
                guard let column = decoded(bytes, encoding) else { continue }
                #expect(column.histograms.allSatisfy { $0?.isValid != false })
            }
        }
    }

    // MARK: The store

    private func open(_ disk: SimulatedDisk) throws -> TimeSeriesStore {
        var settings = StoreSettings()
        settings.blockMilliseconds = 100_000
        settings.retentionMilliseconds = 0
        settings.snapshotSamples = 0
        return try TimeSeriesStore(
            settings: settings, disk: NodeDisk(base: disk, owner: DiskOwner(1)), directory: "/data",
            random: SeededRandom(seed: 1))
    }

    private func column(_ store: TimeSeriesStore, _ name: String) throws -> SampleColumn {
        var column = SampleColumn()
        let selection = Selection(from: 0, through: SampleTime.range.upperBound)
        for series in try store.select([.equal("__name__", name)], selection) { try series.read(into: &column) }
        return column
    }

    @Test(arguments: UInt64(1)...6)
    func theyAreInBlocksAndSurviveStartsAndCompaction(seed: UInt64) throws {
        let disk = SimulatedDisk()
        var store = try open(disk)
        var programs = [Program(seed), Program(seed + 50)]
        var given: [[Int64: NativeHistogram?]] = [[:], [:]]
        var now: Int64 = 1_000_000
        for step in 0..<1500 {
            now += 1000
            var batch = TimeSeriesStore.Batch()
            for index in programs.indices {
                let histogram = programs[index].next()
                let handle = try store.handle(["__name__": "h\(index)"])
                if programs[index].random.chance(0.01) {
                    try store.add(now, Staleness.marker, to: handle, &batch)
                    given[index][now] = .some(nil)
                } else {
                    try store.add(now, histogram, to: handle, &batch)
                    given[index][now] = histogram
                }
            }
            store.commit(batch)
            if step % 100 == 99 { while store.maintain(now: now) {} }
            if step % 401 == 400 {
                if step % 2 == 0 { try store.close() }
                store = try open(disk)
            }
            if step == 1200 {
                try store.delete([[.equal("__name__", "h0")]], 1_500_000...1_510_000)
                for time in given[0].keys where (1_500_000...1_510_000).contains(time) { given[0][time] = nil }
                try store.cleanTombstones(now: now)
            }
        }
        while store.maintain(now: now) {}
        #expect(store.problems == [] && store.statistics.compactions > 0 && store.blocks.count > 1)
        for index in programs.indices {
            let column = try column(store, "h\(index)")
            #expect(column.timestamps == given[index].keys.sorted())
            for (place, time) in column.timestamps.enumerated() {
                if case .some(.some(let wanted)) = given[index][time] {
                    let found = try #require(column.histograms[place], "seed \(seed), \(time)")
                    #expect(Self.means(found, wanted), "seed \(seed), \(time)")
                } else {
                    #expect(Staleness.isMarker(column.values[place]))
                }
            }
        }
        // Those in memory are the newest alone.
        #expect(store.head.series.reduce(0) { $0 + $1.sampleCount } < 600)
    }

    @Test func recordsSayWhatWasWritten() throws {
        var whole = NativeHistogram()
        whole.schema = 3
        whole.count = 4
        whole.sum = -2.5
        whole.counterReset = .reset
        whole.zeroThreshold = 0.01
        whole.positiveSpans = [.init(offset: -7, length: 2), .init(offset: 3, length: 1)]
        whole.positiveBuckets = [1, 3, 0]
        var other = whole
        other.negativeSpans = [.init(offset: 1, length: 1)]
        other.negativeBuckets = [0.5]
        let all: [WALRecord.LoggedHistogram] = [
            (9, 1000, whole, true), (4, 900, NativeHistogram(), true), (9, 1010, other, false), (9, 1020, whole, false),
        ]
        let records = WALRecord.histogramRecords(all)
        #expect(records.map(\.first) == [7, 8])
        var read: [WALRecord.LoggedHistogram] = []
        for record in records {
            guard case .histograms(let some) = try WALRecord(record) else { return #expect(Bool(false)) }
            read += some
        }
        #expect(read.count == 4 && zip(read, all).allSatisfy { $0 == $1 })
    }

    @Test func theyTravelByRemoteWrite() throws {
        var queue = RemoteWriteQueue()
        var whole = NativeHistogram()
        whole.count = 4
        whole.sum = -2.5
        whole.schema = -2
        whole.positiveSpans = [.init(offset: -7, length: 2), .init(offset: 3, length: 1)]
        whole.positiveBuckets = [3, 1, 0]
        whole.counterReset = .gauge
        var other = whole
        other.negativeSpans = [.init(offset: 1, length: 1)]
        other.negativeBuckets = [0.5]
        other.zeroCount = 1.25
        queue.add(["__name__": "h"], 5, .histogram(whole))
        queue.add(["__name__": "h"], 6, .histogram(other))
        queue.add(["__name__": "h"], 7, .float(Staleness.marker))
        let next = queue.next()
        let request = try #require(next)
        #expect(request.series.count == 1 && request.series[0].histograms.count == 2)
        #expect(try RemoteWriteRequest(snappy: request.bytes) == request)
    }
}
