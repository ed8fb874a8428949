import KernelJSON
import KernelStructures

extension ExperimentRun {
    /// Sorts what has come by what it was asked for.
    mutating func take(_ done: Work, _ ticket: Int, _ outcome: Outcome, _ start: LabTime, _ now: LabTime) {
        switch done {
        case .probe(let index, let section):
            judge(probes[index], outcome, for: .probe(index, section), start, now)
        case .during(let index): judge(probes[index], outcome, for: .during(index), start, now)
        case .guardProbe(let index):
            judge(experiment.guards[index].probe, outcome, for: .guardProbe(index), start, now)
        case .judgement(let probe, let observation, let purpose):
            let judgement: Judgement
            switch outcome {
            case .done(let answer): judgement = probe.tolerance?.judge(answer) ?? .met
            case .failed(let reason, _): judgement = .unmet("the probe that judges: \(reason)")
            }
            settle(purpose, .done(observation), judgement, isDegraded: false, start, now)
        case .measure(let index, let section): measured(index, section, outcome, now)
        case .control:
            if case .failed(let reason, _) = outcome { say("A control failed: \(reason)", isGood: false) }
            next(now)
        case .activity(let index, let section):
            activityEnded(index, section, outcome, start, now, inBackground: false)
        case .background(let index): activityEnded(index, .method, outcome, start, now, inBackground: true)
        case .figure(let index, let phase): figureCame(index, phase, outcome, now)
        case .pauseBefore, .pauseAfter, .duringPause, .guardPause, .observation: break
        }
    }

    // MARK: Judging

    private mutating func judge(
        _ probe: Activity, _ outcome: Outcome, for purpose: JudgedWork, _ start: LabTime, _ now: LabTime
    ) {
        switch outcome {
        case .failed(let reason, _): settle(purpose, outcome, .unmet(reason), isDegraded: false, start, now)
        case .done(let observation):
            if let judge = probe.tolerance?.judge {
                let ticket = ask(judge, .judgement(of: probe, observation, for: purpose), now)
                switch purpose {
                case .probe: current = ticket
                case .during: probing.ticket = ticket
                case .guardProbe: break
                }
                return
            }
            var judgement = probe.tolerance?.judge(observation) ?? .met
            var isDegraded = false
            if !judgement.isMet, case .during = purpose, let degraded = probe.degraded {
                let second = degraded.judge(observation)
                isDegraded = second.isMet
                judgement = second
            }
            settle(purpose, outcome, judgement, isDegraded: isDegraded, start, now)
        }
    }

    private mutating func settle(
        _ purpose: JudgedWork, _ outcome: Outcome, _ judgement: Judgement, isDegraded: Bool, _ start: LabTime,
        _ now: LabTime
    ) {
        switch purpose {
        case .probe(let index, let section): judged(index, section, outcome, judgement, start, now)
        case .during(let index): seen(index, outcome, judgement, isDegraded, start, now)
        case .guardProbe(let index): guarded(index, outcome, judgement, now)
        }
    }

    // MARK: While the method runs

    mutating func beginProbing(_ now: LabTime) {
        guard !probing.isRunning, !isMethodOver, calledOff == nil, hypothesisStrategy.looksDuring, !probes.isEmpty
        else {
            return
        }
        probing.isRunning = true
        say("Probing during chaos...")
        journal.begin("during")
        probe(0, now)
    }

    mutating func probe(_ index: Int, _ now: LabTime) {
        guard probing.isRunning else { return }
        probing.ticket = ask(probes[index], .during(index), now)
    }

    private mutating func seen(
        _ index: Int, _ outcome: Outcome, _ judgement: Judgement, _ isDegraded: Bool, _ start: LabTime, _ now: LabTime
    ) {
        let probe = probes[index]
        journal.note(probe, outcome, judgement, in: "during", start, now, isDegraded: isDegraded)
        if isDegraded { wasDegraded = true }
        if !judgement.isMet { journal.deviated = true }
        // Each verdict is said when it is new; the rest is in the report.
        let verdict = isDegraded ? "degraded" : judgement.isMet ? "met" : "unmet"
        if probing.said[index] != verdict {
            probing.said[index] = verdict
            say(
                line(probe, outcome, judgement) + (isDegraded ? " (degraded but working)" : ""), isGood: judgement.isMet
            )
            if isDegraded, case .expression(let expression)? = probe.degraded {
                for text in expression.containedTexts { say("✓ Response includes: \(text)") }
            }
        }
        if !judgement.isMet, options.failsFast {
            journal.reason = "the hypothesis does not hold while the method runs"
            return callOff("Failing fast", now)
        }
        if index + 1 < probes.count { return self.probe(index + 1, now) }
        probing.hasRound = true
        probing.ticket = wait(options.frequency ?? experiment.frequency, .duringPause, now)
        if current == nil, !isMethodOver { next(now) }
    }

    // MARK: Guards

    mutating func look(_ index: Int, _ now: LabTime) {
        guard !isMethodOver, calledOff == nil else { return }
        _ = ask(experiment.guards[index].probe, .guardProbe(index), now)
    }

