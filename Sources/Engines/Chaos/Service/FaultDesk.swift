import ChaosEngine
import KernelStructures
import KernelWorld

/// Carries out what experiments do to the lab's nodes, remembers all of it, and takes it back: at the latest when
/// nobody says any more that it is still wanted.
///
/// ## The problem
///
/// The one fault that every tool for chaos has had itself: it dies in the middle, and what it broke stays broken. A
/// rollback is no help, because it is the dead program that would have to run it.
///
/// ## An everyday picture
///
/// The dead man's handle of a locomotive: it goes as long as somebody holds it. Each fault is on a lease, which its
/// owner renews while it lives; the timer that ends it is the World's, and does not care who has died or is frozen.
public final class FaultDesk {
    /// What only the surroundings can do: they know the processes, the World knows the nodes.
    public struct Hooks {
        /// Starts a node that has ended again; says why it could not.
        public var restart: (_ node: String) -> String?
        /// SIGTERM and its kin to the process of a node; false if there is none.
        public var signal: (_ node: String, _ signal: String) -> Bool

        public init(
            restart: @escaping (String) -> String? = { "nobody knows how \($0) was started" },
            signal: @escaping (String, String) -> Bool = { _, _ in false }
        ) {
            self.restart = restart
            self.signal = signal
        }
    }

    public struct Failure: Error, Equatable, CustomStringConvertible {
        public let description: String
    }

    private let world: World
    private let hooks: Hooks
    private let nodeBudget: Int?
    private let lease: LabDuration?
    /// Programs of the machine that the experiment has started; what is meant for them goes there.
    public var host: HostPrograms?
    private var expiry: TimerID?
    /// What is in force because of this desk.
    private var faults: [(number: Int, kind: String, nodes: [String])] = []
    private var frozen: [Node] = []
    /// Nodes that are being started.
    private var beginning: Set<String> = []
    private var skewed: [(node: Node, before: LabDuration)] = []
    private var random: SeededRandom
    public private(set) var isClosed = false
    /// Called when the lease has run out, with how many faults were taken back.
    public var onExpiry: ((Int) -> Void)?

    /// - Parameters:
    ///   - lease: how long what it does lasts if nobody calls `renew`; nil: until it is taken back.
    ///   - nodeBudget: how many nodes may be touched at a time.
    public init(_ world: World, lease: LabDuration?, nodeBudget: Int? = nil, hooks: Hooks = Hooks()) {
        self.world = world
        self.lease = lease
        self.nodeBudget = nodeBudget
        self.hooks = hooks
        random = world.random.fork("chaos")
        renew()
    }

    /// It is still wanted.
    public func renew() {
        world.cancel(expiry)
        expiry = nil
        guard let lease, !isClosed else { return }
        host?.renew(lease)
        // The World holds the desk: whoever made it may be gone.
        expiry = world.after(lease) { [self] in
            expiry = nil
            let count = revertAll()
            if count > 0 { onExpiry?(count) }
        }
    }

    /// Nothing more is done here; everything is taken back.
    @discardableResult
    public func close() -> Int {
        guard !isClosed else { return 0 }
        isClosed = true
        world.cancel(expiry)
        expiry = nil
        return revertAll()
    }

    // MARK: Doing

    /// - Returns: notes on how it was done.
    /// - Throws: `Failure`
    public func perform(_ action: LabAction) throws(Failure) -> [String] {
        if isClosed { throw Failure(description: "the experiment is over") }
        var reason: String?
        if let host {
            switch try host.perform(action, &random) {
            case .done(let notes): return notes
            case .labs(let because): reason = because
            }
        }
        return try performInLab(action) + (reason.map { ["In user space: \($0)"] } ?? [])
    }

