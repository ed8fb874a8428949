import KernelStructures
import KernelWire

/// What `pgbouncer.ini` says.
public struct PoolerConfiguration: Equatable, Sendable {
    public private(set) var databases: [PoolerDatabase] = []
    public private(set) var users: [PoolerUser] = []
    /// What `auth_file` says, once it was read.
    public var userList: [String: String] = [:]
    /// What the files of TLS hold, by the setting that names each, once they were read.
    public var files: [String: [UInt8]] = [:]
    /// Names that were set and mean nothing here.
    public private(set) var withoutMeaning: [String] = []
    private var values: [String: String] = [:]

    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String

        public init(_ description: String) { self.description = description }
    }

    public init() {}

    // MARK: Values

    public func text(_ name: String) -> String { values[name] ?? PoolerSetting.byName[name]?.preset ?? "" }
    public func integer(_ name: String) -> Int { Int(text(name)) ?? 0 }
    public func boolean(_ name: String) -> Bool { ["1", "on", "yes", "true"].contains(text(name).lowercased()) }

    /// Zero where it is switched off.
    public func duration(_ name: String) -> LabDuration {
        LabDuration(nanoseconds: Int64((Double(text(name)) ?? 0) * 1e9))
    }

    /// Names in a list, which commas or blanks divide.
    public func list(_ name: String) -> [String] {
        text(name).split { $0 == "," || $0 == " " }.map(String.init)
    }

    public var poolMode: PoolingMode { PoolingMode(rawValue: text("pool_mode")) ?? .session }

    /// - Throws: what is wrong with name or value.
    public mutating func set(_ name: String, _ value: String) throws(Malformed) {
        guard let setting = PoolerSetting.byName[name] else {
            guard PoolerSetting.ignored.contains(name) else {
                let hint = didYouMean(name, among: PoolerSetting.all.map(\.name))
                throw Malformed("unknown setting '\(name)'\(hint)")
            }
            if !withoutMeaning.contains(name) { withoutMeaning.append(name) }
            return
        }
        if let wanted = setting.objection(to: value) { throw Malformed("\(name) = \(value): it must be \(wanted)") }
        values[name] = value
    }

    public mutating func add(_ database: PoolerDatabase) throws(Malformed) {
        guard database.name != Self.adminDatabase else { throw Malformed("database name 'pgbouncer' is reserved") }
        guard databases.count < 10_000 else { throw Malformed("more than 10000 databases") }
        databases.removeAll { $0.name == database.name }
        databases.append(database)
    }

    public mutating func add(_ user: PoolerUser) {
        users.removeAll { $0.name == user.name }
        users.append(user)
    }

    /// The database through which the pooler itself is asked.
    public static let adminDatabase = "pgbouncer"

    // MARK: What holds for whom

    /// The database of that name, or what the `*` entry makes of it.
    public func database(_ name: String) -> PoolerDatabase? {
        if let known = databases.first(where: { $0.name == name }) { return known }
        guard var other = databases.first(where: { $0.name == "*" }) else { return nil }
        other.name = name
        if other.databaseName == nil { other.databaseName = name }
        return other
    }

    public func user(_ name: String) -> PoolerUser? { users.first { $0.name == name } }

    public func poolMode(of database: PoolerDatabase, user: String) -> PoolingMode {
        self.user(user)?.poolMode ?? database.poolMode ?? poolMode
    }

    public func isAdmin(_ user: String) -> Bool { list("admin_users").contains(user) || text("auth_type") == "any" }
    public func maySeeStatistics(_ user: String) -> Bool { isAdmin(user) || list("stats_users").contains(user) }
}

/// A line of `[databases]`.
public struct PoolerDatabase: Equatable, Sendable {
    /// As clients call it.
    public var name: String
    public var server: HostPort
    /// As the server calls it; nil: the same.
    public var databaseName: String?
    /// As whom all clients go there; nil: each as who he is.
    public var user: String?
    public var password: String?
    public var poolSize: Int?
    public var minPoolSize: Int?
    public var reservePool: Int?
    public var maxConnections: Int?
    public var poolMode: PoolingMode?
    public var connectQuery: String?
    /// `client_encoding` and the like, for its servers.
    public var settings: [PostgresStartup.Parameter] = []

    public init(_ name: String, server: HostPort) {
        self.name = name
        self.server = server
    }

    public var nameAtServer: String { databaseName ?? name }
}

/// A line of `[users]`.
public struct PoolerUser: Equatable, Sendable {
    public var name: String
    public var poolMode: PoolingMode?
    public var maxConnections: Int?

    public init(_ name: String) { self.name = name }
}
