import ChaosEngine
import ChaosService
import CommandKit
import KernelStructures
import KernelWorld
import ShellLanguage
import ShellSession

/// One world of a search: its setup, its work, what is done to it meanwhile, and whether what must hold holds.
///
/// ```
///   setup ─▶ workload and faults ─▶ settle ─▶ invariant
///                 └ always?  always?  always? ┘
/// ```
final class ChaosTrial {
    struct Result {
        /// With the times at which the moments have come.
        let schedule: FaultSchedule
        /// What did not hold; nil: all of it did.
        let broken: String?
        /// When it was asked what must always hold, and it did not.
        let brokenAt: LabDuration?
        let output: String
        /// Which of its faults, by their places, have hit somebody: not those on nodes that were down already, nor
        /// those whose moments never came.
        let struck: Set<Int>
        /// Who sent how many messages to whom while faults could begin.
        let traffic: [FaultMoment.Link: Int]

        var holds: Bool { broken == nil }
    }

    private let plan: SearchPlan
    private let lab: FreshLab
    private let isInterrupted: () -> Bool
    private var session: Session { lab.session }
    private var began = LabTime(nanoseconds: 0)
    private var times: [Int: LabDuration] = [:]
    private var struck: Set<Int> = []
    private var output = ""
    /// Whose words are kept; nil: everybody's.
    private var speaker: Submission?

    /// Lab time that setting up and the invariant may take, each.
    private static let patience = LabDuration.seconds(300)
    /// Between two questions whether what must always hold does.
    private static let pace = LabDuration.milliseconds(100)
    /// Of a command that could be carried out, and says no.
    private static let brokenStatus = 1
    private static let outputLimitBytes = 10_000
    private enum Place { static let setup = 1, work = 2, invariant = 3, always = 4 }

    init(_ plan: SearchPlan, _ lab: FreshLab, isInterrupted: @escaping () -> Bool) {
        self.plan = plan
        self.lab = lab
        self.isInterrupted = isInterrupted
    }

    /// - Parameter choose: the schedule, when the platform stands.
    func run(_ choose: (Session) -> FaultSchedule) throws -> Result {
        session.observer = { [unowned self] event in
            guard case .output(let submission, _, let bytes) = event, speaker.map({ $0 === submission }) ?? true,
                output.utf8.count < Self.outputLimitBytes
            else { return }
            output += String(decoding: bytes, as: UTF8.self)
        }
        guard try status(of: plan.setup, Place.setup) == 0 else {
            throw CommandFailure("the setup fails\(output.isEmpty ? "" : ": \(output.trimmedEnd)")")
        }
        let schedule = choose(session)
        let work = try script(plan.workload)
        let always = try plan.always.map { try script($0) }
        let watch = play(schedule)
        if !work.statements.isEmpty {
            session.submit(work, on: session.terminal(Place.work), text: plan.workload)
        }
        let brokenAt = always.flatMap { live(schedule.end, $0) }
        if always == nil { _ = session.advance(by: schedule.end + plan.settle, isInterrupted: isInterrupted) }
        session.world.journal.observer = nil
        var broken = brokenAt == nil ? nil : plan.always
        if broken == nil, try status(of: plan.invariant, Place.invariant) != 0 { broken = plan.invariant }
        return Result(
            schedule: schedule.resolved(times), broken: broken, brokenAt: brokenAt, output: output.trimmedEnd,
            struck: struck, traffic: watch.counts)
    }

    private func script(_ text: String) throws -> Script {
        do throws(SyntaxError) { return try Parser.parse(text) } catch {
            throw CommandFailure("'\(text)': \(error.text)")
        }
    }

    /// What never ends has the status of `timeout`.
    private func status(of text: String, _ terminal: Int) throws -> Int {
        output = ""
        speaker = nil
        let submission = session.submit(
            try script(text), on: session.terminal(terminal), text: text, stopsAtFailure: true)
        _ = session.wait(.stepping, limit: Self.patience, until: { !submission.isRunning })
        return submission.status ?? 124
    }

    // MARK: Faults

    private final class Watch {
        var moments: MomentWatch
        /// Within the horizon.
        var counts: [FaultMoment.Link: Int] = [:]

        init(_ schedule: FaultSchedule) { moments = MomentWatch(schedule) }
    }

    /// Sets a timer of the World for each fault that has a time, and listens for the moments of the others.
    private func play(_ schedule: FaultSchedule) -> Watch {
        began = session.world.now
        let watch = Watch(schedule)
        // The setup's command is over; what a restarted node prints belongs to whoever set it up all the same.
        guard let submission = session.jobs.all.last?.submission else { return watch }
        let world = session.world
        let desk = FaultDesk(world, lease: nil, hooks: .ofSession(session, submission))
        // A node that is down cannot be hit a second time.
        let strike = { [weak self] (index: Int) in
            if (try? desk.perform(schedule.events[index].action)) != nil { self?.struck.insert(index) }
        }
        for (index, event) in schedule.events.enumerated() where event.moment == nil {
            world.after(event.at) { strike(index) }
        }
        let services = Set(world.nodes.allServices.map(\.name))
        let began = began
        world.journal.observer = { [weak self, unowned world] event in
            guard case .message(_, let from, let to, _) = event.body, services.contains(from),
                services.contains(to)
            else { return }
            for index in watch.moments.note(from: from, to: to) {
                // Behind everything that happens at this very time, so that it is the same at the time alone.
                let delay = LabDuration(nanoseconds: 1)
                self?.times[index] = world.now - began + delay
                world.after(delay) { strike(index) }
            }
        }
        world.after(plan.horizon) { watch.counts = watch.moments.counts }
        return watch
    }

    /// Lets time pass until the platform has had the time to recover, and asks meanwhile whether what must always hold
    /// does. Returns when it did not.
    private func live(_ end: LabDuration, _ always: Script) -> LabDuration? {
        var question: (submission: Submission, at: LabDuration)?
        var now: LabDuration { session.world.now - began }
        while now < end + plan.settle, !isInterrupted() {
            if let (asked, at) = question, !asked.isRunning {
                if asked.status == Self.brokenStatus { return at }
                question = nil
            }
            // Once the faults are over there is nothing more to look at.
            if question == nil, now < end {
                output = ""
                let submission = session.submit(
                    always, on: session.terminal(Place.always), text: plan.always ?? "", stopsAtFailure: true)
                speaker = submission
                question = (submission, now)
            }
            let before = now
            let rest = end + plan.settle - now
            _ = session.advance(by: question == nil ? rest : min(Self.pace, rest), isInterrupted: isInterrupted)
            if now == before { break }
        }
        return nil
    }
}

extension FaultSchedule.Event {
    /// What the desk of faults makes of it.
    var action: LabAction {
        switch fault {
        case .inject(let words, let node):
            .inject(words: words, target: node, lasts: lasts, radius: BlastRadius())
        case .kill(let node): .signal("KILL", target: node, lasts: lasts, radius: BlastRadius())
        case .pause(let node): .signal("STOP", target: node, lasts: lasts, radius: BlastRadius())
        }
    }
}

extension String {
    fileprivate var trimmedEnd: String {
        var text = self[...]
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text)
    }
}
