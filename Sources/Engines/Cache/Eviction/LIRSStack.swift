/// LIRS: who is kept depends on how long ago an item was used the time before last (Jiang and Zhang, "LIRS: an
/// efficient low inter-reference recency set replacement policy", SIGMETRICS 2002).
///
/// ## An everyday picture
///
/// A teacher who remembers not when a pupil last raised a hand, but how much was said between the last two times. Who
/// speaks often has short gaps and a seat in front; everybody else shares a single bench, and the next one to come
/// takes the place of whoever sat there the longest. A pupil who has left is remembered for a while; who comes back
/// soon enough had a short gap, and gets a seat in front.
///
/// ## How
///
/// ```
///  S  most recent ──▶ LIR · hir · ghost · LIR · … · LIR ◀── the bottom is always LIR: who is below it had a longer gap
///  Q  the bench: resident hir, first in first out; a hundredth of all
/// ```
///
/// A hir that is used while it is in S has a gap shorter than the LIR at the bottom: they change places. Items are
/// named by their hash, so that one which is gone (a ghost) is recognized when it comes back.
///
/// While there is room everybody gets a seat in front. If there is less of it later, those go first who have never
/// spoken again since: the tables of a policy grow, and it is no reason to send away who has proved himself.
struct LIRSStack {
    /// Not of the cache's items but of this structure's own nodes.
    private typealias NodeID = ItemID

    private struct Node {
        var hash: UInt64 = 0
        var item: ItemID = 0
        var isLIR = false
        var isInStack = false
        var isOnBench = false
        var isGhost = false
        /// LIR because there was room, and not used since: it is in `unproven`.
        var isUnproven = false
        /// Another key with the same hash is known under it.
        var isHidden = false
    }

    private var nodes: ContiguousArray<Node> = [Node()]
    private var free: [ItemID] = []
    private var index: [UInt64: ItemID] = [:]
    private var stack = ItemList()
    private var stackLinks = LinkTable()
    private var bench = ItemList()
    private var benchLinks = LinkTable()
    /// Linked by `benchLinks`, too: nobody is on both.
    private var unproven = ItemList()
    private var ghosts = ItemList()
    private var ghostLinks = LinkTable()
    private var lirCount = 0
    /// Items there may be at a time: as many as there are when somebody has to go.
    private(set) var capacity = 16

    static let benchShare = 0.01
    /// Ghosts that are remembered, for each item there may be.
    static let ghostsPerItem = 1.0

    private var lirLimit: Int { max(1, capacity - max(1, Int(Double(capacity) * Self.benchShare))) }
    var residentCount: Int { lirCount + bench.count }
    var lir: Int { lirCount }
    var onBench: Int { bench.count }

    var byteCount: Int {
        MemoryCost.array(nodes.capacity, stride: MemoryLayout<Node>.stride) + stackLinks.byteCount
            + benchLinks.byteCount + ghostLinks.byteCount + index.capacity * 17 * 4 / 3
    }

    mutating func setCapacity(_ count: Int) { capacity = max(2, count) }

    /// The node of an item that is there; 0 if there is none.
    func resident(_ hash: UInt64) -> ItemID {
        guard let node = index[hash], !nodes[Int(node)].isGhost else { return 0 }
        return node
    }

    /// An item is used.
    mutating func access(_ node: ItemID) {
        let state = nodes[Int(node)]
        if state.isLIR {
            prove(node)
            let wasBottom = stack.last == node
            stack.moveToFront(node, &stackLinks)
            if wasBottom { prune() }
        } else if state.isInStack {
            stack.moveToFront(node, &stackLinks)
            bench.remove(node, &benchLinks)
            nodes[Int(node)].isOnBench = false
            promote(node)
        } else {
            push(node)
            bench.remove(node, &benchLinks)
            bench.append(node, &benchLinks)
        }
    }

    private mutating func push(_ node: ItemID) {
        stack.prepend(node, &stackLinks)
        nodes[Int(node)].isInStack = true
    }

    private mutating func promote(_ node: ItemID) {
        nodes[Int(node)].isLIR = true
        lirCount += 1
        while lirCount > lirLimit { demote() }
    }

