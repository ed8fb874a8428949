import KernelSQLite
import KernelStorage
import KernelStructures
import KernelWire

@testable import DatabaseEngine

/// A database without sessions and protocol: statements are translated, carried out, and shown as `psql -At` shows
/// them; an error is its SQLSTATE.
final class DatabaseHarness {
    let connection: SQLiteConnection
    let catalogue: Catalogue
    let context: SessionContext

    init() throws {
        let database = try SQLiteDatabase(disk: NodeDisk(base: SimulatedDisk(), owner: DiskOwner(1)), path: "/db")
        connection = try database.open()
        catalogue = Catalogue(connection, shared: SharedCatalogue())
        try DatabaseFunctions.register(on: connection, catalogue: catalogue)
        context = SessionContext(user: "postgres", database: "lab", backendPID: 7, random: SeededRandom(seed: 1)) {
            LabTime.documentedEpoch
        }
        context.transactionTime = LabTime.documentedEpoch
        context.statementTime = LabTime.documentedEpoch
        connection.context = context
        if try !Catalogue.exists(in: connection) { try Catalogue.bootstrap(connection) }
    }

    /// What all statements of a text come to, one line each row.
    func run(_ sql: String) -> String {
        do {
            var output: [String] = []
            for statement in try ParsedStatement.parse(sql) { output += try run(statement) }
            return output.joined(separator: "\n")
        } catch {
            return (error as? PostgresError)?.sqlState.rawValue ?? "\(error)"
        }
    }

    func plan(_ sql: String, _ types: [PostgresOID] = []) throws -> Plan {
        try catalogue.refresh()
        let statement = try ParsedStatement.parse(sql)[0]
        return try Translator.translate(statement, catalogue: catalogue, parameterTypes: types, context: context)
    }

    private func run(_ statement: ParsedStatement) throws -> [String] {
        try catalogue.refresh()
        let plan = try Translator.translate(statement, catalogue: catalogue, context: context)
        switch plan.kind {
        case .definition(let definition):
            try connection.execute("SAVEPOINT definition")
            do {
                try definition.apply(to: catalogue, context: context)
                try connection.execute("RELEASE definition")
            } catch {
                try connection.execute("ROLLBACK TO definition; RELEASE definition")
                catalogue.forget()
                throw error
            }
            return []
        case .statements(let all):
            for sql in all { try connection.execute(sql) }
            return []
        case .query, .insert, .update, .delete: return try rows(plan)
        default: return []
        }
    }

    private func rows(_ plan: Plan) throws -> [String] {
        let found: [[SQLiteValue]]
        do {
            found = try connection.rows(plan.sql, plan.constants)
        } catch {
            throw ErrorMapping.postgresError(for: error, catalogue: catalogue)
        }
        return found.map { row in
            zip(row, plan.columns).map { value, column in
                DatumCoding.text(value, type: column.type, context, catalogue)
            }.joined(separator: "|")
        }
    }
}
