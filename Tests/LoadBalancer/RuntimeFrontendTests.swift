import KernelStructures
import KernelWorld
import LoadBalancerEngine
import TestSupport
import Testing

/// The clients' side of the runtime API: whether they can come, and how many at a time.
@Suite("The runtime API's frontend")
struct RuntimeFrontendTests {
    @Test(
        "a frontend that is disabled refuses clients and keeps those it has; enabled, it takes them; shut down, never")
    func frontend() throws {
        let farm = try Farm(2)
        let kept = try farm.dial()
        kept.write("GET / HTTP/1.1\r\nHost: lb\r\n\r\n")
        farm.pass(.milliseconds(5))
        func isRefused() throws -> Bool {
            let client = try farm.dial()
            client.write("GET / HTTP/1.1\r\nHost: lb\r\n\r\n")
            farm.pass(.milliseconds(5))
            return client.closed != nil && client.bytes.isEmpty
        }
        #expect(farm.operate("disable frontend") == "A frontend name is expected.\n")
        #expect(farm.operate("disable frontend nope") == "No such frontend.\n")
        #expect(
            farm.operate("disable frontend lb") == ""
                && farm.operate("disable frontend lb") == "All sockets are already disabled.\n")
        #expect(try farm.stat().cell("FRONTEND", "status") == "PAUSED" && isRefused())
        kept.write("GET / HTTP/1.1\r\nHost: lb\r\n\r\n")
        farm.pass(.milliseconds(5))
        #expect(kept.statuses == [200, 200])
        #expect(
            farm.operate("enable frontend #2") == ""
                && farm.operate("enable frontend lb") == "All sockets are already enabled.\n")
        #expect(try farm.stat().cell("FRONTEND", "status") == "OPEN" && !isRefused())
        #expect(
            farm.operate("shutdown frontend lb") == ""
                && farm.operate("shutdown frontend lb") == "Frontend was already shut down.\n")
        #expect(farm.operate("enable frontend lb") == "Frontend was previously shut down, cannot enable.\n")
        #expect(farm.operate("disable frontend lb") == "Frontend was previously shut down, cannot disable.\n")
        #expect(try farm.stat().cell("FRONTEND", "status") == "STOP" && isRefused())
    }

    @Test("a port that somebody else has by now cannot be taken again, and that is said")
    func takenPort() throws {
        let farm = try Farm(2)
        farm.operate("disable frontend lb")
        let other = try farm.host.node.listen(on: 80) { _ in preconditionFailure("nobody comes") }
        #expect(farm.operate("enable frontend lb").hasPrefix("Failed to resume frontend: "))
        #expect(try farm.stat().cell("FRONTEND", "status") == "PAUSED")
        other.close()
        #expect(farm.operate("enable frontend lb") == "")
        #expect(try farm.ask(2) == ["a", "b"])
    }

    @Test("beyond maxconn clients wait, and get their turn when one leaves or more are allowed")
    func frontendLimit() throws {
        let farm = try Farm(2)
        for (line, answer) in [
            ("set maxconn frontend", "A frontend name is expected.\n"),
            ("set maxconn frontend nope 3", "No such frontend.\n"),
            ("set maxconn frontend lb", "Integer value expected.\n"),
            ("set maxconn frontend lb x", "Integer value expected.\n"),
            ("set maxconn frontend lb -1", "Value out of range.\n"),
            ("set maxconn frontend lb 99999999999999999999", "Integer value expected.\n"),
        ] { #expect(farm.operate(line) == answer) }
        #expect(farm.operate("set maxconn frontend lb 2") == "")
        #expect(try farm.stat().cell("FRONTEND", "slim") == "2")
        let clients = try (0..<5).map { _ in try farm.dial() }
        for client in clients { client.write("GET / HTTP/1.1\r\nHost: lb\r\n\r\n") }
        farm.pass(.milliseconds(5))
        func served() -> [Int] { clients.indices.filter { clients[$0].statuses == [200] } }
        #expect(served() == [0, 1])
        clients[0].stream.close()
        farm.pass(.milliseconds(5))
        #expect(served() == [0, 1, 2])
        // A process that is frozen and thawed accepts no more than before.
        farm.host.node.freeze()
        farm.host.node.thaw()
        farm.pass(.milliseconds(5))
        #expect(served() == [0, 1, 2])
        farm.operate("set maxconn frontend lb 4")
        farm.pass(.milliseconds(5))
        #expect(served() == [0, 1, 2, 3, 4])
        farm.operate("set maxconn frontend lb 0")
        let late = try farm.dial()
        late.write("GET / HTTP/1.1\r\nHost: lb\r\n\r\n")
        farm.pass(.seconds(1))
        #expect(late.statuses.isEmpty && !late.hasEnded)
    }
}
