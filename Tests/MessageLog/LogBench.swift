import KernelStorage
import KernelStructures
import MessageLogEngine
import TestSupport
import Testing

/// A log with small segments on a simulated disk, and what it should have beside it.
final class LogBench {
    let base = SimulatedDisk()
    let crash: CrashDisk
    let node: NodeDisk
    var log: MessageLog
    var model = LogModel()
    static let owner = DiskOwner(1)

    static var options: MessageLogOptions {
        var options = MessageLogOptions()
        options.segmentBytes = 3000
        options.segmentMessages = 40
        options.batchBytes = 400
        options.garbageSegments = 1
        return options
    }

    init(options: MessageLogOptions = LogBench.options) throws {
        crash = CrashDisk(base)
        node = NodeDisk(base: crash, owner: Self.owner)
        log = try MessageLog.open(node, directory: "/mq", options: options, now: Self.now)
    }

    static let now = LabTime.documentedEpoch

    /// As after `kill -9`: nothing is said, and the next life opens what is there.
    func reopen(options: MessageLogOptions = LogBench.options) throws {
        log = try MessageLog.open(node, directory: "/mq", options: options, now: Self.now)
        model.forgetTransient()
    }

    static func message(_ id: UInt64, bytes: Int = 30) -> LoggedMessage {
        LoggedMessage(
            id: id, time: LabTime(nanoseconds: Int64(id) * 1000), head: [1, 2, UInt8(id & 0xFF)],
            body: (0..<bytes).map { UInt8(($0 + Int(id)) & 0xFF) })
    }
}

/// What a log should have: no segments, no bytes, no disk.
struct LogModel: Equatable {
    struct Entry: Equatable {
        var message: LoggedMessage
        var deliveries: Int
        var isDurable: Bool
    }
    var queues: [UInt64: [UInt64: Entry]] = [:]
    var definitions: [String: [UInt8]] = [:]

    mutating func forgetTransient() {
        for (queue, entries) in queues { queues[queue] = entries.filter(\.value.isDurable) }
    }

    /// What the log has.
    init(_ log: MessageLog) throws {
        for summary in log.queues {
            var after: UInt64 = 0
            var entries: [UInt64: Entry] = [:]
            while true {
                let page = try log.load(queue: summary.queue, after: after, count: 7, bytes: 1000)
                guard let last = page.last else { break }
                for entry in page {
                    #expect(entry.sequence > after)
                    after = entry.sequence
                    entries[entry.sequence] = Entry(
                        message: entry.message, deliveries: entry.deliveryCount, isDurable: true)
                }
                #expect(last.sequence == after)
            }
            #expect(entries.count == summary.count)
            #expect(entries.values.reduce(0) { $0 + $1.message.body.count } == summary.bodyBytes)
            if !entries.isEmpty { queues[summary.queue] = entries }
        }
        for (key, value) in log.definitions { definitions[key] = value }
    }

    init() {}

    /// Without what a log cannot tell: whether a message was to survive, and queues without messages.
    var visible: LogModel {
        var result = self
        result.queues = result.queues.filter { !$0.value.isEmpty }.mapValues {
            $0.mapValues { Entry(message: $0.message, deliveries: $0.deliveries, isDurable: true) }
        }
        return result
    }

    /// With what of it a restart keeps.
    var surviving: LogModel {
        var result = self
        result.forgetTransient()
        return result.visible
    }
}

/// Something random, done to a log and to its model.
struct LogScript {
    var random: SeededRandom
    var nextSequence: [UInt64: UInt64] = [:]
    var nextID: UInt64 = 1
    /// Whether messages may be transient.
    var hasTransient = true
    /// The model after each single change: a crash may come between any two.
    var trail: [LogModel] = []

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func step(_ log: MessageLog, _ model: inout LogModel) {
        let queue = UInt64(1 + random.below(4))
        switch random.below(20) {
        case 0..<9: publish(log, &model, queue)
        case 9..<14: settle(log, &model, queue)
        case 14, 15: deliver(log, &model, queue)
        case 16: define(log, &model)
        case 17: if random.below(6) == 0 { purge(log, &model, queue) }
        case 18:
            if random.below(12) == 0 {
                log.delete(queue: queue)
                model.queues[queue] = nil
            }
        default: _ = log.maintain(budgetBytes: 300)
        }
        trail.append(model)
    }

    private mutating func publish(_ log: MessageLog, _ model: inout LogModel, _ queue: UInt64) {
        let message = LogBench.message(nextID, bytes: random.below(90))
        nextID += 1
        let isDurable = !hasTransient || random.below(5) > 0
        for target in [queue, queue % 4 + 1].prefix(1 + random.below(2)) {
            let sequence = (nextSequence[target] ?? 0) + 1 + UInt64(random.below(2))
            nextSequence[target] = sequence
            log.append(message, queue: target, sequence: sequence, isDurable: isDurable)
            model.queues[target, default: [:]][sequence] = .init(
                message: message, deliveries: 0, isDurable: isDurable)
            trail.append(model)
        }
    }

    private mutating func pick(_ model: LogModel, _ queue: UInt64) -> UInt64? {
        let sequences = (model.queues[queue] ?? [:]).keys.sorted()
        if sequences.isEmpty { return nil }
        // Mostly the first few, as queues are.
        return random.below(8) == 0
            ? sequences[random.below(sequences.count)] : sequences[random.below(min(3, sequences.count))]
    }

    private mutating func settle(_ log: MessageLog, _ model: inout LogModel, _ queue: UInt64) {
        for _ in 0..<1 + random.below(4) {
            guard let sequence = pick(model, queue) else { return }
            log.settle(queue: queue, sequence: sequence)
            model.queues[queue]?[sequence] = nil
            trail.append(model)
        }
    }

    private mutating func deliver(_ log: MessageLog, _ model: inout LogModel, _ queue: UInt64) {
        guard let sequence = pick(model, queue), let entry = model.queues[queue]?[sequence] else { return }
        log.delivered(queue: queue, sequence: sequence, count: entry.deliveries + 1)
        model.queues[queue]?[sequence]?.deliveries += 1
    }

    private mutating func define(_ log: MessageLog, _ model: inout LogModel) {
        let key = "queue/\(random.below(5))"
        if random.below(3) == 0 {
            log.remove(key)
            model.definitions[key] = nil
        } else {
            let value = [UInt8](repeating: UInt8(random.below(256)), count: random.below(20))
            log.put(key, value)
            model.definitions[key] = value
        }
    }

    private mutating func purge(_ log: MessageLog, _ model: inout LogModel, _ queue: UInt64) {
        let sequences = (model.queues[queue] ?? [:]).keys.sorted()
        guard let through = sequences.dropLast(random.below(3)).last else { return }
        let kept = sequences.filter { $0 <= through && random.below(4) == 0 }
        log.purge(queue: queue, through: through, except: kept)
        model.queues[queue] = model.queues[queue]?.filter { $0.key > through || kept.contains($0.key) }
    }
}