    private func performInLab(_ action: LabAction) throws(Failure) -> [String] {
        switch action {
        case .inject(let words, let target, let lasts, let radius):
            return try inject(words, target, lasts, radius)
        case .restore(let kind, let target): return try restore(kind, target)
        case .signal(let name, let target, let lasts, let radius):
            return try signal(name, target, lasts, radius)
        case .restart(let target):
            let names = try names(target, BlastRadius(), isAlive: nil)
            for name in names {
                if let problem = restart(name) { throw Failure(description: problem) }
            }
            return []
        case .skew(let time, let target):
            for name in try names(target, BlastRadius(), isAlive: true) {
                guard let node = world.nodes[name] else { continue }
                skewed.append((node, node.clockSkew))
                node.clockSkew = time
            }
            return []
        }
    }

    private func inject(_ words: [String], _ target: String, _ lasts: LabDuration?, _ radius: BlastRadius)
        throws(Failure) -> [String]
    {
        let names = Self.isLink(target) ? [] : try self.names(target, radius, isAlive: true)
        let request: FaultRequest
        do throws(FaultGrammarError) {
            request = try FaultRequest(Self.words(words, target, names, lasts, radius))
        } catch {
            throw Failure(description: error.description)
        }
        guard let number = world.faults.inject(request, in: world) else {
            throw Failure(description: "no more than \(FaultTable.limit) faults at a time")
        }
        faults.append((number, words.first ?? "", names))
        return ["Using: fault \(number) of the lab's \(Self.place(request.kind)): \(request.text)"]
    }

    private static func isLink(_ target: String) -> Bool { target.contains("->") || target.contains("|") }

    /// The whole sentence, as somebody would type it behind `inject`.
    private static func words(
        _ words: [String], _ target: String, _ names: [String], _ lasts: LabDuration?, _ radius: BlastRadius
    ) -> [String] {
        var words = words
        if isLink(target) {
            words.append(target)
        } else {
            if let budget = radius.budget { words += ["first", "\(budget)"] }
            if let cohort = radius.cohort { words += ["with", field(cohort)] }
            words += ["on", names.count == 1 ? names[0] : "{\(names.joined(separator: ","))}"]
        }
        return words + (lasts.map { ["for", "\($0)"] } ?? [])
    }

    /// What is wrong with an action whoever its target is; nil if nothing is. It touches nobody.
    public static func problem(with action: LabAction) -> String? {
        guard case .inject(let words, let target, let lasts, let radius) = action else { return nil }
        do throws(FaultGrammarError) {
            // Any name will do: whether there is such a node is known when it is time.
            _ = try FaultRequest(Self.words(words, target, ["node"], lasts, radius))
            return nil
        } catch {
            return error.description
        }
    }

    /// `X-Cohort: beta` in one word.
    private static func field(_ cohort: String) -> String {
        let parts = cohort.split(separator: ":", maxSplits: 1).map { part in
            part.drop { $0 == " " }.replacing(" ", with: "")
        }
        return parts.joined(separator: "=")
    }

    private static func place(_ kind: FaultKind) -> String {
        switch kind {
        case .disk: "disks"
        case .protocolFailure(let fault): fault is NodeTrouble ? "nodes" : "connections"
        default: "network"
        }
    }

    // MARK: Nodes

    /// The nodes that a target means, and of these the share that is to be hit.
    private func names(_ target: String, _ radius: BlastRadius, isAlive: Bool?) throws(Failure) -> [String] {
        let known = world.nodes.allServices.filter { isAlive == nil || $0.isAlive == isAlive }.map(\.name)
        let fitting = BlastRadius.matches(target, among: known)
        guard !fitting.isEmpty else {
            throw Failure(description: "no node is called '\(target)'\(didYouMean(target, among: known))")
        }
        let chosen = radius.choose(among: fitting, &random)
        if let nodeBudget {
            let touched = Set(faults.filter { isInForce($0.number) }.flatMap(\.nodes)).union(chosen)
            guard touched.count <= nodeBudget else {
                throw Failure(
                    description: "\(counted(touched.count, "node")) would be touched, and the budget is \(nodeBudget)")
            }
        }
        return chosen
    }

