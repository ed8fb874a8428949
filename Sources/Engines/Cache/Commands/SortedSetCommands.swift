import KernelRedis
import KernelStructures
import KernelWire

extension CacheCommand {
    static var sortedSetCommands: [CacheCommand] {
        let group = "sorted-set"
        let fast: Flags = [.write, .denyOutOfMemory, .fast]
        let read: Flags = [.readOnly, .fast]
        return [
            CacheCommand("zadd", -4, fast, group: group, "Adds members, or changes their scores", SortedSetAdding.add),
            CacheCommand("zincrby", 4, fast, group: group, "Adds to a member's score", SortedSetAdding.increment),
            CacheCommand("zrem", -3, [.write, .fast], group: group, "Removes members", SortedSets.remove),
            CacheCommand("zcard", 2, read, group: group, "Returns how many members there are") {
                cache, words, reply throws(CacheError) in
                reply.integer(try cache.read(words[1], CacheSortedSet.self)?.count ?? 0)
            },
            CacheCommand("zscore", 3, read, group: group, "Returns a member's score") {
                cache, words, reply throws(CacheError) in
                if let score = try cache.read(words[1], CacheSortedSet.self)?.score(words[2]) {
                    reply.score(score)
                } else {
                    reply.null()
                }
            },
            CacheCommand("zmscore", -3, read, group: group, "Returns the scores of members") {
                cache, words, reply throws(CacheError) in
                let set = try cache.read(words[1], CacheSortedSet.self)
                reply.array(words.count - 2)
                for index in 2..<words.count {
                    if let score = set?.score(words[index]) { reply.score(score) } else { reply.null() }
                }
            },
            CacheCommand("zrank", 3, read, group: group, "Returns a member's place, from the lowest score") {
                cache, words, reply throws(CacheError) in try SortedSets.rank(cache, words, &reply, reversed: false)
            },
            CacheCommand("zrevrank", 3, read, group: group, "Returns a member's place, from the highest score") {
                cache, words, reply throws(CacheError) in try SortedSets.rank(cache, words, &reply, reversed: true)
            },
            CacheCommand("zpopmin", -2, [.write, .fast], group: group, "Takes the members of the lowest scores") {
                cache, words, reply throws(CacheError) in try SortedSets.pop(cache, words, &reply, isLowest: true)
            },
            CacheCommand("zpopmax", -2, [.write, .fast], group: group, "Takes the members of the highest scores") {
                cache, words, reply throws(CacheError) in try SortedSets.pop(cache, words, &reply, isLowest: false)
            },
            CacheCommand(
                "zmpop", -4, [.write], .counted(at: 1), group: group, "Takes members of the first set that has any"
            ) { cache, words, reply throws(CacheError) in
                let request = try MultiplePop(words, at: 1, ends: ("MIN", "MAX"))
                if try !SortedSets.popFirst(cache, words, request, &reply) { reply.nullArray() }
            },
            CacheCommand(
                "bzpopmin", -3, [.write, .fast, .blocking], .places(1, -2, 1), group: group,
                "Takes or awaits the member of the lowest score"
            ) { cache, words, reply throws(CacheError) in
                try SortedSets.blockingPop(cache, words, &reply, isLowest: true)
            },
            CacheCommand(
                "bzpopmax", -3, [.write, .fast, .blocking], .places(1, -2, 1), group: group,
                "Takes or awaits the member of the highest score"
            ) { cache, words, reply throws(CacheError) in
                try SortedSets.blockingPop(cache, words, &reply, isLowest: false)
            },
            CacheCommand(
                "bzmpop", -5, [.write, .blocking], .counted(at: 2), group: group,
                "Takes or awaits members of one of several sets"
            ) { cache, words, reply throws(CacheError) in
                let timeout = try Waiting.timeout(words, 1)
                let request = try MultiplePop(words, at: 2, ends: ("MIN", "MAX"))
                if try !SortedSets.popFirst(cache, words, request, &reply) {
                    let keys = request.keys.map { words.bytes($0) }
                    throw .wouldBlock(.init(keys: keys, timeoutMilliseconds: timeout, ifRefused: .nullArray))
                }
            },
            CacheCommand("zrandmember", -2, [.readOnly], group: group, "Returns members by chance", SortedSets.random),
            CacheCommand("zscan", -3, [.readOnly], group: group, "Walks over the members", SortedSets.scan),
        ]
    }
}

enum SortedSets {
    typealias Element = RankedLeaves.Element

    static func remove(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        guard let (id, set) = try cache.change(words[1], CacheSortedSet.self) else { return reply.integer(0) }
        var count = 0
        for index in 2..<words.count where set.remove(words.bytes(index)) != nil { count += 1 }
        if count > 0 { finish(cache, words[1], id, set, "zrem") }
        reply.integer(count)
    }

