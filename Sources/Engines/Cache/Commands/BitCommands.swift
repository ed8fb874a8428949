import KernelRedis
import KernelStructures
import KernelWire

extension CacheCommand {
    static var bitCommands: [CacheCommand] {
        let group = "bitmap"
        let write: Flags = [.write, .denyOutOfMemory]
        return [
            CacheCommand("setbit", 4, write, group: group, "Sets a bit and returns what it was", Bits.set),
            CacheCommand("getbit", 3, [.readOnly, .fast], group: group, "Returns a bit", Bits.get),
            CacheCommand("bitcount", -2, [.readOnly], group: group, "Counts the bits that are set", Bits.count),
            CacheCommand("bitpos", -3, [.readOnly], group: group, "Finds the first bit of a value", Bits.position),
            CacheCommand(
                "bitop", -4, write, .places(2, -1, 1), group: group, "Combines values bit by bit", Bits.combine),
            CacheCommand(
                "bitfield", -2, write, group: group, "Reads and changes integers within a value", BitFields.run),
            CacheCommand(
                "bitfield_ro", -2, [.readOnly, .fast], group: group, "Reads integers within a value",
                BitFields.runReading),
        ]
    }
}

enum Bits {
    /// A bit's place, bounded by the longest value there may be.
    static func offset(_ cache: Cache, _ words: RESPArguments, _ index: Int) throws(CacheError) -> Int {
        guard let offset = words.integer(index), offset >= 0, offset < cache.settings.stringByteLimit * 8 else {
            throw .text("ERR bit offset is not an integer or out of range")
        }
        return offset
    }

    static func set(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let offset = try offset(cache, words, 2)
        guard let bit = words.integer(3), bit == 0 || bit == 1 else {
            throw .text("ERR bit is not an integer or out of range")
        }
        let id = try prepare(cache, words[1], byteCount: offset / 8 + 1)
        let item = cache.slab[id]
        let place = item.pointee.block + Int(item.pointee.keyCount) + offset / 8
        let mask = UInt8(0x80) >> UInt8(offset % 8)
        let old = place.load(as: UInt8.self)
        place.storeBytes(of: bit == 1 ? old | mask : old & ~mask, as: UInt8.self)
        cache.touch(id, words[1])
        cache.notify(.string, "setbit", words[1])
        reply.integer(old & mask == 0 ? 0 : 1)
    }

    /// A string of at least so many bytes, to be changed in place.
    static func prepare(_ cache: Cache, _ key: Bytes, byteCount: Int) throws(CacheError) -> ItemID {
        var id = try cache.changeString(key)
        if id == 0 { id = cache.put(key, Bytes(start: nil, count: 0)) }
        if byteCount > Int(cache.slab[id].pointee.valueCount) { cache.resizeValue(id, to: byteCount) }
        cache.slab[id].pointee.marks.insert(.raw)
        return id
    }

    static func get(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let offset = try offset(cache, words, 2)
        let value = try cache.readString(words[1]) ?? Bytes(start: nil, count: 0)
        reply.integer(offset / 8 < value.count ? bit(value, offset) : 0)
    }

    static func bit(_ value: Bytes, _ offset: Int) -> Int { Int(value[offset / 8] >> UInt8(7 - offset % 8) & 1) }

    /// `BITCOUNT key [start end [BYTE | BIT]]`
    static func count(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        guard let value = try cache.readString(words[1]) else { return reply.integer(0) }
        var bits = 0..<value.count * 8
        if words.count > 2 {
            guard words.count == 4 || words.count == 5 else { throw .syntax }
            let first = try words.number(2)
            let last = try words.number(3)
            let isReversed = first < 0 && last < 0 && first > last
            bits = try isReversed ? 0..<0 : part(words, 4, first, last, value.count) ?? 0..<0
        }
        var total = 0
        var place = bits.lowerBound
        while place < bits.upperBound {
            if place % 8 == 0, bits.upperBound - place >= 8 {
                total += value[place / 8].nonzeroBitCount
                place += 8
            } else {
                total += bit(value, place)
                place += 1
            }
        }
        reply.integer(total)
    }

    /// The bits that two ends name, in bytes or in bits.
    private static func part(
        _ words: RESPArguments, _ index: Int, _ first: Int, _ last: Int, _ byteCount: Int
    ) throws(CacheError) -> Range<Int>? {
        let isBits = try isInBits(words, index)
        let count = isBits ? byteCount * 8 : byteCount
        // As Redis has it: an end before the first is the first.
        guard count > 0, let range = range(first, last < 0 ? max(last, -count) : last, count: count) else { return nil }
        return isBits ? range : range.lowerBound * 8..<range.upperBound * 8
    }

    private static func isInBits(_ words: RESPArguments, _ index: Int) throws(CacheError) -> Bool {
        guard words.count > index, !words.isWord(index, "BYTE") else { return false }
        guard words.isWord(index, "BIT") else { throw .syntax }
        return true
    }

