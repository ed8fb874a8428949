import CommandKit
import KernelStorage
import KernelStructures
import KernelWorld
import ShellLanguage

/// What a session lets its surroundings see: text for a terminal, log lines, news about jobs.
public enum SessionEvent {
    /// A command begins to run.
    case submitted(Submission)
    /// A line was typed into the program that occupies a terminal.
    case typed(Terminal, String)
    case output(Submission, isError: Bool, bytes: [UInt8])
    /// A log line that passed the filter.
    case log(LogLine, node: String?, time: LabTime)
    /// A note of the lab's own: a mapped port, a client sent to the background.
    case notice(String)
    case jobStarted(Job)
    case jobEnded(Job)
    /// Somebody pressed Ctrl-C in a terminal where something ran.
    case interrupted(Terminal)
    /// How far something is that takes its time; it replaces what was said before, and nil takes it back. Only for
    /// whoever looks on: it is no output.
    case progress(String?)
}

/// The lab as somebody at its terminals has it: commands, jobs, files and variables around one World.
///
/// A session knows nothing of prompts, transcripts or host terminals. Whoever drives it submits lines and hears
/// `SessionEvent`s. All of it runs on the World's loop, but commands begin only between two rounds of the loop
/// (`pump`), never inside one, so a command may itself move time.
public final class Session {
    public let world: World
    public let commands: CommandTable
    public let files: LabFiles
    /// The variables of the terminals, which all of them share.
    let scope = VariableScope()
    public var variables: [String: String] { scope.values }
    public var aliases: [String: CommandAlias] { scope.aliases }
    public var functionNames: [String] { scope.functions.keys.sorted() }
    public private(set) var jobs = JobTable()
    public internal(set) var terminals: [Int: Terminal] = [:]
    public private(set) var currentTerminal: Terminal!
    public var renderer = ViewRenderer()
    /// Whether what was shown can be taken back by a terminal's control sequences.
    public var repaints = false
    /// Events so far: tells whether anything was shown since somebody looked.
    public private(set) var shownCount = 0
    public var logFilter = LogFilter()
    /// Hears everything; set by whoever drives the session.
    public var observer: ((SessionEvent) -> Void)?
    /// Hears everything, too, after the observer: a recorder.
    public var listener: ((SessionEvent) -> Void)?
    /// Runs a host command (`!cmd`): nil where there is no host.
    public var hostRunner: ((String, @escaping (Int, String?) -> Void) -> Void)?
    /// Runs a program of the host that only turns bytes into bytes; nil where there is no host. Tests have it, too.
    public var hostFilter: HostFilterRunner?
    /// Reads and writes files of the host for `put`, `get` and their like; nil where that is refused.
    public var hostFiles: (any HostFiles)?
    /// What the command `record` does; nil where there is nothing to record.
    public var recorder: ((_ path: String?) throws -> String)?
    /// Plays tours; nil where nobody could answer.
    public weak var tourGuide: (any TourGuide)?
    /// What was typed, oldest first; nil where nothing is remembered.
    public var typedLines: (() -> [String])?
    /// Goes back to what was; nil where nobody could.
    public weak var traveller: (any TimeTraveller)?
    /// What came from outside so far: enough to run the session again.
    public let inputs = SessionInputs()
    /// Where time ends for whoever moves it: past a moment that was gone back to, nothing is run again.
    public var timeLimit = LabTime.distantFuture
    /// Makes a fresh lab; nil where that is not possible.
    public var resetter: (() -> Void)?
    /// Asked by commands that work for long without giving way: has the user interrupted?
    public var interruptCheck: () -> Bool = { false }
    public var isInterrupted: Bool { interruptCheck() }
    /// Nobody types: a program that reads its terminal finds the end of input.
    public var hasNoKeyboard = false
    /// Set by `exit`: the status with which the whole is to end.
    public private(set) var exitStatus: Int?
    /// A tool that runs as a process of its own: no lab around it.
    public let isProcess: Bool
    /// The last token that an engine issued: what a literal `eyJ...` stands for.
    public var lastToken: String?
    /// `file:` before the position of an error, where a script has a name.
    public var scriptName: String?

    private var runnable = RingQueue<Execution>()
    /// Executions that have not come to their end, at most `Execution.countLimit`.
    var executionCount = 0
    private var processCount = 0
    private var submissionCount = 0
    private var hostCommands = 0
    private var commandLines: [String: [String]] = [:]
    let randomVariable: RandomVariable
    let secondsVariable: SecondsVariable
    private var stepsAtThisTime = 0
    private var timeOfSteps: LabTime
    private(set) var isStuck = false
    /// Commands begin and end now: what they do is no input.
    private var isPumping = false

    /// Steps of the language at one moment of virtual time after which a session counts as stuck.
    static let stepLimit = 2_000_000
    /// Terminals a lab may have.
    public static let terminalLimit = 100

    public init(world: World, commands: CommandTable, isProcess: Bool = false, directory: String = "/") {
        self.world = world
        self.commands = commands
        self.isProcess = isProcess
        files = LabFiles(disk: world.disk, directory: directory)
        timeOfSteps = world.now
        randomVariable = RandomVariable(world)
        secondsVariable = SecondsVariable(world)
        currentTerminal = terminal(1)
        world.journal.observer = { [unowned self] event in hear(event) }
        world.onNotice = { [unowned self] text in notice(text) }
    }

