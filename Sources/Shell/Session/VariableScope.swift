import CommandKit
import KernelStructures
import ShellLanguage

/// Variables, positional parameters, functions and options, by name. Jobs, stages of pipelines, subshells and `$(…)`
/// have copies of their own, as in any shell.
///
/// All of it is bounded: a script that doubles a variable in a loop ends with a message, and not with the lab.
final class VariableScope: ArithmeticVariables {
    private(set) var values: [String: String] = [:]
    private(set) var arrays: [String: ShellArray] = [:]
    private(set) var attributes: [String: VariableAttributes] = [:]
    /// `trap`: what runs at the end, after a failure, or instead of what a signal does.
    var traps: [String: String] = [:]
    /// `$1`, `$2` …
    var positional: [String] = []
    /// `$0`
    var scriptName = "sdlab"
    private(set) var functions: [String: CommandSyntax] = [:]
    private(set) var aliases: [String: CommandAlias] = [:]
    var options = Options()
    /// What functions that are under way have put aside, the innermost last.
    private var calls: [Call] = []
    private var byteCount = 0
    private var elementCount = 0

    /// What `set` turns on and off.
    struct Options {
        /// `-e`: a command that fails, and is no condition, ends the shell. nil while nobody has said so, or not so:
        /// then it depends on whether it is a script.
        var endsAtFailure: Bool?
        /// `-u`: a variable without a value is an error. Here from the beginning.
        var refusesUnset = true
        /// `-E`: functions and subshells have the trap of ERR, too.
        var handsErrorTrapOn = false
        /// `-o pipefail`: a pipeline fails with the last of its commands that does.
        var pipelinesFail = false
    }

    private struct Call {
        let name: String
        let positional: [String]
        /// Variables that the function made its own, with what they were before.
        var shadowed: [(name: String, value: ShellValue?, attributes: VariableAttributes?)] = []
    }

    static let countLimit = 10_000
    static let valueLimitBytes = 4 << 20
    static let limitBytes = 64 << 20
    static let functionLimit = 10_000
    /// Elements of all arrays together.
    static let elementLimit = 100_000
    static let aliasLimit = 1_000

    init() {}

    func copy() -> VariableScope {
        let copy = VariableScope()
        copy.values = values
        copy.arrays = arrays
        copy.attributes = attributes
        if options.handsErrorTrapOn, let trap = traps["ERR"] { copy.traps["ERR"] = trap }
        copy.positional = positional
        copy.scriptName = scriptName
        copy.functions = functions
        copy.aliases = aliases
        copy.options = options
        copy.calls = calls
        copy.byteCount = byteCount
        copy.elementCount = elementCount
        return copy
    }

    // MARK: Variables

    /// `a[3]` is an element; of an array alone the name is its element 0.
    func value(of name: String) -> String? {
        if let value = values[name] { return value }
        if let array = arrays[name] { return array["0"] }
        guard let (base, key) = Self.element(name) else { return nil }
        if let array = arrays[base] { return array[key] }
        return key == "0" ? values[base] : nil
    }

    /// `a[3]` cut into its name and its subscript.
    static func element(_ name: String) -> (base: String, key: String)? {
        guard name.utf8.last == UInt8(ascii: "]"), let bracket = name.firstIndex(of: "[") else {
            return nil
        }
        return (String(name[..<bracket]), String(name[name.index(after: bracket)...].dropLast()))
    }

    func isAssociative(_ name: String) -> Bool { arrays[name]?.isAssociative ?? false }

    func index(_ index: Int, of name: String) throws(Arithmetic.Failure) -> Int {
        if index >= 0 { return index }
        let end = arrays[name]?.end ?? (values[name] == nil ? 0 : 1)
        guard end + index >= 0 else {
            throw .init(text: "\(name)[\(index)]: there are not so many elements")
        }
        return end + index
    }

    /// All elements of an array; a variable that is none has one.
    func elements(of name: String) -> [String] {
        arrays[name]?.values ?? values[name].map { [$0] } ?? []
    }
    func keys(of name: String) -> [String] {
        arrays[name]?.keys ?? (values[name] == nil ? [] : ["0"])
    }

    func whole(_ name: String) -> ShellValue? {
        if let array = arrays[name] { return .array(array) }
        return value(of: name).map { .text($0) }
    }

    func hasAttributes(_ name: String, _ wanted: VariableAttributes) -> Bool {
        attributes.isEmpty ? false : attributes[name]?.isSuperset(of: wanted) ?? false
    }

