import CacheLayerEngine
import CacheLayerService
import CommandKit
import CommandServices
import KernelStructures
import KernelWorld
import ShellSession

extension CacheLayerCommands {
    /// `cache-layer explain 123`
    static var cacheLayer: Command {
        let description = CommandDescription(
            "cache-layer", "looks into a running cache layer, or asks whether one is worth it", operates: true,
            subcommands: verbs, group: .components, role: .view)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let now = invocation.session.world.now
            switch arguments.verb {
            case "stampede": return .view(try stampede(invocation))
            case "worth": return .view(worth(arguments))
            default: break
            }
            let api = try invocation.session.usersAPI(named: arguments.target)
            switch arguments.verb {
            case "explain":
                return .view(CacheLayerViews.explanation(api.host.layer.explain(arguments.arguments[0], now: now), now))
            case "staleness":
                guard api.audit.percent > 0 else {
                    throw CommandFailure("nothing is compared with the database; start it with users-api --audit 100")
                }
                return .view(CacheLayerViews.staleness(api.audit))
            case "forget": forget(api, arguments)
            default: return .view(CacheLayerViews.keys(api.host.layer, now))
            }
            return .success
        }
    }

    private static var verbs: [Subcommand] {
        [
            .init(
                "explain", "what is known about a key, since when, by whom, and until when", usage: "KEY",
                flags: [CommonFlags.json], arguments: .init([.text], 1...1), examples: ["cache-layer explain 123"],
                details: "The key as the application calls it: 123, where the shared cache says user:123."),
            .init("keys", "its entries, oldest first", flags: [CommonFlags.json], examples: ["cache-layer keys"]),
            .init(
                "forget", "forgets keys, or all", usage: "[KEY…]", arguments: .init([.text], 0...1_000),
                examples: ["cache-layer forget 123", "cache-layer forget"]),
            .init(
                "staleness", "how old its answers are beside the database", flags: [CommonFlags.json],
                examples: ["cache-layer staleness"],
                details: """
                    Measured: users-api --audit PERCENT asks the database for the row at each such
                    hit. Stale is a lower version, or another name or address under the same one.
                    Its age counts from updated_at, if that is later than the load; a change that
                    left it alone counts from when the audit first saw it.
                    """),
            .init(
                "stampede", "the same readers under no protection, a lock, XFetch and stale-while-revalidate",
                usage: "[FLAGS]",
                flags: [
                    .init("ttl", nil, .duration(), "how long the entry lives (10s)"),
                    .init("load", nil, .duration(), "how long a load takes (500ms, or as measured)"),
                    .init("rate", nil, .integer(1...100_000), "readers a second, by chance (200)"),
                    .init("duration", nil, .duration(), "for how long (30s)"),
                    .init("recorded", nil, "the readers that a running users-api has had, instead"),
                    CommonFlags.glyphs, CommonFlags.json,
                ], examples: ["cache-layer stampede", "cache-layer stampede --recorded --ttl 2s"],
                details: "The layer's own decisions, with time played. LOADS are over time, all at one scale."),
            .init(
                "worth", "workloads with a cache and without: where it wins, and where it loses",
                flags: [
                    .init("requests", nil, .integer(CacheWorth.Settings.requestRange), "of each workload (50000)"),
                    .init("cache-time", nil, .duration(), "a question to the cache (500us)"),
                    .init("source-time", nil, .duration(), "a question to the source (5ms)"),
                    .init("ttl", nil, .duration(), "how long an entry is fresh (1m)"), CommonFlags.json,
                ], examples: ["cache-layer worth", "cache-layer worth --source-time 600us"]),
        ]
    }

    private static func forget(_ api: UsersAPI, _ arguments: ParsedArguments) {
        if arguments.arguments.isEmpty { return api.host.invalidate(tag: "users") }
        for key in arguments.arguments { api.host.invalidate(key) }
    }

    private static func stampede(_ invocation: Invocation) throws -> View {
        let arguments = invocation.arguments
        var settings = StampedeReplay.Settings()
        settings.ttl = arguments.duration("ttl") ?? settings.ttl
        var arrivals: [LabTime]
        if arguments.has("recorded") {
            let api = try invocation.session.usersAPI(named: arguments.target)
            arrivals = api.arrivals.times
            guard arrivals.count > 1 else { throw CommandFailure("it has had no readers yet; send some: load-test") }
            let counters = api.host.layer.counters
            if counters.loads > 0 {
                settings.loadDuration = LabDuration(
                    nanoseconds: counters.loadTime.nanoseconds / Int64(counters.loads))
            }
        } else {
            arrivals = StampedeReplay.arrivals(
                perSecond: arguments.integer("rate") ?? 200, for: arguments.duration("duration") ?? .seconds(30),
                seed: settings.seed)
        }
        settings.loadDuration = arguments.duration("load") ?? settings.loadDuration
        settings.columns = 30
        let glyphs = arguments.glyphs
        return CacheLayerViews.stampede(StampedeReplay.run(arrivals, settings), settings, glyphs)
    }

    private static func worth(_ arguments: ParsedArguments) -> View {
        var settings = CacheWorth.Settings()
        settings.requests = arguments.integer("requests") ?? settings.requests
        settings.cacheTime = arguments.duration("cache-time") ?? settings.cacheTime
        settings.sourceTime = arguments.duration("source-time") ?? settings.sourceTime
        settings.ttl = arguments.duration("ttl") ?? settings.ttl
        return CacheLayerViews.worth(CacheWorth.run(settings), settings)
    }
}
