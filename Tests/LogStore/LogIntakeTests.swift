import KernelJSON
import KernelStorage
import KernelStructures
import KernelWire
import KernelWorld
import LogModelEngine
import LogStoreEngine
import TestSupport
import Testing
import TimeSeriesEngine

@testable import LogStoreService

/// A collector in a world in memory, and what is asked of it.
private final class IntakeBench {
    let world = memoryWorld()
    var host: LogCollectorHost
    private let settings: LogCollectorHost.Settings

    init(_ change: (inout LogCollectorHost.Settings) -> Void = { _ in }) throws {
        var settings = LogCollectorHost.Settings()
        change(&settings)
        self.settings = settings
        host = LogCollectorHost(node: world.node("logs"), settings: settings)
        try host.start()
    }

    /// It is killed, and started again.
    func restart(_ change: (NodeDisk) throws -> Void = { _ in }) throws {
        host.node.end(.killed)
        let node = world.node("logs")
        try change(node.disk)
        host = LogCollectorHost(node: node, settings: settings)
        try host.start()
    }

    func lines(_ matchers: [LabelMatcher] = []) throws -> [String] {
        let store = try #require(host.store)
        var statistics = LogStatistics()
        let chunks = try store.select(LogSelection(matchers, from: .min, through: .max), &statistics)
        var merge = LogMerge(store, chunks, .forward, from: .min, through: .max)
        var lines: [String] = []
        while let (block, index) = try merge.next(&statistics) { lines.append(block.line(index)) }
        return lines
    }

    func ask(
        _ method: String, _ target: String, _ body: String = "", _ fields: [String] = [], from node: Node? = nil
    ) throws -> (status: Int, body: String) {
        let client = try RawClient(node ?? world.node("app"), "logs", 5141)
        let head = ["\(method) \(target) HTTP/1.1", "Host: logs", "Content-Length: \(body.utf8.count)"] + fields
        client.write(head.joined(separator: "\r\n") + "\r\n\r\n" + body)
        world.pass(.seconds(1))
        let answer = try #require(client.answers.first)
        return (answer.status, client.bodies[0])
    }

    func push(_ json: String) throws -> (status: Int, body: String) {
        try ask("POST", "/loki/api/v1/push", json, ["Content-Type: application/json"])
    }

    var page: String { String(decoding: host.runtime.metricsPage(.text), as: UTF8.self) }
    func said(_ text: String) -> Int { world.journal.text.ranges(of: text).count }
    static let now = LabTime.documentedEpoch.nanoseconds
}

@Suite("What comes in to the collector, and what does not")
struct LogIntakeTests {
    private static func slow(_ settings: inout LogCollectorHost.Settings) {
        settings.limits.streamBytesPerSecond = 1000
        settings.limits.streamBurstBytes = 2000
    }

    @Test(
        "lines that come faster than their stream may grow over TCP are waited with, and none is lost",
        arguments: [false, true])
    func pausing(isSyslog: Bool) throws {
        let bench = try IntakeBench(Self.slow)
        let client = try RawClient(bench.world.node("web"), "logs", 5140)
        let texts = (0..<50).map { "\($0) " + String(repeating: "x", count: 96) }
        for text in texts { client.write((isSyslog ? "<11>1 - h app - - - " : "") + text + "\n") }
        client.write((isSyslog ? "<11>1 - h app - - - " : "") + "the last one has no end")
        client.stream.finish()
        bench.world.pass(.milliseconds(500))
        #expect(try (15..<30).contains(bench.lines().count))
        bench.world.pass(.seconds(10))
        #expect(try bench.lines() == texts + ["the last one has no end"])
        #expect(!bench.page.contains("per_stream_rate_limit") && bench.host.runtime.openConnectionCount == 0)
        #expect(bench.said("is read more slowly: stream") == 1)
    }

    @Test("what TCP cannot wait for is refused, counted, and said once a connection; over UDP with how many there were")
    func refusedAloud() throws {
        let bench = try IntakeBench {
            $0.limits.streams = 1
            $0.limits.streamBytesPerSecond = 1000
            $0.limits.streamBurstBytes = 1000
        }
        let socket = try bench.world.node("c").bindDatagrams(handler: Silent())
        let text = String(repeating: "x", count: 400)
        for _ in 0..<6 {
            try socket.send(Array("<11>1 - h app - - - \(text)".utf8), to: HostPort(host: "logs", port: 5140))
        }
        bench.world.pass(.milliseconds(100))
        #expect(try bench.lines().count == 2 && bench.said("a message over UDP is lost: Per stream rate limit") == 1)
        bench.world.pass(.seconds(11))
        #expect(bench.said("3 more messages over UDP were lost") == 1)
        let client = try RawClient(bench.world.node("web"), "logs", 5140)
        client.write("one\ntwo\n")
        bench.world.pass(.seconds(1))
        #expect(bench.said("a line is refused") == 1 && bench.page.contains("{reason=\"stream_limit\"} 2\n"))
    }

