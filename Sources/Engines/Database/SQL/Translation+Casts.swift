import KernelSQLite
import KernelWire

/// Who asks for a conversion, and so which ones are allowed (`pg_cast.castcontext`).
enum CastContext: Int, Comparable {
    /// An operator or a function wants another type.
    case implicit
    /// A column is to hold it.
    case assignment
    /// `CAST` or `::`
    case explicit

    static func < (a: CastContext, b: CastContext) -> Bool { a.rawValue < b.rawValue }
}

extension Translation {
    /// A TypeCast node.
    func typeCast(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> Expression {
        guard let argument = node["arg"], let typeName = node["typeName"] else {
            throw unsupported("a cast of nothing")
        }
        let type = try placed(at: typeName.fields["location"].flatMap { SyntaxNode($0).location } ?? node.location) {
            () throws(PostgresError) in
            try TypeNames.type(typeName)
        }
        var value: Expression
        if argument.kind == "A_ArrayExpr", let element = type.oid.element {
            value = try typedArray(argument, element, scope)
        } else {
            value = try expression(argument, scope)
        }
        var result = try coerce(value, to: type, .explicit)
        if value.isNameWeak { result.name = typeName.words("names").last ?? "?column?" }
        result.column = nil
        if value.location == nil { result.location = node.location }
        return result
    }

    /// `ARRAY[…]::type[]`: the elements are of that type.
    private func typedArray(
        _ node: SyntaxNode, _ element: PostgresOID, _ scope: Scope
    ) throws(PostgresError) -> Expression {
        var parts: [String] = []
        for value in try expressions(node.list("elements"), scope) {
            parts.append(try coerce(value, to: DataType(element), .explicit).sql)
        }
        guard let array = element.array else { throw unsupported("an array of \(element.typeName)") }
        var result = Expression("pg_array(\(([String(element.rawValue)] + parts).joined(separator: ", ")))", array)
        result.name = "array"
        return result
    }

    /// The value as one of another type.
    ///
    /// - Throws: 42846 or 42804 if there is no way, 22P02 and its like for a literal that is no such value.
    func coerce(_ value: Expression, to type: DataType, _ kind: CastContext) throws(PostgresError) -> Expression {
        if let open = value.open, value.isUnknown { return try coerce(open, value, to: type, kind) }
        if value.oid == type.oid { return try narrow(value, to: type, kind) }
        if type.oid == .unknown || type.oid == .record && value.oid == .record { return value }
        guard let sql = conversion(value, to: type.oid, kind) else { throw noCast(value, type, kind) }
        var result = value
        result.sql = sql
        result.type = DataType(type.oid)
        result.column = nil
        result.fields = []
        return try narrow(result, to: type, kind)
    }

    private func noCast(_ value: Expression, _ type: DataType, _ kind: CastContext) -> PostgresError {
        if kind == .explicit {
            return fail(
                .cannotCoerce, "cannot cast type \(value.oid.typeName) to \(type.oid.typeName)", at: value.location)
        }
        return fail(
            .datatypeMismatch, "cannot convert \(value.oid.typeName) to \(type.oid.typeName)", at: value.location,
            hint: "You will need to rewrite or cast the expression.")
    }

    /// A literal or a parameter gets its type here.
    private func coerce(
        _ open: Expression.Open, _ value: Expression, to type: DataType, _ kind: CastContext
    ) throws(PostgresError) -> Expression {
        var result = value
        guard type.oid != .unknown else { return value }
        result.type = type
        result.open = nil
        switch open {
        case .null:
            result.open = .null
            result.sql = "NULL"
        case .parameter(let number):
            if parameterTypes[number - 1] == .unspecified { parameterTypes[number - 1] = type.oid }
            result.type = DataType(type.oid)
            return try narrow(result, to: type, kind)
        case .text(let text):
            let isMoment = [.date, .timestamp, .timestamptz, .time].contains(type.oid)
            if isMoment, DateTimeWords.isRelative(text) {
                result.sql = "pg_parse(\(constants.sql(.text(text))), \(type.oid.rawValue))"
                return result
            }
            let stored = try placed(at: value.location) { () throws(PostgresError) in
                try DatumCoding.parse(text, type: type.oid, context, catalogue)
            }
            result.sql = constants.sql(stored)
            if type.oid == .text || type.modifier < 0 { return result }
            result.type = DataType(type.oid)
            return try narrow(result, to: type, kind)
        }
        return result
    }

    /// Applies what narrows a type: a length, a precision.
    private func narrow(_ value: Expression, to type: DataType, _ kind: CastContext) throws(PostgresError) -> Expression
    {
        guard type.modifier >= 0, value.type.modifier != type.modifier || value.column == nil && value.type.modifier < 0
        else { return value }
        var result = value
        result.type = type
        result.column = nil
        let isExplicit = kind == .explicit ? 1 : 0
        switch type.oid {
        case .varchar: result.sql = "pg_varchar(\(value.sql), \(type.modifier - 4), \(isExplicit))"
        case .bpchar: result.sql = "pg_bpchar(\(value.sql), \(type.modifier - 4), \(isExplicit))"
        case .numeric:
            guard let (precision, scale) = DataType.numericDigits(type.modifier) else { return value }
            result.sql = "pg_numeric_fit(\(value.sql), \(precision), \(scale))"
        case .timestamp, .timestamptz, .time:
            guard type.modifier < 6 else { return result }
            result.sql = "pg_round_time(\(value.sql), \(type.modifier))"
        default: break
        }
        return result
    }

    func castPath(from: PostgresOID, to: PostgresOID, _ kind: CastContext) -> Bool {
        from == to || conversion(Expression("x", from), to: to, kind) != nil
    }

    // MARK: The ways between types

    /// Nil if there is none in this context.
    private func conversion(_ value: Expression, to: PostgresOID, _ kind: CastContext) -> String? {
        let from = value.oid
        if from.isNumber, to.isNumber { return numberConversion(value.sql, from, to, kind) }
        if from.isString || from == .char, to.isString || to == .char {
            return stringConversion(value.sql, from, to, kind)
        }
        if let identifier = identifierConversion(value, to, kind) { return identifier }
        if let time = timeConversion(value.sql, from, to, kind) { return time }
        if let array = arrayConversion(value.sql, from, to, kind) { return array }
        switch (from, to) {
        case (.bool, .int4) where kind == .explicit: return value.sql
        case (.int4, .bool) where kind == .explicit: return "(\(value.sql) <> 0)"
        case (.json, .jsonb) where kind >= .assignment: return "pg_jsonb(\(value.sql))"
        case (.jsonb, .json) where kind >= .assignment: return value.sql
        case (.jsonb, .bool) where kind == .explicit, (.jsonb, _) where kind == .explicit && to.isNumber:
            return "pg_jsonb_scalar(\(value.sql), \(to.rawValue))"
        default: break
        }
        // Everything can be written as text, and read from it.
        if to.isString, kind >= .assignment {
            return stringConversion(textOf(value), .text, to, kind)
        }
        if from.isString, kind == .explicit { return "pg_parse(\(value.sql), \(to.rawValue))" }
        return nil
    }

    /// As the type's output function writes it; for bool as a cast does.
    func textOf(_ value: Expression) -> String {
        switch value.oid {
        case .int2, .int4, .int8, .oid: "CAST(\(value.sql) AS TEXT)"
        case .bool: "CASE \(value.sql) WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"
        case .numeric, .json, .jsonb, .uuid, .text, .varchar, .name, .char: value.sql
        case .bpchar: "rtrim(\(value.sql), ' ')"
        case .record: recordText(value).sql
        default:
            value.oid.element != nil && value.oid.element != .bytea
                ? value.sql : "pg_text(\(value.sql), \(value.oid.rawValue))"
        }
    }

    private func numberConversion(_ sql: String, _ from: PostgresOID, _ to: PostgresOID, _ kind: CastContext) -> String?
    {
        guard rank(to) > rank(from) || kind >= .assignment else { return nil }
        switch (from, to) {
        case (_, .numeric):
            return from.isInteger ? "CAST(\(sql) AS TEXT)" : "pg_float_to_numeric(\(sql), \(from.byteCount))"
        case (.numeric, _):
            return to.isFloat
                ? "pg_numeric_to_float(\(sql), \(to.byteCount))" : "pg_numeric_to_int(\(sql), \(to.byteCount))"
        case (.float4, .float8): return sql
        case (.float8, .float4): return "pg_float4(\(sql))"
        case (_, .float4): return "pg_float4(CAST(\(sql) AS REAL))"
        case (_, .float8): return "CAST(\(sql) AS REAL)"
        default:
            if from.isFloat { return "pg_float_to_int(\(sql), \(to.byteCount))" }
            return rank(to) > rank(from) ? sql : "pg_int_fit(\(sql), \(to.byteCount))"
        }
    }

    private func stringConversion(_ sql: String, _ from: PostgresOID, _ to: PostgresOID, _ kind: CastContext) -> String?
    {
        switch (from, to) {
        case (_, .char): return kind >= .assignment ? "substr(\(sql), 1, 1)" : nil
        case (.bpchar, .text), (.bpchar, .varchar), (.bpchar, .name): return "rtrim(\(sql), ' ')"
        case (_, .name): return from == .name ? sql : "pg_name(\(sql))"
        case (.name, .varchar), (.name, .bpchar): return kind >= .assignment ? sql : nil
        case (.char, .varchar), (.char, .bpchar): return kind >= .assignment ? sql : nil
        default: return sql
        }
    }

    private func identifierConversion(_ value: Expression, _ to: PostgresOID, _ kind: CastContext) -> String? {
        let from = value.oid
        if from.isObjectIdentifier, to.isObjectIdentifier { return value.sql }
        if from.isInteger, to.isObjectIdentifier { return "pg_oid(\(value.sql))" }
        if from.isObjectIdentifier, to == .int8 || to == .int4 {
            guard kind >= .assignment else { return nil }
            // The upper half of the numbers is negative in four bytes.
            return to == .int8 ? value.sql : "pg_oid_to_int4(\(value.sql))"
        }
        if from == .text || from == .varchar, to == .regclass { return "pg_parse(\(value.sql), \(to.rawValue))" }
        return nil
    }

    private func timeConversion(_ sql: String, _ from: PostgresOID, _ to: PostgresOID, _ kind: CastContext) -> String? {
        switch (from, to) {
        case (.date, .timestamp): "pg_date_to_timestamp(\(sql))"
        case (.date, .timestamptz): "pg_local_to_moment(pg_date_to_timestamp(\(sql)))"
        case (.timestamp, .timestamptz): "pg_local_to_moment(\(sql))"
        case (.timestamptz, .timestamp) where kind >= .assignment: "pg_moment_to_local(\(sql))"
        case (.timestamp, .date) where kind >= .assignment: "pg_timestamp_to_date(\(sql))"
        case (.timestamptz, .date) where kind >= .assignment: "pg_timestamp_to_date(pg_moment_to_local(\(sql)))"
        case (.timestamp, .time) where kind >= .assignment: "pg_timestamp_to_time(\(sql))"
        case (.timestamptz, .time) where kind >= .assignment: "pg_timestamp_to_time(pg_moment_to_local(\(sql)))"
        case (.time, .interval): "('0:0:' || \(sql))"
        case (.interval, .time) where kind >= .assignment: "pg_interval_to_time(\(sql))"
        default: nil
        }
    }

    private func arrayConversion(_ sql: String, _ from: PostgresOID, _ to: PostgresOID, _ kind: CastContext) -> String?
    {
        if from == .int2vector && to == .int2Array || from == .oidvector && to == .oidArray {
            return "('{' || replace(\(sql), ' ', ',') || '}')"
        }
        guard let a = from.element, let b = to.element, castPath(from: a, to: b, kind) else { return nil }
        let isSameText =
            a.isInteger && b.isInteger && rank(a) < rank(b) || a.isString && b.isString && a != .bpchar && b != .name
        return isSameText ? sql : "pg_array_cast(\(sql), \(a.rawValue), \(b.rawValue))"
    }

    // MARK: One type for several values

    /// What UNION, CASE, COALESCE, VALUES and ARRAY agree upon (section 10.5).
    func commonType(_ values: [Expression], _ clause: String) throws(PostgresError) -> DataType {
        let known = values.filter { !$0.isUnknown }
        guard var type = known.first?.type else { return .unknown }
        for value in known.dropFirst() where value.oid != type.oid {
            guard value.oid.category == type.oid.category else {
                throw fail(
                    .datatypeMismatch,
                    "\(clause) types \(type.oid.typeName) and \(value.oid.typeName) cannot be matched",
                    at: value.location)
            }
            if type.oid.isPreferred { continue }
            if castPath(from: type.oid, to: value.oid, .implicit),
                !castPath(from: value.oid, to: type.oid, .implicit) || value.oid.isPreferred
            {
                type = value.type
            } else if !castPath(from: value.oid, to: type.oid, .implicit) {
                throw fail(
                    .cannotCoerce,
                    "\(clause) could not convert type \(value.oid.typeName) to \(type.oid.typeName)", at: value.location
                )
            }
        }
        let isSame = known.allSatisfy { $0.type == type } && known.count == values.count
        return isSame ? type : DataType(type.oid)
    }
}
