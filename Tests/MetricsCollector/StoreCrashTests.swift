import KernelStorage
import KernelStructures
import TestSupport
import Testing
import TimeSeriesEngine

@testable import MetricsCollectorEngine

/// The power fails at every operation that changes the disk, through cuts, checkpoints, compactions and deletions: what
/// was synced is there afterwards, and nothing is there that was never written.
@Suite struct StoreCrashTests {
    @Test("power lost at every operation, what is not synced gone", arguments: 0..<(isLong ? 8 : 2))
    func dropAll(seed: Int) throws { try everyPoint(UInt64(seed)) { _ in .dropAll } }

    @Test("power lost at every operation, any part of what is not synced kept", arguments: 10..<(isLong ? 30 : 12))
    func random(seed: Int) throws { try everyPoint(UInt64(seed)) { .random(seed: UInt64(seed) << 32 + UInt64($0)) } }

    @Test("kill -9 at every operation: all that was committed is there", arguments: 50..<(isLong ? 56 : 51))
    func kill(seed: Int) throws { try everyPoint(UInt64(seed)) { _ in nil } }

    private func everyPoint(_ seed: UInt64, _ policy: (Int) -> PowerLossPolicy?) throws {
        let whole = StoreLife(seed, crashAt: .max)
        try whole.run()
        #expect(whole.operations > 100, "a history in which something happens")
        #expect(whole.cuts > 2 && whole.compactions > 0)
        for point in 0..<whole.operations {
            let life = StoreLife(seed, crashAt: point)
            _ = try? life.run()
            let loss = policy(point)
            if let loss { _ = life.disk.losePower(owner: StoreLife.owner, policy: loss) }
            try life.check("seed \(seed), operation \(point)", isCommittedEnough: loss == nil)
        }
    }
}

/// A history of samples, which knows what it was promised.
private final class StoreLife {
    static let owner = DiskOwner(1)
    let disk = SimulatedDisk()
    private let crash: CrashDisk
    private var random: SeededRandom
    private var written: [String: [Int64: Double]] = [:]
    private var committed: [String: [Int64: Double]] = [:]
    private var synced: [String: [Int64: Double]] = [:]
    private(set) var cuts = 0
    private(set) var compactions = 0

    init(_ seed: UInt64, crashAt: Int) {
        crash = CrashDisk(disk)
        crash.crashAt = crashAt
        random = SeededRandom(seed: seed)
    }

    var operations: Int { crash.operations }

    private static var settings: StoreSettings {
        var settings = StoreSettings()
        settings.blockMilliseconds = 10_000
        settings.longestBlockMilliseconds = 90_000
        settings.retentionMilliseconds = 0
        settings.segmentBytes = 1
        settings.snapshotSamples = 0
        return settings
    }

    private static func open(_ disk: any Disk) throws -> TimeSeriesStore {
        try TimeSeriesStore(
            settings: settings, disk: NodeDisk(base: disk, owner: owner), directory: "/data",
            random: SeededRandom(seed: 7))
    }

    func run() throws {
        var store = try Self.open(crash)
        for step in 0..<140 {
            let time = Int64(step) * 500
            for name in ["a", "b", "c\(step / 40)"] where random.chance(0.9) {
                let value = Double(random.below(1000))
                written[name, default: [:]][time] = value
                try store.append(["__name__": name], time, value)
                if store.statistics.failedWrites > 0 { return }
                committed = written
            }
            if random.chance(0.3) {
                try store.sync()
                synced = written
            }
            if random.chance(0.3) {
                let (cutBefore, compactedBefore) = (store.statistics.cutBlocks, store.statistics.compactions)
                while store.maintain(now: time) {}
                if store.statistics.failedWrites > 0 { return }
                cuts += store.statistics.cutBlocks - cutBefore
                compactions += store.statistics.compactions - compactedBefore
            }
            if random.chance(0.02) {
                try store.close()
                synced = written
                store = try Self.open(crash)
            }
        }
    }

    func check(_ place: String, isCommittedEnough: Bool) throws {
        let store = try Self.open(disk)
        let promised = isCommittedEnough ? committed : synced
        #expect(store.problems == [], "\(place)")
        for (name, samples) in written {
            let found = try Self.samples(store, name)
            for (time, value) in promised[name] ?? [:] where found[time] != value {
                Issue.record("\(place): \(name) at \(time) is \(found[time].map { "\($0)" } ?? "gone"), not \(value)")
                return
            }
            for (time, value) in found where samples[time] != value {
                Issue.record("\(place): \(name) at \(time) is \(value), which nobody wrote")
                return
            }
        }
        // And it goes on.
        try store.append(["__name__": "a"], 1_000_000, 1)
        try store.close()
    }

    static func samples(_ store: TimeSeriesStore, _ name: String) throws -> [Int64: Double] {
        var column = SampleColumn()
        let selection = Selection(from: SampleTime.range.lowerBound, through: SampleTime.range.upperBound)
        for series in try store.select([.equal("__name__", name)], selection) { try series.read(into: &column) }
        #expect(zip(column.timestamps, column.timestamps.dropFirst()).allSatisfy { $0 < $1 })
        return Dictionary(zip(column.timestamps, column.values)) { first, _ in first }
    }
}