    private func isInForce(_ number: Int) -> Bool { world.faults.rules.contains { $0.number == number } }

    private func signal(_ name: String, _ target: String, _ lasts: LabDuration?, _ radius: BlastRadius)
        throws(Failure) -> [String]
    {
        let names = try names(target, radius, isAlive: true)
        let name = name.hasPrefix("SIG") ? String(name.dropFirst(3)) : name
        for one in names {
            guard let node = world.nodes[one] else { continue }
            switch name {
            case "KILL": node.end(.killed)
            case "POWER": node.end(.poweredOff)
            case "STOP":
                if !node.isFrozen { frozen.append(node) }
                node.freeze()
            case "CONT":
                frozen.removeAll { $0 === node }
                node.thaw()
            case let other:
                guard hooks.signal(one, other) else {
                    throw Failure(description: "\(one) cannot be sent SIG\(other)")
                }
            }
        }
        if let lasts {
            world.after(lasts) { [self] in
                for one in names { undo(name, one) }
            }
        }
        return names.count > 1 ? ["Using: SIG\(name) to \(names.joined(separator: ", "))"] : []
    }

    /// What was stopped for a time goes on; what has ended is started again, as a supervisor would.
    private func undo(_ signal: String, _ name: String) {
        guard let node = world.nodes[name] else { return }
        if signal == "STOP" {
            guard let index = frozen.firstIndex(where: { $0 === node }) else { return }
            frozen.remove(at: index)
            node.thaw()
        } else {
            // It may have been stopped when it was killed: that has ended with its life.
            _ = restart(name)
        }
    }

    /// Starts what has ended, once: a kill for a time and a rollback may both want that at the same moment, before
    /// the node lives.
    ///
    /// - Returns: what is in the way.
    private func restart(_ name: String) -> String? {
        guard world.nodes[name]?.isAlive != true, beginning.insert(name).inserted else { return nil }
        world.after(.milliseconds(1)) { [self] in beginning.remove(name) }
        return hooks.restart(name)
    }

    // MARK: Taking back

    private func restore(_ group: String?, _ target: String?) throws(Failure) -> [String] {
        let kinds = group.map { FaultAction.kinds(ofGroup: $0) ?? [] }
        let all = world.nodes.allServices.map(\.name)
        let fitting = target.map { BlastRadius.matches($0, among: all) }
        for fault in faults {
            let isKind = kinds.map { $0.contains(fault.kind) } ?? true
            let isHere = fitting.map { names in fault.nodes.contains { names.contains($0) } } ?? true
            if isKind, isHere { remove(fault.number) }
        }
        faults.removeAll { !isInForce($0.number) }
        host?.restore(kinds, fitting)
        if kinds == nil {
            for node in frozen where fitting?.contains(node.name) ?? true { node.thaw() }
            frozen.removeAll { !$0.isFrozen }
            for (node, before) in skewed.reversed() where fitting?.contains(node.name) ?? true {
                node.clockSkew = before
            }
            if fitting == nil { skewed = [] }
        }
        return []
    }

    private func remove(_ number: Int) { world.faults.remove(number) }

    /// Takes back everything that is still in force, and says how much that was.
    @discardableResult
    public func revertAll() -> Int {
        let open = faults.filter { isInForce($0.number) }.map(\.number)
        for number in open { remove(number) }
        let count = open.count + frozen.count + skewed.count + (host?.revertAll() ?? 0)
        for node in frozen { node.thaw() }
        for (node, before) in skewed.reversed() { node.clockSkew = before }
        faults = []
        frozen = []
        skewed = []
        return count
    }

    /// How many are in force.
    public var openCount: Int {
        faults.count { isInForce($0.number) } + frozen.count + skewed.count + (host?.openCount ?? 0)
    }
}
