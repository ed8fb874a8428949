import KernelJSON
import KernelStructures
import KernelWorld
import RegistryEngine
import RegistryService
import TestSupport
import Testing

/// Three registries in a world in memory.
private final class GroupLab {
    let world: World
    private(set) var hosts: [String: RegistryHost] = [:]
    private var clients: [RawClient] = []
    private let peers = ["r1", "r2", "r3"].map { HostPort(host: $0, port: 8500) }

    init(seed: UInt64 = 1) throws {
        world = memoryWorld(seed: seed)
        for id in 1...3 { try start(id) }
        world.pass(.seconds(5))
    }

    deinit { world.shutDown() }

    func start(_ id: Int) throws {
        let host = RegistryHost(
            node: world.node("r\(id)"), settings: RegistrySettings(), port: 8500, dnsPort: 8600, peers: peers, id: id,
            directory: "/registry/r\(id)")
        hosts["r\(id)"] = host
        try host.start()
    }

    func ask(_ member: String, _ method: String, _ target: String, _ body: String = "") throws -> (Int, JSONValue) {
        let client = try RawClient(
            world.nodes["client"].flatMap { $0.isAlive ? $0 : nil } ?? world.node("client"), member, 8500)
        clients.append(client)
        client.write("\(method) \(target) HTTP/1.1\r\nHost: r\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
        world.pass(.seconds(1))
        let answer = client.answers.first
        return (answer?.status ?? 0, (try? JSONValue(parsing: answer?.body ?? [])) ?? .null)
    }

    var leader: String? {
        hosts.values.filter { $0.node.isAlive && $0.isLeader }.map(\.node.name).first
    }
    var followers: [String] { hosts.keys.sorted().filter { $0 != leader && hosts[$0]?.node.isAlive == true } }
}

@Suite("A group of registries")
struct GroupTests {
    // @covers SD-C3
    @Test("what one member was told all know, and a group of three goes on without the one that leads")
    func failover() throws {
        let lab = try GroupLab()
        let first = try #require(lab.leader)
        let follower = lab.followers[0]
        let origin = lab.world.node("pay")
        let server = try ScriptedServer(origin, port: 80)
        server.answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        let body =
            #"{"id": "p", "name": "pay", "address": "pay", "port": 80, "check": {"tcp": "pay:80", "interval": "2s"}}"#
        #expect(try lab.ask(follower, "PUT", "/v1/agent/service/register", body).0 == 200)
        for member in ["r1", "r2", "r3"] {
            let (status, rows) = try lab.ask(member, "GET", "/v1/health/service/pay?passing")
            #expect(status == 200 && rows[0]?["Service"]?["ID"] == "p", "\(member)")
        }
        let before = lab.hosts[follower]!.engine.catalog.index(of: .service("pay"))
        lab.world.nodes[first]!.end(.killed)
        lab.world.pass(.seconds(6))
        let second = try #require(lab.leader)
        #expect(second != first)
        // Whoever leads now makes the checks.
        origin.end(.killed)
        lab.world.pass(.seconds(8))
        let (_, critical) = try lab.ask(lab.followers[0], "GET", "/v1/health/state/critical")
        #expect(critical[0]?["CheckID"] == "service:p")
        #expect(lab.hosts[second]!.engine.catalog.index(of: .service("pay")) > before)
    }

    @Test("a member that comes back knows again what it knew, and what happened meanwhile")
    func restart() throws {
        let lab = try GroupLab()
        #expect(try lab.ask("r1", "PUT", "/v1/kv/a", "1").1 == true)
        lab.world.nodes["r3"]!.end(.killed)
        #expect(try lab.ask("r1", "PUT", "/v1/kv/b", "2").1 == true || lab.leader == nil)
        lab.world.pass(.seconds(5))
        #expect(try lab.ask("r2", "PUT", "/v1/kv/c", "3").1 == true)
        try lab.start(3)
        lab.world.pass(.seconds(5))
        let (status, keys) = try lab.ask("r3", "GET", "/v1/kv/?keys&stale")
        #expect(status == 200 && keys == lab.hosts["r1"]!.keysJSON)
    }

    @Test("without a majority nothing is changed, and a question that wants the truth is told so")
    func minority() throws {
        let lab = try GroupLab()
        #expect(try lab.ask("r1", "PUT", "/v1/kv/a", "1").1 == true)
        for member in lab.followers { lab.world.nodes[member]!.end(.killed) }
        lab.world.pass(.seconds(5))
        let alone = try #require(lab.hosts.keys.sorted().first { lab.hosts[$0]!.node.isAlive })
        #expect(try lab.ask(alone, "PUT", "/v1/kv/b", "2").0 == 0, "not yet")
        lab.world.pass(.seconds(6))
        #expect(lab.hosts[alone]!.engine.catalog.entries["b"] == nil)
        #expect(try lab.ask(alone, "GET", "/v1/kv/a?raw&stale").0 == 200)
    }

