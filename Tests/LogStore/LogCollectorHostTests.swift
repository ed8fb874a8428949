import CSnappy
import KernelCompression
import KernelOTLP
import KernelProtobuf
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

@Suite("The node that collects logs")
struct LogCollectorHostTests {
    private func setting(_ change: (inout LogCollectorHost.Settings) -> Void = { _ in }) throws -> (
        World, LogCollectorHost
    ) {
        let world = memoryWorld()
        var settings = LogCollectorHost.Settings()
        change(&settings)
        let host = LogCollectorHost(node: world.node("logs"), settings: settings)
        try host.start()
        return (world, host)
    }

    private func lines(_ host: LogCollectorHost, _ matchers: [LabelMatcher] = []) throws -> [String] {
        let store = try #require(host.store)
        var statistics = LogStatistics()
        let chunks = try store.select(LogSelection(matchers, from: .min, through: .max), &statistics)
        var merge = LogMerge(store, chunks, .forward, from: .min, through: .max)
        var lines: [String] = []
        while let (block, index) = try merge.next(&statistics) { lines.append(block.line(index)) }
        return lines
    }

    private func post(
        _ world: World, _ path: String, _ body: [UInt8], _ fields: [String] = []
    ) throws -> (status: Int, body: String, retry: String?) {
        let client = try RawClient(world.node("app"), "logs", 5141)
        let head =
            (["POST \(path) HTTP/1.1", "Host: logs", "Content-Length: \(body.count)"] + fields)
            .joined(separator: "\r\n") + "\r\n\r\n"
        client.stream.write(Array(head.utf8) + body)
        world.pass(.seconds(1))
        let answer = try #require(client.answers.first)
        return (answer.status, client.bodies[0], answer.head.value(of: "retry-after"))
    }

    private static let now = LabTime.documentedEpoch.nanoseconds

