import KernelRedis
import KernelStructures
import KernelWire

/// memcached's protocol on a cache: the same keys, seen by other clients ("protocol.txt", memcached 1.6).
///
/// What memcached calls an item is a string here. Its "cas unique" is the number of the write that made it, and its
/// flags stand in the item. A key with another kind of value is not there for its clients, until they store over it.
public final class Memcached {
    let cache: Cache
    let startedAt: Int
    var counts = Counts()
    /// Bytes of a key.
    static let keyByteLimit = 250
    static let version = "1.6.18"
    /// Bytes after which an answer to `get` ends: ten thousand keys can be asked for at once.
    static let answerByteLimit = 64 << 20

    struct Counts {
        var gets = 0
        var hits = 0
        var sets = 0
        var deletes = 0
        var touches = 0
    }

    /// What the connection has to do after the answer.
    public enum Outcome: Sendable { case goOn, close }

    public init(_ cache: Cache) {
        self.cache = cache
        startedAt = cache.now
    }

    /// Commands that take `noreply`.
    private static let mayBeQuiet: Set<String> = [
        "set", "add", "replace", "append", "prepend", "cas", "delete", "incr", "decr", "touch", "flush_all",
        "verbosity", "cache_memlimit",
    ]

    static let badLine = "CLIENT_ERROR bad command line format"

    /// Carries out a request and appends the answer.
    public func perform(_ request: MemcachedRequest, into reply: inout [UInt8]) -> Outcome {
        var words = request.words
        let name = request.name
        let isQuiet = Self.mayBeQuiet.contains(name) && words.count > 1 && words.last == Array("noreply".utf8)
        if isQuiet { words.removeLast() }
        let start = reply.count
        let isOverLimit = cache.settings.maxMemory > 0 && request.data != nil && cache.isOutOfMemory
        if isOverLimit {
            say("SERVER_ERROR out of memory storing object", &reply)
        } else if name == "quit" {
            return .close
        } else {
            dispatch(name, words, request.data ?? [], &reply)
        }
        if isQuiet { reply.removeLast(reply.count - start) }
        return .goOn
    }

    private func dispatch(_ name: String, _ words: [[UInt8]], _ data: [UInt8], _ reply: inout [UInt8]) {
        switch name {
        case "get", "gets": get(words, from: 1, withCas: name == "gets", expiry: nil, &reply)
        case "gat", "gats": getAndTouch(words, withCas: name == "gats", &reply)
        case "set", "add", "replace", "append", "prepend", "cas": store(name, words, data, &reply)
        case "delete": delete(words, &reply)
        case "incr", "decr": add(words, isUp: name == "incr", &reply)
        case "touch": touch(words, &reply)
        case "mg", "ms", "md", "ma": meta(name, words, data, &reply)
        case "mn": say("MN", &reply)
        case "me": say("EN", &reply)
        case "stats": stats(words, &reply)
        case "flush_all": flush(words, &reply)
        case "version": say("VERSION \(Self.version)", &reply)
        case "verbosity": say(words.count == 2 ? "OK" : "ERROR", &reply)
        case "cache_memlimit": limitMemory(words, &reply)
        case "shutdown": say("CLIENT_ERROR not here: the node is stopped where it was started", &reply)
        default: say("ERROR", &reply)
        }
    }

    func say(_ text: String, _ reply: inout [UInt8]) {
        reply.append(utf8: text)
        reply.append(13)
        reply.append(10)
    }

    /// Whether a word can be a key.
    static func isKey(_ word: [UInt8]) -> Bool {
        !word.isEmpty && word.count <= keyByteLimit && word.allSatisfy { $0 > 32 && $0 != 127 }
    }

    static func number(_ word: [UInt8]) -> Int? { word.withUnsafeBytes { RESPNumber.integer($0) } }

    /// A number of 64 bits without a sign.
    static func unsigned(_ word: some Sequence<UInt8>) -> UInt64? {
        let bytes = Array(word)
        guard !bytes.isEmpty, bytes.count <= 20, bytes.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return UInt64(String(decoding: bytes, as: UTF8.self))
    }

    /// When an item ends, as a client says it: seconds from now up to thirty days, beyond that since 1970; 0 for never,
    /// and negative for at once. nil where it makes no sense.
    func end(_ seconds: Int) -> Int? {
        if seconds == 0 { return 0 }
        if seconds < 0 { return 1 }
        return Expiry.end(seconds, false, isAbsolute: seconds > 30 * 86_400, now: cache.now)
    }

    /// The item of a key, if it is one; 0 if not.
    func item(_ key: Bytes) -> ItemID {
        let id = cache.reading(key)
        return id != 0 && cache.slab[id].pointee.kind == .string ? id : 0
    }

