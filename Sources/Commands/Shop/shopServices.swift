import CommandKit
import CommandServices
import KernelStructures
import ShellSession
import ShopAccountsService
import ShopEngine
import ShopKitCommands
import ShopKitService
import ShopService

extension ShopCommands {
    private typealias Flag = CommandDescription.Flag

    private static func description(
        _ kind: ServiceKind, _ summary: String, _ flags: [Flag], tag: String, example: String, details: String
    ) -> CommandDescription {
        CommandDescription(
            kind.name, summary, usage: "[FLAGS]",
            flags: kind.flags(listens: "where it listens for HTTP", ShopFlags.common + flags),
            examples: [kind.name, example], group: .components, role: .service, tags: [tag], details: details)
    }

    /// `shop-products`
    static var shopProducts: Command {
        let kind = ServiceKind("shop-products", node: "products", port: .preset(8082))
        let description = description(
            kind, "a shop's catalogue: products, search, categories",
            [ShopWords.cache, ShopWords.peer("inventory"), ShopWords.demo], tag: "PRODUCTS",
            example: "curl 'http://products:8082/products?category=electronics&max_price=700'",
            details: """
                GET /products?category=&q=&min_price=&max_price=&in_stock&sort=price|-price|name
                GET, PUT, DELETE /products/ID; POST /products; GET /categories;
                PUT, DELETE /categories/ID. A price is in whole units, or exactly in
                price_minor. Pages of the catalogue are cached, numbers in stock never are.
                """)
        return .service(kind, description) { invocation in
            var settings = try ShopFlags.settings(
                "products", port: 8082, peers: ["inventory"], invocation.arguments)
            settings.cache = invocation.arguments.endpoint("cache")
            let demo = invocation.arguments.has("demo") ? ShopWords.demoProducts : []
            return ServicePlan(settings) { node, settings, service in
                ProductService(node: node, settings: settings, demo: demo, service: service)
            }
        }
    }

    /// `shop-inventory`
    static var shopInventory: Command {
        let kind = ServiceKind("shop-inventory", node: "inventory", port: .preset(8083))
        let description = description(
            kind, "a shop's stock: available, reserved, sold",
            [ShopWords.optimistic, ShopWords.hold, ShopWords.demo], tag: "INVENTORY",
            example: "curl -X PUT http://inventory:8083/stock/p1 -d '{\"available\": 47}'",
            details: """
                GET /stock?products=p1,p2; GET, PUT /stock/ID; POST /reservations;
                POST /reservations/ORDER/confirm and /release. A reservation holds pieces for
                five minutes, and all requests may be made twice.
                """)
        return .service(kind, description) { invocation in
            let settings = try ShopFlags.settings("inventory", port: 8083, invocation.arguments)
            let options = try ShopWords(invocation).inventoryOptions()
            return ServicePlan(settings) { node, settings, service in
                InventoryService(node: node, settings: settings, options: options, service: service)
            }
        }
    }

    /// `shop-orders`
    static var shopOrders: Command {
        let kind = ServiceKind("shop-orders", node: "orders", port: .preset(8084))
        let description = description(
            kind, "a shop's orders, and the saga that leads each to its end",
            ShopFlags.broker + [ShopWords.peer("inventory"), ShopWords.peer("payments"), ShopWords.peer("products")],
            tag: "ORDERS", example: "curl http://orders:8084/orders/o1/timeline",
            details: """
                POST /checkout {"items": [{"product_id": "p1", "quantity": 2}],
                "payment_method": "card_xxx"} with X-User-Id, which the gateway adds, and an
                Idempotency-Key where one order is wanted however often it is sent.
                GET /orders, /orders/ID, /orders/ID/timeline, /ledger; POST /orders/ID/resume.
                A saga is stored before each step, so a node that was killed goes on with it.
                """)
        return .service(kind, description) { invocation in
            var settings = try ShopFlags.settings(
                "orders", port: 8084, peers: ["inventory", "payments", "products"], invocation.arguments)
            settings.broker = try ShopFlags.broker(invocation)
            return ServicePlan(settings) { node, settings, service in
                OrderService(node: node, settings: settings, service: service)
            }
        }
    }

