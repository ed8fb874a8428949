import KernelStructures
import Testing

@testable import CacheClusterEngine

@Suite struct MessageTests {
    private func node(_ random: inout SeededRandom, replica: Bool = false) -> NodeDescription {
        let master = ClusterNodeID(random: &random)
        return NodeDescription(
            id: ClusterNodeID(random: &random), name: "7001", host: "127.0.0.1", port: 7001, busPort: 17001,
            replicaOf: replica ? master : nil, life: random.below(9))
    }

    private func messages(_ random: inout SeededRandom) -> [ClusterMessage] {
        let id = ClusterNodeID(random: &random)
        let runs = [
            SlotMap.Run(
                slots: 0...99,
                record: SlotMap.Record(
                    owner: id, version: SlotVersion(epoch: 7, handoff: 2, copies: 1),
                    copies: [ClusterNodeID(random: &random)], isPinned: true, takenAt: 5)),
            SlotMap.Run(slots: 200...16_383, record: SlotMap.Record(owner: nil, version: SlotVersion(epoch: 1))),
        ]
        let heartbeat = Heartbeat(
            kind: .pong, node: node(&random), ring: RingSettings(), digest: random.next(), hollow: SlotSet(3...9),
            streamOffset: 12, keyCount: 3, copies: [Heartbeat.Copy(master: id, keyCount: 2, offset: 9)],
            gossip: [Heartbeat.Gossip(node: node(&random, replica: true), isSuspected: true, isFailed: false)],
            hotSlots: [HotSlot(slot: 7, readers: [id], readsPerSecond: 900)],
            reads: [SlotReads(slot: 8, perSecond: 12)])
        let command: [[UInt8]] = [Array("SET".utf8), [0, 255], []]
        let claims = [
            Ballot.Claim(
                slots: 4...5, version: SlotVersion(epoch: 2), copyReign: SlotVersion(epoch: 1), copyOffset: 3)
        ]
        let part = StreamPart(
            stream: 3, from: 1, to: 9,
            entries: [.init(offset: 2, slot: 5, commands: [command]), .init(offset: 9, slot: nil, commands: [command])])
        let load = SlotLoad(
            stream: 9, offset: 4,
            parts: [
                .init(slots: 0...9, reign: SlotVersion(epoch: 1), commands: []),
                .init(slots: 11...11, reign: SlotVersion(epoch: 2), commands: [command]),
                .init(
                    slots: 12...12, reign: SlotVersion(epoch: 2), base: .init(reign: SlotVersion(epoch: 1), offset: 3),
                    commands: [command]),
            ])
        let contents: [ClusterMessage.Content] = [
            .heartbeat(heartbeat), .failed(id), .slots(runs, ticket: 8), .noted(ticket: 3),
            .ballot(Ballot(epoch: 4, claims: claims)),
            .vote(Vote(epoch: 3, granted: SlotSet([1]), examined: SlotSet(2...9), empty: SlotSet())),
            .follow(
                Follow(
                    stream: 1, offset: 2, sequence: 3, held: [.init(slots: 0...4, reign: SlotVersion(epoch: 1))],
                    missing: SlotSet([8]), refused: SlotSet([9]),
                    stale: [.init(slots: 8...8, reign: SlotVersion(epoch: 1), offset: 4)])),
            .stream(part), .load(load), .restart(stream: .max, offset: 3),
            .acknowledge(stream: 1, sequence: 2, offset: 3), .requestHandover,
            .publish(channel: [1], message: [], isSharded: true),
        ]
        return contents.map { ClusterMessage(sender: id, epoch: 5, $0) }
    }

    @Test func messagesAreReadAsTheyWereWritten() throws {
        var random = SeededRandom(seed: 1)
        for message in messages(&random) { #expect(try ClusterMessage(encoded: message.encoded) == message) }
    }

    /// Whatever is read has one form: written again it is the same bytes. And what it says is within bounds.
    @Test func damagedMessagesAreRefusedOrMeanWhatTheySay() {
        var random = SeededRandom(seed: 2)
        let samples = messages(&random).map(\.encoded)
        var accepted = 0
        for round in 0..<6000 {
            var bytes = samples[round % samples.count]
            for _ in 0...random.below(3) {
                switch random.below(3) {
                case 0: bytes[4 + random.below(bytes.count - 4)] = UInt8(random.below(256))
                case 1: bytes.removeSubrange((4 + random.below(bytes.count - 4))...)
                default: bytes.append(UInt8(random.below(256)))
                }
                if bytes.count < 6 { break }
            }
            // Past the checksum, which would refuse nearly all of them.
            let sum = CRC32C.of(Array(bytes[4...]))
            for place in 0..<4 { bytes[place] = UInt8(truncatingIfNeeded: sum >> (place * 8)) }
            guard let message = try? ClusterMessage(encoded: bytes) else { continue }
            accepted += 1
            #expect(message.epoch < SlotVersion.epochLimit)
            if case .slots(let runs, _) = message.content {
                #expect(runs.allSatisfy { $0.slots.upperBound < SlotSet.slotCount && $0.record.copies.count <= 16 })
            }
            let again = try? ClusterMessage(encoded: message.encoded)
            #expect(again == message)
        }
        #expect(accepted > 100)
    }

    @Test func aFlippedBitIsNoticed() {
        var random = SeededRandom(seed: 3)
        for message in messages(&random) {
            var bytes = message.encoded
            bytes[random.below(bytes.count)] ^= UInt8(1 << random.below(8))
            #expect((try? ClusterMessage(encoded: bytes)) == nil)
        }
    }

    /// An engine takes any message from anybody, and stays in order.
    @Test func anEngineSurvivesWhateverItHears() throws {
        var random = SeededRandom(seed: 4)
        let cluster = SimulatedCluster(seed: 9, nodeCount: 2) { $0.ring.virtualNodes = 4 }
        cluster.start(0)
        cluster.start(1, join: 0)
        cluster.run(milliseconds: 1000)
        let engine = try #require(cluster.nodes[0].engine)
        for round in 0..<300 {
            for sample in messages(&random) {
                var bytes = sample.encoded
                for _ in 0..<random.below(4) { bytes[4 + random.below(bytes.count - 4)] = UInt8(random.below(256)) }
                let sum = CRC32C.of(Array(bytes[4...]))
                for place in 0..<4 { bytes[place] = UInt8(truncatingIfNeeded: sum >> (place * 8)) }
                guard var message = try? ClusterMessage(encoded: bytes) else { continue }
                if random.chance(0.8) { message.sender = cluster.nodes[1].identity }
                engine.receive(message, now: cluster.now)
            }
            if round % 50 == 0 { cluster.run(milliseconds: 200) }
            #expect(engine.checkInvariants() == nil)
        }
    }
}