    /// Stores a value, with its flags and end.
    @discardableResult
    func put(_ key: Bytes, _ value: [UInt8], flags: UInt32, expiry: Int) -> ItemID {
        let id = value.withUnsafeBytes { cache.put(key, $0, expiry: expiry) }
        cache.slab[id].pointee.clientFlags = flags
        changed(id, key, "set")
        return id
    }

    /// What a write is to a copy, and to those who listen.
    func changed(_ id: ItemID, _ key: Bytes, _ event: String) {
        cache.notify(.string, event, key)
        guard cache.onEffect != nil else { return }
        let item = cache.slab[id].pointee
        var words = ["SET"].map { Array($0.utf8) } + [Array(key), Array(item.value)]
        if item.expiry != 0 { words += [Array("PXAT".utf8), Array("\(item.expiry)".utf8)] }
        cache.emit(words)
    }

    func deleted(_ key: Bytes) { cache.emit([Array("DEL".utf8), Array(key)]) }

    // MARK: Statistics

    /// `stats [settings|reset|items|slabs|sizes|conns|cachedump]`. Items are not kept in slabs of one size each: of
    /// slabs there is nothing to say. Another word is an error, `noreply` too: it could reply nothing else.
    private func stats(_ words: [[UInt8]], _ reply: inout [UInt8]) {
        guard words.count > 1 else { return generalStatistics(&reply) }
        switch String(decoding: words[1], as: UTF8.self) {
        case "settings":
            say("STAT maxbytes \(cache.settings.maxMemory)", &reply)
            say("STAT evictions \(cache.settings.maxMemory > 0 ? "on" : "off")", &reply)
            say("STAT flush_enabled yes", &reply)
            say("STAT dump_enabled no", &reply)
            say("END", &reply)
        case "reset":
            counts = Counts()
            say("RESET", &reply)
        case "items", "slabs", "sizes", "conns", "cachedump": say("END", &reply)
        default: say("ERROR", &reply)
        }
    }

    private func generalStatistics(_ reply: inout [UInt8]) {
        let statistics = cache.statistics
        let lines: [(String, String)] = [
            ("pid", "1"), ("uptime", "\(max(0, cache.now - startedAt) / 1000)"), ("time", "\(cache.now / 1000)"),
            ("version", Self.version), ("pointer_size", "64"), ("curr_items", "\(cache.keyCount)"),
            ("bytes", "\(cache.dataByteCount)"), ("limit_maxbytes", "\(cache.settings.maxMemory)"),
            ("cmd_get", "\(counts.gets)"), ("cmd_set", "\(counts.sets)"), ("cmd_touch", "\(counts.touches)"),
            ("get_hits", "\(counts.hits)"), ("get_misses", "\(counts.gets - counts.hits)"),
            ("delete_hits", "\(counts.deletes)"), ("evictions", "\(statistics.evictedKeys)"),
            ("expired_unfetched", "\(statistics.expiredKeys)"),
        ]
        for (name, value) in lines { say("STAT \(name) \(value)", &reply) }
        say("END", &reply)
    }

    /// `cache_memlimit MIB`: 8 at least, as memcached has it. It is the bound that `CONFIG SET maxmemory` sets.
    private func limitMemory(_ words: [[UInt8]], _ reply: inout [UInt8]) {
        guard words.count == 2, let mebibytes = Self.number(words[1]), mebibytes >= 0 else {
            return say("ERROR", &reply)
        }
        let (bytes, isTooLarge) = mebibytes.multipliedReportingOverflow(by: 1 << 20)
        guard mebibytes >= 8 else { return say("MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m", &reply) }
        if isTooLarge { return say("MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust", &reply) }
        cache.setMaxMemory(bytes)
        say("OK", &reply)
    }

    /// `flush_all [delay]`: a delay makes all keys end then.
    private func flush(_ words: [[UInt8]], _ reply: inout [UInt8]) {
        let delay = words.count > 1 ? Self.number(words[1]) : 0
        guard let delay, delay >= 0, let end = Expiry.end(delay, false, isAbsolute: false, now: cache.now) else {
            return say(Self.badLine, &reply)
        }
        if delay == 0 {
            cache.removeAll()
            cache.emit([Array("FLUSHALL".utf8)])
        } else {
            var due: [ItemID] = []
            _ = cache.walk { id in
                let expiry = cache.slab[id].pointee.expiry
                if expiry == 0 || expiry > end { due.append(id) }
            }
            for id in due { cache.setExpiry(id, end) }
        }
        say("OK", &reply)
    }
}
