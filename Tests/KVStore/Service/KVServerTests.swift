import KVStoreEngine
import KernelHosting
import KernelStorage
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

@Suite("Commands of the key-value server")
struct KVCommandTests {
    @Test("strings")
    func strings() throws {
        try KVServerFixture().expect([
            ("GET a", "nil"), ("SET a 1", "OK"), ("GET a", "1"), ("SET a 2 NX", "nil"), ("SET b 2 XX", "nil"),
            ("SET a 2 XX", "OK"), ("SET a 3 GET", "2"), ("SET n 1 GET", "nil"), ("SET a 4 NX GET", "3"), ("GET a", "3"),
            ("SET a 1 NX XX", "-ERR syntax error"), ("SET a 1 EX", "-ERR syntax error"),
            ("SET a 1 EX 1 PX 1", "-ERR syntax error"), ("SET a 1 EX 1 KEEPTTL", "-ERR syntax error"),
            ("SET a 1 EX 0", "-ERR invalid expire time in 'set' command"),
            ("SET a 1 EX x", "-ERR value is not an integer or out of range"),
            ("SET a 1 EX 9223372036854775807", "-ERR invalid expire time in 'set' command"),
            ("MSET a 1 b 2", "OK"), ("MGET a b c", "[1 2 nil]"),
            ("MSET a", "-ERR wrong number of arguments for 'mset' command"),
            ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command"), ("MSETNX c 1 a 9", "0"),
            ("GET c", "nil"), ("MSETNX c 3 d 4", "1"), ("DEL a b nosuch", "2"), ("EXISTS c d c a", "3"),
            ("SETNX c 9", "0"), ("SETNX e 9", "1"), ("GETSET e 8", "9"), ("GETDEL e", "8"), ("GETDEL e", "nil"),
            ("APPEND s Hello", "5"), ("APPEND s World", "10"), ("STRLEN s", "10"), ("STRLEN nosuch", "0"),
            ("GETRANGE s 0 4", "Hello"), ("GETRANGE s -5 -1", "World"), ("GETRANGE s 5 2", ""),
            ("GETRANGE s 3 100", "loWorld"), ("GETRANGE s -100 1", "He"), ("GETRANGE s -3 -5", ""),
            ("GETRANGE s -100 -99", "H"),
            ("SETRANGE s 5 Redis", "10"), ("GET s", "HelloRedis"), ("SETRANGE s -1 x", "-ERR offset is out of range"),
            (
                "SETRANGE s 600000000 x",
                "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"
            ), ("SETRANGE pad 3 x", "4"), ("STRLEN pad", "4"), ("SETRANGE nosuch 5 ''", "0"), ("EXISTS nosuch", "0"),
            ("TYPE s", "string"), ("TYPE nosuch", "none"), ("RENAME s t", "OK"), ("GET t", "HelloRedis"),
            ("RENAME nosuch x", "-ERR no such key"), ("RENAMENX t pad", "0"), ("RENAMENX t u", "1"),
        ])
    }

    @Test("numbers")
    func numbers() throws {
        try KVServerFixture().expect([
            ("INCR n", "1"), ("INCRBY n 10", "11"), ("DECR n", "10"), ("DECRBY n 4", "6"), ("GET n", "6"),
            ("SET s x", "OK"), ("INCR s", "-ERR value is not an integer or out of range"),
            ("INCRBY n x", "-ERR value is not an integer or out of range"),
            ("SET big 9223372036854775807", "OK"), ("INCR big", "-ERR increment or decrement would overflow"),
            ("DECRBY n -9223372036854775808", "-ERR decrement would overflow"),
            ("SET f 10.50", "OK"), ("INCRBYFLOAT f 0.1", "10.6"), ("INCRBYFLOAT f -5", "5.6"),
            ("SET f 5.0e3", "OK"), ("INCRBYFLOAT f 2.0e2", "5200"),
            ("INCRBYFLOAT s 1", "-ERR value is not a valid float"),
            ("INCRBYFLOAT m 18446744073709551616", "18446744073709551616"),
            ("INCRBYFLOAT m 1e24", "1000018446744073709551616"), ("SET m 9223372036854775807", "OK"),
            ("INCRBYFLOAT m 0.5", "9223372036854775807.5"), ("INCRBYFLOAT m 0.5", "9223372036854775808"),
            ("INCRBYFLOAT f inf", "-ERR increment would produce NaN or Infinity"),
            // There and back, beyond what a double holds, and to the last digit that is shown.
            ("SET f 1", "OK"), ("INCRBYFLOAT f 1e20", "100000000000000000000"), ("INCRBYFLOAT f -1e20", "0"),
            ("DEL f", "1"), ("INCRBYFLOAT f 1e-5000", "-ERR value is not a valid float"),
            ("INCRBYFLOAT f 0.000000000000000005", "0"), ("INCRBYFLOAT f 0x1p3", "8"), ("INCRBYFLOAT f -8", "0"),
        ])
    }

