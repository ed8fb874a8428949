import KernelSQLite
import KernelWire

/// From PostgreSQL's SQL to SQLite's.
///
/// ## The problem
///
/// Programs speak PostgreSQL's SQL; SQLite carries statements out. The two look alike, and differ where it hurts:
/// SQLite has no types to speak of, takes `'abc'` for the number 0, sorts NULL first, and lets integers overflow into
/// floating point. A text cannot be patched into another language: it must be understood and said again.
///
/// ## An everyday picture
///
/// An interpreter at a meeting. He does not replace word by word. He listens to a whole sentence, knows who is who in
/// the room (the catalogue), and says what was meant, with a footnote where the other language has no word for it (a
/// function of ours). What cannot be said he refuses to say, instead of saying something else.
///
/// ## How
///
/// 1. PostgreSQL's own parser makes a tree (`ParsedStatement`), so what is a mistake there is one here.
/// 2. `Translation` walks over it as PostgreSQL's analysis does (chapter 10 of its manual): names are looked up in
///    scopes, each expression gets a type, operators and functions are chosen by the types of their operands, and
///    conversions are put where PostgreSQL would put them.
/// 3. The result is a text for SQLite (`Plan`). Where SQLite's operator means the same, it is used; otherwise a
///    function of ours is called (`DatabaseFunctions`), such as `pg_int_add`, which knows when four bytes are full.
///
/// Literals become parameters, so statements that differ only in them are prepared once. Tables have SQLite names
/// with a number behind them (`StorageName`), which is why renaming changes the catalogue only.
///
/// ## Where it is wrong
///
/// What SQLite cannot do is refused with 0A000: statements that change something within WITH, GROUPING SETS,
/// procedures. Texts are ordered by their bytes, as in the locale C. Time zones are fixed offsets.
public struct Translator {
    /// - Parameter parameterTypes: of `$1`, `$2` …; `.unspecified`, or fewer than there are, where the statement is to
    ///   say.
    public static func translate(
        _ statement: ParsedStatement, catalogue: Catalogue, parameterTypes: [PostgresOID] = [], context: SessionContext
    ) throws(PostgresError) -> Plan {
        let translation = Translation(
            source: statement.source, catalogue: catalogue, context: context, parameterTypes: parameterTypes)
        var plan = try translation.plan(statement.node, statement)
        try translation.finish(&plan)
        return plan
    }
}

extension Translation {
    func plan(_ node: SyntaxNode, _ statement: ParsedStatement) throws(PostgresError) -> Plan {
        switch node.kind {
        case "SelectStmt": return try selectPlan(node)
        case "InsertStmt": return try insert(node)
        case "UpdateStmt": return try update(node)
        case "DeleteStmt": return try delete(node)
        case "TransactionStmt": return try transaction(node)
        case "VariableSetStmt": return try set(node)
        case "VariableShowStmt": return show(node)
        case "ExplainStmt": return try explain(node, statement)
        case "CopyStmt": return try copy(node)
        case "PrepareStmt", "ExecuteStmt", "DeallocateStmt": return try prepared(node, statement)
        case "DeclareCursorStmt", "FetchStmt", "ClosePortalStmt": return try cursor(node)
        case "ListenStmt", "UnlistenStmt", "NotifyStmt": return notification(node)
        default:
            if let plan = try utility(node) { return plan }
            return try definition(node, statement)
        }
    }

    private func selectPlan(_ node: SyntaxNode) throws(PostgresError) -> Plan {
        var plan = Plan(.query, tag: .counted("SELECT"))
        let query = try self.query(node, Scope(parent: nil))
        try resolveUnknown(query)
        plan.sql = query.sql
        plan.columns = query.targets.map(Self.description)
        return plan
    }
}
