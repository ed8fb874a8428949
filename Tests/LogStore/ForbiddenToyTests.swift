import KernelHosting
import KernelStorage
import KernelStructures
import KernelWire
import KernelWorld
import LogModelEngine
import LogQLEngine
import TestSupport
import Testing
import TimeSeriesEngine

@testable import LogStoreEngine
@testable import LogStoreService

/// What toy collectors of logs get wrong, each shut out by name.
@Suite("Toy collectors of logs") struct ForbiddenToyTests {
    private func collector(_ change: (inout LogCollectorHost.Settings) -> Void = { _ in }) throws -> (
        World, LogCollectorHost
    ) {
        let world = memoryWorld()
        var settings = LogCollectorHost.Settings()
        change(&settings)
        let host = LogCollectorHost(node: world.node("logs"), settings: settings)
        try host.start()
        return (world, host)
    }

    private func push(_ world: World, _ values: String) throws -> Int {
        let body = "{\"streams\":[{\"stream\":{\"job\":\"app\"},\"values\":[\(values)]}]}"
        let client = try RawClient(world.node("app"), "logs", 5141)
        client.write(
            "POST /loki/api/v1/push HTTP/1.1\r\nHost: logs\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
        world.pass(.seconds(1))
        return try #require(client.answers.first).status
    }

    private func lines(_ host: LogCollectorHost) throws -> [String] {
        let store = try #require(host.store)
        var statistics = LogStatistics()
        let chunks = try store.select(LogSelection([], from: .min, through: .max), &statistics)
        var merge = LogMerge(store, chunks, .forward, from: .min, through: .max)
        var lines: [String] = []
        while let (block, index) = try merge.next(&statistics) { lines.append(block.line(index)) }
        return lines
    }

    private static let now = LabTime.documentedEpoch.nanoseconds

    @Test("all in memory, or one file and grep: five times its memory is there after a restart, and a needle is found")
    func everythingInMemory() throws {
        var settings = StoreBench.settings
        settings.headBytes = 30_000
        settings.cacheBytes = 30_000
        let bench = try StoreBench(settings: settings)
        var maker = LineMaker(seed: 77)
        var needle = ""
        var bytes = 0
        var number = 0
        while bytes < 5 * (2 * settings.headBytes + settings.cacheBytes) {
            let line = maker.line(number)
            if number == 1000 { needle = String(line.dropLast(2).suffix(16)) }
            while bench.append("web", line, at: StoreBench.start + Int64(number)) != nil { try bench.settle() }
            bytes += line.utf8.count
            number += 1
            guard number % 20 == 0 else { continue }
            // As a node does it: a piece of what can wait behind each commit.
            try bench.store.commit(now: bench.now)
            _ = try bench.store.maintain(now: bench.now)
            if bench.store.active.byteCount > 2 * settings.headBytes { Issue.record("\(number) lines, all in memory") }
        }
        try bench.store.commit(now: bench.now)
        try bench.open()
        var statistics = LogStatistics()
        #expect(try bench.lines(hint: .word(needle), &statistics).contains { $0.contains(needle) })
        #expect(statistics.chunksRead <= 2 && bench.store.cache.bytes <= settings.cacheBytes)
        #expect(try bench.lines().count == number)
        #expect(bench.store.cache.bytes <= settings.cacheBytes)
    }

    @Test("204 before the log is synced: power goes right behind the answer, and the line is there")
    func answeredTooEarly() throws {
        let (world, host) = try collector()
        #expect(try push(world, "[\"\(Self.now)\",\"kept\"]") == 204)
        _ = host.node.end(.poweredOff)
        let next = LogCollectorHost(node: world.node("logs"), settings: LogCollectorHost.Settings())
        try next.start()
        #expect(try lines(next) == ["kept"])
    }

    @Test("a cursor that knows a path only: a file that is rotated in the middle of a line loses and doubles nothing")
    func cursorByPath() throws {
        let bench = try AgentBench()
        try bench.write("one\nhalf a li")
        bench.scan()
        try bench.application.rename("/var/log/app.log", to: "/var/log/app.log.1")
        try bench.write("first of the new\n")
        try bench.write("ne\n", to: "/var/log/app.log.1")
        bench.scan()
        bench.agent.close()
        try bench.open()
        for _ in 0..<3 {
            bench.scan()
            try bench.deliver()
        }
        #expect(bench.stored.sorted() == ["first of the new", "half a line", "one"] && bench.isBalanced)
    }

    @Test("of lines of one nanosecond the first wins: all are kept, in the order in which they came")
    func firstLineWins() throws {
        let (world, host) = try collector()
        let values = ["b", "a", "c"].map { "[\"\(Self.now)\",\"\($0)\"]" }.joined(separator: ",")
        #expect(try push(world, values) == 204)
        #expect(try push(world, "[\"\(Self.now + 1)\",\"d\"],[\"\(Self.now)\",\"e\"]") == 204)
        #expect(try lines(host) == ["b", "a", "c", "e", "d"])
        try host.store?.flushAll(now: Self.now)
        #expect(try lines(host) == ["b", "a", "c", "e", "d"])
    }

    @Test("windows closed at both ends: a line on the edge between two is in one of them")
    func windowEdges() throws {
        let bench = try StoreBench()
        let start = StoreBench.start
        for offset in [Int64(0), 10, 20] { bench.append("web", "line", at: start + offset * StoreBench.second) }
        for _ in 0..<2 {
            let expression = try LogQLExpression(parsing: "count_over_time({service=\"web\"}[10s])")
            var counts: [Double] = []
            for offset in [Int64(0), 10, 20, 30] {
                let time = start + offset * StoreBench.second
                let found = try LogQLRun(expression, over: bench.store, LogQLRequest(from: time, through: time))
                    .finish()
                guard case .numbers(.vector(let elements)) = found.value else { continue }
                counts.append(elements.first?.value ?? 0)
            }
            #expect(counts == [1, 1, 1, 0])
            try bench.flush()
        }
    }

    @Test("a queue without an end: while the collector stands still memory stays flat, and the book agrees")
    func endlessQueue() throws {
        let bench = try AgentBench {
            $0.memoryBytes = 4000
            $0.spoolBytes = 20_000
            $0.batchBytes = 500
        }
        for round in 0..<100 {
            try bench.write((0..<40).map { "line \(round) \($0) \(String(repeating: "x", count: 40))\n" }.joined())
            bench.scan()
            #expect(bench.isBalanced && bench.agent.spooledBytes < 40_000)
        }
        #expect(bench.agent.unreadBytes > 100_000 && bench.agent.ledger.dropped.lines == 0)
        for _ in 0..<1500 where bench.stored.count < 4000 {
            bench.scan()
            try bench.deliver()
        }
        #expect(bench.stored.count == 4000 && Set(bench.stored).count == 4000 && bench.isBalanced)
    }

    @Test("a reader that follows and takes nothing: whoever writes does not notice")
    func stuckReader() throws {
        let (world, host) = try collector { $0.limits = .none }
        var url = HTTPURL(
            scheme: .http, host: "logs", port: 5141, target: "/loki/api/v1/tail?query=%7Bjob%3D%22app%22%7D&limit=1")
        url.hasPort = true
        var socket: WebSocketConnection?
        WebSocketCall(world.node("reader"), url) { if case .success(let open) = $0 { socket = open } }.start()
        world.pass(.seconds(1))
        #expect(socket != nil)
        world.inject(.block(partition: false), from: "logs", to: "reader")
        let line = String(repeating: "x", count: 2000)
        for round in 0..<60 {
            let values = (0..<100).map { "[\"\(Self.now + Int64(round * 100 + $0))\",\"\($0)\(line)\"]" }
            let began = world.now
            #expect(try push(world, values.joined(separator: ",")) == 204)
            #expect(world.now - began <= .seconds(1))
        }
        #expect(try lines(host).count == 6000)
    }

    @Test("syslog cut at line feeds: a message with its length in front keeps the line feed in it")
    func cutAtLineFeeds() throws {
        let (world, host) = try collector()
        let client = try RawClient(world.node("web"), "logs", 5140)
        client.write("31 <11>1 - h app - - - one\nand two23 <11>1 - h app - - - two")
        world.pass(.seconds(1))
        #expect(Set(try lines(host)) == ["one\nand two", "two"])
    }
}
