import KernelRedis
import KernelStructures
import KernelWire

extension CacheCommand {
    static var sortedSetRangeCommands: [CacheCommand] {
        let group = "sorted-set"
        func range(_ name: String, _ arity: Int, _ order: SortedSetRanges.Order, _ reversed: Bool, _ summary: String)
            -> CacheCommand
        {
            CacheCommand(name, arity, [.readOnly], group: group, summary) { cache, words, reply throws(CacheError) in
                let request = try SortedSetRanges.Request(words, from: 2, order: order, isReversed: reversed)
                let found = try SortedSetRanges.find(cache.read(words[1], CacheSortedSet.self), request)
                SortedSetRanges.answer(found, wantsScores: request.wantsScores, &reply)
            }
        }
        func remove(_ name: String, _ order: SortedSetRanges.Order, _ summary: String) -> CacheCommand {
            CacheCommand(name, 4, [.write], group: group, summary) { cache, words, reply throws(CacheError) in
                try SortedSetRanges.remove(cache, words, order, name, &reply)
            }
        }
        func count(_ name: String, _ order: SortedSetRanges.Order, _ summary: String) -> CacheCommand {
            CacheCommand(name, 4, [.readOnly, .fast], group: group, summary) {
                cache, words, reply throws(CacheError) in
                let bounds = try SortedSetRanges.Bounds(words, 2, 3, order)
                reply.integer(try cache.read(words[1], CacheSortedSet.self).map { bounds.ranks(in: $0).count } ?? 0)
            }
        }
        return [
            CacheCommand("zrange", -4, [.readOnly], group: group, "Returns members of a range") {
                cache, words, reply throws(CacheError) in
                let request = try SortedSetRanges.Request(words, from: 2)
                let found = try SortedSetRanges.find(cache.read(words[1], CacheSortedSet.self), request)
                SortedSetRanges.answer(found, wantsScores: request.wantsScores, &reply)
            },
            CacheCommand(
                "zrangestore", -5, [.write, .denyOutOfMemory], .two, group: group, "Stores members of a range",
                SortedSetRanges.store),
            range("zrevrange", -4, .rank, true, "Returns members of places, from the highest score"),
            range("zrangebyscore", -4, .score, false, "Returns members of a range of scores"),
            range("zrevrangebyscore", -4, .score, true, "Returns members of a range of scores, from the highest"),
            range("zrangebylex", -4, .member, false, "Returns members of a range of names"),
            range("zrevrangebylex", -4, .member, true, "Returns members of a range of names, from the last"),
            count("zcount", .score, "Counts the members of a range of scores"),
            count("zlexcount", .member, "Counts the members of a range of names"),
            remove("zremrangebyrank", .rank, "Removes the members of places"),
            remove("zremrangebyscore", .score, "Removes the members of a range of scores"),
            remove("zremrangebylex", .member, "Removes the members of a range of names"),
        ]
    }
}

/// Ranges of a sorted set: by place, by score or by name.
enum SortedSetRanges {
    typealias Element = RankedLeaves.Element
    enum Order { case rank, score, member }

    /// Two ends, as they are written.
    enum Bounds {
        case ranks(Int, Int)
        case scores(Double, isLowOpen: Bool, Double, isHighOpen: Bool)
        case members(Name, Name)

        enum Name {
            case first, last
            case at([UInt8], isOpen: Bool)
        }

        init(_ words: RESPArguments, _ low: Int, _ high: Int, _ order: Order) throws(CacheError) {
            switch order {
            case .rank: self = .ranks(try words.number(low), try words.number(high))
            case .score:
                let a = try Self.score(words, low)
                let b = try Self.score(words, high)
                self = .scores(a.0, isLowOpen: a.1, b.0, isHighOpen: b.1)
            case .member: self = .members(try Self.name(words, low), try Self.name(words, high))
            }
        }

        private static func score(_ words: RESPArguments, _ index: Int) throws(CacheError) -> (Double, Bool) {
            let isOpen = words[index].first == UInt8(ascii: "(")
            let digits = isOpen ? Bytes(rebasing: words[index].dropFirst()) : words[index]
            guard let score = Decimals.read(digits) else { throw .text("ERR min or max is not a float") }
            return (score, isOpen)
        }

        private static func name(_ words: RESPArguments, _ index: Int) throws(CacheError) -> Name {
            let word = words[index]
            switch word.first {
            case UInt8(ascii: "-") where word.count == 1: return .first
            case UInt8(ascii: "+") where word.count == 1: return .last
            case UInt8(ascii: "["): return .at(Array(word.dropFirst()), isOpen: false)
            case UInt8(ascii: "("): return .at(Array(word.dropFirst()), isOpen: true)
            default: throw .text("ERR min or max not valid string range item")
            }
        }

