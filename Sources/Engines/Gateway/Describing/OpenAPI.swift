import KernelJSON
import KernelWire

/// What clients may ask this gateway, as an OpenAPI 3.1 document: made from the routes, so that it cannot grow old.
///
/// It knows the door, not the rooms: which paths and methods there are, what has to be shown, and what the gateway
/// itself answers. What services say is theirs to describe. Routes by regular expression have no place in OpenAPI's
/// paths and stand under `x-expressions`.
public struct OpenAPIDocument: Sendable {
    private let configuration: GatewayConfiguration

    public init(_ configuration: GatewayConfiguration) { self.configuration = configuration }

    private static let anyMethod = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    private static let knownMethods = ["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"]

    public func json(title: String) -> JSONValue {
        var paths: [(key: String, value: [(key: String, value: JSONValue)])] = []
        var expressions: [JSONValue] = []
        for route in configuration.routes {
            for pattern in route.paths {
                switch pattern {
                case .expression(let expression): expressions.append(.string(expression.pattern))
                case .exact(let path): add(route, (route.version.map { "/" + $0 } ?? "") + path, hasRest: false, &paths)
                case .prefix(let path):
                    let path = (route.version.map { "/" + $0 } ?? "") + path
                    if !path.isEmpty { add(route, path, hasRest: false, &paths) }
                    add(route, path + "/{rest}", hasRest: true, &paths)
                }
            }
        }
        var members: [(key: String, value: JSONValue)] = [
            ("openapi", "3.1.0"), ("info", ["title": .string(title), "version": "1"]),
            ("paths", .object(paths.map { ($0.key, .object($0.value)) })), ("components", components),
        ]
        if !expressions.isEmpty { members.append(("x-expressions", .array(expressions))) }
        return .object(members)
    }

    /// Of several routes for one path and method the first is described: which one a request gets may depend on its
    /// fields.
    private func add(
        _ route: Route, _ path: String, hasRest: Bool,
        _ paths: inout [(key: String, value: [(key: String, value: JSONValue)])]
    ) {
        let place = paths.firstIndex { $0.key == path } ?? paths.count
        if place == paths.count { paths.append((path, [])) }
        let methods = route.methods.isEmpty ? Self.anyMethod : route.methods
        for method in methods where Self.knownMethods.contains(method) {
            let key = method.lowercased()
            if paths[place].value.contains(where: { $0.key == key }) { continue }
            let name = "\(route.name)_\(key)\(hasRest ? "_below" : "")"
            paths[place].value.append((key, operation(route, name, hasRest: hasRest)))
        }
    }

    private func operation(_ route: Route, _ name: String, hasRest: Bool) -> JSONValue {
        var members: [(key: String, value: JSONValue)] = [("operationId", .string(name))]
        if route.sunset != nil { members.append(("deprecated", true)) }
        var parameters: [JSONValue] = []
        if hasRest {
            parameters.append(["name": "rest", "in": "path", "required": true, "schema": ["type": "string"]])
        }
        for (matches, place) in [(route.fields, "header"), (route.query, "query")] {
            for match in matches {
                parameters.append([
                    "name": .string(match.name), "in": .string(place), "required": true, "schema": schema(of: match),
                ])
            }
        }
        if !parameters.isEmpty { members.append(("parameters", .array(parameters))) }
        let schemes = route.access.methods.map { method -> JSONValue in
            .object([(method.rawValue, .array(route.access.scopes.map { .string($0) }))])
        }
        members.append(("security", .array(schemes)))
        members.append(("responses", .object(responses(route))))
        return .object(members)
    }

    private func schema(of match: ValueMatch) -> JSONValue {
        switch match.value {
        case .exact(let value): ["type": "string", "enum": [.string(value)]]
        case .expression(let expression): ["type": "string", "pattern": .string("^(?:\(expression.pattern))$")]
        case .present: ["type": "string"]
        }
    }

    private func responses(_ route: Route) -> [(key: String, value: JSONValue)] {
        func error(_ text: String, _ type: String = "application/problem+json") -> JSONValue {
            let schema: JSONValue = ["schema": ["type": "object"]]
            let content = JSONValue.object([(key: type, value: schema)])
            return ["description": .string(text), "content": content]
        }
        var responses: [(key: String, value: JSONValue)] = []
        switch route.action {
        case .redirect(let redirection): responses.append(("\(redirection.status)", ["description": "elsewhere"]))
        case .forward: responses.append(("default", ["description": "what the service answers"]))
        case .aggregate(let aggregate):
            responses.append(("200", error("all parts, or those that could be had", "application/json")))
            if aggregate.partialStatus != 200 {
                responses.append(("\(aggregate.partialStatus)", error("a part is missing", "application/json")))
            }
        }
        if !route.access.methods.isEmpty {
            responses.append(("401", error("no credentials, or none that are good", "application/json")))
            responses.append(("403", error("not for these credentials", "application/json")))
        }
        if route.limit != nil || route.addressLimit != nil {
            responses.append(("429", error("too often", "application/json")))
        }
        responses.append(("400", error("a path that servers would read in two ways")))
        responses.append(("413", error("the body is too large")))
        for (status, text) in [("502", "the service failed"), ("503", "no server, or not now"), ("504", "too late")]
        where !responses.contains(where: { $0.key == status }) {
            responses.append((status, error(text)))
        }
        return responses
    }

    private var components: JSONValue {
        let used = Set(configuration.routes.flatMap(\.access.methods).map(\.rawValue))
        var schemes: [(key: String, value: JSONValue)] = []
        if used.contains("jwt") {
            schemes.append(("jwt", ["type": "http", "scheme": "bearer", "bearerFormat": "JWT"]))
        }
        if used.contains("introspection") { schemes.append(("introspection", ["type": "http", "scheme": "bearer"])) }
        if used.contains("api-key"), let settings = configuration.apiKeys {
            schemes.append(("api-key", ["type": "apiKey", "in": "header", "name": .string(settings.field)]))
        }
        return ["securitySchemes": .object(schemes)]
    }
}
