import KernelStructures

/// What a leader knows of a member's log, and how it sends to it.
///
/// ```
///            the first is refused, or lost          acknowledged
///    probe ◀────────────────────────── replicate ◀───────────────── probe
///      │                                   ▲
///      │ what it needs is compacted        │ it has the snapshot
///      ▼                                   │
///   snapshot ──────────────────────────────┘
/// ```
///
/// While probing, one message at a time finds out where the logs agree. While replicating, messages follow one another
/// without waiting (pipelining), as many as the window allows. While a snapshot is under way nothing else is sent.
public struct PeerProgress: Equatable, Sendable {
    public let id: Int
    /// The last entry it is known to have.
    public internal(set) var match = 0
    /// The next entry to send; always behind `match`.
    public internal(set) var next: Int
    public internal(set) var mode = Mode.probe
    /// The snapshot under way; 0 for none.
    public internal(set) var pendingSnapshot = 0
    /// Heard of since the last look for a quorum.
    public internal(set) var isActive = false
    /// No more is to be sent until something is heard.
    var isPaused = false
    public internal(set) var isLearner = false
    var inflight: InflightWindow
    /// The latest commit index it was told.
    private var sentCommit = 0

    public enum Mode: String, Sendable { case probe, replicate, snapshot }

    init(id: Int, next: Int, inflight: InflightWindow) {
        self.id = id
        self.next = next
        self.inflight = inflight
    }

    public var isSendingPaused: Bool { mode == .snapshot || isPaused }
    /// Messages that are not acknowledged.
    public var inflightCount: Int { inflight.count }
    public var isWindowFull: Bool { inflight.isFull }

    private mutating func enter(_ mode: Mode) {
        self.mode = mode
        isPaused = false
        pendingSnapshot = 0
        inflight.removeAll()
    }

    mutating func becomeProbe() {
        let pending = pendingSnapshot
        let hadSnapshot = mode == .snapshot
        enter(.probe)
        next = hadSnapshot ? max(match, pending) + 1 : match + 1
        sentCommit = min(sentCommit, next - 1)
    }

    mutating func becomeReplicate() {
        enter(.replicate)
        next = match + 1
    }

    mutating func becomeSnapshot(_ index: Int) {
        enter(.snapshot)
        pendingSnapshot = index
        next = index + 1
        sentCommit = index
    }

    /// Entries were sent: it is assumed that they arrive.
    mutating func sent(_ count: Int, bytes: Int, commit: Int) {
        switch mode {
        case .replicate:
            if count > 0 {
                next += count
                inflight.add(next - 1, bytes: bytes)
            }
            isPaused = inflight.isFull
        case .probe: if count > 0 { isPaused = true }
        case .snapshot: break
        }
        sentCommit = commit
    }

    mutating func sentHeartbeat(commit: Int) { sentCommit = commit }

    /// Whether hearing that `commit` is agreed on could be news to it.
    func wouldLearn(_ commit: Int) -> Bool { commit > sentCommit && sentCommit < next - 1 }

    /// It has everything up to `index`. Returns false if that is not news.
    mutating func acknowledge(_ index: Int) -> Bool {
        guard index > match else { return false }
        match = index
        next = max(next, index + 1)
        isPaused = false
        return true
    }

    /// It refused what was to follow `rejected`; up to `hint` the logs may agree. Returns false if it is an old answer.
    mutating func reject(_ rejected: Int, hint: Int) -> Bool {
        if mode == .replicate {
            guard rejected > match else { return false }
            next = match + 1
        } else {
            guard next - 1 == rejected else { return false }
            next = max(min(rejected, hint + 1), match + 1)
            isPaused = false
        }
        sentCommit = min(sentCommit, next - 1)
        return true
    }
}

extension PeerProgress: CustomStringConvertible {
    public var description: String {
        var text =
            "State\(mode.rawValue.prefix(1).uppercased())\(mode.rawValue.dropFirst()) match=\(match) next=\(next)"
        if isLearner { text += " learner" }
        if isSendingPaused { text += " paused" }
        if pendingSnapshot > 0 { text += " pendingSnap=\(pendingSnapshot)" }
        if !isActive { text += " inactive" }
        if inflightCount > 0 { text += " inflight=\(inflightCount)" + (isWindowFull ? "[full]" : "") }
        return text
    }
}

/// Messages on their way to a member that replicates: how many there may be, and of how many bytes (thesis §10.2.1).
struct InflightWindow: Equatable, Sendable {
    let limit: Int
    let limitBytes: Int
    /// Of each, the last entry and the bytes; oldest first.
    private var messages: [(last: Int, bytes: Int)] = []
    private var bytes = 0

    init(limit: Int, limitBytes: Int) {
        self.limit = limit
        self.limitBytes = limitBytes
    }

    var count: Int { messages.count }
    var isFull: Bool { messages.count >= limit || bytes >= limitBytes }

    mutating func add(_ last: Int, bytes: Int) {
        messages.append((last, bytes))
        self.bytes += bytes
    }

    /// Everything up to `index` has arrived.
    mutating func free(through index: Int) {
        let done = messages.firstIndex { $0.last > index } ?? messages.count
        bytes -= messages[..<done].reduce(0) { $0 + $1.bytes }
        messages.removeFirst(done)
    }

    mutating func removeAll() {
        messages = []
        bytes = 0
    }

    static func == (a: Self, b: Self) -> Bool {
        a.bytes == b.bytes && a.messages.map(\.last) == b.messages.map(\.last)
    }
}
