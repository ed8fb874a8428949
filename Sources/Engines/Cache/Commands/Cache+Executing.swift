import KernelRedis
import KernelStructures
import KernelWire

extension Cache {
    /// Carries out a command whose number of words is right.
    ///
    /// - Returns: what the client may wait for, if there was nothing to be taken; nothing was replied then.
    @discardableResult
    public func execute(_ command: CacheCommand, _ words: RESPArguments, into reply: inout RESPWriter)
        -> BlockingRequest?
    {
        let start = reply.count
        let before = changes
        do throws(CacheError) {
            if settings.maxMemory > 0, usedByteCount > settings.maxMemory, !makeRoom(),
                command.flags.contains(.denyOutOfMemory)
            {
                throw .outOfMemory
            }
            if slab.isFull, command.flags.contains(.denyOutOfMemory) { throw .outOfMemory }
            try command.body(self, words, &reply)
        } catch {
            if case .wouldBlock(let request) = error { return request }
            reply.truncate(to: start)
            let (text, word, rest) = error.reply
            reply.error(text, word, rest)
        }
        if onEffect != nil, changes != before, command.flags.contains(.write) { emitEffect(of: words) }
        effectWords = nil
        return nil
    }

    private func emitEffect(of words: RESPArguments) {
        if let effectWords {
            for words in effectWords { emit(words) }
        } else {
            emit((0..<words.count).map { words.bytes($0) })
        }
    }

    /// Adds a change to the stream of effects.
    func emit(_ words: [[UInt8]]) {
        guard let onEffect else { return }
        if isGathering { gatheredEffects.append(words) } else { onEffect(words) }
    }

    private var isGathering: Bool { gatheringDepth > 0 }

    /// What the present command is in the stream of effects: commands that make the same change however often and
    /// whenever they are carried out. None: it has no effect on a copy.
    func stand(for commands: @autoclosure () -> [[[UInt8]]]) { if onEffect != nil { effectWords = commands() } }

    /// The same for one command, of texts and byte strings.
    func stand(_ name: String, _ words: @autoclosure () -> [[UInt8]]) {
        if onEffect != nil { effectWords = [[Array(name.utf8)] + words()] }
    }

    /// From here to `endTransaction` effects are gathered, and nobody who waits is served.
    public func beginTransaction() {
        isInTransaction = true
        gatheringDepth += 1
    }

    /// Gives out what was gathered: more than one command between MULTI and EXEC.
    public func endTransaction() {
        isInTransaction = false
        gatheringDepth = max(0, gatheringDepth - 1)
        guard gatheringDepth == 0 else { return }
        let effects = gatheredEffects
        gatheredEffects = []
        guard let onEffect, !effects.isEmpty else { return }
        if effects.count == 1 { return onEffect(effects[0]) }
        onEffect([Array("MULTI".utf8)])
        for words in effects { onEffect(words) }
        onEffect([Array("EXEC".utf8)])
    }

    /// Carries out an effect of another cache: nothing is evicted for it, and no effect of its own comes of it. What
    /// is no command is passed over.
    public func apply(_ words: [[UInt8]]) {
        guard let name = words.first else { return }
        let (bound, hook) = (settings.maxMemory, onEffect)
        settings.maxMemory = 0
        onEffect = nil
        defer {
            settings.maxMemory = bound
            onEffect = hook
        }
        let text = String(decoding: name, as: UTF8.self).lowercased()
        if text == "flushall" || text == "flushdb" { return removeAll() }
        guard let command = CacheCommand.named(text) else { return }
        var reply = RESPWriter()
        RESPRequest(words).withArguments { words in
            if command.accepts(words.count) { execute(command, words, into: &reply) }
        }
    }

