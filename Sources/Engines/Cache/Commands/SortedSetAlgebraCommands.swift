import KernelRedis
import KernelStructures
import KernelWire

extension CacheCommand {
    static var sortedSetAlgebraCommands: [CacheCommand] {
        let group = "sorted-set"
        func combine(_ name: String, _ operation: SetAlgebra.Operation, _ summary: String) -> [CacheCommand] {
            [
                CacheCommand(name, -3, [.readOnly], .counted(at: 1), group: group, "Returns \(summary)") {
                    cache, words, reply throws(CacheError) in
                    let request = try SortedSetAlgebra.Request(words, at: 1, operation, isStoring: false)
                    let result = try SortedSetAlgebra.combine(cache, words, request, operation)
                    SortedSetRanges.answer(
                        result.elements(0..<result.count), wantsScores: request.wantsScores, &reply)
                },
                CacheCommand(
                    "\(name)store", -4, [.write, .denyOutOfMemory], .counted(at: 2, alsoAt: 1), group: group,
                    "Stores \(summary)"
                ) { cache, words, reply throws(CacheError) in
                    let request = try SortedSetAlgebra.Request(words, at: 2, operation, isStoring: true)
                    let result = try SortedSetAlgebra.combine(cache, words, request, operation)
                    SortedSetAlgebra.store(cache, words[1], result, "\(name)store", &reply)
                },
            ]
        }
        return combine("zinter", .intersection, "what all sets have")
            + combine("zunion", .union, "what any set has")
            + combine("zdiff", .difference, "what the first set has alone")
            + [
                CacheCommand(
                    "zintercard", -3, [.readOnly], .counted(at: 1), group: group, "Counts what all sets have",
                    SortedSetAlgebra.countIntersection)
            ]
    }
}

/// Sets and sorted sets combined into a sorted set.
enum SortedSetAlgebra {
    private enum Source {
        case set(CacheSet)
        case sorted(CacheSortedSet)

        var count: Int {
            switch self {
            case .set(let set): set.count
            case .sorted(let set): set.count
            }
        }

        /// Members of a plain set have the score 1.
        func score(_ member: [UInt8]) -> Double? {
            switch self {
            case .set(let set): set.contains(member) ? 1 : nil
            case .sorted(let set): set.score(member)
            }
        }

        func forEach(_ body: ([UInt8], Double) -> Void) {
            switch self {
            case .set(let set): set.forEach { body($0, 1) }
            case .sorted(let set): set.forEach { body($0.member, $0.score) }
            }
        }
    }

    fileprivate enum Aggregate { case sum, least, most }

    /// `numkeys key… [WEIGHTS w…] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]`
    struct Request {
        let keys: Range<Int>
        fileprivate var weights: [Double]
        fileprivate var aggregate = Aggregate.sum
        var wantsScores = false

        /// All of the same weight.
        init(_ keys: Range<Int>) {
            self.keys = keys
            weights = .init(repeating: 1, count: keys.count)
        }

        init(_ words: RESPArguments, at index: Int, _ operation: SetAlgebra.Operation, isStoring: Bool)
            throws(CacheError)
        {
            let number = try words.number(index)
            guard number >= 1 else {
                let name = String(decoding: words.printed(0, limit: 32), as: UTF8.self).lowercased()
                throw .text("ERR at least 1 input key is needed for '\(name)' command")
            }
            guard number <= words.count - index - 1 else { throw .syntax }
            keys = index + 1..<index + 1 + number
            weights = .init(repeating: 1, count: number)
            var place = keys.upperBound
            while place < words.count {
                if operation != .difference, words.isWord(place, "WEIGHTS"), words.count - place - 1 >= number {
                    for key in 0..<number {
                        guard let weight = Decimals.read(words[place + 1 + key]) else {
                            throw .text("ERR weight value is not a float")
                        }
                        weights[key] = weight
                    }
                    place += number
                } else if operation != .difference, words.isWord(place, "AGGREGATE"), place + 1 < words.count {
                    aggregate = try Self.aggregate(words, place + 1)
                    place += 1
                } else if !isStoring, words.isWord(place, "WITHSCORES") {
                    wantsScores = true
                } else {
                    throw .syntax
                }
                place += 1
            }
        }

