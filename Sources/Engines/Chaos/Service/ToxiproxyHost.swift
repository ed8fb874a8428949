import ChaosEngine
import KernelHosting
import KernelJSON
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld

/// Toxiproxy on a node: its HTTP API on one port, and the ports of its proxies.
///
/// | path                                   | methods                                                        |
/// |----------------------------------------|----------------------------------------------------------------|
/// | `/proxies`                             | GET all, POST a new one, with its toxics if it likes           |
/// | `/populate`                            | POST a list: what is there already and differs is replaced     |
/// | `/proxies/NAME`                        | GET, POST or PATCH changes, DELETE                             |
/// | `/proxies/NAME/toxics`, `…/TOXIC`      | the same for toxics                                            |
/// | `/reset`                               | POST: no toxics, all enabled                                   |
/// | `/version`, `/metrics`                 | GET                                                            |
/// | `/faults`                              | the lab's own: GET, POST what an experiment does, DELETE all   |
///
/// The API is Toxiproxy 2.9's, errors included; requests of browsers are refused as there, because any page could send
/// them.
public final class ToxiproxyHost: Service {
    public let runtime: ServiceRuntime
    public let port: UInt16
    private let router = HTTPRouter()
    private var server: HTTPServer!
    private var proxies: [ToxicProxy] = []
    private let initial: [JSONValue]
    private let desk: FaultDesk

    public static let defaultPort: UInt16 = 8474
    /// What it says its version is: that of the API.
    public static let version = "2.9.0"
    private static let proxyLimit = 1000
    /// A fault that is asked for over HTTP ends by then.
    private static let longestFault = LabDuration.seconds(3600)

    /// - Parameters:
    ///   - proxies: those to begin with, as `/populate` takes them.
    ///   - hooks: how the lab's nodes are started and told to stop.
    public init(
        node: Node, port: UInt16, proxies: [JSONValue] = [], hooks: FaultDesk.Hooks = FaultDesk.Hooks(),
        options: ServiceOptions = ServiceOptions()
    ) {
        runtime = ServiceRuntime(node: node, tag: "TOXI", options: options)
        self.port = port
        initial = proxies
        desk = FaultDesk(node.world, lease: nil, hooks: hooks)
        router.options.defaultsToJSON = true
        server = HTTPServer(node: node, service: router)
        addRoutes()
        runtime.mount(on: router)
        let desk = desk
        node.whenEnded { desk.close() }
    }

    public func prepare() throws {
        runtime.add(server, on: port, announcement: "API on :\(port: port)")
        for value in initial { _ = try populate(JSONCursor(value)) }
    }

    public func opened() {
        for proxy in proxies { runtime.log("Proxy \(proxy.name): \(proxy.listen) to \(proxy.upstream)") }
    }

    public func willDrain() { for proxy in proxies { proxy.stop() } }

    public var statistics: [Statistic] {
        [
            .init("proxies", proxies.count), .init("toxics", proxies.reduce(0) { $0 + $1.toxics.count }),
            .init("connections", proxies.reduce(0) { $0 + $1.connectionCount }),
        ]
    }

    public func collect(into page: inout MetricWriter) {
        family("toxiproxy_proxy_received_bytes_total", "Bytes that have come", &page) { counts in
            (counts.receivedUpstream, counts.receivedDownstream)
        }
        family("toxiproxy_proxy_sent_bytes_total", "Bytes that were passed on", &page) { counts in
            (counts.sentUpstream, counts.sentDownstream)
        }
    }

    private func family(
        _ name: String, _ help: String, _ page: inout MetricWriter, _ value: (ToxicCounts) -> (Int, Int)
    ) {
        page.family(name, .counter, help) { samples in
            for proxy in proxies {
                let (up, down) = value(proxy.counts)
                for (direction, count) in [("upstream", up), ("downstream", down)] {
                    samples.add(
                        count,
                        [
                            ("direction", direction), ("proxy", proxy.name), ("listener", proxy.listen),
                            ("upstream", proxy.upstream),
                        ])
                }
            }
        }
    }

