import KernelAMQP
import KernelWorld
import MessageQueueService

extension BrokerLink {
    /// Where the shop's events go.
    public static let shopExchange = "shop"

    /// A link for the shop's events.
    ///
    /// - Parameter declarations: beyond the exchange: queues and bindings.
    public convenience init(_ node: Node, _ place: BrokerPlace, declarations: [AMQPMethod] = []) {
        self.init(node, place, exchange: Self.shopExchange, declarations: declarations)
    }
}
