import KernelWire

extension Translation {
    /// A FuncCall: a function, an aggregate, or one over a window.
    func call(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> Expression {
        let words = node.words("funcname")
        let name = words.last ?? ""
        guard words.count == 1 || words[0] == Catalogue.catalogueSchema || words[0] == "public" else {
            if try catalogue.schema(words[0]) == nil {
                throw fail(.invalidSchemaName, "schema \"\(words[0])\" does not exist", at: node.location)
            }
            throw noFunction(words.joined(separator: "."), [], node.location)
        }
        guard let candidates = FunctionTable.all[name] else {
            // `type(value)` is a cast.
            if let type = TypeNames.type(named: name), node.list("args").count == 1 {
                return try coerce(try expression(node.list("args")[0], scope), to: type, .explicit)
            }
            throw noFunction(name, try expressions(node.list("args"), scope), node.location)
        }
        let kind = candidates[0].kind
        if kind == .rows { return try rowFunction(node, name, scope) }
        if kind == .window, !node.has("over") {
            throw fail(.windowingError, "window function \(name) requires an OVER clause", at: node.location)
        }
        if kind == .aggregate { return try aggregate(node, name, scope) }
        if node.flag("agg_star") || node.flag("agg_distinct") || node.has("agg_filter") || node.has("agg_order") {
            throw fail(
                .wrongObjectType, "\(name)(*) specified, but \(name) is not an aggregate function", at: node.location)
        }
        if name == "date", node.list("args").count == 1 {
            let value = try expression(node.list("args")[0], scope)
            if value.isUnknown || value.oid.isString { return try coerce(value, to: DataType(.date), .explicit) }
        }
        let arguments = try expressions(node.list("args"), scope)
        if kind == .window {
            var result = try call(name, arguments, at: node.location)
            result.sql += try over(node, scope)
            return result
        }
        return try call(name, arguments, at: node.location)
    }

    /// A scalar function of this name.
    func call(_ name: String, _ arguments: [Expression], at location: Int?) throws(PostgresError) -> Expression {
        let signature = try choose(name, arguments, at: location)
        if signature.isVolatile, !Self.volatileReaders.contains(name), !name.contains("advisory") { readsOnly = false }
        return try apply(signature, arguments, at: location)
    }

    /// What gives another answer each time and yet changes nothing that is stored. Advisory locks belong to them, too:
    /// who waited for one with the pen in hand would keep all writers from work.
    private static let volatileReaders: Set = [
        "random", "clock_timestamp", "timeofday", "currval", "lastval", "pg_sleep",
    ]

    // MARK: Which one is meant

    func noFunction(_ name: String, _ arguments: [Expression], _ location: Int?) -> PostgresError {
        let types = arguments.map(\.oid.typeName).joined(separator: ", ")
        return fail(
            .undefinedFunction, "function \(name)(\(types)) does not exist", at: location,
            hint: "No function matches the given name and argument types. You might need to add explicit type casts.")
    }

    /// Among all of a name, the one whose arguments have to be converted least (section 10.3).
    private func choose(
        _ name: String, _ arguments: [Expression], at location: Int?
    ) throws(PostgresError) -> FunctionSignature {
        var best: (cost: Int, signature: FunctionSignature)?
        for candidate in FunctionTable.all[name] ?? [] {
            guard let cost = cost(candidate, arguments), cost < best?.cost ?? .max else { continue }
            best = (cost, candidate)
        }
        guard let best else { throw noFunction(name, arguments, location) }
        return best.signature
    }

    private func cost(_ signature: FunctionSignature, _ arguments: [Expression]) -> Int? {
        let count = signature.arguments.count
        guard signature.isVariadic ? arguments.count >= count - 1 : arguments.count == count else { return nil }
        var total = 0
        for (index, argument) in arguments.enumerated() {
            let wanted = signature.arguments[min(index, count - 1)]
            switch wanted {
            case FunctionSignature.any, FunctionSignature.anyElement: total += 20
            case FunctionSignature.anyArray:
                guard argument.isUnknown || argument.oid.listElement != nil else { return nil }
                total += argument.isUnknown ? 30 : 1
            default:
                if argument.isUnknown {
                    total += wanted == .text ? 1 : wanted.isPreferred ? 2 : 3
                } else if argument.oid != wanted {
                    guard castPath(from: argument.oid, to: wanted, .implicit) else { return nil }
                    let distance = argument.oid.isNumber ? max(0, rank(wanted) - rank(argument.oid)) : 0
                    total += wanted.isPreferred ? 10 : 12 + distance
                }
            }
        }
        return total
    }

    /// The call, its arguments converted.
    private func apply(
        _ signature: FunctionSignature, _ arguments: [Expression], at location: Int?
    ) throws(PostgresError) -> Expression {
        var values: [Expression] = []
        var element: PostgresOID?
        if signature.arguments.contains(where: {
            $0 == FunctionSignature.anyElement || $0 == FunctionSignature.anyArray
        }) {
            element = try elementType(signature, arguments, at: location)
        }
        for (index, argument) in arguments.enumerated() {
            let wanted = signature.arguments[min(index, signature.arguments.count - 1)]
            switch wanted {
            case FunctionSignature.any:
                values.append(argument.isUnknown ? try coerce(argument, to: .text, .implicit) : argument)
            case FunctionSignature.anyElement:
                values.append(
                    argument.oid == .record ? argument : try coerce(argument, to: DataType(element ?? .text), .implicit)
                )
            case FunctionSignature.anyArray:
                values.append(try coerce(argument, to: DataType(element?.array ?? .textArray), .implicit))
            default: values.append(try coerce(argument, to: DataType(wanted), .implicit))
            }
        }
        let type: PostgresOID
        switch signature.result {
        case FunctionSignature.anyElement: type = element ?? .text
        case FunctionSignature.anyArray:
            guard let array = (element ?? .text).array else { throw unsupported("an array of arrays", at: location) }
            type = array
        default: type = signature.result
        }
        var result = Expression(expand(signature, values), type, location: location)
        result.name = signature.name
        result.isNameWeak = false
        return result
    }

    private func elementType(
        _ signature: FunctionSignature, _ arguments: [Expression], at location: Int?
    ) throws(PostgresError) -> PostgresOID {
        var found: [Expression] = []
        for (index, argument) in arguments.enumerated() {
            let wanted = signature.arguments[min(index, signature.arguments.count - 1)]
            if wanted == FunctionSignature.anyElement { found.append(argument) }
            if wanted == FunctionSignature.anyArray, let element = argument.oid.listElement {
                found.append(Expression("", element))
            }
        }
        if found.contains(where: { $0.oid == .record }) { return .record }
        let type = try commonType(found, signature.name).oid
        return type == .unknown ? .text : type
    }

    private func expand(_ signature: FunctionSignature, _ values: [Expression]) -> String {
        let plain = values.map(\.sql)
        guard signature.sql.contains("$") else { return signature.call(plain) }
        let typed = values.map { typedArgument($0) }.joined(separator: ", ")
        let ordered = values.map(\.ordered).joined(separator: ", ")
        let text = signature.sql.replacing("$*", with: plain.joined(separator: ", ")).replacing("$o", with: ordered)
        if text.contains("$t") {
            let call = text.replacing("$t", with: typed)
            return values.isEmpty ? call.replacing(", )", with: ")") : call.contains("(") ? call : call
        }
        var result = text
        for (index, value) in plain.enumerated().reversed() { result = result.replacing("$\(index + 1)", with: value) }
        return result
    }

    /// A value and the number of its type; a row as the JSON that it is, so that its columns' names are not lost.
    private func typedArgument(_ value: Expression) -> String {
        guard value.oid == .record, !value.fields.isEmpty else { return "\(value.sql), \(value.oid.rawValue)" }
        let members = value.fields.enumerated().map { index, field in
            let name = field.column == nil && field.name == "?column?" ? "f\(index + 1)" : field.name
            return "\(ConstantPool.quoted(name)), 25, \(field.sql), \(field.isUnknown ? 25 : field.oid.rawValue)"
        }
        return "pg_row_json(0, \(members.joined(separator: ", "))), 114"
    }

    // MARK: Aggregates

    /// Types that can be compared, and have neither `min` nor `max`.
    private static let extremeless: Set<PostgresOID> = [.bool, .bytea, .uuid, .json, .jsonb]

    private func aggregate(_ node: SyntaxNode, _ name: String, _ scope: Scope) throws(PostgresError) -> Expression {
        let isWindow = node.has("over")
        if !isWindow {
            if let clause = scope.aggregateFreeClause {
                throw fail(.groupingError, "aggregate functions are not allowed in \(clause)", at: node.location)
            }
            guard scope.aggregateDepth == 0 else {
                throw fail(.groupingError, "aggregate function calls cannot be nested", at: node.location)
            }
            scope.hasAggregates = true
            scope.aggregateDepth += 1
        }
        defer { if !isWindow { scope.aggregateDepth -= 1 } }
        var result: Expression
        if Self.orderedSets.contains(name) {
            result = try orderedSet(node, name, scope)
        } else if node.flag("agg_star") {
            guard name == "count" else { throw noFunction(name, [], node.location) }
            result = Expression("count(*)", .int8)
            result.name = "count"
            result.isNameWeak = false
        } else {
            let arguments = try expressions(node.list("args"), scope)
            if name == "min" || name == "max", let type = arguments.first?.oid, Self.extremeless.contains(type) {
                throw noFunction(name, arguments, node.location)
            }
            let signature = try choose(name, arguments, at: node.location)
            result = try apply(signature, name == "count" ? arguments.map(countable) : arguments, at: node.location)
            if node.flag("agg_distinct") { result.sql = distinct(result.sql, signature, node) }
            if node.has("agg_order") { result.sql = try ordered(result.sql, node, scope) }
        }
        result.isNullable = name != "count"
        if let filter = node["agg_filter"] { result.sql += " FILTER (WHERE \(try condition(filter, scope, "FILTER")))" }
        if isWindow { result.sql += try over(node, scope) }
        return result
    }

    /// A row is counted whatever is in it.
    private func countable(_ value: Expression) -> Expression { value.oid == .record ? Expression("1", .int4) : value }

    /// SQLite has DISTINCT for one argument only, and compares it with its collation; ours of several do it themselves.
    private func distinct(_ call: String, _ signature: FunctionSignature, _ node: SyntaxNode) -> String {
        guard let open = call.firstIndex(of: "(") else { return call }
        let arguments = call[call.index(after: open)...]
        if call.hasPrefix("pg_"), !signature.sql.contains("$o") { return "\(call[..<open])_distinct(\(arguments)" }
        return "\(call[...open])DISTINCT \(arguments)"
    }

    /// Aggregates of ours that depend on the order of rows take the keys as further arguments.
    private func ordered(_ call: String, _ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> String {
        guard call.hasPrefix("pg_"), call.hasSuffix(")"), let open = call.firstIndex(of: "(") else { return call }
        var keys: [String] = []
        for sort in node.list("agg_order") {
            guard let key = sort["node"] else { continue }
            let value = try expression(key, scope)
            let suffix = try self.suffix(sort, isNullable: true)
            let flags = (suffix.contains("DESC") ? 1 : 0) | (suffix.contains("FIRST") ? 2 : 0)
            keys.append(
                "\(value.isUnknown ? try coerce(value, to: .text, .implicit).sql : value.sql), \(value.oid.rawValue), \(flags)"
            )
        }
        let arguments = call[call.index(after: open)...].dropLast()
        return
            "\(call[..<open])_ordered(\(node.list("agg_order").count), \(keys.joined(separator: ", ")), \(arguments))"
    }

    // MARK: Windows

    private func over(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> String {
        guard let definition = node["over"] else { return "" }
        if let clause = scope.aggregateFreeClause {
            throw fail(.windowingError, "window functions are not allowed in \(clause)", at: node.location)
        }
        return " OVER (\(try window(definition, scope)))"
    }

    private func window(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> String {
        var node = node
        let name = node.has("refname") ? node.text("refname") : node.has("name") ? node.text("name") : ""
        var base: SyntaxNode?
        if !name.isEmpty, let known = scope.windows[name] {
            if node.has("name")
                || !node.has("partitionClause") && !node.has("orderClause") && node.integer("frameOptions") == 1058
            {
                node = known
            } else {
                base = known
            }
        } else if !name.isEmpty {
            throw fail(.undefinedObject, "window \"\(name)\" does not exist", at: node.location)
        }
        var parts: [String] = []
        let partition = (base ?? node).list("partitionClause")
        if !partition.isEmpty {
            var keys: [String] = []
            for key in partition { keys.append(try expression(key, scope).ordered) }
            parts.append("PARTITION BY " + keys.joined(separator: ", "))
        }
        let order = node.has("orderClause") ? node.list("orderClause") : base?.list("orderClause") ?? []
        if !order.isEmpty {
            var keys: [String] = []
            for sort in order {
                guard let key = sort["node"] else { continue }
                let value = try expression(key, scope)
                keys.append(value.ordered + (try suffix(sort, isNullable: value.isNullable)))
            }
            parts.append("ORDER BY " + keys.joined(separator: ", "))
        }
        if let frame = try frame(node, scope) { parts.append(frame) }
        return parts.joined(separator: " ")
    }

    /// `frameOptions` is a set of bits (`FRAMEOPTION_…` in PostgreSQL's parsenodes.h).
    private func frame(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> String? {
        let options = node.integer("frameOptions")
        guard options & 0x1 != 0 else { return nil }
        let unit = options & 0x4 != 0 ? "ROWS" : options & 0x8 != 0 ? "GROUPS" : "RANGE"
        func bound(_ bits: [Int], _ field: String) throws(PostgresError) -> String {
            if options & bits[0] != 0 { return "UNBOUNDED PRECEDING" }
            if options & bits[1] != 0 { return "UNBOUNDED FOLLOWING" }
            if options & bits[2] != 0 { return "CURRENT ROW" }
            guard unit != "RANGE" else { throw unsupported("RANGE with a distance") }
            let offset = try node[field].map { value throws(PostgresError) in try expression(value, scope).sql } ?? "0"
            return offset + (options & bits[3] != 0 ? " PRECEDING" : " FOLLOWING")
        }
        let start = try bound([0x20, 0x80, 0x200, 0x800], "startOffset")
        let end = try bound([0x40, 0x100, 0x400, 0x1000], "endOffset")
        let exclusion =
            options & 0x8000 != 0
            ? " EXCLUDE CURRENT ROW"
            : options & 0x10000 != 0
                ? " EXCLUDE GROUP"
                : options & 0x20000 != 0 ? " EXCLUDE TIES" : ""
        return "\(unit) BETWEEN \(start) AND \(end)\(exclusion)"
    }
}
