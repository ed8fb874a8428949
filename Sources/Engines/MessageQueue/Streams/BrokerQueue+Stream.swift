import KernelAMQP
import KernelStructures

/// What makes a queue a stream: how far it reaches, who has read how far, and the newest messages.
final class BrokerStream {
    var log: StreamLog
    /// By name.
    var groups: [String: StreamGroup] = [:]
    /// The newest messages, without a gap: those who read at the end need not ask the store.
    private(set) var recent = RingQueue<QueueEntry>()
    private var recentBytes = 0

    init(_ limits: StreamLimits) { log = StreamLog(limits) }

    static let recentCount = 1024
    static let recentBytesLimit = 1 << 20
    /// What a reader is given at a time.
    static let pageCount = 128
    static let pageBytes = 1 << 20

    /// - Parameter isBounded: false where nobody else has them.
    func keep(_ entry: QueueEntry, isBounded: Bool) {
        recent.append(entry)
        recentBytes += entry.message.byteCount
        while isBounded, recent.count > Self.recentCount || recentBytes > Self.recentBytesLimit, recent.count > 1 {
            dropRecent()
        }
    }

    func dropRecent() { if let entry = recent.popFirst() { recentBytes -= entry.message.byteCount } }

    /// Those from an offset on that are in memory; empty if that one is not.
    func recent(from offset: UInt64) -> [QueueEntry] {
        guard let first = recent.first, first.offset <= offset else { return [] }
        let start = Int(clamping: offset - first.offset)
        guard start < recent.count else { return [] }
        return (start..<min(recent.count, start + Self.pageCount)).map { recent[$0] }
    }
}

extension QueueEntry {
    /// Its number in a stream. Numbers in queues begin with 1, in streams with 0.
    var offset: UInt64 { sequence &- 1 }
}

extension BrokerQueue {
    // MARK: Arrival

    /// Adds a message at the end of the stream.
    func publish(_ message: BrokerMessage, to stream: BrokerStream) -> Outcome {
        counters.published += 1
        let (offset, sealed) = stream.log.append(bytes: message.byteCount, now: now)
        nextSequence = offset &+ 2
        let entry = QueueEntry(sequence: offset + 1, message: message, expiresAt: .distantFuture, isStored: false)
        // A stream keeps what is not persistent, too.
        broker.store.append(
            message.stored(expiresAt: nil), queue: number, sequence: entry.sequence, isDurable: true)
        broker.trace.note(.queued, message, at: name, "offset \(offset)", now: now)
        stream.keep(entry, isBounded: broker.store.canLoad)
        if let sealed { broker.store.put(chunkKey(sealed), sealed.definition(of: number)) }
        expire(stream)
        pump(stream)
        return .accepted
    }

    /// Throws away what is too old or too much.
    func expire(_ stream: BrokerStream) {
        let gone = stream.log.expire(now: now)
        if !gone.isEmpty {
            let first = stream.log.firstOffset
            broker.store.purge(queue: number, through: first, except: [])
            for chunk in gone {
                broker.store.remove(chunkKey(chunk))
                counters.expired += chunk.count
            }
            while let oldest = stream.recent.first, oldest.offset < first { stream.dropRecent() }
        }
        if let next = stream.log.nextExpiry { broker.schedule(self, at: max(next, now + .milliseconds(1))) }
    }

    // MARK: Reading

    /// Serves all who read.
    func pump(_ stream: BrokerStream) { for consumer in consumers { serve(consumer, from: stream) } }

    private func serve(_ consumer: BrokerConsumer, from stream: BrokerStream) {
        if let name = consumer.group, stream.groups[name]?.active(partition: partition) !== consumer { return }
        while !isDeleted, consumer.canTake, readAhead(for: consumer, in: stream),
            let entry = consumer.reader?.take()
        {
            deliver(entry, to: consumer)
            if consumer.isAutomatic { acknowledged(entry, by: consumer, in: stream) }
        }
    }

    /// Which of several partitions this is, by its name.
    var partition: Int { StreamGroup.partition(of: name) }

