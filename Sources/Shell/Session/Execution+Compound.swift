import CommandKit
import KernelStructures
import ShellLanguage

/// `case`, `for ((`, `[[`, subshells and functions, and what `set -e` looks at.
extension Execution {
    // MARK: case

    func select(_ word: Word, _ branches: ArraySlice<CommandSyntax.Selection>, _ outputs: [String]) {
        let subject = expand(
            outputs, { (expansion) throws(Expansion.Stop) in try expansion.single(word) },
            again: { .selection(word, branches, outputs: $0) })
        guard let subject else { return }
        push(.selecting(subject, branches, isTaken: false, outputs: []))
    }

    func select(
        _ subject: String, _ branches: ArraySlice<CommandSyntax.Selection>, isTaken: Bool, _ outputs: [String]
    ) {
        guard let branch = branches.first else {
            // None of them was meant, or the last one that was fell through the end.
            if !isTaken { status = 0 }
            return
        }
        let matches = expand(
            outputs,
            { (expansion) throws(Expansion.Stop) in
                if isTaken { return true }
                for pattern in branch.patterns {
                    let pieces = try expansion.pattern(pattern)
                    if expansion.fits(subject, pieces) { return true }
                }
                return false
            }, again: { .selecting(subject, branches, isTaken: isTaken, outputs: $0) })
        guard let matches else { return }
        let rest = branches.dropFirst()
        guard matches else { return push(.selecting(subject, rest, isTaken: false, outputs: [])) }
        if branch.body.statements.isEmpty { status = 0 }
        if branch.ending != .leaves {
            push(.selecting(subject, rest, isTaken: branch.ending == .fallsThrough, outputs: []))
        }
        push(.script(branch.body, next: 0))
    }

    // MARK: for ((

    func step(_ loop: CommandSyntax.CountedLoop, _ stage: CountedStage, _ outputs: [String]) {
        let sum =
            switch stage {
            case .first: loop.first
            case .condition: loop.condition
            case .step: loop.step
            case .body: ArithmeticText?.none
            }
        var value = 1
        if let sum {
            if outputs.isEmpty { trace(sum) }
            let computed = expand(
                outputs, { (expansion) throws(Expansion.Stop) in try expansion.number(sum) },
                again: { .countedLoop(loop, stage, outputs: $0) }, failureStatus: 1)
            guard let computed else { return }
            value = computed
        }
        switch stage {
        case .first, .step: push(.debugged(.countedLoop(loop, .condition, outputs: [])))
        case .condition where value == 0: break
        case .condition, .body:
            push(.debugged(.countedLoop(loop, .step, outputs: [])))
            push(.script(loop.body, next: 0))
        }
    }

    // MARK: [[

    func step(_ condition: Conditional, _ position: Position, _ outputs: [String]) {
        let isTerminal = { [streams] (number: Int) in
            self.isTerminal(number, output: streams.output, error: streams.error, input: streams.input)
        }
        var tests: [String] = []
        let holds = expand(
            outputs,
            { [session, scope] (expansion) throws(Expansion.Stop) in
                tests = []
                return try ConditionalEvaluation(
                    files: session.files, isTerminal: isTerminal,
                    onTest: scope.options.traces ? { tests.append($0) } : nil
                ).holds(condition, &expansion)
            }, again: { .conditional(condition, position, outputs: $0) })
        guard let holds else { return }
        for test in tests { trace("[[ \(test) ]]") }
        status = holds ? 0 : 1
    }

    // MARK: Subshells

    func startSubshell(_ script: Script) {
        guard mayNest() else { return }
        let directory = session.files.directory
        isWaiting = true
        let part = Execution(
            script, session: session, submission: submission,
            streams: streams.borrowed(output: streams.output.map(Unclosable.init)),
            scope: scope.copy(), status: status
        ) { [weak self] part in
            guard let self else { return }
            parts = []
            session.files.returnTo(directory)
            resume(part.status)
        }
        parts = [part]
        part.job = job
        part.isCondition = isInCondition
        part.stopsAtFailure = stopsAtFailure
        part.nesting = nesting + 1
        part.traceDepth = traceDepth
        session.makeRunnable(part)
    }

