import Glibc
import KernelCompression
import KernelStructures
import TestSupport
import Testing

@testable import CacheEngine

/// Policies on other people's traces, beside what others have measured: `../shared/vectors/cache` (traces of the LIRS
/// authors, from Caffeine's repository; figures of libcachesim and Caffeine).
@Suite(.enabled(if: HitRates.isThere, "../shared/vectors/cache is not there")) struct HitRateTests {
    // @covers DC-C3
    @Test("LRU meets the figures to the last digit", arguments: HitRates.names)
    func lru(name: String) throws {
        let row = try HitRates.row(name)
        #expect(row.shown(HitRates.measure(LRUPolicy(), row)) == row.reference("LRU"))
    }

    @Test(
        "S3-FIFO and W-TinyLFU are no worse than their references by more than half a point",
        arguments: HitRates.names)
    func modern(name: String) throws {
        let row = try HitRates.row(name)
        let tiny = HitRates.measure(WTinyLFUPolicy(), row)
        #expect(tiny >= row.number("W-TinyLFU") - 0.5, "W-TinyLFU: \(tiny)")
        let fifo = HitRates.measure(S3FIFOPolicy(), row)
        #expect(fifo >= row.number("S3FIFO") - 0.5, "S3-FIFO: \(fifo)")
    }

    @Test("the adaptive policy is within a point of the best of all of them", arguments: HitRates.names)
    func adaptive(name: String) throws {
        let row = try HitRates.row(name)
        let rate = HitRates.measure(AdaptivePolicy(), row)
        let best =
            ["LRU", "ARC", "LIRS", "S3FIFO", "Sieve", "W-TinyLFU", "Caffeine-2.6.2"].map(row.number).max() ?? 100
        #expect(rate >= best - 1, "\(rate), best \(best)")
    }
}