    // MARK: Routes

    private func on(_ method: String, _ template: String, _ body: @escaping (HTTPExchange) throws -> (Int, JSONValue?))
    {
        router.on(method, template) { exchange in
            if exchange.field("User-Agent")?.hasPrefix("Mozilla/") ?? false {
                return Self.refuse(exchange, ToxiproxyError(403, "User agent not allowed"))
            }
            do {
                let (status, json) = try body(exchange)
                if let json { exchange.answer(status, json: json) } else { exchange.answer(status) }
            } catch let error as ToxiproxyError {
                Self.refuse(exchange, error)
            } catch let error as HTTPProblem {
                Self.refuse(exchange, ToxiproxyError(error.status, error.description))
            } catch {
                Self.refuse(exchange, ToxiproxyError(400, "bad request body: \(error)"))
            }
        }
    }

    private static func refuse(_ exchange: HTTPExchange, _ error: ToxiproxyError) {
        exchange.answer(
            error.status, json: ["error": .string(error.description), "status": .integer(error.status)])
    }

    private func addRoutes() {
        on("GET", "/version") { _ in (200, ["version": .string(Self.version)]) }
        on("GET", "/proxies") { [unowned self] _ in (200, .object(proxies.map { ($0.name, $0.json) })) }
        on("POST", "/proxies") { [unowned self] exchange in
            let proxy = try create(JSONCursor(try exchange.json()))
            return (201, proxy.json)
        }
        on("POST", "/populate") { [unowned self] exchange in
            var made: [JSONValue] = []
            for entry in try JSONCursor(try exchange.json()).array() { made.append(try populate(entry).json) }
            return (201, ["proxies": .array(made)])
        }
        on("POST", "/reset") { [unowned self] _ in
            for proxy in proxies {
                proxy.removeAllToxics()
                try proxy.start()
            }
            return (204, nil)
        }
        on("GET", "/proxies/{proxy}") { [unowned self] exchange in (200, try find(exchange).json) }
        for method in ["POST", "PATCH"] {
            on(method, "/proxies/{proxy}") { [unowned self] exchange in
                let proxy = try find(exchange)
                let cursor = JSONCursor(try exchange.json())
                try proxy.change(
                    listen: try cursor["listen"].ifPresent?.string(),
                    upstream: try cursor["upstream"].ifPresent?.string(),
                    isEnabled: try cursor["enabled"].ifPresent?.bool())
                return (200, proxy.json)
            }
        }
        on("DELETE", "/proxies/{proxy}") { [unowned self] exchange in
            let proxy = try find(exchange)
            proxy.stop()
            proxies.removeAll { $0 === proxy }
            return (204, nil)
        }
        addToxicRoutes()
        addFaultRoutes()
    }

    private func addToxicRoutes() {
        let root = "/proxies/{proxy}/toxics"
        on("GET", root) { [unowned self] exchange in (200, .array(try find(exchange).toxics.map(\.json))) }
        on("POST", root) { [unowned self] exchange in
            let proxy = try find(exchange)
            let toxic = try Self.toxic(JSONCursor(try exchange.json()))
            try proxy.add(toxic)
            return (200, toxic.json)
        }
        on("GET", root + "/{toxic}") { [unowned self] exchange in
            (200, try Self.toxic(exchange, of: try find(exchange)).json)
        }
        for method in ["POST", "PATCH"] {
            on(method, root + "/{toxic}") { [unowned self] exchange in
                let proxy = try find(exchange)
                var toxic = try Self.toxic(exchange, of: proxy)
                do { try toxic.update(JSONCursor(try exchange.json())) } catch let error as Toxic.Malformed {
                    throw ToxiproxyError(400, error.description)
                }
                proxy.replace(toxic)
                return (200, toxic.json)
            }
        }
        on("DELETE", root + "/{toxic}") { [unowned self] exchange in
            let proxy = try find(exchange)
            _ = proxy.remove(try Self.toxic(exchange, of: proxy).name)
            return (204, nil)
        }
    }

