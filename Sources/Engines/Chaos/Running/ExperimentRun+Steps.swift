import KernelJSON
import KernelStructures

extension ExperimentRun {
    /// Goes on with the next step, and with those after it that need no waiting.
    mutating func next(_ now: LabTime) {
        current = nil
        while current == nil, !isOver, !steps.isEmpty {
            if case .endMethod = steps[0], waitsForProbes { return }
            begin(steps.removeFirst(), now)
        }
    }

    /// The method is not over before the hypothesis was looked at once, nor before what runs in the background.
    private var waitsForProbes: Bool {
        if calledOff != nil { return false }
        let hasBackground = work.values.contains { if case .background = $0 { true } else { false } }
        return probing.isRunning && !probing.hasRound || hasBackground
    }

    private mutating func begin(_ step: Step, _ now: LabTime) {
        switch step {
        case .hypothesis(let section): beginHypothesis(section, now)
        case .measure(let section): current = ask(experiment.measures[0].probe, .measure(0, section), now)
        case .control(let control, let moment):
            if control.moments.contains(moment) { current = ask(control.activity, .control, now) }
        case .activity(let index, let section): beginActivity(index, section, now)
        case .beginMethod: beginMethod(now)
        case .endMethod: endMethod(now)
        case .endRollbacks: endRollbacks(now)
        case .observe:
            guard let plan = experiment.metrics else { return }
            say("Watching the metrics for \(Self.text(plan.window))...")
            current = wait(plan.window, .observation, now)
        case .figures: askFigure(0, .before, now)
        case .conclude: conclude(now)
        }
    }

    // MARK: The hypothesis, before and after

    private mutating func beginHypothesis(_ section: Section, _ now: LabTime) {
        say(section == .before ? "Checking steady state..." : "Checking steady state restored...")
        journal.begin(section.rawValue)
        current = ask(probes[0], .probe(0, section), now)
    }

    var probes: [Activity] { experiment.hypothesis?.probes ?? [] }

    /// A probe of the hypothesis is judged.
    mutating func judged(
        _ index: Int, _ section: Section, _ outcome: Outcome, _ judgement: Judgement, _ start: LabTime, _ now: LabTime
    ) {
        let probe = probes[index]
        journal.note(probe, outcome, judgement, in: section.rawValue, start, now)
        say(line(probe, outcome, judgement), isGood: judgement.isMet)
        if index + 1 < probes.count {
            current = ask(probes[index + 1], .probe(index + 1, section), now)
            return
        }
        let isMet = journal.isMet(section.rawValue)
        if section == .before, !isMet { return refuse(now) }
        if section == .after, !isMet { journal.deviated = true }
        next(now)
    }

    private mutating func refuse(_ now: LabTime) {
        journal.status = .failed
        journal.reason = "the steady state is not met before the method: nothing was touched"
        say("The steady state is not met: refusing to start", isGood: false)
        steps = []
        if rollbackStrategy == .always { addRollbacks() }
        steps.append(.conclude)
        next(now)
    }

    // MARK: The method

    private mutating func beginMethod(_ now: LabTime) {
        hasMethodBegun = true
        methodStart = now
        if !experiment.guards.isEmpty {
            for index in experiment.guards.indices { look(index, now) }
        }
        if hypothesisStrategy == .duringMethodOnly || hypothesisStrategy == .continuously, !probes.isEmpty,
            experiment.method.isEmpty
        {
            beginProbing(now)
        }
    }

    private mutating func beginActivity(_ index: Int, _ section: Section, _ now: LabTime) {
        let activity = list(section)[index]
        if activity.pauseBefore > .zero {
            current = wait(activity.pauseBefore, .pauseBefore(index, section), now)
        } else {
            perform(index, section, now)
        }
    }

    func list(_ section: Section) -> [Activity] { section == .method ? experiment.method : experiment.rollbacks }

    mutating func perform(_ index: Int, _ section: Section, _ now: LabTime) {
        let activity = list(section)[index]
        if section == .method, case .lab(let action) = activity.provider {
            let time = activity.isBackground ? action.duration.map { " for \(Self.text($0))" } ?? "" : ""
            say((action.isFault ? "Injecting failure: " : "Taking back: ") + action.summary + time)
        } else if section == .method, activity.kind == .action {
            say("Action: \(activity.name)")
        }
        if activity.isBackground, section == .method {
            _ = ask(activity, .background(index), now)
            rest(activity, index, section, now)
        } else {
            current = ask(activity, .activity(index, section), now)
        }
    }

    /// What follows an activity: its pause.
    private mutating func rest(_ activity: Activity, _ index: Int, _ section: Section, _ now: LabTime) {
        if activity.pauseAfter > .zero {
            current = wait(activity.pauseAfter, .pauseAfter(index, section), now)
        } else {
            next(now)
        }
    }

