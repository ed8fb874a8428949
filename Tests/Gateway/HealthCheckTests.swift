import GatewayService
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// Servers that are asked whether they are well, where the file says so.
// @covers GW-B1
@Suite("Health checks of services") struct HealthCheckTests {
    private static let yaml = """
        auth: none
        services:
          s:
            servers: ["a:80", "b:80"]
            breaker: false
            outlier_ejection: false
            health_check: {path: /health, interval: 1s, timeout: 500ms, unhealthy_after: 2, healthy_after: 2}
        routes: [{path: /*, service: s, retries: 0}]
        """

    private func checks(_ bench: GatewayBench, _ name: String) -> Int {
        bench.server(name).connections.count { $0.text.hasPrefix("GET /health HTTP/1.1\r\n") }
    }

    private func up(_ bench: GatewayBench) -> [Bool] { bench.host.serviceStates[0].servers.map(\.isInPool) }

    /// Its health page says no; everything else is as it was.
    private func fallIll(_ bench: GatewayBench, _ name: String, _ isIll: Bool) {
        bench.server(name).onReceived = { connection in
            guard connection.text.hasSuffix("\r\n\r\n") else { return }
            let status = isIll && connection.text.hasPrefix("GET /health ") ? "503 Ill" : "200 OK"
            connection.write("HTTP/1.1 \(status)\r\nContent-Length: \(name.utf8.count)\r\n\r\n\(name)")
        }
    }

    @Test("a server that says it is ill gets no request until it is well again, and no client notices") func ill()
        throws
    {
        let bench = try GatewayBench(Self.yaml, services: ["a", "b"])
        bench.world.pass(.milliseconds(3100))
        #expect(checks(bench, "a") >= 3 && checks(bench, "b") >= 3 && up(bench) == [true, true])
        fallIll(bench, "a", true)
        bench.world.pass(.seconds(3))
        #expect(up(bench) == [false, true])
        for _ in 0..<6 { #expect(try bench.ask("/x").body == "b") }
        fallIll(bench, "a", false)
        bench.world.pass(.seconds(3))
        #expect(up(bench) == [true, true])
        #expect(Set(try (0..<6).map { _ in try bench.ask("/x").body }) == ["a", "b"])
    }

    @Test("without any well server the answer is 503 at once, and /health says so") func allIll() throws {
        let bench = try GatewayBench(Self.yaml, services: ["a", "b"])
        for name in ["a", "b"] { bench.server(name).onReceived = { _ in } }
        bench.world.pass(.seconds(5))
        #expect(up(bench) == [false, false] && bench.host.complaints == ["s has no server"])
        let answer = try bench.ask("/x")
        #expect(answer.status == 503 && answer["Retry-After"] == "1" && answer.time < .milliseconds(10))
    }

    @Test("a reload begins checks, changes them, and ends them with their service") func reload() throws {
        let without = Self.yaml.replacing("    health_check:", with: "    # health_check:")
        let bench = try GatewayBench(without, services: ["a", "b"])
        bench.world.pass(.seconds(3))
        #expect(checks(bench, "a") == 0)
        try bench.reload(Self.yaml)
        bench.world.pass(.seconds(3))
        #expect(checks(bench, "a") >= 2)
        try bench.reload(without)
        let count = checks(bench, "a")
        bench.world.pass(.seconds(5))
        #expect(checks(bench, "a") <= count + 1)
        try bench.reload(Self.yaml)
        bench.world.pass(.seconds(2))
        try bench.reload("auth: none\nroutes: [{path: /*, service: other, url: 'http://b'}]")
        let last = checks(bench, "a")
        bench.world.pass(.seconds(10))
        #expect(checks(bench, "a") <= last + 1)
    }

    @Test("what is wrong with a check is said with its place") func mistakes() {
        let text = complaint("services: {s: {url: 'http://a', health_check: {path: x}}}\nroutes: []")
        #expect(text.contains("gateway.yaml:1:") && text.contains("path must begin with /"))
        #expect(
            complaint("services: {s: {url: 'http://a', health_check: {interval: soon}}}\nroutes: []").contains(
                "interval"))
    }
}
