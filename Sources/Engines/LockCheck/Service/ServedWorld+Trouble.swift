import KernelStorage
import KernelStructures
import KernelWorld
import LockCheckEngine

extension ServedWorld {
    /// The leader rather often: that is where it hurts.
    private var victim: Int { random.chance(0.5) ? leader?.member.settings.id ?? anyMember : anyMember }

    /// Something goes wrong, and something else before long.
    func trouble() {
        guard now < plan.troubleMicroseconds else { return }
        after(100_000 + random.below(1_200_000)) { [self] in trouble() }
        let id = victim
        let name = Self.name(id)
        let time = 200_000 + random.below(3_000_000)
        switch random.below(16) {
        case 0, 1: end(id, powerLoss: nil)
        case 2: end(id, powerLoss: .dropAll)
        case 3: end(id, powerLoss: .random(seed: random.next()))
        case 4, 5, 6: pause(id, time)
        case 7: inject(.cuts, .block(partition: true), name, nil, both: true, time)
        // It hears, and is not heard; or the other way round.
        case 8: inject(.cuts, .block(partition: true), name, nil, both: false, time)
        case 9: inject(.cuts, .block(partition: true), nil, name, both: false, time)
        case 10: split(time)
        case 11:
            let most = LabDuration.milliseconds(5 + random.below(200))
            inject(.badLines, .latency(most, jitter: most), name, nil, both: true, time)
        case 12: inject(.badLines, .reset, name, nil, both: true, 1000)
        case 13: troubleDisk(name, time)
        case 14: jumpClock(id)
        default: handOver(to: id)
        }
    }

    private func inject(
        _ kind: WorldTally.Kind, _ fault: FaultKind, _ from: String?, _ to: String?, both: Bool, _ microseconds: Int
    ) {
        let text = "\(fault.name) \(from ?? "all") \(both ? "and" : "to") \(to ?? "all")"
        let link = LinkSelector(
            from: from.map { .names([$0]) } ?? .any, to: to.map { .names([$0]) } ?? .any, isBothWays: both, text: text)
        guard world.faults.inject(fault, on: link, for: .microseconds(microseconds), text: text) != nil else { return }
        record.tally[kind] += 1
        note(.world) { "\(text) for \(CheckedWorld.clock(microseconds))" }
    }

    private func pause(_ id: Int, _ microseconds: Int) {
        guard let node = hosts[id]?.node, node.state == .running else { return }
        node.freeze()
        record.tally[.pauses] += 1
        note(.member(id)) { "is paused for \(CheckedWorld.clock(microseconds))" }
        let life = node.lifeCount
        after(microseconds) { [self] in
            guard node.lifeCount == life, node.isFrozen else { return }
            node.thaw()
            note(.member(id)) { "goes on" }
        }
    }

    /// Two halves that do not hear one another; clients are wherever they are.
    private func split(_ microseconds: Int) {
        let all = (1...plan.memberCount).map(Self.name)
        let some = all.filter { _ in random.chance(0.5) }
        guard !some.isEmpty, some.count < all.count else { return }
        let text = "split \(some.joined(separator: ",")) from the others"
        let link = LinkSelector(
            from: .names(some), to: .names(all.filter { !some.contains($0) }), isBothWays: true, text: text)
        _ = world.faults.inject(.block(partition: true), on: link, for: .microseconds(microseconds), text: text)
        record.tally[.splits] += 1
        note(.world) { "\(text) for \(CheckedWorld.clock(microseconds))" }
    }

    private func troubleDisk(_ name: String, _ microseconds: Int) {
        if random.chance(0.5) {
            inject(.failedSyncs, .disk(.failSync(count: 1)), nil, name, both: false, microseconds)
        } else {
            let time = LabDuration.milliseconds(1 + random.below(100))
            inject(.slowDisks, .disk(.slow(time)), nil, name, both: false, microseconds)
        }
    }

    /// Its calendar is an hour off. Nothing may depend on it.
    private func jumpClock(_ id: Int) {
        guard let node = hosts[id]?.node else { return }
        node.clockSkew = random.chance(0.5) ? .seconds(3600) : .seconds(-3600)
        record.tally[.clockChanges] += 1
        note(.member(id)) { "has a calendar that is \(node.clockSkew) off" }
    }

    private func handOver(to id: Int) {
        guard let leader else { return }
        record.tally[.transfers] += 1
        note(.world) { "leadership is to go to \(id)" }
        try? leader.member.transferLeadership(to: id)
    }

    /// Everything is well from now on.
    func heal() {
        isHealed = true
        note(.world) { "everything is well again" }
        _ = world.faults.removeAll()
        for id in hosts.keys.sorted() where hosts[id]?.node.isFrozen == true { hosts[id]?.node.thaw() }
    }
}
