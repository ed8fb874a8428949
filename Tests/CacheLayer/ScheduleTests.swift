import CacheLayerEngine
import KernelStructures
import TestSupport
import Testing

/// Every order in which a load and a change of the same key can be mixed, step by step: when all is over, no cache may
/// hold what was before.
///
/// A world is two processes with a layer each, a shared cache and a database of one number. Actors take one atomic step
/// at a time; the explorer tries each choice of who is next, from the beginning each time.
@Suite struct ScheduleTests {
    final class Bench {
        var database = 1
        var writes = 1
        /// How often the database was asked.
        var loads = 0
        let shared = SharedStore()
        var layers: [CacheLayer]
        var now = LabTime.at(0)
        /// What was published and has not arrived: process by process.
        var notices: [[String]]

        init(_ processes: Int, isShared: Bool) {
            layers = (0..<processes).map { index in
                makeLayer(codec: isShared ? Number.codec : nil, seed: UInt64(index + 1)) {
                    $0.leaseWait = .milliseconds(20)
                    $0.leasePoll = .milliseconds(20)
                }
            }
            notices = Array(repeating: [], count: processes)
        }

        func ask(_ request: RemoteRequest, from process: Int) -> RemoteReply {
            shared.onDelete = { [unowned self] keys in
                for other in notices.indices where other != process { notices[other] += keys }
            }
            return shared.ask(request)
        }
    }

    /// Somebody who does one thing after the other.
    class Actor {
        let process: Int
        var isDone = false
        init(_ process: Int) { self.process = process }
        /// One atomic step. Returns false if it can do nothing now.
        func step(_ bench: Bench) -> Bool { false }
    }

    final class Reader: Actor {
        private var id: FlightID?
        private var ticket: Ticket?
        private var next: FlightStep?
        private var sample: Int?
        private(set) var result: Int?

        override func step(_ bench: Bench) -> Bool {
            guard let next else { return begin(bench) }
            guard let id else { return false }
            switch next {
            case .ask(let request):
                let reply = bench.ask(request, from: process)
                take(bench.layers[process].proceed(id, .reply(reply), now: bench.now))
            case .pause(let duration):
                bench.now = bench.now + duration
                take(bench.layers[process].proceed(id, .paused, now: bench.now))
            case .load:
                // Two steps: the database is asked, and its answer arrives.
                guard let sample else {
                    self.sample = bench.database
                    bench.loads += 1
                    return true
                }
                take(bench.layers[process].proceed(id, .loaded(.value(Number(sample))), now: bench.now))
            case .done: break
            }
            return true
        }

        /// Whoever waits for another's flight can go on once he was told.
        func canStep(_ bench: Bench) -> Bool {
            guard let ticket else { return true }
            return bench.layers[process].effects.contains { effect in
                if case .tell(ticket, _) = effect { true } else { false }
            }
        }

        private func take(_ step: FlightStep) {
            next = step
            if case .done(let outcome) = step {
                result = outcome.number
                isDone = true
            }
        }

        private func begin(_ bench: Bench) -> Bool {
            if let ticket {
                for effect in bench.layers[process].takeEffects() {
                    if case .tell(ticket, let outcome) = effect {
                        result = outcome.number
                        isDone = true
                        return true
                    }
                }
                return false
            }
            switch bench.layers[process].read("k", now: bench.now) {
            case .hit(let found, _):
                result = found.number
                isDone = true
            case .lead(let id):
                self.id = id
                take(bench.layers[process].begin(id, now: bench.now))
            case .wait(let ticket): self.ticket = ticket
            case .miss, .refused: isDone = true
            }
            return true
        }
    }

    /// Changes the database by itself, then invalidates.
    final class Invalidator: Actor {
        private var place = 0
        private var reply = RemoteReply.done

        override func step(_ bench: Bench) -> Bool {
            place += 1
            switch place {
            case 1: bench.database = 2
            case 2: bench.layers[process].invalidate("k", now: bench.now)
            case 3:
                guard let request = bench.layers[process].remoteInvalidation(of: "k") else {
                    isDone = true
                    return true
                }
                reply = bench.ask(request, from: process)
            default:
                bench.layers[process].invalidated("k", reply, now: bench.now)
                isDone = true
            }
            return true
        }
    }

    /// Writes through the layer.
    final class Writer: Actor {
        private var id: WriteID?
        private var next: WriteStep?
        private var isStored = false
        private let version: UInt64
        private let value: Int

        init(_ process: Int, value: Int = 2, version: UInt64 = 0) {
            self.value = value
            self.version = version
            super.init(process)
        }

        override func step(_ bench: Bench) -> Bool {
            guard let id, let next else {
                guard case .begin(let id) = bench.layers[process].write("k", Number(value), now: bench.now) else {
                    return false
                }
                self.id = id
                self.next = bench.layers[process].beginWrite(id, now: bench.now)
                return true
            }
            switch next {
            case .store:
                guard isStored else {
                    bench.database = value
                    isStored = true
                    return true
                }
                take(bench.layers[process].proceedWrite(id, .stored(version: version), now: bench.now))
            case .ask(let request):
                let reply = bench.ask(request, from: process)
                take(bench.layers[process].proceedWrite(id, .reply(reply), now: bench.now))
            case .append, .done: break
            }
            return true
        }

        private func take(_ step: WriteStep) {
            next = step
            if case .done = step { isDone = true }
        }
    }

    /// Brings what was published to a process.
    final class Courier: Actor {
        override func step(_ bench: Bench) -> Bool {
            guard !bench.notices[process].isEmpty else { return false }
            let key = bench.notices[process].removeFirst()
            bench.layers[process].heard(ofKey: key, now: bench.now)
            return true
        }
    }

