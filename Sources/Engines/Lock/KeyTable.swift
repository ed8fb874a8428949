/// A key of the store: any bytes, ordered byte by byte as unsigned numbers.
public typealias Key = [UInt8]

/// A map that keeps its keys in order, for ranges: short sorted arrays in a row, as the leaves of a B-tree.
///
/// Looking up is two binary searches. An insertion moves at most one leaf's elements, and a leaf that has grown too
/// long becomes two, so a million keys cost a million times a little, and not a million squared.
struct KeyTable<Value> {
    typealias Element = (key: Key, value: Value)

    private var leaves: [[Element]] = []
    private(set) var count = 0

    /// Elements of a leaf before it is divided.
    private static var leafLimit: Int { 256 }

    subscript(key: Key) -> Value? {
        guard let leaf = leafIndex(for: key) else { return nil }
        let index = Self.lowerBound(leaves[leaf], key)
        return index < leaves[leaf].count && leaves[leaf][index].key == key ? leaves[leaf][index].value : nil
    }

    /// Puts a value at a key, in place of the one that may be there.
    mutating func set(_ key: Key, _ value: Value) {
        guard let leaf = leafIndex(for: key) else {
            leaves = [[(key, value)]]
            count = 1
            return
        }
        let index = Self.lowerBound(leaves[leaf], key)
        if index < leaves[leaf].count, leaves[leaf][index].key == key {
            leaves[leaf][index].value = value
            return
        }
        leaves[leaf].insert((key, value), at: index)
        count += 1
        if leaves[leaf].count > Self.leafLimit {
            let half = leaves[leaf].count / 2
            let upper = Array(leaves[leaf][half...])
            leaves[leaf].removeSubrange(half...)
            leaves.insert(upper, at: leaf + 1)
        }
    }

    /// Changes a key's value in its place; one that is not there begins as `initial`.
    mutating func update(_ key: Key, from initial: Value, _ body: (inout Value) -> Void) {
        if let leaf = leafIndex(for: key) {
            let index = Self.lowerBound(leaves[leaf], key)
            if index < leaves[leaf].count, leaves[leaf][index].key == key { return body(&leaves[leaf][index].value) }
        }
        var value = initial
        body(&value)
        set(key, value)
    }

    mutating func remove(_ key: Key) {
        guard let leaf = leafIndex(for: key) else { return }
        let index = Self.lowerBound(leaves[leaf], key)
        guard index < leaves[leaf].count, leaves[leaf][index].key == key else { return }
        leaves[leaf].remove(at: index)
        count -= 1
        if leaves[leaf].isEmpty { leaves.remove(at: leaf) }
    }

    /// Calls `body` for the elements of a range, in order, until it returns false.
    func forEach(in range: KeyRange, _ body: (Element) -> Bool) {
        guard var leaf = leafIndex(for: range.start) else { return }
        var index = Self.lowerBound(leaves[leaf], range.start)
        while leaf < leaves.count {
            while index < leaves[leaf].count {
                let element = leaves[leaf][index]
                guard range.isBelowEnd(element.key), body(element) else { return }
                index += 1
            }
            leaf += 1
            index = 0
        }
    }

    func forEach(_ body: (Element) -> Void) { for leaf in leaves { for element in leaf { body(element) } } }

    // MARK: Searching

    /// The last leaf that begins at or before the key; the first one for a key before all.
    private func leafIndex(for key: Key) -> Int? {
        if leaves.isEmpty { return nil }
        var low = 0
        var high = leaves.count
        while low < high {
            let middle = (low + high) / 2
            if key.lexicographicallyPrecedes(leaves[middle][0].key) { high = middle } else { low = middle + 1 }
        }
        return max(0, low - 1)
    }

    private static func lowerBound(_ leaf: [Element], _ key: Key) -> Int {
        var low = 0
        var high = leaf.count
        while low < high {
            let middle = (low + high) / 2
            if leaf[middle].key.lexicographicallyPrecedes(key) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// Which keys are meant, in etcd's way: one key, or from a key up to, but without, another.
public struct KeyRange: Equatable, Sendable {
    public let start: Key
    /// Nil: `start` alone. `[0]`: no end.
    public let end: Key?

    public init(_ start: Key, end: Key? = nil) {
        self.start = start
        // An empty end is how a message says that there is none.
        self.end = end?.isEmpty == true ? nil : end
    }

    /// All keys that begin with `prefix`; all keys if it is empty.
    public init(prefix: Key) {
        if prefix.isEmpty {
            self.init([0], end: [0])
        } else {
            self.init(prefix, end: Self.successor(ofPrefix: prefix))
        }
    }

    /// All keys.
    public static let all = KeyRange([0], end: [0])

    public var isSingle: Bool { end == nil }
    private var isEndless: Bool { end == [0] }

    public func contains(_ key: Key) -> Bool { !key.lexicographicallyPrecedes(start) && isBelowEnd(key) }

    func isBelowEnd(_ key: Key) -> Bool {
        guard let end else { return key == start }
        return isEndless || key.lexicographicallyPrecedes(end)
    }

    /// The first key behind all that begin with `prefix`: its last byte below 255 one higher. `[0]` if there is none.
    public static func successor(ofPrefix prefix: Key) -> Key {
        var end = prefix
        while let last = end.last {
            if last < 255 {
                end[end.count - 1] = last + 1
                return end
            }
            end.removeLast()
        }
        return [0]
    }
}
