import KernelRedis
import KernelStructures
import KernelWire

extension CacheCommand {
    static var hashCommands: [CacheCommand] {
        let group = "hash"
        let fast: Flags = [.write, .denyOutOfMemory, .fast]
        let read: Flags = [.readOnly, .fast]
        return [
            CacheCommand("hset", -4, fast, group: group, "Sets fields of a hash") {
                cache, words, reply throws(CacheError) in
                guard words.count % 2 == 0 else { throw .text(Complaint.count("hset")) }
                reply.integer(try Hashes.setAll(cache, words))
            },
            CacheCommand("hmset", -4, fast, group: group, "Sets fields of a hash") {
                cache, words, reply throws(CacheError) in
                guard words.count % 2 == 0 else { throw .text(Complaint.count("hmset")) }
                _ = try Hashes.setAll(cache, words)
                reply.ok()
            },
            CacheCommand("hsetnx", 4, fast, group: group, "Sets a field that does not exist", Hashes.setNX),
            CacheCommand("hget", 3, read, group: group, "Returns the value of a field") {
                cache, words, reply throws(CacheError) in
                if let value = try cache.read(words[1], CacheHash.self)?[words[2]] {
                    reply.bulk(value)
                } else {
                    reply.null()
                }
            },
            CacheCommand("hmget", -3, read, group: group, "Returns the values of fields", Hashes.mget),
            CacheCommand("hdel", -3, [.write, .fast], group: group, "Deletes fields", Hashes.delete),
            CacheCommand("hlen", 2, read, group: group, "Returns how many fields there are") {
                cache, words, reply throws(CacheError) in
                reply.integer(try cache.read(words[1], CacheHash.self)?.count ?? 0)
            },
            CacheCommand("hstrlen", 3, read, group: group, "Returns the length of a field's value") {
                cache, words, reply throws(CacheError) in
                reply.integer(try cache.read(words[1], CacheHash.self)?[words[2]]?.count ?? 0)
            },
            CacheCommand("hexists", 3, read, group: group, "Says whether a field exists") {
                cache, words, reply throws(CacheError) in
                reply.integer(try cache.read(words[1], CacheHash.self)?[words[2]] == nil ? 0 : 1)
            },
            CacheCommand("hkeys", 2, [.readOnly], group: group, "Returns all fields") {
                cache, words, reply throws(CacheError) in
                try Hashes.list(cache, words, &reply, fields: true, values: false)
            },
            CacheCommand("hvals", 2, [.readOnly], group: group, "Returns all values") {
                cache, words, reply throws(CacheError) in
                try Hashes.list(cache, words, &reply, fields: false, values: true)
            },
            CacheCommand("hgetall", 2, [.readOnly], group: group, "Returns all fields and values") {
                cache, words, reply throws(CacheError) in
                try Hashes.list(cache, words, &reply, fields: true, values: true)
            },
            CacheCommand("hincrby", 4, fast, group: group, "Adds to a field's number", Hashes.add),
            CacheCommand(
                "hincrbyfloat", 4, fast, group: group, "Adds to a field's floating-point number", Hashes.addFloat),
            CacheCommand("hscan", -3, [.readOnly], group: group, "Walks over the fields", Hashes.scan),
            CacheCommand("hrandfield", -2, [.readOnly], group: group, "Returns fields by chance", Hashes.random),
        ]
    }
}

enum Hashes {
    static func setAll(_ cache: Cache, _ words: RESPArguments) throws(CacheError) -> Int {
        let (id, hash) = try cache.obtain(words[1], CacheHash.self)
        var added = 0
        for index in stride(from: 2, to: words.count, by: 2) where hash.set(words[index], words.bytes(index + 1)) {
            added += 1
        }
        cache.settle(id, hash, words[1])
        cache.notify(.hash, "hset", words[1])
        return added
    }

    static func setNX(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let (id, hash) = try cache.obtain(words[1], CacheHash.self)
        if hash[words[2]] != nil { return reply.integer(0) }
        hash.set(words[2], words.bytes(3))
        cache.settle(id, hash, words[1])
        cache.notify(.hash, "hset", words[1])
        reply.integer(1)
    }

    static func mget(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let hash = try cache.read(words[1], CacheHash.self)
        reply.array(words.count - 2)
        for index in 2..<words.count {
            if let value = hash?[words[index]] { reply.bulk(value) } else { reply.null() }
        }
    }

    static func delete(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        guard let (id, hash) = try cache.change(words[1], CacheHash.self) else { return reply.integer(0) }
        var count = 0
        for index in 2..<words.count where hash.remove(words[index]) { count += 1 }
        if count > 0 {
            let remains = cache.settle(id, hash, words[1])
            cache.notify(.hash, "hdel", words[1])
            if !remains { cache.notify(.generic, "del", words[1]) }
        }
        reply.integer(count)
    }

