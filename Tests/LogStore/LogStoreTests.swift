import KernelStorage
import KernelStructures
import LogModelEngine
import TestSupport
import Testing
import TimeSeriesEngine

@testable import LogStoreEngine

@Suite("The store of logs")
struct LogStoreTests {
    // @covers LOG-B1 LOG-H3 LOG-C5 LOG-M3
    @Test("lines lie in a directory a day, and a search of one day opens nothing of the others")
    func days() throws {
        let bench = try StoreBench()
        for day in 0..<5 {
            for number in 0..<20 {
                bench.append(
                    "web", "day \(day) line \(number)",
                    at: StoreBench.start + Int64(day) * StoreBench.day + Int64(number))
            }
        }
        try bench.flush()
        let names = try bench.node.list("/logs").filter { $0.hasPrefix("20") }
        #expect(names == (15...19).map { "2024-01-\($0)" })
        var statistics = LogStatistics()
        let from = StoreBench.start + 2 * StoreBench.day
        let found = try bench.lines(from: from, through: from + 10, &statistics)
        #expect(found == (0..<10).map { "day 2 line \($0)" })
        #expect(statistics.skippedByTime == statistics.chunks - 1 && statistics.chunksRead == 1)
    }

    @Test("the first nanosecond of a search counts, the one at its end does not")
    func edges() throws {
        let bench = try StoreBench()
        for number in 0..<3 { bench.append("web", "\(number)", at: StoreBench.start + Int64(number)) }
        for _ in 0..<2 {
            #expect(try bench.lines(from: StoreBench.start + 1, through: StoreBench.start + 2) == ["1"])
            #expect(try bench.lines(from: StoreBench.start, through: StoreBench.start) == [])
            #expect(try bench.lines(from: StoreBench.start + 2) == ["2"])
            try bench.flush()
        }
    }

    @Test("lines of one nanosecond are all kept, in the order in which they came; so are equal ones")
    func ties() throws {
        let bench = try StoreBench()
        for line in ["b", "a", "a", "c"] { bench.append("web", line, at: StoreBench.start) }
        #expect(try bench.lines() == ["b", "a", "a", "c"])
        try bench.flush()
        #expect(try bench.lines() == ["b", "a", "a", "c"])
        try bench.open()
        #expect(try bench.lines() == ["b", "a", "a", "c"])
    }

    @Test("what a client that knows no offsets pushes again is not stored again, before and after packing and restart")
    func repeats() throws {
        let bench = try StoreBench()
        func push() {
            for number in 0..<30 {
                bench.append(
                    "web", "line \(number / 2 * 2)", at: StoreBench.start + Int64(number / 2), duplicates: .ignored)
            }
        }
        push()
        #expect(try bench.lines().count == 15)
        push()
        try bench.store.commit(now: bench.now)
        try bench.flush()
        push()
        #expect(try bench.lines().count == 15)
        try bench.open()
        push()
        #expect(try bench.lines().count == 15 && bench.store.statistics.duplicates == 30)
        bench.append("web", "another", at: StoreBench.start, duplicates: .ignored)
        #expect(try bench.lines().count == 16)
    }

    @Test("late lines stand where they belong, within a stream and among several")
    func order() throws {
        let bench = try StoreBench()
        var random = SeededRandom(seed: 5)
        var expected: [(Int64, String)] = []
        for number in 0..<400 {
            let time = StoreBench.start + Int64(random.below(3 * 86_400)) * StoreBench.second
            let service = ["a", "b", "c"][random.below(3)]
            bench.append(service, "\(service) \(number)", at: time)
            expected.append((time, "\(service) \(number)"))
            if number % 97 == 0 { try bench.flush() }
        }
        let times = Dictionary(uniqueKeysWithValues: expected.map { ($0.1, $0.0) })
        for _ in 0..<2 {
            let lines = try bench.lines()
            #expect(lines.count == 400 && Set(lines).count == 400)
            #expect(zip(lines, lines.dropFirst()).allSatisfy { times[$0] ?? 0 <= times[$1] ?? 0 })
            var statistics = LogStatistics()
            let chunks = try bench.store.select(LogSelection([], from: .min, through: .max), &statistics)
            var merge = LogMerge(bench.store, chunks, .backward, from: .min, through: .max)
            var backward: [String] = []
            while let (block, index) = try merge.next(&statistics) { backward.append(block.line(index)) }
            #expect(backward == lines.reversed())
            try bench.flush()
        }
    }

