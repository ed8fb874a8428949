import KernelStructures

/// The replicated state of a lock service: a store with revisions, and leases.
///
/// ## The problem
///
/// "Only one at a time" is easy in one process and hard among machines: whoever keeps the list may die, be cut off, or
/// be two without knowing it; and whoever holds the lock may have lost it without knowing it.
///
/// ## An everyday picture
///
/// The single-track railway line with a token. A driver may enter only with the token in hand, so there is never more
/// than one train. Here the token has a number that grows each time it is handed out, and whoever is at the far end
/// remembers the highest number seen: a train that slept in a tunnel, and comes out with an old one, is turned away.
///
/// ## How
///
/// ```
/// waiters of "a":  a/7f03 (created 47)   a/7f05 (created 48)   a/7f09 (created 51)
///                  holds it; token 47    next                  then this one
/// ```
///
/// A lock is a queue of keys with one prefix, each attached to its owner's lease. The key that came into being first
/// holds the lock, and the revision of its birth is the fencing token: revisions only grow, through deletion, restart
/// and change of leader. When the first key goes, by release or with its lease, the next one is first without anybody
/// doing anything (the recipe is ZooKeeper's and etcd's; Burrows 2006 has the sequencer). Elections, semaphores and
/// read-write locks are the same queue with another rule for who is let in: see `LockQueue`.
///
/// Everything that changes this state is a `StoreCommand` out of the log, applied in its order on every node.
///
/// ## Where it is wrong
///
/// A lease that the service has ended may still be believed in by its owner: no lock service can prevent that, only a
/// resource that looks at tokens (`FencedResource`). And a lock costs a round of the majority: what two threads of one
/// process fight about does not belong here.
public struct LockStore {
    public private(set) var store = RevisionStore()
    public private(set) var leases = LeaseTable()

    /// Bytes that the store may take, old versions too, before changes are refused: etcd's quota, smaller.
    public var byteLimit = 256 << 20

    public init() {}

    /// What a command came to.
    public enum Outcome: Equatable, Sendable {
        case transaction(succeeded: Bool, [StoreOperationResponse])
        case put(previous: KeyValue?)
        case delete(count: Int64, previous: [KeyValue])
        case compacted
        case leaseGranted(id: Int64, ttlSeconds: Int64)
        case leaseRevoked
        case refused(StoreError)
    }

    /// Applies a command from the log.
    ///
    /// - Parameters:
    ///   - now: for leases, where this node counts them; it changes nothing that is replicated.
    /// - Returns: the outcome, and what has changed, for those that watch.
    @discardableResult
    public mutating func apply(_ command: StoreCommand, now: LabTime) -> (Outcome, [StoreEvent]) {
        var transaction = store.begin()
        let outcome: Outcome
        do throws(StoreError) {
            outcome = try apply(command, now: now, in: &transaction)
        } catch {
            // Nothing is changed before all has been checked, so there is nothing to take back.
            return (.refused(error), [])
        }
        store.commit(transaction)
        return (outcome, transaction.events)
    }

