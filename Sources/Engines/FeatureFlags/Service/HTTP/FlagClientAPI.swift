import FeatureFlagsEngine
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire

/// Unleash's client API: definitions for programs that decide themselves, and the numbers that they report.
final class FlagClientAPI {
    unowned let host: FeatureFlagsHost
    /// The last body made for an environment, for all who ask for the same revision.
    private var cached: [String: (revision: Int, bytes: [UInt8])] = [:]

    init(_ host: FeatureFlagsHost) { self.host = host }

    /// The router holds this API by the handlers.
    func mount(on router: HTTPRouter) {
        for root in ["/api/client", "/client"] {
            router.on("GET", root + "/features") { [self] in try features($0) }
            router.on("GET", root + "/features/{name}") { [self] in try feature($0) }
            router.on("POST", root + "/register") { [self] exchange in
                try host.admit(exchange, as: .client)
                _ = try exchange.json()
                exchange.answer(202)
            }
            router.on("POST", root + "/metrics") { [self] in try metrics($0) }
            router.on("GET", root + "/delta") { [self] in try delta($0) }
            router.on("GET", root + "/streaming") { [self] in try stream($0) }
        }
    }

    private func environment(_ exchange: HTTPExchange) throws -> String {
        try host.environment(exchange, try host.admit(exchange, as: .client))
    }

    // MARK: Definitions

    private func features(_ exchange: HTTPExchange) throws {
        let environment = try environment(exchange)
        let knowsSegments = Self.knowsSegments(exchange.field("Unleash-Client-Spec"))
        let etag = knowsSegments ? host.etag(environment) : "\"\(environment).\(host.store.revision).inline\""
        try exchange.addField("ETag", etag)
        if Self.isKnown(exchange, etag) { return exchange.answer(304) }
        exchange.answer(bytes: bytes(environment, etag, knowsSegments), type: "application/json")
    }

    /// Segments came with version 4.2 of the specification; older clients get their constraints in place.
    private static func knowsSegments(_ version: String?) -> Bool {
        guard let version = version.flatMap({ SemanticVersion(parsing: $0) }),
            let first = SemanticVersion(parsing: "4.2.0")
        else { return false }
        return version.compared(to: first) >= 0
    }

    private static func isKnown(_ exchange: HTTPExchange, _ etag: String) -> Bool {
        guard let field = exchange.field("If-None-Match") else { return false }
        return field.split(separator: ",").contains { item in
            var item = item.drop { $0 == " " }
            if item.hasPrefix("W/") { item = item.dropFirst(2) }
            while item.last == " " { item.removeLast() }
            return item == etag || item == etag.dropFirst().dropLast()
        }
    }

    private func bytes(_ environment: String, _ etag: String, _ knowsSegments: Bool) -> [UInt8] {
        let key = knowsSegments ? environment : environment + " inline"
        if let found = cached[key], found.revision == host.store.revision { return found.bytes }
        var definitions = host.store.definitions(in: environment)
        if !knowsSegments { definitions.inlineSegments() }
        var body = definitions.json
        if case .object(let members) = body {
            body = .object(
                members + [
                    (
                        "query",
                        .object([
                            ("environment", .string(environment)), ("inlineSegmentConstraints", .bool(!knowsSegments)),
                        ])
                    ),
                    (
                        "meta",
                        .object([
                            ("revisionId", .integer(host.store.revision)), ("etag", .string(etag)),
                            ("queryHash", .string(environment)),
                        ])
                    ),
                ])
        }
        let bytes = body.bytes() + [10]
        cached[key] = (host.store.revision, bytes)
        return bytes
    }

    private func feature(_ exchange: HTTPExchange) throws {
        let environment = try environment(exchange)
        let flag = try host.store.flag(exchange.parameters["name"])
        exchange.answer(json: flag.definition(in: environment).json)
    }

    // MARK: Changes

    private func delta(_ exchange: HTTPExchange) throws {
        let environment = try environment(exchange)
        let known = exchange.field("If-None-Match").flatMap { Int($0.filter { $0 != "\"" }) }
        let store = host.store
        try exchange.addField("ETag", "\"\(store.revision)\"")
        let events = store.delta(since: known, in: environment)
        if events.isEmpty { return exchange.answer(304) }
        exchange.answer(json: .object([("events", .array(events))]))
    }

    private func stream(_ exchange: HTTPExchange) throws {
        let token = try host.admit(exchange, as: .client)
        let environment = try host.environment(exchange, token)
        let known = exchange.field("Last-Event-ID").flatMap { Int($0) }
        guard let stream = exchange.events() else { return }
        let store = host.store
        let follower = FlagStreams.Follower(stream, environment, .unleash, token: token, known: store.revision)
        host.streams.add(follower)
        exchange.onAbandon = { [streams = host.streams, weak follower] in
            if let follower { streams.remove(follower) }
        }
        stream.send(
            ServerSentEvent(
                FlagStreams.delta(store, known, environment), event: "unleash-connected", id: "\(store.revision)"))
    }

    // MARK: Numbers

    private func metrics(_ exchange: HTTPExchange) throws {
        let token = try host.admit(exchange, as: .client)
        let usage = try FlagUsage(try exchange.json())
        var environment = try host.environment(exchange, token)
        if token?.environment == nil, let name = usage.environment, host.store.environments.contains(name) {
            environment = name
        }
        host.count(usage.flags, in: environment)
        exchange.answer(202)
    }
}
