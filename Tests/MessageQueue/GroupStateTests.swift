import KernelAMQP
import KernelStructures
import Testing

@testable import MessageQueueEngine

@Suite("What a group of brokers has in common")
struct GroupStateTests {
    /// One copy of the state, and batches for it.
    final class Bench {
        let state = GroupState(memory: MemoryMeter())
        var now = LabTime.documentedEpoch
        private var numbers: [Int: UInt64] = [:]
        private(set) var last: [UInt8] = []

        /// - Returns: what came of each.
        @discardableResult
        func ask(_ member: Int, _ operations: GroupOperation..., epoch: UInt64 = 1) -> [Int] {
            numbers[member, default: 0] += 1
            last =
                GroupBatch(
                    member: member, epoch: epoch, number: numbers[member] ?? 1, now: now, operations: operations
                ).encoded
            state.apply(last)
            return state.sessions[member]?.results ?? []
        }

        /// A leader's word.
        func say(_ word: GroupOperation) {
            state.apply(GroupBatch(member: 9, epoch: 1, number: 0, now: now, operations: [word]).encoded)
        }

        func declare(_ name: String, _ arguments: AMQPTable = [:]) -> ReplicatedQueue {
            let table: AMQPTable = ["vhost": "/", "name": .string(name), "arguments": .table(arguments)]
            ask(1, .put(key: "queue/%2F/\(name)", value: table.encoded))
            return state.queue("queue/%2F/\(name)")!
        }

        func message(_ text: String) -> StoredMessage {
            StoredMessage(
                id: 1, exchange: "", routingKey: "q", properties: AMQPProperties().encoded, body: Array(text.utf8),
                publishedAt: now)
        }
    }

    func texts(_ entries: [QueueEntry]) -> [String] { entries.map { String(decoding: $0.message.body, as: UTF8.self) } }

    @Test func aBatchThatComesTwiceIsCarriedOutOnce() {
        let bench = Bench()
        let queue = bench.declare("q")
        bench.ask(1, .enqueue(queues: [queue.number], bench.message("a")))
        bench.state.apply(bench.last)
        #expect(queue.readyCount == 1)
        // An older life of the member has nothing to say any more.
        bench.ask(1, .hello, epoch: 2)
        bench.ask(1, .enqueue(queues: [queue.number], bench.message("b")), epoch: 1)
        #expect(queue.readyCount == 1)
    }

    @Test func onlyWhoeverHoldsAMessageAcknowledgesIt() {
        let bench = Bench()
        let queue = bench.declare("q")
        bench.ask(1, .checkOut(queue: queue.number, consumer: 7, limit: 1, priority: 0))
        bench.ask(2, .enqueue(queues: [queue.number], bench.message("a")))
        #expect(queue.heldCount == 1)
        #expect(bench.ask(2, .settle(queue: queue.number, consumer: 7, sequences: [1])) == [0])
        #expect(bench.ask(1, .settle(queue: queue.number, consumer: 8, sequences: [1])) == [0])
        #expect(queue.heldCount == 1)
        #expect(bench.ask(1, .settle(queue: queue.number, consumer: 7, sequences: [1])) == [1])
        #expect(queue.heldCount == 0 && queue.readyCount == 0)
    }

    @Test func whatALostMemberHeldComesFirstAgain() {
        let bench = Bench()
        let queue = bench.declare("q")
        bench.ask(1, .checkOut(queue: queue.number, consumer: 1, limit: 2, priority: 0))
        for text in ["a", "b", "c"] { bench.ask(2, .enqueue(queues: [queue.number], bench.message(text))) }
        #expect(queue.heldCount == 2)
        bench.say(.lost(member: 1, epoch: 1))
        #expect(queue.consumerCount == 0 && queue.heldCount == 0)
        #expect(texts(queue.ready.peek(5)) == ["a", "b", "c"])
        #expect(queue.ready.peek(5).map(\.isRedelivered) == [true, true, false])
        // What it still acknowledges means nothing.
        #expect(bench.ask(1, .settle(queue: queue.number, consumer: 1, sequences: [1])) == [0])
        // A new life gives back what the one before held.
        bench.ask(2, .checkOut(queue: queue.number, consumer: 1, limit: 5, priority: 0))
        bench.ask(2, .hello, epoch: 2)
        #expect(queue.readyCount == 3 && queue.ready.peek(1)[0].returnCount == 2)
    }

