import KernelStructures

/// What happened to messages lately: the last events, for whoever asks for the life of one.
public final class MessageTrace {
    /// Events that are kept; 0: none.
    public let limit: Int
    private var events = RingQueue<Event>()

    public struct Event {
        public let time: LabTime
        public let message: BrokerMessage.Name
        public let kind: Kind
        /// Where it happened: a queue, or an exchange.
        public let place: String
        /// More of it: the consumer, the reason.
        public let detail: String
    }

    public enum Kind: String, Sendable, CaseIterable {
        case published, unroutable, queued, stored, confirmed, delivered, acknowledged
        case givenBack = "given back"
        case expired, dropped, deadLettered = "dead-lettered"
    }

    init(limit: Int) { self.limit = max(0, min(1_000_000, limit)) }

    func note(_ kind: Kind, _ message: BrokerMessage, at place: String, _ detail: String = "", now: LabTime) {
        // Without a name nobody can ask for it.
        guard limit > 0, let name = message.messageID else { return }
        if events.count >= limit { _ = events.popFirst() }
        events.append(
            Event(
                time: now, message: .init(id: message.id, name: name), kind: kind, place: place, detail: detail))
    }

    /// The life of the message, or messages, of that name, oldest first.
    public func events(of name: String) -> [Event] {
        (0..<events.count).map { events[$0] }.filter { $0.message.name == name || "#\($0.message.id)" == name }
    }
}

extension BrokerMessage {
    /// What a message is called by the broker, and by its publisher.
    public struct Name: Sendable, Equatable {
        public let id: UInt64
        public let name: String
    }
}
