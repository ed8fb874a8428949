import KernelStorage
import KernelStructures
import Testing
import TimeSeriesEngine

@testable import MetricsCollectorEngine

/// Blocks whose bytes somebody changed: an error that names the file, or what was written; never anything else.
@Suite struct BlockDamageTests {
    private let disk = SimulatedDisk()
    private var node: NodeDisk { NodeDisk(base: disk, owner: DiskOwner(1)) }

    /// A block of a few series, and its directory.
    private func block() throws -> String {
        var random = SeededRandom(seed: 2)
        let meta = BlockMeta(ulid: ULID.make(milliseconds: 5, random: &random), minTime: 0, maxTime: 100_000)
        try node.makeDirectory("/data")
        var writer = try BlockWriter(node, "/data", meta)
        for name in ["a", "b", "c"] {
            var column = SampleColumn()
            for step in 0..<300 { column.append(Int64(step) * 100, Double(step)) }
            try writer.add(["__name__": name, "x": "1"], ChunkPacker.chunks(of: column))
        }
        return "/data/" + (try #require(try writer.finish())).ulid
    }

    private func contents(_ block: Block) throws -> [String: Int] {
        var result: [String: Int] = [:]
        for series in try block.select([.equal("x", "1")], Selection(from: 0, through: 100_000)) {
            var column = SampleColumn()
            try series.read(into: &column)
            #expect(column.timestamps.allSatisfy { (0...30_000).contains($0) && $0 % 100 == 0 })
            result[series.labels.metricName] = column.count
        }
        return result
    }

    @Test func aBlockReadsAsItWasWritten() throws {
        let block = try Block(node, try block())
        #expect(try contents(block) == ["a": 300, "b": 300, "c": 300])
        #expect(block.meta.seriesCount == 3 && block.meta.sampleCount == 900 && block.meta.chunkCount == 9)
        #expect(try block.numbers([]).count == 3)
        #expect(try block.numbers([try LabelMatcher("__name__", .matches, "a|c|zz")]).count == 2)
        #expect(try block.numbers([try LabelMatcher("__name__", .notEqual, "a")]).count == 2)
        #expect(try block.numbers([.equal("y", "")]).count == 3)
        #expect(try block.numbers([.equal("y", "1")]).isEmpty)
    }

    @Test(arguments: ["index", "chunks/000001", "meta.json", "tombstones"])
    func eachFlippedByte(name: String) throws {
        let path = try block()
        let whole = try node.contents(of: "\(path)/\(name)")
        for index in whole.indices {
            var bytes = whole
            bytes[index] ^= 0x41
            try node.store(bytes, at: "\(path)/\(name)")
            do {
                let found = try contents(try Block(node, path))
                #expect(found.values.allSatisfy { $0 <= 300 })
            } catch let error as QueryableError {
                #expect("\(error)".contains(path), "\(error)")
            }
        }
        for count in stride(from: 0, to: whole.count, by: 13) {
            try node.store(Array(whole.prefix(count)), at: "\(path)/\(name)")
            do { _ = try contents(try Block(node, path)) } catch { #expect("\(error)".contains("/data/")) }
        }
    }

    /// A store leaves a damaged block out, and says so.
    @Test func aStoreTellsOfDamage() throws {
        let path = try block()
        var bytes = try node.contents(of: "\(path)/index")
        bytes[bytes.count - 1] ^= 1
        try node.store(bytes, at: "\(path)/index")
        let store = try TimeSeriesStore(
            settings: StoreSettings(), disk: node, directory: "/data", random: SeededRandom(seed: 1))
        #expect(store.blocks.isEmpty && store.problems.count == 1)
        #expect(store.problems.first?.contains("is left out") == true)
    }

    // @covers MET-C5
    @Test func oldBlocksGoByTimeAndBySize() throws {
        var settings = StoreSettings()
        settings.blockMilliseconds = 10_000
        settings.longestBlockMilliseconds = 10_000
        settings.retentionMilliseconds = 50_000
        let store = try TimeSeriesStore(
            settings: settings, disk: node, directory: "/kept", random: SeededRandom(seed: 1))
        for step in 0..<400 {
            try store.append(["__name__": "a"], Int64(step) * 500, Double(step))
            if step % 20 == 0 { while store.maintain(now: 0) {} }
        }
        let first = try #require(store.blocks.first?.meta.minTime)
        #expect(first >= 190_000 - 50_000 - 20_000 && first > 0)
        // What is young enough in part stays whole.
        #expect(first < (store.blocks.last?.meta.maxTime ?? 0) - 50_000)
        #expect(store.statistics.deletedBlocks > 5)
        let size = store.blocks.reduce(0) { $0 + $1.byteCount }
        try store.close()
        settings.retentionMilliseconds = 0
        settings.retentionBytes = size / 2
        let smaller = try TimeSeriesStore(
            settings: settings, disk: node, directory: "/kept", random: SeededRandom(seed: 1))
        while smaller.maintain(now: 0) {}
        #expect(smaller.blocks.reduce(0) { $0 + $1.byteCount } <= size / 2)
        // The newest stay.
        #expect(smaller.blocks.last?.meta.maxTime ?? 0 >= store.blocks.last?.meta.maxTime ?? 1)
    }

    /// What the log of a day is, and how it is folded together.
    // @covers MET-H3
    @Test func shortBlocksBecomeLongOnes() throws {
        var settings = StoreSettings()
        settings.blockMilliseconds = 10_000
        settings.longestBlockMilliseconds = 270_000
        settings.retentionMilliseconds = 0
        let store = try TimeSeriesStore(
            settings: settings, disk: node, directory: "/long", random: SeededRandom(seed: 1))
        for step in 0..<2000 {
            try store.append(["__name__": "a"], Int64(step) * 500, Double(step))
            if step % 20 == 0 { while store.maintain(now: 0) {} }
        }
        let widths = store.blocks.map { ($0.meta.maxTime - $0.meta.minTime) / 10_000 }
        #expect(widths.max() == 27 && widths.count < 12, "\(widths)")
        var column = SampleColumn()
        try store.select([.equal("__name__", "a")], Selection(from: 0, through: 1_000_000)).first?.read(into: &column)
        #expect(column.values == (0..<2000).map(Double.init))
    }
}
