import GatewayEngine
import KernelJWT
import KernelStructures
import KernelWire
import LoadBalancerEngine
import RateLimiterEngine

/// What would become of a request, without anything being sent, counted or charged.
extension GatewayHost {
    /// One step of it, in words.
    package struct Step: Equatable, Sendable {
        package let name: String
        package let text: String
    }

    /// Other circumstances than those of now.
    package struct Circumstances {
        /// It comes so much later, with the limits and servers of now.
        package var later = LabDuration.zero
        /// Keys as a file has them (its name and its bytes), in place of those that are in force: a rotation that has
        /// not been made yet.
        package var keys: (name: String, bytes: [UInt8])?

        package init() {}
    }

    /// - Throws: what is wrong with the keys.
    package func rehearse(_ request: RouteRequest, in circumstances: Circumstances) throws -> [Step] {
        let later = circumstances.later
        let keys = try circumstances.keys.map { try TokenAuthority.keys($0.bytes, $0.name) }
        let asked = "\(request.head.methodText) \(String(decoding: request.path.prefix(200), as: UTF8.self))"
        var steps = [Step(name: "request", text: asked)]
        guard let match = engine.table.match(request) else {
            return steps + [Step(name: "answer", text: "404: no route fits")]
        }
        let route = engine.table.routes[match.route]
        steps.append(Step(name: "route", text: route.name))
        let live = rules.routes[match.route]
        if let limit = live.addressLimit, later == .zero {
            if let refusal = see(limit, of: Self.ownAddress, as: "address", in: &steps) { return steps + [refusal] }
        }
        let verdict = judge(request.head, route, keys, at: node.wallClock + later)
        steps.append(Step(name: "auth", text: verdict.text))
        if let status = verdict.status { return steps + [Step(name: "answer", text: status)] }
        if let limit = live.limit, later == .zero {
            if let refusal = see(limit, of: verdict.subject, as: "limit", in: &steps) { return steps + [refusal] }
        }
        return steps + destination(live, verdict.subject, match, request)
    }

    /// Adds how much of a limit is used; returns the answer if nothing of it is left.
    private func see(_ limit: Int, of key: String, as name: String, in steps: inout [Step]) -> Step? {
        let look = limiter.look(policy: limit, key: key, now: node.world.now)
        let used = look.limit - look.remaining - (look.isAllowed ? 1 : 0)
        steps.append(Step(name: name, text: "\(used) of \(look.limit) used by \(key)"))
        return look.isAllowed ? nil : Step(name: "answer", text: "429: again in \(look.retryAfter.rounded)")
    }

    /// Whoever asks from inside.
    private static let ownAddress = "ip:127.0.0.1"

    private func destination(_ live: LiveRoute, _ subject: String, _ match: RouteTable.Match, _ request: RouteRequest)
        -> [Step]
    {
        let route = live.route
        let path = request.path[match.versionLength...]
        switch route.action {
        case .redirect(let redirection): return [Step(name: "answer", text: "\(redirection.status): elsewhere")]
        case .aggregate(let aggregate):
            return aggregate.parts.map {
                Step(name: "part", text: "\($0.name): \($0.service) \($0.path)\($0.isRequired ? ", required" : "")")
            }
        case .forward(let shares):
            let total = shares.reduce(0) { $0 + $1.weight }
            let states = serviceStates
            let kept = live.stickyShares?.pick(for: request.head, subject: subject)
            let lines = shares.enumerated().map { index, share -> String in
                let state = states.first { $0.name == share.service }
                let up = state?.servers.count(where: \.isInPool) ?? 0
                let part = shares.count == 1 ? "" : " (\(share.weight) of \(total)\(index == kept ? ", kept" : ""))"
                let circuit = state?.circuit.map { ", circuit \($0)" } ?? ""
                return "\(share.service)\(part): \(up) of \(state?.servers.count ?? 0) servers up\(circuit)"
            }
            let sent = route.rewrite?.apply(to: path, prefixLength: match.prefixLength) ?? Array(path)
            return lines.map { Step(name: "service", text: $0) }
                + [Step(name: "path", text: String(decoding: sent.prefix(200), as: UTF8.self))]
        }
    }

    /// Who it is, and what is answered to one who may not pass.
    private func judge(_ head: HTTPHead, _ route: Route, _ otherKeys: JWKSet?, at now: LabTime)
        -> (text: String, subject: String, status: String?)
    {
        let methods = route.access.methods
        if methods.isEmpty { return ("none", Self.ownAddress, nil) }
        func refused(_ refusal: AccessRefusal) -> (String, String, String?) {
            (refusal.reason, "", "\(refusal.status): \(refusal.body)")
        }
        func checked(_ identity: Identity) -> (String, String, String?) {
            if let refusal = route.access.refusal(of: identity) { return refused(refusal) }
            return (identity.subject, identity.subject, nil)
        }
        let takesBearer = methods.contains(.jwt) || methods.contains(.introspection)
        let keyField = methods.contains(.apiKey) ? configuration.apiKeys?.field : nil
        switch Credential.read(head, bearer: takesBearer, apiKeyField: keyField) {
        case .none: return refused(takesBearer ? .missingToken : .missingKey(keyField ?? "X-API-Key"))
        case .malformed(let text): return refused(.malformed(text))
        case .malformedKey(let text): return refused(.malformedKey(text))
        case .apiKey(let key):
            guard let owner = rules.apiKeys?.owner(of: key, now: now) else { return refused(.unknownKey) }
            var identity = Identity(subject: "key:" + owner.name)
            identity.scopes = owner.scopes
            return checked(identity)
        case .bearer(let token):
            guard methods.contains(.jwt), let verifier = rules.tokens?.verifier, let keys = otherKeys ?? verifier.keys
            else {
                return ("the issuer would be asked", "user:?", nil)
            }
            do {
                let jwt = try JWTVerification.verify(token, keys: keys, policy: verifier.policy, now: now)
                return checked(try Claims.identity(jwt.claims.json, fields: configuration.jwt?.fields ?? []))
            } catch let refusal as AccessRefusal {
                return refused(refusal)
            } catch {
                let failure = error as? JWTFailure
                return refused(
                    .invalidToken(failure?.description ?? "\(error)", reason: failure?.reason ?? "malformed"))
            }
        }
    }
}
