import KernelStructures
import KernelWorld
import LoadBalancerService
import TestSupport
import Testing

@Suite("The balancer's service")
struct ServiceLifeTests {
    @Test("a reload changes clients' timeouts for connections that come after it")
    func timeouts() throws {
        let farm = try Farm(1)
        let old = try farm.dial()
        farm.pass(.milliseconds(1))
        try farm.reload { $0.timeouts.idle = .seconds(5) }
        let new = try farm.dial()
        for client in [old, new] { client.write("GET / HTTP/1.1\r\nHost: lb\r\n\r\n") }
        farm.pass(.seconds(10))
        #expect(new.hasEnded && !old.hasEnded && old.statuses == [200])
    }

    @Test("a reload changes whether clients' connections begin with a PROXY header", arguments: ["http", "tcp"])
    func acceptsProxyProtocol(_ mode: String) throws {
        let farm = try Farm(1) { $0.mode = mode == "tcp" ? .tcp : .http }
        let header = "PROXY TCP4 10.1.2.3 10.0.0.1 4000 80\r\n"
        let request = "GET / HTTP/1.1\r\nHost: lb\r\n\r\n"
        try farm.reload { $0.acceptsProxyProtocol = true }
        let plain = try farm.dial()
        plain.write(request)
        let marked = try farm.dial()
        marked.write(header + request)
        farm.pass(.milliseconds(50))
        #expect(plain.closed == .reset && marked.statuses == [200])
        try farm.reload { $0.acceptsProxyProtocol = false }
        #expect(try farm.ask() == ["a"])
    }

    @Test("health says that no server is up, and that it is stopping")
    func health() throws {
        let farm = try Farm(2, metrics: 8405)
        func health() throws -> RawClient {
            let client = try RawClient(farm.client, "lb", 8405)
            client.write("GET /health HTTP/1.1\r\nHost: lb\r\nConnection: close\r\n\r\n")
            farm.pass(.milliseconds(5))
            return client
        }
        #expect(try health().statuses == [200])
        for backend in farm.backends { backend.node.end(.killed) }
        farm.pass(.seconds(60))
        let sick = try health()
        #expect(sick.statuses == [503] && sick.bodies[0].contains("no server is up"))
    }

    @Test("the time for draining is the file's, the flag's where there is one")
    func drainTimeout() throws {
        let farm = try Farm(1) { $0.timeouts.shutdown = .seconds(7) }
        #expect(farm.host.runtime.drainTimeout == .seconds(7))
        try farm.reload { $0.timeouts.shutdown = .seconds(9) }
        #expect(farm.host.runtime.drainTimeout == .seconds(9))
    }
}
