import ConsensusEngine
import ConsensusService
import KernelStructures
import KernelWorld
import TestSupport
import Testing

@Suite("Members that have forgotten, and groups that meet")
struct IdentityTests {
    /// Kills a member and takes away what it knew.
    private func empty(_ group: CounterGroup, _ id: Int) throws {
        let disk = group[id].node.disk
        group[id].node.end(.killed)
        for name in ["log", "snapshot"] { try disk.remove("/var/lib/counter\(id)/\(name)") }
    }

    private func strangers(_ node: CounterNode) -> [Int] {
        node.events.compactMap { if case .stranger(let id, _) = $0 { id } else { nil } }
    }

    @Test("an emptied majority is another group: the member that remembers does not follow it, and all say so")
    func emptiedMajority() throws {
        let group = try CounterGroup(3)
        let leader = try group.awaitLeader().member.settings.id
        for _ in 0..<5 { _ = group.propose(leader, [0]) }
        group.world.pass(.seconds(1))
        let before = group[1].member.groupIdentity
        #expect(before != 0 && group[2].member.groupIdentity == before)
        group[1].node.end(.killed)
        for id in 2...3 { try empty(group, id) }
        for id in 2...3 { try group.start(id) }
        let new = try group.awaitLeader()
        #expect(group.propose(new.member.settings.id, [0])?.text == "1", "nobody can know it without the first one")
        try group.start(1)
        group.world.pass(.seconds(10))
        #expect(group[1].member.leader == nil && group[1].counter.value == 5)
        #expect(Set(strangers(group[1])) == [2, 3])
        #expect(strangers(group[2]).contains(1) && strangers(group[3]).contains(1))
        #expect(strangers(group[1]).count <= 4, "said once, and not at each attempt")
        #expect(group[1].member.groupIdentity == before && group[2].member.groupIdentity != before)
        #expect(group.propose(new.member.settings.id, [0])?.text == "2", "the others go on")
        let texts = group[1].events.compactMap { if case .stranger(_, let text) = $0 { text } else { nil } }
        #expect(texts.contains { $0.contains("put its old directory back, or remove node") }, "\(texts)")
    }

    @Test("one that has lost its disk is heard by nobody; whoever comes back with it is")
    func emptiedMember() throws {
        let group = try CounterGroup(3) {
            $0.snapshotEntries = 20
            $0.trailingEntries = 5
        }
        let leader = try group.awaitLeader().member.settings.id
        let victim = leader % 3 + 1
        for round in 1...50 { #expect(group.propose(leader, [0])?.text == "\(round)") }
        group.world.pass(.seconds(1))
        try empty(group, victim)
        try group.start(victim)
        group.world.pass(.seconds(5))
        #expect(group[victim].counter.value == 0 && group[victim].member.leader == nil)
        #expect(strangers(group[leader]).contains(victim) && !strangers(group[victim]).isEmpty)
        // What it says to do.
        guard try group.replace(victim, by: 4, askedOf: leader) else { return }
        #expect(group.propose(leader, [0])?.text == "51")
        // The identities are in the snapshots, too.
        group[4].node.end(.poweredOff)
        try group.start(4)
        group.world.pass(.seconds(3))
        #expect(group[4].counter.value == 51 && strangers(group[4]).isEmpty)
    }

    @Test("changes that cannot be are refused: nobody of that number, one that votes, one that is not there yet")
    func refusals() throws {
        let group = try CounterGroup(3)
        let leader = try group.awaitLeader().member.settings.id
        func refusal(_ change: MembershipChange, at id: Int) -> MembershipRefusal? {
            if case .failure(.refusedChange(let refusal))? = group.change(id, change) { refusal } else { nil }
        }
        for id in 1...3 {
            #expect(refusal(.remove(99), at: id) == .unknownMember && refusal(.promote(1), at: id) == .alreadyVotes)
        }
        guard case .success = group.change(leader, .add(4, CounterGroup.address(4), voting: false)) else {
            Issue.record("a learner is added")
            return
        }
        #expect(refusal(.promote(4), at: leader) == .notInSync)
        #expect(throws: MembershipRefusal.cannotLead) { try group[leader].member.transferLeadership(to: 4) }
        try group.start(4, joins: true)
        group.world.pass(.seconds(2))
        #expect(refusal(.promote(4), at: leader) == nil)
        #expect(group[leader].member.configuration.voters == [1, 2, 3, 4])
    }
}
