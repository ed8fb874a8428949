import KernelStructures

extension RegistryCatalog {
    // MARK: Keys

    mutating func perform(_ operation: KeyOperation) throws(RegistryError) -> RegistryOutcome {
        switch operation {
        case .set(let key, let value, let flags):
            try put(key, value, flags, session: entries[key]?.session)
        case .compareAndSet(let key, let value, let flags, let index):
            guard (entries[key]?.modifyIndex ?? 0) == index else { return .unmet }
            try put(key, value, flags, session: entries[key]?.session)
        case .acquire(let key, let value, let flags, let session):
            guard sessions[session] != nil else { throw Self.noSession(session) }
            let known = entries[key]
            if let owner = known?.session, owner != session { return .unmet }
            try put(key, value, flags, session: session, acquires: known?.session == nil)
        case .release(let key, let value, let flags, let session):
            guard sessions[session] != nil else { throw Self.noSession(session) }
            guard entries[key]?.session == session else { return .unmet }
            try put(key, value, flags, session: nil)
        case .delete(let key): delete(key)
        case .compareAndDelete(let key, let index):
            // Nothing that was never there is what was wanted.
            guard let known = entries[key] else { return index == 0 ? .done : .unmet }
            guard known.modifyIndex == index else { return .unmet }
            delete(key)
        case .deleteTree(let prefix): for entry in entries[under: prefix] { delete(entry.key) }
        }
        return .done
    }

    private static func noSession(_ id: String) -> RegistryError {
        RegistryError(.refused, "there is no session '\(id)'")
    }

    private mutating func put(
        _ key: String, _ value: [UInt8], _ flags: UInt64, session: String?, acquires: Bool = false
    ) throws(RegistryError) {
        guard !key.isEmpty else { throw RegistryError(.malformed, "a key has at least one character") }
        guard key.utf8.count <= RegistryLimits.keyBytes else {
            throw RegistryError(.malformed, "the key is longer than \(byteCountText(RegistryLimits.keyBytes))")
        }
        guard value.count <= RegistryLimits.valueBytes else {
            throw RegistryError(.full, "the value is larger than \(byteCountText(RegistryLimits.valueBytes))")
        }
        let known = entries[key]
        let growth = value.count - (known?.value.count ?? -key.utf8.count)
        guard entries.byteCount + growth <= RegistryLimits.storeBytes else {
            throw RegistryError(.full, "the store holds \(byteCountText(RegistryLimits.storeBytes)) already")
        }
        guard known != nil || entries.count < RegistryLimits.keys else { throw Self.full("keys", RegistryLimits.keys) }
        var new = known ?? KeyEntry(key: key, value: value)
        new.value = value
        new.flags = flags
        new.session = session
        if acquires { new.lockIndex += 1 }
        guard new != known else { return }
        if known == nil { new.createIndex = lastIndex }
        new.modifyIndex = lastIndex
        entries.set(new)
        touch(.key(key))
    }

    private mutating func delete(_ key: String) {
        guard entries[key] != nil else { return }
        entries.remove(key)
        touch(.key(key))
        bury(.key(key))
    }

    // MARK: Sessions

    mutating func create(_ session: RegistrySession) throws(RegistryError) {
        guard sessions.count < RegistryLimits.sessions else { throw Self.full("sessions", RegistryLimits.sessions) }
        guard nodes[session.node] != nil else {
            throw RegistryError(.missing, "there is no node '\(session.node)' for a session to be on")
        }
        for id in session.checks {
            guard let check = checks[InstanceKey(node: session.node, id: id)] else {
                throw RegistryError(.missing, "there is no check '\(id)' on node \(session.node)")
            }
            guard check.status != .critical else {
                throw RegistryError(.refused, "the check '\(id)' is critical: a session would end as it begins")
            }
        }
        guard sessions[session.id] == nil else {
            throw RegistryError(.refused, "there is a session '\(session.id)' already")
        }
        var new = session
        new.createIndex = lastIndex
        new.modifyIndex = lastIndex
        sessions[new.id] = new
        touch(.sessions)
        changes.append(.sessionBegan(new))
    }

