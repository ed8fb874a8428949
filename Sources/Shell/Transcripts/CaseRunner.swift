import KernelStructures
import KernelWorld
import ShellLanguage
import ShellSession

/// Acts a case out in a session: types its commands, waits for what it expects, and says where that differs from what
/// happens.
///
/// ## Time
///
/// Nothing in a transcript says how long to wait. After a command everything that can happen at that moment happens.
/// While an expected line is missing, the clock steps to the next timer, and the runner looks again, within the step's
/// timeout; it stops at the moment of the match. `[30 seconds later]` moves time by exactly that, and from there on
/// nothing is waited for until the next command or comment: what was to have happened by then has happened.
///
/// ## Two ways to run
///
/// `check` ends at the first difference. `play` shows the transcript as it goes, uses what it expects as waits, notes
/// what does not come, and goes on.
public final class CaseRunner {
    public enum Mode: Sendable { case check, play }

    let session: Session
    let mode: Mode
    let pace: Pace
    let tags: Set<String>
    let allItems: [TranscriptItem]
    /// In `play`: a line of the transcript that is to be seen now.
    public var onLine: ((String) -> Void)?
    /// In `play`: something that did not come.
    public var onFailure: ((CaseFailure) -> Void)?
    public var isInterrupted: () -> Bool = { false }

    var tape = Tape()
    var steps: [Step] = []
    var captures: [String: String] = [:]
    var logCursors: [String: Int] = [:]
    /// Tags whose lines must all be expected, from a cursor on.
    var logsAreExact = false
    var isStrict = false
    var collapsesBlanks = false
    /// The number of the line that was matched last: `@order strict` wants them to rise.
    var lastNumber = 0
    /// The lines matched under `@order strict`, with the numbers of what matched them.
    var matched: [(number: Int, place: SourcePlace)] = []
    var timeout: LabDuration
    var deadline: LabTime
    /// What `[within 1s]` says about the step.
    var bound: LabDuration?
    let stopsAtFailure: Bool
    /// For an update: a command whose output differs goes on to its end, so that all of it is known.
    var looksAhead = false
    /// Whether output that nothing expects is a failure.
    public var checksSurplus: Bool
    /// Whether missing lines are waited for.
    var infers = true
    var lastPlace: SourcePlace
    /// How what a command started in the background ended, by the command's number.
    var jobStatuses: [Int: Int] = [:]
    var first: CaseFailure?
    var previousObserver: ((SessionEvent) -> Void)?

    /// A command of the case, and how far its output was compared.
    final class Step {
        let place: SourcePlace
        let submission: Submission
        var matcher = OutputMatcher()
        var isExitStated = false
        /// It printed something else than was expected, which has been said.
        var isDifferent = false
        /// The status that what it started in the background must end with.
        var expectedJobStatus: (status: Int, item: TranscriptItem)?
        var isClosed = false
        /// The last line of the transcript that belongs to it.
        var lastPlace: SourcePlace
        var nevers: [Never] = []

        init(_ item: TranscriptItem, _ submission: Submission) {
            place = item.place
            self.submission = submission
            lastPlace = SourcePlace(file: item.place.file, line: item.lastLine)
        }
    }

    /// A line that must not come.
    struct Never {
        let place: SourcePlace
        let tag: String?
        let pattern: LinePattern
        let logStart: Int
    }

    public init(_ transcriptCase: TranscriptCase, session: Session, mode: Mode, pace: Pace) {
        allItems = transcriptCase.items
        self.session = session
        self.mode = mode
        checksSurplus = mode == .check
        self.pace = pace
        tags = Set(session.commands.tags)
        timeout = transcriptCase.settings.timeout
        stopsAtFailure = transcriptCase.settings.stopsAtFailure
        deadline = session.world.now + timeout
        lastPlace = transcriptCase.place
    }

    /// Runs the case.
    ///
    /// - Returns: the first failure.
    public func run() -> CaseFailure? {
        attach()
        defer { detach() }
        act(allItems.indices)
        if mode == .check, first != nil { return first }
        return end()
    }

    func note(_ failure: CaseFailure) {
        let failure = completed(failure)
        first = first ?? failure
        onFailure?(failure)
    }

    func record(_ event: SessionEvent) {
        switch event {
        case .output(let submission, _, let bytes): tape.append(bytes, of: submission.number)
        case .log(let line, let node, let time): tape.append(line, from: node, at: time)
        case .jobEnded(let job):
            // Of several jobs, the one that failed is the one to know about.
            let known = jobStatuses[job.submission.number] ?? 0
            if !(1...127).contains(known) { jobStatuses[job.submission.number] = job.status }
        case .submitted, .typed, .notice, .jobStarted, .interrupted, .progress: break
        }
    }

