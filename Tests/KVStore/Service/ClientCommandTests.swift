import KVStoreService
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// What administrators do to other clients, and settings of several at once.
@Suite("CLIENT and CONFIG of the key-value server")
struct ClientCommandTests {
    /// Asks and collects what comes, without waiting.
    private final class Asker {
        let connection: RESPClientConnection
        private(set) var answers: [String] = []

        init(_ fixture: KVServerFixture, _ name: String) throws { connection = try fixture.connection(name) }

        func ask(_ text: String) {
            connection.send(text.split(separator: " ").map(String.init)) { [unowned self] result in
                answers.append((try? KVServerFixture.text(result.get())) ?? "closed")
            }
        }
    }

    @Test("PAUSE WRITE holds writes back and lets reads through, until its end or UNPAUSE")
    func pauseWrites() throws {
        let fixture = try KVServerFixture()
        let other = try Asker(fixture, "client-2")
        fixture.expect([("SET a 1", "OK"), ("CLIENT PAUSE 500 WRITE", "OK"), ("GET a", "1")])
        for text in ["GET a", "SET a 2", "GET a"] { other.ask(text) }
        fixture.world.pass(.milliseconds(400))
        #expect(other.answers == ["1"])
        fixture.world.pass(.milliseconds(150))
        #expect(other.answers == ["1", "OK", "2"])
        fixture.expect([("CLIENT PAUSE 100000 WRITE", "OK")])
        for text in ["MULTI", "GET a", "EXEC", "MULTI", "SET a 3", "EXEC"] { other.ask(text) }
        fixture.world.pass(.milliseconds(50))
        // What is queued waits as well if it writes, as in Redis.
        #expect(other.answers.suffix(4) == ["OK", "QUEUED", "[2]", "OK"])
        fixture.expect([("GET a", "2"), ("CLIENT UNPAUSE", "OK")])
        fixture.world.pass(.milliseconds(50))
        #expect(other.answers.suffix(2) == ["QUEUED", "[OK]"])
        #expect(fixture.ask("GET a") == "3")
    }

    @Test("PAUSE holds everything back; it is never made shorter or milder")
    func pauseAll() throws {
        let fixture = try KVServerFixture()
        let other = try Asker(fixture, "client-2")
        let third = try Asker(fixture, "client-3")
        for text in ["CLIENT PAUSE 100 WRITE", "CLIENT PAUSE 300", "PING", "PING"] { other.ask(text) }
        fixture.world.pass(.milliseconds(10))
        third.ask("PING")
        third.ask("CLIENT PAUSE 1 WRITE")
        fixture.world.pass(.milliseconds(250))
        #expect(other.answers == ["OK", "OK"] && third.answers.isEmpty)
        fixture.world.pass(.milliseconds(60))
        #expect(other.answers == ["OK", "OK", "PONG", "PONG"] && third.answers == ["PONG", "OK"])
    }

    @Test("clients that are paused are answered when the server drains, and forgotten when they leave")
    func pauseAndDrain() throws {
        let fixture = try KVServerFixture()
        let (other, third) = (try Asker(fixture, "client-2"), try Asker(fixture, "client-3"))
        #expect(fixture.ask("CLIENT PAUSE 1000000") == "OK")
        other.ask("SET a 1")
        third.ask("SET b 1")
        fixture.world.pass(.milliseconds(10))
        third.connection.abort()
        var isStopped = false
        fixture.server.drain { isStopped = true }
        fixture.world.pass(.seconds(1))
        #expect(other.answers.first == "OK")
        #expect(isStopped)
    }

    @Test("KILL by any of its conditions, all of which must hold")
    func kill() throws {
        let fixture = try KVServerFixture()
        let other = try fixture.connection("client-2")
        let list = fixture.ask("CLIENT LIST").split(separator: "\n").map(String.init)
        func field(_ name: String, _ line: String) -> String {
            line.split(separator: " ").first { $0.hasPrefix(name + "=") }.map { String($0.dropFirst(name.count + 1)) }
                ?? ""
        }
        let mine = field("id", fixture.ask("CLIENT INFO"))
        let theirs = try #require(list.first { field("id", $0) != mine })
        let local = field("laddr", theirs)
        #expect(local.hasSuffix(":6379"))
        #expect(fixture.ask("CLIENT KILL LADDR 1.2.3.4:6379") == "0")
        #expect(fixture.ask("CLIENT KILL LADDR \(local) TYPE pubsub") == "0")
        #expect(fixture.ask("CLIENT KILL LADDR \(local) ID \(mine)") == "0", "oneself is passed over")
        #expect(fixture.ask("CLIENT KILL LADDR \(local) USER default") == "1")
        fixture.world.pass(.milliseconds(5))
        #expect(other.isClosed)
        #expect(fixture.ask("CLIENT KILL ID \(mine) SKIPME no") == "1")
        fixture.world.pass(.milliseconds(5))
        #expect(fixture.ask("PING").hasPrefix("failed"))
    }

    @Test("several settings are set or none, and told by names and patterns")
    func settings() throws {
        try KVServerFixture().expect([
            ("CONFIG SET maxclients 50 timeout 7", "OK"),
            (
                "CONFIG SET timeout 8 maxclients 0",
                "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument must be between 1 and 4294967295 inclusive"
            ), ("CONFIG GET timeout maxclients", "[timeout 7 maxclients 50]"),
            (
                "CONFIG SET timeout 8 TIMEOUT 9",
                "-ERR CONFIG SET failed (possibly related to argument 'TIMEOUT') - duplicate parameter"
            ), ("CONFIG GET TimeOut time* appendfsync", "[TimeOut 7 appendfsync everysec]"),
            ("CONFIG GET nosuch max*s", "[maxclients 50]"),
        ])
    }

    @Test("INFO knows processors: nothing where time is the lab's own")
    func processors() throws {
        let text = try KVServerFixture().ask("INFO cpu")
        #expect(text.hasPrefix("# CPU\r\nused_cpu_sys:0.000000\r\nused_cpu_user:0.000000\r\n"))
    }
}
