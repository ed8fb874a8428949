import KernelStructures
import Synchronization

/// Breakers by name, made when they are first asked for: one a service, or one a key (a tenant, a shard, a host).
///
/// Keys may come from outside, so the number is limited. When it is reached, the breaker that gives way is one that is
/// closed and has not been asked for lately: a hand goes round the breakers, spares once whoever was used since it last
/// came by, and passes over every circuit that is not closed, because that one knows something.
public final class CircuitBreakerRegistry: Sendable {
    private struct Entry {
        let breaker: CircuitBreaker
        let group: String
        /// Asked for again since the hand last came by. The first time does not count: most keys are seen once.
        var wasUsed = false
    }

    private struct Contents {
        var places: [String: Int] = [:]
        var entries: [Entry] = []
        var hand = 0
        var groups: [String: CircuitBreakerConfiguration]
        var listeners: [@Sendable (CircuitBreaker) -> Void] = []
    }

    private let contents: Mutex<Contents>
    private let limit: Int
    private let classifier: CallClassifier
    private let clock: (@Sendable () -> LabTime)?

    /// The configuration of breakers whose group nobody named.
    public static let defaultGroup = "default"

    /// - Parameters:
    ///   - limit: breakers that are kept, at least 1. More exist only while all of them are not closed.
    ///   - clock: as for `CircuitBreaker`.
    public init(
        _ configuration: CircuitBreakerConfiguration = .init(), limit: Int = 10_000,
        classifier: CallClassifier = .init(), clock: (@Sendable () -> LabTime)? = nil
    ) {
        contents = Mutex(Contents(groups: [Self.defaultGroup: configuration]))
        self.limit = max(1, limit)
        self.classifier = classifier
        self.clock = clock
    }

    /// The breaker of that name, which is made if there is none.
    ///
    /// - Parameter group: whose configuration it gets when it is made. An unknown one is the default.
    public func breaker(_ name: String, group: String = defaultGroup) -> CircuitBreaker {
        let (breaker, listeners) = contents.withLock { contents in
            if let place = contents.places[name] {
                contents.entries[place].wasUsed = true
                return (contents.entries[place].breaker, [@Sendable (CircuitBreaker) -> Void]())
            }
            let isKnown = contents.groups[group] != nil
            let group = isKnown ? group : Self.defaultGroup
            let made = CircuitBreaker(name, contents.groups[group]!, classifier: classifier, clock: clock)
            insert(Entry(breaker: made, group: group), name, &contents)
            return (made, contents.listeners)
        }
        for listener in listeners { listener(breaker) }
        return breaker
    }

    private func insert(_ entry: Entry, _ name: String, _ contents: inout Contents) {
        if contents.entries.count >= limit, let place = victim(&contents) {
            contents.places[contents.entries[place].breaker.name] = nil
            contents.entries[place] = entry
            contents.places[name] = place
        } else {
            contents.places[name] = contents.entries.count
            contents.entries.append(entry)
        }
    }

    /// The place of the breaker that gives way; nil if all know something.
    private func victim(_ contents: inout Contents) -> Int? {
        for _ in 0..<(2 * contents.entries.count) {
            let place = contents.hand
            contents.hand = (contents.hand + 1) % contents.entries.count
            if contents.entries[place].wasUsed {
                contents.entries[place].wasUsed = false
            } else if contents.entries[place].breaker.state == .closed {
                return place
            }
        }
        return nil
    }

    /// Called with each breaker that is made from now on, before anybody has it: the place to add listeners to all.
    public func onBreakerMade(_ action: @escaping @Sendable (CircuitBreaker) -> Void) {
        contents.withLock { $0.listeners.append(action) }
    }

    /// Gives a group another configuration: for breakers that are made later, and, at once, for those it has.
    ///
    /// - Throws: if it is not valid; nothing has changed then.
    public func configure(_ group: String = defaultGroup, _ configuration: CircuitBreakerConfiguration)
        throws(CircuitBreakerConfigurationError)
    {
        try configuration.validate()
        let members = contents.withLock { contents in
            contents.groups[group] = configuration
            return contents.entries.filter { $0.group == group }.map(\.breaker)
        }
        for breaker in members { try breaker.reconfigure(configuration) }
    }

    /// All breakers, by name.
    public var breakers: [CircuitBreaker] {
        contents.withLock { $0.entries.map(\.breaker) }.sorted { $0.name < $1.name }
    }

    /// All breakers' numbers for Prometheus.
    public var metrics: String { CircuitBreakerMetrics.page(breakers.map(\.snapshot)) }
}
