import GatewayService
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// Requests that wait for room at a service whose servers take only so many at a time.
// @covers GW-B1
@Suite("Waiting for room") struct WaitingTests {
    private static let yaml = """
        auth: none
        services: {s: {servers: ["a:80"], max_connections: 1, breaker: false, outlier_ejection: false}}
        routes: [{path: /*, service: s, timeout: 20s}]
        """

    /// Each request is answered so much later; those on other connections at the same time as well.
    private func bench(answersAfter delay: LabDuration) throws -> GatewayBench {
        let bench = try GatewayBench(Self.yaml)
        let server = try bench.serve("a")
        let node = try #require(bench.world.nodes["a"])
        server.onReceived = { connection in
            guard connection.text.hasSuffix("\r\n\r\n") else { return }
            node.after(delay) { connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na") }
        }
        return bench
    }

    private func ask(_ bench: GatewayBench, _ names: String...) throws -> [RawClient] {
        try names.map { name in
            let client = try bench.client(name)
            client.write("GET /\(name) HTTP/1.1\r\nHost: g\r\n\r\n")
            return client
        }
    }

    @Test("one after the other, and none is lost") func inLine() throws {
        let bench = try bench(answersAfter: .seconds(1))
        let clients = try ask(bench, "c1", "c2", "c3")
        for done in 1...3 {
            bench.world.pass(.milliseconds(1005))
            #expect(clients.flatMap(\.statuses) == Array(repeating: 200, count: done))
            #expect(bench.heard("a").count == min(3, done + 1))
        }
    }

    @Test("who has waited for too long is told so, and when to come again") func tooLong() throws {
        let bench = try bench(answersAfter: .seconds(9))
        let clients = try ask(bench, "c1", "c2")
        bench.world.pass(.seconds(6))
        let refused = clients.filter { $0.statuses == [503] }
        #expect(refused.count == 1 && refused.first?.answers.first?.head.value(of: "Retry-After") == "1")
        bench.world.pass(.seconds(4))
        #expect(clients.flatMap(\.statuses).sorted() == [200, 503] && bench.heard("a").count == 1)
    }

    @Test("who leaves the line holds nobody up") func leaving() throws {
        let bench = try bench(answersAfter: .seconds(1))
        let clients = try ask(bench, "c1", "c2", "c3")
        bench.world.pass(.milliseconds(500))
        let waiting = clients.filter { client in
            !bench.heard("a")[0].contains("GET /c\(clients.firstIndex { $0 === client }! + 1) ")
        }
        waiting[0].stream.abort()
        bench.world.pass(.milliseconds(1600))
        #expect(waiting[1].statuses == [200] && bench.heard("a").count == 2)
    }

    @Test("a reload that takes the service away leaves those in line to their service") func reload() throws {
        let bench = try bench(answersAfter: .seconds(1))
        let clients = try ask(bench, "c1", "c2")
        bench.world.pass(.milliseconds(500))
        try bench.reload("auth: none\nroutes: [{path: /*, service: other, url: 'http://b'}]")
        bench.world.pass(.milliseconds(1600))
        #expect(clients.flatMap(\.statuses) == [200, 200])
        // And one that nobody admits any more is not forgotten.
        let slow = try self.bench(answersAfter: .seconds(15))
        let others = try ask(slow, "c1", "c2")
        slow.world.pass(.milliseconds(500))
        try slow.reload("auth: none\nroutes: [{path: /*, service: other, url: 'http://b'}]")
        slow.world.pass(.seconds(6))
        #expect(others.flatMap(\.statuses) == [503])
    }
}
