import CacheEngine
import CacheService
import CommandServices
import ShellSession

/// The keys of a cache, for completion.
extension CacheNode: NameGiving {
    package func names(of kind: NameKind, beginningWith prefix: String, limit: Int)
        -> [(name: String, summary: String)]
    {
        guard kind == .key else { return [] }
        return cache.keys(beginningWith: Array(prefix.utf8), limit: limit).compactMap { key, kind in
            String(validating: key, as: UTF8.self).map { ($0, kind) }
        }.sorted { $0.name < $1.name }
    }
}
