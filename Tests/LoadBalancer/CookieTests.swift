import KernelStructures
import KernelWire
import LoadBalancerEngine
import TestSupport
import Testing

@Suite("The balancer's own cookie")
struct CookieTests {
    /// The Cookie fields that the server gets for a client's.
    private func passed(_ cookies: String...) throws -> [String] {
        let farm = try Farm(0, extraPorts: [9000]) { $0.sticky = .init(.cookie("SRV")) }
        let server = try ScriptedServer(try farm.world.nodes.start("server"), port: 9000)
        server.answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        let client = try farm.dial()
        let fields = cookies.map { "Cookie: \($0)\r\n" }.joined()
        client.write("GET / HTTP/1.1\r\nHost: lb\r\n\(fields)\r\n")
        farm.pass(.milliseconds(5))
        #expect(client.statuses == [200])
        return (server.heard.first ?? "").split(separator: "\r\n").filter { $0.hasPrefix("Cookie:") }.map(String.init)
    }

    @Test("it stays between the balancer and its client; the others pass in their order")
    func staysHere() throws {
        #expect(try passed("SRV=9000") == [])
        #expect(try passed("a=1; SRV=9000; b=2") == ["Cookie: a=1; b=2"])
        #expect(try passed("a=1", "SRV=\"9000\"", "b=2;  SRV=x;c=3") == ["Cookie: a=1", "Cookie: b=2; c=3"])
        #expect(try passed("SRVX=1; XSRV=2; SRV =3; srv=4") == ["Cookie: SRVX=1; XSRV=2; SRV =3; srv=4"])
    }

    @Test("a client gets it once, and again when it has been moved")
    func isSet() throws {
        let farm = try Farm(2) { $0.sticky = .init(.cookie("SRV")) }
        func ask(_ cookie: String?) throws -> String? {
            let client = try farm.dial()
            client.write("GET / HTTP/1.1\r\nHost: lb\r\n\(cookie.map { "Cookie: SRV=\($0)\r\n" } ?? "")\r\n")
            farm.pass(.milliseconds(5))
            return client.answers.first?.head.value(of: "Set-Cookie")
        }
        #expect(try ask(nil) == "SRV=8081; Path=/; HttpOnly")
        #expect(try ask("8081") == nil && ask("8082") == nil)
        _ = farm.host.runtime(["set", "server", "lb/8082", "state", "maint"])
        #expect(try ask("8082") == "SRV=8081; Path=/; HttpOnly")
    }
}
