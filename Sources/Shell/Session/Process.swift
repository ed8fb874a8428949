import CommandKit
import KernelStructures
import KernelWorld

/// One running command: its words, where it reads and writes, and the node that it runs on.
///
/// A service runs on a node of its own, with a name and an address. A client runs on a transient node at the lab's own
/// address. Either way timers and connections belong to the node, and end when the process does, however it ends.
public final class Process {
    public let number: Int
    public let words: [String]
    public let session: Session
    public let submission: Submission
    public var terminal: Terminal { submission.terminal }
    public let output: any ByteSink
    public let errorOutput: any ByteSink
    let input: (any ByteSource)?
    /// Descriptors from 3 on.
    var descriptors: [Int: Descriptor] = [:]
    /// Others than what it is given that it reads, or has read.
    var otherSources: [any ByteSource] = []
    /// `$?` where it was started.
    public let previousStatus: Int
    /// What runs it: builtins look at it and change it.
    weak var execution: Execution?
    /// The job it belongs to, if it is one the user can name.
    public internal(set) weak var job: Job?
    public private(set) var status: Int?
    public private(set) var isReady = false
    public private(set) var isHolding = false
    /// A service: it goes on beside the terminal once it is ready.
    public private(set) var isService = false
    private var program: (any Program)?
    private var clientNode: Node?
    private var serviceNode: Node?
    private var companions: [Node] = []
    /// Commands that it runs itself.
    var runs: [CommandRun] = []
    /// Bytes of the file that it reads, where that is all it is given; nil otherwise.
    public var inputByteCount: Int? { (input as? StoredSource)?.byteCount }
    private let startedAt: LabTime
    /// Called once, at the end.
    var onExit: ((Int) -> Void)?
    /// Called once, when it is over, however it ends: by a program that would go on otherwise.
    public var whenOver: (() -> Void)?
    /// Called once, when a service accepts requests.
    var onReady: (() -> Void)?

    init(
        number: Int, words: [String], session: Session, submission: Submission, input: (any ByteSource)?,
        output: any ByteSink, errorOutput: any ByteSink, previousStatus: Int
    ) {
        self.previousStatus = previousStatus
        self.number = number
        self.words = words
        self.session = session
        self.submission = submission
        self.input = input
        self.output = output
        self.errorOutput = errorOutput
        startedAt = session.world.now
    }

    public var name: String { words.first.map { $0.split(separator: "/").last.map(String.init) ?? $0 } ?? "" }
    public var isRunning: Bool { status == nil }
    public var isFrozen: Bool { node.isFrozen }

    /// The node it runs on.
    public var node: Node {
        if let serviceNode { return serviceNode }
        if let clientNode { return clientNode }
        let node = session.world.nodes.startClient()
        clientNode = node
        return node
    }

    /// Gives a service its node. The name may get a number if another node has it.
    public func startNode(_ name: String) throws(NetworkError) -> Node {
        let node = try session.world.nodes.start(name)
        isService = true
        serviceNode = node
        session.remember(words, ofNode: node.name)
        node.onEnd = { [weak self] state in
            // Somebody ended the node itself, not the process: a crash.
            if self?.isRunning == true { self?.finish(state == .killed || state == .poweredOff ? 137 : 0) }
        }
        return node
    }

    /// Starts another node that lives and ends with this process: a database that comes with a test, for instance.
    public func startCompanion(_ name: String) throws(NetworkError) -> Node {
        let node = try session.world.nodes.start(name)
        companions.append(node)
        return node
    }

    /// The name of a service's node.
    public var nodeName: String? { serviceNode?.name }

    func run(_ program: any Program) {
        self.program = program
        program.start()
    }

    /// A service accepts requests now; its terminal is free.
    public func ready() {
        guard !isReady, isRunning else { return }
        isReady = true
        let callback = onReady
        onReady = nil
        callback?()
        job?.becameReady()
    }

    /// A client that has done what it was asked for and now only stays (a lock that is held, a consumer that follows):
    /// whoever types the next command may send it to the background.
    public func hold() { isHolding = true }

    /// The job that it brought to the foreground, if that is all it does.
    var awaitedJob: Job? { (program as? any JobWaiting)?.awaitedJob }

    /// Whether a terminal waits for it, so that nobody types there meanwhile: it never left the foreground, or `fg` has
    /// brought it back.
    public var isInForeground: Bool {
        guard let job else { return true }
        return session.terminals.values.contains { terminal in
            terminal.foreground?.processes.contains { $0.awaitedJob === job } ?? false
        }
    }

