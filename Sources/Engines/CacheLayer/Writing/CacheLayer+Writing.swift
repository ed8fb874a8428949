import KernelStructures

// Writes: through the cache, around it, or behind it.
//
// Through and around, the source goes first: if it refuses, nothing has changed. If the shared cache then does not take
// the new value, the key is removed there; if not even that works, the key is suspect, and this process believes the
// source.
extension CacheLayer {
    /// What comes of wanting to write.
    public enum WriteStart: Sendable {
        /// Begin with `beginWrite`.
        case begin(WriteID)
        /// Another write of the key is under way; `Effect.mayWrite` tells.
        case wait(WriteID)
        case refused(CacheFailure)
    }

    /// - Parameter value: nil removes the key.
    public mutating func write(_ key: String, _ value: (any CacheObject)?, by writer: String = "", now: LabTime)
        -> WriteStart
    {
        if isClosed { return .refused(.closed) }
        guard writes.count < WriteTable.limit, writes.lineLength(key) < WriteTable.limit else {
            return .refused(.queueFull(writes.count))
        }
        if configuration.strategy.writing == .writeBehind, !queue.hasRoom(for: key) {
            return .refused(.queueFull(queue.count))
        }
        let (id, mayBegin) = writes.add(key, value, by: writer, now: now)
        return mayBegin ? .begin(id) : .wait(id)
    }

    /// A writer who waits gives up. Returns false if its turn had come: then it goes on.
    public mutating func cancelWrite(_ id: WriteID) -> Bool { writes.cancel(id) }

    /// The first step of a write whose turn it is.
    public mutating func beginWrite(_ id: WriteID, now: LabTime) -> WriteStep {
        guard var write = writes[id] else { return .done(.failure(.abandoned)) }
        counters.writes &+= 1
        // What is being loaded now may be what was before.
        disown(write.key)
        write.startedAt = now
        write.tags = stamps(of: write.key)
        defer { writes.put(write) }
        guard configuration.strategy.writing == .writeBehind else {
            write.stage = .store
            return .store(key: write.key, write.value)
        }
        guard queue.hasRoom(for: write.key) else { return end(&write, .failure(.queueFull(queue.count)), now: now) }
        write.stage = .append
        write.sequence = queue.nextSequence()
        let bytes = write.value.map { codec?.encode($0) ?? [] }
        return .append(.write(sequence: write.sequence, since: now, key: write.key, value: bytes))
    }

    public mutating func proceedWrite(_ id: WriteID, _ report: WriteReport, now: LabTime) -> WriteStep {
        guard var write = writes[id] else { return .done(.failure(.abandoned)) }
        defer { writes.put(write) }
        switch (write.stage, report) {
        case (.store, .stored(let version)): return sourceStored(&write, version, now: now)
        case (.store, .refused(let text)):
            counters.writeFailures &+= 1
            return end(&write, .failure(.source(text)), now: now)
        case (.store, .unknown(let text)):
            counters.writeFailures &+= 1
            // Neither the old value nor the new one may be believed.
            write.outcome = .failure(.outcomeUnknown(text))
            return removeRemote(&write, now: now)
        case (.append, .appended):
            queue.accept(.init(key: write.key, value: write.value, sequence: write.sequence, since: now))
            event(.queued(key: write.key, waiting: queue.count))
            return written(&write, now: now)
        case (.append, .notAppended(let text)):
            counters.writeFailures &+= 1
            return end(&write, .failure(.notDurable(text)), now: now)
        case (.look, .reply(let reply)): return looked(&write, reply, now: now)
        case (.introduce, .reply(let reply)):
            if case .failed = reply { return removeRemote(&write, now: now) }
            return look(&write)
        case (.put, .reply(let reply)): return putRemote(&write, reply, now: now)
        case (.delete, .reply(let reply)):
            if case .failed(let text) = reply {
                counters.remoteFailures &+= 1
                event(.remoteFailed(text))
                suspect(write.key, now: now)
            }
            return end(&write, write.outcome, now: now)
        default: preconditionFailure("a report that does not belong to the step \(write.stage)")
        }
    }

    // MARK: Steps

    private mutating func sourceStored(_ write: inout Write, _ version: UInt64, now: LabTime) -> WriteStep {
        write.version = version
        event(.wrote(key: write.key, max(.zero, now - write.startedAt), isRemoval: write.value == nil))
        return written(&write, now: now)
    }

    /// It is where it has to be; now the caches.
    private mutating func written(_ write: inout Write, now: LabTime) -> WriteStep {
        guard write.value != nil, configuration.strategy.writing != .writeAround else {
            return removeRemote(&write, now: now)
        }
        write.entry = makeEntry(
            write.value, .write, loadedAt: now, duration: table[write.key]?.loadDuration ?? .zero,
            version: write.version, write.tags, by: write.writer)
        guard hasRemote else { return end(&write, .success(()), now: now) }
        if write.version > 0 || !write.tags.isEmpty { return look(&write) }
        write.stage = .put
        return .ask(.set(key: remoteKey(write.key), bytes: stored(write), ttl: ttl(of: write, now: now)))
    }

