import CommandKit
import KernelStructures
import ShellLanguage

/// One thread of control of the language: a terminal's foreground, a background job, a stage of a pipeline, a `$(…)`.
///
/// ## Why a machine with its own stack
///
/// A command may take any amount of lab time, and meanwhile other terminals go on, `kill` may end this one, and
/// Ctrl-C may. A recursive interpreter would hold its place on the host's stack and could do none of that without
/// threads. So the place is kept in `frames`, innermost last; `run` works until it has to wait, and whoever it waits
/// for makes it runnable again. To cancel it is to drop the frames.
public final class Execution {
    indirect enum Frame {
        case script(Script, next: Int)
        case statement(Statement, next: Int)
        /// `words`: as they were written, for `set -x`.
        case forLoop(variable: String, values: ArraySlice<String>, body: Script, words: [Word])
        case forWords(variable: String, words: [Word], body: Script, outputs: [String])
        case countedLoop(CommandSyntax.CountedLoop, CountedStage, outputs: [String])
        case whileLoop(condition: Script, isUntil: Bool, body: Script, LoopStage)
        case choice(branches: ArraySlice<CommandSyntax.Branch>, otherwise: Script?, ranCondition: Bool)
        case selection(Word, ArraySlice<CommandSyntax.Selection>, outputs: [String])
        /// The subject is expanded; `isTaken` after `;&`: the next body runs whatever its patterns.
        case selecting(String, ArraySlice<CommandSyntax.Selection>, isTaken: Bool, outputs: [String])
        case conditional(Conditional, Position, outputs: [String])
        case arithmetic(ArithmeticText, outputs: [String])
        case subshell(Script)
        case simple(SimpleCommand, outputs: [String])
        case redirected(CommandSyntax, [Redirection], outputs: [String])
        /// A redirected loop or condition is over: its files are closed, and everything is as before.
        case restore(Streams, changed: Set<Int>, opened: [any ByteSink])
        /// A command is over in which `>(…)` stood: what that reads has come to its end.
        case endReader(Int)
        /// The commands of a pipeline.
        case stages(Pipeline)
        /// A stage of a pipeline, which runs elsewhere.
        case nothing(SimpleCommand)
        /// Before it the trap of DEBUG runs, where there is one.
        case debugged(Frame)
        /// A function is over: its positional parameters and local variables go.
        ///
        /// `hasTrapped`: its trap of RETURN has run.
        case endCall(hasTrapped: Bool)
        /// A command is over before which variables were set only for it: `IFS=, read a b`.
        case restoreVariables([(name: String, value: ShellValue?)])
        /// `declare a=(…)`: the elements, once the command has said what the name is.
        case assign([(name: String, elements: ArrayElements, appends: Bool)])
        /// `select`: its words; the menu; what was chosen.
        case selectWords(variable: String, words: [Word], body: Script, outputs: [String])
        case selectRound(variable: String, values: [String], body: Script, showsMenu: Bool)
        case selectChosen(variable: String, values: [String], body: Script)
        /// A trap has run: the status is what it was before it. Of ERR, the failure counts now.
        case endTrap(Int, countsFailure: Bool, isDebug: Bool)
        /// `isSingle`: of one command, whose own status is `$PIPESTATUS`.
        case negate(isSingle: Bool)
        /// `exec COMMAND`: the shell ends with it.
        case leave
        /// `eval` is over, which `set -x` shows one deeper.
        case endEval
        /// `time`: the end of what it measures.
        case timed(since: LabTime, isShort: Bool)
        case host(String)
    }

    enum CountedStage { case first, condition, body, step }

    enum LoopStage {
        case entered
        /// The condition has run; `last` is the status of the body's last round, which becomes the loop's.
        case ranCondition(last: Int)
        case ranBody
    }

