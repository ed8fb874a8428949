import KernelStructures

/// What passes between one client and one server, as far as it has to be known: what the server still owes, which of
/// its answers nobody asked for, and which the pooler has to give in its place.
///
/// Each request that has an answer of its own is an entry; the server answers in order (protocol 3, section 55.2.3).
/// An error makes it pass over everything up to the next Sync, so all entries before that go.
public struct Conversation: Sendable {
    /// What a request was.
    enum Kind: UInt8, Sendable { case parse, bind, describe, execute, close, sync, query }

    enum Action: UInt8, Sendable {
        /// The client's own: its answer goes to it.
        case pass
        /// The pooler's own: its answer goes to nobody.
        case swallow
        /// It was not sent: the answer is the pooler's to give.
        case fake
    }

    struct Entry: Sendable {
        let kind: Kind
        let action: Action
        /// Of the pooler's catalogue; -1 for none.
        let statement: Int
    }

    /// What has become of a statement that the pooler closed at the server.
    public struct Closing: Equatable, Sendable {
        public let statement: Int
        /// False: the server has passed over it, and may have the statement still.
        public let isDone: Bool
    }

    /// What is to be done about an answer.
    public enum Verdict: Equatable, Sendable { case pass, swallow }

    private var owed = RingQueue<Entry>()
    /// After an error the server passes over everything up to a Sync that has not been sent yet.
    public private(set) var isSkipping = false
    /// Something of an extended query has been sent, and no Sync after it.
    private var isBatchOpen = false
    /// The server takes data within an extended query: a Sync means nothing to it now.
    private var isCopyingIn = false
    /// Answers that the pooler has to give now, in their order: the client is to hear them before anything else.
    public private(set) var fakes: [UInt8] = []
    /// Statements that the server turned out not to have.
    public private(set) var unprepared: [Int] = []
    /// What has become of statements that were to be closed.
    public private(set) var closings: [Closing] = []

    public init() {}

    /// Entries that may wait, but for a few: whoever asks faster than the server answers is held back then.
    public static let limit = 1 << 16
    /// With so many entries, there is room again for whoever was held back.
    public static let roomyCount = limit / 2

    public var owedCount: Int { owed.count }
    /// Whether the server owes nothing, and nothing of the client's waits for a Sync.
    public var isIdle: Bool { owed.isEmpty && !isBatchOpen }
    /// Whether the head of what is owed is the pooler's own.
    public var isSwallowing: Bool { owed.first?.action == .swallow }

    public mutating func takeFakes() -> [UInt8] {
        defer { fakes.removeAll(keepingCapacity: true) }
        return fakes
    }

    public mutating func takeUnprepared() -> [Int] {
        if unprepared.isEmpty { return [] }
        defer { unprepared = [] }
        return unprepared
    }

    public mutating func takeClosings() -> [Closing] {
        if closings.isEmpty { return [] }
        defer { closings = [] }
        return closings
    }

    // MARK: Requests

    /// Whether a message means something to a server that was asked nothing. Data that comes late, after its COPY has
    /// failed, does not, and there is nothing to flush: neither has an answer with which a server would be free again.
    public static func asks(_ letter: UInt8) -> Bool { !"dcfH".utf8.contains(letter) }

    /// The client has sent this to the server.
    public mutating func sent(_ letter: UInt8, statement: Int = -1) { request(letter, .pass, statement) }

    /// The pooler has sent this to the server, for itself.
    public mutating func injected(_ letter: UInt8, statement: Int = -1) { request(letter, .swallow, statement) }

    /// The client has sent this, and it was not passed on: Parse or Close of a statement.
    public mutating func withheld(_ letter: UInt8) {
        request(letter, .fake, -1)
        giveFakes()
    }

