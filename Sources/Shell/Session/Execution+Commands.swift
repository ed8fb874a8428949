import CommandKit
import KernelStructures
import ShellLanguage

extension Execution {
    // MARK: Simple commands

    /// `$(< file)`: what the file holds.
    private static func readingFile(_ script: Script) -> Script {
        guard script.statements.count == 1, let statement = script.statements.first, statement.rest.isEmpty,
            !statement.isBackground, statement.first.commands.count == 1, !statement.first.isNegated,
            case .simple(var command)? = statement.first.commands.first, command.words.isEmpty,
            command.assignments.isEmpty, command.redirections.count == 1, command.redirections[0].kind == .read,
            command.redirections[0].number == 0
        else { return script }
        command.words = ["command", "cat"].map { Word(parts: [.text($0, isQuoted: true)], position: command.position) }
        return Script(statements: [Statement.wrapping(.simple(command))])
    }

    /// Runs a `$(…)`, then comes back with one output more.
    ///
    /// - Parameter inner: the variables that it sees: with what stands before it in the same command.
    private func substitute(
        _ script: Script, _ inner: VariableScope, _ outputs: [String], _ again: @escaping ([String]) -> Frame
    ) {
        guard mayNest() else { return }
        let script = Self.readingFile(script)
        let capture = CaptureSink()
        let directory = session.files.directory
        isWaiting = true
        // As in bash, which does not hand -e on to it.
        inner.options.endsAtFailure = false
        let part = Execution(
            script, session: session, submission: submission,
            streams: streams.borrowed(output: capture),
            scope: inner, status: status
        ) { [weak self] part in
            guard let self else { return }
            parts = []
            session.files.returnTo(directory)
            if capture.isOverfull {
                complain("$(…) gave more than \(byteCountText(CaptureSink.limit))")
                return resume(1)
            }
            push(again(outputs + [String(decoding: capture.bytes, as: UTF8.self)]))
            resume(part.status)
        }
        parts = [part]
        part.nesting = nesting + 1
        part.traceDepth = traceDepth + 1
        part.job = job
        session.makeRunnable(part)
    }

    /// Expands what a frame needs. nil: it failed, which has been said, or a `$(…)` has to run first, after which the
    /// frame that `again` makes comes back with its output.
    func expand<R>(
        _ outputs: [String], _ body: (inout Expansion) throws(Expansion.Stop) -> R,
        again: @escaping ([String]) -> Frame, failureStatus: Int? = nil
    ) -> R? {
        var expansion = Expansion(session: session, scope: scope, status: status, outputs: outputs[...])
        expansion.line = line
        do throws(Expansion.Stop) {
            return try body(&expansion)
        } catch {
            switch error {
            case .failure(let failure):
                complain(failure.description)
                status = failureStatus ?? failure.status
                if scope.isFull { cancelStatus = status } else { noteFailureToBegin() }
            case .fatal(let failure):
                complain(failure.description)
                // As in bash, where `bash -c` could not do it either.
                cancelStatus = scope.isCommandText && failure.status == 1 ? 127 : failure.status
            case .line(let failure):
                complain(failure.description)
                guard let failureStatus else {
                    giveUpLine(1)
                    break
                }
                status = failureStatus
                noteFailureToBegin()
            case .output(let script):
                let inner = scope.copy()
                expansion.changes.takeBack()
                substitute(script, inner, outputs, again)
            case .sink(let script):
                let inner = scope.copy()
                expansion.changes.takeBack()
                guard let name = startReader(script, inner) else { break }
                push(again(outputs + [name]))
            }
            return nil
        }
    }

    /// Gives a variable a value; false if that would break a bound, which has been said.
    func set(_ name: String, _ value: String) -> Bool {
        do throws(CommandFailure) {
            try scope.set(name, value)
            return true
        } catch {
            complain(error.description)
            status = error.status
            // What grows in a loop must not go on growing.
            if scope.isFull { cancelStatus = error.status }
            return false
        }
    }

