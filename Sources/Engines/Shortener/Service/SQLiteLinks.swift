import KernelHosting
import KernelSQLite
import KernelWorld

/// Links in a file of SQLite's on the node's disk. Statements are carried out at once; what they wrote is synced once
/// for all that came in the same turn.
final class SQLiteLinks: LinkDatabase {
    private let node: Node
    private let database: SQLiteDatabase
    private let connection: SQLiteConnection
    private var turns: CommitTurns<Waiter>!
    var isExclusive: Bool { true }

    /// Somebody who waits for the end of the turn.
    private final class Waiter: TurnConnection {
        let done: (String?) -> Void
        init(_ done: @escaping (String?) -> Void) { self.done = done }
        func seal() {}
        func sendSealed(_ failure: String?) { done(failure) }
    }

    /// - Parameter onFailedSync: called when the node has to end, because nobody knows any more what is stored; nothing
    ///   is answered from then on.
    /// - Throws: `SQLiteError`: the file is no database, somebody else has it, or the disk refused.
    init(node: Node, path: String, onFailedSync: @escaping (_ why: String) -> Void) throws(SQLiteError) {
        self.node = node
        database = try SQLiteDatabase(disk: node.disk, path: path)
        database.onFailedSync = { why in node.enqueue { onFailedSync(why) } }
        connection = try database.open()
        turns = CommitTurns(node: node) { [unowned self] done in commit(done) }
        node.whenEnded { [weak database] in database?.abandon() }
    }

    func run(_ statements: [LinkStatement], _ done: @escaping (Result<[LinkRows], LinkDatabaseFailure>) -> Void) {
        do throws(SQLiteError) {
            let results = try carryOut(statements)
            guard database.isLogUnsynced else { return done(.success(results)) }
            turns.note(
                Waiter { failure in
                    done(
                        failure.map { .failure(LinkDatabaseFailure(description: $0, isPassing: false)) }
                            ?? .success(results))
                })
        } catch {
            if !database.hasFailedSync { done(.failure(Self.failure(error))) }
        }
    }

    private func carryOut(_ statements: [LinkStatement]) throws(SQLiteError) -> [LinkRows] {
        let isTogether = statements.count > 1
        if isTogether { try connection.execute("BEGIN IMMEDIATE") }
        do throws(SQLiteError) {
            var results: [LinkRows] = []
            for statement in statements { results.append(try rows(statement)) }
            if isTogether { try connection.execute("COMMIT") }
            return results
        } catch {
            if connection.isInTransaction { try? connection.execute("ROLLBACK") }
            throw error
        }
    }

    private func rows(_ statement: LinkStatement) throws(SQLiteError) -> LinkRows {
        let values = statement.values.map { value -> SQLiteValue in
            switch value {
            case .null: .null
            case .integer(let number): .integer(number)
            case .text(let text): .text(text)
            }
        }
        // `$1` would be a name to SQLite.
        return try connection.rows(statement.sql.replacing("$", with: "?"), values).map { row in
            row.map { value in
                switch value {
                case .null: .null
                case .integer(let number): .integer(number)
                case .real(let number): .integer(Int64(exactly: number.rounded()) ?? 0)
                case .text(let text): .text(text)
                case .blob(let bytes): .text(String(decoding: bytes, as: UTF8.self))
                }
            }
        }
    }

    /// What a failed sync leaves in doubt is neither promised nor denied: nobody is answered, and the node ends.
    private func commit(_ done: @escaping (String?) -> Void) {
        do throws(SQLiteError) { try database.syncLog() } catch { return }
        try? database.checkpointIfLong(connection)
        let cost = node.disk.collectCost()
        if cost <= .zero { done(nil) } else { node.after(cost) { done(nil) } }
    }

    private static func failure(_ error: SQLiteError) -> LinkDatabaseFailure {
        LinkDatabaseFailure(
            description: error.isFull ? "the disk is full" : "\(error)", isPassing: error.isFull || error.isBusy)
    }

    func close() { try? database.close() }
}
