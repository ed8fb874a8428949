import KernelAMQP
import KernelCryptography
import KernelRegularExpressions
import KernelStructures
import KernelWorld
import MessageQueueEngine

/// Who may log in, and what they may do then: users with hashed passwords, and their permissions for each virtual
/// host.
///
/// A password is kept as RabbitMQ keeps it, so that definitions can be carried from one to the other: four bytes of
/// salt and the SHA-256 of salt and password, in Base64. It is quick to compute, for whoever stole it, too: passwords
/// of brokers should be long ones that a machine has made.
public final class BrokerUsers: BrokerAccess {
    private let store: any MessageStore
    private let draw: () -> UInt64
    private var isShared = false
    private var users: [String: User] = [:]
    /// By virtual host, then by user.
    private var permissions: [String: [String: Permission]] = [:]
    /// The broker is one of a group: what is changed is told to all of them, and what others have changed comes by
    /// `follow`. It holds here at once, and on the others once they have heard of it.
    public var group: BrokerGroup?

    public struct User: Sendable, Equatable {
        public let name: String
        /// Base64 of salt and digest; empty: no password fits.
        public var passwordHash: String
        public var algorithm: Algorithm
        public var tags: [String]
    }

    public enum Algorithm: String, Sendable, CaseIterable {
        case sha256 = "rabbit_password_hashing_sha256"
        case sha512 = "rabbit_password_hashing_sha512"

        var digest: MessageDigest { self == .sha256 ? .sha256 : .sha512 }
    }

    /// Patterns of names that a user may create and delete, write to, and read from.
    public struct Permission {
        public let configure: String
        public let write: String
        public let read: String
        private let expressions: [RegularExpression]

        /// - Throws: `RegularExpressionError`.
        public init(configure: String, write: String, read: String) throws {
            self.configure = configure
            self.write = write
            self.read = read
            // An empty pattern fits nothing.
            expressions = try [configure, write, read].map { try RegularExpression($0.isEmpty ? "^$" : $0) }
        }

        func allows(_ permission: BrokerPermission, on name: String) -> Bool {
            switch permission {
            case .configure: expressions[0].matches(name)
            case .write: expressions[1].matches(name)
            case .read: expressions[2].matches(name)
            }
        }

        var allowsAll: Bool { configure == ".*" && write == ".*" && read == ".*" }
    }

    /// - Parameter draw: chance for salts.
    public init(store: any MessageStore, draw: @escaping () -> UInt64) {
        self.store = store
        self.draw = draw
    }

    /// Takes over what the store has kept. A broker that nobody has used knows `guest`, whose password is `guest`.
    public func restore(_ definitions: [(key: String, value: [UInt8])]) {
        for (key, value) in definitions {
            guard let table = try? AMQPTable(encoded: value) else { continue }
            if key.hasPrefix("user/") { restoreUser(table) }
            if key.hasPrefix("permission/") { restorePermission(table) }
        }
        if users.isEmpty, !definitions.contains(where: { $0.key == "users" }), group?.knows("users") != true {
            let group = group
            // Each member of a group begins so, and need not tell.
            self.group = nil
            defer { self.group = group }
            if group == nil { store.put("users", ([:] as AMQPTable).encoded) }
            set("guest", password: "guest", tags: ["administrator"])
            if let all = try? Permission(configure: ".*", write: ".*", read: ".*") { set(all, for: "guest", in: "/") }
        }
    }

    /// The group has something, or (nil) has it no more.
    func follow(_ key: String, _ table: AMQPTable?) {
        let parts = key.split(separator: "/", omittingEmptySubsequences: false).map {
            String($0).replacing("%2F", with: "/").replacing("%25", with: "%")
        }
        switch (parts[0], table) {
        case ("user", let table?): restoreUser(table)
        case ("permission", let table?): restorePermission(table)
        case ("user", nil): if parts.count == 2 { users[parts[1]] = nil }
        case ("permission", nil): if parts.count == 3 { permissions[parts[1]]?[parts[2]] = nil }
        default: break
        }
    }

    private func keep(_ key: String, _ table: AMQPTable) {
        guard let group else { return store.put(key, table.encoded) }
        shareAll(group)
        group.share(key, table)
    }

    private func forget(_ key: String) {
        guard let group else { return store.remove(key) }
        shareAll(group)
        group.unshare(key)
    }

    /// The first change tells the group of everybody whom this member knows.
    private func shareAll(_ group: BrokerGroup) {
        guard !group.knows("users"), !isShared else { return }
        isShared = true
        group.share("users", [:])
        for user in sortedUsers { group.share(key("user", user.name), Self.table(user)) }
        for entry in sortedPermissions {
            group.share(
                key("permission", entry.host, entry.user), Self.table(entry.permission, entry.user, entry.host))
        }
    }

