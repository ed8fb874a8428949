import KernelStructures

// Readers that leave, runners that go, and time that passes.
extension CacheLayer {
    /// A reader does not want to wait any more. Returns false if it was told already.
    public mutating func cancel(_ ticket: Ticket, of key: String) -> Bool {
        // Nearly always the flight that can be joined; otherwise one that was disowned.
        if let id = joinable[key], remove(ticket, id) { return true }
        for id in flights.values.filter({ $0.key == key }).map(\.id) where remove(ticket, id) { return true }
        return false
    }

    private mutating func remove(_ ticket: Ticket, _ id: FlightID) -> Bool {
        guard let index = flights[id]?.waiters.firstIndex(of: ticket) else { return false }
        flights[id]?.waiters.remove(at: index)
        return true
    }

    /// The runner of a flight goes before it is over. The next in line takes the flight over; with nobody there it
    /// ends. An error of the runner's own going is nobody else's error.
    public mutating func abandon(_ id: FlightID, now: LabTime) {
        guard var flight = flights[id] else { return }
        if let outcome = flight.outcome ?? flight.entry.map({ .success(CacheAnswer($0, .loaded)) }) {
            // The value is there, and only the shared cache has not got it: nobody has to load again.
            for ticket in flight.waiters { effects.append(.tell(ticket, outcome)) }
            return remove(flight)
        }
        counters.abandoned &+= 1
        guard !flight.waiters.isEmpty else { return remove(flight) }
        let next = flight.waiters.removeFirst()
        // A lease that it has got stays its own; whatever step was under way is done again.
        flight.stage = flight.usesRemote && !flight.hasLease ? .remote : .source
        flight.entry = nil
        flight.deadline = now + configuration.loaderTimeout
        deadlines.insert(FlightDeadline(time: flight.deadline, id: id))
        flights[id] = flight
        effects.append(.lead(next, id))
    }

    private mutating func remove(_ flight: Flight) {
        flights[flight.id] = nil
        if joinable[flight.key] == flight.id { joinable[flight.key] = nil }
    }

    /// When `tick` has something to do; `distantFuture` if never.
    public var nextDeadline: LabTime { min(deadlines.first?.time ?? .distantFuture, queue.nextDeadline) }

    /// Ends the flights that have taken too long, and asks for batches whose time has come.
    public mutating func tick(now: LabTime) {
        while let first = deadlines.first, first.time <= now {
            _ = deadlines.removeFirst()
            guard var flight = flights[first.id], flight.deadline <= now else { continue }
            counters.timeouts &+= 1
            let failure = CacheFailure.timedOut(configuration.loaderTimeout)
            event(.loadFailed(key: flight.key, flight: flight.id, failure.description))
            _ = fail(&flight, failure, now: now)
            // Its lease runs out by itself; the runner hears at its next report that it is too late.
            flights[first.id] = nil
        }
        if queue.isDue(now: now) { effects.append(.flush) }
    }
}
