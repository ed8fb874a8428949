import KernelStructures
import KernelWorld
import LoadBalancerEngine
import TestSupport
import Testing

@Suite("The load balancer in TCP mode")
struct TCPProxyTests {
    private func farm(
        _ count: Int = 0, extraPorts: [UInt16] = [9000], _ change: (inout LoadBalancerConfiguration) -> Void = { _ in }
    ) throws -> Farm {
        try Farm(count, extraPorts: extraPorts) {
            $0.mode = .tcp
            change(&$0)
        }
    }

    // @covers LB-H1 LB-M1
    @Test("a megabyte of random bytes passes each way unchanged, at the same time")
    func integrity() throws {
        let farm = try farm()
        let server = try ScriptedServer(try farm.world.nodes.start("server"), port: 9000)
        let (there, back) = (randomBytes(1 << 20, seed: 1), randomBytes(1 << 20, seed: 2))
        server.onAccepted = { $0.stream.write(back) }
        let client = try farm.dial()
        client.stream.write(there)
        farm.pass(.seconds(1))
        #expect(server.connections[0].bytes == there && client.bytes == back)
    }

    // @covers LB-M1
    @Test("an end passes as an end, while the other direction goes on")
    func halfClose() throws {
        let farm = try farm()
        let server = try ScriptedServer(try farm.world.nodes.start("server"), port: 9000)
        let client = try farm.dial()
        client.write("question")
        client.stream.finish()
        farm.pass(.milliseconds(1))
        #expect(server.connections[0].text == "question" && server.connections[0].hasEnded)
        server.connections[0].write("answer")
        farm.pass(.seconds(60))
        #expect(client.text == "answer" && client.closed == nil && farm.host.engine.servers[0].active == 1)
        server.connections[0].stream.finish()
        farm.pass(.milliseconds(1))
        #expect(
            client.closed == .finished && farm.host.engine.servers[0].active == 0
                && farm.host.engine.counters.errors == 0)
    }

    @Test("a server's greeting comes before the client has said a word; a client's first words wait for the server")
    func greetings() throws {
        let farm = try farm()
        let server = try ScriptedServer(try farm.world.nodes.start("server"), port: 9000)
        server.onAccepted = { $0.write("220 ready\r\n") }
        let client = try farm.dial()
        farm.pass(.milliseconds(1))
        #expect(client.text == "220 ready\r\n")
        try farm.inject("latency 1s lb->server")
        let eager = try farm.dial()
        eager.write("HELO")
        eager.stream.finish()
        farm.pass(.seconds(5))
        #expect(server.connections.contains { $0.text == "HELO" && $0.hasEnded })
    }

    // @covers LB-M2 LB-B1
    @Test("connections take turns, and a server that refuses is passed over")
    func rotation() throws {
        let farm = try farm(3)
        farm.backends[1].node.end(.killed)
        #expect(try farm.ask(4) == ["a", "c", "c", "a"] || Set(try farm.ask(6)) == ["a", "c"])
        #expect(farm.host.engine.counters.retries >= 1)
    }

    // @covers LB-C3
    @Test("with no server left a client is reset at once")
    func nobody() throws {
        let farm = try farm(extraPorts: [9000, 9001])
        let client = try farm.dial()
        farm.pass(.milliseconds(1))
        #expect(client.closed == .reset && farm.host.engine.counters.retries == 1)
        farm.pass(.seconds(20))
        #expect(farm.host.engine.poolSize == 0)
        let late = try farm.dial()
        farm.pass(.milliseconds(1))
        #expect(late.closed == .reset && farm.host.engine.counters.unserved == 2)
    }

    @Test("a silent server is given up after the connect timeout, for the next one")
    func connectTimeout() throws {
        let farm = try farm(2) { $0.healthCheck.interval = .seconds(600) }
        try farm.inject("blackhole lb->Server-A")
        let client = try farm.dial()
        client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        farm.pass(.milliseconds(4900))
        #expect(client.text == "")
        farm.pass(.milliseconds(200))
        #expect(client.bodies == ["Response from Server-B"])
    }

    @Test("resets pass as resets, both ways")
    func resets() throws {
        let farm = try farm()
        let server = try ScriptedServer(try farm.world.nodes.start("server"), port: 9000)
        let first = try farm.dial()
        farm.pass(.milliseconds(1))
        first.stream.abort()
        farm.pass(.milliseconds(1))
        #expect(server.connections[0].closed == .reset)
        let second = try farm.dial()
        farm.pass(.milliseconds(1))
        server.connections[1].stream.abort()
        farm.pass(.milliseconds(1))
        #expect(second.closed == .reset && farm.host.engine.servers[0].active == 0)
    }

    @Test("a connection is enough for a health check")
    func probes() throws {
        let farm = try farm()
        let node = try farm.world.nodes.start("server")
        _ = try ScriptedServer(node, port: 9000)
        farm.pass(.seconds(30))
        #expect(farm.host.engine.poolSize == 1)
        node.end(.killed)
        farm.pass(.seconds(14))
        #expect(farm.host.engine.poolSize == 1 || farm.log.contains { $0.contains("3 consecutive failures") })
        farm.pass(.seconds(6))
        #expect(farm.host.engine.poolSize == 0)
    }

    // @covers LB-M4
    @Test("draining lets what is under way finish, to the last byte, and refuses what is new")
    func draining() throws {
        let farm = try farm()
        let server = try ScriptedServer(try farm.world.nodes.start("server"), port: 9000)
        let client = try farm.dial()
        farm.pass(.milliseconds(1))
        var isStopped = false
        farm.host.drain { isStopped = true }
        let late = try farm.dial()
        client.stream.finish()
        client.stream.pauseReading()
        server.connections[0].stream.write(randomBytes(400_000, seed: 3))
        server.connections[0].stream.finish()
        farm.pass(.seconds(5))
        #expect(late.closed == .refused && !isStopped)
        client.stream.resumeReading()
        farm.pass(.milliseconds(10))
        #expect(client.bytes == randomBytes(400_000, seed: 3) && isStopped)
    }

    @Test("a slow reader slows its sender down, and nothing piles up in between")
    func backPressure() throws {
        let farm = try farm()
        let server = try ScriptedServer(try farm.world.nodes.start("server"), port: 9000)
        let client = try farm.dial()
        farm.pass(.milliseconds(1))
        server.connections[0].stream.pauseReading()
        client.stream.write([UInt8](repeating: 1, count: 16 << 20))
        farm.pass(.seconds(10))
        let held = farm.world.network.openStreams.filter { $0.node.name == "lb" }.reduce(0) { $0 + $1.unsentByteCount }
        #expect(held <= Stream.highWaterBytes + 64 * 1024 && client.stream.unsentByteCount > 14 << 20)
        server.connections[0].stream.resumeReading()
        farm.pass(.seconds(10))
        #expect(server.connections[0].bytes.count == 16 << 20)
    }
}
