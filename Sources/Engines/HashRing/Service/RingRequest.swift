import HashRingEngine
import KernelStructures
import KernelWire

/// A request to the node that holds the ring, as it comes over HTTP.
///
/// | method and path                                     | does                                           |
/// |-----------------------------------------------------|------------------------------------------------|
/// | `GET /ring`                                         | members, shares, how even they are             |
/// | `GET /ring/drawing?key=K`                           | the drawing                                    |
/// | `GET /ring/export`                                  | everything, with all points                    |
/// | `GET /lookup?key=K&key=…&rf=N`                      | who has these keys                             |
/// | `POST /lookup?rf=N`, a key a line                   | the same for many                              |
/// | `POST /nodes?name=A&vnodes=N&weight=N&zone=Z`       | adds a node                                    |
/// | `PATCH /nodes/A?vnodes=N&weight=N`                  | reweights it                                   |
/// | `DELETE /nodes/A`                                   | removes it                                     |
/// | `GET /preview?change=add\|remove\|reweight&name=A…` | what that would move                           |
/// | `GET /moved?ranges=N`                               | what the last change moved                     |
/// | `GET /compare?keys=N&add=A&remove=B&hash=H`         | all algorithms side by side                    |
///
/// Names and values are percent-encoded; a `+` is a blank, as in forms. Answers are text, or JSON for those who accept
/// `application/json`.
public enum RingRequest: Equatable, Sendable {
    case stats
    case drawing(keys: [String])
    case export
    case lookup(keys: [String], replicationFactor: Int?)
    case add(NodeWords)
    case reweight(NodeWords)
    case remove(String)
    case preview(RingKeeper.Change.Kind, NodeWords)
    case moved(ranges: Int)
    case compare(keys: Int?, add: String?, remove: String?, hash: RingHash?)

    /// A node as a request describes it.
    public struct NodeWords: Equatable, Sendable {
        public var name: String
        public var virtualNodes: Int?
        public var weight: Int?
        public var zone: String?
        public init(_ name: String, virtualNodes: Int? = nil, weight: Int? = nil, zone: String? = nil) {
            self.name = name
            self.virtualNodes = virtualNodes
            self.weight = weight
            self.zone = zone
        }
    }

    /// It is not one that can be answered: an HTTP status, and what is wrong.
    public struct Refusal: Error, Equatable, Sendable {
        public let status: Int
        public let text: String
        init(_ status: Int, _ text: String) {
            self.status = status
            self.text = text
        }
    }

    public static let keyLimitBytes = 4096
    /// Keys of one request.
    public static let keyLimit = 10_000
    public static let rangeLimit = 100_000
    /// Ranges of a movement that are listed if nobody says how many.
    public static let defaultRanges = 10

    /// Reads a request.
    ///
    /// - Parameters:
    ///   - target: path and query.
    ///   - body: only looked at where the table says so.
    public init(method: String, target: String, body: [UInt8]) throws(Refusal) {
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var query = try RingQuery(parts.count > 1 ? parts[1] : "")
        let path = try parts[0].split(separator: "/", omittingEmptySubsequences: true).map { part throws(Refusal) in
            try RingQuery.decoded(part, plusIsBlank: false)
        }
        self = try Self.read(method, path, &query, body)
        try query.expectNothingElse()
    }