    /// `BITPOS key bit [start [end [BYTE | BIT]]]`
    static func position(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let wanted = try words.number(2)
        guard wanted == 0 || wanted == 1 else { throw .text("ERR The bit argument must be 1 or 0.") }
        guard let value = try cache.readString(words[1]) else { return reply.integer(wanted == 0 ? 0 : -1) }
        guard words.count <= 6 else { throw .syntax }
        let first = words.count > 3 ? try words.number(3) : 0
        _ = try isInBits(words, 5)
        let last = words.count > 4 ? try words.number(4) : -1
        guard let bits = try part(words, 5, first, last, value.count) else { return reply.integer(-1) }
        let blank: UInt8 = wanted == 0 ? 0xFF : 0
        var place = bits.lowerBound
        while place < bits.upperBound {
            if place % 8 == 0, bits.upperBound - place >= 8, value[place / 8] == blank {
                place += 8
            } else if bit(value, place) == wanted {
                return reply.integer(place)
            } else {
                place += 1
            }
        }
        // Behind the end of a value there are zeros, unless the end was said.
        reply.integer(wanted == 0 && words.count <= 4 ? bits.upperBound : -1)
    }

    /// `BITOP AND | OR | XOR | NOT destination key…`
    static func combine(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let isNot = words.isWord(1, "NOT")
        guard isNot || words.isWord(1, "AND") || words.isWord(1, "OR") || words.isWord(1, "XOR") else {
            throw .syntax
        }
        if isNot, words.count != 4 { throw .text("ERR BITOP NOT must be called with a single source key.") }
        var values: [[UInt8]] = []
        for index in 3..<words.count { values.append(try cache.readString(words[index]).map(Array.init) ?? []) }
        let length = values.map(\.count).max() ?? 0
        var result = values[0] + [UInt8](repeating: 0, count: length - values[0].count)
        if isNot { for index in result.indices { result[index] = ~result[index] } }
        for value in values.dropFirst() {
            for index in 0..<length {
                let byte = index < value.count ? value[index] : 0
                if words.isWord(1, "AND") {
                    result[index] &= byte
                } else if words.isWord(1, "OR") {
                    result[index] |= byte
                } else {
                    result[index] ^= byte
                }
            }
        }
        if result.isEmpty {
            if cache.lookUp(words[2]) != 0 { _ = cache.delete(words[2]) }
        } else {
            let id = result.withUnsafeBytes { cache.put(words[2], $0) }
            cache.slab[id].pointee.marks.insert(.raw)
            cache.notify(.string, "set", words[2])
        }
        reply.integer(length)
    }
}

/// `BITFIELD key [GET type offset] [SET type offset value] [INCRBY type offset amount] [OVERFLOW WRAP | SAT | FAIL] …`
enum BitFields {
    private enum Overflow { case wrap, saturate, fail }
    private enum Action { case get, set(Int), add(Int) }
    private struct Step {
        let action: Action
        let isSigned: Bool
        let width: Int
        let offset: Int
        let overflow: Overflow
    }

    static func run(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let steps = try read(cache, words, mayWrite: true)
        try carryOut(cache, words, steps, &reply)
    }

    static func runReading(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let steps = try read(cache, words, mayWrite: false)
        try carryOut(cache, words, steps, &reply)
    }

    private static func read(_ cache: Cache, _ words: RESPArguments, mayWrite: Bool) throws(CacheError) -> [Step] {
        var steps: [Step] = []
        var overflow = Overflow.wrap
        var index = 2
        while index < words.count {
            if words.isWord(index, "OVERFLOW"), index + 1 < words.count {
                if words.isWord(index + 1, "WRAP") {
                    overflow = .wrap
                } else if words.isWord(index + 1, "SAT") {
                    overflow = .saturate
                } else if words.isWord(index + 1, "FAIL") {
                    overflow = .fail
                } else {
                    throw .text("ERR Invalid OVERFLOW type specified")
                }
                index += 2
                continue
            }
            let isGet = words.isWord(index, "GET")
            let isSet = words.isWord(index, "SET")
            guard isGet || isSet || words.isWord(index, "INCRBY"), index + (isGet ? 2 : 3) < words.count else {
                throw .syntax
            }
            if !isGet, !mayWrite { throw .text("ERR BITFIELD_RO only supports the GET subcommand") }
            let (isSigned, width) = try type(words, index + 1)
            let offset = try offset(cache, words, index + 2, width)
            var action = Action.get
            if !isGet {
                let number = try words.number(index + 3)
                action = isSet ? .set(number) : .add(number)
            }
            steps.append(
                Step(action: action, isSigned: isSigned, width: width, offset: offset, overflow: overflow))
            index += isGet ? 3 : 4
        }
        return steps
    }

