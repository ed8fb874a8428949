import KernelStructures
import RateLimiterEngine

/// What was decided about a request under several rules, or with a store.
enum LimiterVerdict {
    /// - charges: those that the decision is about, with an assessment for each.
    /// - isCharged: the engine has to hear when the request is over.
    case decided(RateLimiter.Decision, [RateLimiter.Charge], [Assessment], isCharged: Bool)
    /// The store cannot be asked, and a rule says that nobody passes then.
    case unknown
}

extension RateLimiterHost {
    /// Decides by the shared store where there is one, otherwise by itself.
    ///
    /// - Parameter completion: called once, perhaps before this returns.
    func decide(
        _ charges: [RateLimiter.Charge], under rules: LimiterRules, completion: @escaping (LimiterVerdict) -> Void
    ) {
        guard let store = rules.store else { return completion(decideHere(charges, under: rules)) }
        let policies = charges.map { rules.configuration.rules[$0.policy].policy }
        store.decide(charges, policies) { [weak self] answer in
            guard let self else { return }
            switch answer {
            case .decided(let assessments):
                storeAnswered()
                let decision = engine.count(
                    charges, decidedElsewhere: assessments, under: rules.policies, now: node.world.now)
                completion(.decided(decision, charges, assessments, isCharged: false))
            case .failed(let reason):
                storeFailed(reason)
                completion(decideWithoutStore(charges, rules))
            }
        }
    }

    func decideHere(_ charges: [RateLimiter.Charge], under rules: LimiterRules) -> LimiterVerdict {
        let decision = engine.decide(charges, under: rules.policies, now: node.world.now)
        return .decided(decision, charges, engine.assessments, isCharged: decision.isAllowed)
    }

    /// Each rule has its own idea of what to do without the store.
    private func decideWithoutStore(_ charges: [RateLimiter.Charge], _ rules: LimiterRules) -> LimiterVerdict {
        let all = rules.configuration.rules
        if charges.contains(where: { all[$0.policy].onStoreFailure == .closed }) {
            counters.failedClosed += 1
            engine.recordUnknown(
                charges.filter { all[$0.policy].onStoreFailure == .closed }, under: rules.policies, now: node.world.now)
            return .unknown
        }
        let open = charges.filter { all[$0.policy].onStoreFailure == .open }
        let local = charges.filter { all[$0.policy].onStoreFailure == .local }
        if local.isEmpty {
            counters.failedOpen += 1
            engine.recordUnchecked(open, under: rules.policies, now: node.world.now)
            return .decided(.unlimited, [], [], isCharged: false)
        }
        counters.decidedAlone += 1
        return decideHere(local, under: rules)
    }

    // MARK: Looking

    /// What a key has left, and who says so.
    package enum Look {
        /// By rule, from this node's own counts or from the store that it shares.
        case found([Assessment], isShared: Bool)
        /// The store cannot be asked; what this node has counted alone is here.
        case alone([Assessment], reason: String)
    }

    /// The key that a rule knows a request by, of whom somebody types a key: all have the same under `key: global`.
    package func key(of rule: RateLimitRule, typed key: String) -> String { rule.key.parts == [.global] ? "*" : key }

    /// What each rule would say of a request of a key now; nothing is taken or counted.
    ///
    /// - Parameter completion: called once, perhaps before this returns.
    package func look(at key: String, completion: @escaping (Look) -> Void) {
        let rules = rules
        let charges = rules.configuration.rules.enumerated().map { index, rule in
            RateLimiter.Charge(policy: index, key: self.key(of: rule, typed: key), cost: rule.cost)
        }
        let own = charges.map { engine.look($0, now: node.world.now) }
        guard let store = rules.store else { return completion(.found(own, isShared: false)) }
        store.look(charges, rules.configuration.rules.map(\.policy)) { answer in
            switch answer {
            case .decided(let assessments): completion(.found(assessments, isShared: true))
            case .failed(let reason): completion(.alone(own, reason: reason))
            }
        }
    }
}
