import KernelStorage
import KernelStructures
import TestSupport
import Testing

@testable import MessageLogEngine

@Suite("The message log")
struct MessageLogTests {
    @Test("what was put is there in its order, by pieces, and what was settled is not")
    func basics() throws {
        let bench = try LogBench()
        for number in 1...100 as ClosedRange<UInt64> {
            bench.log.append(LogBench.message(number), queue: 1, sequence: number, isDurable: true)
        }
        for number in stride(from: 2 as UInt64, through: 100, by: 2) { bench.log.settle(queue: 1, sequence: number) }
        try bench.log.commit()
        let first = try bench.log.load(queue: 1, after: 0, count: 3, bytes: 1 << 20)
        #expect(first.map(\.sequence) == [1, 3, 5])
        #expect(first[1].message == LogBench.message(3))
        let byBytes = try bench.log.load(queue: 1, after: 5, count: 100, bytes: 31)
        #expect(byBytes.map(\.sequence) == [7, 9], "until there are so many bytes")
        #expect(try bench.log.load(queue: 1, after: 99, count: 5, bytes: 100).isEmpty)
        #expect(bench.log.queues.map(\.count) == [50])
        #expect(try bench.log.violations() == [])
    }

    @Test(
        "the same as a model's, whatever is done in whatever order, through restarts",
        arguments: 0..<UInt64(isLong ? 400 : 40))
    func model(seed: UInt64) throws {
        let bench = try LogBench()
        var script = LogScript(seed: seed)
        for round in 0..<12 {
            for _ in 0..<60 {
                script.step(bench.log, &bench.model)
                if script.random.below(5) == 0 { try bench.log.commit() }
            }
            #expect(try LogModel(bench.log) == bench.model.visible)
            #expect(try bench.log.violations() == [])
            try bench.log.commit()
            if round % 3 == 0 { try bench.log.close() }
            try bench.reopen()
            #expect(try LogModel(bench.log) == bench.model.visible, "round \(round)")
            #expect(try bench.log.violations() == [])
        }
    }

    // @covers MQ-H4
    @Test("one message that nobody takes keeps neither its segment nor the others")
    func pinned() throws {
        let bench = try LogBench()
        for number in 1...4000 as ClosedRange<UInt64> {
            bench.log.append(LogBench.message(number), queue: 1, sequence: number, isDurable: true)
            if number % 100 != 1 { bench.log.settle(queue: 1, sequence: number) }
            while bench.log.maintain(budgetBytes: 1000) {}
            try bench.log.commit()
            let bound = 2 * bench.log.liveBytes + 4 * LogBench.options.segmentBytes
            #expect(bench.log.sizeBytes <= bound, "message \(number)")
        }
        #expect(bench.log.counters.movedMessages > 0 && bench.log.counters.removedSegments > 50)
        try bench.reopen()
        let left = try bench.log.load(queue: 1, after: 0, count: 100, bytes: 1 << 20)
        #expect(left.map(\.sequence) == (0..<40).map { $0 * 100 + 1 })
        #expect(left.map(\.message.id) == left.map(\.sequence))
    }

    @Test("a segment behind one that is still wanted goes when nothing of it is")
    func middle() throws {
        let bench = try LogBench()
        for number in 1...60 as ClosedRange<UInt64> {
            bench.log.append(LogBench.message(number), queue: 1, sequence: number, isDurable: true)
            try bench.log.commit()
        }
        for number in 1...2000 as ClosedRange<UInt64> {
            bench.log.append(LogBench.message(number), queue: 2, sequence: number, isDurable: true)
            try bench.log.commit()
            bench.log.settle(queue: 2, sequence: number)
        }
        try bench.log.commit()
        #expect(bench.log.segmentSummaries.count < 6)
        #expect(bench.log.counters.movedMessages == 0)
        try bench.reopen()
        #expect(bench.log.queues.map(\.count) == [60, 0])
    }

    @Test("memory for messages that wait is bounded by a segment's, however many they are")
    func memory() throws {
        var options = MessageLogOptions()
        options.segmentMessages = 1000
        options.segmentBytes = 100_000
        let bench = try LogBench(options: options)
        let count: UInt64 = isLong ? 1_000_000 : 60_000
        for number in 1...count {
            bench.log.append(LogBench.message(number, bytes: 8), queue: 1, sequence: number, isDurable: true)
            if number % 500 == 0 { try bench.log.commit() }
        }
        let inMemory = bench.log.segments.flatMap(\.blocks).reduce(0) { $0 + $1.entries.count }
        #expect(inMemory <= 1500)
        #expect(bench.log.segments.flatMap(\.blocks).count <= bench.log.segments.count)
        try bench.reopen(options: options)
        #expect(bench.log.queues.map(\.count) == [Int(count)])
        #expect(bench.log.recovery.replayedRecords < 3000, "the rest is in the checkpoint")
        let last = try bench.log.load(queue: 1, after: count - 1, count: 5, bytes: 100)
        #expect(last.map(\.message) == [LogBench.message(count, bytes: 8)])
    }

