import KernelStructures

/// A node that holds copies of this one's slots.
public struct Follower {
    public let id: ClusterNodeID
    var sequence: Int
    /// Slots that it has completely, by its own account.
    public internal(set) var held: SlotSet
    /// Those that the stream is to have for it: what it has, and what was sent to it to be loaded.
    var streamed: SlotSet
    var sent: Int
    /// Everything up to here has arrived.
    public internal(set) var acknowledged: Int
    public internal(set) var heardAt: LabTime
    var sentAt: LabTime
    /// Parts of the stream on their way.
    var inFlight = 0
}

// The master's half of replication: the stream of writes, and what slots hold.

extension CacheCluster {
    private static let partLimitBytes = 256 << 10
    private static let inFlightLimit = 16
    static let followerLimit = 256

    public func follower(_ id: ClusterNodeID) -> Follower? { followers.first { $0.id == id } }
    public var followerIDs: [ClusterNodeID] { followers.map(\.id) }
    /// The place of the latest write in this node's stream.
    public var streamOffset: Int { log.end }
    public var backlog: (start: Int, bytes: Int, limitBytes: Int) { (log.start, log.byteCount, log.limitBytes) }

    /// A write was carried out here. `flush` sends it.
    ///
    /// - Parameters:
    ///   - slot: nil where it concerns all of this node's slots.
    ///   - commands: its effect; several if they belong together.
    public func wrote(slot: Int?, _ commands: [[[UInt8]]]) {
        log.append(ReplicationLog.Entry(slot: slot, commands: commands, at: now))
        if slot == nil { successions = [:] }
    }

    /// Sends what was written since to whoever follows.
    public func flush() {
        for index in followers.indices where followers[index].sent < log.end { pump(index) }
        if handoff != nil { proceedHandoff() }
    }

    private func pump(_ index: Int) {
        while followers[index].sent < log.end, followers[index].inFlight < Self.inFlightLimit {
            let from = followers[index].sent
            guard log.reaches(from) else {
                // It fell too far behind.
                send(.restart(stream: stream, offset: log.end), to: followers[index].id)
                followers[index].sent = log.end
                followers[index].held = SlotSet()
                return
            }
            var part = StreamPart(stream: stream, from: from, to: from, entries: [])
            var bytes = 0
            while part.to < log.end, bytes < Self.partLimitBytes {
                let entry = log[part.to + 1]
                part.to += 1
                if entry.slot.map({ followers[index].streamed.contains($0) }) ?? true {
                    bytes += entry.byteCount
                    part.entries.append(
                        StreamPart.Entry(offset: part.to, slot: entry.slot, commands: entry.commands))
                }
            }
            followers[index].sent = part.to
            followers[index].sentAt = now
            followers[index].inFlight += 1
            send(.stream(part), to: followers[index].id)
        }
    }

    // MARK: What followers say

    func receive(_ follow: Follow, from peer: Peer) {
        guard follow.stream == stream, log.reaches(follow.offset) else {
            // Nothing that it has can be continued: it begins from here.
            if follow.stream == stream { statistics.fullResyncs += 1 }
            followers.removeAll { $0.id == peer.id }
            return send(.restart(stream: stream, offset: log.end), to: peer.id)
        }
        var (held, unknown) = (SlotSet(), SlotSet())
        for part in follow.held {
            for slot in part.slots {
                let isMine = served.contains(slot) && map.version(of: slot).reign == part.reign
                if isMine { held.insert(slot) } else { unknown.insert(slot) }
            }
        }
        guard unknown.isEmpty else {
            // It has not heard yet that they are somebody else's, or of another reign. What it is sent now would take
            // it past writes to them that it lacks, and it would take its copies for newer than they are.
            if let known = followers.firstIndex(where: { $0.id == peer.id }) { followers[known].heardAt = now }
            return send(.slots(map.runs(unknown), ticket: 0), to: peer.id)
        }
        let index: Int
        if let known = followers.firstIndex(where: { $0.id == peer.id }) {
            guard follow.sequence >= followers[known].sequence else { return }
            index = known
        } else {
            guard followers.count < Self.followerLimit else { return }
            index = followers.count
            followers.append(
                Follower(
                    id: peer.id, sequence: 0, held: held, streamed: held, sent: follow.offset,
                    acknowledged: follow.offset, heardAt: now, sentAt: now))
            if !held.isEmpty { statistics.partialResyncs += 1 }
        }
        let isNews = followers[index].held != held
        if follow.sequence > followers[index].sequence || follow.offset > followers[index].acknowledged {
            followers[index].acknowledged = follow.offset
        }
        followers[index].sequence = follow.sequence
        followers[index].held = held
        // What is on its way to it to be loaded it will have, though it does not say so yet.
        followers[index].streamed.formIntersection(follow.missing)
        followers[index].streamed.formUnion(held)
        followers[index].sent = follow.offset
        followers[index].inFlight = 0
        followers[index].heardAt = now
        contested.formUnion(follow.refused.intersection(served))
        if isNews { needsReview = true }
        let wanted = follow.missing.intersection(served)
        if !wanted.isEmpty { sendLoad(wanted, follow.stale, to: index) }
        pump(index)
        if handoff != nil { proceedHandoff() }
    }

