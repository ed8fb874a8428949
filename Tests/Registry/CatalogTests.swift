import KernelJSON
import KernelStructures
import RegistryEngine
import Testing

@Suite("The registry's catalogue")
struct CatalogTests {
    @Test("instances of a service stand in the order in which they came; what is registered twice is there once")
    func registering() {
        var book = Book()
        book.register("api", "b")
        book.register("api", "a")
        book.register("api", "b")
        #expect(book.catalog.instances(of: "api").map(\.id) == ["b", "a"])
        let index = book.catalog.index(of: .service("api"))
        book.register("api", "b")
        #expect(book.catalog.index(of: .service("api")) == index, "the same again is no change")
        book.register("api", "b", port: 81)
        #expect(book.catalog.index(of: .service("api")) > index)
        #expect(book.catalog.instances(of: "api").map(\.port) == [81, 80])
    }

    @Test("an instance is as well as the worst of its checks and of its node's")
    func status() {
        var book = Book()
        book.register("api", "a", status: .passing)
        let instance = book.catalog.instances(of: "api")[0]
        #expect(book.catalog.status(of: instance) == .passing)
        var check = CatalogCheck(node: "n1", id: "disk", name: "disk")
        check.status = .warning
        book.put(.register(node: CatalogNode(name: "n1", address: ""), instance: nil, checks: [check]))
        #expect(book.catalog.status(of: instance) == .warning)
        book.put(.updateCheck(node: "n1", check: "service:a", status: .critical, output: "x"))
        #expect(book.catalog.status(of: instance) == .critical)
        book.put(.deregister(node: "n1", instance: nil, check: "service:a", unlessAfter: nil))
        #expect(book.catalog.status(of: instance) == .warning)
    }

    @Test("a node goes with everything on it")
    func node() {
        var book = Book()
        book.register("api", "a", status: .passing)
        var session = RegistrySession(id: "s", node: "n1")
        session.checks = ["service:a"]
        book.put(.createSession(session))
        book.put(.deregister(node: "n1", instance: nil, check: nil, unlessAfter: nil))
        #expect(book.catalog.nodes.isEmpty && book.catalog.instances.isEmpty && book.catalog.checks.isEmpty)
        #expect(book.catalog.sessions.isEmpty && book.catalog.serviceNames.isEmpty)
    }

    @Test("a deregistration for old age does nothing to what was registered again since")
    func race() {
        var book = Book()
        book.register("api", "a", status: .critical)
        let key = book.catalog.instances(of: "api")[0].key
        let seen = book.catalog.registrationIndex(of: key)
        book.register("api", "a", status: .critical)
        book.put(.deregister(node: "n1", instance: "a", check: nil, unlessAfter: seen))
        #expect(book.catalog.instances.count == 1)
        let now = book.catalog.registrationIndex(of: key)
        book.put(.deregister(node: "n1", instance: "a", check: nil, unlessAfter: now))
        #expect(book.catalog.instances.isEmpty)
    }

    @Test("refused commands change nothing, and say why")
    func refusals() {
        var book = Book()
        let before = book.catalog
        let commands: [RegistryCommand] = [
            .register(node: CatalogNode(name: "", address: "1"), instance: nil, checks: []),
            .register(node: CatalogNode(name: "n2", address: ""), instance: nil, checks: []),
            .deregister(node: "n1", instance: "x", check: nil, unlessAfter: nil),
            .deregister(node: "n9", instance: nil, check: nil, unlessAfter: nil),
            .updateCheck(node: "n1", check: "x", status: .passing, output: ""),
            .key(.acquire(key: "k", value: [], flags: 0, session: "none")),
            .key(.set(key: "", value: [], flags: 0)),
            .createSession(RegistrySession(id: "s", node: "n9")),
        ]
        for command in commands {
            guard case .refused(let error) = book.put(command).outcome else {
                Issue.record("\(command) was not refused")
                continue
            }
            #expect(!error.description.isEmpty)
        }
        #expect(book.catalog.nodes == before.nodes && book.catalog.entries == before.entries)
    }

