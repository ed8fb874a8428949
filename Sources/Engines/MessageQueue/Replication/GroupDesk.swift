import KernelStructures

/// What a member has to ask of its group: one batch at a time, in order, and nothing twice.
public final class GroupDesk {
    public let member: Int
    /// This life of the member.
    public private(set) var epoch: UInt64
    private var waiting = RingQueue<Waiting>()
    private var waitingBytes = 0
    private var flying: Flying?
    private var lastNumber: UInt64 = 0
    /// How many operations were put here, and how many of them were carried out.
    private(set) var position: UInt64 = 0
    private(set) var appliedPosition: UInt64 = 0

    private struct Waiting {
        let operation: GroupOperation
        let bytes: Int
        let then: ((Int) -> Void)?
    }

    /// A batch that is under way. Of several acknowledgements that became one only the first has a number of results.
    private struct Flying {
        let number: UInt64
        let command: [UInt8]
        let operations: [GroupOperation]
        let count: Int
        let thens: [((Int) -> Void)?]
    }

    /// Bytes and operations of a batch, and one operation more.
    private static let batchBytes = 1 << 20
    private static let batchCount = 10_000
    /// From here on publishers wait, until half of it has gone.
    private static let limitBytes = 32 << 20
    private static let limitCount = 50_000
    /// Bytes of a message that a replicated queue takes: a command of the group's log has 8 MiB.
    public static let messageLimitBytes = 7 << 20

    init(member: Int, epoch: UInt64) {
        self.member = member
        self.epoch = epoch
    }

    /// Begins a life. What an earlier one held is given back by the group.
    func begin(_ epoch: UInt64) {
        self.epoch = epoch
        add(.hello)
    }

    var isFull: Bool { waitingBytes > Self.limitBytes || waiting.count > Self.limitCount }
    var hasRoom: Bool { waitingBytes <= Self.limitBytes / 2 && waiting.count <= Self.limitCount / 2 }
    /// Operations that were not carried out yet.
    public var openCount: Int { Int(clamping: position - appliedPosition) }

    /// - Parameter then: called with what came of it, once this member's state has it.
    func add(_ operation: GroupOperation, then: ((Int) -> Void)? = nil) {
        let bytes =
            switch operation {
            case .enqueue(_, let message): message.body.count + message.properties.count
            case .put(_, let value): value.count
            default: 64
            }
        waiting.append(.init(operation: operation, bytes: bytes, then: then))
        waitingBytes += bytes
        position += 1
    }

    /// The next batch, as a command for the group's log; nil while one is under way, or nothing is to be asked.
    public func next(now: LabTime) -> [UInt8]? {
        guard flying == nil, !waiting.isEmpty else { return nil }
        var operations: [GroupOperation] = []
        var thens: [((Int) -> Void)?] = []
        var bytes = 0
        var count = 0
        while let first = waiting.first, operations.count < Self.batchCount,
            operations.isEmpty || bytes + first.bytes <= Self.batchBytes
        {
            _ = waiting.popFirst()
            waitingBytes -= first.bytes
            bytes += first.bytes
            count += 1
            if let merged = operations.last?.merged(with: first.operation), first.then == nil, thens.last! == nil {
                operations[operations.count - 1] = merged
            } else {
                operations.append(first.operation)
                thens.append(first.then)
            }
        }
        lastNumber += 1
        let batch = GroupBatch(member: member, epoch: epoch, number: lastNumber, now: now, operations: operations)
        flying = Flying(number: lastNumber, command: batch.encoded, operations: operations, count: count, thens: thens)
        return flying?.command
    }

    /// The batch that is under way, for being sent again; nil if there is none.
    public var underWay: [UInt8]? { flying?.command }

    /// What was not carried out yet, oldest first.
    var open: [GroupOperation] {
        (flying?.operations ?? []) + (0..<waiting.count).map { waiting[$0].operation }
    }

    /// This member's state has carried out a batch of its own.
    func answered(epoch: UInt64, number: UInt64, results: [Int]) {
        guard epoch == self.epoch, let batch = flying, batch.number == number else { return }
        flying = nil
        appliedPosition += UInt64(batch.count)
        for (then, result) in zip(batch.thens, results) { then?(result) }
    }
}

extension GroupOperation {
    /// Two acknowledgements of one consumer as one; nil where they are none.
    fileprivate func merged(with other: GroupOperation) -> GroupOperation? {
        guard case .settle(let queue, let consumer, let first) = self,
            case .settle(queue, consumer, let second) = other
        else { return nil }
        return .settle(queue: queue, consumer: consumer, sequences: first + second)
    }
}