    /// `shop-payments`
    static var shopPayments: Command {
        let kind = ServiceKind("shop-payments", node: "payments", port: .preset(8085))
        let description = description(
            kind, "a shop's till, which speaks Stripe's API and charges nobody", [], tag: "PAYMENTS",
            example: "curl http://payments:8085/v1/payment_intents -d amount=1000 -d currency=usd",
            details: """
                Stripe's payment_intents and refunds, with its rules for Idempotency-Key; its
                own libraries can talk to it (api_base). A card's name decides: with
                insufficient, declined, expired, stolen in it (or Stripe's test numbers) it is
                declined. With confirm=true and payment_method=pm_card_visa it is charged.
                """)
        return .service(kind, description) { invocation in
            let settings = try ShopFlags.settings("payments", port: 8085, invocation.arguments)
            return ServicePlan(settings) { node, settings, service in
                PaymentService(node: node, settings: settings, service: service)
            }
        }
    }

    /// `shop --monolith`
    static var shop: Command {
        let kind = ServiceKind("shop", node: "shop", port: .none)
        let description = CommandDescription(
            "shop", "a whole shop on one node: the place to begin", usage: "--monolith [FLAGS]",
            flags: kind.flags(
                [
                    .init("monolith", nil, "all services on one node (docker-compose up starts them as nodes)"),
                    .init("db", "d", .text("URL"), "the database of all of them (postgres://db:5432/shop)"),
                    ShopFlags.registry, ShopFlags.flags, ShopWords.cache,
                ] + ShopFlags.broker + [TLSFlags.directory, ShopWords.optimistic, ShopWords.hold, ShopWords.demo]),
            examples: [
                "postgres --name db & messageq & mailbox &", "shop --monolith --demo",
                "curl http://shop:8082/products", "ledger --at shop",
            ],
            group: .components, role: .service, tags: ["SHOP"],
            details: """
                Users on :8081, products on :8082, inventory on :8083, orders on :8084, payments
                on :8085, notifications on :8086: the same services as shop-users and the
                others, with the same questions to one another. They share a node, and so they
                fall together. They need a database and a broker, db and mq without further
                word, and letters go to a node called mailbox, where there is one.
                """)
        return .service(kind, description) { invocation in
            guard invocation.arguments.has("monolith") else {
                throw UsageError(
                    "shop: say --monolith for all services on one node; docker-compose up starts them as nodes")
            }
            let words = ShopWords(invocation)
            var common = try ShopFlags.settings("shop", port: 0, invocation.arguments)
            common.cache = invocation.arguments.endpoint("cache")
            common.broker = try ShopFlags.broker(invocation)
            let options = try words.inventoryOptions()
            let demo = invocation.arguments.has("demo") ? ShopWords.demoProducts : []
            return ServicePlan { [common] node, service in
                ShopMonolith(node: node, options: service.options) { node in
                    func settings(_ name: String) -> ShopSettings {
                        var settings = common
                        settings.name = name
                        settings.port = common.peer(name).port
                        for (peer, port) in ShopSettings.ports {
                            settings.peers[peer] = HostPort(host: node.address.description, port: port)
                        }
                        return settings
                    }
                    return [
                        ProductService(node: node, settings: settings("products"), demo: demo),
                        InventoryService(node: node, settings: settings("inventory"), options: options),
                        OrderService(node: node, settings: settings("orders")),
                        PaymentService(node: node, settings: settings("payments")),
                        UserService(node: node, settings: settings("users")),
                        NotificationService(node: node, settings: settings("notifications")),
                    ]
                }
            }
        }
    }
}
