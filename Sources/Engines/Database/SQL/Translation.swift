import KernelSQLite
import KernelWire

/// The work of translating one statement: what has been found out about its parameters, literals and names so far.
///
/// Each part is in a file of its own: names (`Translation+Names`), FROM, queries, expressions, operators, casts,
/// functions, and the statements that change something.
final class Translation {
    let catalogue: Catalogue
    let context: SessionContext
    var source: SourceText
    /// Of `$1`, `$2` …; unspecified while unknown.
    var parameterTypes: [PostgresOID]
    var constants = ConstantPool()
    var readsOnly = true
    /// What the locking clauses say about waiting.
    var lockWait: LockWait?
    /// Whether the plan holds longer than this moment: literals such as 'now' do not.
    var isReusable = true
    /// What was named, for whoever keeps a definition.
    var dependencies: [UInt32] = []
    /// Views within views, and queries within queries.
    var depth = 0
    private var aliasCount = 0
    /// What aliases stand for, in the words of EXPLAIN: `t`, or `t x` where the statement calls it x.
    var tableNames: [String: String] = [:]
    /// The schemas to look through for names.
    var searchPath: [String]
    /// Stands for the row in a trigger, an index or a check: `NEW`.
    var allowsSubqueries = true

    init(source: SourceText, catalogue: Catalogue, context: SessionContext, parameterTypes: [PostgresOID] = []) {
        self.source = source
        self.catalogue = catalogue
        self.context = context
        self.parameterTypes = parameterTypes
        searchPath = context.searchPath
    }

    /// A name in SQLite that nothing else of the statement has.
    func freshAlias(_ letter: String) -> String {
        aliasCount += 1
        return letter + String(aliasCount)
    }

    // MARK: Errors

    func fail(_ state: SQLState, _ message: String, at location: Int? = nil, hint: String? = nil, detail: String? = nil)
        -> PostgresError
    {
        PostgresError(state, message, detail: detail, hint: hint, position: source.position(location))
    }

    func unsupported(_ what: String, at location: Int? = nil) -> PostgresError {
        fail(.featureNotSupported, "\(what) is not supported", at: location)
    }

    /// Adds the place to an error that has none.
    func placed<T>(at location: Int?, _ body: () throws(PostgresError) -> T) throws(PostgresError) -> T {
        do throws(PostgresError) {
            return try body()
        } catch {
            guard error.position == nil else { throw error }
            var error = error
            error.position = source.position(location)
            throw error
        }
    }

    // MARK: The end

    func finish(_ plan: inout Plan) throws(PostgresError) {
        for (index, type) in parameterTypes.enumerated() where type == .unspecified || type == .unknown {
            if type == .unknown {
                parameterTypes[index] = .text
                continue
            }
            throw PostgresError(.indeterminateDatatype, "could not determine data type of parameter $\(index + 1)")
        }
        plan.parameterTypes = parameterTypes
        plan.tableNames = tableNames
        (plan.sql, plan.constants) = constants.resolved(plan.sql, parameterCount: parameterTypes.count)
        plan.readsOnly = plan.readsOnly && readsOnly
        plan.lockWait = plan.lockWait ?? lockWait
        plan.isReusable = plan.isReusable && isReusable
    }
}
