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

    private struct Finding {
        let seed: Int
        let first: FaultSchedule
        /// With the times at which its moments have come.
        let shrunk: FaultSchedule
        /// Whether these times alone do it.
        let isAtTimes: Bool
        let trials: Int
        let broken: String
        /// When it was seen, if that was meanwhile and not at the end.
        let brokenAt: LabDuration?
        let output: String
    }

    /// What was tried, fault by fault: how many were drawn, and how many of those hit somebody.
    private struct Tried {
        private(set) var faults: [String: (drawn: Int, struck: Int)] = [:]

        mutating func count(_ schedule: FaultSchedule, struck: Set<Int>) {
            for (index, event) in schedule.events.enumerated() {
                faults[event.name, default: (0, 0)].drawn += 1
                if struck.contains(index) { faults[event.name]?.struck += 1 }
            }
        }

        var sorted: [(name: String, drawn: Int, struck: Int)] {
            faults.sorted { ($1.value.drawn, $0.key) < ($0.value.drawn, $1.key) }
                .map { ($0.key, $0.value.drawn, $0.value.struck) }
        }

        /// `31 faults, of which 28 hit somebody: kill 12 of 14, partition 9, reset 7 of 8`
        var text: String {
            let (drawn, struck) = faults.values.reduce((0, 0)) { ($0.0 + $1.drawn, $0.1 + $1.struck) }
            let parts = sorted.map {
                $0.drawn == $0.struck ? "\($0.name) \($0.drawn)" : "\($0.name) \($0.struck) of \($0.drawn)"
            }
            return "\(counted(drawn, "fault")), of which \(struck) hit somebody"
                + (parts.isEmpty ? "" : ": \(parts.joined(separator: ", "))")
        }

        var json: JSONValue {
            .object(sorted.map { ($0.name, ["drawn": .integer($0.drawn), "struck": .integer($0.struck)]) })
        }
    }

    func run() throws -> Outcome {
        let traffic = try quiet()
        var tried = Tried()
        for offset in 0..<count {
            if invocation.session.isInterrupted { return .done(130) }
            let (seed, isOver) = firstSeed.addingReportingOverflow(offset)
            if isOver { break }
            var schedule = FaultSchedule([])
            let trial = try attempt(seed) { session in
                schedule = draw(session, traffic)
                return schedule
            }
            if !trial.holds { return try report(try shrink(seed, schedule, trial)) }
            tried.count(schedule, struck: trial.struck)
        }
        if invocation.arguments.wantsJSON {
            invocation.process.print(
                JSONValue.object([("holds", true), ("schedules", .integer(count)), ("faults", tried.json)]).text)
        } else {
            invocation.process.print("the invariant held in \(counted(count, "schedule"))")
            invocation.process.print(wrapped("  " + tried.text, columns: 80, indent: 4))
        }
        return .success
    }

    // MARK: One world

    /// What is said between whom when nothing is done to anybody: between these messages faults are to begin. Where
    /// there is no work there is nothing to be seen.
    private func quiet() throws -> [FaultMoment.Link: Int] {
        guard !plan.workload.isEmpty else { return [:] }
        // Always the same world, so that a seed draws the same whatever the first one was.
        let trial = try attempt(1) { _ in FaultSchedule([]) }
        if invocation.session.isInterrupted { return [:] }
        if let broken = trial.broken {
            throw CommandFailure(
                "without any fault it does not hold: \(broken)\(trial.output.isEmpty ? "" : ": \(trial.output)")")
        }
        return trial.traffic
    }

    private func attempt(_ seed: Int, _ choose: (Session) -> FaultSchedule) throws -> ChaosTrial.Result {
        guard let make = labs.make else { throw CommandFailure("no other labs can be made here; use sdlab, or a lab") }
        let lab: FreshLab
        do { lab = try make(UInt64(bitPattern: Int64(seed))) } catch { throw CommandFailure("\(error)") }
        let session = invocation.session
        return try ChaosTrial(plan, lab, isInterrupted: { session.isInterrupted }).run(choose)
    }

    private func draw(_ session: Session, _ traffic: [FaultMoment.Link: Int]) -> FaultSchedule {
        let names = session.world.nodes.allServices.map(\.name)
        let wanted = plan.nodes.isEmpty ? ["*"] : plan.nodes
        let nodes = names.filter { name in wanted.contains { !BlastRadius.matches($0, among: [name]).isEmpty } }
        var random = session.world.random.fork("chaos search")
        return FaultSchedule.draw(
            .init(nodes: nodes, faults: plan.faults, horizon: plan.horizon, most: plan.most, traffic: traffic), &random)
    }

    // MARK: Shrinking

    private func shrink(_ seed: Int, _ schedule: FaultSchedule, _ trial: ChaosTrial.Result) throws -> Finding {
        var shrinking = ScheduleShrinking(schedule)
        var smallest = trial
        while let candidate = shrinking.question(), !invocation.session.isInterrupted {
            let again = try attempt(seed) { _ in candidate }
            if !again.holds { smallest = again }
            shrinking.answer(fails: !again.holds)
        }
        // An experiment knows times and no messages: whether they are enough is tried, too.
        let timed = smallest.schedule.atTimes
        let isAtTimes = try timed == smallest.schedule || !attempt(seed) { _ in timed }.holds
        return Finding(
            seed: seed, first: schedule, shrunk: smallest.schedule, isAtTimes: isAtTimes,
            trials: shrinking.questionCount, broken: smallest.broken ?? plan.invariant,
            brokenAt: smallest.brokenAt, output: smallest.output)
    }

    private func report(_ finding: Finding) throws -> Outcome {
        let experiment = finding.shrunk.experimentText(
            title: "found by chaos search, seed \(finding.seed)", invariant: finding.broken,
            isMeanwhile: finding.brokenAt != nil, before: plan.setup, beside: plan.workload)
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
                    ("broken", .string(finding.broken)), ("at_times", .bool(finding.isAtTimes)),
                    ("experiment", .string(experiment)), ("transcript", .string(transcript)),
                ]).text)
            return .done(1)
        }
        process.print("seed \(finding.seed) breaks the invariant: \(finding.broken)")
        if !finding.output.isEmpty { process.print("  it says: \(finding.output)") }
        process.print(
            "\(counted(finding.first.events.count, "fault")), shrunk to \(finding.shrunk.events.count) in "
                + "\(counted(finding.trials, "trial")):")
        for event in finding.shrunk.events { process.print("  at \(event.at): \(event.description)") }
        if !finding.isAtTimes {
            process.print(
                "  (At these times alone it holds: what follows is near it. The search finds it again: --seed "
                    + "\(finding.seed) --seeds 1)")
        }
        if !invocation.arguments.has("experiment") { process.output.write("\n" + experiment) }
        if !invocation.arguments.has("transcript") { process.output.write("\n" + transcript) }
        return .done(1)
    }

    /// The same as somebody would type it.
    private func transcript(_ finding: Finding) -> String {
        func typed(_ text: String) -> [String] { Self.commands(in: text).flatMap { ["$ \($0)", "..."] } }
        var lines = ["@case found by chaos search", "@seed \(finding.seed)", ""] + typed(plan.setup)
        if !plan.workload.isEmpty { lines += ["@terminal 2"] + typed(plan.workload) + ["@terminal 1"] }
        let commands = finding.shrunk.commands(until: finding.brokenAt)
        lines += commands.flatMap { ["$ \($0)", "..."] }
        if finding.brokenAt == nil { lines += ["$ advance \(finding.shrunk.end + plan.settle)", "..."] }
        lines += ["$ \(finding.broken)", "...", "[exit 1]"]
        return lines.joined(separator: "\n") + "\n"
    }
    /// The commands of a text, each with all of its lines: what cannot be read yet goes on in the next one.
    private static func commands(in text: String) -> [String] {
        var commands: [String] = []
        var command = ""
        for line in text.split(separator: "\n") {
            command += (command.isEmpty ? "" : "\n") + line
            guard (try? Parser.parse(command)) != nil else { continue }
            commands.append(command)
            command = ""
        }
        return command.isEmpty ? commands : commands + [command]
    }
}
