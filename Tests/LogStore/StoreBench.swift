import KernelStorage
import KernelStructures
import LogModelEngine
import TestSupport
import Testing
import TimeSeriesEngine

@testable import LogStoreEngine

/// A store with small heads and chunks on a simulated disk, and what it was given beside it.
final class StoreBench {
    let base = SimulatedDisk()
    let crash: CrashDisk
    let node: NodeDisk
    var store: LogStore!
    var now: Int64
    static let owner = DiskOwner(1)
    /// 2024-01-15T10:00:00Z
    static let start: Int64 = 1_705_312_800_000_000_000
    static let second: Int64 = 1_000_000_000
    static let day: Int64 = 86_400 * second

    static var settings: LogStoreSettings {
        var settings = LogStoreSettings()
        settings.headBytes = 4096
        settings.chunkBytes = 600
        settings.coldChunkBytes = 2000
        settings.mergeBytes = 40_000
        settings.cacheBytes = 20_000
        return settings
    }

    let settings: LogStoreSettings
    let limits: LogLimits

    init(settings: LogStoreSettings = StoreBench.settings, limits: LogLimits = .none) throws {
        self.settings = settings
        self.limits = limits
        crash = CrashDisk(base)
        node = NodeDisk(base: crash, owner: Self.owner)
        now = Self.start
        try open()
    }

    func open() throws {
        store = nil
        store = try LogStore(settings: settings, limits: limits, disk: node, directory: "/logs", now: now)
    }

    @discardableResult
    func append(
        _ service: String, _ line: String, at time: Int64? = nil, duplicates: DuplicatePolicy = .kept,
        metadata: Labels = Labels()
    ) -> LogRefusal? {
        Array(line.utf8).withUnsafeBytes {
            store.append(
                Labels([("service", service)]), time ?? now, $0, metadata: metadata, duplicates: duplicates, now: now)
        }
    }

    /// All that can wait.
    func settle() throws { while try store.maintain(now: now) {} }

    func flush() throws {
        try store.commit(now: now)
        try store.flushAll(now: now)
    }

    /// All lines that fulfil the conditions, in order of time.
    func lines(
        _ matchers: [LabelMatcher] = [], from: Int64 = .min, through: Int64 = .max, hint: LogHint = .anything,
        _ statistics: inout LogStatistics
    ) throws -> [String] {
        let chunks = try store.select(LogSelection(matchers, from: from, through: through, hint: hint), &statistics)
        var merge = LogMerge(store, chunks, .forward, from: from, through: through)
        var lines: [String] = []
        while let (block, index) = try merge.next(&statistics) { lines.append(block.line(index)) }
        return lines
    }

    func lines(_ matchers: [LabelMatcher] = [], from: Int64 = .min, through: Int64 = .max) throws -> [String] {
        var statistics = LogStatistics()
        return try lines(matchers, from: from, through: through, &statistics)
    }
}

/// Lines as services write them, from a seed.
struct LineMaker {
    var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func line(_ number: Int) -> String {
        let levels = ["info", "info", "info", "warn", "error"]
        let texts = ["Connection refused", "Timeout exceeded", "order accepted", "user logged in", "cache miss"]
        return "{\"level\":\"\(levels[random.below(5)])\",\"msg\":\"\(texts[random.below(5)])\",\"n\":\(number),"
            + "\"trace\":\"\(hexadecimal(random.next(), 16))\"}"
    }
}
