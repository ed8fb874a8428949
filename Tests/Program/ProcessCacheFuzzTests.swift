import KernelStructures
import KernelWire
import Testing

/// The cache node beside Debian's Redis 7.0: the same command lines to both, and the same bytes back.
@Suite(.enabled(if: ProgramTool.canRun("redis-server"))) struct ProcessCacheFuzzTests {
    /// What is left out or compared in another way, and why. Everything else is the same, byte for byte.
    private static let exceptions = [
        ("members of sets and hashes, and walks over them", "Redis promises no order: they are compared as sets"),
        ("commands by chance (SPOP, RANDOMKEY, a positive count)", "another chance"),
        ("OBJECT ENCODING of what ZUNIONSTORE and its like make", "Redis keeps some of them in the large form"),
        ("negative zeros as scores", "Redis keeps or drops the sign by how the set is kept"),
        ("ranges by name over members of different scores", "Redis calls the result unspecified"),
        (
            "LPOS with a RANK of −2^63",
            "Redis 7.0 overflows, and gives more than COUNT asked for; later ones refuse it, as the cache does"
        ),
        ("DBSIZE", "keys that have ended count until they are met, which is a matter of time"),
        ("streams, HyperLogLogs, geo, scripts, several databases", "the cache has none"),
    ]

    private static let unordered: Set<String> = [
        "SMEMBERS", "SINTER", "SUNION", "SDIFF", "HGETALL", "HKEYS", "HVALS", "SSCAN", "HSCAN", "ZSCAN", "SRANDMEMBER",
        "HRANDFIELD", "ZRANDMEMBER", "EXEC", "SORT",
    ]

    private static func areSame(_ words: CacheFuzz.Words, _ a: [UInt8], _ b: [UInt8]) -> Bool {
        if a == b { return true }
        guard let name = words.first.map({ String(decoding: $0, as: UTF8.self).uppercased() }), unordered.contains(name)
        else { return false }
        func lines(_ bytes: [UInt8]) -> [[UInt8]] {
            bytes.split(separator: 10, omittingEmptySubsequences: false).map(Array.init)
                .sorted { $0.lexicographicallyPrecedes($1) }
        }
        return lines(a) == lines(b)
    }

    // @covers DC-B1
    @Test(
        "command lines by chance have the same replies, byte for byte", .timeLimit(.minutes(10)),
        arguments: [2, 3], 1...2 as ClosedRange<UInt64>)
    func commandLines(version: Int, seed: UInt64) throws {
        let pair = try RedisPair(protocol: version) { port, _ in try .service("cache-node", port: port) }
        let sides = pair.sides[0]
        var fuzz = CacheFuzz(seed: seed * 100 + UInt64(version))
        var before: [CacheFuzz.Words] = []
        var (count, differences) = (0, 0)
        while count < ProgramSize.full(50_000, else: 2500) {
            let requests = (0..<16).map { _ in fuzz.next() }
            count += requests.count
            let replies = [try sides[0].ask(requests), try sides[1].ask(requests)]
            for (index, words) in requests.enumerated() {
                if !Self.areSame(words, replies[0][index], replies[1][index]) {
                    let last = before.suffix(8).map(Self.shown).joined(separator: "; ")
                    Issue.record(
                        "seed \(seed), after \(last): \(Self.shown(words)) → \(Self.shown([replies[0][index]])), Redis: \(Self.shown([replies[1][index]]))"
                    )
                    differences += 1
                    if differences == 5 { return }
                }
                before.append(words)
            }
        }
    }

    @Test("what DUMP gives, Redis restores, and the other way round")
    func dumps() throws {
        let pair = try RedisPair(protocol: 2) { port, _ in try .service("cache-node", port: port) }
        let making = [
            "SET s hello", "SET n 123456", "RPUSH l a b 3", "SADD i 1 2 70000", "SADD m a b", "HSET h a 1 b xyz",
            "ZADD z 1.5 a -inf b 3 c",
        ].map { $0.split(separator: " ").map { Array($0.utf8) } }
        let reading = [
            "GET s", "GET n", "LRANGE l 0 -1", "SCARD i", "SISMEMBER i 70000", "SCARD m", "HGET h b",
            "ZRANGE z 0 -1 WITHSCORES",
        ].map { $0.split(separator: " ").map { Array($0.utf8) } }
        for (from, to) in [(0, 1), (1, 0)] {
            let source = try ProgramRESP(port: pair.ports[from])
            let target = try ProgramRESP(port: pair.ports[to])
            for words in making { _ = try source.ask(words) }
            // Long enough for Redis to compress it.
            _ = try source.ask(["SET", "long", String(repeating: "abc", count: 500)].map { Array($0.utf8) })
            for key in ["s", "n", "l", "i", "m", "h", "z", "long"].map({ Array($0.utf8) }) {
                let payload = try #require(try source.ask([Array("DUMP".utf8), key]).bytes)
                let words = [Array("RESTORE".utf8), key, [48], payload, Array("REPLACE".utf8)]
                #expect(try target.ask(words) == .simple("OK"), "\(String(decoding: key, as: UTF8.self))")
            }
            for words in reading { #expect(try source.ask(words) == target.ask(words)) }
            #expect(
                try source.ask(["GET", "long"].map { Array($0.utf8) })
                    == target.ask(["GET", "long"].map { Array($0.utf8) }))
            for port in pair.ports { _ = try ProgramRESP(port: port).ask([Array("FLUSHALL".utf8)]) }
        }
    }

    private static func shown(_ words: CacheFuzz.Words) -> String {
        words.map {
            "'"
                + $0.prefix(200).map {
                    $0 > 31 && $0 < 127 ? String(UnicodeScalar($0)) : "\\x\(hexadecimal(UInt64($0), 2))"
                }.joined() + "'"
        }
        .joined(separator: " ")
    }
}
