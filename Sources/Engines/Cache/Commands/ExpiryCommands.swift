import KernelRedis
import KernelStructures
import KernelWire

extension CacheCommand {
    static var expiryCommands: [CacheCommand] {
        let group = "generic"
        func expire(_ name: String, _ isMilliseconds: Bool, _ isAbsolute: Bool, _ summary: String) -> CacheCommand {
            CacheCommand(name, -3, [.write, .fast], group: group, summary) {
                cache, words, reply throws(CacheError) in
                try Expiries.expire(name, isMilliseconds, isAbsolute, cache, words, &reply)
            }
        }
        func ask(_ name: String, _ summary: String, _ answer: @escaping @Sendable (_ end: Int, _ now: Int) -> Int)
            -> CacheCommand
        {
            CacheCommand(name, 2, [.readOnly, .fast], group: group, summary) {
                cache, words, reply throws(CacheError) in
                let id = cache.lookUp(words[1])
                if id == 0 { return reply.integer(-2) }
                let end = cache.slab[id].pointee.expiry
                reply.integer(end == 0 ? -1 : answer(end, cache.now))
            }
        }
        return [
            expire("expire", false, false, "Sets a key's time to live in seconds"),
            expire("pexpire", true, false, "Sets a key's time to live in milliseconds"),
            expire("expireat", false, true, "Sets the time in seconds at which a key expires"),
            expire("pexpireat", true, true, "Sets the time in milliseconds at which a key expires"),
            // The end may be the last millisecond that 64 bits can say.
            ask("ttl", "Returns a key's time to live in seconds") { end, now in
                let left = max(0, end - now)
                return left / 1000 + (left % 1000 >= 500 ? 1 : 0)
            },
            ask("pttl", "Returns a key's time to live in milliseconds") { max(0, $0 - $1) },
            ask("expiretime", "Returns the time in seconds at which a key expires") { end, _ in
                end / 1000 + (end % 1000 >= 500 ? 1 : 0)
            },
            ask("pexpiretime", "Returns the time in milliseconds at which a key expires") { end, _ in end },
            CacheCommand("persist", 2, [.write, .fast], group: group, "Removes a key's end") {
                cache, words, reply throws(CacheError) in
                let id = cache.writing(words[1])
                if id == 0 || cache.slab[id].pointee.expiry == 0 { return reply.integer(0) }
                cache.setExpiry(id, 0)
                cache.touch(id, words[1])
                cache.notify(.generic, "persist", words[1])
                reply.integer(1)
            },
        ]
    }
}

enum Expiries {
    /// `EXPIRE key number [NX | XX | GT | LT]`
    static func expire(
        _ name: String, _ isMilliseconds: Bool, _ isAbsolute: Bool, _ cache: Cache, _ words: RESPArguments,
        _ reply: inout RESPWriter
    ) throws(CacheError) {
        var conditions = ExpiryConditions()
        for index in 3..<max(3, words.count) {
            if !conditions.take(words, index) { throw .word("ERR Unsupported option ", words.printed(index), "") }
        }
        if let complaint = conditions.complaint { throw .text(complaint) }
        let number = try words.number(2)
        guard let end = Expiry.end(number, isMilliseconds, isAbsolute: isAbsolute, now: cache.now) else {
            throw .text(Complaint.expiry(name))
        }
        let id = cache.writing(words[1])
        guard id != 0, conditions.allow(end, cache.slab[id].pointee.expiry) else { return reply.integer(0) }
        Strings.setEnd(cache, id, words[1], end)
        reply.integer(1)
    }
}
