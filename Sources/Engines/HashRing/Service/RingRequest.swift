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
/// | `GET /advice?deviation=PERCENT&nodes=N`             | how many virtual nodes keep shares that even   |
/// | `GET /hot-keys?keys=N&requests=N&skew=P&bound=P`    | requests by Zipf, with and without a bound     |
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
    /// How many virtual nodes keep the deviation below so many percent; nodes as on the ring unless said.
    case advise(deviationPercent: Double, nodes: Int?)
    case hotKeys(HotKeys.Settings)

    /// Whether it alters the ring, which the ring's node then says in its log.
    public var isChange: Bool {
        switch self {
        case .add, .remove, .reweight: true
        default: false
        }
    }

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

    public static let keyLimitBytes = 4096
    /// Keys of one request.
    public static let keyLimit = 10_000
    public static let rangeLimit = 100_000
    /// Ranges of a movement that are listed if nobody says how many.
    public static let defaultRanges = 10

    /// Reads a request from its query, the parameters of its path, and its body.
    package typealias Reader = (inout HTTPQuery, HTTPParameters, [UInt8]) throws(HTTPError) -> RingRequest

    /// What there is, as in the table above.
    package static var routes: [(method: String, template: String, read: Reader)] {
        let stats: Reader = { _, _, _ in .stats }
        return [
            ("GET", "/", stats), ("GET", "/ring", stats),
            ("GET", "/ring/drawing", { query, _, _ throws(HTTPError) in .drawing(keys: try keys(&query)) }),
            ("GET", "/ring/export", { _, _, _ in .export }),
            ("GET", "/lookup", { query, _, _ throws(HTTPError) in try lookup(&query, []) }),
            ("POST", "/lookup", { query, _, body throws(HTTPError) in try lookup(&query, try lines(body)) }),
            (
                "POST", "/nodes",
                { query, _, _ throws(HTTPError) in .add(try node(&query, name: nil, hasZone: true)) }
            ),
            (
                "PATCH", "/nodes/{name}",
                { query, parameters, _ throws(HTTPError) in .reweight(try reweighted(&query, name: parameters["name"]))
                }
            ),
            ("DELETE", "/nodes/{name}", { _, parameters, _ in .remove(parameters["name"]) }),
            ("GET", "/preview", { query, _, _ throws(HTTPError) in try preview(&query) }),
            (
                "GET", "/moved",
                { query, _, _ throws(HTTPError) in
                    .moved(ranges: try query.takeInteger("ranges", 0...rangeLimit) ?? defaultRanges)
                }
            ),
            ("GET", "/compare", { query, _, _ throws(HTTPError) in try compare(&query) }),
            ("GET", "/advice", { query, _, _ throws(HTTPError) in try advise(&query) }),
            ("GET", "/hot-keys", { query, _, _ throws(HTTPError) in try hotKeys(&query) }),
        ]
    }

    private static func lookup(_ query: inout HTTPQuery, _ more: [String]) throws(HTTPError) -> RingRequest {
        let factor = try query.takeInteger("rf", RingKeeper.replicationRange)
        let keys = try keys(&query) + more
        if keys.isEmpty { throw HTTPError(400, "which key? add ?key=user:123") }
        if keys.count > keyLimit { throw HTTPError(413, "at most \(grouped(keyLimit)) keys a request") }
        return .lookup(keys: keys, replicationFactor: factor)
    }

    private static func compare(_ query: inout HTTPQuery) throws(HTTPError) -> RingRequest {
        let hash = try query.take("hash")
        if let hash, RingHash(rawValue: hash) == nil {
            throw HTTPError(
                400, "hash: '\(hash)' is unknown\(didYouMean(hash, among: RingHash.allCases.map(\.rawValue)))")
        }
        return .compare(
            keys: try query.takeInteger("keys", Comparison.Settings.keyRange), add: try query.take("add"),
            remove: try query.take("remove"), hash: hash.flatMap(RingHash.init))
    }

    private static func advise(_ query: inout HTTPQuery) throws(HTTPError) -> RingRequest {
        let range = RingAdvice.percentRange
        guard let text = try query.take("deviation"), let percent = Double(text), range.contains(percent) else {
            throw HTTPError(
                400,
                "how even? deviation=5: percent of a share, \(trimmedDecimal(range.lowerBound, places: 1)) to \(trimmedDecimal(range.upperBound, places: 1))"
            )
        }
        return .advise(deviationPercent: percent, nodes: try query.takeInteger("nodes", RingAdvice.nodeRange))
    }

    private static func hotKeys(_ query: inout HTTPQuery) throws(HTTPError) -> RingRequest {
        typealias Settings = HotKeys.Settings
        var settings = Settings()
        settings.keys = try query.takeInteger("keys", Settings.keyRange) ?? settings.keys
        settings.requests = try query.takeInteger("requests", Settings.requestRange) ?? settings.requests
        settings.skewPercent = try query.takeInteger("skew", Settings.skewRange) ?? settings.skewPercent
        settings.boundPercent = try query.takeInteger("bound", Settings.boundRange) ?? settings.boundPercent
        return .hotKeys(settings)
    }

    private static func preview(_ query: inout HTTPQuery) throws(HTTPError) -> RingRequest {
        guard let word = try query.take("change"), let kind = RingKeeper.Change.Kind(rawValue: word) else {
            throw HTTPError(400, "which change? change=add, remove or reweight")
        }
        switch kind {
        case .add: return .preview(kind, try node(&query, name: nil, hasZone: true))
        case .reweight: return .preview(kind, try reweighted(&query, name: nil))
        case .remove:
            guard let name = try query.take("name") else { throw HTTPError(400, "which node? add name=node-A") }
            return .preview(kind, NodeWords(name))
        }
    }

    private static func node(_ query: inout HTTPQuery, name: String?, hasZone: Bool) throws(HTTPError) -> NodeWords {
        var given = name
        if given == nil { given = try query.take("name") }
        guard let given else { throw HTTPError(400, "which node? add name=node-A") }
        return NodeWords(
            given, virtualNodes: try query.takeInteger("vnodes", RingNode.virtualNodeRange),
            weight: try query.takeInteger("weight", RingNode.weightRange), zone: hasZone ? try query.take("zone") : nil)
    }

    private static func reweighted(_ query: inout HTTPQuery, name: String?) throws(HTTPError) -> NodeWords {
        let words = try node(&query, name: name, hasZone: false)
        if words.weight == nil, words.virtualNodes == nil {
            throw HTTPError(400, "to what? add weight=2 or vnodes=300")
        }
        return words
    }

    private static func keys(_ query: inout HTTPQuery) throws(HTTPError) -> [String] {
        let keys = query.takeAll("key")
        for key in keys { try check(key) }
        return keys
    }

    private static func lines(_ body: [UInt8]) throws(HTTPError) -> [String] {
        guard let text = String(validating: body, as: UTF8.self) else { throw HTTPError(400, "the keys are not UTF-8") }
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

    private static func check(_ key: String) throws(HTTPError) {
        if key.utf8.count > keyLimitBytes { throw HTTPError(400, "a key has at most \(keyLimitBytes) bytes") }
    }
}
