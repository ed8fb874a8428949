import KernelStructures

/// A list: a circular array of byte strings. Both ends cost O(1), any place is found at once, and an insertion in the
/// middle moves the shorter side.
final class CacheList: CacheValue {
    private var slots: ContiguousArray<[UInt8]> = []
    private var head = 0
    private var length = 0
    private var contentByteCount = 0

    /// Of the object itself: its fields, in their order.
    private static let overhead = MemoryCost.object(
        (ContiguousArray<[UInt8]>, Int, Int, Int).self)

    override var count: Int { length }
    override var kind: ValueKind { .list }
    override var encoding: String { "quicklist" }
    override var byteCount: Int {
        Self.overhead + contentByteCount + MemoryCost.array(slots.count, stride: MemoryLayout<[UInt8]>.stride)
    }

    override func copy() -> CacheValue {
        let copy = CacheList()
        copy.slots = slots
        copy.head = head
        copy.length = length
        copy.contentByteCount = contentByteCount
        return copy
    }

    /// The number of slots is a power of two.
    @inline(__always) private func slot(_ index: Int) -> Int { (head + index) & (slots.count - 1) }

    subscript(index: Int) -> [UInt8] {
        get { slots[slot(index)] }
        set {
            let place = slot(index)
            contentByteCount += MemoryCost.bytes(newValue) - MemoryCost.bytes(slots[place])
            slots[place] = newValue
        }
    }

    func append(_ element: [UInt8]) {
        reserve()
        slots[slot(length)] = element
        length += 1
        contentByteCount += MemoryCost.bytes(element)
    }

    func prepend(_ element: [UInt8]) {
        reserve()
        head = (head + slots.count - 1) & (slots.count - 1)
        slots[head] = element
        length += 1
        contentByteCount += MemoryCost.bytes(element)
    }

    func popFirst() -> [UInt8]? {
        guard length > 0 else { return nil }
        let element = take(head)
        head = (head + 1) & (slots.count - 1)
        length -= 1
        shrink()
        return element
    }

    func popLast() -> [UInt8]? {
        guard length > 0 else { return nil }
        let element = take(slot(length - 1))
        length -= 1
        shrink()
        return element
    }

    private func take(_ place: Int) -> [UInt8] {
        let element = slots[place]
        slots[place] = []
        contentByteCount -= MemoryCost.bytes(element)
        return element
    }

    func insert(_ element: [UInt8], at index: Int) {
        if index < length / 2 {
            prepend(element)
            for place in 0..<index { slots.swapAt(slot(place), slot(place + 1)) }
        } else {
            append(element)
            var place = length - 1
            while place > index {
                slots.swapAt(slot(place), slot(place - 1))
                place -= 1
            }
        }
    }

    /// Keeps the elements that satisfy the condition, in their order.
    func retain(_ isKept: (_ index: Int, _ element: [UInt8]) -> Bool) {
        var kept = 0
        for index in 0..<length {
            if isKept(index, self[index]) {
                if kept != index { slots.swapAt(slot(kept), slot(index)) }
                kept += 1
            } else {
                _ = take(slot(index))
            }
        }
        length = kept
        shrink()
    }

    /// Keeps only those of a range.
    func trim(_ range: Range<Int>) {
        while length > range.upperBound { _ = popLast() }
        for _ in 0..<min(range.lowerBound, length) { _ = popFirst() }
    }

    private func reserve() { if length == slots.count { resize(max(4, slots.count * 2)) } }

    private func shrink() { if slots.count > 16, length < slots.count / 8 { resize(slots.count / 4) } }

    private func resize(_ count: Int) {
        var new = ContiguousArray<[UInt8]>(repeating: [], count: count)
        for index in 0..<length { new[index] = self[index] }
        slots = new
        head = 0
    }
}
