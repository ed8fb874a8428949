import CommandKit
import CommandServices
import KernelStructures
import KernelWire
import ShellSession
import ShopKitCommands
import ShopKitService
import ShopService

extension ShopCommands {
    /// `shop-front`
    static var shopFront: Command {
        let kind = ServiceKind("shop-front", node: "shop", port: .preset(StorefrontService.defaultPort))
        let places: [(name: String, port: UInt16, what: String)] = [
            ("api", 80, "the gateway, which customers' requests go through"), ("jaeger", 16686, "the traces"),
            ("orders", 8084, "the orders"), ("inventory", 8083, "the stock"), ("payments", 8085, "the payments"),
        ]
        let description = CommandDescription(
            kind.name, "a shop's page: products, cart and checkout, and beside it what happens behind",
            usage: "[FLAGS]",
            flags: kind.flags(
                listens: "where the page is",
                [ShopFlags.registry, ShopFlags.flags]
                    + places.map { place in
                        .init(place.name, nil, .endpoint, "where \(place.what) (\(place.name):\(place.port))")
                    }),
            examples: [kind.name, "docker-compose up", "curl http://shop/ops"], group: .components, role: .service,
            tags: ["SHOP"],
            details: """
                http://shop/ in the lab; in a browser at the node's address (nodes shows it).
                Customers' requests go through the gateway; who calls whom and the last
                checkout come from Jaeger, who is well from the registry, pieces and money from
                the services. GET /ops has all of that as JSON, and is fetched while somebody
                looks.
                """)
        return .service(kind, description) { invocation in
            let arguments = invocation.arguments
            var settings = ShopSettings(name: "shop", port: StorefrontService.defaultPort)
            settings.registry = arguments.endpoint("registry")
            settings.flags = arguments.endpoint("flags")
            for place in places {
                settings.peers[place.name] =
                    arguments.endpoint(place.name) ?? HostPort(host: place.name, port: place.port)
            }
            settings.peers["registry"] = settings.registry
            return ServicePlan(settings) { node, settings, service in
                StorefrontService(node: node, settings: settings, service: service)
            }
        }
    }
}
