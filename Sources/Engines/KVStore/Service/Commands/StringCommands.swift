import KVStoreEngine
import KernelHosting
import KernelRedis
import KernelWire

extension KVServer {
    var stringCommands: [RESPCommand] {
        let group = "string"
        let write: RESPCommand.Flags = [.write, .denyOutOfMemory]
        let fast: RESPCommand.Flags = [.write, .denyOutOfMemory, .fast]
        return [
            command("get", 2, [.readOnly, .fast], group: group, "Get the value of a key", StringCommands.get),
            command("set", -3, write, group: group, "Set the value of a key", StringCommands.set),
            command("setnx", 3, fast, group: group, "Set a key that is not there", StringCommands.setNX),
            command("setex", 4, write, group: group, "Set a key and its end in seconds", StringCommands.setEX),
            command("psetex", 4, write, group: group, "Set a key and its end in milliseconds", StringCommands.setEX),
            command("getset", 3, fast, group: group, "Set a key and return what it was", StringCommands.getSet),
            command("getdel", 2, [.write, .fast], group: group, "Get a key and delete it", StringCommands.getDel),
            command("getex", -2, [.write, .fast], group: group, "Get a key and change its end", StringCommands.getEX),
            command(
                "mget", -2, [.readOnly, .fast], keys: .all, group: group, "Get several keys", StringCommands.mget),
            command(
                "mset", -3, write, keys: .init(1, -1, 2), group: group, "Set several keys at once",
                StringCommands.mset),
            command(
                "msetnx", -3, write, keys: .init(1, -1, 2), group: group, "Set several keys if none is there",
                StringCommands.msetNX),
            command("append", 3, fast, group: group, "Append to a value", StringCommands.append),
            command("strlen", 2, [.readOnly, .fast], group: group, "Get the length of a value", StringCommands.strlen),
            command("getrange", 4, [.readOnly], group: group, "Get a part of a value", StringCommands.getRange),
            command("substr", 4, [.readOnly], group: group, "Get a part of a value", StringCommands.getRange),
            command("setrange", 4, write, group: group, "Overwrite a part of a value", StringCommands.setRange),
        ]
    }
}

enum StringCommands {
    static func get(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        if try server.keys.read(arguments[1], { payload, _ in connection.reply.bulk(payload) }) == nil {
            connection.reply.null()
        }
    }

    /// `SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`
    static func set(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        let keys = server.keys!
        if arguments.count == 3 {
            try keys.put(arguments[1], arguments[2])
            return connection.reply.ok()
        }
        guard let options = SetOptions(arguments, from: 3, allowed: .set) else {
            return connection.reply.error(Complaint.syntax)
        }
        var expiry = 0
        switch options.expiry(arguments, now: keys.now) {
        case .none: break
        case .at(let time): expiry = time
        case .notANumber: return connection.reply.error(Complaint.integer)
        case .invalid: return connection.reply.error(Complaint.expiry("set"))
        }
        let isOldNeeded = options.returnsOld || options.keepsExpiry
        let old = isOldNeeded ? try keys.value(arguments[1]) : nil
        let isThere =
            isOldNeeded ? old != nil : options.condition == nil ? false : try keys.exists(arguments[1])
        let isAllowed = options.condition.map { $0 == .ifThere ? isThere : !isThere } ?? true
        if isAllowed {
            if options.keepsExpiry { expiry = old?.expiry ?? 0 }
            try keys.put(arguments[1], arguments[2], expiry: expiry)
        }
        if options.returnsOld {
            if let old { connection.reply.bulk(old.payload) } else { connection.reply.null() }
        } else if isAllowed {
            connection.reply.ok()
        } else {
            connection.reply.null()
        }
    }

    static func setNX(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        if try server.keys.exists(arguments[1]) { return connection.reply.integer(0) }
        try server.keys.put(arguments[1], arguments[2])
        connection.reply.integer(1)
    }

    /// `SETEX key seconds value`, `PSETEX key milliseconds value`
    static func setEX(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        let isMilliseconds = arguments[0].count == 6
        let name = isMilliseconds ? "psetex" : "setex"
        guard let number = arguments.integer(2) else { return connection.reply.error(Complaint.integer) }
        guard number > 0, let end = Expiry.end(number, isMilliseconds, isAbsolute: false, now: server.keys.now) else {
            return connection.reply.error(Complaint.expiry(name))
        }
        try server.keys.put(arguments[1], arguments[3], expiry: end)
        connection.reply.ok()
    }

