import KernelWire

extension Translation {
    func arithmetic(
        _ name: String, _ left: Expression, _ right: Expression, at location: Int?
    ) throws(PostgresError) -> Expression {
        var (a, b) = (left, right)
        if a.isUnknown, b.isUnknown {
            throw fail(
                .ambiguousFunction, "operator is not unique: unknown \(name) unknown", at: location,
                hint: "Could not choose a best candidate operator. You might need to add explicit type casts.")
        }
        guard a.isUnknown || a.oid.isNumber, b.isUnknown || b.oid.isNumber else {
            throw noOperator(name, left, right, at: location)
        }
        if a.isUnknown { a = try coerce(a, to: DataType(b.oid), .implicit) }
        if b.isUnknown { b = try coerce(b, to: DataType(a.oid), .implicit) }
        var type = rank(a.oid) > rank(b.oid) ? a.oid : b.oid
        if a.oid != b.oid, type.isFloat { type = .float8 }
        if name == "^", type != .numeric { type = .float8 }
        if name == "%", type.isFloat { throw noOperator(name, left, right, at: location) }
        let first = try coerce(a, to: DataType(type), .implicit).sql
        let second = try coerce(b, to: DataType(type), .implicit).sql
        let verb =
            switch name {
            case "+": "add"
            case "-": "subtract"
            case "*": "multiply"
            case "/": "divide"
            case "%": "modulo"
            default: "power"
            }
        var result: Expression
        if name == "+", type.isInteger {
            let words = ["pg_int_add(", ", ", ", \(type.byteCount))"]
            result = Expression.chained(first, of: a.chain, second, words, DataType(type))
        } else if type == .numeric {
            result = Expression("pg_numeric_\(verb)(\(first), \(second))", .numeric)
        } else if type.isFloat {
            result = Expression("pg_float_\(verb)(\(first), \(second), \(type.byteCount))", type)
        } else {
            result = Expression("pg_int_\(verb)(\(first), \(second), \(type.byteCount))", type)
        }
        result.location = location
        result.isNullable = a.isNullable || b.isNullable
        return result
    }

    // MARK: Dates and times

    private static let times: Set<PostgresOID> = [.date, .time, .timestamp, .timestamptz, .interval]

    /// Nil if none of both is a time.
    func timeArithmetic(
        _ name: String, _ left: Expression, _ right: Expression, at location: Int?
    ) throws(PostgresError) -> Expression? {
        guard Self.times.contains(left.oid) || Self.times.contains(right.oid) else { return nil }
        var (a, b) = (left, right)
        if name == "+", a.isUnknown && b.oid == .date || a.oid == .date && b.isUnknown {
            throw fail(
                .ambiguousFunction, "operator is not unique: \(a.oid.typeName) + \(b.oid.typeName)", at: location,
                hint: "Could not choose a best candidate operator. You might need to add explicit type casts.")
        }
        if a.isUnknown { a = try coerce(a, to: DataType(otherOperand(name, b.oid)), .implicit) }
        if b.isUnknown { b = try coerce(b, to: DataType(otherOperand(name, a.oid)), .implicit) }
        // The day, or moment, first.
        if name == "+", b.oid != .interval, a.oid == .interval || a.oid.isInteger || a.oid == .time && b.oid == .date {
            swap(&a, &b)
        }
        var result = try timeOperation(name, a, b)
        if result == nil, name == "*", b.oid == .interval { result = try timeOperation(name, b, a) }
        guard var found = result else { throw noOperator(name, left, right, at: location) }
        found.location = location
        return found
    }

    /// What a literal beside a time is taken for.
    private func otherOperand(_ name: String, _ type: PostgresOID) -> PostgresOID {
        switch (name, type) {
        case ("-", _), ("+", .interval): type
        case ("*", _), ("/", _): .float8
        case ("+", .date): .interval
        default: .interval
        }
    }

    private func timeOperation(_ name: String, _ a: Expression, _ b: Expression) throws(PostgresError) -> Expression? {
        func result(_ function: String, _ type: PostgresOID) -> Expression {
            Expression("\(function)(\(a.sql), \(b.sql))", type)
        }
        switch (a.oid, name, b.oid) {
        case (.date, "+", .int2), (.date, "+", .int4), (.date, "+", .int8): return result("pg_date_add", .date)
        case (.date, "-", .int2), (.date, "-", .int4), (.date, "-", .int8): return result("pg_date_subtract", .date)
        case (.date, "-", .date): return result("pg_date_difference", .int4)
        case (.date, "+", .time):
            return Expression("(\(try coerce(a, to: DataType(.timestamp), .implicit).sql) + \(b.sql))", .timestamp)
        case (.date, "+", .interval), (.date, "-", .interval):
            return try timeOperation(name, try coerce(a, to: DataType(.timestamp), .implicit), b)
        case (.timestamp, "+", .interval), (.timestamp, "-", .interval):
            return result(name == "+" ? "pg_timestamp_add" : "pg_timestamp_subtract", .timestamp)
        case (.timestamptz, "+", .interval), (.timestamptz, "-", .interval):
            return result(name == "+" ? "pg_timestamptz_add" : "pg_timestamptz_subtract", .timestamptz)
        case (.timestamp, "-", .timestamp), (.timestamptz, "-", .timestamptz):
            return result("pg_timestamp_difference", .interval)
        case (.date, "-", .timestamp), (.timestamp, "-", .date), (.date, "-", .timestamptz), (.timestamptz, "-", .date),
            (.timestamp, "-", .timestamptz), (.timestamptz, "-", .timestamp):
            let type = DataType(a.oid == .timestamptz || b.oid == .timestamptz ? .timestamptz : .timestamp)
            return try timeOperation(name, try coerce(a, to: type, .implicit), try coerce(b, to: type, .implicit))
        case (.time, "+", .interval), (.time, "-", .interval):
            return result(name == "+" ? "pg_time_add" : "pg_time_subtract", .time)
        case (.time, "-", .time): return result("pg_time_difference", .interval)
        case (.interval, "+", .interval), (.interval, "-", .interval):
            return result(name == "+" ? "pg_interval_add" : "pg_interval_subtract", .interval)
        case (.interval, "*", let type) where type.isNumber, (.interval, "/", let type) where type.isNumber:
            let factor = try coerce(b, to: DataType(.float8), .implicit).sql
            return Expression("pg_interval_\(name == "*" ? "multiply" : "divide")(\(a.sql), \(factor))", .interval)
        default: return nil
        }
    }

