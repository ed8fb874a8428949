import KernelStructures

extension FlagStore {
    /// Makes a change, or none of it.
    ///
    /// - Throws: `FlagError`, and the store is as it was.
    public mutating func apply(_ change: FlagChange, by who: String, now: LabTime) throws(FlagError) -> FlagOutcome {
        let who = who.isEmpty ? "somebody" : String(who.prefix(Self.nameLengthLimit))
        switch change {
        case .create(let name, let kind, let hasVariants, let description):
            return try create(name, kind, hasVariants, description, who, now)
        case .describe(let name, let text): return try describe(name, text, who, now)
        case .archive(let name): return try archive(name, who, now)
        case .revive(let name): return try revive(name, who, now)
        case .setStale(let name, let isStale): return try setStale(name, isStale, who, now)
        case .setEnabled(let name, let environment, let isEnabled):
            return try setEnabled(name, try self.environment(environment), isEnabled, who, now)
        case .kill(let name): return try kill(name, who, now)
        case .rollOut(let name, let environment, let percent, let stickiness):
            return try rollOut(name, try self.environment(environment), percent, stickiness, who, now)
        case .target(let name, let environment, let rule, let segment, let percent):
            let people = try TargetedPeople(rule: rule, segment: segment, in: self)
            return try target(name, try self.environment(environment), people, percent, who, now)
        case .untarget(let name, let environment, let rule, let segment):
            return try untarget(name, try self.environment(environment), rule, segment, who, now)
        case .setStrategies(let name, let environment, let strategies):
            return try setStrategies(name, try self.environment(environment), strategies, who, now)
        case .addStrategy(let name, let environment, let strategy):
            return try addStrategy(name, try self.environment(environment), strategy, who, now)
        case .replaceStrategy(let name, let environment, let id, let strategy):
            return try replaceStrategy(name, try self.environment(environment), id, strategy, who, now)
        case .removeStrategy(let name, let environment, let id):
            return try replaceStrategy(name, try self.environment(environment), id, nil, who, now)
        case .setVariants(let name, let environment, let variants):
            return try setVariants(name, environment, variants, who, now)
        case .setDependencies(let name, let list): return try setDependencies(name, list, who, now)
        case .putSegment(let segment): return try putSegment(segment, who, now)
        case .removeSegment(let id): return try removeSegment(id, who, now)
        case .schedule(let name, let environment, let steps, let every, let start):
            return try schedule(name, try self.environment(environment), steps, every, start, who, now)
        case .unschedule(let name, let environment):
            return try unschedule(name, try self.environment(environment), who, now)
        case .addEnvironment(let name): return try addEnvironment(name, who, now)
        }
    }

    // MARK: Flags

    private static func checkName(_ name: String, _ what: String) throws(FlagError) {
        let isPlain = name.utf8.allSatisfy {
            (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0)
                || [45, 46, 95, 126].contains($0)
        }
        guard isPlain, !name.isEmpty, name.utf8.count <= nameLengthLimit, name != ".", name != ".." else {
            throw FlagError(
                .invalid, "'\(name.prefix(40))' cannot be the name of \(what)",
                remedy: "use up to \(nameLengthLimit) letters, digits, '-', '_', '.' and '~'")
        }
    }

    private mutating func create(
        _ name: String, _ kind: FlagKind, _ hasVariants: Bool, _ description: String, _ who: String, _ now: LabTime
    ) throws(FlagError) -> FlagOutcome {
        try Self.checkName(name, "a flag")
        if let flag = flags[name] {
            let remedy = flag.isArchived ? "flags-cli revive \(name) brings it back" : "flags-cli show \(name)"
            throw FlagError(.conflict, "there is a flag '\(name)' already", remedy: remedy)
        }
        if flags.count >= Self.flagLimit { throw FlagError(.tooMany, "there are \(Self.flagLimit) flags already") }
        var flag = FlagRecord(name, kind: kind, hasVariants: hasVariants, createdAt: now)
        flag.description = String(description.prefix(1_000))
        flags[name] = flag
        publish(.flag(name), in: nil)
        note("feature-created", flag: name, "\(kind.rawValue) flag, off everywhere", by: who, now)
        return FlagOutcome(environments: environments)
    }

