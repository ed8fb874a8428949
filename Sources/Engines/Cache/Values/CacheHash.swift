import KernelStructures

/// A hash: fields with values.
///
/// Few and short ones lie in one array in the order in which they came, and are found by looking at each: for a dozen
/// fields that is quicker than hashing, and takes a third of the memory. Beyond `EncodingLimits` they go to a table.
final class CacheHash: CacheValue {
    private var small: [(field: [UInt8], value: [UInt8])] = []
    private var table: ByteTable<[UInt8]>?
    private let hasher: SipHash
    private let limits: EncodingLimits
    /// Of fields and values in the small form, of values in the large one.
    private var contentByteCount = 0

    /// Of the object itself: its fields, in their order.
    private static let overhead = MemoryCost.object(
        ([(field: [UInt8], value: [UInt8])], ByteTable<[UInt8]>?, SipHash, EncodingLimits, Int).self)

    init(hasher: SipHash, limits: EncodingLimits) {
        self.hasher = hasher
        self.limits = limits
    }

    override var count: Int { table?.count ?? small.count }
    override var kind: ValueKind { .hash }
    override var encoding: String { table == nil ? "listpack" : "hashtable" }
    override var byteCount: Int {
        Self.overhead + contentByteCount + (table?.byteCount ?? MemoryCost.array(small.capacity, stride: 16))
    }

    override func copy() -> CacheValue {
        let copy = CacheHash(hasher: hasher, limits: limits)
        copy.small = small
        copy.table = table
        copy.contentByteCount = contentByteCount
        return copy
    }

    private func smallIndex(_ field: UnsafeRawBufferPointer) -> Int? { small.firstIndex { isEqual(field, $0.field) } }

    subscript(field: UnsafeRawBufferPointer) -> [UInt8]? {
        if let table { return table.index(field).map { table[value: $0] } }
        return smallIndex(field).map { small[$0].value }
    }

    /// Sets a field. True if it is new.
    @discardableResult
    func set(_ field: UnsafeRawBufferPointer, _ value: [UInt8]) -> Bool {
        if table == nil {
            let fits = max(field.count, value.count) <= limits.hashValueByteCount
            if fits, let index = smallIndex(field) {
                contentByteCount += MemoryCost.bytes(value) - MemoryCost.bytes(small[index].value)
                small[index].value = value
                return false
            }
            if fits, small.count < limits.hashEntries {
                let field = Array(field)
                small.append((field, value))
                contentByteCount += MemoryCost.bytes(field) + MemoryCost.bytes(value)
                return true
            }
            convert()
        }
        return setInTable(field, value)
    }

    private func setInTable(_ field: UnsafeRawBufferPointer, _ value: [UInt8]) -> Bool {
        contentByteCount += MemoryCost.bytes(value)
        if let index = table!.index(field) {
            contentByteCount -= MemoryCost.bytes(table![value: index])
            table![value: index] = value
            return false
        }
        table!.append(Array(field), value)
        return true
    }

    private func convert() {
        var table = ByteTable<[UInt8]>(hasher: hasher)
        contentByteCount = 0
        for (field, value) in small {
            table.append(field, value)
            contentByteCount += MemoryCost.bytes(value)
        }
        small = []
        self.table = table
    }

    @discardableResult
    func remove(_ field: UnsafeRawBufferPointer) -> Bool {
        if table != nil {
            guard let index = table!.index(field) else { return false }
            contentByteCount -= MemoryCost.bytes(table!.remove(at: index).value)
            return true
        }
        guard let index = smallIndex(field) else { return false }
        let removed = small.remove(at: index)
        contentByteCount -= MemoryCost.bytes(removed.field) + MemoryCost.bytes(removed.value)
        return true
    }

    /// The field and value at an index of their present order.
    func pair(_ index: Int) -> (field: [UInt8], value: [UInt8]) {
        if let table { return (table.entries[index].key, table.entries[index].value) }
        return small[index]
    }

    func forEach(_ body: (_ field: [UInt8], _ value: [UInt8]) -> Void) {
        if let table {
            for entry in table.entries { body(entry.key, entry.value) }
        } else {
            for (field, value) in small { body(field, value) }
        }
    }

    /// A few pairs from a place on; a small hash gives all of them at once.
    func scan(from start: UInt64, limit: Int, _ body: (_ field: [UInt8], _ value: [UInt8]) -> Void) -> UInt64? {
        guard let table else {
            forEach(body)
            return nil
        }
        return table.scan(from: start, limit: limit) { body($0.key, $0.value) }
    }
}
