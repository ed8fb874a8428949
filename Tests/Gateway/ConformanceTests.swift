import Foundation
import GatewayService
import KernelConfiguration
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// The cases of the Kubernetes Gateway API for HTTP routes, read where they lie: each of its routes as one of ours, and
/// each of its requests sent.
// @covers GW-C1 GW-C4
@Suite("Gateway API conformance") struct ConformanceTests {
    private static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    static let directory = root + "/../shared/vectors/gateway/httproute"
    static let isThere = FileManager.default.fileExists(atPath: directory)
    /// Answers of its own kind to browsers are not among what is claimed: origins with a `*` in them.
    static let names = [
        "exact-path-matching", "matching", "method-matching", "query-param-matching", "listener-hostname-matching",
        "redirect-host-and-status", "redirect-path", "redirect-scheme", "307-redirect", "request-header-modifier",
        "rewrite-path", "timeout-request", "weight", "request-mirror", "retry", "simple-same-namespace", "named-rule",
    ]

    private static func expected() throws -> JSONValue {
        try JSONValue(parsing: Array(try Data(contentsOf: URL(filePath: directory + "/expected.json"))))
    }

    @Test(
        "every request gets what it expects", .enabled(if: isThere, "the folder of vectors is not there"),
        arguments: names)
    func conforms(_ name: String) throws {
        let text = try String(contentsOfFile: "\(Self.directory)/\(name).yaml", encoding: .utf8)
        let bench = try GatewayBench(try HTTPRouteFile(text).gatewayYAML)
        let backends = Backends(bench)
        for backend in Backends.names { try backends.start(backend) }
        guard case .array(let cases)? = try Self.expected()[name] else {
            Issue.record("no cases for \(name)")
            return
        }
        #expect(!cases.isEmpty)
        for one in cases { try check(one, bench, backends) }
    }

    private func check(_ one: JSONValue, _ bench: GatewayBench, _ backends: Backends) throws {
        let request = one["Request"]
        let path = text(request?["Path"]) ?? "/"
        backends.prepare(one["Simulate"])
        if let shares = one["Distribution"] { return try checkShares(shares, path, bench) }
        let answer = try bench.ask(
            path, with: members(request?["Headers"]).map { "\($0.0): \(text($0.1) ?? "")" },
            method: text(request?["Method"]) ?? "GET", host: text(request?["Host"]) ?? "gateway")
        bench.world.pass(.milliseconds(5))
        let wanted = statuses(one["Response"])
        #expect(wanted.contains(answer.status), "\(one.text): \(answer.status) \(answer.body)")
        if let backend = text(one["Backend"]), answer.status == 200 {
            #expect(answer.body == backend, "\(one.text)")
            checkRequest(one["ExpectedRequest"], backends.last[backend] ?? "", one)
        }
        if let redirect = one["RedirectRequest"] { checkRedirect(redirect, answer["Location"] ?? "", one) }
        for mirror in elements(one["MirroredTo"]) {
            let heard = backends.last[text(mirror["BackendRef"]?["Name"]) ?? ""] ?? ""
            #expect(heard.hasPrefix("GET \(path) "), "\(one.text): \(heard)")
        }
    }

