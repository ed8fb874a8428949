import KernelSQLite
import KernelWire

extension Translation {
    /// Any expression, in a scope.
    func expression(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> Expression {
        let before = scope.ungrouped.count
        var result = try translate(node, scope)
        if result.location == nil { result.location = node.location }
        if scope.ungrouped.count > before, result.column == nil {
            scope.grouped.append((result.sql, before..<scope.ungrouped.count))
        }
        return result
    }

    private func translate(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> Expression {
        switch node.kind {
        case "A_Const": return constant(node)
        case "ColumnRef": return try column(node, scope)
        case "ParamRef": return try parameter(node)
        case "A_Expr": return try operation(node, scope)
        case "BoolExpr": return try logic(node, scope)
        case "TypeCast": return try typeCast(node, scope)
        case "FuncCall": return try call(node, scope)
        case "NullTest": return try nullTest(node, scope)
        case "BooleanTest": return try booleanTest(node, scope)
        case "CaseExpr": return try caseExpression(node, scope)
        case "CoalesceExpr": return try coalesce(node, scope)
        case "MinMaxExpr": return try greatest(node, scope)
        case "SubLink": return try sublink(node, scope)
        case "RowExpr": return row(try expressions(node.list("args"), scope))
        case "A_ArrayExpr": return try array(node, scope)
        case "A_Indirection": return try indirection(node, scope)
        case "CollateClause": return try collation(node, scope)
        case "SQLValueFunction": return try valueFunction(node)
        case "SetToDefault": throw fail(.syntaxError, "DEFAULT is not allowed in this context", at: node.location)
        case "GroupingFunc": throw unsupported("GROUPING", at: node.location)
        case "XmlExpr", "XmlSerialize": throw unsupported("XML", at: node.location)
        default: throw unsupported("\(node.kind)", at: node.location)
        }
    }

    func expressions(_ nodes: [SyntaxNode], _ scope: Scope) throws(PostgresError) -> [Expression] {
        var result: [Expression] = []
        for node in nodes { result.append(try expression(node, scope)) }
        return result
    }

    // MARK: Literals

    private func constant(_ node: SyntaxNode) -> Expression {
        var result: Expression
        if node.flag("isnull") {
            result = Expression("NULL", .unknown)
            result.open = .null
        } else if let value = node["ival"] {
            result = Expression(constants.sql(.integer(Int64(value.integer("ival")))), .int4)
        } else if let value = node["fval"] {
            result = number(value.text("fval"))
        } else if let value = node["boolval"] {
            result = Expression(value.flag("boolval") ? "1" : "0", .bool)
        } else if let value = node["sval"] {
            result = Expression(constants.sql(.text(value.text("sval"))), .unknown)
            result.open = .text(value.text("sval"))
        } else {
            result = Expression(constants.sql(.text(node["bsval"]?.text("bsval") ?? "")), .unknown)
            result.open = .text(node["bsval"]?.text("bsval") ?? "")
        }
        result.isNullable = node.flag("isnull")
        return result
    }

    /// A number with a point, an exponent, or too many digits for four bytes.
    private func number(_ text: String) -> Expression {
        if let whole = Int64(text) { return Expression(constants.sql(.integer(whole)), .int8) }
        let shown = (try? PostgresNumeric(parsing: text).description) ?? text
        return Expression(constants.sql(.text(shown)), .numeric)
    }

    private func parameter(_ node: SyntaxNode) throws(PostgresError) -> Expression {
        let number = node.integer("number")
        guard (1...65_535).contains(number) else {
            throw fail(.undefinedParameter, "there is no parameter $\(number)", at: node.location)
        }
        while parameterTypes.count < number { parameterTypes.append(.unspecified) }
        let type = parameterTypes[number - 1]
        var result = Expression("?\(number)", type == .unspecified ? .unknown : type)
        if result.isUnknown { result.open = .parameter(number) }
        return result
    }

    // MARK: AND, OR, NOT, IS

    private func logic(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> Expression {
        let word =
            switch node.text("boolop") {
            case "AND_EXPR": "AND"
            case "OR_EXPR": "OR"
            default: "NOT"
            }
        var arguments = node.list("args")
        if word == "NOT" {
            // NOT NOT is nothing.
            var isNegated = true
            while let inner = arguments.first, inner.kind == "BoolExpr", inner.text("boolop") == "NOT_EXPR" {
                isNegated.toggle()
                arguments = inner.list("args")
            }
            guard let argument = arguments.first else { throw unsupported("NOT of nothing", at: node.location) }
            let value = try boolean(try expression(argument, scope), word).sql
            return Expression(isNegated ? "(NOT \(value))" : "(\(value))", .bool)
        }
        var parts: [String] = []
        for argument in arguments {
            parts.append(try boolean(try expression(argument, scope), word).sql)
        }
        return Expression(Self.balanced(parts[...], " \(word) "), .bool)
    }

    /// Many parts as a tree that is as flat as it can be: SQLite makes one of a thousand levels at most.
    private static func balanced(_ parts: ArraySlice<String>, _ word: String) -> String {
        guard parts.count > 100 else { return "(" + parts.joined(separator: word) + ")" }
        let middle = parts.startIndex + parts.count / 2
        return "(" + balanced(parts[..<middle], word) + word + balanced(parts[middle...], word) + ")"
    }

    private func nullTest(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> Expression {
        guard let argument = node["arg"] else { throw unsupported("IS NULL of nothing") }
        let isNull = node.text("nulltesttype") == "IS_NULL"
        let value = try expression(argument, scope)
        var result: Expression
        if value.fields.isEmpty {
            if case .parameter = value.open { _ = try coerce(value, to: .text, .implicit) }
            result = Expression("(\(value.sql) IS \(isNull ? "" : "NOT ")NULL)", .bool)
        } else {
            // A row is null if all of it is, and not null if nothing of it is.
            let tests = value.fields.map { "\($0.sql) IS \(isNull ? "" : "NOT ")NULL" }
            result = Expression("(" + tests.joined(separator: " AND ") + ")", .bool)
        }
        result.isNullable = false
        return result
    }

    private func booleanTest(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> Expression {
        guard let argument = node["arg"] else { throw unsupported("IS TRUE of nothing") }
        let words =
            switch node.text("booltesttype") {
            case "IS_TRUE": "IS TRUE"
            case "IS_NOT_TRUE": "IS NOT TRUE"
            case "IS_FALSE": "IS FALSE"
            case "IS_NOT_FALSE": "IS NOT FALSE"
            case "IS_UNKNOWN": "IS NULL"
            default: "IS NOT NULL"
            }
        let value = try boolean(try expression(argument, scope), words)
        var result = Expression("(\(value.sql) \(words))", .bool)
        result.isNullable = false
        return result
    }

    // MARK: CASE, COALESCE, GREATEST

    private func caseExpression(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> Expression {
        var conditions: [String] = []
        var results: [Expression] = []
        let subject = try node["arg"].map { argument throws(PostgresError) in try expression(argument, scope) }
        for when in node.list("args") {
            guard let test = when["expr"], let value = when["result"] else { continue }
            if let subject {
                conditions.append(try comparison("=", subject, try expression(test, scope), at: when.location).sql)
            } else {
                conditions.append(try condition(test, scope, "CASE/WHEN"))
            }
            results.append(try expression(value, scope))
        }
        if let other = node["defresult"] {
            results.append(try expression(other, scope))
        } else {
            var null = Expression("NULL", .unknown)
            null.open = .null
            results.append(null)
        }
        var type = try commonType(results, "CASE")
        if type.oid == .unknown { type = .text }
        var sql = "CASE"
        for (condition, value) in zip(conditions, results) {
            sql += " WHEN \(condition) THEN \(try coerce(value, to: type, .implicit).sql)"
        }
        let last = try coerce(results[results.count - 1], to: type, .implicit)
        var result = Expression(sql + " ELSE \(last.sql) END", type)
        result.sql = "(\(result.sql))"
        result.name = last.isNameWeak ? "case" : last.name
        return result
    }

    private func coalesce(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> Expression {
        let values = try expressions(node.list("args"), scope)
        var type = try commonType(values, "COALESCE")
        if type.oid == .unknown { type = .text }
        var parts: [String] = []
        for value in values { parts.append(try coerce(value, to: type, .implicit).sql) }
        var result = Expression(
            parts.count == 1 ? parts[0] : "coalesce(\(parts.joined(separator: ", ")))", type)
        result.isNullable = values.allSatisfy(\.isNullable)
        result.name = "coalesce"
        result.isNameWeak = false
        return result
    }

    private func greatest(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> Expression {
        let isGreatest = node.text("op") != "IS_LEAST"
        let values = try expressions(node.list("args"), scope)
        var type = try commonType(values, isGreatest ? "GREATEST" : "LEAST")
        if type.oid == .unknown { type = .text }
        var parts: [String] = []
        for value in values { parts.append(try coerce(value, to: type, .implicit).sql) }
        var result = Expression(
            "pg_\(isGreatest ? "greatest" : "least")(\(type.oid.rawValue), \(parts.joined(separator: ", ")))", type)
        result.name = isGreatest ? "greatest" : "least"
        result.isNameWeak = false
        return result
    }

    // MARK: Arrays and parts of values

    private func array(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> Expression {
        let values = try expressions(node.list("elements"), scope)
        guard !values.isEmpty else {
            var empty = Expression(constants.sql(.text("{}")), .unknown)
            empty.open = .text("{}")
            empty.name = "array"
            empty.isNameWeak = false
            return empty
        }
        var type = try commonType(values, "ARRAY")
        if type.oid == .unknown { type = .text }
        guard let arrayType = type.oid.array else {
            if type.oid.element != nil { throw unsupported("an array of arrays", at: node.location) }
            throw fail(
                .undefinedObject, "could not find array type for data type \(type.oid.typeName)", at: node.location)
        }
        var parts: [String] = []
        for value in values { parts.append(try coerce(value, to: type, .implicit).sql) }
        var result = Expression(
            "pg_array(\(type.oid.rawValue), \(parts.joined(separator: ", ")))", arrayType)
        result.isNullable = false
        result.name = "array"
        result.isNameWeak = false
        return result
    }

    private func indirection(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> Expression {
        guard let argument = node["arg"] else { throw unsupported("a part of nothing") }
        var value = try expression(argument, scope)
        for step in node.list("indirection") {
            guard step.kind == "A_Indices", !step.flag("is_slice"), let index = step["uidx"] else {
                if step.kind == "String" { throw unsupported("a field of a composite value", at: node.location) }
                throw unsupported("a slice of an array", at: node.location)
            }
            let place = try expression(index, scope)
            if value.oid == .jsonb {
                value = try operate("->", value, place, at: node.location)
                continue
            }
            let isVector = value.oid == .int2vector || value.oid == .oidvector
            guard let element = isVector ? (value.oid == .int2vector ? .int2 : .oid) : value.oid.element else {
                throw fail(
                    .datatypeMismatch,
                    "cannot subscript type \(value.oid.typeName) because it does not support subscripting",
                    at: node.location)
            }
            let (name, isNameWeak) = (value.name, value.isNameWeak)
            let number = try coerce(place, to: .int4, .assignment).sql
            value = Expression("pg_element(\(value.sql), \(number), \(element.rawValue), \(isVector ? 0 : 1))", element)
            value.name = name
            value.isNameWeak = isNameWeak
        }
        return value
    }

    private func collation(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> Expression {
        guard let argument = node["arg"] else { throw unsupported("COLLATE of nothing") }
        let names = node.words("collname")
        guard let name = names.last,
            ["default", "c", "posix", "ucs_basic", "c.utf8", "c.utf-8", "en_us.utf8"].contains(name.lowercased())
        else {
            throw fail(
                .undefinedObject, "collation \"\(names.joined(separator: "."))\" for encoding \"UTF8\" does not exist",
                at: node.location)
        }
        let value = try expression(argument, scope)
        guard value.isUnknown || value.oid.isString else {
            throw fail(
                .datatypeMismatch, "collations are not supported by type \(value.oid.typeName)", at: node.location)
        }
        return value.isUnknown ? try coerce(value, to: .text, .implicit) : value
    }

    // MARK: Names that are values

    private func valueFunction(_ node: SyntaxNode) throws(PostgresError) -> Expression {
        var result: Expression
        switch node.text("op") {
        case "SVFOP_CURRENT_DATE": result = named("current_date", "pg_current_date()", .date)
        case "SVFOP_CURRENT_TIMESTAMP", "SVFOP_CURRENT_TIMESTAMP_N":
            result = named("current_timestamp", "pg_now()", .timestamptz)
        case "SVFOP_LOCALTIMESTAMP", "SVFOP_LOCALTIMESTAMP_N":
            result = named("localtimestamp", "pg_localtimestamp()", .timestamp)
        case "SVFOP_LOCALTIME", "SVFOP_LOCALTIME_N": result = named("localtime", "pg_localtime()", .time)
        case "SVFOP_CURRENT_USER": result = named("current_user", "pg_current_user()", .name)
        case "SVFOP_CURRENT_ROLE": result = named("current_role", "pg_current_user()", .name)
        case "SVFOP_USER": result = named("user", "pg_current_user()", .name)
        case "SVFOP_SESSION_USER": result = named("session_user", "pg_session_user()", .name)
        case "SVFOP_CURRENT_CATALOG": result = named("current_catalog", "pg_current_database()", .name)
        case "SVFOP_CURRENT_SCHEMA": result = named("current_schema", "pg_current_schema()", .name)
        default: throw unsupported("CURRENT_TIME", at: node.location)
        }
        let digits = node.integer("typmod")
        if node.text("op").hasSuffix("_N"), digits >= 0, digits < 6 {
            result.sql = "pg_round_time(\(result.sql), \(digits))"
        }
        return result
    }

    private func named(_ name: String, _ sql: String, _ type: PostgresOID) -> Expression {
        var result = Expression(sql, type)
        result.name = name
        result.isNameWeak = false
        result.isNullable = false
        return result
    }
}
