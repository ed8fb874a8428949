import KernelStructures

/// A consistent hash ring: which node has this key, and which keys move when nodes come and go.
///
/// ## The problem
///
/// Data lies on several nodes, and everybody must find it without asking anybody. Key modulo number of nodes does that,
/// until a node comes or goes: then the divisor changes, and from four nodes to five, four keys of five are suddenly
/// expected elsewhere. A cache is cold at the worst moment; a store copies nearly all of its data.
///
/// ## An everyday picture
///
/// A round table with a cake on it, cut wherever somebody has put a flag. Each slice belongs to the flag at its
/// clockwise end. A new guest plants a flag, and takes a piece of one slice; nobody else's slice changes. One who
/// leaves pulls the flag out, and the slice joins the next. With a flag each, slices are very uneven, so everybody
/// plants 150 of them: then everybody has many small slices, about as much as everybody else, and what a guest leaves
/// is shared by all.
///
/// ## How
///
/// Karger, Lehman, Leighton, Panigrahy, Levine and Lewin, "Consistent Hashing and Random Trees" (STOC 1997), with
/// many points a node as in section 4 there, which Dynamo (SOSP 2007, section 4.2) calls virtual nodes, and Cassandra
/// tokens.
///
/// Positions are all 2⁶⁴ values of a hash. Node `A` has the points of the labels `A-1`, `A-2` … `A-150`, times its
/// weight. The number is what follows the *last* dash, so no two nodes can have a label in common: `A` never collides
/// with `A-1`, where name and number written together would. A key belongs to the first point at or after its own
/// position, and after the last point comes the first. Points are a sorted array: O(log points) a look-up.
///
/// If two labels have the same position, the node whose name comes first has it; the other is there all the same, and
/// takes over when that node leaves. So a ring depends on its members only, never on the order in which they came.
///
/// With V points for each of N equal nodes, the deviation of a share is √((N − 1) / (N·V + 1)) of the mean: with three
/// nodes and 150 points, 33.3 % ± 2.2. `Ownership` measures it exactly, `Movement` what a change moves.
///
/// ## Where it is wrong
///
/// Shares are even to some per cent at best (`MaglevTable`: a hundredth). It is fair to keys and not to requests: a key
/// that everybody wants makes its node hot (`BoundedLoadRing`). And it says where a key belongs, not where it is: who
/// moves the data, and what is answered meanwhile, is for the store that uses it.
public struct HashRing: Sendable {
    /// How points and keys come to their positions.
    public enum Scheme: Equatable, Sendable {
        /// A point for each label `name-1` … `name-V`, by this hash.
        case labels(RingHash)
        /// As libketama and its many relatives place them; see `Ketama`.
        case ketama

        /// `md5`, `ketama` …
        public var name: String {
            switch self {
            case .labels(let hash): hash.rawValue
            case .ketama: "ketama"
            }
        }

        public init?(name: String) {
            if name == "ketama" {
                self = .ketama
            } else if let hash = RingHash(rawValue: name) {
                self = .labels(hash)
            } else {
                return nil
            }
        }

        public static let names = RingHash.allCases.map(\.rawValue) + ["ketama"]
    }

    public let scheme: Scheme
    /// The members, in the order in which they came.
    public internal(set) var nodes: [RingNode] = []
    /// Of all points, sorted; equal ones in the order of their nodes' names.
    public internal(set) var positions: [UInt64] = []
    /// For each point, the index of its node.
    var owners: [UInt32] = []
    /// For each point, the number in its label.
    var numbers: [UInt32] = []
    /// For each node, the number of its zone; one without a zone has a number of its own.
    var zones: [Int] = []
    var zoneCount = 0

    /// More points are refused: 16 bytes each.
    public static let pointLimit = 1 << 20

    /// - Parameter scheme: MD5 labels unless said otherwise, so that `md5sum` can check a position.
    public init(scheme: Scheme = .labels(.md5)) { self.scheme = scheme }

    /// A ring with these members.
    ///
    /// - Throws: as `add`.
    public init(_ nodes: some Sequence<RingNode>, scheme: Scheme = .labels(.md5)) throws(RingError) {
        self.init(scheme: scheme)
        for node in nodes {
            try check(node, among: self.nodes)
            self.nodes.append(node)
        }
        try checkPointCount(self.nodes)
        rebuild()
    }

    /// A ring whose points are where they are said to be, as with Cassandra's `initial_token`: for small rings that
    /// can be checked completely. Nodes come in the order in which they are first named.
    package init(tokens: [(node: String, position: UInt64)]) {
        self.init()
        var points: [Point] = []
        for token in tokens {
            let index = nodes.firstIndex { $0.name == token.node } ?? nodes.count
            if index == nodes.count { nodes.append(RingNode(token.node, virtualNodes: 0)) }
            nodes[index].virtualNodes += 1
            points.append(
                Point(position: token.position, owner: UInt32(index), number: UInt32(nodes[index].virtualNodes)))
        }
        place(points, keeping: nil)
    }