    static func getSet(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        try get(server, connection, arguments)
        try server.keys.put(arguments[1], arguments[2])
    }

    static func getDel(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        guard let old = try server.keys.value(arguments[1]) else { return connection.reply.null() }
        try server.keys.delete(arguments[1])
        connection.reply.bulk(old.payload)
    }

    /// `GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]`
    static func getEX(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        guard let options = SetOptions(arguments, from: 2, allowed: .getEX) else {
            return connection.reply.error(Complaint.syntax)
        }
        guard let old = try server.keys.value(arguments[1]) else { return connection.reply.null() }
        let end = options.expiry(arguments, now: server.keys.now)
        switch end {
        case .notANumber: return connection.reply.error(Complaint.integer)
        case .invalid: return connection.reply.error(Complaint.expiry("getex"))
        case .none, .at: break
        }
        if case .at(let time) = end {
            try server.keys.put(arguments[1], old.payload, expiry: time)
        } else if options.persists, old.expiry != 0 {
            try server.keys.put(arguments[1], old.payload)
        }
        connection.reply.bulk(old.payload)
    }

    static func mget(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        connection.reply.array(arguments.count - 1)
        for index in 1..<arguments.count {
            if try server.keys.read(arguments[index], { payload, _ in connection.reply.bulk(payload) }) == nil {
                connection.reply.null()
            }
        }
    }

    static func mset(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        guard arguments.count % 2 == 1 else { return connection.reply.error(Complaint.count("mset")) }
        try putAll(server, arguments)
        connection.reply.ok()
    }

    static func msetNX(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        guard arguments.count % 2 == 1 else { return connection.reply.error(Complaint.count("msetnx")) }
        for index in stride(from: 1, to: arguments.count, by: 2) where try server.keys.exists(arguments[index]) {
            return connection.reply.integer(0)
        }
        try putAll(server, arguments)
        connection.reply.integer(1)
    }

    /// All of them in one batch: a crash leaves all or none.
    private static func putAll(_ server: KVServer, _ arguments: RESPArguments) throws(KVStoreError) {
        try server.keys.atOnce { () throws(KVStoreError) in
            for index in stride(from: 1, to: arguments.count, by: 2) {
                try server.keys.put(arguments[index], arguments[index + 1])
            }
        }
    }

    static func append(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        let old = try server.keys.value(arguments[1])
        let whole = (old?.payload ?? []) + arguments[2]
        try server.keys.put(arguments[1], whole, expiry: old?.expiry ?? 0)
        connection.reply.integer(whole.count)
    }

    static func strlen(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        connection.reply.integer(try server.keys.read(arguments[1]) { payload, _ in payload.count } ?? 0)
    }

    /// `GETRANGE key start end`: both ends belong to it, and negative ones count from the end.
    static func getRange(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        guard let first = arguments.integer(2), let last = arguments.integer(3) else {
            return connection.reply.error(Complaint.integer)
        }
        let isThere: Void? = try server.keys.read(arguments[1]) { payload, _ in
            let start = first < 0 ? max(0, payload.count + max(first, -payload.count)) : first
            // As Redis has it: an end before the first byte is the first byte.
            let end = last < 0 ? payload.count + max(last, -payload.count) : min(last, payload.count - 1)
            let isEmpty = (first < 0 && last < 0 && first > last) || start > end || payload.isEmpty
            connection.reply.bulk(UnsafeRawBufferPointer(rebasing: isEmpty ? payload[..<0] : payload[start...end]))
        }
        if isThere == nil { connection.reply.bulk("") }
    }

    static func setRange(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        guard let offset = arguments.integer(2) else { return connection.reply.error(Complaint.integer) }
        guard offset >= 0 else { return connection.reply.error("ERR offset is out of range") }
        let old = try server.keys.value(arguments[1])
        var whole = old?.payload ?? []
        let part = arguments[3]
        if part.isEmpty { return connection.reply.integer(whole.count) }
        guard offset <= KVStoreOptions.valueByteLimit - part.count else {
            return connection.reply.error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
        }
        if whole.count < offset + part.count {
            whole += [UInt8](repeating: 0, count: offset + part.count - whole.count)
        }
        whole.replaceSubrange(offset..<offset + part.count, with: part)
        try server.keys.put(arguments[1], whole, expiry: old?.expiry ?? 0)
        connection.reply.integer(whole.count)
    }
}