    private mutating func describe(
        _ name: String, _ text: String, _ who: String, _ now: LabTime
    ) throws(FlagError) -> FlagOutcome {
        var flag = try flag(name)
        flag.description = String(text.prefix(1_000))
        flags[name] = flag
        publish(.flag(name), in: nil)
        note("feature-metadata-updated", flag: name, "description changed", by: who, now)
        return FlagOutcome(environments: environments)
    }

    private mutating func archive(_ name: String, _ who: String, _ now: LabTime) throws(FlagError) -> FlagOutcome {
        var flag = try flag(name)
        let children = activeFlags.filter { $0.dependencies.contains { $0.feature == name } }.map(\.name)
        if !children.isEmpty {
            throw FlagError(
                .conflict, "\(children.joined(separator: ", ")) depends on '\(name)'",
                remedy: "take the dependency away first")
        }
        flag.isArchived = true
        flags[name] = flag
        for environment in environments { removeSchedule(name, environment) }
        publish(.flag(name), in: nil)
        note("feature-archived", flag: name, "archived", by: who, now)
        return FlagOutcome(lines: ["\(name) is archived"], environments: environments)
    }

    /// It comes back switched off: nobody remembers what it did.
    private mutating func revive(_ name: String, _ who: String, _ now: LabTime) throws(FlagError) -> FlagOutcome {
        guard var flag = flags[name], flag.isArchived else {
            throw FlagError(.missing, "there is no archived flag '\(name)'", remedy: "flags-cli list --archived")
        }
        flag.isArchived = false
        for environment in environments {
            flag.states[environment]?.isEnabled = false
            flag.states[environment]?.changedAt = now
        }
        flags[name] = flag
        publish(.flag(name), in: nil)
        note("feature-revived", flag: name, "revived, off everywhere", by: who, now)
        return FlagOutcome(lines: ["\(name) is back, and off everywhere"], environments: environments)
    }

    private mutating func setStale(
        _ name: String, _ isStale: Bool, _ who: String, _ now: LabTime
    ) throws(FlagError) -> FlagOutcome {
        var flag = try flag(name)
        flag.isStale = isStale
        flags[name] = flag
        publish(.flag(name), in: nil)
        note(isStale ? "feature-stale-on" : "feature-stale-off", flag: name, isStale ? "stale" : "in use", by: who, now)
        return FlagOutcome(environments: environments)
    }

    // MARK: On and off

    private mutating func setEnabled(
        _ name: String, _ environment: String, _ isEnabled: Bool, _ who: String, _ now: LabTime
    ) throws(FlagError) -> FlagOutcome {
        var flag = try flag(name)
        var state = flag.state(in: environment)
        state.isEnabled = isEnabled
        state.isKilled = false
        state.changedAt = now
        flag.states[environment] = state
        flags[name] = flag
        publish(.flag(name), in: environment)
        let word = isEnabled ? "on" : "off"
        note(
            "feature-environment-\(isEnabled ? "enabled" : "disabled")", flag: name, environment: environment, word,
            by: who, now)
        return FlagOutcome(lines: ["\(name) is \(word) in \(environment)"], environments: [environment])
    }

    private mutating func kill(_ name: String, _ who: String, _ now: LabTime) throws(FlagError) -> FlagOutcome {
        var flag = try flag(name)
        for environment in environments {
            var state = flag.state(in: environment)
            state.isEnabled = false
            state.isKilled = true
            state.changedAt = now
            flag.states[environment] = state
            removeSchedule(name, environment)
        }
        flags[name] = flag
        publish(.flag(name), in: nil)
        note("feature-killed", flag: name, "off in every environment", by: who, now)
        return FlagOutcome(lines: ["\(name) is killed: off in every environment"], environments: environments)
    }

    // MARK: Everything else

    private mutating func setVariants(
        _ name: String, _ environment: String?, _ variants: [FlagVariantDefinition], _ who: String, _ now: LabTime
    ) throws(FlagError) -> FlagOutcome {
        var flag = try flag(name)
        try Self.check(variants)
        let concerned = environment == nil ? environments : [try self.environment(environment)]
        for environment in concerned {
            var state = flag.state(in: environment)
            state.variants = variants
            state.changedAt = now
            flag.states[environment] = state
        }
        if !variants.isEmpty { flag.hasVariants = true }
        flags[name] = flag
        publish(.flag(name), in: concerned.count == 1 ? concerned[0] : nil)
        let text = variants.map { "\($0.name)=\($0.weight)" }.joined(separator: ", ")
        let shown = text.isEmpty ? "none" : text
        note("feature-variants-updated", flag: name, environment: environment, shown, by: who, now)
        return FlagOutcome(lines: ["\(name): variants \(shown)"], environments: concerned)
    }

