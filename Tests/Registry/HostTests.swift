import KernelJSON
import KernelService
import KernelStructures
import KernelWire
import KernelWorld
import RegistryEngine
import RegistryService
import TestSupport
import Testing

@Suite("The registry over the network")
struct HostTests {
    private func register(_ lab: RegistryLab, _ body: String) throws {
        #expect(try lab.ask("PUT", "/v1/agent/service/register", body).status == 200, "\(body)")
    }

    @Test("keys of JSON are read in any case, and ids are made where none is given")
    func anyCase() throws {
        let lab = try RegistryLab()
        for body in [
            #"{"name": "a", "port": 1, "check": {"ttl": "10s", "deregister_critical_service_after": "1m"}}"#,
            #"{"Name": "b", "Port": 1, "Check": {"TTL": "10s", "DeregisterCriticalServiceAfter": "1m"}}"#,
            #"{"NAME": "c", "PORT": 1, "CHECK": {"Ttl": "10s"}, "meta": {"Key": "V"}}"#,
        ] { try register(lab, body) }
        let catalog = lab.host.engine.catalog
        #expect(catalog.serviceNames.map(\.name) == ["a", "b", "c"])
        #expect(catalog.instances(of: "c")[0].meta == ["Key": "V"])
        #expect(
            catalog.ownChecks(of: catalog.instances(of: "a")[0].key)[0].definition?.deregistersAfter == .seconds(60))
        let id = catalog.instances(of: "a")[0].id
        #expect(id.hasPrefix("a-") && id.count == 8)
    }

    @Test("without an id the same name, address and port replace, and anything else is another instance")
    func identity() throws {
        let lab = try RegistryLab()
        for port in [1, 1, 2] { try register(lab, #"{"name": "a", "port": \#(port)}"#) }
        #expect(lab.host.engine.catalog.instances(of: "a").map(\.port) == [1, 2])
        // A name means its instance where there is one only.
        #expect(try lab.ask("PUT", "/v1/agent/service/deregister/a").status == 409)
        let first = lab.host.engine.catalog.instances(of: "a")[0].id
        #expect(try lab.ask("PUT", "/v1/agent/service/deregister/\(first)").status == 200)
        #expect(try lab.ask("PUT", "/v1/agent/service/deregister/a").status == 200)
        #expect(try lab.ask("PUT", "/v1/agent/service/deregister/a").status == 404)
    }

    @Test("a blocking query waits for a change of what it asks about, and answers with the new index")
    func blocking() throws {
        let lab = try RegistryLab()
        try register(lab, #"{"name": "a", "port": 1}"#)
        let index = try lab.index("/v1/health/service/a")
        let client = try lab.send("GET", "/v1/health/service/a?index=\(index)&wait=60s")
        lab.world.pass(.seconds(5))
        #expect(client.answers.isEmpty)
        try register(lab, #"{"name": "a", "port": 2}"#)
        lab.world.pass(.milliseconds(1))
        #expect(client.answers.first?.head.value(of: "X-Consul-Index") == "\(lab.host.engine.catalog.lastIndex)")
        // An index of the future is one of another life: it is answered at once.
        #expect(try lab.index("/v1/health/service/a?index=9999") == index + 1)
        let waiting = try lab.send("GET", "/v1/health/service/a?index=\(index + 1)&wait=10s")
        lab.world.pass(.seconds(9))
        #expect(waiting.answers.isEmpty)
        lab.world.pass(.seconds(3))
        #expect(waiting.answers.first?.status == 200)
    }

    @Test("one watcher and a thousand changes of something else: not one wake")
    func noFalseWakes() throws {
        let lab = try RegistryLab()
        try register(lab, #"{"name": "quiet", "port": 1}"#)
        let index = try lab.index("/v1/health/service/quiet")
        let watcher = try lab.send("GET", "/v1/health/service/quiet?index=\(index)&wait=10m")
        let unknown = try lab.send("GET", "/v1/catalog/service/none?index=1&wait=10m")
        lab.world.pass(.milliseconds(1))
        for number in 0..<1000 {
            try register(lab, #"{"id": "n", "name": "busy", "port": \#(1 + number)}"#)
        }
        #expect(lab.host.wakeCount == 0)
        #expect(watcher.answers.isEmpty && unknown.answers.isEmpty)
        try register(lab, #"{"id": "q", "name": "quiet", "port": 2}"#)
        #expect(lab.host.wakeCount == 1)
    }

    @Test("the agent's own node comes back at once, whoever takes it off")
    func ownNode() throws {
        let lab = try RegistryLab()
        try register(lab, #"{"name": "a", "port": 1}"#)
        #expect(try lab.ask("PUT", "/v1/catalog/deregister", #"{"Node": "registry"}"#).body == "true\n")
        #expect(lab.host.engine.catalog.instances.isEmpty)
        #expect(try lab.json("/v1/catalog/nodes")[0]?["Node"] == "registry")
        #expect(try lab.json("/v1/health/node/registry")[0]?["CheckID"] == "serfHealth")
        try register(lab, #"{"name": "a", "port": 1}"#)
        #expect(try lab.ask("PUT", "/v1/agent/maintenance?enable=yes").status == 400)
        // As Python's client writes it.
        #expect(try lab.ask("PUT", "/v1/agent/maintenance?enable=True").status == 200)
    }

    @Test("a question about another datacenter is not answered with this one's")
    func datacenters() throws {
        let lab = try RegistryLab()
        try register(lab, #"{"name": "a", "port": 1}"#)
        for path in ["catalog/service/a", "health/service/a", "catalog/nodes", "kv/x", "catalog/services"] {
            let answer = try lab.ask("GET", "/v1/\(path)?dc=dc9")
            #expect(answer.status == 500 && answer.body.contains("No path to datacenter"), "\(path)")
        }
        for word in ["dc1", "DC1", ""] { #expect(try lab.ask("GET", "/v1/catalog/service/a?dc=\(word)").status == 200) }
    }

    @Test("a follower that wants to hears of instances that have no port")
    func portless() throws {
        let lab = try RegistryLab()
        try register(lab, #"{"id": "p", "name": "cron", "address": "10.0.0.7"}"#)
        try register(lab, #"{"id": "q", "name": "cron", "address": "10.0.0.7", "port": 80}"#)
        let node = lab.world.node("watcher")
        let place = HostPort(host: "registry", port: 8500)
        var heard: [[DiscoveredInstance]] = []
        let followers = [true, false].map { wants in
            let follower = ServiceFollower(node, service: "cron", registry: place) { heard.append($0) }
            follower.followsPortless = wants
            follower.start()
            lab.world.pass(.milliseconds(100))
            return follower
        }
        #expect(heard.map { $0.map(\.destination.description) } == [["10.0.0.7:0", "10.0.0.7:80"], ["10.0.0.7:80"]])
        for follower in followers { follower.stop() }
    }

    @Test("whoever leaves while waiting is forgotten")
    func leaving() throws {
        let lab = try RegistryLab()
        for _ in 0..<20 { _ = try lab.send("GET", "/v1/health/service/a?index=1&wait=10m") }
        let clients = try (0..<20).map { _ in try lab.send("GET", "/v1/catalog/nodes?index=1&wait=10m") }
        lab.world.pass(.milliseconds(5))
        #expect(lab.host.statistics.first { $0.key == "watchers" }?.value == .integer(40))
        for client in clients { client.stream.abort() }
        lab.world.pass(.milliseconds(5))
        #expect(lab.host.statistics.first { $0.key == "watchers" }?.value == .integer(20))
    }

    @Test("a crash is found out by three checks, and the instance leaves DNS and the passing ones")
    func crash() throws {
        let lab = try RegistryLab()
        let origin = lab.world.node("pay")
        let server = try ScriptedServer(origin, port: 80)
        server.answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        try register(
            lab,
            #"{"id": "p", "name": "pay", "address": "pay", "port": 80, "check": {"http": "http://pay/", "#
                + #""interval": "5s"}}"#
        )
        lab.world.pass(.seconds(1))
        #expect(try lab.json("/v1/health/service/pay?passing")[0] != nil)
        origin.end(.killed)
        lab.world.pass(.seconds(16))
        #expect(try lab.json("/v1/health/state/critical")[0]?["CheckID"] == "service:p")
        #expect(try lab.json("/v1/health/service/pay?passing") == [])
        #expect(
            try lab.json("/v1/health/service/pay")[0]?["Checks"]?[1]?["Output"] == "GET http://pay/: connection refused"
        )
    }

    @Test("keys with slashes and blanks, raw, recursive, as a listing, under locks with a delay")
    func keys() throws {
        let lab = try RegistryLab()
        for (key, value) in [("a/b/c", "1"), ("a/b/d", "2"), ("a/e", "3"), ("x%20y", "4"), ("a/", "5")] {
            #expect(try lab.ask("PUT", "/v1/kv/\(key)", value).body == "true\n")
        }
        #expect(try lab.json("/v1/kv/a/?keys&separator=/") == ["a/", "a/b/", "a/e"])
        #expect(try lab.json("/v1/kv/?keys") == ["a/", "a/b/c", "a/b/d", "a/e", "x y"])
        #expect(try lab.ask("GET", "/v1/kv/x%20y?raw").body == "4")
        #expect(try lab.ask("GET", "/v1/kv/none").status == 404)
        #expect(try lab.ask("DELETE", "/v1/kv/a/b/?recurse").body == "true\n")
        #expect(try lab.json("/v1/kv/a?recurse")[1]?["Value"] == "Mw==")
        func session() throws -> String {
            guard case .string(let id)? = try JSONValue(parsing: try lab.ask("PUT", "/v1/session/create").body)["ID"]
            else { return "" }
            return id
        }
        let (first, second) = (try session(), try session())
        #expect(try lab.ask("PUT", "/v1/kv/lock?acquire=\(first)", "x").body == "true\n")
        #expect(try lab.ask("PUT", "/v1/kv/lock?acquire=\(second)", "x").body == "false\n")
        #expect(try lab.ask("PUT", "/v1/session/destroy/\(first)").body == "true\n")
        #expect(try lab.ask("PUT", "/v1/kv/lock?acquire=\(second)", "x").body == "false\n", "the delay")
        lab.world.pass(.seconds(16))
        #expect(try lab.ask("PUT", "/v1/kv/lock?acquire=\(second)", "x").body == "true\n")
    }

    @Test("a key's watcher sees it come, change and go; a prefix's watcher sees everything below")
    func keyWatchers() throws {
        let lab = try RegistryLab()
        let coming = try lab.send("GET", "/v1/kv/a/b?index=1&wait=10m")
        let prefix = try lab.send("GET", "/v1/kv/a/?recurse&index=1&wait=10m")
        lab.world.pass(.milliseconds(1))
        try lab.ask("PUT", "/v1/kv/c", "x")
        #expect(lab.host.wakeCount == 0)
        try lab.ask("PUT", "/v1/kv/a/b", "x")
        #expect(lab.host.wakeCount == 2)
        #expect(coming.answers.first?.status == 200 && prefix.answers.first?.status == 200)
    }

    // MARK: DNS

    @Test("fifty instances do not fit into a plain datagram: it says so, and a connection has them all")
    func truncation() throws {
        let lab = try RegistryLab()
        for number in 1...50 {
            try register(lab, #"{"id": "i\#(number)", "name": "big", "address": "10.0.0.\#(number)", "port": 80}"#)
        }
        let node = lab.world.node("resolver")
        func ask(_ message: DNSMessage) throws -> DNSMessage? {
            let box = Box()
            let socket = try node.bindDatagrams(handler: box)
            try socket.send(message.bytes(), to: HostPort(host: "registry", port: 8600))
            lab.world.pass(.milliseconds(5))
            socket.close()
            return try box.bytes.map { try DNSMessage(reading: $0) }
        }
        for type in [DNSType.a, .srv] {
            let plain = try #require(try ask(query("big.service.consul", type)))
            #expect(plain.isTruncated && plain.answers.count > 5 && plain.answers.count < 50)
            let large = try #require(try ask(query("big.service.consul", type, payload: 4096)))
            #expect(large.isTruncated == (large.answers.count < 50))
            let client = try RawClient(node, "registry", 8600)
            client.stream.write(query("big.service.consul", type).framed + query("none.consul", .a).framed)
            lab.world.pass(.milliseconds(5))
            let whole = try DNSMessage(
                reading: Array(client.bytes[2..<2 + Int(client.bytes[0]) << 8 + Int(client.bytes[1])]))
            #expect(!whole.isTruncated && whole.answers.count == 50)
            #expect(type == .a || whole.additional.count == 50)
        }
    }

    private final class Box: DatagramHandler {
        var bytes: [UInt8]?
        func datagramSocket(_ socket: DatagramSocket, received bytes: UnsafeRawBufferPointer, from remote: Endpoint) {
            self.bytes = Array(bytes)
        }
    }

    @Test("whatever is sent to either port, the registry goes on")
    func noise() throws {
        let lab = try RegistryLab()
        let node = lab.world.node("noise")
        var random = SeededRandom(seed: 5)
        let box = Box()
        let socket = try node.bindDatagrams(handler: box)
        for _ in 0..<500 {
            var bytes = query("api.service.consul", .srv, payload: 1232).bytes()
            for _ in 0...random.below(5) { bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next()) }
            bytes.removeLast(random.below(bytes.count))
            try socket.send(bytes, to: HostPort(host: "registry", port: 8600))
        }
        lab.world.pass(.seconds(1))
        for text in [
            "[]", "{", "{\"name\": 1}", "null", "{\"name\":\"a\",\"port\":99999999999999999999}",
            "{\"name\":\"a\",\"check\":{\"http\":\"ftp://x\",\"interval\":\"1s\"}}", "{\"name\":\"a\",\"port\":-1}",
            "{\"name\":\"a\",\"check\":{\"ttl\":\"0s\"}}", "{\"name\":\"a\",\"meta\":{\"a\":1}}",
        ] {
            for path in ["agent/service/register", "catalog/register", "agent/check/register", "txn", "session/create"]
            {
                let answer = try lab.ask("PUT", "/v1/\(path)", text)
                #expect((200..<500).contains(answer.status), "\(path) \(text): \(answer)")
            }
        }
        #expect(try lab.ask("GET", "/v1/catalog/services").body == "{}\n")
    }

    @Test("the same seed gives the same journal, whatever happens")
    func determinism() throws {
        func run() throws -> [String] {
            let lab = try RegistryLab(seed: 7)
            for number in 0..<20 {
                try register(
                    lab,
                    #"{"name": "s\#(number % 3)", "port": \#(number + 1), "check": {"tcp": "no:1", "interval": "1s"}}"#
                )
            }
            lab.world.pass(.seconds(20))
            let events = lab.world.journal!.events
            return (0..<events.count).map { events[$0].description }
        }
        #expect(try run() == run())
    }
}
