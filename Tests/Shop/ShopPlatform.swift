import DatabaseService
import KernelHosting
import KernelJSON
import KernelService
import KernelStructures
import KernelWire
import KernelWorld
import MessageQueueService
import ShopAccountsService
import ShopKitService
import TestSupport

@testable import ShopEngine
@testable import ShopService

/// The shop's nodes in a world in memory, with a database and a broker, each of which can be killed and started again.
final class ShopPlatform {
    struct Setup {
        var seed: UInt64 = 1
        var isOptimistic = false
        var stock = 10
        var holdSeconds = Shop.holdSeconds
        /// Nodes that lead orders.
        var orders = ["orders"]
        /// Letters, and where they come to.
        var hasMail = false
    }

    let world: World
    let setup: Setup
    let names: [String]
    private var services: [String: any Service] = [:]

    init(_ setup: Setup = Setup()) throws {
        world = memoryWorld(seed: setup.seed)
        self.setup = setup
        names =
            ["db", "mq", "products", "inventory", "payments"] + setup.orders
            + (setup.hasMail ? ["mailbox", "notifications"] : [])
        for name in names { try start(name) }
        world.pass(.seconds(3))
    }

    convenience init(seed: UInt64 = 1, isOptimistic: Bool = false) throws {
        var setup = Setup()
        setup.seed = seed
        setup.isOptimistic = isOptimistic
        try self.init(setup)
    }

    /// `orders` of `orders-2`.
    private static func service(_ node: String) -> String { String(node.prefix { $0 != "-" }) }

    private func settings(_ node: String) -> ShopSettings {
        let name = Self.service(node)
        var settings = ShopSettings(name: name, port: ShopSettings.ports.first { $0.name == name }?.port ?? 0)
        settings.database = PostgresURL(HostPort(host: "db", port: 5432), database: name)
        settings.broker = BrokerPlace(HostPort(host: "mq", port: 5672))
        settings.peers["mailbox"] = HostPort(host: "mailbox", port: 1025)
        return settings
    }

    func start(_ name: String) throws {
        let node =
            world.nodes[name].map { node in
                node.start()
                return node
            } ?? world.node(name)
        let service: any Service
        switch Self.service(name) {
        case "db": service = DatabaseHost(node: node, port: 5432, settings: .init(directory: "/pg"))
        case "mq":
            var settings = MessageQueueHost.Settings()
            // What it has confirmed outlives it: an event that it lost nobody would be told of.
            settings.directory = "/mq"
            settings.directoryText = "./mq"
            service = MessageQueueHost(node: node, port: 5672, settings: settings)
        case "mailbox": service = Mailbox(node: node, directory: "/mail")
        case "products":
            let demo = [Product(id: "p1", name: "Laptop", category: "electronics", price: Money(minor: 99_900))]
            service = ProductService(node: node, settings: settings(name), demo: demo)
        case "inventory":
            var options = InventoryService.Options()
            options.isOptimistic = setup.isOptimistic
            options.holdSeconds = setup.holdSeconds
            options.demo = [("p1", setup.stock)]
            service = InventoryService(node: node, settings: settings(name), options: options)
        case "payments": service = PaymentService(node: node, settings: settings(name))
        case "notifications": service = NotificationService(node: node, settings: settings(name))
        default: service = OrderService(node: node, settings: settings(name))
        }
        try service.start()
        services[name] = service
    }

    func isUp(_ name: String) -> Bool { world.nodes[name]?.isAlive == true }

    func kill(_ name: String, powerLoss: Bool = false) {
        world.nodes[name]?.end(powerLoss ? .poweredOff : .killed)
        services[name] = nil
    }

    // MARK: Asking

    /// Asks, and calls back with status and body.
    func ask(
        _ method: String, _ host: String, _ target: String, fields: [(name: String, value: String)] = [],
        body: String? = nil, port: UInt16? = nil, _ completion: @escaping (Int, JSONValue) -> Void
    ) {
        let port = port ?? ShopSettings.ports.first { $0.name == Self.service(host) }?.port ?? 80
        var request = HTTPCall.Request(method, url: HTTPURL(host: host, port: port, target: target))
        request.fields = fields
        request.body = body.map { Array($0.utf8) }
        HTTPCall(world.nodes.startClient(), request) { result in
            switch result {
            case .success(let response):
                completion(response.status, (try? JSONValue(parsing: response.body)) ?? .null)
            case .failure: completion(0, .null)
            }
        }.start()
    }

    func checkout(
        _ quantity: Int = 1, card: String = "card_xxx", key: String? = nil, user: String = "u1", at host: String? = nil,
        _ completion: @escaping (Int, JSONValue) -> Void = { _, _ in }
    ) {
        var fields = [(name: "X-User-Id", value: user), (name: "X-User-Email", value: "\(user)@example.com")]
        if let key { fields.append((name: "Idempotency-Key", value: key)) }
        let body = """
            {"items": [{"product_id": "p1", "quantity": \(quantity)}], "payment_method": "\(card)"}
            """
        ask("POST", host ?? setup.orders[0], "/checkout", fields: fields, body: body, completion)
    }

    /// What the services say of themselves.
    func ledger() throws -> ShopLedger {
        var answers: [String: JSONValue] = [:]
        ask("GET", setup.orders.first { isUp($0) } ?? "orders", "/ledger") { answers["orders"] = $1 }
        ask("GET", "inventory", "/stock") { answers["stock"] = $1 }
        ask("GET", "payments", "/ledger") { answers["payments"] = $1 }
        if setup.hasMail { ask("GET", "notifications", "/ledger") { answers["events"] = $1 } }
        world.pass(.seconds(2))
        return try ShopLedger(
            orders: answers["orders"] ?? .null, stock: answers["stock"] ?? .null,
            payments: answers["payments"] ?? .null, events: answers["events"] ?? .null)
    }

    /// Lines that were logged with this in them.
    func lines(with text: String) -> [String] {
        world.journal.text.split(separator: "\n").map(String.init).filter { $0.contains(text) }
    }

    func shutDown() {
        world.journal.observer = nil
        services = [:]
        world.shutDown()
    }
}