    @Test("a floating-point number of thousands of digits comes back to nothing")
    func thereAndBack() throws {
        let fixture = try KVServerFixture()
        for (power, digits) in [("1e300", 301), ("1e4000", 4001), ("-1e400", 402)] {
            let large = fixture.ask("INCRBYFLOAT f \(power)")
            #expect((digits - 1...digits).contains(large.count) && !large.contains(".") && !large.contains("e"))
            let back = power.hasPrefix("-") ? String(power.dropFirst()) : "-" + power
            #expect(fixture.ask("INCRBYFLOAT f \(back)") == "0")
        }
    }

    @Test("ends, and their conditions")
    func ends() throws {
        let fixture = try KVServerFixture()
        fixture.expect([
            ("SET a 1 EX 10", "OK"), ("TTL a", "10"), ("PERSIST a", "1"), ("TTL a", "-1"), ("PERSIST a", "0"),
            ("TTL nosuch", "-2"), ("PTTL nosuch", "-2"), ("EXPIRE nosuch 1", "0"), ("EXPIRE a 100 XX", "0"),
            ("EXPIRE a 100 GT", "0"), ("EXPIRE a 100 LT", "1"), ("EXPIRE a 50 GT", "0"), ("EXPIRE a 200 GT", "1"),
            ("EXPIRE a 300 LT", "0"), ("EXPIRE a 300 NX", "0"), ("TTL a", "200"), ("SET a 2 KEEPTTL", "OK"),
            ("TTL a", "200"), ("SET a 3", "OK"), ("TTL a", "-1"),
            ("EXPIRE a 1 NX GT", "-ERR NX and XX, GT or LT options at the same time are not compatible"),
            ("EXPIRE a 1 GT LT", "-ERR GT and LT options at the same time are not compatible"),
            ("EXPIRE a 1 FOO", "-ERR Unsupported option FOO"),
            ("EXPIRE a 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
            ("EXPIRE a -1", "1"), ("EXISTS a", "0"), ("SETEX b 5 x", "OK"), ("PSETEX c 5000 x", "OK"), ("TTL c", "5"),
            ("SETEX b 0 x", "-ERR invalid expire time in 'setex' command"), ("EXPIREAT b 1703084460", "1"),
            ("EXPIRETIME b", "1703084460"), ("PEXPIRETIME b", "1703084460000"), ("GETEX b PERSIST", "x"),
            ("TTL b", "-1"), ("GETEX b PX 100", "x"), ("GETEX b EX 0", "-ERR invalid expire time in 'getex' command"),
            ("GETEX nosuch EX 0", "nil"), ("GETEX b EX 1 PERSIST", "-ERR syntax error"),
            ("SET old 1 PXAT 1", "OK"), ("GET old", "nil"), ("APPEND c y", "2"), ("TTL c", "5"),
        ])
        fixture.world.pass(.milliseconds(100))
        #expect(fixture.ask("GET b") == "nil")
    }

    @Test("the last end that 64 bits can say is an end like any other, after a restart, too")
    func farthestEnd() throws {
        let fixture = try KVServerFixture()
        let asked = [
            ("PEXPIRETIME k", "9223372036854775807"), ("EXPIRETIME k", "9223372036854776"), ("GET k", "v"),
            ("EXISTS k", "1"),
        ]
        fixture.expect([("SET k v PXAT 9223372036854775807", "OK")] + asked)
        #expect(fixture.ask("TTL k").hasPrefix("92"))
        #expect(fixture.ask("PTTL k").hasPrefix("92"))
        fixture.world.advance(by: .seconds(3_600))
        try fixture.crash(.killed)
        fixture.expect(asked)
        for option in ["EX", "PX", "EXAT", "PXAT"] {
            for number in ["9223372036854775807", "9223372036854775", "-9223372036854775808", "0", "1"] {
                let answer = fixture.ask("SET k v \(option) \(number)")
                #expect(answer == "OK" || answer == "-ERR invalid expire time in 'set' command", "\(option) \(number)")
                _ = fixture.ask("EXPIRETIME k")
                _ = fixture.ask("TTL k")
            }
        }
        #expect(fixture.ask("PING") == "PONG")
    }

    @Test("any cursor of 64 bits is one: an unknown one begins again")
    func foreignCursors() throws {
        let fixture = try KVServerFixture()
        for number in 0..<30 { _ = fixture.ask("SET k\(number) v") }
        let first = fixture.ask("SCAN 0 COUNT 5")
        for cursor in ["99999", "18446744073709551615", "9223372036854775808"] {
            let answer = fixture.ask("SCAN \(cursor) COUNT 5")
            #expect(answer.drop { $0 != "[" }.dropFirst().drop { $0 != "[" } == first.dropFirst().drop { $0 != "[" })
        }
    }

    @Test("a watched key that had ended before WATCH may be swept without breaking the transaction")
    func sweptWatch() throws {
        let fixture = try KVServerFixture()
        _ = fixture.ask("SET gone v PX 5")
        fixture.world.advance(by: .milliseconds(20))
        fixture.expect([("WATCH gone", "OK"), ("MULTI", "OK"), ("SET a 1", "QUEUED")])
        fixture.world.advance(by: .seconds(2))
        let other = try fixture.connection("client-2")
        #expect(fixture.ask("INFO stats", on: other).contains("expired_keys:1\r\n"))
        fixture.expect([("EXEC", "[OK]"), ("GET a", "1")])
    }

    @Test("lines in the body of an HTTP request are no commands")
    func crossProtocol() throws {
        let fixture = try KVServerFixture()
        let client = try RawClient(fixture.world.node("browser"), "lsm", 6379)
        fixture.world.pass(.milliseconds(1))
        client.write("POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET stolen 1\r\n")
        fixture.world.pass(.milliseconds(20))
        #expect(fixture.ask("EXISTS stolen") == "0")
        let other = try RawClient(fixture.world.node("browser2"), "lsm", 6379)
        fixture.world.pass(.milliseconds(1))
        other.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\nSET stolen 1\r\n")
        fixture.world.pass(.milliseconds(20))
        #expect(fixture.ask("EXISTS stolen") == "0")
    }

    @Test("a key is not seen any more from its end on, and deleted unread within 100 ms and a millisecond a thousand")
    func activeExpiry() throws {
        let fixture = try KVServerFixture()
        for number in 0..<3000 { _ = fixture.ask("SET k\(number) v PXAT 1703084460000") }
        _ = fixture.ask("SET later v PXAT 1703084470000")
        _ = fixture.ask("SET again v PXAT 1703084460000")
        _ = fixture.ask("SET again w")
        let end = LabTime(nanoseconds: 1_703_084_460_000_000_000)
        fixture.world.advance(by: end - fixture.world.now - .milliseconds(2))
        #expect(fixture.ask("EXISTS k0 k2999") == "2")
        fixture.world.advance(by: end - fixture.world.now)
        #expect(fixture.ask("EXISTS k0 k2999 again") == "1")
        fixture.world.advance(by: .milliseconds(110))
        #expect(fixture.ask("INFO stats").contains("expired_keys:3000\r\n"))
        let iterator = try fixture.server.store.makeIterator()
        try iterator.seekToFirst()
        var left: [String] = []
        while iterator.isValid {
            left.append(String(decoding: iterator.key.filter { $0 >= 97 && $0 < 123 }, as: UTF8.self))
            try iterator.next()
        }
        // The index's entry for the later one, and the two keys.
        #expect(left == ["sdlabttllater", "again", "later"])
    }

    @Test("ends survive a crash")
    func endsAfterCrash() throws {
        let fixture = try KVServerFixture()
        fixture.expect([("SET a 1 EX 10", "OK"), ("SET b 1 EX 100", "OK")])
        try fixture.crash(.killed)
        #expect(fixture.ask("TTL b") == "100" && fixture.ask("GET a") == "1")
        fixture.world.advance(by: .seconds(11))
        #expect(fixture.ask("GET a") == "nil")
        #expect(fixture.ask("INFO stats").contains("expired_keys:1\r\n"))
    }

    @Test("values and keys of any bytes; those of the server's own are refused")
    func anyBytes() throws {
        let fixture = try KVServerFixture()
        let marked = "\u{1}"
        fixture.expect([("SET '' empty", "OK"), ("GET ''", "empty"), ("SET a ''", "OK"), ("GET a", "")])
        #expect(fixture.ask(["SET", "x", marked]) == "OK" && fixture.ask("GET x") == marked)
        #expect(
            fixture.ask(["SET", "\0sdlab\0ttl\0", "x"])
                == "-ERR keys that begin with a zero byte and 'sdlab' are the server's own")
        #expect(fixture.ask(["GET", "\0sdlab\0ttl\0"]) == "nil")
        #expect(fixture.ask("DBSIZE") == "3")
    }

