import KernelRedis
import KernelStructures
import KernelWire

extension CacheCommand {
    static var listCommands: [CacheCommand] {
        let group = "list"
        let fast: Flags = [.write, .denyOutOfMemory, .fast]
        let write: Flags = [.write, .denyOutOfMemory]
        func push(_ name: String, _ isLeft: Bool, _ onlyIfThere: Bool, _ summary: String) -> CacheCommand {
            CacheCommand(name, -3, fast, group: group, summary) { cache, words, reply throws(CacheError) in
                try Lists.push(cache, words, &reply, isLeft: isLeft, onlyIfThere: onlyIfThere)
            }
        }
        return [
            push("lpush", true, false, "Puts elements before the first"),
            push("rpush", false, false, "Puts elements behind the last"),
            push("lpushx", true, true, "Puts elements before the first of a list that exists"),
            push("rpushx", false, true, "Puts elements behind the last of a list that exists"),
            CacheCommand("lpop", -2, [.write, .fast], group: group, "Takes the first elements") {
                cache, words, reply throws(CacheError) in try Lists.pop(cache, words, &reply, isLeft: true)
            },
            CacheCommand("rpop", -2, [.write, .fast], group: group, "Takes the last elements") {
                cache, words, reply throws(CacheError) in try Lists.pop(cache, words, &reply, isLeft: false)
            },
            CacheCommand("llen", 2, [.readOnly, .fast], group: group, "Returns the length of a list") {
                cache, words, reply throws(CacheError) in
                reply.integer(try cache.read(words[1], CacheList.self)?.count ?? 0)
            },
            CacheCommand("lindex", 3, [.readOnly], group: group, "Returns the element of an index", Lists.index),
            CacheCommand("lset", 4, write, group: group, "Sets the element of an index", Lists.set),
            CacheCommand("lrange", 4, [.readOnly], group: group, "Returns a part of a list", Lists.range),
            CacheCommand("ltrim", 4, [.write], group: group, "Keeps a part of a list", Lists.trim),
            CacheCommand("linsert", 5, write, group: group, "Inserts beside an element", Lists.insert),
            CacheCommand("lrem", 4, [.write], group: group, "Removes elements of a value", Lists.remove),
            CacheCommand("lpos", -3, [.readOnly], group: group, "Finds the indexes of a value", ListSearch.run),
            CacheCommand("lmove", 5, write, .two, group: group, "Moves an end's element to another list") {
                cache, words, reply throws(CacheError) in
                let ends = try Lists.ends(words, 3)
                if try !Lists.move(cache, words, from: ends.0, to: ends.1, &reply) { reply.null() }
            },
            CacheCommand("rpoplpush", 3, write, .two, group: group, "Moves the last element to another list") {
                cache, words, reply throws(CacheError) in
                if try !Lists.move(cache, words, from: false, to: true, &reply) { reply.null() }
            },
            CacheCommand(
                "lmpop", -4, [.write], .counted(at: 1), group: group, "Takes elements of the first list that has any"
            ) { cache, words, reply throws(CacheError) in
                let request = try MultiplePop(words, at: 1, ends: ("LEFT", "RIGHT"))
                if try !Lists.popFirst(cache, words, request, &reply) { reply.nullArray() }
            },
        ]
    }
}

enum Lists {
    static func push(
        _ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter, isLeft: Bool, onlyIfThere: Bool
    ) throws(CacheError) {
        if onlyIfThere, try cache.change(words[1], CacheList.self) == nil { return reply.integer(0) }
        let (id, list) = try cache.obtain(words[1], CacheList.self)
        for index in 2..<words.count {
            if isLeft { list.prepend(words.bytes(index)) } else { list.append(words.bytes(index)) }
        }
        cache.settle(id, list, words[1])
        cache.notify(.list, isLeft ? "lpush" : "rpush", words[1])
        cache.ready(words[1])
        reply.integer(list.count)
    }

    /// Takes one element off an end and tells who has to know. The list must have one.
    static func take(_ cache: Cache, _ key: Bytes, _ id: ItemID, _ list: CacheList, isLeft: Bool) -> [UInt8] {
        let element = (isLeft ? list.popFirst() : list.popLast()) ?? []
        finish(cache, key, id, list, isLeft ? "lpop" : "rpop")
        return element
    }

