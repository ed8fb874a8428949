import KVStoreEngine
import KernelHosting
import KernelRedis
import KernelStructures
import KernelWire

extension KVServer {
    var keyCommands: [RESPCommand] {
        let group = "generic"
        return [
            command("del", -2, [.write], keys: .all, group: group, "Delete keys", KeyCommands.delete),
            command("unlink", -2, [.write, .fast], keys: .all, group: group, "Delete keys", KeyCommands.delete),
            command(
                "exists", -2, [.readOnly, .fast], keys: .all, group: group, "Count which keys are there",
                KeyCommands.exists),
            command(
                "touch", -2, [.readOnly, .fast], keys: .all, group: group, "Count which keys are there",
                KeyCommands.exists),
            command("type", 2, [.readOnly, .fast], group: group, "Get the type of a key", KeyCommands.type),
            command("rename", 3, [.write], keys: .init(1, 2, 1), group: group, "Rename a key") {
                server, connection, arguments in
                if try KeyCommands.rename(server, connection, arguments) { connection.reply.ok() }
            },
            command(
                "renamenx", 3, [.write, .fast], keys: .init(1, 2, 1), group: group,
                "Rename a key if the new name is free"
            ) { server, connection, arguments in
                if try server.keys.exists(arguments[1]), try server.keys.exists(arguments[2]) {
                    return connection.reply.integer(0)
                }
                if try KeyCommands.rename(server, connection, arguments) { connection.reply.integer(1) }
            },
            command(
                "scan", -2, [.readOnly], keys: .none, group: group, "Walk over the keys, a few a call",
                KeyCommands.scan),
            command(
                "keys", 2, [.readOnly], keys: .none, group: group, "Find all keys of a pattern",
                KeyCommands.keys),
            command(
                "randomkey", 1, [.readOnly], keys: .none, group: group, "Get some key",
                KeyCommands.random),
        ]
    }
}

enum KeyCommands {
    static func delete(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        var count = 0
        for index in 1..<arguments.count where try server.keys.read(arguments[index], counts: false, { _, _ in }) != nil
        {
            try server.keys.delete(arguments[index])
            count += 1
        }
        connection.reply.integer(count)
    }

    static func exists(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        var count = 0
        for index in 1..<arguments.count where try server.keys.exists(arguments[index]) { count += 1 }
        connection.reply.integer(count)
    }

    static func type(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        connection.reply.simple(try server.keys.exists(arguments[1]) ? "string" : "none")
    }

    /// False where there is nothing to rename, which has been answered.
    static func rename(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError) -> Bool
    {
        guard let value = try server.keys.value(arguments[1], counts: false) else {
            connection.reply.error("ERR no such key")
            return false
        }
        if !arguments[1].elementsEqual(arguments[2]) {
            try server.keys.atOnce { () throws(KVStoreError) in
                try server.keys.put(arguments[2], value.payload, expiry: value.expiry)
                try server.keys.delete(arguments[1])
            }
        }
        return true
    }

    /// `SCAN cursor [MATCH pattern] [COUNT n] [TYPE type]`: goes on after the last key of the call before, so that keys
    /// that are there all the time are given once each, and none twice, as long as the cursor is known.
    static func scan(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        let options: ScanOptions
        switch ScanOptions.read(arguments, from: 1) {
        case .success(let read): options = read
        case .failure(let complaint): return connection.reply.error(complaint.text)
        }
        // One that nobody knows, because it is old, of another life of this server or made up, begins again: what is
        // there all the time is given then, some of it a second time.
        let start = Int(exactly: options.cursor).flatMap { server.cursors[$0] }
        let isOfType = options.isOf(type: "string")
        var found: [[UInt8]] = []
        let (_, last) = try server.keys.walk(after: start, limit: options.count) { key in
            if isOfType, options.matches(key) { found.append(Array(key)) }
            return true
        }
        connection.reply.array(2)
        connection.reply.bulk(String(last.map { server.cursors.add($0) } ?? 0))
        connection.reply.array(found.count)
        for key in found { connection.reply.bulk(key) }
    }

    static func keys(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        let pattern = arguments.bytes(1)
        var found: [[UInt8]] = []
        try server.keys.walk { key in
            if GlobMatch.matches(key, pattern) { found.append(Array(key)) }
            return true
        }
        connection.reply.array(found.count)
        for key in found { connection.reply.bulk(key) }
    }

    /// The key at or after a place between the first and the last that chance chooses: quick in a store of any size,
    /// and not fair to keys that lie close together.
    static func random(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        guard let first = try first(server, after: nil) else { return connection.reply.null() }
        let iterator = try server.store.makeIterator()
        try iterator.seekToLast()
        let last = iterator.isValid ? Array(iterator.key) : first
        var place = Array(zip(first, last).prefix { $0 == $1 }.map { $0.0 })
        let low = place.count < first.count ? Int(first[place.count]) : 0
        let high = place.count < last.count ? Int(last[place.count]) : 255
        server.node.draw { random in
            place.append(UInt8(low + random.below(max(1, high - low + 1))))
            place.append(UInt8(random.below(256)))
            place.append(UInt8(random.below(256)))
        }
        connection.reply.bulk(try self.first(server, after: place) ?? first)
    }

    private static func first(_ server: KVServer, after place: [UInt8]?) throws(KVStoreError) -> [UInt8]? {
        var found: [UInt8]?
        try server.keys.walk(after: place) { key in
            found = Array(key)
            return false
        }
        return found
    }
}
