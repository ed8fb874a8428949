import KernelStorage
import KernelStructures

/// Which nodes a rule concerns, at one end of a link.
public enum NodeSelector: Equatable, Sendable, CustomStringConvertible {
    case any
    /// Lower-case node names; `client` for every terminal, `outside` for whoever is not part of the lab.
    case names([String])

    public func matches(_ node: Node?) -> Bool {
        switch self {
        case .any: true
        case .names(let names): names.contains((node?.name ?? NodeTable.outsideName).lowercased())
        }
    }

    public var description: String {
        switch self {
        case .any: "*"
        case .names(let names): names.count == 1 ? names[0] : "{" + names.joined(separator: ",") + "}"
        }
    }
}

/// The direction, or directions, of a link that a rule acts on.
public struct LinkSelector: Equatable, Sendable, CustomStringConvertible {
    public var from: NodeSelector
    public var to: NodeSelector
    public var isBothWays: Bool
    /// How the user wrote it, for `faults`.
    public var text: String

    public init(from: NodeSelector, to: NodeSelector, isBothWays: Bool, text: String) {
        self.from = from
        self.to = to
        self.isBothWays = isBothWays
        self.text = text
    }

    public func matches(from source: Node?, to target: Node?) -> Bool {
        if from.matches(source), to.matches(target) { return true }
        return isBothWays && from.matches(target) && to.matches(source)
    }

    public var description: String { text }
}

/// What a rule does.
public enum FaultKind {
    case latency(LabDuration, jitter: LabDuration)
    /// 0…1
    case loss(Double)
    case throttle(bytesPerSecond: Int)
    case corrupt(Double)
    /// Shares of the datagrams that come twice, and that come late.
    case duplicate(Double)
    case reorder(Double)
    /// Nothing passes; senders wait and retransmit.
    case block(partition: Bool)
    /// Open connections are reset now, later ones with their first bytes.
    case reset
    /// New connections are refused.
    case refuse
    case protocolFailure(any ProtocolFault)
    /// Applied to the nodes' disks; undone when the rule goes.
    case disk(DiskTrouble)

    public var name: String {
        switch self {
        case .latency: "latency"
        case .loss: "loss"
        case .throttle: "throttle"
        case .corrupt: "corrupt"
        case .duplicate: "duplicate"
        case .reorder: "reorder"
        case .block(let partition): partition ? "partition" : "blackhole"
        case .reset: "reset"
        case .refuse: "refuse"
        case .protocolFailure(let fault): "fail " + fault.protocolName
        case .disk(let trouble): trouble.name
        }
    }
}

/// A trouble of the disks of some nodes.
public enum DiskTrouble: Sendable {
    case full
    case slow(LabDuration)
    case failSync(count: Int)
    case tornWrite(count: Int)

    public var name: String {
        switch self {
        case .full: "disk-full"
        case .slow: "disk-slow"
        case .failSync: "fail-sync"
        case .tornWrite: "torn-write"
        }
    }
}

/// A fault that understands a protocol, such as `fail http 503 first 2`.
public protocol ProtocolFault: AnyObject {
    var protocolName: String { get }
    /// Whether it has done all it was to do; the rule is then removed.
    var isExhausted: Bool { get }
    /// Called when the fault has nothing left to do.
    var onExhausted: (() -> Void)? { get set }
    func makeInterceptor(for stream: Stream) -> any StreamInterceptor
}

/// A rule in force.
public struct FaultRule {
    public let number: Int
    public let kind: FaultKind
    public let link: LinkSelector
    /// The rule as text, without its number.
    public let text: String
    public let since: LabTime
    public let until: LabTime?
}

/// The fault rules in force. They act at once on open connections, combine with one another, and end by themselves
/// when they carry a duration: a timer of the World's own reverts them, whoever set them.
public final class FaultTable {
    private unowned let world: World
    public private(set) var rules: [FaultRule] = []
    private var lastNumber = 0
    private var timers: [Int: TimerID] = [:]

    /// More rules than this at a time are refused.
    public static let limit = 1000

    init(world: World) { self.world = world }

    public var isEmpty: Bool { rules.isEmpty }

    /// Puts a rule into force and returns its number; nil if there are too many.
    public func inject(_ kind: FaultKind, on link: LinkSelector, for duration: LabDuration?, text: String) -> Int? {
        guard rules.count < Self.limit else { return nil }
        lastNumber += 1
        let number = lastNumber
        rules.append(
            FaultRule(
                number: number, kind: kind, link: link, text: text, since: world.now,
                until: duration.map { world.now + $0 }))
        let injection = world.journal.record(.fault(number: number, .injected, text))
        world.journal.withCause(injection) {
            if let duration {
                timers[number] = world.after(duration) { [unowned self] in remove(number, .expired) }
            }
            apply(kind, number, on: link)
        }
        return number
    }

    private func apply(_ kind: FaultKind, _ number: Int, on link: LinkSelector) {
        if case .protocolFailure(let fault) = kind {
            fault.onExhausted = { [unowned self] in
                world.enqueue { [unowned self] in remove(number, .exhausted) }
            }
        }
        updateDisks()
        world.network.applyFaults()
        if case .reset = kind { resetOpenConnections(link) }
    }

