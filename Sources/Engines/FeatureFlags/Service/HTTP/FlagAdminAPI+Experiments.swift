import FeatureFlagsEngine
import KernelHosting
import KernelJSON
import KernelSQLite
import KernelStructures
import KernelWire

/// Experiments: who came into which variant, and who did what is hoped for.
extension FlagAdminAPI {
    /// Visits in one request.
    private static let visitLimit = 100_000
    static let usualGoal = "conversion"

    func mountExperiments(on router: HTTPRouter) {
        let one = Self.root + "/{name}"
        // `[{"user": "123"}, {"user": {"id": "7", "country": "US"}, "goal": "purchase"}]`
        route(router, "POST", one + "/events", as: .client) { [self] request in
            try request.query.expectNothingElse()
            let environment = try host.store.environment(request.environment)
            let flag = try host.store.flag(request.name)
            let visits = try visits(request.exchange, flag, environment)
            let (dropped, outside): (Int, Int)
            do throws(SQLiteError) {
                (dropped, outside) = try host.database?.add(visits, at: host.node.wallClock) ?? (0, 0)
            } catch {
                throw HTTPProblem(
                    error.isFull ? 507 : 503, "the events could not be stored: \(error)", remedy: "send them again")
            }
            let exchange = request.exchange
            host.node.afterDisk { [self] in
                answer(exchange, .recorded(visits.count - dropped, outside: outside, dropped: dropped), status: 202)
            }
        }
        route(router, "GET", one + "/experiment") { [self] request in
            let goal = try request.query.take("goal")
            try request.query.expectNothingElse()
            let environment = try host.store.environment(request.environment)
            let flag = try host.store.flag(request.name)
            let key = Self.experiment(flag.name, environment)
            let wanted = try goal ?? host.database?.goals(of: key).first ?? Self.usualGoal
            let found = try host.database?.samples(of: key, goal: wanted) ?? [:]
            let experiment = Experiment(Self.samples(flag, environment, found))
            answer(request.exchange, .experiment(experiment, flag: flag.name, goal: wanted))
        }
    }

    private static func experiment(_ flag: String, _ environment: String) -> String { "\(environment)/\(flag)" }

    /// Somebody is in the variant that the flag gives him now; who came before stays where he was.
    private func visits(
        _ exchange: HTTPExchange, _ flag: FlagRecord, _ environment: String
    ) throws -> [FlagDatabase.Visit] {
        let events = try JSONCursor(try exchange.json()).array()
        guard events.count <= Self.visitLimit else {
            throw HTTPProblem(413, "more than \(Self.visitLimit) events", remedy: "send them in several requests")
        }
        let set = host.flagSet(environment)
        let now = host.node.wallClock
        return try events.map { event in
            try event.expectNoMembers(besides: ["user", "goal", "variant"])
            let user = event["user"]
            let context: FlagContext
            if case .object? = user.value {
                context = try FlagContext(user.value ?? .null)
            } else {
                context = FlagContext(try user.string())
            }
            guard let person = context.userID ?? context.sessionID, (1...256).contains(person.utf8.count) else {
                throw user.error("who? give an id of 1 to 256 bytes")
            }
            let goal = try event["goal"].ifPresent?.string()
            if let goal, !(1...100).contains(goal.utf8.count) { throw event["goal"].error("a name of 1 to 100 bytes") }
            let variant =
                try event["variant"].ifPresent?.string()
                ?? Self.arm(set, flag, context, now, chance: stableHash(person))
            return .init(
                experiment: Self.experiment(flag.name, environment), person: person, variant: variant, goal: goal)
        }
    }

    /// Of a flag without variants the two arms are those who do not see it, and those who do.
    private static func arm(
        _ set: FlagSet, _ flag: FlagRecord, _ context: FlagContext, _ now: LabTime, chance: UInt64
    ) -> String {
        if flag.hasVariants { return set.variant(flag.name, context, now: now, chance: chance).name }
        return set.isEnabled(flag.name, context, now: now, chance: chance) ? "treatment" : "control"
    }

    /// The first variant is the control. Whoever was shown none takes no part.
    private static func samples(
        _ flag: FlagRecord, _ environment: String, _ found: [String: (exposed: Int, converted: Int)]
    ) -> [Experiment.Sample] {
        let state = flag.state(in: environment)
        let variants =
            state.variants.isEmpty ? state.strategies.first { !$0.variants.isEmpty }?.variants ?? [] : state.variants
        var weights = variants.map { ($0.name, $0.weight) }
        if !flag.hasVariants {
            let percent = state.generalPercent
            weights = [("control", 100 - percent), ("treatment", percent)]
        }
        let strangers = found.keys.filter { name in
            name != FlagVariant.disabledName && !weights.contains { $0.0 == name }
        }.sorted()
        return (weights + strangers.map { ($0, 0) }).map { name, weight in
            let counts = found[name] ?? (0, 0)
            return .init(variant: name, weight: weight, exposed: counts.exposed, converted: counts.converted)
        }
    }
}
