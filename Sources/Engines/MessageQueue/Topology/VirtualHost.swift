import KernelAMQP

/// A world of names of its own: exchanges, queues and policies.
public final class VirtualHost {
    public let name: String
    public internal(set) var exchanges: [String: Exchange] = [:]
    public internal(set) var queues: [String: BrokerQueue] = [:]
    public internal(set) var policies: [String: BrokerPolicy] = [:]
    let defaultExchange: Exchange

    init(_ name: String) {
        self.name = name
        defaultExchange = Exchange("", .direct, isDurable: true)
        exchanges[""] = defaultExchange
        for (name, kind, isInternal) in Self.predeclared {
            exchanges[name] = Exchange(name, kind, isDurable: true, isInternal: isInternal)
        }
    }

    static let predeclared: [(String, Exchange.Kind, isInternal: Bool)] = [
        ("amq.direct", .direct, false), ("amq.fanout", .fanout, false), ("amq.topic", .topic, false),
        ("amq.headers", .headers, false), ("amq.match", .headers, false), ("amq.rabbitmq.trace", .topic, true),
    ]

    /// By name.
    public var sortedQueues: [BrokerQueue] { queues.values.sorted { $0.name < $1.name } }
    /// By name.
    public var sortedExchanges: [Exchange] { exchanges.values.sorted { $0.name < $1.name } }

    /// As error texts call something of that name: `queue 'orders' in vhost '/'`.
    func resource(_ kind: String, _ name: String) -> String { "\(kind) '\(name)' in vhost '\(self.name)'" }

    // MARK: Routing

    /// The queues that get a message, each once, in the order in which they were found.
    ///
    /// An exchange that no binding of wants it hands it to its alternate exchange. Each exchange is asked once, so
    /// exchanges that lead to one another in a circle do no harm.
    func route(_ exchange: Exchange, _ routingKeys: [String], headers: () -> AMQPTable) -> [BrokerQueue] {
        if exchange === defaultExchange, routingKeys.count == 1 {
            return queues[routingKeys[0]].map { [$0] } ?? []
        }
        var result: [BrokerQueue] = []
        var seen: Set<UInt64> = []
        var asked: Set<String> = [exchange.name]
        var waiting = [exchange]
        var next = 0
        while next < waiting.count {
            let exchange = waiting[next]
            next += 1
            var isWanted = false
            func found(_ destination: Destination) {
                isWanted = true
                switch destination {
                case .queue(let name):
                    if let queue = queues[name], seen.insert(queue.number).inserted { result.append(queue) }
                case .exchange(let name):
                    if let other = exchanges[name], asked.insert(name).inserted { waiting.append(other) }
                }
            }
            for key in routingKeys {
                if exchange === defaultExchange {
                    if queues[key] != nil { found(.queue(key)) }
                } else {
                    exchange.matches(key, headers: headers, found)
                }
            }
            if !isWanted, let alternate = exchange.alternate { found(.exchange(alternate)) }
        }
        return result
    }

    // MARK: Policies

    /// The policy that applies to something of that name: the one of the highest priority whose pattern fits.
    func policy(for name: String, isQueue: Bool) -> BrokerPolicy? {
        Self.policy(of: policies, for: name, isQueue: isQueue)
    }

    static func policy(of policies: [String: BrokerPolicy], for name: String, isQueue: Bool) -> BrokerPolicy? {
        policies.values.filter { $0.applies(to: name, isQueue: isQueue) }
            .max { ($0.priority, $1.name) < ($1.priority, $0.name) }
    }
}
