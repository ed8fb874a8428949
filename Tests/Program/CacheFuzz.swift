import KernelStructures

/// Command lines by chance for a cache with values of all kinds: right and wrong numbers of words, extremes of numbers,
/// wrong kinds of values, options in odd orders, transactions, blocking commands that find nothing.
struct CacheFuzz {
    typealias Words = [[UInt8]]
    private var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    // MARK: Words

    private static func words(_ text: String) -> Words { text.split(separator: " ").map { Array($0.utf8) } }
    private static let keys = words("k0 k1 k2 k3 k4 k5") + [[]]
    private static let members = words("a b c d 1 2 3 -5 12345678901") + [[], [UInt8](repeating: 120, count: 70)]
    private static let small = words("0 1 -1 2 3 -2 5 -3 10")
    private static let extremes =
        words("100 -100 9223372036854775807 -9223372036854775808 x 1.5 4294967296") + [[]]
    private static let scores = words("0 1 2 3 -1 1.5 0.1 inf -inf 1e3 x nan 3.0 1e300") + [[]]
    private static let bounds = scores + words("(1 (2 (-inf (inf (x +inf")
    private static let names = words("- + [a (a [b (c [ a ( [c")
    private static let values =
        words("hello 10 3.5 -7 foobar 9223372036854775807") + [[], [0, 0xFF], [UInt8](repeating: 121, count: 50)]

    private mutating func one<Value>(_ choices: [Value]) -> Value { choices[random.below(choices.count)] }
    private mutating func word(_ text: String) -> [UInt8] { one(Self.words(text)) }

    /// What a template stands for: `K` a key, `K+` one to three of them, `M` a member, `N` a number, `S` a score, `B` a
    /// bound, `L` a name's bound, `V` a value, `#K` a number of keys and the keys; `a|b` one of them, `?a,b` perhaps.
    private mutating func fill(_ template: String) -> Words {
        var words: Words = []
        for piece in template.split(separator: " ") {
            switch piece {
            case "K": words.append(one(Self.keys))
            case "K+": words += (0...random.below(3)).map { _ in one(Self.keys) }
            case "M": words.append(one(Self.members))
            case "M+": words += (0...random.below(3)).map { _ in one(Self.members) }
            case "N": words.append(one(random.chance(0.3) ? Self.extremes : Self.small))
            case "S": words.append(one(Self.scores))
            case "SM+": for _ in 0...random.below(3) { words += [one(Self.scores), one(Self.members)] }
            case "MV+": for _ in 0...random.below(3) { words += [one(Self.members), one(Self.values)] }
            case "KV+": for _ in 0...random.below(2) { words += [one(Self.keys), one(Self.values)] }
            case "B": words.append(one(Self.bounds))
            case "L": words.append(one(Self.names))
            case "V": words.append(one(Self.values))
            case "#K":
                let chosen = (0...random.below(3)).map { _ in one(Self.keys) }
                let count = random.chance(0.1) ? chosen.count + one([-1, 1, -5]) : chosen.count
                words += [Array("\(count)".utf8)] + chosen
            default: words += option(piece)
            }
        }
        return words
    }

    private mutating func option(_ piece: Substring) -> Words {
        guard piece.hasPrefix("?") else { return [word(String(piece).replacing("|", with: " "))] }
        guard random.chance(0.4) else { return [] }
        let choice = one(piece.dropFirst().split(separator: "|").map { String($0).replacing(",", with: " ") })
        return fill(choice)
    }

    // MARK: Commands

    /// The next command line.
    mutating func next() -> Words {
        if random.below(300) == 0 { return Self.words("FLUSHALL") }
        var words = fill(one(Self.templates))
        if random.below(40) == 0 { words.append(one(Self.members)) }
        if random.below(60) == 0, words.count > 1 { words.removeLast() }
        if words[0] == Array("LPOS".utf8) { words.removeAll { $0 == Array("\(Int.min)".utf8) } }
        return words
    }

