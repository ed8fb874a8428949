import KernelRedis
import KernelStructures
import KernelWire

extension CacheCommand {
    static var stringCommands: [CacheCommand] {
        let group = "string"
        let write: Flags = [.write, .denyOutOfMemory]
        let fast: Flags = [.write, .denyOutOfMemory, .fast]
        return [
            CacheCommand("get", 2, [.readOnly, .fast], group: group, "Returns the string value of a key", Strings.get),
            CacheCommand("set", -3, write, group: group, "Sets the string value of a key and its end", Strings.set),
            CacheCommand("setnx", 3, fast, group: group, "Sets a key that does not exist", Strings.setNX),
            CacheCommand("setex", 4, write, group: group, "Sets a key and its end in seconds", Strings.setEX),
            CacheCommand("psetex", 4, write, group: group, "Sets a key and its end in milliseconds", Strings.setEX),
            CacheCommand("getset", 3, fast, group: group, "Sets a key and returns what it was", Strings.getSet),
            CacheCommand("getdel", 2, [.write, .fast], group: group, "Returns a key and deletes it", Strings.getDel),
            CacheCommand("getex", -2, [.write, .fast], group: group, "Returns a key and sets its end", Strings.getEX),
            CacheCommand("mget", -2, [.readOnly, .fast], .all, group: group, "Returns several keys", Strings.mget),
            CacheCommand("mset", -3, write, .places(1, -1, 2), group: group, "Sets several keys", Strings.mset),
            CacheCommand(
                "msetnx", -3, write, .places(1, -1, 2), group: group, "Sets several keys if none of them exists",
                Strings.msetNX),
            CacheCommand("append", 3, fast, group: group, "Appends to a value", Strings.append),
            CacheCommand("strlen", 2, [.readOnly, .fast], group: group, "Returns a value's length", Strings.strlen),
            CacheCommand("getrange", 4, [.readOnly], group: group, "Returns a part of a value", Strings.getRange),
            CacheCommand("substr", 4, [.readOnly], group: group, "Returns a part of a value", Strings.getRange),
            CacheCommand("setrange", 4, write, group: group, "Overwrites a part of a value", Strings.setRange),
            CacheCommand(
                "lcs", -3, [.readOnly], .two, group: group, "Finds the longest common subsequence of two values",
                LongestCommon.run),
        ]
    }
}

enum Strings {
    static func get(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        if let value = try cache.readString(words[1]) { reply.bulk(value) } else { reply.null() }
    }

    /// `SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`
    static func set(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        if words.count == 3 {
            cache.put(words[1], words[2])
            cache.notify(.string, "set", words[1])
            return reply.ok()
        }
        guard let options = SetOptions(words, from: 3, allowed: .set) else { throw .syntax }
        var expiry = 0
        switch options.expiry(words, now: cache.now) {
        case .none: break
        case .at(let end): expiry = end
        case .notANumber: throw .notInteger
        case .invalid: throw .text(Complaint.expiry("set"))
        }
        let start = reply.count
        if options.returnsOld { try get(cache, words, &reply) }
        let isThere = options.condition != nil && cache.lookUp(words[1]) != 0
        let isAllowed = options.condition.map { $0 == .ifThere ? isThere : !isThere } ?? true
        if isAllowed {
            cache.put(words[1], words[2], expiry: expiry, keepsExpiry: options.keepsExpiry)
            cache.stand("SET", effect(words, expiry: expiry, keepsExpiry: options.keepsExpiry))
            cache.notify(.string, "set", words[1])
            if expiry != 0 { cache.notify(.generic, "expire", words[1]) }
        }
        if reply.count == start { if isAllowed { reply.ok() } else { reply.null() } }
    }

    /// What SET is to a copy.
    private static func effect(_ words: RESPArguments, expiry: Int, keepsExpiry: Bool) -> [[UInt8]] {
        var effect = [words.bytes(1), words.bytes(2)]
        if expiry != 0 { effect += [Array("PXAT".utf8), Array("\(expiry)".utf8)] }
        if keepsExpiry { effect.append(Array("KEEPTTL".utf8)) }
        return effect
    }

    static func setNX(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        if cache.writing(words[1]) != 0 { return reply.integer(0) }
        cache.put(words[1], words[2])
        cache.notify(.string, "set", words[1])
        reply.integer(1)
    }

    /// `SETEX key seconds value`, `PSETEX key milliseconds value`
    static func setEX(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let isMilliseconds = words[0].count == 6
        let number = try words.number(2)
        guard number > 0, let end = Expiry.end(number, isMilliseconds, isAbsolute: false, now: cache.now) else {
            throw .text(Complaint.expiry(isMilliseconds ? "psetex" : "setex"))
        }
        cache.put(words[1], words[3], expiry: end)
        cache.stand("SET", [words.bytes(1), words.bytes(3), Array("PXAT".utf8), Array("\(end)".utf8)])
        cache.notify(.string, "set", words[1])
        cache.notify(.generic, "expire", words[1])
        reply.ok()
    }

    static func getSet(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        try get(cache, words, &reply)
        cache.put(words[1], words[2])
        cache.notify(.string, "set", words[1])
    }

    static func getDel(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        try get(cache, words, &reply)
        if cache.delete(words[1]) { cache.stand("DEL", [words.bytes(1)]) }
    }