    func add(_ more: VariableAttributes, to name: String) {
        attributes[name, default: []].formUnion(more)
    }
    func remove(_ less: VariableAttributes, from name: String) { attributes[name]?.subtract(less) }

    /// The last value did not fit.
    private(set) var isFull = false

    private func refuse(_ text: String) throws(CommandFailure) {
        isFull = true
        throw CommandFailure(text, status: 2)
    }

    /// - Throws: where the value, or all of them together, would be larger than the bounds; and of a name that is only
    ///   to be read.
    func set(_ name: String, _ value: String) throws(CommandFailure) {
        let base = Self.element(name)?.base ?? name
        if hasAttributes(base, .readOnly) {
            throw CommandFailure("\(base): readonly variable", status: 1)
        }
        try put(name, attributes.isEmpty ? value : try shaped(value, base))
    }

    /// What `declare -i`, `-u` and `-l` make of a value.
    private func shaped(_ value: String, _ name: String) throws(CommandFailure) -> String {
        guard let attributes = attributes[name] else { return value }
        if attributes.contains(.integer) {
            do throws(Arithmetic.Failure) { return String(try Arithmetic(value).value(in: self)) } catch {
                throw CommandFailure("\(name): '\(Arithmetic.quoted(value))': \(error.text)", status: 1)
            }
        }
        return attributes.contains(.upper)
            ? value.uppercased() : attributes.contains(.lower) ? value.lowercased() : value
    }

    private func put(_ name: String, _ value: String) throws(CommandFailure) {
        isFull = false
        let size = value.utf8.count
        if size > Self.valueLimitBytes {
            try refuse(
                "\(name) would hold \(byteCountText(size)); a variable holds at most "
                    + byteCountText(Self.valueLimitBytes))
        }
        if arrays[name] != nil { return try put(name, "0", value) }
        if let (base, key) = Self.element(name) {
            return try put(base, key, value)
        }
        let old = values[name]
        let total = byteCount + size - (old?.utf8.count ?? 0)
        if total > Self.limitBytes || old == nil && values.count >= Self.countLimit {
            try refuse(
                "\(name): all variables together hold at most \(Self.countLimit) values and "
                    + byteCountText(Self.limitBytes))
        }
        byteCount = total
        values[name] = value
    }

    private func put(_ base: String, _ key: String, _ value: String) throws(CommandFailure) {
        // There would be no number behind it.
        if key == ShellArray.lastKey, !isAssociative(base) {
            try refuse("\(base)[\(key)]: a subscript that is too large")
        }
        // A variable becomes an array with its value as the first element.
        if arrays[base] == nil {
            var array = ShellArray()
            if let old = values.removeValue(forKey: base) { array["0"] = old }
            if arrays.count >= Self.countLimit { try refuse("no more than \(Self.countLimit) arrays") }
            arrays[base] = array
        }
        let before = arrays[base]?.byteCount ?? 0
        let isNew = arrays[base]?[key] == nil
        if isNew, elementCount >= Self.elementLimit || byteCount + value.utf8.count > Self.limitBytes {
            try refuse(
                "\(base): all arrays together hold at most \(Self.elementLimit) elements and "
                    + byteCountText(Self.limitBytes))
        }
        if !isNew, byteCount + value.utf8.count > Self.limitBytes {
            try refuse("\(base): all variables together hold at most \(byteCountText(Self.limitBytes))")
        }
        arrays[base]?[key] = value
        byteCount += (arrays[base]?.byteCount ?? 0) - before
        if isNew { elementCount += 1 }
    }

    /// Gives a name an array, empty at first.
    func makeArray(_ name: String, isAssociative: Bool, keeps: Bool = false) throws(CommandFailure) {
        if let known = arrays[name], keeps, known.isAssociative == isAssociative { return }
        let old = keeps ? values[name] : nil
        forget(name)
        arrays[name] = ShellArray(isAssociative: isAssociative)
        if let old { try put(name, "0", old) }
    }

