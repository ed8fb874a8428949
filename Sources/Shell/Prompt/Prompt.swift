import CommandKit
import KernelClock
import KernelLoopback
import KernelStructures
import KernelWorld
import ShellLab
import ShellLanguage
import ShellSession

/// The interactive prompt: somebody types, and the lab goes on meanwhile.
///
/// ## The problem
///
/// A prompt waits for keys, a lab for timers and sockets, and both write to the same screen. The usual way out is a
/// thread for each and a lock between them; then a log line tears the line being typed apart, Ctrl-C reaches the wrong
/// one, and nobody can say in which order things happened.
///
/// ## An everyday picture
///
/// A telegraph clerk at one desk. While the customer thinks about the next word, the clerk lets the wires tick, and
/// pins each telegram that arrives above the form on the desk without smudging it. There is one clerk, so there is
/// one order of events.
///
/// ## How
///
/// One thread. The line reader asks for the next key, and until there is one the lab's loop turns (`turn`); the
/// keyboard and the signals are descriptors of that same loop. While a command runs, the session is driven until the
/// command is done (`Prompt+Foreground`), and the terminal belongs to the kernel's own line editing, for host commands
/// and programs that read.
public final class Prompt: LineReaderHost {
    public struct Options {
        /// The first lines on the screen.
        public var greeting: [String] = []
        /// A script to run first; nil for none.
        public var startupFile: String?
        /// Where what was typed is kept; nil for this session only.
        public var historyFile: String?
        public var usesColor = false
        /// The terminal understands escape sequences.
        public var canEdit = true
        public init() {}
    }

    /// The lab that is typed into. `reset` replaces it.
    public private(set) var lab: Lab
    public var session: Session { lab.session }
    /// Runs a transcript in the live session; without it, only its commands are run.
    public var runTranscript: ((String) -> Void)?
    /// Hears each command before it is run, and the terminal that it is typed into.
    public var onTyped: ((_ text: String, _ terminal: Int) -> Void)?
    /// Hears everything that the session tells, before it is shown.
    public var onEvent: ((SessionEvent) -> Void)?
    /// Hears of each session, at the start and after `reset`, so that it can be given what it needs.
    public var onSession: ((Session) -> Void)?
    /// Sees what was typed before it is run; true if that is all that is to be done with it.
    public var onLine: ((String) -> Bool)?
    /// Called before each prompt, when nothing runs in the foreground: what it runs stands above the prompt.
    public var beforePrompt: (() -> Void)?
    /// Called when a session is about to end, by `reset` or because the lab is left.
    public var onSessionEnd: (() -> Void)?

    let options: Options
    let poller: Poller
    let output = HostOutput()
    let keyboard: Keyboard
    private let makeLab: (Poller) throws -> Lab
    private let bridge: HostBridge
    private let events: EventText
    private(set) var reader: (any LineReader)!
    private var typedHistory: TypedHistory!
    private var signals: SignalWatch?

    /// Somebody is at the line: what is to be shown goes above it.
    var isEditing = false
    private var pending: [UInt8] = []
    private var interruption: TypedLine?
    /// Ctrl-C was pressed since the last command began.
    var isInterrupted = false
    /// The terminal whose foreground runs.
    var followed: Terminal?
    /// The status with which a signal ends the lab.
    var endStatus: Int?
    var wantsReset = false
    /// Ctrl-D was answered with a question.
    var wasAskedToLeave = false
    /// The nodes that have written log lines of a tag: with more than one, lines name theirs.
    private var nodesOfTags: [String: Set<String>] = [:]
    /// The last byte on the screen ended a line.
    var isAtLineStart = true
    /// What was understood last: Enter asks whether a text is whole, and then it is run.
    var understood: (text: String, typed: TypedText, script: Result<Script, SyntaxError>?)?
    /// A line that says how far something is stands on the screen.
    private var hasProgress = false

    /// - Throws: `NetworkError` or `DiskError` if there can be no such lab.
    public init(_ options: Options, poller: Poller, makeLab: @escaping (Poller) throws -> Lab) throws {
        self.options = options
        self.poller = poller
        self.makeLab = makeLab
        lab = try makeLab(poller)
        bridge = HostBridge(poller)
        keyboard = Keyboard(poller)
        events = EventText(usesColor: options.usesColor)
    }

