/// Least frequently used: the item goes that was asked for the fewest times; of several, the one whose last time is the
/// longest ago.
///
/// ## An everyday picture
///
/// A library that counts on a card in each book how often it was lent. Once a year all counts are halved: what
/// everybody read ten years ago and nobody since has to make room in the end.
///
/// ## How
///
/// A list for each count from 1 to 255 (Shah, Mitra and Matani, "An O(1) algorithm for implementing the LFU cache
/// eviction scheme", 2010). A use moves an item to the head of the next list. After ten uses for each item there is,
/// the lists are halved: list n joins list n / 2. An item learns that when it is next looked at: it remembers when it
/// was counted, and halves its count once for each time that has passed since.
///
/// ## Where it is wrong
///
/// A new item has been used once and is the first to go, however popular it is about to become; and a favourite of
/// yesterday stays until it has been halved away.
final class LFUPolicy: EvictionPolicy {
    private var links = LinkTable()
    private var lists = [ItemList](repeating: ItemList(), count: 256)
    /// Of each item: how often it was used, and after how many halvings that was counted.
    private var counters: ContiguousArray<(count: UInt8, epoch: UInt8)> = []
    private var epoch: UInt8 = 0
    private var itemCount = 0
    private var uses = 0
    /// No list below it has anything.
    private var lowest = 1

    static let usesPerItem = 10

    var byteCount: Int { links.byteCount + MemoryCost.array(counters.capacity, stride: 2) }

    private func count(_ id: ItemID) -> Int {
        let counter = counters[Int(id)]
        let halvings = Int(epoch &- counter.epoch)
        return halvings >= 8 ? 1 : max(1, Int(counter.count) >> halvings)
    }

    private func put(_ id: ItemID, _ count: Int) {
        counters[Int(id)] = (UInt8(count), epoch)
        lists[count].prepend(id, &links)
        lowest = min(lowest, count)
    }

    func insert(_ id: ItemID, hash: UInt64) {
        while counters.count <= Int(id) { counters.append((0, 0)) }
        itemCount += 1
        put(id, 1)
    }

    func access(_ id: ItemID, hash: UInt64) {
        let count = count(id)
        lists[count].remove(id, &links)
        put(id, min(255, count + 1))
        uses += 1
        if uses >= itemCount * Self.usesPerItem { halve() }
    }

    private func halve() {
        uses = 0
        for count in 2...255 {
            var list = ItemList()
            swap(&list, &lists[count])
            lists[count / 2].append(&list, &links)
        }
        lowest = 1
        epoch &+= 1
        // A counter that was not looked at for so long would seem to be new again: now and then all are written anew.
        if epoch == 0 || epoch == 128 { rewrite() }
    }

    private func rewrite() {
        for count in 1...255 {
            var id = lists[count].first
            while id != 0 {
                counters[Int(id)] = (UInt8(count), epoch)
                id = links[id].behind
            }
        }
    }

    func remove(_ id: ItemID, hash: UInt64, isEviction: Bool) {
        lists[count(id)].remove(id, &links)
        itemCount -= 1
    }

    func victim() -> ItemID? {
        guard itemCount > 0 else { return nil }
        while lowest < 255, lists[lowest].count == 0 { lowest += 1 }
        return lists[lowest].last
    }

    func frequency(_ id: ItemID, hash: UInt64) -> Int? { count(id) }
}
