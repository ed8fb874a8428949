import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import LoadBalancerEngine
import TestSupport
import Testing

/// The balancer in HTTP mode, in a world with real backends or servers that misbehave to order.
@Suite("The load balancer in HTTP mode")
struct HTTPProxyTests {
    // @covers LB-B1 LB-M2
    @Test("requests go round the backends, on one connection or many")
    func rotation() throws {
        let farm = try Farm()
        #expect(try farm.ask(7) == ["a", "b", "c", "a", "b", "c", "a"])
        let client = try farm.dial()
        client.write(String(repeating: "GET / HTTP/1.1\r\nHost: lb\r\n\r\n", count: 5))
        farm.pass(.milliseconds(5))
        #expect(client.bodies.map { $0.suffix(1) } == ["B", "C", "A", "B", "C"])
        #expect(
            farm.host.engine.servers.map(\.counters.requests) == [4, 4, 4]
                && farm.host.engine.servers.allSatisfy { $0.active == 0 })
        #expect(try Farm(weights: [5, 1, 1]).ask(7) == ["a", "a", "b", "a", "c", "a", "a"])
    }

    @Test("injected answers hit health checks like any other request, and the balancer notices")
    func injectedFaultsHitChecks() throws {
        let farm = try Farm(2)
        try farm.inject("fail http 500 first 3 on Server-A")
        farm.pass(.seconds(14))
        #expect(farm.log.contains { $0.hasSuffix("Removed 8081 from pool") })
        farm.pass(.seconds(11))
        #expect(farm.log.contains { $0.hasSuffix("Added 8081 to pool") })
    }

    // @covers LB-M3 LB-C2 LB-T1 LB-H4
    @Test(
        "a killed backend is removed by its third failed check and returns by its second good one, at the stated times")
    func removal() throws {
        let farm = try Farm()
        farm.pass(.seconds(6))
        farm.backends[1].node.end(.killed)
        farm.pass(.seconds(60))
        let gone = farm.log.filter { $0.contains("8082") && !$0.contains("Loaded") }
        let second = farm.world.epoch
        #expect(
            gone.count == 2 && gone[0].hasSuffix("Backend 8082 failed health check (3 consecutive failures)")
                && gone[1].hasSuffix("Removed 8082 from pool"))
        // Backend B is probed at 3⅓ s and every 5 s: 8⅓, 13⅓ and 18⅓ s fail.
        let time = try #require(LabDuration(parsing: gone[0].split(separator: " ")[0]))
        #expect(time >= .milliseconds(18_333) && time < .milliseconds(18_340), "\(time) after \(second)")
        #expect(try farm.ask(6) == ["a", "c", "a", "c", "a", "c"])
        let restarted = farm.world.elapsed
        try farm.restart(1)
        farm.pass(.seconds(20))
        let back = try #require(farm.log.first { $0.contains("Added 8082 to pool") })
        let took = try #require(LabDuration(parsing: back.split(separator: " ")[0])) - restarted
        #expect(took > .seconds(5) && took < .seconds(10))
        #expect(Set(try farm.ask(6)) == ["a", "b", "c"])
    }

    // @covers LB-C2
    @Test("two failures are not three: a backend that is away for two checks stays in the pool")
    func twoFailures() throws {
        let farm = try Farm()
        farm.pass(.seconds(6))
        farm.backends[1].node.end(.killed)
        farm.pass(.seconds(9))
        try farm.restart(1)
        farm.pass(.seconds(60))
        #expect(!farm.log.contains { $0.contains("Removed") } && farm.host.engine.poolSize == 3)
    }

    @Test("checks fail by status, silence, garbage and an early end, and pass by any 2xx and 3xx")
    func probes() throws {
        for (answer, passes) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
            ("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", true),
            ("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", false),
            ("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", false), ("garbage\r\n\r\n", false), ("", false),
        ] {
            let farm = try Farm(0, extraPorts: [9000]) { $0.healthCheck.path = "/up" }
            let server = try ScriptedServer(try farm.world.nodes.start("scripted"), port: 9000)
            server.onReceived = { connection in
                #expect(connection.text.hasPrefix("GET /up HTTP/1.1\r\nHost: localhost:9000\r\n"))
                if answer.isEmpty { connection.stream.close() } else { connection.write(answer) }
            }
            farm.pass(.seconds(16))
            #expect((farm.host.engine.poolSize == 1) == passes, "\(answer)")
        }
        let silent = try Farm(0, extraPorts: [9000])
        _ = try ScriptedServer(try silent.world.nodes.start("scripted"), port: 9000)
        silent.pass(.seconds(18))
        #expect(silent.host.engine.poolSize == 0 && silent.host.engine.servers[0].lastProbe == .failed("timeout"))
    }

    // @covers LB-C3
    @Test("with every backend gone clients are told at once, and served again when one returns")
    func nobody() throws {
        let farm = try Farm(2)
        for backend in farm.backends { backend.node.end(.killed) }
        #expect(try farm.ask() == ["!503"], "nobody could be reached")
        farm.pass(.seconds(20))
        let client = try farm.dial()
        client.write("GET / HTTP/1.1\r\nHost: lb\r\n\r\n")
        farm.pass(.milliseconds(1))
        #expect(
            client.statuses == [503] && client.text.contains("Retry-After: 5\r\n")
                && client.bodies == ["503 Service Unavailable: no backend is in the pool"])
        #expect(farm.host.engine.counters.unserved == 2 && farm.host.engine.counters.requests == 2)
        try farm.restart(1)
        farm.pass(.seconds(11))
        #expect(try farm.ask(2) == ["b", "b"])
    }

    // @covers LB-C3
    @Test("between a crash and its removal clients notice nothing, as long as their request may be repeated")
    func retries() throws {
        let farm = try Farm()
        farm.backends[1].node.end(.killed)
        #expect(try farm.ask(9).allSatisfy { $0 == "a" || $0 == "c" })
        #expect(farm.host.engine.counters.retries == 3)
        let none = try Farm { $0.retries = 0 }
        none.backends[1].node.end(.killed)
        #expect(try none.ask(3) == ["a", "!503", "c"])
    }

    /// What a client gets when the first of two servers behaves in some way, and how often each was asked.
    private func misbehaving(
        _ request: String, body: String = "", answer: String? = nil, closes: Bool, resets: Bool = false,
        change: (inout LoadBalancerConfiguration) -> Void = { _ in },
        wait: LabDuration = .seconds(1)
    ) throws -> (client: RawClient, bad: ScriptedServer, good: ScriptedServer, farm: Farm) {
        let farm = try Farm(0, extraPorts: [9000, 9001], change)
        let bad = try ScriptedServer(try farm.world.nodes.start("bad"), port: 9000)
        let good = try ScriptedServer(try farm.world.nodes.start("good"), port: 9001)
        good.answer("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
        bad.onReceived = { connection in
            guard connection.text.contains("\r\n\r\n") else { return }
            if let answer { connection.write(answer) }
            if resets { connection.stream.abort() } else if closes { connection.stream.close() }
        }
        let client = try farm.dial()
        client.write(request + body)
        farm.pass(wait)
        return (client, bad, good, farm)
    }

    private let get = "GET /x HTTP/1.1\r\nHost: lb\r\n\r\n"
    private let post = "POST /x HTTP/1.1\r\nHost: lb\r\nContent-Length: 5\r\n\r\n"

    @Test(
        "a request that may be repeated goes to the next server when the first closes without a byte",
        arguments: [false, true])
    func redispatch(_ resets: Bool) throws {
        for method in ["GET", "DELETE", "OPTIONS", "PUT", "HEAD"] {
            let result = try misbehaving("\(method) /x HTTP/1.1\r\nHost: lb\r\n\r\n", closes: true, resets: resets)
            #expect(
                result.client.statuses == [200] && result.bad.heard.count == 1 && result.good.heard.count == 1,
                "\(method)")
        }
    }

    @Test(
        "a request that may not, or whose body is not at hand any more, is not sent a second time",
        arguments: [false, true])
    func noRedispatch(_ resets: Bool) throws {
        for request in [
            post + "hello", "PATCH /x HTTP/1.1\r\nHost: lb\r\n\r\n",
            "PUT /x HTTP/1.1\r\nHost: lb\r\nContent-Length: 70000\r\n\r\n" + String(repeating: "x", count: 70_000),
            "BREW /x HTTP/1.1\r\nHost: lb\r\n\r\n",
        ] {
            let result = try misbehaving(request, closes: true, resets: resets)
            #expect(result.client.statuses == [502] && result.good.heard.isEmpty, "\(request)")
            #expect(result.farm.host.engine.servers[0].counters.errors == 1)
        }
    }

    @Test(
        "an idempotent request goes to the next server with its body, as long as that is at hand",
        arguments: [1, 5, 65_536])
    func redispatchWithBody(_ byteCount: Int) throws {
        let farm = try Farm(0, extraPorts: [9000, 9001])
        let bad = try ScriptedServer(try farm.world.nodes.start("bad"), port: 9000)
        bad.onReceived = { connection in if connection.text.hasSuffix("!") { connection.stream.close() } }
        let good = try ScriptedServer(try farm.world.nodes.start("good"), port: 9001)
        good.onReceived = { connection in
            if connection.text.hasSuffix("!") { connection.write("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n") }
        }
        let client = try farm.dial()
        client.write("PUT /x HTTP/1.1\r\nHost: lb\r\nContent-Length: \(byteCount)\r\n\r\n")
        farm.pass(.milliseconds(1))
        let body = String(repeating: "b", count: byteCount - 1) + "!"
        client.write(body)
        farm.pass(.milliseconds(20))
        #expect(
            client.statuses == [201] && bad.heard.count == 1 && good.heard.first?.hasSuffix("\r\n\r\n\(body)") == true)
    }

    @Test("any request goes elsewhere, body and all, when no connection could be made")
    func notConnected() throws {
        let farm = try Farm(0, extraPorts: [9000, 9001])
        let good = try ScriptedServer(try farm.world.nodes.start("good"), port: 9001)
        good.onReceived = { connection in
            if connection.text.hasSuffix("\r\n\r\nhello") {
                connection.write("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
            }
        }
        let client = try farm.dial()
        client.write(post + "hello")
        farm.pass(.milliseconds(1))
        #expect(client.statuses == [201] && good.heard.count == 1)
    }

    @Test("once an answer has begun it is never begun again: 502 before its head is through, a cut after")
    func begun() throws {
        let half = try misbehaving(get, answer: "HTTP/1.1 200 OK\r\nContent-", closes: true)
        #expect(half.client.statuses == [502] && half.good.heard.isEmpty)
        let cut = try misbehaving(get, answer: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", closes: true)
        #expect(
            cut.client.statuses == [200] && cut.client.hasEnded && cut.client.closed != .reset
                && cut.client.answers.first?.isComplete == false)
        let chunked = try misbehaving(
            get, answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", closes: true)
        #expect(
            chunked.client.hasEnded && chunked.client.closed != .reset
                && chunked.client.answers.first?.isComplete == false)
    }

    @Test(
        "garbage from a backend is 502, never passed on",
        arguments: [
            "SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nX : y\r\n\r\n", "LONG",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        ])
    func garbage(_ answer: String) throws {
        let text =
            answer == "LONG" ? "HTTP/1.1 200 OK\r\nX: " + String(repeating: "y", count: 40_000) + "\r\n\r\n" : answer
        let result = try misbehaving(get, answer: text, closes: false)
        #expect(result.client.statuses == [502] && result.good.heard.isEmpty)
        #expect(result.bad.connections.first?.closed == .reset)
    }

    @Test("silence is 504 after the response timeout, and only then")
    func silence() throws {
        let result = try misbehaving(
            get, closes: false, change: { $0.healthCheck.interval = .seconds(600) }, wait: .milliseconds(59_900))
        #expect(result.client.statuses == [])
        result.farm.pass(.milliseconds(200))
        #expect(
            result.client.statuses == [504] && result.bad.connections.first?.closed == .reset
                && result.good.heard.isEmpty)
        let stalled = try misbehaving(
            get, answer: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", closes: false, wait: .seconds(61))
        #expect(stalled.client.hasEnded && stalled.client.answers.first?.isComplete == false)
    }

    @Test("a server that stops taking a body is 504 as well")
    func stuckUpload() throws {
        let farm = try Farm(1) { $0.healthCheck.interval = .seconds(600) }
        farm.backends[0].node.freeze()
        let client = try farm.dial()
        client.write("POST /echo HTTP/1.1\r\nHost: lb\r\nContent-Length: 5000000\r\n\r\n")
        client.stream.write([UInt8](repeating: 120, count: 5_000_000))
        farm.pass(.seconds(59))
        #expect(client.statuses == [])
        farm.pass(.seconds(10))
        #expect(client.statuses == [504])
    }

    @Test("a backend that cannot be connected to is given up after the connect timeout, on a used connection too")
    func connectTimeout() throws {
        let farm = try Farm(2) { $0.healthCheck.interval = .seconds(600) }
        let client = try farm.dial()
        client.write("GET / HTTP/1.1\r\nHost: lb\r\n\r\n")
        farm.pass(.seconds(10))
        #expect(client.bodies == ["Response from Server-A"])
        try farm.inject("blackhole lb->Server-B")
        client.write("GET / HTTP/1.1\r\nHost: lb\r\n\r\n")
        farm.pass(.milliseconds(4900))
        #expect(client.statuses.count == 1)
        farm.pass(.milliseconds(200))
        #expect(client.bodies == ["Response from Server-A", "Response from Server-A"])
    }

    @Test("hop-by-hop fields stay on their hop, everything else passes as it came, the client's address is added")
    func fields() throws {
        let farm = try Farm(0, extraPorts: [9000])
        let server = try ScriptedServer(try farm.world.nodes.start("server"), port: 9000)
        server.answer(
            "HTTP/1.1 200 Fine\r\nConnection: X-Private, keep-alive\r\nX-Private: secret\r\nKeep-Alive: timeout=5\r\nX-Public: yes\r\nset-cookie: a=1\r\nSet-Cookie: b=2\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n2\r\nok\r\n0\r\nT: 1\r\n\r\n"
        )
        let client = try farm.dial()
        client.write(
            "GET /p?q=%20 HTTP/1.1\r\nhOST: shop\r\nConnection: close, X-Mine, TE\r\nX-Mine: secret\r\nTE: trailers\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nX-Odd:  spaced  \r\nX-Forwarded-For: 1.2.3.4\r\nUpgrade: h2c\r\n\r\n"
        )
        farm.pass(.milliseconds(1))
        #expect(
            server.heard == [
                "GET /p?q=%20 HTTP/1.1\r\nhOST: shop\r\nX-Odd:  spaced  \r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: \(farm.client.address)\r\n\r\n"
            ])
        let answer = try #require(client.answers.first)
        #expect(
            answer.head.reason == "Fine" && answer.head.values(of: "set-cookie") == ["a=1", "b=2"]
                && answer.head.value(of: "x-public") == "yes")
        #expect(
            answer.head.value(of: "x-private") == nil && answer.head.value(of: "keep-alive") == nil
                && answer.head.value(of: "trailer") == "T" && client.text.hasSuffix("\r\n0\r\nT: 1\r\n\r\n"))
        #expect(answer.body == Array("ok".utf8) && answer.head.value(of: .connection) == "close" && client.hasEnded)
    }

    @Test("an absolute target is sent on as a path, and its host wins")
    func absoluteTarget() throws {
        let farm = try Farm(0, extraPorts: [9000])
        let server = try ScriptedServer(try farm.world.nodes.start("server"), port: 9000)
        server.answer("HTTP/1.1 204 No Content\r\n\r\n")
        for (target, path) in [
            ("http://shop:8080/a?b", "/a?b"), ("http://shop:8080", "/"), ("http://shop:8080?x", "/?x"),
        ] {
            let client = try farm.dial()
            client.write("GET \(target) HTTP/1.1\r\nHost: other\r\n\r\n")
            farm.pass(.milliseconds(1))
            #expect(
                server.heard.last?.hasSuffix(
                    "GET \(path) HTTP/1.1\r\nHost: shop:8080\r\nX-Forwarded-For: \(farm.client.address)\r\n\r\n")
                    == true)
        }
        let tunnel = try farm.dial()
        tunnel.write("CONNECT shop:443 HTTP/1.1\r\nHost: shop\r\n\r\n")
        farm.pass(.milliseconds(1))
        #expect(tunnel.statuses == [501])
    }

    @Test("bodies pass in both framings, both ways, through every kind of answer")
    func bodies() throws {
        let farm = try Farm(1)
        let client = try farm.dial()
        client.write(
            "POST /echo HTTP/1.1\r\nHost: lb\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x\r\ndefg\r\n0\r\nT: 1\r\n\r\n"
        )
        client.write("PUT /echo HTTP/1.1\r\nHost: lb\r\nContent-Length: 7\r\n\r\nabcdefg")
        client.write("HEAD /bytes/1000 HTTP/1.1\r\nHost: lb\r\n\r\n")
        farm.pass(.milliseconds(10))
        let parts = client.text.components(separatedBy: "HTTP/1.1 200 OK\r\n")
        #expect(parts.count == 4 && parts[1].hasSuffix("abcdefg") && parts[2].hasSuffix("abcdefg"))
        #expect(parts[3].contains("Content-Length: 1000\r\n") && parts[3].hasSuffix("\r\n\r\n"))
        let again = try farm.dial()
        again.write(
            "GET /status/204 HTTP/1.1\r\nHost: lb\r\n\r\nGET /status/304 HTTP/1.1\r\nHost: lb\r\n\r\nGET / HTTP/1.1\r\nHost: lb\r\n\r\n"
        )
        farm.pass(.milliseconds(10))
        #expect(again.statuses == [204, 304, 200] && again.bodies.last == "Response from Server-A")
    }

    @Test("connections to servers are kept for the next client and dropped when they are stale or their server is out")
    func pooling() throws {
        let farm = try Farm(1)
        let before = farm.world.network.connectionsOpened
        for _ in 0..<5 { _ = try farm.ask() }
        // Two stream ends for each client's connection, two for the one to the server.
        #expect(farm.world.network.connectionsOpened - before <= 5 * 2 + 2)
        farm.pass(.milliseconds(100))
        farm.backends[0].node.end(.killed)
        try farm.restart(0)
        #expect(try farm.ask(2) == ["a", "a"], "the kept connection is dead, and nobody notices")
        #expect(farm.host.engine.counters.errors == 0)
        farm.pass(.seconds(60))
        let toServer = farm.world.network.openStreams.filter { $0.node.name == "lb" && $0.peerName == "Server-A" }
        #expect(toServer.isEmpty, "unused ones are closed after a while")
    }

    @Test("an upgrade becomes a tunnel, with the first bytes of both sides")
    func upgrade() throws {
        let farm = try Farm(0, extraPorts: [9000])
        let server = try ScriptedServer(try farm.world.nodes.start("server"), port: 9000)
        server.onReceived = { connection in
            if connection.text.hasSuffix("\r\n\r\n") {
                connection.write(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\nwelcome")
            } else if connection.text.hasSuffix("ping") {
                connection.write("pong")
            }
        }
        let client = try farm.dial()
        client.write("GET /chat HTTP/1.1\r\nHost: lb\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
        farm.pass(.milliseconds(1))
        #expect(
            client.text == "HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\nConnection: upgrade\r\n\r\nwelcome")
        client.write("ping")
        farm.pass(.seconds(300))
        #expect(client.text.hasSuffix("welcomepong"))
        var isStopped = false
        farm.host.drain { isStopped = true }
        farm.pass(.seconds(10))
        #expect(!isStopped, "a tunnel is a connection under way")
        client.stream.finish()
        server.connections.last { !$0.text.contains("health") }?.stream.finish()
        farm.pass(.milliseconds(1))
        #expect(isStopped && client.closed == .finished)
    }

    // @covers LB-M4
    @Test("draining finishes what is under way, to the last byte for a slow client, and turns new clients away")
    func draining() throws {
        let farm = try Farm(1)
        let slow = try farm.dial()
        slow.write("GET /delay/2s HTTP/1.1\r\nHost: lb\r\n\r\n")
        let large = try farm.dial()
        large.stream.pauseReading()
        large.write("GET /bytes/1MiB HTTP/1.1\r\nHost: lb\r\n\r\n")
        let idle = try farm.dial()
        farm.pass(.milliseconds(500))
        var stoppedAt: LabDuration?
        farm.host.drain { [world = farm.world] in stoppedAt = world.elapsed }
        let late = try farm.dial()
        farm.pass(.seconds(3))
        #expect(late.closed == .refused && idle.hasEnded)
        #expect(slow.bodies == ["Response from Server-A"] && slow.answers[0].head.value(of: .connection) == "close")
        #expect(stoppedAt == nil)
        large.stream.resumeReading()
        farm.pass(.milliseconds(100))
        #expect(large.answers.first?.body.count == 1 << 20 && large.hasEnded)
        for client in [large, slow, idle] { client.stream.close() }
        farm.pass(.milliseconds(1))
        #expect(stoppedAt != nil)
        #expect(farm.log.suffix(1).allSatisfy { $0.hasSuffix("Stopped") })
    }

    @Test("draining gives up after its time")
    func drainTimeout() throws {
        let farm = try Farm(1)
        let client = try farm.dial()
        client.write("GET /delay/10m HTTP/1.1\r\nHost: lb\r\n\r\n")
        farm.pass(.seconds(1))
        var isStopped = false
        farm.host.drain { isStopped = true }
        farm.pass(.milliseconds(29_900))
        #expect(!isStopped)
        farm.pass(.milliseconds(200))
        #expect(isStopped && farm.log.contains { $0.contains("Gave up on 1 connections") })
    }

    // @covers LB-C1
    @Test("a large body passes through bounded buffers, whoever is slow")
    func largeBody() throws {
        let farm = try Farm(1)
        let client = try farm.dial()
        var count = 0
        var largest = 0
        client.write("GET /bytes/64MiB HTTP/1.1\r\nHost: lb\r\n\r\n")
        try farm.inject("throttle 64MiB/s lb->user")
        while count < 40 {
            farm.pass(.milliseconds(50))
            largest = max(largest, farm.world.network.openStreams.reduce(0) { $0 + $1.unsentByteCount })
            count += 1
        }
        let answer = try #require(client.answers.first)
        #expect(answer.isComplete && answer.body.count == 64 << 20)
        #expect(largest < 2 << 20, "\(byteCountText(largest)) were held")
    }

    // @covers LB-C1
    @Test("a thousand clients at once are served and leave nothing behind")
    func manyClients() throws {
        let farm = try Farm()
        let clients = try (0..<1000).map { _ in try farm.dial() }
        for client in clients { client.write("GET /delay/100ms HTTP/1.1\r\nHost: lb\r\n\r\n") }
        farm.pass(.milliseconds(150))
        #expect(clients.allSatisfy { $0.statuses == [200] })
        #expect(farm.host.engine.servers.map(\.counters.requests).allSatisfy { abs($0 - 333) <= 1 })
        for client in clients { client.stream.abort() }
        farm.pass(.seconds(60))
        #expect(farm.world.network.openStreamCount == 0 && farm.host.engine.servers.allSatisfy { $0.active == 0 })
    }

    @Test("a client that leaves takes its request along")
    func abandoned() throws {
        let farm = try Farm(1)
        let client = try farm.dial()
        client.write("GET /delay/10s HTTP/1.1\r\nHost: lb\r\n\r\n")
        farm.pass(.seconds(1))
        #expect(farm.host.engine.servers[0].active == 1)
        client.stream.abort()
        farm.pass(.milliseconds(1))
        #expect(farm.host.engine.servers[0].active == 0 && farm.host.engine.counters.errors == 0)
        #expect(farm.world.network.openStreams.allSatisfy { $0.peerName != "Server-A" })
    }

    @Test("after a refused upload a connection goes on, even with the next request in pieces")
    func pipelinedAfterRefusal() throws {
        let farm = try Farm(1)
        farm.backends[0].node.end(.killed)
        let client = try farm.dial()
        client.write(post + "helloGET / HT")
        farm.pass(.milliseconds(10))
        client.write("TP/1.1\r\nHost: lb\r\n\r\n")
        farm.pass(.milliseconds(10))
        #expect(client.statuses == [503, 503])
    }

    @Test("requests that cannot be read never reach a backend")
    func rejected() throws {
        let farm = try Farm(0, extraPorts: [9000])
        let server = try ScriptedServer(try farm.world.nodes.start("server"), port: 9000)
        for (request, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n", 400), ("GET / HTTP/2.0\r\n\r\n", 505),
        ] {
            let client = try farm.dial()
            client.write(request)
            farm.pass(.milliseconds(1))
            #expect(client.statuses == [status])
        }
        #expect(server.heard.isEmpty)
    }
}

extension String {
    /// The parts between separators, without Foundation.
    fileprivate func components(separatedBy separator: String) -> [String] {
        split(separator: separator, omittingEmptySubsequences: false).map(String.init)
    }
}
