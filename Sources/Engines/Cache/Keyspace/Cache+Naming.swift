extension Cache {
    /// The keys that begin so, by chance in this order or another, with the kind of what lies there.
    ///
    /// - Parameter limit: how many are looked at. A cache has no order: finding a few means looking at all.
    public func keys(beginningWith prefix: [UInt8], limit: Int) -> [(key: [UInt8], kind: String)] {
        var found: [(key: [UInt8], kind: String)] = []
        _ = walk(limit: limit) { id in
            let item = slab[id]
            let key = item.pointee.key
            if key.starts(with: prefix) { found.append((Array(key), item.pointee.kind.name)) }
        }
        return found
    }
}
