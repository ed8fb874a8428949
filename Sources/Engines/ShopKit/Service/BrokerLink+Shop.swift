import KernelAMQP
import KernelStructures
import KernelWorld
import MessageQueueService

extension BrokerLink {
    /// Where the shop's events go.
    public static let shopExchange = "shop"

    /// A link for the shop's events.
    ///
    /// - Parameter declarations: beyond the exchange: queues and bindings.
    public convenience init(_ node: Node, _ place: HostPort, declarations: [AMQPMethod] = []) {
        var url = AMQPURL()
        url.host = place.host
        url.port = place.port
        self.init(node, url, exchange: Self.shopExchange, declarations: declarations)
    }
}
