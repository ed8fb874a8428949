/// Turning a rule inside out: a sum (any of) of products (all of) of constraints, which is what strategies are.
extension TargetingRule {
    /// Strategies that one rule may need.
    public static let strategyLimit = 32
    /// Different comparisons of one rule.
    public static let comparisonLimit = 64
    /// Products that may be looked at on the way.
    private static let workLimit = 1024

    /// The lists of constraints, any of which must be met as a whole; none for a rule that nobody can meet.
    ///
    /// - Throws: `TargetingRuleError` for one that needs more than `strategyLimit` of them.
    public func products() throws(TargetingRuleError) -> [[FlagConstraint]] {
        var atoms: [FlagConstraint] = []
        collect(into: &atoms)
        if atoms.count > Self.comparisonLimit {
            throw tooLarge("has \(atoms.count) different comparisons, and \(Self.comparisonLimit) are allowed")
        }
        let products = try sum(atoms, isNegated: false)
        if products.count > Self.strategyLimit {
            throw tooLarge("needs \(products.count) strategies, and \(Self.strategyLimit) are allowed")
        }
        return products.map { product in
            atoms.indices.compactMap { index in
                let bit: UInt64 = 1 << UInt64(index)
                if product.met & bit != 0 { return atoms[index] }
                return product.unmet & bit != 0 ? atoms[index].inverted : nil
            }
        }
    }

    /// One gradual rollout for each product, all of one group: somebody who meets several is not drawn several times.
    ///
    /// - Throws: as `products`, and for a rule that nobody can meet.
    public func strategies(percent: Int, group: String, stickiness: String = "default") throws(TargetingRuleError)
        -> [FlagStrategy]
    {
        let title = description
        let products = try products()
        if products.isEmpty {
            throw TargetingRuleError(rule: title, problem: "it contradicts itself: nobody can meet it", character: nil)
        }
        return products.map {
            .rollout(percent: percent, group: group, stickiness: stickiness, title: title, constraints: $0)
        }
    }

    private func tooLarge(_ what: String) -> TargetingRuleError {
        TargetingRuleError(
            rule: description, problem: "\(what); put values of one field into a list, or use several rules",
            character: nil)
    }

    // MARK: Algebra

    /// Atoms that must be met, and such that must not, by their numbers.
    private struct Product: Equatable {
        var met: UInt64 = 0
        var unmet: UInt64 = 0

        var isContradiction: Bool { met & unmet != 0 }
        /// Whoever meets the other one meets this one.
        func includes(_ other: Product) -> Bool { met & ~other.met == 0 && unmet & ~other.unmet == 0 }
        func and(_ other: Product) -> Product { Product(met: met | other.met, unmet: unmet | other.unmet) }
    }

    /// Different comparisons in the order in which they stand there, none of them negated.
    private func collect(into atoms: inout [FlagConstraint]) {
        switch self {
        case .constraint(let constraint):
            let atom = constraint.isNegative ? constraint.inverted : constraint
            if !atoms.contains(atom) { atoms.append(atom) }
        case .not(let rule): rule.collect(into: &atoms)
        case .all(let rules), .any(let rules): for rule in rules { rule.collect(into: &atoms) }
        }
    }

    /// De Morgan's laws take negations down to the constraints, which can be inverted.
    private func sum(_ atoms: [FlagConstraint], isNegated: Bool) throws(TargetingRuleError) -> [Product] {
        switch self {
        case .constraint(let constraint):
            let isUnmet = constraint.isNegative != isNegated
            let atom = constraint.isNegative ? constraint.inverted : constraint
            guard let index = atoms.firstIndex(of: atom) else { return [] }
            let bit: UInt64 = 1 << UInt64(index)
            return [isUnmet ? Product(unmet: bit) : Product(met: bit)]
        case .not(let rule): return try rule.sum(atoms, isNegated: !isNegated)
        case .all(let rules):
            return try isNegated ? union(rules, atoms, isNegated) : crossProduct(rules, atoms, isNegated)
        case .any(let rules):
            return try isNegated ? crossProduct(rules, atoms, isNegated) : union(rules, atoms, isNegated)
        }
    }

    private func union(
        _ rules: [TargetingRule], _ atoms: [FlagConstraint], _ isNegated: Bool
    ) throws(TargetingRuleError) -> [Product] {
        var products: [Product] = []
        for rule in rules { products += try rule.sum(atoms, isNegated: isNegated) }
        return try simplified(products)
    }

    private func crossProduct(
        _ rules: [TargetingRule], _ atoms: [FlagConstraint], _ isNegated: Bool
    ) throws(TargetingRuleError) -> [Product] {
        var products = [Product()]
        for rule in rules {
            let factors = try rule.sum(atoms, isNegated: isNegated)
            if products.count * factors.count > Self.workLimit {
                throw tooLarge("needs more than \(Self.strategyLimit) strategies")
            }
            products = try simplified(products.flatMap { product in factors.map { product.and($0) } })
        }
        return products
    }

    /// Without products that contradict themselves, and without those that another one includes (`a or a and b` is
    /// `a`).
    private func simplified(_ products: [Product]) throws(TargetingRuleError) -> [Product] {
        if products.count > Self.workLimit { throw tooLarge("needs more than \(Self.strategyLimit) strategies") }
        var kept: [Product] = []
        for product in products where !product.isContradiction && !kept.contains(where: { $0.includes(product) }) {
            kept.removeAll { product.includes($0) }
            kept.append(product)
        }
        return kept
    }
}

extension FlagConstraint {
    fileprivate var isNegative: Bool { (`operator` == .isNotIn) != isInverted }

    /// The opposite question. Lists have an operator of their own for it, which everybody can read.
    fileprivate var inverted: FlagConstraint {
        var constraint = self
        switch `operator` {
        case .isIn where !isInverted: constraint.operator = .isNotIn
        case .isNotIn where !isInverted: constraint.operator = .isIn
        default: constraint.isInverted.toggle()
        }
        return constraint
    }
}
