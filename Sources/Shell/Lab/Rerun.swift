import KernelClock
import KernelLoopback
import KernelStructures
import KernelWorld
import ShellLanguage
import ShellSession

/// Runs what happened in a session again, from its seed, up to a moment of its past, in a lab of its own.
///
/// ## The problem
///
/// "What would have happened if I had killed the other one?" Nobody can turn a running system back: what its sockets,
/// threads and timers hold cannot be copied out of them.
///
/// ## An everyday picture
///
/// A chess game. Nobody photographs each position; one writes down the moves, and whoever wants to see the position
/// after the twelfth plays twelve moves on another board. That needs a game in which nothing but the moves decides.
///
/// ## How
///
/// The lab is such a game where its time is virtual and its connections are in memory. `SessionInputs` has the moves,
/// each with its lab time. The other board is a `Lab` in memory whose clock is held: time goes from timer to timer up
/// to the next input, which is done at its moment. Afterwards both stories are laid side by side (`StoryComparison`).
///
/// ## Where it is wrong
///
/// Where the clock followed the host's, or bytes went over sockets, things came a little later than they come now, so
/// only their order at each place and roughly their times can be compared. If something was decided by such a little,
/// the comparison finds it, and nobody goes back. Programs outside the lab cannot be run again at all.
public final class Rerun {
    public enum Failure: Error, Equatable {
        /// Why there is no way back, as a sentence without a period.
        case refused(String)
        case interrupted
    }

    private let original: Session
    private let inputs: SessionInputs
    private let options: LabOptions
    private let poller: Poller?
    /// The moment that is gone to.
    private let end: LabTime
    /// What was done from here on is not done again.
    private let cut: Int
    /// A command that was typed at the very end, and took time, is not begun again.
    private let leavesLast: Bool
    /// Everything has to come at the same nanosecond again.
    private let isExact: Bool
    /// Asked now and then with how far it is; true ends it.
    private let isInterrupted: (_ done: LabDuration, _ total: LabDuration) -> Bool

    private var session: Session!
    private var next = 0
    /// The submission that runs.
    private var current: Submission?
    private var hostCommandCount = 0
    /// Those that have begun again and not ended: by their numbers, how they ended then, and who waits for it.
    private var hostCommands: [Int: (outcome: SessionInputs.HostCommand?, whenDone: (Int, String?) -> Void)] = [:]
    private var wasInterrupted = false

    /// - Parameters:
    ///   - lab: whose past it is.
    ///   - cut: how many of its inputs belong to the past that is wanted.
    ///   - poller: what the new lab follows once it is there; nil in one that stays in virtual time.
    /// - Throws: `.refused` where it is known at once that there is no way back.
    public init(
        _ lab: Lab, to moment: PastMoment, before cut: Int, poller: Poller?,
        isInterrupted: @escaping (_ done: LabDuration, _ total: LabDuration) -> Bool
    ) throws(Failure) {
        original = lab.session
        inputs = lab.session.inputs
        isExact = lab.options.net == .memory && !lab.session.inputs.followedClock
        self.poller = poller
        self.isInterrupted = isInterrupted
        if let obstacle = Self.obstacle(of: lab) { throw .refused(obstacle) }
        (end, self.cut, leavesLast) = try Self.place(moment, in: lab, before: min(cut, inputs.entries.count))
        var options = lab.options
        options.net = .memory
        options.speed = .virtual
        options.exposesLocalhost = false
        self.options = options
    }

    /// Why a lab cannot go back at all, whatever happened in it; nil if it can.
    public static func obstacle(of lab: Lab) -> String? {
        if lab.options.root != nil { return "the lab's files are the host's own (--root), and have no past" }
        if lab.world.outsideCount > 0 {
            return "programs outside the lab took part, and cannot be run again; reset begins a lab without them"
        }
        return lab.session.inputs.gap
    }

    private static func place(
        _ moment: PastMoment, in lab: Lab, before cut: Int
    ) throws(Failure) -> (end: LabTime, cut: Int, leavesLast: Bool) {
        let now = lab.world.now
        switch moment {
        case .now: return (now, cut, false)
        case .ago(let duration):
            guard duration <= lab.world.elapsed else {
                throw .refused("the lab is only \(lab.world.elapsed.rounded) old")
            }
            return (now - duration, cut, true)
        case .beforeLastCommand:
            let entries = lab.session.inputs.entries
            let last = entries[..<cut].lastIndex { entry in
                guard case .submitted(let script, let submission, _) = entry.kind else { return false }
                return changesSomething(script, submission.text, lab.session.commands)
            }
            guard let last else { throw .refused("nothing was done yet") }
            return (entries[last].time, last, false)
        }
    }

    /// Commands that are about the session and leave the lab as it is.
    private static let asides: Set<String> = ["help", "history", "clear", "record", "back", "fork", "tour"]

    /// Whether a command may have changed the lab: views and what concerns the session itself do not count as steps.
    private static func changesSomething(_ script: Script, _ text: String, _ commands: CommandTable) -> Bool {
        guard script.statements.count == 1, let word = text.split(whereSeparator: \.isWhitespace).first,
            let description = commands[String(word)]?.description
        else { return true }
        return description.role != .view && !Self.asides.contains(description.name)
    }

    /// Does it.
    ///
    /// - Returns: the other lab as it was at that moment. Its clock is held.
    public func run() throws(Failure) -> Lab {
        let lab: Lab
        do { lab = try Lab(options, poller: poller) } catch { throw .refused("no lab for it: \(error)") }
        session = lab.session
        prepare()
        defer { letGo() }
        while next < cut, inputs.entries[next].time <= end {
            let entry = inputs.entries[next]
            next += 1
            if isLeftOut(entry) { continue }
            try advance(to: entry.time)
            try apply(entry)
        }
        try advance(to: end)
        if let difference = StoryComparison(original, session, until: end, isExact: isExact).difference {
            throw .refused(difference)
        }
        return lab
    }

