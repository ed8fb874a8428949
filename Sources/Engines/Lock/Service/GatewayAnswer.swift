import KernelCryptography
import KernelJSON
import KernelStructures
import LockEngine

/// Answers as etcd's gateway writes them: 64-bit numbers as text, bytes in base64, and no fields with their usual
/// value.
struct GatewayAnswer {
    private(set) var members: [(key: String, value: JSONValue)] = []

    init() {}

    var json: JSONValue { .object(members) }

    mutating func add(_ name: String, _ number: Int64) {
        if number != 0 { members.append((name, .string(String(number)))) }
    }
    mutating func add(_ name: String, _ flag: Bool) { if flag { members.append((name, .bool(true))) } }
    mutating func add(_ name: String, _ text: String) { if !text.isEmpty { members.append((name, .string(text))) } }
    mutating func add(_ name: String, _ bytes: [UInt8]) { add(name, Base64.standard.encode(bytes)) }
    mutating func add(_ name: String, _ value: JSONValue?) { if let value { members.append((name, value)) } }
    mutating func add(_ name: String, _ elements: [JSONValue]) {
        if !elements.isEmpty { members.append((name, .array(elements))) }
    }
}

extension KeyValue {
    var json: JSONValue {
        var answer = GatewayAnswer()
        answer.add("key", key)
        answer.add("create_revision", createRevision)
        answer.add("mod_revision", modRevision)
        answer.add("version", version)
        answer.add("value", value)
        answer.add("lease", lease)
        return answer.json
    }
}

extension StoreEvent {
    func json(withPrevious wantsPrevious: Bool) -> JSONValue {
        var answer = GatewayAnswer()
        if kind == .delete { answer.add("type", "DELETE") }
        answer.add("kv", keyValue.json)
        if wantsPrevious { answer.add("prev_kv", previous?.json) }
        return answer.json
    }
}

extension RangeResponse {
    func write(to answer: inout GatewayAnswer) {
        answer.add("kvs", keyValues.map(\.json))
        answer.add("more", hasMore)
        answer.add("count", count)
    }
}

extension StoreOperationResponse {
    /// - Parameter header: in each response of a transaction, with its revision alone.
    func json(_ header: JSONValue) -> JSONValue {
        var answer = GatewayAnswer()
        answer.add("header", header)
        let name: String
        switch self {
        case .range(let range):
            name = "response_range"
            range.write(to: &answer)
        case .put(let previous):
            name = "response_put"
            answer.add("prev_kv", previous?.json)
        case .delete(let count, let previous):
            name = "response_delete_range"
            answer.add("deleted", count)
            answer.add("prev_kvs", previous.map(\.json))
        case .transaction(let succeeded, let responses):
            name = "response_txn"
            answer.add("succeeded", succeeded)
            answer.add("responses", responses.map { $0.json(header) })
        }
        return .object([(name, answer.json)])
    }
}

/// An error as the gateway tells it: etcd's text, gRPC's code, and the status that the gateway makes of it.
struct GatewayError: Error, Equatable {
    let text: String
    let code: Int

    /// gRPC's codes, as far as they are used here.
    static let unknown = 2
    static let invalidArgument = 3
    static let deadlineExceeded = 4
    static let notFound = 5
    static let resourceExhausted = 8
    static let failedPrecondition = 9
    static let outOfRange = 11
    static let unavailable = 14

    init(_ text: String, _ code: Int) {
        self.text = text
        self.code = code
    }

    init(_ error: StoreError) {
        let code =
            switch error {
            case .emptyKey, .keyNotFound, .valueProvided, .leaseProvided, .duplicateKey, .tooManyOperations, .tooDeep,
                .requestTooLarge:
                Self.invalidArgument
            case .compacted, .futureRevision, .leaseTTLTooLarge: Self.outOfRange
            case .leaseNotFound: Self.notFound
            case .leaseExists: Self.failedPrecondition
            case .tooManyLeases, .noSpace: Self.resourceExhausted
            case .malformedCommand: Self.unknown
            }
        self.init(error.description, code)
    }

    /// As the gateway of etcd 3.4 has it; later ones answer 400 to a failed precondition.
    var status: Int {
        switch code {
        case Self.invalidArgument, Self.outOfRange: 400
        case Self.failedPrecondition: 412
        case Self.notFound: 404
        case Self.resourceExhausted: 429
        case Self.deadlineExceeded: 504
        case Self.unavailable: 503
        default: 500
        }
    }

    var json: JSONValue {
        .object([("error", .string(text)), ("message", .string(text)), ("code", .integer(code))])
    }

    /// The same as the last line of a stream.
    var streamJSON: JSONValue {
        .object([
            (
                "error",
                .object([("grpc_code", .integer(code)), ("http_code", .integer(status)), ("message", .string(text))])
            )
        ])
    }
}