    /// Ends everything that runs. The session is of no use afterwards, and nothing that ran in it holds it any more.
    public func shutDown() {
        observer = nil
        listener = nil
        hostRunner = nil
        hostFiles = nil
        recorder = nil
        resetter = nil
        interruptCheck = { false }
        let waiting = jobs.all.compactMap(\.execution) + terminals.values.compactMap(\.foreground)
        world.shutDown()
        for execution in waiting { execution.abandon() }
        while let execution = runnable.popFirst() { execution.abandon() }
        for process in jobs.all.flatMap(\.processes) { process.abandon() }
        for terminal in terminals.values { terminal.clear() }
        jobs = JobTable()
    }

    // MARK: Events

    func emit(_ event: SessionEvent) {
        shownCount += 1
        observer?(event)
        listener?(event)
    }
    public func notice(_ text: String) { emit(.notice(text)) }

    /// Says how far something is, where somebody looks on.
    public func showProgress(_ text: String?) { if repaints { observer?(.progress(text)) } }

    private func hear(_ event: JournalEvent) {
        inputs.noteEvent(event)
        guard case .log(let line) = event.body, logFilter.shows(line) else { return }
        emit(.log(line, node: event.node, time: event.time))
    }

    // MARK: Terminals

    /// The terminal of that number; it is there once somebody asks for it.
    public func terminal(_ number: Int) -> Terminal {
        if let known = terminals[number] { return known }
        let terminal = Terminal(number: number, session: self)
        terminals[number] = terminal
        return terminal
    }

    public func switchTerminal(to number: Int) {
        if !isPumping { inputs.note(.terminalChosen(number), in: world) }
        currentTerminal = terminal(number)
    }

    // MARK: Running

    /// Runs a script in a terminal's foreground, which must be free.
    ///
    /// - Parameters:
    ///   - input: what its commands read instead of what is typed into the terminal.
    ///   - isInput: false where the lab itself has it run, as it would if all were run again.
    @discardableResult
    public func submit(
        _ script: Script, on terminal: Terminal, text: String, stopsAtFailure: Bool = false,
        input: (any ByteSource)? = nil, isInput: Bool = true
    ) -> Submission {
        precondition(!terminal.isBusy, "terminal \(terminal.number) is busy")
        var command: UInt64 = 0
        world.journal.withCause(0) { command = world.journal.record(.command(terminal: terminal.number, text)) }
        clearStuck()
        submissionCount += 1
        let submission = Submission(number: submissionCount, terminal: terminal, text: text, event: command)
        if isInput {
            inputs.note(.submitted(script, submission, stopsAtFailure: stopsAtFailure), in: world)
        }
        let execution = Execution(
            script, session: self, submission: submission, streams: .init(input: input), stopsAtFailure: stopsAtFailure,
            status: terminal.lastStatus
        ) { [unowned self] execution in
            terminal.lastStatus = execution.status
            submission.finish(execution.status, at: world.now)
            if terminal.foreground === execution { terminal.foreground = nil }
            if let job = execution.job { finish(job, execution.status) }
        }
        execution.isMain = true
        execution.streams.others = terminal.descriptors
        execution.lasting = terminal.openedDescriptors
        (terminal.descriptors, terminal.openedDescriptors) = ([:], [:])
        terminal.foreground = execution
        makeRunnable(execution)
        emit(.submitted(submission))
        return submission
    }

    func makeRunnable(_ execution: Execution) {
        if execution.isQueued { return }
        execution.isQueued = true
        runnable.append(execution)
    }
    public var hasRunnable: Bool { !runnable.isEmpty && exitStatus == nil }

    /// Lets executions that can work do so. Must not be called from within the World's loop.
    ///
    /// It comes back after a bounded number of turns even if the language never stops: the network, the clock and
    /// Ctrl-C need theirs.
    public func pump() {
        var turns = 0
        let wasPumping = isPumping
        isPumping = true
        defer { isPumping = wasPumping }
        while turns < Self.turnsPerRound, !isStuck, exitStatus == nil, let execution = runnable.popFirst() {
            execution.isQueued = false
            // What a command does is the doing of whoever typed it.
            world.journal.withCause(execution.submission.event) { execution.run() }
            turns += 1
        }
    }

    private static let turnsPerRound = 1000

    /// Counts a step of the language; too many at one moment mean that time will never move on.
    func countStep() {
        if world.now != timeOfSteps {
            timeOfSteps = world.now
            stepsAtThisTime = 0
        }
        stepsAtThisTime += 1
        if stepsAtThisTime > Self.stepLimit, world.speed == .virtual { isStuck = true }
    }

    func clearStuck() {
        isStuck = false
        stepsAtThisTime = 0
    }

    func nextProcessNumber() -> Int {
        processCount += 1
        return processCount
    }

