import KernelStructures

/// A message as the log keeps it.
public struct LoggedMessage: Equatable, Sendable {
    /// The same in every queue that has it.
    public var id: UInt64
    /// When it was published.
    public var time: LabTime
    /// What the broker knows of it besides the body. The log does not look into it.
    public var head: [UInt8]
    public var body: [UInt8]

    public init(id: UInt64, time: LabTime, head: [UInt8], body: [UInt8]) {
        self.id = id
        self.time = time
        self.head = head
        self.body = body
    }
}

/// A message in a queue.
public struct LoggedEntry: Equatable, Sendable {
    /// Its place in the queue.
    public let sequence: UInt64
    /// How often it has been delivered.
    public let deliveryCount: Int
    public let message: LoggedMessage
}

/// Sequence numbers of one queue, one behind the other, that go into the log as one record.
struct PendingRun {
    var queue: UInt64 = 0
    var first: UInt64 = 0
    var last: UInt64 = 0
    var isEmpty = true

    /// Returns false if it does not continue the run.
    mutating func extend(queue: UInt64, sequence: UInt64) -> Bool {
        if isEmpty {
            self = PendingRun(queue: queue, first: sequence, last: sequence, isEmpty: false)
            return true
        }
        guard queue == self.queue, last < .max, sequence == last + 1 else { return false }
        last = sequence
        return true
    }
}
