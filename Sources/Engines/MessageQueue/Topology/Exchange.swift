import KernelAMQP
import KernelStructures

/// Where publishers send messages, and what decides which queues get them.
public final class Exchange {
    public let name: String
    public let kind: Kind
    public let isDurable: Bool
    public let isAutoDelete: Bool
    /// Only other exchanges may send to it.
    public let isInternal: Bool
    public let arguments: AMQPTable
    /// Where messages go that no binding wants; nil: nowhere.
    public private(set) var alternate: String?
    /// Bindings from here, in the order in which they were made.
    public private(set) var bindings: [Binding] = []
    /// The arguments of bindings with the same ends and key.
    private var known: [Binding.Key: [AMQPTable]] = [:]
    /// How many bindings lead where.
    private var counts: [Destination: Int] = [:]
    private var index: any BindingIndex
    /// Bindings to here.
    var incomingCount = 0
    var wasBound = false
    /// Whether the whole group has it.
    public internal(set) var isReplicated = false
    public internal(set) var publishedCount = 0
    /// Nought until it has been looked at twice.
    public internal(set) var rates = CounterWindow(0, now: LabTime(nanoseconds: 0))

    public enum Kind: String, Sendable, CaseIterable { case direct, fanout, topic, headers }

    init(
        _ name: String, _ kind: Kind, isDurable: Bool, isAutoDelete: Bool = false, isInternal: Bool = false,
        arguments: AMQPTable = [:]
    ) {
        self.name = name
        self.kind = kind
        self.isDurable = isDurable
        self.isAutoDelete = isAutoDelete
        self.isInternal = isInternal
        self.arguments = arguments
        alternate = arguments["alternate-exchange"]?.text
        index =
            switch kind {
            case .direct: DirectIndex()
            case .fanout: FanoutIndex()
            case .topic: TopicIndex()
            case .headers: HeadersIndex()
            }
    }

    /// What a policy says; an argument comes before it.
    func apply(policy: AMQPTable) {
        alternate = arguments["alternate-exchange"]?.text ?? policy["alternate-exchange"]?.text
    }

    /// - Returns: false if there is such a binding already.
    func add(_ binding: Binding) -> Bool {
        let alike = known[binding.key] ?? []
        guard !alike.contains(binding.arguments) else { return false }
        known[binding.key] = alike + [binding.arguments]
        bindings.append(binding)
        counts[binding.destination, default: 0] += 1
        index.add(binding)
        wasBound = true
        return true
    }

    /// - Returns: what was removed; nil: there was none.
    func remove(_ binding: Binding) -> Binding? {
        guard let place = bindings.firstIndex(where: { $0.isSame(as: binding) }) else { return nil }
        let removed = bindings.remove(at: place)
        forget(removed)
        return removed
    }

    func leads(to destination: Destination) -> Bool { counts[destination] != nil }

    /// Removes all that lead to that destination.
    func removeAll(to destination: Destination) -> [Binding] {
        if !leads(to: destination) { return [] }
        let gone = bindings.filter { $0.destination == destination }
        if gone.isEmpty { return [] }
        bindings.removeAll { $0.destination == destination }
        for binding in gone { forget(binding) }
        return gone
    }

    private func forget(_ binding: Binding) {
        let count = counts[binding.destination] ?? 0
        counts[binding.destination] = count > 1 ? count - 1 : nil
        index.remove(binding)
        let left = (known[binding.key] ?? []).filter { $0 != binding.arguments }
        known[binding.key] = left.isEmpty ? nil : left
    }

    /// Calls `found` for each binding that wants such a message.
    func matches(_ routingKey: String, headers: () -> AMQPTable, _ found: (Destination) -> Void) {
        index.matches(routingKey, headers: headers, found)
    }

    /// Whether it goes now that its last binding has gone.
    var isAbandoned: Bool { isAutoDelete && wasBound && bindings.isEmpty }
}

/// Where a binding leads.
public enum Destination: Hashable, Sendable {
    case queue(String)
    case exchange(String)

