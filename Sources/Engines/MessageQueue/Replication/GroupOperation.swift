import KernelStructures

/// One step that a member asks the group for, and that all members take in the same order.
///
/// What chance, a clock or a client decides is decided by whoever asks, and stands here.
enum GroupOperation: Equatable {
    /// A member begins anew.
    case hello
    /// Keeps a definition; what replaces nothing (queues, exchanges, bindings) only where there is none.
    case put(key: String, value: [UInt8])
    /// Forgets a definition, and those that cannot be without it.
    case remove(key: String)
    /// One message into several queues.
    case enqueue(queues: [UInt64], StoredMessage)
    /// A consumer of that member wants messages, so many unacknowledged ones at a time.
    case checkOut(queue: UInt64, consumer: UInt64, limit: Int, priority: Int)
    /// It wants none any more. What it has it keeps.
    case cancel(queue: UInt64, consumer: UInt64)
    /// The next messages, at once, if there are any.
    case take(queue: UInt64, consumer: UInt64, count: Int)
    case settle(queue: UInt64, consumer: UInt64, sequences: [UInt64])
    /// - isCounted: false for what its consumer has never seen.
    case giveBack(queue: UInt64, consumer: UInt64, sequences: [UInt64], isCounted: Bool)
    /// Rejected: to the dead letters, or away.
    case discard(queue: UInt64, consumer: UInt64, sequences: [UInt64])
    case purge(queue: UInt64)
    /// Somebody has declared it again.
    case use(queue: UInt64)
    /// A dead message goes where dead letters go, if nobody has sent it there before.
    case bury(queue: UInt64, sequence: UInt64, targets: [UInt64], StoredMessage)
    /// A member is not heard any more: what its consumers hold goes back. Only a leader may say so.
    case lost(member: Int, epoch: UInt64)
    /// It is so late. Only a leader may say so.
    case clock(LabTime)
}

extension GroupOperation {
    private enum Tag: UInt8 {
        case hello, put, remove, enqueue, checkOut, cancel, take, settle, giveBack, discard, purge, use, bury, lost
        case clock
    }

    private var tag: Tag {
        switch self {
        case .hello: .hello
        case .put: .put
        case .remove: .remove
        case .enqueue: .enqueue
        case .checkOut: .checkOut
        case .cancel: .cancel
        case .take: .take
        case .settle: .settle
        case .giveBack: .giveBack
        case .discard: .discard
        case .purge: .purge
        case .use: .use
        case .bury: .bury
        case .lost: .lost
        case .clock: .clock
        }
    }

    func write(to writer: inout RecordWriter) {
        writer.append(byte: tag.rawValue)
        switch self {
        case .hello: break
        case .put(let key, let value):
            writer.append(key)
            writer.append(value)
        case .remove(let key): writer.append(key)
        case .enqueue(let queues, let message):
            writer.append(queues) { $0.append($1) }
            message.write(to: &writer)
        case .checkOut(let queue, let consumer, let limit, let priority):
            writer.append(queue)
            writer.append(consumer)
            writer.append(limit)
            writer.append(priority)
        case .cancel(let queue, let consumer):
            writer.append(queue)
            writer.append(consumer)
        case .take(let queue, let consumer, let count):
            writer.append(queue)
            writer.append(consumer)
            writer.append(count)
        case .settle(let queue, let consumer, let sequences), .discard(let queue, let consumer, let sequences):
            writer.append(queue)
            writer.append(consumer)
            writer.append(sequences) { $0.append($1) }
        case .giveBack(let queue, let consumer, let sequences, let isCounted):
            writer.append(queue)
            writer.append(consumer)
            writer.append(sequences) { $0.append($1) }
            writer.append(isCounted)
        case .purge(let queue), .use(let queue): writer.append(queue)
        case .bury(let queue, let sequence, let targets, let message):
            writer.append(queue)
            writer.append(sequence)
            writer.append(targets) { $0.append($1) }
            message.write(to: &writer)
        case .lost(let member, let epoch):
            writer.append(member)
            writer.append(epoch)
        case .clock(let time): writer.append(time.nanoseconds)
        }
    }