    /// `exit`: a subshell, a stage of a pipeline or a job ends by itself, anything else the lab.
    func exitShell(_ status: Int) {
        guard isMain, scope.traps["EXIT"] == nil || isTrapping && endsSession, lateReaders.isEmpty, readers.isEmpty
        else {
            endsSession = isMain
            cancelStatus = status
            return
        }
        session.exit(status)
    }

    // MARK: Functions

    func define(_ name: String, _ body: CommandSyntax) {
        do throws(CommandFailure) {
            try scope.define(name, body)
            status = 0
        } catch {
            complain(error.description)
            status = error.status
        }
    }

    func call(
        _ name: String, _ body: CommandSyntax, _ arguments: [String], _ opened: OpenStreams
    ) {
        use(opened)
        scope.beginCall(arguments, name: name)
        push(.endCall(hasTrapped: false))
        start(body)
        // With set -T, the call itself is followed by one for the body.
        if scope.traps["DEBUG"] != nil { runDebugTrap() }
    }

    /// `return`: unwinds to the end of the innermost function.
    ///
    /// - Returns: false if there is none.
    func leaveFunction(_ status: Int) -> Bool {
        guard let index = frames.lastIndex(where: { if case .endCall = $0 { true } else { false } }) else {
            // A subshell of a function's ends instead.
            guard scope.isInFunction else { return false }
            cancelStatus = status
            return true
        }
        drop(from: index + 1)
        statusBeforeReturn = self.status
        return true
    }

    // MARK: set -e

    /// Whether what runs now is the condition of something: of a loop, an `if`, `&&`, `||` or `!`.
    var isInCondition: Bool {
        isCondition
            || frames.contains { frame in
                switch frame {
                case .whileLoop(_, _, _, .ranCondition), .choice(_, _, ranCondition: true), .negate: true
                case .statement(let statement, let next): next <= statement.rest.count
                default: false
                }
            }
    }

    /// Whether a statement whose pipeline number `last` has just failed ends a shell with `set -e` (POSIX 2.8.1, and
    /// the description of `set`).
    func failureCounts(_ statement: Statement, last: Int) -> Bool {
        // In `a && b` only the last one counts: a failure of `a` decides whether `b` runs.
        guard last == statement.rest.count, !isInCondition else { return false }
        let pipeline = last == 0 ? statement.first : statement.rest[last - 1].pipeline
        guard !pipeline.isNegated, let command = pipeline.commands.last else { return false }
        return pipeline.commands.count > 1 || Self.failsByItself(command)
    }

    /// Whether a command's failure is its own: what failed inside of a loop or a group has been looked at there.
    private static func failsByItself(_ command: CommandSyntax) -> Bool {
        switch command {
        case .forLoop, .countedLoop, .selectLoop, .whileLoop, .choice, .selection, .group: false
        case .redirected(let inner, _): failsByItself(inner)
        case .simple, .subshell, .definition, .conditional, .arithmetic, .host: true
        }
    }

    /// A compound command could not begin: its words, or a file of its redirections. Nothing inside of it has failed.
    func noteFailureToBegin() { if endsAtFailure || isMain, !isInCondition { noteFailure() } }

    /// What cannot be understood while it runs, such as a division by zero: as in bash, the rest of the line is given
    /// up, with all that stands around it; a subshell ends.
    func giveUpLine(_ status: Int) {
        self.status = status
        guard isMain, case .script(let script, var next)? = frames.first, next > 0 else {
            cancelStatus = status
            return
        }
        drop(from: 1)
        let given = script.statements[next - 1]
        let last = given.position.line + given.text.count(where: \.isLineEnd)
        while next < script.statements.count, script.statements[next].position.line <= last { next += 1 }
        frames = [.script(script, next: next)]
        noteFailure()
    }

    /// A command has failed that is no condition: the whole ends, if that is wanted.
    func noteFailure() {
        if isMain { submission.noteFailure(status) }
        if endsAtFailure { drop(from: 0) }
    }

    /// Whether a command that fails, and is no condition, ends the whole.
    var endsAtFailure: Bool { scope.options.endsAtFailure ?? stopsAtFailure }
}
