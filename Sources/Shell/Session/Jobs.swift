import KernelStorage
import KernelStructures
import KernelWorld
import ShellLanguage

/// Something that runs beside the terminals and has a number: `%1`.
public final class Job {
    public let number: Int
    public let text: String
    public let terminal: Terminal
    /// The typed command that it came from.
    public let submission: Submission
    public internal(set) var processes: [Process] = []
    /// Nil once it has ended.
    var execution: Execution?
    public private(set) var status: Int?
    /// Somebody sent it a signal that may end it, so its end is no news.
    public private(set) var wasToldToEnd = false
    private var waiters: [(Int) -> Void] = []
    private var readyWaiters: [(Int?) -> Void] = []

    init(number: Int, text: String, submission: Submission) {
        self.number = number
        self.text = text
        self.submission = submission
        terminal = submission.terminal
    }

    public var isRunning: Bool { status == nil }
    public var isFrozen: Bool { isRunning && !running.isEmpty && running.allSatisfy(\.isFrozen) }
    public var running: [Process] { processes.filter(\.isRunning) }
    public var isService: Bool { processes.contains { $0.isService } }
    /// The node it is about, if it is a service.
    public var nodeName: String? { processes.last { $0.nodeName != nil }?.nodeName }

    public var state: String { !isRunning ? "done" : isFrozen ? "frozen" : "running" }

    func finish(_ status: Int) {
        guard isRunning else { return }
        self.status = status
        execution = nil
        let waiters = self.waiters
        self.waiters = []
        becameReady(status)
        for waiter in waiters { waiter(status) }
    }

    /// A service in it accepts requests now, or it has ended with a status.
    func becameReady(_ status: Int? = nil) {
        let waiters = readyWaiters
        readyWaiters = []
        for waiter in waiters { waiter(status) }
    }

    /// Calls back once: with nil when a service in it is ready, with the status if it ends before.
    public func whenReadyOrFinished(_ action: @escaping (Int?) -> Void) {
        if status != nil || processes.contains(where: \.isReady) { action(status) } else { readyWaiters.append(action) }
    }

    /// Calls back with the status, at once if it has ended already.
    public func whenFinished(_ action: @escaping (Int) -> Void) {
        if let status { action(status) } else { waiters.append(action) }
    }

    /// Sends a signal to everything that runs in it.
    public func send(_ signal: Signal) -> [PowerLossReport] {
        let receivers = running
        let status = 128 + signal.number
        let mayBeHandled = [.stop, .continue, .hangUp, .user1, .user2].contains(signal)
        if !mayBeHandled { wasToldToEnd = true }
        // Before the signal: what a process leaves on its way out is then the job's status.
        if !mayBeHandled { execution?.end(status) }
        let reports = receivers.compactMap { $0.receive(signal) }
        if mayBeHandled, !receivers.isEmpty, !receivers.contains(where: \.isRunning) { execution?.end(status) }
        return reports
    }
}

/// What a power failure did, for whoever caused it.
public struct PowerLossReport: Sendable {
    /// nil: the disk cannot forget, because it is the host's own.
    public let loss: PowerLoss?
    init(loss: PowerLoss?) { self.loss = loss }
}

/// The jobs of a session by number.
public struct JobTable {
    public private(set) var all: [Job] = []

    /// Jobs at a time; more are refused.
    public static let limit = 10_000

    public var running: [Job] { all.filter(\.isRunning) }

    /// Numbers begin at 1 and go on from the highest in use, as in a shell.
    mutating func add(text: String, submission: Submission) -> Job {
        all.removeAll { !$0.isRunning }
        let job = Job(number: (all.map(\.number).max() ?? 0) + 1, text: text, submission: submission)
        all.append(job)
        return job
    }

    /// Finds a job by `%2`, `2` after a percent sign, `%name`, `%%` (the newest), or the name of its node.
    public func find(_ reference: String, orEnded: Bool = false) -> Job? {
        let running = orEnded ? all : running
        if reference == "%%" || reference == "%+" || reference == "%" { return running.last }
        let name = reference.hasPrefix("%") ? String(reference.dropFirst()) : reference
        if reference.hasPrefix("%"), let number = Int(name) { return running.first { $0.number == number } }
        return running.last { $0.nodeName?.lowercased() == name.lowercased() }
            ?? running.last { reference.hasPrefix("%") && $0.text.hasPrefix(name) }
    }
}

extension Execution {
    /// Moves what runs here into the background, as a job.
    func becomeJob(_ job: Job) {
        job.execution = self
        for process in processes {
            process.job = job
            job.processes.append(process)
        }
        belong(to: job)
    }

    private func belong(to job: Job) {
        self.job = job
        for part in allParts { part.belong(to: job) }
    }
}

extension Session {
    /// Starts a service beside the terminals, from words that need no expansion.
    public func startService(_ words: [String], for submission: Submission) -> Job? {
        let place = Position(line: 1, column: 1)
        var command = SimpleCommand(position: place)
        command.words = words.map { Word(parts: [.text($0, isQuoted: true)], position: place) }
        let statement = Statement(
            first: Pipeline(commands: [.simple(command)]), rest: [], isBackground: false, position: place,
            text: words.joined(separator: " "))
        return startJob(statement, submission: submission, streams: .init(), scope: scope)
    }
}
