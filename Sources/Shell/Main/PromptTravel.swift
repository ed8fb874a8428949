import KernelClock
import KernelLoopback
import KernelStructures
import ShellLab
import ShellPrompt
import ShellSession

/// `back` and `fork` at the prompt.
///
/// A command cannot replace the lab that it runs in: what it wants is noted, and done before the next prompt. The past
/// is run again beside the present lab, which stays until that has succeeded; only then does the prompt move over.
final class PromptTravel: TimeTraveller {
    private unowned let prompt: Prompt
    private let poller: Poller
    private let output: HostOutput
    /// Repaints one line while it works; false where nothing can be taken back.
    private let repaints: Bool
    /// Whether something else has the lab now, which has a way back of its own.
    var isElsewhere: () -> Bool = { false }
    private var wish: Wish?
    /// The labs that wait while their forks go on, the outermost first.
    private var suspended: [Lab] = []
    private var lastShown: Int64 = 0
    private var startedAt: Int64 = 0

    private enum Wish {
        case travel(PastMoment, cut: Int, isFork: Bool)
        case leave(keepingFork: Bool)
    }

    /// Forks within forks.
    static let depthLimit = 8

    init(_ prompt: Prompt, poller: Poller, repaints: Bool, _ output: HostOutput) {
        self.prompt = prompt
        self.poller = poller
        self.repaints = repaints
        self.output = output
    }

    // MARK: What the commands ask

    var waiting: [LabDuration] { suspended.map(\.world.elapsed) }

    func back(to moment: PastMoment) throws(CommandFailure) { try note(moment, isFork: false) }

    func fork(at moment: PastMoment) throws(CommandFailure) {
        guard suspended.count < Self.depthLimit else {
            throw CommandFailure("\(Self.depthLimit) labs wait already; fork leave goes back to the last of them")
        }
        try note(moment, isFork: true)
    }

    private func note(_ moment: PastMoment, isFork: Bool) throws(CommandFailure) {
        if isElsewhere() { throw CommandFailure("not in a tour: tour again begins its question anew") }
        if let obstacle = Rerun.obstacle(of: prompt.lab) { throw CommandFailure(obstacle) }
        let entries = prompt.session.inputs.entries
        guard let last = entries.indices.last, case .submitted(let script, _, _) = entries[last].kind,
            script.statements.count == 1, script.statements[0].rest.isEmpty, !script.statements[0].isBackground
        else { throw CommandFailure("on a line of its own, please: what else stands there would be run again or not") }
        do {
            _ = try Rerun(prompt.lab, to: moment, before: last, poller: nil) { _, _ in false }
        } catch {
            throw CommandFailure(text(error))
        }
        wish = .travel(moment, cut: last, isFork: isFork)
    }

    func leaveFork(keepingIt keepsFork: Bool) throws(CommandFailure) {
        guard !suspended.isEmpty else { throw CommandFailure("this is no fork; fork makes one") }
        wish = .leave(keepingFork: keepsFork)
    }

    private func text(_ failure: Rerun.Failure) -> String {
        switch failure {
        case .refused(let reason): reason
        case .interrupted: "interrupted"
        }
    }

    // MARK: What the prompt asks

    /// Does what was wished for, now that nothing runs in the foreground.
    func beforePrompt() {
        defer { wish = nil }
        switch wish {
        case nil: return
        case .travel(let moment, let cut, let isFork): travel(to: moment, cut, isFork: isFork)
        case .leave(true): suspended.removeLast()
        case .leave(false):
            let lab = suspended.removeLast()
            prompt.session.listener = nil
            prompt.move(to: lab)
            lab.world.release()
            prompt.show("sdlab: this is the lab again that waited, \(at(lab))\n")
        }
    }

    /// A fresh lab is wanted: nothing waits for that one any more.
    func forgetAll() { suspended = [] }

    private func travel(to moment: PastMoment, _ cut: Int, isFork: Bool) {
        let lab = prompt.lab
        startedAt = HostClock.monotonicNanoseconds
        lastShown = startedAt
        let other: Lab
        do {
            let rerun = try Rerun(lab, to: moment, before: cut, poller: poller) { [unowned self] in
                progress($0, $1)
                return prompt.isAskedToStop
            }
            defer { clearProgress() }
            other = try rerun.run()
        } catch {
            let reason = text(error)
            return prompt.complain("\(isFork ? "fork" : "back"): \(reason); everything is as it was")
        }
        // Those who hear it belong to the prompt, and go over.
        lab.session.observer = nil
        lab.session.listener = nil
        if isFork {
            lab.world.hold()
            suspended.append(lab)
        }
        prompt.move(to: other)
        sendForegroundsOn(other)
        other.world.release()
        let place = lab.options.net == .memory ? "" : "; its connections are in memory, so nothing outside reaches it"
        let remedy = isFork ? "; fork leave goes back to the lab that waits" : ""
        prompt.show("sdlab: \(isFork ? "a fork" : "the lab"), \(at(other))\(place)\(remedy)\n")
    }

    /// What was in the midst of its work then goes on, beside the prompt.
    private func sendForegroundsOn(_ lab: Lab) {
        for (_, terminal) in lab.session.terminals.sorted(by: { $0.key < $1.key }) where terminal.isBusy {
            guard let job = lab.session.sendToBackground(terminal) else { continue }
            prompt.show("sdlab: '\(job.text)' ran then, and goes on as %\(job.number)\n")
        }
    }

    private func at(_ lab: Lab) -> String {
        "\(lab.world.elapsed.rounded) after its beginning (\(lab.world.now.timeOfDay))"
    }

    // MARK: Progress

    /// Host time after which something is shown, and between two times.
    private static let patienceNanoseconds: Int64 = 100_000_000

    private func progress(_ done: LabDuration, _ total: LabDuration) {
        guard repaints else { return }
        let now = HostClock.monotonicNanoseconds
        guard now - lastShown >= Self.patienceNanoseconds else { return }
        lastShown = now
        let percent = total > .zero ? Int(100 * done.seconds / total.seconds) : 100
        output.write(
            "\r\u{1B}[Ksdlab: running it again: \(done.rounded) of \(total.rounded) (\(percent) %), Ctrl-C stops",
            isError: false)
    }

    private func clearProgress() {
        if lastShown > startedAt { output.write("\r\u{1B}[K", isError: false) }
    }
}
