import KernelRedis
import KernelStructures
import KernelWire

extension CacheCommand {
    static var numberCommands: [CacheCommand] {
        let group = "string"
        let flags: Flags = [.write, .denyOutOfMemory, .fast]
        return [
            CacheCommand("incr", 2, flags, group: group, "Adds one to a number") {
                cache, words, reply throws(CacheError) in try Numbers.add(1, cache, words, &reply)
            },
            CacheCommand("decr", 2, flags, group: group, "Takes one from a number") {
                cache, words, reply throws(CacheError) in try Numbers.add(-1, cache, words, &reply)
            },
            CacheCommand("incrby", 3, flags, group: group, "Adds to a number") {
                cache, words, reply throws(CacheError) in try Numbers.add(words.number(2), cache, words, &reply)
            },
            CacheCommand("decrby", 3, flags, group: group, "Takes from a number") {
                cache, words, reply throws(CacheError) in
                let amount = try words.number(2)
                guard amount != .min else { throw .text("ERR decrement would overflow") }
                try Numbers.add(-amount, cache, words, &reply)
            },
            CacheCommand(
                "incrbyfloat", 3, flags, group: group, "Adds to a floating-point number", Numbers.addFloat),
        ]
    }
}

enum Numbers {
    static func add(_ amount: Int, _ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter)
        throws(CacheError)
    {
        let id = try cache.changeString(words[1])
        guard let number = id == 0 ? 0 : RESPNumber.integer(cache.slab[id].pointee.value) else { throw .notInteger }
        let (sum, overflowed) = number.addingReportingOverflow(amount)
        if overflowed { throw .text(Complaint.overflow) }
        withDecimal(sum) { cache.put(words[1], $0, keepsExpiry: true) }
        cache.notify(.string, "incrby", words[1])
        reply.integer(sum)
    }

    /// The digits of a number, without an allocation.
    static func withDecimal(_ number: Int, _ body: (Bytes) -> Void) {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { buffer in
            var place = 24
            var rest = number.magnitude
            repeat {
                place -= 1
                buffer[place] = UInt8(48 + rest % 10)
                rest /= 10
            } while rest > 0
            if number < 0 {
                place -= 1
                buffer[place] = UInt8(ascii: "-")
            }
            body(Bytes(rebasing: buffer[place...]))
        }
    }

    static func addFloat(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let id = try cache.changeString(words[1])
        guard let number = id == 0 ? LongNumber.zero : LongNumber(cache.slab[id].pointee.value),
            let amount = LongNumber(words[2])
        else { throw .notFloat }
        let sum = number + amount
        guard sum.isFinite else { throw .text("ERR increment would produce NaN or Infinity") }
        let text = sum.text
        cache.put(words[1], Array(text.utf8), keepsExpiry: true)
        cache.stand("SET", [words.bytes(1), Array(text.utf8), Array("KEEPTTL".utf8)])
        cache.notify(.string, "incrbyfloat", words[1])
        reply.bulk(text)
    }

    /// A score as Redis 7.0 writes it: C's `%.17g`.
    static func score(_ value: Double) -> String {
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        if value == value.rounded(), abs(value) < 1e15, !(value == 0 && value.sign == .minus) {
            return String(Int(value))
        }
        return Decimals.seventeen(value)
    }
}

extension RESPWriter {
    /// A score: a bulk string in RESP2, a double in RESP3.
    mutating func score(_ value: Double) {
        let text = Numbers.score(value)
        if version == .three { raw(Array(",\(text)\r\n".utf8)) } else { bulk(text) }
    }
}