    private static func read(
        _ method: String, _ path: [String], _ query: inout RingQuery, _ body: [UInt8]
    ) throws(Refusal) -> RingRequest {
        let isRead = method == "GET" || method == "HEAD"
        switch (path.first ?? "ring", path.count) {
        case ("ring", 0...1) where isRead: return .stats
        case ("ring", 2) where isRead && path[1] == "drawing": return .drawing(keys: try keys(&query))
        case ("ring", 2) where isRead && path[1] == "export": return .export
        case ("lookup", 1) where isRead || method == "POST":
            let factor = try query.integer("rf", RingKeeper.replicationRange)
            var keys = try keys(&query)
            if method == "POST" { keys += try lines(body) }
            if keys.isEmpty { throw Refusal(400, "which key? add ?key=user:123") }
            if keys.count > keyLimit { throw Refusal(413, "at most \(grouped(keyLimit)) keys a request") }
            return .lookup(keys: keys, replicationFactor: factor)
        case ("nodes", 1) where method == "POST": return .add(try node(&query, name: nil, hasZone: true))
        case ("nodes", 2) where method == "PATCH": return .reweight(try reweighted(&query, name: path[1]))
        case ("nodes", 2) where method == "DELETE": return .remove(path[1])
        case ("preview", 1) where isRead: return try preview(&query)
        case ("moved", 1) where isRead:
            return .moved(ranges: try query.integer("ranges", 0...rangeLimit) ?? defaultRanges)
        case ("compare", 1) where isRead:
            let hash = try query.text("hash")
            if let hash, RingHash(rawValue: hash) == nil {
                throw Refusal(
                    400, "hash: '\(hash)' is unknown\(didYouMean(hash, among: RingHash.allCases.map(\.rawValue)))")
            }
            return .compare(
                keys: try query.integer("keys", Comparison.Settings.keyRange), add: try query.text("add"),
                remove: try query.text("remove"), hash: hash.flatMap(RingHash.init))
        case ("ring", _), ("lookup", 1), ("nodes", 1...2), ("preview", 1), ("moved", 1), ("compare", 1):
            if path.count > 1, path[0] == "ring", !["drawing", "export"].contains(path[1]) { break }
            throw Refusal(405, "\(method) makes no sense here")
        default: break
        }
        throw Refusal(404, "there are /ring, /ring/drawing, /ring/export, /lookup, /nodes, /preview, /moved, /compare")
    }

    private static func preview(_ query: inout RingQuery) throws(Refusal) -> RingRequest {
        guard let word = try query.text("change"), let kind = RingKeeper.Change.Kind(rawValue: word) else {
            throw Refusal(400, "which change? change=add, remove or reweight")
        }
        switch kind {
        case .add: return .preview(kind, try node(&query, name: nil, hasZone: true))
        case .reweight: return .preview(kind, try reweighted(&query, name: nil))
        case .remove:
            guard let name = try query.text("name") else { throw Refusal(400, "which node? add name=node-A") }
            return .preview(kind, NodeWords(name))
        }
    }

    private static func node(_ query: inout RingQuery, name: String?, hasZone: Bool) throws(Refusal) -> NodeWords {
        var given = name
        if given == nil { given = try query.text("name") }
        guard let given else { throw Refusal(400, "which node? add name=node-A") }
        return NodeWords(
            given, virtualNodes: try query.integer("vnodes", RingNode.virtualNodeRange),
            weight: try query.integer("weight", RingNode.weightRange), zone: hasZone ? try query.text("zone") : nil)
    }

    private static func reweighted(_ query: inout RingQuery, name: String?) throws(Refusal) -> NodeWords {
        let words = try node(&query, name: name, hasZone: false)
        if words.weight == nil, words.virtualNodes == nil {
            throw Refusal(400, "to what? add weight=2 or vnodes=300")
        }
        return words
    }

    private static func keys(_ query: inout RingQuery) throws(Refusal) -> [String] {
        let keys = query.all("key")
        for key in keys { try check(key) }
        return keys
    }

    private static func lines(_ body: [UInt8]) throws(Refusal) -> [String] {
        guard let text = String(validating: body, as: UTF8.self) else { throw Refusal(400, "the keys are not UTF-8") }
        // Bytes, since Swift takes CR LF for one character.
        let lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: true)
        var keys: [String] = []
        for line in lines {
            let key = String(Substring(line.last == UInt8(ascii: "\r") ? line.dropLast() : line))
            if key.isEmpty { continue }
            try check(key)
            keys.append(key)
            if keys.count > keyLimit { break }
        }
        return keys
    }

    private static func check(_ key: String) throws(Refusal) {
        if key.utf8.count > keyLimitBytes { throw Refusal(400, "a key has at most \(keyLimitBytes) bytes") }
    }
}
