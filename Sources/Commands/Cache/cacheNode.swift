import CacheClusterEngine
import CacheClusterService
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
        let placements = PlacementAlgorithm.allCases.map(\.rawValue)
        let description = CommandDescription(
            "cache-node", "an in-memory cache that speaks Redis's protocol", usage: "[--port PORT] [FLAGS]",
            flags: kind.flags([
                .init("maxmemory", nil, .byteCount, "bytes of keys and values at most (no bound)"),
                .init("maxmemory-policy", nil, .choice(policies), "who has to go when it is full (noeviction)"),
                .init("cluster-port", nil, .port, "makes it one of a cluster: where the others reach it"),
                .init("join", nil, .text("HOST:PORT"), "the cluster port of a node whose cluster it joins"),
                .init("replicas", nil, .integer(0...8), "copies of each key on other nodes (1)"),
                .init("placement", nil, .choice(placements), "how slots are given to nodes (ring)"),
                .init("node-timeout", nil, .duration(), "a node that is silent for so long is suspected (2s)"),
                .init(
                    "hot-slot-reads", nil, .integer(1...1_000_000_000),
                    "reads a second that make a slot hot: more nodes get a copy (never)"),
                .init("hot-slot-copies", nil, .integer(CacheCluster.hotCopyRange), "how many more (2)"),
                .init("announce-host", nil, .text("HOST"), "where others reach it, if not at its address"),
                .init("cluster-state", nil, .text("FILE"), "where it keeps its identity (nodes-PORT.conf)"),
                .init("memcached-port", nil, .port, "another port, for clients of memcached (none)"),
                .init("maxclients", nil, .integer(1...100_000), "connections at a time (10000)"),
                .init(
                    "notify-keyspace-events", nil, .text("CLASSES"), "which changes are published: KEA, Ex, … (none)"),
            ]),
            examples: [
                "cache-node --port 7001", "cache-node --maxmemory 64MiB --maxmemory-policy allkeys-lru",
                "cache-node --port 7002 --cluster-port 17002 --join localhost:17001",
                "cache-cli SET user:1 Alice", "show cache",
            ],
            group: .components, role: .service, tags: ["CACHE", "CLUSTER"],
            details: """
                redis-cli, redis-benchmark and the libraries for Redis 7 can talk to it:
                strings, hashes, lists, sets, sorted sets, ends, SCAN, MULTI and WATCH,
                SUBSCRIBE, BLPOP, keyspace events, CLIENT TRACKING, RESP2 and RESP3.
                Not there: streams, MONITOR, SHUTDOWN (say kill), and scripts: EVAL knows those
                of redis-py's lock, and no others.
                Policies beside Redis's: wtinylfu, s3fifo and adaptive, for all keys or
                volatile ones. Nothing is kept on a disk.
                With --cluster-port it is a node of a Redis Cluster: redis-cli --cluster manages
                it, or --join has a ring place the slots. The first joiner, or the first key,
                begins the ring; CLUSTER ADDSLOTS begins a cluster that hands place.
                With --hot-slot-reads N, said to every node, a slot with N reads in each of two
                seconds is copied to more nodes, and until it has had less than half of that for
                10 seconds. Clients that say READONLY may read there (cache-cli does); what they
                get is at most one --node-timeout old. CLUSTER HOTSLOTS and cluster show them.
                --memcached-port: the same strings for memcached's clients, gat, cas and the
                meta commands (mg, ms, md, ma), whose W, X and Z flags stop stampedes.
                """)
        return .service(kind, description) { invocation in
            var settings = try nodeSettings(invocation.arguments)
            let cluster = try clusterSettings(invocation.arguments)
            if cluster != nil {
                settings.cache.keepsSlots = true
                settings.server.mode = "cluster"
            }
            return ServicePlan(picture: \.picture) { node, service in
                CacheNode(
                    node: node, port: service.port, settings: settings, companion: cluster.map(CacheClusterHost.init),
                    options: service.options)
            }
        }
    }

    /// What the flags say about the cluster; nil for a node alone.
    static func clusterSettings(_ arguments: ParsedArguments) throws -> CacheClusterHost.Settings? {
        guard let port = arguments.port("cluster-port") else {
            if arguments.has("join") {
                throw UsageError("cache-node: --join needs a port for the others; add --cluster-port 17001")
            }
            if arguments.has("hot-slot-reads") {
                throw UsageError("cache-node: --hot-slot-reads is for a node of a cluster; add --cluster-port 17001")
            }
            return nil
        }
        var settings = CacheClusterHost.Settings(clusterPort: port)
        if let text = arguments.text("join") {
            do throws(HostPort.Malformed) {
                settings.join = try HostPort(reading: text)
            } catch {
                throw UsageError("cache-node: --join: \(error); a cluster port is said as localhost:17001")
            }
        }
        settings.engine.hotReadsPerSecond = arguments.integer("hot-slot-reads") ?? 0
        settings.engine.hotCopies = arguments.integer("hot-slot-copies") ?? settings.engine.hotCopies
        settings.announcedHost = arguments.text("announce-host")
        settings.stateFile = arguments.text("cluster-state")
        if let count = arguments.integer("replicas") { settings.engine.ring.replicas = count }
        if let one = arguments.text("placement").flatMap({ PlacementAlgorithm(rawValue: $0) }) {
            settings.engine.ring.algorithm = one
        }
        if let timeout = arguments.duration("node-timeout") {
            let milliseconds = Int(timeout.milliseconds.rounded())
            guard CacheCluster.Settings.timeoutRange.contains(milliseconds) else {
                throw UsageError("cache-node: --node-timeout is 200ms to 10m, not \(timeout)")
            }
            settings.engine.nodeTimeoutMilliseconds = milliseconds
        }
        return settings
    }

    /// What the flags of `cache-node` say.
    static func nodeSettings(_ arguments: ParsedArguments) throws -> CacheNode.Settings {
        var settings = CacheNode.Settings()
        if let count = arguments.byteCount("maxmemory") { settings.cache.maxMemory = count }
        if let policy = arguments.text("maxmemory-policy").flatMap({ EvictionChoice(rawValue: $0) }) {
            settings.cache.policy = policy
        }
        settings.memcachedPort = arguments.port("memcached-port")
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
