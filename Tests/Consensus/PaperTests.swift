import ConsensusEngine
import Testing

/// What the paper ("In Search of an Understandable Consensus Algorithm", extended version) and the thesis
/// ("Consensus: Bridging Theory and Practice") say, section by section.
@Suite("Raft, section by section")
struct PaperTests {
    @Test("§5.1: whoever hears of a newer term follows in it, whatever it was")
    func newerTerm() throws {
        let table = EngineTable(3)
        table.elect(1)
        #expect(table[1].role == .leader)
        try table[1].receive(RaftMessage(.append, from: 2, to: 1, term: 9, index: 1, logTerm: 1))
        #expect(table[1].role == .follower && table[1].term == 9 && table[1].leader == 2)
    }

    @Test("§5.1: what is from an older term is refused")
    func olderTerm() throws {
        let table = EngineTable(3) {
            $0.usesPreVote = false
            $0.checksQuorum = false
        }
        table.elect(1)
        let term = table[1].term
        try table[2].receive(RaftMessage(.append, from: 3, to: 2, term: term - 1, index: 2, logTerm: 1))
        try table[2].receive(RaftMessage(.vote, from: 3, to: 2, term: term - 1, index: 9, logTerm: 9))
        #expect(table[2].leader == 1 && !table[2].hasReady)
    }

