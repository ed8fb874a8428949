import KernelStructures

/// The requests that wait because every server that could take them is full (`max_connections`).
///
/// A server that works on a hundred requests at once finishes none of them. It does more with ten at a time and ninety
/// in a line, and the line belongs in front of it, where one can see its length, give up after a while, and send its
/// head to whichever server is free first. First come, first served, but for requests that stick to one server: these
/// wait for that one and let others pass.
struct RequestQueue: Sendable {
    struct Waiter: Sendable {
        let ticket: Int
        /// The serial number of the server it waits for; nil for any.
        let server: Int?
        let deadline: LabTime
        /// Who it is, for the log.
        let arrival: Arrival
    }

    private(set) var waiters: [Waiter] = []
    private var lastTicket = 0

    var isEmpty: Bool { waiters.isEmpty }
    var count: Int { waiters.count }
    /// All wait equally long, so the first is the first to give up.
    var deadline: LabTime? { waiters.first?.deadline }

    mutating func append(for server: Int?, until deadline: LabTime, _ arrival: Arrival) -> Int {
        lastTicket += 1
        waiters.append(Waiter(ticket: lastTicket, server: server, deadline: deadline, arrival: arrival))
        return lastTicket
    }

    /// Takes out the one with this ticket: its client has gone.
    mutating func remove(ticket: Int) -> Waiter? {
        guard let index = waiters.firstIndex(where: { $0.ticket == ticket }) else { return nil }
        return waiters.remove(at: index)
    }

    /// Takes out the first that `mayGo`.
    mutating func popFirst(where mayGo: (Waiter) -> Bool) -> Waiter? {
        guard let index = waiters.firstIndex(where: mayGo) else { return nil }
        return waiters.remove(at: index)
    }
}