    static func check(_ variants: [FlagVariantDefinition]) throws(FlagError) {
        if variants.count > Self.variantLimit {
            throw FlagError(.tooMany, "\(variants.count) variants are more than \(Self.variantLimit)")
        }
        var seen: Set<String> = []
        for variant in variants {
            try checkName(variant.name, "a variant")
            guard seen.insert(variant.name).inserted else {
                throw FlagError(.invalid, "variant '\(variant.name)' stands there twice")
            }
            guard FlagVariantDefinition.weightRange.contains(variant.weight) else {
                throw FlagError(.invalid, "the weight of '\(variant.name)' is not between 0 and 1000000")
            }
        }
        if !variants.isEmpty, variants.allSatisfy({ $0.weight == 0 }) {
            throw FlagError(.invalid, "all weights are 0", remedy: "give one of them a share: red=50")
        }
    }

    private mutating func setDependencies(
        _ name: String, _ list: [FlagDependency], _ who: String, _ now: LabTime
    ) throws(FlagError) -> FlagOutcome {
        var flag = try flag(name)
        for one in list {
            let parent = try self.flag(one.feature)
            if one.feature == name { throw FlagError(.invalid, "'\(name)' cannot depend on itself") }
            if !parent.dependencies.isEmpty {
                throw FlagError(
                    .invalid, "'\(one.feature)' depends on another flag itself", remedy: "parents have no parents")
            }
        }
        if !list.isEmpty, let child = activeFlags.first(where: { $0.dependencies.contains { $0.feature == name } }) {
            throw FlagError(.invalid, "'\(child.name)' depends on '\(name)'", remedy: "parents have no parents")
        }
        flag.dependencies = list
        flags[name] = flag
        publish(.flag(name), in: nil)
        let text =
            list.isEmpty ? "none" : list.map { ($0.isEnabled ? "" : "not ") + $0.feature }.joined(separator: ", ")
        note("feature-dependencies-updated", flag: name, "depends on \(text)", by: who, now)
        return FlagOutcome(lines: ["\(name) depends on \(text)"], environments: environments)
    }

    private mutating func putSegment(
        _ segment: FlagSegment, _ who: String, _ now: LabTime
    ) throws(FlagError) -> FlagOutcome {
        var segment = segment
        try Self.checkName(segment.name, "a segment")
        try Self.check(segment.constraints)
        if let other = segments.values.first(where: { $0.name == segment.name && $0.id != segment.id }) {
            throw FlagError(.conflict, "segment \(other.id) is called '\(segment.name)' already")
        }
        let isNew = segments[segment.id] == nil
        if isNew {
            if segments.count >= Self.segmentLimit { throw FlagError(.tooMany, "there are too many segments") }
            segment.id = nextSegmentID
            nextSegmentID += 1
        }
        segments[segment.id] = segment
        publish(.segment(segment.id), in: nil)
        note("segment-\(isNew ? "created" : "updated")", "\(segment.name) (\(segment.id))", by: who, now)
        return FlagOutcome(environments: environments, id: "\(segment.id)")
    }

    private mutating func removeSegment(_ id: Int, _ who: String, _ now: LabTime) throws(FlagError) -> FlagOutcome {
        guard let segment = segments[id] else { throw FlagError(.missing, "there is no segment \(id)") }
        let user = activeFlags.first { flag in
            flag.states.values.contains { $0.strategies.contains { $0.segments.contains(id) } }
        }
        if let user { throw FlagError(.conflict, "flag '\(user.name)' uses segment \(id)") }
        segments[id] = nil
        publish(.segment(id), in: nil)
        note("segment-deleted", "\(segment.name) (\(id))", by: who, now)
        return FlagOutcome(environments: environments)
    }

    private mutating func addEnvironment(_ name: String, _ who: String, _ now: LabTime) throws(FlagError) -> FlagOutcome
    {
        try Self.checkName(name, "an environment")
        if environments.contains(name) { throw FlagError(.conflict, "there is an environment '\(name)' already") }
        if environments.count >= Self.environmentLimit { throw FlagError(.tooMany, "there are too many environments") }
        environments.append(name)
        note("environment-created", environment: name, "every flag is off there", by: who, now)
        return FlagOutcome(lines: ["Environment \(name) added: every flag is off there"], environments: [name])
    }
}
