import ChaosEngine
import KernelHosting
import KernelJSON
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld

/// One proxy of Toxiproxy: a port, a server behind it, and what happens to the bytes between them.
final class ToxicProxy {
    let name: String
    private(set) var listen: String
    private(set) var upstream: String
    private(set) var isEnabled = false
    private(set) var toxics: [Toxic] = []
    private let node: Node
    private var server: StreamServer?
    private var links: [UInt64: ToxicLink] = [:]
    private(set) var port: UInt16 = 0
    /// Bytes that clients and servers have sent, and that have been passed on to the other side.
    var counts = ToxicCounts()

    static let toxicLimit = 100
    /// Where ports are looked for when nobody says which.
    private static let freePorts: ClosedRange<UInt16> = 26_000...26_999

    init(_ node: Node, name: String, listen: String, upstream: String) {
        self.node = node
        self.name = name
        self.listen = listen
        self.upstream = upstream
    }

    // MARK: Listening

    /// - Throws: `HTTPProblem` if the port is none or taken.
    func start() throws {
        guard !isEnabled else { return }
        guard let wanted = Self.port(of: listen) else {
            throw ToxiproxyError(400, "listen '\(listen)' is not HOST:PORT")
        }
        do throws(HostPort.Malformed) {
            _ = try HostPort(reading: upstream)
        } catch {
            throw ToxiproxyError(400, "upstream: \(error)")
        }
        let server = StreamServer(node: node) { [unowned self] stream, _, _ in accept(stream) }
        var failure: NetworkError?
        for candidate in wanted == 0 ? Array(Self.freePorts) : [wanted] {
            do throws(NetworkError) {
                try server.listen(on: candidate)
                failure = nil
                port = candidate
                break
            } catch {
                failure = error
            }
        }
        if let failure { throw ToxiproxyError(500, "listen tcp \(listen): \(failure)") }
        if wanted == 0 { listen = listen.dropLast() + "\(port)" }
        self.server = server
        isEnabled = true
    }

    /// The port goes, and every connection with it: `enabled: false` is a server that is down.
    func stop() {
        server?.stopListening()
        isEnabled = false
        for (_, link) in links.sorted(by: { $0.key < $1.key }) { link.abort() }
        links = [:]
        server = nil
    }

    private static func port(of text: String) -> UInt16? {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        return UInt16(text[text.index(after: colon)...])
    }

    /// - Throws: if it cannot listen there; it is down then.
    func change(listen: String?, upstream: String?, isEnabled wanted: Bool?) throws {
        let isMoved = listen.map { $0 != self.listen } ?? false || upstream.map { $0 != self.upstream } ?? false
        let wasEnabled = isEnabled
        if isMoved { stop() }
        if let listen { self.listen = listen }
        if let upstream { self.upstream = upstream }
        switch wanted ?? wasEnabled {
        case true: try start()
        case false: stop()
        }
    }

    // MARK: Connections

    var connectionCount: Int { links.count }

    private func accept(_ client: Stream) -> any StreamHandler {
        let link = ToxicLink(self, node, client)
        links[client.number] = link
        link.onEnd = { [weak self, weak client] in
            guard let self, let client else { return }
            links[client.number] = nil
            server?.ended(client)
        }
        link.connect(to: upstream, toxics: toxics)
        return link
    }

    // MARK: Toxics

    func toxic(_ name: String) -> Toxic? { toxics.first { $0.name == name } }

    func add(_ toxic: Toxic) throws {
        if self.toxic(toxic.name) != nil { throw ToxiproxyError(409, "toxic already exists") }
        guard toxics.count < Self.toxicLimit else { throw ToxiproxyError(400, "more than \(Self.toxicLimit) toxics") }
        toxics.append(toxic)
        apply()
    }

    func replace(_ toxic: Toxic) {
        guard let index = toxics.firstIndex(where: { $0.name == toxic.name }) else { return }
        toxics[index] = toxic
        apply()
    }

    /// - Returns: false if there is none of that name.
    func remove(_ name: String) -> Bool {
        guard let index = toxics.firstIndex(where: { $0.name == name }) else { return false }
        toxics.remove(at: index)
        apply()
        return true
    }

    func removeAllToxics() {
        toxics = []
        apply()
    }

    private func apply() { for (_, link) in links.sorted(by: { $0.key < $1.key }) { link.change(to: toxics) } }

    // MARK: JSON

    var json: JSONValue {
        [
            "name": .string(name), "listen": .string(listen), "upstream": .string(upstream),
            "enabled": .bool(isEnabled), "toxics": .array(toxics.map(\.json)),
        ]
    }
}

/// What has passed a proxy, in either direction.
struct ToxicCounts {
    var receivedUpstream = 0
    var sentUpstream = 0
    var receivedDownstream = 0
    var sentDownstream = 0
}

/// What Toxiproxy's API says when it cannot: `{"error": "proxy not found", "status": 404}`.
struct ToxiproxyError: Error, CustomStringConvertible {
    let status: Int
    let description: String

    init(_ status: Int, _ description: String) {
        self.status = status
        self.description = description
    }
}
