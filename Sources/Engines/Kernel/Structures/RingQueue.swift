/// A first-in, first-out queue on a circular array: O(1) at both ends, no allocation once it has grown.
public struct RingQueue<Element> {
    @usableFromInline var slots: [Element?]
    @usableFromInline var head = 0
    public private(set) var count = 0

    @inlinable public init() { slots = [] }

    @inlinable public var isEmpty: Bool { count == 0 }
    @inlinable public var first: Element? { count == 0 ? nil : slots[head] }

    @inlinable public mutating func append(_ element: Element) {
        if count == slots.count { grow() }
        var tail = head + count
        if tail >= slots.count { tail -= slots.count }
        slots[tail] = element
        setCount(count + 1)
    }

    @inlinable public mutating func popFirst() -> Element? {
        if count == 0 { return nil }
        let element = slots[head].take()
        head += 1
        if head == slots.count { head = 0 }
        setCount(count - 1)
        return element
    }

    /// The element `offset` places behind the first.
    @inlinable public subscript(offset: Int) -> Element {
        precondition(offset >= 0 && offset < count, "RingQueue index out of range")
        let index = head + offset
        return slots[index >= slots.count ? index - slots.count : index]!
    }

    public mutating func removeAll() {
        slots = []
        head = 0
        count = 0
    }

    @usableFromInline mutating func setCount(_ newCount: Int) { count = newCount }

    @usableFromInline mutating func grow() {
        var larger: [Element?] = []
        larger.reserveCapacity(max(8, slots.count * 2))
        for offset in 0..<count { larger.append(self[offset]) }
        while larger.count < max(8, slots.count * 2) { larger.append(nil) }
        slots = larger
        head = 0
    }
}

extension Optional {
    /// Returns the value and leaves nil behind.
    @inlinable mutating func take() -> Wrapped? {
        let value = self
        self = nil
        return value
    }
}

extension RingQueue: Sendable where Element: Sendable {}
