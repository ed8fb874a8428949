import KernelRedis
import KernelStructures
import KernelWire

extension CacheCommand {
    static var blockingListCommands: [CacheCommand] {
        let group = "list"
        let pop: Flags = [.write, .blocking]
        let move: Flags = [.write, .denyOutOfMemory, .blocking]
        return [
            CacheCommand("blpop", -3, pop, .places(1, -2, 1), group: group, "Takes or awaits a first element") {
                cache, words, reply throws(CacheError) in try BlockingLists.pop(cache, words, &reply, isLeft: true)
            },
            CacheCommand("brpop", -3, pop, .places(1, -2, 1), group: group, "Takes or awaits a last element") {
                cache, words, reply throws(CacheError) in try BlockingLists.pop(cache, words, &reply, isLeft: false)
            },
            CacheCommand("blmove", 6, move, .two, group: group, "Moves or awaits an end's element") {
                cache, words, reply throws(CacheError) in
                let ends = try Lists.ends(words, 3)
                let timeout = try Waiting.timeout(words, 5)
                if try !Lists.move(cache, words, from: ends.0, to: ends.1, &reply) {
                    throw .wouldBlock(.init(keys: [words.bytes(1)], timeoutMilliseconds: timeout, ifRefused: .null))
                }
            },
            CacheCommand("brpoplpush", 4, move, .two, group: group, "Moves or awaits a last element") {
                cache, words, reply throws(CacheError) in
                let timeout = try Waiting.timeout(words, 3)
                if try !Lists.move(cache, words, from: false, to: true, &reply) {
                    throw .wouldBlock(.init(keys: [words.bytes(1)], timeoutMilliseconds: timeout, ifRefused: .null))
                }
            },
            CacheCommand(
                "blmpop", -5, pop, .counted(at: 2), group: group, "Takes or awaits elements of one of several lists"
            ) { cache, words, reply throws(CacheError) in
                let timeout = try Waiting.timeout(words, 1)
                let request = try MultiplePop(words, at: 2, ends: ("LEFT", "RIGHT"))
                if try !Lists.popFirst(cache, words, request, &reply) {
                    let keys = request.keys.map { words.bytes($0) }
                    throw .wouldBlock(.init(keys: keys, timeoutMilliseconds: timeout, ifRefused: .nullArray))
                }
            },
        ]
    }
}

enum BlockingLists {
    static func pop(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter, isLeft: Bool)
        throws(CacheError)
    {
        let timeout = try Waiting.timeout(words, words.count - 1)
        for index in 1..<words.count - 1 {
            guard let (id, list) = try cache.change(words[index], CacheList.self) else { continue }
            let element = Lists.take(cache, words[index], id, list, isLeft: isLeft)
            cache.stand(isLeft ? "LPOP" : "RPOP", [words.bytes(index)])
            reply.array(2)
            reply.bulk(words[index])
            return reply.bulk(element)
        }
        throw .wouldBlock(
            .init(
                keys: (1..<words.count - 1).map { words.bytes($0) }, timeoutMilliseconds: timeout,
                ifRefused: .nullArray))
    }
}

/// How long somebody is willing to wait.
enum Waiting {
    /// Seconds as they are written, in milliseconds; 0: for ever. A part of a millisecond is a whole one.
    static func timeout(_ words: RESPArguments, _ index: Int) throws(CacheError) -> Int {
        guard let seconds = Decimals.read(words[index]) else {
            throw .text("ERR timeout is not a float or out of range")
        }
        guard seconds >= 0 else { throw .text("ERR timeout is negative") }
        // What a calendar of 64 bits cannot hold is refused.
        guard seconds * 1000 < 9e15 else { throw .text("ERR timeout is out of range") }
        return Int((seconds * 1000).rounded(.up))
    }
}
