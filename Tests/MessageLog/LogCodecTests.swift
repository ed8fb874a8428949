import KernelLog
import KernelStructures
import TestSupport
import Testing

@testable import MessageLogEngine

@Suite("The message log's formats")
struct LogCodecTests {
    @Test("records are read as they were written")
    func records() throws {
        var writer = LogBatchWriter()
        let message = LogBench.message(300, bytes: 200)
        _ = writer.put(message, queue: 7, sequence: .max, isDurable: true, deliveryCount: 3)
        writer.putShare(queue: 8, sequence: 1, isDurable: false, deliveryCount: 0, distance: 5)
        writer.putSettled(PendingRun(queue: 1, first: 5, last: 9, isEmpty: false))
        writer.putDelivered(PendingRun(queue: 1, first: 5, last: 5, isEmpty: false), count: 4)
        writer.putPurged(queue: 2, through: 100, except: [3, 50])
        writer.putDeleted(queue: 3)
        writer.putDefinition("a/b", [1, 2])
        writer.putDefinition("a/b", nil)
        writer.put(segment: 12)
        writer.put(time: LogBench.now)
        let bytes = writer.bytes
        var reader = RecordReader(bytes, from: LogBatch.headerBytes)
        var read: [LogRecord] = []
        while !reader.isAtEnd { read.append(try LogRecord.read(&reader, in: bytes)) }
        guard case .message(let first) = read[0], case .share(let share) = read[1] else {
            Issue.record("\(read)")
            return
        }
        #expect(first.queue == 7 && first.sequence == .max && first.isDurable && first.deliveryCount == 3)
        #expect(LogRecord.message(of: Array(bytes[first.whole]))?.message == message)
        #expect(share.target == first.whole.upperBound - 5 && !share.isDurable)
        #expect(
            read[2...] == [
                .settled(queue: 1, 5...9), .delivered(queue: 1, 5...5, count: 4),
                .purged(queue: 2, through: 100, except: [3, 50]), .deleted(queue: 3), .put("a/b", [1, 2]),
                .removed("a/b"), .segment(12), .time(LogBench.now),
            ])
    }

    @Test(
        "any bytes are records or refused, and never read beyond their end",
        arguments: 0..<UInt64(isLong ? 20_000 : 2_000))
    func fuzzRecords(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var bytes = (0..<random.below(80)).map { _ in UInt8(random.below(256)) }
        if !bytes.isEmpty { bytes[0] = UInt8(random.below(10)) }
        var reader = RecordReader(bytes)
        while !reader.isAtEnd {
            let before = reader.position
            guard let record = try? LogRecord.read(&reader, in: bytes) else { break }
            #expect(reader.position > before && reader.position <= bytes.count)
            if case .message(let message) = record {
                #expect(message.whole == before..<reader.position && message.body.upperBound <= bytes.count)
            }
        }
        #expect(LogRecord.message(of: bytes) == nil, "the checksum of chance")
    }

    @Test("a message whose bytes change is refused", arguments: 0..<60)
    func messageChecksum(place: Int) {
        var writer = LogBatchWriter()
        _ = writer.put(LogBench.message(1, bytes: 40), queue: 1, sequence: 1, isDurable: true, deliveryCount: 0)
        var record = Array(writer.bytes[LogBatch.headerBytes...])
        #expect(LogRecord.message(of: record) != nil)
        record[place % record.count] ^= 1 << UInt8(place % 8)
        #expect(LogRecord.message(of: record) == nil)
    }

    @Test("batches are read up to the first that is not sound, and a later one is its witness")
    func batches() {
        var bytes: [UInt8] = []
        var places: [Int] = []
        for number in 0..<5 {
            places.append(bytes.count)
            bytes += LogBatch.encoded(
                [UInt8](repeating: 7, count: number * 3), number: number, syncedBytes: bytes.count)
        }
        var batches = LogBatches(bytes, from: 0)
        var read: [Range<Int>] = []
        while batches.next({
            read.append($0); return true
        }) {}
        #expect(read.map(\.count) == [0, 3, 6, 9, 12] && batches.isAtEnd && batches.witnessedBytes == places[4])
        bytes[places[2] + LogBatch.headerBytes] ^= 1
        batches = LogBatches(bytes, from: 0)
        while batches.next({ _ in true }) {}
        #expect(batches.place == places[2] && batches.witness() == 3)
        batches = LogBatches(Array(bytes[..<places[3]]), from: 0)
        while batches.next({ _ in true }) {}
        #expect(batches.place == places[2] && batches.witness() == nil)
    }

    @Test(
        "a checkpoint that chance has changed is refused, or means what it says",
        arguments: 0..<UInt64(isLong ? 5000 : 500))
    func fuzzCheckpoint(seed: UInt64) throws {
        let bench = try LogBench()
        var script = LogScript(seed: 1)
        for _ in 0..<60 {
            script.step(bench.log, &bench.model)
            try bench.log.commit()
        }
        try bench.log.roll()
        var bytes = try bench.node.contents(of: "/mq/checkpoint")
        #expect(LogCheckpoint(bytes, directory: "/mq")?.encoded() == bytes)
        var random = SeededRandom(seed: seed)
        for _ in 0..<1 + random.below(3) { bytes[12 + random.below(bytes.count - 12)] = UInt8(random.below(256)) }
        // With a checksum that fits, as whoever writes files by hand would do it.
        let sum = bytes[12...].withUnsafeBytes { LogBatch.checksum($0) }
        for place in 0..<4 { bytes[8 + place] = UInt8(truncatingIfNeeded: sum >> (place * 8)) }
        if let checkpoint = LogCheckpoint(bytes, directory: "/mq") {
            #expect(LogCheckpoint(checkpoint.encoded(), directory: "/mq")?.encoded() == checkpoint.encoded())
        }
        try bench.node.store(bytes, at: "/mq/checkpoint")
        // It opens or does not; whoever asks gets an answer or an error.
        guard let log = try? MessageLog.open(bench.node, directory: "/mq", options: LogBench.options, now: LogBench.now)
        else { return }
        for queue in log.queues {
            _ = try? log.load(queue: queue.queue, after: 0, count: 1000, bytes: 1 << 20)
            log.settle(queue: queue.queue, sequence: 3)
        }
        _ = log.maintain(budgetBytes: 1000)
        log.append(LogBench.message(1), queue: 50, sequence: 1, isDurable: true)
    }

    @Test("bits count, and tell their runs", arguments: 0..<UInt64(50))
    func bits(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var bits = LogBits()
        var model: Set<Int> = []
        for _ in 0..<random.below(200) {
            let index = random.below(300)
            #expect(bits.insert(index) == model.insert(index).inserted)
        }
        #expect(bits.count == model.count && (0..<320).allSatisfy { bits.contains($0) == model.contains($0) })
        #expect(bits.runs.flatMap { Array($0) } == model.sorted())
        for start in 0..<310 {
            #expect(bits.firstGap(from: start) == (start...).first { !model.contains($0) })
            #expect(bits.first(from: start) == model.filter { $0 >= start }.min())
        }
    }
}
