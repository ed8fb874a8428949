import CommandKit
import KernelStructures
import ShellLanguage

/// Functions, aliases, and what a call of a function puts aside.
extension VariableScope {
    struct Call {
        let name: String
        let positional: [String]
        /// Those of ERR, DEBUG and RETURN that come back.
        var traps: [String: String] = [:]
        /// Variables that the function made its own, with what they were before.
        var shadowed: [Shadowed] = []
    }

    struct Shadowed {
        let name: String
        let value: ShellValue?
        let attributes: VariableAttributes?
        let reference: String?
    }

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

    /// A copy becomes a shell of its own: `bash -c`.
    func beginShell() {
        options = Options()
        options.endsAtFailure = false
        shownTraps = nil
        subshellDepth = 0
        pipeStatus = [0]
    }

    /// - Parameter isFunction: false for a file that is read.
    func beginCall(_ arguments: [String], name: String, isFunction: Bool = true) {
        var call = Call(name: name, positional: positional)
        // As in bash a function does not have them, unless it is told to, and what it sets itself stays.
        let names =
            (isFunction && !options.handsErrorTrapOn ? ["ERR"] : [])
            + (options.handsDebugTrapOn ? [] : isFunction ? ["DEBUG", "RETURN"] : ["DEBUG"])
        for name in names where !traps.isEmpty { call.traps[name] = traps.removeValue(forKey: name) }
        calls.append(call)
        positional = arguments
    }

    func endCall() {
        guard let call = calls.popLast() else { return }
        positional = call.positional
        for (name, script) in call.traps where traps[name] == nil { traps[name] = script }
        for shadowed in call.shadowed.reversed() { comeBack(shadowed) }
    }

    /// The functions that are under way, the innermost first.
    var callNames: [String] { calls.reversed().map(\.name) + (calls.isEmpty ? [] : ["main"]) }

    var isInFunction: Bool { !calls.isEmpty }

    /// `local name`: what it is now comes back when the function ends.
    func shadow(_ name: String) {
        guard !calls.isEmpty else { return }
        calls[calls.count - 1].shadowed.append(
            Shadowed(name: name, value: whole(name), attributes: attributes[name], reference: references[name]))
        dropReference(name)
    }
}
