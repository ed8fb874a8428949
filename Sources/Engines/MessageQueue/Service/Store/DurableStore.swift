import KernelStructures
import KernelWorld
import MessageLogEngine
import MessageQueueEngine

/// A broker's store on its node's disk: what the broker says goes into a message log.
///
/// Nothing here fails when it is called: what goes wrong with the disk shows at the next `commit`, and from then on
/// nothing is promised any more.
public final class DurableStore: MessageStore {
    public let log: MessageLog
    private let node: Node
    /// Told once, if the disk fails between two commits.
    public var onFailure: (String) -> Void = { _ in }
    private var isWorking = false
    private var isClosed = false
    /// Messages that could not be read back.
    public private(set) var unreadable = 0

    /// Bytes that are moved between two turns where the log is to become smaller.
    private static let sliceBytes = 256 << 10

    /// Opens the log in a directory of the node's disk, or begins one.
    ///
    /// - Throws: `MessageLogError`.
    public init(_ node: Node, directory: String, options: MessageLogOptions = MessageLogOptions())
        throws(MessageLogError)
    {
        self.node = node
        log = try MessageLog.open(node.disk, directory: directory, options: options, now: node.world.now)
    }

    /// What `put` was given last, by key.
    public var definitions: [(key: String, value: [UInt8])] { log.definitions }

    /// What waits in each queue.
    public var queues: [StoredQueue] {
        log.queues.map {
            StoredQueue(number: $0.queue, count: $0.count, bytes: $0.bodyBytes, lastSequence: $0.lastSequence)
        }
    }

    // MARK: Commit

    /// Makes everything durable that was put up to now.
    ///
    /// - Parameter done: called once, after the lab time that it takes; with a text if nothing of it is promised.
    public func commit(_ done: @escaping (_ failure: String?) -> Void) {
        var failure: String?
        do throws(MessageLogError) { try logNow.commit() } catch { failure = error.description }
        let cost = node.disk.collectCost()
        if cost <= .zero { done(failure) } else { node.after(cost) { done(failure) } }
        if failure == nil { work() }
    }

    /// Deliveries are about to leave.
    public func writeDeliveries() {
        logNow.writeDeliveries()
    }

    /// Moves what keeps the log large, a piece at a time.
    private func work() {
        guard !isWorking, !isClosed, log.needsMaintenance else { return }
        isWorking = true
        node.enqueue { [self] in workOnce() }
    }

    private func workOnce() {
        isWorking = false
        guard !isClosed, logNow.maintain(budgetBytes: Self.sliceBytes) else { return }
        do throws(MessageLogError) { try log.commit() } catch { return onFailure(error.description) }
        isWorking = true
        node.afterDisk { [self] in workOnce() }
    }

    /// Makes everything durable, and gives the directory up.
    ///
    /// - Throws: `MessageLogError`.
    public func close() throws(MessageLogError) {
        if isClosed { return }
        isClosed = true
        try logNow.close()
    }

    // MARK: MessageStore

    public var position: UInt64 { log.position }
    public var syncedPosition: UInt64 { log.syncedPosition }
    public var canLoad: Bool { true }

    /// The log, at the time of what is being done: the first record of a batch is what dates it, and it may come long
    /// after the last commit.
    private var logNow: MessageLog {
        log.now = node.world.now
        return log
    }

    public func put(_ key: String, _ value: [UInt8]) { logNow.put(key, value) }
    public func remove(_ key: String) { logNow.remove(key) }

    public func append(_ message: StoredMessage, queue: UInt64, sequence: UInt64, isDurable: Bool) {
        logNow.append(message.logged, queue: queue, sequence: sequence, isDurable: isDurable)
    }

    public func delivered(queue: UInt64, sequence: UInt64, count: Int) {
        logNow.delivered(queue: queue, sequence: sequence, count: count)
    }

    public func settle(queue: UInt64, sequence: UInt64) { logNow.settle(queue: queue, sequence: sequence) }

    public func purge(queue: UInt64, through sequence: UInt64, except: [UInt64]) {
        logNow.purge(queue: queue, through: sequence, except: except)
    }

    public func delete(queue: UInt64) { logNow.delete(queue: queue) }

    public func load(queue: UInt64, after sequence: UInt64, count: Int, bytes: Int) throws -> [StoredEntry] {
        try log.load(queue: queue, after: sequence, count: count, bytes: bytes).map { entry in
            guard let message = StoredMessage(entry.message) else {
                unreadable += 1
                throw MessageLogError.damaged(
                    path: "queue \(queue)", offsetBytes: 0, "message \(entry.sequence) is none of this broker's")
            }
            return StoredEntry(sequence: entry.sequence, message: message, deliveryCount: entry.deliveryCount)
        }
    }
}

extension StoredMessage {
    /// As the log keeps it: everything but number, time and body in the head.
    var logged: LoggedMessage {
        var writer = RecordWriter()
        writer.append(exchange)
        writer.append(routingKey)
        writer.append(properties)
        writer.append(expiresAt != nil)
        if let expiresAt { writer.append(expiresAt.nanoseconds) }
        return LoggedMessage(id: id, time: publishedAt, head: writer.bytes, body: body)
    }

    /// nil where the head is none that `logged` makes.
    init?(_ logged: LoggedMessage) {
        var reader = RecordReader(logged.head)
        do throws(RecordReader.Malformed) {
            let exchange = try reader.text()
            let routingKey = try reader.text()
            let properties = try reader.data()
            let expiresAt = try reader.flag() ? LabTime(nanoseconds: try reader.signed()) : nil
            try reader.expectEnd()
            self.init(
                id: logged.id, exchange: exchange, routingKey: routingKey, properties: properties, body: logged.body,
                publishedAt: logged.time, expiresAt: expiresAt)
        } catch {
            return nil
        }
    }
}
