import KernelStructures
import KernelWire
import KernelWorld
import RateLimiterService
import TestSupport
import Testing

/// The limiter as a reverse proxy.
@Suite struct UpstreamTests {
    private let bench: ServiceBench
    private let origin: ScriptedServer

    init() throws {
        bench = try ServiceBench("rules: [{algorithm: gcra, rate: 3/minute}]\nupstream: origin:9000")
        origin = try ScriptedServer(bench.world.node("origin"), port: 9000)
    }

    private func send(_ text: String) throws -> RawClient {
        let client = try bench.client()
        client.write(text)
        bench.world.pass(.milliseconds(2))
        return client
    }

    @Test("admitted requests go through with their client's address, and come back with their quota")
    func passes() throws {
        origin.answer(
            "HTTP/1.1 203 Fine\r\nX-Own: yes\r\nConnection: X-Gone\r\nX-Gone: 1\r\nContent-Length: 2\r\n\r\nok")
        let client = try send("GET /a?b=c HTTP/1.1\r\nHost: h\r\nConnection: X-Drop\r\nX-Drop: 1\r\nX-Keep: 2\r\n\r\n")
        let address = try #require(bench.world.nodes["client"]).address
        #expect(
            origin.heard == ["GET /a?b=c HTTP/1.1\r\nHost: h\r\nX-Keep: 2\r\nX-Forwarded-For: \(address)\r\n\r\n"])
        let answer = client.answers[0]
        #expect(answer.status == 203 && client.bodies == ["ok"] && answer.head.value(of: "X-Own") == "yes")
        #expect(answer.head.value(of: "X-Gone") == nil && answer.head.number("X-RateLimit-Remaining") == 2)
    }

    @Test("refused requests never reach the server, whatever body they have")
    func refused() throws {
        origin.answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        let client = try send(String(repeating: "GET / HTTP/1.1\r\nHost: h\r\n\r\n", count: 5))
        bench.world.pass(.milliseconds(20))
        #expect(client.statuses == [200, 200, 200, 429, 429])
        let before = origin.heard.joined().split(separator: "GET / ").count
        #expect(before == 3)
        let other = try send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
        #expect(other.statuses == [429])
        #expect(!origin.heard.joined().contains("hello"))
    }

    @Test("bodies stream both ways, with and without a length")
    func bodies() throws {
        origin.onReceived = { connection in
            if connection.text.hasSuffix("0\r\n\r\n") || connection.text.hasSuffix("hello") {
                connection.write(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
            }
        }
        let first = try send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
        #expect(first.statuses == [200] && first.bodies == ["abcde"])
        let second = try send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
        #expect(second.statuses == [200] && second.bodies == ["abcde"])
        #expect(origin.heard.last?.hasSuffix("2\r\nhi\r\n0\r\n\r\n") == true)
    }

    @Test(
        "a body that comes while its request waits for the store, or for its turn, arrives whole",
        arguments: [
            "rules: [{algorithm: gcra, rate: 9}]\nupstream: sink:9000\nstore: keeper:6380",
            "rules: [{algorithm: leaky-bucket, rate: 2, burst: 9}]\nupstream: sink:9000",
        ])
    func earlyBodies(yaml: String) throws {
        let world = memoryWorld()
        let keeper = try ServiceBench(
            "rules: [{algorithm: gcra, rate: 9}]", world: world, name: "keeper", throttle: 6380)
        let bench = try ServiceBench(yaml, world: world)
        let sink = try ScriptedServer(world.node("sink"), port: 9000)
        sink.onReceived = { if $0.text.hasSuffix("!") { $0.write("HTTP/1.1 204 Gone\r\n\r\n") } }
        for _ in 0..<3 {
            let client = try bench.client()
            client.write(
                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n\(String(repeating: "a", count: 500))")
            world.pass(.milliseconds(1))
            client.write(String(repeating: "b", count: 499) + "!")
            world.pass(.seconds(2))
            #expect(client.statuses == [204])
        }
        let expected = String(repeating: "a", count: 500) + String(repeating: "b", count: 499) + "!"
        #expect(sink.heard.joined().split(separator: "POST").count == 3)
        #expect(sink.heard.joined().split(separator: "POST").allSatisfy { $0.hasSuffix(expected) })
        let connect = try bench.client()
        connect.write("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")
        world.pass(.seconds(1))
        #expect(connect.statuses == [501])
        #expect(keeper.host.node.isAlive)
    }

    @Test("a server that is not there, says nothing, or nonsense: 502 and 504, and the limiter lives on")
    func failures() throws {
        let lonely = try ServiceBench(
            "rules: [{algorithm: gcra, rate: 100}]\nupstream: rl:9\ntimeouts: {response: 2s}")
        #expect(try lonely.ask().status == 502)
        var answer = "HTTP/9.9 what\r\n\r\n"
        let server = try ScriptedServer(lonely.world.node("late"), port: 9000)
        server.onReceived = { if !answer.isEmpty { $0.write(answer) } }
        try lonely.reload(
            "rules: [{algorithm: gcra, rate: 100}]\nupstream: late:9000\ntimeouts: {response: 2s}")
        #expect(try lonely.ask().status == 502)
        answer = ""
        let client = try lonely.client()
        client.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        lonely.world.pass(.seconds(3))
        #expect(client.statuses == [504])
        #expect(lonely.host.node.isAlive)
    }

    @Test("connections to the server are kept, and one that it closed meanwhile is replaced without an error")
    func keptConnections() throws {
        origin.answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        #expect(try send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").statuses == [200])
        #expect(try send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").statuses == [200])
        #expect(origin.connections.count == 1)
        origin.onReceived = { [origin] connection in
            // Closes the old one as the request arrives.
            if connection === origin.connections[0] { return connection.stream.abort() }
            connection.write("HTTP/1.1 204 No Content\r\n\r\n")
        }
        #expect(try send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").statuses == [204])
        #expect(origin.connections.count == 2)
    }

    @Test("concurrency: a place is free again when the answer is there, or when the client has gone")
    func concurrency() throws {
        let bench = try ServiceBench("rules: [{algorithm: concurrency, burst: 2}]\nupstream: slow:9000")
        let slow = try ScriptedServer(bench.world.node("slow"), port: 9000)
        let clients = try (0..<4).map { _ in try bench.client() }
        for client in clients {
            client.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            bench.world.pass(.milliseconds(1))
        }
        #expect(clients.map(\.statuses) == [[], [], [429], [429]])
        clients[0].stream.abort()
        bench.world.pass(.milliseconds(1))
        #expect(bench.host.engine.look(policy: 0, key: "", now: bench.world.now).isAllowed)
        clients[3].write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        bench.world.pass(.milliseconds(1))
        #expect(clients[3].statuses == [429])
        slow.connections[1].write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        bench.world.pass(.milliseconds(1))
        #expect(clients[1].statuses == [200])
        clients[2].write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        bench.world.pass(.milliseconds(1))
        slow.connections.last?.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        slow.connections.dropLast().last?.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        bench.world.pass(.milliseconds(1))
        #expect(bench.host.engine.keyCount(policy: 0) == 0)
    }
}
