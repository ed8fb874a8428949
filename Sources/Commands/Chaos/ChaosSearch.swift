import ChaosEngine
import ChaosService
import CommandKit
import KernelConfiguration
import KernelJSON
import KernelStructures
import KernelWorld
import ShellLanguage
import ShellSession

/// `chaos search` at work: a world for each seed, a schedule drawn from it, and the invariant asked afterwards.
struct ChaosSearch {
    private let invocation: Invocation
    private let plan: SearchPlan
    private let labs: FreshLabs
    private let firstSeed: Int
    private let count: Int

    /// Lab time that setting up and the invariant may take, each.
    private static let patience = LabDuration.seconds(300)

    init(_ invocation: Invocation) throws {
        self.invocation = invocation
        let file = invocation.arguments.arguments[0]
        let bytes: [UInt8]
        do { bytes = try invocation.session.files.read(file) } catch { throw CommandFailure("\(error)") }
        do throws(ConfigurationError) { plan = try SearchPlan(parsing: bytes, file: file) } catch {
            throw CommandFailure(error.description)
        }
        labs = invocation.session.world.only(FreshLabs.self) { FreshLabs(nil) }
        firstSeed = invocation.arguments.integer("seed") ?? 1
        count = invocation.arguments.integer("seeds") ?? 100
    }

    /// What came of one world.
    private struct Trial {
        let schedule: FaultSchedule
        let holds: Bool
        let output: String
    }

    private struct Finding {
        let seed: Int
        let first: FaultSchedule
        let shrunk: FaultSchedule
        let trials: Int
        let output: String
    }

    func run() throws -> Outcome {
        for offset in 0..<count {
            if invocation.session.isInterrupted { return .done(130) }
            let (seed, isOver) = firstSeed.addingReportingOverflow(offset)
            if isOver { break }
            let trial = try attempt(seed, nil)
            if !trial.holds { return try report(try shrink(seed, trial)) }
        }
        if invocation.arguments.wantsJSON {
            invocation.process.print(JSONValue.object([("holds", true), ("schedules", .integer(count))]).text)
        } else {
            invocation.process.print("the invariant held in \(counted(count, "schedule"))")
        }
        return .success
    }

    // MARK: One world

    private func attempt(_ seed: Int, _ given: FaultSchedule?) throws -> Trial {
        guard let make = labs.make else { throw CommandFailure("no other labs can be made here; use sdlab, or a lab") }
        let lab: FreshLab
        do { lab = try make(UInt64(bitPattern: Int64(seed))) } catch { throw CommandFailure("\(error)") }
        let session = lab.session
        var output = ""
        session.observer = { event in
            if case .output(_, _, let bytes) = event, output.utf8.count < 10_000 {
                output += String(decoding: bytes, as: UTF8.self)
            }
        }
        guard try status(of: plan.setup, in: session, terminal: 1) == 0 else {
            throw CommandFailure("the setup fails\(output.isEmpty ? "" : ": \(output.trimmedEnd)")")
        }
        let schedule = given ?? draw(session)
        play(schedule, in: session)
        let work = try script(plan.workload)
        if !work.statements.isEmpty {
            session.submit(work, on: session.terminal(2), text: plan.workload)
        }
        _ = session.advance(by: schedule.end + plan.settle, isInterrupted: { invocation.session.isInterrupted })
        output = ""
        let result = try status(of: plan.invariant, in: session, terminal: 3)
        return Trial(schedule: schedule, holds: result == 0, output: output.trimmedEnd)
    }

    private func script(_ text: String) throws -> Script {
        do throws(SyntaxError) { return try Parser.parse(text) } catch {
            throw CommandFailure("'\(text)': \(error.text)")
        }
    }

    /// What never ends has the status of `timeout`.
    private func status(of text: String, in session: Session, terminal: Int) throws -> Int {
        let submission = session.submit(
            try script(text), on: session.terminal(terminal), text: text, stopsAtFailure: true)
        _ = session.wait(.stepping, limit: Self.patience, until: { !submission.isRunning })
        return submission.status ?? 124
    }