    let session: Session
    let terminal: Terminal
    let submission: Submission
    var streams: Streams
    let scope: VariableScope
    var frames: [Frame] = []
    public internal(set) var status = 0
    /// A script's habit: as `set -e`, until the script itself says something else.
    var stopsAtFailure: Bool
    /// What was typed itself, not a stage of a pipeline, a `$(…)` or a job of it.
    var isMain = false
    /// How deep in `$(…)` and `eval` it stands: `set -x` shows that.
    var traceDepth = 0
    /// What it was begun with.
    private let given: Streams
    /// What `exec > file` has opened, by the descriptor that it is.
    var lasting: [Int: any ByteSink] = [:]
    /// The same, of descriptors that lead elsewhere now, and come back.
    var putAside: [any ByteSink] = []
    /// What `>(…)` has begun, by the descriptor that leads there, and how that is written to.
    var readers: [Int: (part: Execution, entrance: PipeEntrance)] = [:]
    /// Those that go on when their command is over: `exec > >(…)`.
    var lateReaders: [Execution] = []
    /// Those that it waits for now.
    var awaitedReaders: [Execution] = []
    /// It has come to its end, but for `lateReaders`.
    var isLeaving = false
    /// Failures in it are conditions of somebody around it: `set -e` does not look at them.
    var isCondition = false
    var isWaiting = false
    var isFinished = false
    var isInRun = false
    /// Others go first in this round.
    var gaveWay = false
    /// It waits for its turn already.
    var isQueued = false
    var cancelStatus: Int?
    /// The line of the command that runs.
    var line = 1
    /// `$?` behind a trap that `kill $$` sets off; nil: what the signal means.
    var statusBehindTrap: Int?
    /// A trap runs: it does not set off another.
    var isTrapping = false
    /// That of DEBUG runs, which the commands of other traps have, too.
    var isDebugging = false
    /// `$?` in the trap of RETURN, where a function was left with `return`.
    var statusBeforeReturn: Int?
    /// The trap of EXIT runs once, whatever it sets.
    var hasRunExitTrap = false
    /// `exit` was said where the trap of EXIT comes before the end of all.
    var endsSession = false
    /// It began with the variables of somebody else, who goes on with them.
    var hasOwnTraps: Bool { !isMain || session.hasNoKeyboard || endsSession }
    /// Nothing more begins; what runs now may end in order.
    var isEnding = false
    var children: [Process] = []
    var parts: [Execution] = []
    /// How many executions are around it: a function may call itself through `$(…)`, a pipe or a subshell.
    var nesting = 0
    weak var job: Job?
    var onFinish: ((Execution) -> Void)?

    /// Steps in a row before others have their turn.
    static let stepsPerTurn = 1000
    static let frameLimit = 1000
    static let nestingLimit = 100
    static let nestingComplaint =
        "nested too deep: commands within commands, or something that calls itself without an end"
    static let brokenPipeStatus = 141

    init(
        _ script: Script, session: Session, submission: Submission, streams: Streams = Streams(),
        scope: VariableScope? = nil, stopsAtFailure: Bool = false, status: Int = 0,
        onFinish: @escaping (Execution) -> Void
    ) {
        self.session = session
        self.submission = submission
        terminal = submission.terminal
        self.streams = streams
        given = streams
        self.scope = scope ?? session.scope
        self.stopsAtFailure = stopsAtFailure
        self.status = status
        self.onFinish = onFinish
        session.executionCount += 1
        frames = [.script(script, next: 0)]
    }

    // MARK: Running

    /// Works until it has to wait or is done. Only called by the session, never from within the World's loop.
    func run() {
        if isInRun {
            // Its turn came while its own command lets the lab go on (`advance`): it goes on after that command.
            gaveWay = false
            return
        }
        isInRun = true
        gaveWay = false
        defer { isInRun = false }
        var steps = 0
        while !isFinished, !isWaiting, !gaveWay {
            if let status = session.exitStatus { cancelStatus = status }
            if let cancelStatus {
                if runSignalTrap(cancelStatus) { continue }
                status = cancelStatus
                if runExitTrap() { continue }
                if cancelStatus <= 128, waitsForReaders() { return }
                return finish()
            }
            if waitsForRoom() { return }
            guard let frame = frames.popLast() else {
                if runExitTrap() { continue }
                if waitsForReaders() { return }
                return finish()
            }
            steps += 1
            session.countStep()
            if steps > Self.stepsPerTurn {
                frames.append(frame)
                return session.makeRunnable(self)
            }
            step(frame)
        }
    }

