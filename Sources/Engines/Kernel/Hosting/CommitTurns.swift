import KernelWorld

/// A connection whose replies wait for the end of a turn.
public protocol TurnConnection: AnyObject {
    /// The turn is over: what has been written by now is covered by its commit.
    func seal()
    /// The commit is done, and what was sealed may be said; with a text, what it promises is not true.
    func sendSealed(_ failure: String?)
}

/// Group commit: replies of one turn of the loop leave together, behind one commit.
///
/// ```
///  requests of all clients that arrived in this turn ──▶ carried out ──▶ replies, kept back
///                                                       end of the turn ──▶ commit ──▶ replies leave
/// ```
///
/// However many clients wrote in a turn, one sync serves them all. While a commit is under way the next turn gathers,
/// so that a slow disk makes larger groups.
public final class CommitTurns<Connection: TurnConnection> {
    private let node: Node
    private let commit: (_ done: @escaping (_ failure: String?) -> Void) -> Void
    /// Called when nothing waits any more.
    public var onQuiet: () -> Void = {}
    private var waiting: [Connection] = []
    private var isTurnDue = false
    private var isCommitting = false
    /// Turns that had something to send.
    public private(set) var turnCount = 0

    /// - Parameter commit: makes durable what the turn has written, and calls `done` once, now or later.
    public init(node: Node, commit: @escaping (_ done: @escaping (_ failure: String?) -> Void) -> Void) {
        self.node = node
        self.commit = commit
    }

    /// Whether no replies wait for the end of a turn or for a commit.
    public var isQuiet: Bool { !isTurnDue && !isCommitting && waiting.isEmpty }

    /// A connection has replies, or an end, to send when this turn is over. Once a turn.
    public func note(_ connection: Connection) {
        waiting.append(connection)
        schedule()
    }

    /// Something was written that needs a commit, though no reply waits for it.
    public func noteWork() { schedule() }

    public func resetCount() { turnCount = 0 }

    private func schedule() {
        guard !isTurnDue, !isCommitting else { return }
        isTurnDue = true
        node.enqueue { [self] in endTurn() }
    }

    private func endTurn() {
        isTurnDue = false
        isCommitting = true
        turnCount += 1
        let batch = waiting
        waiting.removeAll(keepingCapacity: true)
        for connection in batch { connection.seal() }
        var isDone = false
        commit { [self] failure in
            guard !isDone else { return }
            isDone = true
            isCommitting = false
            for connection in batch { connection.sendSealed(failure) }
            if waiting.isEmpty { onQuiet() } else { schedule() }
        }
    }
}