    private func draw(_ session: Session) -> FaultSchedule {
        let names = session.world.nodes.allServices.map(\.name)
        let wanted = plan.nodes.isEmpty ? ["*"] : plan.nodes
        let nodes = names.filter { name in wanted.contains { !BlastRadius.matches($0, among: [name]).isEmpty } }
        var random = session.world.random.fork("chaos search")
        return FaultSchedule.draw(
            .init(nodes: nodes, faults: plan.faults, horizon: plan.horizon, most: plan.most), &random)
    }

    /// Sets a timer of the World for each fault.
    private func play(_ schedule: FaultSchedule, in session: Session) {
        // The setup's command is over; what a restarted node prints belongs to whoever set it up all the same.
        guard let submission = session.jobs.all.last?.submission else { return }
        let desk = FaultDesk(session.world, lease: nil, hooks: .ofSession(session, submission))
        for event in schedule.events {
            session.world.after(event.at) {
                // A node that is down cannot be hit a second time.
                _ = try? desk.perform(event.action)
            }
        }
    }

    // MARK: Shrinking

    private func shrink(_ seed: Int, _ trial: Trial) throws -> Finding {
        var shrinking = ScheduleShrinking(trial.schedule)
        var output = trial.output
        while let candidate = shrinking.question(), !invocation.session.isInterrupted {
            let again = try attempt(seed, candidate)
            if !again.holds { output = again.output }
            shrinking.answer(fails: !again.holds)
        }
        return Finding(
            seed: seed, first: trial.schedule, shrunk: shrinking.best, trials: shrinking.questionCount, output: output)
    }

    private func report(_ finding: Finding) throws -> Outcome {
        let experiment = finding.shrunk.experimentText(
            title: "found by chaos search, seed \(finding.seed)", invariant: plan.invariant)
        let transcript = transcript(finding)
        do {
            let files = invocation.session.files
            if let path = invocation.arguments.text("experiment") { try files.write(Array(experiment.utf8), to: path) }
            if let path = invocation.arguments.text("transcript") { try files.write(Array(transcript.utf8), to: path) }
        } catch {
            throw CommandFailure("\(error)")
        }
        let process = invocation.process
        if invocation.arguments.wantsJSON {
            process.print(
                JSONValue.object([
                    ("holds", false), ("seed", .integer(finding.seed)),
                    ("faults", .array(finding.shrunk.events.map { .string("\($0.at): \($0.description)") })),
                    ("faults_before", .integer(finding.first.events.count)), ("trials", .integer(finding.trials)),
                    ("experiment", .string(experiment)), ("transcript", .string(transcript)),
                ]).text)
            return .done(1)
        }
        process.print("seed \(finding.seed) breaks the invariant: \(plan.invariant)")
        if !finding.output.isEmpty { process.print("  it says: \(finding.output)") }
        process.print(
            "\(counted(finding.first.events.count, "fault")), shrunk to \(finding.shrunk.events.count) in "
                + "\(counted(finding.trials, "trial")):")
        for event in finding.shrunk.events { process.print("  at \(event.at): \(event.description)") }
        if !invocation.arguments.has("experiment") { process.output.write("\n" + experiment) }
        if !invocation.arguments.has("transcript") { process.output.write("\n" + transcript) }
        return .done(1)
    }

    /// The same as somebody would type it.
    private func transcript(_ finding: Finding) -> String {
        func typed(_ text: String) -> [String] {
            text.split(separator: "\n").map { "$ \($0)" }.flatMap { [$0, "..."] }
        }
        var lines = ["@case found by chaos search", "@seed \(finding.seed)", ""] + typed(plan.setup)
        if !plan.workload.isEmpty { lines += ["@terminal 2"] + typed(plan.workload) + ["@terminal 1"] }
        let commands = finding.shrunk.commands
        lines += commands.flatMap { ["$ \($0)", "..."] }
        lines += ["$ advance \(finding.shrunk.end + plan.settle)", "...", "$ \(plan.invariant)", "...", "[exit 1]"]
        return lines.joined(separator: "\n") + "\n"
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
