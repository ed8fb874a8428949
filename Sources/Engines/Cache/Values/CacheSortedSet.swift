import KernelStructures

/// A sorted set: members with scores, in the order of the scores.
///
/// Few and short ones are one sorted array. Beyond `EncodingLimits` there is a table that knows each member's score,
/// and `RankedLeaves` that knows their order.
final class CacheSortedSet: CacheValue {
    typealias Element = RankedLeaves.Element
    private var small: [Element] = []
    private var table: ByteTable<Double>?
    private var order = RankedLeaves()
    private let hasher: SipHash
    private let limits: EncodingLimits
    private var contentByteCount = 0

    /// Of the object itself: its fields, in their order.
    private static let overhead = MemoryCost.object(
        ([Element], ByteTable<Double>?, RankedLeaves, SipHash, EncodingLimits, Int).self)

    init(hasher: SipHash, limits: EncodingLimits) {
        self.hasher = hasher
        self.limits = limits
    }

    override var count: Int { table?.count ?? small.count }
    override var kind: ValueKind { .sortedSet }
    override var encoding: String { table == nil ? "listpack" : "skiplist" }
    /// The members of the large form are shared by the table and the order.
    override var byteCount: Int {
        Self.overhead + contentByteCount
            + (table.map { $0.byteCount + order.byteCount }
                ?? MemoryCost.array(small.capacity, stride: MemoryLayout<Element>.stride))
    }

    override func copy() -> CacheValue {
        let copy = CacheSortedSet(hasher: hasher, limits: limits)
        copy.small = small
        copy.table = table
        copy.order = order
        copy.contentByteCount = contentByteCount
        return copy
    }

    func score(_ member: UnsafeRawBufferPointer) -> Double? {
        if let table { return table.index(member).map { table[value: $0] } }
        return small.first { isEqual(member, $0.member) }?.score
    }

    func score(_ member: [UInt8]) -> Double? { member.withUnsafeBytes { score($0) } }

    /// Sets a member's score.
    ///
    /// - Returns: what it was; nil if the member is new.
    @discardableResult
    func set(_ member: [UInt8], _ score: Double) -> Double? {
        if table == nil { return setSmall(member, score) }
        guard let index = table!.index(member) else {
            table!.append(member, score)
            order.insert(Element(score: score, member: member))
            return nil
        }
        let old = table![value: index]
        if old != score {
            order.remove(Element(score: old, member: member))
            order.insert(Element(score: score, member: table!.entries[index].key))
            table![value: index] = score
        }
        return old
    }

    private func setSmall(_ member: [UInt8], _ score: Double) -> Double? {
        var old: Double?
        if let index = small.firstIndex(where: { $0.member == member }) {
            old = small[index].score
            if old == score { return old }
            small.remove(at: index)
        } else if small.count >= limits.sortedSetEntries || member.count > limits.sortedSetValueByteCount {
            convert()
            return set(member, score)
        } else {
            contentByteCount += MemoryCost.bytes(member)
        }
        let element = Element(score: score, member: member)
        small.insert(element, at: smallRank { RankedLeaves.isOrdered($0, element) })
        return old
    }

    private func convert() {
        var table = ByteTable<Double>(hasher: hasher)
        for element in small {
            table.append(element.member, element.score)
            order.insert(element)
        }
        small = []
        contentByteCount = 0
        self.table = table
    }

    /// The score that a member had which is removed; nil if it was not there.
    @discardableResult
    func remove(_ member: [UInt8]) -> Double? {
        if table != nil {
            guard let index = table!.index(member) else { return nil }
            let score = table!.remove(at: index).value
            order.remove(Element(score: score, member: member))
            return score
        }
        guard let index = small.firstIndex(where: { $0.member == member }) else { return nil }
        contentByteCount -= MemoryCost.bytes(member)
        return small.remove(at: index).score
    }

    private func smallRank(_ isBelow: (Element) -> Bool) -> Int {
        var low = 0
        var high = small.count
        while low < high {
            let middle = (low + high) / 2
            if isBelow(small[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// How many elements are below a place; see `RankedLeaves.rank`.
    func rank(_ isBelow: (Element) -> Bool) -> Int { table == nil ? smallRank(isBelow) : order.rank(isBelow) }

    func rank(of member: [UInt8]) -> Int? {
        guard let score = score(member) else { return nil }
        let element = Element(score: score, member: member)
        return rank { RankedLeaves.isOrdered($0, element) }
    }

    func element(_ rank: Int) -> Element? {
        guard rank >= 0, rank < count else { return nil }
        return table == nil ? small[rank] : order.element(rank)
    }

    /// The elements of ranks, in their order or against it.
    func elements(_ ranks: Range<Int>, reversed: Bool = false) -> [Element] {
        guard ranks.lowerBound >= 0, ranks.upperBound <= count else { return [] }
        if table == nil { return reversed ? small[ranks].reversed() : Array(small[ranks]) }
        var found: [Element] = []
        found.reserveCapacity(ranks.count)
        order.forEach(ranks, reversed: reversed) {
            found.append($0)
            return true
        }
        return found
    }

    func forEach(_ body: (Element) -> Void) {
        if table == nil { return small.forEach(body) }
        order.forEach(0..<order.count) {
            body($0)
            return true
        }
    }

    func scan(from start: UInt64, limit: Int, _ body: (Element) -> Void) -> UInt64? {
        guard let table else {
            small.forEach(body)
            return nil
        }
        return table.scan(from: start, limit: limit) { body(Element(score: $0.value, member: $0.key)) }
    }

    /// For tests.
    var isSound: Bool {
        table.map { table in
            order.isSound && order.count == table.count
                && table.entries.allSatisfy { entry in rank(of: entry.key).flatMap(element)?.member == entry.key }
        } ?? zip(small, small.dropFirst()).allSatisfy { RankedLeaves.isOrdered($0, $1) }
    }
}
