import KernelStructures
import PoolerEngine
import Testing

/// What a server owes, after what was sent and what has come back.
@Suite struct ConversationTests {
    private func letter(_ character: Character) -> UInt8 { character.asciiValue! }

    /// Plays letters: in upper case `>` before what the client sends, `<` before what the server says.
    private func play(_ conversation: inout Conversation, sent: String = "", received: String = "") -> String {
        for character in sent { conversation.sent(letter(character)) }
        var passed = ""
        for character in received where conversation.received(letter(character)) == .pass { passed.append(character) }
        return passed
    }

    @Test("a simple query is over with its ReadyForQuery")
    func simple() {
        var conversation = Conversation()
        let heard1 = play(&conversation, sent: "Q", received: "TDDC")
        #expect(heard1 == "TDDC")
        #expect(!conversation.isIdle)
        let heard2 = play(&conversation, received: "Z")
        #expect(heard2 == "Z")
        #expect(conversation.isIdle)
    }

    @Test("an extended query is over with its Sync, and pipelined ones with the last")
    func pipelined() {
        var conversation = Conversation()
        _ = play(&conversation, sent: "PBDE")
        #expect(!conversation.isIdle)
        _ = play(&conversation, sent: "SPBES", received: "12TDCZ")
        #expect(!conversation.isIdle)
        _ = play(&conversation, received: "12CZ")
        #expect(conversation.isIdle)
    }

    @Test("a batch that waits for its Sync is not idle, though nothing is owed")
    func openBatch() {
        var conversation = Conversation()
        _ = play(&conversation, sent: "P", received: "1")
        #expect(conversation.owedCount == 0 && !conversation.isIdle)
        _ = play(&conversation, sent: "S", received: "Z")
        #expect(conversation.isIdle)
    }

    @Test("what the pooler prepares on its own answers to nobody, and what it withholds is answered in turn")
    func injected() {
        var conversation = Conversation()
        conversation.injected(letter("P"), statement: 7)
        _ = play(&conversation, sent: "BE")
        conversation.withheld(letter("P"))
        _ = play(&conversation, sent: "BES")
        #expect(conversation.fakes.isEmpty, "the first query is not answered yet")
        let heard3 = play(&conversation, received: "12C")
        #expect(heard3 == "2C")
        let fakes = conversation.takeFakes()
        #expect(fakes == [letter("1"), 0, 0, 0, 4])
        let heard4 = play(&conversation, received: "2CZ")
        #expect(heard4 == "2CZ")
        #expect(conversation.isIdle)
    }

    @Test("an error makes the server pass over the rest, statements among it; a Sync ends that")
    func errors() {
        var conversation = Conversation()
        conversation.sent(letter("P"), statement: 3)
        conversation.injected(letter("P"), statement: 4)
        _ = play(&conversation, sent: "BE")
        let heard5 = play(&conversation, received: "E")
        #expect(heard5 == "E")
        let lost34 = conversation.takeUnprepared()
        #expect(lost34 == [3, 4])
        conversation.sent(letter("P"), statement: 5)
        let lost5 = conversation.takeUnprepared()
        #expect(lost5 == [5], "it was passed over")
        _ = play(&conversation, sent: "S", received: "Z")
        #expect(conversation.isIdle)
    }

    @Test("a Sync ahead of copied data counts for nothing")
    func copyIn() {
        var conversation = Conversation()
        _ = play(&conversation, sent: "PBES", received: "12G")
        #expect(!conversation.isIdle)
        _ = play(&conversation, sent: "ddc", received: "C")
        #expect(!conversation.isIdle)
        _ = play(&conversation, sent: "S", received: "Z")
        #expect(conversation.isIdle)
    }

    @Test("settings set before a query are swallowed with all that they say, notifications are not")
    func settings() {
        var conversation = Conversation()
        conversation.injected(letter("Q"))
        _ = play(&conversation, sent: "Q")
        let heard6 = play(&conversation, received: "CSACZTDCZ")
        #expect(heard6 == "ATDCZ")
        #expect(conversation.isIdle)
    }

