import KernelRedis
import KernelStructures
import KernelWire

/// `ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member …`, and `ZINCRBY`.
enum SortedSetAdding {
    private struct Options {
        var onlyNew = false
        var onlyOld = false
        var onlyGreater = false
        var onlyLess = false
        var countsChanges = false
        var increments = false
        /// Where the first score stands.
        var first = 2

        init(_ words: RESPArguments) throws(CacheError) {
            reading: while first < words.count {
                if words.isWord(first, "NX") {
                    onlyNew = true
                } else if words.isWord(first, "XX") {
                    onlyOld = true
                } else if words.isWord(first, "GT") {
                    onlyGreater = true
                } else if words.isWord(first, "LT") {
                    onlyLess = true
                } else if words.isWord(first, "CH") {
                    countsChanges = true
                } else if words.isWord(first, "INCR") {
                    increments = true
                } else {
                    break reading
                }
                first += 1
            }
            let left = words.count - first
            guard left > 0, left % 2 == 0 else { throw .syntax }
            if onlyNew, onlyOld { throw .text("ERR XX and NX options at the same time are not compatible") }
            if onlyGreater && onlyLess || onlyNew && (onlyGreater || onlyLess) {
                throw .text("ERR GT, LT, and/or NX options at the same time are not compatible")
            }
            if increments, left > 2 { throw .text("ERR INCR option supports a single increment-element pair") }
        }

        init() { increments = true }

        /// The score that a member gets; nil if it stays as it is.
        func score(_ given: Double, old: Double?) throws(CacheError) -> Double? {
            guard let old else { return onlyOld ? nil : given }
            if onlyNew { return nil }
            let score = increments ? given + old : given
            if score.isNaN { throw .text("ERR resulting score is not a number (NaN)") }
            if onlyLess && score >= old || onlyGreater && score <= old { return nil }
            return score
        }
    }

    static func add(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let options = try Options(words)
        var scores: [Double] = []
        for index in stride(from: options.first, to: words.count, by: 2) {
            guard let score = Decimals.read(words[index]) else { throw .notFloat }
            scores.append(score)
        }
        try add(cache, words, options, scores, &reply)
    }

    static func increment(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        guard let amount = Decimals.read(words[2]) else { throw .notFloat }
        try add(cache, words, Options(), [amount], &reply)
    }

    private static func add(
        _ cache: Cache, _ words: RESPArguments, _ options: Options, _ scores: [Double], _ reply: inout RESPWriter
    ) throws(CacheError) {
        if options.onlyOld, try cache.change(words[1], CacheSortedSet.self) == nil {
            if options.increments { reply.null() } else { reply.integer(0) }
            return
        }
        let (id, set) = try cache.obtain(words[1], CacheSortedSet.self)
        var added = 0
        var changed = 0
        var result: Double?
        // A sum that is no number is found before anything is stored: with INCR there is one pair.
        for (place, given) in scores.enumerated() {
            let member = words.bytes(options.first + 2 * place + 1)
            let old = set.score(member)
            guard let score = try options.score(given, old: old) else { continue }
            result = score
            if old == nil { added += 1 } else if old != score { changed += 1 }
            if old != score { set.set(member, score) }
        }
        if added + changed > 0 || set.count == 0 {
            cache.settle(id, set, words[1])
            cache.notify(.sortedSet, options.increments ? "zincr" : "zadd", words[1])
            cache.ready(words[1])
        }
        guard options.increments else { return reply.integer(options.countsChanges ? added + changed : added) }
        if let result { reply.score(result) } else { reply.null() }
    }
}