    /// `GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]`
    static func getEX(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        guard let options = SetOptions(words, from: 2, allowed: .getEX) else { throw .syntax }
        guard let value = try cache.readString(words[1]) else { return reply.null() }
        let end = options.expiry(words, now: cache.now)
        switch end {
        case .notANumber: throw .notInteger
        case .invalid: throw .text(Complaint.expiry("getex"))
        case .none, .at: reply.bulk(value)
        }
        let id = cache.lookUp(words[1])
        if case .at(let time) = end {
            setEnd(cache, id, words[1], time)
        } else if options.persists, cache.slab[id].pointee.expiry != 0 {
            cache.setExpiry(id, 0)
            cache.touch(id, words[1])
            cache.stand("PERSIST", [words.bytes(1)])
            cache.notify(.generic, "persist", words[1])
        }
    }

    /// Sets a key's end; one that has passed deletes it.
    static func setEnd(_ cache: Cache, _ id: ItemID, _ key: Bytes, _ end: Int) {
        let name = Array(key)
        if end <= cache.now, cache.mayDelete(id) {
            cache.remove(id)
            cache.touchAbsent(key)
            cache.stand("DEL", [name])
            cache.notify(.generic, "del", key)
            return
        }
        cache.setExpiry(id, max(1, end))
        cache.touch(id, key)
        cache.stand("PEXPIREAT", [name, Array("\(end)".utf8)])
        cache.notify(.generic, "expire", key)
    }

    static func mget(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        reply.array(words.count - 1)
        for index in 1..<words.count {
            let id = cache.reading(words[index])
            if id != 0, cache.slab[id].pointee.kind == .string {
                reply.bulk(cache.slab[id].pointee.value)
            } else {
                reply.null()
            }
        }
    }

    static func mset(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        guard words.count % 2 == 1 else { throw .text(Complaint.count("mset")) }
        putAll(cache, words)
        reply.ok()
    }

    static func msetNX(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        guard words.count % 2 == 1 else { throw .text(Complaint.count("msetnx")) }
        for index in stride(from: 1, to: words.count, by: 2) where cache.writing(words[index]) != 0 {
            return reply.integer(0)
        }
        putAll(cache, words)
        reply.integer(1)
    }

    private static func putAll(_ cache: Cache, _ words: RESPArguments) {
        for index in stride(from: 1, to: words.count, by: 2) {
            cache.put(words[index], words[index + 1])
            cache.notify(.string, "set", words[index])
        }
    }

    /// A string that does not get longer than strings may be.
    static func checkLength(_ cache: Cache, _ old: Int, plus added: Int) throws(CacheError) {
        guard added <= cache.settings.stringByteLimit - old else {
            throw .text("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
        }
    }

    static func append(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let id = try cache.changeString(words[1])
        if id == 0 {
            cache.put(words[1], words[2])
            cache.notify(.string, "append", words[1])
            return reply.integer(words[2].count)
        }
        let old = Int(cache.slab[id].pointee.valueCount)
        try checkLength(cache, old, plus: words[2].count)
        cache.resizeValue(id, to: old + words[2].count)
        write(cache, id, words[2], at: old)
        cache.touch(id, words[1])
        cache.notify(.string, "append", words[1])
        reply.integer(old + words[2].count)
    }

    /// Copies bytes into a value that is long enough.
    private static func write(_ cache: Cache, _ id: ItemID, _ bytes: Bytes, at offset: Int) {
        let item = cache.slab[id]
        let target = UnsafeMutableRawBufferPointer(
            start: item.pointee.block + Int(item.pointee.keyCount) + offset, count: bytes.count)
        target.copyMemory(from: bytes)
    }

    static func strlen(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        reply.integer(try cache.readString(words[1])?.count ?? 0)
    }

    /// `GETRANGE key start end`: both ends belong to it, and negative ones count from the end.
    static func getRange(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let first = try words.number(2)
        let last = try words.number(3)
        guard let value = try cache.readString(words[1]) else { return reply.bulk("") }
        let start = first < 0 ? max(0, value.count + max(first, -value.count)) : first
        // As Redis has it: an end before the first byte is the first byte.
        let end = last < 0 ? value.count + max(last, -value.count) : min(last, value.count - 1)
        let isEmpty = (first < 0 && last < 0 && first > last) || start > end || value.isEmpty
        reply.bulk(Bytes(rebasing: isEmpty ? value[..<0] : value[start...end]))
    }

    static func setRange(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let offset = try words.number(2)
        guard offset >= 0 else { throw .text("ERR offset is out of range") }
        var id = try cache.changeString(words[1])
        let old = id == 0 ? 0 : Int(cache.slab[id].pointee.valueCount)
        let part = words[3]
        if part.isEmpty { return reply.integer(old) }
        try checkLength(cache, offset, plus: part.count)
        if id == 0 { id = cache.put(words[1], Bytes(start: nil, count: 0)) }
        if offset + part.count > old { cache.resizeValue(id, to: offset + part.count) }
        cache.slab[id].pointee.marks.insert(.raw)
        write(cache, id, part, at: offset)
        cache.touch(id, words[1])
        cache.notify(.string, "setrange", words[1])
        reply.integer(Int(cache.slab[id].pointee.valueCount))
    }
}