        private static func aggregate(_ words: RESPArguments, _ index: Int) throws(CacheError) -> Aggregate {
            if words.isWord(index, "SUM") { return .sum }
            if words.isWord(index, "MIN") { return .least }
            guard words.isWord(index, "MAX") else { throw .syntax }
            return .most
        }

        fileprivate func weighted(_ score: Double, _ key: Int) -> Double {
            // Nothing times infinity is nothing here.
            let product = score * weights[key]
            return product.isNaN ? 0 : product
        }

        fileprivate func joined(_ a: Double, _ b: Double) -> Double {
            switch aggregate {
            case .sum:
                let sum = a + b
                return sum.isNaN ? 0 : sum
            case .least: return min(a, b)
            case .most: return max(a, b)
            }
        }
    }

    private static func source(_ cache: Cache, _ key: Bytes) throws(CacheError) -> Source? {
        let id = cache.reading(key)
        if id == 0 { return nil }
        if cache.slab[id].pointee.kind == .set { return try cache.object(id, CacheSet.self).map { .set($0) } }
        return try cache.object(id, CacheSortedSet.self).map { .sorted($0) }
    }

    static func combine(
        _ cache: Cache, _ words: RESPArguments, _ request: Request, _ operation: SetAlgebra.Operation
    ) throws(CacheError) -> CacheSortedSet {
        var sources: [Source?] = []
        for index in request.keys { sources.append(try source(cache, words[index])) }
        let result = cache.makeSortedSet()
        switch operation {
        case .union:
            for (key, source) in sources.enumerated() {
                source?.forEach { member, score in
                    let weighted = request.weighted(score, key)
                    result.set(member, result.score(member).map { request.joined($0, weighted) } ?? weighted)
                }
            }
        case .difference:
            sources[0]?.forEach { member, score in
                if !sources.dropFirst().contains(where: { $0?.score(member) != nil }) { result.set(member, score) }
            }
        case .intersection:
            forEachCommon(sources, request) { member, score in
                result.set(member, score)
                return true
            }
        }
        return result
    }

    /// Goes through the smallest one; the scores are joined in the order of size, smallest first, as Redis does it.
    private static func forEachCommon(_ sources: [Source?], _ request: Request, _ body: ([UInt8], Double) -> Bool) {
        guard !sources.contains(where: { $0 == nil }) else { return }
        let all = sources.enumerated().compactMap { key, source in source.map { (key: key, source: $0) } }
            .sorted { ($0.source.count, $0.key) < ($1.source.count, $1.key) }
        guard let smallest = all.first else { return }
        var isDone = false
        smallest.source.forEach { member, score in
            if isDone { return }
            var joined = request.weighted(score, smallest.key)
            for (key, source) in all.dropFirst() {
                guard let score = source.score(member) else { return }
                joined = request.joined(joined, request.weighted(score, key))
            }
            isDone = !body(member, joined)
        }
    }

    static func store(
        _ cache: Cache, _ key: Bytes, _ result: CacheSortedSet, _ event: String, _ reply: inout RESPWriter
    ) {
        let hadAny = cache.replace(key, with: result)
        if result.count > 0 {
            cache.notify(.sortedSet, event, key)
            cache.ready(key)
        } else if hadAny {
            cache.notify(.generic, "del", key)
        }
        reply.integer(result.count)
    }

    /// `ZINTERCARD numkeys key… [LIMIT n]`
    static func countIntersection(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter)
        throws(CacheError)
    {
        let (keys, limit) = try SetAlgebra.keysAndLimit(words)
        var sources: [Source?] = []
        for index in keys { sources.append(try source(cache, words[index])) }
        let request = Request(keys)
        var count = 0
        forEachCommon(sources, request) { _, _ in
            count += 1
            return limit == 0 || count < limit
        }
        reply.integer(count)
    }
}