    private mutating func prove(_ node: ItemID) {
        guard nodes[Int(node)].isUnproven else { return }
        nodes[Int(node)].isUnproven = false
        unproven.remove(node, &benchLinks)
    }

    /// The LIR at the bottom goes to the end of the bench, or another one.
    private mutating func demote(_ other: ItemID = 0) {
        let node = other != 0 ? other : stack.last
        guard node != 0 else { return }
        prove(node)
        stack.remove(node, &stackLinks)
        nodes[Int(node)].isInStack = false
        nodes[Int(node)].isLIR = false
        lirCount -= 1
        bench.append(node, &benchLinks)
        nodes[Int(node)].isOnBench = true
        prune()
    }

    /// Whoever is below the lowest LIR is of no use in the stack; ghosts there are forgotten.
    private mutating func prune() {
        while stack.last != 0, !nodes[Int(stack.last)].isLIR {
            let node = stack.last
            stack.remove(node, &stackLinks)
            nodes[Int(node)].isInStack = false
            if nodes[Int(node)].isGhost { forget(node) }
        }
    }

    /// A new item, or one that comes back.
    ///
    /// - Returns: its node.
    mutating func insert(_ hash: UInt64, item: ItemID) -> ItemID {
        if let ghost = index[hash], nodes[Int(ghost)].isGhost {
            ghosts.remove(ghost, &ghostLinks)
            nodes[Int(ghost)].isGhost = false
            nodes[Int(ghost)].item = item
            stack.moveToFront(ghost, &stackLinks)
            promote(ghost)
            return ghost
        }
        let node = make(hash, item)
        push(node)
        if lirCount < lirLimit {
            nodes[Int(node)].isLIR = true
            nodes[Int(node)].isUnproven = true
            unproven.append(node, &benchLinks)
            lirCount += 1
        } else {
            bench.append(node, &benchLinks)
            nodes[Int(node)].isOnBench = true
        }
        return node
    }

    private mutating func make(_ hash: UInt64, _ item: ItemID) -> ItemID {
        let isHidden = index[hash] != nil
        let node = free.popLast() ?? ItemID(nodes.count)
        let value = Node(hash: hash, item: item, isHidden: isHidden)
        if Int(node) == nodes.count { nodes.append(value) } else { nodes[Int(node)] = value }
        if !isHidden { index[hash] = node }
        return node
    }

    /// Whom to evict next: the node, and its item. nil if there is nobody.
    mutating func victim() -> (node: ItemID, item: ItemID)? {
        while lirCount > lirLimit { demote(unproven.first) }
        let node = bench.first != 0 ? bench.first : stack.last
        return node == 0 ? nil : (node, nodes[Int(node)].item)
    }

    /// An item goes.
    ///
    /// - Parameter isEviction: whether it may become a ghost.
    mutating func remove(_ node: ItemID, isEviction: Bool) {
        if nodes[Int(node)].isOnBench {
            bench.remove(node, &benchLinks)
            nodes[Int(node)].isOnBench = false
        } else if nodes[Int(node)].isLIR {
            prove(node)
            nodes[Int(node)].isLIR = false
            lirCount -= 1
        }
        guard isEviction, nodes[Int(node)].isInStack, !nodes[Int(node)].isHidden else {
            if nodes[Int(node)].isInStack { stack.remove(node, &stackLinks) }
            forget(node)
            return prune()
        }
        nodes[Int(node)].isGhost = true
        nodes[Int(node)].item = 0
        ghosts.append(node, &ghostLinks)
        prune()
        while ghosts.count > max(16, Int(Double(capacity) * Self.ghostsPerItem)) {
            let oldest = ghosts.first
            stack.remove(oldest, &stackLinks)
            forget(oldest)
        }
    }

    /// A node that is in no list but, perhaps, the ghosts'.
    private mutating func forget(_ node: ItemID) {
        if nodes[Int(node)].isGhost { ghosts.remove(node, &ghostLinks) }
        if !nodes[Int(node)].isHidden { index[nodes[Int(node)].hash] = nil }
        nodes[Int(node)] = Node()
        free.append(node)
    }
}
