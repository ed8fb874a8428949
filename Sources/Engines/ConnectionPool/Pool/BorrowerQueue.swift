import KernelStructures

/// Those who wait for a connection, in the order in which they came.
///
/// A doubly linked list in an array: everybody can leave from anywhere in the line at once, and nobody's leaving costs
/// anything later. Deadlines stand in a heap beside it; the entries of those who left early are skipped, and swept out
/// when they outnumber the others.
struct BorrowerQueue: Sendable {
    struct Waiter: Sendable {
        var serial: UInt64 = 0
        var since = LabTime.distantFuture
        /// `.distantFuture`: waits for as long as it takes.
        var deadline = LabTime.distantFuture
        var timeout = LabDuration.infinite
        var borrower = ConnectionPool.Borrower("", fileID: "", line: 0)
        /// Came while the pool was suspended: is not served, and its time does not run, until that is over.
        var isHeld = false
        /// Was told to try its luck and has not yet.
        var isWoken = false
        var ahead = -1
        var behind = -1
    }

    struct Deadline: Comparable, Sendable {
        let time: LabTime
        let ticket: ConnectionPool.Ticket
        static func < (a: Self, b: Self) -> Bool {
            a.time != b.time ? a.time < b.time : a.ticket.serial < b.ticket.serial
        }
    }

    private(set) var waiters: [Waiter] = []
    private var vacant: [Int] = []
    private(set) var first = -1
    private var last = -1
    private(set) var count = 0
    private(set) var heldCount = 0
    private(set) var wokenCount = 0
    private var lastSerial: UInt64 = 0
    private var deadlines = BinaryHeap<Deadline>()

    /// Those who may be served now.
    var servableCount: Int { count - heldCount }

    func ticket(_ slot: Int) -> ConnectionPool.Ticket { .init(slot: slot, serial: waiters[slot].serial) }

    /// The place of a ticket's holder; nil once it has left the line.
    func slot(_ ticket: ConnectionPool.Ticket) -> Int? {
        guard waiters.indices.contains(ticket.slot), waiters[ticket.slot].serial == ticket.serial else { return nil }
        return ticket.slot
    }

    /// The places in order.
    var slots: [Int] {
        var result: [Int] = []
        var slot = first
        while slot >= 0 {
            result.append(slot)
            slot = waiters[slot].behind
        }
        return result
    }

    mutating func append(_ newcomer: Waiter) -> ConnectionPool.Ticket {
        lastSerial += 1
        var waiter = newcomer
        waiter.serial = lastSerial
        waiter.ahead = last
        waiter.behind = -1
        let slot: Int
        if let free = vacant.popLast() {
            slot = free
            waiters[slot] = waiter
        } else {
            slot = waiters.count
            waiters.append(waiter)
        }
        if last >= 0 { waiters[last].behind = slot } else { first = slot }
        last = slot
        count += 1
        if waiter.isHeld { heldCount += 1 }
        note(slot)
        return ticket(slot)
    }

    private mutating func note(_ slot: Int) {
        guard waiters[slot].deadline < .distantFuture else { return }
        deadlines.insert(Deadline(time: waiters[slot].deadline, ticket: ticket(slot)))
    }

    mutating func remove(_ slot: Int) -> Waiter {
        let waiter = waiters[slot]
        if waiter.ahead >= 0 { waiters[waiter.ahead].behind = waiter.behind } else { first = waiter.behind }
        if waiter.behind >= 0 { waiters[waiter.behind].ahead = waiter.ahead } else { last = waiter.ahead }
        count -= 1
        if waiter.isHeld { heldCount -= 1 }
        if waiter.isWoken { wokenCount -= 1 }
        waiters[slot].serial = 0
        waiters[slot].borrower = .init("", fileID: "", line: 0)
        vacant.append(slot)
        if deadlines.count > 64, deadlines.count > 2 * count {
            let current = self
            deadlines.retain { current.isCurrent($0) }
        }
        return waiter
    }

    mutating func setWoken(_ slot: Int, _ isWoken: Bool) {
        if waiters[slot].isWoken == isWoken { return }
        waiters[slot].isWoken = isWoken
        wokenCount += isWoken ? 1 : -1
    }

    /// Those who were held may be served, and their time begins to run.
    mutating func release(now: LabTime) {
        for slot in slots where waiters[slot].isHeld {
            waiters[slot].isHeld = false
            heldCount -= 1
            waiters[slot].deadline = waiters[slot].timeout == .infinite ? .distantFuture : now + waiters[slot].timeout
            note(slot)
        }
    }

    private func isCurrent(_ deadline: Deadline) -> Bool {
        slot(deadline.ticket).map { waiters[$0].deadline == deadline.time } ?? false
    }

    /// When the first of them has waited long enough.
    mutating func nextDeadline() -> LabTime {
        while let first = deadlines.first {
            if isCurrent(first) { return first.time }
            _ = deadlines.removeFirst()
        }
        return .distantFuture
    }

    /// The place of somebody whose time is over.
    mutating func due(_ now: LabTime) -> Int? { nextDeadline() <= now ? slot(deadlines.first!.ticket) : nil }
}
