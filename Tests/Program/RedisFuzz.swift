import KernelStructures

/// Command lines by chance, valid and not: wrong counts of arguments, extremes of integers and floats, empty keys,
/// options in odd orders, transactions, ends far away.
struct RedisFuzz {
    typealias Words = [[UInt8]]
    private var random: SeededRandom
    /// A transaction may be open: what is compared in a special way is left out then.
    private var mayBeInTransaction = false

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    // MARK: Words

    private static func words(_ text: String) -> Words { text.split(separator: " ").map { Array($0.utf8) } }
    private static func quoted(_ texts: String...) -> Words { texts.map { Array($0.utf8) } }

    private static let small = words("0 1 -1 2 3 10 100")
    /// No number here is an end that comes while a test runs.
    private static let integers =
        words(
            """
            9223372036854775807 -9223372036854775808 9223372036854775808 -9223372036854775809 18446744073709551615 \
            18446744073709551616 4294967296 2147483647 -2147483648 536870911 536870912 01 -0 +1 x 1.0 1e3 0x10 \
            9223372036854775 9223372036854776 -9223372036854775 1700000000 4000000000000
            """) + quoted("", " 1", "1 ", "1\u{0}")
    private static let floats =
        words(
            """
            0 0.1 -0.1 0.3 .5 5. -.5 -0 1e17 -1e17 1e20 -1e20 1e300 -1e300 1e4000 -1e4000 1e5000 1e-4000 1e-5000 3.0e3 \
            inf -inf +inf nan NaN -nan infinity 0x1p3 0x1.8 1,5 1e x 0.00000000000000001 0.000000000000000004 \
            0.000000000000000005 -0.000000000000000004 123456789.123456789 18446744073709551616 9223372036854775807 \
            9223372036854775808 3.14159265358979323846264338327950288 1.79769313486231570815e308 2e308 1e-320
            """) + quoted("", " 1.5", "1.5 ")
    private static let seconds = words("1900000000 2000000000 2000000001 4000000000")
    private static let milliseconds = words("1900000000000 2000000000000 9223372036854775807 9223372036854774807")
    private static let values =
        words("x hello 5 -5") + quoted("", "a b", "\u{0}\u{1}") + [
            [0xFF, 0], [0xF5, 0x54, 0x54, 0x4C], [0xF5, 0x54, 0x54, 0x4C, 0, 0, 0, 0, 0, 0, 0, 0],
            [UInt8](repeating: 118, count: 100),
        ]
    private static let keys = words("k0 k1 k2 k3 k4 k5") + [[], [0], [0xFF, 0xFE]]
    private static let options = words(
        "NX XX GT LT GET KEEPTTL PERSIST EX PX EXAT PXAT nx Get MATCH COUNT TYPE ASYNC FOO LIMIT")
    private static let patterns =
        words("* k? k[0-3] k[^1] \\k1 [ k[3-1] k[2-2 k[\\]2] k[a-] **k* zz* k1 ?? [^k]* k\\") + quoted("")

    private mutating func one<Value>(_ choices: [Value]) -> Value { choices[random.below(choices.count)] }
    private mutating func word(_ text: String) -> [UInt8] { one(Self.words(text)) }
    private mutating func key() -> [UInt8] { one(Self.keys) }
    private mutating func number() -> [UInt8] { one(Self.small + Self.integers) }
    private mutating func value() -> [UInt8] { one(one([Self.small, Self.integers, Self.floats, Self.values])) }
    private mutating func any() -> [UInt8] {
        one(one([Self.integers, Self.floats, Self.values, Self.keys, Self.options, Self.patterns]))
    }
    private mutating func several(_ counts: [Int], _ make: (inout RedisFuzz) -> [UInt8]) -> Words {
        (0..<one(counts)).map { _ in make(&self) }
    }

    /// A number that says when a key ends: far away, long ago or not at all.
    private mutating func end(isMilliseconds: Bool, isAbsolute: Bool) -> [UInt8] {
        let far =
            isAbsolute
            ? isMilliseconds ? Self.milliseconds : Self.seconds : Self.words(isMilliseconds ? "100000000" : "1000000")
        return one(far + Self.words("0 -1") + Self.integers)
    }

    private mutating func setOptions() -> Words {
        var words: Words = []
        for _ in 0..<one([0, 1, 1, 2, 2, 3]) {
            if random.chance(0.5) {
                words.append(
                    one(Self.options.filter { !$0.contains(UInt8(ascii: "X")) || $0.count == 2 && $0[0] != 69 }))
                continue
            }
            let unit = word("EX PX EXAT PXAT ex pxat")
            words.append(unit)
            guard random.chance(0.9) else { continue }
            words.append(end(isMilliseconds: unit[0] | 32 == 112, isAbsolute: unit.count == 4))
        }
        return words
    }