    public var isEmpty: Bool { nodes.isEmpty }
    public var pointCount: Int { positions.count }

    /// The index of a node in `nodes`.
    ///
    /// - Throws: `RingError.unknownNode`.
    public func index(of name: String) throws(RingError) -> Int {
        guard let index = nodes.firstIndex(where: { $0.name == name }) else {
            throw .unknownNode(name, known: nodes.map(\.name))
        }
        return index
    }

    // MARK: Changes

    /// Adds a member. It takes keys from others; no key moves between those others (but see `Ketama`).
    ///
    /// - Throws: `RingError.duplicateNode`, `.malformedNode`, `.tooManyPoints`. The ring is then as it was.
    public mutating func add(_ node: RingNode) throws(RingError) {
        try check(node, among: nodes)
        try checkPointCount(nodes + [node])
        nodes.append(node)
        if scheme == .ketama { return rebuild() }
        place(points(of: node, index: nodes.count - 1), keeping: nil)
    }

    /// Removes a member: its keys go to those that come next, and no others move (but see `Ketama`).
    ///
    /// - Throws: `RingError.unknownNode`.
    @discardableResult
    public mutating func remove(_ name: String) throws(RingError) -> RingNode {
        let index = try index(of: name)
        let node = nodes.remove(at: index)
        if scheme == .ketama { rebuild() } else { place([], keeping: { $0 == index ? nil : $0 > index ? $0 - 1 : $0 }) }
        return node
    }

    /// Gives a member another weight or another number of virtual nodes. Of its points those stay that it would have
    /// had anyway, so keys only move between it and others.
    ///
    /// - Throws: `RingError.unknownNode`, `.malformedNode`, `.tooManyPoints`. The ring is then as it was.
    public mutating func reweight(_ name: String, weight: Int? = nil, virtualNodes: Int? = nil) throws(RingError) {
        let index = try index(of: name)
        var node = nodes[index]
        if let weight { node.weight = weight }
        if let virtualNodes { node.virtualNodes = virtualNodes }
        var others = nodes
        others.remove(at: index)
        try check(node, among: others)
        try checkPointCount(others + [node])
        nodes[index] = node
        if scheme == .ketama { return rebuild() }
        place(points(of: node, index: index), keeping: { $0 == index ? nil : $0 })
    }

    private func check(_ node: RingNode, among others: [RingNode]) throws(RingError) {
        if let fault = node.fault { throw .malformedNode(node.name, fault) }
        if scheme == .ketama, node.virtualNodes % Ketama.pointsPerDigest != 0 {
            throw .malformedNode(node.name, "ketama has its points in fours; take 160 virtual nodes, as it does")
        }
        if others.contains(where: { $0.name == node.name }) { throw .duplicateNode(node.name) }
    }

    private func checkPointCount(_ nodes: [RingNode]) throws(RingError) {
        let count = nodes.reduce(0) { $0 + $1.pointCount }
        if count > Self.pointLimit { throw .tooManyPoints(count, limit: Self.pointLimit) }
    }

    // MARK: Points

    struct Point {
        let position: UInt64
        let owner: UInt32
        let number: UInt32
    }

    private func points(of node: RingNode, index: Int) -> [Point] {
        guard case .labels(let hash) = scheme else { return [] }
        return (0..<node.pointCount).map { number in
            Point(
                position: hash.position(of: "\(node.name)-\(number + 1)"), owner: UInt32(index),
                number: UInt32(number + 1))
        }
    }

    private mutating func rebuild() {
        positions = []
        owners = []
        numbers = []
        let all =
            scheme == .ketama
            ? Ketama.points(of: nodes) : nodes.enumerated().flatMap { points(of: $1, index: $0) }
        place(all, keeping: nil)
    }

    /// Puts new points between those that are there.
    ///
    /// - Parameter keeping: the new index of a node by its old one; nil for a node whose points go.
    private mutating func place(_ added: [Point], keeping newIndex: ((Int) -> Int?)?) {
        var points: [Point] = []
        points.reserveCapacity(positions.count + added.count)
        for index in positions.indices {
            let owner = Int(owners[index])
            guard let kept = newIndex == nil ? owner : newIndex!(owner) else { continue }
            points.append(Point(position: positions[index], owner: UInt32(kept), number: numbers[index]))
        }
        points += added
        points.sort { a, b in
            if a.position != b.position { return a.position < b.position }
            if a.owner != b.owner { return nodes[Int(a.owner)].name < nodes[Int(b.owner)].name }
            return a.number < b.number
        }
        numberZones()
        positions = points.map(\.position)
        owners = points.map(\.owner)
        numbers = points.map(\.number)
    }

    private mutating func numberZones() {
        var known: [String: Int] = [:]
        zoneCount = 0
        zones = nodes.map { node in
            if let zone = node.zone, let number = known[zone] { return number }
            if let zone = node.zone { known[zone] = zoneCount }
            zoneCount += 1
            return zoneCount - 1
        }
    }
}
