import CacheEngine
import KernelHosting
import KernelStructures
import KernelWire

extension CacheNode {
    var transactionCommands: [RESPCommand] {
        let group = "transactions"
        let flags: RESPCommand.Flags = [.loading, .stale, .fast, .immediate]
        return [
            RESPCommand("multi", arity: 1, flags, group: group, "Begin a transaction") { connection, _ in
                guard connection.transaction == nil else {
                    return connection.reply.error("ERR MULTI calls can not be nested")
                }
                connection.transaction = RESPTransaction()
                connection.reply.ok()
            },
            RESPCommand("exec", arity: 1, flags, group: group, "Carry a transaction out") {
                [unowned self] connection, _ in executeTransaction(connection)
            },
            RESPCommand("discard", arity: 1, flags, group: group, "Drop a transaction") {
                [unowned self] connection, _ in
                guard connection.transaction != nil else {
                    return connection.reply.error("ERR DISCARD without MULTI")
                }
                connection.transaction = nil
                unwatch(CacheClient.of(connection))
                connection.reply.ok()
            },
            RESPCommand("watch", arity: -2, flags, keys: .all, group: group, "Watch keys until EXEC") {
                [unowned self] connection, words in watch(connection, words)
            },
            RESPCommand("unwatch", arity: 1, [.loading, .stale, .fast], group: group, "Watch no keys any more") {
                [unowned self] connection, _ in
                unwatch(CacheClient.of(connection))
                connection.reply.ok()
            },
        ]
    }

    private func executeTransaction(_ connection: RESPServerConnection) {
        guard let transaction = connection.transaction else {
            return connection.reply.error("ERR EXEC without MULTI")
        }
        connection.transaction = nil
        let client = CacheClient.of(connection)
        cache.now = nowMilliseconds
        var isBroken = client.isBroken
        for (key, wasThere) in client.watched where cache.exists(key) != wasThere { isBroken = true }
        unwatch(client)
        if transaction.isSpoiled {
            return connection.reply.error("EXECABORT Transaction discarded because of previous errors.")
        }
        if let refusal = refusal(connection, transaction) { return connection.reply.error(refusal) }
        if isBroken { return connection.reply.nullArray() }
        cache.beginTransaction()
        connection.reply.array(transaction.requests.count)
        for (command, request) in transaction.requests {
            request.withArguments { connection.perform(command, $0) }
        }
        cache.endTransaction()
        afterCommand()
    }

    /// What the companion has against it: slots may have moved since the commands were queued.
    private func refusal(_ connection: RESPServerConnection, _ transaction: RESPTransaction) -> String? {
        guard let companion else { return nil }
        // Of one transaction all keys are in one slot: its effects stay together on their way to the copies.
        var slot: Int?
        for (command, request) in transaction.requests {
            let keys = request.withArguments { words in command.keyPlaces(words).map { words.bytes($0) } }
            if keys.isEmpty { continue }
            let asked = self.request(connection, command, keys)
            if let refusal = companion.route(asked) { return refusal }
            if let slot, slot != asked.slot { return "CROSSSLOT Keys in request don't hash to the same slot" }
            slot = asked.slot
        }
        return nil
    }

    private func watch(_ connection: RESPServerConnection, _ words: RESPArguments) {
        guard connection.transaction == nil else {
            return connection.reply.error("ERR WATCH inside MULTI is not allowed")
        }
        let client = CacheClient.of(connection)
        cache.now = nowMilliseconds
        for index in 1..<words.count {
            guard client.watched.count < CacheClient.watchLimit else {
                return connection.reply.error("ERR no more than \(CacheClient.watchLimit) keys can be watched")
            }
            let key = words.bytes(index)
            // Twice is once; a long list is not searched for it.
            if client.watched.count < 100, client.watched.contains(where: { $0.key == key }) { continue }
            client.watched.append((key, cache.exists(key)))
            watchers[key, default: []].append(client)
        }
        hookTouches()
        connection.reply.ok()
    }

    func unwatch(_ client: CacheClient) {
        client.isBroken = false
        guard !client.watched.isEmpty else { return }
        for (key, _) in client.watched {
            watchers[key]?.removeAll { $0 === client }
            if watchers[key]?.isEmpty == true { watchers[key] = nil }
        }
        client.watched = []
        hookTouches()
    }

    /// The cache tells of changes only while somebody wants to know.
    func hookTouches() {
        guard !watchers.isEmpty || tracking.isOn else {
            cache.onTouch = nil
            return
        }
        cache.onTouch = { [unowned self] key in
            if !watchers.isEmpty { for client in watchers[Array(key)] ?? [] { client.isBroken = true } }
            if tracking.isOn { invalidate(Array(key)) }
        }
    }
}
