import KernelJSON
import KernelOTLP
import KernelStorage
import KernelStructures
import KernelTelemetry
import TestSupport
import Testing

@testable import TracingEngine

@Suite("The store of traces")
struct TraceStoreTests {
    private let now = LabTime.documentedEpoch

    private func store(
        _ disk: any Disk = SimulatedDisk(), _ change: (inout TraceStore.Settings) -> Void = { _ in },
        at time: LabTime? = nil
    ) throws -> TraceStore {
        var settings = TraceStore.Settings()
        change(&settings)
        return try TraceStore(NodeDisk.test(disk), directory: "/traces", settings: settings, now: time ?? now)
    }

    private func wholes(_ spans: [TracedSpan]) -> [Trace] {
        Dictionary(grouping: spans, by: \.span.traceID).map { Trace($0.key, $0.value) }
    }

    @Test("any search gives what looking at everything gives")
    func searches() throws {
        let disk = SimulatedDisk()
        let store = try store(disk) { $0.fileBytes = 8_000 }
        let spans = randomSpans(600, seed: 7, traces: 80)
        for start in stride(from: 0, to: spans.count, by: 37) {
            try store.add(Array(spans[start..<min(spans.count, start + 37)]), now: now)
        }
        #expect(store.files.count > 5)
        let all = wholes(spans)
        #expect(store.traceCount == all.count && store.spanCount == 600)
        var random = SeededRandom(seed: 8)
        for _ in 0..<400 {
            var query = TraceQuery(service: random.chance(0.8) ? "s\(random.below(6))" : "")
            if random.chance(0.5) { query.operation = "op\(random.below(7))" }
            if random.chance(0.5) { query.tags.append(("color", ["red", "green", "none"][random.below(3)])) }
            if random.chance(0.3) { query.tags.append(("size", "\(random.below(5))")) }
            if random.chance(0.3) { query.tags.append(("error", "true")) }
            if random.chance(0.3) { query.tags.append(("span.kind", "server")) }
            if random.chance(0.5) { query.shortest = UInt64(random.below(300)) * 1_000_000 }
            if random.chance(0.3) { query.longest = UInt64(random.below(300)) * 1_000_000 }
            if random.chance(0.5) { query.from = all[0].start + UInt64(random.below(4000)) * 1_000_000 }
            if random.chance(0.5) { query.through = query.from + UInt64(random.below(4000)) * 1_000_000 }
            query.limit = 1 + random.below(30)
            let expected = all.filter { query.matches($0) }.sorted {
                ($0.start, $0.id.high, $0.id.low) > ($1.start, $1.id.high, $1.id.low)
            }.prefix(query.limit)
            #expect(try store.find(query).traces == Array(expected))
        }
        #expect(store.services == (0..<5).map { "s\($0)" })
    }

    @Test("all that is looked for is one span's")
    func oneSpan() throws {
        let store = try store()
        try store.add(
            [
                sample(1, kind: 2, isError: true, [("color", .text("red"))]),
                sample(2, in: 1, kind: 3, [("color", .text("green"))]),
            ], now: now)
        func count(_ tags: (String, String)...) throws -> Int {
            var query = TraceQuery(service: "a")
            query.tags = tags.map { (key: $0.0, value: $0.1) }
            return try store.find(query).traces.count
        }
        #expect(try count(("span.kind", "server"), ("color", "red"), ("error", "true")) == 1)
        #expect(try count(("span.kind", "client"), ("color", "green")) == 1)
        #expect(try count(("span.kind", "server"), ("color", "green")) == 0)
        #expect(try count(("span.kind", "producer")) == 0 && count(("error", "true"), ("color", "green")) == 0)
    }

