import KernelClock
import KernelLoopback
import KernelStructures
import KernelWorld
import ShellLab
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
    /// The last byte on the screen ended a line.
    var isAtLineStart = true

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
        signals = SignalWatch(poller, [.interrupt, .terminate, .hangUp, .suspend, .windowChange]) { [unowned self] in
            hear($0)
        }
        reader = (options.canEdit ? LineEditor(self, keyboard, output) : nil) ?? PlainReader(self, keyboard, output)
        adopt(session)
        for line in options.greeting { show(line + "\n") }
        typedHistory = TypedHistory(file: options.historyFile) { [unowned self] in complain($0) }
        for entry in history.entries { reader.remember(entry) }
        runStartupFile()
        while !isOver {
            // A program that a transcript left in the foreground gets what is typed.
            if session.currentTerminal.isReading {
                follow(session.currentTerminal, submission: nil)
            } else if !readAndRun() {
                break
            }
            if wantsReset { replaceLab() }
        }
        let status = endStatus ?? session.exitStatus ?? 0
        leave()
        return status
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
        session.interruptCheck = { [unowned self] in isInterrupted || endStatus != nil }
        // Not at once: the session is still running the command that asks for it.
        session.resetter = { [unowned self] in wantsReset = true }
        onSession?(session)
    }

    private func replaceLab() {
        wantsReset = false
        do {
            let fresh = try makeLab(poller)
            onSessionEnd?()
            followed = nil
            lab = fresh
            adopt(session)
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

    // MARK: What is shown

    private func hear(_ event: SessionEvent) {
        onEvent?(event)
        if let text = notice(event) {
            show(text)
        } else if let (bytes, _) = events.render(event) {
            show(bytes)
        }
    }

    /// Prints text, above the line being typed if there is one.
    public func show(_ text: String) { show(Array(text.utf8)) }
    public func complain(_ text: String) { show("sdlab: \(text)\n") }

    private func show(_ bytes: [UInt8]) {
        guard let last = bytes.last else { return }
        if isEditing {
            pending += bytes
        } else {
            output.write(bytes, isError: false)
            isAtLineStart = last == 10
        }
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
            if isEditing {
                interruption = .interrupted
                keyboard.discard()
            } else {
                // The kernel has echoed ^C.
                show("\n")
                session.interrupt(followed ?? session.currentTerminal)
            }
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
        guard let followed, let job = session.sendToBackground(followed) else { return }
        show("\n" + events.faint("[\(job.number)]  in the background  \(job.text)") + "\n")
    }
}
