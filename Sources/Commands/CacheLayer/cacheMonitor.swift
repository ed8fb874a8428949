import CommandKit
import CommandServices
import KernelStructures
import ShellSession

extension CacheLayerCommands {
    /// `cache-monitor --redis localhost:6379`
    static var cacheMonitor: Command {
        let kind = ServiceKind("cache-monitor", node: "cache-monitor", port: .none)
        let description = CommandDescription(
            "cache-monitor", "shows what happens in the cache layers around a shared cache", usage: "[FLAGS]",
            flags: kind.flags([
                .init("redis", nil, .endpoint, "the shared cache (localhost:6379)"),
                .init("keys", nil, .text("PATTERN"), "only keys like this: 'user:1*'"),
            ]),
            examples: ["cache-monitor --redis localhost:6379 &", "cache-monitor --keys 'user:1*' &"],
            group: .components, role: .service, tags: ["CACHE"],
            details: """
                Applications leave a note in the shared cache, under cache-layer:events:NODE,
                where their events can be followed; the cache itself never sees that a database
                was asked. A miss is shown once the database has answered, because only then it
                is known who else waited. Times are those that the application measured.
                """)
        return .service(kind, description) { invocation in
            let cache = invocation.arguments.endpoint("redis") ?? HostPort(host: "localhost", port: 6379)
            let pattern = invocation.arguments.text("keys")
            return ServicePlan { node, service in
                CacheMonitor(node: node, cache: cache, pattern: pattern, options: service.options)
            }
        }
    }
}