    @Test("a search costs what it finds, not what there is")
    func effort() throws {
        var efforts: [[Int]] = []
        for count in [1_000, 8_000] {
            let store = try store { $0.fileBytes = 40_000 }
            for start in stride(from: 0, to: count, by: 100) {
                var spans: [TracedSpan] = []
                for number in start..<start + 100 {
                    let (id, begin) = (UInt64(number + 1), UInt64(10 * number))
                    let attributes: [(String, OTLPValue)] = [
                        ("user", .text("u\(number)")), ("method", .text(number % 2 == 0 ? "GET" : "PUT")),
                    ]
                    let end = begin + (number == 453 ? 5_000 : 10)
                    spans.append(
                        sample(id, trace: id, "s\(number % 5)", "op\(number % 7)", from: begin, to: end, attributes))
                }
                try store.add(spans, now: now)
            }
            #expect(store.files.count > count / 500)
            func look(_ service: String, _ found: Int, _ change: (inout TraceQuery) -> Void) throws -> Int {
                var query = TraceQuery(service: service)
                query.limit = 20
                change(&query)
                let (traces, effort) = try store.find(query)
                #expect(traces.count == found && effort.mistaken == 0)
                return effort.considered
            }
            efforts.append([
                try look("s3", 1) { $0.tags = [("user", "u453")] },
                try look("", 1) { $0.tags = [("user", "u453"), ("method", "PUT")] },
                try look("s3", 0) { $0.tags = [("user", "u453"), ("method", "GET")] },
                try look("s3", 0) { $0.tags = [("user", "u452")] },
                try look("s3", 1) { $0.shortest = 1_000_000_000 },
                try look("s3", 20) { _ in }, try look("s3", 20) { $0.operation = "op4" },
            ])
        }
        #expect(efforts[1].prefix(5) == [1, 1, 0, 0, 1])
        // Of the newest files.
        #expect(efforts[1][5] < 150 && efforts[1][6] < 50, "\(efforts)")
        #expect(efforts[0].prefix(5) == efforts[1].prefix(5))
    }

    @Test("the index of a large file is whole, however often its pieces were merged")
    func largeFile() throws {
        let store = try store()
        for start in stride(from: 0, to: 3_000, by: 50) {
            var spans: [TracedSpan] = []
            for number in start..<start + 50 {
                let (id, begin) = (UInt64(number + 1), UInt64(number))
                let attributes: [(String, OTLPValue)] = [
                    ("user", .text("u\(number)")), ("odd", .bool(number % 2 == 1)), ("a", .text("b\(number)")),
                ]
                spans.append(sample(id, trace: id, "s\(number % 3)", "work", from: begin, to: begin + 1, attributes))
            }
            try store.add(spans, now: now)
        }
        #expect(store.files.count == 1 && store.files[0].index.termCount > 4 * 4096)
        for number in stride(from: 0, to: 3_000, by: 37) {
            var query = TraceQuery(service: "s\(number % 3)")
            query.tags = [("user", "u\(number)"), ("odd", "\(number % 2 == 1)")]
            let (traces, effort) = try store.find(query)
            #expect(traces.map(\.id) == [TraceID(high: 0, low: UInt64(number + 1))!] && effort.considered == 1)
        }
    }

    @Test("what has more to be asked for than there is room is found, because all of it is read")
    func manyTerms() throws {
        let store = try store { $0.fileBytes = 100_000 }
        for number in 1...200 {
            let attributes = (0..<100).map { ("k\($0)", OTLPValue.integer(Int64(number))) }
            try store.add([sample(UInt64(number), trace: UInt64(number), "a", "work", attributes)], now: now)
        }
        #expect(store.files.count > 1)
        for number in stride(from: 1, through: 200, by: 7) {
            var query = TraceQuery(service: "a")
            query.tags = [("k99", "\(number)"), ("service.name", "a")]
            #expect(try store.find(query).traces.map(\.id) == [TraceID(high: 0, low: UInt64(number))!])
        }
        #expect(store.files.allSatisfy { $0.index.termCount <= 100_000 / 16 })
        #expect(store.files.contains { $0.index.termCount < 100 * $0.index.records.count })
        var elsewhere = TraceQuery(service: "a")
        elsewhere.tags = [("service.name", "b")]
        #expect(try store.find(elsewhere).traces.isEmpty)
    }

