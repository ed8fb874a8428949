import CommandServices
import KVStoreEngine
import KVStoreService
import KernelStructures
import ShellSession

/// The keys of a store, for completion: they lie in order, so those with a beginning are found at once.
extension KVServer: NameGiving {
    package func names(of kind: NameKind, beginningWith prefix: String, limit: Int)
        -> [(name: String, summary: String)]
    {
        guard kind == .key, store != nil else { return [] }
        var found: [(name: String, summary: String)] = []
        let wanted = Array(prefix.utf8)
        do {
            let iterator = try store.makeIterator()
            // What begins with a zero byte is the server's own, or nothing that anybody types.
            try iterator.seek(wanted.isEmpty ? [1] : wanted)
            while iterator.isValid, found.count < limit {
                let key = iterator.key
                guard key.starts(with: wanted) else { break }
                if let name = String(validating: key, as: UTF8.self) {
                    found.append((name, byteCountText(iterator.value.count)))
                }
                try iterator.next()
            }
        } catch {
            // A store that cannot be read says so to whoever asks it; here it has no names.
        }
        return found
    }
}
