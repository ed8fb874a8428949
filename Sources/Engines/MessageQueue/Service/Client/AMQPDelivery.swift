import KernelAMQP

/// Why a client's connection, channel or question came to nothing.
public enum AMQPClientFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// The connection was never made.
    case notConnected(String)
    /// It ended before the answer came.
    case closed(String)
    /// The broker refused, and closed the channel or the connection.
    case refused(code: UInt16, text: String)
    /// The other side does not speak AMQP 0-9-1.
    case malformed(String)

    public var description: String {
        switch self {
        case .notConnected(let reason): reason
        case .closed(let reason): "the connection ended (\(reason))"
        case .refused(_, let text): text
        case .malformed(let reason): "the server does not speak AMQP 0-9-1: \(reason)"
        }
    }
}

/// A message as a client gets it.
public struct AMQPDelivery: Sendable {
    public let channel: UInt16
    /// nil: it was asked for.
    public let consumerTag: String?
    public let deliveryTag: UInt64
    public let isRedelivered: Bool
    public let exchange: String
    public let routingKey: String
    public internal(set) var properties = AMQPProperties()
    public internal(set) var body: [UInt8] = []
    /// Of `basic.get`: how many more wait.
    public internal(set) var remaining = 0
    /// It came back because nobody wanted it (`basic.return`).
    public internal(set) var isReturn = false
}
