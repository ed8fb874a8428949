import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import LogModelEngine
import TestSupport
import Testing
import TimeSeriesEngine

@testable import LogQLEngine
@testable import LogQLService

/// A store behind its API, on a node in a world in memory.
final class LogWorld {
    let world = memoryWorld()
    let logs = MemoryLogs(takesHints: true)
    let api: LogQueryAPI
    let server: HTTPServer
    private let router = HTTPRouter()
    private let node: Node

    init() throws {
        node = world.node("logs")
        let logs = logs
        api = LogQueryAPI(node: node) { logs }
        api.mount(on: router)
        server = HTTPServer(node: node, service: router)
        try server.listen(on: 3100)
    }

    var now: Int64 { node.wallClock.nanoseconds }

    /// Status and body of an answer to GET.
    func ask(_ target: String, _ field: String = "") throws -> (status: Int, body: String) {
        let client = try RawClient(world.node("client"), "logs", 3100)
        client.write("GET \(target) HTTP/1.1\r\nHost: logs\r\nConnection: close\r\n\(field)\r\n")
        world.pass(.seconds(1))
        let answer = try #require(client.answers.first)
        return (answer.status, String(decoding: answer.body, as: UTF8.self))
    }

    func data(_ target: String, _ field: String = "") throws -> JSONCursor {
        let answer = try ask(target, field)
        #expect(answer.status == 200, "\(answer.body)")
        return JSONCursor(try JSONValue(parsing: answer.body))
    }
}

@Suite("Loki's API")
struct QueryAPITests {
    private func world() throws -> LogWorld {
        let world = try LogWorld()
        let base = world.now - 60_000_000_000
        world.logs.add(
            ["service": "payment", "level": "error"],
            (0..<20).map {
                (base + Int64($0) * 1_000_000_000, #"{"level":"error","service":"payment","msg":"m\#($0)"}"#)
            })
        world.logs.add(
            ["service": "user", "level": "info"], [(base + 500_000_000, "level=info n=1"), (base + 1, "n=2")])
        return world
    }

    @Test("lines come as streams, the newest first, with statistics")
    func lines() throws {
        let data = try world().data("/loki/api/v1/query_range?query=%7Bservice%3D%22payment%22%7D&limit=2")["data"]
        #expect(try data["resultType"].string() == "streams")
        #expect(data["result"][0]["stream"].value == ["level": "error", "service": "payment"])
        let values = try data["result"][0]["values"].array()
        #expect(
            try values.map { try $0[1].string().contains("m19") || $0[1].string().contains("m18") } == [true, true])
        #expect(try values[0][0].string() > values[1][0].string())
        #expect(try data["stats"]["summary"]["totalEntriesReturned"].integer() == 2)
        #expect(try data["stats"]["index"]["skippedByLabel"].integer() == 1)
    }

    @Test("who asks for it gets labels by where they come from: the stream's, the entry's, the line's")
    func categorized() throws {
        let world = try world()
        world.logs.add(
            ["app": "web", "env": "old"], [(world.now - 5, "level=warn took=5ms")], metadata: ["trace_id": "7"])
        let query = "%7Bapp%3D%22web%22%7D%7Clogfmt%7Clabel_format%20env%3Dlevel%7Cdrop%20level"
        let field = "X-Loki-Response-Encoding-Flags: other, categorize-labels\r\n"
        let data = try world.data("/loki/api/v1/query_range?query=\(query)", field)["data"]
        #expect(data["encodingFlags"].value == ["categorize-labels"])
        #expect(data["result"][0]["stream"].value == ["app": "web"])
        let parts = data["result"][0]["values"][0][2]
        #expect(parts["structuredMetadata"].value == ["trace_id": "7"])
        #expect(parts["parsed"].value == ["env": "warn", "took": "5ms"])
        // As before for all others.
        let plain = try world.data("/loki/api/v1/query_range?query=\(query)")["data"]
        #expect(plain["encodingFlags"].value == nil)
        #expect(plain["result"][0]["stream"].value == ["app": "web", "env": "warn", "took": "5ms", "trace_id": "7"])
        #expect(try plain["result"][0]["values"][0].array().count == 2)
    }