    func step(_ command: SimpleCommand, _ outputs: [String]) {
        line = command.position.line
        if !isTrapping, !isDebugging { scope.currentCommand = .simple(command) }
        let expanded = expand(
            outputs,
            { (expansion) throws(Expansion.Stop) in
                // Later values may use earlier ones: `x=1 y=$x`.
                var shown: [String] = []
                for assignment in command.assignments {
                    if !command.words.isEmpty, assignment.elements == nil,
                        expansion.scope.hasAttributes(expansion.scope.target(assignment.name), .readOnly)
                    {
                        // As in bash, the command runs all the same.
                        complain("\(assignment.name): readonly variable")
                        continue
                    }
                    shown.append(try Self.assign(assignment, &expansion))
                }
                let assigned = expansion.changes.all
                let areTexts = expansion.changes.areTexts
                // They are for the command that follows, not for its words.
                if !command.words.isEmpty { expansion.changes.takeBack() }
                guard command.words.isEmpty || areTexts else {
                    throw Expansion.failure("an array only for one command is not known here; set it before")
                }
                let arguments = try expansion.arguments(command.words)
                var arrays: [(name: String, elements: ArrayElements, appends: Bool)] = []
                for array in command.arrays {
                    arrays.append(
                        (array.name, try Self.elements(array.elements ?? [], &expansion), array.appends))
                }
                var targets: [String] = []
                for redirection in command.redirections { targets.append(try expansion.target(redirection)) }
                if scope.options.traces, !command.isHidden { trace(shown, arguments, arrays) }
                return (assigned, arguments, arrays, targets)
            }, again: { .simple(command, outputs: $0) })
        guard let (assigned, arguments, arrays, targets) = expanded else { return }
        if outputs.isEmpty { status = arguments.isEmpty ? 0 : status }
        scope.lastWord = arguments.last ?? ""
        if !arguments.isEmpty, !assigned.isEmpty {
            push(.restoreVariables(assigned.map { ($0.name, scope.whole($0.name)) }))
            scope.temporaries = assigned.map(\.name)
            for (name, value) in assigned where !set(name, value) { return }
        }
        if !arrays.isEmpty { push(.assign(arrays)) }
        launch(arguments, zip(command.redirections, targets).map { ($0, $1) }, at: command.position)
    }

    /// Gives a variable, an element or an array its value, within an expansion that may be taken back.
    ///
    /// - Returns: how `set -x` shows it.
    private static func assign(
        _ assignment: SimpleCommand.Assignment, _ expansion: inout Expansion
    ) throws(Expansion.Stop) -> String {
        let sign = assignment.appends ? "+=" : "="
        if let elements = assignment.elements {
            let values = try self.elements(elements, &expansion)
            do throws(CommandFailure) {
                try expansion.changes.assign(assignment.name, values, appends: assignment.appends)
            } catch { throw expansion.scope.isFull ? .failure(error) : .line(error) }
            return assignment.name + sign + shown(values)
        }
        var name = assignment.name
        if let key = assignment.key { name = try expansion.element(name, key) }
        if name.hasSuffix("[@]") || name.hasSuffix("[*]"), !expansion.scope.isAssociative(assignment.name) {
            throw .line(CommandFailure("\(name): not one element", status: 1))
        }
        let added = try expansion.single(assignment.value)
        var value = added
        if assignment.appends {
            let old = expansion.value(name) ?? ""
            let isSum = expansion.scope.hasAttributes(assignment.name, .integer)
            value = isSum ? "\(old.isEmpty ? "0" : old)+(\(added))" : old + added
        }
        if expansion.scope.hasAttributes(expansion.scope.target(assignment.name), .readOnly) {
            throw .line(CommandFailure("\(assignment.name): readonly variable", status: 1))
        }
        do throws(Arithmetic.Failure) { try expansion.changes.assign(name, value) } catch {
            throw expansion.scope.isFull
                ? Expansion.failure(error.text) : .line(CommandFailure(error.text, status: 1))
        }
        return "\(name)\(sign)\(added.isEmpty ? "" : ShellQuoting.traced(added))"
    }

