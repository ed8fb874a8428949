import Foundation
import GatewayService
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// What is seen of a request from outside: how long it took here and behind, and which trace it belongs to.
// @covers GW-H5
@Suite("Observing a gateway") struct ObservingTests {
    private static let yaml = """
        auth: none
        server_timing: true
        routes:
        - {path: /api/*, name: users, service: user-service, url: "http://users", rate_limit: 100/min}
        """

    private func bench() throws -> GatewayBench {
        let bench = try GatewayBench(Self.yaml)
        let server = try bench.serve("users")
        let node = try #require(bench.world.nodes["users"])
        server.onReceived = { connection in
            guard connection.text.hasSuffix("\r\n\r\n") else { return }
            node.after(.milliseconds(32)) { connection.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") }
        }
        return bench
    }

    private func line(_ page: String, _ start: String) -> Double? {
        page.split(separator: "\n").first { $0.hasPrefix(start + " ") }.flatMap {
            Double($0.dropFirst(start.count + 1))
        }
    }

    @Test("what a server takes is told apart from what the gateway takes: to the client, in the log, in the metrics")
    func latency() throws {
        let bench = try bench()
        let answer = try bench.ask("/api/1")
        let timing = try #require(answer["Server-Timing"])
        let parts = timing.split(separator: ", ").compactMap { $0.split(separator: "=").last.flatMap { Double($0) } }
        #expect(timing.hasPrefix("gateway;dur=") && timing.contains(", upstream;dur=") && parts.count == 2)
        #expect(parts[1] >= 32 && parts[1] < 33 && parts[0] < 1, "\(timing)")
        let events = bench.world.journal.events
        let lines = (0..<events.count).compactMap { index in
            if case .log(let line) = events[index].body { line.text } else { nil }
        }
        #expect(lines.contains { $0.contains("→ user-service 32ms (rate: 1/100)") }, "\(lines.suffix(5))")
        try bench.ask("/api/2")
        let page = String(decoding: bench.host.runtime.metricsPage(.text), as: UTF8.self)
        #expect(line(page, #"gateway_requests_total{route="users",code="2xx"}"#) == 2, "\(page)")
        #expect(line(page, #"gateway_upstream_duration_seconds_count{route="users"}"#) == 2)
        let upstream = try #require(line(page, #"gateway_upstream_duration_seconds_sum{route="users"}"#))
        let total = try #require(line(page, #"gateway_request_duration_seconds_sum{route="users"}"#))
        #expect(upstream >= 0.064 && upstream < 0.066 && total >= upstream && total < upstream + 0.002)
    }

    @Test("a client's trace goes on behind the gateway, with a span of its own") func traces() throws {
        let bench = try bench()
        let trace = "0af7651916cd43dd8448eb211c80319c"
        try bench.ask("/api/1", "traceparent: 00-\(trace)-b7ad6b7169203331-01")
        let heard = bench.heard("users")
        #expect(heard[0].contains("traceparent: 00-\(trace)-") && !heard[0].contains("b7ad6b7169203331"))
        #expect(heard[0].components(separatedBy: "traceparent:").count == 2)
    }

    @Test("a head of more than max_head is 431, and the next client is served") func largeHead() throws {
        let bench = try GatewayBench(
            "auth: none\nmax_head: 2kb\nroutes: [{path: /*, service: s, url: 'http://s'}]", services: ["s"])
        let fields = (0..<40).map { "X-\($0): \(String(repeating: "a", count: 100))" }
        #expect(try bench.ask("/", with: fields).status == 431)
        #expect(try bench.ask("/", with: Array(fields.prefix(5))).status == 200)
        #expect(bench.heard("s").count == 1)
    }
}