    @Test("SCAN gives every key once, whatever is written meanwhile, and forgets old cursors")
    func scan() throws {
        let fixture = try KVServerFixture()
        for number in 0..<100 { _ = fixture.ask("SET key:\(number) v") }
        _ = fixture.ask("SET other v EX 100")
        var cursor = "0"
        var found: [String] = []
        repeat {
            let answer = fixture.ask("SCAN \(cursor) MATCH key:* COUNT 7").dropFirst().dropLast()
            let parts = answer.split(separator: " ", maxSplits: 1)
            cursor = String(parts[0])
            found += parts[1].dropFirst().dropLast().split(separator: " ").map(String.init)
            _ = fixture.ask("SET aaa:\(found.count) new")
            _ = fixture.ask("DEL key:\(found.count % 3)")
        } while cursor != "0"
        #expect(Set(found).count == found.count && found.count >= 97)
        fixture.expect([
            ("SCAN x", "-ERR invalid cursor"), ("SCAN 0 COUNT x", "-ERR value is not an integer or out of range"),
            ("SCAN 0 COUNT 0", "-ERR syntax error"), ("SCAN 0 FOO", "-ERR syntax error"),
            ("SCAN -", "-ERR invalid cursor"), ("SCAN 18446744073709551616", "-ERR invalid cursor"),
            ("SCAN 1x", "-ERR invalid cursor"), ("SCAN 0 TYPE hash COUNT 1000", "[0 []]"), ("KEYS other", "[other]"),
            ("KEYS key:1?", "[key:10 key:11 key:12 key:13 key:14 key:15 key:16 key:17 key:18 key:19]"),
            ("KEYS [o]*r", "[other]"), ("FLUSHALL", "OK"), ("DBSIZE", "0"), ("RANDOMKEY", "nil"), ("SET k v", "OK"),
            ("RANDOMKEY", "k"), ("FLUSHDB ASYNC", "OK"), ("FLUSHDB x", "-ERR syntax error"),
        ])
    }

