/// Least recently used: the item goes that nobody has asked for the longest.
///
/// ## An everyday picture
///
/// A pile of papers. Whatever is used is put back on top; when the pile is too high, the lowest goes.
///
/// The pile is a list here, and "put on top" changes four links. (Redis keeps no list: it draws five keys by chance and
/// takes the one that was not used the longest, which is about as good and costs no memory.)
///
/// ## Where it is wrong
///
/// One walk over everything, a backup say, throws out all that was worth keeping: each paper is new, so each goes on
/// top. And a loop over one paper more than fit finds nothing, ever: each is thrown out just before it is asked for.
final class LRUPolicy: EvictionPolicy {
    private var links = LinkTable()
    private var list = ItemList()

    var byteCount: Int { links.byteCount }
    func insert(_ id: ItemID, hash: UInt64) { list.prepend(id, &links) }
    func access(_ id: ItemID, hash: UInt64) { list.moveToFront(id, &links) }
    func remove(_ id: ItemID, hash: UInt64, isEviction: Bool) { list.remove(id, &links) }
    func victim() -> ItemID? { list.last == 0 ? nil : list.last }
}
