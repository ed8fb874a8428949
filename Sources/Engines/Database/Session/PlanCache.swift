import KernelWire

/// Plans by what they were made from. Two generations: what was not used since the last change of generations goes.
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

    private var recent: [Key: Entry] = [:]
    private var older: [Key: Entry] = [:]
    static let generationCount = 1024
    /// Longer texts are not likely to come again.
    static let textByteCount = 16 << 10

    func find(_ key: Key) -> Entry? {
        if let entry = recent[key] { return entry }
        guard let entry = older.removeValue(forKey: key) else { return nil }
        keep(entry, for: key)
        return entry
    }

    func keep(_ entry: Entry, for key: Key) {
        guard key.sql.utf8.count <= Self.textByteCount else { return }
        if recent.count >= Self.generationCount {
            older = recent
            recent = [:]
        }
        recent[key] = entry
    }
}
