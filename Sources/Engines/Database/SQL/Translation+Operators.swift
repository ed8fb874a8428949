import KernelWire

extension Translation {
    /// An A_Expr.
    func operation(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> Expression {
        let name = node.words("name").last ?? ""
        guard let rightNode = node["rexpr"] else {
            throw unsupported("the operator \(name) behind its operand", at: node.location)
        }
        switch node.text("kind") {
        case "AEXPR_OP", "AEXPR_LIKE", "AEXPR_ILIKE", "AEXPR_SIMILAR":
            let left = try node["lexpr"].map { operand throws(PostgresError) in try expression(operand, scope) }
            let right = try expression(rightNode, scope)
            return try operate(
                node.text("kind") == "AEXPR_SIMILAR" ? (name == "~" ? "SIMILAR" : "!SIMILAR") : name, left, right,
                at: node.location)
        case "AEXPR_IN": return try inList(node, name, rightNode, scope)
        case "AEXPR_OP_ANY", "AEXPR_OP_ALL": return try arrayQuantified(node, name, rightNode, scope)
        default: break
        }
        guard let leftNode = node["lexpr"] else { throw unsupported("\(name) without an operand") }
        let left = try expression(leftNode, scope)
        switch node.text("kind") {
        case "AEXPR_DISTINCT", "AEXPR_NOT_DISTINCT":
            let word = node.text("kind") == "AEXPR_DISTINCT" ? "IS NOT" : "IS"
            var result = try comparison(word, left, try expression(rightNode, scope), at: node.location)
            result.isNullable = false
            return result
        case "AEXPR_NULLIF":
            let right = try expression(rightNode, scope)
            let test = try comparison("=", left, right, at: node.location).sql
            let value = left.isUnknown ? try coerce(left, to: .text, .implicit) : left
            var result = Expression("(CASE WHEN \(test) THEN NULL ELSE \(value.sql) END)", value.type)
            result.name = "nullif"
            return result
        default: return try between(node, left, rightNode, scope)
        }
    }

    private func between(
        _ node: SyntaxNode, _ value: Expression, _ bounds: SyntaxNode, _ scope: Scope
    ) throws(PostgresError) -> Expression {
        let kind = node.text("kind")
        let limits = try expressions(bounds.list("items"), scope)
        guard limits.count == 2 else { throw unsupported("BETWEEN without two bounds", at: node.location) }
        func within(_ low: Expression, _ high: Expression) throws(PostgresError) -> String {
            let lower = try comparison(">=", value, low, at: node.location).sql
            let upper = try comparison("<=", value, high, at: node.location).sql
            return "(\(lower) AND \(upper))"
        }
        var sql = try within(limits[0], limits[1])
        if kind.hasSuffix("_SYM") { sql = "(\(sql) OR \(try within(limits[1], limits[0])))" }
        return Expression(kind.hasPrefix("AEXPR_NOT") ? "(NOT \(sql))" : sql, .bool)
    }

    private func inList(
        _ node: SyntaxNode, _ name: String, _ list: SyntaxNode, _ scope: Scope
    ) throws(PostgresError) -> Expression {
        guard let leftNode = node["lexpr"] else { throw unsupported("IN without a value") }
        let left = try expression(leftNode, scope)
        let values = try expressions(list.list("items"), scope)
        let word = name == "<>" ? "NOT IN" : "IN"
        if !left.fields.isEmpty {
            var tests: [String] = []
            for value in values { tests.append(try comparison("=", left, value, at: node.location).sql) }
            let sql = "(" + tests.joined(separator: " OR ") + ")"
            return Expression(word == "IN" ? sql : "(NOT \(sql))", .bool)
        }
        var type = left.type
        for value in values {
            let next = try comparedType("=", Expression(left.sql, type), value, at: node.location)
            if !(type.oid.isNumber && next.oid.isNumber && rank(next.oid) < rank(type.oid)) { type = next }
        }
        if type.oid == .unknown { type = .text }
        var parts: [String] = []
        for value in values { parts.append(try coerce(value, to: DataType(type.oid), .implicit).sql) }
        let value = try coerce(left, to: DataType(type.oid), .implicit)
        return Expression("(\(value.ordered) \(word) (\(parts.joined(separator: ", "))))", .bool)
    }

    /// `x = ANY (array)`
    private func arrayQuantified(
        _ node: SyntaxNode, _ name: String, _ arrayNode: SyntaxNode, _ scope: Scope
    ) throws(PostgresError) -> Expression {
        guard let leftNode = node["lexpr"] else { throw unsupported("ANY without a value") }
        let left = try expression(leftNode, scope)
        let isAll = node.text("kind") == "AEXPR_OP_ALL"
        var array = try expression(arrayNode, scope)
        if array.isUnknown {
            let element =
                left.isUnknown ? PostgresOID.text : left.oid == .varchar || left.oid == .name ? .text : left.oid
            guard let type = element.array else {
                throw unsupported("arrays of \(element.typeName)", at: node.location)
            }
            array = try coerce(array, to: DataType(type), .implicit)
        }
        let isVector = array.oid == .int2vector || array.oid == .oidvector
        guard let element = isVector ? (array.oid == .int2vector ? .int2 : .oid) : array.oid.element else {
            throw fail(
                .wrongObjectType, "op ANY/ALL (array) requires array on right side", at: node.location)
        }
        let alias = freshAlias("e")
        let item = Expression("\(alias).value", element)
        let source = "json_each(pg_array_json(\(array.sql), \(element.rawValue)\(isVector ? ", 1" : ""))) AS \(alias)"
        if name == "=", !isAll {
            let type = try comparedType("=", left, item, at: node.location)
            let value = try coerce(left, to: type, .implicit)
            let other = try coerce(item, to: type, .implicit)
            return Expression("(\(value.ordered) IN (SELECT \(other.sql) FROM \(source)))", .bool)
        }
        return any(try operate(name, left, item, at: node.location).sql, source, isAll: isAll)
    }

    // MARK: Comparisons

    static let comparisons: Set<String> = ["=", "<>", "!=", "<", "<=", ">", ">=", "IS", "IS NOT"]

    func comparison(
        _ name: String, _ left: Expression, _ right: Expression, at location: Int?
    ) throws(PostgresError) -> Expression {
        if !left.fields.isEmpty || !right.fields.isEmpty {
            return try rowComparison(name, left, right, at: location)
        }
        let type = try comparedType(name, left, right, at: location)
        let a = try coerce(left, to: type, .implicit)
        let b = try coerce(right, to: type, .implicit)
        var result = Expression("(\(Expression.ordered(a.sql, type)) \(name) \(b.sql))", .bool, location: location)
        result.isNullable = a.isNullable || b.isNullable
        return result
    }

    private func rowComparison(
        _ name: String, _ left: Expression, _ right: Expression, at location: Int?
    ) throws(PostgresError) -> Expression {
        guard left.fields.count == right.fields.count else {
            throw fail(.syntaxError, "unequal number of entries in row expressions", at: location)
        }
        var a: [String] = []
        var b: [String] = []
        for (first, second) in zip(left.fields, right.fields) {
            let type = try comparedType(name, first, second, at: location)
            a.append(try coerce(first, to: type, .implicit).ordered)
            b.append(try coerce(second, to: type, .implicit).sql)
        }
        return Expression("((\(a.joined(separator: ", "))) \(name) (\(b.joined(separator: ", "))))", .bool)
    }

    /// The type in which two values are compared.
    func comparedType(
        _ name: String, _ left: Expression, _ right: Expression, at location: Int?
    ) throws(PostgresError) -> DataType {
        let (a, b) = (left.oid, right.oid)
        if a == .json || b == .json { throw noOperator(name == "IS" ? "=" : name, left, right, at: location) }
        if left.isUnknown { return right.isUnknown ? .text : DataType(b == .varchar ? .text : b) }
        if right.isUnknown { return DataType(a == .varchar ? .text : a) }
        if a == b { return DataType(a == .varchar ? .text : a) }
        if a.isNumber, b.isNumber {
            let wider = rank(a) > rank(b) ? a : b
            let isMixed = a.isFloat != b.isFloat && (a == .numeric || b == .numeric)
            return DataType(isMixed || wider.isFloat ? .float8 : wider)
        }
        if a.isString || a == .char, b.isString || b == .char { return .text }
        if a.isObjectIdentifier || b.isObjectIdentifier {
            if a.isObjectIdentifier && b.isObjectIdentifier || a.isInteger || b.isInteger { return DataType(.oid) }
        }
        let days: [PostgresOID] = [.date, .timestamp, .timestamptz]
        if let first = days.firstIndex(of: a), let second = days.firstIndex(of: b) {
            return DataType(days[max(first, second)])
        }
        if a.element != nil, b.element != nil, castPath(from: a, to: b, .implicit) { return DataType(b) }
        if a.element != nil, b.element != nil, castPath(from: b, to: a, .implicit) { return DataType(a) }
        throw noOperator(name.hasPrefix("IS") ? "=" : name, left, right, at: location)
    }

    func noOperator(_ name: String, _ left: Expression?, _ right: Expression, at location: Int?) -> PostgresError {
        let shown = (left.map { $0.oid.typeName + " " } ?? "") + name + " " + right.oid.typeName
        return fail(
            .undefinedFunction, "operator does not exist: \(shown)", at: location,
            hint: "No operator matches the given name and argument types. You might need to add explicit type casts.")
    }

    /// Numbers' types by what they can hold.
    func rank(_ type: PostgresOID) -> Int {
        [.int2, .int4, .int8, .numeric, .float4, .float8].firstIndex(of: type) ?? -1
    }

    // MARK: All others

    /// - Parameter left: nil for a sign before its operand.
    func operate(
        _ name: String, _ left: Expression?, _ right: Expression, at location: Int?
    ) throws(PostgresError) -> Expression {
        guard let left else { return try prefix(name, right, at: location) }
        if Self.comparisons.contains(name) {
            return try comparison(name == "!=" ? "<>" : name, left, right, at: location)
        }
        let result: Expression?
        switch name {
        case "+", "-", "*", "/", "%", "^":
            if let time = try timeArithmetic(name, left, right, at: location) { return time }
            if let json = try jsonOperation(name, left, right) { return json }
            return try arithmetic(name, left, right, at: location)
        case "||": result = try concatenation(left, right, at: location)
        case "~~", "!~~", "~~*", "!~~*", "~", "!~", "~*", "!~*", "SIMILAR", "!SIMILAR", "^@":
            result = try match(name, left, right)
        case "&", "|", "#", "<<", ">>": result = try bits(name, left, right)
        case "->", "->>", "#>", "#>>", "@>", "<@", "?", "?|", "?&", "#-", "&&":

            let json = try jsonOperation(name, left, right)
            result = json == nil ? try arrayOperation(name, left, right) : json
        default: result = nil
        }
        guard var found = result else { throw noOperator(name, left, right, at: location) }
        found.location = location
        return found
    }

    private func prefix(_ name: String, _ value: Expression, at location: Int?) throws(PostgresError) -> Expression {
        let operand = value.isUnknown ? try coerce(value, to: DataType(.float8), .implicit) : value
        switch (name, operand.oid) {
        case ("+", let type) where type.isNumber: return operand
        case ("-", .int2), ("-", .int4), ("-", .int8):
            return Expression("pg_int_subtract(0, \(operand.sql), \(operand.oid.byteCount))", operand.oid)
        case ("-", .numeric): return Expression("pg_numeric_negate(\(operand.sql))", .numeric)
        case ("-", .float4), ("-", .float8): return Expression("pg_float_negate(\(operand.sql))", operand.oid)
        case ("-", .interval): return Expression("pg_interval_negate(\(operand.sql))", .interval)
        case ("@", let type) where type.isNumber: return unnamed(try call("abs", [operand], at: location))
        case ("|/", let type) where type.isNumber:
            return unnamed(try call("sqrt", [try coerce(operand, to: DataType(.float8), .explicit)], at: location))
        case ("~", let type) where type.isInteger: return Expression("(~\(operand.sql))", operand.oid)
        default: throw noOperator(name, nil, value, at: location)
        }
    }

    private func unnamed(_ value: Expression) -> Expression {
        var value = value
        (value.name, value.isNameWeak) = ("?column?", true)
        return value
    }

    private func match(_ name: String, _ left: Expression, _ right: Expression) throws(PostgresError) -> Expression? {
        let values = [left, right]
        guard values.allSatisfy({ $0.isUnknown || $0.oid.isString || $0.oid == .char }) else { return nil }
        var parts: [String] = []
        for (index, value) in values.enumerated() {
            // What stands on the left keeps its blanks: `~~` and its kin are there for char(n) as well.
            let keepsBlanks = index == 0 && value.oid == .bpchar && name != "^@"
            parts.append(keepsBlanks ? value.sql : try coerce(value, to: .text, .implicit).sql)
        }
        let arguments = parts.joined(separator: ", ")
        let isNegated = name.hasPrefix("!")
        let function =
            switch isNegated ? String(name.dropFirst()) : name {
            case "~~": "pg_like"
            case "~~*": "pg_ilike"
            case "~": "pg_matches"
            case "~*": "pg_imatches"
            case "^@": "pg_starts_with"
            default: "pg_similar"
            }
        return Expression(isNegated ? "(NOT \(function)(\(arguments)))" : "\(function)(\(arguments))", .bool)
    }

    private func bits(_ name: String, _ left: Expression, _ right: Expression) throws(PostgresError) -> Expression? {
        var (a, b) = (left, right)
        if a.isUnknown { a = try coerce(a, to: DataType(b.isUnknown ? .int4 : b.oid), .implicit) }
        if b.isUnknown { b = try coerce(b, to: DataType(name.count == 2 ? .int4 : a.oid), .implicit) }
        guard a.oid.isInteger, b.oid.isInteger else { return nil }
        if name == "<<" || name == ">>" {
            return Expression(
                "pg_int_shift\(name == "<<" ? "_left" : "_right")(\(a.sql), \(b.sql), \(a.oid.byteCount))", a.oid)
        }
        let type = rank(a.oid) > rank(b.oid) ? a.oid : b.oid
        // SQLite has no exclusive or.
        let sql = name == "#" ? "((\(a.sql) | \(b.sql)) - (\(a.sql) & \(b.sql)))" : "(\(a.sql) \(name) \(b.sql))"
        return Expression(sql, type)
    }

    private func concatenation(
        _ left: Expression, _ right: Expression, at location: Int?
    ) throws(PostgresError) -> Expression? {
        if let array = try arrayOperation("||", left, right) { return array }
        if let json = try jsonOperation("||", left, right) { return json }
        if left.oid == .bytea || right.oid == .bytea {
            let a = try coerce(left, to: DataType(.bytea), .implicit)
            return Expression(
                "pg_bytea_concat(\(a.sql), \(try coerce(right, to: DataType(.bytea), .implicit).sql))", .bytea)
        }
        guard left.isUnknown || right.isUnknown || left.oid.isString || right.oid.isString else { return nil }
        let a = try coerce(left, to: .text, left.oid.isString ? .implicit : .explicit)
        let b = try coerce(right, to: .text, right.oid.isString ? .implicit : .explicit)
        return Expression.chained(a.sql, of: a.chain, b.sql, ["(", " || ", ")"], DataType.text)
    }
}