    // MARK: A model of watching

    private static let names = ["api", "web", "db"]

    private static func command(_ random: inout SeededRandom) -> RegistryCommand {
        let name = names[random.below(3)]
        let id = "\(name)-\(random.below(3))"
        let node = ["n1", "n2"][random.below(2)]
        var here = CatalogNode(name: node, address: "10.0.0.\(random.below(2))")
        if random.chance(0.5) { here.address = "" }
        var instance = ServiceInstance(node: node, id: id, name: random.chance(0.9) ? name : "web")
        instance.port = 80 + random.below(2)
        instance.tags = random.chance(0.3) ? ["v\(random.below(2))"] : []
        var check = CatalogCheck(node: node, id: "service:\(id)", name: "c")
        check.serviceID = id
        check.status = ServiceStatus.allCases[random.below(3)]
        var nodeCheck = CatalogCheck(node: node, id: "disk", name: "disk")
        nodeCheck.status = ServiceStatus.allCases[random.below(3)]
        switch random.below(9) {
        case 0, 1: return .register(node: here, instance: instance, checks: random.chance(0.6) ? [check] : [])
        case 2: return .register(node: here, instance: nil, checks: [nodeCheck])
        case 3: return .deregister(node: node, instance: id, check: nil, unlessAfter: nil)
        case 4:
            return .deregister(node: node, instance: nil, check: ["disk", check.id][random.below(2)], unlessAfter: nil)
        case 5, 6:
            return .updateCheck(
                node: node, check: check.id, status: check.status, output: random.chance(0.2) ? "x" : "")
        case 7: return .deregister(node: node, instance: nil, check: nil, unlessAfter: nil)
        default: return .key(.set(key: "k\(random.below(3))", value: [1], flags: 0))
        }
    }

    private func rows(_ name: String, _ catalog: RegistryCatalog) -> JSONValue {
        .array(catalog.instances(of: name).map { catalog.healthRow(of: $0, RegistrySettings()) })
    }

