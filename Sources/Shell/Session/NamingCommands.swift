import CommandKit
import KernelStructures
import ShellLanguage

/// Commands about commands: `command`, `builtin`, `type`, `which`, `hash`, `exec`.
extension Builtins {
    static func command(_ name: String) -> Command {
        let description = describe(
            name, "runs a command, and no function of that name",
            usage: name == "command" ? "[-v] NAME [WORD…]" : "NAME [WORD…]",
            examples: [name == "command" ? "command -v jq > /dev/null || echo no jq" : "builtin echo hello"],
            details: name == "command" ? "-v says whether there is such a command, and what it is." : "")
        return Command(description) { invocation in
            var words = invocation.arguments.arguments[...]
            let shell = try shell(invocation)
            if name == "command", let flag = words.first, flag == "-v" || flag == "-V" {
                words.removeFirst()
                var isKnown = !words.isEmpty
                for word in words {
                    guard let kind = kind(word, shell, invocation.session) else {
                        isKnown = false
                        if flag == "-V" { invocation.process.complain("\(word): not found") }
                        continue
                    }
                    if flag == "-V" {
                        invocation.process.print(about(word, kind))
                    } else if kind == "alias", let alias = shell.scope.aliases[word] {
                        invocation.process.print("alias \(word)=\(ShellQuoting.quoted(alias.text))")
                    } else {
                        invocation.process.print(word)
                    }
                }
                return .done(isKnown ? 0 : 1)
            }
            if name == "builtin", let word = words.first, word != "--" {
                throw CommandFailure("\(word): not a builtin of the shell")
            }
            if let word = words.first, word.hasPrefix("-"), word != "--" {
                throw UsageError(
                    "\(name): \(word) is not known here\(name == "command" ? "; there are -v and -V" : "")")
            }
            // With a name behind it, the execution passes over it (`Execution.launch`).
            return .success
        }
    }

    private static func kind(_ word: String, _ shell: Execution, _ session: Session) -> String? {
        if Parser.isKeyword(word) { return "keyword" }
        if shell.scope.aliases[word] != nil { return "alias" }
        if shell.scope.functions[word] != nil { return "function" }
        guard session.commands[word] != nil else { return nil }
        return isBuiltin(word, session) ? "builtin" : "file"
    }

    /// What is a part of bash itself, and stands elsewhere in the lab's table.
    private static let ofBash: Set<String> = [
        "echo", "printf", "test", "[", "true", "false", "cd", "pwd", "kill", "wait", "jobs", "fg", "bg", "history",
        "exit", "export", "help",
    ]

    static func isBuiltin(_ word: String, _ session: Session) -> Bool {
        guard let command = session.commands[word] else { return false }
        return command.description.group == .session || ofBash.contains(word)
    }

    /// What `type` says of a name.
    private static func about(_ word: String, _ kind: String) -> String {
        switch kind {
        case "builtin": "\(word) is a shell builtin"
        case "keyword": "\(word) is a shell keyword"
        case "file": "\(word) is a command of the lab"
        default: "\(word) is \(kind == "alias" ? "an" : "a") \(kind)"
        }
    }

    static var type: Command {
        let description = describe(
            "type", "what a name is", usage: "[-t|-a] NAME…", examples: ["type curl", "type -t backend"],
            details: "-t says only: alias, keyword, function, builtin or file, for the lab's commands.")
        return Command(description) { invocation in
            let shell = try shell(invocation)
            var words = invocation.arguments.arguments[...]
            var isShort = false
            while let word = words.first, word.hasPrefix("-"), word.count > 1 {
                guard word.dropFirst().allSatisfy({ "ta".contains($0) }) else {
                    throw UsageError("type: \(word) is not known here; there are -t and -a, and help NAME")
                }
                if word.contains("t") { isShort = true }
                words.removeFirst()
            }
            var isKnown = true
            for word in words {
                guard let kind = kind(word, shell, invocation.session) else {
                    isKnown = false
                    if !isShort { invocation.process.complain("\(word): not found") }
                    continue
                }
                invocation.process.print(isShort ? kind : about(word, kind))
            }
            return .done(isKnown ? 0 : 1)
        }
    }

    static var which: Command {
        let description = describe(
            "which", "whether there is a command of a name", usage: "NAME…", examples: ["which jq"])
        return Command(description) { invocation in
            var isKnown = !invocation.arguments.arguments.isEmpty
            for word in invocation.arguments.arguments {
                guard invocation.session.commands[word] != nil else {
                    isKnown = false
                    continue
                }
                invocation.process.print(word)
            }
            return .done(isKnown ? 0 : 1)
        }
    }

