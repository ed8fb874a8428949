import KernelAMQP
import KernelStructures

/// The state as a whole, for members that were away for too long.
extension GroupState {
    var snapshot: [UInt8] {
        var writer = RecordWriter()
        writer.append(lastQueue)
        writer.append(definitions.sorted { $0.key < $1.key }) {
            $0.append($1.key)
            $0.append($1.value)
        }
        writer.append(sessions.sorted { $0.key < $1.key }) { writer, one in
            writer.append(one.key)
            writer.append(one.value.epoch)
            writer.append(one.value.number)
            writer.append(one.value.results) { $0.append($1) }
        }
        writer.append(sortedQueues) { $1.write(to: &$0) }
        return writer.bytes
    }

    /// Takes over another state.
    ///
    /// - Throws: if the bytes are none of `snapshot`. Nothing has changed then.
    func restore(_ bytes: [UInt8]) throws(RecordReader.Malformed) {
        var reader = RecordReader(bytes)
        let other = GroupState(memory: memory)
        other.lastQueue = try reader.unsigned()
        let definitions = try reader.elements { (reader: inout RecordReader) throws(RecordReader.Malformed) in
            (try reader.text(), try reader.data())
        }
        // Policies first: queues look at them.
        for (key, value) in definitions where key.hasPrefix("policy/") {
            if let table = try? AMQPTable(encoded: value), let host = table["vhost"]?.text,
                let policy = BrokerPolicy(table)
            {
                other.policies[host, default: [:]][policy.name] = policy
            }
        }
        for (key, value) in definitions { other.definitions[key] = value }
        let sessions = try reader.elements { (reader: inout RecordReader) throws(RecordReader.Malformed) in
            let member = try reader.integer()
            let session = Session(
                epoch: try reader.unsigned(), number: try reader.unsigned(),
                results: try reader.elements { (reader: inout RecordReader) throws(RecordReader.Malformed) in
                    try reader.integer()
                })
            return (member, session)
        }
        for (member, session) in sessions { other.sessions[member] = session }
        let memory = memory
        let queues = try reader.elements { (reader: inout RecordReader) throws(RecordReader.Malformed) in
            try ReplicatedQueue(&reader, memory: memory)
        }
        try reader.expectEnd()
        for queue in queues {
            other.queues[queue.number] = queue
            other.byKey[queue.key] = queue.number
            other.apply(to: queue)
        }
        take(over: other)
    }

    private func take(over other: GroupState) {
        for key in self.definitions.keys.sorted().reversed() where other.definitions[key] != definitions[key] {
            events.append(.undefined(key: key))
        }
        let before = definitions
        lastQueue = other.lastQueue
        definitions = other.definitions
        sessions = other.sessions
        queues = other.queues
        byKey = other.byKey
        policies = other.policies
        // What others lean on first.
        for kind in ["vhost", "policy", "exchange", "queue", "binding", "user", "permission"] {
            for (key, value) in definitions.sorted(by: { $0.key < $1.key })
            where key.prefix(while: { $0 != "/" }) == kind && before[key] != value {
                events.append(.defined(key: key, value: value))
            }
        }
        for (key, value) in definitions where key == "users" && before[key] == nil {
            events.append(.defined(key: key, value: value))
        }
    }
}

extension ReplicatedQueue {
    func write(to writer: inout RecordWriter) {
        writer.append(number)
        writer.append(key)
        writer.append(virtualHost)
        writer.append(name)
        writer.append(arguments.encoded)
        writer.append(nextSequence)
        writer.append(turns)
        writer.append(lastUsedAt.nanoseconds)
        writer.append(ready.peek(.max)) { $1.write(to: &$0) }
        writer.append(held.values.sorted { $0.entry.sequence < $1.entry.sequence }) {
            $1.entry.write(to: &$0)
            $1.key.write(to: &$0)
        }
        writer.append(dead) {
            $1.entry.write(to: &$0)
            $0.append($1.reason.rawValue)
        }
        writer.append(consumers) {
            $1.key.write(to: &$0)
            $0.append($1.limit)
            $0.append($1.priority)
            $0.append($1.heldCount)
            $0.append($1.lastTurn)
        }
    }

    convenience init(_ reader: inout RecordReader, memory: MemoryMeter) throws(RecordReader.Malformed) {
        let number = try reader.unsigned()
        let key = try reader.text()
        let host = try reader.text()
        let name = try reader.text()
        let place = reader.position
        guard let arguments = try? AMQPTable(encoded: try reader.data()) else {
            throw RecordReader.Malformed(position: place)
        }
        let nextSequence = try reader.unsigned()
        let turns = try reader.unsigned()
        self.init(
            number: number, key: key, virtualHost: host, name: name, arguments: arguments, settings: QueueSettings(),
            usedAt: LabTime(nanoseconds: try reader.signed()))
        self.nextSequence = nextSequence
        self.turns = turns
        let waiting = try reader.elements { (reader: inout RecordReader) throws(RecordReader.Malformed) in
            try QueueEntry(&reader, memory: memory)
        }
        // Behind them comes what arrives, before them nothing: their places decide, whoever was given back.
        for entry in waiting { ready.giveBack(entry) }
        let held = try reader.elements { (reader: inout RecordReader) throws(RecordReader.Malformed) in
            Held(entry: try QueueEntry(&reader, memory: memory), key: try ConsumerKey(&reader))
        }
        for one in held { self.held[one.entry.sequence] = one }
        dead = try reader.elements { (reader: inout RecordReader) throws(RecordReader.Malformed) in
            let entry = try QueueEntry(&reader, memory: memory)
            let place = reader.position
            guard let reason = DeadLetter.Reason(rawValue: try reader.text()) else {
                throw RecordReader.Malformed(position: place)
            }
            return Dead(entry: entry, reason: reason)
        }
        consumers = try reader.elements { (reader: inout RecordReader) throws(RecordReader.Malformed) in
            Consumer(
                key: try ConsumerKey(&reader), limit: try reader.integer(), priority: try reader.integer(),
                heldCount: try reader.integer(), lastTurn: try reader.unsigned())
        }
    }
}

extension ConsumerKey {
    func write(to writer: inout RecordWriter) {
        writer.append(member)
        writer.append(epoch)
        writer.append(number)
    }

    init(_ reader: inout RecordReader) throws(RecordReader.Malformed) {
        self.init(member: try reader.integer(), epoch: try reader.unsigned(), number: try reader.unsigned())
    }
}

extension QueueEntry {
    func write(to writer: inout RecordWriter) {
        writer.append(sequence)
        writer.append(returnCount)
        writer.append(isRedelivered)
        writer.append(expiresAt.nanoseconds)
        writer.append(holder)
        message.stored(expiresAt: nil).write(to: &writer)
    }

    init(_ reader: inout RecordReader, memory: MemoryMeter) throws(RecordReader.Malformed) {
        let sequence = try reader.unsigned()
        let returnCount = try reader.integer()
        let isRedelivered = try reader.flag()
        let expiresAt = LabTime(nanoseconds: try reader.signed())
        let holder = try reader.unsigned()
        self.init(
            sequence: sequence, message: BrokerMessage(try StoredMessage(&reader), memory: memory),
            returnCount: returnCount, isRedelivered: isRedelivered, expiresAt: expiresAt, isStored: false)
        self.holder = holder
    }
}
