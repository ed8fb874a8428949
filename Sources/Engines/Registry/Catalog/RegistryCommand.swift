/// A change of the catalogue, complete in itself: whoever applies the same commands in the same order has the same
/// catalogue. It holds no times and draws no numbers; what needs them was drawn by whoever made it.
public enum RegistryCommand: Equatable, Sendable {
    /// Adds a node, an instance on it, checks of either, or replaces them. A node that is there already, and is named
    /// without an address, stays as it is.
    case register(node: CatalogNode, instance: ServiceInstance?, checks: [CatalogCheck])
    /// Takes off a check, an instance with its checks, or, without either, a node with all that is on it.
    ///
    /// - Parameter unlessAfter: not if the instance was registered again after that index.
    case deregister(node: String, instance: String?, check: String?, unlessAfter: UInt64?)
    case updateCheck(node: String, check: String, status: ServiceStatus, output: String)
    /// A change of the catalogue alone, past the agent of the node: what its agent was told differently, or not at all,
    /// anti-entropy puts right before long.
    indirect case catalogued(RegistryCommand)
    /// Somebody who uses an instance says how requests to it went.
    case report(node: String, instance: String, failures: Int, successes: Int, by: String)
    case key(KeyOperation)
    case transaction([TransactionOperation])
    case createSession(RegistrySession)
    case renewSession(String)
    case destroySession(String)
    case fire(RegistryEvent)
}

/// What can be done to keys.
public enum KeyOperation: Equatable, Sendable {
    case set(key: String, value: [UInt8], flags: UInt64)
    /// Only if it was last changed at that index; 0: only if there is none.
    case compareAndSet(key: String, value: [UInt8], flags: UInt64, index: UInt64)
    /// Takes the lock for a session.
    case acquire(key: String, value: [UInt8], flags: UInt64, session: String)
    case release(key: String, value: [UInt8], flags: UInt64, session: String)
    case delete(key: String)
    case compareAndDelete(key: String, index: UInt64)
    case deleteTree(prefix: String)
}

/// One step of a transaction: all of them happen, or none.
public enum TransactionOperation: Equatable, Sendable {
    case key(KeyOperation)
    case get(key: String)
    case getTree(prefix: String)
    case checkIndex(key: String, index: UInt64)
    case checkSession(key: String, session: String)
    case checkNotExists(key: String)
    case catalog(RegistryCommand)
}

/// What came of a command.
public enum RegistryOutcome: Equatable, Sendable {
    case done
    /// A condition that was asked for does not hold, or a lock is somebody else's.
    case unmet
    case refused(RegistryError)
    case transaction(entries: [KeyEntry], errors: [TransactionFailure])

    public struct TransactionFailure: Equatable, Sendable {
        public let operation: Int
        public let text: String
    }
}

/// What somebody can wait for.
public enum WatchTopic: Hashable, Sendable {
    /// Instances and checks of a service, whether or not there are any.
    case service(String)
    /// Which services there are, and their tags.
    case services
    case nodes
    case node(String)
    case checks
    case key(String)
    /// Any key that begins so.
    case prefix(String)
    case sessions
    case events

    /// Whether it has to do with services, or with where and how they are.
    public var concernsServices: Bool {
        switch self {
        case .service, .services, .nodes, .node, .checks: true
        case .key, .prefix, .sessions, .events: false
        }
    }
}
