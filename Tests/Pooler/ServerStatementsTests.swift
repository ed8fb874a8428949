import KernelStructures
import PoolerEngine
import Testing

/// Which statements a server has, after errors have made it pass over some of what it was told.
@Suite struct ServerStatementsTests {
    /// A server that follows the protocol, and the pooler in front of it.
    private struct Pair {
        var conversation = Conversation()
        var statements: ServerStatements
        /// What is on its way to the server.
        private var wire: [(letter: Character, number: Int)] = []
        /// What the server has.
        private(set) var prepared: Set<Int> = []
        private var isSkipping = false
        /// Statements that were prepared under a name that was taken.
        private(set) var taken: [Int] = []

        init(limit: Int) { statements = ServerStatements(limit: limit) }

        private mutating func inject(_ letter: Character, _ number: Int) {
            conversation.injected(letter.asciiValue!, statement: number)
            wire.append((letter, number))
        }

        private mutating func send(_ letter: Character, _ number: Int = -1) {
            conversation.sent(letter.asciiValue!)
            wire.append((letter, number))
        }

        /// The client binds a statement.
        mutating func bind(_ number: Int) {
            if !conversation.isSkipping {
                let (isNew, closes) = statements.use(number)
                for close in closes { inject("C", close) }
                if isNew { inject("P", number) }
            }
            send("B", number)
        }

        /// The client prepares what is no SQL.
        mutating func fail() { send("P") }
        mutating func sync() { send("S") }

        /// The server does what it was told so far.
        mutating func answer() {
            for (letter, number) in wire {
                if isSkipping, letter != "S" { continue }
                let answer = self.answer(letter, number)
                isSkipping = answer == "E"
                _ = conversation.received(answer.asciiValue!)
                statements.settle(&conversation)
            }
            wire = []
        }

        private mutating func answer(_ letter: Character, _ number: Int) -> Character {
            switch letter {
            case "P" where number < 0: return "E"
            case "P":
                if prepared.insert(number).inserted { return "1" }
                taken.append(number)
                return "E"
            case "C":
                prepared.remove(number)
                return "3"
            case "B": return prepared.contains(number) ? "2" : "E"
            default: return "Z"
            }
        }
    }

    @Test("a Close that was passed over is made up for before its statement is prepared again")
    func passedOver() {
        var pair = Pair(limit: 1)
        pair.bind(1)
        pair.sync()
        pair.answer()
        pair.fail()
        pair.bind(2)
        pair.sync()
        pair.answer()
        #expect(pair.prepared == [1], "neither was 1 closed nor 2 prepared")
        pair.bind(1)
        pair.sync()
        pair.answer()
        #expect(pair.taken.isEmpty && pair.prepared == [1])
        pair.bind(2)
        pair.sync()
        pair.answer()
        #expect(pair.taken.isEmpty && pair.prepared == [2])
    }

    @Test("what nobody asks for again does not stay at the server for good")
    func leftOver() {
        var pair = Pair(limit: 1)
        pair.bind(1)
        pair.sync()
        pair.answer()
        pair.fail()
        pair.bind(2)
        pair.sync()
        pair.answer()
        pair.bind(3)
        pair.sync()
        pair.answer()
        #expect(pair.prepared == [3])
    }

    @Test("after random errors no name is prepared twice, and the server keeps no more than the limit")
    func model() {
        for seed in 0..<500 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            let limit = 1 + random.below(3)
            var pair = Pair(limit: limit)
            for _ in 0..<80 {
                switch random.below(7) {
                case 0: pair.fail()
                case 1, 2: pair.sync()
                case 3: pair.answer()
                default: pair.bind(random.below(6))
                }
            }
            // Quiet again: each new one takes some of what is left over with it.
            for number in 10..<20 {
                pair.sync()
                pair.answer()
                pair.bind(number)
            }
            pair.sync()
            pair.answer()
            #expect(pair.taken.isEmpty, "seed \(seed)")
            #expect(pair.prepared.count == limit && pair.conversation.isIdle, "seed \(seed)")
        }
    }
}
