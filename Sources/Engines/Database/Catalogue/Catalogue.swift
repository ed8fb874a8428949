import KernelSQLite
import KernelWire

/// What all connections of a database share beside its file.
///
/// It numbers the states of the catalogue: a number never comes twice, even if what it stood for was rolled back, so
/// plans can be kept by it.
public final class SharedCatalogue {
    private var last: Int64 = 0
    let sequences = SequenceMarks()

    public init() {}

    /// Greater than `seen` and than all that were given.
    func next(after seen: Int64) -> Int64 {
        last = max(last, seen) + 1
        return last
    }
}

/// What there is in a database, as one connection sees it.
///
/// It lies in the database itself, in tables with the names and columns of PostgreSQL's `pg_catalog`: so changes of it
/// are rolled back and survive with everything else, and `\d` reads what the translator reads. This class keeps what
/// it has read for as long as the version stays the same.
public final class Catalogue {
    public let connection: SQLiteConnection
    let shared: SharedCatalogue
    /// Changes with each definition.
    public private(set) var version: Int64 = 0
    private var relations: [UInt32: Relation] = [:]
    private var numbers: [String: UInt32?] = [:]
    private var schemas: [String: UInt32?] = [:]

    public init(_ connection: SQLiteConnection, shared: SharedCatalogue) {
        self.connection = connection
        self.shared = shared
    }

    /// Sees what has changed. To be called when a statement begins; it costs one look-up by key.
    public func refresh() throws(PostgresError) {
        let found = try integer("SELECT value FROM sdlab_catalogue WHERE key = 'version'") ?? 0
        guard found != version else { return }
        forget()
        version = found
    }

    /// To be called after a rollback.
    public func forget() {
        version = 0
        relations = [:]
        numbers = [:]
        schemas = [:]
    }

    /// After a change, within its transaction.
    func hasChanged() throws(PostgresError) {
        forget()
        let stored = try integer("SELECT value FROM sdlab_catalogue WHERE key = 'version'") ?? 0
        version = shared.next(after: stored)
        try run("UPDATE sdlab_catalogue SET value = ?1 WHERE key = 'version'", [.integer(version)])
    }

    // MARK: Names

    static let catalogueSchema = "pg_catalog"
    static let informationSchema = "information_schema"

    /// The number of a schema; nil if there is none.
    public func schema(_ name: String) throws(PostgresError) -> UInt32? {
        if let known = schemas[name] { return known }
        let found = try integer("SELECT oid FROM pg_namespace WHERE nspname = ?1", [.text(name)]).map {
            UInt32(truncatingIfNeeded: $0)
        }
        schemas[name] = .some(found)
        return found
    }

    func schemaName(_ oid: UInt32) throws(PostgresError) -> String? {
        try text("SELECT nspname FROM pg_namespace WHERE oid = ?1", [.integer(Int64(oid))])
    }

    /// - Parameter schema: nil to look through `searchPath`, before which stands `pg_catalog`.
    public func relation(_ name: String, schema: String?, searchPath: [String]) throws(PostgresError) -> Relation? {
        if let schema { return try relation(name, in: schema) }
        for schema in [Self.catalogueSchema] + searchPath.filter({ $0 != Self.catalogueSchema }) {
            if let found = try relation(name, in: schema) { return found }
        }
        return nil
    }

    private func relation(_ name: String, in schema: String) throws(PostgresError) -> Relation? {
        if schema == Self.catalogueSchema, let table = SystemTable.byName[name] { return try relation(table.oid) }
        if let view = SystemView.named(name, schema: schema) { return try relation(view.oid) }
        let key = schema + "." + name
        if let known = numbers[key] {
            guard let oid = known else { return nil }
            return try relation(oid)
        }
        guard let schemaOID = try self.schema(schema) else { return nil }
        let oid = try integer(
            "SELECT oid FROM pg_class WHERE relname = ?1 AND relnamespace = ?2",
            [.text(name), .integer(Int64(schemaOID))]
        ).map { UInt32(truncatingIfNeeded: $0) }
        numbers[key] = .some(oid)
        guard let oid else { return nil }
        return try relation(oid)
    }

    public func relation(_ oid: UInt32) throws(PostgresError) -> Relation? {
        if let known = relations[oid] { return known }
        var found = SystemRelations.byOID[oid]
        if found == nil { found = try load(oid) }
        if let found { relations[oid] = found }
        return found
    }

    /// The schema in which things are made when none is named: the first of the path that there is.
    func creationSchema(_ searchPath: [String]) throws(PostgresError) -> String {
        for name in searchPath where name != Self.catalogueSchema && !name.hasPrefix(TemporarySchema.prefix) {
            if try schema(name) != nil { return name }
        }
        throw PostgresError(.invalidSchemaName, "no schema has been selected to create in")
    }

    // MARK: SQLite

    /// A number that nothing else in this database has.
    func nextOID() throws(PostgresError) -> UInt32 {
        let next = try integer("SELECT value FROM sdlab_catalogue WHERE key = 'oid'") ?? 16_384
        try run("UPDATE sdlab_catalogue SET value = ?1 WHERE key = 'oid'", [.integer(next + 1)])
        return UInt32(truncatingIfNeeded: next)
    }

    func rows(_ sql: String, _ parameters: [SQLiteValue] = []) throws(PostgresError) -> [[SQLiteValue]] {
        do {
            return try connection.rows(sql, parameters)
        } catch {
            throw ErrorMapping.postgresError(for: error, catalogue: self)
        }
    }

    func run(_ sql: String, _ parameters: [SQLiteValue] = []) throws(PostgresError) { _ = try rows(sql, parameters) }

    /// Carries out a statement of SQLite that changes its own schema.
    func execute(_ sql: String) throws(PostgresError) {
        do {
            try connection.execute(sql)
        } catch {
            throw ErrorMapping.postgresError(for: error, catalogue: self)
        }
    }

    func integer(_ sql: String, _ parameters: [SQLiteValue] = []) throws(PostgresError) -> Int64? {
        guard case .integer(let number)? = try rows(sql, parameters).first?.first else { return nil }
        return number
    }

    func text(_ sql: String, _ parameters: [SQLiteValue] = []) throws(PostgresError) -> String? {
        guard case .text(let text)? = try rows(sql, parameters).first?.first else { return nil }
        return text
    }
}
