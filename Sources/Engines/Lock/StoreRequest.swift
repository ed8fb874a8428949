import KernelStructures

/// What may be asked of the store. What changes it goes through the log as a `StoreCommand`; the words are etcd's.
public struct RangeRequest: Equatable, Sendable {
    public enum SortOrder: UInt8, Sendable, CaseIterable { case none, ascend, descend }
    public enum SortTarget: UInt8, Sendable, CaseIterable { case key, version, create, mod, value }

    public var range: KeyRange
    /// 0: all.
    public var limit: Int64 = 0
    /// 0: the present.
    public var revision: Int64 = 0
    public var sortOrder = SortOrder.none
    public var sortTarget = SortTarget.key
    /// Answered from what this node has, without asking the others whether it is the latest.
    public var isSerializable = false
    public var keysOnly = false
    public var countOnly = false
    /// 0 where they are no bound.
    public var minModRevision: Int64 = 0
    public var maxModRevision: Int64 = 0
    public var minCreateRevision: Int64 = 0
    public var maxCreateRevision: Int64 = 0

    public init(_ range: KeyRange) { self.range = range }
}

public struct RangeResponse: Equatable, Sendable {
    public var keyValues: [KeyValue] = []
    /// Whether there are more than `limit`.
    public var hasMore = false
    /// All in the range, whatever the limit.
    public var count: Int64 = 0

    public init() {}
}

public struct PutRequest: Equatable, Sendable {
    public var key: Key
    public var value: [UInt8]
    public var lease: Int64 = 0
    /// Whether the previous value is wanted in the answer.
    public var wantsPrevious = false
    /// Keeps the value, or the lease, that is there.
    public var ignoresValue = false
    public var ignoresLease = false

    public init(_ key: Key, _ value: [UInt8], lease: Int64 = 0) {
        self.key = key
        self.value = value
        self.lease = lease
    }
}

public struct DeleteRequest: Equatable, Sendable {
    public var range: KeyRange
    public var wantsPrevious = false
    public init(_ range: KeyRange) { self.range = range }
}

/// A condition of a transaction, on each key of a range.
public struct KeyComparison: Equatable, Sendable {
    public enum Relation: UInt8, Sendable, CaseIterable { case equal, greater, less, notEqual }
    public enum Subject: Equatable, Sendable {
        case version(Int64)
        case createRevision(Int64)
        case modRevision(Int64)
        case value([UInt8])
        case lease(Int64)
    }

    public var range: KeyRange
    public var relation: Relation
    public var subject: Subject

    public init(_ range: KeyRange, _ relation: Relation, _ subject: Subject) {
        self.range = range
        self.relation = relation
        self.subject = subject
    }
}

/// If all comparisons hold, then what `success` says, otherwise what `failure` says; all at one revision.
public struct TransactionRequest: Equatable, Sendable {
    public var comparisons: [KeyComparison] = []
    public var success: [StoreOperation] = []
    public var failure: [StoreOperation] = []

    public init(
        _ comparisons: [KeyComparison] = [], then success: [StoreOperation] = [], else failure: [StoreOperation] = []
    ) {
        self.comparisons = comparisons
        self.success = success
        self.failure = failure
    }

    /// Operations of one transaction, as etcd's `--max-txn-ops`.
    public static let operationLimit = 128
    /// Transactions within transactions.
    public static let depthLimit = 8

    /// Whether it can change nothing, whatever holds.
    public var readsOnly: Bool { (success + failure).allSatisfy(\.readsOnly) }
}

public indirect enum StoreOperation: Equatable, Sendable {
    case range(RangeRequest)
    case put(PutRequest)
    case delete(DeleteRequest)
    case transaction(TransactionRequest)

    var readsOnly: Bool {
        switch self {
        case .range: true
        case .put, .delete: false
        case .transaction(let inner): inner.readsOnly
        }
    }
}

public enum StoreOperationResponse: Equatable, Sendable {
    case range(RangeResponse)
    case put(previous: KeyValue?)
    case delete(count: Int64, previous: [KeyValue])
    indirect case transaction(succeeded: Bool, [StoreOperationResponse])
}

/// Why the store refuses, in etcd's words: clients tell errors apart by their text.
public enum StoreError: UInt8, Error, Equatable, Sendable, CustomStringConvertible {
    // The numbers stand in logs: new ones come behind.
    case emptyKey
    case keyNotFound
    case valueProvided
    case leaseProvided
    case duplicateKey
    case tooManyOperations
    case tooDeep
    case compacted
    case futureRevision
    case leaseNotFound
    case leaseExists
    case leaseTTLTooLarge
    case tooManyLeases
    case noSpace
    case requestTooLarge
    case malformedCommand

    public var description: String {
        switch self {
        case .emptyKey: "etcdserver: key is not provided"
        case .keyNotFound: "etcdserver: key not found"
        case .valueProvided: "etcdserver: value is provided"
        case .leaseProvided: "etcdserver: lease is provided"
        case .duplicateKey: "etcdserver: duplicate key given in txn request"
        case .tooManyOperations: "etcdserver: too many operations in txn request"
        case .tooDeep: "etcdserver: transactions are nested too deeply"
        case .compacted: "etcdserver: mvcc: required revision has been compacted"
        case .futureRevision: "etcdserver: mvcc: required revision is a future revision"
        case .leaseNotFound: "etcdserver: requested lease not found"
        case .leaseExists: "etcdserver: lease already exists"
        case .leaseTTLTooLarge: "etcdserver: too large lease TTL"
        case .tooManyLeases: "etcdserver: too many leases"
        case .noSpace: "etcdserver: mvcc: database space exceeded"
        case .requestTooLarge: "etcdserver: request is too large"
        case .malformedCommand: "etcdserver: the log holds a command that this version does not know"
        }
    }

    init(_ error: RevisionStore.RevisionError) {
        switch error {
        case .compacted: self = .compacted
        case .future: self = .futureRevision
        }
    }
}
