import CacheClusterEngine
import CommandKit
import CommandRedis
import CommandServices
import ShellSession

extension CacheCommands {
    /// `cache-cli SET user:123 '{"name":"Alice"}' --ttl 3600`
    static var cacheCLI: Command {
        let placements = PlacementAlgorithm.allCases.map(\.rawValue)
        let words = ["SET", "GET", "DEL", "EXPIRE", "TTL", "INFO", "where"]
        let description = CommandDescription(
            "cache-cli", "asks a cache node, and says which one answered",
            usage: "[--host HOST] [--port PORT] COMMAND [ARGUMENT…]",
            flags: addressFlags + [
                .init("ttl", nil, .integer(1...Int(Int32.max)), "for SET: seconds until the key ends"),
                .init("ring", nil, "for cluster rebalance: has the ring place all slots"),
                .init("use", nil, .choice(placements), "with --ring: another placement"),
                .init("raw", nil, "for cluster locate and cluster lost-writes: the reply as redis-cli shows it"),
                CommonFlags.json,
            ],
            arguments: .init([.word(words), .key], 1...10_000),
            examples: [
                "cache-cli SET user:123 '{\"name\":\"Alice\"}' --ttl 3600", "cache-cli GET user:123",
                "cache-cli DEL user:123", "cache-cli --port 7002 INFO memory", "cache-cli cluster nodes",
                "cache-cli where user:123", "cache-cli cluster lost-writes", "cache-cli cluster rebalance --ring",
            ],
            group: .clients,
            details: """
                SET says on which node the key was stored, and GET gives the value as it is.
                Any other command goes to the node as it stands, and its reply is shown as
                redis-cli shows it. Words that begin with - stand behind a -- of their own.
                Any node of a cluster will do: it says who has the key, and that one is asked.
                where KEY (CLUSTER LOCATE) says which node has a key; cluster lost-writes
                asks all nodes for acknowledged writes that are gone, and why.
                Reads of a hot slot go to its owner or to one of its copies for readers, by
                chance (cache-node --hot-slot-reads); what a copy says may be a moment old.
                """)
        return Command(description) { invocation in
            var words = invocation.arguments.arguments
            if let seconds = invocation.arguments.integer("ttl") {
                guard words[0].uppercased() == "SET" else {
                    throw UsageError("cache-cli: --ttl is for SET; another key's end is set by EXPIRE key seconds")
                }
                words += ["EX", "\(seconds)"]
            }
            if invocation.arguments.has("ring") || invocation.arguments.has("use") {
                guard words.map({ $0.lowercased() }) == ["cluster", "rebalance"], invocation.arguments.has("ring")
                else {
                    throw UsageError("cache-cli: --ring and --use are for: cache-cli cluster rebalance --ring")
                }
                words = ["CLUSTER", "RING", "USE", invocation.arguments.text("use") ?? "ring"]
            } else if words.map({ $0.lowercased() }) == ["cluster", "rebalance"] {
                throw UsageError(
                    "cache-cli: cluster rebalance needs --ring; redis-cli --cluster rebalance evens out by hand")
            }
            if words.count == 2, words[0].lowercased() == "where" { words = ["CLUSTER", "LOCATE", words[1]] }
            return .running(
                CacheQuestion(
                    invocation.process,
                    try RedisAddress(invocation, port: defaultPort, server: "cache-node"), words,
                    invocation.arguments))
        }
    }
}
