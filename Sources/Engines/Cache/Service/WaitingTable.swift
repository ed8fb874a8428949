import CacheEngine
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// A client that waits until one of some keys has something to take.
final class Waiter {
    let connection: RESPServerConnection
    let command: CacheCommand
    let request: RESPRequest
    let keys: [[UInt8]]
    fileprivate(set) var timer: TimerID?

    init(
        _ connection: RESPServerConnection, _ command: CacheCommand, _ request: RESPRequest, _ wanted: BlockingRequest
    ) {
        self.connection = connection
        self.command = command
        self.request = request
        keys = wanted.keys
    }
}

/// Who waits for which key, in the order in which they came.
final class WaitingTable {
    private var queues: [[UInt8]: [Waiter]] = [:]
    private(set) var count = 0
    /// Clients that may wait at a time, for all their keys.
    static let limit = 100_000

    var hasAny: Bool { count > 0 }

    func add(_ waiter: Waiter) {
        count += 1
        for key in Set(waiter.keys) { queues[key, default: []].append(waiter) }
    }

    func queue(_ key: [UInt8]) -> [Waiter] { queues[key] ?? [] }

    func remove(_ waiter: Waiter, _ node: Node) {
        node.cancel(waiter.timer)
        waiter.timer = nil
        count -= 1
        for key in Set(waiter.keys) {
            queues[key]?.removeAll { $0 === waiter }
            if queues[key]?.isEmpty == true { queues[key] = nil }
        }
    }

    /// All of them, oldest connections first.
    var all: [Waiter] {
        var seen: Set<ObjectIdentifier> = []
        return queues.values.joined().filter { seen.insert(ObjectIdentifier($0)).inserted }
            .sorted { $0.connection.number < $1.connection.number }
    }
}

extension CacheNode {
    /// A hundred years: more than the lab's clock can add up is never waited for.
    private static let longestWaitMilliseconds = 100 * 365 * 86_400_000

    /// There was nothing to be taken: within a transaction that is the answer, otherwise the client waits.
    func block(
        _ connection: RESPServerConnection, _ words: RESPArguments, _ command: CacheCommand, _ wanted: BlockingRequest
    ) {
        guard !cache.isInTransaction, !isClosing else { return Self.write(wanted.ifRefused, &connection.reply) }
        guard waiting.count < WaitingTable.limit else {
            return connection.reply.error("ERR \(WaitingTable.limit) clients are waiting already")
        }
        let waiter = Waiter(connection, command, RESPRequest(words), wanted)
        waiting.add(waiter)
        cache.hasWaiters = true
        CacheClient.of(connection).waiter = waiter
        connection.marks = "b"
        connection.suspend()
        guard wanted.timeoutMilliseconds > 0 else { return }
        waiter.timer = node.after(.milliseconds(min(wanted.timeoutMilliseconds, Self.longestWaitMilliseconds))) {
            [self] in
            finish(waiter) { $0.reply.nullArray() }
        }
    }

    static func write(_ nothing: BlockingRequest.Nothing, _ reply: inout RESPWriter) {
        switch nothing {
        case .null: reply.null()
        case .nullArray: reply.nullArray()
        }
    }

    /// Ends somebody's wait with an answer.
    func finish(_ waiter: Waiter, _ answer: (RESPServerConnection) -> Void) {
        waiting.remove(waiter, node)
        cache.hasWaiters = waiting.hasAny
        (waiter.connection.context as? CacheClient)?.waiter = nil
        waiter.connection.marks = ""
        answer(waiter.connection)
        waiter.connection.resume()
    }

    /// Serves whoever waits for the keys that were filled: the longest waiting first, and as long as there is
    /// something.
    func serveWaiters() {
        var keys = cache.takeReadyKeys()
        while !keys.isEmpty {
            for key in keys {
                for waiter in waiting.queue(key) {
                    guard cache.exists(key) else { break }
                    serve(waiter)
                }
            }
            keys = cache.takeReadyKeys()
        }
    }

    private func serve(_ waiter: Waiter) {
        let isDone = waiter.request.withArguments { words in
            cache.execute(waiter.command, words, into: &waiter.connection.reply) == nil
        }
        if isDone { finish(waiter) { _ in } }
    }

    /// Ends the wait of those whose keys satisfy a condition, with an error.
    public func unblock(where isMeant: ([[UInt8]]) -> Bool, with error: String) {
        for waiter in waiting.all where isMeant(waiter.keys) { finish(waiter) { $0.reply.error(error) } }
    }
}
