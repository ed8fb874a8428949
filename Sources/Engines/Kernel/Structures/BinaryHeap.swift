/// A priority queue: the smallest element first, O(log n) to insert and to remove it.
public struct BinaryHeap<Element: Comparable> {
    @usableFromInline var storage: [Element] = []

    @inlinable public init() {}

    @inlinable public var count: Int { storage.count }
    @inlinable public var isEmpty: Bool { storage.isEmpty }
    @inlinable public var first: Element? { storage.first }
    /// All elements, in no useful order.
    @inlinable public var unordered: [Element] { storage }

    @inlinable public mutating func insert(_ element: Element) {
        storage.append(element)
        var child = storage.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            if storage[parent] < element { break }
            storage[child] = storage[parent]
            child = parent
        }
        storage[child] = element
    }

    @inlinable public mutating func removeFirst() -> Element? {
        guard let result = storage.first, let last = storage.popLast() else { return nil }
        if storage.isEmpty { return result }
        var parent = 0
        while true {
            var child = 2 * parent + 1
            if child >= storage.count { break }
            if child + 1 < storage.count, storage[child + 1] < storage[child] { child += 1 }
            if !(storage[child] < last) { break }
            storage[parent] = storage[child]
            parent = child
        }
        storage[parent] = last
        return result
    }

    /// Keeps only the elements that satisfy the condition, in O(n).
    @inlinable public mutating func retain(_ condition: (Element) -> Bool) {
        let kept = storage.filter(condition)
        storage.removeAll(keepingCapacity: true)
        for element in kept { insert(element) }
    }
}

extension BinaryHeap: Sendable where Element: Sendable {}