    // @covers LOG-C4 LOG-M4
    @Test("a day that is over is packed into one segment, harder, and has the same lines; segments before are removed")
    func tiers() throws {
        let bench = try StoreBench()
        var maker = LineMaker(seed: 3)
        for number in 0..<300 {
            bench.append("web", maker.line(number), at: StoreBench.start + Int64(number) * StoreBench.second)
            if number % 30 == 29 { try bench.flush() }
        }
        let before = try bench.lines()
        #expect(bench.store.report.warm.segments == 10 && bench.store.report.cold.segments == 0)
        let warm = bench.store.report.warm.fileBytes
        bench.now += StoreBench.day
        try bench.settle()
        #expect(bench.store.report.cold.segments == 1 && bench.store.report.warm.segments == 0)
        #expect(bench.store.report.cold.fileBytes < warm * 2 / 3)
        #expect(try bench.lines() == before)
        bench.now += 120 * StoreBench.second
        try bench.settle()
        #expect(try bench.node.list("/logs/2024-01-15").count == 1)
        try bench.open()
        #expect(try bench.lines() == before && bench.store.report.cold.segments == 1)
        // What comes late is packed with the rest.
        bench.append("web", "late", at: StoreBench.start)
        try bench.flush()
        bench.now += 60 * StoreBench.second
        try bench.settle()
        #expect(bench.store.report.warm.segments == 0)
        #expect(try bench.lines().count == 301)
    }

    @Test("many small segments of today are merged, too")
    func small() throws {
        let bench = try StoreBench()
        for number in 0..<20 {
            bench.append("web", "line \(number)")
            bench.now += StoreBench.second
            try bench.flush()
        }
        bench.now += 20 * StoreBench.second
        try bench.settle()
        #expect(bench.store.report.warm.segments == 1 && bench.store.report.cold.segments == 0)
        #expect(try bench.lines() == (0..<20).map { "line \($0)" })
    }

    @Test("days go when their time is over, whole, and by size the oldest first")
    func retention() throws {
        var settings = StoreBench.settings
        settings.retentionNanoseconds = 2 * StoreBench.day
        let bench = try StoreBench(settings: settings)
        for day in 0..<4 { bench.append("web", "day \(day)", at: StoreBench.start + Int64(day) * StoreBench.day) }
        try bench.flush()
        bench.now = StoreBench.start + 4 * StoreBench.day
        try bench.settle()
        #expect(try bench.lines() == ["day 2", "day 3"])
        #expect(try bench.node.list("/logs").filter { $0.hasPrefix("20") } == ["2024-01-17", "2024-01-18"])
        settings.retentionNanoseconds = 0
        settings.retentionBytes = 1
        let other = try StoreBench(settings: settings)
        for day in 0..<4 { other.append("web", "day \(day)", at: StoreBench.start + Int64(day) * StoreBench.day) }
        try other.flush()
        try other.settle()
        #expect(try other.lines() == ["day 3"])
    }

    @Test("memory stays bounded: what does not fit is refused until it has been packed, and nothing is lost")
    func overload() throws {
        let bench = try StoreBench()
        var taken: [String] = []
        var refused = 0
        var maker = LineMaker(seed: 8)
        for number in 0..<2000 {
            let line = maker.line(number)
            while let refusal = bench.append("web", line) {
                #expect(refusal == .overloaded)
                refused += 1
                _ = try bench.store.maintain(now: bench.now)
            }
            taken.append(line)
            if number % 10 == 0 { try bench.store.commit(now: bench.now) }
            if number % 10 == 5 { _ = try bench.store.maintain(now: bench.now) }
            #expect(bench.store.report.hotBytes < 3 * bench.settings.headBytes)
        }
        #expect(refused > 0)
        #expect(try bench.lines() == taken)
    }

    @Test("a store of much more than memory is opened and searched with what is at hand")
    func larger() throws {
        var settings = StoreBench.settings
        settings.cacheBytes = 4000
        let bench = try StoreBench(settings: settings)
        var maker = LineMaker(seed: 2)
        for number in 0..<1500 {
            bench.append("web", maker.line(number), at: StoreBench.start + Int64(number))
            if number % 40 == 39 { try bench.flush() }
        }
        try bench.flush()
        #expect(bench.store.report.warm.lineBytes > 20 * settings.cacheBytes)
        try bench.open()
        #expect(bench.store.report.hotBytes == 0)
        #expect(try bench.lines().count == 1500)
    }

    // @covers LOG-C3 LOG-H4 LOG-H5 LOG-M2
    @Test("chunks without a word, a member or a piece of text are not read; none that has it is left out")
    func index() throws {
        let bench = try StoreBench()
        var maker = LineMaker(seed: 4)
        var all: [String] = []
        for number in 0..<600 {
            var line = maker.line(number)
            if number == 333 { line = "{\"level\":\"fatal\",\"msg\":\"out of M\\u00e4mory\\nat once\",\"code\":4711}" }
            all.append(line)
            bench.append(
                "web", line, at: StoreBench.start + Int64(number), metadata: Labels([("node", "n\(number / 100)")]))
            if number % 60 == 59 { try bench.flush() }
        }
        try bench.flush()
        let needle = all[123].suffix(18).prefix(16)
        let cases: [(LogHint, Int)] = [
            (.word(String(needle)), 1), (.word("FATAL"), 1), (.field("level", "fatal"), 1), (.field("code", "4711"), 1),
            (.word("once"), 1), (.contains(Array("fatal\",\"m".utf8)), 1), (.word("zzz"), 0),
            (.contains(Array("no such thing".utf8)), 0), (.field("level", "critical"), 0),
            (.all([.word("error"), .word("fatal")]), 1), (.any([.word("zzz"), .field("code", "4711")]), 1),
            (.field("node", "n7"), 0),
        ]
        for (hint, expected) in cases {
            var statistics = LogStatistics()
            let lines = try bench.lines(hint: hint, &statistics)
            #expect(statistics.chunksRead >= expected && statistics.chunksRead <= expected + 2, "\(hint)")
            #expect(statistics.skippedByIndex + statistics.chunksRead == statistics.chunks)
            if expected > 0, hint != .word(String(needle)), hint != .all([.word("error"), .word("fatal")]) {
                #expect(lines.contains { $0.contains("fatal") }, "\(hint)")
            }
        }
        var statistics = LogStatistics()
        #expect(try bench.lines(hint: .field("service", "web"), &statistics).count == 600)
        #expect(try bench.lines(hint: .field("node", "n3"), &statistics).count >= 100)
    }

