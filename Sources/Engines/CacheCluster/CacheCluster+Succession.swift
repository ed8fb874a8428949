import KernelStructures

// After a change of owners: copies go on from where they are, instead of being loaded again (Redis: PSYNC2).

extension CacheCluster {
    // MARK: What is kept for the others

    /// A write to a copy here, as it was carried out.
    func remember(_ slot: Int, _ offset: Int, _ commands: [[[UInt8]]]) {
        let reign = SlotVersion(bits: copyReigns[slot])
        followed.append(FollowedLog.Entry(slot: slot, reign: reign, offset: offset, commands: commands))
        while let gone = followed.popExcess() {
            if copyReigns[gone.slot] == gone.reign.bits {
                copySince[gone.slot] = max(copySince[gone.slot], gone.offset)
            }
            if let since = successions[gone.slot]?.since, successions[gone.slot]?.reign == gone.reign {
                successions[gone.slot]?.since = max(since, gone.offset)
            }
        }
    }

    /// Everything up to here is in the copy of a slot, and nothing of how it came to be is known.
    func beginHistory(of slot: Int, at offset: Int) { copySince[slot] = offset }

    /// This node is about to own a slot of which it has a copy up to `end`, from the reign of `old`.
    func succeed(_ slot: Int, _ old: SlotMap.Record, end: Int) {
        guard let former = old.owner, former != own.id, copyReigns[slot] == old.version.reign.bits else {
            successions[slot] = nil
            return
        }
        // A replica that has written nothing yet counts on where its master was, as Redis's do.
        if isReplica, log.isUntouched, followers.isEmpty, served.isEmpty { log.begin(at: end) }
        successions[slot] = Succession(
            reign: old.version.reign, since: copySince[slot], end: end, ownStart: log.end)
        guard let stream = links.first(where: { $0.master == former })?.stream, stream != 0 else { return }
        let id = Self.replicationID(stream, former)
        let known = formerStream?.replicationID == id ? formerStream?.end ?? 0 : 0
        formerStream = FormerStream(replicationID: id, end: max(known, end))
    }

    // MARK: What is sent instead of everything

    /// For slots that a follower wants, and of which it has a copy of the reign before: what that copy lacks.
    ///
    /// - Returns: only slots of which everything is still known that came since.
    func continuations(_ wanted: SlotSet, _ stale: [Follow.Stale]) -> [Int: Continuation] {
        var found: [Int: Continuation] = [:]
        for copy in stale {
            for slot in copy.slots where wanted.contains(slot) {
                guard let succession = successions[slot], succession.reign == copy.reign,
                    copy.offset >= succession.since, copy.offset <= succession.end, log.reaches(succession.ownStart)
                else { continue }
                found[slot] = Continuation(base: SlotLoad.Base(reign: copy.reign, offset: copy.offset))
            }
        }
        if found.isEmpty { return [:] }
        for place in 0..<followed.entries.count {
            let entry = followed.entries[place]
            guard let one = found[entry.slot], let succession = successions[entry.slot],
                entry.reign == one.base.reign, entry.offset > one.base.offset, entry.offset <= succession.end
            else { continue }
            found[entry.slot]?.commands += entry.commands
        }
        let first = found.keys.reduce(log.end) { min($0, successions[$1]?.ownStart ?? $0) }
        guard first < log.end else { return found }
        for offset in first + 1...log.end {
            let entry = log[offset]
            guard let slot = entry.slot, let succession = successions[slot], offset > succession.ownStart else {
                continue
            }
            found[slot]?.commands += entry.commands
        }
        return found
    }

    /// Copies here that are from a reign before the present one: what a new owner may be able to continue.
    func staleCopies(_ slots: SlotSet) -> [Follow.Stale] {
        var stale: [Follow.Stale] = []
        slots.forEach { slot in
            let (reign, offset) = copy(of: slot)
            guard reign != .none, reign != map.version(of: slot).reign else { return }
            if let last = stale.last, last.slots.upperBound == slot - 1, last.reign == reign, last.offset == offset {
                stale[stale.count - 1].slots = last.slots.lowerBound...slot
            } else {
                stale.append(Follow.Stale(slots: slot...slot, reign: reign, offset: offset))
            }
        }
        return stale
    }

    // MARK: In Redis's words

    /// 40 digits, another for each stream.
    static func replicationID(_ stream: UInt64, _ master: ClusterNodeID) -> String {
        hexadecimal(stream, 16) + master.description.prefix(24)
    }

    /// Of this node's stream; of its master's for a replica.
    public var replicationID: String {
        guard let master = own.replicaOf else { return Self.replicationID(stream, own.id) }
        return Self.replicationID(links.first { $0.master == master }?.stream ?? 0, master)
    }

    /// The stream that this node's goes on from, and the offset of the first write that is its own; nil for a node that
    /// has taken nobody's place.
    public var formerReplication: (id: String, nextOffset: Int)? {
        isReplica ? nil : formerStream.map { ($0.replicationID, $0.end + 1) }
    }
}
