import KernelAMQP
import KernelStructures

/// What a queue's arguments and the policy that applies to it say, checked and put together.
public struct QueueSettings: Equatable, Sendable {
    /// How long a message may wait; nil: for ever.
    public var messageTTL: LabDuration?
    /// The queue goes when nobody has used it for so long.
    public var expires: LabDuration?
    public var maxLength: Int?
    public var maxLengthBytes: Int?
    public var overflow = Overflow.dropHead
    /// Where dead messages go; nil: nowhere.
    public var deadLetterExchange: String?
    /// Their routing key; nil: the one that they came with.
    public var deadLetterRoutingKey: String?
    /// How many times a message may be given back before it is dead; nil: any number.
    public var deliveryLimit: Int?
    /// A message that was given back waits so long, elsewhere, before it comes again; nil: not at all.
    public var retryDelay: LabDuration?
    /// Levels above 0; 0: none.
    public var maxPriority = 0
    /// Only one consumer is served at a time.
    public var isSingleActiveConsumer = false
    /// How long a delivery may stay unacknowledged; nil: as the broker has it.
    public var consumerTimeout: LabDuration?
    /// What sort of queue it is.
    public var kind = Kind.classic
    /// How long a stream keeps what; nil: for ever.
    public var maxAge: LabDuration?
    /// The most of a stream that goes at a time (bytes).
    public var segmentBytes: Int?

    var streamLimits: StreamLimits {
        StreamLimits(maximumBytes: maxLengthBytes, maximumAge: maxAge, segmentBytes: segmentBytes)
    }

    public enum Overflow: String, Sendable, CaseIterable {
        case dropHead = "drop-head"
        case rejectPublish = "reject-publish"
        case rejectPublishDLX = "reject-publish-dlx"
    }

    public enum Kind: String, Sendable, CaseIterable { case classic, quorum, stream }

    /// Ten years of 365 days: the longest that any time here may be, as in RabbitMQ.
    static let timeLimitMilliseconds = 315_360_000_000

    public init() {}

    /// - Throws: the name of the argument that is wrong, and why.
    public init(arguments: AMQPTable) throws(Wrong) {
        messageTTL = try Self.duration(arguments, "x-message-ttl", minimum: 0)
        expires = try Self.duration(arguments, "x-expires", minimum: 1)
        consumerTimeout = try Self.duration(arguments, "x-consumer-timeout", minimum: 1)
        retryDelay = try Self.duration(arguments, "x-retry-delay", minimum: 1)
        maxLength = try Self.integer(arguments, "x-max-length", minimum: 0)
        maxLengthBytes = try Self.integer(arguments, "x-max-length-bytes", minimum: 0)
        deliveryLimit = try Self.integer(arguments, "x-delivery-limit", minimum: 0)
        if let value = arguments["x-dead-letter-exchange"], value.text == nil {
            throw Wrong("x-dead-letter-exchange", "", type: value.typeName)
        }
        deadLetterExchange = try Self.text(arguments, "x-dead-letter-exchange")
        deadLetterRoutingKey = try Self.text(arguments, "x-dead-letter-routing-key")
        if deadLetterRoutingKey != nil, deadLetterExchange == nil {
            throw Wrong("x-dead-letter-routing-key", "routing_key_but_no_dlx_defined")
        }
        if let number = try Self.integer(arguments, "x-max-priority", minimum: 0) {
            guard number <= 255 else { throw Wrong("x-max-priority", "{max_value_exceeded,\(number)}") }
            maxPriority = number
        }
        if let value = arguments["x-single-active-consumer"] {
            guard let flag = value.boolean else { throw Self.unacceptable("x-single-active-consumer", value) }
            isSingleActiveConsumer = flag
        }
        if let word = try Self.text(arguments, "x-overflow") {
            guard let value = Overflow(rawValue: word) else { throw Wrong("x-overflow", "invalid_overflow") }
            overflow = value
        }
        if let word = try Self.text(arguments, "x-queue-type") {
            guard let value = Kind(rawValue: word) else {
                throw Wrong("x-queue-type", "\"unsupported queue type '\(word)'\"")
            }
            kind = value
        }
        segmentBytes = try Self.integer(arguments, "x-stream-max-segment-size-bytes", minimum: 1)
        if let text = try Self.text(arguments, "x-max-age") {
            guard let age = StreamLimits.age(text) else { throw Wrong("x-max-age", "invalid_max_age") }
            maxAge = age
        }
        if kind == .stream { try refuseForStreams(arguments) }
        if kind == .quorum { try refuseForQuorum(arguments) }
    }

    /// What quorum queues do not have; RabbitMQ names the module that would have to.
    private func refuseForQuorum(_ arguments: AMQPTable) throws(Wrong) {
        for name in ["x-max-priority", "x-queue-mode", "x-max-age", "x-stream-max-segment-size-bytes"]
        where arguments[name] != nil {
            throw Wrong(name, "", queueModule: "rabbit_quorum_queue")
        }
        if overflow == .rejectPublishDLX { throw Wrong("x-overflow", "{invalid_overflow,reject-publish-dlx}") }
    }