    /// Ends a session: its locks are freed, or deleted with their keys.
    mutating func destroy(_ id: String) {
        guard let session = sessions.removeValue(forKey: id) else { return }
        touch(.sessions)
        changes.append(.sessionEnded(session))
        for entry in entries.all where entry.session == id {
            if session.lockDelay > .zero { freed.append(FreedLock(key: entry.key, delay: session.lockDelay)) }
            if session.behavior == .delete {
                delete(entry.key)
            } else {
                var free = entry
                free.session = nil
                free.modifyIndex = lastIndex
                entries.set(free)
                touch(.key(entry.key))
            }
        }
    }

    mutating func endSessions(withCheck key: InstanceKey) {
        let ended = sessions.values.filter { $0.node == key.node && $0.checks.contains(key.id) }
        for id in ended.map(\.id).sorted() { destroy(id) }
    }

    // MARK: Transactions

    /// All of it, or nothing: what went wrong is said for each operation.
    mutating func transact(_ operations: [TransactionOperation]) -> RegistryOutcome {
        let before = self
        var results: [KeyEntry] = []
        var failures: [RegistryOutcome.TransactionFailure] = []
        for (number, operation) in operations.enumerated() {
            do throws(RegistryError) {
                results += try perform(operation)
            } catch {
                failures.append(.init(operation: number, text: error.description))
            }
        }
        guard failures.isEmpty else {
            let index = lastIndex
            self = before
            lastIndex = index
            return .transaction(entries: [], errors: failures)
        }
        return .transaction(entries: results, errors: [])
    }

    private mutating func perform(_ operation: TransactionOperation) throws(RegistryError) -> [KeyEntry] {
        switch operation {
        case .key(let change):
            guard try perform(change) != .unmet else { throw Self.unmet(change) }
            return change.key.flatMap { entries[$0] }.map { [$0] } ?? []
        case .get(let key):
            guard let entry = entries[key] else { throw RegistryError(.missing, "key \"\(key)\" doesn't exist") }
            return [entry]
        case .getTree(let prefix): return Array(entries[under: prefix])
        case .checkIndex(let key, let index):
            guard let entry = entries[key] else { throw RegistryError(.missing, "key \"\(key)\" doesn't exist") }
            guard entry.modifyIndex == index else {
                throw RegistryError(
                    .refused, "current modify index \(entry.modifyIndex) for \(key) is not \(index)")
            }
            return [entry]
        case .checkSession(let key, let session):
            guard let entry = entries[key] else { throw RegistryError(.missing, "key \"\(key)\" doesn't exist") }
            guard entry.session == session else {
                throw RegistryError(.refused, "\(key) is not held by session \(session)")
            }
            return [entry]
        case .checkNotExists(let key):
            guard entries[key] == nil else { throw RegistryError(.refused, "key \"\(key)\" exists") }
            return []
        case .catalog(let command):
            _ = try performPastAgent(command)
            return []
        }
    }

    private static func unmet(_ change: KeyOperation) -> RegistryError {
        switch change {
        case .compareAndSet(let key, _, _, _), .compareAndDelete(let key, _):
            RegistryError(.refused, "failed to set key \"\(key)\", index is stale")
        case .acquire(let key, _, _, _): RegistryError(.refused, "failed to lock key \"\(key)\", lock is already held")
        case .release(let key, _, _, _): RegistryError(.refused, "failed to unlock key \"\(key)\", lock isn't held")
        case .set(let key, _, _), .delete(let key), .deleteTree(let key):
            RegistryError(.refused, "failed to change \"\(key)\"")
        }
    }
}

extension KeyOperation {
    /// The key that has a value afterwards.
    var key: String? {
        switch self {
        case .set(let key, _, _), .compareAndSet(let key, _, _, _), .acquire(let key, _, _, _),
            .release(let key, _, _, _):
            key
        case .delete, .compareAndDelete, .deleteTree: nil
        }
    }
}
