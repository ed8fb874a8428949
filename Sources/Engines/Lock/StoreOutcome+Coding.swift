import KernelStructures

/// An outcome as the group keeps it for whoever proposed: see `ReplicatedStateMachine.apply`.
extension LockStore.Outcome {
    public var bytes: [UInt8] {
        var writer = RecordWriter()
        switch self {
        case .transaction(let succeeded, let responses):
            writer.append(byte: 1)
            writer.append(succeeded)
            writer.append(responses) { $0.append($1) }
        case .put(let previous):
            writer.append(byte: 2)
            writer.append(previous.map { [$0] } ?? []) { $0.append($1) }
        case .delete(let count, let previous):
            writer.append(byte: 3)
            writer.append(count)
            writer.append(previous) { $0.append($1) }
        case .compacted: writer.append(byte: 4)
        case .leaseGranted(let id, let ttlSeconds):
            writer.append(byte: 5)
            writer.append(id)
            writer.append(ttlSeconds)
        case .leaseRevoked: writer.append(byte: 6)
        case .refused(let error):
            writer.append(byte: 7)
            writer.append(byte: error.rawValue)
        }
        return writer.bytes
    }

    public init(_ bytes: [UInt8]) throws(RecordReader.Malformed) {
        var reader = RecordReader(bytes)
        switch try reader.byte() {
        case 1:
            self = .transaction(
                succeeded: try reader.flag(),
                try reader.elements { reader throws(RecordReader.Malformed) in try reader.response(depth: 0) })
        case 2:
            self = .put(
                previous: try reader.elements { reader throws(RecordReader.Malformed) in try reader.keyValue() }.first)
        case 3:
            self = .delete(
                count: try reader.signed(),
                previous: try reader.elements { reader throws(RecordReader.Malformed) in try reader.keyValue() })
        case 4: self = .compacted
        case 5: self = .leaseGranted(id: try reader.signed(), ttlSeconds: try reader.signed())
        case 6: self = .leaseRevoked
        case 7:
            guard let error = StoreError(rawValue: try reader.byte()) else {
                throw RecordReader.Malformed(position: reader.position)
            }
            self = .refused(error)
        default: throw RecordReader.Malformed(position: 0)
        }
        try reader.expectEnd()
    }
}

extension RecordWriter {
    fileprivate mutating func append(_ one: KeyValue) {
        append(one.key)
        append(one.value)
        append(one.createRevision)
        append(one.modRevision)
        append(one.version)
        append(one.lease)
    }

    fileprivate mutating func append(_ response: StoreOperationResponse) {
        switch response {
        case .range(let range):
            append(byte: 0)
            append(range.keyValues) { $0.append($1) }
            append(range.hasMore)
            append(range.count)
        case .put(let previous):
            append(byte: 1)
            append(previous.map { [$0] } ?? []) { $0.append($1) }
        case .delete(let count, let previous):
            append(byte: 2)
            append(count)
            append(previous) { $0.append($1) }
        case .transaction(let succeeded, let responses):
            append(byte: 3)
            append(succeeded)
            append(responses) { $0.append($1) }
        }
    }
}

extension RecordReader {
    fileprivate mutating func keyValue() throws(Malformed) -> KeyValue {
        KeyValue(
            key: try data(), value: try data(), createRevision: try signed(), modRevision: try signed(),
            version: try signed(), lease: try signed())
    }

    private mutating func keyValues() throws(Malformed) -> [KeyValue] {
        try elements { reader throws(Malformed) in try reader.keyValue() }
    }

    fileprivate mutating func response(depth: Int) throws(Malformed) -> StoreOperationResponse {
        guard depth <= TransactionRequest.depthLimit else { throw Malformed(position: position) }
        switch try byte() {
        case 0:
            var range = RangeResponse()
            range.keyValues = try keyValues()
            range.hasMore = try flag()
            range.count = try signed()
            return .range(range)
        case 1: return .put(previous: try keyValues().first)
        case 2: return .delete(count: try signed(), previous: try keyValues())
        case 3:
            return .transaction(
                succeeded: try flag(),
                try elements { reader throws(Malformed) in try reader.response(depth: depth + 1) })
        default: throw Malformed(position: position)
        }
    }
}
