import Glibc
import KernelStructures
import KernelWire
import Testing

/// The store beside Debian's Redis 7.0: the same command lines to both, raw, and the same bytes back.
///
/// Redis is started with what it can be told to share with the store: one database, and values of 64 MiB at most.
@Suite(.enabled(if: ProgramTool.canRun("redis-server"))) struct ProcessRedisFuzzTests {
    /// What is left out or compared in another way, and why. Everything else is the same, byte for byte.
    private static let exceptions = [
        (
            "commands of other types, of scripts, of replication",
            "the store has strings only, and says `unknown command`"
        ),
        ("INFO, CLIENT LIST and INFO, COMMAND INFO and DOCS, X HELP, TIME", "they describe the server that answers"),
        ("CLIENT SETINFO, NO-TOUCH", "Redis has them from 7.2 on; today's libraries send them"),
        ("CLIENT PAUSE for 292 million years", "Redis adds it up to a time long ago, and does not pause at all"),
        ("CLIENT TRACKING, CACHING, TRACKINGINFO, UNBLOCK", "the store has no tracking and no blocking commands"),
        ("CONFIG SET of other names than appendfsync, maxclients, timeout", "the store's other settings are fixed"),
        ("COMMAND LIST FILTERBY ACLCAT", "the store has no access control lists"),
        ("keys that begin with 00 'sdlab' 00", "they are the server's own"),
        ("RANDOMKEY", "by chance"),
        (
            "BGSAVE, SAVE, LASTSAVE",
            "they save a directory that LevelDB opens, not an RDB file; the errors are compared"
        ),
        ("requests of more than 1,048,576 words", "a bound; Redis takes 2,147,483,647"),
        ("what is not CR LF where a length or a bulk string ends", "Redis passes over it; the store does not guess"),
        ("POST and Host:", "both close the connection; whether by a reset depends on what was unread"),
    ]

    /// Of which commands the answers are compared in another way.
    private enum Comparison {
        case bytes
        /// The order is a hash table's in Redis, and the keys' here.
        case sorted
        /// Where a cursor leads that was made up: only that it is one.
        case kind
        /// Times that pass between the two answers: within two seconds.
        case time(perSecond: Int)
        /// A connection's number is another one.
        case handshake

        init(_ words: RedisFuzz.Words) {
            self =
                switch words.first.map({ String(decoding: $0, as: UTF8.self).uppercased() }) {
                case "SCAN" where words.count > 1 && words[1] != [48]: .kind
                case "KEYS", "SCAN", "CONFIG", "COMMAND": .sorted
                case "TTL", "EXPIRETIME": .time(perSecond: 1)
                case "PTTL", "PEXPIRETIME": .time(perSecond: 1000)
                case "HELLO": .handshake
                default: .bytes
                }
        }

        func areSame(_ a: [UInt8], _ b: [UInt8]) -> Bool {
            if a == b { return true }
            switch self {
            case .bytes: return false
            case .kind: return a.first == b.first && a.first == UInt8(ascii: "*")
            case .sorted: return Self.lines(a).sorted() == Self.lines(b).sorted()
            case .time(let perSecond):
                guard let first = Self.number(a), let second = Self.number(b) else { return false }
                return first > 0 && second > 0 && abs(first - second) <= 2 * perSecond
            case .handshake:
                let (first, second) = (Self.lines(a), Self.lines(b))
                guard first.count == second.count, let place = first.firstIndex(of: "id") else { return false }
                return first.indices.allSatisfy { $0 == place + 1 || first[$0] == second[$0] }
            }
        }

        private static func lines(_ bytes: [UInt8]) -> [String] {
            bytes.split(separator: 10).map { String(decoding: $0.dropLast(), as: UTF8.self) }
        }
        private static func number(_ bytes: [UInt8]) -> Int? {
            bytes.first == UInt8(ascii: ":") ? Int(String(decoding: bytes.dropFirst().dropLast(2), as: UTF8.self)) : nil
        }
    }

    @Test(
        "command lines by chance have the same replies, byte for byte", .timeLimit(.minutes(10)),
        arguments: [2, 3], 1...4 as ClosedRange<UInt64>)
    func commandLines(version: Int, seed: UInt64) throws {
        let pair = try RedisPair(protocol: version) { try .service("lsm-kv", "--data-dir", $1 + "/kv", port: $0) }
        // One for each connection, because each has a transaction of its own.
        var fuzzes = [1, 2].map { RedisFuzz(seed: seed * 100 + UInt64(version) * 10 + $0) }
        var random = SeededRandom(seed: seed)
        let size = ["DBSIZE"].map { Array($0.utf8) }
        var waiting: [RedisFuzz.Words?] = [nil, nil]
        var count = 0
        while count < ProgramSize.full(50_000, else: 2500) {
            let connection = random.below(2)
            let sides = pair.sides[connection]
            var requests: [RedisFuzz.Words] = []
            if waiting[connection] == nil {
                for _ in 0...random.below(16) where waiting[connection] == nil {
                    let words = fuzzes[connection].next()
                    if words == size { waiting[connection] = words } else { requests.append(words) }
                }
            } else {
                // Redis counts keys that are over until it meets them: this makes it meet them.
                for side in sides { _ = try side.ask([Self.scan]) }
                requests = [size]
                waiting[connection] = nil
            }
            count += requests.count
            let replies = [try sides[0].ask(requests), try sides[1].ask(requests)]
            for (index, words) in requests.enumerated()
            where !Comparison(words).areSame(replies[0][index], replies[1][index]) {
                if words == size, try Self.agreeSoon(sides, size) { continue }
                let before = requests[..<index].suffix(5).map(Self.shown).joined(separator: "; ")
                Issue.record(
                    "seed \(seed), after \(before): \(Self.shown(words)) → \(Self.shown([replies[0][index]])), Redis: \(Self.shown([replies[1][index]]))"
                )
                return
            }
        }
    }

    private static let scan = ["SCAN", "0", "COUNT", "100000"].map { Array($0.utf8) }

    /// A key may have run out between the one question and the other.
    private static func agreeSoon(_ sides: [RedisSide], _ size: RedisFuzz.Words) throws -> Bool {
        for _ in 0..<5 {
            let replies = try sides.map { side in
                _ = try side.ask([scan])
                return try side.ask([size])
            }
            if replies[0] == replies[1] { return true }
        }
        return false
    }

    private static func shown(_ words: RedisFuzz.Words) -> String {
        words.map {
            "'"
                + $0.prefix(200).map {
                    $0 > 31 && $0 < 127 ? String(UnicodeScalar($0)) : "\\x\(hexadecimal(UInt64($0), 2))"
                }.joined() + "'"
        }
        .joined(separator: " ")
    }

    @Test("what is no command at all ends in the same way")
    func protocolErrors() throws {
        let pair = try RedisPair(protocol: 2) { try .service("lsm-kv", "--data-dir", $1 + "/kv", port: $0) }
        let inputs = [
            "*1\r\n", "*x\r\n", "*-1\r\nPING\r\n", "*0\r\nPING\r\n", "*1\r\n+PING\r\n", "*1\r\n$-1\r\n", "*1\r\n$x\r\n",
            "*1\r\n$67108865\r\n", "*2147483648\r\n", "PING\r\n", "ping a\r\n", "PING 'a\r\n",
            "PING \"a\"b\r\n", "PING \"\\x41\\n\"\r\n", "\r\n\r\nPING\r\n", "*1\r\n\r\n", "SET k\r\n",
            "QUIT\r\nPING\r\n",
            "*1\r\n$4\r\nQUIT\r\n", "GET 'it\\'s'\r\n", "\u{0}\r\n", "+OK\r\n",
            "QUIT x\r\n", "*1\r\n$+4\r\nPING\r\n", "*+1\r\n$4\r\nPING\r\n", "*1\r\n$04\r\nPING\r\n",
            "*01\r\n$4\r\nPING\r\n", "*1 \r\n$4\r\nPING\r\n", "*3\r\n$3\r\nSET\r\n$1\r\na\r\n", "PING\n", "PING\rX\n",
            " PING \t x \r\n", "PING" + String(repeating: " ", count: 70_000),
        ]
        for input in inputs {
            var seen: [String] = []
            for port in pair.ports {
                let connection = try ProgramConnection(port: port)
                try connection.send(input)
                connection.finish()
                seen.append(connection.rest().map { String(decoding: $0, as: UTF8.self) } ?? "reset")
            }
            #expect(seen[0] == seen[1], "\(input.prefix(40))")
        }
    }
}
