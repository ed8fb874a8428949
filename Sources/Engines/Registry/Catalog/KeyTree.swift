/// Keys in the order of their bytes, with what they hold.
///
/// An array: a key is found by halving, a prefix is a slice, and an insertion moves what stands behind it, which for a
/// hundred thousand keys takes less than answering the request that brought it.
public struct KeyTree: Equatable, Sendable {
    public private(set) var all: [KeyEntry] = []
    /// Of keys and values.
    public private(set) var byteCount = 0

    public init() {}

    public var count: Int { all.count }

    public subscript(key: String) -> KeyEntry? {
        let place = place(of: key)
        return place < all.count && Self.isSame(all[place].key, key) ? all[place] : nil
    }

    /// Those that begin so; all of them for an empty prefix.
    public subscript(under prefix: String) -> ArraySlice<KeyEntry> {
        let start = place(of: prefix)
        var end = all.count
        var low = start
        while low < end {
            let middle = (low + end) / 2
            if Self.has(all[middle].key, prefix: prefix) { low = middle + 1 } else { end = middle }
        }
        return all[start..<end]
    }

    func greatestIndex(under prefix: String) -> UInt64 { self[under: prefix].reduce(0) { max($0, $1.modifyIndex) } }

    mutating func set(_ entry: KeyEntry) {
        let place = place(of: entry.key)
        byteCount += entry.value.count
        if place < all.count, Self.isSame(all[place].key, entry.key) {
            byteCount -= all[place].value.count
            all[place] = entry
        } else {
            byteCount += entry.key.utf8.count
            all.insert(entry, at: place)
        }
    }

    mutating func remove(_ key: String) {
        let place = place(of: key)
        guard place < all.count, Self.isSame(all[place].key, key) else { return }
        byteCount -= key.utf8.count + all[place].value.count
        all.remove(at: place)
    }

    /// The first that is not before `key`.
    private func place(of key: String) -> Int {
        var low = 0
        var high = all.count
        while low < high {
            let middle = (low + high) / 2
            if all[middle].key.utf8.lexicographicallyPrecedes(key.utf8) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Byte for byte: two spellings of `é` are two keys.
    private static func isSame(_ a: String, _ b: String) -> Bool { a.utf8.elementsEqual(b.utf8) }
    static func has(_ key: String, prefix: String) -> Bool { key.utf8.starts(with: prefix.utf8) }
}
