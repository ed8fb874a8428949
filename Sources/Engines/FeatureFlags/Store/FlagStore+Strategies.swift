import KernelStructures

/// Who is let in: rollouts, targeting rules, and strategies as they are.
extension FlagStore {
    /// A flag that was never given a strategy is switched on by its first one. One that somebody has switched off stays
    /// off: a percentage must not undo a kill switch.
    private static func switchesOn(_ state: FlagState) -> Bool {
        !state.isEnabled && !state.isKilled && state.strategies.isEmpty
    }

    private func offLine(_ name: String, _ environment: String) -> LogMessage {
        let place = environment == defaultEnvironment ? "" : " --env \(environment)"
        return "\(name) is off in \(environment): flags-cli enable \(name)\("\(place)") switches it on"
    }

    private func place(_ environment: String) -> String {
        environment == defaultEnvironment ? "" : " (\(environment))"
    }

    static func check(percent: Int) throws(FlagError) {
        guard (0...100).contains(percent) else {
            throw FlagError(.invalid, "\(percent) is no percentage", remedy: "give a whole number of 0 to 100")
        }
    }

    mutating func rollOut(
        _ name: String, _ environment: String, _ percent: Int, _ stickiness: String?, _ who: String, _ now: LabTime
    ) throws(FlagError) -> FlagOutcome {
        try Self.check(percent: percent)
        var flag = try flag(name)
        var state = flag.state(in: environment)
        let before = state.generalPercent
        let isFirst = Self.switchesOn(state)
        if let index = state.generalIndex {
            state.strategies[index].parameters["rollout"] = "\(percent)"
            if let stickiness { state.strategies[index].parameters["stickiness"] = stickiness }
        } else {
            if state.strategies.count >= Self.strategyLimit { throw Self.tooManyStrategies }
            var strategy = FlagStrategy.rollout(percent: percent, group: name, stickiness: stickiness ?? "default")
            strategy.id = newStrategyID()
            state.strategies.append(strategy)
        }
        if isFirst { state.isEnabled = true }
        state.changedAt = now
        flag.states[environment] = state
        flags[name] = flag
        publish(.flag(name), in: environment)
        note(
            "feature-strategy-update", flag: name, environment: environment, "\(before)% → \(percent)%", by: who, now)
        let who: LogMessage =
            switch percent {
            case 0: "Nobody will see this flag enabled\(state.strategies.count > 1 ? " but for targeting rules" : "")"
            case 100: "Everybody will see this flag enabled"
            default: "Approximately \(percent)% of users will see this flag enabled"
            }
        let lines: [LogMessage] = [
            "\(name)\(place(environment)): \(before)% → \(percent)%",
            state.isEnabled ? who : offLine(name, environment),
        ]
        return FlagOutcome(lines: lines, environments: [environment])
    }

    // MARK: Rules

    mutating func target(
        _ name: String, _ environment: String, _ people: TargetedPeople, _ percent: Int, _ who: String, _ now: LabTime
    ) throws(FlagError) -> FlagOutcome {
        try Self.check(percent: percent)
        var flag = try flag(name)
        var added = try people.strategies(percent: percent, group: name)
        for index in added.indices { added[index].id = newStrategyID() }
        var state = flag.state(in: environment)
        let isFirst = Self.switchesOn(state)
        let isReplaced = state.strategies.contains { $0.title == people.title }
        state.strategies.removeAll { $0.title == people.title }
        // In front of the one for everybody, so that of two that are met the more precise one decides on variants.
        state.strategies.insert(contentsOf: added, at: state.generalIndex ?? state.strategies.count)
        if state.strategies.count > Self.strategyLimit { throw Self.tooManyStrategies }
        if isFirst { state.isEnabled = true }
        state.changedAt = now
        flag.states[environment] = state
        flags[name] = flag
        publish(.flag(name), in: environment)
        let shown = "\(people.text) at \(percent)%"
        note("feature-strategy-add", flag: name, environment: environment, shown, by: who, now)
        let word = isReplaced ? "Changed" : "Added"
        var lines: [LogMessage] = ["\(word) targeting rule: \(shown)\(place(environment))"]
        if !state.isEnabled { lines.append(offLine(name, environment)) }
        return FlagOutcome(lines: lines, environments: [environment])
    }

