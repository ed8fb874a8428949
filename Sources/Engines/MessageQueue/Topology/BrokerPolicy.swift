import KernelAMQP
import KernelRegularExpressions

/// Settings for all queues or exchanges whose names fit a pattern: what an operator can change without the clients.
public struct BrokerPolicy {
    public let name: String
    public let pattern: String
    public let target: Target
    /// Of several that fit, the highest counts.
    public let priority: Int
    /// Names without `x-`: `message-ttl`, `max-length`, `dead-letter-exchange`.
    public let definition: AMQPTable
    private let expression: RegularExpression

    public enum Target: String, Sendable, CaseIterable { case queues, exchanges, all }

    /// What is wrong with a policy.
    public struct Wrong: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    static let names = [
        "message-ttl", "expires", "max-length", "max-length-bytes", "overflow", "dead-letter-exchange",
        "dead-letter-routing-key", "delivery-limit", "retry-delay", "consumer-timeout", "alternate-exchange",
        "queue-mode", "max-age",
        "max-in-memory-length", "max-in-memory-bytes", "queue-version", "ha-mode", "ha-params", "ha-sync-mode",
    ]

    /// - Throws: `Wrong`, in words for an operator.
    public init(
        name: String, pattern: String, target: Target = .all, priority: Int = 0, definition: AMQPTable
    ) throws(Wrong) {
        guard !name.isEmpty else { throw Wrong(description: "a policy needs a name") }
        guard !definition.isEmpty else { throw Wrong(description: "a policy must set something") }
        for field in definition.fields where !Self.names.contains(field.name) {
            throw Wrong(description: "[{<<\"\(field.name)\">>,not_recognised}] are not recognised policy settings")
        }
        var arguments = AMQPTable()
        for field in definition.fields { arguments.fields.append(.init("x-\(field.name)", field.value)) }
        if arguments["x-dead-letter-exchange"] == nil { arguments["x-dead-letter-routing-key"] = nil }
        do throws(QueueSettings.Wrong) { _ = try QueueSettings(arguments: arguments) } catch {
            throw Wrong(description: "\(error.argument.dropFirst(2)): \(error.reason)")
        }
        do { expression = try RegularExpression(pattern) } catch {
            throw Wrong(description: "the pattern '\(pattern)' is no regular expression: \(error)")
        }
        self.name = name
        self.pattern = pattern
        self.target = target
        self.priority = priority
        self.definition = definition
    }

    /// One that was kept; nil where the table is none of `table`.
    init?(_ table: AMQPTable) {
        guard let name = table["name"]?.text, let pattern = table["pattern"]?.text,
            let definition = table["definition"]?.table,
            let policy = try? BrokerPolicy(
                name: name, pattern: pattern, target: table["apply_to"]?.text.flatMap(Target.init) ?? .all,
                priority: table["priority"]?.integer ?? 0, definition: definition)
        else { return nil }
        self = policy
    }

    /// As it is kept.
    func table(in host: VirtualHost) -> AMQPTable {
        [
            "vhost": .string(host.name), "name": .string(name), "pattern": .string(pattern),
            "apply_to": .string(target.rawValue), "priority": .int64(Int64(priority)),
            "definition": .table(definition),
        ]
    }

    func applies(to name: String, isQueue: Bool) -> Bool {
        guard target == .all || (target == .queues) == isQueue else { return false }
        return expression.matches(name)
    }
}