    /// Lets somebody type until the lab is left. Returns the status to end with.
    public func run() -> Int {
        signals = SignalWatch(poller, [.interrupt, .quit, .terminate, .hangUp, .suspend, .windowChange]) {
            [unowned self] in hear($0)
        }
        reader = (options.canEdit ? LineEditor(self, keyboard, output) : nil) ?? PlainReader(self, keyboard, output)
        adopt(session)
        for line in options.greeting { tell(line) }
        typedHistory = TypedHistory(file: options.historyFile) { [unowned self] in complain($0) }
        for entry in history.entries { reader.remember(entry) }
        runStartupFile()
        settle()
        while !isOver {
            // A program that a transcript left in the foreground gets what is typed.
            if session.currentTerminal.isReading {
                follow(session.currentTerminal, submission: nil)
            } else if !readAndRun() {
                break
            }
            isInterrupted = false
            settle()
        }
        let status = endStatus ?? session.exitStatus ?? 0
        leave()
        return status
    }

    /// Does what commands have asked for that none can do while it runs.
    private func settle() {
        beforePrompt?()
        if wantsReset {
            replaceLab()
            beforePrompt?()
        }
    }

    var isOver: Bool { endStatus != nil || session.exitStatus != nil }

    // MARK: Labs

    /// Makes a session show what it tells here, and lets it use the host.
    private func adopt(_ session: Session) {
        bridge.connect(session)
        session.renderer.usesColor = options.usesColor
        session.renderer.columns = reader.columns
        session.repaints = options.canEdit
        session.observer = { [unowned self] in hear($0) }
        session.typedLines = { [unowned self] in history.entries }
        session.interruptCheck = { [unowned self] in
            isAskedToStop || SignalWatch.isPending(.interrupt, .quit, .terminate, .hangUp)
        }
        // Not at once: the session is still running the command that asks for it.
        session.resetter = { [unowned self] in wantsReset = true }
        onSession?(session)
    }

    /// Has a fresh lab made before the next prompt.
    public func requestFreshLab() { wantsReset = true }
    /// Whether a fresh lab will be made before the next prompt.
    public var isFreshLabDue: Bool { wantsReset }

    /// Ctrl-C was pressed, or the whole is to end: whoever works for long gives up.
    public var isAskedToStop: Bool { isInterrupted || endStatus != nil }

    /// Whether a line that was shown can be taken back.
    public var repaints: Bool { options.canEdit }

    /// Goes on in another lab. The present one ends unless somebody holds it.
    public func move(to other: Lab) {
        onSessionEnd?()
        followed = nil
        nodesOfTags = [:]
        lab = other
        adopt(session)
    }

    private func replaceLab() {
        wantsReset = false
        do {
            move(to: try makeLab(poller))
        } catch {
            complain("no fresh lab: \(error)")
        }
    }

    /// Ends what runs, in order where that is quick.
    private func leave() {
        onSessionEnd?()
        session.observer = nil
        for job in session.jobs.running { _ = job.send(.terminate) }
        let deadline = HostClock.monotonicNanoseconds + 500_000_000
        isInterrupted = false
        while session.jobs.running.contains(where: { !$0.running.isEmpty }), !isInterrupted,
            HostClock.monotonicNanoseconds < deadline
        {
            session.pump()
            session.world.turn(longestWait: .milliseconds(20))
        }
        reader = nil
        signals?.cancel()
    }

    // MARK: What the reader asks

    func turn() {
        session.pump()
        session.world.turn(longestWait: session.hasRunnable || !pending.isEmpty ? .zero : .seconds(1))
        session.pump()
        let lines = takePending(isWhole: false)
        if !lines.isEmpty { reader.printAbove(lines) }
    }

    func takeInterruption() -> TypedLine? {
        defer { interruption = nil }
        return interruption ?? (endStatus == nil ? nil : .ended)
    }

    func currentPrompt() -> PromptText { PromptText(session, usesColor: options.usesColor && options.canEdit) }
    var history: TypedHistory { typedHistory }
    func complete(_ text: String) -> Completer.Completion { Completer(session).complete(text) }
    func isUnfinished(_ text: String) -> Bool {
        if case .failure(let error)? = understand(text).script { return error.isIncomplete }
        return false
    }
    func paint(_ text: String) -> LinePaint {
        LinePaint(
            text, commands: session.commands, history: history.entries,
            own: Set(session.aliases.keys).union(session.functionNames))
    }
    var usesColor: Bool { options.usesColor }

    // MARK: What is shown

    private func hear(_ event: SessionEvent) {
        onEvent?(event)
        if case .progress(let text) = event { return showProgress(text) }
        if let text = notice(event) ?? namedLine(event) {
            show(whole(text))
        } else if let (bytes, isError) = events.render(event) {
            if isError || isLog(event) { show(whole(String(decoding: bytes, as: UTF8.self))) } else { show(bytes) }
        }
    }