    /// A loop that writes faster than its pipe is read waits between two commands.
    func waitsForRoom() -> Bool {
        guard let output = streams.output, output.isCongested, !output.isBroken, !frames.isEmpty else { return false }
        isWaiting = true
        output.onDrained = { [weak self] in
            guard let self else { return }
            resume(status)
        }
        return true
    }

    func resume(_ newStatus: Int) {
        guard isWaiting, !isFinished else { return }
        isWaiting = false
        status = newStatus
        if isEnding { cancelStatus = newStatus }
        giveWay()
    }

    /// Lets others have their turn, and comes back. After each command they do: what `kill` ended has then ended, and
    /// what `&` started has begun, before the next one runs.
    func giveWay() {
        if gaveWay { return }
        gaveWay = isInRun
        session.makeRunnable(self)
    }

    func finish() {
        isFinished = true
        session.executionCount -= 1
        drop(from: 0)
        for reader in lateReaders { reader.cancel(status) }
        leaveDescriptors()
        if endsSession, session.exitStatus == nil { session.exit(status) }
        given.close()
        let callback = onFinish
        onFinish = nil
        children = []
        callback?(self)
    }

    /// Ends it with a status, whatever it is waiting for. Its processes are the caller's affair.
    func cancel(_ status: Int) {
        guard !isFinished else { return }
        cancelStatus = status
        for part in allParts { part.cancel(status) }
        if isWaiting {
            isWaiting = false
            giveWay()
        }
    }

    /// Ends it with the command that runs now, which may have been asked to stop and takes its time: what that leaves
    /// is the status, and nothing follows. With no command under way it ends at once, with `status`.
    func end(_ status: Int) {
        guard !isFinished else { return }
        guard !processes.isEmpty else { return cancel(status) }
        isEnding = true
        for part in allParts { part.end(status) }
    }

    /// The processes that run in it now, those of its parts included.
    var processes: [Process] { children.filter(\.isRunning) + allParts.flatMap(\.processes) }

    /// All that runs because of it.
    var allParts: [Execution] { parts + readers.values.map(\.part) + lateReaders }

    /// Whether it waits for something, rather than for its turn.
    var isBlocked: Bool { isWaiting }

    // MARK: Frames

    func push(_ frame: Frame) {
        if frames.count >= Self.frameLimit {
            complain(Self.nestingComplaint)
            cancelStatus = 2
        } else {
            frames.append(frame)
        }
    }

