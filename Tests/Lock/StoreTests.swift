import KernelStructures
import LockEngine
import Testing

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
private let now = LabTime.documentedEpoch

extension LockStore {
    @discardableResult
    fileprivate mutating func put(_ key: String, _ value: String, lease: Int64 = 0) -> [StoreEvent] {
        apply(.put(PutRequest(bytes(key), bytes(value), lease: lease)), now: now).1
    }

    @discardableResult
    fileprivate mutating func delete(_ key: String) -> Outcome {
        apply(.delete(DeleteRequest(KeyRange(bytes(key)))), now: now).0
    }

    fileprivate func keys(_ request: RangeRequest) throws -> [String] {
        try range(request).keyValues.map { String(decoding: $0.key, as: UTF8.self) }
    }
}

@Suite("Lock: the store with revisions")
struct RevisionStoreTests {
    @Test("each change has the next revision, and a key born again is a new one")
    func revisions() throws {
        var store = LockStore()
        #expect(store.store.revision == 1)
        store.put("a", "1")
        store.put("a", "2")
        let changed = try #require(store.store.value(bytes("a")))
        #expect(changed.createRevision == 2 && changed.modRevision == 3 && changed.version == 2)
        store.delete("a")
        #expect(store.store.revision == 4 && store.store.value(bytes("a")) == nil)
        // Deleting what is not there is no change.
        store.delete("a")
        #expect(store.store.revision == 4)
        store.put("a", "3")
        let reborn = try #require(store.store.value(bytes("a")))
        #expect(reborn.createRevision == 5 && reborn.version == 1)
        #expect(store.store.value(bytes("a"), at: 3)?.value == bytes("2"))
        #expect(store.store.value(bytes("a"), at: 4) == nil)
    }

    @Test("what is compacted cannot be read, what is not can, and the present always")
    func compaction() throws {
        var store = LockStore()
        for number in 1...5 { store.put("a", "\(number)") }  // revisions 2…6
        store.put("b", "x")
        store.delete("b")  // 8
        #expect(store.apply(.compact(5), now: now).0 == .compacted)
        #expect(store.apply(.compact(5), now: now).0 == .refused(.compacted))
        #expect(store.apply(.compact(99), now: now).0 == .refused(.futureRevision))
        var old = RangeRequest(KeyRange(bytes("a")))
        old.revision = 4
        #expect(throws: StoreError.compacted) { try store.range(old) }
        old.revision = 5
        #expect(try store.range(old).keyValues.first?.value == bytes("4"))
        old.revision = 100
        #expect(throws: StoreError.futureRevision) { try store.range(old) }
        #expect(store.store.events(from: 5, limit: 10) == nil)
        #expect(store.store.events(from: 6, limit: 10)?.map(\.revision) == [6, 7, 8])
        store.apply(.compact(8), now: now)
        #expect(store.store.versionCount == 1, "a deleted key leaves nothing behind")
    }

    @Test("ranges: prefixes, limits, orders, filters")
    func ranges() throws {
        var store = LockStore()
        for key in ["b", "a", "ab", "c", "aa"] { store.put(key, key) }
        store.put("a", "again")
        #expect(try store.keys(RangeRequest(KeyRange(prefix: bytes("a")))) == ["a", "aa", "ab"])
        #expect(try store.keys(RangeRequest(.all)).count == 5)
        var request = RangeRequest(KeyRange(bytes("a"), end: bytes("c")))
        request.limit = 2
        let limited = try store.range(request)
        #expect(limited.keyValues.count == 2 && limited.hasMore && limited.count == 4)
        request.limit = 0
        request.sortOrder = .descend
        request.sortTarget = .create
        #expect(try store.keys(request) == ["aa", "ab", "a", "b"])
        request.sortTarget = .mod
        request.sortOrder = .ascend
        #expect(try store.keys(request) == ["b", "ab", "aa", "a"])
        request.minCreateRevision = 4
        #expect(try store.keys(request) == ["ab", "aa"])
        request.countOnly = true
        #expect(try store.range(request).keyValues.isEmpty)
        #expect(throws: StoreError.emptyKey) { try store.range(RangeRequest(KeyRange([]))) }
    }

