import KernelRegularExpressions
import KernelStructures

/// A constraint made ready: its operand is read once, when the definitions come, and not with each evaluation.
///
/// A field that the context does not have meets nothing (but is in no list, either: `NOT_IN` is met). An operand that
/// cannot be read (a version with a `v`, a broken pattern, an operator of tomorrow) is never met, inverted or not:
/// whoever cannot understand a condition must not let people in by it.
struct CompiledConstraint: Sendable {
    let definition: FlagConstraint
    private let field: ContextField
    private let test: Test

    private enum Test: Sendable {
        case never
        case isIn(Set<String>)
        case isNotIn(Set<String>)
        case startsWith([String])
        case endsWith([String])
        case contains([String])
        case number(Comparison, Double)
        case version(Comparison, SemanticVersion)
        case date(Comparison, LabTime)
        case matches(RegularExpression)
        case isInNetwork([AddressBlock])
    }

    enum Comparison: Sendable {
        case equal, greater, greaterOrEqual, less, lessOrEqual

        /// - Parameter order: below, equal to or above 0, as a value is to the operand.
        func holds(_ order: Int) -> Bool {
            switch self {
            case .equal: order == 0
            case .greater: order > 0
            case .greaterOrEqual: order >= 0
            case .less: order < 0
            case .lessOrEqual: order <= 0
            }
        }
    }

    init(_ definition: FlagConstraint) {
        self.definition = definition
        field = ContextField(definition.contextName)
        test = Self.test(definition)
    }

    private static func test(_ definition: FlagConstraint) -> Test {
        let texts = definition.ignoresCase ? definition.values.map { $0.lowercased() } : definition.values
        switch definition.operator {
        case .isIn: return .isIn(Set(definition.values))
        case .isNotIn: return .isNotIn(Set(definition.values))
        case .startsWith: return .startsWith(texts)
        case .endsWith: return .endsWith(texts)
        case .contains: return .contains(texts)
        case .isInNetwork: return .isInNetwork(definition.values.compactMap { AddressBlock(parsing: $0) })
        case .unknown: return .never
        default: return definition.value.flatMap { test(definition, operand: $0) } ?? .never
        }
    }

    private static func test(_ definition: FlagConstraint, operand: String) -> Test? {
        func number(_ comparison: Comparison) -> Test? { FlagNumber.compared(operand).map { .number(comparison, $0) } }
        func version(_ comparison: Comparison) -> Test? {
            SemanticVersion(parsing: operand).map { .version(comparison, $0) }
        }
        func date(_ comparison: Comparison) -> Test? { LabTime(parsing: operand).map { .date(comparison, $0) } }
        switch definition.operator {
        case .numberEqual: return number(.equal)
        case .numberGreater: return number(.greater)
        case .numberGreaterOrEqual: return number(.greaterOrEqual)
        case .numberLess: return number(.less)
        case .numberLessOrEqual: return number(.lessOrEqual)
        case .versionEqual: return version(.equal)
        case .versionGreater: return version(.greater)
        case .versionGreaterOrEqual: return version(.greaterOrEqual)
        case .versionLess: return version(.less)
        case .versionLessOrEqual: return version(.lessOrEqual)
        case .dateAfter: return date(.greater)
        case .dateBefore: return date(.less)
        case .matches:
            let options = RegularExpression.Options(ignoresCase: definition.ignoresCase)
            return (try? RegularExpression(operand, .perl, options)).map { .matches($0) }
        default: return nil
        }
    }

    /// False for one that nobody can ever meet, because its operand cannot be read.
    var isReadable: Bool { if case .never = test { false } else { true } }

    func isMet(_ context: FlagContext, now: LabTime) -> Bool {
        if case .never = test { return false }
        return holds(context, now) != definition.isInverted
    }

