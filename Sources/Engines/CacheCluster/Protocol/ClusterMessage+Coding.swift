import KernelStructures

/// Messages as bytes.
///
/// ```
///   CRC-32C of the rest (4, lowest byte first) │ kind (1) │ sender │ epoch │ content
/// ```
///
/// Numbers and lists as `RecordWriter` has them. The checksum is there because a lab's lines flip bits. What is read
/// is bounded before anything is kept: slots, epochs, offsets and lists have limits, and so has the message.
extension ClusterMessage {
    static let offsetLimit = 1 << 56

    public var encoded: [UInt8] {
        var writer = RecordWriter()
        writer.append(byte: content.code)
        writer.append(sender)
        writer.append(UInt64(epoch))
        content.put(into: &writer)
        let sum = CRC32C.of(writer.bytes)
        return (0..<4).map { UInt8(truncatingIfNeeded: sum >> ($0 * 8)) } + writer.bytes
    }

    /// - Throws: `RecordReader.Malformed` if the bytes are none of `encoded`.
    public init(encoded bytes: [UInt8]) throws(RecordReader.Malformed) {
        guard bytes.count > 4 else { throw RecordReader.Malformed(position: bytes.count) }
        let sum = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[$1]) << ($1 * 8) }
        guard
            bytes.withUnsafeBytes({ bytes in
                var crc = CRC32C()
                crc.update(UnsafeRawBufferPointer(rebasing: bytes[4...]))
                return crc.value
            }) == sum
        else { throw RecordReader.Malformed(position: 0) }
        var reader = RecordReader(bytes, from: 4)
        let code = try reader.byte()
        sender = try reader.nodeID()
        epoch = try reader.number(below: SlotVersion.epochLimit)
        content = try Content(code: code, &reader)
        try reader.expectEnd()
    }
}

extension ClusterMessage.Content {
    var code: UInt8 {
        switch self {
        case .heartbeat: 1
        case .failed: 2
        case .slots: 3
        case .noted: 4
        case .ballot: 5
        case .vote: 6
        case .follow: 7
        case .stream: 8
        case .load: 9
        case .restart: 10
        case .acknowledge: 11
        case .requestHandover: 12
        case .publish: 13
        }
    }

    func put(into writer: inout RecordWriter) {
        switch self {
        case .heartbeat(let heartbeat): heartbeat.put(into: &writer)
        case .failed(let id): writer.append(id)
        case .slots(let runs, let ticket):
            writer.append(UInt64(ticket))
            writer.append(runs: runs)
        case .noted(let ticket): writer.append(UInt64(ticket))
        case .ballot(let ballot): ballot.put(into: &writer)
        case .vote(let vote): vote.put(into: &writer)
        case .follow(let follow): follow.put(into: &writer)
        case .stream(let part): part.put(into: &writer)
        case .load(let load): load.put(into: &writer)
        case .restart(let stream, let offset):
            writer.append(stream)
            writer.append(UInt64(offset))
        case .acknowledge(let stream, let sequence, let offset):
            writer.append(stream)
            writer.append(UInt64(sequence))
            writer.append(UInt64(offset))
        case .requestHandover: break
        case .publish(let channel, let message, let isSharded):
            writer.append(channel)
            writer.append(message)
            writer.append(isSharded)
        }
    }

    init(code: UInt8, _ reader: inout RecordReader) throws(RecordReader.Malformed) {
        switch code {
        case 1: self = .heartbeat(try Heartbeat(&reader))
        case 2: self = .failed(try reader.nodeID())
        case 3:
            let ticket = try reader.offset()
            self = .slots(try reader.runs(), ticket: ticket)
        case 4: self = .noted(ticket: try reader.offset())
        case 5: self = .ballot(try Ballot(&reader))
        case 6: self = .vote(try Vote(&reader))
        case 7: self = .follow(try Follow(&reader))
        case 8: self = .stream(try StreamPart(&reader))
        case 9: self = .load(try SlotLoad(&reader))
        case 10:
            let stream = try reader.unsigned()
            self = .restart(stream: stream, offset: try reader.offset())
        case 11:
            let stream = try reader.unsigned()
            let sequence = try reader.offset()
            self = .acknowledge(stream: stream, sequence: sequence, offset: try reader.offset())
        case 12: self = .requestHandover
        case 13:
            let channel = try reader.data()
            let message = try reader.data()
            self = .publish(channel: channel, message: message, isSharded: try reader.flag())
        default: throw RecordReader.Malformed(position: reader.position)
        }
    }
}

