import FeatureFlagsEngine
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire

/// OpenFeature's Remote Evaluation Protocol, OFREP 0.3: for programs that have others decide, in any language.
///
/// A flag is asked for by its key with a context, or all of them at once; errors are OFREP's own (`errorCode`), because
/// its clients read them. A flag with variants has the variant's payload as its value, without one the variant's name;
/// a flag without variants is true or false.
final class FlagEvaluationAPI {
    unowned let host: FeatureFlagsHost

    static let root = "/ofrep/v1"
    private static let inactivitySeconds = 120

    init(_ host: FeatureFlagsHost) { self.host = host }

    func mount(on router: HTTPRouter) {
        router.on("POST", Self.root + "/evaluate/flags/{key...}") { [self] in try one($0) }
        router.on("POST", Self.root + "/evaluate/flags") { [self] in try all($0) }
        router.on("GET", Self.root + "/stream") { [self] in try stream($0) }
    }

    private struct Refusal: Error {
        let status: Int
        let code: String
        let details: String
    }

    // MARK: Requests

    private func context(_ exchange: HTTPExchange) throws(Refusal) -> FlagContext {
        let body: JSONValue
        do { body = try exchange.json() } catch {
            throw Refusal(status: 400, code: "PARSE_ERROR", details: "\(error)")
        }
        guard let value = body["context"], case .object = value else {
            throw Refusal(status: 400, code: "INVALID_CONTEXT", details: "$.context: missing; expected an object")
        }
        let context: FlagContext
        do throws(JSONTypeError) { context = try FlagContext(value) } catch {
            throw Refusal(status: 400, code: "INVALID_CONTEXT", details: "\(error)")
        }
        guard case .string? = value["targetingKey"] else {
            throw Refusal(
                status: 400, code: "TARGETING_KEY_MISSING", details: "$.context.targetingKey: missing; expected text")
        }
        return context
    }

    private func refuse(_ exchange: HTTPExchange, _ refusal: Refusal, key: String?) {
        var members: [(key: String, value: JSONValue)] = []
        if let key { members.append(("key", .string(key))) }
        members += [("errorCode", .string(refusal.code)), ("errorDetails", .string(refusal.details))]
        exchange.answer(refusal.status, json: .object(members))
    }

    private func one(_ exchange: HTTPExchange) throws {
        let token = try host.admit(exchange, as: .client)
        let environment = try host.environment(exchange, token)
        let key = exchange.parameters["key"]
        do throws(Refusal) {
            let context = try context(exchange)
            guard host.flagSet(environment).contains(key) else {
                throw Refusal(status: 404, code: "FLAG_NOT_FOUND", details: "there is no flag '\(key)'")
            }
            exchange.answer(json: evaluation(key, context, environment, isCounted: true))
        } catch {
            refuse(exchange, error, key: key)
        }
    }

    private func all(_ exchange: HTTPExchange) throws {
        let token = try host.admit(exchange, as: .client)
        let environment = try host.environment(exchange, token)
        do throws(Refusal) {
            let context = try context(exchange)
            let flags = host.flagSet(environment).names.map { evaluation($0, context, environment, isCounted: false) }
            // Of the answer itself: a flag may change by the time alone.
            let body = JSONValue.array(flags).bytes()
            let etag = "\"\(hexadecimal(stableHash(String(decoding: body, as: UTF8.self)), 16))\""
            try? exchange.addField("ETag", etag)
            if exchange.field("If-None-Match") == etag { return exchange.answer(304) }
            exchange.answer(
                json: .object([
                    ("flags", .array(flags)),
                    (
                        "eventStreams",
                        .array([
                            .object([
                                ("type", "sse"),
                                ("endpoint", .object([("requestUri", .string(streamTarget(environment)))])),
                                ("inactivityDelaySec", .integer(Self.inactivitySeconds)),
                            ])
                        ])
                    ),
                    (
                        "metadata",
                        .object([("environment", .string(environment)), ("revision", .integer(host.store.revision))])
                    ),
                ]))
        } catch {
            refuse(exchange, error, key: nil)
        }
    }

    private func streamTarget(_ environment: String) -> String {
        Self.root + "/stream" + HTTPQuery.text([("environment", environment)])
    }

    // MARK: Answers

    /// Counted only where one flag was asked for: whoever fetches all of them has not shown any yet.
    private func evaluation(
        _ key: String, _ context: FlagContext, _ environment: String, isCounted: Bool
    ) -> JSONValue {
        let set = host.flagSet(environment)
        let now = host.node.wallClock
        let chance = host.node.draw { $0.next() }
        let explanation = set.explain(key, context, now: now, chance: chance)
        let variant = explanation.variant
        let hasVariants = host.store.flags[key]?.hasVariants ?? false
        if isCounted {
            let shown = hasVariants ? variant?.name ?? FlagVariant.disabledName : nil
            host.evaluated(key, environment, isOn: explanation.isEnabled, variant: shown)
        }
        var members: [(key: String, value: JSONValue)] = [
            ("key", .string(key)), ("reason", .string(Self.reason(explanation))),
        ]
        if let variant {
            members += [("variant", .string(variant.name)), ("value", Self.value(of: variant))]
        } else if !hasVariants {
            members += [
                ("variant", .string(explanation.isEnabled ? "enabled" : "disabled")),
                ("value", .bool(explanation.isEnabled)),
            ]
        }
        // A flag with variants that shows none has no value: the code's own default is meant.
        let kind = host.store.flags[key]?.kind.rawValue ?? ""
        members.append(("metadata", .object([("type", .string(kind)), ("environment", .string(environment))])))
        return .object(members)
    }

    /// OFREP's word for how it came about.
    private static func reason(_ explanation: FlagExplanation) -> String {
        switch explanation.reason {
        case .off, .parent: return "DISABLED"
        case .everybody, .unknownFlag: return explanation.variant == nil ? "STATIC" : "SPLIT"
        case .strategy, .noStrategy: break
        }
        let decisive = explanation.strategies.filter { explanation.isEnabled ? $0.isMet : true }
        if decisive.contains(where: { !$0.constraints.isEmpty || ["userWithId", "remoteAddress"].contains($0.name) }) {
            return "TARGETING_MATCH"
        }
        let isSplit = decisive.contains { $0.rollout.map { (1...99).contains($0.percent) } ?? false }
        return isSplit || explanation.variant != nil ? "SPLIT" : "STATIC"
    }

    private static func value(of variant: FlagExplanation.Variant) -> JSONValue {
        guard let payload = variant.payload else { return .string(variant.name) }
        switch payload.type {
        case "json": return (try? JSONValue(parsing: payload.value)) ?? .string(payload.value)
        case "number":
            // A text that is no number would not be JSON.
            guard let number = try? JSONValue(parsing: payload.value) else { return .string(payload.value) }
            switch number {
            case .integer, .unsigned, .number, .decimal: return number
            default: return .string(payload.value)
            }
        default: return .string(payload.value)
        }
    }

    // MARK: Changes

    private func stream(_ exchange: HTTPExchange) throws {
        let token = try host.admit(exchange, as: .client)
        var query = try exchange.query()
        let wanted = try query.take("environment")
        let environment = try token?.environment ?? host.store.environment(wanted)
        guard let stream = exchange.events() else { return }
        let follower = FlagStreams.Follower(
            stream, environment, .remoteEvaluation, token: token, known: host.store.revision)
        host.streams.add(follower)
        exchange.onAbandon = { [streams = host.streams, weak follower] in
            if let follower { streams.remove(follower) }
        }
    }
}
