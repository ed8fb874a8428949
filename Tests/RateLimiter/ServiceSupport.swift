import KernelService
import KernelStructuredFields
import KernelStructures
import KernelWire
import KernelWorld
import RateLimiterService
import TestSupport

/// A limiter on a node of a world in memory, and clients to ask it.
final class ServiceBench {
    let world: World
    let host: RateLimiterHost
    /// Its configuration file, which a reload reads again.
    private let file: TextFile
    private var clients: [RawClient] = []

    init(
        _ yaml: String, world: World = memoryWorld(), name: String = "rl", port: UInt16 = 8080, throttle: UInt16? = nil,
        descriptors: Bool = false
    )
        throws
    {
        self.world = world
        let file = TextFile(yaml)
        self.file = file
        host = RateLimiterHost(
            node: world.node(name), source: try file.source(), port: port, throttle: throttle,
            descriptors: descriptors ? Self.descriptorPort : nil)
        try host.start()
    }

    /// Reads another text for a configuration file.
    func reload(_ yaml: String) throws {
        file.text = yaml
        try host.reload()
    }

    private final class TextFile {
        var text: String
        init(_ text: String) { self.text = text }

        func source() throws -> ConfigurationSource<RateLimiterConfiguration> {
            .init(try read(), read: read) { [self] in Array(text.utf8) }
        }

        private func read() throws -> RateLimiterConfiguration {
            try RateLimiterConfiguration(yaml: Array(text.utf8), file: "rl.yaml")
        }
    }

    func client(_ name: String = "client") throws -> RawClient {
        let node = world.nodes[name] ?? world.node(name)
        let client = try RawClient(node, host.node.name, 8080)
        clients.append(client)
        return client
    }

    /// One request on a connection of its own; lab time passes until it is answered.
    func ask(_ path: String = "/", _ fields: String..., from name: String = "client", method: String = "GET") throws
        -> HTTPHead
    {
        let client = try client(name)
        client.write("\(method) \(path) HTTP/1.1\r\nHost: rl\r\n\(fields.map { $0 + "\r\n" }.joined())\r\n")
        for _ in 0..<200 where client.answers.isEmpty { world.pass(.microseconds(50)) }
        guard let answer = client.answers.first else { throw BenchTrouble.noAnswer }
        client.stream.close()
        return answer.head
    }

    private static let descriptorPort: UInt16 = 8082

    /// Posts to the port for Envoy; lab time passes until it is answered.
    func post(_ path: String, _ body: String) throws -> (head: HTTPHead, body: String) {
        let client = try RawClient(world.nodes["envoy"] ?? world.node("envoy"), host.node.name, Self.descriptorPort)
        clients.append(client)
        client.write("POST \(path) HTTP/1.1\r\nHost: rl\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
        for _ in 0..<200 where client.answers.isEmpty { world.pass(.microseconds(50)) }
        guard let answer = client.answers.first else { throw BenchTrouble.noAnswer }
        client.stream.close()
        return (answer.head, String(decoding: answer.body, as: UTF8.self))
    }

    enum BenchTrouble: Error { case noAnswer }
}

extension HTTPHead {
    func number(_ name: String) -> Int? { value(of: name).flatMap { Int($0) } }
}

/// A list of texts with parameters, as both fields of the quota are.
struct QuotaList {
    let items: [(name: String, parameters: StructuredParameters)]

    /// Nil for a field that is none.
    init?(_ text: String) {
        guard case .list(let members)? = try? StructuredField(text, as: .list) else { return nil }
        items = members.compactMap {
            guard case .item(let item) = $0, case .string(let name) = item.value else { return nil }
            return (name, item.parameters)
        }
        if items.count != members.count { return nil }
    }
}

extension StructuredParameters {
    func integer(_ name: String) -> Int? { if case .integer(let number)? = self[name] { number } else { nil } }
}
