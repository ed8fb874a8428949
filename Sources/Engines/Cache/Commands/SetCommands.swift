import KernelRedis
import KernelStructures
import KernelWire

extension CacheCommand {
    static var setCommands: [CacheCommand] {
        let group = "set"
        let fast: Flags = [.write, .denyOutOfMemory, .fast]
        let read: Flags = [.readOnly, .fast]
        return [
            CacheCommand("sadd", -3, fast, group: group, "Adds members to a set", Sets.add),
            CacheCommand("srem", -3, [.write, .fast], group: group, "Removes members of a set", Sets.remove),
            CacheCommand("sismember", 3, read, group: group, "Says whether something is a member") {
                cache, words, reply throws(CacheError) in
                reply.integer(try cache.read(words[1], CacheSet.self)?.contains(words[2]) == true ? 1 : 0)
            },
            CacheCommand("smismember", -3, read, group: group, "Says which of several are members") {
                cache, words, reply throws(CacheError) in
                let set = try cache.read(words[1], CacheSet.self)
                reply.array(words.count - 2)
                for index in 2..<words.count { reply.integer(set?.contains(words[index]) == true ? 1 : 0) }
            },
            CacheCommand("scard", 2, read, group: group, "Returns how many members there are") {
                cache, words, reply throws(CacheError) in
                reply.integer(try cache.read(words[1], CacheSet.self)?.count ?? 0)
            },
            CacheCommand("smembers", 2, [.readOnly], group: group, "Returns all members") {
                cache, words, reply throws(CacheError) in
                let set = try cache.read(words[1], CacheSet.self)
                reply.set(set?.count ?? 0)
                set?.forEach { reply.bulk($0) }
            },
            CacheCommand("spop", -2, [.write, .fast], group: group, "Takes members by chance", Sets.pop),
            CacheCommand("srandmember", -2, [.readOnly], group: group, "Returns members by chance", Sets.random),
            CacheCommand("smove", 4, [.write, .fast], .two, group: group, "Moves a member to another set", Sets.move),
            CacheCommand("sscan", -3, [.readOnly], group: group, "Walks over the members", Sets.scan),
        ]
    }
}

enum Sets {
    static func add(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let (id, set) = try cache.obtain(words[1], CacheSet.self)
        var count = 0
        for index in 2..<words.count where set.insert(words[index]) { count += 1 }
        if count > 0 {
            cache.settle(id, set, words[1])
            cache.notify(.set, "sadd", words[1])
        }
        reply.integer(count)
    }

    static func remove(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        guard let (id, set) = try cache.change(words[1], CacheSet.self) else { return reply.integer(0) }
        var count = 0
        for index in 2..<words.count where set.remove(words[index]) { count += 1 }
        if count > 0 { finish(cache, words[1], id, set, "srem") }
        reply.integer(count)
    }

    private static func finish(_ cache: Cache, _ key: Bytes, _ id: ItemID, _ set: CacheSet, _ event: String) {
        let remains = cache.settle(id, set, key)
        cache.notify(.set, event, key)
        if !remains { cache.notify(.generic, "del", key) }
    }

    /// `SPOP key [count]`
    static func pop(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        guard words.count <= 3 else { throw .syntax }
        let isMany = words.count == 3
        let count = isMany ? try words.number(2, atLeast: 0, "ERR value is out of range, must be positive") : 1
        guard let (id, set) = try cache.change(words[1], CacheSet.self) else {
            if isMany { reply.set(0) } else { reply.null() }
            return
        }
        var taken: [[UInt8]] = []
        for _ in 0..<min(count, set.count) {
            let member = set.member(cache.random.below(set.count))
            set.remove(member)
            taken.append(member)
        }
        if isMany { reply.set(taken.count) }
        for member in taken { reply.bulk(member) }
        guard !taken.isEmpty else { return }
        finish(cache, words[1], id, set, "spop")
        cache.stand("SREM", [words.bytes(1)] + taken)
    }

    /// `SRANDMEMBER key [count]`
    static func random(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        guard words.count <= 3 else { throw .syntax }
        if words.count == 2 {
            guard let set = try cache.read(words[1], CacheSet.self) else { return reply.null() }
            return reply.bulk(set.member(cache.random.below(set.count)))
        }
        let count = try words.number(2)
        if count < -(Int.max / 2) || count > Int.max / 2 { throw .text("ERR value is out of range") }
        guard let set = try cache.read(words[1], CacheSet.self) else { return reply.array(0) }
        let chosen = try Chosen.indices(cache, of: set.count, count)
        reply.array(chosen.count)
        for index in chosen { reply.bulk(set.member(index)) }
    }

    static func move(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        guard let (id, set) = try cache.change(words[1], CacheSet.self) else {
            return reply.integer(0)
        }
        _ = try cache.change(words[2], CacheSet.self)
        if words[1].elementsEqual(words[2]) { return reply.integer(set.contains(words[3]) ? 1 : 0) }
        guard set.remove(words[3]) else { return reply.integer(0) }
        finish(cache, words[1], id, set, "srem")
        let (target, other) = try cache.obtain(words[2], CacheSet.self)
        if other.insert(words[3]) {
            cache.settle(target, other, words[2])
            cache.notify(.set, "sadd", words[2])
        }
        reply.integer(1)
    }

    static func scan(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let options = try Cursors.read(words, from: 2)
        var found: [[UInt8]] = []
        let set = try cache.read(words[1], CacheSet.self)
        let next = set?.scan(from: options.cursor << 32, limit: options.count) { member in
            if member.withUnsafeBytes({ options.matches($0) }) { found.append(member) }
        }
        Cursors.answer(next ?? nil, found, &reply)
    }
}