    /// Makes sure that the reader has something to take, if there is anything.
    private func readAhead(for consumer: BrokerConsumer, in stream: BrokerStream) -> Bool {
        guard let reader = consumer.reader else { return false }
        if reader.hasAhead { return true }
        let from = max(reader.next, stream.log.firstOffset)
        guard from < stream.log.nextOffset else { return false }
        let entries = read(stream, from: from)
        consumer.reader?.readAhead(entries)
        return !entries.isEmpty
    }

    /// Messages of a stream from an offset on.
    func read(_ stream: BrokerStream, from offset: UInt64) -> [QueueEntry] {
        let recent = stream.recent(from: offset)
        if !recent.isEmpty { return recent }
        do {
            return try broker.store.load(
                queue: number, after: offset, count: BrokerStream.pageCount, bytes: BrokerStream.pageBytes
            ).map { stored in
                QueueEntry(
                    sequence: stored.sequence, message: BrokerMessage(stored.message, memory: broker.memory),
                    expiresAt: .distantFuture, isStored: false)
            }
        } catch {
            broker.log("Stream '\(name)' cannot read its messages: \("\(error)")")
            return []
        }
    }

    // MARK: Readers

    /// Gives a consumer its place.
    ///
    /// - Throws: 406 or 540 for what a stream cannot do.
    func prepare(_ consumer: BrokerConsumer, for stream: BrokerStream) throws(AMQPFailure) {
        let resource = virtualHost.resource("queue", name)
        if consumer.channel.sharedPrefetchCount > 0 {
            throw AMQPFailure(.notImplemented, "\(resource) does not support global qos")
        }
        guard consumer.prefetchCount > 0 || consumer.isAutomatic else {
            throw AMQPFailure(.preconditionFailed, "consumer prefetch count is not set for '\(resource)'")
        }
        var wish = StreamOffset.next
        if let value = consumer.arguments["x-group"] {
            guard let text = value.text, !text.isEmpty, text.utf8.count <= 255,
                stream.groups.count < broker.settings.objectLimit
            else {
                throw AMQPFailure(.preconditionFailed, "invalid arg 'x-group' for \(resource)")
            }
            consumer.group = text
            // A group that has never read begins where there is something to read.
            wish = .first
        }
        if let value = consumer.arguments["x-stream-offset"] {
            guard let given = StreamOffset(value) else {
                throw AMQPFailure(
                    .preconditionFailed, "invalid arg 'x-stream-offset' for \(resource): it means no place")
            }
            wish = given
        }
        let start = consumer.group.flatMap { stream.groups[$0]?.offset } ?? stream.log.start(of: wish, now: now)
        consumer.reader = StreamReader(at: start)
    }

    /// A consumer has come, or gone: somebody else may be the one of the group that reads.
    func change(_ group: String, of stream: BrokerStream, _ change: (inout StreamGroup) -> Void) {
        var state = stream.groups[group] ?? StreamGroup(offset: 0)
        let before = state.active(partition: partition)
        change(&state)
        let after = state.active(partition: partition)
        if let after, after !== before { after.reader?.move(to: state.offset) }
        stream.groups[group] = state
    }

    func join(_ consumer: BrokerConsumer, _ stream: BrokerStream) {
        guard let group = consumer.group else { return }
        if stream.groups[group] == nil {
            let start = consumer.reader?.next ?? 0
            stream.groups[group] = StreamGroup(offset: start)
            putOffset(of: group, start)
        }
        change(group, of: stream) { $0.consumers.append(consumer) }
    }

    func leave(_ consumer: BrokerConsumer, _ stream: BrokerStream) {
        guard let group = consumer.group else { return }
        change(group, of: stream) { state in state.consumers.removeAll { $0 === consumer } }
    }

    /// A reader is done with a message.
    func acknowledged(_ entry: QueueEntry, by consumer: BrokerConsumer, in stream: BrokerStream) {
        guard consumer.reader?.acknowledge(entry.offset) == true, let group = consumer.group,
            let offset = consumer.reader?.acknowledgedOffset, let state = stream.groups[group], offset > state.offset
        else { return }
        stream.groups[group]?.offset = offset
        putOffset(of: group, offset)
    }

