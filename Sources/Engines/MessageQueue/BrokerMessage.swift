import KernelAMQP
import KernelStructures

/// A message on its way through the broker: one object, however many queues it lies in.
public final class BrokerMessage {
    /// The broker's own number.
    public let id: UInt64
    public let exchange: String
    public let routingKey: String
    /// As the publisher sent them, flags first.
    public let properties: [UInt8]
    public let body: [UInt8]
    public let publishedAt: LabTime
    public let isPersistent: Bool
    public let priority: UInt8
    /// How long it may wait in a queue (milliseconds); nil: as long as the queue lets it.
    public let expirationMilliseconds: Int?
    /// What its publisher calls it; nil: nothing.
    public let messageID: String?
    /// The connection that published it, for `no-local` and for whoever asks; 0: none.
    public let publisher: UInt64
    private let memory: MemoryMeter

    /// - Parameter read: the properties, read; nil where they hold nothing but a delivery mode.
    init(
        id: UInt64, exchange: String, routingKey: String, properties: [UInt8], read: AMQPProperties?, body: [UInt8],
        isPersistent: Bool, publishedAt: LabTime, publisher: UInt64 = 0, memory: MemoryMeter
    ) {
        self.memory = memory
        self.id = id
        self.exchange = exchange
        self.routingKey = routingKey
        self.properties = properties
        self.body = body
        self.isPersistent = isPersistent
        self.publishedAt = publishedAt
        self.publisher = publisher
        priority = read?.priority ?? 0
        expirationMilliseconds = read?.expiration.flatMap(Self.expiration)
        messageID = read?.messageID
        memory.bytes += memoryBytes
    }

    deinit { memory.bytes -= memoryBytes }

    /// One that was found in the store.
    convenience init(_ stored: StoredMessage, memory: MemoryMeter) {
        self.init(
            id: stored.id, exchange: stored.exchange, routingKey: stored.routingKey, properties: stored.properties,
            read: try? AMQPProperties(encoded: stored.properties), body: stored.body, isPersistent: true,
            publishedAt: stored.publishedAt, memory: memory)
    }

    /// What length limits and management count: the body.
    public var byteCount: Int { body.count }
    /// What it takes in memory, roughly.
    private var memoryBytes: Int { body.count + properties.count + Self.overheadBytes }
    private static let overheadBytes = 256

    /// The properties, read. Those of a message that was let in can be.
    public var readProperties: AMQPProperties { (try? AMQPProperties(encoded: properties)) ?? AMQPProperties() }

    /// What people call it: its publisher's name for it, or the broker's number.
    public var displayName: String { messageID ?? "#\(id)" }

    /// Milliseconds of the `expiration` property, from 0 to ten years. A sign may stand before the digits, as for
    /// RabbitMQ.
    static func expiration(_ text: String) -> Int? {
        guard let number = Int(text), (0...QueueSettings.timeLimitMilliseconds).contains(number) else { return nil }
        return number
    }

    /// What is wrong with one that is none, in RabbitMQ's words.
    static func complaint(expiration text: String) -> String {
        let unsigned = text.dropFirst(text.hasPrefix("-") || text.hasPrefix("+") ? 1 : 0)
        let digits = unsigned.prefix { $0.isASCII && $0.isNumber }
        if digits.isEmpty { return "no_integer" }
        let rest = unsigned.dropFirst(digits.count)
        if !rest.isEmpty { return "{leftover_string,\"\(rest)\"}" }
        return text.hasPrefix("-") ? "{value_negative,-\(digits)}" : "{value_too_large,\(digits)}"
    }

    func stored(expiresAt: LabTime?) -> StoredMessage {
        StoredMessage(
            id: id, exchange: exchange, routingKey: routingKey, properties: properties, body: body,
            publishedAt: publishedAt, expiresAt: expiresAt)
    }
}