    // MARK: JSON and arrays

    func jsonOperation(_ name: String, _ left: Expression, _ right: Expression) throws(PostgresError) -> Expression? {
        var (a, b) = (left, right)
        if ["@>", "<@", "||"].contains(name) {
            if a.isUnknown, b.oid == .jsonb { a = try coerce(a, to: DataType(.jsonb), .implicit) }
            if b.isUnknown, a.oid == .jsonb { b = try coerce(b, to: DataType(.jsonb), .implicit) }
            guard a.oid == .jsonb, b.oid == .jsonb else { return nil }
            let function = name == "||" ? "pg_jsonb_concat" : "pg_jsonb_contains"
            let (first, second) = name == "<@" ? (b.sql, a.sql) : (a.sql, b.sql)
            return Expression("\(function)(\(first), \(second))", name == "||" ? .jsonb : .bool)
        }
        guard a.oid == .json || a.oid == .jsonb else { return nil }
        let isPath = ["#>", "#>>", "?|", "?&", "#-"].contains(name)
        if b.isUnknown { b = try coerce(b, to: DataType(isPath ? .textArray : .text), .implicit) }
        if b.oid.isString, !isPath { b = try coerce(b, to: .text, .implicit) }
        let isIndex = b.oid.isInteger
        guard isPath ? b.oid == .textArray : isIndex || b.oid == .text else { return nil }
        let type = a.oid
        switch name {
        case "->":
            return Expression("pg_json_\(isIndex ? "element" : "member")(\(a.sql), \(b.sql), \(jsonKind(type)))", type)
        case "->>":
            return Expression("pg_json_\(isIndex ? "element" : "member")_text(\(a.sql), \(b.sql))", .text)
        case "#>": return Expression("pg_json_path(\(a.sql), \(b.sql), \(jsonKind(type)))", type)
        case "#>>": return Expression("pg_json_path_text(\(a.sql), \(b.sql))", .text)
        case "?" where type == .jsonb && !isIndex: return Expression("pg_jsonb_exists(\(a.sql), \(b.sql))", .bool)
        case "?|" where type == .jsonb: return Expression("pg_jsonb_exists_any(\(a.sql), \(b.sql))", .bool)
        case "?&" where type == .jsonb: return Expression("pg_jsonb_exists_all(\(a.sql), \(b.sql))", .bool)
        case "-" where type == .jsonb: return Expression("pg_jsonb_delete(\(a.sql), \(b.sql))", .jsonb)
        case "#-" where type == .jsonb: return Expression("pg_jsonb_delete_path(\(a.sql), \(b.sql))", .jsonb)
        default: return nil
        }
    }

    private func jsonKind(_ type: PostgresOID) -> Int { type == .jsonb ? 1 : 0 }

    func arrayOperation(_ name: String, _ left: Expression, _ right: Expression) throws(PostgresError) -> Expression? {
        var (a, b) = (left, right)
        guard a.oid.element != nil || b.oid.element != nil else { return nil }
        if a.isUnknown { a = try coerce(a, to: DataType(b.oid), .implicit) }
        if b.isUnknown { b = try coerce(b, to: DataType(a.oid), .implicit) }
        if name == "||", a.oid.element == nil || b.oid.element == nil {
            // An element before or behind an array.
            let array = a.oid.element == nil ? b : a
            guard let element = array.oid.element else { return nil }
            let item = try coerce(a.oid.element == nil ? a : b, to: DataType(element), .implicit)
            let list = "pg_array(\(element.rawValue), \(item.sql))"
            let parts = a.oid.element == nil ? [list, b.sql] : [a.sql, list]
            return Expression("pg_array_concat(\(parts.joined(separator: ", ")), \(element.rawValue))", array.oid)
        }
        let type = try comparedType(name, a, b, at: nil)
        guard let element = type.oid.element else { return nil }
        let first = try coerce(a, to: type, .implicit).sql
        let second = try coerce(b, to: type, .implicit).sql
        switch name {
        case "||": return Expression("pg_array_concat(\(first), \(second), \(element.rawValue))", type)
        case "@>": return Expression("pg_array_contains(\(first), \(second), \(element.rawValue))", .bool)
        case "<@": return Expression("pg_array_contains(\(second), \(first), \(element.rawValue))", .bool)
        case "&&": return Expression("pg_array_overlaps(\(first), \(second), \(element.rawValue))", .bool)
        default: return nil
        }
    }
}
