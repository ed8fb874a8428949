/// A fixed table of partitions: 16,384 slots, as in a Redis cluster, and a list of who has which.
///
/// ## The problem
///
/// On a ring a node's keys lie in hundreds of odd pieces, and a new node's pieces begin in the middle of other nodes'
/// files. Whoever copies, counts or backs up data would rather handle it in parcels that never change.
///
/// ## An everyday picture
///
/// Post office boxes. Which box a letter goes into is fixed for ever by its address; which clerk empties which boxes
/// is a list at the wall. A new clerk is handed some boxes of everybody, whole ones, and the list is changed.
///
/// ## How
///
/// A key's slot is CRC-16/XMODEM modulo 16,384, of the part between the first `{` and the next `}` if there is one
/// and it is not empty, so that keys with the same tag lie together (Redis cluster specification, "Key distribution
/// model" and "Hash tags"). Dynamo's third strategy (section 6.2) is the same with a ring of equal parts. Shares are
/// equal to a slot. A change moves as few slots as shares allow: those with too many give their last ones to those
/// with too few.
///
/// ## Where it is wrong
///
/// The list is state: somebody must keep it, and everybody must hear of changes, where a ring follows from the names
/// alone. Its slots depend on the history, so two that agree on the members may differ in the list.
public struct SlotTable: Sendable {
    public static let slotCount = 16_384
    public private(set) var nodes: [RingNode] = []
    /// For each slot, the index of its node; empty if there is no node.
    public private(set) var owners: [UInt16] = []

    public init() {}

    /// Changes the members, and moves as few slots as possible so that each has its part by weight, to a slot.
    ///
    /// - Throws: `RingError.tooManyNodes` if there are more than slots.
    /// - Returns: how many slots changed hands; those that nobody had do not count.
    @discardableResult
    public mutating func update(_ nodes: [RingNode]) throws(RingError) -> Int {
        guard nodes.count <= Self.slotCount else { throw .tooManyNodes(nodes.count) }
        let old = self.nodes
        self.nodes = nodes
        if nodes.isEmpty {
            owners = []
            return 0
        }
        let isFirst = owners.isEmpty
        let newIndices = old.map { node in nodes.firstIndex { $0.name == node.name } }
        var current = isFirst ? [Int?](repeating: nil, count: Self.slotCount) : owners.map { newIndices[Int($0)] }
        let wanted = Self.parts(nodes)
        var counts = [Int](repeating: 0, count: nodes.count)
        for owner in current { if let owner { counts[owner] += 1 } }
        // From the last slot on, those with too many give up what they have too much of.
        for slot in current.indices.reversed() {
            if let owner = current[slot], counts[owner] > wanted[owner] {
                counts[owner] -= 1
                current[slot] = nil
            }
        }
        var moved = 0
        var taker = 0
        for slot in current.indices where current[slot] == nil {
            while counts[taker] == wanted[taker] { taker += 1 }
            counts[taker] += 1
            current[slot] = taker
            moved += 1
        }
        owners = current.map { UInt16($0!) }
        return isFirst ? 0 : moved
    }

    /// Slots by weight, adding up to all of them: rounded down, and what is left to the largest remainders, of equal
    /// ones to the first name.
    private static func parts(_ nodes: [RingNode]) -> [Int] {
        let total = nodes.reduce(0) { $0 + $1.weight }
        var parts = nodes.map { slotCount * $0.weight / total }
        let left = slotCount - parts.reduce(0, +)
        let order = nodes.indices.sorted {
            let a = slotCount * nodes[$0].weight % total
            let b = slotCount * nodes[$1].weight % total
            return a != b ? a > b : nodes[$0].name < nodes[$1].name
        }
        for index in order.prefix(left) { parts[index] += 1 }
        return parts
    }

    /// The index of the node that has a key; nil if there is none.
    public func ownerIndex(of key: String) -> Int? { owners.isEmpty ? nil : Int(owners[Self.slot(of: key)]) }

    /// A key's slot, 0..<16,384: the number that `CLUSTER KEYSLOT` answers.
    public static func slot(of key: String) -> Int {
        let bytes = Array(key.utf8)
        if let open = bytes.firstIndex(of: UInt8(ascii: "{")),
            let close = bytes[(open + 1)...].firstIndex(of: UInt8(ascii: "}")), close > open + 1
        {
            return Int(crc16(bytes[(open + 1)..<close])) % slotCount
        }
        return Int(crc16(bytes[...])) % slotCount
    }

    /// CRC-16/XMODEM: polynomial x¹⁶ + x¹² + x⁵ + 1, nothing reflected, starting at 0.
    static func crc16(_ bytes: ArraySlice<UInt8>) -> UInt16 {
        var crc: UInt16 = 0
        for byte in bytes {
            crc ^= UInt16(byte) << 8
            for _ in 0..<8 { crc = crc & 0x8000 != 0 ? crc << 1 ^ 0x1021 : crc << 1 }
        }
        return crc
    }
}
