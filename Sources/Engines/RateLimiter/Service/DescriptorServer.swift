import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import RateLimiterEngine

/// The limiter as Envoy asks for it: the HTTP endpoint of Envoy's rate limit service, `POST /json`.
///
/// ```
/// {"domain": "web", "descriptors": [{"entries": [{"key": "per-user", "value": "alice"}]}], "hitsAddend": 1}
///
/// 200 or 429   {"overallCode": "OK", "statuses": [{"code": "OK", "currentLimit": {"requestsPerUnit": 10,
///               "unit": "SECOND"}, "limitRemaining": 9, "durationUntilReset": "1s"}]}
/// ```
///
/// A descriptor is about the rule that has the name of its last entry's key, and is counted under its domain and all
/// its entries; one about no rule is OK. As there, each descriptor is counted by itself, whatever becomes of the
/// others: a proxy that asks has decided already what belongs together. Messages are proto3's JSON: members in either
/// spelling, and what has its default is left out.
package final class DescriptorServer {
    private unowned let host: RateLimiterHost
    private let router = HTTPRouter()
    let server: HTTPServer

    /// Descriptors of a request, and entries of a descriptor.
    private static let descriptorLimit = 100
    private static let entryLimit = 32

    package struct Descriptor: Equatable {
        package let entries: [(key: String, value: String)]
        package let hits: Int

        package static func == (a: Descriptor, b: Descriptor) -> Bool {
            a.hits == b.hits && a.entries.elementsEqual(b.entries, by: ==)
        }

        /// What is counted: no two lists of entries have the same.
        func countedKey(domain: String) -> String {
            ([Self.escaped(domain)] + entries.map { "\(Self.escaped($0.key))=\(Self.escaped($0.value))" }).joined(
                separator: " ")
        }

        private static func escaped(_ text: String) -> String {
            text.contains { " =%".contains($0) } ? PercentCoding.encode(text) : text
        }
    }

    init(_ host: RateLimiterHost) {
        self.host = host
        server = HTTPServer(node: host.node, service: router)
        router.on("POST", "/json") { [unowned self] exchange in
            let (domain, descriptors) = try Self.read(try exchange.json())
            decide(descriptors[...], domain, [], exchange)
        }
        router.on("GET", "/healthcheck") { $0.answer(text: "OK") }
    }

    // MARK: Reading

    package static func read(_ json: JSONValue) throws -> (domain: String, [Descriptor]) {
        let request = JSONCursor(json)
        try request.expectNoMembers(besides: ["domain", "descriptors", "hitsAddend", "hits_addend"])
        let domain = try request["domain"].string()
        let hits = try hits(in: request) ?? 1
        let cursors = try request["descriptors"].array()
        guard !cursors.isEmpty, cursors.count <= descriptorLimit else {
            throw request["descriptors"].error("a request has 1 to \(descriptorLimit) descriptors")
        }
        return (domain, try cursors.map { try descriptor($0, hits) })
    }

    private static func descriptor(_ cursor: JSONCursor, _ hits: Int) throws -> Descriptor {
        try cursor.expectNoMembers(besides: ["entries", "hitsAddend", "hits_addend"])
        let entries = try cursor["entries"].array()
        guard !entries.isEmpty, entries.count <= entryLimit else {
            throw cursor["entries"].error("a descriptor has 1 to \(entryLimit) entries")
        }
        return Descriptor(
            entries: try entries.map { entry in
                try entry.expectNoMembers(besides: ["key", "value"])
                let value = entry["value"]
                return (try entry["key"].string(), value.value == nil ? "" : try value.string())
            }, hits: try Self.hits(in: cursor) ?? hits)
    }

    /// Whole numbers may be text in proto3's JSON. 0 is what was not said.
    private static func hits(in cursor: JSONCursor) throws -> Int? {
        for name in ["hitsAddend", "hits_addend"] {
            let member = cursor[name]
            guard let value = member.value else { continue }
            let hits: Int
            if case .string(let text) = value {
                guard let number = Int(text) else { throw member.error("expected a whole number") }
                hits = number
            } else {
                hits = try member.integer()
            }
            guard (0...RateLimitRule.costLimit).contains(hits) else {
                throw member.error("expected a whole number from 0 to \(RateLimitRule.costLimit)")
            }
            return hits == 0 ? nil : hits
        }
        return nil
    }

    // MARK: Deciding

    /// Decides about the first, and then about the rest.
    private func decide(
        _ descriptors: ArraySlice<Descriptor>, _ domain: String, _ statuses: [JSONValue], _ exchange: HTTPExchange
    ) {
        guard let first = descriptors.first else { return answer(statuses, exchange) }
        let rules = host.rules
        let name = first.entries.last?.key ?? ""
        guard let index = rules.configuration.rules.firstIndex(where: { $0.policy.name == name }) else {
            return decide(descriptors.dropFirst(), domain, statuses + [.object([("code", "OK")])], exchange)
        }
        let policy = rules.configuration.rules[index].policy
        guard policy.algorithm != .concurrency else {
            return exchange.refuse(
                HTTPProblem(400, "rule '\(name)' limits what is under way, and nobody says here when that ends"))
        }
        host.counters.requests += 1
        let charge = RateLimiter.Charge(policy: index, key: first.countedKey(domain: domain), cost: first.hits)
        host.decide([charge], under: rules) { [self] verdict in
            let status: JSONValue
            switch verdict {
            case .unknown:
                host.counters.refused += 1
                return exchange.refuse(HTTPProblem(503, "the quota is not known", remedy: "try again in a second"))
            case .decided(let decision, _, let assessments, _):
                if decision.isAllowed { host.counters.admitted += 1 } else { host.counters.refused += 1 }
                status = Self.status(decision, assessments.first, policy)
            }
            decide(descriptors.dropFirst(), domain, statuses + [status], exchange)
        }
    }

    private func answer(_ statuses: [JSONValue], _ exchange: HTTPExchange) {
        let isOver = statuses.contains { $0["code"] == "OVER_LIMIT" }
        exchange.answer(
            isOver ? 429 : 200,
            json: .object([("overallCode", isOver ? "OVER_LIMIT" : "OK"), ("statuses", .array(statuses))]))
    }

    private static func status(_ decision: RateLimiter.Decision, _ assessment: Assessment?, _ policy: RateLimitPolicy)
        -> JSONValue
    {
        let quota = policy.quota
        var limit: [(key: String, value: JSONValue)] = [("requestsPerUnit", .integer(quota.count))]
        if let unit = unit(of: quota.period) { limit.append(("unit", .string(unit))) }
        var members: [(key: String, value: JSONValue)] = [
            ("code", decision.isAllowed ? "OK" : "OVER_LIMIT"), ("currentLimit", .object(limit)),
        ]
        // Without the store nothing is known, and the rule lets all pass.
        guard let assessment else { return .object(members) }
        let remaining = min(assessment.remaining, quota.count)
        if remaining > 0 { members.append(("limitRemaining", .integer(remaining))) }
        let wait =
            assessment.isAllowed || assessment.retryAfter == .infinite ? assessment.resetAfter : assessment.retryAfter
        if wait > .zero { members.append(("durationUntilReset", .string("\(RateLimitFields.seconds(wait))s"))) }
        return .object(members)
    }

    /// nil for a period that Envoy has no word for.
    private static func unit(of period: LabDuration) -> String? {
        let units = [("SECOND", 1), ("MINUTE", 60), ("HOUR", 3600), ("DAY", 86_400), ("WEEK", 604_800)]
        return units.first { period == LabDuration.seconds($0.1) }?.0
    }
}