    @Test("the end of a prefix, with bytes of 255 in it")
    func prefixes() {
        #expect(KeyRange.successor(ofPrefix: [1, 2]) == [1, 3])
        #expect(KeyRange.successor(ofPrefix: [1, 255, 255]) == [2])
        #expect(KeyRange.successor(ofPrefix: [255]) == [0])
        #expect(KeyRange(prefix: [255]).contains([255, 9]) && !KeyRange(prefix: [255]).contains([254]))
    }

    /// A table of keys beside a sorted array, over random changes.
    @Test("ten thousand keys in random order")
    func many() throws {
        var store = LockStore()
        var random = SeededRandom(seed: 7)
        var model: [[UInt8]: [UInt8]] = [:]
        for _ in 0..<10_000 {
            let key = bytes("k\(random.next() % 3000)")
            if random.next() % 4 == 0 {
                store.apply(.delete(DeleteRequest(KeyRange(key))), now: now)
                model[key] = nil
            } else {
                let value = bytes("\(random.next() % 100)")
                store.apply(.put(PutRequest(key, value)), now: now)
                model[key] = value
            }
        }
        let all = try store.range(RangeRequest(.all)).keyValues
        #expect(all.map(\.key) == model.keys.sorted { $0.lexicographicallyPrecedes($1) })
        #expect(all.allSatisfy { model[$0.key] == $0.value })
        #expect(store.store.keyCount == model.count)
    }
}

@Suite("Lock: transactions")
struct StoreTransactionTests {
    private func compare(_ key: String, _ relation: KeyComparison.Relation, _ subject: KeyComparison.Subject)
        -> KeyComparison
    {
        KeyComparison(KeyRange(bytes(key)), relation, subject)
    }

    @Test("one branch or the other, at one revision")
    func branches() {
        var store = LockStore()
        let create = StoreCommand.transaction(
            TransactionRequest(
                [compare("a", .equal, .createRevision(0))],
                then: [.put(PutRequest(bytes("a"), bytes("1"))), .put(PutRequest(bytes("b"), bytes("2")))],
                else: [.range(RangeRequest(KeyRange(bytes("a"))))]))
        let (first, events) = store.apply(create, now: now)
        #expect(first == .transaction(succeeded: true, [.put(previous: nil), .put(previous: nil)]))
        #expect(events.map(\.revision) == [2, 2])
        guard case .transaction(false, let responses) = store.apply(create, now: now).0,
            case .range(let range)? = responses.first
        else {
            Issue.record("the second time it is there")
            return
        }
        #expect(range.keyValues.first?.value == bytes("1") && store.store.revision == 2)
    }

    @Test(
        "comparisons of what is there and what is not",
        arguments: [
            ("a", KeyComparison.Relation.equal, KeyComparison.Subject.value(Array("1".utf8)), true),
            ("a", .notEqual, .value(Array("1".utf8)), false), ("a", .greater, .value(Array("0".utf8)), true),
            ("a", .less, .version(2), true), ("a", .equal, .modRevision(2), true), ("a", .equal, .lease(0), true),
            ("none", .equal, .version(0), true), ("none", .greater, .modRevision(0), false),
            ("none", .equal, .value([]), false), ("none", .notEqual, .value(Array("x".utf8)), false),
        ])
    func comparisons(_ key: String, _ relation: KeyComparison.Relation, _ subject: KeyComparison.Subject, _ holds: Bool)
    {
        var store = LockStore()
        store.put("a", "1")
        let request = TransactionRequest([compare(key, relation, subject)])
        #expect(store.apply(.transaction(request), now: now).0 == .transaction(succeeded: holds, []))
    }

    @Test("a refused transaction changes nothing")
    func refusals() {
        var store = LockStore()
        let put = StoreOperation.put(PutRequest(bytes("a"), bytes("1")))
        let orphan = StoreOperation.put(PutRequest(bytes("b"), bytes("1"), lease: 99))
        let nowhere = StoreOperation.put(PutRequest([], bytes("1")))
        for (operations, error) in [
            ([put, put], StoreError.duplicateKey), ([put, orphan], .leaseNotFound), ([put, nowhere], .emptyKey),
            (Array(repeating: .range(RangeRequest(.all)), count: 129), .tooManyOperations),
        ] {
            let outcome = store.apply(.transaction(TransactionRequest(then: operations)), now: now).0
            #expect(outcome == .refused(error))
        }
        var deep = TransactionRequest(then: [put])
        for _ in 0..<9 { deep = TransactionRequest(then: [.transaction(deep)]) }
        #expect(store.apply(.transaction(deep), now: now).0 == .refused(.tooDeep))
        #expect(store.store.revision == 1 && store.store.keyCount == 0)
        store.byteLimit = 3
        #expect(store.apply(.put(PutRequest(bytes("ab"), bytes("cd"))), now: now).0 == .refused(.noSpace))
    }
}

