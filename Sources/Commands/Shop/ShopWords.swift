import CommandKit
import CommandServices
import KernelStructures
import KernelWire
import ShellSession
import ShopEngine
import ShopKitService
import ShopService

/// The flags of single services of the shop, and what they say.
struct ShopWords {
    private let arguments: ParsedArguments
    private let command: String

    init(_ invocation: Invocation) {
        arguments = invocation.arguments
        command = invocation.arguments.description.name
    }

    static let cache = CommandDescription.Flag("cache", nil, .endpoint, "a server of Redis's protocol (none)")
    static let demo = CommandDescription.Flag("demo", nil, "begins with a few products, where there are none")
    static let optimistic = CommandDescription.Flag(
        "optimistic", nil, "compares versions when it writes, where others lock rows when they read")
    static let hold = CommandDescription.Flag(
        "hold", nil, .duration(), "how long pieces are held for an order (5m)")

    static func peer(_ name: String) -> CommandDescription.Flag {
        .init(
            name, nil, .endpoint,
            "where \(name) is, if no registry says (\(ShopSettings(name: "", port: 0).peer(name)))")
    }

    func inventoryOptions() throws -> InventoryService.Options {
        var options = InventoryService.Options()
        options.isOptimistic = arguments.has("optimistic")
        if let hold = arguments.duration("hold") {
            let seconds = Int(clamping: hold.nanoseconds / 1_000_000_000)
            guard InventoryService.Options.holdRange.contains(seconds) else {
                throw UsageError("\(command): --hold: \(hold) is not within 1s to 24h")
            }
            options.holdSeconds = seconds
        }
        if arguments.has("demo") { options.demo = Self.demoStock }
        return options
    }

    static let demoProducts: [Product] = [
        Product(
            id: "p1", name: "Laptop", description: "14 inches, light", category: "electronics",
            price: Money(minor: 99_900)),
        Product(
            id: "p2", name: "Phone", description: "it rings", category: "electronics", price: Money(minor: 59_900)),
        Product(
            id: "p3", name: "Desk", description: "oak, 160 cm", category: "furniture", price: Money(minor: 24_000)),
        Product(
            id: "p4", name: "Designing Data-Intensive Applications", description: "by Martin Kleppmann",
            category: "books", price: Money(minor: 4_499)),
    ]
    static let demoStock = [("p1", 47), ("p2", 100), ("p3", 12), ("p4", 500)].map { (id: $0.0, count: $0.1) }
}
