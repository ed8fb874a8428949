import KernelStructures
import LockEngine
import Testing

private let start = LabTime.documentedEpoch
private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

@Suite("Lock: leases")
struct LeaseTests {
    private func store(_ ttl: Int64 = 10, leads: Bool = true) -> LockStore {
        var store = LockStore()
        if leads { store.startCounting(now: start) }
        store.apply(.grantLease(id: 1, ttlSeconds: ttl), now: start)
        store.apply(.put(PutRequest(bytes("a/1"), [], lease: 1)), now: start)
        return store
    }

    // @covers LOCK-C2 LOCK-H5
    @Test("a lease runs out when its time is over, and not a nanosecond before")
    func lowerBound() {
        var store = store()
        var almost = start + .seconds(10)
        almost.nanoseconds -= 1
        #expect(store.takeExpiredLeases(now: almost) == [])
        #expect(store.takeExpiredLeases(now: start + .seconds(10)) == [1])
        // Its end goes through the log; until then the keys are there, and nobody can renew it any more.
        #expect(store.store.value(bytes("a/1")) != nil)
        #expect(store.renewLease(1, now: start + .seconds(10)) == false)
        #expect(store.leases.expired == [1])
        let (_, events) = store.apply(.revokeLease(id: 1, isExpired: true), now: start + .seconds(11))
        #expect(events.map(\.kind) == [.delete] && store.leases.expired.isEmpty)
    }

    @Test("a renewal gives the full time again, from its own moment")
    func renewal() {
        var store = store()
        #expect(store.renewLease(1, now: start + .seconds(7)) == true)
        #expect(store.takeExpiredLeases(now: start + .seconds(16)) == [])
        #expect(store.leases.remaining(1, now: start + .seconds(16)) == .seconds(1))
        #expect(store.takeExpiredLeases(now: start + .seconds(17)) == [1])
    }

    @Test("a new leader gives every lease its full time: longer, never shorter")
    func newLeader() {
        var store = store(leads: false)
        // A follower ends nothing, whatever its clock says.
        #expect(store.takeExpiredLeases(now: start + .seconds(1000)) == [])
        store.startCounting(now: start + .seconds(9))
        #expect(store.takeExpiredLeases(now: start + .seconds(18)) == [])
        #expect(store.takeExpiredLeases(now: start + .seconds(19)) == [1])
        store.stopCounting()
        #expect(store.leases.remaining(1, now: start) == nil && store.renewLease(1, now: start) == false)
    }

    @Test("keys change their lease with their value")
    func attachment() {
        var store = store()
        store.apply(.grantLease(id: 2, ttlSeconds: 5), now: start)
        store.apply(.put(PutRequest(bytes("a/1"), [], lease: 2)), now: start)
        #expect(store.leases[1]?.keys.isEmpty == true && store.leases[2]?.keys == [bytes("a/1")])
        var keeping = PutRequest(bytes("a/1"), bytes("v"))
        keeping.ignoresLease = true
        store.apply(.put(keeping), now: start)
        #expect(store.leases[2]?.keys == [bytes("a/1")])
        store.apply(.put(PutRequest(bytes("a/1"), [])), now: start)
        #expect(store.leases[2]?.keys.isEmpty == true)
        store.apply(.revokeLease(id: 2, isExpired: false), now: start)
        #expect(store.store.value(bytes("a/1")) != nil)
    }

    @Test("extremes of time and number are refused or held")
    func extremes() {
        var store = LockStore()
        store.startCounting(now: start)
        #expect(
            store.apply(.grantLease(id: 1, ttlSeconds: .max), now: start).0 == .refused(.leaseTTLTooLarge))
        #expect(
            store.apply(.grantLease(id: 1, ttlSeconds: .min), now: start).0
                == .leaseGranted(id: 1, ttlSeconds: 1))
        #expect(store.apply(.grantLease(id: 1, ttlSeconds: 1), now: start).0 == .refused(.leaseExists))
        store.apply(.grantLease(id: 2, ttlSeconds: LeaseTable.ttlLimitSeconds), now: start)
        #expect(store.takeExpiredLeases(now: start + .seconds(3600)) == [1])
        #expect(store.apply(.revokeLease(id: 99, isExpired: false), now: start).0 == .refused(.leaseNotFound))
    }

    @Test("a million renewals leave no queue behind")
    func renewals() {
        var store = store()
        for step in 0..<100_000 { _ = store.renewLease(1, now: start + .milliseconds(step)) }
        #expect(store.nextLeaseDeadline() == start + .milliseconds(99_999) + .seconds(10))
    }
}