        /// The places, counted from the lowest score, of what is between the ends.
        func ranks(in set: CacheSortedSet, isReversed: Bool = false) -> Range<Int> {
            switch self {
            case .ranks(let first, let last):
                guard let range = range(first, last, count: set.count) else { return 0..<0 }
                return isReversed ? set.count - range.upperBound..<set.count - range.lowerBound : range
            case .scores(let low, let isLowOpen, let high, let isHighOpen):
                let first = set.rank { isLowOpen ? $0.score <= low : $0.score < low }
                let end = set.rank { isHighOpen ? $0.score < high : $0.score <= high }
                return first < end ? first..<end : 0..<0
            case .members(let low, let high):
                let first = set.rank { Self.isBelow($0.member, low, isLow: true) }
                let end = set.rank { Self.isBelow($0.member, high, isLow: false) }
                return first < end ? first..<end : 0..<0
            }
        }

        private static func isBelow(_ member: [UInt8], _ name: Name, isLow: Bool) -> Bool {
            switch name {
            case .first: return false
            case .last: return true
            case .at(let bytes, let isOpen):
                // Of the low end what comes before it; of the high end what is still within.
                return isBefore(member, bytes) || member == bytes && isOpen == isLow
            }
        }
    }

    struct Request {
        var bounds: Bounds
        var isReversed: Bool
        var offset = 0
        /// Negative: all.
        var limit = -1
        var wantsScores = false

        /// `start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`
        ///
        /// - Parameter order: of a command that has it in its name.
        init(
            _ words: RESPArguments, from start: Int, order: Order? = nil, isReversed: Bool = false,
            isStoring: Bool = false
        ) throws(CacheError) {
            var chosen = order
            var isReversed = isReversed
            var index = start + 2
            var hasLimit = false
            while index < words.count {
                if !isStoring, words.isWord(index, "WITHSCORES") {
                    wantsScores = true
                } else if words.isWord(index, "LIMIT"), index + 2 < words.count {
                    offset = try words.number(index + 1)
                    limit = try words.number(index + 2)
                    hasLimit = true
                    index += 2
                } else if order == nil, words.isWord(index, "REV") {
                    isReversed = true
                } else if order == nil, chosen == nil, words.isWord(index, "BYSCORE") {
                    chosen = .score
                } else if order == nil, chosen == nil, words.isWord(index, "BYLEX") {
                    chosen = .member
                } else {
                    throw .syntax
                }
                index += 1
            }
            let kind = chosen ?? .rank
            if hasLimit, kind == .rank {
                throw .text("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
            }
            if wantsScores, kind == .member {
                throw .text("ERR syntax error, WITHSCORES not supported in combination with BYLEX")
            }
            self.isReversed = isReversed
            let swapped = isReversed && kind != .rank
            bounds = try Bounds(words, swapped ? start + 1 : start, swapped ? start : start + 1, kind)
        }
    }

    static func find(_ set: CacheSortedSet?, _ request: Request) -> [Element] {
        guard let set, request.offset >= 0 else { return [] }
        let ranks = request.bounds.ranks(in: set, isReversed: request.isReversed)
        let skipped = min(request.offset, ranks.count)
        let count = request.limit < 0 ? ranks.count - skipped : min(request.limit, ranks.count - skipped)
        let part =
            request.isReversed
            ? ranks.upperBound - skipped - count..<ranks.upperBound - skipped
            : ranks.lowerBound + skipped..<ranks.lowerBound + skipped + count
        return set.elements(part, reversed: request.isReversed)
    }

    static func answer(_ elements: [Element], wantsScores: Bool, _ reply: inout RESPWriter) {
        let isNested = wantsScores && reply.version == .three
        reply.array(wantsScores && !isNested ? elements.count * 2 : elements.count)
        for element in elements {
            if isNested { reply.array(2) }
            reply.bulk(element.member)
            if wantsScores { reply.score(element.score) }
        }
    }

    static func store(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let request = try Request(words, from: 3, isStoring: true)
        let found = find(try cache.read(words[2], CacheSortedSet.self), request)
        let result = cache.makeSortedSet()
        for element in found { result.set(element.member, element.score) }
        SortedSetAlgebra.store(cache, words[1], result, "zrangestore", &reply)
    }

    static func remove(
        _ cache: Cache, _ words: RESPArguments, _ order: Order, _ event: String, _ reply: inout RESPWriter
    ) throws(CacheError) {
        let bounds = try Bounds(words, 2, 3, order)
        guard let (id, set) = try cache.change(words[1], CacheSortedSet.self) else { return reply.integer(0) }
        let elements = set.elements(bounds.ranks(in: set))
        for element in elements { set.remove(element.member) }
        if !elements.isEmpty { SortedSets.finish(cache, words[1], id, set, event) }
        reply.integer(elements.count)
    }
}