    private func holds(_ context: FlagContext, _ now: LabTime) -> Bool {
        if case .date(let comparison, let operand) = test {
            let time =
                field == .currentTime
                ? context.currentTime ?? now : field.value(in: context).flatMap { LabTime(parsing: $0) }
            return time.map { comparison.holds(Self.order($0, operand)) } ?? false
        }
        guard let value = field.value(in: context) else {
            if case .isNotIn = test { return true }
            return false
        }
        return holds(value)
    }

    private func holds(_ value: String) -> Bool {
        switch test {
        case .never, .date: false
        case .isIn(let list): list.contains(value)
        case .isNotIn(let list): !list.contains(value)
        case .startsWith(let starts): any(of: starts, value) { $0.hasPrefix($1) }
        case .endsWith(let ends): any(of: ends, value) { $0.hasSuffix($1) }
        case .contains(let parts): any(of: parts, value) { $1.isEmpty || $0.firstRange(of: $1) != nil }
        case .number(let comparison, let operand):
            // What is no number is neither more nor less nor the same.
            FlagNumber.compared(value).map { number in
                !number.isNaN && !operand.isNaN && comparison.holds(Self.order(number, operand))
            } ?? false
        case .version(let comparison, let operand):
            SemanticVersion(parsing: value).map { comparison.holds($0.compared(to: operand)) } ?? false
        case .matches(let expression):
            value.utf8.withContiguousStorageIfAvailable { expression.matches(UnsafeRawBufferPointer($0)) }
                ?? Array(value.utf8).withUnsafeBytes { expression.matches($0) }
        case .isInNetwork(let blocks):
            IPAddress(parsing: value).map { address in blocks.contains { $0.contains(address) } } ?? false
        }
    }

    private func any(of operands: [String], _ value: String, _ holds: (String, String) -> Bool) -> Bool {
        let value = definition.ignoresCase ? value.lowercased() : value
        return operands.contains { holds(value, $0) }
    }

    private static func order<T: Comparable>(_ a: T, _ b: T) -> Int { a < b ? -1 : a == b ? 0 : 1 }
}

extension FlagConstraint {
    /// For people: `country == "US"`, `age < 18`, `not email ends with ".org"`.
    public var text: String {
        let isIn = `operator` == .isIn && !isInverted || `operator` == .isNotIn && isInverted
        let isNotIn = `operator` == .isNotIn && !isInverted || `operator` == .isIn && isInverted
        let quoted = values.map { "\"\($0)\"" }
        if isIn { return values.count == 1 ? "\(contextName) == \(quoted[0])" : "\(contextName) in \(list(quoted))" }
        if isNotIn {
            return values.count == 1 ? "\(contextName) != \(quoted[0])" : "\(contextName) not in \(list(quoted))"
        }
        let operand = `operator`.takesList ? values.count == 1 ? quoted[0] : list(quoted) : operandText
        if isInverted, [.numberEqual, .versionEqual].contains(`operator`) { return "\(contextName) != \(operand)" }
        let text = "\(contextName) \(word) \(operand)"
        return (isInverted ? "not " : "") + text + (ignoresCase ? " (any case)" : "")
    }

    private func list(_ quoted: [String]) -> String { "[\(quoted.joined(separator: ", "))]" }

    private var operandText: String {
        let value = value ?? ""
        switch `operator` {
        case .numberEqual, .numberGreater, .numberGreaterOrEqual, .numberLess, .numberLessOrEqual: return value
        default: return "\"\(value)\""
        }
    }

    private var word: String {
        switch `operator` {
        case .startsWith: "startsWith"
        case .endsWith: "endsWith"
        case .contains: "contains"
        case .numberEqual, .versionEqual: "=="
        case .numberGreater, .versionGreater: ">"
        case .numberGreaterOrEqual, .versionGreaterOrEqual: ">="
        case .numberLess, .versionLess: "<"
        case .numberLessOrEqual, .versionLessOrEqual: "<="
        case .dateAfter: "after"
        case .dateBefore: "before"
        case .matches: "matches"
        case .isInNetwork: "within"
        case .isIn, .isNotIn, .unknown: `operator`.name
        }
    }
}