    // MARK: Commands

    /// The next command line.
    mutating func next() -> Words {
        let words = draw()
        guard let name = words.first.map({ String(decoding: $0, as: UTF8.self).uppercased() }) else { return words }
        if name == "MULTI" { mayBeInTransaction = true }
        if ["EXEC", "DISCARD", "RESET"].contains(name) { mayBeInTransaction = false }
        return words
    }

    private mutating func draw() -> Words {
        switch random.below(34) {
        case 0, 1, 2: return Self.words("SET") + [key(), value()] + setOptions()
        case 3, 4:
            return [word("GET STRLEN INCR DECR GETDEL TYPE PERSIST get Incr"), key()]
        case 5, 6: return [word("INCRBY DECRBY"), key(), number()]
        case 7, 8: return Self.words("INCRBYFLOAT") + [key(), one(Self.floats)]
        case 9, 10: return [word("APPEND SETNX GETSET"), key(), value()]
        case 11: return [word("GETRANGE SUBSTR"), key(), number(), number()]
        case 12:
            let offset = word("0 1 5 -1 x 67108864 67108865 9223372036854775807 -9223372036854775808 600000000")
            return Self.words("SETRANGE") + [key(), offset, value()]
        case 13:
            let name = word("SETEX PSETEX")
            return [name, key(), end(isMilliseconds: name.count == 6, isAbsolute: false), value()]
        case 14, 15, 16: return expire()
        case 17: return Self.words("GETEX") + [key()] + setOptions()
        case 18, 19: return [word("MGET DEL EXISTS UNLINK TOUCH WATCH")] + several([0, 1, 2, 3]) { $0.key() }
        case 20, 21:
            return [word("MSET MSETNX")]
                + several([0, 1, 2, 3, 4, 6]) { $0.random.chance(0.3) ? $0.value() : $0.key() }
        case 22: return [word("RENAME RENAMENX"), key(), key()]
        case 23, 24, 25: return [word("MULTI EXEC DISCARD UNWATCH MULTI EXEC EXEC")]
        case 26: return [word("PING ECHO")] + several([0, 1, 1, 2]) { $0.any() }
        case 27: return mayBeInTransaction ? [word("GET"), key()] : walk()
        case 28: return configuration()
        case 29: return client()
        case 30: return handshake()
        case 31, 32: return server()
        default:
            let name = word(
                "GETEX APPEND INCRBYFLOAT SCAN MSETNX STRLEN GETSET WATCH EXEC DEL set Get TTL PTTL KEYS ECHO")
            let words = [name] + several([0, 1, 2, 3, 4, 5]) { $0.any() }
            // What would answer with many keys, in any order, or with times, is asked for on purpose only.
            let isSpecial = ["TTL", "PTTL", "KEYS", "SCAN"].contains(String(decoding: name, as: UTF8.self))
            return isSpecial && (words.count == 2 || mayBeInTransaction) ? [name] : words
        }
    }

    private mutating func expire() -> Words {
        let name = word("EXPIRE PEXPIRE EXPIREAT PEXPIREAT")
        let end = end(isMilliseconds: name[0] == UInt8(ascii: "P"), isAbsolute: name.last == UInt8(ascii: "T"))
        return [name, key(), end] + several([0, 0, 1, 1, 2, 3]) { $0.one(Self.words("NX XX GT LT gt FOO") + [[]]) }
    }

    /// What walks over keys, or says how many there are, and how long they live.
    private mutating func walk() -> Words {
        let cursors = words("0 0 x -1 +0 18446744073709551616 0x") + Self.quoted("", " 0")
        switch random.below(5) {
        case 0: return Self.words("KEYS") + [one(Self.patterns)]
        case 1: return Self.words("DBSIZE")
        case 2: return [word("TTL PTTL EXPIRETIME PEXPIRETIME"), key()]
        default:
            let rest = one([
                "COUNT", "MATCH", "TYPE", "FOO 1", "TYPE hash COUNT 1000", "TYPE string COUNT 1000",
                "COUNT 1000 MATCH k*",
                "COUNT 0", "COUNT x", "COUNT -5", "MATCH nosuch COUNT 9223372036854775807 COUNT 1000",
            ])
            return Self.words("SCAN") + [one(cursors)] + Self.words(rest)
        }
    }

    private func words(_ text: String) -> Words { Self.words(text) }

