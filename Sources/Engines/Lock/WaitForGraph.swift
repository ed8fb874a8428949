/// Who waits for whom, over all locks: a circle in it is a deadlock.
///
/// Two cars at a narrow bridge, each waiting for the other to back out: nothing is broken, and nothing will ever move.
/// Seen from each lock alone all is well; only the picture of all of them shows the circle.
///
/// An owner is one party whatever number of claims it has. An edge leads from each claim that waits to every owner that
/// keeps it out. Circles are the strongly connected components with more than one owner, or with an owner that waits
/// for itself (Tarjan 1972, with a stack of its own instead of recursion).
public struct WaitForGraph: Equatable, Sendable {
    public struct Edge: Equatable, Sendable {
        public let waiter: String
        public let holder: String
        /// The lock that is waited for.
        public let lock: String
    }

    /// In the order of locks and claims.
    public let edges: [Edge]
    /// Each with its owners in the order in which the circle leads through them, beginning with the first by name.
    public let deadlocks: [[String]]

    public init(_ queues: [LockQueue]) {
        var edges: [Edge] = []
        for queue in queues {
            for index in queue.claims.indices {
                for blocker in queue.blockers(of: index) {
                    let edge = Edge(waiter: queue.claims[index].owner, holder: blocker.owner, lock: queue.name)
                    if edges.last != edge { edges.append(edge) }
                }
            }
        }
        self.edges = edges
        deadlocks = Self.circles(edges)
    }

    private static func circles(_ edges: [Edge]) -> [[String]] {
        var successors: [String: [String]] = [:]
        for edge in edges { successors[edge.waiter, default: []].append(edge.holder) }
        let owners = successors.keys.sorted()
        let components = StrongComponents(owners, successors).all
        return components.compactMap { component -> [String]? in
            let members = Set(component)
            guard let first = component.min() else { return nil }
            let waitsForItself = successors[first, default: []].contains(first)
            guard component.count > 1 || waitsForItself else { return nil }
            // Along the edges, always to the first owner by name that has not been passed yet.
            var path = [first]
            var passed: Set<String> = [first]
            while let next = successors[path[path.count - 1], default: []].filter({
                members.contains($0) && !passed.contains($0)
            }).min() {
                path.append(next)
                passed.insert(next)
            }
            return path
        }.sorted { $0[0] < $1[0] }
    }
}

/// Tarjan's algorithm.
private struct StrongComponents {
    private let successors: [String: [String]]
    private var index: [String: Int] = [:]
    private var low: [String: Int] = [:]
    private var stack: [String] = []
    private var isOnStack: Set<String> = []
    private(set) var all: [[String]] = []

    init(_ owners: [String], _ successors: [String: [String]]) {
        self.successors = successors
        for owner in owners where index[owner] == nil { visit(owner) }
    }

    private mutating func enter(_ owner: String) {
        index[owner] = index.count
        low[owner] = index[owner]
        stack.append(owner)
        isOnStack.insert(owner)
    }

    private mutating func visit(_ root: String) {
        var work: [(owner: String, next: Int)] = [(root, 0)]
        enter(root)
        while let top = work.last {
            let following = successors[top.owner] ?? []
            if top.next < following.count {
                work[work.count - 1].next += 1
                let next = following[top.next]
                if index[next] == nil {
                    enter(next)
                    work.append((next, 0))
                } else if isOnStack.contains(next) {
                    low[top.owner] = min(low[top.owner]!, index[next]!)
                }
                continue
            }
            work.removeLast()
            if let parent = work.last?.owner { low[parent] = min(low[parent]!, low[top.owner]!) }
            if low[top.owner] == index[top.owner] { close(top.owner) }
        }
    }

    private mutating func close(_ root: String) {
        var component: [String] = []
        while let owner = stack.popLast() {
            isOnStack.remove(owner)
            component.append(owner)
            if owner == root { break }
        }
        all.append(component)
    }
}