    /// Ends a rule. Returns false if there is none of that number.
    @discardableResult
    public func remove(_ number: Int, _ change: JournalEvent.FaultChange = .reverted) -> Bool {
        guard let index = rules.firstIndex(where: { $0.number == number }) else { return false }
        let rule = rules.remove(at: index)
        world.cancel(timers.removeValue(forKey: number))
        let removal = world.journal.record(.fault(number: number, change, rule.text))
        world.journal.withCause(removal) {
            updateDisks()
            world.network.applyFaults()
        }
        return true
    }

    /// Lets go of what the rules hold.
    func shutDown() {
        for rule in rules { if case .protocolFailure(let fault) = rule.kind { fault.onExhausted = nil } }
        rules = []
        timers = [:]
    }

    /// Ends the rules that satisfy the condition and returns how many there were.
    public func removeAll(where condition: (FaultRule) -> Bool = { _ in true }) -> Int {
        let numbers = rules.filter(condition).map(\.number)
        for number in numbers { remove(number) }
        return numbers.count
    }

    private func resetOpenConnections(_ link: LinkSelector) {
        for stream in world.network.openStreams where link.matches(from: stream.node, to: stream.peer) {
            stream.resetByFault()
        }
    }

    // MARK: What the rules say

    func conditions(from source: Node?, to target: Node?) -> LinkConditions {
        var result = LinkConditions.clear
        var passing = 1.0
        for rule in rules where rule.link.matches(from: source, to: target) {
            switch rule.kind {
            case .latency(let delay, let jitter):
                result.delay += delay
                result.jitter += jitter
            case .loss(let probability):
                passing *= 1 - probability
            case .throttle(let bytesPerSecond):
                result.bytesPerSecond = min(result.bytesPerSecond ?? .max, bytesPerSecond)
            case .corrupt(let probability):
                result.corruptionProbability = Self.either(result.corruptionProbability, probability)
            case .duplicate(let probability):
                result.duplicateProbability = Self.either(result.duplicateProbability, probability)
            case .reorder(let probability):
                result.reorderProbability = Self.either(result.reorderProbability, probability)
            case .block:
                result.isBlocked = true
            case .reset:
                result.resets = true
            case .refuse, .protocolFailure, .disk:
                break
            }
        }
        result.lossProbability = 1 - passing
        if result.lossProbability >= 1 { result.isBlocked = true }
        return result
    }

    /// The chance of at least one of two that do not depend on each other.
    private static func either(_ a: Double, _ b: Double) -> Double { 1 - (1 - a) * (1 - b) }

    func refuses(from source: Node?, to target: Node?) -> Bool {
        rules.contains { rule in
            if case .refuse = rule.kind { return rule.link.matches(from: source, to: target) }
            return false
        }
    }

    /// The protocol faults that concern an accepted connection, oldest first.
    func protocolFaults(for stream: Stream) -> [any ProtocolFault] {
        rules.compactMap { rule in
            guard case .protocolFailure(let fault) = rule.kind, !fault.isExhausted,
                rule.link.matches(from: stream.peer, to: stream.node)
            else { return nil }
            return fault
        }
    }

    /// Whether a rule that counts has come to its end on every node that it is about: it stays until it is healed.
    public func isUsedUp(_ rule: FaultRule) -> Bool {
        func areAll(_ count: KeyPath<DiskFaults, FaultCount>) -> Bool {
            let nodes = world.nodes.allServices.filter { rule.link.to.matches($0) }
            return !nodes.isEmpty && nodes.allSatisfy { $0.disk.faults[keyPath: count].left(of: rule.number) == 0 }
        }
        switch rule.kind {
        case .disk(.failSync): return areAll(\.failingSyncs)
        case .disk(.tornWrite): return areAll(\.tornWrites)
        case .protocolFailure(let fault): return fault.isExhausted
        default: return false
        }
    }

    // MARK: Disks

    /// Brings the troubles of every disk in line with the rules. Called when a rule comes or goes.
    func updateDisks() { for node in world.nodes.allServices { apply(toDiskOf: node) } }

    /// The same for one node, when it starts. What counts down does so for each rule by itself, on each disk: the end
    /// of one rule takes nothing from another.
    func apply(toDiskOf node: Node) {
        var faults = DiskFaults()
        for rule in rules where rule.link.to.matches(node) {
            guard case .disk(let trouble) = rule.kind else { continue }
            switch trouble {
            case .full: faults.isFull = true
            case .slow(let cost): faults.delay += cost
            case .failSync(let count):
                faults.failingSyncs.add(node.disk.faults.failingSyncs.left(of: rule.number) ?? count, of: rule.number)
            case .tornWrite(let count):
                faults.tornWrites.add(node.disk.faults.tornWrites.left(of: rule.number) ?? count, of: rule.number)
            }
        }
        node.disk.faults = faults
    }
}
