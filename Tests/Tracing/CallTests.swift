import KernelOTLP
import KernelStorage
import KernelStructures
import KernelTelemetry
import TestSupport
import Testing

@testable import TracingEngine

/// Who talks to whom by sums, beside the same by reading every trace.
@Suite("Sums of calls")
struct CallTests {
    private let now = LabTime.documentedEpoch
    private static let epoch: UInt64 = 1_703_084_400_000_000_000

    private func store(
        _ disk: any Disk = SimulatedDisk(), _ change: (inout TraceStore.Settings) -> Void = { _ in }
    ) throws -> TraceStore {
        var settings = TraceStore.Settings()
        settings.fileBytes = 8_000
        change(&settings)
        return try TraceStore(NodeDisk.test(disk), directory: "/traces", settings: settings, now: now)
    }

    /// - Returns: how many traces the sums had to read.
    @discardableResult
    private func compare(_ store: TraceStore, _ from: UInt64, _ through: UInt64, _ comment: String = "") throws -> Int {
        let (calls, effort) = try store.calls(from: from, through: through)
        let read = ServiceGraph(try store.traces(from: from, through: through, limit: .max)).calls
        #expect(calls == read, "\(comment) \(from) to \(through)")
        return effort.read
    }

    private func compareWindows(_ store: TraceStore, seed: UInt64, _ comment: String = "") throws {
        var random = SeededRandom(seed: seed)
        try compare(store, 0, .max, comment)
        for _ in 0..<12 {
            let from = Self.epoch + UInt64(random.below(11_000)) * 1_000_000
            try compare(store, from, from + UInt64(random.below(random.chance(0.3) ? 20 : 6_000)) * 1_000_000, comment)
        }
    }

    /// Traces in which anything occurs: parents elsewhere, circles, ids that are there twice, spans that came twice,
    /// clients that nobody has answered, some of them under the name of a service.
    private func spans(_ count: Int, seed: UInt64, traces: Int, isWild: Bool = true) -> [TracedSpan] {
        var random = SeededRandom(seed: seed)
        var all: [TracedSpan] = []
        for index in 0..<count {
            if isWild, random.chance(0.03), let known = all.last {
                all.append(known)
                continue
            }
            let trace = UInt64(random.below(traces) + 1)
            let own = all.filter { $0.span.traceID.low == trace }
            var parent = own.isEmpty || random.chance(0.1) ? nil : own[random.below(own.count)].span.spanID.value
            if isWild, random.chance(0.1) { parent = UInt64(random.below(count) + 1) }
            let id = isWild && random.chance(0.02) ? UInt64(random.below(count) + 1) : UInt64(index + 1)
            let start = UInt64(random.below(10_000))
            let peer = ["redis", "s1", "s4", ""][random.below(4)]
            all.append(
                sample(
                    id, in: parent, trace: trace, "s\(random.below(5))", from: start, to: start + 10,
                    kind: random.below(6), random.chance(0.7) ? [("server.address", .text(peer))] : []))
        }
        return all
    }

    @Test("are what reading gives, whatever comes in whatever order, in any window, after drops and a restart")
    func sums() throws {
        for seed in UInt64(1)...(isLong ? 60 : 8) {
            let disk = SimulatedDisk()
            let limits = seed % 2 == 0
            var store = try store(disk) { if limits { $0.spanLimit = 300 } }
            var random = SeededRandom(seed: seed)
            let all = spans(500, seed: seed, traces: 4 + random.below(80))
            func tighten(_ store: TraceStore) {
                store.callBook.youngSpanLimit = [10, 60, 50_000][Int(seed % 3)]
                store.callBook.youngTraceLimit = [5, 2_000][Int(seed % 2)]
                store.callBook.openLimit = [3, 50_000][Int(seed / 2 % 2)]
            }
            tighten(store)
            var place = 0
            while place < all.count {
                let end = min(all.count, place + 1 + random.below(40))
                try store.add(Array(all[place..<end]), now: now)
                place = end
                if random.chance(0.2) {
                    try compareWindows(store, seed: seed + UInt64(place), "seed \(seed) at \(place)")
                }
            }
            #expect(store.files.count > 3 && (store.droppedFileCount > 0) == limits)
            try compareWindows(store, seed: seed, "seed \(seed) at the end")
            try store.close()
            store = try self.store(disk)
            tighten(store)
            try compareWindows(store, seed: seed, "seed \(seed) started again")
            try store.add(spans(40, seed: seed + 100, traces: 10), now: now)
            try compareWindows(store, seed: seed, "seed \(seed) gone on")
        }
    }

    @Test("need no trace to be read, however many there are, also when spans of one come apart")
    func effort() throws {
        let store = try store { $0.fileBytes = 40_000 }
        store.callBook.youngSpanLimit = 500
        for trace in UInt64(1)...2_000 {
            let begin = 5 * trace
            let caller = sample(2 * trace, trace: trace, "web", from: begin, to: begin + 9, kind: 3)
            let callee = sample(2 * trace + 1, in: 2 * trace, trace: trace, "stock", from: begin + 1, to: begin + 2)
            try store.add([caller], now: now)
            try store.add([callee], now: now)
        }
        #expect(store.files.count > 5)
        let (calls, effort) = try store.calls(from: 0, through: .max)
        #expect(calls == [ServiceCall(from: "web", to: "stock", count: 2_000)] && effort == TraceStore.Effort())
        // A window that cuts through files: from one millisecond to another.
        #expect(try compare(store, Self.epoch + 2_500_000_000, Self.epoch + 7_500_000_000) == 0)
        #expect(try compare(store, Self.epoch + 2_500_500_000, Self.epoch + 2_500_600_000) == 1)
        // What comes late is read, once.
        try store.add([sample(9_999, in: 3, trace: 1, "mail")], now: now)
        #expect(try compare(store, 0, .max) == 1)
        #expect(try compare(store, 0, .max) == 0)
    }

    @Test("have no room for more names and pairs than there may be; such traces are read")
    func bounds() throws {
        let store = try store { $0.fileBytes = 1 << 20 }
        for trace in UInt64(1)...150 {
            var spans = [sample(1, trace: trace, "web")]
            for call in UInt64(0)..<100 {
                spans.append(
                    sample(
                        call + 2, in: 1, trace: trace, "web", kind: 3,
                        [("server.address", .text("host-\(trace)-\(call)"))]))
            }
            spans.append(sample(500, in: 1, trace: trace, "stock"))
            try store.add(spans, now: now)
        }
        let (calls, effort) = try store.calls(from: 0, through: .max)
        #expect(calls == [ServiceCall(from: "web", to: "stock", count: 150)])
        // More than 64 different pairs are no shape.
        #expect(effort.read >= 150 && store.callBook.pairs.count < 15_000)
        try store.add([sample(1, trace: 1_000, "a"), sample(2, in: 1, trace: 1_000, "never seen")], now: now)
        try compare(store, 0, .max)
    }

    @Test("a disk that cannot be read says so, and the sums are right when it can be")
    func unreadable() throws {
        let disk = CrashDisk(SimulatedDisk())
        let store = try store(disk)
        store.callBook.youngSpanLimit = 0
        try store.add([sample(1, "a")], now: now)
        try store.add([sample(2, in: 1, "b")], now: now)
        disk.crashAt = 0
        #expect(throws: DiskError.self) { try store.calls(from: 0, through: .max) }
        disk.crashAt = .max
        #expect(try store.calls(from: 0, through: .max).calls == [ServiceCall(from: "a", to: "b", count: 1)])
    }
}