    private mutating func guarded(_ index: Int, _ outcome: Outcome, _ judgement: Judgement, _ now: LabTime) {
        guard !isMethodOver, calledOff == nil else { return }
        let one = experiment.guards[index]
        if judgement.isMet {
            _ = wait(one.every, .guardPause(index), now)
            return
        }
        journal.status = .aborted
        journal.reason = "guard \(one.probe.name): \(judgement.reasons.joined(separator: ", "))"
        say(line(one.probe, outcome, judgement), isGood: false)
        callOff("A guard aborts the experiment", now)
    }

    // MARK: Measures

    private mutating func measured(_ index: Int, _ section: Section, _ outcome: Outcome, _ now: LabTime) {
        let measure = experiment.measures[index]
        var value: Double?
        if case .done(let observation) = outcome {
            if let path = measure.path {
                let found = observation.bodyValue.flatMap { path.values(in: $0).first }
                if case .string(let text)? = found { value = Double(text) } else { value = found?.size }
            } else {
                value = observation.latency.milliseconds
            }
        }
        journal.note(measure: measure.probe.name, value, in: section.rawValue)
        if index + 1 < experiment.measures.count {
            current = ask(experiment.measures[index + 1].probe, .measure(index + 1, section), now)
        } else {
            next(now)
        }
    }

    // MARK: Figures of the metrics system

    mutating func askFigure(_ index: Int, _ phase: MetricsPhase, _ now: LabTime) {
        guard let plan = experiment.metrics else { return }
        let (end, length) =
            switch phase {
            case .before: (methodStart, plan.window)
            case .during: (methodEnd, methodEnd - methodStart)
            case .after: (now, plan.window)
            }
        current = ask(plan.activity(plan.queries[index], until: end, length: length), .figure(index, phase), now)
    }

    private mutating func figureCame(_ index: Int, _ phase: MetricsPhase, _ outcome: Outcome, _ now: LabTime) {
        guard let plan = experiment.metrics else { return }
        let query = plan.queries[index]
        switch outcome {
        case .done(let observation) where observation.status == 200:
            journal.note(figure: query, phase, MetricsPlan.value(observation))
        case .done(let observation):
            // All queries of a system that refuses one say the same thing; each is its author's mistake, though.
            say("Metric \(query.name): \(observation.summary) from \(plan.url)", isGood: false)
            return nextFigure(after: index, now)
        case .failed(let reason, _):
            say("The metrics cannot be had: \(plan.url): \(reason)", isGood: false)
            return next(now)
        }
        let phases = MetricsPhase.allCases
        if let place = phases.firstIndex(of: phase), place + 1 < phases.count {
            askFigure(index, phases[place + 1], now)
        } else {
            nextFigure(after: index, now)
        }
    }

    private mutating func nextFigure(after index: Int, _ now: LabTime) {
        if index + 1 < experiment.metrics?.queries.count ?? 0 {
            askFigure(index + 1, .before, now)
        } else {
            next(now)
        }
    }

    // MARK: The verdict

    mutating func conclude(_ now: LabTime) {
        if journal.status == .running { journal.status = .completed }
        let verdict = journal.status == .completed ? (journal.deviated ? "FAILED" : "PASSED") : journal.status.shout
        say("EXPERIMENT \(verdict)", isGood: journal.hasPassed)
        if journal.hasPassed {
            say("Hypothesis validated: \(wasDegraded ? "System gracefully degrades" : "the steady state held")")
        } else if let reason = journal.reason {
            say("Because: \(reason)", isGood: false)
        } else if journal.deviated {
            say("Hypothesis refuted: \(journal.firstDeviation ?? "the steady state did not hold")", isGood: false)
        }
        end(now)
    }

    // MARK: Words

    /// `✓ http://api/checkout: 200 OK, 127ms`
    func line(_ activity: Activity, _ outcome: Outcome, _ judgement: Judgement) -> String {
        let name = activity.name
        let mark = judgement.isMet ? "✓" : "✗"
        switch outcome {
        case .failed(let reason, _): return "\(mark) \(name): \(reason)"
        case .done(let observation):
            let why = judgement.isMet ? "" : " (\(judgement.reasons.joined(separator: ", ")))"
            return "\(mark) \(name): \(observation.summary)\(why)"
        }
    }

    mutating func describePlan() {
        say("Dry run: nothing is done and nobody is asked")
        for probe in probes where hypothesisStrategy != .skip { say("Would probe: \(name(probe))") }
        for activity in experiment.method {
            if activity.pauseBefore > .zero { say("Would wait: \(activity.pauseBefore)") }
            say("Would \(activity.kind == .probe ? "probe" : "do"): \(name(activity))")
            if activity.pauseAfter > .zero { say("Would wait: \(activity.pauseAfter)") }
        }
        for activity in experiment.rollbacks { say("Would roll back: \(name(activity))") }
    }

    private func name(_ activity: Activity) -> String {
        switch activity.provider {
        case .http(let plan): "\(plan.method) \(plan.url)"
        case .process(let plan): ([plan.path] + plan.arguments).joined(separator: " ")
        case .lab(let action): action.summary
        case .python(let module, let function): "\(module).\(function) (python: not run here)"
        }
    }
}
