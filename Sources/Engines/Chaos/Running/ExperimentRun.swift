import KernelJSON
import KernelStructures

/// An experiment under way: what to do next, from what has happened so far.
///
/// ## The problem
///
/// Whoever breaks things on purpose must be able to stop at any moment, and to leave nothing broken behind: when a
/// guard cries, when somebody presses Ctrl-C, when an action fails halfway, when the hypothesis was false from the
/// start. Each of these can come between any two steps, and each has its own rule for what is still to be done.
///
/// ## How
///
/// One value with a list of steps, and at most one of them under way, beside it the watchers: a round of probes while
/// the method runs, and the guards. It never looks at a clock and does nothing itself: it is told what has come of what
/// it asked for, and answers with `Effect`s. So every point at which somebody may interfere is a test.
///
/// ```
/// [hypothesis before] [method …] [rollbacks …] [hypothesis after] [verdict]
///                      └─ dropped when called off ─┘ then the rest goes on
/// ```
///
/// Whatever it injected is taken back at the end by `revertFaults`, if no rollback has done it: the strategy for
/// rollbacks says what is tidied, never whether the faults go.
public struct ExperimentRun: Sendable {
    public enum Effect: Sendable {
        /// A line for people, without its tag.
        case say(String, isGood: Bool)
        /// Carry this out and report with `finished`.
        case perform(ticket: Int, Activity)
        /// Call `elapsed` after that time.
        case wait(ticket: Int, LabDuration)
        /// Nobody wants to know any more what comes of it.
        case cancel(ticket: Int)
        /// Take back every fault that this run has injected and that is still in force.
        case revertFaults
        /// It is over; `journal` is complete.
        case ended
    }

    /// What came of an activity.
    public enum Outcome: Sendable {
        case done(Observation)
        /// It could not be carried out, or nobody answered.
        case failed(String, LabDuration)
    }

    public struct Options: Sendable {
        public var hypothesisStrategy: ChaosExperiment.HypothesisStrategy?
        public var rollbackStrategy: ChaosExperiment.RollbackStrategy?
        public var frequency: LabDuration?
        /// The first failure while the method runs ends it.
        public var failsFast = false
        /// Nothing is done or asked; what would be is said.
        public var isDry = false

        public init() {}
    }

    enum Section: String { case before, method, rollbacks, after }

    enum Step: Sendable {
        case hypothesis(Section)
        case measure(Section)
        case control(ChaosExperiment.Control, ChaosExperiment.Control.Moment)
        case activity(Int, Section)
        case beginMethod, endMethod, endRollbacks
        /// Watches for a while after the end, and asks for the figures of all phases.
        case observe, figures
        case conclude
    }

    /// What a ticket stands for.
    enum Work: Sendable {
        case probe(Int, Section)
        case measure(Int, Section)
        case control
        case pauseBefore(Int, Section)
        case activity(Int, Section)
        case pauseAfter(Int, Section)
        case background(Int)
        case during(Int)
        case duringPause
        case guardProbe(Int)
        case guardPause(Int)
        case observation
        /// The query, and the phase that it is about.
        case figure(Int, MetricsPhase)
        /// Another probe judges what this one brought.
        case judgement(of: Activity, Observation, for: JudgedWork)
    }

    enum MetricsPhase: CaseIterable, Sendable { case before, during, after }

    enum JudgedWork: Sendable { case probe(Int, Section), during(Int), guardProbe(Int) }

    public let experiment: ChaosExperiment
    public let options: Options
    public internal(set) var journal: ExperimentJournal

    var steps: [Step] = []
    /// What is under way, by ticket.
    var work: [Int: Work] = [:]
    var begun: [Int: LabTime] = [:]
    private var lastTicket = 0
    /// The ticket of the step under way.
    var current: Int?
    var probing = Probing()
    var hasMethodBegun = false
    /// When the method was begun, and when it was over with all that it had injected.
    var methodStart = LabTime.documentedEpoch
    var methodEnd = LabTime.documentedEpoch
    var isMethodOver = false
    /// Why the method was ended early.
    var calledOff: String?
    var isOver = false
    var effects: [Effect] = []
    /// Whether the steady state was checked at the end, and held.
    var wasDegraded = false

    /// The rounds of probes while the method runs.
    struct Probing: Sendable {
        var isRunning = false
        /// Whether one round is complete.
        var hasRound = false
        var ticket: Int?
        /// What was said of each probe last, to say only what is new.
        var said: [Int: String] = [:]
        /// The method waits for the first round.
        var methodWaits = false
    }