    /// A set got smaller.
    static func finish(_ cache: Cache, _ key: Bytes, _ id: ItemID, _ set: CacheSortedSet, _ event: String) {
        let remains = cache.settle(id, set, key)
        cache.notify(.sortedSet, event, key)
        if !remains { cache.notify(.generic, "del", key) }
    }

    static func rank(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter, reversed: Bool)
        throws(CacheError)
    {
        guard let set = try cache.read(words[1], CacheSortedSet.self), let rank = set.rank(of: words.bytes(2)) else {
            return reply.null()
        }
        reply.integer(reversed ? set.count - 1 - rank : rank)
    }

    // MARK: Taking

    private static func take(
        _ cache: Cache, _ key: Bytes, _ id: ItemID, _ set: CacheSortedSet, isLowest: Bool, _ count: Int
    ) -> [Element] {
        let taken = min(count, set.count)
        let elements = set.elements(isLowest ? 0..<taken : set.count - taken..<set.count, reversed: !isLowest)
        for element in elements { set.remove(element.member) }
        if taken > 0 {
            finish(cache, key, id, set, isLowest ? "zpopmin" : "zpopmax")
            cache.stand("ZREM", [Array(key)] + elements.map(\.member))
        }
        return elements
    }

    /// `ZPOPMIN key [count]`
    static func pop(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter, isLowest: Bool)
        throws(CacheError)
    {
        guard words.count <= 3 else { throw .syntax }
        let isMany = words.count == 3
        let count = isMany ? try words.number(2, atLeast: 0, "ERR value is out of range, must be positive") : 1
        guard let (id, set) = try cache.change(words[1], CacheSortedSet.self) else { return reply.array(0) }
        let taken = take(cache, words[1], id, set, isLowest: isLowest, count)
        let isNested = isMany && reply.version == .three
        reply.array(isNested ? taken.count : taken.count * 2)
        for element in taken {
            if isNested { reply.array(2) }
            reply.bulk(element.member)
            reply.score(element.score)
        }
    }

    static func blockingPop(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter, isLowest: Bool)
        throws(CacheError)
    {
        let timeout = try Waiting.timeout(words, words.count - 1)
        for index in 1..<words.count - 1 {
            guard let (id, set) = try cache.change(words[index], CacheSortedSet.self) else { continue }
            for element in take(cache, words[index], id, set, isLowest: isLowest, 1) {
                reply.array(3)
                reply.bulk(words[index])
                reply.bulk(element.member)
                reply.score(element.score)
            }
            return
        }
        throw .wouldBlock(
            .init(
                keys: (1..<words.count - 1).map { words.bytes($0) }, timeoutMilliseconds: timeout,
                ifRefused: .nullArray))
    }

    static func popFirst(
        _ cache: Cache, _ words: RESPArguments, _ request: MultiplePop, _ reply: inout RESPWriter
    ) throws(CacheError) -> Bool {
        for index in request.keys {
            guard let (id, set) = try cache.change(words[index], CacheSortedSet.self) else { continue }
            let taken = take(cache, words[index], id, set, isLowest: request.isFirstEnd, request.count)
            reply.array(2)
            reply.bulk(words[index])
            reply.array(taken.count)
            for element in taken {
                reply.array(2)
                reply.bulk(element.member)
                reply.score(element.score)
            }
            return true
        }
        return false
    }

    // MARK: Chance and walks

    /// `ZRANDMEMBER key [count [WITHSCORES]]`
    static func random(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        if words.count == 2 {
            guard let set = try cache.read(words[1], CacheSortedSet.self),
                let element = set.element(cache.random.below(set.count))
            else { return reply.null() }
            return reply.bulk(element.member)
        }
        let count = try Chosen.count(words, 2)
        let wantsScores = words.count == 4
        if words.count > 4 || wantsScores && !words.isWord(3, "WITHSCORES") { throw .syntax }
        if wantsScores, count < -(Int.max / 2) || count > Int.max / 2 { throw .text("ERR value is out of range") }
        guard let set = try cache.read(words[1], CacheSortedSet.self) else { return reply.array(0) }
        let chosen = try Chosen.indices(cache, of: set.count, count).compactMap { set.element($0) }
        SortedSetRanges.answer(chosen, wantsScores: wantsScores, &reply)
    }

    static func scan(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        try Cursors.check(words, at: 2)
        guard let set = try cache.read(words[1], CacheSortedSet.self) else {
            return Cursors.answer(nil, [], &reply)
        }
        let options = try Cursors.read(words, from: 2)
        var found: [[UInt8]] = []
        let next = set.scan(from: options.cursor << 32, limit: options.count) { element in
            if element.member.withUnsafeBytes({ options.matches($0) }) {
                found += [element.member, Array(Numbers.score(element.score).utf8)]
            }
        }
        Cursors.answer(next, found, &reply)
    }
}
