import KernelStorage
import KernelStructures
import TestSupport
import Testing

@testable import MessageLogEngine

/// What is there after an accident: everything that was promised, and nothing that was never said.
@Suite("The message log after a crash")
struct LogRecoveryTests {
    /// The states that may be found: the last that was confirmed, and all that came after it.
    final class Witness {
        var bench: LogBench
        var confirmed = 0
        var states: [LogModel] = [LogModel()]

        init() throws { bench = try LogBench() }

        func run(seed: UInt64, steps: Int, crashAt: Int) {
            bench.crash.crashAt = crashAt
            var script = LogScript(seed: seed)
            for _ in 0..<steps {
                script.step(bench.log, &bench.model)
                states += script.trail
                script.trail = []
                if script.random.below(4) == 0 {
                    let syncs = bench.log.counters.syncs
                    guard (try? bench.log.commit()) != nil else { return }
                    // Deliveries alone are not promised.
                    if bench.log.counters.syncs > syncs { confirmed = states.count - 1 }
                }
                if bench.crash.isDead { return }
            }
        }

        /// Opens what is left, and says which state it is; nil if it is none of those that may be.
        func found() throws -> Int? {
            bench.crash.crashAt = .max
            bench.log = try MessageLog.open(
                NodeDisk(base: bench.base, owner: LogBench.owner), directory: "/mq", options: LogBench.options,
                now: LogBench.now)
            let found = try LogModel(bench.log)
            #expect(try bench.log.violations() == [])
            return (confirmed..<states.count).first { states[$0].surviving == found }
        }
    }

    @Test("power that goes at any operation of the disk loses nothing that was confirmed", arguments: [false, true])
    func powerLoss(isRandom: Bool) throws {
        let steps = isLong ? 400 : 90
        let first = try Witness()
        first.run(seed: 3, steps: steps, crashAt: .max)
        let total = first.bench.crash.operations
        #expect(first.bench.log.counters.checkpoints > 0 && first.bench.log.counters.removedSegments > 0)
        for crashAt in 12..<total {
            let witness = try Witness()
            witness.run(seed: 3, steps: steps, crashAt: crashAt)
            let policy: PowerLossPolicy = isRandom ? .random(seed: UInt64(crashAt)) : .dropAll
            _ = witness.bench.base.losePower(owner: LogBench.owner, policy: policy)
            let found = try #require(try witness.found(), "power lost at operation \(crashAt)")
            // And it goes on from there.
            witness.bench.log.append(LogBench.message(9999), queue: 9, sequence: 1, isDurable: true)
            try witness.bench.log.commit()
            _ = witness.bench.base.losePower(owner: LogBench.owner, policy: .dropAll)
            var expected = witness.states[found]
            expected.queues[9] = [1: .init(message: LogBench.message(9999), deliveries: 0, isDurable: true)]
            witness.states = [expected]
            witness.confirmed = 0
            #expect(try witness.found() == 0, "a second time after operation \(crashAt)")
        }
    }

    @Test("a process that is killed loses nothing that was written")
    func killed() throws {
        for crashAt in stride(from: 12, to: isLong ? 700 : 200, by: 3) {
            let witness = try Witness()
            witness.run(seed: 5, steps: 120, crashAt: crashAt)
            #expect(try witness.found() != nil, "killed at operation \(crashAt)")
        }
    }

    @Test("power that goes while the log is opened after a crash")
    func powerLossWhileOpening() throws {
        for crashAt in stride(from: 20, to: isLong ? 400 : 150, by: 7) {
            for opening in 1...8 {
                let witness = try Witness()
                witness.run(seed: 7, steps: 90, crashAt: crashAt)
                _ = witness.bench.base.losePower(owner: LogBench.owner, policy: .random(seed: UInt64(opening)))
                let again = CrashDisk(witness.bench.base)
                again.crashAt = opening
                let node = NodeDisk(base: again, owner: LogBench.owner)
                _ = try? MessageLog.open(node, directory: "/mq", options: LogBench.options, now: LogBench.now)
                _ = witness.bench.base.losePower(owner: LogBench.owner, policy: .dropAll)
                #expect(try witness.found() != nil, "power lost at \(crashAt), then at \(opening)")
            }
        }
    }

    // MARK: The tail

    /// A log of one segment with some batches, its bytes, and the states after each.
    private func tail() throws -> (witness: Witness, path: String, bytes: [UInt8]) {
        let witness = try Witness()
        var script = LogScript(seed: 11)
        script.hasTransient = false
        for _ in 0..<14 {
            for _ in 0..<3 { script.step(witness.bench.log, &witness.bench.model) }
            try witness.bench.log.commit()
            witness.states.append(witness.bench.model)
        }
        #expect(witness.bench.log.segmentNumbers.count == 1)
        let path = witness.bench.log.active.path
        return (witness, path, try witness.bench.node.contents(of: path))
    }

    @Test("cut off at any byte, it has a state that it once had, and says how much was torn")
    func cuts() throws {
        let (witness, path, bytes) = try tail()
        var last = 0
        for length in LogSegment.magic.count + 60..<bytes.count {
            try witness.bench.node.store(Array(bytes[..<length]), at: path)
            let found = try #require(try witness.found(), "cut at byte \(length)")
            #expect(found >= last)
            last = max(last, found)
            let torn = witness.bench.log.recovery.tornBytes
            #expect(torn < 700 && witness.bench.log.sizeBytes + torn == length)
        }
        #expect(last >= 12)
    }

