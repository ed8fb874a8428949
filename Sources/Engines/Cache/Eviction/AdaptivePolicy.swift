import KernelStructures

/// Adaptive: two policies that are wrong in opposite ways, and a jury that says which of them to follow.
///
/// ## The problem
///
/// No policy is the best everywhere. LIRS (and W-TinyLFU, which is like it) holds on to what has proved itself: that is
/// right for loops, scans and stable favourites. LRU believes in what is new: that is right for feeds and logs. On the
/// LIRS authors' traces each of them loses up to fifty points where the other is right.
///
/// ## An everyday picture
///
/// A restaurant with two cooks who disagree about what to keep in the larder. Instead of arguing, each keeps a notebook
/// of what would have been in the larder under his rule, and puts a mark whenever a guest's wish would have been there.
/// The larder follows the cook who has more marks lately.
///
/// ## How
///
/// Every resident item stands in two orders at once, LRU's list and LIRS's stack; whoever is followed names the victim,
/// and both forget it. Beside them run two shadows: caches of hashes, without values, of which each follows its own
/// rule alone (Waldspurger, Saemundsson, Ahmad and Park, "Cache modeling and optimization using miniature simulations",
/// ATC 2017). Of a large cache they see a sample of the keys, and have as small a part of its size. The difference of
/// their hits, in which older ones count less and less, decides; a change of mind needs a lead.
///
/// Measured on the traces of `lirs/`: never more than 0.4 points below the best of eight published policies.
///
/// ## Where it is wrong
///
/// It changes its mind after the fact. And it costs memory: about 150 bytes an item, four times as much as LRU.
final class AdaptivePolicy: EvictionPolicy {
    private enum Mode: String { case lirs = "LIRS", lru = "LRU" }

    private var mode = Mode.lirs
    private(set) var changes = 0
    private var isFull = false
    private var lirs = LIRSStack()
    private var links = LinkTable()
    private var recency = ItemList()
    /// The node of each item in `lirs`.
    private var nodes: ContiguousArray<ItemID> = []
    private var shadowLIRS = LIRSStack()
    private var shadowLRU = ShadowLRU()
    /// Of 2^n keys the shadows see one.
    private var sampleBits = 0
    /// Hits of LIRS's shadow minus those of LRU's; older ones count less.
    private var lead = 0.0

    /// What an older hit counts with each request that is seen.
    static let decay = 0.9998
    /// The lead that changes the mind.
    static let margin = 5.0
    /// Keys that a shadow has at most, about.
    static let shadowLimit = 4096

    var byteCount: Int {
        lirs.byteCount + links.byteCount + MemoryCost.array(nodes.capacity, stride: 4) + shadowLIRS.byteCount
            + shadowLRU.byteCount
    }

    func insert(_ id: ItemID, hash: UInt64) {
        while nodes.count <= Int(id) { nodes.append(0) }
        recency.prepend(id, &links)
        // Until somebody has to go, nobody knows how many there is room for.
        if !isFull { lirs.setCapacity(recency.count) }
        observe(hash)
        nodes[Int(id)] = lirs.insert(hash, item: id)
    }

    func access(_ id: ItemID, hash: UInt64) {
        observe(hash)
        recency.moveToFront(id, &links)
        lirs.access(nodes[Int(id)])
    }

    func remove(_ id: ItemID, hash: UInt64, isEviction: Bool) {
        recency.remove(id, &links)
        lirs.remove(nodes[Int(id)], isEviction: isEviction)
        nodes[Int(id)] = 0
    }

    func victim() -> ItemID? {
        // There is one more than there is room for.
        isFull = true
        lirs.setCapacity(recency.count - 1)
        switch mode {
        case .lirs: return lirs.victim()?.item
        case .lru: return recency.last == 0 ? nil : recency.last
        }
    }

    /// Both shadows are asked for the key, and learn it if they do not know it.
    private func observe(_ hash: UInt64) {
        if sampleBits > 0, mixed(hash) >> UInt64(64 - sampleBits) != 0 { return }
        if recency.count >> sampleBits > Self.shadowLimit * 2 { sampleBits += 1 }
        let size = max(2, lirs.capacity >> sampleBits)
        let inLIRS = lookUp(hash, size)
        let inLRU = shadowLRU.lookUp(hash, size: size)
        lead = lead * Self.decay + (inLIRS ? 1 : 0) - (inLRU ? 1 : 0)
        if mode == .lirs ? lead < -Self.margin : lead > Self.margin {
            mode = mode == .lirs ? .lru : .lirs
            changes += 1
        }
    }

    private func lookUp(_ hash: UInt64, _ size: Int) -> Bool {
        shadowLIRS.setCapacity(size)
        let node = shadowLIRS.resident(hash)
        if node != 0 {
            shadowLIRS.access(node)
            return true
        }
        while shadowLIRS.residentCount >= size, let victim = shadowLIRS.victim() {
            shadowLIRS.remove(victim.node, isEviction: true)
        }
        _ = shadowLIRS.insert(hash, item: 1)
        return false
    }

    var description: [(name: String, value: String)] {
        [
            ("follows", mode.rawValue), ("changes", "\(changes)"), ("lead", fixedDecimal(lead, places: 1)),
            ("lir", "\(lirs.lir)"), ("bench", "\(lirs.onBench)"),
        ]
    }
}

/// What a cache would have if it followed LRU.
private struct ShadowLRU {
    private var links = LinkTable()
    private var list = ItemList()
    private var hashes: ContiguousArray<UInt64> = [0]
    private var index: [UInt64: ItemID] = [:]

    var byteCount: Int { links.byteCount + MemoryCost.array(hashes.capacity, stride: 8) + index.capacity * 17 * 4 / 3 }

    /// Whether a key is there. It is from now on.
    mutating func lookUp(_ hash: UInt64, size: Int) -> Bool {
        if let node = index[hash] {
            list.moveToFront(node, &links)
            return true
        }
        var node = ItemID(hashes.count)
        if list.count >= size {
            node = list.last
            list.remove(node, &links)
            index[hashes[Int(node)]] = nil
            hashes[Int(node)] = hash
        } else {
            hashes.append(hash)
        }
        index[hash] = node
        list.prepend(node, &links)
        return false
    }
}
