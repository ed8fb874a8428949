import BackendService
import ChaosService
import KernelHosting
import KernelService
import KernelStructures
import KernelWire
import KernelWorld
import LoadBalancerEngine
import LoadBalancerService
import TestSupport
import Testing

/// Backends A, B, C … on ports 8081, 8082 … and a balancer in front of them on port 80 of `lb`.
final class Farm {
    let world: World
    let lb: Node
    let host: LoadBalancerHost
    private(set) var backends: [(node: Node, host: BackendHost)] = []
    let client: Node
    /// What a reload takes over.
    private let next: Next

    private final class Next {
        var configuration: LoadBalancerConfiguration
        init(_ configuration: LoadBalancerConfiguration) { self.configuration = configuration }
    }

    init(
        _ count: Int = 3, seed: UInt64 = 1, weights: [Int]? = nil, extraPorts: [UInt16] = [],
        runtimeAPI: ServiceRuntime.Place? = nil, metrics: UInt16? = nil,
        _ change: (inout LoadBalancerConfiguration) -> Void = { _ in }
    ) throws {
        var worldConfiguration = WorldConfiguration(transport: MemoryTransport())
        worldConfiguration.seed = seed
        world = World(worldConfiguration)
        var list: [LoadBalancerConfiguration.Backend] = []
        for index in 0..<count {
            let port = UInt16(8081 + index)
            backends.append(try Farm.startBackend(world, index))
            list.append(
                .init(
                    name: "\(port)", destination: HostPort(host: "localhost", port: port), weight: weights?[index] ?? 1)
            )
        }
        for port in extraPorts {
            list.append(.init(name: "\(port)", destination: HostPort(host: "localhost", port: port)))
        }
        var configuration = LoadBalancerConfiguration(backends: list)
        change(&configuration)
        lb = try world.nodes.start("lb")
        let next = Next(configuration)
        self.next = next
        var options = ServiceOptions()
        options.metricsPort = metrics
        host = LoadBalancerHost(
            node: lb, source: .init(configuration, read: { next.configuration }, bytes: { nil }), port: 80,
            places: .init(runtimeAPI: runtimeAPI), options: options)
        try host.start()
        client = try world.nodes.start("user")
        pass(.milliseconds(1))
    }

    deinit { world.shutDown() }

    /// Has the balancer read a changed configuration.
    func reload(_ change: (inout LoadBalancerConfiguration) -> Void) throws {
        change(&next.configuration)
        try host.reload()
    }

    static func name(_ index: Int) -> String { "Server-" + String(UnicodeScalar(UInt8(65 + index))) }

    private static func startBackend(_ world: World, _ index: Int) throws -> (Node, BackendHost) {
        let node = try world.nodes.start(name(index))
        let backend = BackendHost(node: node, settings: .init(name: name(index), port: UInt16(8081 + index)))
        try backend.start()
        return (node, backend)
    }

    func restart(_ index: Int) throws { backends[index] = try Farm.startBackend(world, index) }
    func pass(_ duration: LabDuration) { world.advance(by: duration) }

    func dial() throws -> RawClient { try RawClient(client, "lb", 80) }

    /// The letter of the backend that answered each of `count` requests, `!` and the status for other answers; one
    /// client connection each.
    func ask(_ count: Int = 1, _ path: String = "/", every pause: LabDuration = .milliseconds(1)) throws -> [String] {
        try (0..<count).map { _ in
            let client = try dial()
            client.write("GET \(path) HTTP/1.1\r\nHost: lb\r\nConnection: close\r\n\r\n")
            pass(pause)
            guard let answer = client.answers.first else { return "-" }
            guard answer.status == 200 else { return "!\(answer.status)" }
            return client.bodies[0].replacing("Response from Server-", with: "").lowercased()
        }
    }

    /// The balancer's log with seconds since the start.
    var log: [String] {
        (0..<world.journal.events.count).compactMap {
            let event = world.journal.events[$0]
            guard case .log(let line) = event.body, line.level > .debug else { return nil }
            return "\(event.time - world.epoch) \(line.message)"
        }
    }

    func inject(_ text: String) throws {
        let request = try FaultRequest(text.split(separator: " ").map(String.init))
        _ = world.faults.inject(request.kind, on: request.link, for: request.duration, text: request.text)
    }
}

extension LoadBalancer {
    /// The server for a request of which nothing is known.
    mutating func choose(excluding: [Int] = [], now: LabTime = .documentedEpoch) -> Int? {
        var arrival = Arrival(request: 1, source: .loopback)
        arrival.attempt = excluding.count + 1
        guard case .server(let slot) = choose(arrival, excluding: excluding, now: now) else { return nil }
        return slot
    }
}