    private static func table(_ user: User) -> AMQPTable {
        [
            "name": .string(user.name), "hash": .string(user.passwordHash),
            "algorithm": .string(user.algorithm.rawValue), "tags": .array(user.tags.map { .string($0) }),
        ]
    }

    private static func table(_ permission: Permission, _ user: String, _ host: String) -> AMQPTable {
        [
            "user": .string(user), "vhost": .string(host), "configure": .string(permission.configure),
            "write": .string(permission.write), "read": .string(permission.read),
        ]
    }

    private func restoreUser(_ table: AMQPTable) {
        guard let name = table["name"]?.text, let hash = table["hash"]?.text else { return }
        users[name] = User(
            name: name, passwordHash: hash,
            algorithm: table["algorithm"]?.text.flatMap(Algorithm.init) ?? .sha256,
            tags: (table["tags"]?.array ?? []).compactMap(\.text))
    }

    private func restorePermission(_ table: AMQPTable) {
        guard let user = table["user"]?.text, let host = table["vhost"]?.text,
            let permission = try? Permission(
                configure: table["configure"]?.text ?? "", write: table["write"]?.text ?? "",
                read: table["read"]?.text ?? "")
        else { return }
        permissions[host, default: [:]][user] = permission
    }

    // MARK: Asking

    /// By name.
    public var sortedUsers: [User] { users.values.sorted { $0.name < $1.name } }
    public func user(_ name: String) -> User? { users[name] }

    /// By virtual host and user.
    public var sortedPermissions: [(host: String, user: String, permission: Permission)] {
        permissions.sorted { $0.key < $1.key }.flatMap { host, byUser in
            byUser.sorted { $0.key < $1.key }.map { (host, $0.key, $0.value) }
        }
    }

    public func permission(of user: String, in host: String) -> Permission? { permissions[host]?[user] }

    public func authenticate(user name: String, password: String) -> String? {
        guard let user = users[name], let kept = Base64.standard.decode(user.passwordHash), kept.count > 4 else {
            return nil
        }
        let salt = Array(kept[..<4])
        return Self.digest(user.algorithm, salt, password) == Array(kept[4...]) ? name : nil
    }

    public func mayEnter(_ user: String, virtualHost: String) -> Bool { permissions[virtualHost]?[user] != nil }

    public func allows(_ user: String, _ permission: BrokerPermission, on name: String, virtualHost: String) -> Bool {
        permissions[virtualHost]?[user]?.allows(permission, on: name) ?? false
    }

    /// There is one user, who may do everything wherever it may be.
    public var isOpen: Bool {
        users.count <= 1 && permissions.values.allSatisfy { $0.values.allSatisfy(\.allowsAll) }
    }

    private static func digest(_ algorithm: Algorithm, _ salt: [UInt8], _ password: String) -> [UInt8] {
        algorithm.digest.digest(of: salt + Array(password.utf8))
    }

    // MARK: Changing

    /// So many users at most.
    public static let limit = 10_000

    /// Sets a user and its password.
    public func set(_ name: String, password: String, tags: [String], algorithm: Algorithm = .sha256) {
        let salt = withUnsafeBytes(of: draw()) { Array($0.prefix(4)) }
        set(
            User(
                name: name, passwordHash: Base64.standard.encode(salt + Self.digest(algorithm, salt, password)),
                algorithm: algorithm, tags: tags))
    }

    public func set(_ user: User) {
        guard users[user.name] != nil || users.count < Self.limit else { return }
        users[user.name] = user
        keep(key("user", user.name), Self.table(user))
    }

    /// - Returns: whether there was one.
    public func removeUser(_ name: String) -> Bool {
        guard users.removeValue(forKey: name) != nil else { return false }
        forget(key("user", name))
        for host in permissions.keys.sorted() { _ = removePermission(of: name, in: host) }
        return true
    }

    public func set(_ permission: Permission, for user: String, in host: String) {
        permissions[host, default: [:]][user] = permission
        keep(key("permission", host, user), Self.table(permission, user, host))
    }

    /// - Returns: whether there was one.
    public func removePermission(of user: String, in host: String) -> Bool {
        guard permissions[host]?.removeValue(forKey: user) != nil else { return false }
        forget(key("permission", host, user))
        return true
    }

    /// A virtual host is gone.
    public func forget(virtualHost host: String) {
        for user in (permissions[host] ?? [:]).keys.sorted() { forget(key("permission", host, user)) }
        permissions[host] = nil
    }

    private func key(_ parts: String...) -> String {
        parts.map { $0.replacing("%", with: "%25").replacing("/", with: "%2F") }.joined(separator: "/")
    }
}