    /// A reader wants to see a message again: it goes on from there.
    func rewind(to entry: QueueEntry, for consumer: BrokerConsumer) {
        guard consumer.reader != nil, consumers.contains(where: { $0 === consumer }) else { return }
        consumer.reader?.rewind(to: entry.offset)
    }

    // MARK: Definitions

    private func chunkKey(_ chunk: StreamChunk) -> String { "chunk/\(number)/\(chunk.firstOffset)" }
    private func offsetKey(_ group: String) -> String { "offset/\(number)/\(escapedForKey(group))" }

    private func putOffset(of group: String, _ offset: UInt64) {
        let table: AMQPTable = [
            "queue": .int64(Int64(clamping: number)), "group": .string(group),
            "offset": .int64(Int64(clamping: offset)),
        ]
        broker.store.put(offsetKey(group), table.encoded)
    }

    /// The stream is deleted: what was kept beside its messages goes, too.
    func forget(_ stream: BrokerStream) {
        for chunk in stream.log.chunks { broker.store.remove(chunkKey(chunk)) }
        for group in stream.groups.keys.sorted() { broker.store.remove(offsetKey(group)) }
    }

    // MARK: After a restart

    /// Takes over what was kept beside the messages, and reads those behind the last complete chunk.
    func restore(_ stream: BrokerStream, chunks: [StreamChunk], offsets: [String: UInt64], lastSequence: UInt64) {
        stream.log.restore(chunks, lastOffset: nil)
        var after = stream.log.nextOffset
        while true {
            let entries = read(stream, from: after)
            guard let last = entries.last else { break }
            for entry in entries {
                let message = entry.message
                let sealed = stream.log.restore(
                    offset: entry.offset, bytes: message.byteCount, time: message.publishedAt)
                if let sealed { broker.store.put(chunkKey(sealed), sealed.definition(of: number)) }
            }
            after = last.sequence
        }
        if lastSequence > 0 { stream.log.skip(to: lastSequence) }
        for (group, offset) in offsets { stream.groups[group] = StreamGroup(offset: offset) }
        nextSequence = stream.log.nextOffset &+ 1
        expire(stream)
    }
}

extension StreamChunk {
    func definition(of queue: UInt64) -> [UInt8] {
        let table: AMQPTable = [
            "queue": .int64(Int64(clamping: queue)), "first": .int64(Int64(clamping: firstOffset)),
            "count": .int64(Int64(count)), "bytes": .int64(Int64(bytes)), "from": .int64(firstTime.nanoseconds),
            "to": .int64(lastTime.nanoseconds),
        ]
        return table.encoded
    }

    /// nil for what is none.
    init?(_ table: AMQPTable) {
        guard let first = table["first"]?.integer, let count = table["count"]?.integer,
            let bytes = table["bytes"]?.integer, let from = table["from"]?.integer, let to = table["to"]?.integer,
            first >= 0, first < 1 << 60, count > 0, count <= StreamLimits.chunkMessages, bytes >= 0, bytes < 1 << 50
        else { return nil }
        self.init(
            firstOffset: UInt64(first), count: count, bytes: bytes, firstTime: LabTime(nanoseconds: Int64(from)),
            lastTime: LabTime(nanoseconds: Int64(to)))
    }
}

extension Broker {
    /// What was kept beside the messages of streams: bookmarks and chunks, by queue.
    struct StreamDefinitions {
        var chunks: [UInt64: [StreamChunk]] = [:]
        var offsets: [UInt64: [String: UInt64]] = [:]

        mutating func add(_ kind: Substring, _ table: AMQPTable) {
            guard let queue = table["queue"]?.integer.flatMap({ UInt64(exactly: $0) }) else { return }
            if kind == "chunk", let chunk = StreamChunk(table) { chunks[queue, default: []].append(chunk) }
            if kind == "offset", let group = table["group"]?.text,
                let offset = table["offset"]?.integer.flatMap({ UInt64(exactly: $0) })
            {
                offsets[queue, default: [:]][group] = offset
            }
        }
    }
}
