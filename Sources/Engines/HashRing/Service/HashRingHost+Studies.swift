import HashRingEngine
import KernelHosting
import KernelStructures
import KernelWorld

// Questions that take real computing, made into work that may be done beside the loop.
extension HashRingHost {
    struct Study {
        /// Lab time that it takes where the loop does it.
        let cost: LabDuration
        let work: @Sendable () throws -> RingAnswer
    }

    /// nil for a request that is answered at once.
    func study(_ request: RingRequest) throws(RingError) -> Study? {
        switch request {
        case .compare(let keys, let add, let remove, let hash):
            try comparison(keys: keys, add: add, remove: remove, hash: hash)
        case .advise(let percent, let count):
            advice(percent, names: count.map { (1...$0).map { "node-\($0)" } } ?? keeper.ring.nodes.map(\.name))
        case .hotKeys(let settings): try hotKeys(settings)
        default: nil
        }
    }

    /// Without a word about it, one more node comes, and the first one goes.
    private func comparison(keys: Int?, add: String?, remove: String?, hash: RingHash?) throws(RingError) -> Study {
        let nodes = keeper.ring.nodes
        guard let first = nodes.first else { throw .empty }
        var settings = Comparison.Settings()
        if let keys { settings.keys = keys }
        if case .labels(let own) = keeper.settings.scheme { settings.hash = own }
        if let hash { settings.hash = hash }
        var name = add ?? "new-node"
        while add == nil, nodes.contains(where: { $0.name == name }) { name += "-2" }
        let added = RingNode(name, virtualNodes: keeper.settings.virtualNodesOrUsual)
        return Study(cost: .microseconds(settings.keys)) { [settings] in
            .comparison(
                try Comparison(nodes, adding: added, removing: remove ?? first.name, settings: settings), settings)
        }
    }

    private func advice(_ percent: Double, names: [String]) -> Study {
        let scheme = keeper.settings.scheme
        return Study(cost: .milliseconds(10)) {
            guard RingAdvice.nodeRange.contains(names.count) else {
                throw HTTPProblem(409, "shares of \(names.count) nodes cannot differ", remedy: "say how many: nodes=5")
            }
            return .advice(try RingAdvice(names, deviation: percent / 100, scheme: scheme))
        }
    }

    private func hotKeys(_ settings: HotKeys.Settings) throws(RingError) -> Study {
        let ring = keeper.ring
        if ring.isEmpty { throw .empty }
        return Study(cost: .microseconds(settings.requests)) { .hotKeys(try HotKeys(ring, settings)) }
    }
}