    /// A list got shorter.
    static func finish(_ cache: Cache, _ key: Bytes, _ id: ItemID, _ list: CacheList, _ event: String) {
        let remains = cache.settle(id, list, key)
        cache.notify(.list, event, key)
        if !remains { cache.notify(.generic, "del", key) }
    }

    /// `LPOP key [count]`
    static func pop(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter, isLeft: Bool)
        throws(CacheError)
    {
        guard words.count <= 3 else { throw .text(Complaint.count(isLeft ? "lpop" : "rpop")) }
        let isMany = words.count == 3
        let count = isMany ? try words.number(2, atLeast: 0, "ERR value is out of range, must be positive") : 1
        guard let (id, list) = try cache.change(words[1], CacheList.self) else {
            if isMany { reply.nullArray() } else { reply.null() }
            return
        }
        if !isMany { return reply.bulk(take(cache, words[1], id, list, isLeft: isLeft)) }
        let taken = min(count, list.count)
        reply.array(taken)
        for _ in 0..<taken { reply.bulk((isLeft ? list.popFirst() : list.popLast()) ?? []) }
        if taken > 0 { finish(cache, words[1], id, list, isLeft ? "lpop" : "rpop") }
    }

    /// An index, counted from the end if it is negative; nil if there is no such element.
    private static func place(_ index: Int, _ count: Int) -> Int? {
        let place = index < 0 ? index + count : index
        return place >= 0 && place < count ? place : nil
    }

    static func index(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        guard let list = try cache.read(words[1], CacheList.self) else { return reply.null() }
        guard let place = place(try words.number(2), list.count) else { return reply.null() }
        reply.bulk(list[place])
    }

    static func set(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        guard let (id, list) = try cache.change(words[1], CacheList.self) else { throw .noSuchKey }
        guard let place = place(try words.number(2), list.count) else { throw .text("ERR index out of range") }
        list[place] = words.bytes(3)
        cache.settle(id, list, words[1])
        cache.notify(.list, "lset", words[1])
        reply.ok()
    }

    static func range(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let first = try words.number(2)
        let last = try words.number(3)
        guard let list = try cache.read(words[1], CacheList.self),
            let range = CacheEngine.range(first, last, count: list.count)
        else { return reply.array(0) }
        reply.array(range.count)
        for index in range { reply.bulk(list[index]) }
    }

    static func trim(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let first = try words.number(2)
        let last = try words.number(3)
        if let (id, list) = try cache.change(words[1], CacheList.self) {
            list.trim(CacheEngine.range(first, last, count: list.count) ?? 0..<0)
            finish(cache, words[1], id, list, "ltrim")
        }
        reply.ok()
    }

    /// `LINSERT key BEFORE | AFTER pivot element`
    static func insert(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let isAfter = words.isWord(2, "AFTER")
        guard isAfter || words.isWord(2, "BEFORE") else { throw .syntax }
        guard let (id, list) = try cache.change(words[1], CacheList.self) else { return reply.integer(0) }
        guard let pivot = (0..<list.count).first(where: { isEqual(words[3], list[$0]) }) else {
            return reply.integer(-1)
        }
        list.insert(words.bytes(4), at: isAfter ? pivot + 1 : pivot)
        cache.settle(id, list, words[1])
        cache.notify(.list, "linsert", words[1])
        reply.integer(list.count)
    }

    /// `LREM key count element`: the first ones, or the last ones if count is negative, or all if it is 0.
    static func remove(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let count = try words.number(2)
        guard let (id, list) = try cache.change(words[1], CacheList.self) else { return reply.integer(0) }
        let all = (0..<list.count).filter { isEqual(words[3], list[$0]) }
        let limit = count == 0 ? all.count : Int(min(count.magnitude, UInt(all.count)))
        let chosen = count < 0 ? all.suffix(limit) : all.prefix(limit)
        guard !chosen.isEmpty else { return reply.integer(0) }
        var next = chosen.startIndex
        list.retain { index, _ in
            guard next < chosen.endIndex, chosen[next] == index else { return true }
            next += 1
            return false
        }
        finish(cache, words[1], id, list, "lrem")
        reply.integer(chosen.count)
    }

    // MARK: Moving

    /// LEFT or RIGHT, twice: whether they are the left ends.
    static func ends(_ words: RESPArguments, _ index: Int) throws(CacheError) -> (Bool, Bool) {
        (try end(words, index), try end(words, index + 1))
    }

    static func end(_ words: RESPArguments, _ index: Int) throws(CacheError) -> Bool {
        if words.isWord(index, "LEFT") { return true }
        guard words.isWord(index, "RIGHT") else { throw .syntax }
        return false
    }

