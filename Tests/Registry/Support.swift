import KernelHosting
import KernelJSON
import KernelService
import KernelStructures
import KernelWire
import KernelWorld
import RegistryEngine
import RegistryService
import TestSupport

/// A catalogue with commands that count up by themselves.
struct Book {
    var catalog = RegistryCatalog()
    let settings = RegistrySettings()

    init() { put(.register(node: node, instance: nil, checks: [])) }

    var node: CatalogNode { CatalogNode(name: "n1", address: "10.0.0.1") }

    @discardableResult
    mutating func put(_ command: RegistryCommand) -> RegistryCatalog.Applied {
        catalog.apply(command, index: catalog.lastIndex + 1)
    }

    @discardableResult
    mutating func register(
        _ name: String, _ id: String, address: String = "10.0.0.9", port: Int = 80, tags: [String] = [],
        status: ServiceStatus? = nil
    ) -> RegistryCatalog.Applied {
        var instance = ServiceInstance(node: "n1", id: id, name: name)
        instance.address = address
        instance.port = port
        instance.tags = tags
        var checks: [CatalogCheck] = []
        if let status {
            var check = CatalogCheck(node: "n1", id: "service:\(id)", name: "check")
            check.serviceID = id
            check.status = status
            checks.append(check)
        }
        return put(.register(node: CatalogNode(name: "n1", address: ""), instance: instance, checks: checks))
    }
}

func query(_ name: String, _ type: DNSType, payload: UInt16? = nil) -> DNSMessage {
    var message = DNSMessage(id: 4711)
    message.wantsRecursion = true
    message.questions = [.init(DNSName(parsing: name)!, type)]
    message.edns = payload.map { .init(payloadBytes: $0) }
    return message
}

extension RegistryCatalog {
    func answer(_ name: String, _ type: DNSType, seed: UInt64 = 1) -> DNSMessage {
        var random = SeededRandom(seed: seed)
        return RegistryZone.answer(query(name, type), self, RegistrySettings(), random: &random).response
    }
}

/// A registry in a world in memory, and clients of it.
final class RegistryLab {
    let world: World
    let host: RegistryHost
    private var clients: [RawClient] = []

    init(seed: UInt64 = 1, _ change: (inout RegistrySettings) -> Void = { _ in }) throws {
        world = memoryWorld(seed: seed)
        var settings = RegistrySettings()
        change(&settings)
        host = RegistryHost(node: world.node("registry"), settings: settings, port: 8500, dnsPort: 8600)
        try host.start()
        world.pass(.milliseconds(1))
    }

    deinit { world.shutDown() }

    /// Sends a request from a node; the client tells the answer when there is one.
    func send(_ method: String, _ target: String, _ body: String = "", from node: String = "client-1") throws
        -> RawClient
    {
        let known = world.nodes[node]
        let client = try RawClient(known?.isAlive == true ? known! : world.node(node), "registry", 8500)
        clients.append(client)
        client.write(
            "\(method) \(target) HTTP/1.1\r\nHost: r\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
        return client
    }

    /// The status and the body of an answer that comes at once.
    @discardableResult
    func ask(_ method: String, _ target: String, _ body: String = "", from node: String = "client-1") throws -> (
        status: Int, body: String
    ) {
        let client = try send(method, target, body, from: node)
        world.pass(.milliseconds(5))
        let answer = client.answers.first
        client.stream.close()
        world.pass(.milliseconds(1))
        return (answer?.status ?? 0, String(decoding: answer?.body ?? [], as: UTF8.self))
    }

    func json(_ target: String) throws -> JSONValue { try JSONValue(parsing: try ask("GET", target).body) }

    func index(_ target: String) throws -> Int {
        let client = try send("GET", target)
        world.pass(.milliseconds(5))
        return client.answers.first?.head.value(of: "X-Consul-Index").flatMap { Int($0) } ?? -1
    }
}
