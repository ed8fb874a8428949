import CommandKit
import ShellSession

/// A part of what `help` tells: a few sentences, and the commands that belong to it.
struct HelpChapter {
    let name: String
    let summary: String
    let text: String
    let members: [CommandDescription]

    /// All chapters, in the order in which somebody new needs them. Every command is in one of them.
    static func all(_ table: CommandTable) -> [HelpChapter] {
        let commands = table.commands.map(\.description)
        func members(_ groups: CommandDescription.Group...) -> [CommandDescription] {
            groups.flatMap { group in commands.filter { $0.group == group } }
        }
        let timeNames: Set = ["clock", "advance", "sleep", "skew", "back", "fork"]
        return [
            .init(
                name: "systems", summary: "load balancers, caches, queues, locks …: what runs, and its clients",
                text: """
                    A system is started by typing its name, and & lets it go on beside you:
                    backend --port 8081 &. It gets a node of its own, with a name, an address
                    and a job number. Clients speak the same protocols as the real programs,
                    which can be used in their place.
                    """, members: members(.components, .clients)),
            .init(
                name: "world", summary: "nodes and jobs: names, ports, who runs, and how it ends",
                text: """
                    Every service is a node: named in commands, found by others under its name,
                    and at localhost:PORT if it was the first there. A job is what runs: %1.
                    kill stops it in order, -9 takes its memory, -STOP freezes it, -POWER also
                    takes what was never synced.
                    """, members: members(.jobs)),
            .init(
                name: "failures", summary: "what can go wrong, and how to make it",
                text: """
                    A fault lies on links (A->B), on a node (on A) or on a disk, acts at once,
                    and ends with its time, with heal or with calm. Killing and freezing are
                    in chapter world, wrong clocks in chapter time.
                    """, members: members(.faults).filter { !timeNames.contains($0.name) }),
            .init(
                name: "time", summary: "the lab's clock: real, faster, or standing still",
                text: """
                    The lab has a clock of its own. At the prompt it follows the real one; with
                    clock virtual it stands still, and moves by advance, or from timer to timer
                    while something is waited for. An hour then takes no time at all.
                    """, members: members(.faults).filter { timeNames.contains($0.name) }),
            .init(
                name: "views", summary: "what to look at, and why it happened",
                text: """
                    Views change nothing. watch 1s VIEW repeats one in its place, --json gives
                    any of them to programs. why LINE says what led to a line.
                    """, members: members(.views)),
            .init(
                name: "files", summary: "the lab's files, and tools for text",
                text: """
                    Files are the lab's, on its own disk; put and get copy from and to the
                    machine. The tools do what they do elsewhere.
                    """, members: members(.files)),
            .init(
                name: "session", summary: "tours, help, recordings, the shell's own commands",
                text: """
                    What is typed is kept in ~/.sdlab_history; ~/.sdlabrc is run first. Tab
                    completes; pressed again it shows what there is, and goes through it. Ctrl-R
                    searches what was typed, Ctrl-C interrupts, Ctrl-Z sends to the background,
                    q ends a watch. !command runs in the machine's own shell.
                    """, members: members(.session)),
        ]
    }
}

/// What to read and to try about a system: the essay in front of its code, and its tour.
struct FurtherReading {
    let essay: String
    let tour: String?

    /// Of a command, if it belongs to a system.
    static func of(_ command: String) -> FurtherReading? {
        guard let row = rows.first(where: { $0.commands.contains(command) }) else { return nil }
        return FurtherReading(essay: "Sources/Engines/\(row.essay).swift", tour: row.tour)
    }

    static let rows: [(commands: Set<String>, essay: String, tour: String?)] = [
        (
            ["loadbalancer", "balancer", "pool", "explain", "replay"], "LoadBalancer/LoadBalancer", "load-balancer"
        ),
        (["ratelimiter", "limiter"], "RateLimiter/RateLimiter", "rate-limiter"),
        (["cache-node", "cache-cli"], "Cache/Cache", "cache"),
        (["cluster"], "CacheCluster/CacheCluster", "cache"),
        (["messageq", "mq-cli", "queues"], "MessageQueue/MessageQueue", "message-queue"),
        (["urlshortener", "shorten"], "Shortener/Codes/ShortCode", "url-shortener"),
        (["lsm-kv", "kv-cli", "kv-bench"], "KVStore/KVStore", "lsm-kv"),
        (["circuit-test", "breaker"], "CircuitBreaker/BreakerEngine", "circuit-breaker"),
        (["registry", "services", "sightings", "dig"], "Registry/Registry", "registry"),
        (
            ["metrics-collector", "metrics", "web-app", "alert-receiver"], "MetricsCollector/MetricsCollector",
            "metrics"
        ),
        (["lockserver", "lock-cli", "my-app", "locks", "lock-check"], "Lock/LockStore", "lock"),
        (["raft"], "Consensus/Raft", "lock"),
        (["hash-ring-viz", "hash-ring-cli", "ring"], "HashRing/HashRing", "hash-ring"),
        (["pool-test", "pool-db", "connpool", "holders"], "ConnectionPool/ConnectionPool", "connection-pool"),
        (["feature-flags", "flags-cli", "flags-app"], "FeatureFlags/FeatureFlags", "feature-flags"),
        (["users-api", "cache-monitor", "cache-layer", "load-test"], "CacheLayer/CacheLayer", "cache-layer"),
        (["api-gateway", "gateway"], "Gateway/Gateway", "api-gateway"),
        (["jwt"], "Kernel/JWT/JWT", "api-gateway"),
        (["log-collector", "log-agent"], "LogStore/LogStore", "log-aggregation"),
        (["log-query"], "LogQL/LogQL", "log-aggregation"),
        (
            ["chaos-runner", "chaos", "inject", "heal", "calm", "faults", "pkill"],
            "Chaos/Experiment/ChaosExperiment", "chaos"
        ),
        (["toxiproxy"], "Chaos/Toxics/ToxicLine", "chaos"),
        (["docker-compose", "shop", "ledger", "shop-orders", "shop-front"], "Shop/Shop", "shop"),
        (["shop-products", "shop-inventory", "shop-payments"], "Shop/Shop", "shop"),
        (["shop-users", "shop-notifications", "mailbox", "mail"], "ShopAccounts/ShopAccounts", "shop"),
        (["jaeger", "trace", "topo"], "Tracing/Tracing", "shop"),
        (["postgres", "sql"], "Database/Database", nil),
        (["pgbouncer"], "Pooler/Pooler", nil),
    ]
}
