import ConsensusEngine
import KernelStructures
import TestSupport
import Testing

@Suite("What members send, as bytes")
struct CodecTests {
    private struct Maker {
        var random: SeededRandom
        mutating func number() -> Int { random.chance(0.5) ? random.below(300) : random.below(1 << 60) }
        mutating func bytes() -> [UInt8] { randomBytes(random.below(50), seed: random.next()) }
        mutating func ids() -> [Int] { Set((0..<random.below(5)).map { _ in random.below(9) }).sorted() }
        mutating func snapshot(hasData: Bool = true) -> RaftSnapshot {
            RaftSnapshot(
                position: .init(index: number(), term: number()),
                configuration: .init(
                    voters: ids(), outgoing: ids(), learners: ids(), nextLearners: ids(),
                    leavesAutomatically: random.chance(0.5)), data: hasData ? bytes() : [])
        }
        mutating func message() -> RaftMessage {
            let kind = RaftMessage.Kind.allCases[random.below(RaftMessage.Kind.allCases.count)]
            let index = random.below(1000)
            let entries = (0..<random.below(4)).map { offset in
                RaftEntry(
                    index: kind == .append ? index + 1 + offset : 0, term: number(),
                    kind: random.chance(0.5) ? .command : .configuration, data: bytes())
            }
            return RaftMessage(
                kind, from: number(), to: number(), term: number(), index: index, logTerm: number(), commit: number(),
                entries: entries, snapshot: random.chance(0.3) ? snapshot() : nil, isRejection: random.chance(0.5),
                hint: number(), context: number(), isTransfer: random.chance(0.5))
        }
        mutating func frame() -> RaftFrame {
            switch random.below(4) {
            case 0:
                return .hello(
                    group: "grüße \(number())", from: number(), to: number(), fromDisk: number(), toDisk: number())
            case 1: return .message(message())
            case 2:
                return .snapshotStart(
                    RaftMessage(.snapshot, from: 1, to: 2, term: number(), snapshot: snapshot(hasData: false)),
                    totalBytes: number())
            default: return .snapshotPart([1] + bytes())
            }
        }
    }

    @Test("frames come back as they were, and no other bytes mean the same", arguments: 0..<20)
    func frames(seed: Int) {
        var maker = Maker(random: SeededRandom(seed: UInt64(seed)))
        for _ in 0..<(isLong ? 20_000 : 200) {
            let frame = maker.frame()
            var bytes = frame.encoded
            #expect(RaftFrame(encoded: bytes) == frame)
            #expect(RaftFrame(encoded: Array(bytes.dropLast())) == nil)
            #expect(RaftFrame(encoded: bytes + [0]) == nil)
            bytes[maker.random.below(bytes.count)] ^= 1 << UInt8(maker.random.below(8))
            #expect(RaftFrame(encoded: bytes) == nil, "the checksum finds every single bit")
        }
    }

