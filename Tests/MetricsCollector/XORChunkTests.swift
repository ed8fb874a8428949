import KernelStructures
import Testing
import TimeSeriesEngine

@testable import MetricsCollectorEngine

@Suite struct XORChunkTests {
    private static let all = SampleTime.range

    private func decoded(_ bytes: [UInt8], _ range: ClosedRange<Int64> = all) -> SampleColumn? {
        var column = SampleColumn()
        return bytes.withUnsafeBytes { XORChunk.decode($0, in: range, into: &column) } ? column : nil
    }

    private func chunk(_ samples: [(Int64, Double)]) -> XORChunk {
        var chunk = XORChunk()
        for (time, value) in samples { chunk.append(time, value) }
        return chunk
    }

    @Test func whatIsPackedComesBackBitForBit() throws {
        var random = SeededRandom(seed: 9)
        for _ in 0..<500 {
            var samples: [(Int64, Double)] = []
            var time = Int64(random.below(2_000_000_000_000)) - 1_000_000_000_000
            for _ in 0..<1 + random.below(200) {
                let value: Double
                switch random.below(6) {
                case 0: value = Double(bitPattern: random.next())
                case 1: value = Staleness.marker
                case 2: value = samples.last?.1 ?? 0
                case 3: value = [.infinity, -.infinity, .nan, 0, -0.0][random.below(5)]
                default: value = (samples.last?.1 ?? 0) + Double(random.below(1000))
                }
                samples.append((time, value))
                let step = [1, 15_000, 15_000, 15_003, 8192, 8193, 65_536, 524_288, 524_289, 1 << 40]
                time += Int64(step[random.below(step.count)])
            }
            let column = try #require(decoded(chunk(samples).bytes))
            #expect(column.timestamps == samples.map(\.0))
            #expect(column.values.map(\.bitPattern) == samples.map(\.1.bitPattern))
        }
    }

    /// By the description of the format, by hand.
    @Test func theBytesAreTheFormats() {
        let chunk = chunk([(0, 0), (15_000, 1), (30_000, 1)])
        // count 3 | time 0 | value 0.0 | delta 15000 | xor: new window, 2 leading, 10 bits | same delta, same value
        #expect(chunk.bytes.prefix(11) == [0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        #expect(chunk.bytes[11...12] == [0x98, 0x75])
        #expect(chunk.byteCount == 11 + 2 + 4)
    }

    @Test func onlyTheTimeThatWasAskedForIsDecoded() throws {
        let bytes = chunk((0..<100).map { (index: Int64) in (index * 1000, Double(index)) }).bytes
        let column = try #require(decoded(bytes, 10_000...12_500))
        #expect(column.timestamps == [10_000, 11_000, 12_000])
        #expect(column.values == [10, 11, 12])
    }

    @Test func aCounterTakesAByteAndAHalf() {
        var random = SeededRandom(seed: 1)
        var value = 0.0
        var samples: [(Int64, Double)] = []
        for index in 0..<120 {
            value += Double(random.below(10))
            samples.append((Int64(index) * 15_000, value))
        }
        #expect(Double(chunk(samples).byteCount) / 120 < 2.5)
    }

    /// Whatever the bytes are: no more samples than the chunk says, in bounds, and cut-off chunks are found out.
    @Test func damagedBytesAreRefusedOrReadWithinBounds() {
        var random = SeededRandom(seed: 4)
        let whole = chunk((0..<120).map { (index: Int64) in (index * 15_000 + index % 3, Double(index * index)) }).bytes
        for _ in 0..<2000 {
            var bytes = whole
            for _ in 0..<1 + random.below(4) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
            if let column = decoded(bytes) {
                #expect(column.count <= Int(bytes[0]) << 8 | Int(bytes[1]))
                #expect(column.timestamps.allSatisfy(Self.all.contains))
            }
        }
        for count in 0..<whole.count { #expect(decoded(Array(whole.prefix(count))) == nil) }
    }
}