    @Test("what fields lines have, of what kind, with their values; and how many values labels have")
    func detected() throws {
        let world = try world()
        world.logs.add(
            ["app": "web"],
            [
                (world.now - 9, #"{"n":1,"d":"5ms","size":"3KB","ok":true,"in":{"x":0.5},"list":[1]}"#),
                (world.now - 8, #"{"n":2.5,"d":"6ms","size":"4KB","ok":false,"in":{"x":"no"}}"#),
                (world.now - 7, "n=7 word=a"),
            ], metadata: ["trace_id": "7"])
        let data = try world.data("/loki/api/v1/detected_fields?query=%7Bapp%3D%22web%22%7D")
        var kinds: [String: String] = [:]
        for field in try data["fields"].array() {
            kinds[try field["label"].string()] = try "\(field["type"].string()) \(field["cardinality"].integer())"
        }
        #expect(
            kinds == [
                "n": "float 3", "d": "duration 2", "size": "bytes 2", "ok": "boolean 2", "in_x": "string 2",
                "word": "string 1", "trace_id": "int 1",
            ])
        let n = try #require(try data["fields"].array().first { try $0["label"].string() == "in_x" })
        #expect(n["jsonPath"].value == ["in", "x"] && n["parsers"].value == ["json"])
        let values = try world.data("/loki/api/v1/detected_field/n/values?query=%7Bapp%3D%22web%22%7D")
        #expect(values["values"].value == ["1", "2.5", "7"])
        #expect(
            try world.data("/loki/api/v1/detected_field/none/values?query=%7Bapp%3D%22web%22%7D")["values"].array()
                .isEmpty)
        let labels = try world.data("/loki/api/v1/detected_labels")["detectedLabels"]
        #expect(labels[2].value == ["label": "service", "cardinality": 2])
        #expect(try world.ask("/loki/api/v1/detected_fields?query=vector(1)").status == 400)
    }

    @Test("the largest of many series, nearly or exactly")
    func approximateTop() throws {
        let world = try world()
        let inner = "sum%20by%20(service)(count_over_time(%7Bservice%3D~%22.%2B%22%7D%5B5m%5D))"
        let data = try world.data("/loki/api/v1/query?query=approx_topk(1,%20\(inner))")["data"]
        #expect(try data["result"].array().map { try $0["metric"]["service"].string() } == ["payment"])
        #expect(try world.ask("/loki/api/v1/query?query=approx_topk%20by%20(a)(1,%20\(inner))").status == 400)
    }

    @Test("the seed's syntax is a query, too")
    func search() throws {
        let data = try world().data("/loki/api/v1/query_range?query=level:error%20AND%20msg:m7&direction=forward")[
            "data"]
        #expect(try data["result"][0]["values"].array().count == 1)
        #expect(try data["stats"]["index"]["skippedByIndex"].integer() > 0)
    }

