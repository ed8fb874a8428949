import KernelRedis
import KernelStructures
import KernelWire

extension CacheCommand {
    static var keyCommands: [CacheCommand] {
        let group = "generic"
        return [
            CacheCommand("del", -2, [.write], .all, group: group, "Deletes keys", KeyActions.delete),
            CacheCommand("unlink", -2, [.write, .fast], .all, group: group, "Deletes keys", KeyActions.delete),
            CacheCommand(
                "exists", -2, [.readOnly, .fast], .all, group: group, "Counts which keys exist", KeyActions.exists),
            CacheCommand(
                "touch", -2, [.readOnly, .fast], .all, group: group, "Counts which keys exist, as used just now",
                KeyActions.exists),
            CacheCommand("type", 2, [.readOnly, .fast], group: group, "Returns the type of a key", KeyActions.type),
            CacheCommand("rename", 3, [.write], .two, group: group, "Renames a key") {
                cache, words, reply throws(CacheError) in
                guard try KeyActions.rename(cache, words, onlyIfFree: false) else { return }
                reply.ok()
            },
            CacheCommand("renamenx", 3, [.write, .fast], .two, group: group, "Renames a key if the name is free") {
                cache, words, reply throws(CacheError) in
                reply.integer(try KeyActions.rename(cache, words, onlyIfFree: true) ? 1 : 0)
            },
            CacheCommand(
                "copy", -3, [.write, .denyOutOfMemory], .two, group: group, "Copies a key", KeyActions.copy),
            CacheCommand("move", 3, [.write, .fast], group: group, "Moves a key to another database") {
                cache, words, reply throws(CacheError) in
                guard try words.number(2) == 0 else { throw .text("ERR DB index is out of range") }
                throw .text("ERR source and destination objects are the same")
            },
            CacheCommand("scan", -2, [.readOnly], .none, group: group, "Walks over the keys", KeyActions.scan),
            CacheCommand("keys", 2, [.readOnly], .none, group: group, "Returns all keys of a pattern", KeyActions.keys),
            CacheCommand("randomkey", 1, [.readOnly], .none, group: group, "Returns some key", KeyActions.random),
            CacheCommand("dbsize", 1, [.readOnly, .fast], .none, group: "server", "Returns how many keys there are") {
                cache, _, reply throws(CacheError) in reply.integer(cache.keyCount)
            },
        ]
    }
}

enum KeyActions {
    static func delete(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        var count = 0
        for index in 1..<words.count where cache.delete(words[index]) { count += 1 }
        reply.integer(count)
    }

    static func exists(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        var count = 0
        for index in 1..<words.count where cache.reading(words[index]) != 0 { count += 1 }
        reply.integer(count)
    }

    static func type(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let id = cache.lookUp(words[1])
        reply.simple(id == 0 ? "none" : cache.slab[id].pointee.kind.name)
    }

    /// False where the name is taken, and that matters.
    static func rename(_ cache: Cache, _ words: RESPArguments, onlyIfFree: Bool) throws(CacheError) -> Bool {
        let id = cache.writing(words[1])
        if id == 0 { throw .noSuchKey }
        if words[1].elementsEqual(words[2]) { return !onlyIfFree }
        if cache.lookUp(words[2]) != 0 {
            if onlyIfFree { return false }
            _ = cache.delete(words[2])
        }
        let expiry = cache.slab[id].pointee.expiry
        duplicate(cache, id, to: words[2], expiry: expiry, sharing: true)
        cache.remove(id)
        cache.touchAbsent(words[1])
        cache.notify(.generic, "rename_from", words[1])
        cache.notify(.generic, "rename_to", words[2])
        let target = cache.lookUp(words[2])
        if target != 0 { readyIfNeeded(cache, target, words[2]) }
        return true
    }

    private static func readyIfNeeded(_ cache: Cache, _ id: ItemID, _ key: Bytes) {
        if [.list, .sortedSet].contains(cache.slab[id].pointee.kind) { cache.ready(key) }
    }