extension RecordWriter {
    mutating func append(_ range: ClosedRange<Int>) {
        append(UInt64(range.lowerBound))
        append(UInt64(range.count))
    }
    mutating func append(_ version: SlotVersion) { append(version.bits) }
    mutating func append(commands: [[[UInt8]]]) {
        append(commands) { writer, command in writer.append(command) { $0.append($1) } }
    }

    /// The nodes first, each once, and then runs that speak of them by number.
    mutating func append(runs: [SlotMap.Run]) {
        var ids: [ClusterNodeID] = []
        var numbers: [ClusterNodeID: Int] = [:]
        for id in runs.flatMap({ [$0.record.owner].compactMap { $0 } + $0.record.copies }) where numbers[id] == nil {
            numbers[id] = ids.count
            ids.append(id)
        }
        append(ids) { $0.append($1) }
        append(runs) { writer, run in
            writer.append(run.slots)
            writer.append(run.record.version)
            writer.append(UInt64(run.record.owner.map { numbers[$0]! + 1 } ?? 0))
            writer.append(run.record.copies) { $0.append(UInt64(numbers[$1]!)) }
            writer.append(run.record.isPinned)
            writer.append(UInt64(run.record.takenAt.map { $0 + 1 } ?? 0))
        }
    }
}

extension RecordReader {
    mutating func offset() throws(Malformed) -> Int { try number(below: ClusterMessage.offsetLimit) }

    mutating func slotRange() throws(Malformed) -> ClosedRange<Int> {
        let first = try number(below: SlotSet.slotCount)
        let count = try number(below: SlotSet.slotCount + 1)
        guard count > 0, first + count <= SlotSet.slotCount else { throw Malformed(position: position) }
        return first...first + count - 1
    }

    mutating func version() throws(Malformed) -> SlotVersion {
        let version = SlotVersion(bits: try unsigned())
        guard version.epoch < SlotVersion.epochLimit else { throw Malformed(position: position) }
        return version
    }

    mutating func commands() throws(Malformed) -> [[[UInt8]]] {
        try elements { reader throws(Malformed) in
            let words = try reader.elements { reader throws(Malformed) in try reader.data() }
            guard !words.isEmpty else { throw Malformed(position: reader.position) }
            return words
        }
    }

    mutating func runs() throws(Malformed) -> [SlotMap.Run] {
        let ids = try elements { reader throws(Malformed) in try reader.nodeID() }
        let runs = try elements { reader throws(Malformed) in
            let slots = try reader.slotRange()
            var record = SlotMap.Record(owner: nil, version: try reader.version())
            let owner = try reader.number(below: ids.count + 1)
            if owner > 0 { record.owner = ids[owner - 1] }
            record.copies = try reader.elements { reader throws(Malformed) in ids[try reader.number(below: ids.count)] }
            record.isPinned = try reader.flag()
            let taken = try reader.offset()
            record.takenAt = taken > 0 ? taken - 1 : nil
            guard record.copies.count <= SlotMap.copyLimit, record.version > .none else {
                throw Malformed(position: reader.position)
            }
            return SlotMap.Run(slots: slots, record: record)
        }
        // Each slot at most once, in ascending order.
        guard zip(runs, runs.dropFirst()).allSatisfy({ $0.slots.upperBound < $1.slots.lowerBound }) else {
            throw Malformed(position: position)
        }
        return runs
    }
}
