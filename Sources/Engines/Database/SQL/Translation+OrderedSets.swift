import KernelWire

/// Aggregates over values in an order: `percentile_cont(0.5) WITHIN GROUP (ORDER BY x)` (PostgreSQL's manual, table
/// 9.61).
extension Translation {
    static let orderedSets: Set = ["percentile_cont", "percentile_disc", "mode"]

    func orderedSet(_ node: SyntaxNode, _ name: String, _ scope: Scope) throws(PostgresError) -> Expression {
        guard node.flag("agg_within_group") else {
            throw noFunction(name, try expressions(node.list("args"), scope), node.location)
        }
        if node.has("over") {
            throw fail(
                .featureNotSupported, "OVER is not supported for ordered-set aggregate \(name)", at: node.location)
        }
        let sorts = node.list("agg_order")
        var direct = try expressions(node.list("args"), scope)
        guard sorts.count == 1, let key = sorts[0]["node"], direct.count == (name == "mode" ? 0 : 1) else {
            throw noFunction(name, direct, node.location)
        }
        var value = try expression(key, scope)
        if value.isUnknown { value = try coerce(value, to: .text, .implicit) }
        if name == "percentile_cont" {
            guard value.oid.isNumber else { throw noFunction(name, direct + [value], node.location) }
            value = try coerce(value, to: DataType(.float8), .implicit)
        }
        if !direct.isEmpty {
            guard direct[0].isUnknown || direct[0].oid.isNumber else {
                throw unsupported("\(name) with several fractions", at: node.location)
            }
            direct[0] = try coerce(direct[0], to: DataType(.float8), .implicit)
        }
        let isDescending = try suffix(sorts[0], isNullable: true).contains("DESC")
        let fraction = direct.first?.sql ?? "0"
        var result = Expression(
            "pg_\(name)(\(value.sql), \(value.oid.rawValue), \(isDescending ? 1 : 0), \(fraction))", value.type,
            location: node.location)
        result.name = name
        result.isNameWeak = false
        return result
    }
}
