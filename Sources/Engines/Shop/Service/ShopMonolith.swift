import KernelService
import KernelStructures
import KernelTelemetry
import KernelWorld
import ShopKitService

/// All services of the shop on one node: where one should begin. They are the same services, with the same ports and
/// the same questions to one another; only the way is shorter, and they fall together.
public final class ShopMonolith: Service {
    public let runtime: ServiceRuntime
    public let services: [any Service]

    /// - Parameter make: makes the services on the node.
    public init(node: Node, options: ServiceOptions = ServiceOptions(), make: (Node) -> [any Service]) {
        runtime = ServiceRuntime(node: node, tag: "SHOP", options: options)
        services = make(node)
    }

    public func prepare() throws {
        var begun: [any Service] = []
        do {
            for service in services {
                try service.start()
                begun.append(service)
            }
        } catch {
            for service in begun { service.runtime.closePorts() }
            throw error
        }
    }

    public func abandonStart() { for service in services { service.runtime.closePorts() } }

    public func opened() { runtime.log("\(counted(services.count, "service", "services")) on one node") }

    public func stop(_ done: @escaping () -> Void) { drain(services[...], done) }

    private func drain(_ rest: ArraySlice<any Service>, _ done: @escaping () -> Void) {
        guard let next = rest.first else { return done() }
        next.drain { [self] in drain(rest.dropFirst(), done) }
    }

    public var complaints: [String] { services.flatMap { $0.runtime.complaints } }
    public var statistics: [Statistic] { services.flatMap(\.statistics) }
}

// Their circuits can be looked at: `breaker`.

extension InventoryService: ShopBreakers { public var shopHosts: [ShopHost] { [host] } }
extension OrderService: ShopBreakers { public var shopHosts: [ShopHost] { [host] } }
extension PaymentService: ShopBreakers { public var shopHosts: [ShopHost] { [host] } }
extension ProductService: ShopBreakers { public var shopHosts: [ShopHost] { [host] } }
extension StorefrontService: ShopBreakers { public var shopHosts: [ShopHost] { [host] } }

extension ShopMonolith: ShopBreakers {
    public var shopHosts: [ShopHost] { services.compactMap { $0 as? any ShopBreakers }.flatMap(\.shopHosts) }
}
