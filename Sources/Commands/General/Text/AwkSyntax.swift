import KernelStructures

/// A program for `awk` as it has been read (POSIX, the description of `awk`).
struct AwkProgram {
    enum Pattern {
        case begin, end
        case always
        case expression(AwkExpression)
        /// From where the first holds up to where the second does; each has a number.
        case range(AwkExpression, AwkExpression, Int)
    }

    struct Rule {
        let pattern: Pattern
        /// nil: the record is printed.
        let body: AwkStatement?
    }

    final class Function {
        let name: String
        var parameterCount = 0
        /// Parameters that are used as arrays.
        var arrays: Set<Int> = []
        var body = AwkStatement.block([])
        var isDefined = false
        init(_ name: String) { self.name = name }
    }

    var rules: [Rule] = []
    var rangeCount = 0
    /// Names of the variables, by their places.
    var globals: [String] = []
    /// Something reads the next record in the midst of a rule.
    var takesRecords = false
    /// `system()` or `COMMAND | getline`: it has to wait in the midst of a rule.
    var runsCommands = false
}

/// Where a variable is: of the whole program, or of the function that runs.
enum AwkReference: Hashable {
    case global(Int)
    case local(Int)
}

indirect enum AwkExpression {
    case number(Double)
    case string(String)
    /// `/…/`, which alone is matched with the record.
    case pattern(String)
    case variable(AwkReference)
    case field(AwkExpression)
    case element(AwkReference, [AwkExpression])
    case assignment(AwkExpression, Character?, AwkExpression)
    /// `x = x …` of a variable: what follows is put behind it, where it stands.
    case appending(AwkReference, AwkExpression)
    case step(AwkExpression, Double, isBefore: Bool)
    case not(AwkExpression)
    case negative(AwkExpression)
    case positive(AwkExpression)
    case arithmetic(Character, AwkExpression, AwkExpression)
    case concatenation(AwkExpression, AwkExpression)
    case comparison(String, AwkExpression, AwkExpression)
    case match(AwkExpression, AwkExpression, isNegated: Bool)
    case and(AwkExpression, AwkExpression)
    case or(AwkExpression, AwkExpression)
    case choice(AwkExpression, AwkExpression, AwkExpression)
    case contains([AwkExpression], AwkReference)
    case call(AwkProgram.Function, [AwkExpression])
    case builtin(String, [AwkExpression])
    /// Into a variable or field, or nil for the record; from a file, or nil for the input.
    case getline(AwkExpression?, file: AwkExpression?)
    /// The same, from what a command writes.
    case commandLine(AwkExpression?, command: AwkExpression)
    case group(AwkExpression)
}

indirect enum AwkStatement {
    case block([AwkStatement])
    case expression(AwkExpression)
    case print([AwkExpression], AwkTarget?)
    case printf([AwkExpression], AwkTarget?)
    case choice(AwkExpression, AwkStatement, AwkStatement?)
    case whileLoop(AwkExpression, AwkStatement)
    case doLoop(AwkStatement, AwkExpression)
    case forLoop(AwkStatement?, AwkExpression?, AwkStatement?, AwkStatement)
    case forKeys(AwkExpression, AwkReference, AwkStatement)
    case breakLoop, continueLoop, next, nextFile
    case exit(AwkExpression?)
    case giveBack(AwkExpression?)
    case delete(AwkReference, [AwkExpression]?)
}

/// Where `print` writes.
struct AwkTarget {
    enum Kind { case file, append, command }
    let kind: Kind
    let name: AwkExpression
}

enum AwkValue {
    case none
    case number(Double)
    case string(String)
    /// What came from outside and looks like a number.
    case numeric(String, Double)
}

extension AwkValue {
    /// About what it takes in memory.
    var byteCount: Int {
        switch self {
        case .none, .number: 16
        case .string(let text), .numeric(let text, _): 16 + text.utf8.count
        }
    }
}

/// What all arrays of a program hold together.
final class AwkMemory {
    var elementCount = 0
    var byteCount = 0
}

final class AwkArray {
    private let memory: AwkMemory
    private var byteCount = 0
    private(set) var values: [String: AwkValue] = [:]
    /// In the order in which they came; some may be gone.
    private var order: [String] = []

    init(_ memory: AwkMemory) { self.memory = memory }
    deinit { note(elements: -values.count, bytes: -byteCount) }

    private func note(elements: Int, bytes: Int) {
        byteCount += bytes
        memory.byteCount += bytes
        memory.elementCount += elements
    }

    subscript(key: String) -> AwkValue? { values[key] }
    var count: Int { values.count }
    var keys: [String] {
        tidy()
        return order
    }
    /// Leaves out keys that are gone, and those that are at their old place still.
    private func tidy() {
        guard order.count > values.count else { return }
        var seen: Set<String> = []
        order = order.filter { values[$0] != nil && seen.insert($0).inserted }
    }

    func set(_ key: String, _ value: AwkValue) {
        let old = values.updateValue(value, forKey: key)
        note(
            elements: old == nil ? 1 : 0,
            bytes: value.byteCount - (old?.byteCount ?? 0) + (old == nil ? key.utf8.count : 0))
        if old == nil {
            order.append(key)
            if order.count > values.count * 2 + 16 { tidy() }
        }
    }
    func remove(_ key: String) {
        guard let old = values.removeValue(forKey: key) else { return }
        note(elements: -1, bytes: -key.utf8.count - old.byteCount)
        if values.isEmpty { order = [] }
    }
    func removeAll() {
        note(elements: -values.count, bytes: -byteCount)
        values = [:]
        order = []
    }
}

/// What is wrong with a program, or happened while it ran.
struct AwkFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
