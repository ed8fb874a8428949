import LockEngine

/// What a lock promises, held against what clients were told.
///
/// It knows nothing of how a lock service works. A client's answer came between its call and its answer, and the
/// service's part of it happened in between; a lease that was renewed by a call lives for its time from that call on,
/// at least. So, of two clients that are both told that they have a lock, one of them must have given it back, or its
/// lease may have run out, before the other one was told.
public struct LockModel {
    public struct Holding: Equatable, Sendable {
        public let client: Int
        public let lock: Int
        public let isShared: Bool
        /// The fencing token.
        public let token: Int64
        /// Until then the lease lives for certain. Microseconds, as all times here.
        public internal(set) var certainUntil: Int

        public init(client: Int, lock: Int, isShared: Bool, token: Int64, certainUntil: Int) {
            self.client = client
            self.lock = lock
            self.isShared = isShared
            self.token = token
            self.certainUntil = certainUntil
        }
    }

    public init() {}

    /// By lock, those that were told that they have it, and have not begun to give it back.
    private var holders: [Int: [Holding]] = [:]
    /// Every grant that a client heard of, in the order of answers.
    private var grants: [(holding: Holding, at: Int)] = []

    private static func conflict(_ a: Holding, _ b: Holding) -> Bool {
        a.lock == b.lock && a.client != b.client && !(a.isShared && b.isShared)
    }

    /// A client is told that it has a lock, by an answer to what it asked at `call`.
    ///
    /// - Returns: what is wrong with that.
    public mutating func granted(_ new: Holding, call: Int, now: Int) -> String? {
        let others = holders[new.lock] ?? []
        if let other = others.first(where: { Self.conflict($0, new) && $0.certainUntil > now }) {
            return """
                clients \(other.client) (token \(other.token)) and \(new.client) (token \(new.token)) hold lock \
                \(new.lock) at the same time
                """
        }
        if let same = grants.first(where: { $0.holding.token == new.token && $0.holding.client != new.client }) {
            return "clients \(same.holding.client) and \(new.client) have the same token \(new.token)"
        }
        let later = grants.first { Self.conflict($0.holding, new) && $0.at < call && $0.holding.token > new.token }
        if let later {
            return """
                client \(new.client) is given lock \(new.lock) with token \(new.token), after client \
                \(later.holding.client) was given it with \(later.holding.token)
                """
        }
        grants.append((new, now))
        holders[new.lock] = others.filter { $0.certainUntil > now } + [new]
        return nil
    }

    /// A client knows that its lease lives longer.
    public mutating func renewed(_ client: Int, certainUntil: Int) {
        for (lock, all) in holders {
            guard let place = all.firstIndex(where: { $0.client == client }) else { continue }
            holders[lock]?[place].certainUntil = max(all[place].certainUntil, certainUntil)
        }
    }

    /// A client begins to give back what it has; it counts on it no more.
    public mutating func released(_ client: Int) {
        for lock in holders.keys { holders[lock]?.removeAll { $0.client == client } }
    }
}

/// What several lock holders write to, from afar: it looks at tokens, and whoever looks at it sees that it did.
public struct GuardedResource {
    private var resource: FencedResource
    private var highest: Int64 = 0

    public init() { resource = FencedResource() }

    /// - Returns: whether the write was taken, and what is wrong with that.
    public mutating func write(_ value: String, token: Int64) -> (isTaken: Bool, wrong: String?) {
        let verdict = resource.write(value, token: token)
        guard case .accepted = verdict else {
            return (false, token >= highest ? "a write with token \(token) is refused, \(highest) is the highest" : nil)
        }
        defer { highest = max(highest, token) }
        return (true, token < highest ? "a write with token \(token) is taken after one with \(highest)" : nil)
    }
}