    /// `(a [2]='b c')`
    static func shown(_ elements: ArrayElements) -> String {
        let words = elements.map { ($0.key.map { "[\($0)]=" } ?? "") + ShellQuoting.traced($0.value) }
        return "(" + words.joined(separator: " ") + ")"
    }

    /// The elements of `(…)`: words are split and files found as those of a command, values behind a subscript not.
    private static func elements(
        _ elements: [SimpleCommand.Assignment.Element], _ expansion: inout Expansion
    ) throws(Expansion.Stop) -> ArrayElements {
        var result: ArrayElements = []
        for element in elements {
            if let key = element.key {
                let text = try expansion.single(key)
                result.append((text, try expansion.single(element.value)))
            } else {
                for value in try expansion.arguments([element.value]) { result.append((nil, value)) }
            }
        }
        return result
    }

    func assign(_ arrays: [(name: String, elements: ArrayElements, appends: Bool)]) {
        guard status == 0 else { return }
        for (name, elements, appends) in arrays {
            do throws(CommandFailure) {
                try scope.setArray(name, elements, appends: appends, isForced: true)
            } catch {
                complain(error.description)
                status = error.status
                if scope.isFull { cancelStatus = status }
            }
        }
    }

    func launch(_ arguments: [String], _ redirections: [(Redirection, String)], at position: Position) {
        let number = session.nextProcessNumber()
        guard let streams = redirected(redirections) else { return }
        var arguments = arguments
        var mayBeFunction = true
        if arguments.count > 2, arguments[0] == "command", arguments[1] == "-p" { arguments.remove(at: 1) }
        while arguments.count > 1, arguments[0] == "command" || arguments[0] == "builtin", !arguments[1].hasPrefix("-")
        {
            if arguments[0] == "builtin", !Builtins.isBuiltin(arguments[1], session) { break }
            arguments.removeFirst()
            mayBeFunction = false
        }
        if arguments.first == "exec", arguments != ["exec", "--help"] {
            guard takeOver(&arguments, streams) else { return }
        }
        guard let name = arguments.first else { return streams.closeOpened() }
        if mayBeFunction, let body = scope.functions[name] {
            return call(name, body, Array(arguments.dropFirst()), streams)
        }
        if runText(arguments, streams) { return }
        if session.commands[name] == nil, name.contains("/"), session.files.size(name) != nil,
            !session.files.isDirectory(name)
        {
            // A script of the lab's, by its path.
            arguments.insert("bash", at: 0)
        }
        guard let command = session.commands[arguments[0]] else {
            streams.error.write("\(session.prefix(position))\(session.commands.unknown(name))\n")
            status = 127
            return streams.closeOpened()
        }
        let process = Process(
            number: number, words: arguments, session: session, submission: submission, input: streams.input,
            output: streams.output, errorOutput: streams.error, previousStatus: status)
        process.execution = self
        process.descriptors = streams.others
        let failuresBefore = streams.output.failureCount
        children = children.filter(\.isRunning) + [process]
        if let job {
            process.job = job
            job.processes.append(process)
        }
        isWaiting = true
        process.onExit = { [weak self] status in
            streams.closeOpened()
            guard let self else { return }
            // As SIGPIPE does: a loop ends that writes into a pipe nobody reads any more.
            if !streams.changed.contains(1), (streams.output as? Unclosable)?.wroteInVain == true {
                cancelStatus = Self.brokenPipeStatus
            }
            // What could not be written is no success.
            let hasFailed = streams.output.failureCount > failuresBefore
            resume(hasFailed && (status == 0 || status == Self.brokenPipeStatus) ? 1 : status)
        }
        process.onReady = { [weak self, unowned process] in
            // A service in the foreground gives its terminal back once it is up, and goes on as a job.
            guard let self, job == nil else { return }
            process.onExit = nil
            session.detach(process, text: arguments.joined(separator: " "))
            let finishJob = process.onExit
            process.onExit = { status in
                streams.closeOpened()
                finishJob?(status)
            }
            resume(0)
        }
        session.start(process, command)
    }
}