    @Test("settings, and what is refused")
    func settings() throws {
        try KVServerFixture().expect([
            ("CONFIG GET appendfsync", "[appendfsync everysec]"), ("CONFIG SET appendfsync always", "OK"),
            ("CONFIG GET appendf*", "[appendfsync always]"), ("CONFIG GET nosuch", "[]"),
            (
                "CONFIG SET appendfsync maybe",
                "-ERR CONFIG SET failed (possibly related to argument 'appendfsync') - argument(s) must be one of the following: everysec, always, no"
            ),
            ("CONFIG SET nosuch 1", "-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'"),
            (
                "CONFIG SET port 1",
                "-ERR CONFIG SET failed (possibly related to argument 'port') - can't set immutable config"
            ),
            ("CONFIG SET maxclients 5 timeout 60", "OK"), ("CONFIG GET maxclients", "[maxclients 5]"),
            ("CONFIG RESETSTAT", "OK"), ("CONFIG REWRITE", "-ERR The server is running without a config file"),
        ])
    }
}

@Suite("Transactions of the key-value server")
struct KVTransactionTests {
    @Test("commands of a transaction see each other, and others see all or none of them")
    func isolation() throws {
        let fixture = try KVServerFixture()
        fixture.expect([
            ("MULTI", "OK"), ("SET a 1", "QUEUED"), ("INCR a", "QUEUED"), ("GET a", "QUEUED"), ("DEL a", "QUEUED"),
            ("GET a", "QUEUED"), ("MSET b 1 c 2", "QUEUED"), ("INCRBY s x", "QUEUED"),
            ("EXEC", "[OK 2 2 1 nil OK -ERR value is not an integer or out of range]"), ("MGET a b c", "[nil 1 2]"),
            ("EXEC", "-ERR EXEC without MULTI"), ("DISCARD", "-ERR DISCARD without MULTI"), ("MULTI", "OK"),
            ("MULTI", "-ERR MULTI calls can not be nested"), ("WATCH a", "-ERR WATCH inside MULTI is not allowed"),
            ("DISCARD", "OK"), ("MULTI", "OK"), ("SET a 9", "QUEUED"),
            ("NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: "),
            ("EXEC", "-EXECABORT Transaction discarded because of previous errors."), ("GET a", "nil"), ("MULTI", "OK"),
            ("EXEC x", "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command"),
            ("EXEC", "-ERR EXEC without MULTI"), ("MULTI", "OK"),
            ("LSM COMPACT", "-ERR Command not allowed inside a transaction"),
            ("EXEC", "-EXECABORT Transaction discarded because of previous errors."), ("MULTI", "OK"), ("EXEC", "[]"),
            // What walks over the keys sees them as the transaction has left them.
            ("MULTI", "OK"), ("SET a 1", "QUEUED"), ("DEL b", "QUEUED"), ("SET z 1", "QUEUED"), ("KEYS *", "QUEUED"),
            ("DBSIZE", "QUEUED"), ("SCAN 0", "QUEUED"), ("FLUSHALL", "QUEUED"), ("DBSIZE", "QUEUED"),
            ("SET q 1", "QUEUED"),
            ("EXEC", "[OK 1 OK [a c z] 3 [0 [a c z]] OK 0 OK]"), ("KEYS *", "[q]"),
        ])
    }