    static func list(
        _ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter, fields: Bool, values: Bool
    ) throws(CacheError) {
        let hash = try cache.read(words[1], CacheHash.self)
        if fields, values { reply.map(hash?.count ?? 0) } else { reply.array(hash?.count ?? 0) }
        hash?.forEach { field, value in
            if fields { reply.bulk(field) }
            if values { reply.bulk(value) }
        }
    }

    static func add(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let amount = try words.number(3)
        let old = try cache.change(words[1], CacheHash.self)?.object[words[2]]
        guard let number = old.map({ $0.withUnsafeBytes { RESPNumber.integer($0) } }) ?? 0 else {
            throw .text("ERR hash value is not an integer")
        }
        let (sum, overflowed) = number.addingReportingOverflow(amount)
        if overflowed { throw .text(Complaint.overflow) }
        let (id, hash) = try cache.obtain(words[1], CacheHash.self)
        hash.set(words[2], Array(String(sum).utf8))
        cache.settle(id, hash, words[1])
        cache.notify(.hash, "hincrby", words[1])
        reply.integer(sum)
    }

    static func addFloat(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        guard let amount = LongNumber(words[3]) else { throw .notFloat }
        let old = try cache.change(words[1], CacheHash.self)?.object[words[2]]
        guard let number = old.map({ $0.withUnsafeBytes { LongNumber($0) } }) ?? LongNumber.zero else {
            throw .text("ERR hash value is not a float")
        }
        let sum = number + amount
        guard sum.isFinite else { throw .text("ERR increment would produce NaN or Infinity") }
        let (id, hash) = try cache.obtain(words[1], CacheHash.self)
        let text = Array(sum.text.utf8)
        hash.set(words[2], text)
        cache.settle(id, hash, words[1])
        cache.stand("HSET", [words.bytes(1), words.bytes(2), text])
        cache.notify(.hash, "hincrbyfloat", words[1])
        reply.bulk(text)
    }

    static func scan(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let options = try Cursors.read(words, from: 2)
        var found: [[UInt8]] = []
        let hash = try cache.read(words[1], CacheHash.self)
        let next = hash?.scan(from: options.cursor << 32, limit: options.count) { field, value in
            if field.withUnsafeBytes({ options.matches($0) }) { found += [field, value] }
        }
        Cursors.answer(next ?? nil, found, &reply)
    }

    /// `HRANDFIELD key [count [WITHVALUES]]`
    static func random(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        if words.count == 2 {
            guard let hash = try cache.read(words[1], CacheHash.self) else { return reply.null() }
            return reply.bulk(hash.pair(cache.random.below(hash.count)).field)
        }
        let count = try words.number(2)
        let wantsValues = words.count == 4
        if words.count > 4 || wantsValues && !words.isWord(3, "WITHVALUES") { throw .syntax }
        if wantsValues, count < -(Int.max / 2) || count > Int.max / 2 { throw .text("ERR value is out of range") }
        guard let hash = try cache.read(words[1], CacheHash.self) else { return reply.array(0) }
        let chosen = try Chosen.indices(cache, of: hash.count, count)
        let isNested = wantsValues && reply.version == .three
        reply.array(chosen.count * (wantsValues && !isNested ? 2 : 1))
        for index in chosen {
            let (field, value) = hash.pair(index)
            if isNested { reply.array(2) }
            reply.bulk(field)
            if wantsValues { reply.bulk(value) }
        }
    }
}

/// Elements by chance.
enum Chosen {
    /// Elements that one command may be given more than once.
    static let repeatLimit = 1 << 20

    /// As `SRANDMEMBER` and its like have it: so many different ones, or, negative, so many that may be the same.
    static func indices(_ cache: Cache, of total: Int, _ count: Int) throws(CacheError) -> [Int] {
        guard total > 0, count != 0 else { return [] }
        if count < 0 {
            guard count >= -repeatLimit else { throw .text("ERR value is out of range") }
            return (0..<(-count)).map { _ in cache.random.below(total) }
        }
        if count >= total { return Array(0..<total) }
        // Floyd's algorithm: every choice is equally likely, and only the chosen ones take memory.
        var chosen: Set<Int> = []
        var order: [Int] = []
        for upper in total - count..<total {
            let candidate = cache.random.below(upper + 1)
            let taken = chosen.contains(candidate) ? upper : candidate
            chosen.insert(taken)
            order.append(taken)
        }
        return order
    }
}
