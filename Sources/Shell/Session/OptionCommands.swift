import CommandKit
import KernelStructures
import ShellLanguage

/// `set` and `shopt`.
extension Builtins {
    static var set: Command {
        let description = describe(
            "set", "options of the shell, and its positional parameters",
            usage: "[-eufxCaET|+eufxCaET] [-o|+o NAME] [--] [WORD…]",
            examples: ["set -euo pipefail", "set -- a b; echo $1", "set -x; curl -s localhost; set +x"],
            details: """
                -e  a command that fails, and is no condition, ends the script: so it is in
                scripts, until +e
                -u  a variable without a value is an error: so it is here, until +u; said by
                name, it ends the script
                -x  shows each command before it runs, behind $PS4
                -f  * and ? find no files
                -C  > writes over no file; >| does
                -a  what is assigned is exported, too
                -E  functions and subshells have the trap of ERR, too; -T: those of DEBUG and
                RETURN
                -o pipefail  a pipeline fails with the last of its commands that does
                What follows the options, or --, is $1, $2 and so on. Nothing at all lists the
                variables, -o alone the options.
                """)
        return Command(description) { invocation in
            let scope = try shell(invocation).scope
            var words = invocation.arguments.arguments[...]
            if words.isEmpty {
                for line in VariableListing(scope).assignments() { invocation.process.print(line) }
                return .success
            }
            var setsPositional = false
            while let word = words.first, let sign = word.first, sign == "-" || sign == "+" {
                words.removeFirst()
                if word == "--" || word == "-" {
                    setsPositional = setsPositional || word == "--"
                    if word == "-" { scope.options.traces = false }
                    break
                }
                for letter in word.dropFirst() {
                    if letter == "o", words.isEmpty {
                        list(scope.options, asCommands: sign == "+", invocation.process)
                        continue
                    }
                    try change(
                        letter == "o" ? words.popFirst() ?? "" : String(letter), sign == "-", &scope.options)
                }
            }
            if setsPositional || !words.isEmpty { scope.positional = Array(words) }
            return .success
        }
    }

    /// `set -o`, `set +o`
    private static func list(_ options: VariableScope.Options, asCommands: Bool, _ process: Process) {
        for (name, _, isOn, key) in VariableScope.Options.named {
            let isOn = name == "errexit" ? options.endsAtFailure ?? false : key.map { options[keyPath: $0] } ?? isOn
            if asCommands {
                process.print("set \(isOn ? "-" : "+")o \(name)")
            } else {
                process.print(name.rightPadded(to: 15) + "\t" + (isOn ? "on" : "off"))
            }
        }
    }

    /// - Throws: `UsageError` for an option that is not known here.
    static func change(_ option: String, _ isOn: Bool, _ options: inout VariableScope.Options) throws {
        switch option {
        case "e", "errexit": options.endsAtFailure = isOn
        case "u", "nounset": (options.refusesUnset, options.endsAtUnset) = (isOn, isOn)
        case "pipefail": options.pipelinesFail = isOn
        case "E", "errtrace": options.handsErrorTrapOn = isOn
        case "T", "functrace": options.handsDebugTrapOn = isOn
        case "x", "xtrace": options.traces = isOn
        case "f", "noglob": options.findsNoFiles = isOn
        case "C", "noclobber": options.keepsFiles = isOn
        case "a", "allexport": options.exportsAll = isOn
        // What they mean is so in any case, or concerns a keyboard.
        case "B", "braceexpand", "h", "hashall", "m", "monitor", "posix", "history", "emacs", "vi", "b", "notify", "H",
            "histexpand", "interactive-comments", "ignoreeof", "nolog":
            break
        default:
            throw UsageError(
                "set: the option '\(option)' is not known here; there are -e, -u, -x, -f, -C, -a, -E, -T and -o pipefail"
            )
        }
    }

    static var shopt: Command {
        let description = describe(
            "shopt", "options of the shell that bash has by name", usage: "[-s|-u] [-q] [-p] [NAME…]",
            examples: ["shopt -s nullglob; for f in *.log; do echo $f; done", "shopt -q extglob; echo $?"],
            details: """
                nullglob  a pattern that finds no file is no word
                failglob  … is an error
                dotglob  * finds names that begin with a dot
                globstar  ** finds files in all directories below
                nocaseglob, nocasematch  capitals are the same as small letters in names of
                files; in case and [[ ]]
                -s turns on, -u off, -q only says so by its status. ?( ) *( ) +( ) @( ) !( ) of
                extglob are always known. What concerns a keyboard can be set and means nothing.
                """)
        return Command(description) { invocation in
            let scope = try shell(invocation).scope
            var words = invocation.arguments.arguments[...]
            let letters = try flags(of: "shopt", from: &words, known: ["s", "u", "q", "p"])
            func isOn(_ name: String) -> Bool {
                scope.options.shell.contains(name) || VariableScope.Options.fixedShellNames[name] ?? false
            }
            let known = VariableScope.Options.shellNames.union(VariableScope.Options.fixedShellNames.keys)
            var status = 0
            for word in words.isEmpty ? known.sorted()[...] : words {
                guard known.contains(word) else {
                    invocation.process.complain("\(word): invalid shell option name")
                    status = 1
                    continue
                }
                if !words.isEmpty, letters.contains("s") || letters.contains("u") {
                    if !VariableScope.Options.shellNames.contains(word) {
                        if isOn(word) != letters.contains("s"),
                            !VariableScope.Options.harmlessShellNames.contains(word)
                        {
                            invocation.process.complain("\(word) is \(isOn(word) ? "always" : "never") on here")
                            status = 1
                        }
                    } else if letters.contains("s") {
                        scope.options.shell.insert(word)
                    } else {
                        scope.options.shell.remove(word)
                    }
                    continue
                }
                if words.isEmpty, letters.contains("s") && !isOn(word) || letters.contains("u") && isOn(word) {
                    continue
                }
                if !isOn(word), !words.isEmpty { status = 1 }
                if letters.contains("q") { continue }
                invocation.process.print(
                    letters.contains("p")
                        ? "shopt -\(isOn(word) ? "s" : "u") \(word)"
                        : word.rightPadded(to: 15) + "\t" + (isOn(word) ? "on" : "off"))
            }
            return .done(status)
        }
    }
}