    @Test("a bit that changes in what was promised is damage; in what nobody can witness, it is torn")
    func flips() throws {
        let (witness, path, bytes) = try tail()
        var refused = 0
        for place in bytes.indices {
            var damaged = bytes
            damaged[place] ^= 1 << UInt8(place % 8)
            try witness.bench.node.store(damaged, at: path)
            do {
                let found = try #require(try witness.found(), "byte \(place)")
                #expect(found >= witness.states.count - 3, "byte \(place)")
            } catch let error as MessageLogError {
                refused += 1
                guard case .damaged(path, let offset, _) = error else {
                    Issue.record("byte \(place): \(error)")
                    continue
                }
                #expect(offset <= place)
            }
        }
        #expect(refused > bytes.count / 2 && refused < bytes.count)
    }

    @Test("a segment in the middle must be there, and whole")
    func missing() throws {
        let witness = try Witness()
        witness.run(seed: 1, steps: 900, crashAt: .max)
        while witness.bench.log.maintain(budgetBytes: 1) {}
        try witness.bench.log.commit()
        let numbers = witness.bench.log.segmentNumbers
        #expect(numbers.count > 2)
        for number in numbers {
            let path = "/mq/" + LogSegment.name(number, "log")
            let bytes = try witness.bench.node.contents(of: path)
            try witness.bench.node.remove(path)
            #expect(throws: MessageLogError.self) { _ = try witness.found() }
            try witness.bench.node.store(bytes, at: path)
        }
        _ = try witness.found()
    }

    @Test("an index that is lost or changed is made again")
    func indexes() throws {
        let bench = try LogBench()
        for number in 1...300 as ClosedRange<UInt64> {
            bench.log.append(LogBench.message(number), queue: 1 + number % 3, sequence: number, isDurable: true)
            if number % 4 == 0 { bench.log.settle(queue: 1 + number % 3, sequence: number) }
            try bench.log.commit()
        }
        let expected = try LogModel(bench.log)
        for name in try bench.node.list("/mq") where name.hasSuffix(".index") {
            let path = "/mq/" + name
            if name.hasSuffix("3.index") {
                try bench.node.remove(path)
            } else {
                var bytes = try bench.node.contents(of: path)
                bytes[9] ^= 4
                try bench.node.store(bytes, at: path)
            }
        }
        try bench.reopen()
        #expect(try LogModel(bench.log) == expected)
        #expect(bench.log.counters.indexRebuilds > 3)
        #expect(try bench.log.violations() == [])
    }

    // MARK: Syncs that fail

    @Test("a sync that fails promises nothing, and ends it; opening again finds one state, for good")
    func failedSync() throws {
        let bench = try LogBench()
        bench.log.append(LogBench.message(1), queue: 1, sequence: 1, isDurable: true)
        try bench.log.commit()
        bench.log.append(LogBench.message(2), queue: 1, sequence: 2, isDurable: true)
        let promised = bench.log.syncedPosition
        bench.node.faults.failingSyncs = 1
        #expect(throws: MessageLogError.self) { try bench.log.commit() }
        #expect(bench.log.failure != nil && bench.log.syncedPosition == promised)
        bench.log.append(LogBench.message(3), queue: 1, sequence: 3, isDurable: true)
        #expect(throws: MessageLogError.self, "nor is anything promised later") { try bench.log.commit() }
        #expect(bench.log.syncedPosition == promised)
        try bench.reopen()
        let found = try LogModel(bench.log)
        #expect(found.queues[1]?.count ?? 0 >= 1)
        _ = bench.base.losePower(owner: LogBench.owner, policy: .dropAll)
        try bench.reopen()
        #expect(try LogModel(bench.log) == found, "what could be read once is there for good")
    }

    @Test("a full disk and a torn write end it without a promise", arguments: [false, true])
    func fullDisk(isTorn: Bool) throws {
        let bench = try LogBench()
        bench.log.append(LogBench.message(1), queue: 1, sequence: 1, isDurable: true)
        try bench.log.commit()
        if isTorn { bench.node.faults.tornWrites = 1 } else { bench.node.faults.isFull = true }
        bench.log.append(LogBench.message(2), queue: 1, sequence: 2, isDurable: true)
        #expect(throws: MessageLogError.self) { try bench.log.commit() }
        #expect(bench.log.syncedPosition < bench.log.position)
        bench.node.faults.isFull = false
        try bench.reopen()
        #expect(bench.log.queues.map(\.count) == [1])
    }

    @Test("a clean end is known for one: nothing is written again")
    func cleanEnd() throws {
        let bench = try LogBench()
        bench.log.append(LogBench.message(1), queue: 1, sequence: 1, isDurable: true)
        bench.log.delivered(queue: 1, sequence: 1, count: 1)
        try bench.log.close()
        let before = bench.crash.operations
        try bench.reopen()
        // The directory, and the names that lead to it.
        #expect(bench.crash.operations == before + 2)
        try bench.reopen()
        bench.log.append(LogBench.message(2), queue: 1, sequence: 2, isDurable: true)
        try bench.log.commit()
        try bench.reopen()
        #expect(bench.log.queues.map(\.count) == [2])
    }

    @Test("two at one directory are one too many")
    func locked() throws {
        let bench = try LogBench()
        let other = NodeDisk(base: bench.base, owner: DiskOwner(2))
        #expect(throws: MessageLogError.disk(.busy("/mq/lock"))) {
            _ = try MessageLog.open(other, directory: "/mq", now: LogBench.now)
        }
    }
}
