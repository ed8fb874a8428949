import KernelStorage
import KernelStructures
import LogModelEngine
import TestSupport
import Testing
import TimeSeriesEngine

@testable import LogStoreEngine

/// What is there after an accident: all that was acknowledged, once, and nothing that was never sent.
@Suite("The store of logs after a crash")
struct LogStoreCrashTests {
    /// Lines with numbers, by a sender that notes how far it has come, with packing and merging between.
    final class Run {
        let bench: StoreBench
        /// Lines that were given to the store, and those of them that were promised.
        var sent = 0
        var promised = 0
        static let source = LogFileSource(agent: "a", inode: 7, generation: 1)

        init() throws {
            bench = try StoreBench()
            bench.now = StoreBench.start + StoreBench.day + 7200 * StoreBench.second
        }

        /// Goes on until power goes.
        func run(steps: Int) {
            var random = SeededRandom(seed: 9)
            for _ in 0..<steps {
                for _ in 0..<random.below(8) {
                    let time = StoreBench.start + Int64(random.below(50_000)) * StoreBench.second * 3
                    let text = "{\"n\":\(sent),\"pad\":\"\(String(repeating: "x", count: 40))\"}"
                    guard bench.append(["a", "b"][random.below(2)], text, at: time) == nil else { break }
                    sent += 1
                    bench.store.note(Self.source, offset: sent, now: bench.now)
                }
                guard (try? bench.store.commit(now: bench.now)) != nil else { return }
                promised = sent
                bench.now += 11 * StoreBench.second
                for _ in 0..<6 { guard (try? bench.store.maintain(now: bench.now)) != nil else { return } }
                if bench.crash.isDead { return }
            }
        }

        /// Opens what is left, and checks it.
        func check(_ comment: String) throws {
            bench.crash.crashAt = .max
            try bench.open()
            var numbers: [Int] = []
            for line in try bench.lines() {
                let digits = line.dropFirst(5).prefix { $0.isNumber }
                numbers.append(try #require(Int(digits)))
            }
            numbers.sort()
            #expect(numbers == Array(0..<numbers.count), "\(comment): lines are missing, or there twice")
            #expect(numbers.count >= promised && numbers.count <= sent, "\(comment): \(numbers.count) of \(promised)")
            // What says how far the sender has come agrees with what is there: so nothing is lost when it goes on.
            #expect((bench.store.offset(of: Self.source) ?? 0) == numbers.count, "\(comment)")
        }
    }

    @Test("power that goes at any operation of the disk loses nothing that was acknowledged", arguments: [false, true])
    func powerLoss(isRandom: Bool) throws {
        let steps = isLong ? 120 : 30
        let first = try Run()
        first.run(steps: steps)
        #expect(first.bench.store.statistics.flushes > 1 && first.bench.store.statistics.merges > 0)
        let total = first.bench.crash.operations
        let stride = isLong ? 1 : 17
        for crashAt in Swift.stride(from: isRandom ? 13 : 12, to: total, by: stride) {
            let run = try Run()
            run.bench.crash.crashAt = crashAt
            run.run(steps: steps)
            let policy: PowerLossPolicy = isRandom ? .random(seed: UInt64(crashAt)) : .dropAll
            _ = run.bench.base.losePower(owner: StoreBench.owner, policy: policy)
            try run.check("power lost at operation \(crashAt)")
        }
    }

    @Test("power that goes while the store is opened after a crash")
    func powerLossWhileOpening() throws {
        for crashAt in stride(from: 60, to: isLong ? 500 : 220, by: isLong ? 7 : 50) {
            for opening in stride(from: 1, through: 30, by: isLong ? 1 : 9) {
                let run = try Run()
                run.bench.crash.crashAt = crashAt
                run.run(steps: 25)
                _ = run.bench.base.losePower(owner: StoreBench.owner, policy: .random(seed: UInt64(opening)))
                let again = CrashDisk(run.bench.base)
                again.crashAt = opening
                let node = NodeDisk(base: again, owner: StoreBench.owner)
                run.bench.store = nil
                _ = try? LogStore(
                    settings: run.bench.settings, limits: .none, disk: node, directory: "/logs", now: run.bench.now)
                _ = run.bench.base.losePower(owner: StoreBench.owner, policy: .dropAll)
                try run.check("power lost at \(crashAt), then at \(opening)")
            }
        }
    }

    @Test("a process that is killed loses nothing that was written")
    func killed() throws {
        for crashAt in stride(from: 12, to: 300, by: isLong ? 1 : 31) {
            let run = try Run()
            run.bench.crash.crashAt = crashAt
            run.run(steps: 25)
            try run.check("killed at operation \(crashAt)")
        }
    }