    private final class Silent: DatagramHandler {
        func datagramSocket(_ socket: DatagramSocket, received bytes: UnsafeRawBufferPointer, from remote: Endpoint) {}
    }

    @Test(
        "a batch is taken as a whole or not at all: sending it again doubles nothing; one that never fits is told so"
    )
    func batches() throws {
        let bench = try IntakeBench(Self.slow)
        func batch(_ count: Int, _ name: String) -> String {
            (0..<count).map { "\(name) \($0) \(String(repeating: "x", count: 90))\n" }.joined()
        }
        // One sender, so that it is one stream.
        let app = bench.world.node("app")
        #expect(try bench.ask("POST", "/", batch(15, "a"), from: app).status == 200)
        let second = batch(20, "b")
        var tries = 0
        while try bench.ask("POST", "/", second, from: app).status == 429, tries < 10 {
            #expect(try bench.lines().count == 15)
            tries += 1
        }
        let lines = try bench.lines()
        #expect(tries > 0 && tries < 10, "\(tries)")
        #expect(lines.count == 35 && Set(lines).count == 35, "\(lines)")
        let large = try bench.ask("POST", "/", batch(30, "c"), from: app)
        #expect(large.status == 413 && large.body.contains("send smaller batches"), "\(large)")
        #expect(try bench.lines().count == 35)
        // Other streams of the same batch do not come in either.
        let mixed =
            batch(5, "d")
            + (0..<30).map { _ in "{\"service\":\"s\",\"x\":\"\(String(repeating: "y", count: 80))\"}\n" }.joined()
        bench.world.pass(.seconds(5))
        #expect(try bench.ask("POST", "/", mixed).status == 413 && bench.lines().count == 35)
    }

    @Test("what Loki's clients push again costs its stream nothing, so that a push beyond the rate gets done")
    func repeatedPush() throws {
        let bench = try IntakeBench(Self.slow)
        let values = (0..<40).map {
            "[\"\(IntakeBench.now + Int64($0))\",\"\($0) \(String(repeating: "x", count: 90))\"]"
        }
        let json = "{\"streams\":[{\"stream\":{\"job\":\"a\"},\"values\":[\(values.joined(separator: ","))]}]}"
        var tries = 0
        while try bench.push(json).status == 429, tries < 10 { tries += 1 }
        #expect(try tries > 0 && tries < 10 && bench.lines().count == 40)
    }

    @Test("names of labels and metadata are bounded, in Loki's words")
    func names() throws {
        let bench = try IntakeBench { $0.limits.metadataBytes = 100 }
        for name in ["", "a b", "1a", "a-b", "ä", "a\\u0000"] {
            let answer = try bench.push(
                "{\"streams\":[{\"stream\":{\"job\":\"x\",\"\(name)\":\"v\"},"
                    + "\"values\":[[\"\(IntakeBench.now)\",\"l\"]]}]}"
            )
            #expect(answer.status == 400 && answer.body.contains("error parsing labels"), "\(name): \(answer)")
        }
        func push(_ bytes: Int) throws -> (status: Int, body: String) {
            let value = String(repeating: "m", count: bytes - 1)
            return try bench.push(
                "{\"streams\":[{\"stream\":{\"job\":\"x\"},"
                    + "\"values\":[[\"\(IntakeBench.now)\",\"l\",{\"k\":\"\(value)\"}]]}]}"
            )
        }
        let refused = try push(101)
        #expect(refused.status == 400)
        #expect(refused.body.contains("has structured metadata too large: '101' bytes, limit: '100' bytes"))
        #expect(bench.page.contains("{reason=\"structured_metadata_too_large\"} 1\n"))
        #expect(try push(100).status == 204 && bench.lines() == ["l"])
    }

    @Test("what is not whole has a bound of its own, over all lines, agents and bodies")
    func gathering() throws {
        let bench = try IntakeBench { $0.gatheredLimitBytes = 100_000 }
        let half = String(repeating: "x", count: 40_000)
        let head =
            "{\"sdlab_agent\":1,\"agent\":\"a\",\"host\":\"h\"}\n{\"batch\":1,\"inode\":\"1\",\"generation\":0,"
            + "\"path\":\"/a\",\"from\":0,\"spans\":[90000],\"lengths\":[90000]}\n"
        let clients = try (0..<3).map { number in
            let client = try RawClient(bench.world.node("c\(number)"), "logs", 5140)
            client.write((number == 1 ? head : "") + half)
            bench.world.pass(.milliseconds(100))
            return client
        }
        bench.world.pass(.seconds(3))
        #expect(bench.host.runtime.openConnectionCount == 2 && bench.said("its connection is closed") == 1)
        // There is room as soon as one of them is whole.
        clients[0].write("\n")
        bench.world.pass(.milliseconds(100))
        let next = try RawClient(bench.world.node("d"), "logs", 5140)
        next.write(half + "\n")
        bench.world.pass(.milliseconds(100))
        #expect(try bench.lines().count == 2)
        let bodies = try (0..<3).map { number in
            let client = try RawClient(bench.world.node("h\(number)"), "logs", 5141)
            client.write("POST / HTTP/1.1\r\nHost: logs\r\nContent-Length: 50000\r\n\r\n\(half)")
            bench.world.pass(.milliseconds(100))
            return client
        }
        #expect(bodies.map(\.statuses) == [[], [], [503]] && bench.host.router.gatheredBytes == 80_000)
        bodies[0].write(String(repeating: "y", count: 10_000))
        bodies[1].stream.abort()
        bench.world.pass(.milliseconds(100))
        #expect(bodies[0].statuses == [200] && bench.host.router.gatheredBytes == 0)
    }