@Suite("Lock: which keys a transaction changes")
struct TransactionKeyTests {
    private let put = StoreOperation.put(PutRequest(bytes("a"), bytes("1")))
    private let delete = StoreOperation.delete(DeleteRequest(KeyRange(bytes("a"))))

    private func within(_ success: [StoreOperation], _ failure: [StoreOperation] = []) -> StoreOperation {
        .transaction(TransactionRequest(then: success, else: failure))
    }

    private func isTwice(_ operations: [StoreOperation]) -> Bool {
        do throws(StoreError) {
            try TransactionRequest(then: operations).expectKeysOnce()
            try TransactionRequest(else: operations).expectKeysOnce()
            return false
        } catch {
            return error == .duplicateKey
        }
    }

    /// As etcd 3.4.23 answered each of these.
    @Test("none twice, in whatever depth, but in branches that never happen together")
    func once() {
        #expect(isTwice([put, put]) && isTwice([put, delete]) && isTwice([delete, put]))
        #expect(isTwice([put, within([put])]) && isTwice([put, within([], [within([put])])]))
        #expect(isTwice([within([delete]), put]))
        let range = StoreOperation.delete(DeleteRequest(KeyRange(bytes("a"), end: bytes("b"))))
        #expect(isTwice([range, within([], [.put(PutRequest(bytes("ab"), []))])]))
        #expect(!isTwice([range, .put(PutRequest(bytes("b"), []))]))
        #expect(!isTwice([within([put], [put])]) && !isTwice([within([put], [delete])]))
        #expect(!isTwice([delete, delete]) && !isTwice([delete, within([delete])]))
    }

    @Test("more than can be looked at is refused, and looked at no longer")
    func limit() {
        let puts = (0..<128).map { StoreOperation.put(PutRequest(bytes("\($0)"), [])) }
        let many = TransactionRequest(then: Array(repeating: within([], puts), count: 1))
        #expect(throws: Never.self) { try many.expectKeysOnce() }
        let reads = Array(repeating: StoreOperation.range(RangeRequest(.all)), count: 128)
        let more = TransactionRequest(then: Array(repeating: within(reads), count: 9))
        #expect(throws: StoreError.tooManyOperations) { try more.expectKeysOnce() }
    }

    @Test("a put that stands alone looks for its lease first, one of a transaction for its key, as etcd does")
    func order() {
        var store = LockStore()
        var put = PutRequest(bytes("a"), [], lease: 99)
        put.ignoresValue = true
        #expect(store.apply(.put(put), now: now).0 == .refused(.leaseNotFound))
        let request = TransactionRequest(then: [.put(put)])
        #expect(store.apply(.transaction(request), now: now).0 == .refused(.keyNotFound))
    }

    @Test("a transaction that reads what is compacted, or has not come yet, is refused in the branch that is taken")
    func revisions() {
        var store = LockStore()
        for number in 1...5 { store.put("a", "\(number)") }
        store.apply(.compact(4), now: now)
        func outcome(_ revision: Int64, isTaken: Bool = true) -> LockStore.Outcome {
            var range = RangeRequest(KeyRange(bytes("a")))
            range.revision = revision
            let request =
                isTaken
                ? TransactionRequest(then: [within([.range(range)])]) : TransactionRequest(else: [.range(range)])
            return store.apply(.transaction(request), now: now).0
        }
        #expect(outcome(3) == .refused(.compacted) && outcome(99) == .refused(.futureRevision))
        #expect(outcome(3, isTaken: false) == .transaction(succeeded: true, []))
    }
}

@Suite("Lock: what goes through the log")
struct StoreCodingTests {
    static func randomOperation(_ random: inout SeededRandom, depth: Int) -> StoreOperation {
        func some() -> [UInt8] { (0..<Int(random.next() % 5)).map { _ in UInt8(truncatingIfNeeded: random.next()) } }
        switch random.next() % (depth < 3 ? 4 : 3) {
        case 0:
            var put = PutRequest(some(), some(), lease: Int64(bitPattern: random.next()))
            put.wantsPrevious = random.next() % 2 == 0
            put.ignoresLease = random.next() % 2 == 0
            return .put(put)
        case 1: return .delete(DeleteRequest(KeyRange(some(), end: some())))
        case 2:
            var range = RangeRequest(KeyRange(some(), end: some()))
            range.limit = Int64(bitPattern: random.next())
            range.sortOrder = .descend
            range.maxModRevision = .max
            return .range(range)
        default: return .transaction(randomTransaction(&random, depth: depth + 1))
        }
    }

