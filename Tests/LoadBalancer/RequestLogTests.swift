import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import LoadBalancerEngine
import TestSupport
import Testing

/// HAProxy's log lines: who ended a request, what it was waiting for, and how long each part took.
@Suite("The log of requests")
struct RequestLogTests {
    private func farm(
        _ count: Int = 1, extraPorts: [UInt16] = [], _ change: (inout LoadBalancerConfiguration) -> Void = { _ in }
    ) throws -> Farm {
        try Farm(count, extraPorts: extraPorts) {
            $0.logsRequests = true
            $0.healthCheck.kind = .off
            change(&$0)
        }
    }

    /// The lines so far without the times at their head.
    private func lines(_ farm: Farm) -> [Substring] {
        farm.log.compactMap { line in
            guard line.contains(" lb lb/") else { return nil }
            return line.split(separator: " ", maxSplits: 3)[3]
        }
    }

    private func ask(_ farm: Farm, _ text: String, pass: LabDuration = .seconds(1)) throws -> RawClient {
        let client = try farm.dial()
        client.write(text)
        farm.pass(pass)
        return client
    }

    private func codes(_ farm: Farm) -> [String] {
        lines(farm).map { line in
            let words = line.split(separator: " ")
            return words.count > 8 ? "\(words[3]) \(words[7])" : "\(words[4])"
        }
    }

