import KernelHosting
import KernelStructures
import KernelWire

/// Who listens to which channel, in the order in which they came.
final class ChannelTable {
    /// Three separate worlds of names.
    enum Kind: String, CaseIterable {
        case channel = ""
        case pattern = "p"
        case shard = "s"
    }

    private var listeners: [Kind: [[UInt8]: [RESPServerConnection]]] = [:]
    /// Patterns in the order in which they were first subscribed to.
    private(set) var patterns: [[UInt8]] = []
    /// What each connection listens to, in order.
    private var names: [ObjectIdentifier: [Kind: [[UInt8]]]] = [:]

    /// Channels that one connection may listen to.
    static let limit = 100_000

    func count(_ connection: RESPServerConnection, _ kind: Kind) -> Int {
        names[ObjectIdentifier(connection)]?[kind]?.count ?? 0
    }

    func names(_ connection: RESPServerConnection, _ kind: Kind) -> [[UInt8]] {
        names[ObjectIdentifier(connection)]?[kind] ?? []
    }

    func listeners(_ name: [UInt8], _ kind: Kind) -> [RESPServerConnection] { listeners[kind]?[name] ?? [] }

    func add(_ connection: RESPServerConnection, _ name: [UInt8], _ kind: Kind) {
        guard !listeners(name, kind).contains(where: { $0 === connection }) else { return }
        if kind == .pattern, listeners[kind]?[name] == nil { patterns.append(name) }
        listeners[kind, default: [:]][name, default: []].append(connection)
        names[ObjectIdentifier(connection), default: [:]][kind, default: []].append(name)
        tell(connection)
    }

    func remove(_ connection: RESPServerConnection, _ name: [UInt8], _ kind: Kind) {
        listeners[kind]?[name]?.removeAll { $0 === connection }
        if listeners[kind]?[name]?.isEmpty == true {
            listeners[kind]?[name] = nil
            if kind == .pattern { patterns.removeAll { $0 == name } }
        }
        names[ObjectIdentifier(connection)]?[kind]?.removeAll { $0 == name }
        tell(connection)
    }

    func forget(_ connection: RESPServerConnection) {
        for kind in Kind.allCases { for name in names(connection, kind) { remove(connection, name, kind) } }
        names[ObjectIdentifier(connection)] = nil
    }

    private func tell(_ connection: RESPServerConnection) {
        connection.subscriptions.channels = count(connection, .channel)
        connection.subscriptions.patterns = count(connection, .pattern)
        connection.subscriptions.shardChannels = count(connection, .shard)
    }

    /// Channels that somebody listens to, in the order of their names.
    func active(_ kind: Kind, matching pattern: [UInt8]?) -> [[UInt8]] {
        (listeners[kind] ?? [:]).keys.filter { name in
            pattern.map { pattern in name.withUnsafeBytes { GlobMatch.matches($0, pattern) } } ?? true
        }.sorted { $0.lexicographicallyPrecedes($1) }
    }

    var channelCount: Int { listeners[.channel]?.count ?? 0 }
    var shardChannelCount: Int { listeners[.shard]?.count ?? 0 }
}