    @Test("a session lives through a change of leaders, and ends when nobody renews it")
    func sessions() throws {
        let lab = try GroupLab()
        let follower = lab.followers[0]
        let (_, made) = try lab.ask(follower, "PUT", "/v1/session/create", #"{"TTL": "10s"}"#)
        guard case .string(let id)? = made["ID"] else { return #expect(Bool(false), "\(made)") }
        #expect(try lab.ask(follower, "PUT", "/v1/kv/lock?acquire=\(id)").1 == true)
        lab.world.nodes[lab.leader!]!.end(.killed)
        lab.world.pass(.seconds(5))
        #expect(try lab.ask(follower, "PUT", "/v1/session/renew/\(id)").0 == 200)
        lab.world.pass(.seconds(8))
        #expect(lab.hosts[follower]!.engine.catalog.sessions[id] != nil)
        lab.world.pass(.seconds(20))
        #expect(lab.hosts[follower]!.engine.catalog.sessions[id] == nil)
        #expect(lab.hosts[follower]!.engine.catalog.session(holding: "lock") == nil)
    }

    @Test("a leader that slept past the end of a session does not end it when it comes back: it was renewed elsewhere")
    func sleepingLeader() throws {
        let lab = try GroupLab()
        let old = try #require(lab.leader)
        let follower = lab.followers[0]
        let (_, made) = try lab.ask(follower, "PUT", "/v1/session/create", #"{"TTL": "10s"}"#)
        guard case .string(let id)? = made["ID"] else { return #expect(Bool(false), "\(made)") }
        lab.world.nodes[old]!.freeze()
        lab.world.pass(.seconds(5))
        for _ in 0..<6 {
            #expect(try lab.ask(follower, "PUT", "/v1/session/renew/\(id)").0 == 200)
            lab.world.pass(.seconds(5))
        }
        lab.world.nodes[old]!.thaw()
        lab.world.pass(.seconds(3))
        #expect(lab.hosts[follower]!.engine.catalog.sessions[id] != nil)
    }

    @Test("who has no leader says so, and how old what it knows may be")
    func stale() throws {
        let lab = try GroupLab()
        func fields(_ member: String, _ query: String) throws -> [String] {
            let client = try RawClient(lab.world.node("asking"), member, 8500)
            client.write("GET /v1/catalog/nodes\(query) HTTP/1.1\r\nHost: r\r\n\r\n")
            lab.world.pass(.milliseconds(50))
            let head = client.answers.first?.head
            lab.world.nodes["asking"]?.end(.stopped)
            return ["KnownLeader", "Effective-Consistency", "LastContact"].map {
                head?.value(of: "X-Consul-" + $0) ?? "none"
            }
        }
        let leader = try #require(lab.leader)
        #expect(try fields(leader, "") == ["true", "leader", "0"])
        let follower = lab.followers[0]
        #expect(try fields(follower, "")[1] == "consistent")
        let young = try fields(follower, "?stale")
        #expect(young[0] == "true" && young[1] == "stale" && Int(young[2]).map { $0 < 1000 } == true, "\(young)")
        for id in lab.hosts.keys where id != follower { lab.world.nodes[id]!.end(.killed) }
        lab.world.pass(.seconds(20))
        let old = try fields(follower, "?stale")
        #expect(old[0] == "false" && old[1] == "stale" && Int(old[2]).map { $0 >= 19_000 } == true, "\(old)")
    }

    @Test("the group's node comes back, too, and a member whose disk fails says so")
    func ownNode() throws {
        let lab = try GroupLab()
        let follower = lab.followers[0]
        #expect(try lab.ask(follower, "PUT", "/v1/catalog/deregister", #"{"Node": "registry"}"#).0 == 200)
        #expect(
            try lab.ask(follower, "PUT", "/v1/agent/service/register", #"{"name": "api", "port": 1}"#).0 == 200)
        let host = lab.hosts[follower]!
        var hasEnded = false
        host.runtime.onFailure = { hasEnded = true }
        lab.world.inject(.disk(.failSync(count: 1)), to: follower)
        _ = try lab.ask(lab.leader!, "PUT", "/v1/kv/a", "1")
        lab.world.pass(.seconds(1))
        #expect(hasEnded && host.runtime.complaints.first?.hasPrefix("this member has stopped: ") == true)
    }

    @Test("what was written past the agent is put right by whoever leads, soon after it begins to")
    func antiEntropy() throws {
        let lab = try GroupLab()
        let follower = lab.followers[0]
        #expect(
            try lab.ask(follower, "PUT", "/v1/agent/service/register", #"{"ID": "p", "Name": "pay", "Port": 1}"#).0
                == 200)
        let removal = #"{"Node": "registry", "ServiceID": "p"}"#
        #expect(try lab.ask(follower, "PUT", "/v1/catalog/deregister", removal).0 == 200)
        #expect(try lab.ask(follower, "GET", "/v1/health/service/pay").1 == [])
        // The next one was told what the first one was.
        lab.world.nodes[lab.leader!]!.end(.killed)
        lab.world.pass(.seconds(7))
        for member in [follower, lab.leader!] {
            #expect(try lab.ask(member, "GET", "/v1/health/service/pay").1[0]?["Service"]?["ID"] == "p", "\(member)")
        }
    }

    @Test("a watcher at a follower hears of what was said elsewhere")
    func watching() throws {
        let lab = try GroupLab()
        let follower = lab.followers[0]
        let client = try RawClient(lab.world.node("watcher"), follower, 8500)
        client.write("GET /v1/health/service/api?index=1&wait=60s HTTP/1.1\r\nHost: r\r\n\r\n")
        lab.world.pass(.seconds(2))
        #expect(client.answers.isEmpty)
        #expect(
            try lab.ask(lab.followers[1], "PUT", "/v1/agent/service/register", #"{"name": "api", "port": 1}"#).0 == 200)
        #expect(client.answers.first?.status == 200)
    }
}

extension RegistryHost {
    fileprivate var keysJSON: JSONValue { .array(engine.catalog.entries.all.map { .string($0.key) }) }
}
