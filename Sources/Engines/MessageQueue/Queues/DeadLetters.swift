import KernelAMQP
import KernelStructures

/// A message that a queue could not get rid of in the ordinary way.
struct DeadLetter {
    let message: BrokerMessage
    let reason: Reason
    let queue: BrokerQueue
    /// Its place in the queue, which is settled once it has gone elsewhere; nil: it never had one.
    var entry: QueueEntry?

    enum Reason: String, Sendable {
        case rejected, expired
        case maxLength = "maxlen"
        case deliveryLimit = "delivery_limit"

        /// What it is called where there is nowhere for it to go.
        var withoutExchange: MessageTrace.Kind { self == .expired ? .expired : .dropped }
    }
}

extension Broker {
    /// Sends dead letters on their way, and those that become of them in turn. A list and not a recursion: a chain of
    /// queues may be as long as somebody likes.
    func routeDeadLetters() {
        while let letter = pendingDeadLetters.popFirst() { route(letter) }
    }

    private func route(_ letter: DeadLetter) {
        defer { if let entry = letter.entry { letter.queue.settle(entry) } }
        let (copy, targets) = destinations(of: letter)
        if let copy { for target in targets { _ = target.publish(copy) } }
    }

    /// What becomes of a dead letter, and where that goes; nil: nothing, nowhere.
    func destinations(of letter: DeadLetter) -> (copy: BrokerMessage?, targets: [BrokerQueue]) {
        let queue = letter.queue
        guard let name = queue.settings.deadLetterExchange, let exchange = queue.virtualHost.exchanges[name] else {
            trace.note(letter.reason.withoutExchange, letter.message, at: queue.name, now: now)
            return (nil, [])
        }
        counters.deadLettered += 1
        queue.counters.deadLettered += 1
        let message = letter.message
        var properties = message.readProperties
        var headers = properties.headers ?? [:]
        var keys = [queue.settings.deadLetterRoutingKey ?? message.routingKey]
        if queue.settings.deadLetterRoutingKey == nil {
            keys += Self.carbonCopies(headers)
        }
        note(letter, in: &headers, expiration: properties.expiration)
        if queue.settings.deadLetterRoutingKey != nil { headers["CC"] = nil }
        properties.headers = headers
        properties.expiration = nil
        let copy = BrokerMessage(
            id: numbers.nextMessage(), exchange: name, routingKey: keys[0], properties: properties.encoded,
            read: properties, body: message.body, isPersistent: message.isPersistent, publishedAt: now,
            publisher: message.publisher, memory: memory)
        trace.note(.deadLettered, message, at: queue.name, letter.reason.rawValue, now: now)
        let targets = queue.virtualHost.route(exchange, keys, headers: { headers }).filter { target in
            // What went round by itself, without anybody rejecting it, would go round for ever.
            letter.reason == .rejected || !Self.isCycle(target.name, Self.deaths(headers))
        }
        return (copy, targets)
    }

    private static func deaths(_ headers: AMQPTable) -> [AMQPValue] { headers["x-death"]?.array ?? [] }

    static func carbonCopies(_ headers: AMQPTable) -> [String] {
        (headers["CC"]?.array ?? []).compactMap(\.text)
    }

    /// Whether the message has been in that queue, and came here from there without being rejected on the way.
    static func isCycle(_ queue: String, _ deaths: [AMQPValue]) -> Bool {
        guard let place = deaths.firstIndex(where: { $0.table?["queue"]?.text == queue }) else { return false }
        return deaths[...place].allSatisfy { $0.table?["reason"]?.text != DeadLetter.Reason.rejected.rawValue }
    }

    /// Writes the death into `x-death`, newest first; one of the same queue and reason is counted.
    private func note(_ letter: DeadLetter, in headers: inout AMQPTable, expiration: String?) {
        var deaths = headers["x-death"]?.array ?? []
        let queue = letter.queue.name
        let reason = letter.reason.rawValue
        let place = deaths.firstIndex {
            $0.table?["queue"]?.text == queue && $0.table?["reason"]?.text == reason
        }
        if let place, var death = deaths[place].table {
            deaths.remove(at: place)
            let count = death["count"]?.integer ?? 0
            death["count"] = .int64(Int64(clamping: count < Int.max ? count + 1 : count))
            deaths.insert(.table(death), at: 0)
        } else {
            var death: AMQPTable = [
                "count": .int64(1), "reason": .string(reason), "queue": .string(queue),
                "time": .timestamp(UInt64(clamping: now.unixSeconds)), "exchange": .string(letter.message.exchange),
                "routing-keys": .array(
                    [.string(letter.message.routingKey)]
                        + Self.carbonCopies(headers).map { AMQPValue.string($0) }),
            ]
            if let expiration { death["original-expiration"] = .string(expiration) }
            deaths.insert(.table(death), at: 0)
            if deaths.count > Self.deathLimit { deaths.removeLast() }
        }
        headers["x-death"] = .array(deaths)
        if headers["x-first-death-reason"] == nil {
            headers["x-first-death-reason"] = .string(reason)
            headers["x-first-death-queue"] = .string(queue)
            headers["x-first-death-exchange"] = .string(letter.message.exchange)
        }
    }

    /// Deaths that a message carries with it.
    private static let deathLimit = 256
}
