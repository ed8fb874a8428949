import FeatureFlagsEngine
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld

/// Questions about flags: who sees them and why, who would, and how often they were asked.
extension FlagAdminAPI {
    /// Users that a difference looks at where nobody says which.
    private static let usualUserCount = 1_000
    private static let userBodyLimitBytes = 64 << 20

    func mountQuestions(on router: HTTPRouter) {
        let one = Self.root + "/{name}"
        for (path, isLong) in [("/evaluate", false), ("/explain", true)] {
            route(router, "POST", one + path) { [self] request in
                try request.query.expectNothingElse()
                let context = try FlagContext(try request.exchange.json())
                _ = try host.store.flag(request.name)
                let environment = try host.store.environment(request.environment)
                let explanation = host.flagSet(environment).explain(
                    request.name, context, now: host.node.wallClock, chance: host.node.draw { $0.next() })
                answer(
                    request.exchange, isLong ? .explanation(explanation, context) : .evaluation(explanation, context))
            }
        }
        router.on("POST", one + "/diff", body: .collected(limitBytes: Self.userBodyLimitBytes)) { [self] exchange in
            let token = try host.admit(exchange, as: .admin)
            var query = try exchange.query()
            let environment = try query.take("env")
            try query.expectNothingElse()
            try difference(
                Request(
                    exchange: exchange, who: host.person(exchange, token), environment: environment, query: query))
        }
        route(router, "GET", one + "/stats") { [self] request in
            let last = try request.query.takeDuration("last", upTo: FlagCounts.retention) ?? .seconds(86_400)
            try request.query.expectNothingElse()
            _ = try host.store.flag(request.name)
            let environment = try host.store.environment(request.environment)
            let cell = host.counts.total(request.name, in: environment, last: last, now: host.node.wallClock)
            answer(
                request.exchange,
                .stats(FlagStatistics(flag: request.name, environment: environment, last: last, cell: cell)))
        }
    }

    // MARK: Who would change

    /// A change is tried on a copy of the store, and both are asked for each user, beside the loop.
    private func difference(_ request: Request) throws {
        let body = try request.body(["percent", "rule", "enabled", "users", "count"])
        let environment = try host.store.environment(request.environment)
        _ = try host.store.flag(request.name)
        let users = try Self.users(body)
        let (change, what) = try Self.proposal(body, request.name, environment)
        var store = host.store
        let now = host.node.wallClock
        _ = try store.apply(change, by: "diff", now: now)
        let before = host.flagSet(environment)
        let after = FlagSet(store.definitions(in: environment))
        let name = request.name
        do throws(OffloadError) {
            try host.node.offload(
                { RolloutDifference(flag: name, before: before, after: after, users: users, now: now) },
                cost: .microseconds(users.count)
            ) { [self] difference in
                answer(request.exchange, .difference(difference, flag: name, what: what))
            }
        } catch {
            throw HTTPProblem(503, "\(error)", remedy: "try again in a moment")
        }
    }

    private static func proposal(
        _ body: JSONCursor, _ name: String, _ environment: String
    ) throws -> (FlagChange, String) {
        let rule = try body["rule"].ifPresent?.string()
        let segment = try body["segment"].ifPresent?.string()
        if rule != nil || segment != nil {
            let percent = try body["percent"].ifPresent?.integer(in: 0...100) ?? 100
            let people = [segment.map { "segment \($0)" }, rule].compactMap { $0 }.joined(separator: " and ")
            return (
                .target(name: name, environment: environment, rule: rule, segment: segment, percent: percent),
                "\(people) at \(percent)%"
            )
        }
        if let isEnabled = try body["enabled"].ifPresent?.bool() {
            return (.setEnabled(name: name, environment: environment, isEnabled), isEnabled ? "on" : "off")
        }
        guard let cursor = body["percent"].ifPresent else {
            throw body.error("what would change? give percent, rule or enabled")
        }
        let percent = try cursor.integer(in: 0...100)
        return (.rollOut(name: name, environment: environment, percent: percent, stickiness: nil), "\(percent)%")
    }

    /// Ids or contexts; without any, the users 1 to `count`.
    private static func users(_ body: JSONCursor) throws -> [(id: String, context: FlagContext)] {
        let limit = RolloutDifference.userLimit
        guard let list = body["users"].ifPresent else {
            let count = try body["count"].ifPresent?.integer(in: 1...limit) ?? usualUserCount
            return (1...count).map { ("\($0)", FlagContext("\($0)")) }
        }
        let elements = try list.array()
        guard elements.count <= limit else { throw list.error("more than \(limit) users") }
        return try elements.enumerated().map { index, element in
            if case .object? = element.value {
                let context = try FlagContext(element.value ?? .null)
                return (context.userID ?? "#\(index + 1)", context)
            }
            let id = try element.string()
            return (id, FlagContext(id))
        }
    }
}
