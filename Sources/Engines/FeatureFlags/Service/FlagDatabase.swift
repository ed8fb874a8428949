import FeatureFlagsEngine
import KernelJSON
import KernelSQLite
import KernelStorage
import KernelStructures

/// The store on the node's disk: documents as they are, and who has seen which variant, in one SQLite file.
///
/// Every change is one transaction and one sync, and nobody is told of it before that.
final class FlagDatabase {
    private let file: SQLiteDatabase
    private let connection: SQLiteConnection
    /// People who came into an experiment, by flag and environment.
    private var exposureCounts: [String: Int] = [:]

    /// More people than this in one experiment are not written down.
    static let exposureLimit = 1_000_000
    private static let documentLimit = 400_000

    /// - Parameter onFailedSync: see `SQLiteDatabase`: the process has to end after what it is doing.
    /// - Throws: `SQLiteError`.
    init(
        disk: NodeDisk, path: String, seed: UInt64, onFailedSync: @escaping (_ why: String) -> Void
    ) throws(SQLiteError) {
        var options = SQLiteDatabase.Options()
        options.seed = seed
        file = try SQLiteDatabase(disk: disk, path: path, options: options)
        file.onFailedSync = onFailedSync
        connection = try file.open()
        try connection.execute(
            """
            CREATE TABLE IF NOT EXISTS documents (
                kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS exposures (
                experiment TEXT NOT NULL, person TEXT NOT NULL, variant TEXT NOT NULL, at INTEGER NOT NULL,
                PRIMARY KEY (experiment, person)) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS goals (
                experiment TEXT NOT NULL, goal TEXT NOT NULL, person TEXT NOT NULL,
                PRIMARY KEY (experiment, goal, person)) WITHOUT ROWID;
            """)
        for row in try connection.rows("SELECT experiment, count(*) FROM exposures GROUP BY experiment") {
            if case .text(let name) = row[0], case .integer(let count) = row[1] { exposureCounts[name] = Int(count) }
        }
    }

    /// Everything that is kept; of the audit log the newest entries.
    ///
    /// - Throws: `SQLiteError`, `JSONError` for a document that is damaged.
    func load() throws -> [FlagDocument] {
        let rows = try connection.rows(
            """
            SELECT kind, key, body FROM documents WHERE kind <> 'audit' UNION ALL
            SELECT * FROM (SELECT kind, key, body FROM documents WHERE kind = 'audit' ORDER BY key DESC LIMIT ?1)
            LIMIT ?2
            """, [.integer(Int64(FlagStore.auditLimit)), .integer(Int64(Self.documentLimit))])
        return try rows.map { row in
            guard case .text(let kind) = row[0], case .text(let key) = row[1], case .text(let body) = row[2] else {
                throw SQLiteError(code: 11, message: "a document is no text")
            }
            return FlagDocument(kind: kind, key: key, body: try JSONValue(parsing: body))
        }
    }

    // MARK: Writing

    /// Makes documents durable, all or none.
    ///
    /// - Throws: `SQLiteError`.
    func write(_ documents: [FlagDocument]) throws(SQLiteError) {
        if documents.isEmpty { return }
        try transaction { () throws(SQLiteError) in
            for document in documents {
                if let body = document.body {
                    try run(
                        "INSERT OR REPLACE INTO documents VALUES (?1, ?2, ?3)",
                        [.text(document.kind), .text(document.key), .text(body.text(.compact))])
                } else {
                    try run(
                        "DELETE FROM documents WHERE kind = ?1 AND key = ?2",
                        [.text(document.kind), .text(document.key)])
                }
            }
        }
        try file.syncLog()
        try file.checkpointIfLong(connection)
    }

    private func transaction(_ body: () throws(SQLiteError) -> Void) throws(SQLiteError) {
        try connection.execute("BEGIN IMMEDIATE")
        do throws(SQLiteError) {
            try body()
            try connection.execute("COMMIT")
        } catch {
            if connection.isInTransaction { try? connection.execute("ROLLBACK") }
            throw error
        }
    }

