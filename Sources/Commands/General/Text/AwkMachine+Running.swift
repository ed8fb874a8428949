import KernelRegularExpressions
import KernelStructures

/// What expressions give, and what statements do.
extension AwkMachine {
    // MARK: Expressions

    func evaluate(_ expression: AwkExpression) throws -> AwkValue {
        try count()
        switch expression {
        case .number(let value): return .number(value)
        case .string(let text): return .string(text)
        case .pattern(let text): return .number(try self.expression(text).matches(joined()) ? 1 : 0)
        case .variable(let reference): return try value(reference)
        case .group(let inner): return try evaluate(inner)
        case .field(let index): return try field(number(try evaluate(index)))
        case .element(let reference, let subscripts):
            let key = try key(subscripts)
            let array = try array(reference)
            if let value = array[key] { return value }
            // As in any awk, what is asked for is there from then on.
            try set(array, key, .none)
            return .none
        case .assignment(let target, let sign, let right):
            var new = try evaluate(right)
            if let sign { new = .number(try Self.apply(sign, number(try evaluate(target)), number(new))) }
            try assign(target, new)
            return new
        case .appending(let reference, let rest):
            let suffix = text(try evaluate(rest))
            try count(suffix.utf8.count)
            return try append(suffix, to: reference)
        case .step(let target, let amount, let isBefore):
            let old = number(try evaluate(target))
            try assign(target, .number(old + amount))
            return .number(isBefore ? old + amount : old)
        case .not(let inner): return .number(holds(try evaluate(inner)) ? 0 : 1)
        case .negative(let inner): return .number(-number(try evaluate(inner)))
        case .positive(let inner): return .number(number(try evaluate(inner)))
        case .arithmetic(let sign, let a, let b):
            let left = number(try evaluate(a))
            return .number(try Self.apply(sign, left, number(try evaluate(b))))
        case .concatenation(let a, let b):
            let left = text(try evaluate(a))
            let whole = left + text(try evaluate(b))
            try count(whole.utf8.count)
            return .string(whole)
        case .comparison(let sign, let a, let b):
            let left = try evaluate(a)
            return .number(compare(sign, left, try evaluate(b)) ? 1 : 0)
        case .match(let a, let b, let isNegated):
            let left = text(try evaluate(a))
            return .number(try pattern(b).matches(left) != isNegated ? 1 : 0)
        case .and(let a, let b):
            guard holds(try evaluate(a)) else { return .number(0) }
            return .number(holds(try evaluate(b)) ? 1 : 0)
        case .or(let a, let b):
            if holds(try evaluate(a)) { return .number(1) }
            return .number(holds(try evaluate(b)) ? 1 : 0)
        case .choice(let condition, let a, let b): return try evaluate(holds(try evaluate(condition)) ? a : b)
        case .contains(let subscripts, let reference):
            let key = try key(subscripts)
            return .number(try array(reference)[key] == nil ? 0 : 1)
        case .call(let function, let arguments): return try call(function, arguments)
        case .builtin(let name, let arguments): return try builtin(name, arguments)
        case .getline(let target, let file): return .number(try getline(target, file))
        case .commandLine(let target, let command):
            guard let line = try nextCommandLine(text(try evaluate(command))) else { return .number(0) }
            if let target { try assign(target, Self.fromOutside(line)) } else { setRecord(line) }
            return .number(1)
        }
    }

    static func apply(_ sign: Character, _ a: Double, _ b: Double) throws -> Double {
        switch sign {
        case "+": return a + b
        case "-": return a - b
        case "*": return a * b
        case "/":
            if b == 0 { throw AwkFailure("division by zero") }
            return a / b
        case "%":
            if b == 0 { throw AwkFailure("division by zero in %") }
            return a.truncatingRemainder(dividingBy: b)
        default: return AwkMath.power(a, b)
        }
    }

    func compare(_ sign: String, _ a: AwkValue, _ b: AwkValue) -> Bool {
        func isNumber(_ value: AwkValue) -> Bool { if case .string = value { false } else { true } }
        let order: Int
        if isNumber(a), isNumber(b) {
            let (x, y) = (number(a), number(b))
            order = x < y ? -1 : x > y ? 1 : x == y ? 0 : 2
        } else {
            let (x, y) = (text(a), text(b))
            order = x == y ? 0 : x.utf8.lexicographicallyPrecedes(y.utf8) ? -1 : 1
        }
        switch sign {
        case "<": return order == -1
        case "<=": return order == -1 || order == 0
        case "==": return order == 0
        case "!=": return order != 0
        case ">": return order == 1
        default: return order == 1 || order == 0
        }
    }

