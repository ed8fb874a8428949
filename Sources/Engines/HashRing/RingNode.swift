import KernelStructures

/// A member of a ring.
public struct RingNode: Equatable, Sendable {
    /// What it is known by, and what its points are labelled with: 1 to 255 bytes without control characters.
    public var name: String
    /// Points for each unit of weight, 1…65,536.
    public var virtualNodes: Int
    /// How much more than others it takes, 1…256.
    public var weight: Int
    /// What it shares with nodes that fail together with it: a rack, a data centre. Replicas are put into different
    /// ones.
    public var zone: String?

    /// What Dynamo's successors began with, and what the deviations in the essays are for.
    public static let defaultVirtualNodes = 150
    public static let virtualNodeRange = 1...65_536
    public static let weightRange = 1...256
    static let nameLimitBytes = 255

    public init(_ name: String, virtualNodes: Int = defaultVirtualNodes, weight: Int = 1, zone: String? = nil) {
        self.name = name
        self.virtualNodes = virtualNodes
        self.weight = weight
        self.zone = zone
    }

    package var pointCount: Int { virtualNodes * weight }

    /// What is wrong with it, and what would be right; nil if nothing is.
    var fault: String? {
        for (what, text) in [("a name", name), ("a zone", zone ?? "-")] {
            guard (1...Self.nameLimitBytes).contains(text.utf8.count), text.utf8.allSatisfy({ $0 >= 32 && $0 != 127 })
            else { return "\(what) has 1 to \(Self.nameLimitBytes) bytes, and no control characters" }
        }
        if !Self.virtualNodeRange.contains(virtualNodes) { return "virtual nodes are 1 to 65536, not \(virtualNodes)" }
        if !Self.weightRange.contains(weight) { return "a weight is 1 to 256, not \(weight)" }
        return nil
    }
}

/// A ring could not do what it was asked; it has not changed.
public enum RingError: Error, Equatable, Sendable, CustomStringConvertible {
    case unknownNode(String, known: [String])
    case duplicateNode(String)
    /// The node, and what is wrong with it.
    case malformedNode(String, String)
    /// How many there would be, and how many there may be.
    case tooManyPoints(Int, limit: Int)
    /// A size for a Maglev table, and the next one that would do.
    case notPrime(Int, next: Int)
    case tooManyNodes(Int)
    case empty

    public var description: String {
        switch self {
        case .unknownNode(let name, let known):
            known.isEmpty
                ? "no node '\(name)' is on the ring; it is empty"
                : "no node '\(name)' is on the ring\(didYouMean(name, among: known))"
        case .duplicateNode(let name): "\(name) is on the ring already; reweight changes it"
        case .malformedNode(let name, let fault): "node '\(name)': \(fault)"
        case .tooManyPoints(let count, let limit):
            "\(grouped(count)) points are too many; there may be \(grouped(limit)), so lower the virtual nodes or weights"
        case .notPrime(let size, let next):
            "a table of \(size) seats would not be filled: take a prime, such as \(next)"
        case .tooManyNodes(let count): "\(count) nodes are too many; there may be \(MaglevTable.nodeLimit)"
        case .empty: "the ring has no nodes; add one first"
        }
    }
}
