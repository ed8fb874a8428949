import CommandKit
import KernelStructures
import ShellLanguage

/// Variables, positional parameters, functions and options, by name. Jobs, stages of pipelines, subshells and `$(…)`
/// have copies of their own, as in any shell.
///
/// All of it is bounded: a script that doubles a variable in a loop ends with a message, and not with the lab.
final class VariableScope: ArithmeticVariables {
    private(set) var values: [String: String] = [:]
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

    /// What `set` turns on and off.
    struct Options {
        /// `-e`: a command that fails, and is no condition, ends the shell. nil while nobody has said so, or not so:
        /// then it depends on whether it is a script.
        var endsAtFailure: Bool?
        /// `-u`: a variable without a value is an error. Here from the beginning.
        var refusesUnset = true
        /// `-o pipefail`: a pipeline fails with the last of its commands that does.
        var pipelinesFail = false
    }

    private struct Call {
        let positional: [String]
        /// Variables that the function made its own, with what they were before.
        var shadowed: [(name: String, value: String?)] = []
    }

    static let countLimit = 10_000
    static let valueLimitBytes = 4 << 20
    static let limitBytes = 64 << 20
    static let functionLimit = 10_000
    static let aliasLimit = 1_000

    init() {}

    func copy() -> VariableScope {
        let copy = VariableScope()
        copy.values = values
        copy.positional = positional
        copy.scriptName = scriptName
        copy.functions = functions
        copy.aliases = aliases
        copy.options = options
        copy.calls = calls
        copy.byteCount = byteCount
        return copy
    }

    // MARK: Variables

    func value(of name: String) -> String? { values[name] }

    /// The last value did not fit.
    private(set) var isFull = false

    /// - Throws: where the value, or all of them together, would be larger than the bounds.
    func set(_ name: String, _ value: String) throws(CommandFailure) {
        let size = value.utf8.count
        isFull = true
        guard size <= Self.valueLimitBytes else {
            throw CommandFailure(
                "\(name) would hold \(byteCountText(size)); a variable holds at most "
                    + byteCountText(Self.valueLimitBytes), status: 2)
        }
        let old = values[name]
        let total = byteCount + size - (old?.utf8.count ?? 0)
        guard total <= Self.limitBytes, old != nil || values.count < Self.countLimit else {
            throw CommandFailure(
                "\(name): all variables together hold at most \(Self.countLimit) values and "
                    + byteCountText(Self.limitBytes), status: 2)
        }
        isFull = false
        byteCount = total
        values[name] = value
    }

    func unset(_ name: String) {
        if let old = values.removeValue(forKey: name) { byteCount -= old.utf8.count }
    }

    func assign(_ name: String, _ value: String) throws(Arithmetic.Failure) {
        do throws(CommandFailure) { try set(name, value) } catch { throw .init(text: error.description) }
    }

    /// Puts back what `set` has changed for the time of one command.
    func restore(_ before: [(name: String, value: String?)]) {
        for (name, value) in before.reversed() {
            unset(name)
            // It was there before, so there is room for it.
            if let value { try? set(name, value) }
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

    func beginCall(_ arguments: [String]) {
        calls.append(Call(positional: positional))
        positional = arguments
    }

    func endCall() {
        guard let call = calls.popLast() else { return }
        positional = call.positional
        restore(call.shadowed)
    }

    var isInFunction: Bool { !calls.isEmpty }

    /// `local name`: what it is now comes back when the function ends.
    func shadow(_ name: String) {
        guard !calls.isEmpty else { return }
        calls[calls.count - 1].shadowed.append((name, values[name]))
    }
}

extension Session {
    /// Sets what a script finds in `$0`, and in `$1`, `$2` and so on.
    public func setParameters(scriptName: String, _ words: [String]) {
        scope.scriptName = scriptName
        scope.positional = words
    }
}
