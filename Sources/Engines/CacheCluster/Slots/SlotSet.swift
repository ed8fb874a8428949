import KernelStructures

/// Some of the 16,384 slots, a bit each.
public struct SlotSet: Equatable, Sendable {
    public static let slotCount = 16_384
    private var words: [UInt64]

    public init() { words = [UInt64](repeating: 0, count: Self.slotCount / 64) }

    /// Slots beyond the last one are left out.
    public init(_ slots: some Sequence<Int>) {
        self.init()
        for slot in slots where slot >= 0 && slot < Self.slotCount { insert(slot) }
    }

    public static let all = SlotSet(0..<slotCount)

    @inline(__always) public func contains(_ slot: Int) -> Bool { words[slot >> 6] >> UInt64(slot & 63) & 1 != 0 }
    public mutating func insert(_ slot: Int) { words[slot >> 6] |= 1 << UInt64(slot & 63) }
    public mutating func remove(_ slot: Int) { words[slot >> 6] &= ~(1 << UInt64(slot & 63)) }
    public mutating func removeAll() { self = SlotSet() }

    public var isEmpty: Bool { words.allSatisfy { $0 == 0 } }
    public var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

    public mutating func formUnion(_ other: SlotSet) {
        for index in words.indices { words[index] |= other.words[index] }
    }
    public mutating func formIntersection(_ other: SlotSet) {
        for index in words.indices { words[index] &= other.words[index] }
    }
    public mutating func subtract(_ other: SlotSet) {
        for index in words.indices { words[index] &= ~other.words[index] }
    }
    public func union(_ other: SlotSet) -> SlotSet {
        var result = self
        result.formUnion(other)
        return result
    }
    public func intersection(_ other: SlotSet) -> SlotSet {
        var result = self
        result.formIntersection(other)
        return result
    }
    public func subtracting(_ other: SlotSet) -> SlotSet {
        var result = self
        result.subtract(other)
        return result
    }

    /// In ascending order.
    public func forEach(_ body: (Int) -> Void) {
        for index in words.indices {
            var rest = words[index]
            while rest != 0 {
                body(index << 6 + rest.trailingZeroBitCount)
                rest &= rest - 1
            }
        }
    }

    /// In ascending order.
    public var slots: [Int] {
        var slots: [Int] = []
        forEach { slots.append($0) }
        return slots
    }

    /// The fewest ranges that make it up, in ascending order.
    public var ranges: [ClosedRange<Int>] {
        var ranges: [ClosedRange<Int>] = []
        forEach { slot in
            if let last = ranges.last, last.upperBound == slot - 1 {
                ranges[ranges.count - 1] = last.lowerBound...slot
            } else {
                ranges.append(slot...slot)
            }
        }
        return ranges
    }

    /// The slots for which something holds.
    public func filter(_ isIncluded: (Int) -> Bool) -> SlotSet {
        var result = SlotSet()
        forEach { if isIncluded($0) { result.insert($0) } }
        return result
    }
}

extension SlotSet: CustomStringConvertible {
    /// `0-5460 8000`
    public var description: String {
        ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: " ")
    }
}

extension RecordWriter {
    /// Ranges in ascending order, each as the gap before it and its length.
    mutating func append(_ set: SlotSet) {
        var next = 0
        append(set.ranges) { writer, range in
            writer.append(UInt64(range.lowerBound - next))
            writer.append(UInt64(range.count))
            next = range.upperBound + 1
        }
    }
}

extension RecordReader {
    mutating func slots() throws(Malformed) -> SlotSet {
        var set = SlotSet()
        var next: UInt64 = 0
        let limit = UInt64(SlotSet.slotCount)
        let count = try unsigned()
        guard count <= limit / 2 else { throw Malformed(position: position) }
        for index in 0..<count {
            let gap = try unsigned()
            let length = try unsigned()
            guard gap <= limit, length >= 1, length <= limit, next + gap + length <= limit, index == 0 || gap > 0 else {
                throw Malformed(position: position)
            }
            for slot in next + gap..<next + gap + length { set.insert(Int(slot)) }
            next += gap + length
        }
        return set
    }
}