    public init(_ experiment: ChaosExperiment, _ options: Options = Options()) {
        self.experiment = experiment
        self.options = options
        journal = ExperimentJournal(experiment)
    }

    var hypothesisStrategy: ChaosExperiment.HypothesisStrategy {
        options.hypothesisStrategy ?? experiment.hypothesisStrategy
    }
    var rollbackStrategy: ChaosExperiment.RollbackStrategy { options.rollbackStrategy ?? experiment.rollbackStrategy }
    private var hasHypothesis: Bool { !(experiment.hypothesis?.probes ?? []).isEmpty }

    // MARK: Events

    /// Begins.
    public mutating func start(_ now: LabTime) -> [Effect] {
        journal.start = now
        say("Starting experiment: \(experiment.title)")
        if options.isDry {
            describePlan()
            journal.status = .completed
            end(now)
            return taken()
        }
        steps = [.beginMethod] + experiment.method.indices.map { .activity($0, .method) } + [.endMethod]
        if hasHypothesis, hypothesisStrategy.looksBefore { steps.insert(.hypothesis(.before), at: 0) }
        if !experiment.measures.isEmpty { steps.insert(.measure(.before), at: 0) }
        steps.insert(contentsOf: experiment.controls.map { .control($0, .before) }, at: 0)
        next(now)
        return taken()
    }

    /// An activity has ended.
    public mutating func finished(_ ticket: Int, _ outcome: Outcome, _ now: LabTime) -> [Effect] {
        guard !isOver, let done = work.removeValue(forKey: ticket) else { return [] }
        let start = begun.removeValue(forKey: ticket) ?? now
        take(done, ticket, outcome, start, now)
        return taken()
    }

    /// A time has passed that was asked for.
    public mutating func elapsed(_ ticket: Int, _ now: LabTime) -> [Effect] {
        guard !isOver, let done = work.removeValue(forKey: ticket) else { return [] }
        switch done {
        case .pauseBefore(let index, let section): perform(index, section, now)
        case .pauseAfter, .observation: next(now)
        case .duringPause: probe(0, now)
        case .guardPause(let index): look(index, now)
        default: break
        }
        return taken()
    }

    /// Somebody wants it to stop. The second time it stops at once: faults are taken back, and nothing else is done.
    public mutating func interrupt(_ now: LabTime) -> [Effect] {
        guard !isOver else { return [] }
        if journal.status == .interrupted || !hasMethodBegun {
            journal.status = .interrupted
            say("Interrupted: every fault is taken back", isGood: false)
            end(now)
            return taken()
        }
        journal.status = .interrupted
        if isMethodOver {
            // The rollbacks are under way, and are what is wanted.
            say("Interrupted: rolling back is not interrupted; once more ends it at once", isGood: false)
        } else {
            callOff("Interrupted", now)
        }
        return taken()
    }

    // MARK: Tickets

    mutating func taken() -> [Effect] {
        defer { effects = [] }
        return effects
    }

    mutating func say(_ text: String, isGood: Bool = true) { effects.append(.say(text, isGood: isGood)) }

    mutating func ask(_ activity: Activity, _ purpose: Work, _ now: LabTime) -> Int {
        let ticket = newTicket(purpose, now)
        effects.append(.perform(ticket: ticket, activity))
        return ticket
    }

    mutating func wait(_ time: LabDuration, _ purpose: Work, _ now: LabTime) -> Int {
        let ticket = newTicket(purpose, now)
        effects.append(.wait(ticket: ticket, time))
        return ticket
    }

    private mutating func newTicket(_ purpose: Work, _ now: LabTime) -> Int {
        lastTicket += 1
        work[lastTicket] = purpose
        begun[lastTicket] = now
        return lastTicket
    }

    mutating func drop(_ ticket: Int?) {
        guard let ticket, work.removeValue(forKey: ticket) != nil else { return }
        begun[ticket] = nil
        effects.append(.cancel(ticket: ticket))
    }

    /// The end, whatever is under way.
    mutating func end(_ now: LabTime) {
        for ticket in work.keys.sorted() { drop(ticket) }
        steps = []
        effects.append(.revertFaults)
        journal.end = now
        isOver = true
        effects.append(.ended)
    }
}