    private func isLog(_ event: SessionEvent) -> Bool { if case .log = event { true } else { false } }

    /// What people are to read, its long lines broken between words. Output stays as it is: it may be copied.
    private func whole(_ text: String) -> String {
        let columns = max(10, session.renderer.columns)
        guard text.utf8.count > columns else { return text }
        return text.split(separator: "\n", omittingEmptySubsequences: false)
            .map { displayWidth(String($0)) > columns ? wrapped(String($0), columns: columns, indent: 2) : String($0) }
            .joined(separator: "\n")
    }

    /// Prints text, above the line being typed if there is one.
    public func show(_ text: String) { show(Array(text.utf8)) }
    public func complain(_ text: String) { tell(printable("sdlab: \(text)", keeping: "\n\t")) }
    /// Prints a sentence, broken between words where the terminal is narrower.
    public func tell(_ sentence: String) { show(whole(sentence) + "\n") }

    private func show(_ bytes: [UInt8]) {
        guard let last = bytes.last else { return }
        showProgress(nil)
        if isEditing {
            pending += bytes
        } else {
            output.write(bytes, isError: false)
            isAtLineStart = last == 10
        }
    }

    /// Puts a line that says how far something is in the place of the last one, below what was printed.
    private func showProgress(_ text: String?) {
        guard options.canEdit, !isEditing, hasProgress || text != nil else { return }
        let start = isAtLineStart || hasProgress ? "" : "\n"
        isAtLineStart = true
        hasProgress = text != nil
        output.write(start + "\r\u{1B}[K" + (text.map { events.faint($0) } ?? ""))
    }

    /// What waits to be shown: only whole lines, unless all of it is wanted, which then ends in a newline.
    func takePending(isWhole: Bool) -> [UInt8] {
        guard let end = pending.lastIndex(of: 10), !isWhole else {
            if !isWhole || pending.isEmpty { return [] }
            defer { pending = [] }
            return pending.last == 10 ? pending : pending + [10]
        }
        let lines = Array(pending[...end])
        pending.removeFirst(end + 1)
        return lines
    }

    /// A log line with its node's name, where several nodes write lines of its tag.
    private func namedLine(_ event: SessionEvent) -> String? {
        guard case .log(let line, let node?, _) = event else { return nil }
        nodesOfTags[line.tag, default: []].insert(node)
        let alive = nodesOfTags[line.tag]!.filter { session.world.nodes[$0]?.isAlive == true }
        guard alive.count > 1 else { return nil }
        return events.line(line, node: node) + "\n"
    }

    /// A job that ended is news, unless it was told to end.
    private func notice(_ event: SessionEvent) -> String? {
        guard case .jobEnded(let job) = event, !job.wasToldToEnd else { return nil }
        let state = job.status == 0 ? "done" : "exit \(job.status ?? 0)"
        let start = isEditing && pending.last.map { $0 != 10 } ?? false ? "\n" : ""
        return start + events.faint("[\(job.number)]  \(state)  \(job.text)") + "\n"
    }

    // MARK: Signals

    private func hear(_ signal: SignalWatch.HostSignal) {
        switch signal {
        case .interrupt:
            isInterrupted = true
            // As the kernel does with what it holds: what was typed ahead is given up, too.
            keyboard.discard()
            if isEditing {
                interruption = .interrupted
            } else {
                // The kernel has echoed ^C.
                show("\n")
                session.interrupt(followed ?? session.currentTerminal)
            }
        // Ctrl-\: as in other shells it ends what runs, and never the shell.
        case .quit: if !isEditing { session.interrupt(followed ?? session.currentTerminal) }
        case .suspend: if !isEditing { suspend() }
        case .windowChange:
            reader.resize()
            session.renderer.columns = reader.columns
        case .terminate: end(.terminate)
        case .hangUp: end(.hangUp)
        default: break
        }
    }

    private func end(_ signal: Signal) {
        endStatus = 128 + signal.number
        if !isEditing { session.interrupt(followed ?? session.currentTerminal) }
    }

    private func suspend() {
        // It would go on reading what is typed: the machine's programs share the prompt's terminal.
        if session.waitsForHost { return show("\nsdlab: a program of the machine stays in front; Ctrl-C ends it\n") }
        guard let followed, let job = session.sendToBackground(followed) else { return }
        show("\n" + events.faint("[\(job.number)]  in the background  \(job.text)") + "\n")
    }
}