    @Test("figure 3, leader completeness: one that leads without what is agreed on is believed nothing")
    func foreignLeader() throws {
        let table = EngineTable(3)
        table.elect(1)
        try table.propose(1, [7])
        let (last, term) = (table[2].log.committed, table[2].term)
        #expect(last == 3)
        let claims: [(index: Int, term: Int, entries: [RaftEntry])] = [
            (last, term + 1, []), (2, term + 2, []), (1, 1, [RaftEntry(index: 2, term: term + 3, data: [9])]),
        ]
        for (index, logTerm, entries) in claims {
            let message = RaftMessage(
                .append, from: 3, to: 2, term: term + 9, index: index, logTerm: logTerm, commit: 2, entries: entries)
            #expect {
                try table[2].receive(message)
            } throws: { error in
                if case .contradiction? = error as? RaftError { true } else { false }
            }
        }
        #expect(table[2].log.committed == last && table[2].log.lastIndex == last)
    }

    @Test("§5.2: a member that hears of no leader for its election timeout wants to be one")
    func timeout() {
        let table = EngineTable(3)
        let ticks = table[1].electionTimeoutTicks
        #expect((10..<20).contains(ticks))
        table.tick([1], times: ticks - 1)
        #expect(table[1].role == .follower)
        table.tick([1])
        #expect(table[1].role == .leader && table[1].term == 2)
    }

    @Test("§5.2: election timeouts differ from member to member and from time to time")
    func randomizedTimeouts() {
        let table = EngineTable(5)
        #expect(Set((1...5).map { table[$0].electionTimeoutTicks }).count > 1)
        var seen: Set<Int> = []
        for term in 2..<42 {
            try? table[2].receive(RaftMessage(.heartbeat, from: 1, to: 2, term: term))
            seen.insert(table[2].electionTimeoutTicks)
        }
        #expect(seen.count > 5 && seen.allSatisfy { (10..<20).contains($0) })
    }

    @Test("§5.2: one vote a term, first come first served, and again for the same one")
    func oneVote() throws {
        let table = EngineTable(3) { $0.usesPreVote = false }
        func ask(_ candidate: Int) throws -> Bool? {
            try table[3].receive(RaftMessage(.vote, from: candidate, to: 3, term: 5, index: 1, logTerm: 1))
            return table[3].takeReady().append?.replies.first.map { !$0.isRejection }
        }
        #expect(try ask(1) == true)
        #expect(try ask(2) == false)
        #expect(try ask(1) == true)
    }

    @Test("figure 2: a vote leaves only with the disk's word that it is kept")
    func voteIsDurable() throws {
        let table = EngineTable(3) { $0.usesPreVote = false }
        try table[3].receive(RaftMessage(.vote, from: 1, to: 3, term: 5, index: 1, logTerm: 1))
        let ready = table[3].takeReady()
        #expect(ready.messages.isEmpty)
        #expect(ready.append?.hardState == HardState(term: 5, vote: 1, commit: 1) && ready.append?.mustSync == true)
        #expect(ready.append?.replies.map(\.kind) == [.voteReply])
    }

    @Test("§5.2: a candidate counts its own vote only once that is on the disk")
    func ownVote() {
        let table = EngineTable(1) { $0.usesPreVote = false }
        table[1].campaign()
        #expect(table[1].role == .candidate)
        let ready = table[1].takeReady()
        #expect(table[1].role == .candidate && ready.append?.hardState?.vote == 1)
        table.settle()
        #expect(table[1].role == .candidate, "nobody said that it was written")
    }

    @Test("§5.3: an entry holds once a majority has it, and everybody applies it in the same place")
    func replication() throws {
        let table = EngineTable(5)
        table.elect(1)
        table.away = [4, 5]
        try table.propose(1, [7])
        #expect(table.commands(1) == [[7]] && table.commands(2) == [[7]])
        table.away = [2, 4, 5]
        try table.propose(1, [8])
        #expect(table.commands(1) == [[7]], "two of five are no majority")
        table.away = []
        table.tick([1], times: 4)
        for id in 1...5 { #expect(table.commands(id) == [[7], [8]]) }
    }

    @Test("§5.3: a leader counts itself only once the entry is on its own disk")
    func ownDisk() throws {
        let table = EngineTable(3)
        table.elect(1)
        try table[1].propose([9])
        let ready = table[1].takeReady()
        let last = table[1].log.lastIndex
        #expect(ready.messages.count == 2, "the others are told while it writes")
        try table[1].receive(RaftMessage(.appendReply, from: 2, to: 1, term: table[1].term, index: last))
        #expect(table[1].log.committed == last - 1, "two of three are needed, and its own is not written")
        for reply in ready.append!.replies { try table[1].receive(reply) }
        #expect(table[1].log.committed == last)
    }

    /// Figure 7, with the places of the paper moved on by one.
    @Test("figure 7: every log there comes to be the leader's")
    func figure7() {
        let logs = [
            [1, 1, 1, 4, 4, 5, 5, 6, 6, 6],
            [1, 1, 1, 4, 4, 5, 5, 6, 6],
            [1, 1, 1, 4],
            [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
            [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
            [1, 1, 1, 4, 4, 4, 4],
            [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
        ]
        let table = EngineTable(7, logs: logs, terms: [7, 7, 7, 7, 7, 7, 7])
        table.elect(1)
        #expect(table[1].role == .leader && table[1].term == 8)
        table.tick([1], times: 4)
        for id in 1...7 { #expect(table.terms(id) == logs[0] + [8], "member \(id)") }
    }

    @Test("§5.3: finding where logs agree takes a round trip a term, and not one an entry")
    func conflictByTerm() {
        let short = Array(repeating: 1, count: 3)
        let table = EngineTable(
            3, logs: [short + Array(repeating: 5, count: 100), short + Array(repeating: 2, count: 100), short],
            terms: [5, 5, 5])
        table.elect(1)
        #expect(table.terms(2) == table.terms(1))
        let probes = table.delivered.count { $0.kind == .append && $0.to == 2 }
        #expect(probes < 8, "\(probes)")
    }

    @Test(
        "§5.4.1: a vote goes only to who has all that the voter has",
        arguments: [
            (1, 1, true), (1, 2, true), (2, 1, true), (2, 2, true), (1, 3, true), (3, 1, true),
        ])
    func upToDate(term: Int, length: Int, isCandidateAhead: Bool) throws {
        func isGranted(voter: [Int], candidate: LogPosition) throws -> Bool {
            let table = EngineTable(3, logs: [[], [], voter], terms: [9, 9, 9]) { $0.usesPreVote = false }
            try table[3].receive(
                RaftMessage(.vote, from: 1, to: 3, term: 10, index: candidate.index, logTerm: candidate.term))
            return table[3].takeReady().append?.replies.first?.isRejection == false
        }
        let voter = Array(repeating: term, count: length)
        let last = LogPosition(index: length + 1, term: term)
        #expect(try isGranted(voter: voter, candidate: last))
        #expect(try isGranted(voter: voter, candidate: .init(index: last.index + 1, term: term)))
        #expect(try isGranted(voter: voter, candidate: .init(index: 2, term: term + 1)))
        #expect(try !isGranted(voter: voter, candidate: .init(index: last.index - 1, term: term)))
        #expect(try !isGranted(voter: voter, candidate: .init(index: last.index + 5, term: term - 1)))
    }

    /// Figure 8: (c) a leader of term 4 has brought its entry of term 2 to a majority. It must not count it: (d) a
    /// member with an entry of term 3 may still be elected and replace it.
    @Test("figure 8, §5.4.2: entries of older terms are not agreed on by counting")
    func figure8() throws {
        let table = EngineTable(5, logs: [[2], [2], [], [], [3]], terms: [3, 2, 2, 2, 3]) { $0.usesPreVote = false }
        table.away = [4, 5]
        table[1].campaign()
        // Its own first entry, of term 4, is lost on its way: only what is older arrives.
        let term = 4
        for voter in [1, 2, 3] { try table[1].receive(RaftMessage(.voteReply, from: voter, to: 1, term: term)) }
        #expect(table[1].role == .leader && table[1].term == term)
        _ = table[1].takeReady()
        for peer in [1, 2, 3] {
            try table[1].receive(RaftMessage(.appendReply, from: peer, to: 1, term: term, index: 2))
        }
        #expect(table[1].log.committed == 1, "a majority has the entry of term 2, and it does not hold")
        for peer in [1, 2, 3] {
            try table[1].receive(RaftMessage(.appendReply, from: peer, to: 1, term: term, index: 3))
        }
        #expect(table[1].log.committed == 3, "(e): with one of its own term it holds along with it")
    }

    @Test("§6: while a configuration is joint, both majorities are needed")
    func joint() throws {
        let table = EngineTable(5) { $0.usesPreVote = false }
        table.elect(1)
        try table[1].propose(
            ConfigurationChange([.init(.remove, 4), .init(.remove, 5)], transition: .explicit))
        table.settle()
        #expect(table[1].configuration.isJoint)
        table.away = [3, 4, 5]
        try table.propose(1, [1])
        #expect(table.commands(1) == [], "a majority of the new one, and none of the old one")
        table.away = [4, 5]
        table.tick([1], times: 4)
        #expect(table.commands(1) == [[1]])
        try table[1].propose(ConfigurationChange())
        table.settle()
        #expect(table[1].configuration.voters == [1, 2, 3] && !table[1].configuration.isJoint)
    }

    @Test("§7: who needs what is compacted gets a snapshot, and goes on from there")
    func snapshot() throws {
        let table = EngineTable(3)
        table.elect(1)
        table.away = [3]
        for number in 0..<20 { try table.propose(1, [UInt8(number)]) }
        table[1].compact(through: table[1].log.applied)
        table.away = []
        table.tick([1], times: 8)
        #expect(table[3].log.lastIndex == table[1].log.lastIndex)
        #expect(table.delivered.contains { $0.kind == .snapshot && $0.to == 3 })
        try table.propose(1, [99])
        #expect(table.commands(3) == [[99]])
    }

    @Test("§8: a new leader begins with an entry of its own, so that it learns what holds")
    func noOperation() {
        let table = EngineTable(3, logs: [[2, 2], [2, 2], [2, 2]], terms: [2, 2, 2])
        table.elect(2)
        #expect(table.terms(2) == [2, 2, 3])
        for id in 1...3 { #expect(table[id].log.committed == 4) }
    }

    @Test("thesis §3.10: leadership goes to who is to have it, once that has everything")
    func transfer() throws {
        let table = EngineTable(3)
        table.elect(1)
        table.away = [3]
        for number in 0..<5 { try table.propose(1, [UInt8(number)]) }
        table.away = []
        try table[1].transferLeadership(to: 3)
        #expect(throws: RaftError.proposalDropped) { try table[1].propose([1]) }
        table.settle()
        table.tick([1], times: 3)
        #expect(table.leader?.id == 3 && table.terms(3) == table.terms(1))
    }

    @Test("thesis §3.10: a transfer that does not succeed in an election timeout is given up")
    func transferGivenUp() throws {
        let table = EngineTable(3) { $0.checksQuorum = false }
        table.elect(1)
        table.away = [3]
        try table.propose(1, [0])
        try table[1].transferLeadership(to: 3)
        table.settle()
        table.tick([1, 2], times: 10)
        try table.propose(1, [1])
        #expect(table.leader?.id == 1)
    }

    @Test("thesis §6.2: a leader that hears from no majority for an election timeout stops")
    func checkQuorum() {
        let table = EngineTable(3)
        table.elect(1)
        table.away = [2, 3]
        table.tick([1], times: 21)
        #expect(table[1].role != .leader)
    }

    @Test("thesis §6.4: a read waits for a majority to say that this is the leader")
    func readIndex() throws {
        let table = EngineTable(3)
        table.elect(1)
        table.away = [2, 3]
        try table[1].readIndex(7)
        table.settle()
        #expect(table.answers[1, default: []].isEmpty)
        table.away = [2]
        table.tick([1], times: 2)
        #expect(table.answers[1]?.map(\.context) == [7])
        try table[3].readIndex(8)
        table.settle()
        #expect(table.answers[3]?.map(\.index) == [table[1].log.committed], "a follower asks the leader")
    }

    /// The old leader's clock stands still, as a machine that is moved to another host does: it goes on to believe.
    @Test("thesis §6.4.1: reads by lease are answered wrongly where clocks go at different speeds, others are not")
    func lease() throws {
        for readsByLease in [true, false] {
            let table = EngineTable(3) { $0.readsByLease = readsByLease }
            table.elect(1)
            try table.propose(1, [1])
            table.away = [1]
            table.tick([2, 3], times: 40)
            let next = try #require(table.leader)
            try table.propose(next.id, [2])
            try table[1].readIndex(5)
            table.settle()
            let stale = table.answers[1, default: []].contains { $0.index < next.log.committed }
            #expect(stale == readsByLease)
        }
    }

    @Test("thesis §9.6: a member that was cut off does not disturb the others when it comes back")
    func preVote() {
        let table = EngineTable(3)
        table.elect(1)
        let term = table[1].term
        table.away = [3]
        for _ in 0..<100 { table[3].tick() }
        table.settle()
        table.away = []
        table.tick(times: 30)
        #expect(table.leader?.id == 1 && table[1].term == term && table[3].leader == 1)
        let rash = EngineTable(3) {
            $0.usesPreVote = false
            $0.checksQuorum = false
        }
        rash.elect(1)
        rash.away = [3]
        for _ in 0..<100 { rash[3].tick() }
        rash.settle()
        rash.away = []
        rash.tick(times: 3)
        #expect(rash[1].term > term, "without it, it does")
    }

    @Test("thesis §10.2.1: appends follow one another without waiting, as many as the window allows")
    func pipelining() throws {
        let table = EngineTable(3) { $0.inflightLimit = 4 }
        table.elect(1)
        for number in 0..<10 { try table[1].propose([UInt8(number)]) }
        let messages = table[1].takeReady().messages.filter { $0.kind == .append && $0.to == 2 }
        #expect(messages.filter { !$0.entries.isEmpty }.count == 4)
    }

    @Test("the only log that a leader may not rewrite: what holds stays, whoever asks")
    func contradiction() throws {
        let table = EngineTable(3)
        table.elect(1)
        try table.propose(1, [1])
        let committed = table[2].log.committed
        let forged = RaftMessage(
            .append, from: 3, to: 2, term: table[2].term + 1, index: committed, logTerm: table[2].log.last.term,
            commit: .max - 1, entries: [RaftEntry(index: committed + 1, term: table[2].term + 1)])
        try table[2].receive(forged)
        #expect(table[2].log.committed == committed + 1, "a commit index beyond the log is cut to it")
    }
}