    /// Whether `q` ends it, or what it has brought to the foreground.
    var isLookedAt: Bool {
        (program as? any Watchable)?.isLookedAt ?? awaitedJob?.running.contains { $0.isLookedAt } ?? false
    }

    /// What it can tell about itself, if it is a component that can.
    public var component: (any Component)? { program as? any Component }

    /// Ends the process. Its sockets are closed as a kernel does; whoever wants more waits before it calls this.
    public func exit(_ status: Int) {
        guard isRunning else { return }
        let node = serviceNode
        finish(status)
        node?.end(.exited)
    }

    private func finish(_ status: Int) {
        self.status = status
        serviceNode?.onEnd = nil
        input?.close()
        for source in otherSources { source.pause() }
        otherSources = []
        terminal.forget(self)
        clientNode?.end(.exited)
        if let clientNode { session.world.nodes.forget(clientNode) }
        for companion in companions { companion.end(status == 137 ? .killed : .exited) }
        companions = []
        for run in runs { run.abandon() }
        runs = []
        comeToAnEnd()
        program = nil
        onReady = nil
        session.ended(self, status)
        let callback = onExit
        onExit = nil
        callback?(status)
    }

    private func comeToAnEnd() {
        let callback = whenOver
        whenOver = nil
        callback?()
    }

    /// The session is over: lets go of everything, and tells nobody.
    func abandon() {
        serviceNode?.onEnd = nil
        comeToAnEnd()
        program = nil
        companions = []
        onReady = nil
        onExit = nil
    }

    /// - Returns: what a power failure took from the disk.
    @discardableResult
    func receive(_ signal: Signal) -> PowerLossReport? {
        guard isRunning else { return nil }
        switch signal {
        case .kill, .power:
            let node = serviceNode
            finish(137)
            let loss = node?.end(signal == .power ? .poweredOff : .killed)
            // A client has no disk that could forget.
            return signal == .power && node != nil ? PowerLossReport(loss: loss) : nil
        case .stop: node.freeze()
        case .continue: node.thaw()
        default:
            // A frozen process receives it once it is thawed.
            let node = self.node
            node.whenRunning { [self] in
                guard isRunning, program?.handle(signal) != true else { return }
                exit(128 + signal.number)
            }
        }
        return nil
    }

    // MARK: Text

    public func print(_ text: String) { output.write(text + "\n") }
    /// Says on standard error what is wrong. What it quotes from outside cannot steer a terminal: see `printable`.
    public func complain(_ text: String) { errorOutput.write(printable("\(name): \(text)", keeping: "\n\t") + "\n") }

    /// Complains, and ends; nothing if it has ended already.
    public func fail(_ text: String, status: Int = 1) {
        guard isRunning else { return }
        complain(text)
        exit(status)
    }

    /// Ends the shell that it runs in, as `exit` does: a subshell, or the lab.
    public func exitShell(_ status: Int) {
        if let execution { execution.exitShell(status) } else { session.exit(status) }
    }

    /// A signal to `$$`, the shell that the terminal's command runs in: its trap, or its end.
    ///
    /// - Parameter signal: nil: only whether it is there.
    /// - Returns: false where nothing runs.
    public func signalShell(_ signal: Signal?) -> Bool {
        guard let shell = terminal.foreground ?? job?.execution ?? execution else { return false }
        guard let signal else { return true }
        if signal == .stop || signal == .continue { return true }
        if shell.scope.traps[signal.rawValue]?.isEmpty == true { return true }
        // Where a trap goes on from there, it was sent.
        shell.statusBehindTrap = shell === execution ? 0 : shell.status
        shell.cancel(128 + signal.number)
        return true
    }

    /// As `exit` and `return` of more words than one: what else stands on the line is given up.
    public func giveUpLine(_ status: Int) { execution?.giveUpLine(status) }

    /// Gives a variable of the shell that it runs in a value, as `printf -v` does.
    ///
    /// - Throws: where the name is none of a variable, or the value does not fit.
    public func setVariable(_ variable: String, _ value: String) throws {
        guard let execution else { throw CommandFailure("only within a script, or at the prompt") }
        try execution.scope.set(try Builtins.place(variable, execution.scope, status: 2), value)
    }

    /// Whether its output is neither a pipe nor a file.
    public var writesToTerminal: Bool { output is TerminalSink }

    /// Whether something was given to it to read, other than the terminal.
    public var hasInput: Bool { input != nil }

    public var runningTime: LabDuration { session.world.now - startedAt }
}
