import KernelWire

/// Expressions of definitions as SQL again, laid out as PostgreSQL's `\d` shows them: the catalogue keeps texts.
struct Deparser {
    /// What a literal without a type is taken for: the column's type in a default.
    var literalType: PostgresOID?

    func text(_ node: SyntaxNode) -> String { text(node, isInner: false) }

    private func text(_ node: SyntaxNode, isInner: Bool) -> String {
        switch node.kind {
        case "A_Const": return constant(node, literalType)
        case "ColumnRef":
            return node.list("fields").map { $0.kind == "A_Star" ? "*" : ObjectNames.quoted($0.string) }.joined(
                separator: ".")
        case "TypeCast": return cast(node)
        case "FuncCall": return call(node)
        case "A_Expr": return wrapped(operation(node), isInner)
        case "BoolExpr": return wrapped(logic(node), isInner)
        case "NullTest":
            let word = node.text("nulltesttype") == "IS_NULL" ? "IS NULL" : "IS NOT NULL"
            return wrapped("\(part(node, "arg")) \(word)", isInner)
        case "BooleanTest":
            let word = node.text("booltesttype").replacing("_", with: " ")
            return wrapped("\(part(node, "arg")) \(word)", isInner)
        case "CoalesceExpr": return "COALESCE(\(list(node.list("args"))))"
        case "MinMaxExpr":
            return "\(node.text("op") == "IS_LEAST" ? "LEAST" : "GREATEST")(\(list(node.list("args"))))"
        case "CaseExpr": return caseExpression(node)
        case "A_ArrayExpr": return "ARRAY[\(list(node.list("elements")))]"
        case "RowExpr": return "ROW(\(list(node.list("args"))))"
        case "CollateClause":
            return
                "\(part(node, "arg")) COLLATE \(node.words("collname").map { ObjectNames.quoted($0) }.joined(separator: "."))"
        case "SQLValueFunction": return valueFunction(node)
        case "List": return "(" + list(node.list("items")) + ")"
        default: return "NULL"
        }
    }

    private func wrapped(_ text: String, _ isInner: Bool) -> String { isInner ? "(\(text))" : text }
    private func part(_ node: SyntaxNode, _ field: String) -> String {
        node[field].map { text($0, isInner: true) } ?? ""
    }
    private func list(_ nodes: [SyntaxNode]) -> String { nodes.map { text($0) }.joined(separator: ", ") }

    private func constant(_ node: SyntaxNode, _ type: PostgresOID?) -> String {
        if node.flag("isnull") { return "NULL" + (type.map { "::" + $0.typeName } ?? "") }
        if let value = node["ival"] { return String(value.integer("ival")) }
        if let value = node["fval"] { return value.text("fval") }
        if let value = node["boolval"] { return value.flag("boolval") ? "true" : "false" }
        let text = node["sval"]?.text("sval") ?? ""
        let quoted =
            text.contains("\\")
            ? "E" + ConstantPool.quoted(text.replacing("\\", with: "\\\\")) : ConstantPool.quoted(text)
        return quoted + "::" + (type ?? .text).typeName
    }

    private func cast(_ node: SyntaxNode) -> String {
        guard let argument = node["arg"], let typeName = node["typeName"], let type = try? TypeNames.type(typeName)
        else {
            return "NULL"
        }
        if argument.kind == "A_Const", argument.has("sval") {
            return Deparser(literalType: .text).constant(argument, .text).replacing("::text", with: "") + "::"
                + type.name
        }
        return "\(Deparser(literalType: nil).text(argument, isInner: true))::\(type.name)"
    }

    private func call(_ node: SyntaxNode) -> String {
        let name = node.words("funcname").last ?? ""
        var arguments = node.list("args").map { Deparser(literalType: .text).text($0) }
        // The name of a sequence is one already.
        if ["nextval", "currval", "setval"].contains(name), let first = arguments.first, first.hasSuffix("::text") {
            arguments[0] = first.dropLast(6) + "::regclass"
        }
        if name == "extract", arguments.count == 2 {
            return "EXTRACT(\(arguments[0].split(separator: "'").first ?? "") FROM \(arguments[1]))"
        }
        return "\(ObjectNames.quoted(name))(\(node.flag("agg_star") ? "*" : arguments.joined(separator: ", ")))"
    }

    private func operation(_ node: SyntaxNode) -> String {
        let plain = Deparser(literalType: nil)
        let name = node.words("name").last ?? ""
        let left = node["lexpr"].map { plain.text($0, isInner: true) } ?? ""
        let right = node["rexpr"]
        switch node.text("kind") {
        case "AEXPR_IN":
            let values = right?.list("items").map { plain.text($0) }.joined(separator: ", ") ?? ""
            return "\(left) \(name == "<>" ? "<> ALL" : "= ANY") (ARRAY[\(values)])"
        case "AEXPR_BETWEEN", "AEXPR_NOT_BETWEEN":
            let bounds = right?.list("items").map { plain.text($0, isInner: true) } ?? []
            guard bounds.count == 2 else { return left }
            return node.text("kind") == "AEXPR_BETWEEN"
                ? "\(left) >= \(bounds[0]) AND \(left) <= \(bounds[1])"
                : "\(left) < \(bounds[0]) OR \(left) > \(bounds[1])"
        case "AEXPR_DISTINCT": return "\(left) IS DISTINCT FROM \(right.map { plain.text($0, isInner: true) } ?? "")"
        case "AEXPR_NOT_DISTINCT":
            return "\(left) IS NOT DISTINCT FROM \(right.map { plain.text($0, isInner: true) } ?? "")"
        case "AEXPR_NULLIF": return "NULLIF(\(left), \(right.map { plain.text($0) } ?? ""))"
        case "AEXPR_OP_ANY": return "\(left) \(name) ANY (\(right.map { plain.text($0) } ?? ""))"
        case "AEXPR_OP_ALL": return "\(left) \(name) ALL (\(right.map { plain.text($0) } ?? ""))"
        default:
            let operand = right.map { plain.text($0, isInner: true) } ?? ""
            return left.isEmpty ? "\(name) \(operand)" : "\(left) \(name) \(operand)"
        }
    }

    private func logic(_ node: SyntaxNode) -> String {
        let parts = node.list("args").map { text($0, isInner: true) }
        switch node.text("boolop") {
        case "AND_EXPR": return parts.joined(separator: " AND ")
        case "OR_EXPR": return parts.joined(separator: " OR ")
        default: return "NOT " + (parts.first ?? "")
        }
    }

    private func caseExpression(_ node: SyntaxNode) -> String {
        var text = "CASE" + (node["arg"].map { " " + self.text($0) } ?? "")
        for when in node.list("args") {
            text +=
                " WHEN \(when["expr"].map { self.text($0) } ?? "") THEN \(when["result"].map { self.text($0) } ?? "")"
        }
        return text + (node["defresult"].map { " ELSE " + self.text($0) } ?? "") + " END"
    }

    private func valueFunction(_ node: SyntaxNode) -> String {
        let name = node.text("op").dropFirst(6)
        return String(name.hasSuffix("_N") ? name.dropLast(2) : name)
    }
}
