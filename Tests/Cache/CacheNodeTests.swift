import CacheEngine
import CacheService
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// A node in a world in memory, and clients.
private final class NodeFixture {
    let world = memoryWorld(seed: 1)
    let node: CacheNode
    private var pushes: [ObjectIdentifier: [String]] = [:]

    init(_ change: (inout CacheNode.Settings) -> Void = { _ in }) throws {
        var settings = CacheNode.Settings()
        change(&settings)
        node = CacheNode(node: world.node("cache"), port: 7001, settings: settings)
        try node.start()
    }

    func client(_ name: String, version: Int = 2) throws -> RESPClientConnection {
        let client = RESPClientConnection()
        try client.connect(from: world.node(name), to: HostPort(host: "cache", port: 7001))
        client.onPush = { [unowned self, unowned client] value in
            pushes[ObjectIdentifier(client), default: []].append(CacheFixture.text(value))
        }
        world.pass(.milliseconds(1))
        if version == 3 { _ = ask("HELLO 3", client) }
        return client
    }

    /// Sends, and gives whatever has been answered after that time; "nothing" if nothing has.
    func send(_ text: String, _ client: RESPClientConnection) -> () -> String {
        final class Box { var answer = "nothing" }
        let box = Box()
        client.send(CacheFixture.words(text)) { result in
            switch result {
            case .success(let value): box.answer = CacheFixture.text(value)
            case .failure(let failure): box.answer = "failed: \(failure)"
            }
        }
        world.pass(.milliseconds(2))
        return { box.answer }
    }

    func ask(_ text: String, _ client: RESPClientConnection) -> String { send(text, client)() }

    func takePushes(_ client: RESPClientConnection) -> [String] {
        world.pass(.milliseconds(2))
        return pushes.removeValue(forKey: ObjectIdentifier(client)) ?? []
    }
}

@Suite struct CacheNodeTests {
    @Test("who waits is served in the order of coming, once each, and the time to wait ends")
    func blocking() throws {
        let fixture = try NodeFixture()
        let a = try fixture.client("a")
        let b = try fixture.client("b")
        let c = try fixture.client("c")
        let first = fixture.send("BLPOP x y 0", a)
        let second = fixture.send("BLMOVE x z LEFT RIGHT 0", b)
        #expect(first() == "nothing" && second() == "nothing")
        #expect(fixture.ask("RPUSH x 1", c) == "1")
        #expect(first() == "[x 1]" && second() == "nothing")
        #expect(fixture.ask("RPUSH x 2 3", c) == "2")
        #expect(second() == "2")
        #expect(fixture.ask("LRANGE z 0 -1", c) == "[2]")
        let late = fixture.send("BZPOPMIN q 0.5", a)
        fixture.world.pass(.milliseconds(400))
        #expect(late() == "nothing")
        fixture.world.pass(.milliseconds(200))
        #expect(late() == "nil")
        // Nobody may wait within a transaction.
        _ = fixture.ask("MULTI", a)
        _ = fixture.ask("BLPOP nosuch 0", a)
        #expect(fixture.ask("EXEC", a) == "[nil]")
        let unblocked = fixture.send("BLPOP nosuch 0", a)
        #expect(fixture.ask("CLIENT UNBLOCK 1 ERROR", c) == "1")
        #expect(unblocked() == "-UNBLOCKED client unblocked via CLIENT UNBLOCK")
    }

    @Test("a transaction sees nobody in between, and is void where a watched key has changed")
    func transactions() throws {
        let fixture = try NodeFixture()
        let a = try fixture.client("a")
        let b = try fixture.client("b")
        for (line, reply) in [
            ("WATCH k", "OK"), ("MULTI", "OK"), ("INCR k", "QUEUED"), ("GET k", "QUEUED"), ("EXEC", "[1 1]"),
            ("WATCH k", "OK"), ("MULTI", "OK"), ("INCR k", "QUEUED"),
        ] { #expect(fixture.ask(line, a) == reply, "\(line)") }
        #expect(fixture.ask("SET k 5", b) == "OK")
        #expect(fixture.ask("EXEC", a) == "nil")
        #expect(fixture.ask("GET k", a) == "5")
        _ = fixture.ask("SET k 1 PX 5", a)
        _ = fixture.ask("WATCH k", a)
        fixture.world.pass(.milliseconds(200))
        _ = fixture.ask("MULTI", a)
        #expect(fixture.ask("EXEC", a) == "nil")
        _ = fixture.ask("MULTI", a)
        #expect(fixture.ask("NOSUCH", a).hasPrefix("-ERR unknown command"))
        #expect(fixture.ask("EXEC", a).hasPrefix("-EXECABORT"))
    }

    @Test("messages reach channels and patterns, and what changes is one of them")
    func channels() throws {
        let fixture = try NodeFixture { $0.cache.notifications = KeyspaceEvents("KEA")! }
        let listener = try fixture.client("a", version: 3)
        let speaker = try fixture.client("b")
        _ = fixture.send("SUBSCRIBE news", listener)
        _ = fixture.send("PSUBSCRIBE __key*__:*", listener)
        _ = fixture.takePushes(listener)
        #expect(fixture.ask("PUBLISH news hello", speaker) == "1")
        #expect(fixture.takePushes(listener) == ["[message news hello]"])
        #expect(fixture.ask("SET k 1 PX 50", speaker) == "OK")
        #expect(
            fixture.takePushes(listener).map { $0.split(separator: " ").suffix(2).joined(separator: " ") } == [
                "__keyspace@0__:k set]", "__keyevent@0__:set k]", "__keyspace@0__:k expire]",
                "__keyevent@0__:expire k]",
            ])
        fixture.world.pass(.milliseconds(300))
        #expect(fixture.takePushes(listener).contains { $0.hasSuffix("__keyevent@0__:expired k]") })
        let old = try fixture.client("c")
        #expect(fixture.ask("SUBSCRIBE x", old) == "[subscribe x 1]")
        #expect(fixture.ask("GET k", old).hasPrefix("-ERR Can't execute 'get'"))
        #expect(fixture.ask("PUBSUB NUMSUB x news", speaker) == "[x 1 news 1]")
    }

