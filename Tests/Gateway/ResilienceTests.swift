import GatewayService
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// What the gateway does when those behind it fail; each of the mistakes of first versions has a test that it fails.
// @covers GW-C5 GW-M4
@Suite("Gateway and failing services") struct ResilienceTests {
    private static let dashboard = """
        auth: none
        services: {u: "http://u", o: "http://o", n: "http://n"}
        routes:
        - path: /api/dashboard
          aggregate:
            timeout: 2s
            parts:
            - {group: user, service: u, path: /users/me, required: true, timeout: 500ms}
            - {group: recent_orders, service: o, path: "/orders?limit=5", timeout: 500ms}
            - {group: notifications, service: n, path: /notifications, timeout: 500ms}
        """

    /// Answers each request so much later.
    private func serve(_ bench: GatewayBench, _ name: String, _ body: String, after delay: LabDuration) throws {
        let node = bench.world.node(name)
        let server = try bench.serve(name)
        server.onReceived = { connection in
            guard connection.text.hasSuffix("\r\n\r\n") else { return }
            node.after(delay) {
                connection.write("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
            }
        }
    }

    @Test("three services of 100 ms are one answer of 100 ms: they are asked at once") func concurrent() throws {
        let bench = try GatewayBench(Self.dashboard)
        for (name, body) in [("u", "{\"id\": 1}"), ("o", "[]"), ("n", "[1]")] {
            try serve(bench, name, body, after: .milliseconds(100))
        }
        let answer = try bench.ask("/api/dashboard")
        #expect(answer.status == 200 && answer.time < .milliseconds(130), "\(answer.time)")
        #expect(answer.body == "{\"user\": {\"id\": 1}, \"recent_orders\": [], \"notifications\": [1]}\n")
        #expect(answer["X-Gateway-Complete"] == "true" && answer["X-Gateway-Missing"] == nil)
    }

    @Test("an answer in which something is missing is never silent") func partial() throws {
        let bench = try GatewayBench(Self.dashboard)
        try bench.serve("u", "{\"id\": 1}")
        try bench.serve("o", "oops", status: "500 Broken")
        try serve(bench, "n", "[]", after: .seconds(9))
        let answer = try bench.ask("/api/dashboard")
        #expect(answer.status == 200 && answer["X-Gateway-Complete"] == "false")
        #expect(answer["X-Gateway-Missing"] == "recent_orders, notifications")
        #expect(
            answer.json["_incomplete"] == ["recent_orders": "it answered 500", "notifications": "no answer in time"])
        #expect(answer.time >= .milliseconds(500) && answer.time < .milliseconds(520))
    }

    @Test("without a required part the answer is 502 or 504, at once") func required() throws {
        let bench = try GatewayBench(Self.dashboard)
        try bench.serve("u", "x", status: "404 Not Found")
        try serve(bench, "o", "[]", after: .milliseconds(400))
        try serve(bench, "n", "[]", after: .milliseconds(400))
        let answer = try bench.ask("/api/dashboard")
        #expect(answer.status == 502 && answer["Content-Type"] == "application/problem+json")
        #expect(answer.json["part"] == "user" && answer.time < .milliseconds(10))
        let slow = try GatewayBench(Self.dashboard)
        try serve(slow, "u", "{}", after: .seconds(9))
        try slow.serve("o", "[]")
        try slow.serve("n", "[]")
        #expect(try slow.ask("/api/dashboard").status == 504)
    }

    private static let two = """
        auth: none
        services: {s: {servers: ["a:80", "b:80"]}}
        routes: [{path: /*, service: s, response_timeout: 1s, timeout: 3s}]
        """

    @Test("a GET goes to another server, a POST never twice") func retries() throws {
        let bench = try GatewayBench(Self.two, services: ["a", "b"])
        // Takes the request, and hangs up without an answer.
        bench.server("a").onReceived = { $0.stream.close() }
        for index in 0..<4 { #expect(try bench.ask("/\(index)").body == "b") }
        let before = (bench.heard("a").count, bench.heard("b").count)
        var statuses: [Int] = []
        for _ in 0..<4 { statuses.append(try bench.ask("/x", method: "POST", body: "12end").status) }
        let posts = bench.heard("a").dropFirst(before.0).count + bench.heard("b").dropFirst(before.1).count
        #expect(posts == 4 && statuses.sorted() == [200, 200, 502, 502], "\(statuses)")
    }

    @Test("a service that says nothing costs a limited time") func timeouts() throws {
        let bench = try GatewayBench(Self.two, services: ["a", "b"])
        bench.server("a").onReceived = { _ in }
        bench.server("b").onReceived = { _ in }
        let answer = try bench.ask("/x")
        #expect(
            answer.status == 504 && answer.time >= .seconds(2) && answer.time < .milliseconds(2100), "\(answer.time)")
        #expect(answer.json["detail"] == "s did not answer within 1s")
        let drip = try GatewayBench(Self.two, services: ["a", "b"])
        for name in ["a", "b"] {
            drip.server(name).onReceived = { connection in
                connection.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
                func drop() {
                    drip.world.nodes[name]?.after(.milliseconds(500)) {
                        connection.write("x")
                        drop()
                    }
                }
                drop()
            }
        }
        // One byte now and then keeps no request alive for ever: its connection is cut after the time for all of it.
        let client = try drip.client()
        client.write("GET / HTTP/1.1\r\nHost: g\r\n\r\n")
        drip.world.pass(.milliseconds(3100))
        #expect(client.hasEnded || client.closed != nil)
    }

    @Test("after failures in a row nobody is asked for a while") func breaker() throws {
        let bench = try GatewayBench(
            """
            auth: none
            services:
              s:
                url: http://s
                outlier_ejection: false
                breaker:
                  {minimumNumberOfCalls: 5, slidingWindowSize: 5, waitDurationInOpenState: 10s,
                   permittedNumberOfCallsInHalfOpenState: 1}
            routes: [{path: /*, service: s}]
            """)
        try bench.serve("s", status: "500 Broken")
        for _ in 0..<5 { #expect(try bench.ask("/").status == 500) }
        let refused = try bench.ask("/")
        #expect(refused.status == 503 && refused["Retry-After"] == "10" && bench.heard("s").count == 5)
        #expect(bench.host.serviceStates[0].circuit == "OPEN")
        try bench.serveAgain("s")
        bench.world.pass(.seconds(10))
        #expect(try bench.ask("/").status == 200 && bench.host.serviceStates[0].circuit == "CLOSED")
        // What a client gets wrong is no failure of the service.
        try bench.serveAgain("s", status: "404 Not Found")
        for _ in 0..<20 { #expect(try bench.ask("/").status == 404) }
    }

    @Test("services that are away are 502 with their name") func unreachable() throws {
        let bench = try GatewayBench("auth: none\nroutes: [{path: /*, service: shop, url: 'http://nowhere.lab'}]")
        let answer = try bench.ask("/x")
        #expect(answer.status == 502 && answer.json["detail"] == "shop cannot be reached")
    }
}

extension GatewayBench {
    /// The same server with another answer.
    func serveAgain(_ name: String, status: String = "200 OK") throws {
        server(name).onReceived = { connection in
            guard connection.text.hasSuffix("\r\n\r\n") else { return }
            connection.write("HTTP/1.1 \(status)\r\nContent-Length: 0\r\n\r\n")
        }
    }
}
