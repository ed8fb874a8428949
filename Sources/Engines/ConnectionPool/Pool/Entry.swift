import KernelStructures

extension ConnectionPool {
    /// One slot of the pool: empty, or a connection and everything that is known of it.
    struct Entry: Sendable {
        enum State: Sendable, Equatable {
            case vacant, connecting, idle, inUse
            case checking(Check)
        }
        /// Why it is looked at.
        enum Check: Sendable { case borrow, keepalive, reset }

        var state = State.vacant
        var number = 0
        /// When opening it began, and when it was open.
        var createdAt = LabTime.distantFuture
        var openedAt = LabTime.distantFuture
        /// When its last borrower gave it back, or when it was opened.
        var lastUsed = LabTime.distantFuture
        /// When it was last known to live: used, checked or opened.
        var aliveAt = LabTime.distantFuture
        var retireAt = LabTime.distantFuture
        var keepaliveAt = LabTime.distantFuture
        /// When opening or checking it has taken too long.
        var stepDeadline = LabTime.distantFuture
        /// It goes as soon as it is back.
        var eviction: CloseReason?

        // While it is in use.
        var borrow: UInt64 = 0
        /// When its borrower asked, and got it.
        var askedAt = LabTime.distantFuture
        var borrowedAt = LabTime.distantFuture
        var leakAt = LabTime.distantFuture
        var isLeakReported = false
        var borrower = Borrower("", fileID: "", line: 0)
        /// How often it was lent.
        var uses = 0

        // Neighbours among the idle; -1 for none.
        var newer = -1
        var older = -1
    }

    /// The idle connections, the one used last at the front: it is lent next, so that in quiet times the surplus at the
    /// other end grows old and can go.
    struct IdleList: Sendable {
        fileprivate(set) var newest = -1
        fileprivate(set) var oldest = -1
        fileprivate(set) var count = 0
    }

    mutating func pushIdle(_ slot: Int) {
        entries[slot].newer = -1
        entries[slot].older = idle.newest
        if idle.newest >= 0 { entries[idle.newest].newer = slot } else { idle.oldest = slot }
        idle.newest = slot
        idle.count += 1
    }

    /// Puts it where it was not used: behind those that were.
    mutating func pushOldestIdle(_ slot: Int) {
        entries[slot].older = -1
        entries[slot].newer = idle.oldest
        if idle.oldest >= 0 { entries[idle.oldest].older = slot } else { idle.newest = slot }
        idle.oldest = slot
        idle.count += 1
    }

    mutating func removeIdle(_ slot: Int) {
        let newer = entries[slot].newer
        let older = entries[slot].older
        if newer >= 0 { entries[newer].older = older } else { idle.newest = older }
        if older >= 0 { entries[older].newer = newer } else { idle.oldest = newer }
        idle.count -= 1
    }

    func id(_ slot: Int) -> ConnectionID { ConnectionID(number: entries[slot].number, slot: slot) }

    /// The connection's slot, if it is still there.
    func slot(_ id: ConnectionID) -> Int? {
        guard entries.indices.contains(id.slot), entries[id.slot].number == id.number,
            entries[id.slot].state != .vacant
        else { return nil }
        return id.slot
    }
}