    /// For tests and tools: carries out a command and reads its reply.
    public func execute(_ words: [[UInt8]], version: RESPVersion = .two) -> RESPValue {
        var reply = RESPWriter(version: version)
        guard let name = words.first, let command = CacheCommand.named(String(decoding: name, as: UTF8.self)) else {
            return .error("ERR unknown command")
        }
        let isBlocked = RESPRequest(words).withArguments { words in
            guard command.accepts(words.count) else {
                reply.error(Complaint.count(command.name))
                return false
            }
            return execute(command, words, into: &reply) != nil
        }
        if isBlocked { return .null }
        var reader = RESPReplyReader()
        var position = 0
        return reply.bytes.withUnsafeBytes { bytes in
            if case .value(let value) = reader.next(bytes, &position) { return value }
            return .error("ERR a reply that is none")
        }
    }

    public func execute(_ words: [String], version: RESPVersion = .two) -> RESPValue {
        execute(words.map { Array($0.utf8) }, version: version)
    }

    // MARK: Waiting

    /// A key was filled that somebody may wait for.
    func ready(_ key: UnsafeRawBufferPointer) { if hasWaiters { readyKeys.append(Array(key)) } }

    /// The keys that were filled since the last call.
    public func takeReadyKeys() -> [[UInt8]] {
        defer { readyKeys = [] }
        return readyKeys
    }
}

/// Classes of keyspace events, as `notify-keyspace-events` has them.
public struct KeyspaceEvents: OptionSet, Sendable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }
    public static let keyspace = KeyspaceEvents(rawValue: 1)
    public static let keyevent = KeyspaceEvents(rawValue: 2)
    public static let generic = KeyspaceEvents(rawValue: 4)
    public static let string = KeyspaceEvents(rawValue: 8)
    public static let list = KeyspaceEvents(rawValue: 16)
    public static let set = KeyspaceEvents(rawValue: 32)
    public static let hash = KeyspaceEvents(rawValue: 64)
    public static let sortedSet = KeyspaceEvents(rawValue: 128)
    public static let expired = KeyspaceEvents(rawValue: 256)
    public static let evicted = KeyspaceEvents(rawValue: 512)
    public static let stream = KeyspaceEvents(rawValue: 1024)
    public static let miss = KeyspaceEvents(rawValue: 2048)
    public static let module = KeyspaceEvents(rawValue: 4096)
    public static let new = KeyspaceEvents(rawValue: 8192)

    /// All that `A` stands for.
    public static let everything: KeyspaceEvents = [
        .generic, .string, .list, .set, .hash, .sortedSet, .expired, .evicted, .stream, .module,
    ]

    /// In the order in which Redis writes them.
    private static let letters: [(Character, KeyspaceEvents)] = [
        ("g", .generic), ("$", .string), ("l", .list), ("s", .set), ("h", .hash), ("z", .sortedSet), ("x", .expired),
        ("e", .evicted), ("t", .stream), ("d", .module), ("K", .keyspace), ("E", .keyevent), ("m", .miss), ("n", .new),
    ]

    /// nil for a letter that is none of them.
    public init?(_ text: String) {
        var events: KeyspaceEvents = []
        for letter in text {
            if letter == "A" {
                events.formUnion(.everything)
            } else if let known = Self.letters.first(where: { $0.0 == letter }) {
                events.formUnion(known.1)
            } else {
                return nil
            }
        }
        self = events
    }

    public var text: String {
        let isAll = isSuperset(of: .everything)
        return (isAll ? "A" : "")
            + Self.letters.filter { contains($0.1) && !(isAll && Self.everything.contains($0.1)) }.map { String($0.0) }
            .joined()
    }
}

extension Cache {
    @inline(__always) func notify(_ event: KeyspaceEvents, _ name: String, _ key: UnsafeRawBufferPointer) {
        if settings.notifications.contains(event) { onEvent?(name, key) }
    }

    public func setNotifications(_ events: KeyspaceEvents) { settings.notifications = events }
    public func setEncodings(_ limits: EncodingLimits) { settings.encodings = limits }
    public func resetStatistics() { statistics = CacheStatistics() }
}
