import KVStoreEngine
import KVStoreService
import KernelStructures
import KernelWorld
import TestSupport
import Testing

/// `BGSAVE` and `SAVE` make a checkpoint that opens as a store.
@Suite("Saving")
struct SavingTests {
    /// What a server finds that is started on the checkpoint.
    private func restored(_ fixture: KVServerFixture, _ requests: [(String, String)]) throws {
        try fixture.crash(.killed)
        let settings = KVServer.Settings(directory: "/kv-data/checkpoint")
        let server = KVServer(node: fixture.server.node, port: 6380, settings: settings)
        try server.start()
        let client = try fixture.connection("client-9", port: 6380)
        for (request, reply) in requests {
            let answer = fixture.ask(request, on: client)
            #expect(answer == reply, "\(request)")
        }
    }

    @Test("in the background, while writes go on")
    func background() throws {
        let fixture = try KVServerFixture()
        for number in 0..<50 { _ = fixture.ask("SET k\(number) v") }
        fixture.expect([("LSM FLUSH", "OK"), ("SET k1 new EX 1000", "OK")])
        let other = try fixture.connection("client-2")
        var answers: [String] = []
        for _ in 0..<2 { other.send(["BGSAVE"]) { answers.append((try? KVServerFixture.text($0.get())) ?? "closed") } }
        fixture.world.pass(.milliseconds(1))
        #expect(answers == ["Background saving started", "-ERR Background save already in progress"])
        fixture.expect([("SET k2 later", "OK"), ("DEL k3", "1")])
        fixture.world.pass(.seconds(2))
        let information = fixture.ask("INFO persistence")
        #expect(
            information.contains("rdb_bgsave_in_progress:0\r\n")
                && information.contains("rdb_last_bgsave_status:ok\r\n"))
        #expect(information.contains("rdb_changes_since_last_save:2\r\n"))
        try restored(
            fixture, [("DBSIZE", "50"), ("GET k1", "new"), ("TTL k1", "998"), ("GET k2", "v"), ("GET k3", "v")])
    }

    @Test("while the client waits, in a transaction not at all, and in one in the background behind it")
    func waiting() throws {
        let fixture = try KVServerFixture()
        let start = try #require(Int(fixture.ask("LASTSAVE")))
        fixture.world.advance(by: .seconds(5))
        fixture.expect([("SET a 1", "OK"), ("SAVE", "OK")])
        #expect(try #require(Int(fixture.ask("LASTSAVE"))) >= start + 5)
        fixture.expect([
            ("MULTI", "OK"), ("SAVE", "-ERR Command not allowed inside a transaction"),
            ("EXEC", "-EXECABORT Transaction discarded because of previous errors."), ("MULTI", "OK"),
            ("SET a 2", "QUEUED"), ("BGSAVE", "QUEUED"), ("SET b 1", "QUEUED"),
            ("EXEC", "[OK Background saving scheduled OK]"),
        ])
        fixture.world.pass(.seconds(1))
        try restored(fixture, [("MGET a b", "[2 1]")])
    }

    @Test("on a full disk it fails aloud, and serves on")
    func full() throws {
        let fixture = try KVServerFixture()
        fixture.expect([("SET a 1", "OK")])
        fixture.server.node.disk.faults.isFull = true
        #expect(fixture.ask("SAVE").contains("No space left"))
        fixture.server.node.disk.faults.isFull = false
        fixture.expect([("GET a", "1"), ("SAVE", "OK")])
    }
}
