import KernelAMQP
import KernelStructures
import KernelWorld

/// Where a service's broker is, as whom it comes there, and what its connection is made secret with.
public struct BrokerPlace {
    public var url: AMQPURL
    /// Nil for `amqp://`. It belongs to one World.
    public var security: (any StreamSecurity)?

    public init(_ url: AMQPURL, security: (any StreamSecurity)? = nil) {
        self.url = url
        self.security = security
    }

    /// A broker as it is after its installation: the user `guest`, no TLS.
    public init(_ place: HostPort) {
        var url = AMQPURL()
        url.host = place.host
        url.port = place.port
        self.init(url)
    }
}
