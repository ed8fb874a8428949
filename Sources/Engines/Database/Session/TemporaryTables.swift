import KernelSQLite
import KernelStructures
import KernelWire

// Temporary tables: tables like all others, in a schema that only one session looks into. It comes first on that
// session's search path, and goes when the session does, as in PostgreSQL.
//
// Where it differs: they are written to the log as the others are, so a session that fills one has the pen meanwhile.

enum TemporarySchema {
    static let prefix = "pg_temp_"
    /// What every session calls its own.
    static let alias = "pg_temp"
}

/// `ON COMMIT`; without it rows stay.
enum OnCommit { case deleteRows, drop }

extension SessionContext {
    /// The schema that a name stands for; nil if none is given.
    func schemaName(_ given: String) -> String? {
        given.isEmpty ? nil : given == TemporarySchema.alias ? temporarySchema ?? given : given
    }
}

extension DefinitionRun {
    /// The session's schema, made when it is first needed.
    func temporarySchema() throws(PostgresError) -> (name: String, oid: UInt32) {
        let round = context.discardCount == 0 ? "" : "_\(context.discardCount)"
        let name = "\(TemporarySchema.prefix)\(context.backendPID)\(round)"
        context.temporarySchema = name
        if let oid = try catalogue.schema(name) { return (name, oid) }
        let oid = try catalogue.nextOID()
        try catalogue.insert(
            "pg_namespace", ["oid": .integer(Int64(oid)), "nspname": .text(name), "nspowner": .integer(10)])
        catalogue.forget()
        return (name, oid)
    }

    func isTemporary(schema: UInt32) throws(PostgresError) -> Bool {
        guard let own = context.temporarySchema else { return false }
        return try catalogue.schema(own) == schema
    }

    /// - Parameter onCommit: as the parser names it.
    func note(_ table: UInt32, onCommit action: String) throws(PostgresError) {
        context.onCommit[table] = nil
        guard action == "ONCOMMIT_DROP" || action == "ONCOMMIT_DELETE_ROWS" else { return }
        guard let relation = try catalogue.load(table), relation.schema == context.temporarySchema else {
            throw fail(.invalidTableDefinition, "ON COMMIT can only be used on temporary tables")
        }
        context.onCommit[table] = action == "ONCOMMIT_DROP" ? .drop : .deleteRows
    }
}

extension DatabaseSession {
    /// Before a commit: what ON COMMIT says.
    func endTemporaryTables(_ connection: DatabaseConnection) throws(PostgresError) {
        for (oid, action) in context.onCommit.sorted(by: { $0.key < $1.key }) {
            // The transaction that made it may have been rolled back, and its number given to another table.
            guard let table = try connection.catalogue.relation(oid), table.schema == context.temporarySchema else {
                context.onCommit[oid] = nil
                continue
            }
            switch action {
            case .deleteRows: try connection.run("DELETE FROM \(identifier(table.storage))")
            case .drop:
                context.onCommit[oid] = nil
                let name = ObjectNames.quoted(table.schema) + "." + ObjectNames.quoted(table.name)
                try connection.define("DROP TABLE \(name) CASCADE", context)
            }
        }
    }

    /// DISCARD TEMP, or the session's end.
    func discardTemporaryTables() {
        guard let schema = context?.temporarySchema, let database else { return }
        context.temporarySchema = nil
        context.onCommit = [:]
        context.discardCount += 1
        noteSettings()
        database.abandonedSchemas.append(schema)
        database.dropAbandonedSchemas()
    }
}

extension Database {
    /// Drops what no session needs any more, unless somebody writes: then when he has finished. What fails is tried
    /// again when the database is opened.
    func dropAbandonedSchemas() {
        guard !abandonedSchemas.isEmpty, writer == nil, let connection = try? takeConnection() else { return }
        defer { giveBack(connection) }
        let context = SessionContext(
            user: "postgres", database: name, backendPID: 0, random: SeededRandom(seed: 1), clock: { .documentedEpoch })
        connection.begin(context)
        let schemas = abandonedSchemas
        abandonedSchemas = []
        do throws(PostgresError) {
            try connection.run("BEGIN IMMEDIATE")
            try connection.catalogue.refresh()
            for schema in schemas {
                try connection.define("DROP SCHEMA IF EXISTS \(ObjectNames.quoted(schema)) CASCADE", context)
            }
            try connection.run("COMMIT")
            catalogueVersion = connection.catalogue.version
        } catch {
            connection.rollBack()
        }
    }
}

extension DatabaseConnection {
    /// A definition of our own, within the transaction of whoever writes.
    func define(_ sql: String, _ context: SessionContext) throws(PostgresError) {
        for statement in try ParsedStatement.parse(sql) {
            let plan = try Translator.translate(statement, catalogue: catalogue, context: context)
            guard case .definition(let definition) = plan.kind else { continue }
            _ = try definition.apply(to: catalogue, context: context)
        }
    }
}