    /// The indexes in a row change with what it shows; a change of nothing else would be a false wake.
    @Test("no wake is lost and none is false: an index moves if and only if the answer does")
    func indexesMoveWithAnswers() {
        for seed in 0..<60 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            var book = Book()
            for step in 0..<120 {
                let before = book.catalog
                let command = Self.command(&random)
                let applied = book.put(command)
                for name in Self.names {
                    let topic = WatchTopic.service(name)
                    let moved = book.catalog.index(of: topic) != before.index(of: topic)
                    let changed = rows(name, book.catalog) != rows(name, before)
                    #expect(moved == changed, "seed \(seed), step \(step), \(name): \(command)")
                    #expect(book.catalog.index(of: topic) >= before.index(of: topic), "seed \(seed)")
                    #expect(applied.topics.contains(topic) == moved, "seed \(seed), step \(step)")
                }
            }
        }
    }

    @Test("the same commands give the same catalogue, and their order of effects is the same")
    func determinism() {
        for seed in 0..<20 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            var (a, b) = (Book(), Book())
            for _ in 0..<100 {
                let command = Self.command(&random)
                #expect(a.put(command) == b.put(command))
            }
            #expect(a.catalog == b.catalog)
        }
    }

    @Test("the index of what is gone stays, and goes back for nobody, however much is gone")
    func tombstones() {
        var book = Book()
        book.register("api", "a")
        book.put(.deregister(node: "n1", instance: "a", check: nil, unlessAfter: nil))
        let index = book.catalog.index(of: .service("api"))
        #expect(index == book.catalog.lastIndex)
        for number in 0..<RegistryLimits.tombstones + 50 {
            book.register("s\(number)", "x")
            book.put(.deregister(node: "n1", instance: "x", check: nil, unlessAfter: nil))
        }
        #expect(book.catalog.index(of: .service("api")) >= index)
        let now = book.catalog.index(of: .service("s10000"))
        book.register("s10000", "x")
        #expect(book.catalog.index(of: .service("s10000")) > now)
    }

    // MARK: Bytes

    @Test("commands read back from bytes as they were, and so do outcomes")
    func coding() {
        for seed in 0..<10 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            var book = Book()
            for _ in 0..<60 {
                let command = Self.command(&random)
                #expect(RegistryCommand(encoded: command.encoded) == command)
                let outcome = book.put(command).outcome
                #expect(RegistryOutcome(encoded: outcome.encoded) == outcome)
            }
        }
        var definition = CheckDefinition(
            .http(url: "http://x/", method: "PUT", fields: ["A": "b"], body: "c"), interval: .seconds(3))
        definition.failuresBeforeWarning = 2
        definition.deregistersAfter = .seconds(60)
        var session = RegistrySession(id: "s", node: "n")
        session.ttl = .seconds(12)
        session.behavior = .delete
        var event = RegistryEvent(id: "e", name: "deploy")
        event.payload = [0, 255]
        var commands: [RegistryCommand] = [
            .createSession(session), .destroySession("s"), .renewSession("s"), .fire(event),
            .report(node: "n", instance: "i", failures: 1, successes: 2, by: "lb"),
            .transaction([
                .get(key: "a"), .getTree(prefix: "a"), .checkIndex(key: "a", index: .max),
                .checkSession(key: "a", session: "s"), .checkNotExists(key: "b"), .catalog(.destroySession("s")),
                .key(.compareAndSet(key: "a", value: [0, 1, 255], flags: .max, index: 7)),
            ]),
            .key(.acquire(key: "k", value: [], flags: 0, session: "s")),
            .key(.release(key: "k", value: [1], flags: 1, session: "s")), .key(.deleteTree(prefix: "")),
            .key(.compareAndDelete(key: "é", index: 3)),
            .catalogued(.deregister(node: "n", instance: "i", check: nil, unlessAfter: 9)),
        ]
        let kinds: [CheckDefinition.Kind] = [
            definition.kind, .tcp("a:1"), .ttl, .alias(node: "n", service: "s"), .passive,
        ]
        for kind in kinds {
            definition.kind = kind
            var check = CatalogCheck(node: "n", id: "c", name: "c")
            check.definition = definition
            commands.append(.register(node: CatalogNode(name: "n", address: "1"), instance: nil, checks: [check]))
        }
        for command in commands { #expect(RegistryCommand(encoded: command.encoded) == command) }
        for bytes in ["", "{}", "[]", "{\"do\":\"register\"}", "{\"do\":\"key\",\"key\":{}}", "null"] {
            #expect(RegistryCommand(encoded: Array(bytes.utf8)) == nil)
            #expect(throws: RegistryError.self) { try RegistryCatalog(snapshot: Array(bytes.utf8)) }
        }
    }

    @Test("a snapshot has all that the catalogue had, in its order, and no index goes back")
    func snapshots() throws {
        for seed in 0..<20 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            var book = Book()
            for _ in 0..<100 { book.put(Self.command(&random)) }
            book.put(.createSession(RegistrySession(id: "s", node: book.catalog.sortedNodes.first?.name ?? "n1")))
            let again = try RegistryCatalog(snapshot: book.catalog.snapshot)
            #expect(again.snapshot == book.catalog.snapshot)
            #expect(again.nodes == book.catalog.nodes && again.instances == book.catalog.instances)
            #expect(again.checks == book.catalog.checks && again.entries == book.catalog.entries)
            for name in Self.names {
                #expect(rows(name, again) == rows(name, book.catalog), "seed \(seed)")
                #expect(again.index(of: .service(name)) >= book.catalog.index(of: .service(name)))
            }
            // What comes next makes the same of both.
            var (a, b) = (book, book)
            b.catalog = again
            for _ in 0..<30 {
                let command = Self.command(&random)
                a.put(command)
                b.put(command)
            }
            for name in Self.names { #expect(rows(name, a.catalog) == rows(name, b.catalog), "seed \(seed)") }
        }
    }
}
