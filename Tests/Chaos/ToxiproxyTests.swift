import BackendService
import ChaosService
import KernelJSON
import KernelStructures
import KernelWorld
import TestSupport
import Testing

@Suite("Toxiproxy's API")
struct ToxiproxyTests {
    /// A server behind a proxy, and somebody who asks the API.
    private final class Lab {
        let world = memoryWorld()
        let host: ToxiproxyHost
        let client: Node
        private let backend: BackendHost

        init(_ proxies: [JSONValue] = []) throws {
            backend = BackendHost(node: world.node("web"), settings: .init(name: "web", port: 80))
            try backend.start()
            host = ToxiproxyHost(node: world.node("toxiproxy"), port: 8474, proxies: proxies)
            try host.start()
            client = world.node("user")
            world.pass(.milliseconds(1))
        }

        deinit { world.shutDown() }

        @discardableResult
        func ask(_ method: String, _ path: String, _ body: String = "", _ fields: String = "") throws
            -> (status: Int, json: JSONValue)
        {
            let raw = try RawClient(client, "toxiproxy", 8474)
            raw.write(
                "\(method) \(path) HTTP/1.1\r\nHost: t\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
            world.pass(.milliseconds(1))
            let answer = try #require(raw.answers.first)
            return (answer.status, (try? JSONValue(parsing: answer.body)) ?? .null)
        }

        /// What a request through the proxy comes to: its status, and how long it takes.
        func get(_ port: UInt16 = 2000, _ path: String = "/", limit: LabDuration = .seconds(20)) throws
            -> (status: Int?, time: LabDuration, closed: CloseReason?, hasEnded: Bool, count: Int)
        {
            let raw = try RawClient(client, "toxiproxy", port)
            raw.write("GET \(path) HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
            let start = world.now
            while raw.answers.first?.isComplete != true, !raw.hasEnded, raw.closed == nil, world.now - start < limit {
                if !world.step(until: start + limit) { break }
            }
            return (raw.statuses.first, world.now - start, raw.closed, raw.hasEnded, raw.bytes.count)
        }
    }

    private static let proxy: JSONValue = ["name": "web", "listen": "localhost:2000", "upstream": "web:80"]

    @Test("proxies come, change, go down and up, and go; errors are Toxiproxy's")
    func proxies() throws {
        let lab = try Lab()
        let made = try lab.ask("POST", "/proxies", Self.proxy.text)
        #expect(made.status == 201)
        #expect(made.json["enabled"] == true && made.json["toxics"] == .array([]))
        #expect(try lab.get().status == 200)
        #expect(try lab.ask("POST", "/proxies", Self.proxy.text).json["error"] == "proxy already exists")
        #expect(try lab.ask("GET", "/proxies").json["web"]?["upstream"] == "web:80")
        #expect(try lab.ask("POST", "/proxies/web", #"{"enabled": false}"#).json["enabled"] == false)
        #expect(try lab.get().closed == .refused)
        #expect(try lab.ask("PATCH", "/proxies/web", #"{"enabled": true, "listen": "localhost:2001"}"#).status == 200)
        #expect(try lab.get(2001).status == 200)
        #expect(try lab.ask("DELETE", "/proxies/web").status == 204)
        let missing = try lab.ask("GET", "/proxies/web")
        #expect(missing.status == 404 && missing.json["error"] == "proxy not found" && missing.json["status"] == 404)
        #expect(try lab.ask("POST", "/proxies", "{").status == 400)
        #expect(try lab.ask("POST", "/proxies", #"{"name": "x"}"#).json["error"] == "missing required field: upstream")
        #expect(try lab.ask("GET", "/version").json["version"] == "2.9.0")
        #expect(try lab.ask("GET", "/proxies", "", "User-Agent: Mozilla/5.0\r\n").status == 403)
    }

    @Test("populate makes what is missing, replaces what differs, and leaves the rest alone")
    func populating() throws {
        let lab = try Lab([Self.proxy])
        try lab.ask("POST", "/proxies/web/toxics", #"{"type": "latency", "attributes": {"latency": 10}}"#)
        let same = try lab.ask("POST", "/populate", JSONValue.array([Self.proxy]).text)
        #expect(same.status == 201)
        #expect(same.json["proxies"]?[0]?["toxics"]?[0]?["name"] == "latency_downstream")
        let other: JSONValue = ["name": "web", "listen": "localhost:2000", "upstream": "web:81"]
        #expect(
            try lab.ask("POST", "/populate", JSONValue.array([other]).text).json["proxies"]?[0]?["toxics"] == .array([])
        )
    }

    // @covers CHAOS-M1
    @Test("a toxic acts at once, is changed, and its end is the end of it")
    func toxics() throws {
        let lab = try Lab([Self.proxy])
        let made = try lab.ask(
            "POST", "/proxies/web/toxics", #"{"type": "latency", "attributes": {"latency": 1000}}"#)
        #expect(made.status == 200)
        #expect(
            made.json
                == [
                    "attributes": ["latency": 1000, "jitter": 0], "name": "latency_downstream", "type": "latency",
                    "stream": "downstream", "toxicity": 1.0,
                ])
        #expect(try lab.get().time >= .seconds(1))
        let path = "/proxies/web/toxics/latency_downstream"
        #expect(try lab.ask("POST", path, #"{"attributes": {"latency": 200}}"#).json["attributes"]?["latency"] == 200)
        let time = try lab.get().time
        #expect(time >= .milliseconds(200) && time < .milliseconds(210))
        #expect(try lab.ask("POST", path, #"{"toxicity": 0}"#).status == 200)
        #expect(try lab.get().time < .milliseconds(10))
        #expect(try lab.ask("DELETE", path).status == 204)
        #expect(try lab.ask("GET", path).json["error"] == "toxic not found")
        #expect(try lab.ask("POST", "/proxies/web/toxics", #"{"type": "latncy"}"#).status == 400)
        #expect(try lab.ask("POST", "/proxies/web/toxics", #"{"type": "latency", "stream": "side"}"#).status == 400)
        #expect(try lab.ask("POST", "/proxies/web/toxics", #"{"type": "latency", "toxicity": 2}"#).status == 400)
    }

    @Test("both directions, and each toxic does what it says to a connection")
    func kinds() throws {
        func through(_ toxic: String, _ path: String = "/") throws -> (
            status: Int?, time: LabDuration, closed: CloseReason?, hasEnded: Bool, count: Int
        ) {
            let lab = try Lab([Self.proxy])
            #expect(try lab.ask("POST", "/proxies/web/toxics", toxic).status == 200)
            return try lab.get(2000, path)
        }
        #expect(
            try through(#"{"type": "latency", "stream": "upstream", "attributes": {"latency": 500}}"#).time
                >= .milliseconds(500))
        #expect(try through(#"{"type": "reset_peer", "attributes": {"timeout": 0}}"#).closed == .reset)
        let timeout = try through(#"{"type": "timeout", "attributes": {"timeout": 3000}}"#)
        #expect(timeout.status == nil && timeout.hasEnded && timeout.time >= .seconds(2))
        let slow = try through(#"{"type": "bandwidth", "attributes": {"rate": 100}}"#, "/bytes/200000")
        #expect(slow.status == 200 && slow.time >= .milliseconds(1900) && slow.time <= .milliseconds(2200))
        let limited = try through(#"{"type": "limit_data", "attributes": {"bytes": 40}}"#)
        #expect(limited.count == 40 && limited.hasEnded)
        let sliced = try through(
            #"{"type": "slicer", "attributes": {"average_size": 10, "size_variation": 5, "delay": 1000}}"#)
        #expect(sliced.status == 200 && sliced.time >= .milliseconds(8))
        #expect(try through(#"{"type": "slow_close", "attributes": {"delay": 1000}}"#).status == 200)
    }

    @Test("a proxy comes together with its toxics")
    func atomic() throws {
        var lab = try Lab()
        let text = #"""
            {"name": "web", "listen": "localhost:2000", "upstream": "web:80",
             "toxics": [{"type": "latency", "attributes": {"latency": 300}}]}
            """#
        #expect(try lab.ask("POST", "/proxies", text).status == 201)
        #expect(try lab.get().time >= .milliseconds(300))
        #expect(try lab.ask("POST", "/reset").status == 204)
        #expect(try lab.get().time < .milliseconds(10))
        lab = try Lab([["name": "free", "listen": "localhost:0", "upstream": "web:80"]])
        #expect(try lab.ask("GET", "/proxies/free").json["listen"] == "localhost:26000")
        #expect(try lab.get(26_000).status == 200)
    }

    // @covers CHAOS-C1
    @Test("the lab's faults over HTTP")
    func faults() throws {
        let lab = try Lab()
        let made = try lab.ask("POST", "/faults", #"{"inject": "fail http 503", "target": "web", "for": "1m"}"#)
        #expect(made.status == 201)
        #expect(lab.world.faults.rules.map(\.text) == ["fail http 503 on web"])
        #expect(try lab.ask("GET", "/faults").json[0]?["fault"] == "fail http 503 on web")
        #expect(try lab.ask("POST", "/faults", #"{"inject": "latncy 2s", "target": "web"}"#).status == 409)
        #expect(try lab.ask("POST", "/faults", #"{"target": "web"}"#).status == 400)
        #expect(try lab.ask("DELETE", "/faults").json["reverted"] == 1)
        #expect(lab.world.faults.isEmpty)
    }

    // Toy: chance without a seed.
    @Test("the same seed is the same journal, byte for byte")
    func determinism() throws {
        func journal() throws -> String {
            let lab = try Lab([Self.proxy])
            try lab.ask(
                "POST", "/proxies/web/toxics",
                #"{"type": "latency", "toxicity": 0.5, "attributes": {"latency": 100, "jitter": 90}}"#)
            for _ in 0..<20 { _ = try lab.get() }
            return lab.world.journal.text
        }
        #expect(try journal() == journal())
    }
}
