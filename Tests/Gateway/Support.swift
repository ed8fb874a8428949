import Foundation
import GatewayEngine
import GatewayService
import KernelConfiguration
import KernelJSON
import KernelJWT
import KernelService
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport

func gateway(_ yaml: String) throws -> GatewayConfiguration {
    try GatewayConfiguration(yaml: Array(yaml.utf8), file: "gateway.yaml")
}

/// What is wrong with a configuration; empty if nothing is.
func complaint(_ yaml: String) -> String {
    do {
        _ = try gateway(yaml)
        return ""
    } catch { return "\(error)" }
}

func head(_ text: String) -> HTTPHead {
    var reader = HTTPReader(.requests)
    var position = 0
    let bytes = Array((text + "\r\n").utf8)
    let event = bytes.withUnsafeBytes { reader.next($0, &position) }
    precondition(event == .head, "no head: \(event) in \(text)")
    return reader.head
}

func get(_ target: String, method: String = "GET", host: String = "gateway", _ fields: String...) -> HTTPHead {
    head("\(method) \(target) HTTP/1.1\r\nHost: \(host)\r\n" + fields.map { $0 + "\r\n" }.joined())
}

/// A gateway on a node of a world in memory, services behind it, and clients in front.
final class GatewayBench {
    let world: World
    let host: GatewayHost
    var files: [String: [UInt8]]
    private var text: String
    private var servers: [String: ScriptedServer] = [:]
    private var clients: [RawClient] = []

    static let epoch = LabTime.documentedEpoch

    init(
        _ yaml: String, files: [String: [UInt8]] = [:], services: [String] = [], port: UInt16 = 8080,
        world: World = memoryWorld()
    ) throws {
        self.world = world
        self.files = files
        text = yaml
        var configured: GatewayBench!
        let source = ConfigurationSource(
            try gateway(yaml), read: { try gateway(configured.text) }, bytes: { Array(configured.text.utf8) })
        var files: (String) throws -> [UInt8] = { _ in [] }
        host = try GatewayHost(node: world.node("gateway"), source: source, port: port) { try files($0) }
        configured = self
        files = { [unowned self] name in
            guard let bytes = self.files[name] else { throw ReloadFailure("\(name): no such file") }
            return bytes
        }
        for service in services { try serve(service) }
        try host.start()
    }

    func reload(_ yaml: String) throws {
        text = yaml
        try host.reload()
    }

    /// A service of that name on port 80, which says who it is.
    @discardableResult
    func serve(_ name: String, _ body: String? = nil, status: String = "200 OK", extra: String = "") throws
        -> ScriptedServer
    {
        let server = try ScriptedServer(world.nodes[name] ?? world.node(name), port: 80)
        let body = body ?? name
        server.onReceived = { connection in
            guard connection.text.hasSuffix("\r\n\r\n") || connection.text.hasSuffix("end") else { return }
            connection.write("HTTP/1.1 \(status)\r\n\(extra)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
        }
        servers[name] = server
        return server
    }

    func server(_ name: String) -> ScriptedServer { servers[name]! }
    /// The requests that a service has heard.
    func heard(_ name: String) -> [String] {
        // A kept connection has several.
        (servers[name]?.heard ?? []).flatMap { text in
            text.components(separatedBy: "\r\n\r\n").filter { $0.contains(" HTTP/1.1\r\n") }.map { $0 + "\r\n\r\n" }
        }
    }

    struct Answer {
        let status: Int
        let head: HTTPHead
        let body: String
        /// From the request to the end of its answer.
        let time: LabDuration
        subscript(name: String) -> String? { head.value(of: name) }
        var json: JSONValue { (try? JSONValue(parsing: Array(body.utf8))) ?? .null }
    }

    enum Trouble: Error { case noAnswer }

    func client(_ name: String = "client") throws -> RawClient {
        let client = try RawClient(world.nodes[name] ?? world.node(name), "gateway", 8080)
        clients.append(client)
        return client
    }

    /// One request on a connection of its own; lab time passes until it is answered.
    @discardableResult
    func ask(
        _ target: String, _ fields: String..., from name: String = "client", method: String = "GET",
        host: String = "gateway", body: String = "", within limit: LabDuration = .seconds(120)
    ) throws -> Answer {
        try ask(target, with: fields, from: name, method: method, host: host, body: body, within: limit)
    }

    func ask(
        _ target: String, with fields: [String], from name: String = "client", method: String = "GET",
        host: String = "gateway", body: String = "", within limit: LabDuration = .seconds(120)
    ) throws -> Answer {
        let client = try client(name)
        let began = world.now
        let length = body.isEmpty ? "" : "Content-Length: \(body.utf8.count)\r\n"
        let lines = fields.map { $0 + "\r\n" }.joined()
        client.write("\(method) \(target) HTTP/1.1\r\nHost: \(host)\r\n\(lines)\(length)\r\n\(body)")
        var step = LabDuration.microseconds(50)
        while client.answers.first.map({ !$0.isComplete && method != "HEAD" }) ?? true, world.now - began < limit {
            world.pass(step)
            if step < .milliseconds(1) { step = step * 2 }
        }
        guard let answer = client.answers.first else { throw Trouble.noAnswer }
        client.stream.close()
        return Answer(
            status: answer.status, head: answer.head, body: String(decoding: answer.body, as: UTF8.self),
            time: world.now - began)
    }
}

/// Somebody who signs tokens, with keys that are the same in every run.
struct Issuer {
    private(set) var keys: [JWK]
    private var random = SeededRandom(seed: 7)

    init(keyID: String = "first") throws {
        keys = [try JWK.make(.eddsa, keyID: keyID, random: &random)]
    }

    mutating func rotate(to keyID: String) throws {
        keys.insert(try JWK.make(.eddsa, keyID: keyID, random: &random), at: 0)
    }

    mutating func retireOldest() { keys.removeLast() }

    var jwks: [UInt8] {
        (try? JWKSet(keys: keys))?.json().bytes() ?? []
    }

    func token(
        _ subject: String = "abc123", expires: LabDuration = .seconds(3600), claims: [(String, JSONValue)] = [],
        key: Int = 0
    ) throws -> String {
        let now = Int(GatewayBench.epoch.unixSeconds)
        let members: [(key: String, value: JSONValue)] =
            [("sub", .string(subject)), ("iat", .integer(now)), ("exp", .integer(now + Int(expires.seconds)))]
            + claims.map { (key: $0.0, value: $0.1) }
        return try JWTSigner(key: keys[key]).sign(.object(members))
    }

    func bearer(_ subject: String = "abc123", claims: [(String, JSONValue)] = []) throws -> String {
        "Authorization: Bearer \(try token(subject, claims: claims))"
    }
}