    /// Runs every schedule, or where there are more than can be run so many by chance.
    ///
    /// - Returns: how many were run.
    private func explore(
        _ makeBench: () -> Bench, _ makeActors: () -> [Actor], samples: Int? = nil,
        _ check: (Bench) -> String?
    ) -> Int {
        var count = 0
        var open: [[Int]] = [[]]
        var random = SeededRandom(seed: 1)
        while let prefix = open.popLast() {
            let bench = makeBench()
            let actors = makeActors()
            for choice in prefix { _ = actors[choice].step(bench) }
            var path = prefix
            // On with the first who can; the others are tried later, from here.
            while true {
                let able = actors.indices.filter { !actors[$0].isDone && canStep(actors[$0], bench) }
                guard var next = able.first else { break }
                if samples == nil {
                    for other in able.dropFirst() { open.append(path + [other]) }
                } else {
                    next = able[random.below(able.count)]
                }
                path.append(next)
                _ = actors[next].step(bench)
            }
            count += 1
            if let wrong = check(bench) {
                Issue.record("\(wrong), by \(path)")
                return count
            }
            if let samples, count < samples { open.append([]) }
        }
        return count
    }

    private func canStep(_ actor: Actor, _ bench: Bench) -> Bool {
        if actor is Courier { return !bench.notices[actor.process].isEmpty }
        return (actor as? Reader)?.canStep(bench) ?? true
    }

    /// What is wrong when all is over.
    private func lie(_ bench: Bench) -> String? {
        for (index, layer) in bench.layers.enumerated() {
            var layer = layer
            if let number = layer.fresh("k", now: bench.now)?.number, number != bench.database {
                return "process \(index) keeps \(number), and the database has \(bench.database)"
            }
            if let broken = layer.brokenInvariants.first { return broken }
        }
        if let number = bench.shared.number("k"), number != bench.database {
            return "the shared cache keeps \(number), and the database has \(bench.database)"
        }
        return nil
    }

    @Test("a load and an invalidation in one process: all schedules")
    func oneProcess() {
        // @covers CL-C3
        let count = explore(
            { Bench(1, isShared: false) }, { [Reader(0), Invalidator(0)] }, lie)
        #expect(count >= 20)
    }

    @Test("three who want one cold key, in all schedules: the database is asked once")
    func oneLoad() {
        // Whoever looks first and loads then, without a word to the others, loads twice in some of them.
        let count = explore({ Bench(1, isShared: false) }, { (0..<3).map { _ in Reader(0) } }) { bench in
            bench.loads == 1 ? lie(bench) : "\(bench.loads) loads"
        }
        #expect(count >= 20)
    }

    @Test("two loads and an invalidation in one process: all schedules")
    func twoReaders() {
        let count = explore(
            { Bench(1, isShared: false) }, { [Reader(0), Invalidator(0), Reader(0)] }, lie)
        #expect(count >= 100)
    }

    @Test("a load and a write-through in one process: all schedules")
    func writeThrough() {
        let count = explore({ Bench(1, isShared: false) }, { [Reader(0), Writer(0)] }, lie)
        #expect(count >= 20)
    }

    @Test("a load here and an invalidation in another process, around one shared cache: all schedules")
    func twoProcesses() {
        let count = explore(
            { Bench(2, isShared: true) }, { [Reader(0), Invalidator(1), Courier(0)] }, lie)
        #expect(count >= 50)
    }

    @Test("a load here and a write-through in another process: all schedules")
    func writeElsewhere() {
        let count = explore({ Bench(2, isShared: true) }, { [Reader(0), Writer(1), Courier(0)] }, lie)
        #expect(count >= 50)
    }

    @Test("loads in two processes and an invalidation in one of them: schedules by chance")
    func loadsEverywhere() {
        let count = explore(
            { Bench(2, isShared: true) }, { [Reader(0), Invalidator(1), Reader(1), Courier(0)] },
            samples: isLong ? 500_000 : 5_000, lie)
        #expect(count >= 5_000)
    }

    @Test("two writers whose source and cache see them in different orders: the version decides")
    func twoWriters() {
        // The first to write to the database has version 2, the second 3; in the end it is 3 everywhere.
        let count = explore(
            { Bench(2, isShared: true) },
            { [OrderedWriter(0), OrderedWriter(1), Courier(0), Courier(1)] },
            samples: isLong ? 200_000 : 3_000, lie)
        #expect(count >= 3_000)
    }

    /// A writer whose number and version are those of its turn at the database.
    final class OrderedWriter: Actor {
        private var id: WriteID?
        private var next: WriteStep?
        private var turn: Int?

        override func step(_ bench: Bench) -> Bool {
            guard let id, let next else {
                // The value is what the writer wants, before the database numbers it.
                let wanted = bench.layers[process].write("k", Number(process + 10), now: bench.now)
                guard case .begin(let id) = wanted else { return false }
                self.id = id
                self.next = bench.layers[process].beginWrite(id, now: bench.now)
                return true
            }
            switch next {
            case .store:
                guard let turn else {
                    bench.database = process + 10
                    bench.writes += 1
                    self.turn = bench.writes
                    return true
                }
                take(bench.layers[process].proceedWrite(id, .stored(version: UInt64(turn)), now: bench.now))
            case .ask(let request):
                take(
                    bench.layers[process].proceedWrite(id, .reply(bench.ask(request, from: process)), now: bench.now))
            case .append, .done: break
            }
            return true
        }

        private func take(_ step: WriteStep) {
            next = step
            if case .done = step { isDone = true }
        }
    }
}