    private mutating func request(_ letter: UInt8, _ action: Action, _ statement: Int) {
        let kind: Kind
        switch letter {
        case UInt8(ascii: "P"): kind = .parse
        case UInt8(ascii: "B"): kind = .bind
        case UInt8(ascii: "D"): kind = .describe
        case UInt8(ascii: "E"): kind = .execute
        case UInt8(ascii: "C"): kind = .close
        case UInt8(ascii: "S"): kind = .sync
        case UInt8(ascii: "Q"), UInt8(ascii: "F"): kind = .query
        case UInt8(ascii: "c"), UInt8(ascii: "f"):
            isCopyingIn = false
            return
        default: return
        }
        if kind == .sync {
            if isCopyingIn { return }
            isSkipping = false
            isBatchOpen = false
        } else if kind != .query {
            if action != .swallow { isBatchOpen = true }
            if isSkipping {
                passOver(kind, statement)
                return
            }
        }
        owed.append(Entry(kind: kind, action: action, statement: statement))
    }

    // MARK: Answers

    /// The server has sent a message, or begun to.
    ///
    /// - Returns: whether the client is to have it.
    public mutating func received(_ letter: UInt8) -> Verdict {
        guard let head = owed.first else { return .pass }
        let verdict: Verdict = head.action == .swallow ? .swallow : .pass
        switch letter {
        case UInt8(ascii: "Z"):
            // Whatever was still thought to be owed before it will not come.
            while let next = owed.first, next.kind != .sync, next.kind != .query { drop(next) }
            if !owed.isEmpty { pop() }
            return verdict
        case UInt8(ascii: "E"):
            if head.kind == .query { return verdict }
            skipToSync()
            // An error of something that the pooler did on its own is the client's all the same: its batch is over.
            return head.kind == .sync && head.action == .swallow ? .swallow : .pass
        case UInt8(ascii: "1") where head.kind == .parse, UInt8(ascii: "2") where head.kind == .bind: pop()
        case UInt8(ascii: "3") where head.kind == .close:
            if head.statement >= 0 { closings.append(Closing(statement: head.statement, isDone: true)) }
            pop()
        case UInt8(ascii: "T"), UInt8(ascii: "n"): if head.kind == .describe { pop() }
        case UInt8(ascii: "C"), UInt8(ascii: "s"), UInt8(ascii: "I"): if head.kind == .execute { pop() }
        case UInt8(ascii: "G") where head.kind == .execute: beginCopyIn()
        // Nobody asks for notifications, so they are the client's whatever goes on.
        case UInt8(ascii: "A"): return .pass
        default: break
        }
        return verdict
    }

    private mutating func pop() {
        _ = owed.popFirst()
        giveFakes()
    }

    private mutating func drop(_ entry: Entry) {
        passOver(entry.kind, entry.statement)
        _ = owed.popFirst()
    }

    /// The server does not do what was asked for a statement of the pooler's.
    private mutating func passOver(_ kind: Kind, _ statement: Int) {
        guard statement >= 0 else { return }
        if kind == .parse { unprepared.append(statement) }
        if kind == .close { closings.append(Closing(statement: statement, isDone: false)) }
    }

    private mutating func skipToSync() {
        while let next = owed.first, next.kind != .sync, next.kind != .query { drop(next) }
        if owed.isEmpty, isBatchOpen { isSkipping = true }
        isCopyingIn = false
    }

    /// Syncs that were sent ahead are passed over by a server that takes data.
    private mutating func beginCopyIn() {
        var kept: [Entry] = []
        while let entry = owed.popFirst() { kept.append(entry) }
        var hasSync = false
        for (index, entry) in kept.enumerated() {
            if index > 0, entry.kind == .sync { hasSync = true } else { owed.append(entry) }
        }
        isCopyingIn = true
        if hasSync { isBatchOpen = true }
    }

    /// Gives the answers that stand at the head of what is owed.
    private mutating func giveFakes() {
        while let head = owed.first, head.action == .fake {
            let letter = head.kind == .parse ? UInt8(ascii: "1") : UInt8(ascii: "3")
            fakes.append(contentsOf: [letter, 0, 0, 0, 4])
            _ = owed.popFirst()
        }
    }
}
