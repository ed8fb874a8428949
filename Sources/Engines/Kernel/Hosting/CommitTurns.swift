import KernelWorld

/// A connection whose replies wait for the end of a turn.
public protocol TurnConnection: AnyObject {
    /// The turn is over: what has been written by now is covered by its commit.
    func seal()
    /// The commit is done, and what was sealed may be said; with a text, what it promises is not true.
    func sendSealed(_ failure: String?)
    /// Whether its replies say nothing that a commit has yet to make true, and nothing sealed waits before them: they
    /// leave at the end of the turn, whatever others wait for.
    var needsNoCommit: Bool { get }
}

extension TurnConnection {
    public var needsNoCommit: Bool { false }
}

/// Group commit: replies of one turn of the loop leave together, behind one commit.
///
/// ```
///  requests of all clients that arrived in this turn ──▶ carried out ──▶ replies, kept back
///                                                       end of the turn ──▶ commit ──▶ replies leave
/// ```
///
/// However many clients wrote in a turn, one sync serves them all. While a commit is under way the next turn gathers,
/// so that a slow disk makes larger groups. Whoever can tell that nothing of it concerns him need not wait.
public final class CommitTurns<Connection: TurnConnection> {
    private let node: Node
    private let commit: (_ done: @escaping (_ failure: String?) -> Void) -> Void
    /// Called when nothing waits any more.
    public var onQuiet: () -> Void = {}
    private var waiting: [Connection] = []
    private var isTurnDue = false
    private var isCommitting = false
    private var hasWork = false
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
        schedule(during: connection.needsNoCommit)
    }

    /// Something was written that needs a commit, though no reply waits for it.
    public func noteWork() {
        hasWork = true
        schedule()
    }

    public func resetCount() { turnCount = 0 }

    /// - Parameter isDuring: even while a commit is under way.
    private func schedule(during isDuring: Bool = false) {
        guard !isTurnDue, !isCommitting || isDuring else { return }
        isTurnDue = true
        node.enqueue { [self] in endTurn() }
    }

    private func endTurn() {
        isTurnDue = false
        sendWhatNeedsNoCommit()
        if isCommitting { return }
        if waiting.isEmpty, !hasWork { return onQuiet() }
        hasWork = false
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
            if waiting.isEmpty, !hasWork { onQuiet() } else { schedule() }
        }
    }

    private func sendWhatNeedsNoCommit() {
        guard waiting.contains(where: \.needsNoCommit) else { return }
        // Whoever is sent may have more to say at once.
        let noted = waiting
        waiting = []
        var others: [Connection] = []
        for connection in noted {
            if connection.needsNoCommit {
                connection.seal()
                connection.sendSealed(nil)
            } else {
                others.append(connection)
            }
        }
        waiting = others + waiting
    }
}
