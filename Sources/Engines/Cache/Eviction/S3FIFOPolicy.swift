/// S3-FIFO: three queues, and nobody is ever moved by a read (Yang, Zhang, Qiu, Yue and Vinayak, "FIFO queues are all
/// you need for cache eviction", SOSP 2023).
///
/// ## The problem
///
/// Most of what is put into a cache is never asked for again. LRU carries each of these one-hit wonders through its
/// whole list before it is rid of them.
///
/// ## An everyday picture
///
/// Trial period and contract. Everybody begins in a small department (a tenth of all). Whoever was asked for twice by
/// the end of the trial gets a contract, the others leave, and the house keeps their names for a while: who comes back
/// while the name is known gets a contract at once. Contracts run out in turn; whoever was of use since then gets
/// another one.
///
/// ```
///  new ──▶ small 10 % ──asked for twice──▶ main 90 % ──of use? once more round──▶ out
///             └── out, the name to the ghosts ── comes back ──▶ main
/// ```
///
/// ## Where it is wrong
///
/// Whoever needs longer than the trial to be asked for twice must come back a second time. And a read counts to three
/// only, so it cannot tell popular from very popular.
final class S3FIFOPolicy: EvictionPolicy {
    private enum Part: UInt8 { case small, main }
    private var links = LinkTable()
    private var small = ItemList()
    private var main = ItemList()
    private var ghosts = GhostTable()
    private var items: ContiguousArray<(hash: UInt64, part: Part, uses: UInt8)> = []
    /// As long as nobody had to go, the house takes whoever comes.
    private var hasEvicted = false

    static let smallShare = 0.1
    static let usesForMain = 2
    static let mostUses = 3

    private var itemCount: Int { small.count + main.count }
    private var smallLimit: Int { max(1, Int(Double(itemCount) * Self.smallShare)) }

    var byteCount: Int { links.byteCount + MemoryCost.array(items.capacity, stride: 16) + ghosts.byteCount }

    func insert(_ id: ItemID, hash: UInt64) {
        while items.count <= Int(id) { items.append((0, .small, 0)) }
        ghosts.reserve(itemCount)
        let wasHere = ghosts.remove(hash, newest: itemCount - smallLimit)
        items[Int(id)] = (hash, wasHere ? .main : .small, 0)
        if wasHere { main.prepend(id, &links) } else { small.prepend(id, &links) }
    }

    func access(_ id: ItemID, hash: UInt64) {
        if items[Int(id)].uses < UInt8(Self.mostUses) { items[Int(id)].uses += 1 }
    }

    func remove(_ id: ItemID, hash: UInt64, isEviction: Bool) {
        switch items[Int(id)].part {
        case .small:
            small.remove(id, &links)
            if isEviction { ghosts.insert(hash) }
        case .main: main.remove(id, &links)
        }
    }

    func victim() -> ItemID? {
        if !hasEvicted {
            hasEvicted = true
            // Those who came first have had their trial.
            while small.count > smallLimit { promote(small.last) }
        }
        while itemCount > 0 {
            if small.count > smallLimit || main.count == 0 {
                let id = small.last
                if items[Int(id)].uses < UInt8(Self.usesForMain) { return id }
                promote(id)
            } else {
                let id = main.last
                if items[Int(id)].uses == 0 { return id }
                items[Int(id)].uses -= 1
                main.moveToFront(id, &links)
            }
        }
        return nil
    }

    private func promote(_ id: ItemID) {
        small.remove(id, &links)
        main.prepend(id, &links)
        items[Int(id)].part = .main
    }

    func frequency(_ id: ItemID, hash: UInt64) -> Int? { Int(items[Int(id)].uses) }

    var description: [(name: String, value: String)] { [("small", "\(small.count)"), ("main", "\(main.count)")] }
}
