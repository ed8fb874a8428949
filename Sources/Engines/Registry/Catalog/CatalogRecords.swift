import KernelStructures

/// How well a check, an instance or a node is; the worse ones are greater.
public enum ServiceStatus: String, Sendable, CaseIterable, Comparable {
    case passing, warning, critical

    public static func < (a: ServiceStatus, b: ServiceStatus) -> Bool { a.rank < b.rank }
    private var rank: Int { self == .passing ? 0 : self == .warning ? 1 : 2 }
}

/// A machine on which services run.
public struct CatalogNode: Equatable, Sendable {
    public var name: String
    /// A UUID, or empty.
    public var id = ""
    public var address: String
    public var taggedAddresses: [String: String] = [:]
    public var meta: [String: String] = [:]
    public internal(set) var createIndex: UInt64 = 0
    public internal(set) var modifyIndex: UInt64 = 0

    public init(name: String, address: String) {
        self.name = name
        self.address = address
    }
}

/// One running copy of a service.
public struct ServiceInstance: Equatable, Sendable {
    public var node: String
    /// Unique on its node.
    public var id: String
    public var name: String
    public var tags: [String] = []
    /// Empty: the node's.
    public var address = ""
    public var port = 0
    public var meta: [String: String] = [:]
    /// For SRV answers: while it is passing, and while it warns.
    public var passingWeight = 1
    public var warningWeight = 1
    public var allowsTagOverride = false
    public internal(set) var createIndex: UInt64 = 0
    public internal(set) var modifyIndex: UInt64 = 0

    public init(node: String, id: String, name: String) {
        self.node = node
        self.id = id
        self.name = name
    }

    public var key: InstanceKey { InstanceKey(node: node, id: id) }
}

/// Who an instance, or a check, is: its node, and its id there.
public struct InstanceKey: Hashable, Sendable {
    public let node: String
    public let id: String
    public init(node: String, id: String) {
        self.node = node
        self.id = id
    }
}

/// What is known of the health of an instance or, without a service, of a node.
public struct CatalogCheck: Equatable, Sendable {
    public var node: String
    /// Unique on its node.
    public var id: String
    public var name: String
    public var status = ServiceStatus.critical
    public var notes = ""
    /// What the last check that changed the status said.
    public var output = ""
    /// Empty: it is about the node.
    public var serviceID = ""
    public var serviceName = ""
    /// How it is found out; nil for those that somebody else reports.
    public var definition: CheckDefinition?
    public internal(set) var createIndex: UInt64 = 0
    public internal(set) var modifyIndex: UInt64 = 0

    public init(node: String, id: String, name: String) {
        self.node = node
        self.id = id
        self.name = name
    }

    public var key: InstanceKey { InstanceKey(node: node, id: id) }

    /// By which Consul's clients know the check that takes an instance, or a node, out of service on purpose.
    ///
    /// - Parameter instance: its id; empty for the node.
    public static func maintenanceID(of instance: String) -> String {
        instance.isEmpty ? "_node_maintenance" : "_service_maintenance:\(instance)"
    }
    public var isMaintenance: Bool { id == Self.maintenanceID(of: serviceID) }
    /// In one word: `http`, `ttl` …; empty for those that somebody else reports.
    public var kind: String { definition?.kind.word ?? "" }
}

/// How a check is made.
public struct CheckDefinition: Equatable, Sendable {
    public enum Kind: Equatable, Sendable {
        /// Asks a URL: 2xx is passing, 429 warning, all else critical.
        case http(url: String, method: String, fields: [String: String], body: String)
        /// Opens a connection.
        case tcp(String)
        /// Waits to be told, and is critical if nobody does within `interval`.
        case ttl
        /// Is as well as another service on the same node (or, without one, as that node).
        case alias(node: String, service: String)
        /// Hears from those who use the service how their requests went.
        case passive

        public var word: String {
            switch self {
            case .http: "http"
            case .tcp: "tcp"
            case .ttl: "ttl"
            case .alias: "alias"
            case .passive: "passive"
            }
        }
    }

    public var kind: Kind
    /// Between two checks; of `ttl`, how long a word is good for.
    public var interval: LabDuration
    public var timeout = LabDuration.seconds(10)
    /// Results in a row that it takes to change the status; 0 counts as 1.
    public var successesBeforePassing = 0
    public var failuresBeforeWarning: Int?
    public var failuresBeforeCritical = 0
    /// An instance that has been critical for so long is taken off the catalogue; nil: never.
    public var deregistersAfter: LabDuration?

    public init(_ kind: Kind, interval: LabDuration) {
        self.kind = kind
        self.interval = interval
    }
}

/// A value in the key-value store.
public struct KeyEntry: Equatable, Sendable {
    public var key: String
    public var value: [UInt8]
    /// A number that means whatever its owner wants.
    public var flags: UInt64 = 0
    /// The session that holds it as a lock.
    public var session: String?
    /// How often it was acquired.
    public var lockIndex: UInt64 = 0
    public internal(set) var createIndex: UInt64 = 0
    public internal(set) var modifyIndex: UInt64 = 0

    public init(key: String, value: [UInt8]) {
        self.key = key
        self.value = value
    }
}

/// Somebody who holds locks for as long as they are well.
public struct RegistrySession: Equatable, Sendable {
    public enum Behavior: String, Sendable { case release, delete }

    public var id: String
    public var name = ""
    public var node: String
    /// Checks of its node; the session ends when one of them is critical or gone.
    public var checks: [String] = []
    /// What becomes of its locks when it ends.
    public var behavior = Behavior.release
    /// It ends if it is not renewed for so long; nil: it need not be.
    public var ttl: LabDuration?
    /// How long nobody may take a lock that it lost.
    public var lockDelay = LabDuration.seconds(15)
    public internal(set) var createIndex: UInt64 = 0
    public internal(set) var modifyIndex: UInt64 = 0

    public init(id: String, node: String) {
        self.id = id
        self.node = node
    }
}

/// Something that somebody wanted all to hear.
public struct RegistryEvent: Equatable, Sendable {
    public var id: String
    public var name: String
    public var payload: [UInt8] = []
    public var nodeFilter = ""
    public var serviceFilter = ""
    public var tagFilter = ""
    public internal(set) var index: UInt64 = 0

    public init(id: String, name: String) {
        self.id = id
        self.name = name
    }
}

/// Why something was not done, for whoever asked.
public struct RegistryError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Kind: String, Sendable { case malformed, missing, refused, full, unavailable }
    public let kind: Kind
    public let description: String
    public let remedy: String?

    public init(_ kind: Kind, _ description: String, remedy: String? = nil) {
        self.kind = kind
        self.description = description
        self.remedy = remedy
    }
}

/// How much there may be of everything: beyond, whoever wants more is told so.
public enum RegistryLimits {
    public static let nodes = 10_000
    public static let instances = 100_000
    public static let checks = 200_000
    public static let keys = 200_000
    public static let sessions = 20_000
    /// Bytes of one value, as Consul has it.
    public static let valueBytes = 512 * 1024
    public static let keyBytes = 2048
    /// Bytes of all keys and values.
    public static let storeBytes = 256 << 20
    /// Operations of one transaction, as Consul has it.
    public static let transactionOperations = 128
    public static let events = 256
    public static let tags = 256
    public static let metaPairs = 64
    /// Bytes of a name, an id, a tag or a piece of metadata.
    public static let wordBytes = 512
    /// Names and keys that are gone and whose last index is remembered.
    public static let tombstones = 10_000
}