    private mutating func configuration() -> Words {
        Self.words("CONFIG")
            + Self.words(
                one([
                    "", "GET", "GET appendfsync", "GET nosuch alsonot", "SET", "SET maxclients", "SET nosuch 1",
                    "SET maxclients x", "SET maxclients 0", "SET maxclients 4294967296",
                    "SET maxclients 100 timeout 0", "SET timeout -1", "SET timeout 2147483648", "RESETSTAT",
                    "SET timeout 0 timeout 0", "RESETSTAT x", "FOO", "REWRITE", "SET port x foo", "SET appendfsync x",
                    "set timeout 5 appendfsync x", "get timeout", "GET TIMEOUT timeou*", "SET databases 3",
                    "SET timeout 01", "SET timeout 0 nosuch 2", "SET databases 1 nosuch 2", "GET maxclients MAXCLIENTS",
                    "GET [tT]imeout maxclient? nosuch", "SET Timeout 0 TIMEOUT 0", "SET APPENDFSYNC ALWAYS",
                    "SET appendfsync everysec",
                ]))
    }

    private mutating func client() -> Words {
        if random.chance(0.2) { return Self.words("CLIENT SETNAME") + [any()] }
        return Self.words("CLIENT")
            + Self.words(
                one([
                    "", "SETNAME", "GETNAME", "KILL", "KILL 1.1.1.1:1", "KILL ID 0", "KILL ID x", "KILL ID 99999",
                    "KILL ADDR 1:1", "KILL LADDR 1:1", "KILL TYPE x", "KILL TYPE pubsub", "KILL TYPE master LADDR 1:1",
                    "KILL SKIPME x", "KILL SKIPME yes ID 99999", "KILL USER nosuch", "KILL USER default ID 99999",
                    "KILL FOO 1", "KILL ID 1 ADDR", "KILL ID 9223372036854775808", "REPLY x", "REPLY ON", "LIST TYPE x",
                    "LIST foo", "LIST ID x", "LIST ID", "LIST ID 0", "LIST ID -1", "LIST TYPE pubsub", "PAUSE",
                    "PAUSE x", "PAUSE -1", "PAUSE 0", "PAUSE 1 WRITE", "PAUSE 1 all", "PAUSE 1 FOO", "PAUSE 1 ALL x",
                    "UNPAUSE", "UNPAUSE x", "NO-EVICT on", "NO-EVICT OFF", "NO-EVICT x",
                    "FOO", "GETREDIR", "ID x", "INFO x", "HELP x",
                ]))
    }

    private mutating func handshake() -> Words {
        if random.chance(0.2) { return Self.words("SELECT") + [one(Self.words("0 1 16 x -1 99999999999") + [[]])] }
        if mayBeInTransaction { return Self.words(one(["HELLO x", "HELLO 9", "AUTH a", "AUTH"])) }
        return Self.words(
            one([
                "HELLO", "HELLO x", "HELLO 9", "HELLO 1", "HELLO 2", "HELLO 3", "HELLO 2 foo", "HELLO 2 AUTH a b",
                "HELLO 3 AUTH a", "HELLO 3 SETNAME", "HELLO 2 SETNAME a", "HELLO 99999999999999999999",
                "HELLO AUTH a b", "HELLO 3 auth default x setname a", "AUTH", "AUTH a", "AUTH a b", "AUTH default b",
                "AUTH a b c", "RESET",
            ]))
    }

    private mutating func server() -> Words {
        if random.chance(0.1) { return Self.words(one(["FLUSHALL", "FLUSHDB", "flushall async", "FLUSHDB SYNC"])) }
        if random.chance(0.1) { return [[UInt8](repeating: 120, count: 200)] + several([0, 1, 3]) { $0.any() } }
        if random.chance(0.1) { return [any(), any()] }
        return Self.words(
            one([
                "FLUSHDB x", "FLUSHALL SYNC x", "COMMAND GETKEYS get a", "COMMAND GETKEYS mset a 1 b 2",
                "COMMAND GETKEYS foo a", "COMMAND GETKEYS ping", "COMMAND GETKEYS get", "COMMAND GETKEYS rename a b",
                "COMMAND FOO", "COMMAND COUNT x", "COMMAND INFO nosuch", "COMMAND LIST x", "COMMAND LIST FILTERBY",
                "COMMAND LIST FILTERBY PATTERN nosuch", "COMMAND LIST FILTERBY PATTERN mge?",
                "COMMAND LIST FILTERBY PATTERN CLIENT|setn*", "COMMAND LIST FILTERBY MODULE x",
                "COMMAND LIST FILTERBY FOO x", "COMMAND DOCS nosuch", "TIME x", "SAVE x", "BGSAVE x", "BGSAVE x y",
                "LASTSAVE x", "INFO nosuch", "RESET x", "DBSIZE x", "RANDOMKEY x", "FOO bar baz", "TYPE", "GET",
                "SET a",
                "COMMAND GETKEYS exists a b", "COMMAND GETKEYS set a", "COMMAND GETKEYS client nosuch",
                "COMMAND GETKEYS config get a", "MULTI x", "EXEC x", "DISCARD x", "UNWATCH x", "WATCH",
            ]))
    }
}
