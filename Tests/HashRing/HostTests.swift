import HashRingEngine
import HashRingService
import KernelStructures
import KernelWorld
import TestSupport
import Testing

@Suite("The node that holds the ring")
struct HashRingHostTests {
    /// What it answers, without rendering: the name of the answer, and whether as JSON.
    private func setting(_ settings: RingKeeper.Settings = .init()) throws -> (World, HashRingHost) {
        let world = memoryWorld()
        let host = HashRingHost(node: world.node("ring"), port: 7400, settings: settings) { answer, keeper, asJSON in
            "\(asJSON ? "json" : "text") \(answer)".prefix(40) + " nodes=\(keeper.ring.nodes.count)\n"
        }
        try host.start()
        return (world, host)
    }

    private func ask(_ world: World, _ requests: [String]) throws -> RawClient {
        let client = try RawClient(world.node("client-node"), "ring", 7400)
        for request in requests {
            let parts = request.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
            let body = parts.count > 1 ? String(parts[1]) : ""
            client.write("\(parts[0]) HTTP/1.1\r\nHost: ring\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
        }
        world.pass(.seconds(1))
        return client
    }

    @Test("a question names its number of replicas, or gets the usual one; there are no more than nodes")
    func replicationFactor() throws {
        var settings = RingKeeper.Settings()
        settings.replicationFactor = 2
        var keeper = try RingKeeper(settings, members: ["a", "b", "c"])
        let counts = try [nil, 1, 3, 9].map { try keeper.lookUp(["k"], replicationFactor: $0)[0].replicas.count }
        #expect(counts == [2, 1, 3, 3] && keeper.lookupCount == 4)
        #expect(try keeper.lookUp(["k"], replicationFactor: 9)[0].replicationFactor == 9)
    }

    @Test("requests change the ring, one after the other, and the log says what happened")
    func requests() throws {
        let (world, host) = try setting()
        defer { withExtendedLifetime(host) {} }
        let client = try ask(
            world,
            [
                "POST /nodes?name=a&vnodes=150", "POST /nodes?name=b&weight=2", "POST /nodes?name=a", "DELETE /nodes/x",
                "POST /lookup\nk1\nk2", "PATCH /nodes/b?weight=1", "DELETE /nodes/a", "DELETE /nodes/b",
                "GET /lookup?key=a", "GET /nothing",
            ])
        #expect(client.statuses == [201, 201, 409, 404, 200, 200, 200, 200, 409, 404])
        #expect(host.keeper.ring.isEmpty && host.keeper.lookupCount == 2)
        let events = world.journal.events
        let lines = (0..<events.count).compactMap { index -> String? in
            if case .log(let line) = events[index].body { line.text } else { nil }
        }
        #expect(lines[0] == "[RING] Initial ring with 0 nodes")
        #expect(lines[1] == "[RING] Added a with 150 virtual nodes")
        #expect(lines[2] == "[RING] a owns 100.0% of ring")
        #expect(lines[3] == "[RING] Added b with 300 virtual nodes")
        #expect(lines.last == "[RING] No node is left")
        #expect(lines.contains { $0.hasPrefix("[RING] Keys moved: ") && $0.hasSuffix("(only to and from b)") })
        #expect(lines.contains { $0.hasPrefix("[RING] Keys moved: ") && $0.hasSuffix("(only a's keys)") })
        #expect(client.bodies[2] == "a is on the ring already; reweight changes it")
        #expect(client.bodies[3] == "no node 'x' is on the ring; did you mean a?" || client.bodies[3].hasSuffix("ring"))
    }

    @Test("who accepts JSON gets it; the export is always JSON")
    func representation() throws {
        let (world, host) = try setting()
        defer { withExtendedLifetime(host) {} }
        let client = try RawClient(world.node("client-node"), "ring", 7400)
        client.write("GET /ring HTTP/1.1\r\nHost: r\r\nAccept: application/json\r\n\r\n")
        client.write("GET /ring HTTP/1.1\r\nHost: r\r\n\r\nGET /ring/export HTTP/1.1\r\nHost: r\r\n\r\n")
        world.pass(.seconds(1))
        #expect(client.bodies.map { $0.prefix(4) } == ["json", "text", "json"])
        let types = client.answers.map { $0.head.value(of: "content-type") }
        #expect(types == ["application/json", "text/plain; charset=utf-8", "application/json"])
    }

    @Test("a body that is too large is refused, and the ring goes on")
    func limits() throws {
        let (world, host) = try setting()
        defer { withExtendedLifetime(host) {} }
        let client = try ask(world, ["POST /lookup\n" + String(repeating: "k\n", count: 3_000_000)])
        #expect(client.statuses == [413])
        #expect(try ask(world, ["GET /ring"]).statuses == [200])
    }

    @Test("the node refuses more points than an answer can hold")
    func points() throws {
        var keeper = RingKeeper()
        #expect(throws: RingError.tooManyPoints(131_072, limit: RingKeeper.pointLimit)) {
            try keeper.add("a", virtualNodes: 65_536, weight: 2, zone: nil)
        }
        #expect(keeper.ring.isEmpty && keeper.lastChange == nil)
        _ = try keeper.add("a", virtualNodes: nil, weight: nil, zone: nil)
        #expect(throws: RingError.self) { try keeper.reweight("a", virtualNodes: nil, weight: 257) }
        #expect(throws: RingError.self) { try keeper.remove("b") }
        #expect(keeper.ring.pointCount == 150 && keeper.lastChange?.kind == .add)
    }

    @Test("only the last keys are remembered, each once")
    func recent() throws {
        var keeper = RingKeeper()
        _ = try keeper.add("a", virtualNodes: nil, weight: nil, zone: nil)
        _ = try keeper.lookUp((0..<100).map { "\($0)" }, replicationFactor: nil)
        _ = try keeper.lookUp(["98", "5"], replicationFactor: 1)
        #expect(keeper.recentKeys == ["5", "98", "99", "97"] && keeper.lookupCount == 102)
    }
}
