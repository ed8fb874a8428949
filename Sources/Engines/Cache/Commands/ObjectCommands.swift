import KernelRedis
import KernelStructures
import KernelWire

extension CacheCommand {
    /// `OBJECT …` and `MEMORY USAGE`: their keys stand behind the subcommand.
    static var objectCommands: [CacheCommand] {
        let key = Keys.places(2, 2, 1)
        return [
            CacheCommand("object|encoding", 3, [.readOnly], key, group: "generic", "Says how a value is kept") {
                cache, words, reply throws(CacheError) in
                let id = cache.lookUp(words[2])
                if id == 0 { reply.null() } else { reply.bulk(cache.encoding(id)) }
            },
            CacheCommand("object|idletime", 3, [.readOnly], key, group: "generic", "Says how long it was not used") {
                cache, words, reply throws(CacheError) in
                let id = cache.lookUp(words[2])
                if id == 0 { return reply.null() }
                if cache.settings.policy.countsFrequency {
                    throw .text(
                        "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when "
                            + "switching between policies at runtime LRU and LFU data will take some time to adjust.")
                }
                reply.integer(Int(cache.clockSeconds &- cache.slab[id].pointee.accessedAt))
            },
            CacheCommand("object|freq", 3, [.readOnly], key, group: "generic", "Says how often it was used lately") {
                cache, words, reply throws(CacheError) in
                let id = cache.lookUp(words[2])
                if id == 0 { return reply.null() }
                guard cache.settings.policy.countsFrequency, let policy = cache.policy else {
                    throw .text(
                        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that "
                            + "when switching between policies at runtime LRU and LFU data will take some time "
                            + "to adjust."
                    )
                }
                let isKnown = cache.isEvictable(id)
                reply.integer(isKnown ? policy.frequency(id, hash: cache.slab[id].pointee.hash) ?? 0 : 0)
            },
            CacheCommand("object|refcount", 3, [.readOnly], key, group: "generic", "Returns 1: values are not shared") {
                cache, words, reply throws(CacheError) in
                if cache.lookUp(words[2]) == 0 { reply.null() } else { reply.integer(1) }
            },
            CacheCommand("memory|usage", -3, [.readOnly], key, group: "server", "Returns the bytes a key takes") {
                cache, words, reply throws(CacheError) in
                if words.count > 3 {
                    guard words.count == 5, words.isWord(3, "SAMPLES") else { throw .syntax }
                    guard try words.number(4) >= 0 else { throw .syntax }
                }
                let id = cache.lookUp(words[2])
                if id == 0 { reply.null() } else { reply.integer(cache.byteCount(id)) }
            },
        ]
    }
}

extension Cache {
    /// As `OBJECT ENCODING` names it.
    func encoding(_ id: ItemID) -> String {
        let item = slab[id]
        guard item.pointee.kind == .string else { return item.pointee.object.encoding }
        if !item.pointee.marks.contains(.raw) {
            if item.pointee.valueCount <= 20, RESPNumber.integer(item.pointee.value) != nil { return "int" }
            if item.pointee.valueCount <= 44 { return "embstr" }
        }
        return "raw"
    }

    /// Bytes that a key takes: its place, its block, its object.
    func byteCount(_ id: ItemID) -> Int {
        let item = slab[id]
        let block = item.pointee.kind == .string ? Int(item.pointee.word) : max(1, Int(item.pointee.keyCount))
        let object = item.pointee.kind == .string ? 0 : item.pointee.object.countedByteCount
        // Its part of the buckets: four bytes.
        return MemoryLayout<Item>.stride + 4 + MemoryCost.block(block) + object
    }

    /// What the policy says of itself.
    public var policyDescription: [(name: String, value: String)] { policy?.description ?? [] }
    public var policyByteCount: Int { policy?.byteCount ?? 0 }
    public var wheelByteCount: Int { wheel.byteCount }
    public var indexByteCount: Int { index.byteCount }
    public var isRehashing: Bool { index.isMoving }

    /// How many keys there are of each kind, and their bytes: walks over all of them.
    public func census() -> [(kind: ValueKind, keys: Int, bytes: Int)] {
        var counts = [Int](repeating: 0, count: ValueKind.allCases.count)
        var bytes = counts
        _ = walk { id in
            let kind = Int(slab[id].pointee.kind.rawValue)
            counts[kind] += 1
            bytes[kind] += byteCount(id)
        }
        return ValueKind.allCases.map { ($0, counts[Int($0.rawValue)], bytes[Int($0.rawValue)]) }
    }
}