    @Test("numbers come as a vector or a matrix, with seconds as times")
    func numbers() throws {
        let world = try world()
        let query = "sum%20by%20(service)(count_over_time(%7Bservice%3D~%22.%2B%22%7D%5B5m%5D))"
        let vector = try world.data("/loki/api/v1/query?query=\(query)")["data"]
        #expect(try vector["resultType"].string() == "vector")
        #expect(try vector["result"].array().map { try $0["value"][1].string() } == ["20", "2"])
        let matrix = try world.data("/loki/api/v1/query_range?query=\(query)&since=1m&step=30")["data"]
        #expect(try matrix["resultType"].string() == "matrix")
        #expect(
            try matrix["result"][0]["values"].array().count == 2 || matrix["result"][0]["values"].array().count == 3)
    }

    @Test("labels, their values, series, statistics, volumes, patterns and the query's form")
    func others() throws {
        let world = try world()
        #expect(try world.data("/loki/api/v1/labels")["data"].value == ["level", "service"])
        #expect(try world.data("/loki/api/v1/label/service/values")["data"].value == ["payment", "user"])
        #expect(try world.data("/loki/api/v1/series?match[]=%7Blevel%3D%22info%22%7D")["data"].array().count == 1)
        #expect(try world.data("/loki/api/v1/index/stats?query=%7B%7D")["entries"].integer() == 22)
        #expect(
            try world.data("/loki/api/v1/index/volume?query=%7B%7D&targetLabels=service")["data"]["result"].array()
                .count == 2)
        let pattern = try world.data("/loki/api/v1/patterns?query=%7Bservice%3D%22payment%22%7D")["data"][0]
        #expect(try pattern["pattern"].string().contains("<_>") && pattern["count"].integer() == 20)
        #expect(
            try world.data("/loki/api/v1/format_query?query=%7Ba%3D%22b%22%7D%7C%3D%22x%22")["data"].string()
                == #"{a="b"} |= "x""#)
        #expect(try world.data("/loki/api/v1/status/buildinfo")["version"].string().hasPrefix("3."))
    }

    @Test("a line of this very moment is found by whoever names no end, and not by whoever ends there")
    func thisMoment() throws {
        let world = try LogWorld()
        // The requests arrive later, by two hops each time.
        let node = world.world.node("logs")
        var now: Int64 = 0
        world.logs.onSelect = { [unowned logs = world.logs] in
            guard now == 0 else { return }
            now = node.wallClock.nanoseconds
            logs.add(["app": "web"], [(now, "just now")])
        }
        let selector = "%7Bapp%3D%22web%22%7D"
        func lines(_ rest: String) throws -> Int {
            try world.data("/loki/api/v1/query_range?query=\(selector)\(rest)")["data"]["result"].array().count
        }
        #expect(try lines("") == 1 && now % 1_000_000 != 0)
        #expect(try lines("&end=\(now)") == 0 && lines("&end=\(now + 1)") == 1)
        now = 0
        let count = "count_over_time(\(selector)%5B1m%5D)"
        let vector = try world.data("/loki/api/v1/query?query=\(count)")["data"]["result"]
        #expect(try vector[0]["value"][1].string() == "2")
    }

    @Test(
        "what is wrong is said in a line",
        arguments: [
            (
                "query_range?query=%7Ba%3D", 400,
                "parse error at line 1, col 4: syntax error: unexpected $end, expecting STRING\n"
            ),
            ("query?query=%7Ba%3D%22b%22%7D", 400, "log queries are not supported as an instant query type"),
            ("query_range", 400, "the parameter query is missing"),
            ("query_range?query=x&start=yesterday", 400, "could not parse 'start' parameter"),
            ("query_range?query=x&start=5&end=4", 400, "end timestamp must not be before or equal to start time"),
            ("query_range?query=x&limit=5001", 400, "max entries limit per query exceeded"),
            ("query_range?query=x&direction=up", 400, "invalid direction 'up'"),
            ("query_range?query=x&start=-99999999999999999999", 400, "could not parse 'start'"),
            ("query_range?query=vector(1)&step=0", 400, "zero or negative query resolution step widths"),
            ("query_range?query=vector(1)&start=0&end=4000000000&step=1", 400, "exceeded maximum resolution"),
            ("query_range?query=x&start=9999999999&end=5", 400, "end timestamp must not be before"),
            ("query_range?query=x&end=-9223372036854775808&since=8999999999&limit=9999", 400, "max entries limit"),
            ("series", 400, "series wants match[]"),
            ("tail?query=vector(1)", 400, "only queries for lines can be followed"),
        ])
    func errors(_ target: String, _ status: Int, _ text: String) throws {
        let answer = try world().ask("/loki/api/v1/\(target)")
        #expect(answer.status == status)
        #expect(answer.body.hasPrefix(text), "\(answer.body)")
    }
}