    func acknowledged(_ stream: UInt64, _ sequence: Int, _ offset: Int, by peer: Peer) {
        guard stream == self.stream, offset <= log.end,
            let index = followers.firstIndex(where: { $0.id == peer.id }), followers[index].sequence == sequence
        else { return }
        followers[index].heardAt = now
        followers[index].inFlight = max(0, followers[index].inFlight - 1)
        if offset > followers[index].acknowledged { followers[index].acknowledged = offset }
        pump(index)
        if handoff != nil { proceedHandoff() }
    }

    /// What was not acknowledged for a while is sent again; a follower that says nothing any more is forgotten.
    func tickFollowers() {
        followers.removeAll { now - $0.heardAt > settings.nodeTimeout * 3 }
        for index in followers.indices {
            let isLate = now - followers[index].sentAt > .milliseconds(300)
            if followers[index].acknowledged < followers[index].sent, isLate {
                followers[index].sent = followers[index].acknowledged
                followers[index].inFlight = 0
            }
            pump(index)
        }
    }

    /// What some slots hold at this moment, or what the follower's copy lacks where that is known. As many of them as
    /// go into one message; the follower asks again for others.
    private func sendLoad(_ slots: SlotSet, _ stale: [Follow.Stale], to index: Int) {
        let known = continuations(slots, stale)
        var load = SlotLoad(stream: stream, offset: log.end, parts: [])
        var bytes = 0
        for slot in slots.slots where bytes < Self.partLimitBytes {
            let commands = known[slot]?.commands ?? store.contents(ofSlot: slot)
            let part = SlotLoad.Part(
                slots: slot...slot, reign: map.version(of: slot).reign, base: known[slot]?.base, commands: commands)
            followers[index].streamed.insert(slot)
            if commands.isEmpty, let last = load.parts.last, last.commands.isEmpty,
                last.slots.upperBound == slot - 1, last.reign == part.reign, last.base == part.base
            {
                load.parts[load.parts.count - 1].slots = last.slots.lowerBound...slot
                continue
            }
            for command in commands { bytes += command.reduce(16) { $0 + $1.count } }
            load.parts.append(part)
        }
        let continued = load.parts.reduce(0) { $1.base == nil ? $0 : $0 + $1.slots.count }
        statistics.continuedSlots += continued
        statistics.loadedSlots += load.parts.reduce(-continued) { $0 + $1.slots.count }
        if continued > 0 { statistics.partialResyncs += 1 }
        send(.load(load), to: followers[index].id)
    }

    // MARK: WAIT

    /// How many copies of each of these slots have everything up to an offset: of the slot with the fewest.
    ///
    /// Only copies count that would count in an election, and only while a majority of the masters knows which those
    /// are.
    public func copyCount(of slots: [Int], upTo offset: Int) -> Int {
        slots.reduce(Int.max) { fewest, slot in min(fewest, copyCount(of: slot, upTo: offset)) }
    }

    private func copyCount(of slot: Int, upTo offset: Int) -> Int {
        guard served.contains(slot), committed.contains(slot) else { return 0 }
        let copies = map.copies(of: slot)
        let count = copies.reduce(0) { count, id in
            guard let follower = follower(id), follower.held.contains(slot), follower.acknowledged >= offset else {
                return count
            }
            return count + 1
        }
        // With this node that is a majority. It counts upon it from here on, whatever becomes of those followers.
        if !copies.isEmpty, count >= (copies.count + 1) / 2 { promised[slot] = max(promised[slot], offset) }
        return count
    }
}
