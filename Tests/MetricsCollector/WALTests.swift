import KernelStorage
import KernelStructures
import Testing
import TimeSeriesEngine

@testable import MetricsCollectorEngine

/// The log's bytes: what is written comes back, and what is damaged is found out.
@Suite struct WALTests {
    private let disk = SimulatedDisk()

    private func log(_ records: [[UInt8]], segmentBytes: Int = 1 << 20) throws -> [[UInt8]] {
        let node = NodeDisk(base: disk, owner: DiskOwner(1))
        try node.makeDirectory("/wal")
        let wal = try WAL(node, "/wal", segment: 0, segmentBytes: segmentBytes)
        for record in records { try wal.append(record) }
        try wal.close()
        return try WAL.segments(node, "/wal").map { try node.contents(of: "/wal/\(WAL.name($0))") }
    }

    private func read(_ bytes: [UInt8]) -> (records: [[UInt8]], damage: String?, validBytes: Int) {
        bytes.withUnsafeBytes { raw in
            var reader = WALReader(raw)
            var records: [[UInt8]] = []
            while let record = reader.next() { records.append(record) }
            return (records, reader.damage, reader.validBytes)
        }
    }

    @Test func recordsOfAnySizeComeBack() throws {
        var random = SeededRandom(seed: 12)
        let records = (0..<300).map { index -> [UInt8] in
            let sizes = [0, 1, 7, 100, 32_753, 32_754, 32_761, 32_762, 70_000]
            return (0..<sizes[random.below(sizes.count)]).map { _ in
                UInt8(truncatingIfNeeded: random.next() ^ UInt64(index))
            }
        }
        let segments = try log(records, segmentBytes: 256 * 1024)
        #expect(segments.count > 3)
        #expect(segments.allSatisfy { $0.count <= 256 * 1024 })
        #expect(segments.flatMap { read($0).records } == records)
        #expect(segments.allSatisfy { read($0).damage == nil && read($0).validBytes == $0.count })
    }

    @Test func aTornEndIsCutOff() throws {
        // Most of them lie in two pages: half of a record is none.
        var random = SeededRandom(seed: 13)
        let records = (0..<20).map { _ in (0..<20_000).map { _ in UInt8(truncatingIfNeeded: random.next()) } }
        let bytes = try log(records)[0]
        for end in stride(from: 0, to: bytes.count, by: 1499) {
            let found = read(Array(bytes.prefix(end)))
            #expect(found.records == Array(records.prefix(found.records.count)))
            #expect(found.validBytes <= end)
            #expect(read(Array(bytes.prefix(found.validBytes))).damage == nil)
        }
    }

    @Test func eachFlippedByteIsFoundOut() throws {
        let records = (0..<6).map { [UInt8](repeating: UInt8($0 + 1), count: 40) }
        let bytes = try log(records)[0]
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 0x55
            let found = read(damaged)
            #expect(found.records.count < records.count)
            #expect(found.records == Array(records.prefix(found.records.count)))
        }
    }

    @Test func recordsSayWhatWasWritten() throws {
        let series: [(UInt64, Labels)] = [(1, ["__name__": "a", "x": "ü\"\n"]), (.max, ["b": "c"])]
        guard case .series(let read) = try WALRecord(WALRecord.series(series)) else { return #expect(Bool(false)) }
        #expect(read.map(\.reference) == [1, .max] && read.map(\.labels) == series.map(\.1))
        let samples: [(reference: UInt64, time: Int64, value: Double)] = [
            (5, 1_700_000_000_000, 1), (3, -7, .infinity), (9, SampleTime.range.upperBound, Staleness.marker),
        ]
        guard case .samples(let back) = try WALRecord(WALRecord.samples(samples[...])) else {
            return #expect(Bool(false))
        }
        #expect(back.map(\.reference) == samples.map(\.reference) && back.map(\.time) == samples.map(\.time))
        #expect(back.map(\.value.bitPattern) == samples.map(\.value.bitPattern))
    }

    /// Byte by byte as `tsdb/record` of Prometheus encodes it.
    @Test func exemplarsAreWrittenAsPrometheusDoes() throws {
        let exemplars = [
            WALRecord.LoggedExemplar(reference: 10, time: 1000, value: 1.5, labels: ["trace_id": "7"]),
            WALRecord.LoggedExemplar(reference: 12, time: 990, value: 2, labels: [:]),
        ]
        let bytes = WALRecord.exemplars(exemplars[...])
        var expected: [UInt8] = [4, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 3, 0xE8]
        expected += [0, 0, 0x3F, 0xF8, 0, 0, 0, 0, 0, 0, 1, 8]
        expected += Array("trace_id".utf8)
        expected += [1, UInt8(ascii: "7"), 4, 19, 0x40, 0, 0, 0, 0, 0, 0, 0, 0]
        #expect(bytes == expected)
        guard case .exemplars(let read) = try WALRecord(bytes) else { return #expect(Bool(false)) }
        #expect(read == exemplars)
    }

    @Test func anyRecord() {
        var random = SeededRandom(seed: 6)
        for _ in 0..<5000 {
            var bytes = WALRecord.series([(1, ["__name__": "a", "b": "c"])])
            if random.chance(0.5) { bytes = WALRecord.samples([(1, 2, 3), (4, 5, 6)][...]) }
            if random.chance(0.2) {
                bytes = WALRecord.exemplars([.init(reference: 1, time: 2, value: 3, labels: ["a": "b"])][...])
            }
            if random.chance(0.2) { bytes[0] = [3, 4, 7, 8, 99][random.below(5)] }
            for _ in 0..<random.below(4) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
            bytes.removeLast(random.below(min(bytes.count, 5)))
            guard let record = try? WALRecord(bytes) else { continue }
            switch record {
            case .series(let all): #expect(all.count * 9 <= bytes.count)
            case .samples(let all): #expect(all.count * 10 <= bytes.count)
            case .histograms(let all): #expect(all.count * 26 <= bytes.count)
            case .exemplars(let all): #expect(all.count * 11 <= bytes.count)
            case .tombstones(let all): #expect(all.allSatisfy { $0.range.lowerBound <= $0.range.upperBound })
            case .other(let type): #expect(![1, 2, 3, 4, 7, 8].contains(type))
            }
        }
    }
}