    @Test("followers hear of what is durable, of their streams, in order, and no more once they have gone")
    func following() throws {
        let bench = try StoreBench()
        var heard: [String] = []
        let follower = bench.store.follow([.equal("service", "a")]) { block in
            for index in 0..<block.count { heard.append(block.line(index)) }
        }
        bench.append("a", "1")
        bench.append("b", "2")
        #expect(heard == [])
        try bench.store.commit(now: bench.now)
        #expect(heard == ["1"])
        follower.cancel()
        bench.append("a", "3")
        try bench.store.commit(now: bench.now)
        #expect(heard == ["1"])
    }

    @Test("a full disk refuses a commit, which succeeds when there is room; packing is put off and tried again")
    func full() throws {
        let bench = try StoreBench()
        bench.append("web", "one")
        bench.node.faults.isFull = true
        #expect(throws: DiskError.self) { try bench.store.commit(now: bench.now) }
        bench.append("web", "two")
        bench.node.faults.isFull = false
        try bench.store.commit(now: bench.now)
        for number in 0..<100 { bench.append("web", "filling up \(number) \(String(repeating: "x", count: 60))") }
        try bench.store.commit(now: bench.now)
        bench.node.faults.isFull = true
        while try bench.store.maintain(now: bench.now) {}
        #expect(bench.store.problems.contains { $0.contains("could not be packed") })
        bench.node.faults.isFull = false
        bench.now += 10 * StoreBench.second
        try bench.settle()
        #expect(bench.store.report.warm.lines == 102)
        try bench.open()
        #expect(try bench.lines().count == 102)
    }

    @Test("opened on a full disk it has what its logs have, recognizes it, and packs it when there is room")
    func openedFull() throws {
        let bench = try StoreBench()
        for number in 0..<90 {
            bench.append("web", "line \(number) \(String(repeating: "x", count: 60))", duplicates: .ignored)
            bench.now += StoreBench.second
            try bench.store.commit(now: bench.now)
            // The first one's log is being packed when the second one's begins.
            if number == 60 { _ = try bench.store.maintain(now: bench.now) }
        }
        let known = try bench.lines()
        #expect(known.count == 90 && bench.store.heads.count == 2)
        bench.node.faults.isFull = true
        for _ in 0..<2 {
            try bench.open()
            #expect(bench.store.heads.count == 3 && bench.store.problems.contains { $0.contains("the disk is full") })
            #expect(try bench.lines() == known)
        }
        let again = StoreBench.start + 30 * StoreBench.second
        #expect(bench.append("web", known[30], at: again, duplicates: .ignored) == nil)
        #expect(bench.store.statistics.duplicates == 1)
        bench.append("web", "new")
        #expect(throws: DiskError.self) { try bench.store.commit(now: bench.now) }
        while try bench.store.maintain(now: bench.now) {}
        bench.now += 6 * StoreBench.second
        while try bench.store.maintain(now: bench.now) {}
        #expect(bench.store.report.warm.lines == 0)
        bench.node.faults.isFull = false
        bench.now += 6 * StoreBench.second
        try bench.store.commit(now: bench.now)
        try bench.settle()
        #expect(bench.store.report.warm.lines == 90 && bench.store.heads.count == 1)
        try bench.open()
        #expect(try bench.lines() == known + ["new"])
    }

    @Test("streams and labels are those that have something in that time")
    func labels() throws {
        let bench = try StoreBench()
        bench.append("a", "1", at: StoreBench.start)
        try bench.flush()
        bench.append("b", "2", at: StoreBench.start + 10)
        let end = StoreBench.start + 11
        #expect(try bench.store.labelValues("service", [], from: StoreBench.start, through: end) == ["a", "b"])
        #expect(try bench.store.labelValues("service", [], from: StoreBench.start + 1, through: end) == ["b"])
        #expect(try bench.store.labelNames([.equal("service", "a")], from: 0, through: end) == ["service"])
        #expect(try bench.store.labelNames([.equal("service", "c")], from: 0, through: end) == [])
    }
}
