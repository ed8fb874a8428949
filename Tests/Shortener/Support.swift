import KernelJSON
import KernelService
import KernelStorage
import KernelStructures
import KernelWorld
import ShortenerService
import TestSupport

/// A shortener in a world in memory, and visitors.
final class ShortenerLab {
    let world: World
    private(set) var host: ShortenerHost!
    private let name: String
    private let change: (inout ShortenerSettings) -> Void

    init(
        seed: UInt64 = 1, disk: (any Disk)? = nil, world: World? = nil, name: String = "urls",
        _ change: @escaping (inout ShortenerSettings) -> Void = { _ in }
    ) throws {
        self.world =
            world
            ?? memoryWorld(seed: seed) { configuration in
                if let disk { configuration.disk = disk }
            }
        self.name = name
        self.change = change
        try begin()
    }

    deinit { world.shutDown() }

    /// Starts it, or starts it again on the same disk.
    func begin() throws {
        let place = name == "urls" ? "" : name + "-"
        var settings = ShortenerSettings(
            store: .file(path: "/\(place)links.db", text: "links.db"), clickDirectory: "/\(place)clicks")
        change(&settings)
        host = ShortenerHost(node: try world.node(name), settings: settings, port: 80)
        try host.start()
        // Until the database is open, the code is known and what an earlier life left is counted.
        world.pass(.milliseconds(100))
    }

    func kill() {
        world.nodes[name]?.end(.killed)
        world.pass(.milliseconds(5))
    }

    struct Answer {
        let status: Int
        let location: String?
        let cacheControl: String?
        var clickID: String?
        var retryAfter: Int?
        let body: String
        var json: JSONValue { (try? JSONValue(parsing: body)) ?? .null }
    }

    @discardableResult
    func ask(
        _ method: String, _ target: String, _ body: String = "", fields: String = "", from node: String = "visitor",
        host: String = "s.io"
    ) throws -> Answer {
        let known = world.nodes[node]
        let client = try RawClient(known?.isAlive == true ? known! : try world.node(node), name, 80)
        client.write(
            "\(method) \(target) HTTP/1.1\r\nHost: \(host)\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
        )
        world.pass(.milliseconds(20))
        let answer = client.answers.first
        client.stream.close()
        return Answer(
            status: answer?.status ?? 0, location: answer?.head.value(of: "Location"),
            cacheControl: answer?.head.value(of: "Cache-Control"), clickID: answer?.head.value(of: "X-Click-Id"),
            retryAfter: answer?.head.value(of: "Retry-After").flatMap { Int($0) },
            body: String(decoding: answer?.body ?? [], as: UTF8.self))
    }

    /// Makes a link, and gives its code.
    func shorten(_ body: String) throws -> String {
        guard case .string(let short)? = try ask("POST", "/api/shorten", body).json["short_url"] else { return "" }
        return String(short.split(separator: "/").last ?? "")
    }

    /// Whether a line of the log has these words.
    func logged(_ words: String) -> Bool {
        let events = world.journal.events
        return (0..<events.count).contains { index in
            if case .log(let line) = events[index].body { line.text.contains(words) } else { false }
        }
    }

    /// What the books say of clicks that were seen.
    func audit(_ ids: [String]) throws -> JSONValue {
        try ask("POST", "/api/audit", ids.map { $0 + "\n" }.joined()).json
    }
}