    @Test("a transaction is carried out only if nobody wrote what it watches")
    func watch() throws {
        let fixture = try KVServerFixture()
        let other = try fixture.connection("client-2")
        fixture.expect([("SET a 1", "OK"), ("WATCH a b", "OK"), ("MULTI", "OK"), ("SET c 1", "QUEUED")])
        #expect(fixture.ask("SET b 2", on: other) == "OK")
        fixture.expect([
            ("EXEC", "nil"), ("GET c", "nil"), ("WATCH a", "OK"), ("MULTI", "OK"), ("SET c 1", "QUEUED"),
            ("EXEC", "[OK]"), ("WATCH a", "OK"), ("SET a 2", "OK"), ("MULTI", "OK"), ("EXEC", "nil"), ("WATCH a", "OK"),
        ])
        #expect(fixture.ask("DEL a", on: other) == "1")
        fixture.expect([("UNWATCH", "OK"), ("MULTI", "OK"), ("PING", "QUEUED"), ("EXEC", "[PONG]")])
        // One that ends by itself has changed, too, even before anybody deletes it.
        fixture.expect([("SET e 1 PX 50", "OK"), ("WATCH e", "OK"), ("MULTI", "OK"), ("PING", "QUEUED")])
        fixture.world.pass(.milliseconds(60))
        #expect(fixture.ask("EXEC") == "nil")
    }

    @Test("a flush changes the keys that are there, and no others", arguments: ["FLUSHALL", "FLUSHDB"])
    func flushedWatches(_ flush: String) throws {
        for isInTransaction in [false, true] {
            let fixture = try KVServerFixture()
            let other = try fixture.connection("client-2")
            func flushAll() {
                if isInTransaction { #expect(fixture.ask("MULTI", on: other) == "OK") }
                #expect(fixture.ask(flush, on: other) == (isInTransaction ? "QUEUED" : "OK"))
                if isInTransaction { #expect(fixture.ask("EXEC", on: other) == "[OK]") }
            }
            fixture.expect([("SET other 1", "OK"), ("SET gone 1 PX 5", "OK")])
            fixture.world.pass(.milliseconds(10))
            for (key, answer) in [("gone", "[nil]"), ("missing", "[nil]"), ("other", "nil")] {
                fixture.expect([("SET other 1", "OK"), ("WATCH \(key)", "OK")])
                flushAll()
                fixture.expect([("MULTI", "OK"), ("GET missing", "QUEUED"), ("EXEC", answer)])
            }
        }
    }

    @Test("a power failure leaves all of a transaction or none", arguments: 1...30 as ClosedRange<UInt64>)
    func atomicity(_ seed: UInt64) throws {
        let fixture = try KVServerFixture(seed: seed) { $0.synchronization = .no }
        var last = 0
        for number in 1...20 {
            fixture.expect([
                ("MULTI", "OK"), ("SET a \(number)", "QUEUED"), ("SET b \(number)", "QUEUED"),
                ("SET c \(number) EX 1000", "QUEUED"), ("EXEC", "[OK OK OK]"),
            ])
            last = number
        }
        try fixture.crash(.poweredOff, .random(seed: seed))
        let values = Set(["a", "b", "c"].map { fixture.ask("GET \($0)") })
        #expect(values.count == 1, "\(values) of \(last)")
    }
}
