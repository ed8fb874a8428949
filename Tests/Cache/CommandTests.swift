import KernelWire
import Testing

@testable import CacheEngine

/// Commands, one by one: what is asked and what comes back.
@Suite struct CommandTests {
    // @covers DC-B1 DC-M1
    @Test("strings are set, read, cut and counted")
    func strings() {
        CacheFixture().expect([
            ("GET a", "nil"), ("SET a 1", "OK"), ("GET a", "1"), ("SET a 2 NX", "nil"), ("SET a 2 XX GET", "1"),
            ("GETSET a 3", "2"), ("APPEND a 45", "3"), ("GET a", "345"), ("STRLEN a", "3"), ("GETRANGE a 0 -2", "34"),
            ("GETRANGE a 5 9", ""), ("SETRANGE a 5 x", "6"), ("GET a", "345\u{0}\u{0}x"),
            ("GETDEL a", "345\u{0}\u{0}x"),
            ("EXISTS a", "0"), ("MSET a 1 b 2", "OK"), ("MGET a x b", "[1 nil 2]"), ("MSETNX b 1 c 1", "0"),
            ("EXISTS a b c a", "3"), ("SET c 1 EX 0", "-ERR invalid expire time in 'set' command"),
            ("SETRANGE c 536870912 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
            ("SETRANGE c -1 x", "-ERR offset is out of range"), ("LCS a b LEN", "0"),
        ])
    }

    @Test("numbers are added up, and neither overflow nor lose digits")
    func numbers() {
        CacheFixture().expect([
            ("INCR n", "1"), ("INCRBY n 41", "42"), ("DECR n", "41"), ("DECRBY n 1", "40"),
            ("SET n 9223372036854775807", "OK"), ("INCR n", "-ERR increment or decrement would overflow"),
            ("DECRBY n -9223372036854775808", "-ERR decrement would overflow"), ("SET n x", "OK"),
            ("INCR n", "-ERR value is not an integer or out of range"), ("SET f 10.50", "OK"),
            ("INCRBYFLOAT f 0.1", "10.6"), ("INCRBYFLOAT f x", "-ERR value is not a valid float"),
        ])
    }

    @Test("bits are set, counted, found and combined, wherever they are asked for")
    func bits() {
        CacheFixture().expect([
            ("SETBIT b 7 1", "0"), ("GETBIT b 7", "1"), ("GETBIT b 4294967295", "0"),
            ("GETBIT b 4294967296", "-ERR bit offset is not an integer or out of range"), ("SET s foobar", "OK"),
            ("BITCOUNT s", "26"), ("BITCOUNT s 1 1", "6"), ("BITCOUNT s 5 30 BIT", "17"), ("BITPOS b 1", "7"),
            ("BITPOS b 0", "0"), ("BITOP NOT d b", "1"), ("BITPOS d 0", "7"), ("BITOP AND d s b", "6"),
            ("SET r 3.5", "OK"), ("BITPOS r 1 -3 -100", "2"), ("BITCOUNT r -3 -100", "0"), ("BITPOS r 1 -2 -3", "-1"),
            ("BITFIELD f SET u8 0 255 INCRBY u8 0 10 GET u8 0", "[0 9 9]"),
            ("BITFIELD f OVERFLOW SAT INCRBY u8 0 1000", "[255]"), ("BITFIELD f OVERFLOW FAIL INCRBY u8 0 1", "[nil]"),
            ("BITFIELD f SET u63 #1 9223372036854775807 GET u63 #1", "[0 9223372036854775807]"),
            ("BITFIELD f SET i64 8 -1 GET i64 8 INCRBY i64 8 1", "[511 -1 0]"),
            (
                "BITFIELD f GET u64 0",
                "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
            ),
            ("BITFIELD f GET u8 #9223372036854775807", "-ERR bit offset is not an integer or out of range"),
        ])
    }

    @Test("hashes, small and large")
    func hashes() {
        let fixture = CacheFixture()
        fixture.expect([
            ("HSET h a 1 b 2", "2"), ("HSET h b 3", "0"), ("HGET h b", "3"), ("HGETALL h", "[a 1 b 3]"),
            ("HMGET h a x", "[1 nil]"), ("HSETNX h a 9", "0"), ("HINCRBY h a 5", "6"), ("HINCRBYFLOAT h a 0.5", "6.5"),
            ("HINCRBY h a 1", "-ERR hash value is not an integer"), ("HSTRLEN h a", "3"), ("HEXISTS h x", "0"),
            ("HKEYS h", "[a b]"), ("HVALS h", "[6.5 3]"), ("HDEL h a x", "1"), ("HLEN h", "1"),
            ("HSET s 1", "-ERR wrong number of arguments for 'hset' command"), ("HDEL h b", "1"), ("EXISTS h", "0"),
        ])
        for field in 0..<1000 { #expect(fixture.ask("HSET big f\(field) \(field)") == "1") }
        for field in stride(from: 0, to: 1000, by: 3) { #expect(fixture.ask("HDEL big f\(field)") == "1") }
        #expect(fixture.ask("HLEN big") == "666")
        #expect(fixture.ask("HGET big f500") == "500")
        #expect(fixture.ask("HGET big f501") == "nil")
    }

    @Test("lists, from both ends and in the middle")
    func lists() {
        CacheFixture().expect([
            ("RPUSH l b c", "2"), ("LPUSH l a", "3"), ("LRANGE l 0 -1", "[a b c]"), ("LRANGE l -2 5", "[b c]"),
            ("LRANGE l 3 9", "[]"), ("LINDEX l -1", "c"), ("LINDEX l 9", "nil"), ("LSET l 1 B", "OK"),
            ("LSET l 9 x", "-ERR index out of range"), ("LINSERT l BEFORE c x", "4"), ("LINSERT l AFTER zz x", "-1"),
            ("LRANGE l 0 -1", "[a B x c]"), ("LPOS l x", "2"), ("LPOS l x RANK -1", "2"),
            (
                "LPOS l x RANK 0",
                "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list"
            ),
            ("LREM l 0 x", "1"), ("LTRIM l 1 -1", "OK"), ("LRANGE l 0 -1", "[B c]"), ("LMOVE l m LEFT RIGHT", "B"),
            ("RPOPLPUSH l m", "c"), ("EXISTS l", "0"), ("LRANGE m 0 -1", "[c B]"), ("LPOP m 5", "[c B]"),
            ("LPOP m", "nil"), ("LPOP m 1", "nil"), ("LPUSHX m x", "0"), ("RPUSH r 1 2 3", "3"),
            ("LMPOP 1 r LEFT COUNT 0 1", "-ERR count should be greater than 0"),
            ("LMPOP 2 m r RIGHT COUNT 2", "[r [3 2]]"), ("BLPOP r 0", "[r 1]"), ("BLPOP r 0", "nil"),
            ("BLPOP r -1", "-ERR timeout is negative"), ("BLPOP r 1e300", "-ERR timeout is out of range"),
        ])
    }

    @Test("sets, of numbers and of names")
    func sets() {
        CacheFixture().expect([
            ("SADD s 3 1 2 1", "3"), ("SMEMBERS s", "[1 2 3]"), ("SADD s x", "1"), ("SCARD s", "4"),
            ("SISMEMBER s 2", "1"), ("SMISMEMBER s x y", "[1 0]"), ("SREM s x y", "1"), ("SADD t 2 3 4", "3"),
            ("SINTER s t", "[2 3]"), ("SUNION s t", "[1 2 3 4]"), ("SDIFF s t", "[1]"),
            ("SINTERCARD 2 s t LIMIT 1", "1"),
            ("SINTERSTORE d s t", "2"), ("SMOVE s t 1", "1"), ("SMEMBERS t", "[1 2 3 4]"), ("SREM d 3", "1"),
            ("SPOP d 9", "[2]"),
            ("EXISTS d", "0"),
            (
                "SRANDMEMBER t -9223372036854775808",
                "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
            ),
            ("SET k 1", "OK"), ("SADD k 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ])
    }

    @Test("sorted sets, by place, by score and by name")
    func sortedSets() {
        CacheFixture().expect([
            ("ZADD z 1 a 2 b 3 c", "3"), ("ZADD z CH 2 a 5 c", "2"), ("ZRANGE z 0 -1 WITHSCORES", "[a 2 b 2 c 5]"),
            ("ZSCORE z c", "5"), ("ZINCRBY z 0.1 c", "5.0999999999999996"), ("ZRANK z b", "1"), ("ZREVRANK z b", "1"),
            ("ZCOUNT z (2 +inf", "1"), ("ZRANGEBYSCORE z -inf 2", "[a b]"), ("ZRANGE z 5 2 BYSCORE REV", "[b a]"),
            ("ZRANGEBYSCORE z -inf +inf LIMIT 1 1", "[b]"), ("ZADD z GT 1 c", "0"), ("ZADD z INCR 1 a", "3"),
            ("ZADD z NX XX 1 a", "-ERR XX and NX options at the same time are not compatible"),
            ("ZADD n 0 a 0 b 0 c", "3"), ("ZADD n NX 5 a", "0"), ("ZSCORE n a", "0"), ("ZRANGEBYLEX n [a (c", "[a b]"),
            ("ZLEXCOUNT n - +", "3"),
            ("ZREMRANGEBYLEX n [b +", "2"), ("ZUNION 2 z n WEIGHTS 1 10 WITHSCORES", "[b 2 a 3 c 5.0999999999999996]"),
            ("ZINTERSTORE d 2 z n AGGREGATE MAX", "1"), ("ZDIFF 2 z n", "[b c]"),
            ("ZPOPMAX z", "[c 5.0999999999999996]"),
            ("ZPOPMIN z 9", "[b 2 a 3]"), ("EXISTS z", "0"), ("ZADD i inf a", "1"),
            ("ZMPOP 1 d MIN COUNT 0 1", "-ERR count should be greater than 0"),
            ("ZMPOP 1 d MIN COUNT 2 1", "-ERR syntax error"),
            ("ZINCRBY i -inf a", "-ERR resulting score is not a number (NaN)"), ("ZMPOP 1 d MIN", "[d [[a 3]]]"),
            ("BZPOPMIN d 0", "nil"), ("ZRANGESTORE e i 0 -1", "1"),
        ])
    }

    @Test("keys are renamed, copied, sorted and dumped")
    func keys() {
        let fixture = CacheFixture()
        fixture.expect([
            ("RPUSH l 3 1 2", "3"), ("SORT l", "[1 2 3]"), ("SORT l DESC LIMIT 0 2", "[3 2]"), ("SORT l STORE m", "3"),
            ("LRANGE m 0 -1", "[1 2 3]"), ("RENAME l l2", "OK"), ("EXISTS l", "0"), ("COPY l2 l", "1"),
            ("RPUSH l 9", "4"), ("LLEN l2", "3"), ("RENAME nosuch x", "-ERR no such key"), ("TYPE l", "list"),
            ("OBJECT ENCODING", "-ERR unknown command"), ("RENAMENX l l2", "0"), ("SET a 1 EX 100", "OK"),
            ("RENAME a b", "OK"), ("TTL b", "100"), ("EXISTS l l2 m", "3"),
        ])
        let dump = fixture.cache.dump(Array("l2".utf8))
        #expect(throws: Never.self) {
            try fixture.cache.restore(Array("again".utf8), dump ?? [], expiry: 0, replaces: false)
        }
        fixture.expect([("LRANGE again 0 -1", "[3 1 2]")])
    }
}