    private mutating func apply(
        _ command: StoreCommand, now: LabTime, in transaction: inout RevisionStore.Transaction
    ) throws(StoreError) -> Outcome {
        switch command {
        case .put(let request):
            try check(room: request.key.count + request.value.count)
            try check(request, leaseFirst: true)
            return .put(previous: put(request, in: &transaction))
        case .delete(let request):
            try check(request.range)
            let found = delete(request, in: &transaction)
            return .delete(count: Int64(found.count), previous: request.wantsPrevious ? found : [])
        case .transaction(let request):
            try check(request, depth: 0)
            let plan = try plan(request)
            let responses = perform(plan, in: &transaction)
            return .transaction(succeeded: plan.succeeded, responses)
        case .compact(let revision):
            do throws(RevisionStore.RevisionError) { try store.compact(revision) } catch { throw StoreError(error) }
            return .compacted
        case .grantLease(let id, let ttlSeconds):
            guard leases[id] == nil else { throw .leaseExists }
            guard ttlSeconds <= LeaseTable.ttlLimitSeconds else { throw .leaseTTLTooLarge }
            guard leases.count < LeaseTable.countLimit else { throw .tooManyLeases }
            // A second at least, as etcd has its least TTL: one of none would be over before it was heard of.
            let granted = max(1, ttlSeconds)
            leases.grant(id, ttlSeconds: granted, now: now)
            return .leaseGranted(id: id, ttlSeconds: granted)
        case .revokeLease(let id, _):
            guard let lease = leases[id] else { throw .leaseNotFound }
            // In the order of the keys: all nodes must make the same changes.
            for key in lease.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
                store.delete(key, in: &transaction)
            }
            leases.remove(id)
            return .leaseRevoked
        }
    }

    // MARK: Checking

    private func check(room count: Int) throws(StoreError) {
        guard count <= byteLimit, store.byteCount <= byteLimit - count else { throw .noSpace }
    }

    private func check(_ range: KeyRange) throws(StoreError) { if range.start.isEmpty { throw .emptyKey } }

    /// - Parameter leaseFirst: as etcd looks at a put that stands alone; in a transaction it looks for the key first.
    private func check(_ request: PutRequest, leaseFirst: Bool = false) throws(StoreError) {
        if request.key.isEmpty { throw .emptyKey }
        if request.ignoresValue, !request.value.isEmpty { throw .valueProvided }
        if request.ignoresLease, request.lease != 0 { throw .leaseProvided }
        if leaseFirst { try checkLease(request) }
        if request.ignoresValue || request.ignoresLease, store.value(request.key) == nil { throw .keyNotFound }
        try checkLease(request)
    }

    private func checkLease(_ request: PutRequest) throws(StoreError) {
        if request.lease != 0, leases[request.lease] == nil { throw .leaseNotFound }
    }

    /// What holds of a transaction whatever its comparisons say.
    private func check(_ request: TransactionRequest, depth: Int) throws(StoreError) {
        guard depth < TransactionRequest.depthLimit else { throw .tooDeep }
        let limit = TransactionRequest.operationLimit
        guard request.comparisons.count <= limit, request.success.count <= limit, request.failure.count <= limit else {
            throw .tooManyOperations
        }
        for comparison in request.comparisons { try check(comparison.range) }
        for branch in [request.success, request.failure] {
            var puts: Set<Key> = []
            var size = 0
            for operation in branch {
                switch operation {
                case .range(let range): try check(range.range)
                case .delete(let delete): try check(delete.range)
                case .put(let put):
                    if put.key.isEmpty { throw .emptyKey }
                    guard puts.insert(put.key).inserted else { throw .duplicateKey }
                    size += put.key.count + put.value.count
                case .transaction(let inner): try check(inner, depth: depth + 1)
                }
            }
            try check(room: size)
        }
    }

    // MARK: Transactions

    /// A transaction whose comparisons have been made, before anything changes: etcd decides nested ones so, too.
    private indirect enum Step {
        case operation(StoreOperation)
        case transaction(Plan)
    }

    private struct Plan {
        let succeeded: Bool
        var steps: [Step] = []
    }

    /// Decides each branch, and checks what is going to be done in it.
    private func plan(_ request: TransactionRequest) throws(StoreError) -> Plan {
        var plan = Plan(succeeded: request.comparisons.allSatisfy(holds))
        for operation in plan.succeeded ? request.success : request.failure {
            switch operation {
            case .transaction(let inner): plan.steps.append(.transaction(try self.plan(inner)))
            case .put(let put):
                try check(put)
                plan.steps.append(.operation(operation))
            case .range(let range):
                do throws(RevisionStore.RevisionError) { try store.check(range.revision) } catch {
                    throw StoreError(error)
                }
                plan.steps.append(.operation(operation))
            case .delete: plan.steps.append(.operation(operation))
            }
        }
        return plan
    }

    private mutating func perform(_ plan: Plan, in transaction: inout RevisionStore.Transaction)
        -> [StoreOperationResponse]
    {
        var responses: [StoreOperationResponse] = []
        for step in plan.steps {
            switch step {
            case .transaction(let inner):
                responses.append(.transaction(succeeded: inner.succeeded, perform(inner, in: &transaction)))
            case .operation(.put(let request)): responses.append(.put(previous: put(request, in: &transaction)))
            case .operation(.delete(let request)):
                let found = delete(request, in: &transaction)
                responses.append(
                    .delete(count: Int64(found.count), previous: request.wantsPrevious ? found : []))
            case .operation(.range(let request)): responses.append(.range(answer(request)))
            case .operation(.transaction): break
            }
        }
        return responses
    }

    private func holds(_ comparison: KeyComparison) -> Bool {
        var holds = true
        var isEmpty = true
        store.forEach(in: comparison.range) { one in
            isEmpty = false
            holds = Self.holds(comparison, for: one)
            return holds
        }
        guard isEmpty else { return holds }
        // A key that is not there counts as one with zeros; only a value that is not there is like no other.
        if case .value = comparison.subject { return false }
        return Self.holds(comparison, for: KeyValue(key: comparison.range.start))
    }

    private static func holds(_ comparison: KeyComparison, for one: KeyValue) -> Bool {
        let order: Int =
            switch comparison.subject {
            case .version(let number): compare(one.version, number)
            case .createRevision(let number): compare(one.createRevision, number)
            case .modRevision(let number): compare(one.modRevision, number)
            case .lease(let number): compare(one.lease, number)
            case .value(let bytes):
                one.value == bytes ? 0 : one.value.lexicographicallyPrecedes(bytes) ? -1 : 1
            }
        return switch comparison.relation {
        case .equal: order == 0
        case .notEqual: order != 0
        case .greater: order > 0
        case .less: order < 0
        }
    }

    private static func compare(_ a: Int64, _ b: Int64) -> Int { a < b ? -1 : a > b ? 1 : 0 }

    /// - Returns: what was there, if that is wanted.
    private mutating func put(_ request: PutRequest, in transaction: inout RevisionStore.Transaction) -> KeyValue? {
        let present = store.value(request.key)
        let value = request.ignoresValue ? present?.value ?? [] : request.value
        let lease = request.ignoresLease ? present?.lease ?? 0 : request.lease
        if let present, present.lease != lease { leases.detach(request.key, from: present.lease) }
        store.put(request.key, value, lease: lease, in: &transaction)
        leases.attach(request.key, to: lease)
        return request.wantsPrevious ? present : nil
    }

    /// - Returns: all that was there.
    private mutating func delete(_ request: DeleteRequest, in transaction: inout RevisionStore.Transaction)
        -> [KeyValue]
    {
        let found = store.values(in: request.range)
        for one in found {
            leases.detach(one.key, from: one.lease)
            store.delete(one.key, in: &transaction)
        }
        return found
    }

    // MARK: Reading

    /// - Throws: `emptyKey`, `compacted`, `futureRevision`.
    public func range(_ request: RangeRequest) throws(StoreError) -> RangeResponse {
        try check(request.range)
        do throws(RevisionStore.RevisionError) { try store.check(request.revision) } catch { throw StoreError(error) }
        return answer(request)
    }

    private func answer(_ request: RangeRequest) -> RangeResponse {
        var response = RangeResponse()
        var found: [KeyValue] = []
        let isFiltered =
            request.minModRevision != 0 || request.maxModRevision != 0 || request.minCreateRevision != 0
            || request.maxCreateRevision != 0
        let needsAll = isFiltered || request.sortOrder != .none
        store.forEach(in: request.range, at: request.revision) { one in
            response.count += 1
            if request.countOnly { return true }
            if needsAll || request.limit <= 0 || found.count <= request.limit { found.append(one) }
            return true
        }
        if request.countOnly { return response }
        if isFiltered { found.removeAll { !Self.passes($0, request) } }
        Self.sort(&found, request)
        if request.limit > 0, found.count > request.limit {
            found.removeSubrange(Int(clamping: request.limit)...)
            response.hasMore = true
        }
        if request.keysOnly { for index in found.indices { found[index].value = [] } }
        response.keyValues = found
        return response
    }

    private static func passes(_ one: KeyValue, _ request: RangeRequest) -> Bool {
        func isWithin(_ number: Int64, _ least: Int64, _ most: Int64) -> Bool {
            (least == 0 || number >= least) && (most == 0 || number <= most)
        }
        return isWithin(one.modRevision, request.minModRevision, request.maxModRevision)
            && isWithin(one.createRevision, request.minCreateRevision, request.maxCreateRevision)
    }

    private static func sort(_ found: inout [KeyValue], _ request: RangeRequest) {
        // Without an order, a target means ascending, as in etcd; and by key is how they come.
        let isAscending = request.sortOrder != .descend
        if isAscending, request.sortTarget == .key { return }
        func isBefore(_ a: KeyValue, _ b: KeyValue) -> Bool {
            switch request.sortTarget {
            case .key: a.key.lexicographicallyPrecedes(b.key)
            case .version: a.version < b.version
            case .create: a.createRevision < b.createRevision
            case .mod: a.modRevision < b.modRevision
            case .value: a.value.lexicographicallyPrecedes(b.value)
            }
        }
        found.sort { isAscending ? isBefore($0, $1) : isBefore($1, $0) }
    }

    // MARK: Snapshots

    public var snapshot: [UInt8] {
        var writer = RecordWriter()
        writer.append(byte: Self.snapshotVersion)
        leases.write(to: &writer)
        store.write(to: &writer)
        return writer.bytes
    }

    private static let snapshotVersion: UInt8 = 1

    /// The same on all nodes that have applied the same.
    public var stateHash: UInt32 { CRC32C.of(snapshot) }

    public init(snapshot: [UInt8]) throws(RecordReader.Malformed) {
        var reader = RecordReader(snapshot)
        guard try reader.byte() == Self.snapshotVersion else { throw RecordReader.Malformed(position: 0) }
        leases = try LeaseTable(from: &reader)
        store = try RevisionStore(from: &reader)
        try reader.expectEnd()
        var attached: [(Key, Int64)] = []
        store.forEach(in: .all) {
            if $0.lease != 0 { attached.append(($0.key, $0.lease)) }
            return true
        }
        for (key, lease) in attached { leases.attach(key, to: lease) }
    }

    // MARK: Leases

    public mutating func startCounting(now: LabTime) { leases.startCounting(now: now) }
    public mutating func stopCounting() { leases.stopCounting() }
    /// See `LeaseTable.renew`.
    public mutating func renewLease(_ id: Int64, now: LabTime) -> Bool { leases.renew(id, now: now) }
    /// See `LeaseTable.takeExpired`.
    public mutating func takeExpiredLeases(now: LabTime) -> [Int64] { leases.takeExpired(now: now) }
    /// When the next lease runs out that this node counts.
    public mutating func nextLeaseDeadline() -> LabTime? { leases.nextDeadline() }
}
