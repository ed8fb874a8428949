import KernelAMQP
import KernelStructures

/// Exchanges, queues, bindings, policies and whatever else is kept under a name.
extension GroupState {
    static func parts(_ key: String) -> [Substring] { key.split(separator: "/", omittingEmptySubsequences: false) }

    func put(_ key: String, _ value: [UInt8], _ time: LabTime) -> Int {
        if definitions[key] == value { return 0 }
        var value = value
        let parts = Self.parts(key)
        let kind = parts[0]
        guard let table = try? AMQPTable(encoded: value) else { return -1 }
        if ["queue", "exchange", "binding", "policy"].contains(kind) {
            guard parts.count >= 3, parts[1] == "%2F" || definitions["vhost/\(parts[1])"] != nil else { return -1 }
        }
        switch kind {
        case "queue":
            if definitions[key] != nil { return 0 }
            guard let numbered = makeQueue(key, table, time) else { return -1 }
            value = numbered
        case "exchange": if definitions[key] != nil { return 0 }
        case "binding": guard hasEnds(parts) else { return -1 }
        case "policy":
            guard let host = table["vhost"]?.text, let policy = BrokerPolicy(table) else { return -1 }
            policies[host, default: [:]][policy.name] = policy
        default: break
        }
        definitions[key] = value
        events.append(.defined(key: key, value: value))
        if kind == "policy" { applyPolicies(parts[1]) }
        return 1
    }

    /// - Returns: its definition, which has its number; nil where the table is none of a queue.
    private func makeQueue(_ key: String, _ table: AMQPTable, _ time: LabTime) -> [UInt8]? {
        guard let host = table["vhost"]?.text, let name = table["name"]?.text else { return nil }
        lastQueue += 1
        let queue = ReplicatedQueue(
            number: Self.firstNumber + lastQueue, key: key, virtualHost: host, name: name,
            arguments: table["arguments"]?.table ?? [:], settings: QueueSettings(), usedAt: time)
        apply(to: queue)
        queues[queue.number] = queue
        byKey[key] = queue.number
        var table = table
        table["number"] = .int64(Int64(clamping: queue.number))
        return table.encoded
    }

    func apply(to queue: ReplicatedQueue) {
        let own = (try? QueueSettings(arguments: queue.arguments)) ?? QueueSettings()
        let policy = VirtualHost.policy(of: policies[queue.virtualHost] ?? [:], for: queue.name, isQueue: true)
        queue.settings = policy.map { own.adding($0.definition) } ?? own
        dropSurplus(queue)
    }

    private func applyPolicies(_ host: Substring) {
        for queue in sortedQueues where queue.key.hasPrefix("queue/\(host)/") { apply(to: queue) }
    }

    /// `binding/HOST/SOURCE/q/DESTINATION/…`
    private func hasEnds(_ parts: [Substring]) -> Bool {
        guard parts.count == 7 else { return false }
        func hasExchange(_ name: Substring) -> Bool {
            definitions["exchange/\(parts[1])/\(name)"] != nil || VirtualHost.predeclared.contains { $0.0 == name }
        }
        return hasExchange(parts[2])
            && (parts[3] == "q" ? definitions["queue/\(parts[1])/\(parts[4])"] != nil : hasExchange(parts[4]))
    }

    /// - Returns: of a queue how many messages waited in it; else 1, or 0 if there was none.
    func remove(_ key: String) -> Int {
        guard definitions[key] != nil else { return 0 }
        let parts = Self.parts(key)
        var result = 1
        switch parts[0] {
        case "queue":
            removeAll("binding/\(parts[1])/") { $0[3] == "q" && $0[4] == parts[2] }
            if let number = byKey.removeValue(forKey: key) {
                result = queues.removeValue(forKey: number)?.readyCount ?? 0
            }
        case "exchange":
            removeAll("binding/\(parts[1])/") { $0[2] == parts[2] || ($0[3] == "e" && $0[4] == parts[2]) }
        case "vhost":
            for kind in ["binding", "queue", "exchange", "policy", "permission"] {
                removeAll("\(kind)/\(parts[1])/") { _ in true }
            }
        case "policy":
            if let table = definitions[key].flatMap({ try? AMQPTable(encoded: $0) }), let host = table["vhost"]?.text,
                let name = table["name"]?.text
            {
                policies[host]?[name] = nil
            }
        default: break
        }
        definitions[key] = nil
        events.append(.undefined(key: key))
        if parts[0] == "policy" { applyPolicies(parts[1]) }
        return result
    }

    private func removeAll(_ prefix: String, _ isMeant: ([Substring]) -> Bool) {
        for key in definitions.keys.filter({ $0.hasPrefix(prefix) && isMeant(Self.parts($0)) }).sorted() {
            _ = remove(key)
        }
    }
}
