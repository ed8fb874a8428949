import KernelRedis
import KernelStructures
import KernelWire

extension CacheCommand {
    static var setAlgebraCommands: [CacheCommand] {
        let group = "set"
        let store: Flags = [.write, .denyOutOfMemory]
        func combine(_ name: String, _ operation: SetAlgebra.Operation, _ summary: String) -> [CacheCommand] {
            [
                CacheCommand(name, -2, [.readOnly], .all, group: group, "Returns \(summary)") {
                    cache, words, reply throws(CacheError) in
                    let found = try SetAlgebra.combine(cache, words, 1..<words.count, operation)
                    reply.set(found.count)
                    found.forEach { reply.bulk($0) }
                },
                CacheCommand("\(name)store", -3, store, .all, group: group, "Stores \(summary)") {
                    cache, words, reply throws(CacheError) in
                    let found = try SetAlgebra.combine(cache, words, 2..<words.count, operation)
                    let hadAny = cache.replace(words[1], with: found)
                    if found.count > 0 {
                        cache.notify(.set, "\(name)store", words[1])
                    } else if hadAny {
                        cache.notify(.generic, "del", words[1])
                    }
                    reply.integer(found.count)
                },
            ]
        }
        return combine("sinter", .intersection, "what all sets have")
            + combine("sunion", .union, "what any set has")
            + combine("sdiff", .difference, "what the first set has alone")
            + [
                CacheCommand(
                    "sintercard", -3, [.readOnly], .counted(at: 1), group: group, "Counts what all sets have",
                    SetAlgebra.countIntersection)
            ]
    }
}

enum SetAlgebra {
    enum Operation { case intersection, union, difference }

    /// A new set. It does not depend on the order in which members happen to lie, but for the order of its own.
    static func combine(_ cache: Cache, _ words: RESPArguments, _ keys: Range<Int>, _ operation: Operation)
        throws(CacheError) -> CacheSet
    {
        var sets: [CacheSet?] = []
        for index in keys { sets.append(try cache.read(words[index], CacheSet.self)) }
        let result = cache.makeSet()
        switch operation {
        case .union: for set in sets { set?.forEach { result.insert($0) } }
        case .difference:
            sets[0]?.forEach { member in
                if !sets.dropFirst().contains(where: { $0?.contains(member) == true }) { result.insert(member) }
            }
        case .intersection:
            forEachCommon(sets) { member in
                result.insert(member)
                return true
            }
        }
        return result
    }

    /// Goes through the smallest set and looks into the others, until told to stop.
    private static func forEachCommon(_ sets: [CacheSet?], _ body: ([UInt8]) -> Bool) {
        guard !sets.contains(where: { $0 == nil }) else { return }
        let all = sets.compactMap { $0 }.sorted { $0.count < $1.count }
        guard let smallest = all.first else { return }
        for index in 0..<smallest.count {
            let member = smallest.member(index)
            if all.dropFirst().allSatisfy({ $0.contains(member) }), !body(member) { return }
        }
    }

    /// `SINTERCARD numkeys key… [LIMIT n]`
    static func countIntersection(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter)
        throws(CacheError)
    {
        let (keys, limit) = try keysAndLimit(words)
        var sets: [CacheSet?] = []
        for index in keys { sets.append(try cache.read(words[index], CacheSet.self)) }
        var count = 0
        forEachCommon(sets) { _ in
            count += 1
            return limit == 0 || count < limit
        }
        reply.integer(count)
    }

    static func keysAndLimit(_ words: RESPArguments) throws(CacheError) -> (Range<Int>, Int) {
        let number = try words.number(1, atLeast: 1, "ERR numkeys should be greater than 0")
        guard number <= words.count - 2 else { throw .text("ERR Number of keys can't be greater than number of args") }
        var limit = 0
        var index = 2 + number
        while index < words.count {
            guard words.isWord(index, "LIMIT"), index + 1 < words.count else { throw .syntax }
            limit = try words.number(index + 1, atLeast: 0, "ERR LIMIT can't be negative")
            index += 2
        }
        return (2..<2 + number, limit)
    }
}
