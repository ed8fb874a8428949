import KernelStructures

/// What commands show.
extension ConnectionPool {
    /// A connection that somebody has.
    public struct Holding: Sendable {
        public let connection: ConnectionID
        public let borrower: Borrower
        public let since: LabTime
        public let isLeakReported: Bool
        /// It will be closed when it comes back.
        public let willClose: Bool
    }

    /// Somebody in line.
    public struct Waiting: Sendable {
        public let borrower: Borrower
        public let since: LabTime
        /// When it gives up; nil if it does not.
        public let deadline: LabTime?
        /// Came while the pool was suspended.
        public let isHeld: Bool
    }

    /// A connection as it is now.
    public struct Listing: Sendable {
        public let connection: ConnectionID
        /// `idle`, `in use`, `connecting`, `checking`, `resetting`.
        public let state: String
        public let openedAt: LabTime?
        public let lastUsed: LabTime?
        public let uses: Int
        /// When it has to go; nil if never.
        public let retireAt: LabTime?
    }

    /// Whether this lease was not given back yet.
    public func isHeld(_ lease: Lease) -> Bool {
        guard let slot = slot(lease.connection) else { return false }
        return entries[slot].state == .inUse && entries[slot].borrow == lease.borrow
    }

    /// Who has a connection now, the longest first.
    public var holdings: [Holding] {
        entries.indices.filter { entries[$0].state == .inUse }.map { slot in
            let entry = entries[slot]
            return Holding(
                connection: id(slot), borrower: entry.borrower, since: entry.borrowedAt,
                isLeakReported: entry.isLeakReported, willClose: entry.eviction != nil)
        }.sorted { ($0.since, $0.connection) < ($1.since, $1.connection) }
    }

    /// The line, from its head.
    public var waiting: [Waiting] {
        line.slots.map { slot in
            let waiter = line.waiters[slot]
            return Waiting(
                borrower: waiter.borrower, since: waiter.since,
                deadline: waiter.deadline == .distantFuture ? nil : waiter.deadline, isHeld: waiter.isHeld)
        }
    }

    /// All connections, the oldest first.
    public var listings: [Listing] {
        entries.indices.filter { entries[$0].state != .vacant }.map { slot in
            let entry = entries[slot]
            let isOpen = entry.state != .connecting
            return Listing(
                connection: id(slot), state: Self.word(entry.state), openedAt: isOpen ? entry.openedAt : nil,
                lastUsed: isOpen ? entry.lastUsed : nil, uses: entry.uses,
                retireAt: entry.retireAt == .distantFuture ? nil : entry.retireAt)
        }.sorted { $0.connection < $1.connection }
    }

    private static func word(_ state: Entry.State) -> String {
        switch state {
        case .vacant: "vacant"
        case .connecting: "connecting"
        case .idle: "idle"
        case .inUse: "in use"
        case .checking(.reset): "resetting"
        case .checking: "checking"
        }
    }

    /// Connections that will be closed as soon as they are back, or their check is over.
    public var doomedCount: Int {
        entries.count { entry in
            switch entry.state {
            case .inUse, .checking: entry.eviction != nil
            case .vacant, .connecting, .idle: false
            }
        }
    }

    /// The documented line: what was opened so far, what is idle, what is out, and what was closed if anything was.
    public var summary: String {
        "Created: \(counters.created), Idle: \(idleCount), In-use: \(inUseCount)"
            + (counters.destroyed > 0 ? ", Destroyed: \(counters.destroyed)" : "")
    }

    /// The last reason why a connection could not be made, while none can be.
    public var connectTrouble: String? { backoff.lastError }
}
