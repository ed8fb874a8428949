import ConsensusEngine
import KernelStorage
import KernelStructures

extension CheckedWorld {
    // MARK: Trouble

    func scheduleTrouble(until end: Int) {
        after(100_000 + random.below(plan.isNervous ? 2_000_000 : 900_000)) { [self] in
            guard now < end else { return }
            makeTrouble()
            scheduleTrouble(until: end)
        }
    }

    private var anybody: CheckedMember { members[random.below(Self.largestID)] }
    private var leader: CheckedMember? {
        members.filter(\.isLeader).max { ($0.raft?.term ?? 0) < ($1.raft?.term ?? 0) }
    }
    /// The leader rather often: that is where it hurts.
    private var victim: CheckedMember { random.chance(0.5) ? leader ?? anybody : anybody }

    private func makeTrouble() {
        switch random.below(18) {
        case 0, 1: crash(nil)
        case 2: crash(.dropAll)
        case 3: crash(.random(seed: random.next()))
        case 4: victim.armDisk()
        case 5: victim.failSync()
        case 6: victim.pause(100_000 + random.below(2_000_000))
        // Longer than a lease lives.
        case 7: victim.pause(2_000_000 + random.below(3_000_000))
        case 8: cutOff(victim)
        case 9: split()
        case 10: cutOneLine()
        case 11: mendLines()
        case 12: changeLines()
        case 13:
            let member = victim
            member.writeMicroseconds =
                random.chance(0.5) ? CheckedMember.usualWriteMicroseconds : 5000 + random.below(300_000)
            record.tally[.slowDisks] += 1
            note(.member(member.id)) { "has a disk that takes \(Self.clock(member.writeMicroseconds)) and more" }
        case 14:
            let member = victim
            member.changeClock()
            record.tally[.clockChanges] += 1
            note(.member(member.id)) { "has a clock of another speed" }
        case 15, 16: changeMembership()
        default:
            record.tally[.transfers] += 1
            let heir = anybody.id
            note(.world) { "leadership is to go to \(heir)" }
            leader?.transfer(to: heir)
        }
    }

    /// Something happens to a leader that has just been elected, and has told nobody yet: only one other member hears
    /// of what it appends, or nobody does, or it dies in the middle of catching up (figure 8 of Raft's paper).
    func harass(leader: CheckedMember) {
        let life = leader.life
        switch random.below(10) {
        case 0, 1, 2:
            isolate(leader.id, but: 1 + random.below(Self.largestID))
            after(100_000 + random.below(400_000)) { [self] in end(leader, life) }
        case 3, 4:
            isolate(leader.id, but: leader.id)
            after(150_000 + random.below(600_000)) { [self] in mendLines() }
        case 5, 6, 7, 8: after(1 + random.below(10 * network.delayMicroseconds)) { [self] in end(leader, life) }
        default: leader.pause(50_000 + random.below(1_500_000))
        }
    }

    /// A member that has just voted loses power, before or after its disk has that, and is back at once.
    func harass(voter: CheckedMember) {
        guard now < plan.troubleMicroseconds, random.chance(0.3) else { return }
        let life = voter.life
        after(1 + random.below(2 * voter.writeMicroseconds)) { [self] in
            guard voter.life == life else { return }
            voter.crash(.dropAll)
            after(1 + random.below(30_000)) { voter.start() }
        }
    }

    private func isolate(_ id: Int, but other: Int) {
        record.tally[.cuts] += 1
        note(.member(id)) { other == id ? "is cut off" : "is cut off from all but \(other)" }
        for peer in 1...Self.largestID where peer != other {
            network.cut(id, peer)
            network.cut(peer, id)
        }
    }

    private func end(_ leader: CheckedMember, _ life: Int) {
        mendLines()
        guard leader.life == life else { return }
        leader.crash(random.chance(0.2) ? .dropAll : nil)
        after(random.below(400_000)) { leader.start() }
    }

    private func crash(_ loss: PowerLossPolicy?) {
        let member = victim
        member.crash(loss)
        if member.life > 0 { restartLater(member) }
    }

