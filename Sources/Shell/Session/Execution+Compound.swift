import CommandKit
import KernelRegularExpressions
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
                    if GlobPattern(try expansion.pattern(pattern)).matches(subject) { return true }
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
            let computed = expand(
                outputs, { (expansion) throws(Expansion.Stop) in try expansion.number(sum) },
                again: { .countedLoop(loop, stage, outputs: $0) }, failureStatus: 1)
            guard let computed else { return }
            value = computed
        }
        switch stage {
        case .first, .step: push(.countedLoop(loop, .condition, outputs: []))
        case .condition where value == 0: break
        case .condition, .body:
            push(.countedLoop(loop, .step, outputs: []))
            push(.script(loop.body, next: 0))
        }
    }

    // MARK: [[

    func step(_ condition: Conditional, _ position: Position, _ outputs: [String]) {
        let isTerminal = { [streams] (number: Int) in
            self.isTerminal(number, output: streams.output, error: streams.error, input: streams.input)
        }
        let holds = expand(
            outputs,
            { [session] (expansion) throws(Expansion.Stop) in
                try ConditionalEvaluation(files: session.files, isTerminal: isTerminal).holds(condition, &expansion)
            }, again: { .conditional(condition, position, outputs: $0) })
        if let holds { status = holds ? 0 : 1 }
    }

    // MARK: Subshells

    func startSubshell(_ script: Script) {
        guard mayNest() else { return }
        let directory = session.files.directory
        isWaiting = true
        let part = Execution(
            script, session: session, submission: submission,
            streams: Streams(
                input: streams.input.map(BorrowedSource.init), output: streams.output.map(Unclosable.init),
                error: streams.error.map(Unclosable.init)),
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
        session.makeRunnable(part)
    }

    /// `exit`: a subshell, a stage of a pipeline or a job ends by itself, anything else the lab.
    func exitShell(_ status: Int) {
        guard isMain, scope.traps["EXIT"] == nil || isTrapping && endsSession else {
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
        _ name: String, _ body: CommandSyntax, _ arguments: [String], _ opened: OpenStreams,
        _ kinds: [Redirection.Kind]
    ) {
        use(opened, kinds)
        scope.beginCall(arguments, name: name)
        push(.endCall)
        start(body)
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

    /// A command has failed that is no condition: the whole ends, if that is wanted.
    func noteFailure() {
        if isMain { submission.noteFailure(status) }
        if endsAtFailure { drop(from: 0) }
    }

    /// Whether a command that fails, and is no condition, ends the whole.
    var endsAtFailure: Bool { scope.options.endsAtFailure ?? stopsAtFailure }
}

/// Decides what stands between `[[` and `]]`.
struct ConditionalEvaluation {
    let files: LabFiles
    let isTerminal: (Int) -> Bool

    func holds(_ condition: Conditional, _ expansion: inout Expansion) throws(Expansion.Stop) -> Bool {
        switch condition {
        case .word(let word): return try !expansion.single(word).isEmpty
        case .not(let inner): return try !holds(inner, &expansion)
        case .and(let a, let b):
            guard try holds(a, &expansion) else { return false }
            return try holds(b, &expansion)
        case .or(let a, let b):
            if try holds(a, &expansion) { return true }
            return try holds(b, &expansion)
        case .unary(let name, let word):
            let value = try expansion.single(word)
            if name == "-v" { return expansion.value(value) != nil || expansion.scope.holdsValue(value) }
            if name == "-o" { return expansion.scope.options.holds(value, session: expansion.session) }
            if name == "-t" { return isTerminal(Int(value) ?? -1) }
            return FileTest.unary(name, value, files) ?? false
        case .pattern(let word, let isNegated, let pattern):
            let value = try expansion.single(word)
            return GlobPattern(try expansion.pattern(pattern)).matches(value) != isNegated
        case .expression(let word, let text):
            let value = try expansion.single(word)
            let source = try expansion.expression(text)
            let match: RegularExpression.Match?
            do throws(RegularExpressionError) {
                match = try RegularExpression(source, .extended).firstMatch(in: value)
            } catch {
                throw Expansion.failure("[[ =~: \(error)")
            }
            return try remember(match, of: value, expansion.scope)
        case .binary(let left, let sign, let right):
            let a = try expansion.single(left)
            let b = try expansion.single(right)
            switch sign {
            case "<": return a < b
            case ">": return a > b
            case "-ef": return files.exists(a) && files.absolute(a) == files.absolute(b)
            default: break
            }
            let x = try number(a, expansion)
            return FileTest.compare(x, sign, try number(b, expansion)) ?? false
        }
    }

    /// `${BASH_REMATCH[n]}`: the match and its groups; after a text that does not match there are none.
    private func remember(
        _ match: RegularExpression.Match?, of value: String, _ scope: VariableScope
    ) throws(Expansion.Stop) -> Bool {
        var stale = 0
        while scope.value(of: "BASH_REMATCH[\(stale)]") != nil {
            scope.unset("BASH_REMATCH[\(stale)]")
            stale += 1
        }
        scope.unset("BASH_REMATCH")
        guard let match else { return false }
        let bytes = Array(value.utf8)
        do throws(CommandFailure) {
            for number in 0...match.groups.count {
                let text = match[number].map { String(decoding: bytes[$0], as: UTF8.self) } ?? ""
                try scope.set("BASH_REMATCH[\(number)]", text)
                if number == 0 { try scope.set("BASH_REMATCH", text) }
            }
        } catch {
            throw Expansion.failure(error.description)
        }
        return true
    }

    /// As in bash, a sum is allowed where a number is meant. A word alone is more likely a mistake than a variable that
    /// nobody has given a value.
    private func number(_ text: String, _ expansion: Expansion) throws(Expansion.Stop) -> Int {
        let isName = text.first.map { $0 == "_" || $0.isLetter } ?? false
        if isName, text.allSatisfy({ $0 == "_" || $0.isLetter || $0.isNumber }), text != "RANDOM",
            expansion.scope.value(of: text) == nil, expansion.scope.options.refusesUnset
        {
            throw Expansion.failure("[[: '\(Arithmetic.quoted(text))' is not a number, and no variable that has one")
        }
        do throws(Arithmetic.Failure) { return try Arithmetic(text).value(in: expansion.changes) } catch {
            throw Expansion.failure("[[: '\(Arithmetic.quoted(text))' is not a number: \(error.text)")
        }
    }
}

/// Tests of files and numbers: what `test`, `[` and `[[` have in common.
public enum FileTest {
    /// nil if there is no such test.
    public static func unary(_ name: String, _ value: String, _ files: LabFiles) -> Bool? {
        switch name {
        case "-n": return !value.isEmpty
        case "-z": return value.isEmpty
        // Whoever is at a terminal of the lab may do everything with its files.
        case "-e", "-a", "-r", "-w", "-x": return !value.isEmpty && files.exists(value)
        case "-f": return !value.isEmpty && files.exists(value) && !files.isDirectory(value)
        case "-d": return !value.isEmpty && files.isDirectory(value)
        // There are no links, pipes, sockets, devices or owners.
        case "-h", "-L", "-p", "-S", "-b", "-u", "-g", "-k": return false
        case "-c": return files.absolute(value) == "/dev/null"
        case "-O", "-G", "-N": return !value.isEmpty && files.exists(value)
        case "-s": return !value.isEmpty && files.size(value).map { $0 > 0 } ?? false
        default: return nil
        }
    }

    /// nil if `sign` does not compare numbers.
    public static func compare(_ a: Int, _ sign: String, _ b: Int) -> Bool? {
        switch sign {
        case "-eq": a == b
        case "-ne": a != b
        case "-lt": a < b
        case "-le": a <= b
        case "-gt": a > b
        case "-ge": a >= b
        default: nil
        }
    }
}