    @Test func consumersTakeTurnsAndPrioritiesGoFirst() {
        let bench = Bench()
        let queue = bench.declare("q")
        bench.ask(1, .checkOut(queue: queue.number, consumer: 1, limit: 2, priority: 0))
        bench.ask(2, .checkOut(queue: queue.number, consumer: 1, limit: 2, priority: 0))
        bench.ask(3, .checkOut(queue: queue.number, consumer: 1, limit: 1, priority: 5))
        for text in ["a", "b", "c", "d", "e", "f"] {
            bench.ask(4, .enqueue(queues: [queue.number], bench.message(text)))
        }
        func held(_ member: Int) -> [String] { texts(queue.held(by: .init(member: member, epoch: 1, number: 1))) }
        #expect(held(3) == ["a"] && held(1) == ["b", "d"] && held(2) == ["c", "e"])
        #expect(texts(queue.ready.peek(5)) == ["f"])
        let single = bench.declare("s", ["x-single-active-consumer": .boolean(true)])
        bench.ask(1, .checkOut(queue: single.number, consumer: 2, limit: 1, priority: 0))
        bench.ask(2, .checkOut(queue: single.number, consumer: 2, limit: 9, priority: 0))
        for text in ["x", "y"] { bench.ask(4, .enqueue(queues: [single.number], bench.message(text))) }
        #expect(single.readyCount == 1)
        bench.ask(1, .cancel(queue: single.number, consumer: 2))
        #expect(texts(single.held(by: .init(member: 2, epoch: 1, number: 2))) == ["y"])
    }

    @Test func aDeadLetterIsMovedOnce() {
        let bench = Bench()
        let graves = bench.declare("dead")
        let queue = bench.declare(
            "q",
            [
                "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead", "x-delivery-limit": .int32(0),
            ])
        bench.ask(1, .enqueue(queues: [queue.number], bench.message("a")))
        #expect(bench.ask(1, .take(queue: queue.number, consumer: 3, count: 5)) == [3])
        bench.ask(1, .giveBack(queue: queue.number, consumer: 3, sequences: [1], isCounted: true))
        #expect(queue.dead.count == 1 && queue.readyCount == 0)
        let bury = GroupOperation.bury(
            queue: queue.number, sequence: 1, targets: [graves.number], bench.message("a"))
        #expect(bench.ask(1, bury) == [1] && bench.ask(2, bury) == [0])
        #expect(graves.readyCount == 1 && queue.dead.isEmpty)
    }

    @Test func definitionsThatLeanOnOthersGoWithThem() throws {
        let bench = Bench()
        let queue = bench.declare("q")
        let host = VirtualHost("/")
        let binding = Binding(source: "e", destination: .queue("q"), routingKey: "a/b", arguments: ["n": .int32(1)])
        let put = GroupOperation.put(key: binding.groupKey(in: host), value: binding.table(in: host).encoded)
        #expect(bench.ask(1, put) == [-1], "there is no such exchange")
        let exchange: AMQPTable = ["vhost": "/", "name": "e", "type": "topic"]
        bench.ask(1, .put(key: "exchange/%2F/e", value: exchange.encoded))
        #expect(bench.ask(2, put) == [1] && bench.ask(1, put) == [0])
        bench.ask(1, .enqueue(queues: [queue.number], bench.message("a")))
        #expect(bench.ask(3, .remove(key: "queue/%2F/q")) == [1])
        #expect(bench.state.definitions.keys.sorted() == ["exchange/%2F/e"])
        #expect(bench.ask(3, .enqueue(queues: [queue.number], bench.message("b"))) == [0])
    }

    @Test func aSnapshotIsTheSameStateAndGoesOnAlike() throws {
        let bench = Bench()
        var random = SeededRandom(seed: 5)
        let queue = bench.declare("q", ["x-delivery-limit": .int32(2), "x-message-ttl": .int32(900)])
        let copy = Bench()
        for step in 0..<400 {
            bench.now = bench.now + .milliseconds(10)
            let member = 1 + random.below(3)
            let consumer = UInt64(1 + random.below(2))
            let sequences = queue.held(by: .init(member: member, epoch: 1, number: consumer)).prefix(2).map(\.sequence)
            let operation: GroupOperation =
                switch random.below(7) {
                case 0, 1, 2: .enqueue(queues: [queue.number], bench.message("m\(step)"))
                case 3: .checkOut(queue: queue.number, consumer: consumer, limit: 3, priority: random.below(2))
                case 4: .settle(queue: queue.number, consumer: consumer, sequences: Array(sequences))
                case 5: .giveBack(queue: queue.number, consumer: consumer, sequences: Array(sequences), isCounted: true)
                default: .clock(bench.now)
                }
            bench.ask(member, operation)
            if step > 100 { copy.state.apply(bench.last) }
            if step == 100 || step == 250 { try copy.state.restore(bench.state.snapshot) }
            if step >= 100 { #expect(copy.state.snapshot == bench.state.snapshot, "step \(step)") }
        }
        #expect(throws: RecordReader.Malformed.self) { try copy.state.restore([1, 2, 3]) }
        for length in stride(from: 0, to: bench.last.count, by: 7) {
            #expect(GroupBatch(Array(bench.last[..<length])) == nil)
        }
    }
}
