import KernelStructures

/// What happens by itself: rollouts that go on step by step.
extension FlagStore {
    mutating func schedule(
        _ name: String, _ environment: String, _ steps: [Int], _ every: LabDuration, _ start: LabTime?, _ who: String,
        _ now: LabTime
    ) throws(FlagError) -> FlagOutcome {
        let flag = try flag(name)
        guard (1...RolloutSchedule.stepLimit).contains(steps.count) else {
            throw FlagError(
                .invalid, "a schedule has 1 to \(RolloutSchedule.stepLimit) steps", remedy: "such as 1,10,50,100")
        }
        for percent in steps { try Self.check(percent: percent) }
        guard RolloutSchedule.everyRange.contains(every) else {
            throw FlagError(.invalid, "\(every) is no time between two steps", remedy: "give 1s to 366d")
        }
        if let start, start < now { throw FlagError(.invalid, "\(start) has passed") }
        if schedules.count >= Self.scheduleLimit { throw FlagError(.tooMany, "there are too many schedules") }
        if flag.state(in: environment).isKilled {
            throw FlagError(
                .conflict, "'\(name)' is killed", remedy: "flags-cli enable \(name) first, if that is what is wanted")
        }
        let key = "\(environment)/\(name)"
        let first = start ?? now
        schedules[key] = RolloutSchedule(
            flag: name, environment: environment, steps: steps, every: every, nextAt: first)
        touch(.schedule(key))
        let text = steps.map { "\($0)%" }.joined(separator: " → ")
        note("feature-rollout-scheduled", flag: name, environment: environment, "\(text), \(every) apart", by: who, now)
        var outcome = FlagOutcome(lines: ["\(name): \(text), a step every \(every)"], environments: [])
        if start == nil {
            let more = advanceSchedules(now: now)
            outcome.lines += more.lines
            outcome.environments = more.environments
        }
        return outcome
    }

    mutating func unschedule(
        _ name: String, _ environment: String, _ who: String, _ now: LabTime
    ) throws(FlagError) -> FlagOutcome {
        _ = try flag(name)
        guard schedule(of: name, in: environment) != nil else {
            throw FlagError(.missing, "'\(name)' has no schedule in \(environment)")
        }
        removeSchedule(name, environment)
        note("feature-rollout-unscheduled", flag: name, environment: environment, "schedule ended", by: who, now)
        return FlagOutcome(lines: ["\(name): schedule ended"])
    }

    mutating func removeSchedule(_ name: String, _ environment: String) {
        let key = "\(environment)/\(name)"
        if schedules.removeValue(forKey: key) != nil { touch(.schedule(key)) }
    }

    /// When something happens by itself.
    public var nextDeadline: LabTime? { schedules.values.map(\.nextAt).min() }

    /// Makes the steps that are due. None is skipped, however late it is: after a server's night out a rollout goes on
    /// with its next step, and not with the last.
    public mutating func advanceSchedules(now: LabTime) -> FlagOutcome {
        var outcome = FlagOutcome()
        for key in schedules.keys.sorted() {
            guard var schedule = schedules[key], schedule.nextAt <= now else { continue }
            let percent = schedule.steps[schedule.next]
            schedule.next += 1
            schedule.nextAt = now + schedule.every
            schedules[key] = schedule.next < schedule.steps.count ? schedule : nil
            touch(.schedule(key))
            do throws(FlagError) {
                let step = try rollOut(schedule.flag, schedule.environment, percent, nil, "schedule", now)
                outcome.lines += step.lines.prefix(1)
                outcome.environments += step.environments.filter { !outcome.environments.contains($0) }
            } catch {
                schedules[key] = nil
                outcome.lines.append("\(schedule.flag): schedule ended: \("\(error)")")
            }
        }
        return outcome
    }
}
