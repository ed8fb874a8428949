import KernelRedis
import KernelStructures
import KernelWire

extension CacheCommand {
    static var serializationCommands: [CacheCommand] {
        let group = "generic"
        return [
            CacheCommand("dump", 2, [.readOnly], group: group, "Returns a key's value in Redis's own form") {
                cache, words, reply throws(CacheError) in
                if let payload = cache.dump(words.bytes(1)) { reply.bulk(payload) } else { reply.null() }
            },
            CacheCommand(
                "restore", -4, [.write, .denyOutOfMemory], group: group, "Makes a key of what DUMP has returned",
                Restoring.run),
            CacheCommand(
                "restore-asking", -4, [.write, .denyOutOfMemory], group: group,
                "Makes a key of what DUMP has returned, in a slot that is being moved here", Restoring.run),
        ]
    }
}

extension Cache {
    /// A key's value as `DUMP` gives it: Redis's RDB form of an object, its version, and a checksum. Redis's `RESTORE`
    /// takes it. nil if there is no such key.
    public func dump(_ key: [UInt8]) -> [UInt8]? {
        let id = key.withUnsafeBytes { lookUp($0) }
        if id == 0 { return nil }
        var writer = DumpWriter()
        let item = slab[id]
        switch item.pointee.kind {
        case .string:
            writer.type(.string)
            writer.string(Array(item.pointee.value))
        case .list:
            let list = unsafeDowncast(item.pointee.object, to: CacheList.self)
            writer.type(.list)
            writer.length(list.count)
            for index in 0..<list.count { writer.string(list[index]) }
        case .set:
            let set = unsafeDowncast(item.pointee.object, to: CacheSet.self)
            writer.type(.set)
            writer.length(set.count)
            set.forEach { writer.string($0) }
        case .sortedSet:
            let set = unsafeDowncast(item.pointee.object, to: CacheSortedSet.self)
            writer.type(.sortedSet)
            writer.length(set.count)
            set.forEach {
                writer.string($0.member)
                writer.double($0.score)
            }
        case .hash:
            let hash = unsafeDowncast(item.pointee.object, to: CacheHash.self)
            writer.type(.hash)
            writer.length(hash.count)
            hash.forEach {
                writer.string($0)
                writer.string($1)
            }
        }
        return writer.finish()
    }

    /// Makes a key of what `dump` has given.
    ///
    /// - Parameter expiry: milliseconds since 1970; 0: never.
    public func restore(_ key: [UInt8], _ payload: [UInt8], expiry: Int, replaces: Bool) throws(CacheError) {
        try key.withUnsafeBytes { key in
            Result { () throws(CacheError) in try restore(key, payload, expiry: expiry, replaces: replaces) }
        }.get()
    }

    func restore(_ key: Bytes, _ payload: [UInt8], expiry: Int, replaces: Bool) throws(CacheError) {
        if !replaces, lookUp(key) != 0 { throw .text("BUSYKEY Target key name already exists.") }
        guard DumpReader.isIntact(payload) else { throw .text("ERR DUMP payload version or checksum are wrong") }
        var reader = DumpReader(payload, cache: self)
        guard let value = reader.value() else { throw .text("ERR Bad data format") }
        let old = lookUp(key)
        if old != 0 { _ = delete(key) }
        if expiry != 0, expiry <= now, !isReplica { return }
        let id: ItemID
        switch value {
        case .string(let bytes): id = bytes.withUnsafeBytes { put(key, $0) }
        case .object(let object):
            id = add(key, object)
            touch(id, key)
        }
        setExpiry(id, expiry)
        notify(.generic, "restore", key)
        if [.list, .sortedSet].contains(slab[id].pointee.kind) { ready(key) }
    }
}

/// `RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME s] [FREQ n]`
private enum Restoring {
    static func run(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        var replaces = false
        var isAbsolute = false
        var index = 4
        while index < words.count {
            if words.isWord(index, "REPLACE") {
                replaces = true
            } else if words.isWord(index, "ABSTTL") {
                isAbsolute = true
            } else if index + 1 < words.count, words.isWord(index, "IDLETIME") || words.isWord(index, "FREQ") {
                // How it was used elsewhere says nothing about its use here.
                _ = try words.number(index + 1, atLeast: 0, "ERR Invalid IDLETIME or FREQ value, must be >= 0")
                index += 1
            } else {
                throw .syntax
            }
            index += 1
        }
        let time = try words.number(2, atLeast: 0, "ERR Invalid TTL value, must be >= 0")
        guard let end = time == 0 ? 0 : Expiry.end(time, true, isAbsolute: isAbsolute, now: cache.now) else {
            throw .text("ERR Invalid TTL value, must be >= 0")
        }
        let payload = words.bytes(3)
        try cache.restore(words[1], payload, expiry: end, replaces: replaces)
        var effect = [words.bytes(1), Array("\(end)".utf8), payload, Array("REPLACE".utf8)]
        if end != 0 { effect.append(Array("ABSTTL".utf8)) }
        cache.stand("RESTORE", effect)
        reply.ok()
    }
}
