import KernelStructures
import KernelWire

/// Plans by what they were made from.
final class PlanCache {
    struct Key: Hashable {
        let sql: String
        let parameterTypes: [PostgresOID]
        let catalogueVersion: Int64
        /// What else of a session a plan depends on.
        let settings: String
    }

    /// A plan, and what to make it from again.
    final class Entry {
        let statement: ParsedStatement
        let plan: Plan
        let version: Int64

        init(statement: ParsedStatement, plan: Plan, version: Int64) {
            self.statement = statement
            self.plan = plan
            self.version = version
        }
    }

    private var entries = GenerationCache<Key, Entry>(generationCount: 1024)
    /// Longer texts are not likely to come again.
    static let textByteCount = 16 << 10

    func find(_ key: Key) -> Entry? { entries.find(key) }

    func keep(_ entry: Entry, for key: Key) {
        if key.sql.utf8.count <= Self.textByteCount { entries.insert(entry, for: key) }
    }
}