    @Test("random conversations with a server that follows the protocol end idle, and the client hears its own answers")
    func model() {
        for seed in 0..<500 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            var conversation = Conversation()
            /// What the server will say, and what of that the client is to hear.
            var answers = ""
            var expected = ""
            var isSkipping = false
            for _ in 0..<random.below(30) {
                let kind = Array("PBEQ").randomElement(using: &random)!
                if kind == "Q" {
                    conversation.sent(letter("S"))
                    conversation.sent(letter("Q"))
                    answers += "ZTDCZ"
                    expected += "ZTDCZ"
                    isSkipping = false
                    continue
                }
                let isInjected = kind == "P" && random.chance(0.4)
                if isInjected { conversation.injected(letter("P")) } else { conversation.sent(letter(kind)) }
                if isSkipping { continue }
                if random.chance(0.1) {
                    answers += "E"
                    expected += "E"
                    isSkipping = true
                    continue
                }
                let answer = kind == "P" ? "1" : kind == "B" ? "2" : "DDC"
                answers += answer
                if !isInjected { expected += answer }
            }
            conversation.sent(letter("S"))
            answers += "Z"
            expected += "Z"
            let heard7 = play(&conversation, received: answers)
            #expect(heard7 == expected, "seed \(seed)")
            #expect(conversation.isIdle, "seed \(seed)")
        }
    }
}

/// Messages that go by.
@Suite struct RelayFramesTests {
    @Test("whatever the pieces, the same bytes go by, and gathered messages come whole")
    func pieces() {
        var random = SeededRandom(seed: 3)
        for _ in 0..<300 {
            var stream: [UInt8] = []
            var letters: [UInt8] = []
            for _ in 0..<1 + random.below(10) {
                let letter = Array("QBPdS".utf8)[random.below(5)]
                let count = random.below(50)
                letters.append(letter)
                stream += [letter, 0, 0, 0, UInt8(count + 4)] + (0..<count).map { _ in UInt8(random.below(256)) }
            }
            let frames = RelayFrames(gathering: "BPS")
            var passed: [UInt8] = []
            var heard: [UInt8] = []
            var start = 0
            while start < stream.count {
                let end = min(stream.count, start + 1 + random.below(40))
                Array(stream[start..<end]).withUnsafeBytes { raw in
                    var position = 0
                    reading: while true {
                        switch frames.next(raw, &position) {
                        case .needMore: break reading
                        case .failed: Issue.record("failed")
                        case .part(let part): passed += part
                        case .message(let letter, let bytes, let isWhole):
                            heard.append(letter)
                            passed += bytes
                            if "BPS".utf8.contains(letter) { #expect(isWhole && bytes.count == Int(bytes[4]) + 1) }
                        }
                    }
                }
                start = end
            }
            #expect(passed == stream)
            #expect(heard == letters)
            #expect(!frames.isInsideMessage)
        }
    }

    @Test("what is longer than is gathered comes with so much of its beginning, and the rest in parts")
    func longOnes() {
        var random = SeededRandom(seed: 4)
        for _ in 0..<300 {
            let sizes = (0..<1 + random.below(6)).map { _ in random.below(60) }
            let stream = sizes.flatMap { size in
                [UInt8(ascii: "B"), 0, 0, 0, UInt8(size + 4)] + (0..<size).map { _ in UInt8(random.below(256)) }
            }
            let frames = RelayFrames(gathering: "B", limitBytes: 16)
            var passed: [UInt8] = []
            var beginnings: [Int] = []
            var start = 0
            while start < stream.count {
                let end = min(stream.count, start + 1 + random.below(20))
                Array(stream[start..<end]).withUnsafeBytes { raw in
                    var position = 0
                    reading: while true {
                        switch frames.next(raw, &position) {
                        case .needMore: break reading
                        case .failed: Issue.record("failed")
                        case .part(let part): passed += part
                        case .message(_, let bytes, let isWhole):
                            beginnings.append(bytes.count)
                            passed += bytes
                            #expect(isWhole == (bytes.count == Int(bytes[4]) + 1) && isWhole != frames.isPassing)
                        }
                    }
                }
                start = end
            }
            #expect(passed == stream)
            #expect(beginnings.count == sizes.count)
            #expect(zip(beginnings, sizes).allSatisfy { $0 >= min($1 + 5, 16) })
        }
    }

    @Test("a new name changes the length that a message gives, however much of it is there")
    func replacing() {
        let bind = Array("B".utf8) + [0, 1, 0, 0] + Array("\0name\0rest".utf8)
        bind.withUnsafeBytes { raw in
            let range = StatementNames.bindName(raw)!
            #expect(range == 6..<10)
            let renamed = StatementNames.replacing(range, in: raw, by: StatementCatalogue.name(12))
            #expect(renamed == Array("B".utf8) + [0, 1, 0, 4] + Array("\0sdlab_12\0rest".utf8))
        }
    }

    @Test("a length that cannot be is refused")
    func lengths() {
        for bytes in [[UInt8(ascii: "B"), 0, 0, 0, 3], [UInt8(ascii: "B"), 0x7f, 0, 0, 0]] {
            let frames = RelayFrames(gathering: "B")
            bytes.withUnsafeBytes { raw in
                var position = 0
                if case .failed = frames.next(raw, &position) { return }
                Issue.record("taken")
            }
        }
    }
}