    mutating func untarget(
        _ name: String, _ environment: String, _ text: String?, _ segment: String?, _ who: String, _ now: LabTime
    ) throws(FlagError) -> FlagOutcome {
        var flag = try flag(name)
        var state = flag.state(in: environment)
        let titles = state.strategies.compactMap(\.title)
        var wanted: String?
        if let text, segment == nil, titles.contains(text) {
            wanted = text
        } else if text != nil || segment != nil {
            wanted = try TargetedPeople(rule: text, segment: segment, in: self).title
        }
        if let wanted, !titles.contains(wanted) {
            throw FlagError(
                .missing, "'\(name)' has no rule \(wanted)", remedy: "flags-cli show \(name) lists them")
        }
        state.strategies.removeAll { $0.title != nil && (wanted == nil || $0.title == wanted) }
        // No strategy at all would let everybody in.
        if state.strategies.isEmpty, !titles.isEmpty {
            var nobody = FlagStrategy.rollout(percent: 0, group: name)
            nobody.id = newStrategyID()
            state.strategies = [nobody]
        }
        state.changedAt = now
        flag.states[environment] = state
        flags[name] = flag
        publish(.flag(name), in: environment)
        // A rule may have made several strategies.
        var removed: [String] = []
        for title in titles where !removed.contains(title) { removed.append(title) }
        let shown = wanted ?? (removed.isEmpty ? "there was none" : removed.joined(separator: "; "))
        note("feature-strategy-remove", flag: name, environment: environment, shown, by: who, now)
        return FlagOutcome(
            lines: ["Removed targeting rule: \(shown)\(place(environment))"], environments: [environment])
    }

    // MARK: Strategies as they are

    private static let tooManyStrategies = FlagError(
        .tooMany, "a flag has at most \(strategyLimit) strategies", remedy: "put values into lists, or use segments")

    private mutating func newStrategyID() -> String {
        defer { nextStrategyID += 1 }
        touch(.meta)
        return "s\(nextStrategyID)"
    }

    mutating func setStrategies(
        _ name: String, _ environment: String, _ strategies: [FlagStrategy], _ who: String, _ now: LabTime
    ) throws(FlagError) -> FlagOutcome {
        let flag = try flag(name)
        if strategies.count > Self.strategyLimit { throw Self.tooManyStrategies }
        var checked: [FlagStrategy] = []
        for strategy in strategies {
            try check(strategy)
            checked.append(strategy)
            if strategy.id == nil { checked[checked.count - 1].id = newStrategyID() }
        }
        let text = checked.isEmpty ? "none" : checked.map(\.name).joined(separator: ", ")
        return save(flag, environment, checked, "feature-strategies-updated", text, who, now)
    }

    mutating func addStrategy(
        _ name: String, _ environment: String, _ strategy: FlagStrategy, _ who: String, _ now: LabTime
    ) throws(FlagError) -> FlagOutcome {
        let flag = try flag(name)
        let strategies = flag.state(in: environment).strategies
        if strategies.count >= Self.strategyLimit { throw Self.tooManyStrategies }
        var strategy = strategy
        try check(strategy)
        let id = newStrategyID()
        strategy.id = id
        var outcome = save(
            flag, environment, strategies + [strategy], "feature-strategy-add", strategy.name, who, now)
        outcome.id = id
        return outcome
    }

    /// - Parameter strategy: nil to take it away.
    mutating func replaceStrategy(
        _ name: String, _ environment: String, _ id: String, _ strategy: FlagStrategy?, _ who: String, _ now: LabTime
    ) throws(FlagError) -> FlagOutcome {
        let flag = try flag(name)
        var strategies = flag.state(in: environment).strategies
        guard let index = strategies.firstIndex(where: { $0.id == id }) else {
            throw FlagError(.missing, "'\(name)' has no strategy '\(id)' in \(environment)")
        }
        guard var strategy else {
            let removed = strategies.remove(at: index)
            return save(flag, environment, strategies, "feature-strategy-remove", removed.name, who, now)
        }
        try check(strategy)
        strategy.id = id
        strategies[index] = strategy
        return save(flag, environment, strategies, "feature-strategy-update", strategy.name, who, now)
    }

    private mutating func save(
        _ flag: FlagRecord, _ environment: String, _ strategies: [FlagStrategy], _ kind: String, _ text: String,
        _ who: String, _ now: LabTime
    ) -> FlagOutcome {
        var flag = flag
        var state = flag.state(in: environment)
        state.strategies = strategies
        state.changedAt = now
        flag.states[environment] = state
        flags[flag.name] = flag
        publish(.flag(flag.name), in: environment)
        note(kind, flag: flag.name, environment: environment, text, by: who, now)
        return FlagOutcome(
            lines: ["\(flag.name)\(place(environment)): strategies \(text)"], environments: [environment])
    }

    private func check(_ strategy: FlagStrategy) throws(FlagError) {
        try Self.check(strategy.constraints)
        try Self.check(strategy.variants)
        for id in strategy.segments where segments[id] == nil {
            throw FlagError(.invalid, "there is no segment \(id)")
        }
    }

    static func check(_ constraints: [FlagConstraint]) throws(FlagError) {
        if constraints.count > 100 { throw FlagError(.tooMany, "more than 100 constraints") }
        for constraint in constraints {
            if case .unknown(let name) = constraint.operator {
                let hint = didYouMean(name, among: FlagOperator.known)
                throw FlagError(
                    .invalid, "'\(name.prefix(40))' is no operator\(hint)",
                    remedy: "there are \(FlagOperator.known.joined(separator: ", "))")
            }
            if !CompiledConstraint(constraint).isReadable {
                throw FlagError(
                    .invalid,
                    "'\((constraint.value ?? "").prefix(60))' cannot be the value of \(constraint.operator.name)",
                    remedy: "nobody would ever meet it")
            }
        }
    }
}