    @Test("a sender is the same host over HTTP, UDP and TCP")
    func hosts() throws {
        let bench = try IntakeBench()
        for node in [bench.world.nodes.startClient(), bench.world.node("web")] {
            try RawClient(node, "logs", 5140).write("tcp\n")
            let socket = try node.bindDatagrams(handler: Silent())
            try socket.send(Array("<999>udp".utf8), to: HostPort(host: "logs", port: 5140))
            _ = try bench.ask("POST", "/", "http\n", from: node)
        }
        let store = try #require(bench.host.store)
        let hosts = try store.streams([], from: .min, through: .max).map { $0["host"] }
        #expect(Set(hosts) == ["127.0.0.1", "web"], "\(hosts)")
        #expect(try bench.lines([.equal("host", "127.0.0.1")]).sorted() == ["<999>udp", "http", "tcp"])
    }

    @Test("a message whose numbers are beyond all files is no agent's, and the store opens afterwards")
    func numbers() throws {
        for (from, generation) in [(1 << 60, 0), (0, Int.max), (1 << 48, 1 << 48)] {
            let bench = try IntakeBench()
            let client = try RawClient(bench.world.node("x"), "logs", 5140)
            client.write("{\"sdlab_agent\":1,\"agent\":\"x\",\"host\":\"h\"}\n")
            client.write(
                "{\"batch\":1,\"inode\":\"1\",\"generation\":\(generation),\"path\":\"/a\",\"from\":\(from),"
                    + "\"spans\":[3],\"lengths\":[3]}\nabc")
            bench.world.pass(.seconds(1))
            #expect(!client.text.contains("synced"), "\(client.text)")
            #expect(try bench.ask("POST", "/", "after\n").status == 200)
            try bench.restart()
            #expect(try bench.lines() == ["after"])
        }
    }

    @Test("started on a full disk it answers what is there, and takes nothing until there is room")
    func startedFull() throws {
        let bench = try IntakeBench()
        #expect(try bench.ask("POST", "/", "one\n").status == 200)
        try bench.restart { $0.faults.isFull = true }
        #expect(try bench.lines() == ["one"])
        #expect(try bench.ask("POST", "/", "two\n").status == 503 && bench.ask("GET", "/health").status == 503)
        bench.host.node.disk.faults.isFull = false
        bench.world.pass(.seconds(10))
        #expect(try bench.ask("POST", "/", "three\n").status == 200 && bench.lines().contains("three"))
        #expect(try bench.ask("GET", "/health").status == 200)
    }

    @Test("a segment that cannot be read is in health, in the log with a remedy, and in answers about its day")
    func damage() throws {
        let bench = try IntakeBench()
        _ = try bench.ask("POST", "/", "one\ntwo\n")
        try bench.host.store?.flushAll(now: bench.host.node.wallClock.nanoseconds)
        let query = "/loki/api/v1/query_range?query=%7Bhost%3D%22app%22%7D"
        #expect(try !bench.ask("GET", query).body.contains("warnings"))
        try bench.restart { disk in
            let day = try #require(try disk.list("/logs").first { $0.hasPrefix("2023") })
            let name = try #require(try disk.list("/logs/\(day)").first)
            let file = try disk.open("/logs/\(day)/\(name)", [.write])
            try file.write([0], at: file.size - 1)
        }
        #expect(bench.said("put a copy in its place and start again, or remove the file") == 1)
        let health = try bench.ask("GET", "/health")
        #expect(health.status == 503, "\(health)")
        #expect(health.body.contains("a segment cannot be read: what is stored"), "\(health)")
        #expect(health.body.contains("/logs/2023-12-20/"))
        let answer = try bench.ask("GET", query)
        let json = try JSONValue(parsing: answer.body)
        #expect(answer.status == 200 && json["status"] == "success")
        let warning = try JSONCursor(json)["warnings"][0].string()
        #expect(warning.hasPrefix("lines of 2023-12-20 are missing: "), "\(warning)")
        #expect(warning.contains("/logs/2023-12-20/"))
        #expect(try bench.ask("GET", "/loki/api/v1/labels").body.contains("\"warnings\""))
        let before = try bench.ask("GET", query + "&start=1700000000&end=1700000060")
        #expect(before.status == 200 && !before.body.contains("warnings"))
    }
}