    @Test("a message in many queues has one record")
    func shared() throws {
        let bench = try LogBench()
        let message = LogBench.message(7, bytes: 500)
        for queue in 1...5 as ClosedRange<UInt64> {
            bench.log.append(message, queue: queue, sequence: 3, isDurable: true)
        }
        try bench.log.commit()
        #expect(bench.log.sizeBytes < 2 * 500)
        bench.log.settle(queue: 1, sequence: 3)
        try bench.log.commit()
        try bench.reopen()
        #expect(bench.log.queues.map(\.count) == [0, 1, 1, 1, 1])
        for queue in 2...5 as ClosedRange<UInt64> {
            #expect(try bench.log.load(queue: queue, after: 0, count: 1, bytes: 1).map(\.message) == [message])
        }
    }

    @Test("how often a message was delivered outlives a restart, and a move")
    func deliveries() throws {
        let bench = try LogBench()
        for number in 1...30 as ClosedRange<UInt64> {
            bench.log.append(LogBench.message(number), queue: 1, sequence: number, isDurable: true)
        }
        for number in 1...10 as ClosedRange<UInt64> { bench.log.delivered(queue: 1, sequence: number, count: 1) }
        bench.log.delivered(queue: 1, sequence: 4, count: 2)
        try bench.log.commit()
        try bench.reopen()
        let counts = try bench.log.load(queue: 1, after: 0, count: 12, bytes: 1 << 20).map(\.deliveryCount)
        #expect(counts == [1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 0, 0])
        for number in 1...3000 as ClosedRange<UInt64> {
            bench.log.append(LogBench.message(number), queue: 2, sequence: number, isDurable: true)
            bench.log.settle(queue: 2, sequence: number)
            if number > 5, number <= 30 { bench.log.settle(queue: 1, sequence: number) }
            while bench.log.maintain(budgetBytes: 1000) {}
            try bench.log.commit()
        }
        #expect(bench.log.counters.movedMessages >= 5)
        try bench.reopen()
        #expect(
            try bench.log.load(queue: 1, after: 0, count: 12, bytes: 1 << 20).map(\.deliveryCount) == [1, 1, 1, 2, 1])
    }

    @Test("what was said of a message is not said of the one that takes its place")
    func replaced() throws {
        let bench = try LogBench()
        bench.log.append(LogBench.message(1), queue: 1, sequence: 1, isDurable: true)
        bench.log.delivered(queue: 1, sequence: 1, count: 1)
        bench.log.settle(queue: 1, sequence: 1)
        bench.log.append(LogBench.message(2), queue: 1, sequence: 1, isDurable: true)
        try bench.log.commit()
        try bench.reopen()
        let found = try bench.log.load(queue: 1, after: 0, count: 5, bytes: 1 << 20)
        #expect(found.map(\.message) == [LogBench.message(2)] && found.map(\.deliveryCount) == [0])
    }

    @Test("one sync for all that was put before it, and none for what may be lost")
    func groupCommit() throws {
        let bench = try LogBench()
        let before = bench.log.counters.syncs
        for number in 1...8 as ClosedRange<UInt64> {
            bench.log.append(LogBench.message(number, bytes: 5), queue: number, sequence: 1, isDurable: true)
        }
        #expect(bench.log.syncedPosition < bench.log.position)
        try bench.log.commit()
        #expect(bench.log.syncedPosition == bench.log.position && bench.log.counters.syncs == before + 1)
        bench.log.append(LogBench.message(9, bytes: 5), queue: 1, sequence: 2, isDurable: false)
        bench.log.delivered(queue: 1, sequence: 1, count: 1)
        try bench.log.commit()
        #expect(bench.log.counters.syncs == before + 1)
        #expect(bench.log.syncedPosition == bench.log.position)
    }

    @Test("an acknowledgement, a definition and a deletion are each synced by themselves")
    func eachIsSynced() throws {
        let bench = try LogBench()
        bench.log.append(LogBench.message(1, bytes: 5), queue: 1, sequence: 1, isDurable: true)
        bench.log.append(LogBench.message(2, bytes: 5), queue: 2, sequence: 1, isDurable: true)
        try bench.log.commit()
        let changes: [(MessageLog) -> Void] = [
            { $0.settle(queue: 1, sequence: 1) }, { $0.put("queue/a", [1]) }, { $0.remove("queue/a") },
            { $0.delete(queue: 2) },
        ]
        for (index, change) in changes.enumerated() {
            let before = bench.log.counters.syncs
            change(bench.log)
            #expect(bench.log.syncedPosition < bench.log.position, "change \(index)")
            try bench.log.commit()
            #expect(bench.log.counters.syncs == before + 1, "change \(index)")
        }
    }

    @Test("records are read as people read them")
    func lines() throws {
        let bench = try LogBench()
        bench.log.put("queue/orders", [1])
        bench.log.append(LogBench.message(5, bytes: 2), queue: 3, sequence: 1, isDurable: true)
        bench.log.delivered(queue: 3, sequence: 1, count: 1)
        bench.log.settle(queue: 3, sequence: 1)
        let lines = try bench.log.lines(limit: 10)
        #expect(lines.map(\.operation) == ["define", "publish", "deliver", "settle"])
        #expect(lines[1].messageID == 5 && lines[1].payload == [5, 6] && lines[1].timestamp == LogBench.now)
        #expect(try bench.log.lines(limit: 2).map(\.operation) == ["deliver", "settle"])
        #expect(try bench.log.lines(limit: 5) { $0.messageID == 5 }.count == 1)
    }
}
