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
    /// A name without a value that was declared has an entry, too.
    private(set) var attributes: [String: VariableAttributes] = [:]
    /// `declare -n r=x`: what the name stands for.
    private(set) var references: [String: String] = [:]
    /// `trap`: what runs at the end, after a failure, or instead of what a signal does.
    var traps: [String: String] = [:]
    /// What `trap` lists in a subshell that has set none of its own.
    var shownTraps: [String: String]?
    /// `$1`, `$2` …
    var positional: [String] = []
    /// `$0`
    var scriptName = "sdlab"
    var functions: [String: CommandSyntax] = [:]
    var aliases: [String: CommandAlias] = [:]
    var options = Options()
    /// `$PIPESTATUS`: how the commands of the last pipeline ended.
    var pipeStatus = [0]
    /// What has a value only for the command that runs: `X=1 env`.
    var temporaries: [String] = []
    /// `$_`: the last word of the last command.
    var lastWord = "sdlab"
    /// `$BASH_COMMAND`: what runs, or what a trap was set off by.
    var currentCommand: CommandText?
    /// `umask`
    var fileMask = 0o022
    /// It is that of `bash -c`, which ends otherwise where it cannot expand something.
    var isCommandText = false
    /// How many letters of the word at `$OPTIND` `getopts` has taken.
    var optionLetters = 0
    /// What `pushd` has put aside, the newest last.
    var directoryStack: [String] = []
    /// `$BASH_SUBSHELL`
    var subshellDepth = 0
    /// What functions that are under way have put aside, the innermost last.
    var calls: [Call] = []
    private var byteCount = 0
    private var elementCount = 0

    static let countLimit = 10_000
    /// Of what a reference stands for.
    private static let nameLimitBytes = 4096
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
        copy.references = references
        if options.handsErrorTrapOn, let trap = traps["ERR"] { copy.traps["ERR"] = trap }
        if options.handsDebugTrapOn { for name in ["DEBUG", "RETURN"] { copy.traps[name] = traps[name] } }
        // What is ignored stays so.
        for (name, script) in traps where script.isEmpty { copy.traps[name] = script }
        copy.shownTraps = traps.isEmpty ? shownTraps : traps
        copy.pipeStatus = pipeStatus
        copy.lastWord = lastWord
        copy.currentCommand = currentCommand
        copy.fileMask = fileMask
        copy.temporaries = temporaries
        copy.optionLetters = optionLetters
        copy.directoryStack = directoryStack
        copy.subshellDepth = subshellDepth + 1
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
    func value(of name: String) -> String? { own(target(name)) }

    private func own(_ name: String) -> String? {
        if let value = values[name] { return value }
        if let array = arrays[name] { return array["0"] }
        guard let (base, key) = Self.element(name) else { return Self.initial[name] ?? special(name)?["0"] }
        if let array = arrays[base] { return array[key] }
        if key == "0", let value = values[base] { return value }
        return special(base)?[key]
    }

    /// What a name stands for that another one refers to: `declare -n`.
    func target(_ name: String) -> String {
        if references.isEmpty { return name }
        var (base, rest) = (name, "")
        if let (array, key) = Self.element(name) { (base, rest) = (array, "[\(key)]") }
        for _ in 0..<10 {
            guard let next = references[base], !next.isEmpty else { break }
            base = next
            // An element has none of its own.
            if next.hasSuffix("]") { return next }
        }
        return base + rest
    }

    /// `declare -n r=x`
    ///
    /// - Throws: where there are too many of them, or the other is too long for a name.
    func refer(_ name: String, to other: String) throws(CommandFailure) {
        if references[name] == nil, references.count >= Self.countLimit {
            try refuse("\(name): no more than \(Self.countLimit) references")
        }
        guard other.utf8.count <= Self.nameLimitBytes else {
            throw CommandFailure("\(name): what it is to refer to is longer than \(Self.nameLimitBytes) bytes")
        }
        references[name] = other
    }

    /// `declare +n r`, `unset -n r`
    func dropReference(_ name: String) { references[name] = nil }

    /// What has a value before anybody has given it one.
    private static let initial = ["IFS": " \t\n", "OPTIND": "1", "PS4": "+ ", "OPTERR": "1"]

    /// Arrays that nobody sets.
    private func special(_ name: String) -> ShellArray? {
        switch name {
        case "PIPESTATUS": ShellArray(pipeStatus.map(String.init))
        case "BASH_SUBSHELL": ShellArray([String(subshellDepth)])
        case "BASH_VERSINFO": ShellArray(["5", "2", "15", "1", "release", "x86_64-pc-linux-gnu"])
        case "BASH_SOURCE": ShellArray(Array(repeating: scriptName, count: calls.count + 1))
        default: nil
        }
    }

    /// An array by its name, or by one that refers to it.
    func array(_ name: String) -> ShellArray? {
        let name = target(name)
        return arrays[name] ?? (values[name] == nil ? special(name) : nil)
    }

    /// `a[3]` cut into its name and its subscript.
    static func element(_ name: String) -> (base: String, key: String)? {
        guard name.utf8.last == UInt8(ascii: "]"), let bracket = name.firstIndex(of: "[") else {
            return nil
        }
        return (String(name[..<bracket]), String(name[name.index(after: bracket)...].dropLast()))
    }

    func whole(_ name: String) -> ShellValue? {
        if let array = arrays[name] { return .array(array) }
        return (values[name] ?? Self.element(name).flatMap { _ in own(name) }).map { .text($0) }
    }

    func hasAttributes(_ name: String, _ wanted: VariableAttributes) -> Bool {
        attributes.isEmpty ? false : attributes[name]?.isSuperset(of: wanted) ?? false
    }

    /// - Throws: where too many names were declared.
    func add(_ more: VariableAttributes, to name: String) throws(CommandFailure) {
        if attributes[name] == nil, attributes.count >= Self.countLimit {
            try refuse("\(name): no more than \(Self.countLimit) names may be declared")
        }
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
        // A reference to nothing yet takes what it refers to.
        if references[name]?.isEmpty == true { return try refer(name, to: value) }
        let name = target(name)
        let base = Self.element(name)?.base ?? name
        if hasAttributes(base, .readOnly) {
            throw CommandFailure("\(base): readonly variable", status: 1)
        }
        try put(name, attributes.isEmpty ? value : try shaped(value, base))
        if options.exportsAll { try add(.exported, to: base) }
        if name == "OPTIND" { optionLetters = 0 }
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
        let name = target(name)
        if let known = arrays[name], keeps, known.isAssociative == isAssociative { return }
        let old = keeps ? values[name] : nil
        forget(name)
        arrays[name] = ShellArray(isAssociative: isAssociative)
        arrays[name]?.isOnlyDeclared = keeps
        if let old { try put(name, "0", old) }
    }

    /// `a=(…)`, `a+=(…)`
    func setArray(_ name: String, _ elements: ArrayElements, appends: Bool, isForced: Bool = false)
        throws(CommandFailure)
    {
        let name = target(name)
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
        arrays[name]?.isOnlyDeclared = false
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
        let name = target(name)
        // No second owner of the array: it would be copied as a whole for each of its elements.
        if let (base, key) = Self.element(name), let before = arrays[base]?.byteCount {
            if arrays[base]?[key] != nil { elementCount -= 1 }
            arrays[base]?[key] = nil
            byteCount += (arrays[base]?.byteCount ?? 0) - before
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

    /// What a function made its own becomes what it was before.
    func comeBack(_ shadowed: Shadowed) {
        restore(shadowed.name, shadowed.value)
        attributes[shadowed.name] = shadowed.attributes
        references[shadowed.name] = shadowed.reference
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
}

extension Session {
    /// Sets what a script finds in `$0`, and in `$1`, `$2` and so on.
    public func setParameters(scriptName: String, _ words: [String]) {
        scope.scriptName = scriptName
        scope.positional = words
    }
}