@Suite("Following logs")
struct TailTests {
    private func follow(_ world: LogWorld, _ query: String, limit: Int = 1) throws -> (socket: Box, messages: Box) {
        let box = Box()
        var url = HTTPURL(
            scheme: .http, host: "logs", port: 3100, target: "/loki/api/v1/tail?query=\(query)&limit=\(limit)")
        url.hasPort = true
        WebSocketCall(world.world.node("reader"), url) { result in
            guard case .success(let socket) = result else { return }
            box.socket = socket
            socket.onText = { box.texts.append($0) }
            socket.onClosed = { code, reason in box.closed = reason }
        }.start()
        world.world.pass(.seconds(1))
        return (box, box)
    }

    final class Box {
        var socket: WebSocketConnection?
        var texts: [String] = []
        var closed: String?
    }

    @Test("lines that come in are sent to those whose query they fulfil, the last ones first")
    func follows() throws {
        let world = try LogWorld()
        world.logs.add(["app": "web"], [(world.now - 5, "old error 1"), (world.now - 4, "old error 2")])
        let (box, _) = try follow(world, "%7Bapp%3D%22web%22%7D%20%7C%3D%20%22error%22")
        #expect(box.texts.count == 1 && box.texts[0].contains("old error 2") && !box.texts[0].contains("old error 1"))
        world.logs.take(["app": "web"], [(world.now, "an error"), (world.now, "no problem")])
        world.logs.take(["app": "db"], [(world.now, "another error")])
        world.world.pass(.seconds(1))
        #expect(box.texts.count == 2 && box.texts[1].contains("an error") && !box.texts[1].contains("problem"))
        #expect(world.api.tails.count == 1)
        box.socket?.close()
        world.world.pass(.seconds(10))
        #expect(world.api.tails.isEmpty && world.logs.followerCount == 0)
    }

    @Test("a line that comes while the last ones are looked for is sent, once")
    func noGap() throws {
        let world = try LogWorld()
        let now = world.now
        world.logs.add(["app": "web"], [(now - 5, "old")])
        var hasRead = false
        // One that is found as well as heard of, and one that is only heard of, before there is anybody to tell.
        world.logs.onSelect = { [unowned logs = world.logs] in logs.take(["app": "web"], [(now - 1, "while finding")]) }
        world.logs.onRead = { [unowned logs = world.logs] in
            if !hasRead { logs.take(["app": "web"], [(now + 1, "while reading")]) }
            hasRead = true
        }
        let (box, _) = try follow(world, "%7Bapp%3D%22web%22%7D", limit: 10)
        world.logs.take(["app": "web"], [(now + 2, "behind")])
        world.world.pass(.seconds(1))
        let text = box.texts.joined()
        for line in ["old", "while finding", "while reading", "behind"] {
            #expect(text.ranges(of: "\"\(line)\"").count == 1, "\(line): \(text)")
        }
    }

    @Test("a reader that takes nothing costs a bounded queue, is told what it lost, and is sent away")
    func stuck() throws {
        let world = try LogWorld()
        let (box, _) = try follow(world, "%7Bapp%3D%22web%22%7D")
        world.world.inject(.block(partition: false), from: "logs", to: "reader")
        for round in 0..<300 {
            world.logs.take(
                ["app": "web"], (0..<100).map { (Int64(round * 100 + $0), String(repeating: "x", count: 1_000)) })
            world.world.pass(.milliseconds(10))
        }
        let tail = try #require(world.api.tails.first)
        #expect(tail.droppedCount > 0 && tail.queueBytes <= LogTail.queueLimitBytes)
        world.world.pass(.seconds(60))
        #expect(world.api.tails.isEmpty && world.logs.followerCount == 0)
        _ = box
    }

    @Test("a reader that takes a little all the time, and never enough, is sent away as well")
    func tooSlow() throws {
        let world = try LogWorld()
        let (box, _) = try follow(world, "%7Bapp%3D%22web%22%7D")
        world.world.inject(.throttle(bytesPerSecond: 2_000), from: "logs", to: "reader")
        world.logs.take(
            ["app": "web"], (0..<1_000).map { (world.now + Int64($0), String(repeating: "x", count: 1_000)) })
        world.world.pass(.seconds(25))
        #expect(world.api.tails.count == 1)
        world.world.pass(.seconds(15))
        #expect(world.api.tails.isEmpty && world.logs.followerCount == 0)
        _ = box
    }