    /// Moves an element from the list at word 1 to the one at word 2. False if there is none.
    static func move(
        _ cache: Cache, _ words: RESPArguments, from isLeft: Bool, to isLeftThere: Bool, _ reply: inout RESPWriter
    ) throws(CacheError) -> Bool {
        guard let (id, list) = try cache.change(words[1], CacheList.self) else { return false }
        _ = try cache.change(words[2], CacheList.self)
        let isSame = words[1].elementsEqual(words[2])
        let element: [UInt8]
        if isSame {
            // The list must not go for a moment only because this was its only element.
            element = (isLeft ? list.popFirst() : list.popLast()) ?? []
            if isLeftThere { list.prepend(element) } else { list.append(element) }
            cache.settle(id, list, words[1])
        } else {
            let (target, other) = try cache.obtain(words[2], CacheList.self)
            element = (isLeft ? list.popFirst() : list.popLast()) ?? []
            if isLeftThere { other.prepend(element) } else { other.append(element) }
            cache.settle(target, other, words[2])
            finish(cache, words[1], id, list, isLeft ? "lpop" : "rpop")
        }
        cache.notify(.list, isLeftThere ? "lpush" : "rpush", words[2])
        cache.ready(words[2])
        let ends = [isLeft, isLeftThere].map { Array(($0 ? "LEFT" : "RIGHT").utf8) }
        cache.stand("LMOVE", [words.bytes(1), words.bytes(2)] + ends)
        reply.bulk(element)
        return true
    }

    // MARK: Several lists

    /// False if none of them has anything.
    static func popFirst(
        _ cache: Cache, _ words: RESPArguments, _ request: MultiplePop, _ reply: inout RESPWriter
    ) throws(CacheError) -> Bool {
        for index in request.keys {
            guard let (id, list) = try cache.change(words[index], CacheList.self) else { continue }
            let taken = min(request.count, list.count)
            reply.array(2)
            reply.bulk(words[index])
            reply.array(taken)
            for _ in 0..<taken { reply.bulk((request.isFirstEnd ? list.popFirst() : list.popLast()) ?? []) }
            finish(cache, words[index], id, list, request.isFirstEnd ? "lpop" : "rpop")
            cache.stand(request.isFirstEnd ? "LPOP" : "RPOP", [words.bytes(index), Array("\(taken)".utf8)])
            return true
        }
        return false
    }
}

/// `LPOS key element [RANK rank] [COUNT n] [MAXLEN n]`
enum ListSearch {
    private struct Options {
        var rank = 1
        /// nil: one index, and no array of them.
        var count: Int?
        var lengthLimit = 0

        init(_ words: RESPArguments) throws(CacheError) {
            var index = 3
            while index < words.count {
                guard index + 1 < words.count else { throw .syntax }
                if words.isWord(index, "RANK") {
                    rank = try words.number(index + 1)
                    if rank == 0 {
                        throw .text(
                            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... "
                                + "or use negative to start from the end of the list")
                    }
                    if rank == .min {
                        throw .text("ERR value is out of range, value must between \(Int.min + 1) and \(Int.max)")
                    }
                } else if words.isWord(index, "COUNT") {
                    count = try words.number(index + 1, atLeast: 0, "ERR COUNT can't be negative")
                } else if words.isWord(index, "MAXLEN") {
                    lengthLimit = try words.number(index + 1, atLeast: 0, "ERR MAXLEN can't be negative")
                } else {
                    throw .syntax
                }
                index += 2
            }
        }
    }

    static func run(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let options = try Options(words)
        let list = try cache.read(words[1], CacheList.self)
        let length = list?.count ?? 0
        var skipped = Int(options.rank.magnitude) - 1
        let wanted = options.count == 0 ? Int.max : options.count ?? 1
        var found: [Int] = []
        for step in 0..<(options.lengthLimit == 0 ? length : min(options.lengthLimit, length)) {
            let index = options.rank < 0 ? length - 1 - step : step
            guard let list, isEqual(words[2], list[index]) else { continue }
            if skipped > 0 {
                skipped -= 1
            } else {
                found.append(index)
                if found.count >= wanted { break }
            }
        }
        if options.count == nil {
            if let first = found.first { reply.integer(first) } else { reply.null() }
        } else {
            reply.array(found.count)
            for index in found { reply.integer(index) }
        }
    }
}