    /// What only queues have that forget what was taken.
    private func refuseForStreams(_ arguments: AMQPTable) throws(Wrong) {
        let names = [
            "x-message-ttl", "x-expires", "x-max-length", "x-max-priority", "x-overflow", "x-delivery-limit",
            "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-single-active-consumer", "x-queue-mode",
            "x-retry-delay",
        ]
        for name in names where arguments[name] != nil {
            throw Wrong(name, "a stream has no such thing")
        }
    }

    /// An argument that cannot be.
    public struct Wrong: Error, Equatable, Sendable {
        public let argument: String
        public let reason: String
        /// The type that it has and cannot have, where that is all that is said.
        public let type: String?
        /// The sort of queue that has no such argument, where that is all that is said.
        public let queueModule: String?
        init(_ argument: String, _ reason: String, type: String? = nil, queueModule: String? = nil) {
            self.argument = argument
            self.reason = reason
            self.type = type
            self.queueModule = queueModule
        }

        /// In RabbitMQ's words.
        func text(_ resource: String) -> String {
            if let type { return "invalid type '\(type)' for arg '\(argument)' in \(resource)" }
            if let queueModule {
                return "invalid arg '\(argument)' for \(resource) of queue type \(queueModule)"
            }
            return "invalid arg '\(argument)' for \(resource): \(reason)"
        }
    }

    private static func unacceptable(_ name: String, _ value: AMQPValue) -> Wrong {
        Wrong(name, "{unacceptable_type,\(value.typeName)}")
    }

    private static func integer(_ arguments: AMQPTable, _ name: String, minimum: Int) throws(Wrong) -> Int? {
        guard let value = arguments[name] else { return nil }
        guard let number = value.integer else { throw Wrong(name, "\"expected integer, got \(value.typeName)\"") }
        if number < 0 { throw Wrong(name, "{value_negative,\(number)}") }
        if number < minimum { throw Wrong(name, "{value_zero,\(number)}") }
        return number
    }

    private static func duration(_ arguments: AMQPTable, _ name: String, minimum: Int) throws(Wrong) -> LabDuration? {
        guard let number = try integer(arguments, name, minimum: minimum) else { return nil }
        guard number <= timeLimitMilliseconds else { throw Wrong(name, "{value_too_large,\(number)}") }
        return .milliseconds(number)
    }

    private static func text(_ arguments: AMQPTable, _ name: String) throws(Wrong) -> String? {
        guard let value = arguments[name] else { return nil }
        guard case .string = value, let text = value.text else { throw unacceptable(name, value) }
        return text
    }

    /// These with what a policy says: the smaller of two limits, and an argument before a policy in all else. What the
    /// policy cannot mean is left out: it was checked when it was set.
    func adding(_ policy: AMQPTable) -> QueueSettings {
        var named = AMQPTable()
        for field in policy.fields { named.fields.append(.init("x-\(field.name)", field.value)) }
        // A policy may say a routing key alone, for queues that have the exchange as an argument.
        let routingKey = named["x-dead-letter-routing-key"]?.text
        if named["x-dead-letter-exchange"] == nil { named["x-dead-letter-routing-key"] = nil }
        guard let other = try? QueueSettings(arguments: named) else { return self }
        func least<T: Comparable>(_ a: T?, _ b: T?) -> T? { a.map { a in b.map { min(a, $0) } ?? a } ?? b }
        var result = self
        result.messageTTL = least(messageTTL, other.messageTTL)
        result.expires = least(expires, other.expires)
        result.maxLength = least(maxLength, other.maxLength)
        result.maxLengthBytes = least(maxLengthBytes, other.maxLengthBytes)
        result.maxAge = least(maxAge, other.maxAge)
        result.deliveryLimit = least(deliveryLimit, other.deliveryLimit)
        result.retryDelay = least(retryDelay, other.retryDelay)
        result.consumerTimeout = least(consumerTimeout, other.consumerTimeout)
        if overflow == .dropHead { result.overflow = other.overflow }
        if deadLetterExchange == nil { result.deadLetterExchange = other.deadLetterExchange }
        if deadLetterRoutingKey == nil { result.deadLetterRoutingKey = routingKey }
        return result
    }

    /// The arguments that RabbitMQ compares when a queue is declared again.
    static let comparedArguments = [
        "x-expires", "x-message-ttl", "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-max-length",
        "x-max-length-bytes", "x-max-priority", "x-overflow", "x-queue-mode", "x-single-active-consumer",
        "x-queue-type", "x-max-age", "x-stream-max-segment-size-bytes", "x-delivery-limit", "x-consumer-timeout",
        "x-retry-delay",
    ]
}
