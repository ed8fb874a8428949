import KernelStructures
import RegistryEngine
import Testing

@Suite("The registry's keys, sessions and transactions")
struct KeyTests {
    private func value(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test("compare and set: 0 means that there is none yet")
    func compareAndSet() {
        var book = Book()
        #expect(book.put(.key(.compareAndSet(key: "a", value: [1], flags: 0, index: 0))).outcome == .done)
        #expect(book.put(.key(.compareAndSet(key: "a", value: [2], flags: 0, index: 0))).outcome == .unmet)
        let index = book.catalog.entries["a"]!.modifyIndex
        #expect(book.put(.key(.compareAndSet(key: "a", value: [2], flags: 0, index: index))).outcome == .done)
        #expect(book.put(.key(.compareAndDelete(key: "a", index: index))).outcome == .unmet)
        #expect(book.catalog.entries["a"]?.value == [2])
    }

    @Test("keys are in the order of their bytes, and a prefix is what begins so; against a model")
    func prefixes() {
        var book = Book()
        var random = SeededRandom(seed: 3)
        var model: [String: [UInt8]] = [:]
        let parts = ["a", "b", "a/", "é", "\u{10FFFF}", "zz"]
        for _ in 0..<800 {
            let key = (0...random.below(3)).map { _ in parts[random.below(parts.count)] }.joined()
            if random.chance(0.7) {
                let value = [UInt8(random.below(256))]
                model[key] = value
                book.put(.key(.set(key: key, value: value, flags: 0)))
            } else if random.chance(0.5) {
                model[key] = nil
                book.put(.key(.delete(key: key)))
            } else {
                model = model.filter { !$0.key.utf8.starts(with: key.utf8) }
                book.put(.key(.deleteTree(prefix: key)))
            }
            let prefix = parts[random.below(parts.count)]
            let expected = model.keys.filter { $0.utf8.starts(with: prefix.utf8) }.sorted {
                $0.utf8.lexicographicallyPrecedes($1.utf8)
            }
            #expect(book.catalog.entries[under: prefix].map(\.key) == expected)
            #expect(book.catalog.entries.byteCount == model.reduce(0) { $0 + $1.key.utf8.count + $1.value.count })
        }
    }

    @Test("a prefix's index moves with every key below it, deleted ones too, and with no other")
    func prefixIndex() {
        var book = Book()
        book.put(.key(.set(key: "web/a", value: [1], flags: 0)))
        let first = book.catalog.index(of: .prefix("web/"))
        book.put(.key(.set(key: "db/a", value: [1], flags: 0)))
        #expect(book.catalog.index(of: .prefix("web/")) == first)
        book.put(.key(.delete(key: "web/a")))
        #expect(book.catalog.index(of: .prefix("web/")) == book.catalog.lastIndex)
        #expect(book.catalog.index(of: .prefix("db/")) < book.catalog.lastIndex)
    }

    @Test("a lock has one holder, and is free when the session ends; its key is deleted where the session says so")
    func locks() {
        for behavior in [RegistrySession.Behavior.release, .delete] {
            var book = Book()
            var session = RegistrySession(id: "s1", node: "n1")
            session.behavior = behavior
            book.put(.createSession(session))
            book.put(.createSession(RegistrySession(id: "s2", node: "n1")))
            let take = { (id: String) in RegistryCommand.key(.acquire(key: "l", value: [1], flags: 0, session: id)) }
            #expect(book.put(take("s1")).outcome == .done)
            #expect(book.put(take("s2")).outcome == .unmet)
            #expect(book.put(take("s1")).outcome == .done, "once more by its holder")
            #expect(book.catalog.entries["l"]?.lockIndex == 1)
            let ended = book.put(.destroySession("s1"))
            #expect(ended.freed.map(\.key) == ["l"] && ended.freed[0].delay == .seconds(15))
            #expect((book.catalog.entries["l"] == nil) == (behavior == .delete))
            #expect(book.catalog.session(holding: "l") == nil)
        }
    }

    @Test("a session ends with a check that turns critical, or goes")
    func sessionChecks() {
        for ending in [
            RegistryCommand.updateCheck(node: "n1", check: "service:a", status: .critical, output: ""),
            .deregister(node: "n1", instance: nil, check: "service:a", unlessAfter: nil),
            .deregister(node: "n1", instance: "a", check: nil, unlessAfter: nil),
        ] {
            var book = Book()
            book.register("api", "a", status: .passing)
            var session = RegistrySession(id: "s", node: "n1")
            session.checks = ["service:a"]
            book.put(.createSession(session))
            #expect(book.catalog.sessions.count == 1)
            book.put(ending)
            #expect(book.catalog.sessions.isEmpty)
        }
    }

    @Test("a transaction happens as a whole, or not at all")
    func transactions() {
        var book = Book()
        book.put(.key(.set(key: "a", value: [1], flags: 0)))
        let index = book.catalog.entries["a"]!.modifyIndex
        let good = book.put(
            .transaction([
                .checkIndex(key: "a", index: index), .key(.set(key: "b", value: [2], flags: 0)),
                .checkNotExists(key: "c"),
                .getTree(prefix: ""),
            ]))
        guard case .transaction(let entries, let errors) = good.outcome else { return #expect(Bool(false)) }
        #expect(errors.isEmpty && entries.map(\.key) == ["a", "b", "a", "b"])
        let before = book.catalog
        let bad = book.put(
            .transaction([
                .key(.set(key: "d", value: [2], flags: 0)), .get(key: "none"), .checkNotExists(key: "a"),
                .key(.delete(key: "a")),
            ]))
        guard case .transaction(let none, let failures) = bad.outcome else { return #expect(Bool(false)) }
        #expect(none.isEmpty && failures.map(\.operation) == [1, 2])
        #expect(bad.topics.isEmpty && bad.changes.isEmpty)
        #expect(book.catalog.entries == before.entries)
        #expect(book.catalog.index(of: .key("a")) == before.index(of: .key("a")))
    }
}
