import KVStoreEngine
import KVStoreService
import KernelStructures
import KernelWorld
import TestSupport
import Testing

/// `DBSIZE` and INFO's keyspace agree with what SCAN shows.
@Suite("The number of keys")
struct KeyCountTests {
    /// A server with everything small; whatever is asked for is counted between turns.
    private func fixture(seed: UInt64 = 1, atOnce: Int = 0) throws -> KVServerFixture {
        try KVServerFixture(seed: seed) { settings in
            settings.store.writeBufferByteCount = 4096
            settings.store.tableByteCount = 2048
            settings.store.level1ByteCount = 8192
            settings.store.blockByteCount = 256
            settings.countAtOnceEntries = atOnce
        }
    }

    /// What the three say; they must be the same.
    private func count(_ fixture: KVServerFixture) -> Int {
        let keys = fixture.ask("KEYS *").dropFirst().dropLast().split(separator: " ").count
        #expect(fixture.ask("DBSIZE") == "\(keys)")
        let information = fixture.ask("INFO keyspace")
        #expect(
            information.contains("db0:keys=\(keys),") || keys == 0 && information == "# Keyspace\r\n", "\(information)")
        return keys
    }

    @Test(
        "is exact after overwriting, deleting everything, expiry, restarts and transactions", arguments: [0, 100_000])
    func exact(atOnce: Int) throws {
        let fixture = try fixture(atOnce: atOnce)
        for number in 0..<600 { _ = fixture.ask("SET k\(number % 200) \(String(repeating: "x", count: 50))") }
        #expect(count(fixture) == 200)
        for number in 0..<100 { _ = fixture.ask("SET k\(number) again") }
        #expect(count(fixture) == 200)
        fixture.expect([
            ("MULTI", "OK"), ("DEL k0 k1 nosuch", "QUEUED"), ("SET new 1", "QUEUED"), ("SET k5 1", "QUEUED"),
            ("SET soon 1 EX 100", "QUEUED"), ("DBSIZE", "QUEUED"), ("EXEC", "[2 OK OK OK 200]"),
        ])
        #expect(count(fixture) == 200)
        #expect(fixture.ask("INFO keyspace").contains("db0:keys=200,expires=1,"))
        for number in 10..<20 { _ = fixture.ask("EXPIRE k\(number) 1000") }
        #expect(fixture.ask("INFO keyspace").contains("db0:keys=200,expires=11,"))
        try fixture.crash(.killed)
        #expect(count(fixture) == 200)
        #expect(fixture.ask("INFO keyspace").contains("expires=11,"))
        fixture.world.advance(by: .seconds(101))
        #expect(count(fixture) == 199)
        fixture.world.advance(by: .seconds(1000))
        #expect(count(fixture) == 189)
        #expect(fixture.ask("INFO keyspace").contains("expires=0,"))
        _ = fixture.ask("LSM COMPACT")
        #expect(count(fixture) == 189)
        #expect(fixture.ask("FLUSHALL") == "OK")
        #expect(count(fixture) == 0)
        #expect(fixture.ask("SET a 1") == "OK")
        #expect(count(fixture) == 1)
        fixture.expect([("MULTI", "OK"), ("FLUSHALL", "QUEUED"), ("DBSIZE", "QUEUED"), ("EXEC", "[OK 0]")])
        #expect(count(fixture) == 0)
    }

    @Test("a key whose time is over is not counted, before it is deleted as well")
    func overdue() throws {
        let fixture = try fixture()
        fixture.expect([("SET a 1", "OK"), ("SET b 1 PX 50", "OK"), ("SET c 1 PX 40", "OK"), ("SET c 2 PX 5000", "OK")])
        #expect(fixture.ask("DBSIZE") == "3")
        fixture.world.advance(by: .milliseconds(55))
        #expect(fixture.ask("INFO stats").contains("expired_keys:0\r\n"))
        #expect(count(fixture) == 2)
    }

    @Test("by any history, with many asking while others write", arguments: 1...8 as ClosedRange<UInt64>)
    func model(_ seed: UInt64) throws {
        let fixture = try fixture(seed: seed, atOnce: seed % 2 == 0 ? 0 : 300)
        let other = try fixture.connection("client-2")
        var random = SeededRandom(seed: seed)
        var model: Set<Int> = []
        for _ in 0..<600 {
            let key = random.below(300)
            switch random.below(20) {
            case 0..<13:
                #expect(fixture.ask("SET key\(key) \(String(repeating: "v", count: 1 + random.below(100)))") == "OK")
                model.insert(key)
            case 13..<17:
                #expect(fixture.ask("DEL key\(key)") == (model.remove(key) == nil ? "0" : "1"))
            case 17: #expect(fixture.ask("DBSIZE") == "\(model.count)")
            case 18:
                // Whoever asks while it is being counted, and written, hears of one moment or the other.
                var answers: [String] = []
                let before = model.count
                for _ in 0..<3 {
                    other.send(["DBSIZE"]) { answers.append((try? $0.get().integer).map { "\($0)" } ?? "?") }
                }
                #expect(fixture.ask("SET key\(key) v") == "OK")
                model.insert(key)
                fixture.world.pass(.milliseconds(300))
                #expect(answers.count == 3 && answers.allSatisfy { $0 == "\(before)" || $0 == "\(model.count)" })
            default:
                if random.chance(0.2) {
                    try fixture.crash(.killed)
                    return
                }
                if random.chance(0.1) {
                    #expect(fixture.ask("FLUSHALL") == "OK")
                    model = []
                }
            }
        }
        #expect(count(fixture) == model.count)
    }

    @Test("a server that stops answers those who wait for a count")
    func stopping() throws {
        let fixture = try fixture()
        for number in 0..<6000 { _ = try fixture.server.store.put(Array("key\(number)".utf8), Array("v".utf8)) }
        let other = try fixture.connection("client-2")
        var answer: String?
        other.send(["DBSIZE"]) { answer = "\($0)" }
        fixture.world.pass(.microseconds(50))
        #expect(answer == nil)
        fixture.server.drain {}
        fixture.world.pass(.seconds(1))
        #expect(answer?.contains("shutting down") == true || answer?.contains("6000") == true, "\(answer ?? "none")")
    }
}