    private static let templates: [String] = [
        "SET K V ?NX|XX|GET|KEEPTTL|EX,1000|PX,100000|NX,GET", "SET K V", "MSET|MSETNX KV+", "SETNX|GETSET|APPEND K V",
        "GET|STRLEN|INCR|DECR|GETDEL|TYPE|PERSIST|LLEN|SCARD|ZCARD|HLEN|LPOP|RPOP|HGETALL|SMEMBERS|HKEYS|HVALS K",
        "GETRANGE|SUBSTR K N N", "SETRANGE K 0|5|-1|100|x V", "INCRBY|DECRBY K N", "INCRBYFLOAT K S",
        "MGET|EXISTS|DEL|UNLINK|TOUCH K+", "RENAME|RENAMENX K K", "COPY K K ?REPLACE ?DB,0|DB,3", "MOVE K 0|1|x",
        "SETEX|PSETEX K 1000000|0|-1|x V", "GETEX K ?EX,1000|PERSIST|PX,x|EX,0",
        "SETBIT K 0|7|9|100|-1|4294967296|x 0|1|2", "GETBIT K 0|7|9|100|-1|x", "BITCOUNT K",
        "BITCOUNT K N N ?BYTE|BIT|FOO",
        "BITPOS K 0|1|2 ?N ?N", "BITPOS K 0|1 N N BIT|BYTE", "BITOP AND|OR|XOR|NOT|FOO K K+",
        "BITFIELD K ?OVERFLOW,WRAP|OVERFLOW,SAT|OVERFLOW,FAIL INCRBY u8|i5|u63|i64|i8 0|3|#1 N",
        "BITFIELD K SET u8|i5|u63|i64|u1 0|3|#1 N GET u8|i5|u63|i64|u64|i0 0|3|#1|100|-1",
        "LCS K K ?LEN|IDX|IDX,WITHMATCHLEN|IDX,MINMATCHLEN,2|LEN,IDX",
        "EXPIRE|PEXPIRE K 100000|-1|0|x|9223372036854775807 ?NX|XX|GT|LT|GT,XX|NX,GT",
        "EXPIREAT K 4000000000|3000000000|1|0 ?NX|XX|GT|LT", "EXPIRETIME|PEXPIRETIME nosuch",
        "LPUSH|RPUSH|LPUSHX|RPUSHX|SADD|SREM|HDEL|HMGET|ZREM|ZMSCORE|SMISMEMBER K M+", "LPUSH|RPUSH|SADD K M+",
        "LPOP|RPOP K N", "LINDEX K N", "LSET K N M", "LRANGE|LTRIM K N N", "LINSERT K BEFORE|AFTER|FOO M M",
        "LREM K N M",
        "LPOS K M ?RANK,N ?COUNT,0 ?MAXLEN,3", "LMOVE K K LEFT|RIGHT LEFT|RIGHT|X", "RPOPLPUSH K K",
        "LMPOP #K LEFT|RIGHT|X ?COUNT,N", "SMOVE K K M", "SISMEMBER|HGET|HEXISTS|HSTRLEN|ZSCORE|ZRANK|ZREVRANK K M",
        "SINTER|SUNION|SDIFF K+", "SINTERSTORE|SUNIONSTORE|SDIFFSTORE K K+", "SINTERCARD #K ?LIMIT,N",
        "HSET|HMSET K MV+", "HSETNX K M V", "HINCRBY K M N", "HINCRBYFLOAT K M S",
        "ZADD K ?NX|XX|GT|LT|CH|INCR|NX,GT|XX,CH|GT,CH|NX,XX SM+", "ZADD K 1|2|3 M 1|2 M", "ZINCRBY K S M",
        "ZCOUNT|ZREMRANGEBYSCORE K B B", "ZRANGE|ZREVRANGE|ZREMRANGEBYRANK K N N ?WITHSCORES",
        "ZRANGEBYSCORE|ZREVRANGEBYSCORE K B B ?WITHSCORES ?LIMIT,1,2|LIMIT,-1,2", "ZADD names 0 M 0 M", "ZREM names M",
        "ZLEXCOUNT names L L", "ZRANGEBYLEX|ZREVRANGEBYLEX names L L ?LIMIT,1,-1", "ZREMRANGEBYLEX names L L",
        "ZRANGE K B B BYSCORE ?REV ?LIMIT,1,2 ?WITHSCORES", "ZRANGESTORE K K N N ?REV", "ZPOPMIN|ZPOPMAX K ?N",
        "ZMPOP #K MIN|MAX|X ?COUNT,2", "ZUNION|ZINTER #K ?AGGREGATE,MAX|AGGREGATE,MIN ?WITHSCORES",
        "ZDIFF #K ?WITHSCORES",
        "ZUNIONSTORE|ZINTERSTORE|ZDIFFSTORE K #K ?AGGREGATE,MAX", "ZUNIONSTORE K 2 K K WEIGHTS S S",
        "ZINTERCARD #K ?LIMIT,1",
        "BLPOP|BRPOP|BZPOPMIN|BZPOPMAX K+ 0.01|-1|x", "BLMOVE K K LEFT RIGHT 0.01", "BLMPOP 0.01 #K LEFT",
        "BZMPOP 0.01 #K MIN", "SORT K ?ALPHA ?DESC ?LIMIT,1,2 ?GET,# ?STORE,K", "SORT K ?BY,k* ?GET,k* ?ALPHA",
        "MULTI", "EXEC", "EXEC", "DISCARD", "WATCH K", "UNWATCH", "HSCAN|SSCAN|ZSCAN K 0 ?COUNT,N|MATCH,[a-b]",
        "SRANDMEMBER|HRANDFIELD|ZRANDMEMBER K 0|x|9223372036854775807|-9223372036854775808", "DUMP nosuch",
        "GET|HSET|ZADD|LPOP|SCARD|SORT|OBJECT|ZRANGE|BITFIELD|LCS|ZUNION M M", "PING|ECHO M",
    ]
}