    // MARK: Proxies

    private func find(_ exchange: HTTPExchange) throws -> ToxicProxy {
        let name = exchange.parameters["proxy"]
        guard let proxy = proxies.first(where: { $0.name == name }) else {
            throw ToxiproxyError(404, "proxy not found")
        }
        return proxy
    }

    private static func toxic(_ exchange: HTTPExchange, of proxy: ToxicProxy) throws -> Toxic {
        guard let toxic = proxy.toxic(exchange.parameters["toxic"]) else {
            throw ToxiproxyError(404, "toxic not found")
        }
        return toxic
    }

    private static func toxic(_ cursor: JSONCursor) throws -> Toxic {
        do { return try Toxic(cursor) } catch let error as Toxic.Malformed {
            throw ToxiproxyError(400, error.description)
        }
    }

    /// A proxy and its toxics come together: nobody connects before they are there.
    private func create(_ cursor: JSONCursor) throws -> ToxicProxy {
        let name = try Self.required("name", cursor)
        guard !name.contains("/") else { throw ToxiproxyError(400, "a name has no slash") }
        if proxies.contains(where: { $0.name == name }) { throw ToxiproxyError(409, "proxy already exists") }
        guard proxies.count < Self.proxyLimit else { throw ToxiproxyError(400, "more than \(Self.proxyLimit) proxies") }
        let proxy = ToxicProxy(
            node, name: name, listen: try cursor["listen"].ifPresent?.string() ?? "localhost:0",
            upstream: try Self.required("upstream", cursor))
        for entry in try cursor["toxics"].ifPresent?.array() ?? [] { try proxy.add(try Self.toxic(entry)) }
        if try cursor["enabled"].ifPresent?.bool() ?? true { try proxy.start() }
        proxies.append(proxy)
        return proxy
    }

    private static func required(_ key: String, _ cursor: JSONCursor) throws -> String {
        let text = try cursor[key].ifPresent?.string() ?? ""
        if text.isEmpty { throw ToxiproxyError(400, "missing required field: \(key)") }
        return text
    }

    private func populate(_ cursor: JSONCursor) throws -> ToxicProxy {
        let name = try Self.required("name", cursor)
        if let known = proxies.first(where: { $0.name == name }) {
            let isSame =
                cursor.value?["listen"]?.text == JSONValue.string(known.listen).text
                && cursor.value?["upstream"]?.text == JSONValue.string(known.upstream).text
            if isSame { return known }
            known.stop()
            proxies.removeAll { $0 === known }
        }
        return try create(cursor)
    }

    // MARK: Faults

    private func addFaultRoutes() {
        on("GET", "/faults") { [unowned self] _ in
            let rules = node.world.faults.rules.map { rule -> JSONValue in
                ["number": .integer(rule.number), "fault": .string(rule.text)]
            }
            return (200, .array(rules))
        }
        on("POST", "/faults") { [unowned self] exchange in
            guard case .object(var members) = try exchange.json() else {
                throw ToxiproxyError(400, "send an object such as {\"inject\": \"latency 2s\", \"target\": \"api\"}")
            }
            if !members.contains(where: { $0.key == "for" }), members.contains(where: { $0.key == "inject" }) {
                members.append(("for", .number(Self.longestFault.seconds)))
            }
            members.removeAll { $0.key == "type" }
            do {
                let action = try LabAction(JSONCursor(.object(members)))
                let notes = try desk.perform(action)
                runtime.log("\(action.summary)")
                return (201, ["notes": .array(notes.map { .string($0) })])
            } catch let error as ExperimentError {
                throw ToxiproxyError(400, error.description)
            } catch let error as FaultDesk.Failure {
                throw ToxiproxyError(409, error.description)
            }
        }
        on("DELETE", "/faults") { [unowned self] _ in
            (200, ["reverted": .integer(desk.revertAll())])
        }
    }
}
