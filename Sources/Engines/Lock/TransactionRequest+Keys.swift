/// Which keys a transaction changes, and how often.
///
/// All changes of a transaction share one revision, and a key can change only once in a revision. So no two of the
/// operations that may happen together may put the same key, and none may put what another one deletes, in whatever
/// depth they stand; to delete twice is harmless. Branches of one transaction never happen together.
extension TransactionRequest {
    /// Operations of a transaction with all that are within it.
    private static let totalLimit = 8 * operationLimit

    /// - Throws: `StoreError.duplicateKey`, whatever the comparisons will say: etcd looks before it carries out.
    ///   `.tooManyOperations` for more than can be looked at.
    public func expectKeysOnce() throws(StoreError) {
        var count = 0
        _ = try changes(&count)
    }

    private struct Changes {
        var puts: Set<Key> = []
        var deletions: [KeyRange] = []

        func deletes(_ key: Key) -> Bool { deletions.contains { $0.contains(key) } }

        /// Both may happen.
        mutating func add(_ other: Changes) throws(StoreError) {
            let isTwice = !puts.isDisjoint(with: other.puts)
            guard !isTwice, !other.puts.contains(where: deletes), !puts.contains(where: other.deletes) else {
                throw .duplicateKey
            }
            unite(other)
        }

        mutating func unite(_ other: Changes) {
            puts.formUnion(other.puts)
            deletions += other.deletions
        }
    }

    /// What either branch may change.
    private func changes(_ count: inout Int) throws(StoreError) -> Changes {
        var all = try Self.changes(success, &count)
        all.unite(try Self.changes(failure, &count))
        return all
    }

    private static func changes(_ operations: [StoreOperation], _ count: inout Int) throws(StoreError) -> Changes {
        var all = Changes()
        for operation in operations {
            count += 1
            guard count <= totalLimit else { throw .tooManyOperations }
            switch operation {
            case .range: break
            case .put(let put): try all.add(Changes(puts: [put.key]))
            case .delete(let delete): try all.add(Changes(deletions: [delete.range]))
            case .transaction(let inner): try all.add(try inner.changes(&count))
            }
        }
        return all
    }
}
