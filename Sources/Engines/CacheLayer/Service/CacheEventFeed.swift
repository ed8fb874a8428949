import CacheLayerEngine
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld

/// Tells whoever watches what happens in a cache layer, over HTTP as a stream of events, and leaves a note in the
/// shared cache where that stream is: a cache sees GET and SET, and never that a database was asked.
public final class CacheEventFeed {
    private let node: Node
    private let remote: RESPRemote
    private let place: String
    private let prefix: String
    private var streams: [HTTPEventStream] = []

    /// In front of the notes in the shared cache; behind it stands the name of the node.
    public static let notePrefix = "cache-layer:events:"
    /// Those who may watch.
    static let limit = 64
    static let noteDuration = LabDuration.seconds(30)

    /// - Parameters:
    ///   - place: where the stream is: `HOST:PORT`.
    ///   - prefix: of the layer's keys.
    public init(node: Node, remote: RESPRemote, place: String, prefix: String) {
        self.node = node
        self.remote = remote
        self.place = place
        self.prefix = prefix
        node.whenEnded { [weak self] in self?.streams = [] }
    }

    public var isWatched: Bool { !streams.isEmpty }

    /// Leaves the note, and renews it in time.
    public func announce() {
        remote.send(
            [
                "SET", Self.notePrefix + node.name, "\(place) \(prefix)", "PX",
                "\(Self.noteDuration.nanoseconds / 1_000_000)",
            ])
        node.after(LabDuration(nanoseconds: Self.noteDuration.nanoseconds / 3)) { [weak self] in self?.announce() }
    }

    func serve(_ exchange: HTTPExchange) throws {
        streams.removeAll { !$0.isOpen }
        guard streams.count < Self.limit else { throw HTTPProblem(503, "\(streams.count) watch already") }
        if let stream = exchange.events() { streams.append(stream) }
    }

    func send(_ event: CacheEvent) {
        guard isWatched else { return }
        send(json(event))
    }

    /// A request was answered after so long.
    func answered(_ key: String, after duration: LabDuration) {
        guard isWatched else { return }
        send(.object([("event", "response"), named(key), Self.time(duration)]))
    }

    private func send(_ value: JSONValue) {
        let event = ServerSentEvent(value.text)
        streams.removeAll { !$0.send(event) }
    }

    private static func time(_ duration: LabDuration) -> (String, JSONValue) {
        ("us", .integer(Int(clamping: duration.nanoseconds / 1000)))
    }

    private func named(_ key: String) -> (String, JSONValue) { ("key", .string(prefix + key)) }

    private func json(_ event: CacheEvent) -> JSONValue {
        func object(_ name: String, _ members: [(String, JSONValue)]) -> JSONValue {
            .object([("event", .string(name))] + members)
        }
        func flight(_ id: FlightID?) -> (String, JSONValue) {
            ("flight", id.map { .integer(Int(clamping: $0.number)) } ?? .null)
        }
        switch event {
        case .hit(let key, let freshness, let isNegative):
            return object(
                "hit",
                [named(key), ("freshness", .string(freshness.rawValue)), ("negative", .bool(isNegative))])
        case .remoteHit(let key):
            return object("hit", [named(key), ("freshness", "fresh"), ("negative", false)])
        case .miss(let key, let id, let reason):
            return object("miss", [named(key), flight(id), ("reason", .string(reason.rawValue))])
        case .joined(let key, let id, let waiting):
            return object("joined", [named(key), flight(id), ("waiting", .integer(waiting))])
        case .queried(let key, let id, let duration, let requests, let isFound):
            return object(
                "query",
                [
                    named(key), flight(id), Self.time(duration), ("requests", .integer(requests)),
                    ("found", .bool(isFound)),
                ])
        case .loadFailed(let key, let id, let text):
            return object("failed", [named(key), flight(id), ("text", .string(text))])
        case .filled(let key, let ttl, let isNew, let isNegative):
            return object(
                "set",
                [
                    named(key), ("ttl", .string("\(ttl)")), ("new", .bool(isNew)),
                    ("negative", .bool(isNegative)),
                ])
        case .served(let key, let id, let requests):
            return object("served", [named(key), flight(id), ("requests", .integer(requests))])
        case .wrote(let key, let duration, let isRemoval):
            return object("write", [named(key), Self.time(duration), ("removal", .bool(isRemoval))])
        case .queued(let key, let waiting): return object("queue", [named(key), ("waiting", .integer(waiting))])
        case .invalidated(let key): return object("invalidated", [named(key)])
        case .invalidatedTag(let tag): return object("invalidated-tag", [("tag", .string(tag))])
        case .remoteFailed(let text): return object("remote-failed", [("text", .string(text))])
        }
    }
}