    private func run(_ sql: String, _ parameters: [SQLiteValue]) throws(SQLiteError) {
        _ = try connection.rows(sql, parameters)
    }

    // MARK: Experiments

    /// Somebody came into an experiment, and perhaps did what is hoped for.
    struct Visit {
        let experiment: String
        let person: String
        let variant: String
        let goal: String?
    }

    /// Writes down who came; whoever came before stays in the variant he was in.
    ///
    /// - Returns: visits that found no room, and those of people who were shown no variant.
    /// - Throws: `SQLiteError`.
    func add(_ visits: [Visit], at now: LabTime) throws(SQLiteError) -> (dropped: Int, outside: Int) {
        var dropped = 0
        var outside = 0
        let counts = exposureCounts
        do throws(SQLiteError) {
            try transaction { () throws(SQLiteError) in
                for visit in visits {
                    if try !add(visit, at: now) {
                        dropped += 1
                    } else if visit.variant == FlagVariant.disabledName, try !hasVariant(visit) {
                        outside += 1
                    }
                }
            }
            try file.syncLog()
        } catch {
            exposureCounts = counts
            throw error
        }
        return (dropped, outside)
    }

    /// Whether somebody came into a variant before.
    private func hasVariant(_ visit: Visit) throws(SQLiteError) -> Bool {
        let rows = try connection.rows(
            "SELECT 1 FROM exposures WHERE experiment = ?1 AND person = ?2 AND variant <> ?3",
            [.text(visit.experiment), .text(visit.person), .text(FlagVariant.disabledName)])
        return !rows.isEmpty
    }

    private func add(_ visit: Visit, at now: LabTime) throws(SQLiteError) -> Bool {
        if exposureCounts[visit.experiment, default: 0] >= Self.exposureLimit { return false }
        try run(
            "INSERT OR IGNORE INTO exposures VALUES (?1, ?2, ?3, ?4)",
            [.text(visit.experiment), .text(visit.person), .text(visit.variant), .integer(now.unixSeconds)])
        exposureCounts[visit.experiment, default: 0] += connection.changes > 0 ? 1 : 0
        if let goal = visit.goal {
            try run(
                "INSERT OR IGNORE INTO goals VALUES (?1, ?2, ?3)",
                [.text(visit.experiment), .text(goal), .text(visit.person)])
        }
        return true
    }

    /// People by variant, and those of them who reached the goal.
    ///
    /// - Throws: `SQLiteError`.
    func samples(of experiment: String, goal: String) throws(SQLiteError) -> [String: (exposed: Int, converted: Int)] {
        let rows = try connection.rows(
            """
            SELECT e.variant, count(*), count(g.person) FROM exposures e LEFT JOIN goals g
            ON g.experiment = e.experiment AND g.goal = ?2 AND g.person = e.person
            WHERE e.experiment = ?1 GROUP BY e.variant
            """, [.text(experiment), .text(goal)])
        var samples: [String: (exposed: Int, converted: Int)] = [:]
        for row in rows {
            if case .text(let variant) = row[0], case .integer(let exposed) = row[1],
                case .integer(let converted) = row[2]
            {
                samples[variant] = (Int(exposed), Int(converted))
            }
        }
        return samples
    }

    /// What was hoped for so far.
    func goals(of experiment: String) throws(SQLiteError) -> [String] {
        try connection.rows(
            "SELECT DISTINCT goal FROM goals WHERE experiment = ?1 ORDER BY goal LIMIT 100", [.text(experiment)]
        ).compactMap { if case .text(let goal) = $0[0] { goal } else { nil } }
    }

    // MARK: End

    var hasFailedSync: Bool { file.hasFailedSync }

    func close() throws(SQLiteError) { try file.close() }
    /// Not one more operation of the disk: the process is over.
    func abandon() { file.abandon() }
}
