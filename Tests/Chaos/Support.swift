import BackendService
import ChaosService
import KernelStructures
import KernelWorld
import TestSupport

/// Servers A, B … on ports 8081, 8082 …, faults, and a client.
final class Farm {
    let world: World
    let client: Node
    private var servers: [BackendHost] = []

    init(_ count: Int) throws {
        world = World(WorldConfiguration(transport: MemoryTransport()))
        for index in 0..<count {
            let name = "Server-" + String(UnicodeScalar(UInt8(65 + index)))
            let node = try world.nodes.start(name)
            let server = BackendHost(node: node, settings: .init(name: name, port: UInt16(8081 + index)))
            try server.start()
            servers.append(server)
        }
        client = try world.nodes.start("user")
        pass(.milliseconds(1))
    }

    deinit { world.shutDown() }

    func pass(_ duration: LabDuration) { world.advance(by: duration) }

    func inject(_ text: String) throws {
        let request = try FaultRequest(text.split(separator: " ").map(String.init))
        _ = world.faults.inject(request.kind, on: request.link, for: request.duration, text: request.text)
    }
}
