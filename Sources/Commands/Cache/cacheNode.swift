import CacheEngine
import CacheService
import CommandKit
import CommandServices
import KernelStructures
import ShellSession

extension CacheCommands {
    /// `cache-node --port 7001`
    static var cacheNode: Command {
        let kind = ServiceKind("cache-node", node: "cache", port: .preset(defaultPort))
        let policies = EvictionChoice.allCases.map(\.rawValue)
        let description = CommandDescription(
            "cache-node", "an in-memory cache that speaks Redis's protocol", usage: "[--port PORT] [FLAGS]",
            flags: kind.flags([
                .init("maxmemory", nil, .byteCount, "bytes of keys and values at most (no bound)"),
                .init("maxmemory-policy", nil, .choice(policies), "who has to go when it is full (noeviction)"),
                .init("maxclients", nil, .integer(1...100_000), "connections at a time (10000)"),
                .init(
                    "notify-keyspace-events", nil, .text("CLASSES"), "which changes are published: KEA, Ex, … (none)"),
            ]),
            examples: [
                "cache-node --port 7001", "cache-node --maxmemory 64MiB --maxmemory-policy allkeys-lru",
                "cache-cli SET user:1 Alice", "show cache",
            ],
            group: .components, role: .service, tags: ["CACHE"],
            details: """
                redis-cli, redis-benchmark and the libraries for Redis 7 can talk to it:
                strings, hashes, lists, sets, sorted sets, ends, SCAN, MULTI and WATCH,
                SUBSCRIBE, BLPOP, keyspace events, CLIENT TRACKING, RESP2 and RESP3.
                Policies beside Redis's: wtinylfu, s3fifo and adaptive, for all keys or
                volatile ones. Nothing is kept on a disk.
                """)
        return .service(kind, description) { invocation in
            let settings = try nodeSettings(invocation.arguments)
            return ServicePlan(picture: \.picture) { node, service in
                CacheNode(node: node, port: service.port, settings: settings, options: service.options)
            }
        }
    }

    /// What the flags of `cache-node` say.
    static func nodeSettings(_ arguments: ParsedArguments) throws -> CacheNode.Settings {
        var settings = CacheNode.Settings()
        if let count = arguments.byteCount("maxmemory") { settings.cache.maxMemory = count }
        if let policy = arguments.text("maxmemory-policy").flatMap({ EvictionChoice(rawValue: $0) }) {
            settings.cache.policy = policy
        }
        if let count = arguments.integer("maxclients") { settings.server.connectionLimit = count }
        if let text = arguments.text("notify-keyspace-events") {
            guard let events = KeyspaceEvents(text) else {
                throw UsageError(
                    "cache-node: --notify-keyspace-events: '\(text)' has a letter that is none of Ag$lshzxeKEtmdn")
            }
            settings.cache.notifications = events
        }
        return settings
    }
}