    @Test("a request that was answered: times, status, bytes, connections, request line")
    func answered() throws {
        let farm = try farm()
        let client = try ask(farm, "GET /delay/200ms HTTP/1.1\r\nHost: lb\r\n\r\n")
        let bytes = client.bytes.count
        #expect(
            lines(farm) == [
                "lb lb/8081 0/0/0/200/200 200 \(bytes) - - ---- 1/1/1/1/0 0/0 \"GET /delay/200ms HTTP/1.1\""
            ])
        let stamp = farm.log.first { $0.contains("lb/8081") }?.split(separator: " ")
        #expect(stamp?[1].hasPrefix("127.") == true && stamp?[2].hasPrefix("[20/Dec/2023:15:00:00.00") == true)
    }

    @Test("a request that is sent ahead has a line of its own, with its own bytes")
    func pipelined() throws {
        let farm = try farm()
        let client = try ask(farm, "GET /a HTTP/1.1\r\nHost: lb\r\n\r\nGET /b HTTP/1.1\r\nHost: lb\r\n\r\n")
        let found = lines(farm)
        #expect(
            found.count == 2 && found[0].hasSuffix("\"GET /a HTTP/1.1\"") && found[1].hasSuffix("\"GET /b HTTP/1.1\""))
        let bytes = found.map { Int($0.split(separator: " ")[4])! }
        #expect(bytes[0] == bytes[1] && bytes[0] + bytes[1] == client.bytes.count)
    }

    @Test("no server, one that refuses, one that is silent, one that breaks off, one that talks nonsense")
    func servers() throws {
        let farm = try farm(0, extraPorts: [9000]) {
            $0.retries = 0
            $0.timeouts.response = .seconds(2)
        }
        _ = try ask(farm, "GET / HTTP/1.1\r\nHost: lb\r\n\r\n")
        let server = try ScriptedServer(try farm.world.nodes.start("server"), port: 9000)
        _ = try ask(farm, "GET / HTTP/1.1\r\nHost: lb\r\n\r\n", pass: .seconds(3))
        server.onAccepted = { $0.stream.abort() }
        _ = try ask(farm, "POST / HTTP/1.1\r\nHost: lb\r\nContent-Length: 0\r\n\r\n")
        server.onAccepted = nil
        server.onReceived = { connection in
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
            connection.stream.finish()
        }
        _ = try ask(farm, "GET / HTTP/1.1\r\nHost: lb\r\n\r\n")
        server.onReceived = { $0.write("nonsense\r\n\r\n") }
        _ = try ask(farm, "GET / HTTP/1.1\r\nHost: lb\r\n\r\n")
        #expect(codes(farm) == ["503 SC--", "504 sH--", "502 SH--", "200 SD--", "502 PH--"])
        #expect(lines(farm)[0].hasPrefix("lb lb/9000 0/0/-1/-1/0 503 "))
    }

    @Test("with nobody in the pool there is no server to name")
    func nobody() throws {
        let farm = try farm(1) { $0.backends[0].state = .maintenance }
        _ = try ask(farm, "GET / HTTP/1.1\r\nHost: lb\r\n\r\n")
        #expect(lines(farm)[0].hasPrefix("lb lb/<NOSRV> 0/-1/-1/-1/0 503 "))
        #expect(codes(farm) == ["503 SC--"])
    }

    @Test("clients that leave: while connecting, waiting, in the middle of the answer, in the line")
    func clients() throws {
        let farm = try farm(1) {
            $0.backends[0].maxConnections = 1
            $0.queue.timeout = .seconds(5)
        }
        let waiting = try ask(farm, "GET /delay/100s HTTP/1.1\r\nHost: lb\r\n\r\n")
        let inLine = try ask(farm, "GET / HTTP/1.1\r\nHost: lb\r\n\r\n")
        inLine.stream.abort()
        _ = try ask(farm, "GET /late HTTP/1.1\r\nHost: lb\r\n\r\n", pass: .seconds(6))
        waiting.stream.abort()
        farm.pass(.seconds(1))
        let reading = try ask(farm, "GET /bytes/10MiB HTTP/1.1\r\nHost: lb\r\n\r\n", pass: .milliseconds(1))
        reading.stream.abort()
        farm.pass(.seconds(1))
        #expect(codes(farm) == ["-1 CQ--", "503 sQ--", "-1 CH--", "200 CD--"])
        #expect(lines(farm)[1].hasPrefix("lb lb/<NOSRV> 0/-1/-1/-1/5000 503 "))
    }

    @Test("what cannot be read, and what is not said in time")
    func bad() throws {
        let farm = try farm()
        _ = try ask(farm, "GET /\"a\" HTTP/1.1\r\nHost : lb\r\n\r\n")
        _ = try ask(farm, "GET / HT", pass: .seconds(31))
        _ = try ask(farm, "GET /\"a\" HTTP/1.1\r\nHost: lb\r\n\r\n")
        #expect(codes(farm) == ["400 PR--", "408 cR--", "200 ----"])
        #expect(lines(farm)[0].hasSuffix("\"<BADREQ>\"") && lines(farm)[2].hasSuffix("\"GET /#22a#22 HTTP/1.1\""))
    }

    @Test("a retry elsewhere is counted with a plus")
    func retried() throws {
        let farm = try farm(1, extraPorts: [9999])
        for _ in 0..<2 { _ = try ask(farm, "GET / HTTP/1.1\r\nHost: lb\r\n\r\n") }
        #expect(lines(farm).count { $0.contains(" 1/1/1/1/+1 0/0 ") || $0.contains("/+1 0/0 ") } == 1)
        #expect(codes(farm) == ["200 ----", "200 ----"])
    }

    @Test("what became of the client's cookie, and of ours")
    func cookies() throws {
        let farm = try farm(2) { $0.sticky = .init(.cookie("SRV")) }
        _ = try ask(farm, "GET / HTTP/1.1\r\nHost: lb\r\n\r\n")
        _ = try ask(farm, "GET / HTTP/1.1\r\nHost: lb\r\nCookie: SRV=8082\r\n\r\n")
        _ = try ask(farm, "GET / HTTP/1.1\r\nHost: lb\r\nCookie: SRV=none\r\n\r\n")
        _ = farm.host.runtime(["set", "server", "lb/8082", "state", "maint"])
        _ = try ask(farm, "GET / HTTP/1.1\r\nHost: lb\r\nCookie: SRV=8082\r\n\r\n")
        #expect(codes(farm) == ["200 --NI", "200 --VN", "200 --II", "200 --DI"])
    }

    @Test("in TCP mode a line for each connection")
    func connections() throws {
        let farm = try farm(0, extraPorts: [9000]) { $0.mode = .tcp }
        _ = try ask(farm, "anybody?")
        let server = try ScriptedServer(try farm.world.nodes.start("server"), port: 9000)
        server.onReceived = { connection in
            connection.write("yes")
            connection.stream.finish()
        }
        let client = try ask(farm, "anybody?")
        client.stream.finish()
        farm.pass(.seconds(1))
        server.onReceived = { $0.stream.abort() }
        _ = try ask(farm, "anybody?")
        server.onReceived = nil
        let last = try ask(farm, "anybody?")
        last.stream.abort()
        farm.pass(.seconds(1))
        #expect(codes(farm) == ["SC", "--", "SD", "CD"])
        #expect(lines(farm)[1].hasPrefix("lb lb/9000 0/0/999 3 -- "))
    }

    @Test("without being asked for, there are no such lines")
    func off() throws {
        let farm = try Farm(1)
        _ = try ask(farm, "GET / HTTP/1.1\r\nHost: lb\r\n\r\n")
        #expect(lines(farm) == [])
    }
}
