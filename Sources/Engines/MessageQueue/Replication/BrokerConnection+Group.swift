import KernelStructures

/// A connection whose client waits for the group.
extension BrokerConnection {
    /// Nothing of it is read until `endHold`.
    ///
    /// - Returns: what tells this time from others.
    func hold() -> UInt64 {
        isHeld = true
        holdCount += 1
        return holdCount
    }

    /// - Returns: false if it was over already.
    func endHold(_ number: UInt64) -> Bool {
        guard isHeld, holdCount == number, phase == .running else { return false }
        isHeld = false
        lastReceivedAt = now
        broker.note(self)
        return true
    }

    /// It has published so much that the group is behind.
    func crowd() {
        guard !isCrowded, let group = broker.group else { return }
        isCrowded = true
        group.crowded.append(self)
    }

    func makeRoom() {
        isCrowded = false
        lastReceivedAt = now
        broker.note(self)
    }

    /// What is written from here on waits until the group has carried out what it was asked so far.
    func addGroupBarrier() {
        guard let desk = broker.group?.desk, desk.position > desk.appliedPosition else { return }
        groupBarriers.append(Barrier(offset: output.count, position: desk.position))
        broker.groupBarred.append(self)
    }

    var isGroupBarred: Bool { !groupBarriers.isEmpty && writableByteCount < output.count }
}