    func call(_ function: AwkProgram.Function, _ arguments: [AwkExpression]) throws -> AwkValue {
        guard arguments.count <= function.parameterCount else {
            throw AwkFailure("\(function.name) takes \(function.parameterCount) arguments, not \(arguments.count)")
        }
        var slots: [Slot] = []
        for (index, argument) in arguments.enumerated() {
            if case .variable(let reference) = argument {
                if function.arrays.contains(index) {
                    slots.append(.array(try array(reference)))
                    continue
                }
                if case .array(let array) = slot(reference) {
                    slots.append(.array(array))
                    continue
                }
            }
            slots.append(.value(try evaluate(argument)))
        }
        while slots.count < function.parameterCount {
            slots.append(function.arrays.contains(slots.count) ? .array(AwkArray(memory)) : .value(.none))
        }
        callDepth += 1
        defer { callDepth -= 1 }
        guard callDepth <= Self.callLimit else {
            throw AwkFailure("functions more than \(Self.callLimit) deep in one another")
        }
        let before = localCount
        locals += slots
        localCount = slots.count
        defer {
            locals.removeLast(localCount)
            localCount = before
        }
        returned = .none
        let flow = try run(function.body)
        if flow == .exits { throw AwkExit() }
        defer { returned = .none }
        return flow == .returns ? returned : .none
    }

    func getline(_ target: AwkExpression?, _ file: AwkExpression?) throws -> Double {
        let line: String?
        if let file {
            do { line = try nextLine(text(try evaluate(file))) } catch is AwkNoFile { return -1 }
        } else {
            line = try nextRecord()
        }
        guard let line else { return 0 }
        if let target { try assign(target, Self.fromOutside(line)) } else { setRecord(line) }
        return 1
    }

    // MARK: Statements

    func run(_ statement: AwkStatement) throws -> Flow {
        try count()
        switch statement {
        case .block(let statements):
            for inner in statements {
                let flow = try run(inner)
                if flow != .normal { return flow }
            }
            return .normal
        case .expression(let expression):
            _ = try evaluate(expression)
            return .normal
        case .print(let expressions, let target):
            var line = ""
            if expressions.isEmpty { line = joined() }
            for (index, expression) in expressions.enumerated() {
                if index > 0 { line += globalText(AwkVariables.outputFieldSeparator) }
                line += output(try evaluate(expression))
            }
            try emit(line + globalText(AwkVariables.outputRecordSeparator), target)
            return .normal
        case .printf(let expressions, let target):
            let format = text(try evaluate(expressions[0]))
            try emit(try AwkFormat.text(format, try expressions.dropFirst().map { try evaluate($0) }, self), target)
            return .normal
        case .choice(let condition, let first, let second):
            if holds(try evaluate(condition)) { return try run(first) }
            return try second.map { try run($0) } ?? .normal
        case .whileLoop(let condition, let body):
            while holds(try evaluate(condition)) {
                if let flow = try round(body) { return flow }
            }
            return .normal
        case .doLoop(let body, let condition):
            repeat {
                if let flow = try round(body) { return flow }
            } while holds(try evaluate(condition))
            return .normal
        case .forLoop(let first, let condition, let step, let body):
            if let first { _ = try run(first) }
            while try condition.map({ holds(try evaluate($0)) }) ?? true {
                if let flow = try round(body) { return flow }
                if let step { _ = try run(step) }
                try count()
            }
            return .normal
        case .forKeys(let variable, let reference, let body):
            let array = try array(reference)
            for key in array.keys where array[key] != nil {
                try assign(variable, .string(key))
                if let flow = try round(body) { return flow }
            }
            return .normal
        case .breakLoop: return .breaks
        case .continueLoop: return .continues
        case .next: return .next
        case .nextFile: return .nextFile
        case .exit(let value):
            if let value { exitStatus = Int(clamping: number(try evaluate(value))) & 255 }
            return .exits
        case .giveBack(let value):
            returned = try value.map { try evaluate($0) } ?? .none
            return .returns
        case .delete(let reference, let subscripts):
            let array = try array(reference)
            if let subscripts {
                array.remove(try key(subscripts))
            } else {
                array.removeAll()
            }
            return .normal
        }
    }

    /// One round of a loop; what it gives back ends the loop.
    func round(_ body: AwkStatement) throws -> Flow? {
        switch try run(body) {
        case .normal, .continues: nil
        case .breaks: .normal
        case let flow: flow
        }
    }

    func emit(_ text: String, _ target: AwkTarget?) throws {
        try write(ByteText.encode(text), target?.kind, try target.map { self.text(try evaluate($0.name)) } ?? "")
    }

    // MARK: Rules

    /// Runs the rules for the record.
    func runRules() throws -> Flow {
        for rule in program.rules {
            switch rule.pattern {
            case .begin, .end: continue
            case .always: break
            case .expression(let expression): guard holds(try evaluate(expression)) else { continue }
            case .range(let first, let last, let number):
                if !inRange[number] {
                    guard holds(try evaluate(first)) else { continue }
                    inRange[number] = true
                }
                if holds(try evaluate(last)) { inRange[number] = false }
            }
            let flow = try run(rule.body ?? .print([], nil))
            if flow != .normal { return flow }
        }
        return .normal
    }

    /// Runs all rules of BEGIN, or of END.
    func runRules(atBegin: Bool) throws -> Flow {
        for rule in program.rules {
            switch rule.pattern {
            case .begin where atBegin, .end where !atBegin: break
            default: continue
            }
            let flow = try run(rule.body ?? .block([]))
            if flow == .exits { return flow }
        }
        return .normal
    }
}