    /// `a=(…)`, `a+=(…)`
    func setArray(_ name: String, _ elements: ArrayElements, appends: Bool, isForced: Bool = false)
        throws(CommandFailure)
    {
        if !isForced, hasAttributes(name, .readOnly) {
            throw CommandFailure("\(name): readonly variable", status: 1)
        }
        let isText = isAssociative(name)
        // The sums of subscripts see the array as it was.
        var next = appends ? arrays[name]?.end ?? (values[name] == nil ? 0 : 1) : 0
        if isText, elements.contains(where: { $0.key == nil }), elements.allSatisfy({ $0.key == nil }),
            !elements.isEmpty
        {
            if !appends { try makeArray(name, isAssociative: true) }
            // As in bash 5, subscripts and values in turn.
            for index in stride(from: 0, to: elements.count, by: 2) {
                let value = index + 1 < elements.count ? elements[index + 1].value : ""
                try put(name, elements[index].value, shaped(value, name))
            }
            return
        }
        var resolved: [(String, String)] = []
        for (key, value) in elements {
            guard let key else {
                if isText {
                    throw CommandFailure(
                        "\(name): '\(Arithmetic.quoted(value))' needs a subscript", status: 1)
                }
                resolved.append((String(next), value))
                next = next.addingReportingOverflow(1).partialValue
                continue
            }
            if isText {
                resolved.append((key, value))
                continue
            }
            do throws(Arithmetic.Failure) {
                let number = try index(try Arithmetic(key).value(in: self), of: name)
                resolved.append((String(number), value))
                next = number.addingReportingOverflow(1).partialValue
            } catch {
                throw CommandFailure("\(name)[\(Arithmetic.quoted(key))]: \(error.text)", status: 1)
            }
        }
        if !appends || arrays[name] == nil {
            try makeArray(name, isAssociative: isText, keeps: appends)
        }
        for (key, value) in resolved { try put(name, key, shaped(value, name)) }
    }

    private func forget(_ name: String) {
        if let old = values.removeValue(forKey: name) { byteCount -= old.utf8.count }
        if let old = arrays.removeValue(forKey: name) {
            byteCount -= old.byteCount
            elementCount -= old.count
        }
    }

    func unset(_ name: String) {
        if let (base, key) = Self.element(name), let array = arrays[base] {
            if array[key] != nil { elementCount -= 1 }
            arrays[base]?[key] = nil
            byteCount += (arrays[base]?.byteCount ?? 0) - array.byteCount
            return
        }
        forget(name)
        if !attributes.isEmpty { attributes[name] = nil }
    }

    func assign(_ name: String, _ value: String) throws(Arithmetic.Failure) {
        do throws(CommandFailure) { try set(name, value) } catch { throw .init(text: error.description) }
    }

    /// Puts back what `set` has changed for the time of one command.
    func restore(_ before: [(name: String, value: ShellValue?)]) {
        for (name, value) in before.reversed() { restore(name, value) }
    }

    private func restore(_ name: String, _ value: ShellValue?) {
        if Self.element(name) == nil { forget(name) } else if value == nil { unset(name) }
        // It was there before, so there is room for it.
        switch value {
        case .text(let text): try? put(name, text)
        case .array(let array):
            arrays[name] = array
            byteCount += array.byteCount
            elementCount += array.count
        case nil: break
        }
    }

    // MARK: Functions

    func define(_ name: String, _ body: CommandSyntax) throws(CommandFailure) {
        guard functions.count < Self.functionLimit || functions[name] != nil else {
            throw CommandFailure("no more than \(Self.functionLimit) functions", status: 2)
        }
        functions[name] = body
    }

    func undefine(_ name: String) { functions[name] = nil }

    func define(alias name: String, _ alias: CommandAlias) throws(SyntaxError) {
        guard aliases.count < Self.aliasLimit || aliases[name] != nil else {
            throw SyntaxError(Position(line: 1, column: 1), "no more than \(Self.aliasLimit) aliases")
        }
        guard alias.text.utf8.count <= 64 << 10 else {
            throw SyntaxError(Position(line: 1, column: 1), "its text is longer than 64 KiB")
        }
        aliases[name] = alias
    }

    func remove(alias name: String) { aliases[name] = nil }
    func removeAliases() { aliases = [:] }

    func beginCall(_ arguments: [String], name: String) {
        calls.append(Call(name: name, positional: positional))
        positional = arguments
    }

    func endCall() {
        guard let call = calls.popLast() else { return }
        positional = call.positional
        for (name, value, attributes) in call.shadowed.reversed() {
            restore(name, value)
            self.attributes[name] = attributes
        }
    }

    /// The functions that are under way, the innermost first.
    var callNames: [String] { calls.reversed().map(\.name) + (calls.isEmpty ? [] : ["main"]) }

    var isInFunction: Bool { !calls.isEmpty }

    /// `local name`: what it is now comes back when the function ends.
    func shadow(_ name: String) {
        guard !calls.isEmpty else { return }
        calls[calls.count - 1].shadowed.append((name, whole(name), attributes[name]))
    }
}

extension Session {
    /// Sets what a script finds in `$0`, and in `$1`, `$2` and so on.
    public func setParameters(scriptName: String, _ words: [String]) {
        scope.scriptName = scriptName
        scope.positional = words
    }
}
