import KernelStructures

extension ConnectionPool {
    /// What must be true between any two calls. Empty if all of it is.
    public var brokenInvariants: [String] {
        var broken: [String] = []
        func expect(_ condition: Bool, _ text: @autoclosure () -> String) { if !condition { broken.append(text()) } }
        func count(_ isOne: (Entry.State) -> Bool) -> Int { entries.count { isOne($0.state) } }

        // Nobody is counted twice, and no slot is lost.
        expect(Set(vacantSlots).count == vacantSlots.count, "a vacant slot stands twice in its list")
        expect(vacantSlots.allSatisfy { entries[$0].state == .vacant }, "a slot counts as vacant and is not")
        expect(count { $0 == .vacant } == vacantSlots.count, "a vacant slot is lost")
        expect(count { $0 == .connecting } == connectingCount, "connecting: counted wrongly")
        expect(count { $0 == .inUse } == inUseCount, "in use: counted wrongly")
        expect(count { if case .checking = $0 { true } else { false } } == checkingCount, "checking: counted wrongly")
        expect(idleSlots == idleSlots.filter { entries[$0].state == .idle }, "something else among the idle")
        expect(idleSlots.count == idle.count && count { $0 == .idle } == idle.count, "idle: counted wrongly")
        expect(connectingCount <= configuration.connectingLimit, "too many connects at a time")

        // The line.
        let places = line.slots
        expect(places.count == line.count && Set(places).count == places.count, "the line is broken")
        expect(places.count { line.waiters[$0].isHeld } == line.heldCount, "held: counted wrongly")
        expect(places.count { line.waiters[$0].isWoken } == line.wokenCount, "woken: counted wrongly")
        expect(line.count <= configuration.waiterLimit, "the line is longer than it may be")
        expect(places.allSatisfy { line.waiters[$0].deadline >= nextDeadline }, "a borrower's deadline is forgotten")
        let serials = places.map { line.waiters[$0].serial }
        expect(serials == serials.sorted(), "somebody has overtaken in the line")

        broken += lostWakeups
        return broken
    }

    /// Reasons why somebody in line would wait although it need not.
    private var lostWakeups: [String] {
        guard phase == .running, line.servableCount > 0 else { return [] }
        var broken: [String] = []
        if configuration.isFair, idle.count > 0, line.servableCount > checkingCount {
            broken.append("a connection is idle, and somebody waits")
        }
        if !configuration.isFair, idle.count > 0, line.wokenCount + checkingCount == 0 {
            broken.append("a connection is idle, somebody waits, and nobody was woken")
        }
        let mayGrow = !isSuspended && !vacantSlots.isEmpty && wantsAnother
        if mayGrow, connectingCount < configuration.connectingLimit {
            if now >= backoff.notBefore { broken.append("somebody waits, and no connection is being opened") }
            if nextDeadline > backoff.notBefore { broken.append("nobody will try to connect again") }
        }
        return broken
    }

    private var idleSlots: [Int] {
        var slots: [Int] = []
        var slot = idle.newest
        while slot >= 0, slots.count <= entries.count {
            slots.append(slot)
            slot = entries[slot].older
        }
        return slots
    }
}