    @Test("started again it knows the same")
    func restart() throws {
        let disk = SimulatedDisk()
        let spans = randomSpans(300, seed: 9)
        let first = try store(disk) { $0.fileBytes = 10_000 }
        for span in spans { try first.add([span], now: now) }
        #expect(first.files.count > 3)
        try first.close()
        let second = try store(disk)
        #expect(second.spanCount == 300 && second.problems.isEmpty && second.services == first.services)
        for whole in wholes(spans) { #expect(try second.trace(whole.id) == whole) }
        try second.add([sample(1, trace: 777)], now: now)
        #expect(try second.trace(TraceID(high: 0, low: 777)!) != nil)
    }

    @Test("power may go at any operation: what was synced is there, and the rest does no harm")
    func crashes() throws {
        let spans = randomSpans(60, seed: 10)
        var crashAt = 0
        while true {
            let base = SimulatedDisk()
            let disk = CrashDisk(base)
            disk.crashAt = crashAt
            var synced = 0
            var written = 0
            do {
                let store = try store(disk) { $0.fileBytes = 3000 }
                for start in stride(from: 0, to: 60, by: 6) {
                    try store.add(Array(spans[start..<start + 6]), now: now)
                    written = start + 6
                    if start % 12 == 0 {
                        try store.sync()
                        synced = written
                    }
                }
                try store.close()
                synced = 60
            } catch {}
            let isWhole = !disk.isDead
            _ = base.losePower(owner: DiskOwner(1), policy: .random(seed: UInt64(crashAt)))
            let again = try store(base)
            #expect(again.spanCount >= synced && again.spanCount <= 60, "crash at \(crashAt)")
            for whole in wholes(Array(spans.prefix(synced))) {
                let found = try #require(try again.trace(whole.id), "crash at \(crashAt)")
                #expect(whole.spans.allSatisfy { found.spans.contains($0) })
            }
            try again.add([sample(1, trace: 999)], now: now)
            #expect(try again.trace(TraceID(high: 0, low: 999)!) != nil)
            if isWhole { break }
            crashAt += 1
        }
        #expect(crashAt > 20)
    }

    @Test("days that are too old go, and so do the oldest files when there are too many bytes or spans")
    func retention() throws {
        let disk = SimulatedDisk()
        let store = try store(disk) { $0.days = 3 }
        for day in 0..<6 {
            let time = now + LabDuration.seconds(86_400 * day)
            try store.add([sample(UInt64(day + 1), trace: UInt64(day + 1), "s\(day)")], now: time)
        }
        #expect(store.partitions == ["2023-12-23", "2023-12-24", "2023-12-25"] && store.spanCount == 3)
        #expect(store.services == ["s3", "s4", "s5"] && store.traceCount == 3)
        #expect(try NodeDisk.test(disk).list("/traces").filter { $0.hasPrefix("2023") } == store.partitions)
        for limited in [
            try self.store(
                SimulatedDisk(),
                {
                    $0.bytes = 20_000; $0.fileBytes = 4000
                }),
            try self.store(
                SimulatedDisk(),
                {
                    $0.spanLimit = 100; $0.fileBytes = 4000
                }),
        ] {
            for span in randomSpans(200, seed: 11, traces: 150) { try limited.add([span], now: now) }
            #expect((limited.byteCount < 25_000 || limited.spanCount <= 120) && limited.droppedFileCount > 0)
            let kept = try limited.traces(from: 0, through: .max, limit: 1000)
            #expect(kept.reduce(0) { $0 + $1.spans.count } == limited.spanCount && kept.count == limited.traceCount)
        }
        let later = try self.store(disk, at: now + LabDuration.seconds(86_400 * 30))
        #expect(later.spanCount == 0 && later.partitions.isEmpty)
    }

    @Test("so many spans and bytes as were allowed are never exceeded, and nearly all of them are used")
    func exactLimits() throws {
        let limited = try store { $0.spanLimit = 1000 }
        for start in stride(from: 0, to: 9000, by: 300) {
            try limited.add(
                (start..<start + 300).map { sample(UInt64($0 + 1), trace: UInt64($0 / 3 + 1)) }, now: now)
            #expect(limited.spanCount <= 1000 && limited.spanCount >= min(start + 300, 750))
        }
        let small = try store { $0.bytes = 1 << 20 }
        for start in stride(from: 0, to: 60_000, by: 3000) {
            try small.add(
                (start..<start + 3000).map { sample(UInt64($0 + 1), trace: UInt64($0 / 3 + 1)) }, now: now)
            #expect(small.byteCount <= 1 << 20)
        }
        #expect(small.byteCount > 700_000 && small.droppedFileCount > 0)
        // One trace stays whole, whatever it has.
        try limited.add((0..<3000).map { sample(UInt64($0 + 1), trace: 1 << 40) }, now: now)
        #expect(limited.spanCount < 3000 + 250)
        #expect(try limited.trace(try #require(TraceID(high: 0, low: 1 << 40)))?.spans.count == 3000)
    }

    @Test("damage in the middle of a file is said, and what is before it is there")
    func damage() throws {
        let disk = SimulatedDisk()
        let first = try store(disk)
        for index in 1...20 {
            try first.add([sample(UInt64(index), trace: UInt64(index))], now: now)
            try first.sync()
        }
        try first.close()
        let node = NodeDisk.test(disk)
        let path = "/traces/2023-12-20/000001.traces"
        let file = try node.open(path, [.write])
        try file.write([0xFF, 0xFF], at: file.size / 2)
        file.close()
        let second = try store(disk)
        #expect(second.problems.first?.contains("damaged") == true && (5...15).contains(second.spanCount))
        // It is cut off, and neither found again nor in the way of what comes next.
        let kept = second.spanCount
        try second.add([sample(99, trace: 99)], now: now)
        try second.close()
        let third = try store(disk)
        #expect(third.problems.isEmpty && third.spanCount == kept + 1)
        #expect(try third.trace(TraceID(high: 0, low: 99)!) != nil)
    }

    @Test("a full disk refuses spans, and takes them again when there is room")
    func full() throws {
        let node = NodeDisk.test()
        let store = try TraceStore(node, directory: "/traces", now: now)
        try store.add([sample(1)], now: now)
        node.faults.isFull = true
        #expect(throws: DiskError.self) { try store.add([sample(2, trace: 2)], now: now) }
        node.faults.isFull = false
        try store.add([sample(3, trace: 3)], now: now)
        #expect(store.spanCount == 2)
        #expect(try store.trace(TraceID(high: 0, low: 2)!) == nil)
    }

    @Test("what Jaeger's JSON says reads back, as far as it says it")
    func jaegerJSON() throws {
        let spans = [
            sample(1, "a", "GET /", kind: 2, [("n", .integer(5)), ("ok", .bool(true))]),
            sample(2, in: 1, "b", "SELECT", from: 2, to: 5, kind: 3, isError: true),
        ]
        let whole = trace(spans)
        let answer = JaegerJSON.answer([JaegerJSON.trace(whole)])
        let back = try #require(try JaegerJSON.traces(answer).first)
        #expect(back.spans.map(\.span.name) == ["GET /", "SELECT"] && back.spans[1].isError)
        #expect(back.spans.map(\.service) == ["a", "b"] && back.spans[1].span.parentID == SpanID(1))
        #expect(back.spans[0].span["n"] == .integer(5) && back.spans[0].span.kind == 2)
        var random = SeededRandom(seed: 3)
        let bytes = answer.bytes()
        for _ in 0..<2000 {
            var damaged = bytes
            damaged[random.below(damaged.count)] = UInt8(truncatingIfNeeded: random.next())
            guard let value = try? JSONValue(parsing: damaged), let read = try? JaegerJSON.traces(value) else {
                continue
            }
            let again = try JaegerJSON.traces(JaegerJSON.answer(.array(read.map { JaegerJSON.trace($0) })))
            #expect(again.map(\.id) == read.map(\.id))
        }
    }
}