    func start(_ process: Process, _ command: Command) {
        do {
            let description = command.description
            let arguments = try ParsedArguments(process.words.dropFirst(), for: description)
            if arguments.wantsHelp { return showPage(of: arguments.description, process) }
            switch try command.body(Invocation(name: description.name, arguments: arguments, process: process)) {
            case .done(let status): process.exit(status)
            case .view(let view):
                process.output.write(process.text(of: view, for: arguments))
                process.exit(0)
            case .running(let program): process.run(program)
            }
        } catch let error as UsageError {
            process.errorOutput.write(error.text + "\n")
            process.exit(command.description.usageStatus)
        } catch let error as CommandFailure {
            if !error.description.isEmpty { process.complain(error.description) }
            process.exit(error.status)
        } catch {
            process.complain("\(error)")
            process.exit(1)
        }
    }

    func ended(_ process: Process, _ status: Int) {
        world.journal.record(.exit(command: process.name, status: status))
    }

    /// `script.sdl:3:5: `, where that is known.
    func prefix(_ position: Position) -> String {
        scriptName.map { "\($0):\(position.line):\(position.column): " } ?? ""
    }

    public func exit(_ status: Int) { exitStatus = status }

    func replacingTokens(_ text: String) -> String {
        guard let lastToken, text.contains("eyJ...") else { return text }
        return text.replacing("eyJ...", with: lastToken)
    }

    /// Of a transcript's own; what does not fit is left out.
    public func setVariable(_ name: String, _ value: String) { try? scope.set(name, value) }

    // MARK: Jobs

    /// Starts a statement beside the terminals.
    ///
    /// - Parameter scope: whose variables it gets a copy of.
    func startJob(
        _ statement: Statement, submission: Submission, streams: Execution.Streams, scope: VariableScope
    ) -> Job? {
        guard jobs.all.count < JobTable.limit else {
            notice("no more than \(JobTable.limit) jobs at a time")
            return nil
        }
        let job = jobs.add(text: statement.text, submission: submission)
        let execution = Execution(
            Script(statements: [statement]), session: self, submission: submission, streams: streams,
            scope: scope.copy()
        ) { [unowned self] execution in finish(job, execution.status) }
        execution.job = job
        job.execution = execution
        makeRunnable(execution)
        emit(.jobStarted(job))
        return job
    }

    func remember(_ words: [String], ofNode name: String) { commandLines[name.lowercased()] = words }
    /// How a node was started last.
    public func commandLine(ofNode name: String) -> [String]? { commandLines[name.lowercased()] }

    /// A service that was started in the foreground goes on as a job.
    func detach(_ process: Process, text: String) {
        let job = jobs.add(text: text, submission: process.submission)
        job.processes = [process]
        process.job = job
        process.onExit = { [unowned self] status in finish(job, status) }
        emit(.jobStarted(job))
    }

    /// Sends what occupies a terminal to the background.
    @discardableResult
    public func sendToBackground(_ terminal: Terminal) -> Job? {
        guard let execution = terminal.foreground else { return nil }
        inputs.note(.sentToBackground(terminal: terminal.number), in: world)
        if let process = execution.processes.first, let job = process.awaitedJob {
            // `fg`, and then back again: the job has its number.
            process.exit(0)
            return job
        }
        let job = jobs.add(
            text: execution.processes.first?.words.joined(separator: " ") ?? "", submission: execution.submission)
        execution.becomeJob(job)
        terminal.foreground = nil
        emit(.jobStarted(job))
        return job
    }

    private func finish(_ job: Job, _ status: Int) {
        guard job.isRunning else { return }
        job.finish(status)
        emit(.jobEnded(job))
    }

    // MARK: Signals

    /// Ctrl-C in a terminal: SIGINT to what occupies it.
    ///
    /// - Parameter isInput: false where the lab itself has it interrupted, as it would if all were run again.
    public func interrupt(_ terminal: Terminal, isInput: Bool = true) {
        guard let execution = terminal.foreground else { return }
        emit(.interrupted(terminal))
        if isInput { inputs.note(.interrupted(terminal: terminal.number), in: world) }
        // A frozen process hears nothing, and must not keep its terminal.
        let isFrozen = execution.processes.contains(where: \.isFrozen)
        let status = 128 + Signal.interrupt.number
        if isFrozen { execution.cancel(status) } else { execution.end(status) }
        for process in execution.processes { process.receive(.interrupt) }
    }

    /// Whether a command of the host is running, which lives in the host's time.
    public var waitsForHost: Bool { hostCommands > 0 }

    func runHostCommand(_ line: String, errorOutput: any ByteSink, whenDone: @escaping (Int) -> Void) {
        guard let hostRunner else {
            errorOutput.write(
                "!\(line): commands of the machine are refused in scripts; sdlab run --allow-host lets them run\n")
            world.enqueue { whenDone(126) }
            return
        }
        hostCommands += 1
        let ticket = inputs.beginHostCommand()
        let start = world.now
        hostRunner(line) { [self] status, complaint in
            hostCommands -= 1
            inputs.endHostCommand(ticket, .init(status: status, complaint: complaint, took: world.now - start))
            if let complaint { errorOutput.write(complaint + "\n") }
            whenDone(status)
        }
    }
}
