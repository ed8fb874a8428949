/// A place in a replicated log, with the term in which what stands there was first written. Two logs that agree on both
/// agree on everything before it (Raft §5.3, the log matching property).
public struct LogPosition: Equatable, Hashable, Sendable, CustomStringConvertible {
    /// From 1; 0 is the place before the first.
    public var index: Int
    public var term: Int

    public init(index: Int, term: Int) {
        self.index = index
        self.term = term
    }

    public static let start = LogPosition(index: 0, term: 0)

    public var description: String { "\(term)/\(index)" }
}

/// One entry of the log.
public struct RaftEntry: Equatable, Sendable {
    public var index: Int
    public var term: Int
    public var kind: Kind
    /// A command for the state machine, or an encoded `ConfigurationChange`; empty for what a new leader begins with.
    public var data: [UInt8]

    public enum Kind: UInt8, Sendable { case command, configuration }

    public init(index: Int = 0, term: Int = 0, kind: Kind = .command, data: [UInt8] = []) {
        self.index = index
        self.term = term
        self.kind = kind
        self.data = data
    }

    public var position: LogPosition { .init(index: index, term: term) }
    /// Bytes that it counts for where batches are limited.
    var sizeBytes: Int { data.count + Self.overheadBytes }
    static let overheadBytes = 24
}

/// The state machine at one place of the log, with who belonged to the group there: it stands for all entries up to it.
public struct RaftSnapshot: Equatable, Sendable {
    public var position: LogPosition
    public var configuration: GroupConfiguration
    public var data: [UInt8]

    public init(position: LogPosition, configuration: GroupConfiguration, data: [UInt8] = []) {
        self.position = position
        self.configuration = configuration
        self.data = data
    }

    public var index: Int { position.index }
    public var term: Int { position.term }
}

/// What a member must not forget beside its log (Raft figure 2, "persistent state").
public struct HardState: Equatable, Sendable {
    public var term: Int
    /// Whom it voted for in that term; 0: nobody.
    public var vote: Int
    /// Everything up to here is agreed on. Losing it would only cost time.
    public var commit: Int

    public init(term: Int = 0, vote: Int = 0, commit: Int = 0) {
        self.term = term
        self.vote = vote
        self.commit = commit
    }
}