    private func show(_ item: TranscriptItem) { for line in item.source { onLine?(line) } }

    // MARK: Items

    func act(_ item: TranscriptItem, _ index: Int) throws(CaseFailure) {
        switch item.kind {
        case .command(let script, let text): try begin(item, script, text)
        case .expectation(let expectation):
            if mode == .play {
                switch expectation {
                case .later, .typed, .interrupted: show(item)
                default: break
                }
            }
            try check(expectation, item, index)
        case .comment:
            infers = true
            settle()
            show(item)
        case .blank, .quote: show(item)
        case .terminal(let number): session.switchTerminal(to: number)
        case .logs(let isExact):
            if logsAreExact, !isExact { try checkLeftoverLogs() }
            logsAreExact = isExact
            if isExact { for (tag, entries) in tape.logs { logCursors[tag] = entries.count } }
        case .order(let isStrict): self.isStrict = isStrict
        case .timeout(let duration): timeout = duration
        case .blanks(let collapse): collapsesBlanks = collapse
        case .fixture(let name, let arguments): try place(name, arguments, item)
        }
    }

    private func place(_ name: String, _ arguments: [String], _ item: TranscriptItem) throws(CaseFailure) {
        guard let fixture = Fixtures.all[name] else {
            throw CaseFailure(
                item.place,
                "no fixture is called '\(name)'\(didYouMean(name, among: Fixtures.all.keys.sorted()))")
        }
        do { try fixture(session, arguments) } catch { throw CaseFailure(item.place, "@fixture \(name): \(error)") }
    }

    private func begin(_ item: TranscriptItem, _ script: Script, _ text: String) throws(CaseFailure) {
        let terminal = session.currentTerminal!
        if session.exitStatus != nil { throw CaseFailure(item.place, "the lab has ended: exit was run above") }
        infers = true
        try free(terminal, before: item.place)
        do {
            try checkNevers()
            try close(on: terminal)
        } catch {
            // What came before is no reason not to go on, where going on is what is wanted.
            if mode == .check { throw error }
            note(error)
        }
        show(item)
        tape.stepCount = steps.count + 1
        let submission = session.submit(script, on: terminal, text: text, stopsAtFailure: stopsAtFailure)
        let step = Step(item, submission)
        step.matcher.collapsesBlanks = collapsesBlanks
        steps.append(step)
        deadline = session.world.now + timeout
        bound = nil
        settle()
    }

    /// Waits until a terminal can be typed into. Who only stays there goes on as a job.
    func free(_ terminal: Terminal, before place: SourcePlace) throws(CaseFailure) {
        guard terminal.isBusy else { return }
        let failure = wait { !terminal.isBusy || terminal.isHeld || terminal.isReading }
        if !terminal.isBusy { return }
        if terminal.isHeld || terminal.isReading {
            if let job = session.sendToBackground(terminal) {
                session.notice("terminal \(terminal.number): '\(job.text)' goes on in the background as %\(job.number)")
            }
            return
        }
        let command = steps.last { $0.submission.terminal === terminal }
        throw CaseFailure(
            command?.place ?? place,
            "the command still runs \(reason(failure)), and its terminal is wanted at line \(place.line)")
    }

    // MARK: Waiting

    func settle() {
        if pace == .stepping { session.settle() } else { _ = session.wait(.clock, limit: .zero, until: { false }) }
    }

    /// Waits for a condition as far as the step's time allows.
    func wait(_ condition: () -> Bool) -> WaitFailure? {
        settle()
        if condition() { return nil }
        // By the host's clock things take a moment even when nothing is waited for.
        let limit = infers ? deadline - session.world.now : pace == .clock ? .milliseconds(200) : nil
        guard let limit else { return .timedOut }
        return session.wait(pace, limit: limit, isInterrupted: isInterrupted, until: condition)
    }

    /// Why something did not come, as the end of a sentence.
    func reason(_ failure: WaitFailure?) -> String {
        switch failure {
        case .nothingLeft: "and nothing is left that could change that"
        case .endless: "and work goes on for ever at this moment"
        case .interrupted: "and was interrupted"
        case .timedOut, nil: !infers ? "at this moment" : bound.map { "within \($0)" } ?? "after \(timeout)"
        }
    }

    // MARK: The end

    func finish() throws(CaseFailure) {
        if session.exitStatus == nil {
            infers = true
            for (_, terminal) in session.terminals.sorted(by: { $0.key < $1.key }) {
                guard terminal.isBusy, !terminal.isHeld, !terminal.isReading else { continue }
                let failure = wait { !terminal.isBusy || terminal.isHeld || terminal.isReading }
                guard failure != nil, let step = steps.last(where: { $0.submission.terminal === terminal }) else {
                    continue
                }
                throw CaseFailure(step.place, "the command still runs \(reason(failure)), at the end of the case")
            }
        }
        try checkNevers()
        for step in steps {
            if !step.isClosed {
                try close(step)
            } else if mode == .check {
                // It has spoken again: a service that complains.
                try checkSurplus(of: step, surplus(of: step))
            }
        }
        if logsAreExact { try checkLeftoverLogs() }
    }

