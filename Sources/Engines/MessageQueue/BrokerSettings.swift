import KernelAMQP
import KernelStructures

/// What an operator may settle about a broker. Defaults are RabbitMQ's, where it has them.
public struct BrokerSettings: Sendable {
    /// The most that is offered to a client: channels of a connection.
    public var channelMax: UInt16 = 2047
    /// The most that is offered to a client (bytes of a frame).
    public var frameMax: UInt32 = 131_072
    /// What is offered to a client; zero: none (seconds).
    public var heartbeatSeconds: UInt16 = 60
    /// Bytes of one message's body.
    public var messageSizeLimit = 128 << 20
    /// Bytes of messages in memory from which publishers are told to wait.
    public var memoryLimitBytes = 1 << 30
    /// A delivery has so long to be acknowledged, where queue and consumer say nothing; nil: for ever.
    public var consumerTimeout: LabDuration?
    /// Messages of a queue that stay in memory where the rest can be read back from the store.
    public var windowCount = 4096
    /// Bytes of a queue's messages that stay in memory where the rest can be read back.
    public var windowBytes = 8 << 20
    /// How many things of one kind (queues, exchanges, bindings of an exchange, consumers of a channel) there may be.
    public var objectLimit = 100_000
    /// As management shows it.
    public var nodeName = "rabbit@sdlab"
    /// Events of messages that are remembered for whoever asks; 0: none.
    public var traceLimit = 10_000

    public init() {}

    /// How the broker introduces itself. Clients choose what they ask of it by product and version.
    public var serverProperties: AMQPTable {
        [
            "capabilities": .table([
                "publisher_confirms": .boolean(true), "exchange_exchange_bindings": .boolean(true),
                "basic.nack": .boolean(true), "consumer_cancel_notify": .boolean(true),
                "connection.blocked": .boolean(true), "consumer_priorities": .boolean(true),
                "authentication_failure_close": .boolean(true), "per_consumer_qos": .boolean(true),
                "direct_reply_to": .boolean(true),
            ]),
            "cluster_name": .string(nodeName), "product": "RabbitMQ", "version": "3.10.8", "platform": "sdlab",
            "copyright": "", "information": "A broker of the system design lab, in RabbitMQ's manner",
        ]
    }
}

extension AMQPValue: ExpressibleByStringLiteral {
    public init(stringLiteral value: String) { self = .string(value) }
}

/// Who may do what. The open one lets `guest` in with its password, and lets it do everything.
public protocol BrokerAccess: AnyObject {
    /// - Returns: the user's name; nil: these credentials are refused.
    func authenticate(user: String, password: String) -> String?
    func mayEnter(_ user: String, virtualHost: String) -> Bool
    func allows(_ user: String, _ permission: BrokerPermission, on name: String, virtualHost: String) -> Bool
    /// Whether everybody may do everything, so that nobody need be asked.
    var isOpen: Bool { get }
}

public enum BrokerPermission: String, Sendable { case configure, write, read }

/// One user, `guest`, who may do everything.
public final class OpenAccess: BrokerAccess {
    public init() {}
    public func authenticate(user: String, password: String) -> String? {
        user == "guest" && password == "guest" ? user : nil
    }
    public func mayEnter(_ user: String, virtualHost: String) -> Bool { true }
    public func allows(_ user: String, _ permission: BrokerPermission, on name: String, virtualHost: String) -> Bool {
        true
    }
    public var isOpen: Bool { true }
}
