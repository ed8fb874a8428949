import KVStoreEngine
import KernelHosting
import KernelWire

/// The keys that a connection watches, and whether one of them was written.
final class WatchList {
    /// With whether the key was there: one that ends by itself in between counts as changed.
    var keys: [(key: [UInt8], wasThere: Bool)] = []
    var isBroken = false

    /// Keys that one connection may watch.
    static let limit = 10_000
}

extension KVServer {
    var transactionCommands: [RESPCommand] {
        let group = "transactions"
        let flags: RESPCommand.Flags = [.loading, .stale, .fast, .immediate]
        return [
            command("multi", 1, flags, keys: .none, group: group, "Begin a transaction") { _, connection, _ in
                guard connection.transaction == nil else {
                    return connection.reply.error("ERR MULTI calls can not be nested")
                }
                connection.transaction = RESPTransaction()
                connection.reply.ok()
            },
            command("exec", 1, flags, keys: .none, group: group, "Carry a transaction out") { server, connection, _ in
                try server.execute(connection)
            },
            command("discard", 1, flags, keys: .none, group: group, "Drop a transaction") { server, connection, _ in
                guard connection.transaction != nil else {
                    return connection.reply.error("ERR DISCARD without MULTI")
                }
                connection.transaction = nil
                server.unwatch(connection)
                connection.reply.ok()
            },
            command("watch", -2, flags, keys: .all, group: group, "Watch keys until EXEC") {
                server, connection, arguments in try server.watch(connection, arguments)
            },
            command("unwatch", 1, [.loading, .stale, .fast], keys: .none, group: group, "Watch no keys any more") {
                server, connection, _ in
                server.unwatch(connection)
                connection.reply.ok()
            },
        ]
    }

    /// EXEC: one batch, so that after a crash all of it is there or none.
    private func execute(_ connection: RESPServerConnection) throws(KVStoreError) {
        guard let transaction = connection.transaction else {
            return connection.reply.error("ERR EXEC without MULTI")
        }
        connection.transaction = nil
        let watched = connection.context as? WatchList
        unwatch(connection)
        if transaction.isSpoiled {
            return connection.reply.error("EXECABORT Transaction discarded because of previous errors.")
        }
        if let watched {
            var isBroken = watched.isBroken
            for (key, wasThere) in watched.keys where try exists(key) != wasThere { isBroken = true }
            if isBroken { return connection.reply.nullArray() }
        }
        let start = connection.reply.count
        keys.beginTransaction()
        connection.reply.array(transaction.requests.count)
        for (command, request) in transaction.requests {
            request.withArguments { connection.perform(command, $0) }
        }
        do throws(KVStoreError) {
            try keys.endTransaction()
        } catch {
            connection.forgetPromises(from: start)
            throw error
        }
    }

    private func exists(_ key: [UInt8]) throws(KVStoreError) -> Bool {
        try key.withUnsafeBytesThrowing { bytes throws(KVStoreError) in
            try keys.read(bytes, counts: false) { _, _ in true } ?? false
        }
    }

    private func watch(_ connection: RESPServerConnection, _ arguments: RESPArguments) throws(KVStoreError) {
        guard connection.transaction == nil else {
            return connection.reply.error("ERR WATCH inside MULTI is not allowed")
        }
        let list = connection.context as? WatchList ?? WatchList()
        connection.context = list
        for index in 1..<arguments.count {
            guard list.keys.count < WatchList.limit else {
                return connection.reply.error("ERR no more than \(WatchList.limit) keys can be watched")
            }
            let key = arguments.bytes(index)
            if list.keys.contains(where: { $0.key == key }) { continue }
            list.keys.append((key, try exists(key)))
            watchers[key, default: []].append(list)
        }
        keys.onTouch = { [unowned self] key in
            for list in watchers[Array(key)] ?? [] { list.isBroken = true }
        }
        connection.reply.ok()
    }

    /// All keys are about to go. That is a write of those that are there, and of no other: as in Redis, whoever watches
    /// a key that was missing already has seen nothing change.
    func breakWatchesOfKeysThatAreThere() {
        for (key, lists) in watchers {
            // What cannot be read may have been there.
            let isThere = (try? exists(key)) ?? true
            if isThere { for list in lists { list.isBroken = true } }
        }
    }

    func unwatch(_ connection: RESPServerConnection) {
        guard let list = connection.context as? WatchList else { return }
        connection.context = nil
        for (key, _) in list.keys {
            watchers[key]?.removeAll { $0 === list }
            if watchers[key]?.isEmpty == true { watchers[key] = nil }
        }
        if watchers.isEmpty { keys.onTouch = nil }
    }
}
