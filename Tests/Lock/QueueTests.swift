import KernelStructures
import LockEngine
import Testing

private func claim(_ place: Int64, _ kind: LockKind = .exclusive, _ owner: String? = nil) -> KeyValue {
    KeyValue(
        key: LockQueue.key("a", lease: place), value: LockWords(kind: kind, owner: owner).bytes, createRevision: place,
        modRevision: place, version: 1, lease: place)
}

@Suite("Lock: who is let in")
struct LockQueueTests {
    private func granted(_ kinds: [LockKind]) -> [Bool] {
        let queue = LockQueue(name: "a", kinds.enumerated().map { claim(Int64($0.offset + 10), $0.element) })
        return queue.claims.indices.map(queue.isGranted)
    }

    // @covers LOCK-C1 LOCK-C4 LOCK-H6
    @Test("the first alone; readers together, but not past a writer; as many as there are permits")
    func rules() {
        #expect(granted([.exclusive, .exclusive, .exclusive]) == [true, false, false])
        #expect(granted([.shared, .shared, .exclusive, .shared]) == [true, true, false, false])
        #expect(granted([.exclusive, .shared, .shared]) == [true, false, false])
        #expect(granted([.permit(of: 2), .permit(of: 2), .permit(of: 2)]) == [true, true, false])
        #expect(granted([.permit(of: 3), .exclusive, .permit(of: 3)]) == [true, false, false])
        // Whoever says more does not get in past those who have said less.
        #expect(granted([.permit(of: 1), .permit(of: 3)]) == [true, false])
        #expect(granted([.permit(of: 3), .permit(of: 2), .permit(of: 3)]) == [true, true, false])
        #expect(granted([]) == [])
    }

    @Test("order is by birth, whatever the keys' order; the token is the birth")
    func order() {
        let queue = LockQueue(name: "a", [claim(300), claim(20), claim(100)])
        #expect(queue.claims.map(\.token) == [20, 100, 300])
        #expect(queue.holders.map(\.token) == [20] && queue.waiters.map(\.token) == [100, 300])
        #expect(queue.blockers(of: 2).map(\.token) == [20, 100])
        #expect(queue.isGranted(LockQueue.key("a", lease: 20)) && !queue.isGranted([1]))
    }

    @Test("a lock of a longer name is another one")
    func names() {
        #expect(LockQueue.name(of: Array("a/b/7f".utf8)) == "a/b")
        #expect(LockQueue.name(of: Array("a/".utf8)) == nil && LockQueue.name(of: Array("/x".utf8)) == nil)
        #expect(LockQueue.name(of: [255, 47, 1]) == nil)
        let other = KeyValue(key: Array("a/b/7f".utf8), createRevision: 1)
        #expect(LockQueue(name: "a", [other, claim(5)]).claims.count == 1)
    }

    @Test("owners: as they call themselves, or by their lease")
    func owners() {
        let queue = LockQueue(name: "a", [claim(0xabc, .exclusive, "worker-1"), claim(0x7f31)])
        #expect(queue.claims.map(\.owner) == ["worker-1", "client-f31"])
        // What others put there means an exclusive claim.
        for value in ["", "hello", "{", "{\"kind\":\"permit\",\"permits\":0}", "{\"owner\":\"\"}"] {
            let one = KeyValue(key: Array("a/1".utf8), value: Array(value.utf8), createRevision: 1)
            #expect(LockQueue(name: "a", [one]).claims[0].kind == .exclusive)
        }
    }
}

@Suite("Lock: who waits for whom")
struct WaitForGraphTests {
    private func queue(_ name: String, _ owners: [String]) -> LockQueue {
        LockQueue(
            name: name,
            owners.enumerated().map { index, owner in
                KeyValue(
                    key: LockQueue.key(name, lease: Int64(index + 1)), value: LockWords(owner: owner).bytes,
                    createRevision: Int64(index + 1), lease: Int64(index + 1))
            })
    }

    @Test("two that wait for each other are a deadlock; a line is none")
    func circles() {
        let line = WaitForGraph([queue("x", ["a", "b", "c"])])
        #expect(line.deadlocks.isEmpty && line.edges.map(\.waiter) == ["b", "c", "c"])
        let pair = WaitForGraph([queue("x", ["a", "b"]), queue("y", ["b", "a"])])
        #expect(pair.deadlocks == [["a", "b"]])
        let three = WaitForGraph([queue("x", ["c", "a"]), queue("y", ["a", "b"]), queue("z", ["b", "c"])])
        #expect(three.deadlocks == [["a", "c", "b"]])
        #expect(WaitForGraph([queue("x", ["a", "a"])]).deadlocks == [["a"]])
        #expect(WaitForGraph([]).edges.isEmpty)
    }