    public var name: String {
        switch self {
        case .queue(let name), .exchange(let name): name
        }
    }
    public var isQueue: Bool { if case .queue = self { true } else { false } }
}

/// A rule of an exchange: what goes where.
public struct Binding: Equatable, Sendable {
    public let source: String
    public let destination: Destination
    public let routingKey: String
    public let arguments: AMQPTable
    /// Under which it is stored; 0: it is not.
    var storeNumber: UInt64 = 0

    init(source: String, destination: Destination, routingKey: String, arguments: AMQPTable) {
        self.source = source
        self.destination = destination
        self.routingKey = routingKey
        // The order in which a client's library writes them means nothing.
        var sorted = arguments
        sorted.fields.sort { $0.name < $1.name }
        self.arguments = sorted
    }

    struct Key: Hashable {
        let destination: Destination
        let routingKey: String
    }
    var key: Key { Key(destination: destination, routingKey: routingKey) }

    func isSame(as other: Binding) -> Bool { key == other.key && arguments == other.arguments }
}

/// Finds the bindings of an exchange that want a message.
protocol BindingIndex {
    mutating func add(_ binding: Binding)
    mutating func remove(_ binding: Binding)
    /// Calls `found` for each, some perhaps several times.
    func matches(_ routingKey: String, headers: () -> AMQPTable, _ found: (Destination) -> Void)
}

/// By the whole routing key.
struct DirectIndex: BindingIndex {
    private var byKey: [String: [Destination]] = [:]

    mutating func add(_ binding: Binding) { byKey[binding.routingKey, default: []].append(binding.destination) }

    mutating func remove(_ binding: Binding) {
        guard var left = byKey[binding.routingKey] else { return }
        if let index = left.firstIndex(of: binding.destination) { left.remove(at: index) }
        byKey[binding.routingKey] = left.isEmpty ? nil : left
    }

    func matches(_ routingKey: String, headers: () -> AMQPTable, _ found: (Destination) -> Void) {
        for destination in byKey[routingKey] ?? [] { found(destination) }
    }
}

/// All of them.
struct FanoutIndex: BindingIndex {
    private var destinations: [Destination] = []

    mutating func add(_ binding: Binding) { destinations.append(binding.destination) }
    mutating func remove(_ binding: Binding) {
        if let index = destinations.firstIndex(of: binding.destination) { destinations.remove(at: index) }
    }
    func matches(_ routingKey: String, headers: () -> AMQPTable, _ found: (Destination) -> Void) {
        for destination in destinations { found(destination) }
    }
}

/// By headers: `x-match` says whether all or any of the binding's arguments have to be there; arguments that begin with
/// `x-` count only for the kinds that end in `-with-x`.
struct HeadersIndex: BindingIndex {
    private var bindings: [Binding] = []

    mutating func add(_ binding: Binding) { bindings.append(binding) }
    mutating func remove(_ binding: Binding) {
        if let index = bindings.firstIndex(where: { $0.isSame(as: binding) }) { bindings.remove(at: index) }
    }

    static let kinds = ["all", "any", "all-with-x", "any-with-x"]

    func matches(_ routingKey: String, headers: () -> AMQPTable, _ found: (Destination) -> Void) {
        if bindings.isEmpty { return }
        var values: [String: AMQPValue] = [:]
        for field in headers().fields where values[field.name] == nil { values[field.name] = field.value }
        for binding in bindings where Self.accepts(binding.arguments, values) { found(binding.destination) }
    }

    private static func accepts(_ arguments: AMQPTable, _ headers: [String: AMQPValue]) -> Bool {
        let kind = arguments["x-match"]?.text ?? "all"
        let countsX = kind.hasSuffix("-with-x")
        let wantsAny = kind.hasPrefix("any")
        for field in arguments.fields where field.name != "x-match" && (countsX || !field.name.hasPrefix("x-")) {
            // An argument without a value asks only whether the header is there.
            let holds = headers[field.name].map { field.value == .void || field.value.isEquivalent(to: $0) } ?? false
            if holds, wantsAny { return true }
            if !holds, !wantsAny { return false }
        }
        return !wantsAny
    }
}