    private func stored(_ write: Write) -> [UInt8] {
        guard let entry = write.entry else { preconditionFailure("a write without an entry") }
        return encoded(entry, write.tagWords)
    }

    private func ttl(of write: Write, now: LabTime) -> LabDuration { max(.zero, (write.entry?.endsAt ?? now) - now) }

    /// Looks at what is there first: a writer in another process may have been later at the source and earlier here.
    private mutating func look(_ write: inout Write) -> WriteStep {
        write.stage = .look
        return .ask(.get(key: remoteKey(write.key), tags: write.tags.map { remoteKey($0.tag) }))
    }

    private mutating func looked(_ write: inout Write, _ reply: RemoteReply, now: LabTime) -> WriteStep {
        guard case .entry(let bytes, let words) = reply, words.count == write.tags.count else {
            return removeRemote(&write, now: now)
        }
        if words.contains(where: { $0 == nil }) {
            write.stage = .introduce
            let missing = zip(write.tags, words).filter { $0.1 == nil }.map { remoteKey($0.0.tag) }
            return .ask(.introduce(tags: missing, words: missing.map { _ in freshWord() }))
        }
        write.tagWords = zip(write.tags, words).map { .init(tag: $0.tag, word: $1 ?? []) }
        if let bytes, let there = try? SharedEntry(decoding: bytes, schema: configuration.schemaVersion),
            !there.isLease, there.version > write.version, write.version > 0
        {
            // Somebody has written after this write, and was here before it.
            write.entry = nil
            return end(&write, .success(()), now: now)
        }
        write.stage = .put
        return .ask(
            .replace(
                key: remoteKey(write.key), bytes: stored(write), expected: bytes, ttl: ttl(of: write, now: now),
                tells: true))
    }

    private mutating func putRemote(_ write: inout Write, _ reply: RemoteReply, now: LabTime) -> WriteStep {
        switch reply {
        case .done, .entry:
            event(.filled(key: write.key, configuration.ttl, isNew: true, isNegative: false))
            return end(&write, .success(()), now: now)
        case .refused:
            write.attempts += 1
            if write.attempts < Self.comparisonLimit { return look(&write) }
            return removeRemote(&write, now: now)
        case .failed(let text):
            counters.remoteFailures &+= 1
            event(.remoteFailed(text))
            return removeRemote(&write, now: now)
        }
    }

    /// Comparisons with a key that others keep changing; then it is removed.
    private static let comparisonLimit = 3

    private mutating func removeRemote(_ write: inout Write, now: LabTime) -> WriteStep {
        if configuration.strategy.writing == .writeAround || write.value == nil { write.entry = nil }
        guard hasRemote else { return end(&write, write.outcome, now: now) }
        write.stage = .delete
        return .ask(.delete(keys: [remoteKey(write.key)]))
    }

    private mutating func end(_ write: inout Write, _ outcome: Result<Void, CacheFailure>, now: LabTime) -> WriteStep {
        // A load that began during the write may have seen either value.
        disown(write.key)
        if case .failure(.outcomeUnknown) = outcome { write.entry = nil }
        let isUnchanged =
            switch outcome {
            case .success, .failure(.outcomeUnknown): false
            default: true
            }
        if let entry = write.entry, case .success = outcome, configuration.keepsLocally {
            let known = table[write.key]
            if known.map({ $0.version <= entry.version || entry.version == 0 }) ?? true {
                // What had to be removed there was not read again.
                store(entry, for: write.key, now: now, wasRead: write.stage != .delete)
            }
            if !hasRemote { event(.filled(key: write.key, configuration.ttl, isNew: true, isNegative: false)) }
        } else if !isUnchanged {
            drop(write.key, .written, now: now)
        }
        if queue.isDue(now: now) { effects.append(.flush) }
        if let next = writes.end(write.id) { effects.append(.mayWrite(next)) }
        return .done(outcome)
    }

    // MARK: The queue of writes

    public var writeBehind: WriteBehindQueue { queue }

    /// The next writes for the source; `flushed` or `notFlushed` tells their outcome.
    public mutating func takeBatch(now: LabTime, all: Bool = false) -> [WriteBehindQueue.Item] {
        queue.takeBatch(now: now, all: all)
    }

    /// - Parameter rejected: keys whose value the source will never take; the caches forget them.
    /// - Returns: what is to be noted in the journal.
    public mutating func flushed(rejected: [String] = [], now: LabTime) -> WriteBehindRecord {
        let numbers = queue.flushed(rejected: rejected)
        for key in rejected { invalidate(key, now: now) }
        if queue.isDue(now: now) { effects.append(.flush) }
        return .confirmed(numbers)
    }

    public mutating func notFlushed(now: LabTime) { queue.failed(now: now) }

    /// What an earlier life had promised to write.
    public mutating func restore(_ items: [WriteBehindQueue.Item]) { queue.restore(items) }
}
