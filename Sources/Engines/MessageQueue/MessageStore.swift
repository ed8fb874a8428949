import KernelStructures

/// Where a broker keeps what is to outlive it.
///
/// Calls only add to a log; nothing of it is durable before `syncedPosition` has reached it. The broker promises
/// nothing to a publisher before that.
public protocol MessageStore: AnyObject {
    /// How far the log reaches: grows with each call below.
    var position: UInt64 { get }
    /// All up to here is durable.
    var syncedPosition: UInt64 { get }
    /// Whether messages can be read back, so that long queues need not stay in memory.
    var canLoad: Bool { get }

    /// Keeps a definition (an exchange, a queue, bindings), in the place of the one with that key.
    func put(_ key: String, _ value: [UInt8])
    /// Forgets a definition.
    func remove(_ key: String)

    /// One message in one queue.
    ///
    /// - Parameters:
    ///   - queue: a number that no other queue ever has.
    ///   - sequence: ascends within the queue, with gaps.
    ///   - isDurable: false if it is only to make room in memory, and need not survive a restart.
    func append(_ message: StoredMessage, queue: UInt64, sequence: UInt64, isDurable: Bool)
    /// It has been delivered for the `count`th time; need not be synced.
    func delivered(queue: UInt64, sequence: UInt64, count: Int)
    /// It is gone: acknowledged, expired, dropped or dead-lettered.
    func settle(queue: UInt64, sequence: UInt64)
    /// All that wait are gone up to that one, except some (unacknowledged ones, ascending).
    func purge(queue: UInt64, through sequence: UInt64, except: [UInt64])
    func delete(queue: UInt64)
    /// Messages of a queue that are not settled, behind that sequence, ascending, up to either limit, one at least.
    ///
    /// - Throws: if they cannot be read.
    func load(queue: UInt64, after sequence: UInt64, count: Int, bytes: Int) throws -> [StoredEntry]
}

/// A message as it is stored.
public struct StoredMessage: Equatable, Sendable {
    /// The broker's own number; the same in each queue that it went to.
    public var id: UInt64
    public var exchange: String
    public var routingKey: String
    /// As they stand on the wire.
    public var properties: [UInt8]
    public var body: [UInt8]
    public var publishedAt: LabTime
    /// When it expires in this queue; nil: never.
    public var expiresAt: LabTime?

    public init(
        id: UInt64, exchange: String, routingKey: String, properties: [UInt8], body: [UInt8], publishedAt: LabTime,
        expiresAt: LabTime? = nil
    ) {
        self.id = id
        self.exchange = exchange
        self.routingKey = routingKey
        self.properties = properties
        self.body = body
        self.publishedAt = publishedAt
        self.expiresAt = expiresAt
    }
}

/// A message in its place in a queue.
public struct StoredEntry: Equatable, Sendable {
    public var sequence: UInt64
    public var message: StoredMessage
    /// How many times it has been delivered.
    public var deliveryCount: Int

    public init(sequence: UInt64, message: StoredMessage, deliveryCount: Int) {
        self.sequence = sequence
        self.message = message
        self.deliveryCount = deliveryCount
    }
}

/// What a queue that was found in the store held.
public struct StoredQueue: Equatable, Sendable {
    public var number: UInt64
    public var count: Int
    public var bytes: Int
    public var lastSequence: UInt64

    public init(number: UInt64, count: Int, bytes: Int, lastSequence: UInt64) {
        self.number = number
        self.count = count
        self.bytes = bytes
        self.lastSequence = lastSequence
    }
}

/// Keeps nothing: a broker whose queues are as short-lived as its memory.
public final class VolatileStore: MessageStore {
    public init() {}
    public var position: UInt64 { 0 }
    public var syncedPosition: UInt64 { 0 }
    public var canLoad: Bool { false }
    public func put(_ key: String, _ value: [UInt8]) {}
    public func remove(_ key: String) {}
    public func append(_ message: StoredMessage, queue: UInt64, sequence: UInt64, isDurable: Bool) {}
    public func delivered(queue: UInt64, sequence: UInt64, count: Int) {}
    public func settle(queue: UInt64, sequence: UInt64) {}
    public func purge(queue: UInt64, through sequence: UInt64, except: [UInt64]) {}
    public func delete(queue: UInt64) {}
    public func load(queue: UInt64, after sequence: UInt64, count: Int, bytes: Int) throws -> [StoredEntry] { [] }
}