    private func checkRequest(_ expected: JSONValue?, _ heard: String, _ one: JSONValue) {
        guard let expected, !heard.isEmpty else { return }
        let head = head(heard)
        if let path = text(expected["Request"]?["Path"]) { #expect(head.target == path, "\(one.text): \(head.target)") }
        for (name, value) in members(expected["Request"]?["Headers"]) {
            #expect(head.values(of: name).joined(separator: ",") == text(value), "\(one.text): \(name)")
        }
        for name in elements(expected["AbsentHeaders"]) {
            #expect(head.value(of: text(name) ?? "") == nil, "\(one.text)")
        }
    }

    private func checkRedirect(_ redirect: JSONValue, _ location: String, _ one: JSONValue) {
        guard let url = try? HTTPURL(location) else {
            Issue.record("\(one.text): '\(location)'")
            return
        }
        if let scheme = text(redirect["Scheme"]) { #expect(url.scheme.rawValue == scheme, "\(one.text)") }
        if let host = text(redirect["Host"]) { #expect(url.host == host, "\(one.text)") }
        if let path = text(redirect["Path"]) { #expect(url.target == path, "\(one.text)") }
    }

    private func checkShares(_ shares: JSONValue, _ path: String, _ bench: GatewayBench) throws {
        var counts: [String: Int] = [:]
        let total = isLong ? 2000 : 300
        for _ in 0..<total { counts[try bench.ask(path).body, default: 0] += 1 }
        for (name, share) in members(shares) {
            guard let wanted = try? JSONCursor(share).number() else { continue }
            let found = Double(counts[name] ?? 0) / Double(total)
            #expect(abs(found - wanted) < 0.12 && (wanted > 0 || found == 0), "\(name): \(found)")
        }
    }

    private func statuses(_ response: JSONValue?) -> [Int] {
        let several = elements(response?["StatusCodes"]).compactMap { try? JSONCursor($0).integer() }
        if !several.isEmpty { return several }
        return [(response?["StatusCode"]).flatMap { try? JSONCursor($0).integer() } ?? 200]
    }
}

private func text(_ value: JSONValue?) -> String? { if case .string(let text)? = value { text } else { nil } }
private func elements(_ value: JSONValue?) -> [JSONValue] { if case .array(let all)? = value { all } else { [] } }
private func members(_ value: JSONValue?) -> [(String, JSONValue)] {
    if case .object(let all)? = value { all.map { ($0.key, $0.value) } } else { [] }
}

/// The servers of the conformance suite: they say who they are, wait when the query says so, and fail as told.
private final class Backends {
    static let names = ["infra-backend-v1", "infra-backend-v2", "infra-backend-v3"]
    private let bench: GatewayBench
    /// The last request of each.
    private(set) var last: [String: String] = [:]
    private var failures = 0
    private var status = 500

    init(_ bench: GatewayBench) { self.bench = bench }

    func prepare(_ simulation: JSONValue?) {
        failures = text(simulation?["succeedAfter"]).flatMap { Int($0) } ?? 0
        status = text(simulation?["responseCode"]).flatMap { Int($0) } ?? 500
    }

    func start(_ name: String) throws {
        let server = try bench.serve(name)
        let node = bench.world.nodes[name]!
        server.onReceived = { [self] connection in
            guard connection.text.hasSuffix("\r\n\r\n") else { return }
            let request = connection.text.components(separatedBy: "\r\n\r\n").dropLast().last ?? ""
            last[name] = request + "\r\n"
            let isFailing = failures > 0
            if isFailing { failures -= 1 }
            let answer =
                "HTTP/1.1 \(isFailing ? "\(status) Failing" : "200 OK")\r\nContent-Length: \(name.utf8.count)\r\n\r\n\(name)"
            if request.contains("delay=1s") {
                node.after(.seconds(1)) { connection.write(answer) }
            } else {
                connection.write(answer)
            }
        }
    }
}

/// A file of HTTPRoutes as a configuration of ours.
private struct HTTPRouteFile {
    private var routes: [JSONValue] = []
    private var listeners: [String: String] = [:]

    init(_ text: String) throws {
        for document in text.components(separatedBy: "\n---\n") {
            let value = try YAML.parse(Array(document.utf8), file: "route")
            let spec = value["spec"]
            for listener in spec?["listeners"]?.items ?? [] {
                if let name = listener["name"]?.scalar, let host = listener["hostname"]?.scalar {
                    listeners[name] = host
                }
            }
            guard value["kind"]?.scalar == "HTTPRoute", let spec else { continue }
            var hosts = (spec["hostnames"]?.items ?? []).compactMap(\.scalar)
            for parent in spec["parentRefs"]?.items ?? [] {
                if let host = parent["sectionName"]?.scalar.flatMap({ listeners[$0] }) { hosts.append(host) }
            }
            for rule in spec["rules"]?.items ?? [] { add(rule, hosts) }
        }
    }

    var gatewayYAML: String {
        JSONValue.object([("auth", "none"), ("routes", .array(routes)), ("services", Self.services)]).text
    }

    private static var services: JSONValue {
        .object(
            Backends.names.map { name in
                (name, ["url": .string("http://\(name)"), "outlier_ejection": false, "breaker": false])
            })
    }

    private mutating func add(_ rule: ConfigurationValue, _ hosts: [String]) {
        let matches = rule["matches"]?.items ?? []
        for match in matches.isEmpty ? [nil] : matches.map(Optional.some) {
            var route: [(key: String, value: JSONValue)] = [
                ("name", .string("r\(routes.count)")), ("path", .string(Self.path(match?["path"]))),
            ]
            if !hosts.isEmpty { route.append(("host", .array(hosts.map { .string($0) }))) }
            if let method = match?["method"]?.scalar { route.append(("method", .string(method))) }
            for (ours, theirs) in [("headers", "headers"), ("query", "queryParams")] {
                let pairs = (match?[theirs]?.items ?? []).map { item in
                    (key: item["name"]?.scalar ?? "", value: JSONValue.string(item["value"]?.scalar ?? ""))
                }
                if !pairs.isEmpty { route.append((ours, .object(pairs))) }
            }
            addAction(rule, &route)
            routes.append(.object(route))
        }
    }

    private static func path(_ path: ConfigurationValue?) -> String {
        let value = path?["value"]?.scalar ?? "/"
        switch path?["type"]?.scalar {
        case "Exact": return value
        case "RegularExpression": return "~ " + value
        default: return value.hasSuffix("/") ? value + "*" : value + "/*"
        }
    }

    private func addAction(_ rule: ConfigurationValue, _ route: inout [(key: String, value: JSONValue)]) {
        for filter in rule["filters"]?.items ?? [] {
            if let modifier = filter["requestHeaderModifier"] {
                func pairs(_ key: String) -> JSONValue {
                    .object(
                        (modifier[key]?.items ?? []).map {
                            ($0["name"]?.scalar ?? "", .string($0["value"]?.scalar ?? ""))
                        })
                }
                let remove = (modifier["remove"]?.items ?? []).compactMap(\.scalar).map { JSONValue.string($0) }
                route.append(("request_headers", ["set": pairs("set"), "add": pairs("add"), "remove": .array(remove)]))
            }
            if let rewrite = filter["urlRewrite"] {
                if let host = rewrite["hostname"]?.scalar { route.append(("host_rewrite", .string(host))) }
                if let path = Self.rewrite(rewrite["path"]) { route.append(("rewrite", .object([path]))) }
            }
            if let redirect = filter["requestRedirect"] {
                var ours: [(key: String, value: JSONValue)] = []
                if let host = redirect["hostname"]?.scalar { ours.append(("host", .string(host))) }
                if let scheme = redirect["scheme"]?.scalar { ours.append(("scheme", .string(scheme))) }
                if let status = redirect["statusCode"]?.scalar { ours.append(("status", .integer(Int(status) ?? 0))) }
                if let path = Self.rewrite(redirect["path"]) { ours.append(path) }
                // To itself with another method is none of ours.
                if ours.count == 1, ours[0].key == "status" { ours.append(("scheme", "http")) }
                route.append(("redirect", .object(ours)))
            }
            if let mirror = filter["requestMirror"]?["backendRef"]?["name"]?.scalar {
                route.append(("mirror", .string(mirror)))
            }
        }
        let backends = rule["backendRefs"]?.items ?? []
        if !backends.isEmpty {
            let shares = backends.map { item in
                (key: item["name"]?.scalar ?? "", value: JSONValue.integer(Int(item["weight"]?.scalar ?? "1") ?? 1))
            }
            route.append(("split", .object(shares)))
        }
        if let limit = rule["timeouts"]?["request"]?.scalar {
            route.append(("timeout", .string(limit == "0s" ? "1h" : limit)))
        }
        if let retry = rule["retry"] {
            route.append(("retries", .integer(Int(retry["attempts"]?.scalar ?? "1") ?? 1)))
            route.append(("retry_on", .array((retry["codes"]?.items ?? []).compactMap(\.scalar).map { .string($0) })))
        }
    }

    private static func rewrite(_ path: ConfigurationValue?) -> (key: String, value: JSONValue)? {
        if let prefix = path?["replacePrefixMatch"]?.scalar { return ("prefix", .string(prefix)) }
        if let whole = path?["replaceFullPath"]?.scalar { return ("path", .string(whole)) }
        return nil
    }
}

extension ConfigurationValue {
    fileprivate subscript(name: String) -> ConfigurationValue? {
        guard case .mapping(let pairs) = content else { return nil }
        return pairs.first { $0.key.scalar == name }?.value
    }
    fileprivate var scalar: String? { if case .scalar(let text) = content { text } else { nil } }
    fileprivate var items: [ConfigurationValue] { if case .sequence(let items) = content { items } else { [] } }
}