    /// Ends the steps of a terminal that have nothing more to say.
    private func close(on terminal: Terminal) throws(CaseFailure) {
        for step in steps where !step.isClosed && step.submission.terminal === terminal && !isActive(step) {
            try close(step)
        }
    }

    private func close(_ step: Step) throws(CaseFailure) {
        step.isClosed = true
        let rest = surplus(of: step)
        if let status = unstatedStatus(step) {
            throw CaseFailure(
                step.place, "the command ended with status \(status); write [exit \(status)] below it if that is right",
                seen: lines(of: step).trimmingEmptyEnd.last,
                repair: .insertAfter(
                    step.lastPlace, text(rest.map(\.text), below: step.lastPlace) + ["[exit \(status)]"]))
        }
        try checkJobStatus(of: step)
        if tape.outputs[step.submission.number]?.isOverfull == true {
            throw CaseFailure(step.place, "the command printed more than \(Tape.lineLimit) lines")
        }
        if checksSurplus, mode == .check || !step.isDifferent { try checkSurplus(of: step, rest) }
    }

    private func checkSurplus(of step: Step, _ rest: [Tape.Line]) throws(CaseFailure) {
        guard let extra = rest.first else { return }
        throw CaseFailure(
            step.place, "the command printed more than is expected", seen: extra.text,
            repair: surplusRepair(of: step, rest))
    }

    /// What a step has printed and nothing expects.
    private func surplus(of step: Step) -> [Tape.Line] {
        tape.endPartialLine(of: step.submission.number)
        let lines = tape.outputs[step.submission.number]?.lines ?? []
        guard let first = step.matcher.finish(with: lines.map(\.text)) else { return [] }
        let end = lines.lastIndex { !$0.text.isEmpty } ?? first
        return Array(lines[first...max(first, end)])
    }

    /// A status that is no success and that the transcript does not mention.
    private func unstatedStatus(_ step: Step) -> Int? {
        guard !step.isExitStated else { return nil }
        if let status = status(of: step), status != 0 { return status }
        // A job that was killed was meant to be; one that ended with an error of its own was not.
        return jobStatuses[step.submission.number].flatMap { (1...127).contains($0) ? $0 : nil }
    }

    /// How it ended, if it has; `exit` ends it together with the lab.
    func status(of step: Step) -> Int? {
        step.submission.status ?? (step === steps.last ? session.exitStatus : nil)
    }

    private func checkJobStatus(of step: Step) throws(CaseFailure) {
        guard let (expected, item) = step.expectedJobStatus else { return }
        let status = jobStatuses[step.submission.number]
        guard status != expected else { return }
        throw CaseFailure(
            item.place,
            status.map { "what runs in the background ended with status \($0)" }
                ?? "what runs in the background still does",
            expected: "[exit \(expected)]", seen: status.map { "[exit \($0)]" },
            repair: status == nil || status == 0 ? .delete(item.place) : .replace(item.place, ["[exit \(status!)]"]))
    }

    /// Whether it may still print: it runs in the foreground, or something that it started does and is no service.
    func isActive(_ step: Step) -> Bool {
        step.submission.isRunning
            || session.jobs.running.contains { $0.submission === step.submission && !$0.isService }
    }

    func lines(of step: Step) -> [String] { tape.outputs[step.submission.number]?.lines.map(\.text) ?? [] }

    /// Adds what a reader of a failure wants to know.
    private func completed(_ failure: CaseFailure) -> CaseFailure {
        var failure = failure
        let world = session.world
        failure.printed = lastWords(before: failure)
        failure.elapsed = world.elapsed.description
        failure.timers = world.upcomingTimers(3).map { "\($0.node ?? "lab") in \(($0.time - world.now).rounded)" }
        return failure
    }
    /// What the last command that failed without the case's saying so printed at its end, where the failure does not
    /// show it already.
    private func lastWords(before failure: CaseFailure) -> String? {
        guard let step = steps.last(where: { unstatedStatus($0) != nil }),
            let line = lines(of: step).trimmingEmptyEnd.last, ![failure.seen, failure.nearest].contains(line)
        else { return nil }
        return line
    }
}

extension [String] {
    var trimmingEmptyEnd: [String] {
        var lines = self
        while lines.last?.isEmpty == true { lines.removeLast() }
        return lines
    }
}
