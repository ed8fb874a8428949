import KernelStructures

/// Who stands before and behind whom, for items that are named by their place: what lists are made of here.
///
/// A list of such links costs eight bytes an item and no allocation, and an item is taken out of its middle at once.
struct LinkTable {
    private var links: ContiguousArray<Link> = []

    struct Link {
        var before: ItemID = 0
        var behind: ItemID = 0
    }

    var byteCount: Int { MemoryCost.array(links.capacity, stride: MemoryLayout<Link>.stride) }

    @inline(__always) subscript(id: ItemID) -> Link {
        get { links[Int(id)] }
        set { links[Int(id)] = newValue }
    }

    /// Room for an item.
    @inline(__always) mutating func reserve(_ id: ItemID) {
        if Int(id) >= links.count { grow(Int(id)) }
    }

    private mutating func grow(_ place: Int) {
        let count = max(1024, links.count * 2, place + 1)
        links.reserveCapacity(count)
        while links.count < count { links.append(Link()) }
    }
}

/// A list of items whose links are in a table.
struct ItemList {
    private(set) var first: ItemID = 0
    private(set) var last: ItemID = 0
    private(set) var count = 0

    mutating func prepend(_ id: ItemID, _ links: inout LinkTable) {
        links.reserve(id)
        links[id] = .init(before: 0, behind: first)
        if first == 0 { last = id } else { links[first].before = id }
        first = id
        count += 1
    }

    mutating func append(_ id: ItemID, _ links: inout LinkTable) {
        links.reserve(id)
        links[id] = .init(before: last, behind: 0)
        if last == 0 { first = id } else { links[last].behind = id }
        last = id
        count += 1
    }

    /// Takes out an item that is in this list.
    mutating func remove(_ id: ItemID, _ links: inout LinkTable) {
        let link = links[id]
        if link.before == 0 { first = link.behind } else { links[link.before].behind = link.behind }
        if link.behind == 0 { last = link.before } else { links[link.behind].before = link.before }
        count -= 1
    }

    mutating func moveToFront(_ id: ItemID, _ links: inout LinkTable) {
        if first == id { return }
        remove(id, &links)
        prepend(id, &links)
    }

    /// Hangs another list behind this one; that one is empty then.
    mutating func append(_ other: inout ItemList, _ links: inout LinkTable) {
        if other.count == 0 { return }
        if count == 0 {
            swap(&self, &other)
            return
        }
        links[last].behind = other.first
        links[other.first].before = last
        last = other.last
        count += other.count
        other = ItemList()
    }
}