    func step(_ frame: Frame) {
        switch frame {
        case .script(let script, let next):
            guard next < script.statements.count else { return }
            push(.script(script, next: next + 1))
            push(.statement(script.statements[next], next: 0))
        case .statement(let statement, let next): step(statement, next)
        case .forWords(let variable, let words, let body, let outputs):
            let values = expand(
                outputs, { (expansion) throws(Expansion.Stop) in try expansion.arguments(words) },
                again: { .forWords(variable: variable, words: words, body: body, outputs: $0) })
            guard let values else { return }
            if values.isEmpty { status = 0 }
            push(.debugged(.forLoop(variable: variable, values: values[...], body: body, words: words)))
        case .forLoop(let variable, var values, let body, let words):
            guard let value = values.popFirst() else { return }
            guard set(variable, value) else { return noteFailureToBegin() }
            if scope.options.traces { trace(variable, words) }
            push(.debugged(.forLoop(variable: variable, values: values, body: body, words: words)))
            push(.script(body, next: 0))
        case .whileLoop(let condition, let isUntil, let body, .ranCondition(let last)):
            guard (status == 0) != isUntil else {
                status = last
                return
            }
            push(.whileLoop(condition: condition, isUntil: isUntil, body: body, .ranBody))
            push(.script(body, next: 0))
        case .whileLoop(let condition, let isUntil, let body, let stage):
            let last = if case .ranBody = stage { status } else { 0 }
            push(.whileLoop(condition: condition, isUntil: isUntil, body: body, .ranCondition(last: last)))
            push(.script(condition, next: 0))
        case .choice(let branches, let otherwise, let ranCondition): step(branches, otherwise, ranCondition)
        case .countedLoop(let loop, let stage, let outputs): step(loop, stage, outputs)
        case .selection(let word, let branches, let outputs):
            if outputs.isEmpty { trace(case: word) }
            select(word, branches, outputs)
        case .selecting(let subject, let branches, let isTaken, let outputs):
            select(subject, branches, isTaken: isTaken, outputs)
        case .conditional(let condition, let position, let outputs): step(condition, position, outputs)
        case .arithmetic(let text, let outputs):
            if outputs.isEmpty { trace(text) }
            let value = expand(
                outputs, { (expansion) throws(Expansion.Stop) in try expansion.number(text) },
                again: { .arithmetic(text, outputs: $0) }, failureStatus: 1)
            if let value { status = value == 0 ? 1 : 0 }
        case .subshell(let script): startSubshell(script)
        case .endCall(let hasTrapped): endCall(hasTrapped: hasTrapped)
        case .debugged(let inner):
            push(inner)
            if inner.isDue { runDebugTrap() }
        case .stages(let pipeline): startStages(pipeline)
        case .nothing: break
        case .endReader(let number): endReader(number)
        case .restoreVariables(let before):
            scope.temporaries = []
            scope.restore(before)
        case .assign(let arrays): assign(arrays)
        case .endTrap(let before, let countsFailure, let isDebug):
            endTrap(before, countsFailure: countsFailure, isDebug: isDebug)
        case .selectWords(let variable, let words, let body, let outputs):
            let values = expand(
                outputs, { (expansion) throws(Expansion.Stop) in try expansion.arguments(words) },
                again: { .selectWords(variable: variable, words: words, body: body, outputs: $0) })
            guard let values else { return }
            status = 0
            if !values.isEmpty {
                push(.selectRound(variable: variable, values: values, body: body, showsMenu: true))
            }
        case .selectRound(let variable, let values, let body, let showsMenu):
            askForChoice(variable, values, body, showsMenu: showsMenu)
        case .selectChosen(let variable, let values, let body): choose(variable, values, body)
        case .simple(let command, let outputs): step(command, outputs)
        case .redirected(let command, let redirections, let outputs): step(command, redirections, outputs)
        case .restore(let previous, let changed, let opened): restore(previous, changed, opened)
        case .negate(let isSingle):
            if isSingle { scope.pipeStatus = [status] }
            status = status == 0 ? 1 : 0
        case .leave: exitShell(status)
        case .endEval: traceDepth -= 1
        case .timed(let start, let isShort): showTime(since: start, isShort: isShort)
        case .host(let line):
            isWaiting = true
            session.runHostCommand(line, errorOutput: errorSink) { [weak self] in self?.resume($0) }
        }
    }

    func step(_ statement: Statement, _ next: Int) {
        if statement.isBackground { return startInBackground(statement) }
        if next > 0 { notePipeStatus(next == 1 ? statement.first : statement.rest[next - 2].pipeline) }
        if next > 0, status != 0, endsAtFailure || isMain || scope.traps["ERR"] != nil,
            failureCounts(statement, last: next - 1)
        {
            if runErrorTrap() { return }
            noteFailure()
            if endsAtFailure { return }
        }
        if next == 0 {
            line = statement.position.line
            push(.statement(statement, next: 1))
            return start(statement.first)
        }
        for index in (next - 1)..<statement.rest.count {
            let link = statement.rest[index]
            guard (link.operator == .and) == (status == 0) else { continue }
            push(.statement(statement, next: index + 2))
            return start(link.pipeline)
        }
    }
}