    @Test("a client that tracks is told once of what it has read, and of everything that is deleted")
    func tracking() throws {
        let fixture = try NodeFixture { $0.trackedKeyLimit = 3 }
        let reader = try fixture.client("a", version: 3)
        let writer = try fixture.client("b")
        #expect(fixture.ask("CLIENT TRACKING ON NOLOOP", reader) == "OK")
        _ = fixture.ask("MGET k other", reader)
        _ = fixture.ask("SET k 1", writer)
        _ = fixture.ask("SET k 2", writer)
        #expect(fixture.takePushes(reader) == ["[invalidate [k]]"])
        _ = fixture.ask("GET k", reader)
        _ = fixture.ask("SET k 3", reader)
        #expect(fixture.takePushes(reader) == [])
        // More keys than are remembered: the oldest is given up, and said to be.
        for key in ["a", "b", "c"] { _ = fixture.ask("GET \(key)", reader) }
        #expect(fixture.takePushes(reader) == ["[invalidate [other]]"])
        _ = fixture.ask("FLUSHALL", writer)
        #expect(fixture.takePushes(reader) == ["[invalidate nil]"])
        #expect(fixture.ask("CLIENT TRACKING ON BCAST", reader).hasPrefix("-ERR You can't switch BCAST mode"))
    }

    // @covers DC-C3
    @Test("keys of a second that nobody reads are deleted by the node itself")
    func active() throws {
        let fixture = try NodeFixture()
        let client = try fixture.client("a")
        for number in 0..<3000 { client.send(["SET", "k\(number)", "v", "EX", "1"]) { _ in } }
        fixture.world.pass(.milliseconds(10))
        #expect(fixture.node.cache.keyCount == 3000)
        fixture.world.pass(.milliseconds(1100))
        #expect(fixture.node.cache.keyCount == 0)
        #expect(fixture.ask("INFO stats", client).contains("expired_keys:3000"))
    }

    // @covers DC-C5
    @Test("the key that gets nine of ten commands is found, among thousands that get one")
    func hotKeys() throws {
        let fixture = try NodeFixture()
        let client = try fixture.client("a")
        #expect(fixture.ask("HOTKEYS START COUNT 2", client) == "OK")
        for number in 0..<3000 { client.send(["GET", number % 10 == 0 ? "k\(number)" : "hot"]) { _ in } }
        fixture.world.pass(.milliseconds(20))
        #expect(fixture.ask("HOTKEYS STOP", client) == "OK")
        let answer = fixture.ask("HOTKEYS GET", client)
        #expect(answer.contains("by-commands [hot 2700 "), "\(answer)")
        #expect(answer.contains("tracking-active 0"))
        #expect(fixture.ask("HOTKEYS START COUNT x", client).hasPrefix("-ERR"))
    }

    @Test("a node that is alone says that it is no cluster, as Redis does")
    func aloneIsNoCluster() throws {
        let fixture = try NodeFixture()
        let client = try fixture.client("app")
        for text in ["CLUSTER INFO", "CLUSTER SLOTS", "READONLY", "READWRITE", "ASKING"] {
            #expect(
                fixture.ask(text, client) == "-ERR This instance has cluster support disabled", "\(text)")
        }
        #expect(fixture.ask("CLUSTER", client) == "-ERR wrong number of arguments for 'cluster' command")
    }

    @Test("redis-py's lock scripts are known by their digests, and no others")
    func scripts() throws {
        let fixture = try NodeFixture()
        let client = try fixture.client("a")
        let release = LockScript.release.rawValue
        for (line, reply) in [
            ("SET lock token PX 1000", "OK"), ("EVALSHA \(release) 1 lock other", "0"),
            ("EVALSHA \(LockScript.extend.rawValue) 1 lock token 5000 0", "1"),
            ("EVALSHA \(release) 1 lock token", "1"), ("EXISTS lock", "0"),
            ("EVALSHA 0000 1 lock", "-NOSCRIPT No matching script. Please use EVAL."),
        ] { #expect(fixture.ask(line, client) == reply, "\(line)") }
        #expect(fixture.ask("EVAL return 0", client).hasPrefix("-ERR this cache runs no scripts"))
    }
}
