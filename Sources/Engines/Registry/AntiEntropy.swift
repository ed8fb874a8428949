import KernelStructures

/// Holds what a node's agent was told against what the catalogue says of that node, and says what puts it right.
///
/// ## The problem
///
/// Two records of the same thing part: somebody writes into the catalogue past the agent, or a row is lost. Nobody who
/// asks can see it, and nothing that happens later mends it.
///
/// ## An everyday picture
///
/// The porter has a list of who moved in. Now and then he walks to the board in the hall with it: a sign that somebody
/// has taken down goes up again, one that was scribbled on is written anew, and one that stands on nobody's list comes
/// off.
///
/// ## How
///
/// As Consul's agents do it ("Anti-Entropy" in its documentation): what the agent is told goes into the catalogue at
/// once; beside that all of it is compared every minute, later by chance so that many agents do not come together, and
/// later still in a large cluster: from 128 nodes on, each doubling adds another minute. Where Consul cannot know
/// whether there is anything to compare, the catalogue here has an index of each node's rows: while that has not moved
/// since both were found to agree, nobody walks.
///
/// ## Where it is wrong
///
/// What is changed past the agent stands for a minute or two, and is handed out. Whether the agent's list is right,
/// nobody asks: an instance that is gone without a word stays on it until its check says so.
struct AntiEntropy {
    private let node: String
    /// When they are compared next; nil: nothing has changed since they agreed.
    private(set) var deadline: LabTime?
    private var random: SeededRandom
    /// Rows put right so far.
    private(set) var repairCount = 0

    /// Between two comparisons in a small cluster.
    static let interval = LabDuration.seconds(60)
    /// Until the next one, where something had to be put right: whether it was.
    static let retryInterval = LabDuration.seconds(15)
    /// Whoever begins to lead compares within this time.
    static let leadingDelay = LabDuration.seconds(3)
    /// Clusters up to here count as small.
    static let smallClusterNodes = 128
    /// Rows that are put right at once; the others follow soon.
    static let repairLimit = 256

    init(node: String, random: SeededRandom) {
        self.node = node
        self.random = random
    }

    /// How many times the interval it may take in a cluster of that size: one more with each doubling beyond the small.
    static func scale(nodes: Int) -> Int {
        var (scale, size) = (1, smallClusterNodes)
        while size < nodes {
            scale += 1
            size *= 2
        }
        return scale
    }

    /// The catalogue has changed.
    mutating func note(_ topics: [WatchTopic], nodes: Int, now: LabTime) {
        guard deadline == nil, topics.contains(.node(node)) else { return }
        deadline = now + Self.interval + by(chance: Self.interval * Self.scale(nodes: nodes))
    }

    /// Somebody else did it before.
    mutating func beginLeading(now: LabTime) { deadline = now + by(chance: Self.leadingDelay) }

    private mutating func by(chance most: LabDuration) -> LabDuration {
        LabDuration(nanoseconds: Int64(random.below(Int(most.nanoseconds))))
    }

    /// Compares, if it is time.
    mutating func tick(_ catalog: RegistryCatalog, now: LabTime) -> [Registry.Effect] {
        guard let deadline, deadline <= now else { return [] }
        let repairs = repairs(catalog)
        let isMore = repairs.count > Self.repairLimit
        self.deadline = repairs.isEmpty ? nil : now + (isMore ? .seconds(1) : Self.retryInterval)
        repairCount += min(repairs.count, Self.repairLimit)
        return repairs.prefix(Self.repairLimit).flatMap { repair -> [Registry.Effect] in
            [.log("Anti-entropy: \(id: repair.subject) \(repair.what)", level: .warning), .propose(repair.command)]
        }
    }

    // MARK: Comparing

    private struct Repair {
        /// The node first, then what is missing or different, then what should not be there.
        let rank: Int
        let subject: String
        let what: String
        let command: RegistryCommand

        init(_ rank: Int, _ subject: String, _ what: String, _ command: RegistryCommand) {
            self.rank = rank
            self.subject = subject
            self.what = what
            self.command = .catalogued(command)
        }
    }

    private static let unknown = "is unknown to its agent, and is taken off"
    private static func wrong(_ isMissing: Bool) -> String {
        isMissing ? "was missing, and is on the catalogue again" : "was changed past its agent, and is as it was"
    }

    private func repairs(_ catalog: RegistryCatalog) -> [Repair] {
        let agent = catalog.agent
        var repairs: [Repair] = []
        if let own = agent.nodes[node], catalog.nodes[node]?.says(own) != true {
            let isMissing = catalog.nodes[node] == nil
            repairs.append(Repair(0, node, Self.wrong(isMissing), .register(node: own, instance: nil, checks: [])))
        }
        let reference = CatalogNode(name: node, address: "")
        for var own in agent.instances.values where own.node == node {
            let row = catalog.instances[own.key]
            // Consul's EnableTagOverride: others may have their say about its tags.
            if own.allowsTagOverride, let row { own.tags = row.tags }
            if row?.says(own) == true { continue }
            repairs.append(
                Repair(1, own.id, Self.wrong(row == nil), .register(node: reference, instance: own, checks: [])))
        }
        repairs += agent.checks.values.compactMap { $0.node == node ? repair($0, catalog, reference) : nil }
        for row in catalog.instances(onNode: node) where agent.instances[row.key] == nil {
            repairs.append(
                Repair(
                    3, row.id, Self.unknown, .deregister(node: node, instance: row.id, check: nil, unlessAfter: nil)))
        }
        for row in catalog.checks(onNode: node) where agent.checks[row.key] == nil {
            // Those of an instance that is taken off go with it.
            let owner = InstanceKey(node: node, id: row.serviceID)
            guard row.serviceID.isEmpty || agent.instances[owner] != nil else { continue }
            repairs.append(
                Repair(
                    4, row.id, Self.unknown, .deregister(node: node, instance: nil, check: row.id, unlessAfter: nil)))
        }
        return repairs.sorted { ($0.rank, $0.subject) < ($1.rank, $1.subject) }
    }

    private func repair(_ own: CatalogCheck, _ catalog: RegistryCatalog, _ reference: CatalogNode) -> Repair? {
        guard let row = catalog.checks[own.key] else {
            return Repair(2, own.id, Self.wrong(true), .register(node: reference, instance: nil, checks: [own]))
        }
        if row.says(own) { return nil }
        var likeOwn = row
        (likeOwn.status, likeOwn.output) = (own.status, own.output)
        // To register a check again does not say how it is.
        let command: RegistryCommand =
            likeOwn.says(own)
            ? .updateCheck(node: node, check: own.id, status: own.status, output: own.output)
            : .register(node: reference, instance: nil, checks: [own])
        return Repair(2, own.id, Self.wrong(false), command)
    }
}

extension CatalogNode {
    /// Whether both say the same, whenever they were written.
    func says(_ other: CatalogNode) -> Bool {
        var copy = self
        (copy.createIndex, copy.modifyIndex) = (other.createIndex, other.modifyIndex)
        return copy == other
    }
}

extension ServiceInstance {
    /// Whether both say the same, whenever they were written.
    func says(_ other: ServiceInstance) -> Bool {
        var copy = self
        (copy.createIndex, copy.modifyIndex) = (other.createIndex, other.modifyIndex)
        return copy == other
    }
}

extension CatalogCheck {
    /// Whether both say the same, whenever they were written; the service's name follows from the service.
    func says(_ other: CatalogCheck) -> Bool {
        var copy = self
        (copy.createIndex, copy.modifyIndex) = (other.createIndex, other.modifyIndex)
        copy.serviceName = other.serviceName
        return copy == other
    }
}
