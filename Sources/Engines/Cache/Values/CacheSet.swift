import KernelStructures
import KernelWire

/// A set of byte strings.
///
/// Whole numbers only, and not too many of them, are kept as numbers in order: eight bytes each. Anything else is a
/// table.
final class CacheSet: CacheValue {
    private var integers: [Int] = []
    private var table: ByteTable<Void>?
    private let hasher: SipHash
    private let limits: EncodingLimits

    /// Of the object itself: its fields, in their order.
    private static let overhead = MemoryCost.object(
        ([Int], ByteTable<Void>?, SipHash, EncodingLimits).self)

    init(hasher: SipHash, limits: EncodingLimits) {
        self.hasher = hasher
        self.limits = limits
    }

    override var count: Int { table?.count ?? integers.count }
    override var kind: ValueKind { .set }
    override var encoding: String { table == nil ? "intset" : "hashtable" }
    override var byteCount: Int {
        Self.overhead + (table?.byteCount ?? MemoryCost.array(integers.capacity, stride: 8))
    }

    override func copy() -> CacheValue {
        let copy = CacheSet(hasher: hasher, limits: limits)
        copy.integers = integers
        copy.table = table
        return copy
    }

    /// Where a number is or belongs.
    private func place(_ number: Int) -> (index: Int, isThere: Bool) {
        var low = 0
        var high = integers.count
        while low < high {
            let middle = (low + high) / 2
            if integers[middle] < number { low = middle + 1 } else { high = middle }
        }
        return (low, low < integers.count && integers[low] == number)
    }

    func contains(_ member: UnsafeRawBufferPointer) -> Bool {
        if let table { return table.index(member) != nil }
        return RESPNumber.integer(member).map { place($0).isThere } ?? false
    }

    func contains(_ member: [UInt8]) -> Bool { member.withUnsafeBytes { contains($0) } }

    /// True if it was not there.
    @discardableResult
    func insert(_ member: UnsafeRawBufferPointer) -> Bool {
        if table == nil {
            if let number = RESPNumber.integer(member) {
                let (index, isThere) = place(number)
                if isThere { return false }
                if integers.count < limits.setIntegers {
                    integers.insert(number, at: index)
                    return true
                }
            }
            convert()
        }
        if table!.index(member) != nil { return false }
        table!.append(Array(member), ())
        return true
    }

    @discardableResult
    func insert(_ member: [UInt8]) -> Bool { member.withUnsafeBytes { insert($0) } }

    private func convert() {
        var table = ByteTable<Void>(hasher: hasher)
        for number in integers { table.append(Array(String(number).utf8), ()) }
        integers = []
        self.table = table
    }

    @discardableResult
    func remove(_ member: UnsafeRawBufferPointer) -> Bool {
        if table != nil {
            guard let index = table!.index(member) else { return false }
            table!.remove(at: index)
            return true
        }
        guard let number = RESPNumber.integer(member), case (let index, true) = place(number) else { return false }
        integers.remove(at: index)
        return true
    }

    @discardableResult
    func remove(_ member: [UInt8]) -> Bool { member.withUnsafeBytes { remove($0) } }

    /// The member at an index of their present order.
    func member(_ index: Int) -> [UInt8] {
        table.map { $0.entries[index].key } ?? Array(String(integers[index]).utf8)
    }

    func forEach(_ body: (_ member: [UInt8]) -> Void) {
        if let table {
            for entry in table.entries { body(entry.key) }
        } else {
            for number in integers { body(Array(String(number).utf8)) }
        }
    }

    func scan(from start: UInt64, limit: Int, _ body: (_ member: [UInt8]) -> Void) -> UInt64? {
        guard let table else {
            forEach(body)
            return nil
        }
        return table.scan(from: start, limit: limit) { body($0.key) }
    }
}