    /// An activity of the method or of the rollbacks has ended.
    mutating func activityEnded(
        _ index: Int, _ section: Section, _ outcome: Outcome, _ start: LabTime, _ now: LabTime, inBackground: Bool
    ) {
        let activity = list(section)[index]
        var judgement = Judgement.met
        if case .failed(let reason, _) = outcome {
            judgement = .unmet(reason)
        } else if let tolerance = activity.tolerance, case .done(let observation) = outcome {
            judgement = tolerance.judge(observation)
        }
        journal.note(activity, outcome, activity.tolerance == nil ? nil : judgement, in: section.rawValue, start, now)
        report(activity, section, outcome, judgement)
        if !judgement.isMet, section == .method {
            if activity.kind == .action, calledOff == nil {
                journal.status = .failed
                journal.reason = "\(activity.name): \(judgement.reasons.joined(separator: ", "))"
                return callOff("An action failed", now)
            }
            if activity.tolerance != nil { journal.deviated = true }
        }
        if section == .method, activity.kind == .action { beginProbing(now) }
        if inBackground { if current == nil { next(now) } } else { rest(activity, index, section, now) }
    }

    private mutating func report(_ activity: Activity, _ section: Section, _ outcome: Outcome, _ judgement: Judgement) {
        switch (section, outcome) {
        case (_, .failed): say(line(activity, outcome, judgement), isGood: false)
        case (.rollbacks, .done): say("✓ \(restored(activity))")
        case (.method, .done(let observation)):
            if case .lab = activity.provider {
                for line in Self.lines(of: observation) { say(line) }
            } else if activity.kind == .probe {
                say(line(activity, outcome, judgement), isGood: judgement.isMet)
            }
        default: break
        }
    }

    /// The notes of whoever carried out an action of the lab: what is really used, whom it hit.
    private static func lines(of observation: Observation) -> [String] {
        guard case .value(.array(let notes)) = observation.content else { return [] }
        return notes.compactMap { if case .string(let text) = $0 { text } else { nil } }
    }

    private func restored(_ activity: Activity) -> String {
        guard case .lab(let action) = activity.provider else { return activity.name }
        guard case .restore(let kind, _) = action else { return "Done: \(action.summary)" }
        let injected = experiment.method.compactMap { step -> String? in
            if case .lab(.inject(let words, _, _, _)) = step.provider { return words[0] }
            return nil
        }
        let kinds = kind.map { FaultAction.kinds(ofGroup: $0) ?? [$0] }
        let mine = injected.filter { kinds?.contains($0) ?? true }
        let words = mine.reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
        let text = words.isEmpty ? kind ?? "everything" : words.joined(separator: ", ")
        return text.prefix(1).uppercased() + text.dropFirst() + " restored"
    }

    /// Seconds as long as people count in them: `60s`.
    static func text(_ time: LabDuration) -> String {
        let second = LabDuration.seconds(1).nanoseconds
        let isWhole = time.nanoseconds % second == 0 && time < .seconds(600)
        return isWhole ? "\(time.nanoseconds / second)s" : "\(time)"
    }

    // MARK: Calling off

    /// Ends the method early; what is to follow it does.
    mutating func callOff(_ reason: String, _ now: LabTime) {
        guard calledOff == nil, !isMethodOver else { return }
        calledOff = reason
        drop(current)
        current = nil
        for ticket in work.keys.sorted() { drop(ticket) }
        if let end = steps.firstIndex(where: { if case .endMethod = $0 { true } else { false } }) {
            steps.removeFirst(end)
        }
        next(now)
    }

    private mutating func endMethod(_ now: LabTime) {
        isMethodOver = true
        let duration = experiment.method.map(\.pauseAfter).max() ?? .zero
        for ticket in work.keys.sorted() { drop(ticket) }
        probing.isRunning = false
        let runsRollbacks = wantsRollbacks
        let isSkipped = !runsRollbacks && !experiment.rollbacks.isEmpty
        let rolling =
            runsRollbacks
            ? "rolling back..." : isSkipped ? "no rollbacks (\(rollbackStrategy.rawValue))" : "taking it back..."
        if let calledOff {
            say("\(calledOff): \(rolling)", isGood: false)
        } else if duration > .zero {
            say("Duration complete (\(Self.text(duration))), \(rolling)")
        } else if runsRollbacks {
            say("Method complete, \(rolling)")
        }
        if runsRollbacks { addRollbacks() }
        steps.append(.endRollbacks)
        next(now)
    }

    private var wantsRollbacks: Bool {
        guard !experiment.rollbacks.isEmpty else { return false }
        switch rollbackStrategy {
        case .default, .always: return true
        case .never: return false
        case .deviated: return journal.deviated
        }
    }

    private mutating func addRollbacks() {
        steps += experiment.rollbacks.indices.map { .activity($0, .rollbacks) }
    }

    /// Nothing that was injected outlives this, whatever the rollbacks did.
    private mutating func endRollbacks(_ now: LabTime) {
        effects.append(.revertFaults)
        methodEnd = now
        if !experiment.measures.isEmpty, journal.status != .interrupted { steps.append(.measure(.after)) }
        if !probes.isEmpty, hypothesisStrategy.looksAfter, journal.status != .interrupted {
            steps.append(.hypothesis(.after))
        }
        if experiment.metrics != nil, journal.status != .interrupted { steps += [.observe, .figures] }
        steps += experiment.controls.map { .control($0, .after) }
        steps.append(.conclude)
    }
}