    /// Past the checksum, which a fuzzer would not get through by chance.
    @Test("messages that changed are refused, or are the messages that the bytes say", arguments: 0..<20)
    func mutations(seed: Int) {
        var maker = Maker(random: SeededRandom(seed: 100 + UInt64(seed)))
        for _ in 0..<(isLong ? 20_000 : 300) {
            var bytes = maker.message().encoded
            for _ in 0...maker.random.below(3) {
                let place = maker.random.below(bytes.count)
                switch maker.random.below(3) {
                case 0: bytes[place] = UInt8(truncatingIfNeeded: maker.random.next())
                case 1: bytes.remove(at: place)
                default: bytes.insert(UInt8(truncatingIfNeeded: maker.random.next()), at: place)
                }
                if bytes.isEmpty { bytes = [0] }
            }
            if let message = RaftMessage(encoded: bytes) { #expect(message.encoded == bytes) }
            if let snapshot = RaftSnapshot(encoded: bytes) { #expect(snapshot.encoded == bytes) }
            if let change = ConfigurationChange(encoded: bytes) { #expect(change.encoded == bytes) }
            if let state = ReplicaState(encoded: bytes) { #expect(state.encoded == bytes) }
            if let sessions = ProposalSessions(encoded: bytes) { #expect(sessions.encoded.count == bytes.count) }
        }
    }

    /// Whatever arrives: an engine does not end, and its log keeps its order.
    @Test("an engine survives whatever it is sent", arguments: 0..<10)
    func engine(seed: Int) throws {
        var maker = Maker(random: SeededRandom(seed: 200 + UInt64(seed)))
        let table = EngineTable(3)
        table.elect(1 + seed % 3)
        for round in 0..<(isLong ? 20_000 : 400) {
            var message = maker.message()
            message.from = 1 + maker.random.below(4)
            message.to = 1 + round % 3
            if maker.random.chance(0.8) { message.term = table[message.to].term + maker.random.below(2) }
            let raft = table[message.to]
            let committed = raft.log.committed
            try? raft.receive(message)
            if maker.random.chance(0.2) { raft.tick() }
            #expect(raft.log.committed >= committed && raft.log.committed <= raft.log.lastIndex)
            #expect(raft.log.applied <= raft.log.committed)
            _ = raft.takeReady()
        }
    }

    @Test("a snapshot comes together from its pieces, and no more than was announced is held")
    func assembly() {
        let start = RaftMessage(.snapshot, snapshot: RaftSnapshot(position: .start, configuration: .init()))
        #expect(SnapshotAssembly(start, totalBytes: 11, limitBytes: 10) == nil)
        var assembly = SnapshotAssembly(start, totalBytes: 5, limitBytes: 10)!
        let steps = [assembly.add([1, 2, 3]), assembly.whole != nil, assembly.add([4, 5])]
        #expect(steps == [true, false, true])
        #expect(assembly.whole?.snapshot?.data == [1, 2, 3, 4, 5])
        let isTaken = assembly.add([6])
        #expect(!isTaken)
    }
}

@Suite("Commands that are sent twice")
struct ProposalSessionTests {
    private func header(_ number: Int, life: Int = 1, lowest: Int = 1) -> ProposalSessions.Header {
        .init(member: 7, life: life, number: number, lowestOpen: lowest)
    }

    private func begin(
        _ sessions: inout ProposalSessions, _ header: ProposalSessions.Header
    ) -> ProposalSessions.Verdict { sessions.begin(header) }

    @Test("the second copy gets the first one's result, as long as somebody may wait for it")
    func copies() {
        var sessions = ProposalSessions()
        #expect(begin(&sessions, header(2)) == .new)
        sessions.end(header(2), index: 10, [5])
        #expect(begin(&sessions, header(1)) == .new, "what was overtaken is new all the same")
        sessions.end(header(1), index: 11, [6])
        #expect(begin(&sessions, header(2)) == .known(index: 10, [5]))
        #expect(begin(&sessions, header(3, lowest: 3)) == .new)
        #expect(begin(&sessions, header(2)) == .stale, "its proposer has heard")
    }

    @Test("a member that was started again has forgotten, and so has everybody")
    func lives() {
        var sessions = ProposalSessions()
        #expect(begin(&sessions, header(1)) == .new)
        sessions.end(header(1), index: 10, [5])
        #expect(begin(&sessions, header(1, life: 2)) == .new)
        sessions.end(header(1, life: 2), index: 12, [7])
        #expect(begin(&sessions, header(1)) == .stale, "from the life before")
        #expect(begin(&sessions, header(1, life: 2)) == .known(index: 12, [7]))
        #expect(ProposalSessions(encoded: sessions.encoded) == sessions)
    }

    @Test("what stands before a command comes back")
    func entries() throws {
        let bytes = ProposalSessions.entry(header(3, life: 4, lowest: 2), .membership, [1, 2])
        let read = try #require(ProposalSessions.read(bytes))
        #expect(read.header == header(3, life: 4, lowest: 2) && read.matter == .membership && read.content == [1, 2])
        #expect(ProposalSessions.read([]) == nil)
    }
}
