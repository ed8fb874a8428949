/// Whether the parts of an expression fit: a rate needs a range, `and` needs vectors.
extension Parser {
    typealias Kind = PromQLExpression.Kind

    func checkedKind(of expression: Expression) throws(PromQLError) -> Kind {
        switch expression.node {
        case .number: return .scalar
        case .string: return .string
        case .selector: return .vector
        case .range: return .matrix
        case .parentheses(let inner): return try checkedKind(of: inner)
        case .subquery(let subquery):
            let kind = try checkedKind(of: subquery.inner)
            guard kind == .vector else {
                throw error(
                    "subquery is only allowed on instant vector, got \(kind.rawValue) instead", at: expression.range)
            }
            return .matrix
        case .unary(_, let operand):
            let kind = try checkedKind(of: operand)
            guard kind == .scalar || kind == .vector else {
                throw error(
                    "unary expression only allowed on expressions of type scalar or instant vector, got "
                        + quotedByGo(kind.documented), at: expression.range)
            }
            return kind
        case .binary(let binary): return try checkedKind(of: binary, at: expression.range)
        case .aggregation(let aggregation):
            try expect(.vector, aggregation.operand, in: "aggregation expression")
            if let wanted = aggregation.operation.parameterKind, let parameter = aggregation.parameter {
                try expect(wanted, parameter, in: "aggregation parameter")
            }
            return .vector
        case .call(let call): return try checkedKind(of: call, at: expression.range)
        }
    }

    private func expect(_ wanted: Kind, _ expression: Expression, in context: String) throws(PromQLError) {
        let kind = try checkedKind(of: expression)
        if kind != wanted {
            throw error(
                "expected type \(wanted.documented) in \(context), got \(kind.documented)", at: expression.range)
        }
    }

    private func checkedKind(of call: Call, at range: Range<Int>) throws(PromQLError) -> Kind {
        let function = call.function
        let wanted = function.argumentKinds.count
        let given = call.arguments.count
        let most = function.optionalArguments < 0 ? Int.max : wanted
        let least = function.optionalArguments < 0 ? wanted - 1 : wanted - function.optionalArguments
        if function.optionalArguments == 0, given != wanted {
            throw error(
                "expected \(wanted) argument(s) in call to \(quotedByGo(function.name)), got \(given)", at: range)
        } else if given < least {
            throw error(
                "expected at least \(least) argument(s) in call to \(quotedByGo(function.name)), got \(given)",
                at: range)
        } else if given > most {
            throw error(
                "expected at most \(most) argument(s) in call to \(quotedByGo(function.name)), got \(given)", at: range)
        }
        for (index, argument) in call.arguments.enumerated() {
            guard let wanted = function.argumentKinds[safe: min(index, function.argumentKinds.count - 1)] else { break }
            try expect(wanted, argument, in: "call to function \(quotedByGo(function.name))")
        }
        return function.kind
    }

    private func checkedKind(of binary: Binary, at range: Range<Int>) throws(PromQLError) -> Kind {
        let left = try checkedKind(of: binary.left)
        let right = try checkedKind(of: binary.right)
        let operation = binary.operation
        if binary.returnsBool, !operation.isComparison {
            throw error("bool modifier can only be used on comparison operators", at: binary.place)
        }
        if operation.isComparison, !binary.returnsBool, left == .scalar, right == .scalar {
            throw error("comparisons between scalars must use BOOL modifier", at: binary.place)
        }
        if binary.matching.isOn {
            for label in binary.matching.labels where binary.matching.included.contains(label) {
                throw error(
                    "label \(quotedByGo(label)) must not occur in ON and GROUP clause at once", at: binary.place)
            }
        }
        for (kind, side) in [(left, binary.left), (right, binary.right)] where kind != .scalar && kind != .vector {
            throw error("binary expression must contain only scalar and instant vector types", at: side.range)
        }
        guard left == .vector, right == .vector else {
            if binary.hasMatching {
                if !binary.matching.labels.isEmpty {
                    throw error("vector matching only allowed between instant vectors", at: range)
                }
            }
            if operation.isSetOperator {
                throw error(
                    "set operator \(quotedByGo(operation.rawValue)) not allowed in binary scalar expression", at: range)
            }
            return left == .scalar && right == .scalar ? .scalar : .vector
        }
        if operation.isSetOperator, binary.matching.cardinality != .manyToMany {
            throw error("no grouping allowed for \(quotedByGo(operation.rawValue)) operation", at: range)
        }
        return .vector
    }
}

extension Array {
    /// The element, or nil where there is none.
    subscript(safe index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}