    /// What it does is the execution's affair (`Execution.takeOver`).
    static var exec: Command {
        let description = describe(
            "exec", "redirects the shell itself, or ends it with a command", usage: "[COMMAND [WORD…]]",
            examples: ["exec > all.log 2>&1", "exec curl -s http://localhost:8081/"],
            details: """
                With a command, nothing that follows runs, and its status is the shell's.
                Without one, its redirections hold from there on: exec 3> log, exec {fd}< f,
                exec 3>&-. At the prompt those of 0, 1 and 2 hold for their line.
                """)
        return Command(description) { _ in throw CommandFailure("only within a script, or at the prompt") }
    }

    /// bash remembers where it found commands; here there is nothing to look for.
    static var hash: Command {
        let description = describe(
            "hash", "whether there are commands of these names", usage: "[-r] [NAME…]",
            examples: ["hash jq || echo no jq"], details: "bash remembers where they are; here -r means nothing.")
        return Command(description) { invocation in
            var words = invocation.arguments.arguments[...]
            if words.isEmpty { invocation.process.print("hash: hash table empty") }
            while let word = words.first, word.hasPrefix("-"), word.count > 1 {
                guard word == "-r" || word == "-d" || word == "-t" || word == "-l" else {
                    throw UsageError("hash: \(word) is not known here; there is -r")
                }
                words.removeFirst()
            }
            var status = 0
            for word in words where invocation.session.commands[word] == nil {
                invocation.process.complain("\(word): not found")
                status = 1
            }
            return .done(status)
        }
    }
}

extension Execution {
    /// `eval`, `source` and `.`: a text that runs in this shell, with the streams of the command; false where the
    /// command is none of them.
    ///
    /// - Parameter given: what has been read of `/dev/stdin`, or another descriptor.
    func runText(_ arguments: [String], _ opened: OpenStreams, given: [UInt8]? = nil) -> Bool {
        let name = arguments[0]
        guard name == "eval" || name == "source" || name == "." else { return false }
        if arguments == [name, "--help"] { return false }
        func fail(_ text: String, _ status: Int) -> Bool {
            opened.error.write(printable("\(name): \(text)", keeping: "\n\t") + "\n")
            self.status = status
            opened.closeOpened()
            return true
        }
        var text = arguments.dropFirst().joined(separator: " ")
        if name != "eval" {
            guard arguments.count > 1 else { return fail("which file?", 2) }
            if given == nil, let number = Descriptor.number(ofFile: arguments[1]), !session.files.exists(arguments[1]) {
                guard let source = opened.descriptor(number)?.source else {
                    return fail("\(arguments[1]): nothing to read there", 1)
                }
                readText(arguments, opened, source)
                return true
            }
            if let given {
                text = String(decoding: given, as: UTF8.self)
            } else {
                do throws(LabFileError) {
                    text = String(decoding: try session.files.read(arguments[1]), as: UTF8.self)
                } catch {
                    return fail("\(error)", 1)
                }
            }
        }
        let script: Script
        do throws(SyntaxError) { script = try Parser.parse(text) } catch {
            return fail("\(name == "eval" ? "" : arguments[1] + ":")\(error)", 2)
        }
        use(opened)
        if scope.options.traces {
            traceDepth += 1
            push(.endEval)
        }
        if name != "eval" {
            let words = arguments.count > 2 ? Array(arguments.dropFirst(2)) : scope.positional
            scope.beginCall(words, name: "source", isFunction: false)
            push(.endCall(hasTrapped: false))
        }
        if script.statements.isEmpty { status = 0 }
        push(.script(script, next: 0))
        return true
    }

    /// `source /dev/stdin`: all of it is read before any of it runs.
    private func readText(_ arguments: [String], _ opened: OpenStreams, _ source: any ByteSource) {
        var bytes: [UInt8] = []
        isWaiting = true
        func end(_ failure: String?) {
            guard isWaiting, !isFinished else { return }
            source.pause()
            if let failure {
                opened.error.write(printable("\(arguments[0]): \(failure)", keeping: "\n\t") + "\n")
                opened.closeOpened()
                return resume(1)
            }
            isWaiting = false
            _ = runText(arguments, opened, given: bytes)
            giveWay()
        }
        source.start(
            onBytes: { more in
                bytes += more
                if bytes.count > VariableScope.valueLimitBytes {
                    end("a script of more than \(byteCountText(VariableScope.valueLimitBytes))")
                }
            }, onEnd: { end(nil) })
    }
}
