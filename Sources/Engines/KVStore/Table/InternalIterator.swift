/// Walks over internal keys in order: over a memtable, a table, a level, or several of these merged.
///
/// A class to inherit from and not a protocol, so that what is asked for most often, the current entry, is a stored
/// property and not a call.
class InternalIterator {
    /// Whether it is at an entry.
    final var isValid = false
    /// The entry; both stay what they are until the iterator moves.
    final var key = Bytes.empty
    final var value = Bytes.empty

    func seekToFirst() throws(KVStoreError) {}
    func seekToLast() throws(KVStoreError) {}
    /// To the first entry at or after a user key and a tag.
    func seek(_ userKey: Bytes, _ tag: UInt64) throws(KVStoreError) {}
    /// Only from an entry.
    func next() throws(KVStoreError) {}
    func previous() throws(KVStoreError) {}
}
