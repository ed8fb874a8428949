import CommandKit
import CommandServices
import KernelStructures
import RateLimiterService
import ShellSession

extension RateLimiterCommands {
    /// `ratelimiter --algorithm token-bucket --rate 10 --burst 20 --port 8080`
    static var ratelimiter: Command {
        let kind = ServiceKind("ratelimiter", node: "rl", port: .required(example: 8080), isConfigurable: true)
        let description = CommandDescription(
            "ratelimiter", "admits so many requests of each client; 429 for the rest",
            usage: "(--config FILE | --rate RATE) --port PORT [FLAGS]",
            flags: kind.flags([
                .init("algorithm", "a", .text("NAME"), "how it counts; see below (token-bucket)"),
                .init("rate", "r", .text("RATE"), "requests a second, or 600/minute, 100/15s"),
                .init("period", nil, .duration(), "what the rate is about (1s)"),
                .init("burst", "b", .integer(1...1_000_000_000), "requests at once after a rest (the rate)"),
                .init("key", "k", .text("PARTS"), "ip, 'header NAME', api-key, user, route, global (ip)"),
                .init("upstream", "u", .text("HOST:PORT"), "where admitted requests go (answered 200 here)"),
                .init("trusted-proxies", nil, .text("LIST"), "networks whose X-Forwarded-For is believed"),
                .init("store", "s", .text("PLACE"), "shared: a Redis, or a limiter's --throttle"),
                .init("lease", nil, .integer(1...1_000_000), "quota taken from another limiter at once (1)"),
                .init("store-timeout", nil, .duration(), "how long its answer is waited for (250ms)"),
                .init(
                    "on-store-failure", nil, .choice(["open", "closed", "local"]),
                    "if it cannot be asked (local)"),
                .init("throttle", nil, .port, "for CL.THROTTLE, and for other limiters' --store"),
                .init("envoy", nil, .port, "for Envoy's rate limit requests: POST /json"),
                .init("shadow", nil, "only counts what it would refuse"),
            ]),
            examples: [
                "ratelimiter --algorithm token-bucket --rate 10 --burst 20 --port 8080",
                "ratelimiter --config rl.yaml --port 8080 --upstream localhost:8081",
                "ratelimiter --rate 100/minute --port 8080 --store redis://host.internal:6379",
                "limiter why 127.0.0.1",
            ],
            group: .components, role: .service, tags: ["RL"],
            details: """
                The file, with its defaults, and after # what else may stand there:
                  rules:
                    - name: default
                      algorithm: token-bucket    # leaky-bucket, gcra, fixed-window,
                                                 # sliding-log, sliding-counter, concurrency
                      rate: 10                   # needed; 600/minute, 100/15s, 5/hour
                      period: 1s
                      burst: 20                  # buckets only (rate)
                      key: ip                    # header NAME, api-key, user, route,
                                                 # global; a list for several together
                      path: /api                 # a list for several (all)
                      method: [GET, POST]        # (all)
                      cost: 1
                      cost_header: X-Cost        # from trusted proxies (none)
                      delay: true                # leaky-bucket: hold back, not only refuse
                      shadow: false
                      log_size: 128              # sliding-log: entries a key
                      keys: 100000               # remembered at most
                      on_store_failure: local    # open, closed
                  upstream: localhost:9000       # (none)
                  trusted_proxies: [10.0.0.0/8]  # (none)
                  ipv6_prefix: 64
                  exempt: [/health]              # (none)
                  headers: both                  # x-ratelimit, ratelimit, none
                  partition_key: false
                  store: redis://host:6379       # host:port of a --throttle port (none)
                  lease: 1
                  store_timeout: 250ms
                  timeouts: {connect: 5s, response: 60s, idle: 75s}
                A request must be admitted by all rules that concern it, and takes from none of
                them if one refuses. A store is a real Redis, which runs scripts (the lab's
                cache-node and lsm-kv do not), or another limiter's --throttle port. SIGHUP and
                `reload` read the file again.
                """)
        return .service(kind, description) { invocation in
            let source = try LimiterSource(invocation)
            let configuration = try source.configuration()
            let throttle = invocation.arguments.port("throttle")
            let descriptors = invocation.arguments.port("envoy")
            return ServicePlan(check: { source.summary(configuration.initial) }, stats: \.stats) { node, service in
                RateLimiterHost(
                    node: node, source: configuration, port: service.port, throttle: throttle, descriptors: descriptors,
                    options: service.options)
            }
        }
    }
}
