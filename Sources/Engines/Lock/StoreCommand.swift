import KernelStructures

/// What goes through the log: a change of the replicated state, as bytes.
///
/// The same commands in the same order give the same state on every node. So nothing in them may depend on who applies
/// them or when: ids and times are chosen before a command is proposed, never while it is applied.
public enum StoreCommand: Equatable, Sendable {
    case transaction(TransactionRequest)
    case put(PutRequest)
    case delete(DeleteRequest)
    case compact(Int64)
    case grantLease(id: Int64, ttlSeconds: Int64)
    /// - Parameter isExpired: it has run out, and was not given back.
    case revokeLease(id: Int64, isExpired: Bool)

    public var bytes: [UInt8] {
        var writer = RecordWriter()
        switch self {
        case .transaction(let request):
            writer.append(byte: 1)
            writer.append(request)
        case .put(let request):
            writer.append(byte: 2)
            writer.append(request)
        case .delete(let request):
            writer.append(byte: 3)
            writer.append(request)
        case .compact(let revision):
            writer.append(byte: 4)
            writer.append(revision)
        case .grantLease(let id, let ttlSeconds):
            writer.append(byte: 5)
            writer.append(id)
            writer.append(ttlSeconds)
        case .revokeLease(let id, let isExpired):
            writer.append(byte: 6)
            writer.append(id)
            writer.append(isExpired)
        }
        return writer.bytes
    }

    public init(_ bytes: [UInt8]) throws(RecordReader.Malformed) {
        var reader = RecordReader(bytes)
        switch try reader.byte() {
        case 1: self = .transaction(try reader.transaction(depth: 0))
        case 2: self = .put(try reader.put())
        case 3: self = .delete(try reader.delete())
        case 4: self = .compact(try reader.signed())
        case 5: self = .grantLease(id: try reader.signed(), ttlSeconds: try reader.signed())
        case 6: self = .revokeLease(id: try reader.signed(), isExpired: try reader.flag())
        default: throw RecordReader.Malformed(position: 0)
        }
        try reader.expectEnd()
    }
}

extension RecordWriter {
    fileprivate mutating func append(_ range: KeyRange) {
        append(range.start)
        append(range.end ?? [])
    }

    fileprivate mutating func append(_ request: PutRequest) {
        append(request.key)
        append(request.value)
        append(request.lease)
        append(request.wantsPrevious)
        append(request.ignoresValue)
        append(request.ignoresLease)
    }

    fileprivate mutating func append(_ request: DeleteRequest) {
        append(request.range)
        append(request.wantsPrevious)
    }

    fileprivate mutating func append(_ request: RangeRequest) {
        append(request.range)
        append(request.limit)
        append(request.revision)
        append(byte: request.sortOrder.rawValue)
        append(byte: request.sortTarget.rawValue)
        append(request.isSerializable)
        append(request.keysOnly)
        append(request.countOnly)
        for bound in [
            request.minModRevision, request.maxModRevision, request.minCreateRevision, request.maxCreateRevision,
        ] { append(bound) }
    }

    fileprivate mutating func append(_ comparison: KeyComparison) {
        append(comparison.range)
        append(byte: comparison.relation.rawValue)
        switch comparison.subject {
        case .version(let number): append(tagged: 0, number)
        case .createRevision(let number): append(tagged: 1, number)
        case .modRevision(let number): append(tagged: 2, number)
        case .lease(let number): append(tagged: 3, number)
        case .value(let bytes):
            append(byte: 4)
            append(bytes)
        }
    }

    private mutating func append(tagged tag: UInt8, _ number: Int64) {
        append(byte: tag)
        append(number)
    }

    fileprivate mutating func append(_ request: TransactionRequest) {
        append(request.comparisons) { $0.append($1) }
        append(request.success) { $0.append($1) }
        append(request.failure) { $0.append($1) }
    }

    private mutating func append(_ operation: StoreOperation) {
        switch operation {
        case .range(let request):
            append(byte: 0)
            append(request)
        case .put(let request):
            append(byte: 1)
            append(request)
        case .delete(let request):
            append(byte: 2)
            append(request)
        case .transaction(let request):
            append(byte: 3)
            append(request)
        }
    }
}

extension RecordReader {
    private mutating func choice<Choice: RawRepresentable>(_: Choice.Type) throws(Malformed) -> Choice
    where Choice.RawValue == UInt8 {
        let place = position
        guard let choice = Choice(rawValue: try byte()) else { throw Malformed(position: place) }
        return choice
    }

    private mutating func range() throws(Malformed) -> KeyRange { KeyRange(try data(), end: try data()) }

    fileprivate mutating func put() throws(Malformed) -> PutRequest {
        var request = PutRequest(try data(), try data(), lease: try signed())
        request.wantsPrevious = try flag()
        request.ignoresValue = try flag()
        request.ignoresLease = try flag()
        return request
    }

    fileprivate mutating func delete() throws(Malformed) -> DeleteRequest {
        var request = DeleteRequest(try range())
        request.wantsPrevious = try flag()
        return request
    }

    private mutating func rangeRequest() throws(Malformed) -> RangeRequest {
        var request = RangeRequest(try range())
        request.limit = try signed()
        request.revision = try signed()
        request.sortOrder = try choice(RangeRequest.SortOrder.self)
        request.sortTarget = try choice(RangeRequest.SortTarget.self)
        request.isSerializable = try flag()
        request.keysOnly = try flag()
        request.countOnly = try flag()
        request.minModRevision = try signed()
        request.maxModRevision = try signed()
        request.minCreateRevision = try signed()
        request.maxCreateRevision = try signed()
        return request
    }

    private mutating func comparison() throws(Malformed) -> KeyComparison {
        let range = try range()
        let relation = try choice(KeyComparison.Relation.self)
        switch try byte() {
        case 0: return KeyComparison(range, relation, .version(try signed()))
        case 1: return KeyComparison(range, relation, .createRevision(try signed()))
        case 2: return KeyComparison(range, relation, .modRevision(try signed()))
        case 3: return KeyComparison(range, relation, .lease(try signed()))
        case 4: return KeyComparison(range, relation, .value(try data()))
        default: throw Malformed(position: position)
        }
    }

    fileprivate mutating func transaction(depth: Int) throws(Malformed) -> TransactionRequest {
        guard depth < TransactionRequest.depthLimit else { throw Malformed(position: position) }
        return TransactionRequest(
            try elements { reader throws(Malformed) in try reader.comparison() },
            then: try elements { reader throws(Malformed) in try reader.operation(depth: depth) },
            else: try elements { reader throws(Malformed) in try reader.operation(depth: depth) })
    }

    private mutating func operation(depth: Int) throws(Malformed) -> StoreOperation {
        switch try byte() {
        case 0: return .range(try rangeRequest())
        case 1: return .put(try put())
        case 2: return .delete(try delete())
        case 3: return .transaction(try transaction(depth: depth + 1))
        default: throw Malformed(position: position)
        }
    }
}
