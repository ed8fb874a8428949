import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

@Suite("Connections that a client keeps")
struct KeptConnectionTests {
    /// A server that answers every request, and says on which of its connections.
    private final class Fixture {
        let world = memoryWorld()
        let client: Node
        let connections: KeptConnections
        private(set) var server: ScriptedServer!
        /// Takes the place of an answer.
        var behaviour: ((RawClient) -> Bool)?
        private var answered: [ObjectIdentifier: Int] = [:]

        init() throws {
            client = world.node("client")
            connections = KeptConnections(client)
            server = try ScriptedServer(world.node("a"), port: 80)
            server.onReceived = { [unowned self] connection in
                let asked = connection.text.ranges(of: "\r\n\r\n").count
                guard asked > answered[ObjectIdentifier(connection), default: 0] else { return }
                answered[ObjectIdentifier(connection)] = asked
                if behaviour?(connection) == true { return }
                let number = (server.connections.firstIndex { $0 === connection } ?? -1) + 1
                connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\(number)")
            }
        }

        /// The number of the connection that answered, or why nobody did.
        func ask(_ method: String = "GET", isRepeatable: Bool = false, passing time: LabDuration = .seconds(1)) throws
            -> String
        {
            var text = "nothing"
            var request = HTTPCall.Request(method, url: try HTTPURL("http://a/x"))
            request.isRepeatable = isRepeatable
            HTTPCall(client, request, keeping: connections) { result in
                switch result {
                case .success(let response): text = String(decoding: response.body, as: UTF8.self)
                case .failure(let failure): text = failure.description
                }
            }.start()
            world.pass(time)
            return text
        }
    }

    @Test("one question after another goes over the same connection, those at the same time over others")
    func reuse() throws {
        let fixture = try Fixture()
        #expect(try (0..<3).map { _ in try fixture.ask() } == ["1", "1", "1"])
        #expect(!fixture.server.heard[0].contains("Connection: close"))
        var held: [RawClient] = []
        fixture.behaviour = { connection in
            held.append(connection)
            return true
        }
        #expect(try fixture.ask() == "nothing")
        fixture.behaviour = nil
        #expect(try fixture.ask() == "2")
        held[0].write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")
        fixture.world.pass(.seconds(1))
        #expect(fixture.client.openConnections == 2)
        fixture.world.pass(.seconds(60))
        #expect(fixture.client.openConnections == 0, "what nobody uses is closed in time")
        #expect(try fixture.ask() == "3")
        fixture.connections.close()
        // The server never closes its end by itself.
        fixture.world.pass(.seconds(60))
        #expect(fixture.client.openConnections == 0)
    }

    @Test("a server that closes its end while a question is on its way has refused nothing")
    func stale() throws {
        let fixture = try Fixture()
        for (method, isRepeatable, expected) in [
            ("GET", false, "2"), ("POST", true, "4"), ("POST", false, "closed without an answer"),
        ] {
            let before = try fixture.ask()
            fixture.behaviour = { connection in
                guard "\(fixture.server.connections.firstIndex { $0 === connection }! + 1)" == before else {
                    return false
                }
                connection.stream.close()
                return true
            }
            #expect(try fixture.ask(method, isRepeatable: isRepeatable) == expected, "\(method)")
            fixture.behaviour = nil
            fixture.connections.close()
            fixture.world.pass(.seconds(1))
        }
    }

    @Test("a fresh connection that is closed is a failure, whatever was asked")
    func fresh() throws {
        let fixture = try Fixture()
        fixture.behaviour = { connection in
            connection.stream.close()
            return true
        }
        #expect(try fixture.ask() == "closed without an answer")
        #expect(fixture.server.connections.count == 1)
    }

    @Test("an answer that says so, or has begun, is not asked for again")
    func closing() throws {
        let fixture = try Fixture()
        _ = try fixture.ask()
        fixture.behaviour = { connection in
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
            connection.stream.close()
            return true
        }
        #expect(try fixture.ask() == "closed without an answer")
        fixture.behaviour = { connection in
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlast")
            return true
        }
        #expect(try fixture.ask() == "last")
        fixture.behaviour = nil
        #expect(try fixture.ask() == "3")
    }
}