    @Test("a reader that answers no pings is let go with all that was kept for it, whether lines come or none")
    func silent() throws {
        for lines in [0, 20_000] {
            let world = try LogWorld()
            let (box, _) = try follow(world, "%7Bapp%3D%22web%22%7D")
            weak let tail = world.api.tails.first
            world.world.pass(.seconds(100))
            #expect(tail != nil && box.closed == nil, "pongs show that it lives")
            try #require(world.world.nodes["reader"]).freeze()
            for round in 0..<lines / 1_000 {
                world.logs.take(
                    ["app": "web"],
                    (0..<1_000).map { (Int64(round * 1_000 + $0), String(repeating: "x", count: 1_000)) })
            }
            #expect((tail?.queueBytes ?? 0 > 1 << 20) == (lines > 0))
            world.world.pass(LogTail.pingInterval + LogTail.pingInterval + .seconds(1))
            #expect(tail == nil && world.api.tails.isEmpty && world.logs.followerCount == 0)
            #expect(world.server.openConnectionCount == 0, "and its unsent bytes with it")
        }
    }

    @Test("a reader that has ended its half is let go, also if it did so before it was answered")
    func halfClosed() throws {
        let world = try LogWorld()
        // More lines than one turn looks at.
        world.logs.add(["app": "web"], (0..<20_010).map { (world.now - 100_000 + Int64($0), "line") })
        let request = [
            "GET /loki/api/v1/tail?query=%7Bapp%3D%22web%22%7D%20!%3D%20%22line%22 HTTP/1.1", "Host: logs",
            "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
        ]
        for isEarly in [false, true] {
            let client = try RawClient(world.world.node("reader"), "logs", 3100)
            client.write(request.joined(separator: "\r\n") + "\r\n\r\n")
            if isEarly { client.stream.finish() }
            world.world.pass(.seconds(1))
            #expect(client.text.hasPrefix("HTTP/1.1 101"))
            #expect(world.api.tails.count == (isEarly ? 0 : 1))
            client.stream.finish()
            world.world.pass(.seconds(3))
            #expect(world.api.tails.isEmpty && world.logs.followerCount == 0)
            #expect(client.hasEnded && world.server.openConnectionCount == 0)
        }
        // And where its window is full, so that nothing more can be brought to it.
        let client = try RawClient(world.world.node("reader"), "logs", 3100)
        client.write(request.joined(separator: "\r\n") + "\r\n\r\n")
        world.world.pass(.seconds(1))
        client.stream.pauseReading()
        world.logs.take(
            ["app": "web"], (0..<3_000).map { (world.now + Int64($0), String(repeating: "x", count: 1_000)) })
        world.world.pass(.milliseconds(10))
        client.stream.finish()
        world.world.pass(.seconds(3))
        #expect(world.api.tails.isEmpty && world.server.openConnectionCount == 0)
    }

    @Test("many long lines come in messages of a bounded size, all of them and in order")
    func pieces() throws {
        let world = try LogWorld()
        let (box, _) = try follow(world, "%7Bapp%3D%22web%22%7D")
        // A byte that JSON makes six of.
        world.logs.take(
            ["app": "web"],
            (0..<1_500).map { (Int64($0), "\($0) " + String(repeating: "\u{1}", count: 1_000)) })
        world.world.pass(.seconds(5))
        #expect(box.closed == nil && box.texts.count > 3)
        #expect(box.texts.allSatisfy { $0.utf8.count < 8 * LogTail.messageLimitBytes })
        let numbers = box.texts.flatMap { $0.split(separator: "\",\"").compactMap { Int($0.prefix { $0 != " " }) } }
        #expect(numbers.filter { $0 < 1_500 } == Array(0..<1_500))
    }
}