    func diskFailed(_ member: CheckedMember) {
        member.crash(random.chance(0.5) ? .random(seed: random.next()) : random.chance(0.5) ? .dropAll : nil)
        restartLater(member)
    }

    private func restartLater(_ member: CheckedMember) { after(random.below(2_000_000)) { member.start() } }

    private func cutOff(_ member: CheckedMember) {
        let isDeaf = random.chance(0.7)
        let isDumb = !isDeaf || random.chance(0.7)
        record.tally[.cuts] += 1
        note(.member(member.id)) {
            "is cut off: \(isDeaf && isDumb ? "in both directions" : isDeaf ? "hears nobody" : "is heard by nobody")"
        }
        for id in 1...Self.largestID {
            if isDeaf { network.cut(id, member.id) }
            if isDumb { network.cut(member.id, id) }
        }
    }

    private func split() {
        let side = (0...Self.largestID).map { _ in random.chance(0.5) }
        record.tally[.splits] += 1
        note(.world) { "the network is split: \((1...Self.largestID).filter { side[$0] }) and the others" }
        for a in 1...Self.largestID { for b in 1...Self.largestID where side[a] != side[b] { network.cut(a, b) } }
    }

    private func cutOneLine() {
        let (from, to) = (anybody.id, anybody.id)
        record.tally[.cuts] += 1
        note(.world) { "the line from \(from) to \(to) is cut" }
        network.cut(from, to)
    }

    private func mendLines() {
        note(.world) { "all lines are mended" }
        network.mendLines()
    }

    private func changeLines() {
        network.lossProbability = random.chance(0.5) ? 0 : random.unit() * 0.3
        network.doubleProbability = random.chance(0.5) ? 0 : random.unit() * 0.3
        network.delayMicroseconds =
            random.chance(0.7)
            ? CheckedNetwork.usualDelayMicroseconds : CheckedNetwork.usualDelayMicroseconds + random.below(75_000)
        record.tally[.badLines] += 1
        note(.world) {
            """
            lines lose \(Int(network.lossProbability * 100)) %, double \(Int(network.doubleProbability * 100)) %, take \
            \(Self.clock(network.delayMicroseconds)) and more
            """
        }
    }

    private func changeMembership() {
        guard let leader, let raft = leader.raft else { return }
        let voters = raft.configuration.allVoters
        var steps: [ConfigurationChange.Step] = []
        for _ in 0..<(random.chance(0.7) ? 1 : 2) {
            let id = 1 + random.below(Self.largestID)
            let kind: ConfigurationChange.Step.Kind =
                voters.contains(id)
                ? (voters.count > 2 && random.chance(0.7) ? .remove : .addLearner)
                : random.chance(0.6) ? .addVoter : .addLearner
            if kind != .addVoter, voters.count <= 2 { continue }
            // Members count by what they have applied, as in etcd. Of those that stay, one that has not heard that the
            // change is agreed on needs a majority of before: it must not go away at once.
            if kind != .addVoter, voters.count < 5, steps.contains(where: { $0.kind != .addVoter }) { continue }
            steps.append(.init(kind, id))
            // Whoever comes has to run.
            members[id - 1].start()
        }
        if raft.configuration.isJoint, random.chance(0.7) { steps = [] } else if steps.isEmpty { return }
        lastChange += 1
        let transition: ConfigurationChange.Transition =
            steps.isEmpty ? .automatic : random.chance(0.3) ? .implicit : .automatic
        note(.world) { "membership is to change: \(steps.map { "\($0.kind) \($0.id)" }.joined(separator: ", "))" }
        leader.propose(
            RaftEntry(kind: .configuration, data: ConfigurationChange(steps, transition: transition).encoded))
    }

    /// Everything is well again.
    func heal() {
        note(.world) { "everything is well again" }
        network.mendAll()
        for member in members {
            member.writeMicroseconds = CheckedMember.usualWriteMicroseconds
            if member.life > 0 { restartLater(member) }
        }
    }
}