/// What must hold of every policy, whatever is asked of it.
@Suite struct EvictionTests {
    @Test(
        "each policy keeps to the bound of memory, forgets whom it is told to, and runs out of victims last",
        arguments: EvictionChoice.allCases)
    func bound(choice: EvictionChoice) {
        let fixture = CacheFixture {
            $0.maxMemory = 200_000
            $0.policy = choice
        }
        var random = SeededRandom(seed: 17)
        var refused = 0
        for round in 0..<6000 {
            let key = "key:\(random.below(4000))"
            let value = String(repeating: "v", count: random.below(200))
            switch random.below(8) {
            case 0: _ = fixture.ask("DEL \(key)")
            case 1, 2, 3: _ = fixture.ask("GET \(key)")
            default:
                let reply = fixture.cache.execute(
                    ["SET", key, value] + (round % 3 == 0 ? ["EX", "\(1 + random.below(90))"] : []))
                if reply.errorText != nil { refused += 1 }
            }
            if random.below(50) == 0 { fixture.pass(1000) }
            if random.below(500) == 0 { _ = fixture.cache.expireSome(limit: .max) }
            // One command may pass the bound, and a table of the policy grow, before the next one is held to it.
            if !choice.isVolatile, choice != .noEviction { #expect(fixture.cache.usedByteCount < 220_000) }
        }
        if !choice.isVolatile, choice != .noEviction {
            #expect(refused == 0)
            #expect(fixture.cache.statistics.evictedKeys > 100)
        }
        if choice == .noEviction { #expect(refused > 0 && fixture.cache.statistics.evictedKeys == 0) }
        fixture.cache.setPolicy(.allKeysAdaptive)
        fixture.cache.setMaxMemory(20_000)
        for _ in 0..<10 { fixture.cache.evictSome() }
        #expect(fixture.cache.keyCount < 100)
    }

    @Test("exactly the least recently used key goes")
    func exact() {
        let fixture = CacheFixture { $0.policy = .allKeysLRU }
        for number in 0..<100 { _ = fixture.ask("SET k\(number) value") }
        for number in stride(from: 0, to: 100, by: 2) { _ = fixture.ask("GET k\(number)") }
        fixture.cache.setMaxMemory(fixture.cache.usedByteCount - 40 * 100)
        fixture.cache.evictSome()
        for number in 0..<100 where number % 2 == 1 && number < 60 {
            #expect(!fixture.cache.exists(Array("k\(number)".utf8)))
        }
        for number in stride(from: 0, to: 100, by: 2) { #expect(fixture.cache.exists(Array("k\(number)".utf8))) }
    }

    @Test(
        "frequent keys outlive a walk over everything, where frequency counts",
        arguments: [EvictionChoice.allKeysLFU, .allKeysWTinyLFU, .allKeysS3FIFO, .allKeysAdaptive])
    func scanResistance(choice: EvictionChoice) {
        let fixture = CacheFixture {
            $0.policy = choice
            $0.maxMemory = 400_000
        }
        for _ in 0..<20 { for number in 0..<200 { _ = fixture.ask("SET hot:\(number) value") } }
        for number in 0..<20_000 {
            _ = fixture.ask("SET cold:\(number) value")
            if number % 10 == 0 { _ = fixture.ask("GET hot:\(number / 10 % 200)") }
        }
        let kept = (0..<200).filter { fixture.cache.exists(Array("hot:\($0)".utf8)) }.count
        #expect(kept > 180, "\(kept) of 200")
    }
}

/// The traces, and a cache of items without values.
enum HitRates {
    static let names = ["multi1", "multi2", "multi3", "gli", "loop", "sprite"]
    private static let directory = "../shared/vectors/cache/"
    static var isThere: Bool { access(directory + "hitrates.tsv", R_OK) == 0 }

    struct Row {
        let trace: [UInt64]
        let capacity: Int
        let columns: [String: String]
        func reference(_ name: String) -> String { columns[name] ?? "?" }
        func number(_ name: String) -> Double { columns[name].flatMap(Double.init) ?? 0 }
        func shown(_ rate: Double) -> String { fixedDecimal(rate, places: 1) }
    }

    static func row(_ name: String) throws -> Row {
        let lines = String(decoding: try file("hitrates.tsv"), as: UTF8.self).split(separator: "\n")
        let titles = lines[0].split(separator: "\t").map(String.init)
        let line = try #require(lines.first { $0.hasPrefix(name + "\t") })
        let columns = Dictionary(uniqueKeysWithValues: zip(titles, line.split(separator: "\t").map(String.init)))
        let text = try CompressionFormat.gzip.decompress(try file("lirs/\(name).trace.gz"), limitBytes: 64 << 20)
        let blocks = text.split { $0 == 10 || $0 == 13 }.compactMap { UInt64(String(decoding: $0, as: UTF8.self)) }
        return Row(trace: blocks, capacity: Int(columns["capacity"] ?? "") ?? 0, columns: columns)
    }

    private static func file(_ name: String) throws -> [UInt8] {
        let file = try #require(fopen(directory + name, "r"))
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
        return bytes
    }

    /// Hits in percent, over the whole trace, from an empty cache.
    static func measure(_ policy: any EvictionPolicy, _ row: Row) -> Double {
        var items: [UInt64: ItemID] = [:]
        var blocks: [ItemID: UInt64] = [:]
        var free: [ItemID] = []
        var hits = 0
        for block in row.trace {
            let hash = mixed(block &+ 1)
            if let id = items[block] {
                hits += 1
                policy.access(id, hash: hash)
                continue
            }
            let id = free.popLast() ?? ItemID(items.count + 1)
            items[block] = id
            blocks[id] = block
            policy.insert(id, hash: hash)
            while items.count > row.capacity, let victim = policy.victim(), let old = blocks[victim] {
                policy.remove(victim, hash: mixed(old &+ 1), isEviction: true)
                items[old] = nil
                blocks[victim] = nil
                free.append(victim)
            }
        }
        return 100 * Double(hits) / Double(row.trace.count)
    }
}