    /// Gives another key, which is not there, the same value.
    ///
    /// - Parameter sharing: whether the old key is deleted next, so that the object need not be copied.
    private static func duplicate(_ cache: Cache, _ id: ItemID, to key: Bytes, expiry: Int, sharing: Bool) {
        let item = cache.slab[id]
        let marks = item.pointee.marks
        let flags = item.pointee.clientFlags
        let new: ItemID
        if item.pointee.kind == .string {
            new = cache.put(key, item.pointee.value, expiry: expiry)
        } else if sharing {
            // For a moment both have it; each counts it.
            new = cache.add(key, item.pointee.object)
            cache.setExpiry(new, expiry)
            cache.touch(new, key)
        } else {
            new = cache.add(key, item.pointee.object.copy())
            cache.setExpiry(new, expiry)
            cache.touch(new, key)
        }
        cache.slab[new].pointee.marks = marks
        cache.slab[new].pointee.clientFlags = flags
    }

    /// `COPY source destination [DB 0] [REPLACE]`
    static func copy(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        var replaces = false
        var index = 3
        while index < words.count {
            if words.isWord(index, "REPLACE") {
                replaces = true
            } else if words.isWord(index, "DB"), index + 1 < words.count {
                guard try words.number(index + 1) == 0 else { throw .text("ERR DB index is out of range") }
                index += 1
            } else {
                throw .syntax
            }
            index += 1
        }
        if words[1].elementsEqual(words[2]) { throw .text("ERR source and destination objects are the same") }
        let id = cache.reading(words[1])
        if id == 0 { return reply.integer(0) }
        if cache.lookUp(words[2]) != 0 {
            if !replaces { return reply.integer(0) }
            _ = cache.delete(words[2])
        }
        duplicate(cache, id, to: words[2], expiry: cache.slab[id].pointee.expiry, sharing: false)
        cache.notify(.generic, "copy_to", words[2])
        let target = cache.lookUp(words[2])
        if target != 0 { readyIfNeeded(cache, target, words[2]) }
        reply.integer(1)
    }

    /// `SCAN cursor [MATCH pattern] [COUNT n] [TYPE type]`
    static func scan(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let options = try Cursors.read(words, from: 1, hasType: true)
        var found: [[UInt8]] = []
        let next = cache.walk(from: options.cursor << 32, limit: options.count) { id in
            let item = cache.slab[id]
            if options.isOf(type: item.pointee.kind.name), options.matches(item.pointee.key) {
                found.append(Array(item.pointee.key))
            }
        }
        Cursors.answer(next, found, &reply)
    }

    static func keys(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let pattern = words.bytes(1)
        var found: [[UInt8]] = []
        _ = cache.walk { id in
            let key = cache.slab[id].pointee.key
            if GlobMatch.matches(key, pattern) { found.append(Array(key)) }
        }
        reply.array(found.count)
        for key in found { reply.bulk(key) }
    }

    /// A place of the slab by chance, and the next one that is in use: quick, and not fair to those behind a gap.
    static func random(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        for _ in 0..<100 where cache.keyCount > 0 {
            let id = cache.slab.live(from: ItemID(cache.random.below(max(1, cache.slab.limit))))
            if id == 0 { break }
            let key = cache.key(id)
            if key.withUnsafeBytes({ cache.lookUp($0) }) != 0 { return reply.bulk(key) }
            // It had ended, and is deleted now; a copy that may not delete it looks on.
            if cache.isReplica { continue }
        }
        reply.null()
    }
}

/// Cursors: the first 32 bits of the hash from which a walk goes on.
enum Cursors {
    static func read(_ words: RESPArguments, from index: Int, hasType: Bool = false) throws(CacheError) -> ScanOptions {
        switch ScanOptions.read(words, from: index, hasType: hasType) {
        case .success(let options): return options
        case .failure(let failure): throw .text(failure.text)
        }
    }

    static func answer(_ next: UInt64?, _ found: [[UInt8]], _ reply: inout RESPWriter) {
        reply.array(2)
        reply.bulk(String(next.map { $0 >> 32 } ?? 0))
        reply.array(found.count)
        for element in found { reply.bulk(element) }
    }
}