    @Test("a log that was changed where it was promised is refused; one that is cut off at its end is not")
    func damage() throws {
        let bench = try StoreBench()
        for number in 0..<5 {
            bench.append("web", "line \(number)")
            try bench.store.commit(now: bench.now)
        }
        let path = LogHead.path(1, "/logs/wal")
        let bytes = try bench.node.contents(of: path)
        for length in stride(from: 0, to: bytes.count, by: 3) {
            try bench.node.store(Array(bytes[..<length]), at: path)
            let other = NodeDisk(base: bench.base, owner: StoreBench.owner)
            let store = try LogStore(disk: other, directory: "/logs", now: bench.now)
            #expect(store.statistics.recoveredEntries <= 5)
            // As it was.
            for name in try bench.node.list("/logs") where name.hasPrefix("20") {
                for file in try bench.node.list("/logs/\(name)") { try bench.node.remove("/logs/\(name)/\(file)") }
            }
        }
        var changed = bytes
        changed[40] ^= 1
        try bench.node.store(changed, at: path)
        let other = NodeDisk(base: bench.base, owner: StoreBench.owner)
        #expect(throws: LogSourceError.self) { try LogStore(disk: other, directory: "/logs", now: bench.now) }
    }

    @Test("a place beyond all files in a log is skipped and said; the lines and places around it are there")
    func placesBeyondAll() throws {
        let bench = try StoreBench()
        let good = LogFileSource(agent: "a", inode: .max, generation: 3)
        bench.append("web", "one")
        bench.store.note(LogFileSource(agent: "a", inode: 1, generation: .max), offset: 5, now: bench.now)
        bench.store.note(LogFileSource(agent: "a", inode: 2, generation: 0), offset: 1 << 50, now: bench.now)
        bench.append("web", "two")
        bench.store.note(good, offset: 7, now: bench.now)
        try bench.store.commit(now: bench.now)
        for _ in 0..<2 {
            try bench.open()
            #expect(try bench.lines() == ["one", "two"] && bench.store.offset(of: good) == 7)
        }
        bench.append("web", "three")
        bench.store.note(LogFileSource(agent: "a", inode: 2, generation: 0), offset: 1 << 50, now: bench.now)
        try bench.store.commit(now: bench.now)
        try bench.open()
        #expect(bench.store.problems.contains { $0.contains("that no file can have") })
    }

    @Test(
        "a segment that is damaged anywhere is left out or said to be damaged; whoever is answered is answered in full")
    func segments() throws {
        let bench = try StoreBench()
        var maker = LineMaker(seed: 6)
        for number in 0..<40 { bench.append("web", maker.line(number)) }
        try bench.flush()
        let path = bench.store.segments[0].path
        let bytes = try bench.node.contents(of: path)
        let expected = try bench.lines()
        var random = SeededRandom(seed: 12)
        for _ in 0..<(isLong ? 20_000 : 200) {
            var changed = bytes
            switch random.below(3) {
            case 0: changed[random.below(bytes.count)] ^= UInt8(1 << random.below(8))
            case 1: changed.removeLast(random.below(bytes.count))
            default: for _ in 0..<8 { changed[random.below(bytes.count)] = UInt8(random.below(256)) }
            }
            try bench.node.store(changed, at: path)
            let store = try LogStore(
                disk: NodeDisk(base: bench.base, owner: StoreBench.owner), directory: "/logs", now: bench.now)
            var statistics = LogStatistics()
            for (hint, needle) in [
                (LogHint.anything, ""), (.word("error"), "error"), (.contains(Array("refused".utf8)), "refused"),
                (.word("nowhere"), "nowhere"),
            ] {
                guard
                    let chunks = try? store.select(
                        LogSelection([], from: .min, through: .max, hint: hint), &statistics)
                else { continue }
                var found: Set<String> = []
                var isWhole = store.damages.isEmpty
                for chunk in chunks {
                    guard let block = try? store.read(chunk, &statistics) else {
                        isWhole = false
                        continue
                    }
                    // zstd's checksum: what can be read is what was written.
                    for index in 0..<block.count { found.insert(block.line(index)) }
                }
                #expect(found.isSubset(of: expected))
                let wanted = expected.filter { needle.isEmpty || $0.contains(needle) }
                #expect(!isWhole || found.isSuperset(of: wanted), "\(needle): \(found.count) of \(wanted.count)")
            }
        }
    }
}
