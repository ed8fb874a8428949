import KernelStructures
import KernelWorld
import LoadBalancerEngine
import TestSupport
import Testing

/// What clients are told of backends that were reached and gave no answer. HAProxy says 502 for those, and 503 only
/// where no connection was made.
@Suite("A balancer before backends that break off")
struct BrokenOriginTests {
    private let get = "GET /x HTTP/1.1\r\nHost: lb\r\n\r\n"

    enum Manner: CaseIterable { case closesAtOnce, closes, resets }

    private func server(_ farm: Farm, _ port: UInt16, _ manner: Manner) throws -> ScriptedServer {
        let server = try ScriptedServer(try farm.world.nodes.start("bad-\(port)"), port: port)
        switch manner {
        case .closesAtOnce: server.onAccepted = { $0.stream.close() }
        case .closes: server.onReceived = { $0.stream.close() }
        case .resets: server.onReceived = { $0.stream.abort() }
        }
        return server
    }

    @Test("one that takes the request and closes is a bad gateway, however many were asked", arguments: Manner.allCases)
    func closed(_ manner: Manner) throws {
        for ports: [UInt16] in [[9000], [9000, 9001]] {
            let farm = try Farm(0, extraPorts: ports)
            let servers = try ports.map { try server(farm, $0, manner) }
            let client = try farm.dial()
            client.write(get)
            farm.pass(.seconds(1))
            #expect(client.statuses == [502])
            #expect(client.bodies == ["502 Bad Gateway: the backend closed the connection without an answer"])
            #expect(servers.allSatisfy { !$0.connections.isEmpty })
        }
    }

    @Test("nobody is told that none could be reached where one was, and the next request has forgotten it")
    func mixed() throws {
        let farm = try Farm(0, extraPorts: [9000, 9001]) { $0.healthCheck.interval = .seconds(600) }
        let bad = try server(farm, 9000, .closes)
        let client = try farm.dial()
        client.write(get)
        farm.pass(.seconds(1))
        #expect(client.statuses == [502], "the second one refuses")
        bad.connections.first?.stream.node.end(.killed)
        let next = try farm.dial()
        next.write(get)
        farm.pass(.seconds(1))
        #expect(next.statuses == [503])
        #expect(next.bodies == ["503 Service Unavailable: no backend could be reached"])
    }
}