    private func isLeftOut(_ entry: SessionInputs.Entry) -> Bool {
        guard leavesLast, entry.time == end, case .submitted(_, let submission, _) = entry.kind else { return false }
        return submission.endTime.map { $0 > end } ?? true
    }

    // MARK: The other lab

    private func prepare() {
        session.inputs.isKept = true
        session.renderer = original.renderer
        session.hasNoKeyboard = original.hasNoKeyboard
        session.timeLimit = end
        session.world.hold()
        session.world.setSpeed(original.world.chosenSpeed)
        session.recorder = { _ in "" }
        session.resetter = {}
        session.typedLines = { [] }
        session.hostFiles = NotedHostFiles(FilesAsTheyWere(inputs), session)
        session.hostRunner = { [unowned self] _, whenDone in runHostCommand(whenDone) }
        session.interruptCheck = { [unowned self] in isCurrentOver() }
    }

    private func letGo() {
        // The host's commands of then are over: nobody would ever say so any more.
        for number in hostCommands.keys.sorted() { endHostCommand(number) }
        session.timeLimit = .distantFuture
        session.recorder = nil
        session.resetter = nil
        session.typedLines = nil
        session.hostFiles = nil
        session.hostRunner = nil
        session.interruptCheck = { false }
        session = nil
    }

    /// Asked by commands that move time themselves: it was interrupted at this moment, or the past that is wanted ends
    /// in the midst of it.
    private func isCurrentOver() -> Bool {
        if checkInterruption() { return true }
        let now = session.world.now
        if next < cut, case .interrupted(let terminal) = inputs.entries[next].kind, inputs.entries[next].time <= now {
            next += 1
            session.interrupt(session.terminal(terminal))
            return true
        }
        guard now >= end, let current, current.endTime.map({ $0 > end }) ?? true else { return false }
        session.interrupt(session.terminal(current.terminal.number))
        return true
    }

    private func checkInterruption() -> Bool {
        if !wasInterrupted {
            wasInterrupted = isInterrupted(session.world.elapsed, end - session.world.epoch)
        }
        return wasInterrupted
    }

    /// What became of a command of the host, in the order in which they were run; it is not run again.
    private func runHostCommand(_ whenDone: @escaping (Int, String?) -> Void) {
        let number = hostCommandCount
        hostCommandCount += 1
        let outcome = inputs.hostCommands.indices.contains(number) ? inputs.hostCommands[number] : nil
        hostCommands[number] = (outcome, whenDone)
        guard let outcome else { return }
        session.world.after(outcome.took) { [weak self] in self?.endHostCommand(number) }
    }

    /// - Parameter status: of one that had not ended then.
    private func endHostCommand(_ number: Int, status: Int = 128 + Signal.terminate.number) {
        guard let (outcome, whenDone) = hostCommands.removeValue(forKey: number) else { return }
        whenDone(outcome?.status ?? status, outcome?.complaint)
    }

    // MARK: The inputs

    private func advance(to time: LabTime) throws(Failure) {
        let world = session.world
        guard time > world.now else { return session.settle() }
        let failure = session.advance(by: time - world.now, isInterrupted: checkInterruption)
        if wasInterrupted { throw .interrupted }
        if failure == .endless { throw .refused("work goes on for ever \(world.elapsed.rounded) after the beginning") }
    }

    private func apply(_ entry: SessionInputs.Entry) throws(Failure) {
        switch entry.kind {
        case .submitted(let script, let submission, let stopsAtFailure):
            let terminal = session.terminal(submission.terminal.number)
            try free(terminal, for: submission)
            current = submission
            session.submit(script, on: terminal, text: submission.text, stopsAtFailure: stopsAtFailure)
        case .typed(let line, let terminal): session.terminal(terminal).type(line)
        case .inputEnded(let terminal): session.terminal(terminal).endInput()
        case .interrupted(let terminal): session.interrupt(session.terminal(terminal))
        case .sentToBackground(let terminal): session.sendToBackground(session.terminal(terminal))
        case .terminalClosed: session.closeTerminal()
        case .terminalChosen(let number): session.switchTerminal(to: number)
        }
        session.settle()
        current = nil
        if wasInterrupted { throw .interrupted }
    }

    /// What was done in no time by the host's clock may take a moment of the lab's.
    private func free(_ terminal: Terminal, for submission: Submission) throws(Failure) {
        guard terminal.isBusy else { return }
        let failure = session.wait(.stepping, limit: .seconds(1), isInterrupted: checkInterruption) { !terminal.isBusy }
        if wasInterrupted { throw .interrupted }
        guard failure == nil else {
            throw .refused(
                "real time took part: what came before '\(submission.text.prefix(40))' was done by then, and is not "
                    + "when it is run again")
        }
    }
}

/// What was read from files of the host, in its order; nothing is written there again.
private final class FilesAsTheyWere: HostFiles {
    private var reads: ArraySlice<[UInt8]?>

    init(_ inputs: SessionInputs) { reads = inputs.hostReads[...] }

    func read(_ path: String) throws(CommandFailure) -> [UInt8] {
        guard let bytes = reads.popFirst() ?? nil else { throw CommandFailure("\(path): it could not be read") }
        return bytes
    }

    func write(_ bytes: [UInt8], to path: String) throws(CommandFailure) {}
}