    // @covers LOG-H2
    @Test("lines come over TCP in any pieces, JSON or not, and the last one needs no end")
    func lineFeed() throws {
        let (world, host) = try setting()
        let client = try RawClient(world.node("web"), "logs", 5140)
        for piece in ["{\"level\":\"error\",\"ser", "vice\":\"pay\",\"msg\":\"x\"}\nplain ", "text\r\n\nlast"] {
            client.write(piece)
            world.pass(.milliseconds(10))
        }
        client.stream.finish()
        world.pass(.seconds(1))
        #expect(try lines(host) == ["{\"level\":\"error\",\"service\":\"pay\",\"msg\":\"x\"}", "plain text", "last"])
        #expect(
            try lines(host, [.equal("service", "pay"), .equal("level", "error"), .equal("host", "web")]).count == 1)
        #expect(client.bytes.isEmpty && host.runtime.openConnectionCount == 0)
    }

    @Test("syslog comes over TCP either way of cutting, and over UDP; what cannot be read is kept as it came")
    func syslog() throws {
        let (world, host) = try setting()
        let first = try RawClient(world.node("a"), "logs", 5140)
        first.write("29 <11>1 - h app - - - two\nlines<11>1 - h app - - - three\n")
        let second = try RawClient(world.node("b"), "logs", 5140)
        second.write("<13>Dec 20 14:59:59 h su[1]: four\n<999>five\n")
        let socket = try world.node("c").bindDatagrams(handler: Silent())
        try socket.send(Array("<11>1 - h app - - - six\n".utf8), to: HostPort(host: "logs", port: 5140))
        world.pass(.seconds(1))
        #expect(Set(try lines(host)) == ["two\nlines", "three", "four", "<999>five", "six"])
        #expect(
            try lines(host, [.equal("service", "app"), .equal("level", "error"), .equal("facility", "user")]).count == 3
        )
        #expect(try lines(host, [.equal("job", "syslog"), .equal("host", "b")]) == ["<999>five"])
    }

    @Test("what is too long for anybody is left out, counted by its reason, and said once a connection")
    func tooLong() throws {
        let (world, host) = try setting { $0.limits.lineBytes = 1000 }
        let long = String(repeating: "x", count: 1500)
        let counted = "1500 <11>\(long.dropFirst(4))23 <11>1 - h app - - - two"
        for (name, text) in [("a", "\(long)\none\n\(long)\n"), ("b", counted)] {
            let client = try RawClient(world.node(name), "logs", 5140)
            for piece in stride(from: 0, to: text.count, by: 400) {
                client.write(String(text.dropFirst(piece).prefix(400)))
                world.pass(.milliseconds(1))
            }
            client.stream.finish()
        }
        world.pass(.seconds(1))
        #expect(Set(try lines(host)) == ["one", "two"])
        let page = String(decoding: host.runtime.metricsPage(.text), as: UTF8.self)
        #expect(page.contains("log_lines_refused_total{reason=\"line_too_long\"} 3\n"), "\(page)")
        #expect(world.journal.text.ranges(of: "a line of more than 1000 bytes is left out").count == 2)
    }

    private final class Silent: DatagramHandler {
        func datagramSocket(_ socket: DatagramSocket, received bytes: UnsafeRawBufferPointer, from remote: Endpoint) {}
    }

    @Test("whoever cannot be told that a time is refused has his lines at the time of their arrival; others are told")
    func clocksThatAreWrong() throws {
        let (world, host) = try setting()
        let syslog = try RawClient(world.node("a"), "logs", 5140)
        syslog.write("<11>1 2031-05-06T07:08:09Z h app - - - ahead\n<11>1 2001-02-03T04:05:06Z h app - - - behind\n")
        let json = "{\"timestamp\":\"2031-05-06T07:08:09Z\",\"msg\":\"json\"}"
        let plain = try RawClient(world.node("b"), "logs", 5140)
        plain.write(json + "\n")
        let answer = try post(world, "/", Array((json + "\n").utf8))
        #expect(answer.status == 400 && answer.body.contains("2031"), "over HTTP somebody hears it: \(answer.body)")
        world.pass(.seconds(1))
        let store = try #require(host.store)
        var statistics = LogStatistics()
        let chunks = try store.select(LogSelection([], from: .min, through: .max), &statistics)
        var merge = LogMerge(store, chunks, .forward, from: .min, through: .max)
        var found: [String: String] = [:]
        while let (block, index) = try merge.next(&statistics) {
            #expect(abs(block.timestamps[index] - Self.now) < 3_000_000_000)
            found[block.line(index)] = block.metadata(index)["sender_time"]
        }
        #expect(
            found == [
                "ahead": "2031-05-06T07:08:09Z", "behind": "2001-02-03T04:05:06Z", json: "2031-05-06T07:08:09Z",
            ])
        let page = String(decoding: host.runtime.metricsPage(.text), as: UTF8.self)
        #expect(page.contains("log_lines_retimed_total 3\n") && page.contains("{reason=\"too_far_in_future\"} 1\n"))
        #expect(world.journal.text.ranges(of: "kept at the time of their arrival").count == 1)
    }

    @Test("batches of lines, or an array, are stored with what is packed in any of the usual ways")
    func batches() throws {
        let (world, host) = try setting()
        let body = Array("{\"n\":1}\n{\"n\":2}\n".utf8)
        #expect(try post(world, "/", body).body == "{\"stored\":2}")
        for format in [CompressionFormat.gzip, .zstd] {
            let packed = try format.compress(body)
            #expect(try post(world, "/logs", packed, ["Content-Encoding: \(format.rawValue)"]).status == 200)
        }
        #expect(try post(world, "/", Array("[{\"n\": 3}, {\"n\": 4}]".utf8)).body == "{\"stored\":2}")
        #expect(try lines(host).count == 8)
        #expect(try post(world, "/", body, ["Content-Encoding: br"]).status == 415)
        #expect(try post(world, "/", body, ["Content-Encoding: gzip"]).status == 400)
        #expect(try post(world, "/", Array("[1,".utf8)).status == 400)
        #expect(try lines(host).count == 8)
    }

    @Test("Loki's clients push JSON and protobuf; what is wrong is said in Loki's words, and the rest is stored")
    func loki() throws {
        let (world, host) = try setting()
        let json = """
            {"streams":[{"stream":{"job":"app"},
             "values":[["\(Self.now)","one"],["\(Self.now)","two",{"trace_id":"7"}]]}]}
            """
        let fields = ["Content-Type: application/json"]
        for _ in 0..<2 { #expect(try post(world, "/loki/api/v1/push", Array(json.utf8), fields).status == 204) }
        #expect(try lines(host, [.equal("job", "app")]) == ["one", "two"])
        var writer = ProtobufWriter()
        writer.message(1) { stream in
            stream.text(1, "{job=\"proto\"}")
            stream.message(2) { entry in
                entry.message(1) {
                    $0.varint(1, UInt64(Self.now / 1_000_000_000))
                    $0.varint(2, 5)
                }
                entry.text(2, "three")
                entry.message(3) {
                    $0.text(1, "k")
                    $0.text(2, "v")
                }
            }
        }
        let packed = Self.snappy(writer.bytes)
        #expect(try post(world, "/loki/api/v1/push", packed, ["Content-Type: application/x-protobuf"]).status == 204)
        #expect(try lines(host, [.equal("job", "proto")]) == ["three"])
        let old = Self.now - 8 * 86_400_000_000_000
        let mixed = """
            {"streams":[{"stream":{"job":"app"},"values":[["\(old)","old"],["\(Self.now + 1)","new"]]}]}
            """
        let answer = try post(world, "/loki/api/v1/push", Array(mixed.utf8), fields)
        #expect(answer.status == 400 && answer.body.contains("has timestamp too old"))
        #expect(try lines(host, [.equal("job", "app")]) == ["one", "two", "new"])
        for wrong in [
            "{", "{}", "{\"streams\":[{\"stream\":{\"a\":1},\"values\":[]}]}", "{\"streams\":[{\"values\":[[1,2]]}]}",
        ] {
            #expect(try post(world, "/loki/api/v1/push", Array(wrong.utf8), fields).status == 400, "\(wrong)")
        }
        #expect(try post(world, "/loki/api/v1/push", [1, 2, 3]).status == 400)
    }

    private static func snappy(_ bytes: [UInt8]) -> [UInt8] {
        var length = snappy_max_compressed_length(bytes.count)
        var packed = [UInt8](repeating: 0, count: length)
        bytes.withUnsafeBytes { source in
            packed.withUnsafeMutableBytes { target in
                _ = snappy_compress(
                    source.bindMemory(to: CChar.self).baseAddress, bytes.count,
                    target.bindMemory(to: CChar.self).baseAddress, &length)
            }
        }
        return Array(packed[..<length])
    }

    @Test("any bytes pushed are answered, and nothing is a trap")
    func fuzz() throws {
        let (world, host) = try setting()
        var random = SeededRandom(seed: 4)
        let json = Array(
            "{\"streams\":[{\"stream\":{\"job\":\"a\"},\"values\":[[\"\(Self.now)\",\"x\",{\"k\":\"v\"}]]}]}".utf8)
        for _ in 0..<(isLong ? 5000 : 150) {
            var bytes = json
            for _ in 0..<random.below(4) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
            let isJSON = random.below(2) == 0
            let body = isJSON ? bytes : Self.snappy((0..<random.below(40)).map { _ in UInt8(random.below(256)) })
            let path = ["/loki/api/v1/push", "/v1/logs", "/"][random.below(3)]
            let kind = isJSON ? "application/json" : "application/x-protobuf"
            let answer = try post(world, path, body, ["Content-Type: \(kind)"])
            #expect((200..<500).contains(answer.status))
        }
        withExtendedLifetime(host) {}
    }

    @Test("OpenTelemetry's records become streams of a service, as Loki maps them")
    func otlp() throws {
        let (world, host) = try setting()
        var record = OTLPLogRecord()
        record.timeUnixNano = UInt64(Self.now)
        record.severityNumber = 17
        record.body = .text("it broke")
        record.attributes = [OTLPAttribute("http.method", .text("GET"))]
        let group = OTLPLogs.Group(
            resource: OTLPResource([
                OTLPAttribute("service.name", .text("pay")), OTLPAttribute("host.name", .text("h")),
            ]), records: [record])
        let logs = OTLPLogs([group])
        #expect(
            try post(world, "/v1/logs", logs.protobuf(), ["Content-Type: application/x-protobuf"]).status == 200)
        var json: [UInt8] = []
        logs.json().write(to: &json)
        #expect(try post(world, "/otlp/v1/logs", json, ["Content-Type: application/json"]).body == "{}")
        // The same record, sent twice.
        #expect(try lines(host, [.equal("service_name", "pay")]) == ["it broke"])
        let entry = OTLPEntry(record, group, now: 0)
        #expect(entry.labels == ["service_name": "pay"])
        #expect(entry.entry.metadata["level"] == "error" && entry.entry.metadata["http_method"] == "GET")
        #expect(entry.entry.metadata["host_name"] == "h")
    }

    @Test("nobody is told that something is stored before it is, and what was said survives a kill")
    func acknowledged() throws {
        let (world, host) = try setting()
        let body = Array("{\"n\":1}\n".utf8)
        host.node.disk.faults.isFull = true
        let refused = try post(world, "/", body)
        #expect(refused.status == 503 && refused.retry == "1")
        host.node.disk.faults.isFull = false
        world.pass(.seconds(3))
        #expect(try post(world, "/", body).status == 200)
        host.node.end(.killed)
        let node = world.node("logs")
        _ = node.disk.base.losePower(owner: node.disk.owner, policy: .dropAll)
        let next = LogCollectorHost(node: node, settings: LogCollectorHost.Settings())
        try next.start()
        #expect(try lines(next).contains("{\"n\":1}"))
    }

    // MARK: Agents

    private func agent(_ world: World, _ name: String = "web") throws -> LogAgentHost {
        var settings = LogAgentHost.Settings()
        settings.collector = HostPort(host: "logs", port: 5140)
        settings.agent.patterns = ["/var/log/*.log"]
        settings.agent.readsFromStart = true
        let host = LogAgentHost(node: world.node(name), settings: settings)
        try host.start()
        return host
    }

    private func write(_ world: World, _ text: String) throws {
        let disk = NodeDisk(base: world.disk, owner: .lab)
        try disk.makeDirectory("/var/log")
        let file = try disk.open("/var/log/app.log", [.write, .create])
        try file.write(Array(text.utf8), at: file.size)
    }

    @Test("an agent ships lines, once, through kills and cuts at any moment, and its book agrees all along")
    func shipping() throws {
        for seed in UInt64(1)...(isLong ? 40 : 6) {
            let world = memoryWorld(seed: seed)
            var random = SeededRandom(seed: seed)
            func collector() throws -> LogCollectorHost {
                let host = LogCollectorHost(node: world.node("logs"), settings: LogCollectorHost.Settings())
                try host.start()
                return host
            }
            var host = try collector()
            try write(world, "")
            var shipper = try agent(world)
            var count = 0
            for _ in 0..<30 {
                for _ in 0..<random.below(20) {
                    try write(world, "line \(count)\n")
                    count += 1
                }
                world.pass(.milliseconds(random.below(700)))
                switch random.below(8) {
                case 0:
                    host.node.end(.killed)
                    host = try collector()
                case 1:
                    shipper.node.end(.killed)
                    shipper = try agent(world)
                case 2: world.inject(.block(partition: false), from: "web", to: "logs", both: true, for: .seconds(2))
                default: break
                }
                #expect(shipper.agent?.ledger.isBalanced == true)
            }
            world.pass(.seconds(200))
            let found = try lines(host)
            #expect(found.count == count && Set(found).count == count, "seed \(seed): \(found.count) of \(count)")
            #expect(shipper.agent?.backlog == 0 && shipper.agent?.ledger.isBalanced == true)
        }
    }

    @Test("a collector that is away for an hour gets all of it, and the application has never waited")
    func anHour() throws {
        let world = memoryWorld()
        try write(world, "")
        let shipper = try agent(world)
        for minute in 0..<60 {
            try write(world, "minute \(minute)\n")
            world.pass(.seconds(60))
        }
        #expect(shipper.agent?.backlog == 60)
        let host = LogCollectorHost(node: world.node("logs"), settings: LogCollectorHost.Settings())
        try host.start()
        world.pass(.seconds(120))
        #expect(try lines(host).count == 60 && shipper.agent?.ledger.stored.lines == 60)
    }

    @Test("the lab's own lines are taken in, and its own are not")
    func lab() throws {
        let (world, host) = try setting { $0.takesLab = true }
        let node = world.node("web")
        node.log("WEB", "it is \(3) o'clock", level: .error)
        // What is logged for a request says whose trace it is, also while that is still under way.
        let span = try #require(world.spans.beginTrace("GET /", .server, on: node, isSeparate: true))
        span.run { node.log("WEB", "for a request") }
        world.node("db").log("DB", "for nobody")
        world.pass(.seconds(2))
        let traced = LogHint.field("trace_id", "\(span.context.traceID)")
        var statistics = LogStatistics()
        let store = try #require(host.store)
        let chunks = try store.select(LogSelection([], from: .min, through: .max, hint: traced), &statistics)
        var merge = LogMerge(store, chunks, .forward, from: .min, through: .max)
        var found: [String] = []
        while let (block, index) = try merge.next(&statistics) {
            let trace = block.metadata(index)["trace_id"]
            if !trace.isEmpty { found.append("\(block.line(index)) \(trace)") }
        }
        #expect(found == ["[WEB] for a request \(span.context.traceID)"])
        #expect(try lines(host, [.equal("service", "web"), .equal("level", "error")]) == ["[WEB] it is 3 o'clock"])
        #expect(try lines(host, [.equal("service", "logs")]) == [])
    }
}
