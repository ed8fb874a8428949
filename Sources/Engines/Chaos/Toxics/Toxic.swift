import KernelJSON
import KernelStructures

/// One toxic of Toxiproxy: what happens to the bytes of one direction of a proxy's connections.
///
/// | type         | attributes                                         | what it does                                 |
/// |--------------|----------------------------------------------------|----------------------------------------------|
/// | `latency`    | `latency`, `jitter` in ms                          | each piece arrives that much later           |
/// | `bandwidth`  | `rate` in KB/s                                     | no more than that a second                   |
/// | `slow_close` | `delay` in ms                                      | the end of the connection arrives later      |
/// | `timeout`    | `timeout` in ms                                    | nothing passes; the connection ends after it |
/// | `reset_peer` | `timeout` in ms                                    | a reset, at once or after that               |
/// | `slicer`     | `average_size`, `size_variation` bytes, `delay` µs | pieces are cut small                         |
/// | `limit_data` | `bytes`                                            | the connection ends after so many            |
///
/// `toxicity` is the share of the connections that have it: drawn once for each connection, and 0 is none at all.
public struct Toxic: Equatable, Sendable {
    public enum Kind: String, Sendable, CaseIterable {
        case latency, bandwidth, timeout, slicer
        case slowClose = "slow_close"
        case resetPeer = "reset_peer"
        case limitData = "limit_data"

        /// The attributes that it has, with what they are where nothing is said.
        var attributes: [String] {
            switch self {
            case .latency: ["latency", "jitter"]
            case .bandwidth: ["rate"]
            case .slowClose: ["delay"]
            case .timeout, .resetPeer: ["timeout"]
            case .slicer: ["average_size", "size_variation", "delay"]
            case .limitData: ["bytes"]
            }
        }
    }

    public enum Direction: String, Sendable, CaseIterable {
        /// From the client to the server.
        case upstream
        case downstream
    }

    public var name: String
    public var kind: Kind
    public var direction: Direction
    /// 0…1
    public var toxicity: Double
    /// By name, in the order of `Kind.attributes`.
    public private(set) var values: [Int]

    /// The greatest value of an attribute: a month of milliseconds, a terabyte.
    public static let valueLimit = 1 << 40

    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    public init(
        _ kind: Kind, name: String? = nil, direction: Direction = .downstream, toxicity: Double = 1,
        _ attributes: [String: Int] = [:]
    ) {
        self.kind = kind
        self.direction = direction
        self.toxicity = toxicity
        self.name = name ?? "\(kind.rawValue)_\(direction.rawValue)"
        values = kind.attributes.map { min(max(0, attributes[$0] ?? 0), Self.valueLimit) }
    }

    public subscript(attribute: String) -> Int {
        kind.attributes.firstIndex(of: attribute).map { values[$0] } ?? 0
    }

    // MARK: JSON

    /// As Toxiproxy's API gives it.
    public var json: JSONValue {
        .object([
            ("attributes", .object(zip(kind.attributes, values).map { ($0, .integer($1)) })),
            ("name", .string(name)), ("type", .string(kind.rawValue)), ("stream", .string(direction.rawValue)),
            ("toxicity", .number(toxicity)),
        ])
    }

    /// A new toxic from what a client sent.
    ///
    /// - Throws: `Malformed` for what is no toxic, `JSONTypeError`.
    public init(_ cursor: JSONCursor) throws {
        let text = try cursor["type"].ifPresent?.string() ?? ""
        guard let kind = Kind(rawValue: text) else {
            let names = Kind.allCases.map(\.rawValue)
            throw Malformed(
                description: "invalid toxic type '\(text)'\(didYouMean(text, among: names)); there are "
                    + names.joined(separator: ", "))
        }
        let stream = try cursor["stream"].ifPresent?.string() ?? "downstream"
        guard let direction = Direction(rawValue: stream.lowercased()) else {
            throw Malformed(description: "stream was invalid, can be either upstream or downstream")
        }
        self.init(kind, name: try cursor["name"].ifPresent?.string(), direction: direction)
        if name.isEmpty { name = "\(text)_\(direction.rawValue)" }
        try update(cursor)
    }

    /// Changes toxicity and those attributes that are named; its type and direction stay.
    public mutating func update(_ cursor: JSONCursor) throws {
        if let given = try cursor["toxicity"].ifPresent?.number() {
            guard given >= 0, given <= 1 else { throw Malformed(description: "toxicity must be within 0 and 1") }
            toxicity = given
        }
        guard let attributes = cursor["attributes"].ifPresent else { return }
        for (index, key) in kind.attributes.enumerated() {
            guard let given = try attributes[key].ifPresent?.number() else { continue }
            guard given >= 0, given <= Double(Self.valueLimit), let value = Int(exactly: given.rounded()) else {
                throw Malformed(description: "\(key) must be a number of 0 to \(Self.valueLimit)")
            }
            values[index] = value
        }
    }
}