    static func randomTransaction(_ random: inout SeededRandom, depth: Int = 0) -> TransactionRequest {
        let subjects: [KeyComparison.Subject] = [
            .version(.min), .createRevision(.max), .modRevision(0), .value([0, 255]), .lease(-1),
        ]
        return TransactionRequest(
            (0..<Int(random.next() % 3)).map { _ in
                KeyComparison(
                    KeyRange([1], end: [2]), KeyComparison.Relation.allCases[Int(random.next() % 4)],
                    subjects[Int(random.next() % 5)])
            }, then: (0..<Int(random.next() % 3)).map { _ in randomOperation(&random, depth: depth) },
            else: (0..<Int(random.next() % 3)).map { _ in randomOperation(&random, depth: depth) })
    }

    @Test("commands come back as they were, and every shorter piece of one is refused")
    func commands() throws {
        var random = SeededRandom(seed: 3)
        for _ in 0..<300 {
            let command = StoreCommand.transaction(Self.randomTransaction(&random))
            let bytes = command.bytes
            #expect(try StoreCommand(bytes) == command)
            for end in stride(from: 0, to: bytes.count, by: 3) {
                #expect(throws: RecordReader.Malformed.self) { try StoreCommand(Array(bytes[..<end])) }
            }
            #expect(throws: RecordReader.Malformed.self) { try StoreCommand(bytes + [0]) }
        }
    }

    /// What can be read is what was written: a changed byte gives an error, or a command whose bytes are those read.
    @Test("damaged commands are refused or mean what they say")
    func damaged() {
        var random = SeededRandom(seed: 4)
        for _ in 0..<2000 {
            var bytes = StoreCommand.transaction(Self.randomTransaction(&random)).bytes
            let place = Int(random.next() % UInt64(bytes.count))
            bytes[place] ^= UInt8(1 << (random.next() % 8))
            if let read = try? StoreCommand(bytes), let again = try? StoreCommand(read.bytes) { #expect(again == read) }
        }
    }

    @Test("a snapshot gives the same store, its history too")
    func snapshots() throws {
        var store = LockStore()
        store.apply(.grantLease(id: 7, ttlSeconds: 10), now: now)
        store.put("a", "1", lease: 7)
        store.put("b", "2")
        store.put("a", "3", lease: 7)
        store.delete("b")
        store.apply(.compact(3), now: now)
        var copy = try LockStore(snapshot: store.snapshot)
        #expect(copy.stateHash == store.stateHash && copy.store.revision == store.store.revision)
        #expect(copy.store.events(from: 4, limit: 9)?.map(\.kind) == [.put, .delete])
        #expect(copy.leases[7]?.keys == [bytes("a")])
        // And it goes on in the same way.
        for one in [StoreCommand.revokeLease(id: 7, isExpired: true), .put(PutRequest(bytes("c"), []))] {
            #expect(copy.apply(one, now: now).1 == store.apply(one, now: now).1)
        }
        #expect(copy.stateHash == store.stateHash)
        #expect(throws: RecordReader.Malformed.self) { try LockStore(snapshot: Array(store.snapshot.dropLast())) }
    }

    @Test("outcomes come back as they were")
    func outcomes() throws {
        let one = KeyValue(key: [1], value: [2], createRevision: 3, modRevision: .max, version: 5, lease: .min)
        var range = RangeResponse()
        range.keyValues = [one]
        range.count = 9
        range.hasMore = true
        let outcomes: [LockStore.Outcome] = [
            .put(previous: one), .put(previous: nil), .delete(count: 2, previous: [one, one]), .compacted,
            .leaseGranted(id: -5, ttlSeconds: 9), .leaseRevoked, .refused(.leaseNotFound),
            .transaction(succeeded: true, [.range(range), .transaction(succeeded: false, [.put(previous: one)])]),
        ]
        for outcome in outcomes { #expect(try LockStore.Outcome(outcome.bytes) == outcome) }
    }
}
