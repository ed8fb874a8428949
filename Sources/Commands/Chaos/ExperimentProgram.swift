import ChaosEngine
import ChaosService
import CommandKit
import KernelJSON
import KernelStructures
import KernelWorld
import ShellSession

/// `chaos-runner` at work: does what the run asks for, and tells it what has come of it.
final class ExperimentProgram: Program {
    struct Settings {
        var journalPath: String?
        /// How long faults last when nobody hears of the runner any more.
        var lease = LabDuration.seconds(10)
        var wantsJSON = false
    }

    private let process: Process
    private var run: ExperimentRun
    private let settings: Settings
    private let desk: FaultDesk
    private lazy var carrier = ActivityCarrier(process, desk)
    private var timers: [Int: TimerID] = [:]
    private var host: HostPrograms?

    init(_ process: Process, _ run: ExperimentRun, _ settings: Settings) {
        self.process = process
        self.run = run
        self.settings = settings
        desk = FaultDesk(
            process.session.world, lease: settings.lease, nodeBudget: run.experiment.nodeBudget,
            hooks: .ofSession(process.session, process.submission))
    }

    func start() {
        let node = process.node
        let desk = desk
        // An end of whatever kind; and when it hangs, the lease.
        node.whenEnded { [weak self] in
            desk.close()
            self?.host?.close()
        }
        desk.onExpiry = { [weak node] count in
            node?.log("CHAOS", "The runner was not heard of: \(counted(count, "fault")) taken back", level: .warning)
        }
        guard startPrograms() else { return process.exit(1) }
        renew()
        carryOut(run.start(node.world.now))
    }

    /// Of the machine, if there are any. False if that failed, which was said.
    private func startPrograms() -> Bool {
        let plans = run.experiment.programs
        if plans.isEmpty || run.options.isDry { return true }
        let world = process.session.world
        do throws(HostAccess.Refusal) {
            let programs = try HostPrograms(plans, world, world.only(HostAccess.self) { HostAccess(nil) })
            host = programs
            desk.host = programs
            for note in programs.notes { say("On this machine: \(note)") }
            return true
        } catch {
            process.complain("\(error)")
            return false
        }
    }

    private func renew() {
        process.node.after(LabDuration(nanoseconds: settings.lease.nanoseconds / 3)) { [weak self] in
            guard let self, process.isRunning else { return }
            desk.renew()
            renew()
        }
    }

    func handle(_ signal: Signal) -> Bool {
        guard signal == .interrupt || signal == .terminate else { return false }
        carryOut(run.interrupt(process.node.world.now))
        return true
    }

    // MARK: Effects

    private func carryOut(_ effects: [ExperimentRun.Effect]) {
        for effect in effects where process.isRunning {
            switch effect {
            case .say(let text, let isGood): say(text, isGood: isGood)
            case .perform(let ticket, let activity):
                carrier.carryOut(activity, ticket) { [self] outcome in
                    guard process.isRunning else { return }
                    carryOut(run.finished(ticket, outcome, process.node.world.now))
                }
            case .wait(let ticket, let time):
                timers[ticket] = process.node.after(time) { [self] in
                    timers[ticket] = nil
                    carryOut(run.elapsed(ticket, process.node.world.now))
                }
            case .cancel(let ticket):
                process.node.cancel(timers.removeValue(forKey: ticket))
                carrier.cancel(ticket)
            case .revertFaults:
                let count = desk.revertAll()
                if count > 0 { say("Taken back: \(counted(count, "fault")) that no rollback had ended") }
            case .ended: finish()
            }
        }
    }

    private func say(_ text: String, isGood: Bool = true) {
        process.node.log("CHAOS", "\(text)", level: isGood ? .info : .warning)
    }

    private func finish() {
        desk.close()
        host?.close()
        report()
        let json = run.journal.json(node: process.node.name, version: "1")
        var status = run.journal.hasPassed ? 0 : 1
        if let path = settings.journalPath {
            do { try process.session.files.write(json.bytes(.compact) + [10], to: path) } catch {
                process.complain("\(error)")
                status = 1
            }
        }
        if settings.wantsJSON { process.print(json.text) }
        process.exit(status)
    }

    /// What users would have noticed.
    private func report() {
        if run.options.isDry { return }
        for phase in run.journal.impact {
            var parts = [counted(phase.probes, "probe")]
            if phase.degraded > 0 { parts.append("\(phase.degraded) degraded") }
            if phase.failed > 0 { parts.append("\(phase.failed) failed") }
            if let median = phase.median, let longest = phase.longest {
                parts.append("median \(milliseconds(median)), longest \(milliseconds(longest))")
            }
            say("Impact \(phase.phase): \(parts.joined(separator: ", "))")
        }
        reportFigures()
        for measure in run.journal.measured {
            let values = [measure.before, measure.after].map { $0.map { trimmedDecimal($0, places: 3) } ?? "unknown" }
            say("Measure \(measure.name): \(values[0]) before, \(values[1]) after")
        }
    }

    private func reportFigures() {
        for figure in run.journal.figures {
            let values = [figure.before, figure.during, figure.after].map { value in
                value.map { trimmedDecimal($0, places: 2) + figure.unit } ?? "unknown"
            }
            say("Metric \(figure.name): \(values[0]) before, \(values[1]) during, \(values[2]) after")
        }
    }

    private func milliseconds(_ time: LabDuration) -> String { "\(Int(time.milliseconds.rounded()))ms" }
}

extension FaultDesk.Hooks {
    /// Of a lab's session: it knows how nodes were started, and their processes.
    static func ofSession(_ session: Session, _ submission: Submission) -> FaultDesk.Hooks {
        FaultDesk.Hooks(
            restart: { [weak session] name in
                guard let session else { return "the lab is over" }
                guard let words = session.commandLine(ofNode: name) else {
                    return "nobody remembers how \(name) was started"
                }
                return session.startService(words, for: submission) == nil ? "\(name) could not be started" : nil
            },
            signal: { [weak session] name, text in
                guard let session, let signal = Signal(parsing: text), let job = session.jobs.find(name) else {
                    return false
                }
                _ = job.send(signal)
                return true
            })
    }
}
