import KVStoreEngine
import KernelHosting
import KernelRedis
import KernelWire

extension KVServer {
    var expiryCommands: [RESPCommand] {
        let group = "generic"
        func expire(_ name: String, _ isMilliseconds: Bool, _ isAbsolute: Bool, _ summary: String) -> RESPCommand {
            command(name, -3, [.write, .fast], group: group, summary) { server, connection, arguments in
                try ExpiryCommands.expire(name, isMilliseconds, isAbsolute, server, connection, arguments)
            }
        }
        func ask(_ name: String, _ summary: String, _ answer: @escaping (_ end: Int, _ now: Int) -> Int) -> RESPCommand
        {
            command(name, 2, [.readOnly, .fast], group: group, summary) { server, connection, arguments in
                let now = server.keys.now
                let found = try server.keys.read(arguments[1]) { _, end in end == 0 ? -1 : answer(end, now) }
                connection.reply.integer(found ?? -2)
            }
        }
        return [
            expire("expire", false, false, "Set a key's time to live in seconds"),
            expire("pexpire", true, false, "Set a key's time to live in milliseconds"),
            expire("expireat", false, true, "Set the time in seconds at which a key expires"),
            expire("pexpireat", true, true, "Set the time in milliseconds at which a key expires"),
            ask("ttl", "Get a key's time to live in seconds") { max(0, $0 - $1 + 500) / 1000 },
            ask("pttl", "Get a key's time to live in milliseconds") { max(0, $0 - $1) },
            ask("expiretime", "Get the time in seconds at which a key expires") { end, _ in
                // Not (end + 500) / 1000: an end may be the last millisecond that 64 bits can say.
                end / 1000 + (end % 1000 >= 500 ? 1 : 0)
            },
            ask("pexpiretime", "Get the time in milliseconds at which a key expires") { end, _ in end },
            command(
                "persist", 2, [.write, .fast], group: group, "Remove a key's expiry", ExpiryCommands.persist),
        ]
    }
}

enum ExpiryCommands {
    /// `EXPIRE key number [NX | XX | GT | LT]`
    static func expire(
        _ name: String, _ isMilliseconds: Bool, _ isAbsolute: Bool, _ server: KVServer,
        _ connection: RESPServerConnection, _ arguments: RESPArguments
    ) throws(KVStoreError) {
        var conditions = ExpiryConditions()
        for index in 3..<max(3, arguments.count) {
            if !conditions.take(arguments, index) {
                return connection.reply.error("ERR Unsupported option ", arguments.printed(index))
            }
        }
        if let complaint = conditions.complaint { return connection.reply.error(complaint) }
        guard let number = arguments.integer(2) else { return connection.reply.error(Complaint.integer) }
        guard let end = Expiry.end(number, isMilliseconds, isAbsolute: isAbsolute, now: server.keys.now) else {
            return connection.reply.error(Complaint.expiry(name))
        }
        guard let old = try server.keys.value(arguments[1], counts: false), conditions.allow(end, old.expiry) else {
            return connection.reply.integer(0)
        }
        // 0 and less stand for a time long ago; as an expiry, 0 would mean none.
        try server.keys.put(arguments[1], old.payload, expiry: max(1, end))
        connection.reply.integer(1)
    }

    static func persist(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        guard let old = try server.keys.value(arguments[1], counts: false), old.expiry != 0 else {
            return connection.reply.integer(0)
        }
        try server.keys.put(arguments[1], old.payload)
        connection.reply.integer(1)
    }
}