    private static func type(_ words: RESPArguments, _ index: Int) throws(CacheError) -> (Bool, Int) {
        let word = words[index]
        let letter = word.first.map { $0 | 0x20 }
        guard letter == UInt8(ascii: "i") || letter == UInt8(ascii: "u"),
            let width = RESPNumber.integer(Bytes(rebasing: word[1...])), width >= 1,
            width <= (letter == UInt8(ascii: "i") ? 64 : 63)
        else {
            throw .text(
                "ERR Invalid bitfield type. Use something like i16 u8. "
                    + "Note that u64 is not supported but i64 is.")
        }
        return (letter == UInt8(ascii: "i"), width)
    }

    /// A place in bits, or with a `#` in numbers of that width.
    private static func offset(_ cache: Cache, _ words: RESPArguments, _ index: Int, _ width: Int) throws(CacheError)
        -> Int
    {
        let word = words[index]
        let isCounted = word.first == UInt8(ascii: "#")
        let digits = isCounted ? Bytes(rebasing: word[1...]) : word
        guard let number = RESPNumber.integer(digits), number >= 0 else {
            throw .text("ERR bit offset is not an integer or out of range")
        }
        let (place, overflowed) = number.multipliedReportingOverflow(by: isCounted ? width : 1)
        guard !overflowed, place <= cache.settings.stringByteLimit * 8 - width else {
            throw .text("ERR bit offset is not an integer or out of range")
        }
        return place
    }

    private static func carryOut(
        _ cache: Cache, _ words: RESPArguments, _ steps: [Step], _ reply: inout RESPWriter
    ) throws(CacheError) {
        let writes = steps.contains { if case .get = $0.action { false } else { true } }
        var id: ItemID = 0
        if writes {
            let last = steps.reduce(0) { end, step in
                if case .get = step.action { end } else { max(end, step.offset + step.width) }
            }
            id = try Bits.prepare(cache, words[1], byteCount: (last + 7) / 8)
        } else {
            id = cache.reading(words[1])
            if id != 0, cache.slab[id].pointee.kind != .string { throw .wrongType }
        }
        reply.array(steps.count)
        for step in steps { perform(cache, id, step, &reply) }
        if writes {
            cache.touch(id, words[1])
            cache.notify(.string, "setbit", words[1])
        }
    }

    private static func perform(_ cache: Cache, _ id: ItemID, _ step: Step, _ reply: inout RESPWriter) {
        let old = value(cache, id, step)
        switch step.action {
        case .get: reply.integer(old)
        case .set(let number):
            guard let new = fitted(number, 0, step) else { return reply.null() }
            store(cache, id, step, new)
            reply.integer(old)
        case .add(let amount):
            guard let new = fitted(old, amount, step) else { return reply.null() }
            store(cache, id, step, new)
            reply.integer(new)
        }
    }

    private static func value(_ cache: Cache, _ id: ItemID, _ step: Step) -> Int {
        guard id != 0 else { return 0 }
        let bytes = cache.slab[id].pointee.value
        var bits: UInt64 = 0
        for place in step.offset..<step.offset + step.width {
            bits = bits << 1 | (place / 8 < bytes.count ? UInt64(Bits.bit(bytes, place)) : 0)
        }
        return signed(bits, step)
    }

    private static func signed(_ bits: UInt64, _ step: Step) -> Int {
        guard step.isSigned, step.width < 64, bits >> UInt64(step.width - 1) & 1 == 1 else {
            return Int(bitPattern: UInt(bits))
        }
        return Int(bitPattern: UInt(bits | UInt64.max << UInt64(step.width)))
    }

    /// The sum, made to fit as the step says; nil where it is to fail.
    private static func fitted(_ number: Int, _ amount: Int, _ step: Step) -> Int? {
        let (sum, overflowed) = number.addingReportingOverflow(amount)
        let least = step.isSigned ? (step.width == 64 ? Int.min : -(1 << (step.width - 1))) : 0
        let most = step.isSigned ? (step.width == 64 ? Int.max : (1 << (step.width - 1)) &- 1) : (1 << step.width) &- 1
        let isTooLarge = overflowed ? amount > 0 : sum > most
        let isTooSmall = overflowed ? amount < 0 : sum < least
        guard isTooLarge || isTooSmall else { return sum }
        switch step.overflow {
        case .fail: return nil
        case .saturate: return isTooLarge ? most : least
        case .wrap:
            let mask = step.width == 64 ? UInt64.max : 1 << UInt64(step.width) - 1
            return signed(UInt64(bitPattern: Int64(number &+ amount)) & mask, step)
        }
    }

    private static func store(_ cache: Cache, _ id: ItemID, _ step: Step, _ number: Int) {
        let item = cache.slab[id]
        let base = item.pointee.block + Int(item.pointee.keyCount)
        for index in 0..<step.width {
            let place = step.offset + index
            let isSet = UInt(bitPattern: number) >> UInt(step.width - 1 - index) & 1 == 1
            let mask = UInt8(0x80) >> UInt8(place % 8)
            let old = base.load(fromByteOffset: place / 8, as: UInt8.self)
            base.storeBytes(of: isSet ? old | mask : old & ~mask, toByteOffset: place / 8, as: UInt8.self)
        }
    }
}