    @Test("a hundred thousand in a line need no deep stack")
    func long() {
        let queues = (0..<20_000).map { queue("l\($0)", ["o\($0)", "o\($0 + 1)"]) }
        #expect(WaitForGraph(queues).deadlocks.isEmpty)
        #expect(WaitForGraph(queues + [queue("last", ["o20000", "o0"])]).deadlocks.map(\.count) == [20_001])
    }
}

@Suite("Lock: a resource that looks at tokens")
struct FencedResourceTests {
    // @covers LOCK-C3 LOCK-H2 LOCK-M2
    @Test("a token lower than one that was seen is refused; the same may write again")
    func fencing() {
        var resource = FencedResource()
        #expect(resource.write("a", token: 47) == .accepted(token: 47, lastSeen: 47))
        #expect(resource.write("b", token: 48) == .accepted(token: 48, lastSeen: 47))
        #expect(resource.write("c", token: 47) == .refused(token: 47, lastSeen: 48))
        #expect(resource.write("d", token: 48) == .accepted(token: 48, lastSeen: 48))
        #expect(resource.value == "d" && resource.refusedCount == 1)
    }

    @Test("without fencing a stale write destroys what was there, and is counted")
    func corruption() {
        var resource = FencedResource(isFencing: false)
        _ = resource.write("new", token: 9)
        #expect(resource.write("stale", token: 3) == .corrupted(token: 3, lastSeen: 9))
        #expect(resource.value == "stale" && resource.corruptedCount == 1 && resource.lastToken == 9)
    }
}

@Suite("Lock: watching")
struct WatchHubTests {
    private let now = LabTime.documentedEpoch

    private func events(_ delivery: WatchHub.Delivery?) -> [Int64] {
        if case .events(let events)? = delivery { events.map(\.revision) } else { [] }
    }

    @Test("from the present on, from the past on, and from what is gone")
    func revisions() {
        var store = LockStore()
        var hub = WatchHub()
        for number in 1...4 { store.apply(.put(PutRequest([97], [UInt8(number)])), now: now) }  // 2…5
        for (id, revision) in [(1, Int64(6)), (2, 3)] {
            _ = hub.add(WatchHub.Watcher(id: id, range: KeyRange([97]), from: revision))
        }
        #expect(hub.next(for: 1, in: store.store) == nil)
        #expect(events(hub.next(for: 2, in: store.store)) == [3, 4, 5] && hub.next(for: 2, in: store.store) == nil)
        let changed = store.apply(.put(PutRequest([97], [])), now: now).1
        #expect(hub.note(changed) == [1, 2])
        #expect(events(hub.next(for: 1, in: store.store)) == [6] && events(hub.next(for: 2, in: store.store)) == [6])
        store.apply(.compact(5), now: now)
        _ = hub.add(WatchHub.Watcher(id: 3, range: KeyRange([97]), from: 4))
        let answer = hub.next(for: 3, in: store.store)
        #expect(answer == .compacted(at: 5) && hub[3] == nil)
        // Those that have caught up do not notice.
        #expect(hub.note(store.apply(.put(PutRequest([97], [])), now: now).1) == [1, 2])
        #expect(events(hub.next(for: 1, in: store.store)) == [7])
    }

    @Test("what concerns others wakes nobody; filters are kept")
    func filters() {
        var store = LockStore()
        var hub = WatchHub()
        var deletions = WatchHub.Watcher(id: 1, range: KeyRange(prefix: [97]), from: 2)
        deletions.wantsPuts = false
        _ = hub.add(deletions)
        _ = hub.add(WatchHub.Watcher(id: 2, range: KeyRange([98]), from: 2))
        for id in 1...2 { _ = hub.next(for: id, in: store.store) }
        #expect(hub.note(store.apply(.put(PutRequest([99], [])), now: now).1).isEmpty)
        #expect(hub.note(store.apply(.put(PutRequest([97, 1], [])), now: now).1) == [1])
        #expect(hub.next(for: 1, in: store.store) == nil)
        #expect(hub.note(store.apply(.delete(DeleteRequest(KeyRange([97, 1]))), now: now).1) == [1])
        #expect(events(hub.next(for: 1, in: store.store)) == [4])
        hub.remove(1)
        hub.remove(1)
        #expect(hub.count == 1)
    }
}