    init(_ reader: inout RecordReader) throws(RecordReader.Malformed) {
        let place = reader.position
        guard let tag = Tag(rawValue: try reader.byte()) else { throw RecordReader.Malformed(position: place) }
        switch tag {
        case .hello: self = .hello
        case .put: self = .put(key: try reader.text(), value: try reader.data())
        case .remove: self = .remove(key: try reader.text())
        case .enqueue: self = .enqueue(queues: try Self.numbers(&reader), try StoredMessage(&reader))
        case .checkOut:
            self = .checkOut(
                queue: try reader.unsigned(), consumer: try reader.unsigned(), limit: try reader.integer(),
                priority: try reader.integer())
        case .cancel: self = .cancel(queue: try reader.unsigned(), consumer: try reader.unsigned())
        case .take:
            self = .take(
                queue: try reader.unsigned(), consumer: try reader.unsigned(), count: try reader.integer())
        case .settle:
            self = .settle(
                queue: try reader.unsigned(), consumer: try reader.unsigned(), sequences: try Self.numbers(&reader))
        case .discard:
            self = .discard(
                queue: try reader.unsigned(), consumer: try reader.unsigned(), sequences: try Self.numbers(&reader))
        case .giveBack:
            self = .giveBack(
                queue: try reader.unsigned(), consumer: try reader.unsigned(), sequences: try Self.numbers(&reader),
                isCounted: try reader.flag())
        case .purge: self = .purge(queue: try reader.unsigned())
        case .use: self = .use(queue: try reader.unsigned())
        case .bury:
            self = .bury(
                queue: try reader.unsigned(), sequence: try reader.unsigned(), targets: try Self.numbers(&reader),
                try StoredMessage(&reader))
        case .lost: self = .lost(member: try reader.integer(), epoch: try reader.unsigned())
        case .clock: self = .clock(LabTime(nanoseconds: try reader.signed()))
        }
    }

    private static func numbers(_ reader: inout RecordReader) throws(RecordReader.Malformed) -> [UInt64] {
        try reader.elements { (reader: inout RecordReader) throws(RecordReader.Malformed) in try reader.unsigned() }
    }
}

extension StoredMessage {
    func write(to writer: inout RecordWriter) {
        writer.append(id)
        writer.append(exchange)
        writer.append(routingKey)
        writer.append(properties)
        writer.append(body)
        writer.append(publishedAt.nanoseconds)
    }

    init(_ reader: inout RecordReader) throws(RecordReader.Malformed) {
        self.init(
            id: try reader.unsigned(), exchange: try reader.text(), routingKey: try reader.text(),
            properties: try reader.data(), body: try reader.data(),
            publishedAt: LabTime(nanoseconds: try reader.signed()))
    }
}

/// What a member asks the group for at a time.
struct GroupBatch: Equatable {
    var member: Int
    /// The member's life: grows with each of its starts.
    var epoch: UInt64
    /// Grows by one with each batch of an epoch; a number that was seen is not carried out again. 0: a leader's word,
    /// which is as good the second time.
    var number: UInt64
    /// The time at that member.
    var now: LabTime
    var operations: [GroupOperation]

    var encoded: [UInt8] {
        var writer = RecordWriter()
        writer.append(member)
        writer.append(epoch)
        writer.append(number)
        writer.append(now.nanoseconds)
        writer.append(operations) { $1.write(to: &$0) }
        return writer.bytes
    }

    /// nil: the bytes are none.
    init?(_ bytes: [UInt8]) {
        var reader = RecordReader(bytes)
        do throws(RecordReader.Malformed) {
            member = try reader.integer()
            epoch = try reader.unsigned()
            number = try reader.unsigned()
            now = LabTime(nanoseconds: try reader.signed())
            operations = try reader.elements { (reader: inout RecordReader) throws(RecordReader.Malformed) in
                try GroupOperation(&reader)
            }
            try reader.expectEnd()
        } catch {
            return nil
        }
    }

    init(member: Int, epoch: UInt64, number: UInt64, now: LabTime, operations: [GroupOperation]) {
        self.member = member
        self.epoch = epoch
        self.number = number
        self.now = now
        self.operations = operations
    }
}
