import ConsensusEngine
import KernelHosting
import KernelStructures
import KernelWorld

/// One member of a group that keeps one state between them, for any service to embed.
///
/// ```swift
/// final class Counter: ReplicatedStateMachine {
///     private(set) var value = 0
///     func apply(_ index: Int, _ command: [UInt8]) -> [UInt8] {
///         value += command.count
///         return Array("\(value)".utf8)
///     }
///     func snapshot() -> [UInt8] { Array("\(value)".utf8) }
///     func restore(_ snapshot: [UInt8]) throws { value = Int(String(decoding: snapshot, as: UTF8.self)) ?? 0 }
/// }
///
/// // In the service:
/// let member = ConsensusMember(node: node, settings: settings, machine: counter)
/// member.mount(on: router)                      // the way of the other members, on the clients' port
/// func prepare() throws { try member.open() }   // reads the disk
/// func opened() { member.start() }              // the ports are open: timers, connections to the others
/// func stop(_ done: @escaping () -> Void) { member.stop(done) }
///
/// member.propose([1]) { result in … }           // on any member; called when this one has applied it
/// member.read { result in … }                   // afterwards the machine's state is current
/// ```
public final class ConsensusMember {
    public let node: Node
    public let settings: Settings
    public let machine: any ReplicatedStateMachine

    public struct Settings: Sendable {
        /// This member's number, positive, and never given to another one.
        public var id: Int
        /// Where each member of the first configuration listens, itself included. One alone is a group, too.
        public var peers: [Int: HostPort]
        /// Where its log is on the node's disk.
        public var directory: String
        /// Between two signs of life of a leader.
        public var heartbeatMilliseconds = 100
        /// So many heartbeats are missed before a member wants to be leader; up to twice as many, by lot.
        public var electionTicks = 10
        /// Applied commands after which the log is replaced by a snapshot.
        public var snapshotEntries = 10_000
        /// A proposal or read that takes longer fails.
        public var timeoutMilliseconds = 5000
        /// Starts with nothing, to be added to a group that exists.
        public var joins = false

        public init(id: Int, peers: [Int: HostPort], directory: String) {
            self.id = id
            self.peers = peers
            self.directory = directory
        }
    }

    public init(node: Node, settings: Settings, machine: any ReplicatedStateMachine) {
        self.node = node
        self.settings = settings
        self.machine = machine
    }

    /// Hears what happens to the group, for the service's log.
    public var onEvent: ((ConsensusEvent) -> Void)?

    private var applied = 0

    // MARK: Life

    /// Reads the disk, and brings the machine to where it was.
    ///
    /// - Throws: `ConsensusFailure`.
    public func open() throws {}

    /// The other members come in by this way, on the clients' port.
    public func mount(on router: HTTPRouter) {}

    /// Begins to take part. The ports are open.
    public func start() {}

    /// Hands leadership on where it can, makes everything durable, and closes.
    public func stop(_ done: @escaping () -> Void) { done() }

    // MARK: Work

    /// Has the group carry out a command, whoever leads it.
    ///
    /// - Parameter completion: called once, never before this call returns: with what `apply` returned here, and its
    ///   place in the log.
    public func propose(
        _ command: [UInt8], _ completion: @escaping (Result<ConsensusAnswer, ConsensusFailure>) -> Void
    ) {
        applied += 1
        let index = applied
        node.enqueue { [self] in completion(.success(.init(index: index, bytes: machine.apply(index, command)))) }
    }

    /// Waits until this member has applied everything that was agreed on anywhere before this call: what the machine
    /// says then is linearizable.
    public func read(_ completion: @escaping (Result<Void, ConsensusFailure>) -> Void) {
        node.enqueue { completion(.success(())) }
    }

    // MARK: The group

    public var isLeader: Bool { true }
    /// Who leads, as far as this member knows.
    public var leader: Int? { settings.id }
    /// Where to find each member that is known.
    public var addresses: [Int: HostPort] { settings.peers }
    /// Place in the log of the last command that was applied here.
    public var appliedIndex: Int { applied }
    /// How often a new leader was looked for.
    public var term: Int { 1 }

    /// Adds a member, as a learner first where `voting` is false; removes one; makes a learner a voter; hands
    /// leadership to another.
    public func change(_ change: MembershipChange, _ completion: @escaping (Result<Void, ConsensusFailure>) -> Void) {
        completion(.failure(.notAccepted("a group's membership cannot be changed yet")))
    }
}

/// What a proposer is told.
public struct ConsensusAnswer: Equatable, Sendable {
    /// The command's place in the log.
    public let index: Int
    /// What the machine's `apply` returned.
    public let bytes: [UInt8]

    public init(index: Int, bytes: [UInt8]) {
        self.index = index
        self.bytes = bytes
    }
}

/// A change of who belongs to a group.
public enum MembershipChange: Equatable, Sendable {
    case add(Int, HostPort, voting: Bool)
    case promote(Int)
    case remove(Int)
    case transferLeadership(to: Int)
}

/// What the service may want to tell its log.
public enum ConsensusEvent: Equatable, Sendable {
    /// This member knows who leads in that term; nil: nobody does at present.
    case leader(Int?, term: Int)
    /// A connection to another member exists, or has ended.
    case peer(Int, isConnected: Bool)
    /// This member cannot go on.
    case failed(String)
}
